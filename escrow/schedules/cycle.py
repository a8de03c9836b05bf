"""Cycles: dates at regular distance from an anchor, to an end that need not be one of them.

Source: ACTUS technical specification §3.1 "Schedule" and §3.3 "End Of Month Shift Convention". A
cycle is written as the dictionary does: ``P1ML0`` is every month with a long last stub, ``P2WL1``
every two weeks with a short one.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from enum import Enum
from itertools import count
from typing import Final, TypeVar

from escrow.core.errors import BadInput

MAX_DATES: Final = 40_000
"""Most dates in a schedule: daily for a century. Above it, it counts as one that never ends."""
_MONTHS: Final = {"M": 1, "Q": 3, "H": 6, "Y": 12}
_DAYS: Final = {"D": 1, "W": 7}
_CYCLE: Final = re.compile(r"P([0-9]{1,4})([DWMQHY])(?:L([01]))?", re.ASCII)
_PERIOD: Final = re.compile(
    r"P(?=.)(?:([0-9]{1,4})Y)?(?:([0-9]{1,4})H)?(?:([0-9]{1,4})Q)?(?:([0-9]{1,4})M)?"
    r"(?:([0-9]{1,4})W)?(?:([0-9]{1,5})D)?",
    re.ASCII,
)

_T = TypeVar("_T", date, "tuple[date, int]")


class Stub(Enum):
    """What becomes of a last period that is shorter than the cycle. The value is ACTUS's."""

    LONG = "0"
    """It is joined to the one before."""
    SHORT = "1"
    """It stays."""


@dataclass(frozen=True, slots=True)
class Period:
    """A span of calendar time."""

    months: int = 0
    """Calendar months; the day of the month is kept where there is one."""
    days: int = 0
    """Days, added after the months."""

    @property
    def is_zero(self) -> bool:
        """Does it lead nowhere?"""
        return self.months == 0 and self.days == 0


@dataclass(frozen=True, slots=True)
class Cycle:
    """A period that repeats."""

    period: Period
    """The distance between two dates."""
    stub: Stub = Stub.SHORT
    """What becomes of a last period that is shorter."""


def parse_period(text: str) -> Period:
    """``P1M``, ``P31D``, ``P1Y6M``; H is a half year and Q a quarter. Raises
    BadInput("schedule/cycle")."""
    found = _PERIOD.fullmatch(text)
    if found is None:
        raise BadInput("schedule/cycle", value=text[:40], reason="not a period like P1M or P30D")
    years, halves, quarters, months, weeks, days = (int(part or 0) for part in found.groups())
    return Period(12 * years + 6 * halves + 3 * quarters + months, 7 * weeks + days)


def parse_cycle(text: str) -> Cycle:
    """``P1ML0``; without ``L`` the last stub is short. Raises BadInput("schedule/cycle"), also for
    a cycle of nothing, which would never end."""
    found = _CYCLE.fullmatch(text)
    if found is None:
        raise BadInput("schedule/cycle", value=text[:40], reason="not a cycle like P1ML0")
    number, unit = int(found[1]), found[2]
    if number == 0:
        raise BadInput("schedule/cycle", value=text[:40], reason="it never ends")
    months, days = number * _MONTHS.get(unit, 0), number * _DAYS.get(unit, 0)
    return Cycle(Period(months, days), Stub(found[3] or "1"))


def add(start: date, *, period: Period, times: int = 1, end_of_month: bool = False) -> date:
    """``start`` and ``times`` periods, counted from ``start`` and not from the date before.

    A day that the month lacks is its last (31 January and a month: 28 February). Under the
    month-end rule (``end_of_month``) the last day of a shorter month stands for the last of every
    month. Raises BadInput("schedule/order") beyond the year 9999.
    """
    try:
        moved = start
        if period.months:
            month = start.year * 12 + start.month - 1 + times * period.months
            year, month = month // 12, month % 12 + 1
            last = monthrange(year, month)[1]
            # The rule is for cycles in months alone, so not where days are added too.
            rule = end_of_month and not period.days and _is_short_month_end(start)
            moved = date(year, month, last if rule else min(start.day, last))
        return moved + timedelta(days=times * period.days)
    except (ValueError, OverflowError) as error:
        raise BadInput("schedule/order", start=start.isoformat(), reason="no such year") from error


def regular(start: date, *, period: Period, end_of_month: bool = False) -> Iterator[date]:
    """The anchor and every date after it, without end."""
    return (add(start, period=period, times=n, end_of_month=end_of_month) for n in count())


def closed(dates: Iterator[_T], *, end: _T, stub: Stub, with_end: bool = True) -> tuple[_T, ...]:
    """Regular dates up to ``end``, and ``end`` itself unless told otherwise.

    ACTUS §3.1: where ``end`` is no regular date, a long stub takes the last regular one away; with
    a single regular date that is the anchor itself. Raises BadInput("schedule/endless") for more
    than ``MAX_DATES``.
    """
    found: list[_T] = []
    for each in dates:
        if each >= end:
            if each > end and stub is Stub.LONG and found:
                found.pop()
            break
        if len(found) == MAX_DATES:
            raise BadInput("schedule/endless", most=MAX_DATES)
        found.append(each)
    if with_end:
        found.append(end)
    return tuple(found)


def schedule_dates(
    start: date, *, end: date, cycle: Cycle | None, end_of_month: bool = False
) -> tuple[date, ...]:
    """Anchor, regular dates and end; without a cycle anchor and end alone.

    Raises BadInput("schedule/order") if the end comes before the anchor.
    """
    if end < start:
        raise BadInput("schedule/order", begin=start.isoformat(), end=end.isoformat())
    if cycle is None:
        return (start, end) if start < end else (end,)
    dates = regular(start, period=cycle.period, end_of_month=end_of_month)
    return closed(dates, end=end, stub=cycle.stub)


def _is_short_month_end(day: date) -> bool:
    last = monthrange(day.year, day.month)[1]
    return last < 31 and day.day == last
