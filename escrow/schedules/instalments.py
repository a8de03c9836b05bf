"""The instalments of a loan: what is due when, in whole cents.

Exact fractions inside; each payment is rounded once, in the direction that the plan names, and
the balance stays a whole number of cents, so that principal parts always sum to what was lent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction

from escrow.core.errors import BadInput
from escrow.core.units import MAX_CENTS, Bps, Cents, Seconds
from escrow.schedules.accrual import Fixing, day_of, interest_days, moment, rate_at
from escrow.schedules.calendars import shift
from escrow.schedules.cycle import Stub, add, closed, parse_period, regular
from escrow.schedules.daycount import year_fraction
from escrow.schedules.plan import (
    MAX_INSTALMENTS,
    Kind,
    Plan,
    Prepayment,
    check_plan,
    rate_of,
    round_cents,
)


@dataclass(frozen=True, slots=True)
class Instalment:
    """One payment."""

    number: int
    """From 1."""
    begin: Seconds
    """From here its interest runs."""
    end: Seconds
    """To here. Later or earlier than ``due`` only where the plan calculates before it shifts."""
    due: Seconds
    """When it is to be paid: on a business day of the plan's calendar."""
    interest: Cents
    """Interest to pay."""
    principal: Cents
    """Principal to pay."""
    capitalised: Cents
    """Interest that is added to the debt instead of paid."""
    balance: Cents
    """Principal that is left after it."""
    rate_bps: Bps
    """The rate at the beginning of the period."""

    @property
    def payment(self) -> Cents:
        """What is paid in all."""
        return Cents(self.interest + self.principal)


@dataclass(frozen=True, slots=True)
class Slot:
    """A period before there are amounts."""

    begin: date
    """From here its interest runs."""
    end: date
    """To here."""
    due: date
    """When it is to be paid."""
    capitalises: bool
    """Is its interest added to the debt?"""


def schedule(
    plan: Plan,
    *,
    principal: Cents,
    start: Seconds,
    fixings: Sequence[Fixing] = (),
    called_at: Seconds | None = None,
    until: Seconds | None = None,
) -> tuple[Instalment, ...]:
    """Every instalment of a loan, in order.

    ``fixings`` are what the index of a floating rate was; ``called_at`` is when a callable loan
    was called; ``until`` is when an undated line is closed. All are at most once in force, and
    refused where the kind has no use for them.

    Principal parts sum to ``principal`` and the interest that was capitalised, exactly.

    Raises BadInput: what ``check_plan`` raises; ``schedule/principal``, ``schedule/time``,
    ``schedule/order``, ``schedule/endless``, ``schedule/stub``, ``schedule/observation``.
    """
    check_plan(plan)
    if not 0 < principal <= MAX_CENTS:
        raise BadInput("schedule/principal", principal=principal, most=MAX_CENTS)
    if (called_at is not None and plan.kind is not Kind.CALLABLE) or (
        until is not None and plan.kind is not Kind.UNDATED
    ):
        raise BadInput("schedule/plan", kind=plan.kind.value, reason="no use for called_at, until")
    first = day_of(start)
    end = last_day(plan, first=first, called_at=called_at, until=until)
    slots = slots_of(plan, first=first, end=end)
    found: list[Instalment] = []
    balance, regular_part = principal, None
    for number, slot in enumerate(slots, start=1):
        rate = rate_at(plan, start=first, day=slot.begin, fixings=fixings)
        exact = interest_days(
            plan,
            balance=balance,
            begin=slot.begin,
            end=slot.end,
            start=first,
            maturity=end,
            fixings=fixings,
        )
        interest = Cents(round_cents(exact, rounding=plan.rounding))
        part, added = Cents(0), Cents(0)
        if number == len(slots):
            part = balance
        elif slot.capitalises:
            interest, added = Cents(0), interest
        else:
            if regular_part is None or (plan.reset and plan.kind is Kind.ANNUITY):
                left = slots[number - 1 :]
                regular_part = regular_part_of(
                    plan, balance=balance, rate=rate, slots=left, maturity=end
                )
            part = principal_part(
                plan, regular_part=regular_part, interest=interest, balance=balance
            )
        balance = Cents(balance - part + added)
        found.append(
            Instalment(
                number=number,
                begin=moment(slot.begin, like=start),
                end=moment(slot.end, like=start),
                due=moment(slot.due, like=start),
                interest=interest,
                principal=part,
                capitalised=added,
                balance=balance,
                rate_bps=rate,
            )
        )
        if balance == 0:
            # Payments that were rounded up may repay a small debt before its end.
            break
    return tuple(found)


