"""Things that are pledged, one by one."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, assert_never

from escrow.collateral.model import Curve
from escrow.core.errors import BadInput
from escrow.core.units import MAX_CENTS, MAX_MONEY, MAX_TIME, Bps, Cents, Sats, Seconds

MAX_GH_S: Final = 10**15
"""A thousand times the network of 2025 is refused as absurd."""
MAX_YIELD: Final = Bps(1_000_000)
"""More than a hundredfold is refused as absurd, even as a promise."""
MAX_NAME: Final = 80
"""Longest id, and name of an issuer."""


@dataclass(frozen=True, slots=True)
class Coins:
    """Bitcoin in a vault."""

    sats: Sats
    """How much."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Units of a claim on money under a decision of issue (a digital financial asset of 259-FZ:
    no digital currency, and none is claimed to be in it)."""

    decision: str
    """Reference of the decision of issue."""
    unit_face: Cents
    """What a unit pays when it is due."""
    units: int
    """How many."""
    due: Seconds
    """When it is paid."""


@dataclass(frozen=True, slots=True)
class Machine:
    """One mining machine."""

    serial: str
    """The maker's serial number."""
    model: str
    """The maker's name for it."""
    gh_s: int
    """Hash rate, GH/s."""
    price: Cents
    """What it cost when it was new."""
    made: Seconds
    """From when it ages."""
    host: str
    """Where it runs."""
    host_lien: bool = False
    """Has the host a lien on it for unpaid power, before any lender?"""
    curve: Curve | None = None
    """Its own depreciation; none: that of its type."""


@dataclass(frozen=True, slots=True)
class HashContract:
    """Hash power for a time, whose expected earnings a counter-party delivers day by day."""

    gh_s: int
    """Hash rate, GH/s: × days is the size of the contract."""
    since: Seconds
    """First second of delivery."""
    until: Seconds
    """And the second after the last."""


@dataclass(frozen=True, slots=True)
class Revenue:
    """Shares in what is left of a pool's rewards after power and the lender."""

    units: int
    """Shares that are pledged,"""
    of: int
    """of so many."""
    gh_s: int
    """Hash rate of the programme, GH/s."""
    until: Seconds
    """When it ends."""
    power_day: Cents
    """Power and hosting, a day."""
    cash: Cents
    """What holders were paid and have not taken."""
    ahead: Cents
    """What is due to the lender and for power, before holders."""


@dataclass(frozen=True, slots=True)
class Energy:
    """A share of a plant that is being built or renewed."""

    watts: int
    """The share,"""
    of_watts: int
    """of so much capacity."""
    capex: tuple[tuple[Seconds, Cents], ...]
    """When what is paid for the whole plant. What is not paid yet counts zero."""


@dataclass(frozen=True, slots=True)
class Promise:
    """What somebody promises to pay out of machines under its management. Neither machines nor
    payments can be verified, so it is worth nothing here, whatever is promised."""

    paid: Cents
    """What the holder paid for it."""
    since: Seconds
    """From when days count."""
    yields: tuple[tuple[int, Bps], ...]
    """Day, and the part of what was paid that is promised to have come back by then: from day 0 on,
    rising, straight lines between points."""


Thing = Coins | Claim | Machine | HashContract | Revenue | Energy | Promise


@dataclass(frozen=True, slots=True)
class Item:
    """One line of a pool."""

    id: str
    """Hexadecimal name of the thing, as in a register; parts of one thing keep it."""
    type: str
    """Id of its type."""
    issuer: str
    """Who owes it or stands behind it: issuer, counter-party, host; empty for coins."""
    thing: Thing
    """The thing."""

    def __post_init__(self) -> None:
        """Raises BadInput("collateral/thing") for a thing that makes no sense."""
        named = all(each.isprintable() and len(each) <= MAX_NAME for each in (self.id, self.issuer))
        if not self.id or not named or not _makes_sense(self.thing):
            raise BadInput("collateral/thing", item=ascii(self.id)[:40])


def _makes_sense(thing: Thing) -> bool:
    """Amounts positive and within bounds, parts within wholes, ends after beginnings."""
    match thing:
        case Coins():
            return 0 < thing.sats <= MAX_MONEY
        case Claim():
            return thing.units > 0 and 0 < thing.unit_face * thing.units <= MAX_CENTS
        case Machine():
            return (
                0 < thing.gh_s <= MAX_GH_S and 0 < thing.price <= MAX_CENTS and bool(thing.serial)
            )
        case HashContract():
            return 0 < thing.gh_s <= MAX_GH_S and 0 <= thing.since < thing.until <= MAX_TIME
        case Revenue():
            sums = (thing.power_day, thing.cash, thing.ahead)
            known = all(0 <= each <= MAX_CENTS for each in sums)
            return known and 0 < thing.units <= thing.of and 0 < thing.gh_s <= MAX_GH_S
        case Energy():
            paid = sum(cents for _, cents in thing.capex)
            known = all(when >= 0 and cents >= 0 for when, cents in thing.capex)
            return known and paid <= MAX_CENTS and 0 < thing.watts <= thing.of_watts
        case Promise():
            days, parts = ([point[n] for point in thing.yields] for n in (0, 1))
            rising = all(one < two for one, two in pairwise(days))
            known = rising and parts == sorted(parts) and parts[:1] == days[:1] == [0]
            dated = 0 <= thing.since <= MAX_TIME and known and days[-1] <= MAX_TIME
            return 0 < thing.paid <= MAX_CENTS and dated and parts[-1] <= MAX_YIELD
        case _:
            assert_never(thing)


def units_of(item: Item) -> int:
    """How many units of a register an item is: those of a claim or of shares, else one."""
    return item.thing.units if isinstance(item.thing, Claim | Revenue) else 1


def asset_id(kind: str, serial: str) -> str:
    """The name of a thing in a register: SHA-256 of what tells it from every other, hexadecimal.

    ``kind`` is a type's id, or whatever numbers things: a maker, a register of issues.
    """
    return hashlib.sha256(f"{len(kind)}:{kind}{serial}".encode()).hexdigest()
