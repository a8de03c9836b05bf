"""Highly qualified investors: what is proof, how long it lasts, and what its loss means.

Source (secondary): proposal of the central bank, 12 Mar 2025: securities and deposits above 100 m
RUB, or an income of the year before above 50 m RUB. It was a proposal. The numbers stand in the
rule ``elr/highly-qualified`` of profile ``ru-elr``, and only there. Assumed: evidence lasts 365
days; who loses the status sells when it likes, and buys nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from escrow.core.eligibility import MAX_NUMBER, Gate, RuleBook, Value, refusal
from escrow.core.errors import BadInput
from escrow.core.regions.register import Purpose
from escrow.core.units import DAY, MAX_TIME, Cents, Seconds

EVIDENCE_AGE: Final = Seconds(365 * DAY)
"""How long evidence lasts: assumed."""


class Investor(Enum):
    """How an investor stands."""

    QUALIFIED = "highly-qualified"
    """Buys and sells."""
    HOLD = "hold-on-buys"
    """No proof, or none that still counts: keeps and sells what it has, buys nothing."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What an investor showed."""

    securities: Cents
    """Worth of securities, kopecks."""
    deposits: Cents
    """Money on deposit, kopecks."""
    income: Cents
    """Of the year before, kopecks."""
    dated: Seconds
    """As of when."""

    def __post_init__(self) -> None:
        """Raises BadInput("qualified/evidence")."""
        sums = (self.securities, self.deposits, self.income, self.securities + self.deposits)
        if not all(0 <= each <= MAX_NUMBER for each in sums) or not 0 <= self.dated <= MAX_TIME:
            raise BadInput("qualified/evidence", dated=self.dated)

    @property
    def until(self) -> Seconds:
        """Last second that it counts."""
        return Seconds(min(self.dated + EVIDENCE_AGE, MAX_TIME))

    @property
    def facts(self) -> dict[str, Value]:
        """As rules ask for it."""
        return {
            "securities_deposits_kopecks": self.securities + self.deposits,
            "income_kopecks": self.income,
        }


def stands(evidence: Evidence | None, book: RuleBook, *, at: Seconds, asset: str) -> Investor:
    """How an investor stands at ``at`` by the rules of ``book`` for a purchase of ``asset``."""
    counts = evidence is not None and evidence.dated <= at <= evidence.until
    known = evidence.facts if evidence is not None and counts else {}
    asked: dict[str, Value] = {"purpose": Purpose.PURCHASE.value, "asset": asset}
    denied = refusal(book, Gate.TRANSFER, known | asked, at=at)
    return Investor.QUALIFIED if denied is None else Investor.HOLD
