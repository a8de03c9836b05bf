"""An electricity meter as it is read: cumulative watt-hours, and what a month's readings come to.

A month's energy is the difference of two readings, one at each of its ends: what was read at other
moments says nothing exact of a month, and nothing is interpolated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from escrow.core.errors import BadInput
from escrow.core.units import DAY, MAX_TIME, Seconds
from escrow.mining.units import UTC, WattHours

MAX_WH: Final = WattHours(10**18)
"""A meter that shows more is refused as absurd: ten times what the world uses in a year."""
_EPOCH: Final = date(1970, 1, 1).toordinal()


@dataclass(frozen=True, slots=True)
class Reading:
    """What a meter showed."""

    at: Seconds
    """When."""
    wh: WattHours
    """Since it was set up."""


@dataclass(frozen=True, slots=True)
class Meter:
    """A meter and its readings, oldest first."""

    id: str
    """Its number."""
    readings: tuple[Reading, ...] = ()
    """Times rise; energy never falls."""


def read_meter(meter: Meter, reading: Reading) -> Meter:
    """The meter with one more reading.

    Raises BadInput: ``meter/value`` (not whole, below zero, absurd), ``meter/order`` (not after
    the last), ``meter/backwards`` (less than the last).
    """
    at, wh = reading.at, reading.wh
    if (
        type(at) is not int
        or type(wh) is not int
        or not (0 <= at <= MAX_TIME and 0 <= wh <= MAX_WH)
    ):
        raise BadInput("meter/value", meter=meter.id[:40], at=str(at)[:40], wh=str(wh)[:40])
    if meter.readings:
        last = meter.readings[-1]
        if at <= last.at:
            raise BadInput("meter/order", meter=meter.id[:40], at=at, last=last.at)
        if wh < last.wh:
            raise BadInput("meter/backwards", meter=meter.id[:40], wh=wh, last=last.wh)
    return Meter(meter.id, (*meter.readings, reading))


def month_bounds(year: int, month: int, *, utc_offset: Seconds = UTC) -> tuple[Seconds, Seconds]:
    """First second of a calendar month, and the one after its last, in a zone so far east of UTC.

    Raises BadInput("meter/month") for no such month from 1970 to 9998.
    """
    if not (1970 <= year <= 9998 and 1 <= month <= 12 and abs(utc_offset) <= DAY):
        raise BadInput("meter/month", month=f"{year}-{month}"[:40])
    after = date(year + month // 12, month % 12 + 1, 1)
    first, last = date(year, month, 1).toordinal(), after.toordinal()
    since, until = ((day - _EPOCH) * DAY - utc_offset for day in (first, last))
    return Seconds(since), Seconds(until)


def month_energy(
    meters: Sequence[Meter], *, year: int, month: int, utc_offset: Seconds = UTC
) -> WattHours:
    """Watt-hours of a calendar month over all meters.

    Raises BadInput("meter/month") where a meter was not read at both ends of it.
    """
    since, until = month_bounds(year, month, utc_offset=utc_offset)
    total = 0
    for meter in meters:
        shown = {each.at: each.wh for each in meter.readings}
        if since not in shown or until not in shown:
            raise BadInput("meter/month", meter=meter.id[:40], since=since, until=until)
        total += shown[until] - shown[since]
    return WattHours(total)
