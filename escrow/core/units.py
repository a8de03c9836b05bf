"""Units as types, and the only two ways to divide.

Money, coins, prices and times are integers. A bare ``/`` or ``//`` on money hides who
profits from the remainder, so division lives here with its rounding in the name.
"""

from __future__ import annotations

from typing import Final, NewType

Sats = NewType("Sats", int)
"""Satoshi. 1 BTC = 100,000,000 sats."""
Cents = NewType("Cents", int)
"""Minor units of the settlement currency (kopecks, cents): 2 decimals, as CashToken."""
Bps = NewType("Bps", int)
"""Basis points. 10,000 bps = 100 %."""
Seconds = NewType("Seconds", int)
"""Seconds: a span, or a moment in unix time on the world's one clock."""
PriceE8 = NewType("PriceE8", int)
"""Price of 1 BTC in whole currency units × 10⁸, as a Chainlink feed with 8 decimals answers."""

COIN: Final = 100_000_000
"""Sats in one BTC."""
MAX_MONEY: Final = Sats(21_000_000 * COIN)
"""Consensus bound on any amount of bitcoin (``MAX_MONEY`` in Bitcoin Core)."""
BPS: Final = 10_000
"""Basis points in 100 %."""
YEAR: Final = Seconds(365 * 86_400)
"""Actual/365 Fixed: every year has 365 days."""
DAY: Final = Seconds(86_400)
HOUR: Final = Seconds(3_600)
CENTS_SCALE: Final = 10**14
"""``sats × price_e8`` divided by this is cents: 10⁸ sats a coin × 10⁸ price scale ÷ 10² cents."""
MAX_CENTS: Final = Cents(2**64 - 1)
"""Widest amount of cash a loan may carry: EscrowBook packs it into 64 bits."""
MAX_PRICE: Final = PriceE8(10**18)
"""A price above ten thousand million a coin is refused as absurd."""
MAX_TIME: Final = Seconds(2**40 - 1)
"""Widest moment a loan may name: EscrowBook packs it into 40 bits (the year 36812)."""


def muldiv_down(a: int, b: int, c: int) -> int:
    """``a × b ÷ c`` rounded towards zero. ``c`` must be positive, ``a × b`` not negative."""
    return a * b // c


def muldiv_up(a: int, b: int, c: int) -> int:
    """``a × b ÷ c`` rounded away from zero. ``c`` must be positive, ``a × b`` not negative."""
    return -(-a * b // c)
