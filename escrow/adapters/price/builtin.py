"""A price table of our own making, for when no file is given. **Invented: not market data.**

It tells the story of a crash in round numbers: a calm week, a slow decline, half the price
gone within a day, a rebound. Its dates are those of March 2020, so that a scenario can be run
on it and on recorded prices alike; its prices are nobody's.

Between two knees of the curve the price moves on a straight line; on top lies a ripple of at
most a quarter of a percent with a period of thirteen hours. All in integers.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final

from escrow.adapters.price.files import Quote
from escrow.core.errors import BadInput
from escrow.core.units import HOUR, PriceE8, Seconds

FIRST: Final = Seconds(1_583_020_800)
"""2020-03-01T00:00:00Z, the first hour of the table."""
KNEES: Final = (
    (0, 9_000),  # 1 March: calm
    (168, 9_000),  # 8 March 00:00: the decline begins
    (270, 8_000),  # 12 March 06:00: the crash begins
    (294, 4_000),  # 13 March 06:00: half of it is gone
    (312, 5_000),  # 14 March 00:00: the rebound
    (479, 5_500),  # 20 March 23:00: the last hour
)
"""Hours since ``FIRST``, and price in whole currency units."""

_RIPPLE: Final = 2_400
"""A step of the ripple is a 2,400th of the price; six steps either way are a quarter percent."""


def builtin_prices(
    *, start: Seconds | None = None, end: Seconds | None = None
) -> tuple[Quote, ...]:
    """The hourly table from ``start`` to ``end``, both included; without them, all of it.

    Raises BadInput: ``prices/empty`` if the table has none there, ``input/time`` if ``start`` is
    after ``end``.
    """
    if start is not None and end is not None and start > end:
        raise BadInput("input/time", start=start, end=end)
    table = tuple(_at(hour) for hour in range(KNEES[-1][0] + 1))
    chosen = tuple(
        quote
        for quote in table
        if (start is None or quote.at >= start) and (end is None or quote.at <= end)
    )
    if not chosen:
        raise BadInput("prices/empty", first=table[0].at, last=table[-1].at)
    return chosen


def _at(hour: int) -> Quote:
    (left, low), (right, high) = next(pair for pair in pairwise(KNEES) if hour <= pair[1][0])
    line = (low * (right - hour) + high * (hour - left)) * 10**8 // (right - left)
    ripple = (hour * 5 % 13 - 6) * line // _RIPPLE
    return Quote(Seconds(FIRST + hour * HOUR), PriceE8((line + ripple) // 10**6 * 10**6))
