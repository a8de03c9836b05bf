"""Interest: of a balance between two moments, on what is overdue, and at what rate.

Schedules count calendar days (UTC): a moment stands for its day, as on every statement that a
bank sends. ``core.rules`` accrues each second; the two agree on whole days of actual/365.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from fractions import Fraction
from typing import Final

from escrow.core.errors import BadInput
from escrow.core.units import DAY, Bps, Cents, Seconds
from escrow.schedules.cycle import add, parse_cycle, parse_period, regular
from escrow.schedules.daycount import year_fraction
from escrow.schedules.plan import MAX_RATE, Kind, Plan, rate_of, round_cents

MAX_MOMENT: Final = Seconds(253_402_300_799)
"""The last second of the year 9999: dates end there."""
_EPOCH: Final = date(1970, 1, 1).toordinal()


@dataclass(frozen=True, slots=True)
class Fixing:
    """What an index was, from a moment on."""

    at: Seconds
    """When it was published."""
    bps: Bps
    """Its value. May be negative."""


def day_of(at: Seconds) -> date:
    """The day of a moment, UTC. Raises BadInput("schedule/time") before 1970 or after 9999."""
    if not 0 <= at <= MAX_MOMENT:
        raise BadInput("schedule/time", at=at, most=MAX_MOMENT)
    return datetime.fromtimestamp(at, UTC).date()


def moment(day: date, *, like: Seconds) -> Seconds:
    """A day at the time of day of ``like``."""
    return Seconds((day.toordinal() - _EPOCH) * DAY + like % DAY)


def rate_at(
    plan: Plan, *, start: date, day: date, fixings: Sequence[Fixing] = ()
) -> tuple[Bps, date | None]:
    """The rate that applies on ``day``, and the next reset after it.

    ``FLOATING``: the last fixing at or before the last reset date, and the spread, within floor
    and cap. Raises BadInput("schedule/observation") if nothing was published by then,
    ("schedule/rate") for a rate below zero without a floor.
    """
    if plan.kind is not Kind.FLOATING:
        return plan.rate_bps, None
    last = start
    upcoming = None
    dates = regular(start, period=parse_cycle(plan.reset).period, end_of_month=plan.end_of_month)
    for each in dates:
        if each > day:
            upcoming = each
            break
        last = each
    known = [each for each in fixings if day_of(each.at) <= last]
    if not known:
        raise BadInput("schedule/observation", at=last.isoformat(), reason="no fixing by then")
    rate = max(known, key=lambda each: each.at).bps + plan.rate_bps
    rate = rate if plan.cap_bps is None else min(rate, plan.cap_bps)
    rate = rate if plan.floor_bps is None else max(rate, plan.floor_bps)
    if not 0 <= rate <= MAX_RATE:
        raise BadInput("schedule/rate", at=last.isoformat(), rate_bps=rate, most=MAX_RATE)
    return Bps(rate), upcoming


def interest_days(
    plan: Plan,
    *,
    balance: Cents,
    begin: date,
    end: date,
    start: date,
    maturity: date | None = None,
    fixings: Sequence[Fixing] = (),
) -> Fraction:
    """Interest in exact cents on a balance from one day to another; each reset begins anew."""
    total, day = Fraction(0), begin
    while day < end:
        rate, upcoming = rate_at(plan, start=start, day=day, fixings=fixings)
        until = end if upcoming is None else min(end, upcoming)
        years = year_fraction(day, end=until, count=plan.day_count, maturity=maturity)
        total += balance * rate_of(rate) * years
        day = until
    return total


def interest_between(
    plan: Plan,
    *,
    balance: Cents,
    begin: Seconds,
    end: Seconds,
    start: Seconds | None = None,
    fixings: Sequence[Fixing] = (),
) -> Fraction:
    """Interest in exact cents on a balance between two moments, by the days they fall on.

    ``start`` is the loan's first day, from which reset dates count; the same as ``begin`` if it
    is not given. Raises BadInput("schedule/order") if ``end`` comes first.
    """
    if end < begin:
        raise BadInput("schedule/order", begin=begin, end=end)
    first = begin if start is None else start
    return interest_days(
        plan,
        balance=balance,
        begin=day_of(begin),
        end=day_of(end),
        start=day_of(first),
        fixings=fixings,
    )


def is_late(plan: Plan, *, due: Seconds, paid_at: Seconds) -> bool:
    """Did a payment come after its due date and the grace? (ACTUS ``gracePeriod``)"""
    return day_of(paid_at) > add(day_of(due), period=parse_period(plan.grace))


def late_interest(plan: Plan, *, overdue: Cents, due: Seconds, paid_at: Seconds) -> Cents:
    """Interest in cents on an overdue amount, rounded once in the plan's direction.

    None within the grace; after it, from the due date on, as if there had been none. Raises
    BadInput("schedule/principal") for a negative amount.
    """
    if overdue < 0:
        raise BadInput("schedule/principal", overdue=overdue)
    if not is_late(plan, due=due, paid_at=paid_at):
        return Cents(0)
    years = year_fraction(day_of(due), end=day_of(paid_at), count=plan.day_count)
    amount = overdue * rate_of(plan.late_bps) * years
    return Cents(round_cents(amount, rounding=plan.rounding))
