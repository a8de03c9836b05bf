"""Margin calls on a pool, by the rules of a loan on coins: called at or above the level, cure time
on the active clock, in time at the deadline, and lapsed only while the level is reached."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from escrow.collateral.pool import Valuation
from escrow.core.units import Cents, Seconds


class Move(Enum):
    """What the rules do now."""

    NONE = "none"
    """Nothing."""
    CALL = "call"
    """A call is made."""
    CURE = "cure"
    """It is answered: the restore level is met."""
    EXPIRE = "expire"
    """Its time is over, so the collateral is realised."""
    LIQUIDATE = "liquidate"
    """The liquidation level is reached, call or no call."""


@dataclass(frozen=True, slots=True)
class Call:
    """A margin call that is open."""

    deadline: Seconds
    """Last active second to answer it."""


def watch(
    call: Call | None, debt: Cents, *, pool: Valuation, active: Seconds, cure: Seconds
) -> tuple[Call | None, Move]:
    """What is done about a pool now, and the call that is open afterwards.

    ``active`` are seconds of the active clock, which stands while there is no fresh price; ``cure``
    is what a new call gives.
    """
    if pool.at_liquidation(debt):
        return None, Move.LIQUIDATE
    if call is None:
        if pool.at_call(debt):
            return Call(Seconds(active + cure)), Move.CALL
        return None, Move.NONE
    if pool.restored(debt):
        return None, Move.CURE
    if active > call.deadline and pool.at_call(debt):
        return None, Move.EXPIRE
    return call, Move.NONE
