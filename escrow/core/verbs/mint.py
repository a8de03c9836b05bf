"""Attestors say a coin is final, and its tokens are minted, each coin once, within reserves that
they saw freshly (T7)."""

from __future__ import annotations

from dataclasses import dataclass

from escrow.core.errors import Rejected
from escrow.core.regions.token import Minted, outstanding
from escrow.core.regions.vault import Locked, find
from escrow.core.roles import Role
from escrow.core.state import Escrow, Event
from escrow.core.terms import MIN_DEPOSIT, RESERVE_LIFE
from escrow.core.units import MAX_MONEY, Sats, Seconds


@dataclass(frozen=True, slots=True)
class Mint:
    """``PledgeToken.mint`` with a quorum's attestation of ``outpoint``."""

    by: Role
    at: Seconds
    outpoint: str
    sats: Sats
    tx: str = ""
    reserves: Sats = MAX_MONEY
    """Sats final in this loan's vault less its unpaid burns, as the quorum stated them. The vault
    region says for itself what is there, and a law holds the two together."""
    age: Seconds = Seconds(0)
    """How long before the mint they were seen; negative if dated ahead."""


def mint(escrow: Escrow, command: Mint) -> tuple[Event, ...]:
    """Raises ``mint/not-attestor``, ``mint/from-future``, ``mint/expired``, ``mint/amount``,
    ``mint/replayed``, ``pledge/unknown-coin``, ``pledge/not-confirmed``, ``mint/reserves``.

    The contract knows no coins; what else it checks, it checks in this order.
    """
    # WHO
    if command.by is not Role.ATTESTOR:
        raise Rejected("mint/not-attestor", by=command.by.value)
    # WHEN
    if command.age < 0:
        raise Rejected("mint/from-future", age=command.age)
    if command.age > RESERVE_LIFE:
        raise Rejected("mint/expired", age=command.age, life=RESERVE_LIFE)
    if not MIN_DEPOSIT <= command.sats <= MAX_MONEY:
        raise Rejected("mint/amount", sats=command.sats)
    if command.outpoint in escrow.token.outpoints:
        raise Rejected("mint/replayed", outpoint=command.outpoint)
    coin = find(escrow.vault, command.outpoint)
    if coin is None or coin.change:
        raise Rejected("pledge/unknown-coin", outpoint=command.outpoint)
    if not isinstance(coin.status, Locked):
        raise Rejected("pledge/not-confirmed", outpoint=command.outpoint)
    if command.sats != coin.sats:
        raise Rejected("mint/amount", sats=command.sats, coin=coin.sats)
    claims = outstanding(escrow.token) + command.sats
    if claims > command.reserves:
        raise Rejected("mint/reserves", claims=claims, reserves=command.reserves)
    # THEN
    return (Minted(command.at, command.outpoint, command.sats, command.tx),)
