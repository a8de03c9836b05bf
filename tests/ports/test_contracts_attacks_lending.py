"""Attacks on the market that lends against pledge tokens, and on whoever counts a coin twice."""

from __future__ import annotations

import pytest
from contracts_lab import HEARTBEAT, PRICE, raw, refuses
from lending_lab import ALL, CENTS, MARKET_KIND, VAULT, LendingLab

from escrow.adapters.evm import typed
from escrow.adapters.evm.revert import Reverted
from escrow.core.units import COIN, YEAR


@pytest.fixture(scope="module")
def base() -> LendingLab:
    return LendingLab(base=1_000, slope=2_000)


@pytest.fixture
def lab(base: LendingLab) -> LendingLab:
    base.back()
    return base


# A coin counted twice


def test_what_a_loan_holds_is_not_put_into_the_market(lab: LendingLab):
    """a borrower: puts into the market what a loan holds.

    Gets: `token/held`; what is free goes in, and the rest once the loan is cancelled.
    """
    terms = lab.opened(sats=2 * COIN)
    spare = lab.tokens(lab.borrower)
    with refuses("token/held"):
        lab.act(lab.borrower, "supply_collateral", spare + 1)
    lab.act(lab.borrower, "supply_collateral", spare)
    with refuses("token/held"):
        lab.act(lab.borrower, "supply_collateral", 1)
    lab.do(lab.borrower, "cancel", terms)
    lab.act(lab.borrower, "supply_collateral", 2 * COIN)


def test_what_is_in_the_market_is_not_pledged_to_a_loan(lab: LendingLab):
    """a borrower: pledges to a loan what is in the market.

    Gets: `top-up/no-tokens` until it has taken it out of the market.
    """
    terms = lab.opened()
    lab.mint(typed.loan_id(terms), COIN)
    everything = lab.tokens(lab.borrower)
    lab.act(lab.borrower, "supply_collateral", everything)
    with refuses("top-up/no-tokens"):
        lab.do(lab.borrower, "top_up", terms, 1)
    lab.act(lab.borrower, "withdraw_collateral", COIN)
    lab.do(lab.borrower, "top_up", terms, COIN)
    assert lab.held(terms) == COIN


def test_what_is_in_the_market_is_not_paid_out_in_coins(lab: LendingLab):
    """a borrower: burns, to be paid coins, what carries its debt in the market.

    Gets: `burn/no-tokens`, but for what it takes out first, and that once.
    """
    lab.borrowed(1, sats=10 * COIN)
    with refuses("burn/no-tokens"):
        lab.burn(lab.borrower, VAULT, COIN)
    lab.act(lab.borrower, "withdraw_collateral", COIN)
    lab.burn(lab.borrower, VAULT, COIN)
    with refuses("burn/no-tokens"):
        lab.burn(lab.borrower, VAULT, COIN)


def test_a_coin_is_minted_once_wherever_its_tokens_are(lab: LendingLab):
    """a quorum of attestors: signs a coin whose tokens are in the market once more, for the same
    holder and loan or for others.

    Gets: `mint/replayed`; an outpoint is minted once.
    """
    att = lab.mint(VAULT, COIN)
    lab.act(lab.borrower, "supply_collateral", 11 * COIN)
    for changes in ({}, {"holder": raw(lab.buyer)}, {"loan": b"\x32" * 32}):
        again = att | {"seen_at": lab.now} | changes
        values, sigs = typed.ATTESTATION.values(again), lab.sign_attestation(again)
        with refuses("mint/replayed"):
            lab.pledge.send(lab.keeper, "mint", values, sigs)


def test_frozen_tokens_are_not_put_in(lab: LendingLab):
    """a holder: puts tokens that the authority froze into the market.

    Gets: `token/frozen`.
    """
    lab.pledge.send(lab.authority, "setFrozenTokens", raw(lab.borrower), 10 * COIN)
    with refuses("token/frozen"):
        lab.act(lab.borrower, "supply_collateral", 1)


def test_a_market_that_the_registry_does_not_know_takes_nothing(lab: LendingLab):
    """whoever: deploys one more market, for cash and coins of those who approve it.

    Gets: `token/cannot-receive`; a market is a holder like any other, which the registrar has to
    admit.
    """
    other = lab.put("LendingMarket", *lab.parts, 8_600, 0, 0)
    for token, who in ((lab.cash, lab.lender), (lab.pledge, lab.borrower)):
        token.send(who, "approve", other.address, ALL)
    with refuses("token/cannot-receive"):
        other.send(lab.lender, "supply", 1)
    with refuses("token/cannot-receive"):
        other.send(lab.borrower, "supply_collateral", 1)


