"""Days and months as moments.

A day begins and ends in UTC: no source says which of a country's clocks a deadline is on, so this
is assumed.
"""

from __future__ import annotations

import re
from calendar import timegm
from datetime import UTC, date, datetime, timedelta
from typing import Final, NewType

from escrow.core.errors import BadInput
from escrow.core.units import DAY, Seconds

Month = NewType("Month", int)
"""Months since the year 0: January 2025 is 24,300."""

_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_MONTH: Final = re.compile(r"([0-9]{4})-(0[1-9]|1[0-2])", re.ASCII)
_FIRST_YEAR: Final = 1970
_LAST_YEAR: Final = 9_900
"""Of what is read: what is due after it still has a date."""


def first_second(day: date) -> Seconds:
    """When the day begins. Raises BadInput("input/time") before 1970."""
    if day.year < _FIRST_YEAR:
        raise BadInput("input/time", value=day.isoformat())
    return Seconds(timegm(day.timetuple()))


def last_second(day: date) -> Seconds:
    """The last second of the day. Raises BadInput("input/time") before 1970."""
    return Seconds(first_second(day) + DAY - 1)


def day_of(at: Seconds) -> date:
    """The day that a moment is in."""
    return datetime.fromtimestamp(at, UTC).date()


def parse_day(text: str) -> date:
    """``2025-03-01``. Raises BadInput("input/time")."""
    try:
        # The library reads weeks as well, and newer ones read more.
        if not _DAY.fullmatch(text):
            raise ValueError
        day = date.fromisoformat(text)
        if day.year > _LAST_YEAR:
            raise ValueError
    except ValueError as error:
        raise BadInput("input/time", value=text[:40]) from error
    return day


def parse_month(text: str) -> Month:
    """``2025-03``. Raises BadInput("input/time")."""
    found = _MONTH.fullmatch(text)
    if found is None or not _FIRST_YEAR <= int(found[1]) <= _LAST_YEAR:
        raise BadInput("input/time", value=text[:40])
    return Month(12 * int(found[1]) + int(found[2]) - 1)


def month_of(at: Seconds) -> Month:
    """The month that a moment is in."""
    day = day_of(at)
    return Month(12 * day.year + day.month - 1)


def day_in(month: Month, day: int) -> date:
    """The ``day``-th of a month that has one."""
    year, index = divmod(month, 12)
    return date(year, index + 1, day)


def last_day(month: Month) -> date:
    """The last day of a month."""
    return day_in(Month(month + 1), 1) - timedelta(days=1)


def month_name(month: Month) -> str:
    """``2025-03``."""
    year, index = divmod(month, 12)
    return f"{year:04}-{index + 1:02}"
