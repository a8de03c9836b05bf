"""A book of rules for tests: one for each gate, and deals under it."""

from __future__ import annotations

from dataclasses import replace

from deals import (
    COIN_A,
    NOW,
    ONE,
    TERMS,
    draft,
    final,
    play,
    priced,
)

from escrow.core.decide import Command
from escrow.core.eligibility import (
    Fact,
    Force,
    Gate,
    Op,
    Predicate,
    Rule,
    RuleBook,
    Status,
    Value,
)
from escrow.core.roles import Role
from escrow.core.state import Escrow
from escrow.core.terms import Terms
from escrow.core.units import DAY, Seconds
from escrow.core.verbs.accept import Accept
from escrow.core.verbs.attest import Attest
from escrow.core.verbs.mint import Mint
from escrow.core.verbs.offer import Offer
from escrow.core.verbs.open import Open
from escrow.core.verbs.switch_profile import SwitchProfile
from escrow.core.verbs.top_up import TopUp

UNTIL = Seconds(NOW + 10 * DAY)
"""Last second of all evidence here."""


def needs(fact: str, value: Value = True, op: Op = Op.IS) -> Predicate:
    return Predicate(op, fact, value)


def joined_by(op: Op, *parts: Predicate) -> Predicate:
    return Predicate(op, parts=parts)


def rule(name: str, *gates: Gate, asks: Predicate | None = None, **changes: object) -> Rule:
    plain = Rule(
        id=f"test/{name}",
        gates=gates or (Gate.OFFER,),
        needs=asks or needs(name),
        reason=f"{name} is not known",
        status=Status.ASSUMED,
        source="tests",
    )
    return replace(plain, **changes)


def book(*rules: Rule, profile: str = "test", force: Force = Force.IN_FORCE) -> RuleBook:
    return RuleBook(profile, 1, force, rules)


BOOK = book(
    rule("offer", Gate.OFFER),
    rule("pledge", Gate.PLEDGE),
    rule("more", Gate.TOP_UP),
    rule("hold", Gate.TRANSFER, asks=joined_by(Op.ALL, needs("hold"), needs("other.hold"))),
)
"""Each gate asks for one fact of its own."""
ALL_FACTS = ("offer", "pledge", "more", "hold")


def switched(rules: RuleBook = BOOK, **changes: object) -> SwitchProfile:
    return SwitchProfile(Role.REGISTRAR, NOW, rules, **changes)


def seen(
    *names: str, value: Value = True, at: Seconds = NOW, party: str = TERMS.borrower
) -> Attest:
    """The registrar saw evidence of these facts."""
    facts = tuple(Fact(name, value) for name in names)
    return Attest(Role.REGISTRAR, at, party, facts, UNTIL)


def ruled(*facts: str, rules: RuleBook = BOOK) -> Escrow:
    """Nothing is offered yet; the rules count, and these facts are known of the borrower."""
    escrow = play(draft(), switched(rules))
    return play(escrow, seen(*facts)) if facts else escrow


def lent(*facts: str, terms: Terms = TERMS, rules: RuleBook = BOOK) -> Escrow:
    """Opened, with free tokens of one coin, under the rules."""
    return play(
        ruled(*facts, rules=rules),
        Offer(Role.LENDER, NOW, terms),
        Accept(Role.BORROWER, NOW),
        Open(Role.OPERATOR, NOW),
        final(),
        Mint(Role.ATTESTOR, NOW, COIN_A, ONE),
    )


def pledged(*facts: str) -> Escrow:
    """And pledged, with a price."""
    return priced(play(lent(*facts), TopUp(Role.BORROWER, NOW, ONE)))


def lost(*names: str, at: Seconds = NOW) -> Command:
    """The registrar takes facts back."""
    return seen(*names, value=False, at=at)
