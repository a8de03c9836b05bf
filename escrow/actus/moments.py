"""Moments as ACTUS writes them: a date and a time of day, without a zone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from escrow.core.errors import BadInput
from escrow.schedules.cycle import Period, add

MIDNIGHT: Final = 86_399
"""23:59:59 stands for the end of the day (technical specification §2.8): interest has run until
the next day begins."""
_FORM: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:T([0-9]{2}):([0-9]{2})(?::([0-9]{2}))?)?", re.ASCII
)


@dataclass(frozen=True, slots=True, order=True)
class Moment:
    """A date and a time of day. The order is that of the clock."""

    day: date
    """The date."""
    second: int = 0
    """Seconds since its beginning; 86,400 is 24:00:00."""

    @property
    def calc(self) -> date:
        """The date that day counts see: at the end of a day it is the next."""
        if self.second < MIDNIGHT or self.day == date.max:
            return self.day
        return self.day + timedelta(days=1)

    def plus(self, period: Period, *, times: int = 1, end_of_month: bool = False) -> Moment:
        """The same time of day, some periods on. Raises BadInput("schedule/order")."""
        moved = add(self.day, period=period, times=times, end_of_month=end_of_month)
        return Moment(moved, self.second)

    def __str__(self) -> str:
        hours, rest = divmod(self.second, 3600)
        return f"{self.day.isoformat()}T{hours:02}:{rest // 60:02}:{rest % 60:02}"


def parse_moment(text: str, *, at: str) -> Moment:
    """``2013-01-01``, ``2013-01-01T00:00`` or ``2013-01-01T00:00:00``; spaces around it pass.

    Raises BadInput("actus/term"); ``at`` names the term.
    """
    found = _FORM.fullmatch(text.strip())
    if found is None:
        raise BadInput("actus/term", at=at, value=text[:40], reason="not a date and time")
    hours, minutes, seconds = (int(part or 0) for part in found.groups()[1:])
    of_day = hours * 3600 + minutes * 60 + seconds
    if minutes > 59 or seconds > 59 or of_day > 86_400:
        raise BadInput("actus/term", at=at, value=text[:40], reason="no such time of day")
    try:
        return Moment(date.fromisoformat(found[1]), of_day)
    except ValueError as error:
        raise BadInput("actus/term", at=at, value=text[:40], reason="no such date") from error
