"""A population of miners, the gates of a bank, and the loans of those who pass.

Everybody is drawn from a stream of its own name: another size of the population changes nobody.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from escrow.core.errors import Rejected
from escrow.core.terms import Liquidation, Terms
from escrow.core.units import (
    BPS,
    CENTS_SCALE,
    DAY,
    HOUR,
    Bps,
    Cents,
    PriceE8,
    Sats,
    Seconds,
    muldiv_up,
)
from escrow.sim.portfolio import Habit, Member
from escrow.streams import Streams

MONTH: Final = Seconds(30 * DAY)
"""A month of this pool."""
_LENDER: Final = "0x" + "1e" * 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Applicant:
    """A miner that asks for a loan, as the bank knows it."""

    name: str
    company: bool
    """Is it a legal entity?"""
    months: int
    """How old it is."""
    registered: bool
    """Is it in the tax service's register of miners?"""
    tax_debt: bool
    proof: bool
    """Has it proved where the coins are from?"""
    term_months: int
    """For how long it asks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What the bank asks."""

    least_age: int
    """Months."""
    longest: int
    """Months."""


@dataclass(frozen=True, slots=True)
class Gate:
    """One thing that must be true."""

    rule: str
    """Its name in refusals."""
    reason: str
    holds: Callable[[Applicant, Rules], bool]


GATES: Final = (
    Gate("sovcombank/legal-entity", "only legal entities borrow", lambda a, _: a.company),
    Gate(
        "ru/mining-registry",
        "the miner is not in the register",
        lambda a, _: a.registered,
    ),
    Gate("sovcombank/age", "the company is too young", lambda a, r: a.months >= r.least_age),
    Gate("sovcombank/tax-debt", "the company owes taxes", lambda a, _: not a.tax_debt),
    Gate("sovcombank/ownership", "where the coins are from is not proved", lambda a, _: a.proof),
    Gate("sovcombank/term", "no loan is that long", lambda a, r: a.term_months <= r.longest),
)
"""Asked in this order; the first that fails is the answer. The law on miners is 221-FZ of 8 August
2024; what the bank asks was in the press in February 2026 (Kommersant)."""


def admit(applicant: Applicant, rules: Rules) -> None:
    """Let it in. Raises Rejected("eligibility/denied") with ``rule`` and ``reason``."""
    for gate in GATES:
        if not gate.holds(applicant, rules):
            raise Rejected("eligibility/denied", rule=gate.rule, reason=gate.reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A type of collateral."""

    name: str
    initial: Bps
    """What is lent at most of its worth: all but the discount."""
    restore: Bps
    call: Bps
    liquidation: Bps


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What every loan of the pool has in common, and what is drawn for each. Chances and parts are
    of 10,000."""

    at: Seconds
    """When all begin."""
    price: PriceE8
    rules: Rules
    kinds: tuple[Kind, Kind]
    """Bitcoin, and the other."""
    other: Bps
    """Chance of the other."""
    rate: Bps
    least: Cents
    most: Cents
    least_months: int
    used: Bps
    """Least part of what is lent at most that is drawn."""
    cure: Seconds
    grace: Seconds
    recover_in: Seconds
    confirmations: int
    max_fee: Sats
    habit: tuple[Bps, Bps, Bps]
    """Chances that a call is answered, by money, and that the loan is repaid."""
    reserve: Bps
    """Coins for answers, as part of the pledge."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd:
    """What is drawn for those who ask: chances of 10,000."""

    company: Bps
    registered: Bps
    tax_debt: Bps
    proof: Bps
    too_long: Bps
    """That it asks for a year more than is lent."""
    oldest: int
    """Months; ages are all alike from 1 to this."""


@dataclass(slots=True)
class Pool:
    """Who was let in, and why others were not."""

    members: list[Member] = field(default_factory=list)
    kinds: dict[str, str] = field(default_factory=dict)
    """Type of collateral of each member."""
    denied: Counter[str] = field(default_factory=Counter)
    """Refusals by rule."""

    @property
    def asked(self) -> int:
        """All who asked."""
        return len(self.members) + self.denied.total()


def applicants(crowd: Crowd, rules: Rules, *, least: int, streams: Streams) -> Iterator[Applicant]:
    """Miners without end, ``least`` months being the shortest term."""
    number = 0
    while True:
        number += 1
        name = f"miner-{number}"

        def happens(what: str, chance: Bps, name: str = name) -> bool:
            return streams.below(f"{name}/{what}", BPS) < chance

        asks = least + streams.below(f"{name}/term", rules.longest - least + 1)
        yield Applicant(
            name=name,
            company=happens("company", crowd.company),
            months=1 + streams.below(f"{name}/age", crowd.oldest),
            registered=happens("registered", crowd.registered),
            tax_debt=happens("tax-debt", crowd.tax_debt),
            proof=happens("proof", crowd.proof),
            term_months=rules.longest + 12 if happens("too-long", crowd.too_long) else asks,
        )


def gather(crowd: Crowd, offer: Offer, *, loans: int, population: int, streams: Streams) -> Pool:
    """The first ``loans`` of a population that pass, or as many as there are."""
    pool = Pool()
    found = applicants(crowd, offer.rules, least=offer.least_months, streams=streams)
    for applicant in found:
        if len(pool.members) == loans or pool.asked == population:
            return pool
        try:
            admit(applicant, offer.rules)
        except Rejected as refusal:
            pool.denied[str(refusal.facts["rule"])] += 1
            continue
        kind, member = _member(applicant, offer, nonce=len(pool.members), streams=streams)
        pool.kinds[member.name] = kind.name
        pool.members.append(member)
    raise AssertionError("there is no end of applicants")


def _member(
    applicant: Applicant, offer: Offer, *, nonce: int, streams: Streams
) -> tuple[Kind, Member]:
    """A loan in whole currency units, and what its borrower is like."""
    name = applicant.name
    other = streams.below(f"{name}/kind", BPS) < offer.other
    kind = offer.kinds[other]
    spread = muldiv_up(offer.most - offer.least, 1, 100)
    draw = Cents(offer.least + streams.below(f"{name}/size", spread + 1) * 100)
    used = offer.used + streams.below(f"{name}/used", BPS - offer.used + 1)
    worth = muldiv_up(draw * BPS, BPS, kind.initial * used)
    pledged = Sats(muldiv_up(worth, CENTS_SCALE, offer.price))
    maturity = Seconds(offer.at + applicant.term_months * MONTH)
    answers, pays, repays = offer.habit
    terms = Terms(
        borrower="0x" + _digest(f"borrower/{name}")[:40],
        lender=_LENDER,
        vault="0x" + _digest(f"vault/{name}"),
        principal=draw,
        rate_bps=offer.rate,
        initial_ltv=kind.initial,
        restore_ltv=kind.restore,
        call_ltv=kind.call,
        liquidation_ltv=kind.liquidation,
        cure=offer.cure,
        expires_at=Seconds(offer.at + HOUR),
        draw_by=Seconds(offer.at + DAY),
        maturity=maturity,
        grace=offer.grace,
        recover_at=Seconds(maturity + offer.grace + offer.recover_in),
        confirmations=offer.confirmations,
        liquidation=Liquidation.TAKE_OVER,
        bonus_bps=Bps(0),
        max_fee=offer.max_fee,
        nonce=nonce,
    )
    reserve = Sats(muldiv_up(pledged, offer.reserve, BPS))
    habit = Habit(answers=answers, pays=pays, repays=repays, reserve=reserve)
    return kind, Member(name=name, terms=terms, pledged=pledged, draw=draw, habit=habit)


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()
