"""Day counts: golden numbers, QuantLib's opinion on random dates, and what must add up."""

import warnings
from datetime import date
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from escrow.core.errors import BadInput
from escrow.schedules.daycount import REFUSED, DayCount, parse_day_count, year_fraction

with warnings.catch_warnings():
    # The bindings' own types have no module: a word of Python's on SWIG, not on us.
    warnings.simplefilter("ignore", DeprecationWarning)
    import QuantLib as ql

DAYS = st.dates(date(1950, 1, 1), date(2150, 12, 31))
PEERS = {
    DayCount.A365F: ql.Actual365Fixed(),
    DayCount.A360: ql.Actual360(),
    DayCount.AA_ISDA: ql.ActualActual(ql.ActualActual.ISDA),
    DayCount.E30_360: ql.Thirty360(ql.Thirty360.EurobondBasis),
}
ACTUAL = (DayCount.A365F, DayCount.A360, DayCount.AA_ISDA)


def peer_date(day: date) -> ql.Date:
    return ql.Date(day.day, day.month, day.year)


@pytest.mark.parametrize(
    ("count", "begin", "end", "years"),
    [
        (DayCount.A365F, "2024-01-01", "2025-01-01", Fraction(366, 365)),
        (DayCount.A360, "2013-01-01", "2013-02-01", Fraction(31, 360)),
        (DayCount.AA_ISDA, "2024-01-01", "2025-01-01", Fraction(1)),
        # ISDA's own example (EMU and market conventions, 1998): 61 days of 2003, 121 of 2004.
        (DayCount.AA_ISDA, "2003-11-01", "2004-05-01", Fraction(61, 365) + Fraction(121, 366)),
        (DayCount.AA_ISDA, "2012-12-30", "2013-01-09", Fraction(2, 366) + Fraction(8, 365)),
        (DayCount.E30_360, "2013-01-31", "2013-02-28", Fraction(28, 360)),
        (DayCount.E30_360, "2014-07-01", "2014-12-31", Fraction(179, 360)),
        (DayCount.E30_360_ISDA, "2013-01-31", "2013-02-28", Fraction(30, 360)),
        (DayCount.E30_360_ISDA, "2013-02-28", "2013-03-31", Fraction(30, 360)),
    ],
)
def test_years_in_golden_numbers(count: DayCount, begin: str, end: str, years: Fraction) -> None:
    first, last = date.fromisoformat(begin), date.fromisoformat(end)
    assert year_fraction(first, end=last, count=count) == years


def test_the_last_of_february_counts_as_itself_at_the_maturity_alone() -> None:
    begin, end = date(2013, 1, 31), date(2013, 2, 28)
    isda = DayCount.E30_360_ISDA
    assert year_fraction(begin, end=end, count=isda, maturity=end) == Fraction(28, 360)
    assert year_fraction(begin, end=end, count=isda, maturity=date(2014, 2, 28)) == Fraction(1, 12)


@given(DAYS, DAYS, st.sampled_from(sorted(PEERS, key=lambda each: each.value)))
def test_quantlib_counts_the_same(one: date, other: date, count: DayCount) -> None:
    begin, end = min(one, other), max(one, other)
    ours = year_fraction(begin, end=end, count=count)
    theirs = PEERS[count].yearFraction(peer_date(begin), peer_date(end))
    assert float(ours) == pytest.approx(theirs, rel=1e-12, abs=1e-14)


@given(DAYS, DAYS, DAYS)
def test_quantlib_counts_the_same_where_the_maturity_matters(
    one: date, two: date, three: date
) -> None:
    begin, end, maturity = sorted((one, two, three))
    count = DayCount.E30_360_ISDA
    for last in (maturity, end):
        peer = ql.Thirty360(ql.Thirty360.ISDA, peer_date(last))
        ours = year_fraction(begin, end=end, count=count, maturity=last)
        theirs = peer.yearFraction(peer_date(begin), peer_date(end))
        assert float(ours) == pytest.approx(theirs, rel=1e-12, abs=1e-14)


@given(DAYS, DAYS, DAYS, st.sampled_from(ACTUAL))
def test_actual_days_add_up(one: date, two: date, three: date, count: DayCount) -> None:
    begin, middle, end = sorted((one, two, three))
    whole = year_fraction(begin, end=end, count=count)
    parts = year_fraction(begin, end=middle, count=count)
    assert parts + year_fraction(middle, end=end, count=count) == whole


@given(DAYS, DAYS, DAYS)
def test_months_of_thirty_days_add_up(one: date, two: date, three: date) -> None:
    """30E/360 gives each date one number, so its spans add up too."""
    begin, middle, end = sorted((one, two, three))
    count = DayCount.E30_360
    whole = year_fraction(begin, end=end, count=count)
    parts = year_fraction(begin, end=middle, count=count)
    assert parts + year_fraction(middle, end=end, count=count) == whole


@pytest.mark.parametrize("count", list(DayCount))
def test_no_time_is_no_years_and_time_does_not_run_backwards(count: DayCount) -> None:
    day = date(2024, 2, 29)
    assert year_fraction(day, end=day, count=count) == 0
    with pytest.raises(BadInput) as refused:
        year_fraction(day, end=date(2024, 2, 28), count=count)
    assert refused.value.code == "schedule/order"


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("A/365F", DayCount.A365F),
        ("A365", DayCount.A365F),
        ("AA", DayCount.AA_ISDA),
        ("30E360", DayCount.E30_360),
        ("30E/360 ISDA", DayCount.E30_360_ISDA),
    ],
)
def test_names_of_files_and_of_actus(name: str, count: DayCount) -> None:
    assert parse_day_count(name) is count


@pytest.mark.parametrize("name", [*REFUSED, "30/360", "", "a365"])
def test_a_day_count_that_is_not_carried_out_is_refused_by_name(name: str) -> None:
    with pytest.raises(BadInput) as refused:
        parse_day_count(name)
    assert refused.value.code == "schedule/day-count"
    assert refused.value.facts["reason"] == REFUSED.get(name, refused.value.facts["reason"])
