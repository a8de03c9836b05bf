"""Interest: of a balance between two moments, on what is overdue, and at what rate.

Schedules count calendar days (UTC): a moment stands for its day, as on every statement that a
bank sends. ``core.rules`` accrues each second; the two agree on whole days of actual/365.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from fractions import Fraction
from itertools import islice
from typing import Final

from escrow.core.errors import BadInput
from escrow.core.units import DAY, Bps, Cents, Seconds
from escrow.schedules.cycle import add, parse_cycle, parse_period, regular
from escrow.schedules.daycount import year_fraction
from escrow.schedules.plan import MAX_RATE, Plan, rate_of, round_cents

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


@dataclass(frozen=True, slots=True)
class Step:
    """A rate, from a day on."""

    day: date
    """Its first day."""
    bps: Bps
    """Interest a year."""


def rate_at(plan: Plan, *, start: date, day: date, fixings: Sequence[Fixing] = ()) -> Bps:
    """The rate that applies on ``day``.

    Where the plan has resets: the last fixing at or before the last of them, and the spread,
    within floor and cap. Raises BadInput("schedule/observation") if nothing was published by
    then, ("schedule/rate") for a rate below zero without a floor.
    """
    return rate_steps(plan, start=start, begin=day, end=day, fixings=fixings)[0].bps


def rate_steps(
    plan: Plan, *, start: date, begin: date, end: date, fixings: Sequence[Fixing] = ()
) -> tuple[Step, ...]:
    """The rates from ``begin`` until ``end``, in order; one that stays the same is one step.

    ``start`` is the loan's first day, from which reset dates count. Raises as ``rate_at``.
    """
    if not plan.reset:
        return (Step(begin, plan.rate_bps),)
    period = parse_cycle(plan.reset).period
    resets = [start]
    for each in islice(regular(start, period=period, end_of_month=plan.end_of_month), 1, None):
        if each > begin and each >= end:
            break
        if each <= begin:
            resets.clear()
        resets.append(each)
    known = sorted(fixings, key=lambda each: each.at)
    days = [day_of(each.at) for each in known]
    steps: list[Step] = []
    for reset in resets:
        place = bisect_right(days, reset)
        if place == 0:
            raise BadInput("schedule/observation", at=reset.isoformat(), reason="no fixing by then")
        rate = _within(plan, known[place - 1].bps + plan.rate_bps, reset)
        if not steps or steps[-1].bps != rate:
            steps.append(Step(max(reset, begin), rate))
    return tuple(steps)


def accrued(
    plan: Plan,
    *,
    balance: Cents,
    begin: date,
    end: date,
    steps: Sequence[Step],
    maturity: date | None = None,
) -> Fraction:
    """Interest in exact cents on a balance from one day to another, at rates in steps of which
    the first begins no later."""
    total = Fraction(0)
    for place, step in enumerate(steps):
        until = end if place + 1 == len(steps) else min(end, steps[place + 1].day)
        since = max(begin, step.day)
        if since < until:
            years = year_fraction(since, end=until, count=plan.day_count, maturity=maturity)
            total += balance * rate_of(step.bps) * years
    return total


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
    """Interest in exact cents on a balance from one day to another; each rate begins anew."""
    steps = rate_steps(plan, start=start, begin=begin, end=end, fixings=fixings)
    return accrued(plan, balance=balance, begin=begin, end=end, steps=steps, maturity=maturity)


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


def _within(plan: Plan, rate: int, reset: date) -> Bps:
    rate = rate if plan.cap_bps is None else min(rate, plan.cap_bps)
    rate = rate if plan.floor_bps is None else max(rate, plan.floor_bps)
    if not 0 <= rate <= MAX_RATE:
        raise BadInput("schedule/rate", at=reset.isoformat(), rate_bps=rate, most=MAX_RATE)
    return Bps(rate)


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
