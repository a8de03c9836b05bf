"""Soft liquidation: coins turn into cash band by band as the price falls, and back as it rises.

The curve is LLAMMA's (crvUSD whitepaper; ``AMM.vy``). A loan's coins lie in equal parts in a few
bands of price, each ``(A − 1) ÷ A`` below the last. At the oracle's price p a band with top P,
coins y and cash x trades on ``(f + x)(g + y) = p A² y₀²`` with ``f = A y₀ p² ÷ P``,
``g = (A − 1) y₀ P ÷ p``, where ``y₀`` solves
``p A y₀² − y₀ (x (A − 1) P ÷ p + y A p² ÷ P) − x y = 0``. Whoever brings the curve's price to the
market's buys coins on the way down and sells them on the way up, at the band's expense.

What is simpler here: the oracle is the market (no moving average) and walks to a new price in
strides of a bounded size; a loan's bands hang from its own top price, not from a common grid.

Cash is counted in sats × ``PriceE8``: ``CENTS_SCALE`` of that are a cent. What a trade leaves in
a band is rounded up: the trader never profits from rounding.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import isqrt
from typing import Final

from escrow.core.errors import Rejected
from escrow.core.units import (
    BPS,
    CENTS_SCALE,
    Bps,
    Cents,
    PriceE8,
    Sats,
    muldiv_down,
    muldiv_up,
)

MIN_BANDS: Final = 4
"""Fewest bands of a loan (``MIN_TICKS`` of crvUSD)."""
MAX_BANDS: Final = 50
"""Most bands of a loan (``MAX_TICKS`` of crvUSD)."""

_WAD: Final = 10**18
_FINE: Final = 10**9
"""Scale of ``y₀``: a thousand-millionth of a sat."""


@dataclass(frozen=True, slots=True)
class Band:
    """One stretch of price, and what lies in it."""

    top: PriceE8
    """Above this the band is all coins."""
    bottom: PriceE8
    """Below this it is all cash."""
    coins: Sats
    """What was not sold."""
    cash: int = 0
    """What was got for the rest, in sats × ``PriceE8``."""


@dataclass(frozen=True, slots=True)
class Curve:
    """What the bands of all loans of a market have in common."""

    steepness: int
    """``A``: a band is one part in so many wide (crvUSD: 100)."""
    fee_bps: Bps
    """Of what a trader pays in; it stays in the band (crvUSD: 60)."""
    stride_bps: Bps
    """The oracle moves by at most this at a time: 1 or more."""


def weight(curve: Curve, *, count: int, discount: Bps) -> int:
    """Loan-to-value × 10¹⁸, rounded down, at which a loan's first band begins at the market's
    price: ``(1 − discount) √((A − 1) ÷ A) ÷ N × Σ ((A − 1) ÷ A)ᵏ`` (``get_y_effective``)."""
    steep = curve.steepness
    each, total = _WAD, 0
    for _ in range(count):
        total += each
        each = muldiv_down(each, steep - 1, steep)
    root = isqrt(muldiv_down(_WAD * _WAD, steep - 1, steep))
    return muldiv_down(root * total, BPS - discount, BPS * count * _WAD)


def spread(
    curve: Curve, *, debt: Cents, sats: Sats, price: PriceE8, count: int, discount: Bps
) -> tuple[Band, ...]:
    """The bands of a new loan, highest first, as low as the debt allows.

    The last band gets what the division leaves. Raises ``Rejected``: ``loan/amount`` for no debt
    or too few sats for all bands; ``draw/above-initial-ltv`` if the first would begin above
    ``price``.
    """
    if debt <= 0 or sats < count or not MIN_BANDS <= count <= MAX_BANDS:
        raise Rejected("loan/amount", amount=debt, sats=sats, bands=count)
    share = weight(curve, count=count, discount=discount)
    top = muldiv_up(debt * CENTS_SCALE, _WAD, sats * share)
    if top > price:
        raise Rejected("draw/above-initial-ltv", top=top, price=price)
    each, found = muldiv_down(sats, 1, count), []
    for _ in range(count - 1):
        bottom = muldiv_down(top, curve.steepness - 1, curve.steepness)
        found.append(Band(PriceE8(top), PriceE8(bottom), Sats(each)))
        top = bottom
    bottom = muldiv_down(top, curve.steepness - 1, curve.steepness)
    last = Sats(sats - each * (count - 1))
    return (*found, Band(PriceE8(top), PriceE8(bottom), last))


def follow(
    bands: tuple[Band, ...], *, curve: Curve, start: PriceE8, price: PriceE8
) -> tuple[Band, ...]:
    """What lies in the bands once the oracle has walked from ``start`` to ``price``."""
    rising, place = price > start, start
    # Above all bands there are coins alone and below them cash alone: the walk starts, and ends,
    # where something can change.
    if not rising and not cash_of(bands):
        place = PriceE8(min(start, max(price, bands[0].top)))
    elif rising and not coins_in(bands):
        place = PriceE8(max(start, min(price, bands[-1].bottom)))
    while place != price:
        place = _stride(place, price, curve.stride_bps)
        bands = tuple(_traded(band, curve, place) for band in bands)
        if rising and place >= bands[0].top and not cash_of(bands):
            break
        if not rising and place <= bands[-1].bottom and not coins_in(bands):
            break
    return bands


def coins_in(bands: tuple[Band, ...]) -> Sats:
    """Coins that were not sold."""
    return Sats(sum(band.coins for band in bands))


def cash_of(bands: tuple[Band, ...]) -> int:
    """What was got for the coins that were, in sats × ``PriceE8``."""
    return sum(band.cash for band in bands)


def cash_in(bands: tuple[Band, ...]) -> Cents:
    """The same in cents, rounded down."""
    return Cents(muldiv_down(cash_of(bands), 1, CENTS_SCALE))


def floor_value(bands: tuple[Band, ...], *, price: PriceE8) -> int:
    """What the bands come to if the price from here falls through all of them slowly, in
    sats × ``PriceE8``, rounded down (``get_x_down``): a band's coins go at the root of the
    prices between which it sells them."""
    total = 0
    for band in bands:
        high = min(price, band.top)
        low = min(high, band.bottom)
        total += band.cash + band.coins * isqrt(high * low)
    return total


def is_healthy(bands: tuple[Band, ...], *, debt: Cents, price: PriceE8, discount: Bps) -> bool:
    """Does ``floor_value`` less ``discount`` still cover the debt? Exact; equality does."""
    return floor_value(bands, price=price) * (BPS - discount) >= debt * CENTS_SCALE * BPS


def _stride(place: PriceE8, price: PriceE8, most: Bps) -> PriceE8:
    if price < place:
        return PriceE8(max(price, muldiv_down(place, BPS - most, BPS)))
    return PriceE8(min(price, muldiv_up(place, BPS + most, BPS)))


def _traded(band: Band, curve: Curve, p: PriceE8) -> Band:
    """The band after everything that pays has been bought from it or sold to it at ``p``."""
    top, x, y = band.top, band.cash, band.coins
    if (p >= top and not x) or (p <= band.bottom and not y):
        return band
    steep, keep = curve.steepness, BPS - curve.fee_bps
    # y₀ of the quadratic, times _FINE: all its terms multiplied by p × top.
    a = steep * p * p * top
    b = x * (steep - 1) * top * top + steep * p**3 * y
    size = muldiv_down(b + isqrt(b * b + 4 * a * x * y * p * top), _FINE, 2 * a)
    if not size:
        return band
    f = muldiv_down(steep * p * p, size, top * _FINE)
    g = muldiv_down((steep - 1) * top, size, p * _FINE)
    # A trader of whose payment the fee is kept goes on while the curve's price is that much
    # better than the market's: coins are bought up to p × keep, and sold down to p ÷ keep.
    bought = muldiv_up(isqrt(muldiv_down(p * p, keep, BPS)) * steep, size, _FINE) - f
    sold = muldiv_up(isqrt(muldiv_up(p * p, BPS, keep)) * steep, size, _FINE) - f
    # What f + x and g + y multiply to, and below it the curve's other coordinate.
    product = muldiv_down(p * steep * steep * size, size, _FINE * _FINE)
    if bought > x:
        cash, coins = bought, muldiv_up(product, 1, f + bought) - g
        if coins <= 0:
            cash, coins = muldiv_up(product, 1, g) - f, 0
        # Rounded in the band's favour a trade of less than a sat would be none.
        if cash <= x or coins >= y:
            return band
        return replace(band, cash=x + muldiv_up(cash - x, BPS, keep), coins=Sats(coins))
    if sold < x:
        cash = max(sold, 0)
        coins = muldiv_up(product, 1, f + cash) - g
        if coins <= y:
            return band
        return replace(band, cash=cash, coins=Sats(y + muldiv_up(coins - y, BPS, keep)))
    return band
