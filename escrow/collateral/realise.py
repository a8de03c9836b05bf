"""Realising a pool after a default: what goes first, what it fetches, and who gets what.

All sales begin at the default, and each is over after the lag of its type: coins at once, machines
when an auction has found a buyer. What is over first pays first; once the debt is paid, what has
not been sold goes back.
"""

from __future__ import annotations

from dataclasses import dataclass

from escrow.collateral.items import Item
from escrow.collateral.market import Market
from escrow.collateral.model import Type
from escrow.collateral.pool import Types
from escrow.collateral.value import worth
from escrow.core.rules import Debt, accrue, owed, pay
from escrow.core.units import BPS, Bps, Cents, Seconds, muldiv_down, muldiv_up


@dataclass(frozen=True, slots=True)
class Split:
    """Where the proceeds of a sale go, in this order. They add up to what came in."""

    costs: Cents
    """Of the sale."""
    interest: Cents
    """To the lender."""
    principal: Cents
    """To the lender."""
    surplus: Cents
    """Back to the borrower."""

    @property
    def lender(self) -> Cents:
        """All that the lender gets."""
        return Cents(self.interest + self.principal)


@dataclass(frozen=True, slots=True)
class Sale:
    """One item, sold."""

    item: Item
    """What."""
    at: Seconds
    """When the buyer paid."""
    proceeds: Cents
    """What the buyer paid."""
    split: Split
    """Who got it."""


@dataclass(frozen=True, slots=True)
class Realised:
    """How it ended."""

    sales: tuple[Sale, ...]
    """In the order in which they were over."""
    returned: tuple[Item, ...]
    """What was not sold any more."""
    debt: Debt
    """After the last sale, accrued to it."""
    shortfall: Cents
    """What is still owed then, rounded up: the lender's loss."""


def order(items: tuple[Item, ...], *, types: Types) -> tuple[Item, ...]:
    """What is over first comes first; of one lag, as ids sort."""
    return tuple(sorted(items, key=lambda item: (types[item.type].lag, item.id)))


def proceeds_of(item: Item, *, kind: Type, market: Market, start: Seconds) -> Cents:
    """What a sale that begins at ``start`` fetches: the value at its end, less the discount of a
    forced sale, rounded down."""
    end = Seconds(start + kind.lag)
    value = worth(item, kind=kind, market=market, at=end)
    return Cents(muldiv_down(value, BPS - kind.discount, BPS))


def divide(proceeds: Cents, *, debt: Debt, costs_bps: Bps) -> tuple[Split, Debt]:
    """The waterfall of one sale over an accrued debt: costs (rounded up), interest, principal,
    and what is left to the borrower."""
    costs = Cents(muldiv_up(proceeds, costs_bps, BPS))
    left = Cents(proceeds - costs)
    after, interest, principal = pay(debt, amount=left)
    surplus = Cents(left - interest - principal)
    return Split(costs, interest, principal, surplus), after


def realise(
    items: tuple[Item, ...],
    debt: Debt,
    *,
    rate_bps: Bps,
    types: Types,
    market: Market,
    start: Seconds,
) -> Realised:
    """Sell a pool for a debt that goes on to accrue until each sale is over."""
    sales: list[Sale] = []
    left, at = debt, start
    waiting = order(items, types=types)
    for place, item in enumerate(waiting):
        if not owed(left, rate_bps=rate_bps, at=at):
            return Realised(tuple(sales), waiting[place:], left, Cents(0))
        kind = types[item.type]
        at = Seconds(start + kind.lag)
        left = accrue(left, rate_bps=rate_bps, at=at)
        proceeds = proceeds_of(item, kind=kind, market=market, start=start)
        split, left = divide(proceeds, debt=left, costs_bps=kind.costs)
        sales.append(Sale(item, at, proceeds, split))
    return Realised(tuple(sales), (), left, owed(left, rate_bps=rate_bps, at=at))