def payoff(
    plan: Plan,
    *,
    principal: Cents,
    start: Seconds,
    at: Seconds,
    fixings: Sequence[Fixing] = (),
    called_at: Seconds | None = None,
    until: Seconds | None = None,
) -> Cents:
    """What ends the loan at a moment, in cents, if all that fell due by then was paid.

    ``ACCRUED_ONLY``: the balance and the interest of the running period to that day.
    ``FULL_PERIOD``: the interest of the whole period. On a due date its instalment counts as paid.
    Interest that was to be capitalised is paid like any other.

    Raises BadInput: ``schedule/order`` before the first day, and all that ``schedule`` raises.
    """
    if at < start:
        raise BadInput("schedule/order", start=start, at=at)
    rows = schedule(
        plan,
        principal=principal,
        start=start,
        fixings=fixings,
        called_at=called_at,
        until=until,
    )
    balance, day = principal, day_of(at)
    for row in rows:
        if day < day_of(row.due):
            # Under a convention that shifts the payment alone, interest may have run already.
            whole = plan.prepayment is Prepayment.FULL_PERIOD
            stop = day_of(row.end) if whole else min(day, day_of(row.end))
            exact = interest_days(
                plan,
                balance=balance,
                begin=min(day_of(row.begin), stop),
                end=stop,
                start=day_of(start),
                maturity=day_of(rows[-1].end),
                fixings=fixings,
            )
            return Cents(balance + round_cents(exact, rounding=plan.rounding))
        balance = row.balance
    return Cents(0)


def last_day(
    plan: Plan, *, first: date, called_at: Seconds | None = None, until: Seconds | None = None
) -> date:
    """The day on which it ends, before it is shifted. Raises as ``schedule``."""
    length = plan.length
    end = None if length is None else add(first, period=length, end_of_month=plan.end_of_month)
    if called_at is not None:
        called = add(day_of(called_at), period=parse_period(plan.notice))
        end = called if end is None else min(end, called)
    if until is not None:
        end = day_of(until)
    if end is None:
        raise BadInput("schedule/endless", kind=plan.kind.value, reason="not called, not closed")
    if end <= first:
        raise BadInput("schedule/order", start=first.isoformat(), end=end.isoformat())
    return end


def slots_of(plan: Plan, *, first: date, end: date) -> tuple[Slot, ...]:
    """The periods from the first day to ``end``, in order. Raises as ``schedule``."""
    dates = _dates(plan, first, end)
    if len(dates) > MAX_INSTALMENTS:
        raise BadInput("schedule/endless", instalments=len(dates), most=MAX_INSTALMENTS)
    until = first
    if plan.capitalise:
        length = parse_period(plan.capitalise)
        until = add(first, period=length, end_of_month=plan.end_of_month)
    slots: list[Slot] = []
    begin = first
    for day in dates:
        due = shift(day, calendar=plan.calendar, convention=plan.convention)
        stop = day if plan.convention.calculates_first else due
        if stop <= begin:
            # One business day serves two dates: what was due on the second is due on the first.
            continue
        slots.append(Slot(begin, stop, due, capitalises=day <= until))
        begin = stop
    if not slots:
        raise BadInput("schedule/order", start=first.isoformat(), end=end.isoformat())
    return tuple(slots)


def _dates(plan: Plan, first: date, end: date) -> tuple[date, ...]:
    """Scheduled dates after the first day, before they are shifted."""
    cycle = plan.cycle
    if cycle is None:
        return (end,)
    dates = regular(first, period=cycle.period, end_of_month=plan.end_of_month)
    next(dates)
    upcoming = add(first, period=cycle.period, end_of_month=plan.end_of_month)
    # Where the loan is shorter than its cycle, there is no period that a long stub could join.
    if upcoming > end and cycle.stub is Stub.LONG:
        raise BadInput("schedule/stub", every=plan.every, end=end.isoformat())
    return closed(dates, end=end, stub=cycle.stub)


def regular_part_of(
    plan: Plan, *, balance: Cents, rate: Bps, slots: Sequence[Slot], maturity: date
) -> Cents:
    """Linear: the principal of each payment. Annuity: each payment in all. Else nothing."""
    match plan.kind:
        case Kind.LINEAR:
            return Cents(round_cents(Fraction(balance, len(slots)), rounding=plan.rounding))
        case Kind.ANNUITY:
            years = [
                year_fraction(each.begin, end=each.end, count=plan.day_count, maturity=maturity)
                for each in slots
            ]
            exact = annuity(Fraction(balance), rate=rate_of(rate), years=years)
            return Cents(round_cents(exact, rounding=plan.rounding))
        case _:
            return Cents(0)


def annuity(balance: Fraction, *, rate: Fraction, years: Sequence[Fraction]) -> Fraction:
    """The payment that, made at the end of each period, leaves nothing.

    ``balance × Π(1 + rate × yᵢ) ÷ Σᵢ Πⱼ﹥ᵢ(1 + rate × yⱼ)``: ACTUS §3.8 "Annuity Amount
    Function". One division at the end: fractions of a long loan would be reduced at every step.
    """
    growth, scale, total = 1, 1, 0
    for each in years:
        factor = 1 + rate * each
        growth *= factor.numerator
        total = total * factor.numerator + scale * factor.denominator
        scale *= factor.denominator
    return balance * Fraction(growth, total)


def principal_part(plan: Plan, *, regular_part: Cents, interest: Cents, balance: Cents) -> Cents:
    """What of a payment that is not the last repays principal."""
    match plan.kind:
        case Kind.LINEAR:
            return Cents(min(balance, regular_part))
        case Kind.ANNUITY:
            # A first period that is longer may cost more than the payment: then none is left.
            return Cents(min(balance, max(0, regular_part - interest)))
        case _:
            return Cents(0)
