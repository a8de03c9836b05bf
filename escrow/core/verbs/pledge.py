"""Coins reach the vault, are buried, and may be dug out again by a reorganisation (T5–T7)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

from escrow.core.eligibility import DENIED
from escrow.core.errors import Rejected
from escrow.core.gates import collateral_gate, denial
from escrow.core.phases import takes_collateral, terms_of
from escrow.core.regions.vault import (
    CoinLocked,
    CoinLost,
    CoinMined,
    CoinReorged,
    CoinSeen,
    Confirming,
    Locked,
    Lost,
    Recovered,
    Reorged,
    Seen,
    Spent,
    find,
)
from escrow.core.roles import Role
from escrow.core.state import Escrow, Event, Incident
from escrow.core.terms import MIN_DEPOSIT
from escrow.core.units import Sats, Seconds


@dataclass(frozen=True, slots=True)
class SawCoin:
    """An output that pays the vault stands at ``depth`` (0: in the mempool)."""

    by: Role
    at: Seconds
    outpoint: str
    sats: Sats
    depth: int
    height: int = 0


@dataclass(frozen=True, slots=True)
class SawCoinGone:
    """The coin will not come back: transaction ``spender`` took it or what funded it."""

    by: Role
    at: Seconds
    outpoint: str
    spender: str


def saw_coin(escrow: Escrow, command: SawCoin) -> tuple[Event, ...]:
    """No event where nothing changed. Raises ``pledge/not-watcher``, ``loan/unknown``."""
    # WHO
    if command.by is not Role.WATCHER:
        raise Rejected("pledge/not-watcher", by=command.by.value)
    # WHEN
    final = terms_of(escrow.loan).confirmations
    coin = find(escrow.vault, command.outpoint)
    # THEN
    if coin is None:
        seen: Event = CoinSeen(command.at, command.outpoint, command.sats)
        return (seen, *_notes(escrow, command), *_buried(command, final))
    match coin.status:
        case Spent():
            return ()
        case Seen() | Reorged():
            return _buried(command, final)
        case Lost() | Recovered():
            # Fetched back by another reorganisation: it starts again.
            return (CoinSeen(command.at, command.outpoint, coin.sats), *_buried(command, final))
        case Confirming(height=height):
            if command.depth == 0:
                return (CoinSeen(command.at, command.outpoint, coin.sats),)
            if command.height != height or command.depth >= final:
                return _buried(command, final)
            return ()
        case Locked(height=height):
            if command.depth >= final and command.height == height:
                return ()
            return (CoinReorged(command.at, command.outpoint), *_buried(command, final))
        case _:
            assert_never(coin.status)


def _buried(command: SawCoin, final: int) -> tuple[Event, ...]:
    if command.depth == 0:
        return ()
    mined = CoinMined(command.at, command.outpoint, command.height)
    if command.depth < final:
        return (mined,)
    return (mined, CoinLocked(command.at, command.outpoint, command.height))


def _notes(escrow: Escrow, command: SawCoin) -> tuple[Event, ...]:
    """What a bank would want to be told of an odd deposit. Nothing is lost by it."""
    facts = (("outpoint", command.outpoint), ("sats", int(command.sats)))
    if command.sats < MIN_DEPOSIT:
        return (Incident(command.at, "SawCoin", "pledge/below-minimum", facts),)
    if not takes_collateral(escrow.loan):
        return (Incident(command.at, "SawCoin", "pledge/late", facts),)
    denied = denial(escrow, collateral_gate(escrow), at=command.at)
    if denied is not None:
        why = (("reason", denied.reason), ("rule", denied.rule))
        return (Incident(command.at, "SawCoin", DENIED, (*facts, *why)),)
    return ()


def saw_coin_gone(escrow: Escrow, command: SawCoinGone) -> tuple[Event, ...]:
    """Raises ``pledge/not-watcher``, ``pledge/unknown-coin``, ``pledge/spent``."""
    # WHO
    if command.by is not Role.WATCHER:
        raise Rejected("pledge/not-watcher", by=command.by.value)
    # WHEN
    coin = find(escrow.vault, command.outpoint)
    if coin is None:
        raise Rejected("pledge/unknown-coin", outpoint=command.outpoint)
    match coin.status:
        case Lost():
            return ()
        case Spent() | Recovered():
            raise Rejected("pledge/spent", outpoint=command.outpoint)
        case Seen() | Confirming() | Locked() | Reorged():
            # THEN
            return (CoinLost(command.at, command.outpoint, command.spender),)
        case _:
            assert_never(coin.status)
