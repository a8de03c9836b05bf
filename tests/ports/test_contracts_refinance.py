"""EscrowBook: new terms, of the same lender or another, take the place of a loan's terms."""

from __future__ import annotations

import pytest
from book_lab import ANY, ARBITER, HALF, VERBS, at_level, called, refinance
from contracts_lab import (
    ACTIVE,
    AUCTION,
    GENESIS,
    HEARTBEAT,
    OPENED,
    PARTIAL,
    PRICE,
    REPAID,
    Lab,
    raw,
    refuses,
)

from escrow.adapters.evm import typed
from escrow.core.units import COIN, DAY

USED = 9


def drawn(lab: Lab, **changes: object) -> dict[str, object]:
    """50,000.00 drawn for 30 days, and a fresh price."""
    terms = lab.active(**changes)
    lab.wait(30 * DAY)
    lab.post()
    return terms


def anew(lab: Lab, old, **changes: object) -> dict[str, object]:
    """Terms that take the place of ``old``, half a year on."""
    times = {
        "expires_at": GENESIS + 60 * DAY,
        "draw_by": GENESIS + 90 * DAY,
        "maturity": GENESIS + 380 * DAY,
    }
    return dict(old) | times | {"origin": typed.loan_id(old), "nonce": 7} | changes


# The same lender


