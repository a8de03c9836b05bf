"""Days and months as moments."""

from __future__ import annotations

from datetime import date

import pytest

from escrow.core.errors import BadInput
from escrow.core.units import DAY, Seconds
from escrow.eligibility.days import (
    Month,
    day_in,
    day_of,
    first_second,
    last_day,
    last_second,
    month_name,
    month_of,
    parse_day,
    parse_month,
)


def test_a_day_has_its_first_and_its_last_second() -> None:
    day = date(2024, 11, 1)
    assert first_second(day) == 1_730_419_200
    assert last_second(day) == first_second(day) + DAY - 1
    assert day_of(first_second(day)) == day_of(last_second(day)) == day
    assert day_of(Seconds(last_second(day) + 1)) == date(2024, 11, 2)


@pytest.mark.parametrize(
    "text", ["", "2025-3-1", "20250301", "2025-02-30", "2025-W09-6", "x" * 10, "9901-01-01"]
)
def test_a_day_is_written_one_way(text: str) -> None:
    with pytest.raises(BadInput) as refused:
        parse_day(text)
    assert refused.value.code == "input/time"


@pytest.mark.parametrize(
    "text", ["", "2025", "2025-13", "2025-00", "1969-12", "2025-1", "２０２５-01", "9901-01"]
)
def test_a_month_is_written_one_way(text: str) -> None:
    with pytest.raises(BadInput) as refused:
        parse_month(text)
    assert refused.value.code == "input/time"


def test_what_follows_the_last_month_has_days_too() -> None:
    """A register follows a miner for fifty years, and asks for its report after."""
    assert last_day(Month(parse_month("9900-12") + 603)).year == 9951
    assert parse_day("9900-12-31").year == 9900


def test_nothing_is_before_1970() -> None:
    assert first_second(date(1970, 1, 1)) == 0
    with pytest.raises(BadInput):
        first_second(date(1969, 12, 31))


@pytest.mark.parametrize(
    ("text", "last"), [("2024-02", 29), ("2025-02", 28), ("2025-12", 31), ("2025-04", 30)]
)
def test_months_follow_each_other(text: str, last: int) -> None:
    month = parse_month(text)
    assert month_name(month) == text
    assert last_day(month) == day_in(month, last)
    assert month_of(last_second(last_day(month))) == month
    assert month_of(Seconds(last_second(last_day(month)) + 1)) == month + 1


def test_january_2025_is_the_month_it_says() -> None:
    assert parse_month("2025-01") == 24_300
