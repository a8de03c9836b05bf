"""What a pool's rewards pay, in which order: power, the lender, and then whoever holds the rest."""

from __future__ import annotations

from dataclasses import dataclass

from escrow.core.errors import BadInput
from escrow.core.units import BPS, Bps, Cents, Sats, muldiv_down


@dataclass(frozen=True, slots=True)
class Dues:
    """What is due and not paid."""

    power: Cents
    """Power and hosting; first."""
    service: Cents
    """Interest and principal to the lender; second."""


@dataclass(frozen=True, slots=True)
class Payout:
    """Where rewards went. The three add up to what came in."""

    power: Cents
    """To the host."""
    lender: Cents
    """To the lender."""
    holders: Cents
    """To whoever holds shares."""
    left: Dues
    """Still due: it comes first the next time."""


def distribute(rewards: Cents, *, dues: Dues) -> Payout:
    """Pay what is due out of rewards, in order; the rest is the holders'. Raises
    BadInput("input/amount") for less than nothing."""
    if rewards < 0 or dues.power < 0 or dues.service < 0:
        raise BadInput("input/amount", rewards=rewards, power=dues.power, service=dues.service)
    power = min(rewards, dues.power)
    lender = min(rewards - power, dues.service)
    left = Dues(Cents(dues.power - power), Cents(dues.service - lender))
    return Payout(Cents(power), Cents(lender), Cents(rewards - power - lender), left)


def share_out(cents: Cents, *, units: tuple[int, ...]) -> tuple[Cents, ...]:
    """What holders of so many units each get, rounded down; the last cents go to the first holders,
    one each, so that all is paid. Raises BadInput("input/amount") without a unit."""
    total = sum(units)
    if total <= 0 or min(units) < 0:
        raise BadInput("input/amount", units=total)
    parts = [muldiv_down(cents, each, total) for each in units]
    holders = [place for place, each in enumerate(units) if each]
    for place in holders[: cents - sum(parts)]:
        parts[place] += 1
    return tuple(Cents(part) for part in parts)


@dataclass(frozen=True, slots=True)
class Sweep:
    """A payment to a pool address, divided. The two add up to it."""

    lender: Sats
    """Swept."""
    borrower: Sats
    """The rest."""


def sweep(received: Sats, *, share_bps: Bps, most: Sats) -> Sweep:
    """A cash sweep: a share of what the pool paid goes to the lender, rounded down, but no more
    than ``most``, which is what the debt needs. Raises BadInput("input/amount")."""
    if received < 0 or most < 0 or not 0 <= share_bps <= BPS:
        raise BadInput("input/amount", received=received, most=most, share=share_bps)
    lender = min(muldiv_down(received, share_bps, BPS), most)
    return Sweep(Sats(lender), Sats(received - lender))
