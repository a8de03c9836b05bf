"""EscrowBook: a margin call disputed by the borrower, and decided on by the arbiter."""

from __future__ import annotations

import pytest
from book_lab import ARBITER, HALF, aside, at_level, called, expired, sell
from contracts_lab import (
    ACTIVE,
    HEARTBEAT,
    MARGIN_CALL,
    PRICE,
    RECOVERED,
    REPAID,
    Lab,
    raw,
    refuses,
)

from escrow.adapters.evm import typed
from escrow.core.units import COIN, DAY

TIME = ARBITER["dispute"]


def disputed(lab: Lab, **changes: object) -> dict[str, object]:
    terms = called(lab, **ARBITER | changes)
    lab.do(lab.borrower, "dispute", terms)
    return terms


def dispute_of(lab: Lab, terms) -> tuple[bool, int]:
    """Whether the call was ever disputed, and since when it is."""
    return lab.book.call("dispute_of", typed.loan_id(terms))


# Disputing


def test_the_borrower_disputes_a_call_without_a_price(lab: Lab):
    terms = called(lab, **ARBITER)
    before = lab.loan(terms)
    assert dispute_of(lab, terms) == (False, 0)
    lab.wait(HEARTBEAT + 1)
    receipt = lab.do(lab.borrower, "dispute", terms)
    assert lab.said(receipt) == [("Disputed", {"loan": typed.loan_id(terms)})]
    assert dispute_of(lab, terms) == (True, lab.now)
    assert lab.loan(terms) == before


def test_nobody_else_disputes(lab: Lab):
    terms = called(lab, **ARBITER)
    for who in (lab.lender, lab.stranger, lab.keeper):
        with refuses("dispute/not-borrower"):
            lab.do(who, "dispute", terms)


def test_only_a_call_is_disputed(lab: Lab):
    terms = at_level(lab, 7_000, **ARBITER)
    with refuses("dispute/not-called"):
        lab.do(lab.borrower, "dispute", terms)
    lab.wait(1)
    other = expired(lab, **ARBITER, nonce=2)
    with refuses("dispute/not-called"):
        lab.do(lab.borrower, "dispute", other)


def test_without_an_arbiter_there_is_no_dispute(lab: Lab):
    terms = called(lab)
    with refuses("dispute/no-arbiter"):
        lab.do(lab.borrower, "dispute", terms)


def test_once_a_call(lab: Lab):
    terms = disputed(lab)
    with refuses("dispute/heard"):
        lab.do(lab.borrower, "dispute", terms)
    lab.do(lab.stranger, "resolve", terms, False)
    assert dispute_of(lab, terms) == (True, 0)
    with refuses("dispute/heard"):
        lab.do(lab.borrower, "dispute", terms)
    # Another call may be disputed again.
    lab.wait(1)
    lab.post(PRICE)
    lab.do(lab.keeper, "cure", terms)
    assert dispute_of(lab, terms) == (False, 0)
    lab.wait(1)
    lab.post(HALF)
    lab.do(lab.keeper, "margin_call", terms)
    lab.do(lab.borrower, "dispute", terms)


# What it holds up


def test_a_disputed_call_does_not_expire(lab: Lab):
    terms = disputed(lab)
    lab.stay_fresh(lab.now + DAY + 1, HALF)
    with refuses("expire/disputed"):
        lab.do(lab.keeper, "expire_call", terms)
    lab.do(lab.stranger, "resolve", terms, False)
    with refuses("expire/cure-time"):
        lab.do(lab.keeper, "expire_call", terms)


