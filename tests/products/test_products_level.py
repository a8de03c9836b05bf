"""Levels: the four ways to write one convert exactly, and each boundary is where it says."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from products_lab import D, product

from escrow.core.units import CENTS_SCALE, Cents, PriceE8, Sats
from escrow.products.level import (
    Level,
    debt_for,
    ltv_of_bps,
    ltv_of_health,
    ltv_of_ratio,
    restored,
    sats_for,
    shown,
)

COIN = Sats(10**8)
DEBTS = st.integers(1, 10**15).map(Cents)
SATS = st.integers(1, 21 * 10**14).map(Sats)
PRICES = st.integers(1, 10**18).map(PriceE8)
LTVS = st.fractions(Fraction(1, 100), 2, max_denominator=10**6).filter(lambda f: f > 0)


def test_ctp_below_150_is_ltv_above_two_thirds() -> None:
    assert ltv_of_ratio(Fraction(150, 100)) == Fraction(2, 3)
    level = product(immediate=f'{{ ctp_percent = 125, comparator = "below", {D} }}').immediate
    assert level == Level(Fraction(4, 5), strict=True)


@given(LTVS)
def test_ratios_turn_into_one_another_and_back(ltv: Fraction) -> None:
    assert ltv_of_ratio(ltv_of_ratio(ltv)) == ltv
    assert (
        ltv_of_health(ltv_of_health(ltv, threshold=Fraction(3, 4)), threshold=Fraction(3, 4)) == ltv
    )


# A debt of 60,000.00 against a coin: 66.67 % is met at a price of 90,000, exactly.
TWO_THIRDS = Fraction(2, 3)
WAYS = [
    ('bps = 7500, comparator = "at-or-above"', Fraction(3, 4), False),
    ('bps = 7500, comparator = "above"', Fraction(3, 4), True),
    ('ctp_percent = 150, comparator = "at-or-below"', TWO_THIRDS, False),
    ('ctp_percent = 150, comparator = "below"', TWO_THIRDS, True),
    ('cr_percent = "133.5", comparator = "at-or-below"', Fraction(200, 267), False),
    ('cr_percent = "133.5", comparator = "below"', Fraction(200, 267), True),
    (
        'health_factor = 1, threshold_bps = 7700, comparator = "at-or-below"',
        Fraction(77, 100),
        False,
    ),
    ('health_factor = 1, threshold_bps = 7700, comparator = "below"', Fraction(77, 100), True),
    ('health_factor = "0.95", threshold_bps = 7600, comparator = "below"', Fraction(4, 5), True),
]


@pytest.mark.parametrize(("text", "ltv", "strict"), WAYS)
def test_every_way_to_write_a_level_at_equality_and_a_unit_either_side(
    text: str, ltv: Fraction, strict: bool
) -> None:
    level = product(
        restore=f"{{ bps = 5000, {D} }}", immediate=f"{{ {text}, {D} }}", call__level=_call()
    ).immediate
    assert level == Level(ltv, strict)
    # Coins and price chosen so that this debt is exactly at the level.
    price = PriceE8(ltv.denominator * 10**8)
    debt = Cents(ltv.numerator * 100)
    assert restored(ltv, debt, held=COIN, price=price)
    for cents, sats, ticks, there in (
        (0, 0, 0, not strict),
        (1, 0, 0, True),
        (-1, 0, 0, False),
        (0, 1, 0, False),
        (0, -1, 0, True),
        (0, 0, 1, False),
        (0, 0, -1, True),
    ):
        owed, held, at = Cents(debt + cents), Sats(COIN + sats), PriceE8(price + ticks)
        assert level.reached(owed, held=held, price=at) is there
        ratio = Fraction(owed * CENTS_SCALE, held * at)
        assert there is (ratio > ltv if strict else ratio >= ltv)
        assert restored(ltv, owed, held=held, price=at) is (ratio <= ltv)


def _call() -> str:
    return f'{{ bps = 6600, comparator = "at-or-above", {D} }}'


@given(ltv=LTVS, strict=st.booleans(), debt=DEBTS, held=SATS)
def test_the_trigger_is_the_highest_price_at_which_a_level_is_reached(
    ltv: Fraction, strict: bool, debt: Cents, held: Sats
) -> None:
    level = Level(ltv, strict)
    price = level.trigger(debt, held=held)
    assert not level.reached(debt, held=held, price=PriceE8(price + 1))
    assert price == 0 or level.reached(debt, held=held, price=price)


@given(ltv=LTVS, debt=DEBTS, price=PRICES)
def test_fewest_coins_and_most_debt_that_are_at_a_level(
    ltv: Fraction, debt: Cents, price: PriceE8
) -> None:
    held = sats_for(ltv, debt, price=price)
    assert restored(ltv, debt, held=held, price=price)
    assert not restored(ltv, debt, held=Sats(held - 1), price=price)
    most = debt_for(ltv, held=held, price=price)
    assert restored(ltv, most, held=held, price=price)
    assert not restored(ltv, Cents(most + 1), held=held, price=price)


def test_no_debt_is_below_every_level_and_a_debt_on_nothing_above() -> None:
    for strict in (False, True):
        assert not Level(TWO_THIRDS, strict).reached(Cents(0), held=COIN, price=PriceE8(1))
        assert not Level(TWO_THIRDS, strict).reached(Cents(0), held=Sats(0), price=PriceE8(1))
        assert Level(TWO_THIRDS, strict).reached(Cents(1), held=Sats(0), price=PriceE8(1))


def test_levels_for_people() -> None:
    assert shown(ltv_of_bps(5_000)) == "50.00 %"
    assert shown(TWO_THIRDS) == "≈66.67 %"
