"""One price from several: the median, a source that strays, too few that agree, two of three."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from products_lab import T0, Loan, product, units

from escrow.core.units import HOUR, PriceE8, Seconds
from escrow.products.model import PriceRule
from escrow.products.quotes import agree

RULE = PriceRule(sources=3, quorum=2, heartbeat=HOUR, deviation_bps=150, to_call=2)


def prices(*told: int) -> list[PriceE8]:
    return [units(each) for each in told]


def test_the_median_counts_whatever_the_order() -> None:
    found = agree(RULE, prices(10_100, 10_000, 9_950))
    assert found is not None
    assert found.price == units(10_000)


@pytest.mark.parametrize(("far", "counts"), [(10_150, True), (10_151, False)])
def test_a_source_at_the_bound_counts_and_one_beyond_it_does_not(far: int, counts: bool) -> None:
    found = agree(RULE, prices(9_999, 10_000, far))
    assert found is not None
    # Without it two are left, and the lower one is their median.
    assert found.price == units(10_000 if counts else 9_999)


def test_two_of_three_that_stray_leave_no_price() -> None:
    assert agree(RULE, prices(9_000, 10_000, 11_000)) is None
    assert agree(RULE, prices(10_000)) is None
    assert agree(RULE, []) is None
    assert agree(RULE, prices(10_000, 10_000)) is not None


def test_a_call_needs_two_of_three_below() -> None:
    found = agree(RULE, prices(14_285, 14_286, 14_290))
    assert found is not None
    assert found.to_call == units(14_286)
    loan = Loan(product())
    loan.ladder.step(Seconds(T0 + HOUR), found.price, to_call=found.to_call)
    assert loan.ladder.outcome().margin_call_at is None
    found = agree(RULE, prices(14_280, 14_285, 14_290))
    assert found is not None
    loan.ladder.step(Seconds(T0 + 2 * HOUR), found.price, to_call=found.to_call)
    assert loan.ladder.outcome().margin_call_at == T0 + 2 * HOUR


@given(st.lists(st.integers(1, 10**14).map(PriceE8), min_size=1, max_size=7))
def test_what_is_agreed_was_said_and_no_liar_moves_it_past_the_honest(told: list[PriceE8]) -> None:
    rule = PriceRule(len(told), len(told) // 2 + 1, HOUR, 10_000, 1)
    found = agree(rule, told)
    if found is not None:
        assert found.price in told
        assert min(told) == found.to_call <= found.price
