"""Who takes part: what the registrar knows of each party, and the rules that new offers are under.

All loans of a world share it, as they share the platform. A world without a book has no rules, and
everything is allowed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import assert_never

from escrow.core.eligibility import OTHER, Fact, RuleBook, Value
from escrow.core.units import Sats, Seconds


class Purpose(Enum):
    """Why a holding passes from one party to another."""

    PAYMENT = "payment"
    """For goods, work or services."""
    PURCHASE = "purchase"
    """As an investment."""


@dataclass(frozen=True, slots=True)
class Known:
    """One fact of one party, as long as its evidence lasts."""

    party: str
    """EVM address, in small letters."""
    fact: Fact
    """What is known."""
    until: Seconds
    """Last second of the evidence."""


@dataclass(frozen=True, slots=True)
class Register:
    """The rules of the place, and what is known of whom."""

    book: RuleBook | None = None
    """Under which new offers are made; none: everything is allowed."""
    what_if: bool = False
    """Was a book without force taken, to see what it would do?"""
    known: tuple[Known, ...] = ()
    """The last word on every fact of every party, also where its evidence is out of date."""


def facts_of(register: Register, party: str, *, at: Seconds) -> dict[str, Value]:
    """What is known of a party at ``at``: the last second of the evidence included."""
    name = party.lower()
    return {
        each.fact.name: each.fact.value
        for each in register.known
        if each.party == name and at <= each.until
    }


def facts_between(register: Register, party: str, *, other: str, at: Seconds) -> dict[str, Value]:
    """What is known of the one whom a gate judges, and of the other side."""
    mine, theirs = (facts_of(register, each, at=at) for each in (party, other))
    return mine | {OTHER + name: value for name, value in theirs.items()}


@dataclass(frozen=True, slots=True)
class Attested:
    """The registrar saw evidence."""

    at: Seconds
    party: str
    facts: tuple[Fact, ...]
    until: Seconds


@dataclass(frozen=True, slots=True)
class ProfileSwitched:
    """New offers are under these rules; loans keep theirs."""

    at: Seconds
    book: RuleBook
    what_if: bool


@dataclass(frozen=True, slots=True)
class TransferCleared:
    """The rules let this holding pass from one party to the other."""

    at: Seconds
    sender: str
    receiver: str
    sats: Sats
    purpose: Purpose


@dataclass(frozen=True, slots=True)
class OfferedUnder:
    """The rules that a loan was offered under, or its new terms were signed under."""

    at: Seconds
    book: RuleBook


RegisterEvent = Attested | ProfileSwitched | TransferCleared | OfferedUnder


def evolve_register(register: Register, event: RegisterEvent) -> Register:
    """Fold one event into what all loans share."""
    match event:
        case Attested(party=party, facts=facts, until=until):
            names = {fact.name for fact in facts}
            kept = tuple(
                each
                for each in register.known
                if each.party != party or each.fact.name not in names
            )
            return replace(register, known=(*kept, *(Known(party, fact, until) for fact in facts)))
        case ProfileSwitched(book=book, what_if=what_if):
            return replace(register, book=book, what_if=what_if)
        case TransferCleared() | OfferedUnder():
            # Of a holder and of one loan: nothing that all share.
            return register
        case _:
            assert_never(event)
