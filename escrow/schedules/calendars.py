"""Business days, and where a date goes that is none.

Source: ACTUS technical specification §3.4 "Business Day Shift Convention" and §3.5.
"""

from __future__ import annotations

from datetime import date, timedelta
from enum import Enum
from typing import assert_never

from escrow.core.errors import BadInput

_DAY = timedelta(days=1)


class Calendar(Enum):
    """Which days are business days."""

    NC = "NC"
    """Every day (ACTUS ``NoHoliday``)."""
    MF = "MF"
    """Monday to Friday, without holidays."""


class Convention(Enum):
    """What happens to a date that is no business day, and whether interest follows it.

    ``SC`` shifts first and then calculates, so that interest runs to the shifted date. ``CS``
    calculates for the date as it was scheduled, and pays on the shifted one.
    """

    NOS = "NOS"
    """No shift."""
    SCF = "SCF"
    """To the next business day."""
    SCMF = "SCMF"
    """To the next business day, or the one before where that is in another month."""
    CSF = "CSF"
    """As SCF; interest runs to the unshifted date."""
    CSMF = "CSMF"
    """As SCMF; interest runs to the unshifted date."""
    SCP = "SCP"
    """To the business day before."""
    SCMP = "SCMP"
    """To the business day before, or the next where that is in another month."""
    CSP = "CSP"
    """As SCP; interest runs to the unshifted date."""
    CSMP = "CSMP"
    """As SCMP; interest runs to the unshifted date."""

    @property
    def calculates_first(self) -> bool:
        """Does interest run to the date before the shift?"""
        return self.value.startswith("CS")


def parse_calendar(name: str) -> Calendar:
    """A calendar by name. Raises BadInput("schedule/calendar")."""
    for member in Calendar:
        if member.value == name:
            return member
    known = " ".join(member.value for member in Calendar)
    raise BadInput("schedule/calendar", name=name[:40], known=known)


def parse_convention(name: str) -> Convention:
    """A business-day convention by name. Raises BadInput("schedule/convention")."""
    for member in Convention:
        if member.value == name:
            return member
    known = " ".join(member.value for member in Convention)
    raise BadInput("schedule/convention", name=name[:40], known=known)


def is_business_day(day: date, *, calendar: Calendar) -> bool:
    """Is it one?"""
    match calendar:
        case Calendar.NC:
            return True
        case Calendar.MF:
            return day.weekday() < 5
        case _:
            assert_never(calendar)


def shift(day: date, *, calendar: Calendar, convention: Convention) -> date:
    """Where the convention moves a date; a business day stays where it is."""
    if convention is Convention.NOS or is_business_day(day, calendar=calendar):
        return day
    forward = convention.value.endswith("F")
    moved = _next(day, calendar, forward)
    if "M" in convention.value and moved.month != day.month:
        return _next(day, calendar, not forward)
    return moved


def _next(day: date, calendar: Calendar, forward: bool) -> date:
    while not is_business_day(day, calendar=calendar):
        day = day + _DAY if forward else day - _DAY
    return day
