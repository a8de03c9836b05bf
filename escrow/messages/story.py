"""A log read again: every event with the deal before and after it, as the engine folded it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from escrow.core.laws import Step
from escrow.core.regions.system import System
from escrow.core.state import Escrow, Event, evolve, joined

SHARED: Final = ""
"""Stream of what all loans share."""


@dataclass(frozen=True, slots=True)
class Told:
    """One event of the log."""

    log: int
    """Its place there, from 0."""
    loan: str
    """Whose event; ``SHARED`` for the platform's."""
    step: Step
    """The event, and the deal before and after."""


def retold(events: Iterable[tuple[str, Event]], *, system: System) -> Iterator[Told]:
    """Fold ``(loan, event)`` pairs from the start; ``system`` is the platform as it was set up."""
    shared, deals = Escrow(system), dict[str, Escrow]()
    for log, (loan, event) in enumerate(events):
        before = joined(deals.get(loan) or shared, shared)
        after = evolve(before, event)
        if loan == SHARED:
            shared = after
        else:
            deals[loan] = after
        yield Told(log, loan, Step(before, event, after))
