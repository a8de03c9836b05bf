"""LendingMarket: who lends, borrows and liquidates, when, and what it comes to."""

from __future__ import annotations

from fractions import Fraction

import pytest
from contracts_lab import (
    ALL_RIGHTS,
    BORROW,
    HEARTBEAT,
    HOLD_CASH,
    HOLD_PLEDGE,
    LEND,
    PRICE,
    raw,
    refuses,
)
from lending_lab import ALL, CENTS, LLTV, MARKET_KIND, MILLION, LendingLab

from escrow.adapters.evm.contracts import creation_code
from escrow.adapters.evm.revert import Reverted
from escrow.core.units import COIN, DAY, YEAR


@pytest.fixture(scope="module")
def base() -> LendingLab:
    return LendingLab()


@pytest.fixture
def lab(base: LendingLab) -> LendingLab:
    base.back()
    return base


@pytest.fixture(scope="module")
def dear() -> LendingLab:
    """At 10 % a year, and as much again when all is borrowed."""
    return LendingLab(base=1_000, slope=1_000)


# What it is made of


def test_what_it_is(lab: LendingLab):
    asked = ("registry", "prices", "cash", "pledge", "lltv_bps", "base_bps", "slope_bps")
    assert [lab.market.call(name) for name in asked] == [
        *lab.parts,
        lab.cash.address,
        lab.pledge.address,
        LLTV,
        0,
        0,
    ]


@pytest.mark.parametrize(
    ("bps", "percent"), [(8_600, "4.384"), (9_150, "2.617"), (7_700, "7.411"), (6_250, "12.676")]
)
def test_the_incentive_is_morphos(lab: LendingLab, bps: int, percent: str):
    market = lab.put("LendingMarket", *lab.parts, bps, 0, 0)
    assert abs(market.call("incentive") - 10**18 * (1 + Fraction(percent) / 100)) < 10**13


def test_the_incentive_is_fifteen_percent_at_most(lab: LendingLab):
    market = lab.put("LendingMarket", *lab.parts, 3_850, 0, 0)
    assert market.call("incentive") == 115 * 10**16


@pytest.mark.parametrize(
    ("code", "args"),
    [
        ("market/level", (0, 0, 0)),
        ("market/level", (10_000, 0, 0)),
        ("terms/rate", (LLTV, 100_001, 0)),
        ("terms/rate", (LLTV, 0, 100_001)),
    ],
)
def test_a_market_that_makes_no_sense(lab: LendingLab, code: str, args: tuple[int, ...]):
    creation = creation_code("LendingMarket", *lab.parts, *args)
    with pytest.raises(Reverted) as caught:
        lab.chain.call(to=None, data=creation, sender=raw(lab.issuer))
    assert caught.value.code == code


def test_a_market_of_nothing(lab: LendingLab):
    for parts in ((bytes(20), lab.prices.address), (lab.registry.address, bytes(20))):
        creation = creation_code("LendingMarket", *parts, LLTV, 0, 0)
        with pytest.raises(Reverted) as caught:
            lab.chain.call(to=None, data=creation, sender=raw(lab.issuer))
        assert caught.value.code == "token/receiver"


# Lending


def test_lent_and_taken_back(lab: LendingLab):
    before = lab.money(lab.lender)
    said = lab.act(lab.lender, "supply", CENTS)
    shares = CENTS * MILLION
    assert said == [("Supplied", {"account": raw(lab.lender), "assets": CENTS, "shares": shares})]
    assert (lab.totals(), lab.money(lab.lender)) == ((CENTS, shares, 0, 0), before - CENTS)
    lab.act(lab.lender, "withdraw", 1)
    assert (lab.lent(lab.lender), lab.money(lab.lender)) == (CENTS - 1, before - CENTS + 1)
    lab.act(lab.lender, "withdraw", ALL)
    assert (lab.position(lab.lender)[0], lab.money(lab.lender)) == (0, before)
    lab.sound()


def test_who_may_not_lend_does_not(lab: LendingLab):
    lab.rule(ALL_RIGHTS & ~LEND, kind=2)
    lab.admit(raw(lab.lender), kind=2)
    with refuses("market/not-eligible"):
        lab.act(lab.lender, "supply", 1)


