"""Cycles, stubs, the month-end rule, and business days."""

import warnings
from datetime import date, timedelta
from itertools import islice, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from escrow.core.errors import BadInput
from escrow.schedules.calendars import (
    Calendar,
    Convention,
    is_business_day,
    parse_calendar,
    parse_convention,
    shift,
)
from escrow.schedules.cycle import (
    MAX_DATES,
    Cycle,
    Period,
    Stub,
    add,
    parse_cycle,
    parse_period,
    regular,
    schedule_dates,
)

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import QuantLib as ql

DAYS = st.dates(date(1990, 1, 1), date(2090, 12, 31))
PEERS = {
    Convention.SCF: ql.Following,
    Convention.SCMF: ql.ModifiedFollowing,
    Convention.SCP: ql.Preceding,
    Convention.SCMP: ql.ModifiedPreceding,
}


def dates(*text: str) -> tuple[date, ...]:
    return tuple(date.fromisoformat(each) for each in text)


def laid(start: str, end: str, cycle: str, *, end_of_month: bool = False) -> tuple[date, ...]:
    return schedule_dates(
        date.fromisoformat(start),
        end=date.fromisoformat(end),
        cycle=parse_cycle(cycle),
        end_of_month=end_of_month,
    )


# --- stubs


def test_a_short_stub_stays() -> None:
    assert laid("2013-01-01", "2013-03-15", "P1ML1") == dates(
        "2013-01-01", "2013-02-01", "2013-03-01", "2013-03-15"
    )


def test_a_long_stub_takes_the_last_regular_date() -> None:
    assert laid("2013-01-01", "2013-03-15", "P1ML0") == dates(
        "2013-01-01", "2013-02-01", "2013-03-15"
    )


@pytest.mark.parametrize("stub", ["L0", "L1"])
def test_without_a_stub_both_are_the_same(stub: str) -> None:
    assert laid("2013-01-01", "2013-03-01", f"P1M{stub}") == dates(
        "2013-01-01", "2013-02-01", "2013-03-01"
    )


def test_without_a_cycle_there_are_anchor_and_end() -> None:
    begin, end = dates("2013-01-01", "2014-01-01")
    assert schedule_dates(begin, end=end, cycle=None) == (begin, end)
    assert schedule_dates(end, end=end, cycle=None) == (end,)
    with pytest.raises(BadInput) as refused:
        schedule_dates(end, end=begin, cycle=None)
    assert refused.value.code == "schedule/order"


# --- months


def test_the_day_of_the_month_comes_back_after_a_short_month() -> None:
    assert laid("2013-01-30", "2013-04-30", "P1M") == dates(
        "2013-01-30", "2013-02-28", "2013-03-30", "2013-04-30"
    )


def test_the_month_end_rule_is_for_the_last_day_of_a_shorter_month() -> None:
    ends = dates("2013-04-30", "2013-05-31", "2013-06-30", "2013-07-31")
    same = dates("2013-04-30", "2013-05-30", "2013-06-30", "2013-07-30", "2013-07-31")
    assert laid("2013-04-30", "2013-07-31", "P1M", end_of_month=True) == ends
    assert laid("2013-04-30", "2013-07-31", "P1M") == same
    # The 29th is no month's end, and weeks know of no months.
    assert laid("2013-04-29", "2013-05-29", "P1M", end_of_month=True)[-1] == date(2013, 5, 29)
    assert laid("2013-04-30", "2013-05-14", "P2W", end_of_month=True)[-1] == date(2013, 5, 14)


def test_quarters_halves_and_years() -> None:
    assert parse_cycle("P1QL1").period == Period(months=3)
    assert parse_cycle("P1H").period == Period(months=6)
    assert parse_cycle("P2YL0") == Cycle(Period(months=24), Stub.LONG)
    assert parse_period("P1Y6M3W2D") == Period(months=18, days=23)
    assert parse_period("P0D").is_zero


@given(DAYS, st.integers(1, 40), st.sampled_from("MQHY"), st.booleans())
def test_quantlib_adds_months_the_same(
    start: date, number: int, unit: str, end_of_month: bool
) -> None:
    months = number * {"M": 1, "Q": 3, "H": 6, "Y": 12}[unit]
    ours = add(start, period=Period(months=months), end_of_month=end_of_month)
    # Where the month has 31 days the rule has nothing to do: then it is not asked for there.
    rule = end_of_month and (start + timedelta(days=1)).month != start.month and start.day < 31
    theirs = ql.NullCalendar().advance(
        ql.Date(start.day, start.month, start.year), months, ql.Months, ql.Unadjusted, rule
    )
    assert (ours.year, ours.month, ours.day) == (
        theirs.year(),
        theirs.month(),
        theirs.dayOfMonth(),
    )


