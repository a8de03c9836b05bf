"""The tax service's registry of miners, off chain: who must be in it, who reports, who is struck.

Sources (secondary): 221-FZ in force 1 Nov 2024, legal entities and entrepreneurs register; decree
1469, an individual without registration uses 6,000 kWh a month at most; reports by the 20th of each
month; grounds for striking off: false data, bankruptcy, repeated breach of anti-money-laundering
rules, a banned region. No tax advice.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from escrow.core.eligibility import Value
from escrow.core.errors import Rejected
from escrow.core.units import BPS, MAX_MONEY, MAX_TIME, Sats, Seconds, muldiv_down
from escrow.eligibility.days import (
    Month,
    day_in,
    first_second,
    last_second,
    month_name,
    month_of,
)
from escrow.eligibility.inn import ENTITY, parse_inn
from escrow.eligibility.told import Told, granted

THRESHOLD_KWH: Final = 6_000
"""Most that an individual uses in a month without registration (decree 1469, secondary)."""
REPORT_DAY: Final = 20
"""Day of the next month by whose end a month is reported (klerk.ru/buh/news/665792)."""
REGISTERED_SHARE_BPS: Final = 3_333
"""Fewer than a third of miners are said to be registered, no source verified. Assumed: the widest
such share."""
MAX_METER_KWH: Final = 10**12
"""Widest meter: more than any country uses in a month."""
MAX_MINERS: Final = 10_000
MAX_ADDRESSES: Final = 1_000
"""Addresses of one report."""
MAX_READINGS: Final = 600
"""Months that a miner is followed."""


class MinerClass(Enum):
    """What a miner is."""

    LEGAL_ENTITY = "legal-entity"
    ENTREPRENEUR = "entrepreneur"
    """A person registered as a business (IP)."""
    INDIVIDUAL = "individual"


class Ground(Enum):
    """Why a miner is struck off."""

    FALSE_DATA = "false-data"
    BANKRUPTCY = "bankruptcy"
    AML = "repeated-aml-breach"
    BANNED_REGION = "banned-region"


class Standing(Enum):
    """How a miner stands with the registry."""

    FREE = "free"
    """An individual who never crossed the threshold."""
    OBLIGED = "obliged"
    """Must be registered and is not."""
    REGISTERED = "registered"
    REPORT_OVERDUE = "report-overdue"
    """Registered, and a report was not filed by the end of its day."""
    DELISTED = "delisted"


@dataclass(frozen=True, slots=True)
class Reading:
    """A meter at the end of a month."""

    month: Month
    meter_kwh: int
    """Since the meter was set up: it never goes back."""
    used_kwh: int
    """In this month."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a registered miner told of a month."""

    month: Month
    filed_at: Seconds
    sats: Sats
    """Digital currency obtained."""
    addresses: tuple[str, ...]
    """Identifiers of the addresses that hold it."""

    @property
    def late(self) -> bool:
        return self.filed_at > due_of(self.month)


@dataclass(frozen=True, slots=True)
class Miner:
    """One who mines."""

    inn: str
    kind: MinerClass
    since: Month
    """First month that is followed."""
    meter_kwh: int
    """The meter when that month began."""
    banned_region: bool = False
    """Does it mine where that is banned?"""
    registered_at: Seconds | None = None
    delisted_at: Seconds | None = None
    ground: Ground | None = None
    """Why it was struck off."""
    readings: tuple[Reading, ...] = ()
    """A month each, without gaps."""
    reports: tuple[Report, ...] = ()

    @property
    def crossed(self) -> Month | None:
        """The first month above the threshold."""
        above = (each.month for each in self.readings if each.used_kwh > THRESHOLD_KWH)
        return next(above, None)


def due_of(month: Month) -> Seconds:
    """The last second in which a month is reported in time."""
    return last_second(day_in(Month(month + 1), REPORT_DAY))


def registered_of(population: int, *, share_bps: int = REGISTERED_SHARE_BPS) -> int:
    """How many of a population of miners are registered, rounded down."""
    return muldiv_down(population, share_bps, BPS)