def test_the_debt_becomes_the_principal_and_the_loan_keeps_its_id(lab: Lab):
    old = drawn(lab)
    new = anew(lab, old, rate_bps=900, **PARTIAL)
    owed, loan = lab.owed(old), typed.loan_id(old)
    assert owed > 5_000_000
    money = lab.money(lab.lender), lab.money(lab.borrower)
    receipt = refinance(lab, old, new, sender=lab.stranger)
    [(name, args)] = lab.said(receipt)
    assert (name, args["loan"], args["settled"]) == ("Refinanced", loan, owed)
    words = [bytes.fromhex(w[2:]) if isinstance(w, str) else w for w in args["terms"]]
    assert tuple(words) == typed.encode_terms(new)
    assert lab.loan(new) == (ACTIVE, owed, 0, lab.now, 0)
    assert typed.loan_id(new) == loan == lab.book.call("loan_id", typed.encode_terms(new))
    assert (lab.held(new), lab.owed(new)) == (2 * COIN, owed)
    assert (lab.money(lab.lender), lab.money(lab.borrower)) == money
    # From here the new rate counts.
    lab.wait(365 * DAY)
    assert lab.owed(new) == owed + -(-owed * 900 // 10_000)


def test_all_goes_on_under_the_new_terms(lab: Lab):
    old = drawn(lab, liquidation=0)
    new = anew(lab, old, **PARTIAL, **ARBITER)
    refinance(lab, old, new)
    lab.mint(typed.loan_id(new), COIN)
    lab.do(lab.borrower, "top_up", new, COIN)
    lab.do(lab.borrower, "withdraw", new, COIN)
    lab.do(lab.borrower, "draw", new, 1_000)
    lab.wait(1)
    lab.post(PRICE // 3)
    lab.do(lab.keeper, "margin_call", new)
    lab.do(lab.borrower, "dispute", new)
    lab.do(lab.stranger, "resolve", new, False)
    lab.fund(lab.buyer, 10**9)
    lab.wait(1)
    lab.post(PRICE // 4 + 4 * 10**11)
    lab.do(lab.buyer, "liquidate", new, ANY, 0)
    assert lab.phase(new) == ACTIVE
    lab.fund(lab.borrower, 10**9)
    lab.do(lab.borrower, "close", new)
    assert (lab.phase(new), lab.held(new)) == (REPAID, 0)
    with refuses("repay/no-debt"):
        lab.do(lab.borrower, "close", new)
    with refuses("loan/terms"):
        lab.do(lab.borrower, "close", old)


@pytest.mark.parametrize("call", VERBS, ids=[name for name, *_ in VERBS])
def test_the_old_terms_count_no_more(lab: Lab, call):
    verb, *args = call
    old = drawn(lab)
    refinance(lab, old, anew(lab, old))
    for who in (lab.borrower, lab.lender, lab.keeper):
        with refuses("loan/terms"):
            lab.do(who, verb, old, *args)
    for view in ("owed", "ltv"):
        with refuses("loan/terms"):
            lab.book.call(view, typed.encode_terms(old))
    # Nor do others that name the loan as their origin and never took its place.
    with refuses("loan/terms"):
        lab.do(lab.borrower, verb, anew(lab, old, nonce=8), *args)


# Another lender


def test_a_new_lender_pays_the_old_one(lab: Lab):
    old = drawn(lab)
    new = anew(lab, old, lender=raw(lab.buyer))
    lab.fund(lab.buyer, 10**9)
    owed, before = lab.owed(old), lab.money(lab.lender)
    receipt = refinance(lab, old, new, lab.borrower, lab.buyer)
    assert [name for name, _ in lab.said(receipt)] == ["Refinanced", "Transfer"]
    assert lab.money(lab.lender) == before + owed
    assert lab.money(lab.buyer) == 10**9 - owed
    # What is drawn and repaid from here is the new lender's.
    lab.do(lab.borrower, "draw", new, 1_000)
    assert lab.money(lab.buyer) == 10**9 - owed - 1_000
    lab.fund(lab.borrower, 10**9)
    lab.do(lab.borrower, "close", new)
    assert (lab.money(lab.lender), lab.money(lab.buyer)) == (before + owed, 10**9)


@pytest.mark.parametrize("allowed", [True, False])
def test_a_new_lender_that_cannot_pay(lab: Lab, allowed: bool):
    old = drawn(lab)
    new = anew(lab, old, lender=raw(lab.buyer))
    if allowed:
        lab.cash.send(lab.buyer, "approve", lab.book.address, ANY)
    with refuses("token/balance" if allowed else "token/allowance"):
        refinance(lab, old, new, lab.borrower, lab.buyer)
    assert lab.book.call("loan", typed.TERMS.hash(new))[0] == 0
    lab.fund(lab.buyer, 10**9)
    refinance(lab, old, new, lab.borrower, lab.buyer)


def test_an_old_lender_that_is_suspended_or_frozen_is_paid_all_the_same(lab: Lab):
    old = drawn(lab)
    new = anew(lab, old, lender=raw(lab.buyer))
    lab.fund(lab.buyer, 10**9)
    lab.suspend(raw(lab.lender))
    lab.cash.send(lab.authority, "setFrozenTokens", raw(lab.lender), 2**64)
    owed, before = lab.owed(old), lab.money(lab.lender)
    refinance(lab, old, new, lab.borrower, lab.buyer)
    assert lab.money(lab.lender) == before + owed


# Who


def test_borrower_and_new_lender_must_sign_in_their_place(lab: Lab):
    old = drawn(lab)
    new = anew(lab, old, lender=raw(lab.buyer))
    lab.fund(lab.buyer, 10**9)
    for pair in (
        (lab.borrower, lab.lender),
        (lab.lender, lab.buyer),
        (lab.buyer, lab.borrower),
        (lab.buyer, lab.buyer),
        (lab.stranger, lab.buyer),
    ):
        with refuses("open/bad-signature"):
            refinance(lab, old, new, *pair)
    refinance(lab, old, new, lab.borrower, lab.buyer)


@pytest.mark.parametrize("who", ["borrower", "buyer"])
def test_both_must_be_admitted(lab: Lab, who: str):
    old = drawn(lab)
    new = anew(lab, old, lender=raw(lab.buyer))
    lab.fund(lab.buyer, 10**9)
    lab.suspend(raw(getattr(lab, who)))
    with refuses("open/not-eligible"):
        refinance(lab, old, new, lab.borrower, lab.buyer)


# Replay


def test_terms_take_a_loans_place_once(lab: Lab):
    """From A to B to C: neither comes back, whoever carries them."""
    a = drawn(lab, expires_at=GENESIS + 60 * DAY, draw_by=GENESIS + 60 * DAY)
    b, c = anew(lab, a, rate_bps=1), anew(lab, a, rate_bps=2_000, nonce=8)
    refinance(lab, a, b)
    with refuses("refinance/used"):
        refinance(lab, b, b)
    refinance(lab, b, c)
    for old in (a, b):
        with refuses("loan/terms"):
            refinance(lab, old, c)
    with refuses("refinance/used"):
        refinance(lab, c, b)
    # A names no origin, so it is no refinancing of itself.
    with refuses("loan/terms"):
        refinance(lab, c, a)
    for used in (b, c):
        assert lab.book.call("loan", typed.TERMS.hash(used))[0] == USED
        with refuses("loan/terms"):
            lab.open(used)


def test_signatures_for_one_loan_do_not_refinance_another(lab: Lab):
    first = drawn(lab)
    second = lab.terms(nonce=2, expires_at=GENESIS + 40 * DAY, draw_by=GENESIS + 50 * DAY)
    lab.open(second)
    lab.mint(typed.loan_id(second), 2 * COIN)
    lab.do(lab.borrower, "top_up", second, 2 * COIN)
    lab.do(lab.borrower, "draw", second, 5_000_000)
    for origin in (typed.loan_id(first), bytes(32), b"\x01" * 32):
        with refuses("loan/terms"):
            refinance(lab, second, anew(lab, second, origin=origin))
    # Nor does the hash of terms in force serve as a loan's name.
    new = anew(lab, first)
    refinance(lab, first, new)
    other = anew(lab, first, origin=typed.TERMS.hash(new), nonce=9)
    with refuses("loan/terms"):
        refinance(lab, new, other)
    with refuses("loan/terms"):
        refinance(lab, other, anew(lab, first, nonce=10))


def test_until_the_offer_expires(lab: Lab):
    old = drawn(lab)
    new = anew(lab, old, expires_at=lab.now + 10)
    lab.wait(11)
    with refuses("open/expired"):
        refinance(lab, old, new)
    refinance(lab, old, anew(lab, old, expires_at=lab.now))


# When


def test_only_a_drawn_loan_that_is_not_called(lab: Lab):
    opened = lab.opened(sats=COIN)
    assert lab.phase(opened) == OPENED
    lab.post()
    with refuses("refinance/not-active"):
        refinance(lab, opened, anew(lab, opened))
    lab.do(lab.borrower, "cancel", opened)
    with refuses("refinance/not-active"):
        refinance(lab, opened, anew(lab, opened))
    lab.wait(1)
    terms = called(lab, nonce=2)
    with refuses("refinance/not-active"):
        refinance(lab, terms, anew(lab, terms))
    lab.stay_fresh(lab.now + DAY + 1, HALF)
    lab.do(lab.keeper, "expire_call", terms)
    with refuses("refinance/not-active"):
        refinance(lab, terms, anew(lab, terms))


def test_a_matured_loan_may_still_be_refinanced(lab: Lab):
    old = lab.active(rate_bps=0)
    lab.at(old["maturity"] + 5 * DAY)
    lab.post()
    late = {"expires_at": lab.now, "draw_by": lab.now, "maturity": lab.now + DAY}
    refinance(lab, old, anew(lab, old, **late))


@pytest.mark.parametrize(
    "change",
    [
        {"borrower": 1},
        {"vault": b"\x08" * 32},
        {"recover_at": GENESIS + 401 * DAY},
        {"recover_at": GENESIS + 399 * DAY},
        {"confirmations": 7},
        {"max_fee": 50_001},
    ],
    ids="-".join,
)
def test_what_the_vault_was_built_on_stays(lab: Lab, change):
    old = drawn(lab)
    who = (lab.borrower, lab.lender)
    if "borrower" in change:
        change, who = {"borrower": raw(lab.buyer)}, (lab.buyer, lab.lender)
    with refuses("refinance/custody"):
        refinance(lab, old, anew(lab, old, **change), *who)


UNSOUND = {
    "terms/ltv-order": {"initial_ltv": 0},
    "terms/time-order": {"maturity": GENESIS + 90 * DAY},
    "terms/size": {"principal": 0},
    "terms/rate": {"rate_bps": 100_001},
    "terms/parties": {"lender": bytes(20)},
    "terms/target": PARTIAL | {"target_ltv": 0},
    "terms/auction": AUCTION | {"cut_bps": 0},
    "terms/arbiter": {"dispute": 1},
}


@pytest.mark.parametrize(("code", "change"), UNSOUND.items(), ids=UNSOUND)
def test_new_terms_must_be_sound(lab: Lab, code: str, change):
    old = drawn(lab)
    with refuses(code):
        refinance(lab, old, anew(lab, old, **change))


def test_what_is_owed_is_within_the_new_principal(lab: Lab):
    old = drawn(lab)
    owed = lab.owed(old)
    with refuses("draw/above-principal"):
        refinance(lab, old, anew(lab, old, principal=owed - 1))
    refinance(lab, old, anew(lab, old, principal=owed))


def test_what_is_owed_is_within_the_new_initial_level(lab: Lab):
    old = at_level(lab, 5_000)
    levels = {"restore_ltv": 5_100, "call_ltv": 6_000}
    lab.post(HALF - 1)
    with refuses("draw/above-initial-ltv"):
        refinance(lab, old, anew(lab, old, **levels, initial_ltv=5_000))
    lab.wait(1)
    lab.post(HALF)
    with refuses("draw/above-initial-ltv"):
        refinance(lab, old, anew(lab, old, **levels, initial_ltv=4_999))
    refinance(lab, old, anew(lab, old, **levels, initial_ltv=5_000))


def test_at_a_fresh_price_only(lab: Lab):
    old = drawn(lab)
    lab.wait(HEARTBEAT + 1)
    with refuses("price/stale"):
        refinance(lab, old, anew(lab, old))
    lab.post()
    refinance(lab, old, anew(lab, old))
