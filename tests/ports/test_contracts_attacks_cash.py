"""Attacks on EscrowBook by the cash that it was deployed with (``hostile/HostileCash.vy``)."""

from __future__ import annotations

import pytest
from book_lab import ANY, HALF, arguments, at_level, expired, refinance
from contracts_lab import ACTIVE, AUCTION, GENESIS, REPAID, SEIZED, raw, refuses
from hostile_lab import CALLS, HONEST, KEEPS, LIES, REFUSES, HostileLab

from escrow.adapters.evm import typed
from escrow.adapters.evm.abi import artifact
from escrow.core.units import COIN, DAY

BOOK = sorted(artifact("EscrowBook").functions)
FIXED = {"cash", "pledge", "prices", "registry", "auction_cap"}
"""What the book answers even then: it is written into its code."""


@pytest.fixture(scope="session")
def hostile_base() -> HostileLab:
    return HostileLab()


@pytest.fixture
def lab(hostile_base: HostileLab) -> HostileLab:
    hostile_base.back()
    return hostile_base


def draw(lab: HostileLab):
    terms = at_level(lab, 5_000)
    lab.post()
    return terms, lambda: lab.do(lab.borrower, "draw", terms, 1)


def repay(lab: HostileLab):
    terms = at_level(lab, 5_000)
    lab.fund(lab.borrower, 10**9)
    return terms, lambda: lab.do(lab.borrower, "repay", terms, 1)


def close(lab: HostileLab):
    terms = at_level(lab, 5_000)
    lab.fund(lab.borrower, 10**9)
    return terms, lambda: lab.do(lab.borrower, "close", terms)


def liquidate(lab: HostileLab):
    terms = expired(lab, liquidation=1)
    lab.fund(lab.buyer, 10**9)
    return terms, lambda: lab.do(lab.buyer, "liquidate", terms, 1_000, 0)


def take(lab: HostileLab):
    terms = expired(lab, **AUCTION)
    lab.fund(lab.buyer, 10**9)
    return terms, lambda: lab.do(lab.buyer, "take", terms, 1_000, ANY)


def new_lender(lab: HostileLab):
    terms = at_level(lab, 5_000)
    lab.fund(lab.buyer, 10**9)
    new = dict(terms) | {"lender": raw(lab.buyer), "origin": typed.loan_id(terms)}
    lab.post()
    return terms, lambda: refinance(lab, terms, new, lab.borrower, lab.buyer)


@pytest.mark.parametrize(
    "way", [draw, repay, close, liquidate, take, new_lender], ids=lambda way: way.__name__
)
def test_cash_that_calls_back(lab: HostileLab, way):
    """the cash: calls every function of the book in the middle of a payment.

    Gets: nothing; the book is locked from the first check to the last payment, for those who only
    read it as well. The same calls are answered, or refused by a rule, when nothing is going on.
    """
    terms, pay = way(lab)
    locked = set()
    lab.save()
    try:
        for function in BOOK:
            payload = lab.book.encode(function, *arguments(lab, terms, function))
            lab.asks(lab.book.address, payload)
            assert lab.last[2] != b"" or lab.last[1], function
            lab.back()
            lab.arm(CALLS, lab.book.address, payload)
            pay()
            calls, went, answer = lab.last
            assert calls == 1
            if not went:
                assert answer == b"", function
                locked.add(function)
            lab.back()
    finally:
        lab.forget()
    assert set(BOOK) - locked <= FIXED
    pay()


def test_what_others_read_in_the_middle(lab: HostileLab):
    """whoever reads our tokens for a loan of its own: looks while a debt is being paid.

    Gets: nothing to act on; the book does not answer, and the tokens say what will stand when the
    payment is through: there is no second in which coins count twice.
    """
    terms, pay = close(lab)
    loan, who = typed.loan_id(terms), raw(lab.borrower)
    asked = {
        "held": (loan,),
        "free": (loan,),
        "spendable": (who,),
        "balanceOf": (who,),
        "balanceOnHold": (who,),
    }
    lab.save()
    try:
        for function, args in asked.items():
            before = lab.pledge.call(function, *args)
            lab.arm(CALLS, lab.pledge.address, lab.pledge.encode(function, *args))
            pay()
            _, went, answer = lab.last
            after = lab.pledge.call(function, *args)
            assert went
            assert int.from_bytes(answer, "big") == after, function
            assert (before != after) == (function != "balanceOf")
            lab.back()
        lab.arm(CALLS, lab.book.address, lab.book.encode("owed", typed.encode_terms(terms)))
        pay()
        assert lab.last == (1, False, b"")
    finally:
        lab.forget()


