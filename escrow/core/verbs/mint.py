"""Attestors say a coin is final, and its tokens are minted, each coin once (T7)."""

from __future__ import annotations

from dataclasses import dataclass

from escrow.core.errors import Rejected
from escrow.core.regions.token import Minted
from escrow.core.regions.vault import Locked, find
from escrow.core.roles import Role
from escrow.core.state import Escrow, Event
from escrow.core.terms import MIN_DEPOSIT
from escrow.core.units import MAX_MONEY, Sats, Seconds


@dataclass(frozen=True, slots=True)
class Mint:
    """``PledgeToken.mint`` with a quorum's attestation of ``outpoint``."""

    by: Role
    at: Seconds
    outpoint: str
    sats: Sats
    tx: str = ""


def mint(escrow: Escrow, command: Mint) -> tuple[Event, ...]:
    """Raises ``mint/not-attestor``, ``mint/replayed``, ``pledge/unknown-coin``,
    ``pledge/not-confirmed``, ``mint/amount``."""
    # WHO
    if command.by is not Role.ATTESTOR:
        raise Rejected("mint/not-attestor", by=command.by.value)
    # WHEN
    if command.outpoint in escrow.token.outpoints:
        raise Rejected("mint/replayed", outpoint=command.outpoint)
    coin = find(escrow.vault, command.outpoint)
    if coin is None or coin.change:
        raise Rejected("pledge/unknown-coin", outpoint=command.outpoint)
    if not isinstance(coin.status, Locked):
        raise Rejected("pledge/not-confirmed", outpoint=command.outpoint)
    if command.sats != coin.sats or not MIN_DEPOSIT <= command.sats <= MAX_MONEY:
        raise Rejected("mint/amount", sats=command.sats, coin=coin.sats)
    # THEN
    return (Minted(command.at, command.outpoint, command.sats, command.tx),)
