"""The guardian stops everything that needs a price, for a while."""

from __future__ import annotations

from dataclasses import dataclass

from escrow.core.errors import Rejected
from escrow.core.regions.system import MAX_PAUSE, RESUME_GRACE, Paused, Resumed, is_paused
from escrow.core.roles import Role
from escrow.core.state import Escrow, Event
from escrow.core.units import Seconds


@dataclass(frozen=True, slots=True)
class Pause:
    """``PriceRounds.pause``: for this many seconds, unless it is ended before."""

    by: Role
    at: Seconds
    seconds: Seconds
    tx: str = ""


@dataclass(frozen=True, slots=True)
class Resume:
    """``PriceRounds.resume``: the pause ends before its time (T31)."""

    by: Role
    at: Seconds
    tx: str = ""


def pause(escrow: Escrow, command: Pause) -> tuple[Event, ...]:
    """Raises ``pause/…``: not-guardian, length, too-soon."""
    # WHO
    if command.by is not Role.GUARDIAN:
        raise Rejected("pause/not-guardian", by=command.by.value)
    # WHEN
    if not 0 < command.seconds <= MAX_PAUSE:
        raise Rejected("pause/length", seconds=command.seconds, most=MAX_PAUSE)
    last = escrow.system.pause
    rested = 2 * last.until - last.since if last else 0
    if command.at < rested:
        raise Rejected("pause/too-soon", now=command.at, least=rested)
    # THEN
    return (Paused(command.at, until=Seconds(command.at + command.seconds)),)


def resume(escrow: Escrow, command: Resume) -> tuple[Event, ...]:
    """Raises ``pause/…``: not-guardian, not-paused, ends-soon."""
    # WHO
    if command.by is not Role.GUARDIAN:
        raise Rejected("pause/not-guardian", by=command.by.value)
    # WHEN
    if not is_paused(escrow.system, at=command.at):
        raise Rejected("pause/not-paused", now=command.at)
    assert escrow.system.pause is not None
    ended, until = Seconds(command.at + RESUME_GRACE), escrow.system.pause.until
    if ended >= until:
        raise Rejected("pause/ends-soon", now=command.at, until=until)
    # THEN
    return (Resumed(command.at, ended=ended),)
