"""Machines that mine, and what is left of their price as they age."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Final

from escrow.core.errors import BadInput
from escrow.core.units import BPS, Bps, Cents, muldiv_down, muldiv_up
from escrow.mining.units import GHS_IN_THS, MICRO, Ghs, MicroWatts, MilliJoules
from escrow.provenance import Parameter

MAX_AGE: Final = 36_500
"""Days: a century."""


@dataclass(frozen=True, slots=True)
class Curve:
    """How much of its price a machine is worth by age; straight lines between the points, and the
    last value for ever after."""

    id: str
    """Short name."""
    points: tuple[tuple[int, Bps], ...]
    """Age in days, from 0 and rising; part of the first price, never rising."""
    parameters: tuple[Parameter, ...]
    """Where the curve is from."""

    def left(self, *, age_days: int) -> Fraction:
        """The part of the price that is left, exact. Raises BadInput("mining/age")."""
        if type(age_days) is not int or not 0 <= age_days <= MAX_AGE:
            raise BadInput("mining/age", days=str(age_days)[:40], most=MAX_AGE)
        for (young, high), (old, low) in pairwise(self.points):
            if age_days < old:
                part = Fraction(age_days - young, old - young)
                return (high - part * (high - low)) / BPS
        return Fraction(self.points[-1][1], BPS)


def check_curve(curve: Curve) -> None:
    """Raises BadInput("mining/curve") for points that do not begin at age 0 with a whole price,
    do not rise in age, or rise in value."""
    points = curve.points
    if not points or points[0] != (0, BPS):
        raise BadInput("mining/curve", curve=curve.id, reason="does not begin at day 0 with 10000")
    for (young, high), (old, low) in pairwise(points):
        if not young < old <= MAX_AGE or not 0 <= low <= high:
            raise BadInput("mining/curve", curve=curve.id, reason="age falls or value rises")


@dataclass(frozen=True, slots=True)
class Machine:
    """A model. What it does on its plate, at the wall and new."""

    id: str
    """Short name."""
    maker: str
    """Who makes it."""
    model: str
    """Its name."""
    hash_rate: Ghs
    """GH/s."""
    efficiency: MilliJoules
    """mJ/TH, at the wall."""
    price_per_th: Cents
    """New, US cents a TH/s: as the trade quotes machines."""
    curve: Curve
    """What is left of that by age."""
    parameters: tuple[Parameter, ...]
    """Where its numbers are from."""

    @property
    def power(self) -> MicroWatts:
        """What it draws, exact."""
        return MicroWatts(self.hash_rate * self.efficiency)

    @property
    def watts(self) -> int:
        """The same in watts, rounded up: for cables and for people."""
        return muldiv_up(self.power, 1, MICRO)

    @property
    def price(self) -> Cents:
        """New, US cents, rounded down."""
        return Cents(muldiv_down(self.price_per_th, self.hash_rate, GHS_IN_THS))

    def worth(self, *, age_days: int) -> Cents:
        """At an age, US cents, rounded down. Raises BadInput("mining/age")."""
        left = self.curve.left(age_days=age_days)
        whole = self.price_per_th * self.hash_rate
        return Cents(muldiv_down(whole, left.numerator, GHS_IN_THS * left.denominator))
