"""Soft liquidation over bands: against exact fractions, conservation, what a fall gives."""

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from math import isqrt, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from escrow.core.bands import (
    MAX_BANDS,
    MIN_BANDS,
    Band,
    Curve,
    cash_in,
    cash_of,
    coins_in,
    floor_value,
    follow,
    is_healthy,
    spread,
    weight,
)
from escrow.core.errors import Rejected
from escrow.core.units import BPS, CENTS_SCALE, COIN, Bps, Cents, PriceE8, Sats

CURVE = Curve(100, Bps(0), Bps(25))
"""crvUSD's steepness, without its fee."""
PAID = replace(CURVE, fee_bps=Bps(60))
"""With it."""
DISCOUNT = Bps(900)
TEN = 10
PRICE = PriceE8(100_000 * 10**8)
OWED = Cents(5_000_000)


def loan(curve: Curve = CURVE, *, debt: int = OWED, sats: int = COIN, count: int = TEN):
    return spread(
        curve, debt=Cents(debt), sats=Sats(sats), price=PRICE, count=count, discount=DISCOUNT
    )


def at(units: int) -> PriceE8:
    return PriceE8(units * 10**8)


def walked(
    bands: tuple[Band, ...], *prices: int, curve: Curve = CURVE, start: int = 100_000
) -> tuple[Band, ...]:
    place = at(start)
    for price in prices:
        bands, place = follow(bands, curve=curve, start=place, price=at(price)), at(price)
    return bands


def test_most_that_four_bands_lend_is_the_published_89_percent() -> None:
    assert weight(CURVE, count=4, discount=DISCOUNT) // 10**14 == 8_919


@pytest.mark.parametrize("count", [MIN_BANDS, TEN, MAX_BANDS])
def test_bands_hang_from_the_price_at_which_the_debt_is_covered_with_the_discount(
    count: int,
) -> None:
    bands = loan(count=count, sats=COIN + 3)
    assert len(bands) == count
    assert coins_in(bands) == COIN + 3
    assert cash_in(bands) == 0
    assert all(high.bottom == low.top for high, low in pairwise(bands))
    # What they come to in a slow fall, less the discount, is the debt to a hundred-thousandth.
    floor = floor_value(bands, price=PRICE) * (BPS - DISCOUNT) // (BPS * CENTS_SCALE)
    assert abs(floor - OWED) <= 2
    share = Fraction(weight(CURVE, count=count, discount=DISCOUNT), 10**18)
    assert bands[0].top >= Fraction(OWED * CENTS_SCALE, COIN + 3) / share > bands[0].top - 1


def test_a_loan_may_begin_with_its_first_band_at_the_price_and_not_a_cent_above() -> None:
    most = COIN * PRICE * weight(CURVE, count=4, discount=DISCOUNT) // (10**18 * CENTS_SCALE)
    assert loan(debt=most, count=4)[0].top <= PRICE
    with pytest.raises(Rejected, match="draw/above-initial-ltv"):
        loan(debt=most + 1, count=4)
    top = loan()[0].top
    asked = {"debt": OWED, "sats": Sats(COIN), "count": TEN, "discount": DISCOUNT}
    assert spread(CURVE, price=top, **asked)[0].top == top
    with pytest.raises(Rejected, match="draw/above-initial-ltv"):
        spread(CURVE, price=PriceE8(top - 1), **asked)


@pytest.mark.parametrize(
    "changes", [{"debt": 0}, {"sats": 9}, {"count": MIN_BANDS - 1}, {"count": MAX_BANDS + 1}]
)
def test_no_bands_without_a_debt_a_sat_each_or_of_another_number(changes: dict[str, int]) -> None:
    with pytest.raises(Rejected, match="loan/amount"):
        loan(**changes)


