"""Day counts: what part of a year lies between two dates, as an exact ``Fraction``.

Sources: ISDA 2006 Definitions §4.16, and the ACTUS dictionary (``dayCountConvention``). Tested
against QuantLib's ``Actual365Fixed``, ``Actual360``, ``ActualActual(ISDA)`` and ``Thirty360``.
"""

from __future__ import annotations

from calendar import isleap
from datetime import date, timedelta
from enum import Enum
from fractions import Fraction
from typing import Final, assert_never

from escrow.core.errors import BadInput


class DayCount(Enum):
    """How days are counted. The value is the name in files; ACTUS's own is in ``ALIASES``."""

    A365F = "A/365F"
    """Actual days ÷ 365, also in leap years. ISDA §4.16(d)."""
    A360 = "A/360"
    """Actual days ÷ 360. ISDA §4.16(e)."""
    AA_ISDA = "A/A ISDA"
    """Days in leap years ÷ 366 and the others ÷ 365. ISDA §4.16(b)."""
    E30_360 = "30E/360"
    """Months of 30 days: the 31st is the 30th. ISDA §4.16(g)."""
    E30_360_ISDA = "30E/360 ISDA"
    """So too the last of February, but not where it is the maturity. ISDA §4.16(h)."""


ALIASES: Final = {
    **{member.value: member for member in DayCount},
    "A365": DayCount.A365F,
    "A360": DayCount.A360,
    "AA": DayCount.AA_ISDA,
    "30E360": DayCount.E30_360,
    "30E360ISDA": DayCount.E30_360_ISDA,
}
"""Names that are read: those of files, and ACTUS's."""
REFUSED: Final = {
    "B/252": "needs the holidays of one market, and no such calendar is here",
    "B252": "needs the holidays of one market, and no such calendar is here",
    "28E336": "not defined by ISDA, and in use nowhere that we know",
}
"""Names that are known and not carried out, with the reason."""


def parse_day_count(name: str) -> DayCount:
    """A day count by name. Raises BadInput("schedule/day-count"): unknown, or refused by name."""
    found = ALIASES.get(name)
    if found is None:
        reason = REFUSED.get(name, "none of " + ", ".join(member.value for member in DayCount))
        raise BadInput("schedule/day-count", name=name[:40], reason=reason)
    return found


def year_fraction(
    begin: date, *, end: date, count: DayCount, maturity: date | None = None
) -> Fraction:
    """Years from ``begin`` to ``end``; of the dates the later one does not count.

    ``maturity`` matters to 30E/360 ISDA alone. Raises BadInput("schedule/order") if ``end`` comes
    first: a period that runs backwards would be interest paid to the debtor.
    """
    if end < begin:
        raise BadInput("schedule/order", begin=begin.isoformat(), end=end.isoformat())
    match count:
        case DayCount.A365F:
            return Fraction((end - begin).days, 365)
        case DayCount.A360:
            return Fraction((end - begin).days, 360)
        case DayCount.AA_ISDA:
            return _actual_actual(begin, end)
        case DayCount.E30_360:
            return Fraction(_thirty_days(begin, min(begin.day, 30), end, min(end.day, 30)), 360)
        case DayCount.E30_360_ISDA:
            first = 30 if _is_month_end(begin) else begin.day
            # The last day of February stays what it is where the loan ends on it.
            last_counts = _is_month_end(end) and not (end == maturity and end.month == 2)
            last = 30 if last_counts else end.day
            return Fraction(_thirty_days(begin, first, end, last), 360)
        case _:
            assert_never(count)


def _actual_actual(begin: date, end: date) -> Fraction:
    if begin.year == end.year:
        return Fraction((end - begin).days, _days_in(begin.year))
    first = Fraction((date(begin.year + 1, 1, 1) - begin).days, _days_in(begin.year))
    last = Fraction((end - date(end.year, 1, 1)).days, _days_in(end.year))
    return first + (end.year - begin.year - 1) + last


def _days_in(year: int) -> int:
    return 366 if isleap(year) else 365


def _is_month_end(day: date) -> bool:
    return (day + timedelta(days=1)).month != day.month


def _thirty_days(begin: date, first: int, end: date, last: int) -> int:
    return 360 * (end.year - begin.year) + 30 * (end.month - begin.month) + last - first
