"""The set of oracles was replaced on the EVM."""

from __future__ import annotations

from dataclasses import dataclass

from escrow.core.errors import Rejected
from escrow.core.regions.system import OraclesRotated
from escrow.core.roles import Role
from escrow.core.state import Escrow, Event
from escrow.core.units import Seconds


@dataclass(frozen=True, slots=True)
class SawRotation:
    """``PriceRounds.rotate_set``: from now on ``quorum`` oracles of another set report a price."""

    by: Role
    at: Seconds
    quorum: int


def saw_rotation(escrow: Escrow, command: SawRotation) -> tuple[Event, ...]:  # noqa: ARG001
    """Raises ``price/not-watcher``."""
    # WHO
    if command.by is not Role.WATCHER:
        raise Rejected("price/not-watcher", by=command.by.value)
    # WHEN: always; that the old quorum agreed to it and waited, the contract has checked.
    # THEN
    return (OraclesRotated(command.at, command.quorum),)