def test_cash_that_keeps_a_part(lab: HostileLab):
    """the cash: keeps one part in a hundred of every payment.

    Gets: that part, from whoever is paid; the debt is as if all had arrived, the book never has
    cash of its own, and no other loan pays for it.
    """
    terms = at_level(lab, 5_000)
    lab.wait(1)
    other = at_level(lab, 5_000, nonce=2)
    before = lab.loan(other), lab.held(other)
    lab.fund(lab.borrower, 10**9)
    lab.arm(KEEPS)
    lender, borrower = lab.money(lab.lender), lab.money(lab.borrower)
    lab.do(lab.borrower, "repay", terms, 1_000_000)
    assert lab.owed(terms) == 4_000_000
    assert borrower - lab.money(lab.borrower) == 1_000_000
    assert lab.money(lab.lender) - lender == 990_000
    assert lab.cash.call("balanceOf", lab.book.address) == 0
    lab.do(lab.borrower, "close", terms)
    assert lab.phase(terms) == REPAID
    assert (lab.loan(other), lab.held(other)) == before
    lab.arm(HONEST)
    lab.do(lab.borrower, "close", other)
    assert lab.phase(other) == REPAID


def test_cash_that_moves_nothing(lab: HostileLab):
    """the cash: says that it paid, and pays nobody.

    Gets: the parties of the one loan to believe it; their debt is what the book was told was paid.
    Nobody's coins go to anybody whom a rule does not send them to, and other loans are as before.
    """
    terms = at_level(lab, 5_000)
    lab.wait(1)
    other = at_level(lab, 5_000, nonce=2)
    before = lab.loan(other), lab.held(other)
    lab.arm(LIES)
    cash = lab.money(lab.lender), lab.money(lab.borrower)
    lab.post()
    lab.do(lab.borrower, "draw", terms, 1_000)
    assert lab.owed(terms) == 5_001_000
    lab.do(lab.borrower, "close", terms)
    assert (lab.phase(terms), lab.tokens(lab.borrower)) == (REPAID, 2 * COIN)
    assert (lab.money(lab.lender), lab.money(lab.borrower)) == cash
    assert (lab.loan(other), lab.held(other)) == before
    lab.arm(HONEST)
    lab.fund(lab.borrower, 10**9)
    lab.do(lab.borrower, "close", other)
    assert lab.money(lab.lender) == cash[0] + 5_000_000


def test_cash_that_refuses_to_pay(lab: HostileLab):
    """the cash: refuses payments, to this lender or to all, once the loan is drawn.

    Gets: a debt that cannot be paid in it, until the recovery time, which asks no cash; nothing
    that was done in the same call stays done. Ours asks a payee nothing when a debt is paid.
    """
    terms, pay = close(lab)
    sale = expired(lab, liquidation=1, nonce=2)
    lab.fund(lab.buyer, 10**9)
    lab.arm(REFUSES)
    before = [(lab.loan(each), lab.held(each)) for each in (terms, sale)]
    with refuses("token/cannot-receive"):
        pay()
    with refuses("token/cannot-receive"):
        lab.do(lab.buyer, "liquidate", sale, ANY, 0)
    assert [(lab.loan(each), lab.held(each)) for each in (terms, sale)] == before
    assert lab.tokens(lab.buyer) == 0
    lab.at(GENESIS + 400 * DAY)
    lab.lose_last_coin(sale, 2 * COIN)
    lab.do(lab.stranger, "recovered", sale)
    assert lab.phase(terms) == ACTIVE


def test_cash_that_calls_back_after_a_seizure_for_nothing(lab: HostileLab):
    """the cash: waits for a sale at which it is not asked at all.

    Gets: no call; where nothing is paid the cash is not touched.
    """
    terms = expired(lab, liquidation=1)
    lab.wait(1)
    lab.post(HALF // 10**9)
    lab.arm(CALLS, lab.book.address, lab.book.encode("redo", typed.encode_terms(terms)))
    lab.do(lab.buyer, "liquidate", terms, 0, 0)
    assert (lab.phase(terms), lab.last[0]) == (SEIZED, 0)