def unreported(miner: Miner) -> Month | None:
    """The first month since its registration that it has not reported; ``None``: not registered."""
    if miner.registered_at is None or miner.delisted_at is not None:
        return None
    filed = {each.month for each in miner.reports}
    month = month_of(miner.registered_at)
    while month in filed:
        month = Month(month + 1)
    return month


def standing(miner: Miner, *, at: Seconds) -> Standing:
    """How a miner stands at ``at``."""
    miner = _as_of(miner, at=at)
    if miner.delisted_at is not None:
        return Standing.DELISTED
    open_month = unreported(miner)
    if open_month is not None:
        return Standing.REGISTERED if at <= due_of(open_month) else Standing.REPORT_OVERDUE
    if miner.kind is MinerClass.INDIVIDUAL and miner.crossed is None:
        return Standing.FREE
    return Standing.OBLIGED


def facts(miner: Miner, *, at: Seconds) -> dict[str, Value]:
    """What rules may ask of a miner."""
    stands = standing(miner, at=at)
    known: dict[str, Value] = {
        "mines": True,
        "class": miner.kind.value,
        "registered": stands in (Standing.REGISTERED, Standing.REPORT_OVERDUE),
        "report_filed": stands is Standing.REGISTERED,
        "banned_region": miner.banned_region,
    }
    if miner.readings:
        # Once above the threshold, always obliged: the highest month counts.
        known["kwh_month"] = max(each.used_kwh for each in miner.readings)
    return known


def good_until(miner: Miner, *, at: Seconds) -> Seconds:
    """Last second in which ``facts`` say what is so, as far as time alone changes it.

    Of a registered miner until its next report is due. That a meter reading counts until the 20th
    after the month that follows it is assumed.
    """
    month = unreported(_as_of(miner, at=at))
    if month is None:
        read = miner.readings[-1].month if miner.readings else miner.since
        month = Month(read + 1)
    dates = (miner.registered_at, miner.delisted_at)
    coming = (Seconds(each - 1) for each in dates if each is not None and each > at)
    return min(max(at, due_of(month)), *coming, MAX_TIME)


def _as_of(miner: Miner, *, at: Seconds) -> Miner:
    """The miner without an entry, a report or a striking off that is after ``at``."""
    miner = replace(miner, reports=tuple(each for each in miner.reports if each.filed_at <= at))
    if miner.registered_at is not None and miner.registered_at > at:
        return replace(miner, registered_at=None, delisted_at=None, ground=None)
    if miner.delisted_at is not None and miner.delisted_at > at:
        return replace(miner, delisted_at=None, ground=None)
    return miner


def _check_meter(meter_kwh: int) -> None:
    """A meter shows whole kWh, within bounds."""
    if type(meter_kwh) is not int or not 0 <= meter_kwh <= MAX_METER_KWH:
        raise Rejected("miner/meter", meter_kwh=str(meter_kwh)[:20], most=MAX_METER_KWH)