def test_nothing_is_sold_above_the_first_band_and_nothing_is_left_below_the_last() -> None:
    bands = loan()
    assert walked(bands, 60_000) == bands
    fallen = walked(bands, 60_000, 52_000)
    assert coins_in(fallen) == 0
    # Each band sells at the root of its edges, to what the strides and whole sats cost.
    ideal = sum(band.coins * sqrt(band.top * band.bottom) for band in bands) / CENTS_SCALE
    assert 0.995 * ideal < cash_in(fallen) < ideal
    assert walked(fallen, 40_000, start=52_000) == fallen
    # From below everything up to the last band it stays as it is.
    assert follow(fallen, curve=CURVE, start=at(40_000), price=at(45_000)) == fallen
    assert follow(fallen, curve=CURVE, start=at(45_000), price=at(45_000)) == fallen


def test_coins_come_back_with_the_price_and_a_round_trip_costs() -> None:
    for curve in (CURVE, PAID):
        bands = loan(curve)
        back = walked(bands, 54_000, 70_000, curve=curve)
        assert cash_of(back) == 0
        assert COIN * 97 // 100 < coins_in(back) < COIN


def test_with_a_fee_no_one_trades_over_a_price_that_moves_by_less() -> None:
    half = walked(loan(PAID), 55_000, curve=PAID)
    near = PriceE8(at(55_000) * 10_010 // 10_000)
    assert follow(half, curve=PAID, start=at(55_000), price=near) == half
    assert follow(half, curve=CURVE, start=at(55_000), price=near) != half


def test_the_fee_stays_in_the_bands() -> None:
    (free,), (paid,) = (
        follow((band,), curve=curve, start=band.top, price=at(55_000))
        for band in (Band(at(55_200), at(54_648), Sats(COIN)),)
        for curve in (CURVE, replace(CURVE, fee_bps=Bps(10)))
    )
    assert paid.coins > free.coins
    # More cash for each coin sold, though both were sold at the market's one price.
    assert Fraction(paid.cash, COIN - paid.coins) > Fraction(free.cash, COIN - free.coins)


def test_healthy_at_equality_and_not_a_cent_more() -> None:
    bands = loan()
    exact = (Band(at(100), at(99), Sats(0), 50 * CENTS_SCALE),)
    assert is_healthy(exact, debt=Cents(47), price=PRICE, discount=Bps(600))
    assert not is_healthy(exact, debt=Cents(48), price=PRICE, discount=Bps(600))
    most = floor_value(bands, price=PRICE) * (BPS - 600) // (BPS * CENTS_SCALE)
    assert is_healthy(bands, debt=Cents(most), price=PRICE, discount=Bps(600))
    assert not is_healthy(bands, debt=Cents(most + 1), price=PRICE, discount=Bps(600))


def test_below_a_band_its_coins_count_at_the_price() -> None:
    band = Band(at(100), at(99), Sats(10))
    assert floor_value((band,), price=at(50)) == 10 * at(50)
    assert floor_value((band,), price=at(200)) == 10 * isqrt(at(100) * at(99))


def test_dust_stays_where_it_is() -> None:
    """A band of a sat, at a price at which a sat is worth nothing, neither trades nor divides by
    nothing."""
    tiny = (Band(PriceE8(3), PriceE8(2), Sats(1)),)
    assert follow(tiny, curve=CURVE, start=PriceE8(3), price=PriceE8(2))[0].coins <= 1
    # One sat, a thousand-millionth of whose price is left: no y₀ can be told from none.
    none = (Band(PriceE8(10**12), PriceE8(99 * 10**10), Sats(1)),)
    at_once = replace(CURVE, stride_bps=Bps(BPS))
    assert follow(none, curve=at_once, start=PriceE8(10**12), price=PriceE8(1)) == none
    # A sat of which a part would be bought stays whole.
    sat = (Band(PriceE8(10**9), PriceE8(99 * 10**7), Sats(1), 1_000),)
    part = PriceE8(995_823_100)
    assert follow(sat, curve=at_once, start=PriceE8(part + 1), price=part) == sat
    # Cash that buys less than a sat is kept, not given away.
    crumb = (Band(PriceE8(5), PriceE8(4), Sats(10**6), 1),)
    assert follow(crumb, curve=CURVE, start=PriceE8(4), price=PriceE8(5)) == crumb
    cash = (Band(PriceE8(10**9), PriceE8(99 * 10**7), Sats(0), 2),)
    jump = PriceE8(1_228_879_251)
    assert follow(cash, curve=at_once, start=PriceE8(10**9), price=jump) == cash


PRICES = st.lists(st.integers(20_000, 90_000), min_size=1, max_size=6)


@given(
    prices=PRICES,
    fee=st.sampled_from([0, 1, 60, 500]),
    count=st.integers(MIN_BANDS, 12),
    sats=st.integers(50, 3 * COIN),
    ltv=st.integers(500, 8_000),
)
def test_each_step_sells_or_buys_at_a_price_no_worse_than_the_curve_and_creates_nothing(
    prices: list[int], fee: int, count: int, sats: int, ltv: int
) -> None:
    curve = Curve(100, Bps(fee), Bps(100))
    debt = max(1, sats * PRICE * ltv // (BPS * CENTS_SCALE))
    try:
        bands = loan(curve, debt=debt, sats=sats, count=count)
    except Rejected:  # too small, or the bands would begin above the price
        return
    place = PRICE
    for price in prices:
        after = follow(bands, curve=curve, start=place, price=at(price))
        for old, new in zip(bands, after, strict=True):
            assert new.coins >= 0
            assert new.cash >= 0
            # Coins out only for cash in, and the other way about.
            assert (new.coins < old.coins) <= (new.cash > old.cash)
            assert (new.cash < old.cash) <= (new.coins > old.coins)
        # Falling sells, rising buys back.
        if at(price) < place:
            assert coins_in(after) <= coins_in(bands)
        else:
            assert coins_in(after) >= coins_in(bands)
        bands, place = after, at(price)
    if place <= bands[-1].bottom * 9 // 10:
        assert coins_in(bands) <= count  # a sat a band, at most, is not worth the trade


# --- the same by exact fractions ---


def ghost(band: Band, p: PriceE8, steep: int) -> tuple[Fraction, Fraction]:
    """Coins and cash after a trade to the market's price, without a fee; only the root of the
    quadratic is taken to 60 digits."""
    top, x, y = Fraction(band.top), Fraction(band.cash), Fraction(band.coins)
    b = x * (steep - 1) * top / p + y * steep * p * p / top
    disc = b * b + 4 * p * steep * x * y
    scale = 10**60
    root = Fraction(isqrt(disc.numerator * scale**2 // disc.denominator), scale)
    y0 = (b + root) / (2 * p * steep)
    f, g = steep * y0 * p * p / top, (steep - 1) * y0 * top / p
    product = p * steep * steep * y0 * y0
    cash = steep * p * y0 - f
    if cash < 0:
        return product / f - g, Fraction(0)
    coins = steep * y0 - g
    if coins < 0:
        return Fraction(0), product / g - f
    return coins, cash


@given(
    coins=st.integers(0, 10**10),
    cash=st.integers(0, 10**10),
    top=st.integers(10**6, 10**14),
    place=st.one_of(st.integers(9_900, 10_000), st.integers(9_700, 10_200)),
)
def test_a_trade_is_the_curves_to_a_sat(coins: int, cash: int, top: int, place: int) -> None:
    bottom = PriceE8(top * 99 // 100)
    band = Band(PriceE8(top), bottom, Sats(coins), cash * top)
    p = PriceE8(top * place // 10_000)
    start = PriceE8(p + 1)
    (after,) = follow((band,), curve=replace(CURVE, stride_bps=Bps(5_000)), start=start, price=p)
    want_coins, want_cash = ghost(band, p, 100) if coins or cash else (Fraction(0), Fraction(0))
    if after == band:
        # Nothing to do, or less than a sat.
        assert (
            abs(want_coins - coins) <= 2 or (p >= top and not cash) or (p <= bottom and not coins)
        )
        return
    # Nor does the trader profit from rounding: no less is left in the band.
    assert -Fraction(1, 10**6) <= after.coins - want_coins <= 2
    assert abs(after.cash - want_cash) <= 4 * p
