"""Prices drawn from a seed: a random walk. **Invented: not market data.**

Each step the price moves by a whole number of hundredths of a percent, all alike within a bound;
now and then by ten times as much, for crashes are what the comparison is about. The bound makes a
year of hours swing about as bitcoin's do (some 50 % a year); the drift is none. All in integers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from escrow.adapters.price.files import Quote
from escrow.core.errors import BadInput
from escrow.core.units import HOUR, MAX_PRICE, PriceE8, Seconds
from escrow.streams import Streams

FIRST: Final = Seconds(1_764_547_200)
"""2025-12-01T00:00:00Z: when a walk begins."""
PRICE: Final = PriceE8(90_000 * 10**8)
"""Where it begins: a round number of our own."""
MOST_HOURS: Final = 2_000_000
"""Longest walk: as many prices as a file may have."""

_SCALE: Final = 10_000
_SWING: Final = 90
"""A step is at most so many hundredths of a percent, either way."""
_JUMP: Final = 1_000
"""One step in so many is ten times as wide."""


def walk_prices(
    seed: int, *, hours: int, start: Seconds = FIRST, price: PriceE8 = PRICE
) -> Iterator[Quote]:
    """``hours`` hourly prices after the first; the same for the same seed.

    Raises BadInput: ``input/seed``, ``input/amount`` for hours outside 1 to ``MOST_HOURS``.
    """
    if isinstance(seed, bool) or not 0 <= seed < 2**64:
        raise BadInput("input/seed")
    if not 1 <= hours <= MOST_HOURS:
        raise BadInput("input/amount", hours=hours, most=MOST_HOURS)
    streams = Streams(b"price-walk" + seed.to_bytes(8, "big"))
    at = start
    yield Quote(at, price)
    for _ in range(hours):
        swing = _SWING * (1 if streams.below("jump", _JUMP) else 10)
        move = streams.below("move", 2 * swing + 1) - swing
        # Up by a part, or down by the same part of what it then is: over time neither wins.
        moved = (
            price * (_SCALE + move) // _SCALE if move >= 0 else price * _SCALE // (_SCALE - move)
        )
        at, price = Seconds(at + HOUR), PriceE8(min(max(1, moved), MAX_PRICE))
        yield Quote(at, price)
