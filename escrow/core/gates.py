"""Where the rules of a place are asked about a deal, and what a loan is under.

A loan keeps the book that it was offered under; what is known of its parties is today's.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from escrow.core.eligibility import DENIED, Denied, Gate, RuleBook, Value, refusal
from escrow.core.errors import Rejected
from escrow.core.phases import terms_of
from escrow.core.regions.loan import Accepted, Offered, Opened
from escrow.core.regions.register import (
    OfferedUnder,
    Purpose,
    Register,
    facts_between,
)
from escrow.core.state import Escrow
from escrow.core.terms import Terms
from escrow.core.units import Seconds

ASSET: Final = "pledge-token"
"""``asset`` of a transfer of tokens that stand for pledged bitcoin."""


def denial(escrow: Escrow, gate: Gate, *, at: Seconds) -> Denied | None:
    """Why the loan's own rules keep a gate shut for its borrower."""
    if escrow.book is None:
        return None
    terms = terms_of(escrow.loan)
    return _judged(escrow.register, escrow.book, gate, **_sides(terms), at=at)


def check_gate(escrow: Escrow, gate: Gate, *, at: Seconds) -> None:
    """Raises ``eligibility/denied``, with rule and reason."""
    _refuse(denial(escrow, gate, at=at))


def collateral_gate(escrow: Escrow) -> Gate:
    """Before anything is drawn collateral is a pledge, and then a top-up."""
    return Gate.PLEDGE if isinstance(escrow.loan, Offered | Accepted | Opened) else Gate.TOP_UP


def check_collateral(escrow: Escrow, *, at: Seconds) -> None:
    """May more collateral come in? Raises ``eligibility/denied``, with rule and reason."""
    check_gate(escrow, collateral_gate(escrow), at=at)


def check_terms_now(escrow: Escrow, terms: Terms, *, at: Seconds) -> tuple[OfferedUnder, ...]:
    """New terms are under the rules of today: they become the loan's, where there are any.

    Raises ``eligibility/denied``, with rule and reason.
    """
    book = escrow.register.book
    _refuse(_judged(escrow.register, book, Gate.OFFER, **_sides(terms), at=at))
    return () if book is None else (OfferedUnder(at, book),)


def check_party(
    register: Register,
    book: RuleBook | None,
    gate: Gate,
    *,
    borrower: str,
    lender: str,
    at: Seconds,
) -> None:
    """The same question of a loan that is not of the escrow book. Parties are EVM addresses.
    Raises ``eligibility/denied``, with rule and reason."""
    _refuse(_judged(register, book, gate, borrower=borrower, lender=lender, at=at))


def transfer_denial(
    register: Register, *, sender: str, receiver: str, purpose: Purpose, at: Seconds
) -> Denied | None:
    """Why tokens may not pass from ``sender`` to ``receiver``, by the rules of today."""
    facts = facts_between(register, receiver, other=sender, at=at)
    asked: dict[str, Value] = {"purpose": purpose.value, "asset": ASSET}
    return refusal(register.book, Gate.TRANSFER, facts | asked, at=at)


def check_transfer(
    register: Register, *, sender: str, receiver: str, purpose: Purpose, at: Seconds
) -> None:
    """Raises ``eligibility/denied``, with rule and reason."""
    _refuse(transfer_denial(register, sender=sender, receiver=receiver, purpose=purpose, at=at))


def unruled(escrow: Escrow) -> Escrow:
    """The same deal where there are no rules: for what a chain did against them."""
    return replace(escrow, book=None, register=Register())


def _sides(terms: Terms) -> dict[str, str]:
    return {"borrower": terms.borrower, "lender": terms.lender}


def _judged(
    register: Register,
    book: RuleBook | None,
    gate: Gate,
    *,
    borrower: str,
    lender: str,
    at: Seconds,
) -> Denied | None:
    return refusal(book, gate, facts_between(register, borrower, other=lender, at=at), at=at)


def _refuse(denied: Denied | None) -> None:
    if denied is not None:
        raise Rejected(DENIED, rule=denied.rule, reason=denied.reason)