@given(DAYS, st.integers(1, 24), st.sampled_from("DWMQHY"), st.booleans(), st.sampled_from(Stub))
def test_dates_rise_and_end_at_the_end(
    start: date, number: int, unit: str, end_of_month: bool, stub: Stub
) -> None:
    cycle = parse_cycle(f"P{number}{unit}L{stub.value}")
    end = start + timedelta(days=2_000)
    found = schedule_dates(start, end=end, cycle=cycle, end_of_month=end_of_month)
    assert found[-1] == end
    assert all(a < b for a, b in pairwise(found))
    steps = islice(regular(start, period=cycle.period, end_of_month=end_of_month), len(found) + 1)
    assert set(found[:-1]) <= set(steps)


# --- what is refused


@pytest.mark.parametrize(
    "text", ["", "P1", "1M", "P1X", "P0M", "P-1M", "P1ML2", "P1.5M", "p1m", "P1M ", "P99999D"]
)
def test_a_cycle_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(BadInput) as refused:
        parse_cycle(text)
    assert refused.value.code == "schedule/cycle"


@pytest.mark.parametrize("text", ["", "P", "P1D1M", "1D", "PT5H", "P1ML0"])
def test_a_period_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(BadInput) as refused:
        parse_period(text)
    assert refused.value.code == "schedule/cycle"


def test_a_schedule_that_never_ends_is_refused() -> None:
    daily = parse_cycle("P1D")
    start = date(1900, 1, 1)
    assert len(schedule_dates(start, end=start + timedelta(MAX_DATES), cycle=daily)) == 40_001
    with pytest.raises(BadInput) as refused:
        schedule_dates(start, end=start + timedelta(MAX_DATES + 1), cycle=daily)
    assert refused.value.code == "schedule/endless"
    with pytest.raises(BadInput) as refused:
        add(date(9999, 12, 1), period=Period(months=1))
    assert refused.value.code == "schedule/order"


# --- business days


@pytest.mark.parametrize(
    ("day", "convention", "moved"),
    [
        # Saturday, the 31st of August 2013.
        ("2013-08-31", Convention.SCF, "2013-09-02"),
        ("2013-08-31", Convention.SCMF, "2013-08-30"),
        ("2013-08-31", Convention.SCP, "2013-08-30"),
        ("2013-08-31", Convention.SCMP, "2013-08-30"),
        ("2013-08-31", Convention.NOS, "2013-08-31"),
        # Sunday, the first of September.
        ("2013-09-01", Convention.SCP, "2013-08-30"),
        ("2013-09-01", Convention.SCMP, "2013-09-02"),
        ("2013-09-01", Convention.CSMP, "2013-09-02"),
        ("2013-09-02", Convention.SCMP, "2013-09-02"),
    ],
)
def test_where_a_date_goes(day: str, convention: Convention, moved: str) -> None:
    found = shift(date.fromisoformat(day), calendar=Calendar.MF, convention=convention)
    assert found.isoformat() == moved
    assert shift(found, calendar=Calendar.NC, convention=convention) == found


@given(DAYS, st.sampled_from(sorted(PEERS, key=lambda each: each.value)))
def test_quantlib_shifts_the_same(day: date, convention: Convention) -> None:
    theirs = ql.WeekendsOnly().adjust(ql.Date(day.day, day.month, day.year), PEERS[convention])
    ours = shift(day, calendar=Calendar.MF, convention=convention)
    assert (ours.year, ours.month, ours.day) == (
        theirs.year(),
        theirs.month(),
        theirs.dayOfMonth(),
    )
    assert is_business_day(ours, calendar=Calendar.MF)


def test_which_conventions_calculate_before_they_shift() -> None:
    first = {each for each in Convention if each.calculates_first}
    assert {each.value for each in first} == {"CSF", "CSMF", "CSP", "CSMP"}


def test_calendars_and_conventions_by_name() -> None:
    assert parse_calendar("MF") is Calendar.MF
    assert parse_convention("CSMP") is Convention.CSMP
    with pytest.raises(BadInput) as refused:
        parse_calendar("TARGET")
    assert refused.value.code == "schedule/calendar"
    with pytest.raises(BadInput) as refused:
        parse_convention("FOLLOWING")
    assert refused.value.code == "schedule/convention"
