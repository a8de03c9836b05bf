"""A site: machines under a cap of power, what a kWh costs, and when it stands still.

A site works in whole windows: between its outages all machines that the cap lets run do run. Its
meter counts exactly, so energy adds up over any split of the time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from escrow.core.errors import BadInput
from escrow.core.units import DAY, MAX_CENTS, MAX_TIME, YEAR, Cents, Seconds, muldiv_down, muldiv_up
from escrow.mining.machines import Machine
from escrow.mining.path import Window
from escrow.mining.units import (
    MICRO,
    SECONDS_IN_HOUR,
    WH_IN_KWH,
    Ghs,
    MicroWatts,
    WattHours,
)

MAX_MACHINES: Final = 10_000_000
MAX_RACKS: Final = 200
MAX_OUTAGES: Final = 2_000
MAX_SPAN: Final = Seconds(50 * YEAR)
"""Longest time that a site is asked about at once."""


@dataclass(frozen=True, slots=True)
class Rack:
    """Machines of one model."""

    machine: Machine
    """The model."""
    count: int
    """How many."""


@dataclass(frozen=True, slots=True)
class Site:
    """Where machines stand. Make it by ``new_site``, which checks it."""

    name: str
    """For reports."""
    racks: tuple[Rack, ...]
    """What stands there."""
    power_cap: int
    """Watts that may be drawn."""
    tariff: Cents
    """Minor units a kWh."""
    since: Seconds
    """When it was switched on: its meter stood at 0."""
    outages: tuple[Window, ...] = ()
    """Spans without power, once each."""
    daily: tuple[Window, ...] = ()
    """The same each day, seconds of the day (UTC): peak hours that are switched off."""

    @property
    def running(self) -> tuple[Rack, ...]:
        """What the cap lets run: the most efficient first, whole machines."""
        left, found = self.power_cap * MICRO, []
        for rack in sorted(self.racks, key=lambda each: each.machine.efficiency):
            fit = min(rack.count, muldiv_down(left, 1, rack.machine.power))
            left -= fit * rack.machine.power
            if fit:
                found.append(Rack(rack.machine, fit))
        return tuple(found)

    @property
    def hash_rate(self) -> Ghs:
        """GH/s of what runs."""
        return Ghs(sum(each.count * each.machine.hash_rate for each in self.running))

    @property
    def power(self) -> MicroWatts:
        """What that draws, exact."""
        return MicroWatts(sum(each.count * each.machine.power for each in self.running))

    def working(self, *, since: Seconds, until: Seconds) -> tuple[Window, ...]:
        """The windows in which it works, in order, apart. Raises BadInput("site/time") for a span
        before its start, backwards, or longer than ``MAX_SPAN``."""
        if not self.since <= since <= until <= since + MAX_SPAN:
            raise BadInput("site/time", since=since, until=until, site_since=self.since)
        found: list[Window] = []
        at = since
        for start, end in sorted(self._still(since, until)):
            if at < min(start, until):
                found.append((at, min(start, until)))
            at = max(at, end)
        if at < until:
            found.append((at, until))
        return tuple(found)

    def meter(self, *, at: Seconds) -> WattHours:
        """What its meter shows, rounded down as meters do. Raises BadInput("site/time")."""
        seconds = sum(end - start for start, end in self.working(since=self.since, until=at))
        return WattHours(muldiv_down(self.power, seconds, MICRO * SECONDS_IN_HOUR))

    def energy(self, *, since: Seconds, until: Seconds) -> WattHours:
        """What the meter counts from ``since`` to ``until``. Raises BadInput("site/time")."""
        if since > until:
            raise BadInput("site/time", since=since, until=until, site_since=self.since)
        return WattHours(self.meter(at=until) - self.meter(at=since))

    def cost(self, energy: WattHours) -> Cents:
        """What energy costs, minor units, rounded up."""
        return Cents(muldiv_up(energy, self.tariff, WH_IN_KWH))

    def _still(self, since: Seconds, until: Seconds) -> Iterator[Window]:
        """Outages that touch the span, in no order."""
        for start, end in self.outages:
            if start < until and end > since:
                yield start, end
        midnight = since - since % DAY
        while self.daily and midnight < until:
            for start, end in self.daily:
                yield Seconds(midnight + start), Seconds(midnight + end)
            midnight += DAY


def new_site(
    name: str,
    *,
    racks: tuple[Rack, ...],
    power_cap: int,
    tariff: Cents,
    since: Seconds,
    outages: tuple[Window, ...] = (),
    daily: tuple[Window, ...] = (),
) -> Site:
    """A site, checked.

    Raises BadInput: ``site/machines`` (none, too many, not a whole number), ``site/power``,
    ``site/tariff``, ``site/time``, ``site/outage`` (a window that is empty or backwards, ends
    after its day where it is daily, or one too many).
    """
    counts = [rack.count for rack in racks]
    if not 1 <= len(racks) <= MAX_RACKS or any(type(c) is not int or c < 1 for c in counts):
        raise BadInput("site/machines", racks=len(racks))
    if sum(counts) > MAX_MACHINES:
        raise BadInput("site/machines", machines=sum(counts), most=MAX_MACHINES)
    if type(power_cap) is not int or not 0 < power_cap <= 10**12:
        raise BadInput("site/power", watts=str(power_cap)[:40])
    if type(tariff) is not int or not 0 <= tariff <= MAX_CENTS:
        raise BadInput("site/tariff", tariff=str(tariff)[:40])
    if type(since) is not int or not 0 <= since <= MAX_TIME:
        raise BadInput("site/time", since=str(since)[:40])
    if len(outages) + len(daily) > MAX_OUTAGES:
        raise BadInput("site/outage", outages=len(outages) + len(daily), most=MAX_OUTAGES)
    for most, windows in ((MAX_TIME, outages), (DAY, daily)):
        for start, end in windows:
            if not 0 <= start < end <= most:
                raise BadInput("site/outage", since=start, until=end, most=most)
    return Site(name, racks, power_cap, tariff, since, outages, daily)
