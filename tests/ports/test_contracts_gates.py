"""EscrowBook: who the registry lets in, and what nobody can stop: paying back, adding collateral,
getting it back."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from book_lab import HALF, VERBS, at_level, called, refinance
from contracts_lab import (
    ALL_RIGHTS,
    BORROW,
    CANCELLED,
    HEARTBEAT,
    LEND,
    MARGIN_CALL,
    REPAID,
    Lab,
    raw,
    refuses,
)

from escrow.adapters.evm import typed
from escrow.core.units import COIN, DAY

# Into a loan


@pytest.mark.parametrize(("who", "right"), [("borrower", BORROW), ("lender", LEND)])
def test_each_party_needs_its_own_right(lab: Lab, who: str, right: int):
    party = raw(getattr(lab, who))
    lab.rule(ALL_RIGHTS & ~right, kind=2)
    lab.admit(party, kind=2)
    with refuses("open/not-eligible"):
        lab.open(lab.terms())
    lab.rule(right, kind=2)
    # A rule counts for an account once that is looked at again.
    with refuses("open/not-eligible"):
        lab.open(lab.terms())
    lab.registry.send(lab.stranger, "review", [party], gas=4_000_000)
    lab.open(lab.terms())


@pytest.mark.parametrize("who", ["borrower", "lender"])
def test_a_record_counts_until_its_last_second(lab: Lab, who: str):
    until = lab.now + 100
    lab.admit(raw(getattr(lab, who)), until=until)
    lab.at(until)
    lab.open(lab.terms())
    lab.wait(1)
    with refuses("open/not-eligible"):
        lab.open(lab.terms(nonce=2))


def test_a_stranger_is_no_party(lab: Lab):
    one = raw(lab.stranger)
    for change, who in (
        ({"borrower": one}, (lab.stranger, lab.lender)),
        ({"lender": one}, (lab.borrower, lab.stranger)),
    ):
        with refuses("open/not-eligible"):
            lab.open(lab.terms(**change), *who)


@pytest.mark.parametrize("who", ["borrower", "lender"])
def test_a_suspended_party_opens_nothing_until_it_is_reinstated(lab: Lab, who: str):
    party = raw(getattr(lab, who))
    lab.suspend(party)
    with refuses("open/not-eligible"):
        lab.open(lab.terms())
    lab.registry.send(lab.registrar, "reinstate", [party], gas=4_000_000)
    lab.open(lab.terms())


def test_a_suspended_lender_lends_no_more(lab: Lab):
    terms = at_level(lab, 5_000)
    lab.suspend(raw(lab.lender))
    with refuses("token/cannot-send"):
        lab.do(lab.borrower, "draw", terms, 1)


# Never blocked


def stale(lab: Lab) -> None:
    lab.wait(HEARTBEAT + 1)


def paused(lab: Lab) -> None:
    lab.prices.send(lab.guardian, "pause", 7 * DAY)


def lender_suspended(lab: Lab) -> None:
    lab.suspend(raw(lab.lender))


def lender_frozen(lab: Lab) -> None:
    for token in (lab.cash, lab.pledge):
        token.send(lab.authority, "setFrozenTokens", raw(lab.lender), 2**64 - 1)


def lender_expired(lab: Lab) -> None:
    lab.admit(raw(lab.lender), until=lab.now)
    lab.wait(1)


def lender_without_allowance(lab: Lab) -> None:
    lab.cash.send(lab.lender, "approve", lab.book.address, 0)


OBSTACLES = (
    stale,
    paused,
    lender_suspended,
    lender_frozen,
    lender_expired,
    lender_without_allowance,
)
obstacle = pytest.mark.parametrize("obstacle", OBSTACLES, ids=lambda each: each.__name__)


@obstacle
@pytest.mark.parametrize("call", [False, True], ids=["active", "called"])
def test_nothing_hinders_paying_back_and_adding_collateral(lab: Lab, obstacle, call: bool):
    terms = called(lab) if call else at_level(lab, 7_000)
    lab.mint(typed.loan_id(terms), COIN)
    lab.fund(lab.borrower, 10**9)
    obstacle(lab)
    before = lab.money(lab.lender)
    lab.do(lab.borrower, "top_up", terms, COIN)
    assert lab.held(terms) == 3 * COIN
    lab.do(lab.borrower, "repay", terms, 1_000_000)
    assert (lab.owed(terms), lab.money(lab.lender)) == (6_000_000, before + 1_000_000)
    lab.do(lab.borrower, "close", terms)
    assert (lab.phase(terms), lab.tokens(lab.borrower)) == (REPAID, 3 * COIN)
    assert lab.money(lab.lender) == before + 7_000_000


@obstacle
def test_nothing_hinders_cancelling(lab: Lab, obstacle):
    terms = lab.opened(sats=COIN)
    lab.post()
    obstacle(lab)
    lab.do(lab.borrower, "cancel", terms)
    assert (lab.phase(terms), lab.tokens(lab.borrower)) == (CANCELLED, COIN)


def borrower_suspended(lab: Lab) -> str:
    lab.suspend(raw(lab.borrower))
    return "token/cannot-send"


def borrower_frozen(lab: Lab) -> str:
    for token in (lab.cash, lab.pledge):
        token.send(lab.authority, "setFrozenTokens", raw(lab.borrower), 2**64 - 1)
    return "token/frozen"


@pytest.mark.parametrize("stop", [borrower_suspended, borrower_frozen])
def test_for_a_borrower_that_may_not_pay_anybody_else_does(lab: Lab, stop):
    terms = called(lab)
    lab.mint(typed.loan_id(terms), COIN)
    for who in (lab.borrower, lab.keeper):
        lab.fund(who, 10**9)
    code = stop(lab)
    for verb, *args in (("top_up", 1), ("repay", 1), ("close",)):
        with refuses(code):
            lab.do(lab.borrower, verb, terms, *args)
    lab.do(lab.keeper, "repay", terms, 1_000_000)
    lab.do(lab.keeper, "cure", terms)
    lab.do(lab.keeper, "close", terms)
    # The pledge comes back to the borrower, whoever paid; it is not the payer's.
    assert (lab.phase(terms), lab.held(terms)) == (REPAID, 0)
    assert lab.pledge.call("balanceOnHold", raw(lab.borrower)) == 0
    assert lab.pledge.call("balanceOf", raw(lab.borrower)) == 3 * COIN
    assert lab.tokens(lab.keeper) == 0


def test_a_suspended_borrower_cancels_all_the_same(lab: Lab):
    terms = lab.opened(sats=COIN)
    lab.suspend(raw(lab.borrower))
    lab.do(lab.borrower, "cancel", terms)
    assert lab.tokens(lab.borrower) == COIN


# What needs a price


def price_needed(lab: Lab) -> dict[str, tuple[Mapping[str, object], tuple[object, ...]]]:
    """A verb of which each loan is ready, but for the price."""
    ready = {}
    for nonce, (verb, args, make) in enumerate(
        (
            ("draw", (1,), lambda **c: at_level(lab, 5_000, **c)),
            ("withdraw", (1,), lambda **c: at_level(lab, 5_000, **c)),
            ("margin_call", (), lambda **c: at_level(lab, 7_000, **c)),
            ("cure", (), lambda **c: called(lab, **c)),
            ("expire_call", (), lambda **c: called(lab, **c)),
            ("take_over", (), lambda **c: at_level(lab, 8_500, **c)),
        ),
        start=10,
    ):
        ready[verb] = make(nonce=nonce), args
        lab.wait(1)
    return ready


@pytest.mark.parametrize("stop", [stale, paused])
def test_without_a_fresh_price_nothing_that_needs_one(lab: Lab, stop):
    ready = price_needed(lab)
    lab.post(HALF)
    stop(lab)
    for verb, (terms, args) in ready.items():
        who = {"take_over": lab.lender}.get(verb, lab.borrower)
        with refuses("price/stale"):
            lab.do(who, verb, terms, *args)
    terms = ready["draw"][0]
    new = dict(terms) | {"origin": typed.loan_id(terms), "expires_at": lab.now}
    with refuses("price/stale"):
        refinance(lab, terms, new)
    # Those are all: every other verb answers without one.
    called_loan = ready["cure"][0]
    assert lab.phase(called_loan) == MARGIN_CALL
    named = {name for name, *_ in VERBS}
    assert named - set(ready) == {
        *("cancel", "recovered", "top_up", "repay", "close"),
        *("dispute", "resolve"),
        # In their own files.
        *("liquidate", "take", "redo"),
    }
