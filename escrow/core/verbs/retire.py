"""Tokens whose coin is gone are destroyed: supply shrinks to what the vaults hold."""

from __future__ import annotations

from dataclasses import dataclass

from escrow.core.errors import Rejected
from escrow.core.regions.token import Retired, outstanding
from escrow.core.regions.vault import Lost, Recovered, find
from escrow.core.roles import Role
from escrow.core.state import Escrow, Event
from escrow.core.units import Sats, Seconds


@dataclass(frozen=True, slots=True)
class Retire:
    """``PledgeToken.retire`` with a quorum's word that ``outpoint`` is gone."""

    by: Role
    at: Seconds
    outpoint: str
    sats: Sats
    tx: str = ""


def retire(escrow: Escrow, command: Retire) -> tuple[Event, ...]:
    """Raises ``mint/not-attestor``, ``retire/not-lost``, ``retire/replayed``, ``mint/amount``,
    ``retire/insufficient``."""
    # WHO
    if command.by is not Role.ATTESTOR:
        raise Rejected("mint/not-attestor", by=command.by.value)
    # WHEN
    if command.outpoint in escrow.token.retired_outpoints:
        raise Rejected("retire/replayed", outpoint=command.outpoint)
    # Tokens stand on minted coins, and on the change that payouts gave back.
    coin = find(escrow.vault, command.outpoint)
    stands = coin is not None and (coin.change or coin.outpoint in escrow.token.outpoints)
    if coin is None or not stands or not isinstance(coin.status, Lost | Recovered):
        raise Rejected("retire/not-lost", outpoint=command.outpoint)
    # Less than the coin only where a part was burned before it was lost.
    if not 0 < command.sats <= coin.sats:
        raise Rejected("mint/amount", sats=command.sats, coin=coin.sats)
    if command.sats > outstanding(escrow.token):
        raise Rejected("retire/insufficient", sats=command.sats)
    # All that stood on it: what were left would claim a coin that is gone.
    if command.sats < min(coin.sats, outstanding(escrow.token)):
        raise Rejected("mint/amount", sats=command.sats, coin=coin.sats)
    # THEN
    return (Retired(command.at, command.outpoint, command.sats, command.tx),)
