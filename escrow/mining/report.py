"""What a miner's months look like: energy and its cost, sats, hash price. Pure, for stories."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from escrow.core.units import CENTS_SCALE, Cents, PriceE8, Sats, Seconds, muldiv_down
from escrow.mining.hashprice import hash_price_at
from escrow.mining.meter import month_bounds
from escrow.mining.network import difficulty_of
from escrow.mining.path import NetworkPath, earned
from escrow.mining.pool import Balance, PoolTerms, Scheme, credit
from escrow.mining.site import Site
from escrow.mining.tax import day_of
from escrow.mining.units import UTC, WH_IN_KWH, Ghs, WattHours
from escrow.provenance import Parameter, doubtful


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time at a site."""

    since: Seconds
    """Its first second."""
    until: Seconds
    """The second after its last."""
    energy: WattHours
    """By the meter."""
    cost: Cents
    """Of the energy, minor units, rounded up."""
    mined: Sats
    """Expected, after the pool's fee; whole sats credited in this span, so that spans add up."""
    worth: Cents
    """Of the sats at the price given, rounded down."""
    hash_price: Cents
    """Of 1 PH/s a day, when it began, minor units, rounded down."""
    difficulty: int
    """When it began, rounded down."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a site does over a time."""

    site: str
    """Its name."""
    hash_rate: Ghs
    """Of what runs under its cap."""
    machines: int
    """That run."""
    idle: int
    """That the cap leaves off."""
    spans: tuple[Span, ...]
    """One after the other."""
    doubtful: tuple[str, ...]
    """Every number behind this that is reported or assumed."""

    def as_json(self) -> dict[str, Any]:
        """The report as JSON keeps it; all numbers as text."""
        spans = [{f.name: str(getattr(each, f.name)) for f in fields(each)} for each in self.spans]
        return {
            "site": self.site,
            "hash_rate_gh_s": str(self.hash_rate),
            "machines": str(self.machines),
            "idle": str(self.idle),
            "spans": spans,
            "doubtful": list(self.doubtful),
        }

    def lines(self) -> tuple[str, ...]:
        """The report for people: a line each span, then what is doubtful."""
        head = (
            f"{self.site}: {self.machines} machines run, {self.idle} idle, {self.hash_rate:,} GH/s"
        )
        rows = (
            f"{day_of(each.since)} to {day_of(each.until)}: "
            f"{muldiv_down(each.energy, 1, WH_IN_KWH):,} kWh for {each.cost:,} minor units, "
            f"{each.mined:,} sats worth {each.worth:,}, "
            f"hash price {each.hash_price:,} a PH/s and day"
            for each in self.spans
        )
        return (head, *rows, *self.doubtful)


def credited(
    site: Site, path: NetworkPath, *, pool: PoolTerms, since: Seconds, until: Seconds
) -> Balance:
    """A member's account after its site worked from ``since`` to ``until``. Raises BadInput:
    ``site/time``, ``network/outside``."""
    windows = site.working(since=since, until=until)
    work = earned(path, hash_rate=site.hash_rate, windows=windows, fees=pool.scheme is Scheme.FPPS)
    return credit(Balance(), work, terms=pool)


def span(
    site: Site,
    path: NetworkPath,
    *,
    pool: PoolTerms,
    since: Seconds,
    until: Seconds,
    price: PriceE8,
) -> Span:
    """One stretch of time, counted from the later of the site's and the path's start, so that
    stretches add up. ``price`` is in the currency of the site's tariff.

    Raises BadInput: ``site/time``, ``network/outside``, ``input/amount``.
    """
    origin = max(site.since, path.since)
    sats = Sats(
        credited(site, path, pool=pool, since=origin, until=until).owed
        - credited(site, path, pool=pool, since=origin, until=since).owed
    )
    energy = site.energy(since=since, until=until)
    quoted = hash_price_at(path, at=since, price=price)
    return Span(
        since=since,
        until=until,
        energy=energy,
        cost=site.cost(energy),
        mined=sats,
        worth=Cents(muldiv_down(sats, price, CENTS_SCALE)),
        hash_price=quoted.cents_per_ph_day,
        difficulty=int(difficulty_of(path.at(since).bits)),
    )


def monthly(
    site: Site,
    path: NetworkPath,
    *,
    pool: PoolTerms,
    first: tuple[int, int],
    months: int,
    price: PriceE8,
    sources: tuple[Parameter, ...] = (),
    utc_offset: Seconds = UTC,
) -> Report:
    """Calendar months from ``first``, a year and a month. ``sources`` are the provenance of what
    the caller chose; that of the machines is added.

    Raises BadInput: ``meter/month``, ``site/time``, ``network/outside``, ``input/amount``.
    """
    spans = []
    for n in range(months):
        year, month = first[0] + (first[1] - 1 + n) // 12, (first[1] - 1 + n) % 12 + 1
        since, until = month_bounds(year, month, utc_offset=utc_offset)
        spans.append(span(site, path, pool=pool, since=since, until=until, price=price))
    running, all_of = site.running, sum(each.count for each in site.racks)
    runs = sum(each.count for each in running)
    behind = tuple(p for rack in site.racks for p in rack.machine.parameters)
    behind += tuple(p for rack in site.racks for p in rack.machine.curve.parameters)
    return Report(
        site=site.name,
        hash_rate=site.hash_rate,
        machines=runs,
        idle=all_of - runs,
        spans=tuple(spans),
        doubtful=tuple(dict.fromkeys(doubtful((*sources, *behind)))),
    )
