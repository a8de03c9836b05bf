"""EscrowBook: margin calls, cures and their expiry."""

from __future__ import annotations

import pytest
from book_lab import HALF, at_level, called, expired
from contracts_lab import (
    ACTIVE,
    HEARTBEAT,
    LIQUIDATING,
    MARGIN_CALL,
    PRICE,
    RECOVERED,
    Lab,
    refuses,
)

from escrow.adapters.evm import typed
from escrow.core.units import COIN, DAY, muldiv_down

# Margin call


def test_a_call_at_the_level_exactly(lab: Lab):
    terms = at_level(lab, 7_000)
    lab.post(HALF + 1)
    with refuses("call/healthy"):
        lab.do(lab.keeper, "margin_call", terms)
    lab.wait(1)
    lab.post(HALF)
    active = lab.prices.call("active_seconds")
    receipt = lab.do(lab.keeper, "margin_call", terms)
    assert lab.said(receipt) == [
        (
            "MarginCalled",
            {"loan": typed.loan_id(terms), "deadline": active + DAY, "price": HALF},
        )
    ]
    assert lab.loan(terms) == (MARGIN_CALL, 7_000_000, 0, lab.now, active + DAY)
    assert lab.book.call("ltv", typed.encode_terms(terms)) == 7_000


def test_interest_alone_can_reach_the_level(lab: Lab):
    terms = at_level(lab, 7_000, rate_bps=2_300)
    lab.post(HALF + 10**8)
    with refuses("call/healthy"):
        lab.do(lab.keeper, "margin_call", terms)
    lab.wait(HEARTBEAT)
    lab.do(lab.keeper, "margin_call", terms)


def test_a_call_at_a_fresh_price_only(lab: Lab):
    terms = at_level(lab, 7_000)
    lab.post(HALF)
    lab.wait(HEARTBEAT + 1)
    with refuses("price/stale"):
        lab.do(lab.keeper, "margin_call", terms)


def test_only_an_active_loan_is_called(lab: Lab):
    terms = called(lab)
    with refuses("call/not-active"):
        lab.do(lab.keeper, "margin_call", terms)
    other = lab.terms(nonce=2)
    lab.open(other)
    with refuses("call/not-active"):
        lab.do(lab.keeper, "margin_call", other)


FALLS = {
    5_000: (7_000, 7_500, 8_000, 8_500, 9_500),
    4_000: (6_667, 8_333),
    7_000: (9_000,),
    7_500: (8_600,),
}
"""Initial levels of lenders in the market, and those at which they call or sell."""


@pytest.mark.parametrize(
    ("initial", "call"), [(initial, call) for initial, calls in FALLS.items() for call in calls]
)
def test_the_fall_that_leads_to_a_call(lab: Lab, initial: int, call: int):
    levels = {"initial_ltv": initial, "restore_ltv": initial, "call_ltv": call}
    terms = at_level(lab, 2 * initial, **levels, liquidation_ltv=call + 1)
    trigger = muldiv_down(PRICE, initial, call)
    lab.post(trigger + 1)
    with refuses("call/healthy"):
        lab.do(lab.keeper, "margin_call", terms)
    lab.wait(1)
    lab.post(trigger)
    lab.do(lab.keeper, "margin_call", terms)


# Cure


