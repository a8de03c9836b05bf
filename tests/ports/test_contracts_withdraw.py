"""EscrowBook: the borrower takes excess collateral back."""

from __future__ import annotations

import pytest
from book_lab import HALF, at_level, called, expired
from contracts_lab import ACTIVE, HEARTBEAT, PRICE, Lab, raw, refuses

from escrow.adapters.evm import typed
from escrow.core.units import COIN, DAY


def test_down_to_the_initial_level_exactly(lab: Lab):
    terms = at_level(lab, 5_000)  # On two coins at PRICE: 25 %.
    before = lab.loan(terms)
    with refuses("withdraw/above-initial-ltv"):
        lab.do(lab.borrower, "withdraw", terms, COIN + 1)
    receipt = lab.do(lab.borrower, "withdraw", terms, COIN)
    # Released tokens were in the borrower's balance all along, so none move.
    assert lab.said(receipt) == [("Withdrawn", {"loan": typed.loan_id(terms), "sats": COIN})]
    assert (lab.held(terms), lab.tokens(lab.borrower)) == (COIN, COIN)
    assert lab.loan(terms) == before
    assert lab.book.call("ltv", typed.encode_terms(terms)) == 5_000
    with refuses("withdraw/above-initial-ltv"):
        lab.do(lab.borrower, "withdraw", terms, 1)
    # And they are its own to burn.
    lab.burn(lab.borrower, typed.loan_id(terms), COIN)
    assert lab.pledge.call("outstanding", typed.loan_id(terms)) == COIN


def test_interest_counts(lab: Lab):
    terms = at_level(lab, 5_000, rate_bps=2_300)
    lab.wait(DAY)
    lab.post()
    owed = lab.owed(terms)
    least = -(-owed * 10**18 // (5_000 * PRICE))
    assert least > COIN
    with refuses("withdraw/above-initial-ltv"):
        lab.do(lab.borrower, "withdraw", terms, 2 * COIN - least + 1)
    lab.do(lab.borrower, "withdraw", terms, 2 * COIN - least)
    assert lab.owed(terms) == owed


def test_nobody_else_withdraws(lab: Lab):
    terms = at_level(lab, 5_000)
    for who in (lab.lender, lab.keeper, lab.stranger):
        with refuses("withdraw/not-borrower"):
            lab.do(who, "withdraw", terms, 1)


def test_only_from_a_loan_that_is_drawn_and_not_called(lab: Lab):
    opened = lab.opened(sats=COIN)
    lab.post()
    with refuses("withdraw/not-active"):
        lab.do(lab.borrower, "withdraw", opened, 1)
    lab.do(lab.borrower, "cancel", opened)
    with refuses("withdraw/not-active"):
        lab.do(lab.borrower, "withdraw", opened, 1)
    lab.wait(1)
    for make, nonce in ((called, 2), (expired, 3)):
        terms = make(lab, nonce=nonce)
        lab.wait(1)
        lab.post(PRICE * 3)
        with refuses("withdraw/not-active"):
            lab.do(lab.borrower, "withdraw", terms, 1)
        lab.wait(1)


def test_a_cured_loan_is_free_again(lab: Lab):
    terms = called(lab)
    lab.wait(1)
    lab.post(PRICE)
    lab.do(lab.keeper, "cure", terms)
    lab.do(lab.borrower, "withdraw", terms, 1)


def test_until_maturity(lab: Lab):
    terms = at_level(lab, 5_000)
    lab.at(terms["maturity"])
    lab.post()
    lab.do(lab.borrower, "withdraw", terms, 1)
    lab.wait(1)
    with refuses("withdraw/matured"):
        lab.do(lab.borrower, "withdraw", terms, 1)


def test_at_a_fresh_price_only(lab: Lab):
    terms = at_level(lab, 5_000)
    lab.wait(HEARTBEAT)
    with refuses("price/stale"):
        lab.do(lab.borrower, "withdraw", terms, 1)
    lab.post()
    lab.do(lab.borrower, "withdraw", terms, 1)
    lab.prices.send(lab.guardian, "pause", DAY)
    with refuses("price/stale"):
        lab.do(lab.borrower, "withdraw", terms, 1)


@pytest.mark.parametrize("sats", [2 * COIN + 1, 2**64, 2**256 - 1])
def test_no_more_than_is_held(lab: Lab, sats: int):
    terms = at_level(lab, 5_000)
    with refuses("token/balance"):
        lab.do(lab.borrower, "withdraw", terms, sats)


def test_nothing(lab: Lab):
    terms = at_level(lab, 5_000)
    with refuses("loan/amount"):
        lab.do(lab.borrower, "withdraw", terms, 0)


def test_not_the_last_sat_while_a_cent_is_owed(lab: Lab):
    terms = lab.active(cents=1, rate_bps=0)
    with refuses("withdraw/above-initial-ltv"):
        lab.do(lab.borrower, "withdraw", terms, 2 * COIN)
    # A cent at 50 % needs 20 sats.
    with refuses("withdraw/above-initial-ltv"):
        lab.do(lab.borrower, "withdraw", terms, 2 * COIN - 19)
    lab.do(lab.borrower, "withdraw", terms, 2 * COIN - 20)
    assert lab.held(terms) == 20


def test_a_suspended_borrower_gets_its_tokens_but_spends_none(lab: Lab):
    terms = at_level(lab, 5_000)
    lab.suspend(raw(lab.borrower))
    lab.do(lab.borrower, "withdraw", terms, COIN)
    assert lab.tokens(lab.borrower) == COIN
    with refuses("token/cannot-send"):
        lab.burn(lab.borrower, typed.loan_id(terms), COIN)


def test_what_is_withdrawn_may_be_pledged_again(lab: Lab):
    terms = at_level(lab, 5_000)
    lab.do(lab.borrower, "withdraw", terms, COIN)
    lab.do(lab.borrower, "top_up", terms, COIN)
    assert (lab.held(terms), lab.tokens(lab.borrower), lab.phase(terms)) == (2 * COIN, 0, ACTIVE)
    lab.wait(1)
    lab.post(HALF)
    with refuses("withdraw/above-initial-ltv"):
        lab.do(lab.borrower, "withdraw", terms, 1)