@pytest.mark.parametrize("assets", [0, 2**64])
def test_amounts_that_are_none(lab: LendingLab, assets: int):
    for who, verb in ((lab.lender, "supply"), (lab.borrower, "supply_collateral")):
        with refuses("loan/amount"):
            lab.act(who, verb, assets)


def test_no_more_than_ones_own_comes_back(lab: LendingLab):
    lab.act(lab.lender, "supply", CENTS)
    lab.act(lab.buyer, "supply", CENTS)
    for assets in (CENTS + 1, 2 * CENTS + 1):
        with refuses("market/shares"):
            lab.act(lab.lender, "withdraw", assets)
    for assets in (0, ALL):
        with refuses("loan/amount"):
            lab.act(lab.keeper, "withdraw", assets)


def test_what_is_borrowed_is_not_there(lab: LendingLab):
    lab.borrowed(CENTS // 2, pool=CENTS)
    lab.act(lab.lender, "withdraw", CENTS // 2)
    with refuses("market/liquidity"):
        lab.act(lab.lender, "withdraw", 1)
    with refuses("market/liquidity"):
        lab.act(lab.borrower, "borrow", 1)
    lab.act(lab.borrower, "repay", raw(lab.borrower), 1)
    lab.act(lab.lender, "withdraw", 1)


def test_who_is_suspended_gets_nothing_out_and_keeps_it(lab: LendingLab):
    lab.act(lab.lender, "supply", CENTS)
    lab.suspend(raw(lab.lender))
    with refuses("token/cannot-receive"):
        lab.act(lab.lender, "withdraw", 1)
    assert lab.lent(lab.lender) == CENTS
    lab.registry.send(lab.registrar, "reinstate", [raw(lab.lender)], gas=4_000_000)
    lab.act(lab.lender, "withdraw", ALL)


# Collateral


def test_collateral_without_a_debt_comes_and_goes_at_any_price(lab: LendingLab):
    lab.wait(HEARTBEAT + 1)
    before = lab.tokens(lab.borrower)
    lab.act(lab.borrower, "supply_collateral", COIN)
    assert (lab.position(lab.borrower)[2], lab.tokens(lab.borrower)) == (COIN, before - COIN)
    with refuses("market/collateral"):
        lab.act(lab.borrower, "withdraw_collateral", COIN + 1)
    with refuses("loan/amount"):
        lab.act(lab.borrower, "withdraw_collateral", 0)
    lab.act(lab.borrower, "withdraw_collateral", COIN)
    assert lab.tokens(lab.borrower) == before
    lab.sound()


def test_what_carries_a_debt_stays(lab: LendingLab):
    lab.borrowed(CENTS * LLTV // 20_000)
    with refuses("market/unhealthy"):
        lab.act(lab.borrower, "withdraw_collateral", COIN // 2 + 1)
    lab.act(lab.borrower, "withdraw_collateral", COIN // 2)
    assert lab.market.call("healthy", raw(lab.borrower))


def test_collateral_under_a_debt_needs_a_price(lab: LendingLab):
    lab.borrowed(1)
    lab.wait(HEARTBEAT + 1)
    with refuses("price/stale"):
        lab.act(lab.borrower, "withdraw_collateral", 1)
    with refuses("price/stale"):
        lab.market.call("healthy", raw(lab.borrower))
    assert lab.market.call("healthy", raw(lab.lender)), "nothing to carry"


# Borrowing


def test_borrowed_up_to_the_level_exactly(lab: LendingLab):
    lab.ready()
    most = CENTS * LLTV // 10_000
    with refuses("market/unhealthy"):
        lab.act(lab.borrower, "borrow", most + 1)
    said = lab.act(lab.borrower, "borrow", most)
    shares = most * MILLION
    assert said == [("Borrowed", {"account": raw(lab.borrower), "assets": most, "shares": shares})]
    assert (lab.money(lab.borrower), lab.debt(lab.borrower)) == (most, most)
    assert lab.totals()[2:] == (most, shares)
    lab.sound()


def test_who_may_not_borrow_does_not(lab: LendingLab):
    lab.ready()
    lab.rule(ALL_RIGHTS & ~BORROW, kind=2)
    lab.admit(raw(lab.borrower), kind=2)
    with refuses("market/not-eligible"):
        lab.act(lab.borrower, "borrow", 1)


def test_nothing_is_not_borrowed_and_neither_is_what_is_not_there(lab: LendingLab):
    lab.ready(pool=1)
    with refuses("loan/amount"):
        lab.act(lab.borrower, "borrow", 0)
    with refuses("market/liquidity"):
        lab.act(lab.borrower, "borrow", 2)
    with refuses("market/unhealthy"):
        lab.act(lab.keeper, "borrow", 1)


def test_borrowing_needs_a_price(lab: LendingLab):
    lab.ready()
    lab.wait(HEARTBEAT + 1)
    with refuses("price/stale"):
        lab.act(lab.borrower, "borrow", 1)
    lab.post()
    lab.prices.send(lab.guardian, "pause", DAY)
    with refuses("price/stale"):
        lab.act(lab.borrower, "borrow", 1)


# Paying back


def test_paid_back_in_part_and_in_full(lab: LendingLab):
    lab.borrowed(1_000)
    said = lab.act(lab.borrower, "repay", raw(lab.borrower), 400)
    who = raw(lab.borrower)
    assert said == [("Repaid", {"account": who, "by": who, "assets": 400, "shares": 400 * MILLION})]
    assert lab.debt(lab.borrower) == 600
    lab.act(lab.borrower, "repay", raw(lab.borrower), ALL)
    assert (lab.position(lab.borrower), lab.money(lab.borrower)) == ((0, 0, COIN), 0)
    assert lab.totals()[2:] == (0, 0)
    with refuses("repay/no-debt"):
        lab.act(lab.borrower, "repay", raw(lab.borrower), 1)
    lab.sound()


def test_nothing_is_no_payment(lab: LendingLab):
    lab.borrowed(1_000)
    with refuses("loan/amount"):
        lab.act(lab.borrower, "repay", raw(lab.borrower), 0)


def test_anyone_pays_for_a_suspended_borrower_without_a_price(lab: LendingLab):
    lab.borrowed(1_000)
    lab.suspend(raw(lab.borrower))
    lab.wait(HEARTBEAT + 1)
    with refuses("token/cannot-send"):
        lab.act(lab.borrower, "repay", raw(lab.borrower), ALL)
    before = lab.money(lab.keeper)
    lab.act(lab.keeper, "repay", raw(lab.borrower), ALL)
    assert (lab.debt(lab.borrower), lab.money(lab.keeper)) == (0, before - 1_000)
    with refuses("token/cannot-receive"):
        lab.act(lab.borrower, "withdraw_collateral", COIN)


# Interest


def test_the_rate_is_linear_in_what_is_borrowed(dear: LendingLab):
    dear.back()
    assert dear.market.call("rate_bps") == 1_000
    dear.ready(pool=CENTS)
    assert dear.market.call("rate_bps") == 1_000
    dear.act(dear.borrower, "borrow", CENTS // 2)
    assert dear.market.call("rate_bps") == 1_500
    dear.act(dear.lender, "withdraw", CENTS // 2)
    assert dear.market.call("rate_bps") == 2_000


def test_a_year_of_interest_to_the_cent(dear: LendingLab):
    dear.back()
    dear.borrowed(CENTS // 2, pool=CENTS)
    dear.wait(YEAR)
    assert dear.totals()[2] == CENTS // 2 + CENTS // 2 * 15 // 100
    assert dear.debt(dear.borrower) == CENTS // 2 + CENTS // 2 * 15 // 100
    # It is the lender's, but for the virtual shares' part of a cent.
    assert dear.lent(dear.lender) == CENTS + CENTS // 2 * 15 // 100 - 1
    dear.sound()


def test_looking_often_neither_makes_nor_loses_interest(dear: LendingLab):
    """At 15 % a year 10 cents owe a cent after eight months, whoever looks meanwhile."""
    dear.back()
    dear.borrowed(10, pool=20)
    begun = dear.now
    for step in range(1, 50):
        dear.at(begun + step * YEAR // 75)
        dear.act(dear.keeper, "accrue")
    for moment, debt in ((-1, 10), (0, 11)):
        dear.at(begun + 2 * YEAR // 3 + moment)
        dear.act(dear.keeper, "accrue")
        assert dear.totals()[2] == debt


def test_interest_stops_instead_of_breaking_the_pool(lab: LendingLab):
    """At 2000 % a year for ten thousand years."""
    market = lab.put("LendingMarket", *lab.parts, LLTV, 100_000, 100_000)
    lab.admit(market.address, kind=MARKET_KIND)
    for who, token, verb, amount in (
        (lab.lender, lab.cash, "supply", CENTS),
        (lab.borrower, lab.pledge, "supply_collateral", COIN),
    ):
        token.send(who, "approve", market.address, ALL)
        market.send(who, verb, amount)
    market.send(lab.borrower, "borrow", CENTS // 2)
    for _ in range(10):
        lab.wait(2**35)
        market.send(lab.keeper, "accrue")
    lent, _, debt, _ = market.call("totals")
    assert (lent, debt) == (2**88 - 1, 2**88 - 1 - CENTS // 2)
    with refuses("loan/amount"):
        market.send(lab.lender, "supply", CENTS)
    lab.cash.send(lab.keeper, "approve", market.address, ALL)
    market.send(lab.keeper, "repay", raw(lab.borrower), CENTS)
    assert market.call("totals")[2] == debt - CENTS


def test_every_rounding_is_for_the_pool(dear: LendingLab):
    """At shares that are worth odd sums: those given are rounded down, those owed are rounded up,
    each by less than one."""
    dear.back()
    dear.borrowed(777_777, pool=1_000_003)
    dear.cash.send(dear.issuer, "mint", raw(dear.borrower), 1_000_000)
    dear.wait(YEAR // 3)
    dear.post()
    me = raw(dear.borrower)
    for who, verb, args, side, upward in (
        (dear.buyer, "supply", (7_777,), 0, False),
        (dear.buyer, "withdraw", (3_333,), 0, True),
        (dear.borrower, "borrow", (5_555,), 2, True),
        (dear.borrower, "repay", (me, 4_444), 2, False),
    ):
        assets, shares = dear.totals()[side : side + 2]
        ((_, said),) = dear.act(who, verb, *args)
        exact = Fraction(args[-1] * (shares + MILLION), assets + 1)
        assert exact.denominator > 1
        off = said["shares"] - exact
        assert (0 < off < 1) if upward else (-1 < off < 0), verb


# Liquidation


def at(lab: LendingLab, price: int, *, cents: int = CENTS // 2, sats: int = COIN) -> None:
    """Borrowed, and then the price is this one."""
    lab.borrowed(cents, sats=sats)
    lab.wait(1)
    lab.post(price)


AT_LEVEL = PRICE * 5_000 // LLTV + 1
"""Half a coin's first worth is 86 % of a coin at this price, rounded to be just healthy."""


def test_at_the_level_nobody_is_liquidated_and_above_it_everybody(lab: LendingLab):
    at(lab, AT_LEVEL)
    with refuses("market/healthy"):
        lab.act(lab.keeper, "liquidate", raw(lab.borrower), ALL, 0)
    lab.wait(1)
    lab.post(AT_LEVEL - 1)
    lab.act(lab.keeper, "liquidate", raw(lab.borrower), ALL, 0)


def test_all_of_a_debt_for_coins_worth_it_and_the_incentive(lab: LendingLab):
    at(lab, PRICE * 55 // 100)
    cash, tokens = lab.money(lab.keeper), lab.tokens(lab.keeper)
    incentive = lab.market.call("incentive")
    sats = CENTS // 2 * 10**14 * incentive // (PRICE * 55 // 100 * 10**18)
    said = lab.act(lab.keeper, "liquidate", raw(lab.borrower), ALL, sats)
    assert said == [
        (
            "Liquidated",
            {
                "account": raw(lab.borrower),
                "by": raw(lab.keeper),
                "repaid": CENTS // 2,
                "seized": sats,
                "bad_debt": 0,
            },
        )
    ]
    assert (lab.money(lab.keeper), lab.tokens(lab.keeper)) == (cash - CENTS // 2, tokens + sats)
    assert lab.position(lab.borrower) == (0, 0, COIN - sats)
    lab.act(lab.borrower, "withdraw_collateral", COIN - sats)
    assert lab.lent(lab.lender) == 2 * CENTS
    lab.sound()


def test_a_part_of_a_debt_leaves_the_position_better(lab: LendingLab):
    at(lab, PRICE * 55 // 100)
    lab.act(lab.keeper, "liquidate", raw(lab.borrower), CENTS // 8, 0)
    debt, sats = lab.debt(lab.borrower), lab.position(lab.borrower)[2]
    assert debt == CENTS // 2 - CENTS // 8
    assert Fraction(debt, sats) < Fraction(CENTS // 2, COIN)
    lab.sound()


def test_a_buyer_says_the_fewest_coins_it_takes(lab: LendingLab):
    at(lab, PRICE * 55 // 100)
    with refuses("liquidate/slippage"):
        lab.act(lab.keeper, "liquidate", raw(lab.borrower), CENTS // 8, COIN)
    with refuses("loan/amount"):
        lab.act(lab.keeper, "liquidate", raw(lab.borrower), 0, 0)


def test_liquidation_needs_a_fresh_price(lab: LendingLab):
    at(lab, PRICE * 55 // 100)
    lab.wait(HEARTBEAT)
    lab.wait(1)
    with refuses("price/stale"):
        lab.act(lab.keeper, "liquidate", raw(lab.borrower), ALL, 0)


def test_who_may_not_hold_the_coins_does_not_liquidate(lab: LendingLab):
    at(lab, PRICE * 55 // 100)
    lab.rule(HOLD_CASH, kind=2)
    lab.admit(raw(lab.keeper), kind=2)
    with refuses("token/cannot-receive"):
        lab.act(lab.keeper, "liquidate", raw(lab.borrower), ALL, 0)
    lab.rule(HOLD_CASH | HOLD_PLEDGE, kind=2)
    lab.admit(raw(lab.keeper), kind=2)
    lab.act(lab.keeper, "liquidate", raw(lab.borrower), ALL, 0)


def test_bad_debt_is_shared_by_all_who_lent_and_only_when_nothing_is_left(lab: LendingLab):
    lab.act(lab.buyer, "supply", 2 * CENTS)
    at(lab, PRICE * 40 // 100)
    # A part first: the rest of the collateral is worth less than the debt, and nobody loses yet.
    lab.act(lab.keeper, "liquidate", raw(lab.borrower), CENTS // 10, 0)
    assert (lab.lent(lab.lender), lab.lent(lab.buyer)) == (2 * CENTS, 2 * CENTS)
    debt = lab.debt(lab.borrower)
    ((_, said),) = lab.act(lab.keeper, "liquidate", raw(lab.borrower), ALL, 0)
    assert said["bad_debt"] == debt - said["repaid"] > 0
    assert lab.position(lab.borrower) == (0, 0, 0)
    lent = lab.totals()[0]
    assert lent == 4 * CENTS - said["bad_debt"]
    shares = [lab.lent(who) for who in (lab.lender, lab.buyer)]
    assert shares[0] == shares[1]
    assert 0 <= lent - sum(shares) <= 2
    for who in (lab.lender, lab.buyer):
        lab.act(who, "withdraw", ALL)
    lab.sound()


def test_the_last_debt_gone_all_who_lent_can_leave(dear: LendingLab):
    """Interest on the virtual shares is owed by nobody: it does not stay as a debt of nobody."""
    dear.back()
    dear.borrowed(1, pool=CENTS)
    dear.wait(20 * YEAR)
    dear.act(dear.keeper, "repay", raw(dear.borrower), ALL)
    assert dear.totals()[2:] == (0, 0)
    dear.act(dear.lender, "withdraw", ALL)
    dear.sound()
