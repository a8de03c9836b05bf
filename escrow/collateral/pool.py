"""A pool of collateral of several types: what counts, what may be lent, and what may leave it.

Limits nest, each inside the next: a thing, then all of its type that one issuer is behind, then
all of the type. What is above a limit counts zero and is not refused: a pool that grew past one by
a price alone is still pledged. CDM says what a limit is (``ConcentrationLimit``: a value or a
percentage, of an asset, an issuer, a schedule) and not what becomes of the excess; that, and that
a percentage is of all that is eligible, are choices made here.

More collateral never lowers what may be lent, and a thing in parts counts no more than whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from escrow.collateral.items import Claim, Coins, Item, Machine, Revenue
from escrow.collateral.market import Market
from escrow.collateral.model import Levels, Limit, Type
from escrow.collateral.value import check_fits, why_not, worth
from escrow.core.errors import BadInput, Rejected
from escrow.core.units import BPS, Bps, Cents, Seconds, muldiv_down, muldiv_up

Types = Mapping[str, Type]
"""Types of collateral by id."""


@dataclass(frozen=True, slots=True)
class Line:
    """One item of a pool, valued."""

    item: Item
    """The item."""
    worth: Cents
    """Market value."""
    why: str
    """Code for why it is not eligible; empty if it is."""


@dataclass(frozen=True, slots=True)
class Counted:
    """What counts of one type."""

    type: Type
    """The type."""
    eligible: Cents
    """Market value of what is eligible,"""
    cents: Cents
    """and what of it is within the limits."""


@dataclass(frozen=True, slots=True)
class Valuation:
    """A pool, valued at a moment."""

    at: Seconds
    """When."""
    lines: tuple[Line, ...]
    """Item by item, as pledged."""
    types: tuple[Counted, ...]
    """Type by type, by id."""

    @property
    def counted(self) -> Cents:
        """Market value of all that counts."""
        return Cents(sum(each.cents for each in self.types))

    @property
    def lending(self) -> Cents:
        """The most that may be lent: Σ value × (1 − haircut), rounded down once."""
        total = self._weighted(lambda levels: Bps(BPS - levels.haircut))
        return Cents(muldiv_down(total, 1, BPS))

    def at_call(self, debt: Cents) -> bool:
        """Is the debt at or above the call level of the pool? Exact; no debt is below."""
        return debt > 0 and debt * BPS >= self._weighted(lambda levels: levels.call)

    def at_liquidation(self, debt: Cents) -> bool:
        """Is it at or above the liquidation level? Exact; no debt is below."""
        return debt > 0 and debt * BPS >= self._weighted(lambda levels: levels.liquidation)

    def restored(self, debt: Cents) -> bool:
        """Is it at or below the restore level? Exact."""
        return debt * BPS <= self._weighted(lambda levels: levels.restore)

    def ltv(self, debt: Cents) -> Bps:
        """Loan-to-value of what counts, in bps, rounded up, for people to read; a debt against
        nothing is 10,000 times over."""
        if not self.counted:
            return Bps(BPS * BPS if debt else 0)
        return Bps(muldiv_up(debt, BPS, self.counted))

    def _weighted(self, level: Callable[[Levels], Bps]) -> int:
        """Σ value × level, in cents × bps."""
        return sum(each.cents * level(each.type.levels) for each in self.types)


def value_pool(items: Iterable[Item], *, types: Types, market: Market, at: Seconds) -> Valuation:
    """Value a pool. Raises BadInput: ``collateral/type``, ``collateral/twice``,
    ``collateral/thing``."""
    held = tuple(items)
    _check(held, types)
    lines = tuple(
        Line(
            item,
            worth(item, kind=types[item.type], market=market, at=at),
            why_not(item, kind=types[item.type], market=market, at=at),
        )
        for item in held
    )
    good = [line for line in lines if not line.why]
    total = Cents(sum(line.worth for line in good))
    counted = []
    for name in sorted({item.type for item in held}):
        mine = [line for line in good if line.item.type == name]
        eligible = Cents(sum(line.worth for line in mine))
        counted.append(Counted(types[name], eligible, _within(mine, types[name], total)))
    return Valuation(at, lines, tuple(counted))


def add(items: tuple[Item, ...], new: Item, *, types: Types) -> tuple[Item, ...]:
    """The pool with one item more. Raises BadInput as ``value_pool``."""
    after = (*items, new)
    _check(after, types)
    return after


def release(
    items: tuple[Item, ...],
    old: Item,
    *,
    required: Cents,
    types: Types,
    market: Market,
    at: Seconds,
) -> tuple[Item, ...]:
    """The pool without an item. Raises Rejected: ``collateral/not-pledged``;
    ``collateral/short`` if less than ``required`` could be lent on the rest."""
    if old not in items:
        raise Rejected("collateral/not-pledged", item=old.id[:12])
    place = items.index(old)
    after = (*items[:place], *items[place + 1 :])
    left = value_pool(after, types=types, market=market, at=at).lending
    if left < required:
        raise Rejected("collateral/short", lending=left, required=required)
    return after


@dataclass(frozen=True, slots=True)
class Swap:
    """A substitution in its two steps, in which order alone they are done."""

    during: tuple[Item, ...]
    """The new item is in, and the old one still there."""
    after: tuple[Item, ...]
    """The old one is out."""


def swap(
    items: tuple[Item, ...],
    new: Item,
    old: Item,
    *,
    required: Cents,
    types: Types,
    market: Market,
    at: Seconds,
) -> Swap:
    """Substitute ``new`` for ``old``: new in and valued, then old out.

    Raises as ``add`` and ``release``, and Rejected("collateral/not-eligible") for a new item that
    would count nothing; then nothing is done.
    """
    during = add(items, new, types=types)
    why = why_not(new, kind=types[new.type], market=market, at=at)
    if why:
        raise Rejected("collateral/not-eligible", item=new.id[:12], why=why)
    after = release(during, old, required=required, types=types, market=market, at=at)
    return Swap(during, after)


def _within(lines: list[Line], kind: Type, total: Cents) -> Cents:
    """What counts of the lines of one type, limit inside limit."""
    limits = kind.limits
    issuers: dict[str, dict[str, int]] = {}
    for line in lines:
        things = issuers.setdefault(line.item.issuer, {})
        things[line.item.id] = things.get(line.item.id, 0) + line.worth
    of_type = 0
    for things in issuers.values():
        of_issuer = sum(_at_most(limits.item, each, total=total) for each in things.values())
        of_type += _at_most(limits.issuer, of_issuer, total=total)
    return Cents(_at_most(limits.whole, of_type, total=total))


def _at_most(limit: Limit | None, value: int, *, total: Cents) -> int:
    if limit is None:
        return value
    if limit.cents is not None:
        return min(value, limit.cents)
    return min(value, muldiv_down(total, limit.share_bps or 0, BPS))


def _check(items: tuple[Item, ...], types: Types) -> None:
    """Known types and things of them, and no thing twice but parts of what has parts; a machine is
    known by its serial number, whatever it is called."""
    seen: dict[str, str] = {}
    serials: set[tuple[str, str]] = set()
    for item in items:
        if item.type not in types:
            raise BadInput("collateral/type", item=item.id[:40], type=item.type[:40])
        check_fits(item, kind=types[item.type])
        if isinstance(item.thing, Machine):
            serial = item.thing.model, item.thing.serial
            if serial in serials:
                raise BadInput("collateral/twice", item=item.id[:40])
            serials.add(serial)
        parts = isinstance(item.thing, Coins | Claim | Revenue)
        if item.id in seen and not (parts and seen[item.id] == item.type):
            raise BadInput("collateral/twice", item=item.id[:40])
        seen[item.id] = item.type
