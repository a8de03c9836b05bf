"""Time passes. The only clock there is."""

from __future__ import annotations

from dataclasses import dataclass

from escrow.core.errors import Rejected
from escrow.core.regions.system import (
    ClockTicked,
    OracleStale,
    Running,
    Tips,
    is_fresh,
    stale_from,
)
from escrow.core.roles import Role
from escrow.core.state import Escrow, Event
from escrow.core.units import Seconds


@dataclass(frozen=True, slots=True)
class Tick:
    """It is ``at``, and both chains stand at ``tips``."""

    by: Role
    at: Seconds
    tips: Tips = Tips()


def tick(escrow: Escrow, command: Tick) -> tuple[Event, ...]:
    """Raises ``tick/not-watcher``."""
    # WHO
    if command.by is not Role.WATCHER:
        raise Rejected("tick/not-watcher", by=command.by.value)
    # WHEN: always; that time does not go back is checked for every command.
    # THEN
    system = escrow.system
    ticked = ClockTicked(command.at, command.tips)
    if isinstance(system.mode, Running) and not is_fresh(system, at=command.at):
        # First: no moment may show a clock past the heartbeat on a platform that runs.
        return (OracleStale(command.at, since=stale_from(system)), ticked)
    return (ticked,)
