"""The arithmetic: golden numbers, closed forms, and exact fractions as the ghost model."""

from fractions import Fraction
from math import ceil, floor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from escrow.core.rules import (
    INTEREST_DEN,
    MAX_INTEREST_ACC,
    Debt,
    accrue,
    at_or_above,
    at_or_below,
    fee_shares,
    interest_due,
    ltv_up,
    owed,
    pay,
    value_down,
)
from escrow.core.units import (
    COIN,
    DAY,
    MAX_MONEY,
    YEAR,
    Bps,
    Cents,
    PriceE8,
    Sats,
    Seconds,
    muldiv_down,
    muldiv_up,
)

CENTS = st.integers(0, 2**63).map(Cents)
SATS = st.integers(0, MAX_MONEY).map(Sats)
PRICES = st.integers(1, 10**18).map(PriceE8)
LEVELS = st.integers(1, 9_999).map(Bps)
RATES = st.integers(0, 100_000).map(Bps)
SPANS = st.integers(0, 10 * YEAR).map(Seconds)


def worth(sats: int, price: int) -> Fraction:
    """Cents, exactly."""
    return Fraction(sats, COIN) * Fraction(price, 10**8) * 100


def lent(principal: int) -> Debt:
    """A debt just drawn, at the beginning of time."""
    return Debt(principal=Cents(principal), drawn=Cents(principal))


@pytest.mark.parametrize(
    ("principal", "bps", "days", "interest"),
    [
        # 1,000,000.00 at key rate 16 % + 7 % for 31 days, A/365: 19,534.2466 rounded up.
        (100_000_000, 2_300, 31, 1_953_425),
        (100_000_000, 2_300, 365, 23_000_000),
        (100_000_000, 1_200, 365, 12_000_000),
        (100, 100, 1, 1),
        (100, 0, 365, 0),
        (0, 2_300, 365, 0),
    ],
)
def test_interest_in_golden_numbers(principal, bps, days, interest) -> None:
    grown = accrue(lent(principal), rate_bps=Bps(bps), at=Seconds(days * DAY))
    assert interest_due(grown) == interest
    assert owed(lent(principal), rate_bps=Bps(bps), at=Seconds(days * DAY)) == principal + interest


@given(CENTS, RATES, SPANS)
def test_interest_is_the_fraction_rounded_up(principal, rate, span) -> None:
    grown = accrue(lent(principal), rate_bps=rate, at=span)
    exact = Fraction(principal * rate * span, 10_000 * 365 * 86_400)
    assert interest_due(grown) == ceil(min(exact, Fraction(MAX_INTEREST_ACC, INTEREST_DEN)))


@given(st.integers(0, 2**40).map(Cents), RATES, st.lists(SPANS, max_size=6))
def test_interest_does_not_depend_on_how_often_it_is_taken_in(principal, rate, spans) -> None:
    parts = lent(principal)
    for span in spans:
        parts = accrue(parts, rate_bps=rate, at=Seconds(parts.accrued_to + span))
    assert parts == accrue(lent(principal), rate_bps=rate, at=Seconds(sum(spans)))


def test_a_moment_in_the_past_adds_nothing() -> None:
    grown = accrue(lent(100), rate_bps=Bps(1_000), at=Seconds(50))
    assert accrue(grown, rate_bps=Bps(1_000), at=Seconds(50)) is grown
    assert accrue(grown, rate_bps=Bps(1_000), at=Seconds(49)) is grown


@pytest.mark.parametrize(("more", "expected"), [(-1, -1), (0, 0), (1, 0)])
def test_interest_stops_where_the_contract_has_no_more_bits(more: int, expected: int) -> None:
    full = Debt(principal=Cents(1), interest_acc=MAX_INTEREST_ACC - 5)
    grown = accrue(full, rate_bps=Bps(1), at=Seconds(5 + more))
    assert grown.interest_acc == MAX_INTEREST_ACC + expected
    assert interest_due(grown) > 0


