"""What hash power earns a day: sats per TH, money per PH, and the price of power it can bear.

A hash price is an expectation at one target, one reward and one price of bitcoin. It holds until
any of them changes; a contract over hash power follows a path of them (``path.earned``).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from escrow.core.errors import BadInput
from escrow.core.units import CENTS_SCALE, DAY, MAX_PRICE, Cents, PriceE8, Sats, Seconds
from escrow.mining.path import NetworkPath, earned, sats_per_second
from escrow.mining.units import GHS_IN_THS, MICRO, SECONDS_IN_HOUR, Ghs, MilliJoules


@dataclass(frozen=True, slots=True)
class HashPrice:
    """What a day of hash power is expected to earn. Exact; the properties round once, down."""

    per_th_day: Fraction
    """Sats of 1 TH/s in a day."""
    price: PriceE8
    """Of one bitcoin, at which money is counted."""

    @property
    def sats_per_ph_day(self) -> Sats:
        """Sats of 1 PH/s in a day, rounded down."""
        return Sats(int(self.per_th_day * 1_000))

    @property
    def cents_per_ph_day(self) -> Cents:
        """Money of 1 PH/s in a day, minor units, rounded down: what the trade calls hash price."""
        return Cents(int(self.per_th_day * 1_000 * self.price / CENTS_SCALE))

    def break_even(self, efficiency: MilliJoules) -> Cents:
        """The price of 1 kWh, minor units, at which a machine of this efficiency earns just its
        power; rounded down."""
        if type(efficiency) is not int or efficiency <= 0:
            raise BadInput("mining/value", efficiency=str(efficiency)[:40])
        # A day of 1 TH/s at 1 mJ/TH is 86,400 mJ; 1 kWh is 3.6 × 10⁹ mJ.
        kwh = Fraction(DAY * efficiency, SECONDS_IN_HOUR * MICRO)
        return Cents(int(self.per_th_day * self.price / CENTS_SCALE / kwh))


def hash_price(bits: int, *, reward: Sats, price: PriceE8) -> HashPrice:
    """The hash price at a target, where a block brings ``reward`` (subsidy and fees).

    Raises BadInput: ``network/bits``, ``input/amount``.
    """
    if type(price) is not int or not 0 <= price <= MAX_PRICE:
        raise BadInput("input/amount", price=str(price)[:40])
    second = sats_per_second(bits, hash_rate=Ghs(GHS_IN_THS), reward=reward)
    return HashPrice(DAY * second, price)


def hash_price_at(path: NetworkPath, *, at: Seconds, price: PriceE8) -> HashPrice:
    """The hash price of a path at a moment. Raises BadInput: ``network/outside``,
    ``input/amount``."""
    found = path.at(at)
    return hash_price(found.bits, reward=Sats(found.subsidy + path.fees), price=price)


def contract_sats(path: NetworkPath, *, hash_rate: Ghs, since: Seconds, until: Seconds) -> Sats:
    """Sats that a contract over hash power delivers from ``since`` to ``until``: what that rate is
    expected to earn at the path's difficulty and reward, fees included; rounded once, down.

    Raises BadInput: ``network/outside``, ``network/rate``.
    """
    return Sats(int(earned(path, hash_rate=hash_rate, windows=[(since, until)])))