# Shares


def test_the_first_to_lend_cannot_make_the_next_ones_cents_buy_nothing(lab: LendingLab):
    """the first to lend to a market: lends a cent and gives the market a fortune, so that what the
    next one lends rounds to no share.

    Gets: its cent back; the fortune is gone, and the next one's shares are worth what it lent.
    """
    lab.act(lab.buyer, "supply", 1)
    lab.cash.send(lab.buyer, "transfer", lab.market.address, 10**11)
    lab.act(lab.lender, "supply", CENTS)
    assert (lab.lent(lab.lender), lab.lent(lab.buyer)) == (CENTS, 1)
    lab.act(lab.buyer, "withdraw", ALL)
    lab.act(lab.lender, "withdraw", ALL)
    assert lab.money(lab.buyer) == 10**12 - 10**11, "what was given is gone"


def test_a_share_made_dear_by_interest_still_cheats_nobody(lab: LendingLab):
    """a lender and a borrower together: leave a cent lent and borrowed for a century, so that
    interest makes a share dear.

    Gets: from the next one to lend at most as many cents as the market had before; half of the
    interest is the virtual shares', which are nobody's.
    """
    lab.act(lab.buyer, "supply", 1)
    lab.act(lab.borrower, "supply_collateral", COIN)
    lab.act(lab.borrower, "borrow", 1)
    lab.wait(100 * YEAR)
    lab.act(lab.keeper, "accrue")
    dear = lab.totals()[0]
    lab.act(lab.lender, "supply", CENTS)
    assert dear > 10
    assert lab.lent(lab.lender) >= CENTS - dear


