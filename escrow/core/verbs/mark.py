"""The oracles report prices, and the median counts."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from escrow.core.errors import Rejected
from escrow.core.regions.system import Price, PriceMarked, is_jump, median
from escrow.core.roles import Role
from escrow.core.state import Escrow, Event
from escrow.core.units import MAX_PRICE, PriceE8, Seconds


@dataclass(frozen=True, slots=True)
class Mark:
    """``PriceRounds.post``: what different oracles of the set signed, each its own price."""

    by: Role
    at: Seconds
    round: int
    prices: tuple[PriceE8, ...]
    priced_at: Seconds


def mark(escrow: Escrow, command: Mark) -> tuple[Event, ...]:
    """Raises ``price/…``: not-oracle, too-few-signers, even, order, round, range, from-future,
    not-newer, too-old, deviation."""
    system, prices = escrow.system, command.prices
    # WHO
    if command.by is not Role.ORACLE:
        raise Rejected("price/not-oracle", by=command.by.value)
    if len(prices) < system.quorum:
        raise Rejected("price/too-few-signers", signers=len(prices), quorum=system.quorum)
    if len(prices) % 2 == 0:
        raise Rejected("price/even", signers=len(prices))
    if any(left > right for left, right in pairwise(prices)):
        raise Rejected("price/order")
    # WHEN
    last, price = system.price, median(prices)
    expected = last.round + 1 if last else 1
    if command.round != expected:
        raise Rejected("price/round", round=command.round, expected=expected)
    if not 0 < price <= MAX_PRICE:
        raise Rejected("price/range", price=price)
    if command.priced_at > command.at:
        raise Rejected("price/from-future", priced_at=command.priced_at, now=command.at)
    # Before the first price the platform counts as stale since it was set up: as if a price had
    # just outlived the heartbeat then.
    newest = last.at if last else Seconds(system.origin - system.heartbeat)
    if command.priced_at <= newest:
        raise Rejected("price/not-newer", priced_at=command.priced_at, last=newest)
    if command.at - command.priced_at > system.heartbeat:
        raise Rejected("price/too-old", priced_at=command.priced_at, now=command.at)
    if len(prices) < system.wide_quorum and is_jump(system, price, at=command.at):
        raise Rejected("price/deviation", price=price, signers=len(prices))
    # THEN
    return (PriceMarked(command.at, Price(command.round, price, command.priced_at), prices),)
