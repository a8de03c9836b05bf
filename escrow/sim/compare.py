"""Many products on one path of prices: what each would have done with the same loan.

The prices are streamed: a block of them at a time goes through every product, and a block in
which nothing can happen to a loan is passed over whole (``Ladder.is_quiet``). Time is linear in
prices × products, memory does not grow with the path.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from escrow.adapters.price.builtin import builtin_prices
from escrow.adapters.price.files import Quote, stream_prices
from escrow.adapters.price.walk import walk_prices
from escrow.core.errors import BadInput, Rejected
from escrow.core.terms import MAX_PRINCIPAL
from escrow.core.units import MAX_MONEY, Cents, PriceE8, Seconds
from escrow.products.ladder import Ladder
from escrow.products.model import Product
from escrow.products.outcome import Habit, Outcome

MOST_PRODUCTS: Final = 1_000
"""Most products of one comparison."""

_BLOCK: Final = 512
"""Prices that are looked at together."""
_SKETCH: Final = 2_000
"""Most points that are kept of the path, to draw it."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What became of one loan under many products."""

    outcomes: tuple[Outcome, ...]
    """In the order of the products."""
    products: tuple[Product, ...]
    """Which."""
    first: Quote
    """At this price all loans were drawn."""
    last: Quote
    """With this price the path ended."""
    prices: int
    """How many there were."""
    lowest: PriceE8
    """The lowest of them."""
    sketch: tuple[Quote, ...]
    """Some of them, evenly, to draw the path."""


def path_of(
    *,
    file: str | Path | None = None,
    seed: int | None = None,
    hours: int | None = None,
    start: Seconds | None = None,
    end: Seconds | None = None,
) -> Iterator[Quote]:
    """The prices: of a file, drawn from a seed, or built in.

    Raises BadInput: ``prices/…``, ``input/…``.
    """
    if file is not None and seed is not None:
        raise BadInput("input/seed", reason="prices of a file are not drawn")
    if file is not None:
        return stream_prices(file, start=start, end=end)
    if seed is None:
        return iter(builtin_prices(start=start, end=end))
    quotes = walk_prices(seed, hours=8_760 if hours is None else hours)
    low, high = start or 0, end
    return (q for q in quotes if low <= q.at and (high is None or q.at <= high))


def compare(
    products: Sequence[Product],
    quotes: Iterable[Quote],
    *,
    principal: Cents,
    habit: Habit | None = None,
) -> Comparison:
    """The same loan under each product: drawn at the first price, followed to the last.

    Raises BadInput: ``compare/twice`` for two products of one id; ``compare/loan`` for no
    product, too many, a principal that no loan can have, coins too few or more than there are;
    ``prices/empty`` for no price or one alone; whatever the stream of prices raises.
    """
    ids = [product.id for product in products]
    for place, name in enumerate(ids):
        if name in ids[:place]:
            raise BadInput("compare/twice", product=name)
    if not 1 <= len(products) <= MOST_PRODUCTS:
        raise BadInput("compare/loan", products=len(products), most=MOST_PRODUCTS)
    if not 1 <= principal <= MAX_PRINCIPAL:
        raise BadInput("compare/loan", principal=principal)
    stream = iter(quotes)
    first = next(stream, None)
    if first is None:
        raise BadInput("prices/empty")
    ladders = [_drawn(each, first, principal=principal, habit=habit) for each in products]
    path = _Path(first)
    while block := list(islice(stream, _BLOCK)):
        ats, prices = [q.at for q in block], [q.price for q in block]
        gap = path.take(block, ats)
        low, high, end = min(prices), max(prices), ats[-1]
        for ladder in ladders:
            if ladder.is_quiet(low=low, high=high, until=end, gap=gap):
                ladder.skip(end, prices[-1])
            else:
                ladder.follow(ats, prices)
    if path.count == 1:
        raise BadInput("prices/empty", prices=1, reason="a path has two or more")
    return Comparison(
        outcomes=tuple(ladder.outcome() for ladder in ladders),
        products=tuple(products),
        first=first,
        last=path.last,
        prices=path.count,
        lowest=path.lowest,
        sketch=path.sketch(),
    )


def _drawn(product: Product, first: Quote, *, principal: Cents, habit: Habit | None) -> Ladder:
    try:
        drawn = Ladder(product, principal=principal, at=first.at, price=first.price, habit=habit)
    except Rejected as error:
        raise BadInput(
            "compare/loan", product=product.id, reason=error.code, **error.facts
        ) from error
    sats = drawn.outcome().sats_pledged
    if sats > MAX_MONEY:
        raise BadInput("compare/loan", product=product.id, sats=sats, most=MAX_MONEY)
    return drawn


class _Path:
    """What is kept of the prices that went by."""

    def __init__(self, first: Quote) -> None:
        self.count, self.last, self.lowest = 1, first, first.price
        self._points, self._every = [first], 1

    def take(self, block: Sequence[Quote], ats: Sequence[Seconds]) -> Seconds:
        """Note a block; the widest gap in it and before it."""
        gap = max(b - a for a, b in zip((self.last.at, *ats[:-1]), ats, strict=True))
        for number, quote in enumerate(block, start=self.count):
            if number % self._every == 0:
                self._points.append(quote)
        self.count += len(block)
        self.last = block[-1]
        self.lowest = min(self.lowest, *(quote.price for quote in block))
        while len(self._points) > _SKETCH:
            # Every second one goes, so that they stay evenly spread.
            self._points, self._every = self._points[::2], 2 * self._every
        return Seconds(gap)

    def sketch(self) -> tuple[Quote, ...]:
        if self._points[-1] == self.last:
            return tuple(self._points)
        return (*self._points, self.last)