def test_small_steps_gain_nothing(lab: LendingLab):
    """a lender, or a borrower: goes in and out of the market in steps of a few cents, at shares
    that are worth odd sums, so that each rounds in its favour.

    Gets: no cent; the lender has no more than before, and the borrower owes no less.
    """
    lab.borrowed(777_777, pool=1_000_003)
    lab.wait(YEAR // 3)
    lab.post()
    lab.cash.send(lab.issuer, "mint", raw(lab.borrower), 1_000_000)
    before = lab.money(lab.buyer)
    for cents in range(1, 9):
        lab.act(lab.buyer, "supply", cents)
        for _ in range(lab.lent(lab.buyer)):
            lab.act(lab.buyer, "withdraw", 1)
    assert lab.money(lab.buyer) <= before
    owed, cash = lab.debt(lab.borrower), lab.money(lab.borrower)
    for cents in range(1, 9):
        lab.act(lab.borrower, "borrow", cents)
        lab.act(lab.borrower, "repay", raw(lab.borrower), cents)
    assert (lab.money(lab.borrower), lab.debt(lab.borrower) >= owed) == (cash, True)


def test_without_a_debt_shares_do_not_pile_up(lab: LendingLab):
    """a borrower: borrows three cents for a year and has them repaid in two parts, ten times, to
    leave shares of a debt behind.

    Gets: nothing; once nobody owes anything, there is no debt and no share of one.
    """
    lab.ready()
    for _ in range(10):
        lab.act(lab.borrower, "borrow", 3)
        lab.wait(YEAR)
        lab.post()
        lab.act(lab.keeper, "repay", raw(lab.borrower), 2)
        lab.act(lab.keeper, "repay", raw(lab.borrower), ALL)
    assert lab.totals()[2:] == (0, 0)


# Liquidation


def test_a_sat_left_behind_keeps_a_loss_off_the_books(lab: LendingLab):
    """a liquidator and a lender: leave some sats of the collateral, so that the bad debt is not
    written off yet, and the lender withdraws.

    Gets: all that this lender lent; the loss is borne by who stayed. Morpho Blue does the same
    (morpho-blue #122).
    """
    lab.act(lab.buyer, "supply", CENTS)
    lab.borrowed(CENTS * 8 // 10, pool=CENTS)
    lab.wait(1)
    lab.post(PRICE // 2)
    pay = CENTS // 2 * 10**18 // lab.market.call("incentive") - 1
    ((_, said),) = lab.act(lab.keeper, "liquidate", raw(lab.borrower), pay, 0)
    assert said["bad_debt"] == 0 < lab.position(lab.borrower)[2]
    whole = lab.lent(lab.buyer)
    lab.act(lab.buyer, "withdraw", ALL)
    assert whole >= CENTS, "who left lost nothing"
    lab.act(lab.keeper, "liquidate", raw(lab.borrower), ALL, 0)
    assert lab.lent(lab.lender) < CENTS * 8 // 10, "who stayed bears all of it"


def test_a_price_that_was_kept_moves_nothing(lab: LendingLab):
    """a liquidator: keeps a low round that oracles signed, and posts it when it suits.

    Gets: `price/round` once another round was posted, and `price/stale` once none is fresh.
    """
    lab.borrowed(CENTS // 2)
    kept = lab.reports([PRICE // 2] * 5)
    lab.wait(1)
    lab.post()
    with refuses("price/round"):
        lab.prices.send(lab.keeper, "post", *kept)
    lab.wait(HEARTBEAT + 1)
    with refuses("price/stale"):
        lab.act(lab.keeper, "liquidate", raw(lab.borrower), ALL, 0)


def test_nobody_liquidates_who_owes_nothing(lab: LendingLab):
    """a liquidator: buys collateral that carries no debt.

    Gets: `market/healthy`.
    """
    lab.ready()
    with refuses("market/healthy"):
        lab.act(lab.keeper, "liquidate", raw(lab.borrower), ALL, 0)


def test_what_is_anothers_is_not_taken(lab: LendingLab):
    """whoever has nothing in the market: withdraws, takes collateral out, or moves the market's
    tokens past it.

    Gets: `loan/amount`, `market/collateral`, `token/allowance`; a call moves what is the caller's.
    """
    lab.borrowed(CENTS // 4)
    with refuses("loan/amount"):
        lab.act(lab.keeper, "withdraw", ALL)
    with refuses("market/collateral"):
        lab.act(lab.keeper, "withdraw_collateral", 1)
    with refuses("token/allowance"):
        lab.pledge.send(lab.keeper, "transferFrom", lab.market.address, raw(lab.keeper), 1)


# What a holder that is a contract is exposed to: the book's hold is not


def test_the_authority_takes_what_is_in_the_market(lab: LendingLab):
    """the authority: takes by force what is pledged to a loan, and what is in the market.

    Gets: `token/held` for the loan's; the market's, as any holder's, and who takes out last is
    short of it, `token/balance`.
    """
    terms = lab.opened(sats=COIN)
    lab.ready()
    market = lab.market.address
    with refuses("token/held"):
        amount = lab.pledge.call("balanceOf", raw(lab.borrower))
        lab.pledge.send(lab.authority, "forcedTransfer", raw(lab.borrower), raw(lab.buyer), amount)
    lab.pledge.send(lab.authority, "forcedTransfer", market, raw(lab.buyer), 1)
    with refuses("token/balance"):
        lab.act(lab.borrower, "withdraw_collateral", COIN)
    lab.act(lab.borrower, "withdraw_collateral", COIN - 1)
    assert lab.held(terms) == COIN


def test_a_suspended_market_stands_still(lab: LendingLab):
    """the registrar: suspends the market.

    Gets: a market that stands still: nobody pays back, `token/cannot-receive`, and nobody takes
    anything out, `token/cannot-send`. It is not enough to admit it again; it has to be reinstated.
    A loan of the book does not risk this.
    """
    lab.borrowed(1_000)
    lab.suspend(lab.market.address)
    with refuses("token/cannot-receive"):
        lab.act(lab.keeper, "repay", raw(lab.borrower), ALL)
    for who, verb, sum_ in (
        (lab.lender, "withdraw", 1),
        (lab.borrower, "withdraw_collateral", 1),
        (lab.borrower, "borrow", 1),
    ):
        with refuses("token/cannot-send"):
            lab.act(who, verb, sum_)
    lab.admit(lab.market.address, kind=MARKET_KIND)
    with refuses("token/cannot-receive"):
        lab.act(lab.keeper, "repay", raw(lab.borrower), ALL)
    lab.registry.send(lab.registrar, "reinstate", [lab.market.address], gas=4_000_000)
    lab.act(lab.keeper, "repay", raw(lab.borrower), ALL)


def test_the_market_takes_no_ether(lab: LendingLab):
    """whoever: sends ether to the market, to have it locked there.

    Gets: its ether back.
    """
    with pytest.raises(Reverted):
        lab.chain.call(to=lab.market.address, value=1, sender=raw(lab.issuer))
