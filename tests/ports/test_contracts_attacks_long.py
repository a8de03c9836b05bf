"""Attacks on EscrowBook that need patience: a rounding at a time, or any call in any order.

A thousand operations at the desk, ten thousand in CI.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from fractions import Fraction

import pytest
from book_lab import ANY, ARBITER, FAST, HALF, VERBS, at_level, expired
from contracts_lab import (
    ACTIVE,
    AUCTION,
    CANCELLED,
    GENESIS,
    HEARTBEAT,
    LIQUIDATING,
    MARGIN_CALL,
    PARTIAL,
    PRICE,
    RECOVERED,
    REPAID,
    SEIZED,
    Lab,
    raw,
)
from eth_account.signers.local import LocalAccount
from hypothesis import settings

from escrow.adapters.evm import typed
from escrow.adapters.evm.revert import Reverted
from escrow.core.errors import CODES
from escrow.core.units import COIN, DAY
from escrow.streams import Streams

DEN = 10_000 * 31_536_000
TINY = 10**30
MANY = min(10_000, 10 * settings.default.max_examples)


@pytest.fixture
def lab() -> Lab:
    """A new one: what is run and kept makes the fast chain slow."""
    return Lab(FAST)


def act(lab: Lab, who: LocalAccount, verb: str, terms, *args: object) -> None:
    """As ``do``, but nobody signs."""
    data = lab.book.encode(verb, typed.encode_terms(terms), *args)
    lab.chain.act(raw(who), to=lab.book.address, data=data)


@dataclass
class Ideal:
    """A debt that is not rounded: in parts of a cent so small that ten thousand make none."""

    rate: int
    principal: int
    interest: int = 0

    def wait(self, seconds: int) -> None:
        self.interest += self.principal * self.rate * seconds // DEN

    def pay(self, cents: int) -> None:
        covered = min(self.interest, cents * TINY)
        self.interest -= covered
        self.principal -= cents * TINY - covered

    @property
    def cents(self) -> Fraction:
        return Fraction(self.principal + self.interest, TINY)


@pytest.mark.parametrize("rate", [0, 2_300, 100_000])
def test_a_cent_at_a_time(lab: Lab, rate: int):
    """a borrower: repays a cent a second, so that the interest of each is rounded away.

    Gets: nothing; the interest of a second is rounded up, and the cent is the lender's. The debt is
    never below the exact one, and above it by less than a cent for each payment.
    """
    principal = 1_000_000
    terms = lab.active(sats=COIN, cents=principal, rate_bps=rate)
    lab.fund(lab.borrower, 10**9)
    lender, ideal = lab.money(lab.lender), Ideal(rate, principal * TINY)
    ideal.wait(lab.now - lab.loan(terms)[3])
    for _ in range(MANY):
        lab.wait(1)
        ideal.wait(1)
        act(lab, lab.borrower, "repay", terms, 1)
        ideal.pay(1)
    assert lab.money(lab.lender) == lender + MANY
    above = lab.owed(terms) - ideal.cents
    assert 0 <= above < MANY + 1
    if rate == 0:
        assert above == 0
    else:
        assert above > MANY // 2


def test_a_cents_worth_at_a_time(lab: Lab):
    """a buyer: buys in parts of a cent, so that each rounds in its favour.

    Gets: fewer coins than in one purchase: sats are rounded down and payments up, at every part.
    """
    odd = HALF - 123_456_789
    terms = expired(lab, liquidation=1)
    lab.fund(lab.buyer, 10**9)
    lab.wait(1)
    lab.post(odd)
    lender = lab.money(lab.lender)
    for _ in range(MANY):
        act(lab, lab.buyer, "liquidate", terms, 1, 0)
    at_once = MANY * 10_500 * 10**14 // (10_000 * odd)
    assert lab.tokens(lab.buyer) == MANY * (10_500 * 10**14 // (10_000 * odd)) <= at_once
    assert lab.money(lab.lender) == lender + MANY
    assert lab.owed(terms) == 7_000_000 - MANY
    assert lab.held(terms) == 2 * COIN - lab.tokens(lab.buyer)


def test_a_sat_at_a_time(lab: Lab):
    """a taker: takes an auction's coins sat by sat.

    Gets: a sat for a cent, which is worth a part of it: payments are rounded up.
    """
    terms = expired(lab, **AUCTION)
    lab.fund(lab.buyer, 10**9)
    worth = Fraction(MANY * HALF * 6, 5 * 10**14)
    for _ in range(MANY):
        act(lab, lab.buyer, "take", terms, 1, ANY)
    assert lab.tokens(lab.buyer) == MANY
    assert 10**9 - lab.money(lab.buyer) == MANY > worth
    assert lab.owed(terms) == lab.book.call("auction_debt") == 7_000_000 - MANY


def test_draw_and_repay_in_circles(lab: Lab):
    """a borrower: draws and repays a cent, again and again, to shake interest off.

    Gets: nothing; the debt is never below the exact one, and the lender has what it lent less what
    came back.
    """
    principal, rate = 1_000_000, 100_000
    terms = lab.active(sats=COIN, cents=principal, rate_bps=rate)
    lab.fund(lab.borrower, 10**9)
    lender, ideal = lab.money(lab.lender), Ideal(rate, principal * TINY)
    for turn in range(MANY):
        lab.wait(1)
        ideal.wait(1)
        if turn % 1_000 == 999:
            lab.post()
        act(lab, lab.borrower, "draw", terms, 1)
        ideal.principal += TINY
        act(lab, lab.borrower, "repay", terms, 1)
        ideal.pay(1)
    assert lab.money(lab.lender) == lender
    assert 0 <= lab.owed(terms) - ideal.cents < MANY + 1


def test_in_and_out_in_circles(lab: Lab):
    """a borrower: withdraws and pledges again, and a stranger calls and cures, to wear the loan
    down.

    Gets: nothing; debt and pledge are afterwards what they were.
    """
    terms = at_level(lab, 5_000, rate_bps=2_300)
    start = lab.loan(terms)[3]
    lab.post()
    for _ in range(MANY // 2):
        act(lab, lab.borrower, "withdraw", terms, 7)
        act(lab, lab.borrower, "top_up", terms, 7)
    assert lab.held(terms) == 2 * COIN
    for _ in range(MANY // 100):
        for verb, price in (("margin_call", HALF * 7 // 10), ("cure", PRICE)):
            lab.wait(HEARTBEAT // 10)
            lab.post(price)
            act(lab, lab.stranger, verb, terms)
    ideal = Ideal(2_300, 5_000_000 * TINY)
    ideal.wait(lab.now - start)
    assert lab.phase(terms) == ACTIVE
    assert ideal.cents <= lab.owed(terms) < ideal.cents + 1


LIVE = (ACTIVE, MARGIN_CALL, LIQUIDATING)
OWN = ("top_up", "withdraw", "draw", "dispute")
"""What is the borrower's to do."""
SALES = ("take_over", "liquidate", "take", "redo")
FITS = {
    **{kind: [("liquidate", 1, 1)] for kind in (1, 2)},
    3: [("take", 1, 1), ("take", 1, 1), ("redo",)],
}
"""How the collateral of a kind of loan is sold."""
LATE = {"expires_at": GENESIS + 360 * DAY, "draw_by": GENESIS + 360 * DAY}
KINDS = ({"liquidation": 1}, PARTIAL | {"fee_bps": 99}, AUCTION | ARBITER)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_any_call_in_any_order(lab: Lab, seed: int):
    """all parties at once: call any function, at any time and price, with any argument, in any
    order.

    Gets: what the rules give; after each call cash and tokens add up, what is held is what loans
    have, what is in auctions is counted, and the lender lost no more than the bad debt.
    """
    streams = Streams(bytes([seed]))

    def pick(*choices):
        return choices[streams.below("calls", len(choices))]

    people = [lab.borrower, lab.lender, lab.keeper, lab.buyer]
    for who in people:
        lab.fund(who, 10**9)
    loans: list[dict[str, object]] = []
    price, lost, counted = PRICE, 0, Counter[str]()
    total = supply = lent = 0
    for turn in range(max(600, MANY // 10)):
        # Where one has ended another begins.
        live = [each for each in loans if lab.phase(each) in LIVE]
        while len(live) < len(KINDS):
            lab.wait(1)
            kind = KINDS[len(loans) % len(KINDS)]
            loans.append(lab.active(cents=9_000_000, nonce=len(loans) + 1, **kind, **LATE))
            lab.wait(1)
            total, supply = sum(map(lab.money, people)), lab.pledge.call("totalSupply")
            owed = sum(lab.loan(terms)[1] for terms in loans)
            lent, lost, price = lab.money(lab.lender) + owed, 0, PRICE
            live.append(loans[-1])
        if turn % 3 == 0:
            lab.wait(pick(1, 90, HEARTBEAT, HEARTBEAT + 1, DAY // 2))
            price = max(PRICE // 3, min(PRICE, price * pick(75, 85, 95, 105, 110, 130) // 100))
            lab.post(price)
            lab.wait(pick(0, 0, 90))
        verb, *args = pick(*VERBS)
        if verb == "close" and pick(True, True, True, False):
            verb, args = "repay", [1]
        # Sometimes one that has ended.
        terms = pick(*live, *live, *live, pick(*loans))
        if verb in SALES and pick(True, True, False):
            verb, *args = pick(*FITS[terms["liquidation"]])
        own = lab.borrower if verb in OWN else pick(*people, lab.stranger)
        who = pick(own, own, *people)
        args = [pick(True, False) if a is True else pick(1, 1_000, 10**6, COIN) for a in args]
        if verb in ("liquidate", "take"):
            args[1] = ANY if verb == "take" else 0
        data = lab.book.encode(verb, typed.encode_terms(terms), *args)
        try:
            receipt = lab.chain.act(raw(who), to=lab.book.address, data=data)
        except Reverted as error:
            counted[error.reason] += 1
            continue
        counted[verb] += 1
        for name, said in lab.said(receipt):
            lost += said["bad_debt"] if name == "Liquidated" else 0
            # What the lender pays itself.
            if said.get("by") == raw(lab.lender) and name in ("Liquidated", "Repaid"):
                lost += said["repaid"] + said["fee"] if name == "Liquidated" else 0
                lost += said["interest"] + said["principal"] if name == "Repaid" else 0
        check(lab, loans, people, total=total, supply=supply)
        owed = sum(lab.loan(terms)[1] for terms in loans)
        assert lab.money(lab.lender) + owed + lost >= lent
    names = {name for name, *_ in VERBS}
    assert set(counted) <= names | set(CODES)
    # Nobody's story was a short one.
    assert len(names & set(counted)) >= 8, counted
    assert len(set(counted) - names) >= 15, counted


def check(lab: Lab, loans, people, *, total: int, supply: int) -> None:
    """What holds whatever was called."""
    assert sum(map(lab.money, people)) == total
    everyone = [raw(who) for who in people]
    assert sum(lab.pledge.call("balanceOf", who) for who in everyone) == supply
    held = sum(map(lab.held, loans))
    assert held == lab.pledge.call("balanceOnHold", raw(lab.borrower))
    assert held <= lab.pledge.call("balanceOf", raw(lab.borrower))
    in_auction = 0
    for terms in loans:
        phase, principal, acc, _, deadline = lab.loan(terms)
        if phase in (REPAID, SEIZED, CANCELLED):
            assert (principal, acc, deadline, lab.held(terms)) == (0, 0, 0, 0)
        elif phase != RECOVERED:
            assert principal > 0
        if phase == ACTIVE:
            assert deadline == 0
        if phase == LIQUIDATING and terms["liquidation"] == 3:
            in_auction += principal
    assert lab.book.call("auction_debt") == in_auction