def test_the_liquidation_level_is_not_held_up(lab: Lab):
    terms = disputed(lab)
    with refuses("liquidate/healthy"):
        sell(lab, terms)
    lab.wait(1)
    lab.post(HALF * 7 // 9)
    sell(lab, terms)
    assert dispute_of(lab, terms) == (False, 0)
    with refuses("dispute/none"):
        lab.do(lab.stranger, "resolve", terms, True)


def test_paying_and_curing_are_not_held_up(lab: Lab):
    terms = disputed(lab)
    lab.fund(lab.borrower, 10**9)
    with aside(lab):
        lab.do(lab.borrower, "repay", terms, 1_000_000)
        lab.do(lab.keeper, "cure", terms)
        assert (lab.phase(terms), dispute_of(lab, terms)) == (ACTIVE, (False, 0))
    assert lab.phase(terms) == MARGIN_CALL
    lab.do(lab.borrower, "close", terms)
    assert (lab.phase(terms), dispute_of(lab, terms)) == (REPAID, (False, 0))


# Deciding


def test_a_call_that_was_wrong_is_void(lab: Lab):
    terms = disputed(lab, rate_bps=2_300)
    lab.wait(DAY)
    owed = lab.owed(terms)
    receipt = lab.do(lab.stranger, "resolve", terms, True)
    assert lab.said(receipt) == [
        (
            "Resolved",
            {
                "loan": typed.loan_id(terms),
                "by": raw(lab.stranger),
                "upheld": True,
                "deadline": 0,
            },
        )
    ]
    assert (lab.phase(terms), lab.loan(terms)[3:]) == (ACTIVE, (lab.now, 0))
    assert lab.owed(terms) == owed > 7_000_000
    assert dispute_of(lab, terms) == (False, 0)
    # The level is still breached: whoever thinks so may call again.
    lab.post(HALF)
    lab.do(lab.keeper, "margin_call", terms)


def test_a_call_that_stands_gives_back_the_time_that_passed(lab: Lab):
    terms = disputed(lab)
    deadline = lab.loan(terms)[4]
    active = lab.prices.call("active_seconds")
    lab.stay_fresh(lab.now + 5 * HEARTBEAT, HALF)
    lab.wait(2 * HEARTBEAT)  # Of which one without a fresh price: it was not cure time anyway.
    passed = lab.prices.call("active_seconds") - active
    assert passed == 6 * HEARTBEAT
    receipt = lab.do(lab.stranger, "resolve", terms, False)
    assert lab.said(receipt)[0][1] | {"loan": b""} == {
        "loan": b"",
        "by": raw(lab.stranger),
        "upheld": False,
        "deadline": deadline + passed,
    }
    assert (lab.phase(terms), lab.loan(terms)[4]) == (MARGIN_CALL, deadline + passed)
    # To the second.
    lab.post(HALF)
    left = deadline + passed - lab.prices.call("active_seconds")
    lab.stay_fresh(lab.now + left, HALF)
    with refuses("expire/cure-time"):
        lab.do(lab.keeper, "expire_call", terms)
    lab.wait(1)
    lab.do(lab.keeper, "expire_call", terms)


@pytest.mark.parametrize("upheld", [True, False])
def test_only_the_arbiter_decides_in_its_time(lab: Lab, upheld: bool):
    terms = disputed(lab)
    lab.at(dispute_of(lab, terms)[1] + TIME)
    for who in (lab.borrower, lab.lender, lab.keeper):
        with refuses("dispute/not-arbiter"):
            lab.do(who, "resolve", terms, upheld)
    lab.do(lab.stranger, "resolve", terms, upheld)
    assert lab.phase(terms) == (ACTIVE if upheld else MARGIN_CALL)


@pytest.mark.parametrize("who", ["stranger", "borrower", "lender", "keeper"])
def test_after_its_time_the_call_stands_whoever_says_what(lab: Lab, who: str):
    terms = disputed(lab)
    lab.at(dispute_of(lab, terms)[1] + TIME + 1)
    receipt = lab.do(getattr(lab, who), "resolve", terms, True)
    assert lab.said(receipt)[0][1]["upheld"] is False
    assert lab.phase(terms) == MARGIN_CALL
    assert dispute_of(lab, terms) == (True, 0)


def test_there_must_be_a_dispute(lab: Lab):
    terms = called(lab, **ARBITER)
    for who, code in (
        (lab.keeper, "dispute/not-arbiter"),
        (lab.borrower, "dispute/not-arbiter"),
        (lab.stranger, "dispute/none"),
    ):
        with refuses(code):
            lab.do(who, "resolve", terms, True)


def test_a_recovered_loan_has_no_dispute_any_more(lab: Lab):
    terms = disputed_at_the_end(lab)
    lab.at(terms["recover_at"])
    lab.lose_last_coin(terms, 2 * COIN)
    lab.do(lab.stranger, "recovered", terms)
    for upheld in (True, False):
        with refuses("dispute/none"):
            lab.do(lab.stranger, "resolve", terms, upheld)
    assert lab.phase(terms) == RECOVERED


def disputed_at_the_end(lab: Lab) -> dict[str, object]:
    """A day before the recovery time."""
    terms = at_level(lab, 7_000, **ARBITER)
    lab.at(terms["recover_at"] - DAY)
    lab.post(HALF)
    lab.do(lab.keeper, "margin_call", terms)
    lab.do(lab.borrower, "dispute", terms)
    return terms
