"""EscrowBook: opened, pledged and drawn in one transaction."""

from __future__ import annotations

from typing import Any

import pytest
from book_lab import aside
from contracts_lab import GENESIS, HEARTBEAT, PRICE, Lab, raw, refuses
from eth_account.signers.local import LocalAccount

from escrow.adapters.evm import typed
from escrow.core.units import COIN, DAY

CENTS = 5_000_000


def ready(lab: Lab, **changes: object) -> dict[str, object]:
    """Two coins minted for terms that are signed, a lender that can pay, and a fresh price."""
    terms = lab.terms(**changes)
    lab.mint(typed.loan_id(terms), 2 * COIN)
    lab.fund(lab.lender, 10**12)
    lab.post()
    return terms


def at_once(
    lab: Lab,
    terms,
    sats: int = 2 * COIN,
    cents: int = CENTS,
    *,
    sender: LocalAccount | None = None,
    who: tuple[LocalAccount, ...] = (),
) -> Any:
    return lab.book.send(
        sender or lab.borrower,
        "open_and_draw",
        typed.encode_terms(terms),
        *lab.sign_terms(terms, *who),
        sats,
        cents,
    )


def standing(lab: Lab, terms) -> tuple[object, ...]:
    """All that it changes."""
    return (
        lab.loan(terms),
        lab.held(terms),
        lab.owed(terms),
        [lab.money(who) for who in (lab.borrower, lab.lender, lab.keeper)],
        [lab.tokens(who) for who in (lab.borrower, lab.lender)],
        lab.cash.call("allowance", raw(lab.lender), lab.book.address),
    )


def test_it_is_the_three_in_one(lab: Lab):
    terms = ready(lab)
    nothing = standing(lab, terms)
    with aside(lab):
        said = [
            *lab.said(lab.open(terms)),
            *lab.said(lab.do(lab.borrower, "top_up", terms, 2 * COIN)),
            *lab.said(lab.do(lab.borrower, "draw", terms, CENTS)),
        ]
        apart = standing(lab, terms)
    assert standing(lab, terms) == nothing != apart
    assert lab.said(at_once(lab, terms)) == said
    assert standing(lab, terms) == apart
    assert [name for name, _ in said] == ["Opened", "ToppedUp", "Drawn", "Transfer"]


def test_only_the_borrower_opens_so(lab: Lab):
    terms = ready(lab)
    for who in (lab.lender, lab.keeper):
        with refuses("draw/not-borrower"):
            at_once(lab, terms, sender=who)


REFUSED = {
    "unsound terms": ("terms/rate", {"rate_bps": 100_001}, {}),
    "terms of a refinancing": ("loan/terms", {"origin": b"\x01" * 32}, {}),
    "expired": ("open/expired", {"expires_at": GENESIS}, {}),
    "no tokens": ("top-up/no-tokens", {}, {"sats": 2 * COIN + 1}),
    "pledging nothing": ("loan/amount", {}, {"sats": 0}),
    "drawing nothing": ("loan/amount", {}, {"cents": 0}),
    "above the principal": ("draw/above-principal", {"principal": CENTS - 1}, {}),
    "above the initial level": ("draw/above-initial-ltv", {}, {"cents": 10_000_001}),
    "too few coins": ("draw/above-initial-ltv", {}, {"sats": COIN - 1}),
}


@pytest.mark.parametrize(("code", "terms", "call"), REFUSED.values(), ids=REFUSED)
def test_all_or_nothing(lab: Lab, code: str, terms, call):
    made = ready(lab, **terms)
    before, nonce = standing(lab, made), lab.chain.nonce(raw(lab.borrower))
    with refuses(code):
        at_once(lab, made, **call)
    assert standing(lab, made) == before
    assert lab.chain.nonce(raw(lab.borrower)) == nonce


def test_at_the_bounds_exactly(lab: Lab):
    terms = ready(lab, principal=10_000_000)
    at_once(lab, terms, cents=10_000_000)
    assert lab.book.call("ltv", typed.encode_terms(terms)) == 5_000


def test_signed_by_both_in_their_place(lab: Lab):
    terms = ready(lab)
    for pair in ((lab.borrower, lab.borrower), (lab.lender, lab.borrower)):
        with refuses("open/bad-signature"):
            at_once(lab, terms, who=pair)


def test_once(lab: Lab):
    terms = ready(lab)
    at_once(lab, terms)
    with refuses("loan/exists"):
        at_once(lab, terms)


def test_whoever_opens_first_only_saves_the_borrower_gas(lab: Lab):
    """The signatures are seen in the pool, and somebody carries them in front: what is left to do
    is what anybody does to an opened loan."""
    terms = ready(lab)
    lab.open(terms)
    with refuses("loan/exists"):
        at_once(lab, terms)
    lab.do(lab.borrower, "top_up", terms, 2 * COIN)
    lab.do(lab.borrower, "draw", terms, CENTS)


def test_at_a_fresh_price_only(lab: Lab):
    terms = ready(lab)
    lab.wait(HEARTBEAT + 1)
    with refuses("price/stale"):
        at_once(lab, terms)
    lab.post(PRICE)
    at_once(lab, terms)


@pytest.mark.parametrize("who", ["borrower", "lender"])
def test_both_must_be_admitted(lab: Lab, who: str):
    terms = ready(lab)
    lab.suspend(raw(getattr(lab, who)))
    with refuses("open/not-eligible"):
        at_once(lab, terms)


def test_a_lender_that_took_its_allowance_back(lab: Lab):
    terms = ready(lab)
    lab.cash.send(lab.lender, "approve", lab.book.address, CENTS - 1)
    before = standing(lab, terms)
    with refuses("token/allowance"):
        at_once(lab, terms)
    assert standing(lab, terms) == before
    lab.cash.send(lab.lender, "approve", lab.book.address, CENTS)
    at_once(lab, terms)


def test_within_the_draw_window(lab: Lab):
    at = lab.now + DAY
    terms = ready(lab, expires_at=at, draw_by=at)
    lab.at(at)
    lab.post()
    with aside(lab):
        at_once(lab, terms)
    lab.wait(1)
    with refuses("open/expired"):
        at_once(lab, terms)
