"""The platform: its clock, its price, and whether it runs.

The *active* clock counts only while rules may use the last price: it is not too old, and the
guardian has not paused. Deadlines of margin calls are measured on it, so neither a silent oracle
nor a pause costs a borrower cure time (interBTC's active blocks; ``PriceRounds.active_seconds``
is the same formula in bytecode).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, assert_never

from escrow.core.units import BPS, DAY, Bps, PriceE8, Seconds

MAX_PAUSE: Final = Seconds(7 * DAY)
"""Longest that a guardian may pause at once."""
RESUME_GRACE: Final = Seconds(14_400)
"""What is left of a pause that the guardian ends: four hours, in which borrowers can act before
prices decide again (the most that Aave v3 allows for its liquidation grace)."""
ORACLE_STALE: Final = "ORACLE_STALE"
"""The last price is too old, or there is none."""
PAUSED: Final = "PAUSED"
"""The guardian has paused."""


@dataclass(frozen=True, slots=True)
class Price:
    """The last price: the median of what a quorum of oracles signed."""

    round: int
    """Number of the round, from 1."""
    price: PriceE8
    """Price of 1 BTC."""
    at: Seconds
    """When the oracles saw it."""


@dataclass(frozen=True, slots=True)
class Pause:
    """The guardian's last pause: from its first second on, until the last is over."""

    since: Seconds
    until: Seconds


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
    """``ORACLE_STALE`` or ``PAUSED``; while both are true, ``PAUSED``."""
    since: Seconds
    """Since when that is so."""


@dataclass(frozen=True, slots=True)
class System:
    """One platform for all loans of a world."""

    origin: Seconds
    """When the platform was set up."""
    heartbeat: Seconds
    """A price older than this is stale (Chainlink BTC/USD: 3,600 s)."""
    quorum: int
    """Oracles that must report a price."""
    wide_quorum: int
    """Oracles that must report a jump."""
    deviation: Bps
    """A price further than this from the last one is a jump."""
    clock: Seconds
    """Now, as last told."""
    mode: Running | Degraded
    """Does the platform run?"""
    price: Price | None = None
    """The last price; none before the first round."""
    pause: Pause | None = None
    """The last pause, also when it is over; none before the first."""
    lost: Seconds = Seconds(0)
    """Seconds without a price that rules may use, less those that ``price`` and ``pause`` tell."""
    tips: Tips = Tips()
    """Both chains as of the last tick."""


def new_system(
    *, origin: Seconds, heartbeat: Seconds, quorum: int, wide_quorum: int, deviation: Bps
) -> System:
    """A platform without a price: stale from the start, so its active clock stands still."""
    return System(
        origin=origin,
        heartbeat=heartbeat,
        quorum=quorum,
        wide_quorum=wide_quorum,
        deviation=deviation,
        clock=origin,
        mode=Degraded(ORACLE_STALE, origin),
    )


def stale_from(system: System) -> Seconds:
    """The moment after which the last price is too old to use."""
    if system.price is None:
        return system.origin
    return Seconds(system.price.at + system.heartbeat)


def is_recent(system: System, *, at: Seconds) -> bool:
    """Is there a price that is not too old at ``at``? At exactly the heartbeat it is not yet."""
    return system.price is not None and at <= stale_from(system)


def is_paused(system: System, *, at: Seconds) -> bool:
    """Has the guardian paused? At exactly the end of a pause it is over."""
    return system.pause is not None and at < system.pause.until


def is_fresh(system: System, *, at: Seconds) -> bool:
    """May rules use the last price at ``at``?"""
    return is_recent(system, at=at) and not is_paused(system, at=at)


def mode_at(system: System, *, at: Seconds) -> Running | Degraded:
    """Does the platform run at ``at``, and if not, why?"""
    if system.pause is not None and is_paused(system, at=at):
        return Degraded(PAUSED, system.pause.since)
    return Running() if is_recent(system, at=at) else Degraded(ORACLE_STALE, stale_from(system))


def median(prices: tuple[PriceE8, ...]) -> PriceE8:
    """The one in the middle, of an odd number in ascending order."""
    return prices[len(prices) >> 1]


def is_jump(system: System, price: PriceE8, *, at: Seconds) -> bool:
    """Is ``price`` further from the last one than one quorum alone may move it at ``at``?

    From a price that is too old there is no jump: the clocks have stood since, and the market may
    have gone anywhere. A pause makes no price old.
    """
    last = system.price
    if last is None or not is_recent(system, at=at):
        return False
    return abs(price - last.price) * BPS > system.deviation * last.price


def active_seconds(system: System, *, at: Seconds) -> Seconds:
    """The clock that margin calls are measured on."""
    both = _stale(system, at) + _paused(system, at) - _overlap(system, at)
    return Seconds(at - system.lost - both)


def _stale(system: System, at: int) -> int:
    return max(0, at - stale_from(system))


def _paused(system: System, at: int) -> int:
    """Seconds of the last pause up to ``at``."""
    return 0 if system.pause is None else min(at, system.pause.until) - system.pause.since


def _overlap(system: System, at: int) -> int:
    """Seconds that count once though the price was stale and the guardian had paused."""
    if system.pause is None:
        return 0
    first = max(stale_from(system), system.pause.since)
    return max(0, min(at, system.pause.until) - first)


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
    """A quorum reported a new price; what was stale is not any more."""

    at: Seconds
    price: Price
    reports: tuple[PriceE8, ...]
    """What the oracles signed, ascending: the price is the one in the middle."""


@dataclass(frozen=True, slots=True)
class Paused:
    """The guardian stopped everything that needs a price."""

    at: Seconds
    until: Seconds


@dataclass(frozen=True, slots=True)
class Resumed:
    """A pause is over, or the guardian has said when it will be."""

    at: Seconds
    ended: Seconds
    """When it is over: not before ``at`` if the guardian says so, not after if time has."""


@dataclass(frozen=True, slots=True)
class OraclesRotated:
    """Another set of oracles counts."""

    at: Seconds
    quorum: int


SystemEvent = ClockTicked | OracleStale | PriceMarked | Paused | Resumed | OraclesRotated


def evolve_system(system: System, event: SystemEvent) -> System:
    """Fold one event into the platform."""
    match event:
        case ClockTicked():
            # What time alone changes is told by an event of its own, before this one.
            return replace(system, clock=event.at, tips=event.tips)
        case OracleStale():
            after = system
        case PriceMarked():
            gap = _stale(system, event.at) - _overlap(system, event.at)
            after = replace(system, price=event.price, lost=Seconds(system.lost + gap))
        case Paused():
            # The pause before this one is over, and nothing but ``lost`` tells of it from now on.
            gap = _paused(system, event.at) - _overlap(system, event.at)
            pause, lost = Pause(event.at, event.until), Seconds(system.lost + gap)
            after = replace(system, pause=pause, lost=lost)
        case Resumed():
            assert system.pause is not None
            after = replace(system, pause=replace(system.pause, until=event.ended))
        case OraclesRotated():
            after = replace(system, quorum=event.quorum)
        case _:
            assert_never(event)
    return replace(after, clock=event.at, mode=mode_at(after, at=event.at))
