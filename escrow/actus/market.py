"""What a contract observes: market objects, and events that no schedule foretells.

Source: technical specification §5 "Risk Factor Observer".
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from decimal import Decimal

from escrow.actus.moments import Moment
from escrow.actus.states import ZERO
from escrow.actus.terms import Performance
from escrow.core.errors import BadInput


@dataclass(frozen=True, slots=True)
class Observed:
    """An event that was observed."""

    at: Moment
    """When."""
    kind: str
    """Its type: ``XD``, ``CE``, ``PP``, ``PR``, ``PD``."""
    value: Decimal = ZERO
    """Its amount, positive whoever pays."""
    contract_id: str = ""
    """Of which contract; empty: of the one in question."""
    performance: Performance | None = None
    """``CE``: how the contract performs from then on."""


@dataclass(frozen=True, slots=True)
class Market:
    """Everything that was observed."""

    series: dict[str, tuple[tuple[Moment, Decimal], ...]] = field(default_factory=dict)
    """Market object → times and values, in order of time."""
    events: tuple[Observed, ...] = ()
    """Events, in order of time."""
    until: Moment | None = None
    """[tmax] Nothing is looked at beyond. A date without a time is its whole day."""

    def reaches(self, at: Moment) -> bool:
        """Is a moment looked at?"""
        until = self.until
        if until is None or at <= until:
            return True
        return until.second == 0 and at.day == until.day

    def observe(self, code: str, at: Moment) -> Decimal:
        """The last value at or before a moment. Raises BadInput("actus/observation")."""
        values = self.series.get(code, ())
        place = bisect_right(values, at, key=lambda each: each[0])
        if place == 0:
            raise BadInput("actus/observation", object=code[:40], at=str(at))
        return values[place - 1][1]

    def of(self, contract_id: str, *kinds: str) -> tuple[Observed, ...]:
        """Observed events of a contract, of these types."""
        return tuple(
            each
            for each in self.events
            if each.kind in kinds and each.contract_id in ("", contract_id)
        )
