"""The oracles sign a price."""

from __future__ import annotations

from dataclasses import dataclass

from escrow.core.errors import Rejected
from escrow.core.regions.system import Price, PriceMarked
from escrow.core.roles import Role
from escrow.core.state import Escrow, Event
from escrow.core.units import MAX_PRICE, PriceE8, Seconds


@dataclass(frozen=True, slots=True)
class Mark:
    """``PriceRounds.post``: one price, signed by ``signers`` different oracles of the set."""

    by: Role
    at: Seconds
    round: int
    price: PriceE8
    priced_at: Seconds
    signers: int


def mark(escrow: Escrow, command: Mark) -> tuple[Event, ...]:
    """Raises ``price/…``: not-oracle, too-few-signers, round, range, from-future, not-newer,
    too-old."""
    # WHO
    if command.by is not Role.ORACLE:
        raise Rejected("price/not-oracle", by=command.by.value)
    if command.signers < escrow.system.quorum:
        raise Rejected(
            "price/too-few-signers", signers=command.signers, quorum=escrow.system.quorum
        )
    # WHEN
    last = escrow.system.price
    expected = last.round + 1 if last else 1
    if command.round != expected:
        raise Rejected("price/round", round=command.round, expected=expected)
    if not 0 < command.price <= MAX_PRICE:
        raise Rejected("price/range", price=command.price)
    if command.priced_at > command.at:
        raise Rejected("price/from-future", priced_at=command.priced_at, now=command.at)
    # Before the first price the platform counts as stale since it was set up: as if a price had
    # just outlived the heartbeat then.
    newest = last.at if last else Seconds(escrow.system.origin - escrow.system.heartbeat)
    if command.priced_at <= newest:
        raise Rejected("price/not-newer", priced_at=command.priced_at, last=newest)
    if command.at - command.priced_at > escrow.system.heartbeat:
        raise Rejected("price/too-old", priced_at=command.priced_at, now=command.at)
    # THEN
    return (PriceMarked(command.at, Price(command.round, command.price, command.priced_at)),)