@pytest.mark.parametrize("way", ["repay", "top_up", "price"])
def test_cured_at_the_restore_level_exactly(lab: Lab, way: str):
    terms = called(lab)
    lab.fund(lab.borrower, 10**9)
    if way == "repay":  # 70,000.00 to 60,000.00
        lab.do(lab.borrower, "repay", terms, 999_999)
    elif way == "top_up":  # 7/6 of two coins
        lab.mint(typed.loan_id(terms), COIN)
        lab.do(lab.borrower, "top_up", terms, 33_333_333)
    else:
        lab.wait(1)
        lab.post(HALF * 7 // 6)
    with refuses("cure/not-restored"):
        lab.do(lab.keeper, "cure", terms)
    if way == "repay":
        lab.do(lab.borrower, "repay", terms, 1)
    elif way == "top_up":
        lab.do(lab.borrower, "top_up", terms, 1)
    else:
        lab.wait(1)
        lab.post(HALF * 7 // 6 + 1)
    receipt = lab.do(lab.stranger, "cure", terms)
    assert lab.said(receipt) == [("Cured", {"loan": typed.loan_id(terms)})]
    assert (lab.phase(terms), lab.loan(terms)[4]) == (ACTIVE, 0)


def test_cured_after_the_deadline_while_nobody_expired_the_call(lab: Lab):
    terms = called(lab)
    lab.stay_fresh(lab.now + 2 * DAY, PRICE)
    lab.do(lab.keeper, "cure", terms)
    assert lab.phase(terms) == ACTIVE


def test_a_cure_at_a_fresh_price_only(lab: Lab):
    terms = called(lab)
    lab.wait(1)
    lab.post(PRICE)
    lab.wait(HEARTBEAT + 1)
    with refuses("price/stale"):
        lab.do(lab.keeper, "cure", terms)


def test_nothing_to_cure(lab: Lab):
    terms = at_level(lab, 5_000)
    with refuses("cure/not-called"):
        lab.do(lab.keeper, "cure", terms)
    other = expired(lab, nonce=2)
    with refuses("cure/not-called"):
        lab.do(lab.keeper, "cure", other)


# Expiry


def test_a_call_expires_after_its_deadline(lab: Lab):
    terms = called(lab)
    lab.stay_fresh(lab.now + DAY, HALF)
    assert lab.prices.call("active_seconds") == lab.loan(terms)[4]
    with refuses("expire/cure-time"):
        lab.do(lab.keeper, "expire_call", terms)
    lab.wait(1)
    receipt = lab.do(lab.stranger, "expire_call", terms)
    assert lab.said(receipt) == [("CallExpired", {"loan": typed.loan_id(terms)})]
    # From here an auction would fall.
    assert (lab.phase(terms), lab.loan(terms)[4]) == (LIQUIDATING, lab.now)


def test_cure_time_stands_still_while_no_price_is_fresh(lab: Lab):
    terms = called(lab)
    lab.wait(30 * DAY)
    with refuses("price/stale"):
        lab.do(lab.keeper, "expire_call", terms)
    lab.post(HALF)
    left = lab.loan(terms)[4] - lab.prices.call("active_seconds")
    assert left == DAY - HEARTBEAT
    with refuses("expire/cure-time"):
        lab.do(lab.keeper, "expire_call", terms)
    lab.stay_fresh(lab.now + left, HALF)
    with refuses("expire/cure-time"):
        lab.do(lab.keeper, "expire_call", terms)
    lab.wait(1)
    lab.do(lab.keeper, "expire_call", terms)


def test_a_call_does_not_expire_below_its_level(lab: Lab):
    terms = called(lab)
    lab.stay_fresh(lab.now + DAY + 1, HALF + 1)
    with refuses("expire/healthy"):
        lab.do(lab.keeper, "expire_call", terms)
    lab.wait(1)
    lab.post(HALF)
    lab.do(lab.keeper, "expire_call", terms)


def test_no_call_to_expire(lab: Lab):
    terms = at_level(lab, 7_000)
    with refuses("expire/not-called"):
        lab.do(lab.keeper, "expire_call", terms)


def test_no_more_collateral_once_expired(lab: Lab):
    terms = expired(lab)
    lab.mint(typed.loan_id(terms), COIN)
    with refuses("top-up/not-live"):
        lab.do(lab.borrower, "top_up", terms, COIN)


# Reading


def test_ltv_is_rounded_up_and_reads_a_stale_price(lab: Lab):
    terms = at_level(lab, 7_000)
    lab.post(HALF - 1)
    lab.wait(100 * DAY)
    assert lab.book.call("ltv", typed.encode_terms(terms)) == 7_001


def test_ltv_of_a_debt_on_nothing(lab: Lab):
    terms = lab.opened(rate_bps=0)
    att = lab.mint(typed.loan_id(terms), COIN)
    lab.do(lab.borrower, "top_up", terms, COIN)
    lab.post()
    lab.do(lab.borrower, "draw", terms, 1)
    lab.retire(att)
    assert lab.book.call("ltv", typed.encode_terms(terms)) == 2**256 - 1


def test_ltv_counts_interest(lab: Lab):
    terms = at_level(lab, 5_000, rate_bps=10_000)
    lab.post(PRICE)
    lab.wait(365 * DAY - 1)  # With the second that at_level waited: a year at 100 %.
    assert lab.book.call("ltv", typed.encode_terms(terms)) == 5_000


# What every verb keeps


def test_a_call_a_cure_and_an_expiry_leave_the_debt_alone(lab: Lab):
    terms = at_level(lab, 7_000, rate_bps=2_300)
    for verb, price, wait in (
        ("margin_call", HALF, 30 * DAY),
        ("cure", PRICE * 10, 30 * DAY),
        ("margin_call", HALF, 30 * DAY),
        ("expire_call", HALF, DAY + 1),
    ):
        lab.wait(30 * DAY)
        lab.post(price)
        if verb == "expire_call":
            lab.stay_fresh(lab.now + wait, price)
        owed = lab.owed(terms)
        assert owed > 7_000_000
        lab.do(lab.keeper, verb, terms)
        assert lab.owed(terms) == owed
        assert lab.loan(terms)[3] == lab.now


@pytest.mark.parametrize("phase", [ACTIVE, MARGIN_CALL, LIQUIDATING])
def test_every_live_loan_is_recovered_without_coins(lab: Lab, phase: int):
    make = {
        ACTIVE: lambda: at_level(lab, 7_000, rate_bps=2_300),
        MARGIN_CALL: lambda: called(lab, rate_bps=2_300),
        LIQUIDATING: lambda: expired(lab, rate_bps=2_300),
    }
    terms = make[phase]()
    assert lab.phase(terms) == phase
    lab.at(terms["recover_at"])
    lab.lose_last_coin(terms, 2 * COIN)
    owed = lab.owed(terms)
    assert owed > 7_000_000
    lab.do(lab.stranger, "recovered", terms)
    found, principal, _, accrued_to, deadline = lab.loan(terms)
    assert (found, principal, accrued_to, deadline) == (RECOVERED, 7_000_000, lab.now, 0)
    lab.wait(DAY)
    assert lab.owed(terms) == owed
