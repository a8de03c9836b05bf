"""Who may take part, as dated rules that are data: a law that changes changes no code.

A rule says what must be known to be true of the one who asks. What is not known, or of another
type than the rule compares with, is not true: an absent or expired proof never opens a gate. The
rules of a book are asked in its order, and the first that fails is the answer.

Facts of the one whom a gate judges have plain names (the borrower; at a transfer who receives),
those of the other side begin with ``other.`` (the lender; at a transfer who sends).
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from escrow.core.errors import BadInput
from escrow.core.units import MAX_TIME, Seconds

DENIED: Final = "eligibility/denied"
"""The code with which every gate says no."""
OTHER: Final = "other."
"""Begins the name of a fact of the other side."""
MAX_RULES: Final = 64
"""Most rules of a book."""
MAX_PARTS: Final = 16
"""Most parts that one ``all`` or ``any`` joins."""
MAX_NESTING: Final = 4
"""Deepest that ``all`` and ``any`` nest, the comparison itself included."""
MAX_TEXT: Final = 500
"""Longest text of a rule, in characters."""
MAX_WORD: Final = 100
"""Longest text of a fact, in characters."""
MAX_NUMBER: Final = 2**63 - 1
"""Largest number of a fact, either side of zero."""

Value = int | bool | str
"""What a fact may be. An amount of money is in the currency's minor unit."""

_ID: Final = re.compile(r"[a-z][a-z0-9]*(?:[-/][a-z0-9]+)*", re.ASCII)
_FACT: Final = re.compile(r"(?:other\.)?[a-z][a-z0-9_]{0,39}", re.ASCII)


class Gate(Enum):
    """Where rules are asked."""

    OFFER = "offer"
    """May this borrower borrow: at the offer, its acceptance, the opening, and new terms."""
    PLEDGE = "pledge"
    """May it pledge the first collateral?"""
    TOP_UP = "top-up"
    """May it add collateral to money that is drawn?"""
    TRANSFER = "transfer"
    """May a holding pass from one party to another?"""


class Status(Enum):
    """What stands behind a rule."""

    LAW = "law"
    DECREE = "decree"
    PROPOSAL = "proposal"
    """Published, and not known to be in force."""
    ASSUMED = "assumed"
    """Ours: no source says it."""


class Force(Enum):
    """Whether a profile as a whole counts."""

    IN_FORCE = "in-force"
    PROPOSED = "proposed"
    """A draft: whether and when it comes is not known."""
    NOT_IN_FORCE = "not-in-force"
    """Adopted, and without force: for what-if questions only."""


class Op(Enum):
    """How a fact is compared, or parts are joined."""

    IS = "is"
    IS_NOT = "is-not"
    AT_LEAST = "at-least"
    AT_MOST = "at-most"
    ABOVE = "above"
    BELOW = "below"
    ALL = "all"
    ANY = "any"


JOINS: Final = (Op.ALL, Op.ANY)
_COMPARE: Final[dict[Op, Callable[[Any, Any], bool]]] = {
    Op.IS: operator.eq,
    Op.IS_NOT: operator.ne,
    Op.AT_LEAST: operator.ge,
    Op.AT_MOST: operator.le,
    Op.ABOVE: operator.gt,
    Op.BELOW: operator.lt,
}


@dataclass(frozen=True, slots=True)
class Predicate:
    """What must be true: one comparison, or several joined."""

    op: Op
    """A comparison of ``fact`` with ``value``, or ``ALL`` or ``ANY`` of ``parts``."""
    fact: str = ""
    """Name of the fact; empty where parts are joined."""
    value: Value = False
    """What it is compared with. Only numbers have an order."""
    parts: tuple[Predicate, ...] = ()
    """What is joined; empty in a comparison."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule, with its dates and its source."""

    id: str
    """Its name in refusals, e.g. ``ru/mining-registry``."""
    gates: tuple[Gate, ...]
    """Where it is asked."""
    needs: Predicate
    """What must be true, or the gate stays shut."""
    reason: str
    """Why not, in one line."""
    status: Status
    """What stands behind it."""
    source: str
    """Where it is from, and what of it is not verified."""
    since: Seconds = Seconds(0)
    """First second in force, unix time; 0: as far back as anyone asks."""
    until: Seconds = MAX_TIME
    """Last second in force."""


@dataclass(frozen=True, slots=True)
class RuleBook:
    """The rules of one profile, in the order in which they are asked."""

    profile: str
    """Its id, e.g. ``ru-2024``."""
    version: int
    """Grows with every change of the rules."""
    force: Force
    """Whether it counts as a whole."""
    rules: tuple[Rule, ...]
    """Asked in this order."""


@dataclass(frozen=True, slots=True)
class Fact:
    """Something known of a party."""

    name: str
    """As rules call it."""
    value: Value
    """A number, a word, or true or false."""


@dataclass(frozen=True, slots=True)
class Denied:
    """A gate stays shut."""

    gate: Gate
    """Which."""
    rule: str
    """Id of the first rule that fails."""
    reason: str
    """Its words."""