class MinerRegister:
    """The registry, and those who are not in it."""

    @granted
    def __init__(self) -> None:
        self.told: list[Told] = []
        """What it was told, see ``escrow.eligibility.told``."""
        self._miners: dict[str, Miner] = {}

    @property
    def miners(self) -> tuple[Miner, ...]:
        """Everybody who is followed, in the order in which they came."""
        return tuple(self._miners.values())

    def miner(self, inn: str) -> Miner:
        """Raises ``Rejected("miner/unknown")``."""
        if inn not in self._miners:
            raise Rejected("miner/unknown", inn=inn[:20])
        return self._miners[inn]

    @granted
    def add(
        self,
        inn: str,
        kind: MinerClass,
        *,
        since: Month,
        meter_kwh: int = 0,
        banned_region: bool = False,
    ) -> Miner:
        """Somebody begins to mine. Raises ``BadInput("miner/inn")``; ``Rejected``:
        ``miner/class`` for a number of the other length, ``miner/exists``, ``miner/meter``,
        ``miner/full``."""
        entity = len(parse_inn(inn)) == ENTITY
        if entity is not (kind is MinerClass.LEGAL_ENTITY):
            raise Rejected("miner/class", inn=inn, kind=kind.value)
        if inn in self._miners:
            raise Rejected("miner/exists", inn=inn)
        if len(self._miners) >= MAX_MINERS:
            raise Rejected("miner/full", most=MAX_MINERS)
        _check_meter(meter_kwh)
        return self._keep(Miner(inn, kind, since, meter_kwh, banned_region))

    @granted
    def read_meter(self, inn: str, month: Month, meter_kwh: int) -> Miner:
        """The meter at the end of the next month. Raises ``Rejected``: ``miner/unknown``,
        ``miner/month`` for any other month, ``miner/meter-back``, ``miner/meter``."""
        miner = self.miner(inn)
        expected = Month(miner.since + len(miner.readings))
        if month != expected or len(miner.readings) >= MAX_READINGS:
            raise Rejected("miner/month", month=month_name(month), next=month_name(expected))
        _check_meter(meter_kwh)
        before = miner.readings[-1].meter_kwh if miner.readings else miner.meter_kwh
        if meter_kwh < before:
            raise Rejected("miner/meter-back", meter_kwh=meter_kwh, before=before)
        reading = Reading(month, meter_kwh, meter_kwh - before)
        return self._keep(replace(miner, readings=(*miner.readings, reading)))

    @granted
    def register(self, inn: str, *, at: Seconds) -> Miner:
        """A miner is entered. One that was struck off may be entered anew: when is not known, so
        that it may is assumed. Raises ``Rejected``: ``miner/unknown``, ``miner/registered``, also
        for a day before it was struck off, ``miner/banned-region``."""
        miner = self.miner(inn)
        struck = MAX_TIME if miner.delisted_at is None else miner.delisted_at
        if miner.registered_at is not None and at < struck:
            raise Rejected("miner/registered", inn=inn)
        if miner.banned_region:
            raise Rejected("miner/banned-region", inn=inn)
        return self._keep(replace(miner, registered_at=at, delisted_at=None, ground=None))

    @granted
    def report(
        self, inn: str, month: Month, *, at: Seconds, sats: Sats, addresses: tuple[str, ...]
    ) -> Report:
        """A registered miner reports its next month, in time or late. Raises ``Rejected``:
        ``miner/unknown``, ``miner/not-registered``, ``miner/month`` for another month or one that
        is not over, ``miner/report`` for coins without an address, or what is out of range."""
        miner = self.miner(inn)
        expected = unreported(miner)
        if expected is None:
            raise Rejected("miner/not-registered", inn=inn)
        if month != expected or at < first_second(day_in(Month(month + 1), 1)):
            raise Rejected("miner/month", month=month_name(month), next=month_name(expected))
        named = len(addresses) <= MAX_ADDRESSES and all(0 < len(a) <= 100 for a in addresses)
        if not 0 <= sats <= MAX_MONEY or not named or (sats and not addresses):
            raise Rejected("miner/report", sats=sats, addresses=len(addresses))
        report = Report(month, at, sats, addresses)
        self._keep(replace(miner, reports=(*miner.reports, report)))
        return report

    @granted
    def delist(self, inn: str, ground: Ground, *, at: Seconds) -> Miner:
        """A registered miner is struck off. Raises ``Rejected``: ``miner/unknown``,
        ``miner/not-registered``, also for a day before its entry."""
        miner = self.miner(inn)
        if unreported(_as_of(miner, at=at)) is None:
            raise Rejected("miner/not-registered", inn=inn)
        banned = miner.banned_region or ground is Ground.BANNED_REGION
        struck = replace(miner, delisted_at=at, ground=ground, banned_region=banned)
        return self._keep(struck)

    def _keep(self, miner: Miner) -> Miner:
        self._miners[miner.inn] = miner
        return miner
