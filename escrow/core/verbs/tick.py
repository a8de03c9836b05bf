"""Time passes. The only clock there is."""

from __future__ import annotations

from dataclasses import dataclass

from escrow.core.errors import Rejected
from escrow.core.regions.system import (
    ClockTicked,
    OracleStale,
    Resumed,
    Running,
    Tips,
    mode_at,
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
    system, at = escrow.system, command.at
    ticked = ClockTicked(at, command.tips)
    # What time alone has changed comes first: no moment may show a clock past the heartbeat, or
    # past a pause, on a platform that says otherwise.
    if mode_at(system, at=at) == system.mode:
        return (ticked,)
    if isinstance(system.mode, Running):
        return (OracleStale(at, since=stale_from(system)), ticked)
    assert system.pause is not None, "a stale price grows fresh by a price only"
    return (Resumed(at, ended=system.pause.until), ticked)