def refusal(
    book: RuleBook | None, gate: Gate, facts: Mapping[str, Value], *, at: Seconds
) -> Denied | None:
    """Why ``book`` keeps ``gate`` shut at ``at``; ``None``: it is open. No book, no rules."""
    for rule in () if book is None else in_force(book, at=at):
        if gate in rule.gates and not holds(rule.needs, facts):
            return Denied(gate, rule.id, rule.reason)
    return None


def in_force(book: RuleBook, *, at: Seconds) -> tuple[Rule, ...]:
    """The rules that count at ``at``: first and last second included."""
    return tuple(rule for rule in book.rules if rule.since <= at <= rule.until)


def holds(needs: Predicate, facts: Mapping[str, Value]) -> bool:
    """Is it known to be true?"""
    if needs.op is Op.ALL:
        return all(holds(part, facts) for part in needs.parts)
    if needs.op is Op.ANY:
        return any(holds(part, facts) for part in needs.parts)
    known = facts.get(needs.fact)
    # True is 1 to Python: a fact of another type answers nothing, not even "is not".
    return type(known) is type(needs.value) and _COMPARE[needs.op](known, needs.value)


def names(needs: Predicate) -> frozenset[str]:
    """Every fact that a predicate asks for."""
    inner = frozenset(name for part in needs.parts for name in names(part))
    return inner if needs.op in JOINS else frozenset((needs.fact,))


def check_book(book: RuleBook) -> None:
    """Refuse a book that contradicts itself or has no end. Raises BadInput("profile/value");
    ``at`` says where."""
    if not _is_id(book.profile):
        raise BadInput("profile/value", at="profile", reason="not a name like ru-2024")
    if not 1 <= book.version <= MAX_NUMBER:
        raise BadInput("profile/value", at="version", reason="not a positive number")
    if len(book.rules) > MAX_RULES:
        raise BadInput("profile/value", at="rules", reason="too many", most=MAX_RULES)
    seen: set[str] = set()
    for rule in book.rules:
        if not _is_id(rule.id) or rule.id in seen:
            raise BadInput("profile/value", at=rule.id[:80], reason="not a name of its own")
        seen.add(rule.id)
        _check_rule(rule)


def check_facts(facts: tuple[Fact, ...]) -> None:
    """Refuse facts that no rule can ask for. Raises BadInput("attest/fact")."""
    if not 1 <= len(facts) <= MAX_RULES:
        raise BadInput("attest/fact", facts=len(facts), most=MAX_RULES)
    seen = {fact.name for fact in facts}
    if len(seen) < len(facts):
        raise BadInput("attest/fact", reason="one name twice")
    for fact in facts:
        # What is of the other side there is of itself elsewhere.
        if not _FACT.fullmatch(fact.name) or fact.name.startswith(OTHER):
            raise BadInput("attest/fact", name=fact.name[:40], reason="not a fact's name")
        if not _is_value(fact.value):
            raise BadInput("attest/fact", name=fact.name, reason="out of range")


def _check_rule(rule: Rule) -> None:
    if not rule.gates or len(set(rule.gates)) < len(rule.gates):
        raise BadInput("profile/value", at=rule.id, reason="no gate, or one twice")
    if not 0 <= rule.since <= rule.until <= MAX_TIME:
        raise BadInput("profile/value", at=rule.id, reason="it ends before it begins")
    if not all(_is_line(text, MAX_TEXT) for text in (rule.reason, rule.source)):
        raise BadInput("profile/value", at=rule.id, reason="reason and source are one line each")
    _check_predicate(rule.needs, at=rule.id, left=MAX_NESTING)


def _check_predicate(needs: Predicate, *, at: str, left: int) -> None:
    if left == 0:
        raise BadInput("profile/value", at=at, reason="nested too deep", most=MAX_NESTING)
    if needs.op in JOINS:
        if not 1 <= len(needs.parts) <= MAX_PARTS or needs.fact:
            raise BadInput("profile/value", at=at, reason="a join of parts, and nothing else")
        for part in needs.parts:
            _check_predicate(part, at=at, left=left - 1)
        return
    if needs.parts or not _FACT.fullmatch(needs.fact) or not _is_value(needs.value):
        raise BadInput("profile/value", at=at, reason="a comparison of one fact with one value")
    if needs.op not in (Op.IS, Op.IS_NOT) and type(needs.value) is not int:
        raise BadInput("profile/value", at=at, reason="only numbers have an order")


def _is_id(text: str) -> bool:
    return len(text) <= 60 and _ID.fullmatch(text) is not None


def _is_line(text: str, longest: int) -> bool:
    return 0 < len(text) <= longest and text.isprintable()


def _is_value(value: Value) -> bool:
    if isinstance(value, str):
        return _is_line(value, MAX_WORD)
    return isinstance(value, int) and abs(value) <= MAX_NUMBER
