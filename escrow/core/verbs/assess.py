"""A due date passes unpaid, grace runs out, or arrears are paid (T18, T19, T20)."""

from __future__ import annotations

from dataclasses import dataclass

from escrow.core.errors import Rejected
from escrow.core.phases import on_evm
from escrow.core.regions.loan import Indebted
from escrow.core.regions.servicing import StandingNoted
from escrow.core.roles import Role
from escrow.core.servicing import overdue_since, standing_at
from escrow.core.state import Escrow, Event
from escrow.core.units import Seconds


@dataclass(frozen=True, slots=True)
class Assess:
    """A servicer's duty, open to anyone: it notes what payments and the clock say."""

    by: Role
    at: Seconds


def assess(escrow: Escrow, command: Assess) -> tuple[Event, ...]:
    """Raises ``loan/unknown``, ``assess/no-debt``, ``assess/unchanged``. Needs no price."""
    # WHO: anyone.
    # WHEN
    if not isinstance(on_evm(escrow.loan), Indebted):
        raise Rejected("assess/no-debt")
    standing = standing_at(escrow, at=command.at)
    if standing is escrow.servicing.standing:
        raise Rejected("assess/unchanged", standing=standing.value)
    # THEN
    since = overdue_since(escrow, at=command.at)
    return (StandingNoted(command.at, standing, since),)