@given(st.integers(1, 2**40).map(Cents), RATES, SPANS, st.integers(1, 2**45).map(Cents))
def test_a_payment_is_interest_then_principal(principal, rate, span, amount) -> None:
    before = accrue(lent(principal), rate_bps=rate, at=span)
    due = before.principal + interest_due(before)
    after, interest, paid = pay(before, amount=amount)
    assert interest + paid == min(amount, due)
    assert interest == min(amount, interest_due(before))
    assert after.principal == principal - paid
    assert (after.paid_interest, after.paid_principal) == (interest, paid)
    # What rounding up collected is less than a cent, and is not owed again.
    left = Fraction(before.interest_acc, INTEREST_DEN) - interest
    assert Fraction(after.interest_acc, INTEREST_DEN) == max(0, left)
    assert left > -1


@given(SATS, PRICES)
def test_collateral_is_valued_down(sats, price) -> None:
    assert value_down(sats, price=price) == floor(worth(sats, price))


@given(CENTS, SATS, PRICES, LEVELS)
def test_levels_are_compared_exactly(debt, sats, price, level) -> None:
    bound = worth(sats, price) * level / 10_000
    assert at_or_above(debt, sats=sats, price=price, level=level) is (debt >= bound)
    assert at_or_below(debt, sats=sats, price=price, level=level) is (debt <= bound)


@given(st.integers(1, 2**63).map(Cents), st.integers(1, MAX_MONEY).map(Sats), PRICES)
def test_the_ratio_for_people_is_rounded_up(debt, sats, price) -> None:
    assert ltv_up(debt, sats=sats, price=price) == ceil(debt / worth(sats, price) * 10_000)


@pytest.mark.parametrize(("debt", "sats", "bps"), [(0, 0, 0), (0, 1, 0), (1, 0, 10**8)])
def test_the_ratio_without_debt_or_coins(debt: int, sats: int, bps: int) -> None:
    assert ltv_up(Cents(debt), sats=Sats(sats), price=PriceE8(10**8)) == bps


@pytest.mark.parametrize(
    ("sats", "above", "below"),
    [(COIN - 1, True, False), (COIN, True, True), (COIN + 1, False, True)],
)
def test_at_the_level_both_sides_hold_and_one_sat_decides(sats, above, below) -> None:
    debt, price, level = Cents(2_400_000), PriceE8(32_000 * 10**8), Bps(7_500)
    assert at_or_above(debt, sats=Sats(sats), price=price, level=level) is above
    assert at_or_below(debt, sats=Sats(sats), price=price, level=level) is below


@pytest.mark.parametrize(
    ("initial", "trigger", "fall"),
    [
        (5_000, 7_000, 2_857),
        (5_000, 7_500, 3_333),
        (5_000, 8_000, 3_750),
        (5_000, 8_500, 4_118),
        (5_000, 9_500, 4_737),
        (7_000, 9_000, 2_222),
        (7_500, 8_600, 1_279),
    ],
)
def test_the_price_fall_that_brings_a_trigger(initial: int, trigger: int, fall: int) -> None:
    """From one level to another the price falls by 1 - initial / trigger."""
    price, debt = 10**18, 10**8 * initial
    sats = Sats(COIN)
    assert ltv_up(Cents(debt), sats=sats, price=PriceE8(price)) == initial
    assert round((1 - Fraction(initial, trigger)) * 10_000) == fall
    below = muldiv_down(price, initial, trigger)
    assert at_or_above(Cents(debt), sats=sats, price=PriceE8(below), level=Bps(trigger))
    assert not at_or_above(Cents(debt), sats=sats, price=PriceE8(below + 1), level=Bps(trigger))


@given(st.integers(0, 10_000_000).map(Sats), st.integers(1, 20))
def test_the_fee_is_shared_to_the_sat(fee, payees: int) -> None:
    first, *rest = fee_shares(fee, payees=payees)
    assert first + sum(rest) == fee
    assert len(rest) == payees - 1
    assert all(0 <= first - share < payees for share in rest)
    assert len(set(rest)) <= 1


@given(st.integers(0, 10**30), st.integers(0, 10**30), st.integers(1, 10**30))
def test_the_two_ways_to_divide(a: int, b: int, c: int) -> None:
    assert muldiv_down(a, b, c) == floor(Fraction(a * b, c))
    assert muldiv_up(a, b, c) == ceil(Fraction(a * b, c))
