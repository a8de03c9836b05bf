"""The platform: its clock, its price, and whether it runs.

The *active* clock counts only while the last price is fresh. Deadlines of margin calls are
measured on it, so an oracle that falls silent never costs a borrower cure time (interBTC's
active blocks; ``PriceRounds.active_seconds`` is the same formula in bytecode).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import assert_never

from escrow.core.units import PriceE8, Seconds


@dataclass(frozen=True, slots=True)
class Price:
    """The last price that the quorum of oracles signed."""

    round: int
    """Number of the round, from 1."""
    price: PriceE8
    """Price of 1 BTC."""
    at: Seconds
    """When the oracles saw it."""


@dataclass(frozen=True, slots=True)
class Tips:
    """Where both chains stand."""

    height: int = 0
    """Height of the Bitcoin tip."""
    bitcoin: str = ""
    """Hash of the Bitcoin tip, display order."""
    block: int = 0
    """Number of the EVM head."""
    evm: str = ""
    """Hash of the EVM head."""


@dataclass(frozen=True, slots=True)
class Running:
    """A price is fresh: every verb works and the active clock runs."""


@dataclass(frozen=True, slots=True)
class Degraded:
    """Only what needs no price works: repay, top up, burn, recover. The active clock stands."""

    reason: str
    """Why: ``ORACLE_STALE``."""
    since: Seconds
    """When the active clock stopped."""


@dataclass(frozen=True, slots=True)
class System:
    """One platform for all loans of a world."""

    origin: Seconds
    """When the platform was set up."""
    heartbeat: Seconds
    """A price older than this is stale (Chainlink BTC/USD: 3,600 s)."""
    quorum: int
    """Oracles that must sign a price."""
    clock: Seconds
    """Now, as last told."""
    mode: Running | Degraded
    """Does the platform run?"""
    price: Price | None = None
    """The last price; none before the first round."""
    lost: Seconds = Seconds(0)
    """Seconds during which the price was stale, up to the last round."""
    tips: Tips = Tips()
    """Both chains as of the last tick."""


def new_system(*, origin: Seconds, heartbeat: Seconds, quorum: int) -> System:
    """A platform without a price: stale from the start, so its active clock stands still."""
    mode = Degraded("ORACLE_STALE", origin)
    return System(origin=origin, heartbeat=heartbeat, quorum=quorum, clock=origin, mode=mode)


def stale_from(system: System) -> Seconds:
    """The moment after which the last price is too old to use."""
    if system.price is None:
        return system.origin
    return Seconds(system.price.at + system.heartbeat)


def is_fresh(system: System, *, at: Seconds) -> bool:
    """May rules use the last price at ``at``? At exactly the heartbeat it is still fresh."""
    return system.price is not None and at <= stale_from(system)


def active_seconds(system: System, *, at: Seconds) -> Seconds:
    """The clock that margin calls are measured on."""
    return Seconds(at - system.lost - max(0, at - stale_from(system)))


@dataclass(frozen=True, slots=True)
class ClockTicked:
    """Time passed, and both chains stand where they stand."""

    at: Seconds
    tips: Tips


@dataclass(frozen=True, slots=True)
class OracleStale:
    """The last price outlived the heartbeat."""

    at: Seconds
    since: Seconds


@dataclass(frozen=True, slots=True)
class PriceMarked:
    """The quorum signed a new price; whatever was stale is fresh again."""

    at: Seconds
    price: Price


SystemEvent = ClockTicked | OracleStale | PriceMarked


def evolve_system(system: System, event: SystemEvent) -> System:
    """Fold one event into the platform."""
    match event:
        case ClockTicked():
            return replace(system, clock=event.at, tips=event.tips)
        case OracleStale():
            return replace(system, clock=event.at, mode=Degraded("ORACLE_STALE", event.since))
        case PriceMarked():
            gap = max(0, event.at - stale_from(system))
            return replace(
                system,
                clock=event.at,
                mode=Running(),
                price=event.price,
                lost=Seconds(system.lost + gap),
            )
        case _:
            assert_never(event)
