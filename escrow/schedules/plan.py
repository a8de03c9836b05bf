"""How a loan is repaid: plain data, so that a product file can hold it.

A plan says nothing of amounts and dates: ``instalments.schedule`` lays it over a principal and a
first day. Its texts are those of ``cycle``, ``daycount`` and ``calendars``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from typing import Final

from escrow.core.errors import BadInput
from escrow.core.units import BPS, Bps
from escrow.schedules.calendars import Calendar, Convention
from escrow.schedules.cycle import Cycle, Period, parse_cycle, parse_period
from escrow.schedules.daycount import DayCount

MAX_RATE: Final = Bps(100_000)
"""A rate above 1,000 % a year is refused as absurd, as ``core.terms`` does."""
MAX_INSTALMENTS: Final = 1_200
"""Most payments: monthly for a century. More than that counts as a schedule that never ends."""


class Kind(Enum):
    """How principal comes back. The value is the name in files."""

    BULLET = "bullet"
    """Principal and all interest at the end."""
    INTEREST_ONLY = "interest_only"
    """Interest each period, principal at the end."""
    ANNUITY = "annuity"
    """The same amount each period, first of all for interest; the last takes the remainder. Where
    the rate floats, the amount is found anew for each."""
    LINEAR = "linear"
    """The same part of the principal each period, and the interest on what is left."""
    FLOATING = "floating"
    """As interest_only, at an index and a spread that are fixed anew on reset dates."""
    CALLABLE = "callable"
    """As interest_only, until the lender calls: it ends a notice later, or at its term."""
    UNDATED = "undated"
    """As interest_only, without a term: it ends when it is closed."""


_MAY_FLOAT: Final = (Kind.BULLET, Kind.ANNUITY, Kind.LINEAR)


class Rounding(Enum):
    """Which way a payment is rounded to whole cents."""

    UP = "up"
    """Against the payer: what ``core.units.muldiv_up`` does to interest."""
    DOWN = "down"
    """For the payer."""
    NEAREST = "nearest"
    """To the nearest cent, halves up."""


class Prepayment(Enum):
    """What interest is owed by who repays before the end."""

    ACCRUED_ONLY = "accrued_only"
    """What has run until that day."""
    FULL_PERIOD = "full_period"
    """That of the whole running period."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The repayment terms of a product. An empty text or None: it has no such thing."""

    kind: Kind
    """How principal comes back."""
    rate_bps: Bps
    """Interest a year; with a ``reset``, the spread over the index."""
    every: str = ""
    """Cycle of the payments, as ``P1M`` or ``P3ML0``; none under ``BULLET``."""
    term: str = ""
    """From the first day to the end, as ``P12M``; none under ``UNDATED``, optional under
    ``CALLABLE``."""
    day_count: DayCount = DayCount.A365F
    """How the days of a period are counted."""
    calendar: Calendar = Calendar.NC
    """Which days are business days."""
    convention: Convention = Convention.NOS
    """Where a payment goes that falls on none."""
    end_of_month: bool = False
    """A first day that ends a shorter month stands for the end of every month."""
    rounding: Rounding = Rounding.UP
    """Which way each payment is rounded."""
    capitalise: str = ""
    """From the first day for this long, interest is added to the debt instead of paid."""
    reset: str = ""
    """The rate floats: cycle of the reset dates, as ``P3M``, from the first day on. ``FLOATING``
    needs one; bullets, annuities and linear loans may have one."""
    floor_bps: Bps | None = None
    """With a ``reset``: the rate is never below. Without one, a rate below zero is refused."""
    cap_bps: Bps | None = None
    """With a ``reset``: the rate is never above."""
    notice: str = "P0D"
    """``CALLABLE``: from the call to the end."""
    late_bps: Bps = Bps(0)
    """Interest a year on an overdue amount, from its due date on."""
    grace: str = "P0D"
    """A payment that comes within it is not late (ACTUS ``gracePeriod``)."""
    prepayment: Prepayment = Prepayment.ACCRUED_ONLY
    """What interest is owed by who repays before the end."""

    @property
    def cycle(self) -> Cycle | None:
        """The cycle of the payments."""
        return parse_cycle(self.every) if self.every else None

    @property
    def length(self) -> Period | None:
        """The term."""
        return parse_period(self.term) if self.term else None


def check_plan(plan: Plan) -> None:
    """Refuse a plan that contradicts itself.

    Raises BadInput: ``schedule/rate`` (negative or absurd), ``schedule/endless`` (no term where
    one is needed), ``schedule/plan`` (what the kind does not use, or lacks), ``schedule/cycle``.
    """
    rates = (
        ("rate_bps", plan.rate_bps),
        ("late_bps", plan.late_bps),
        ("floor_bps", plan.floor_bps),
        ("cap_bps", plan.cap_bps),
    )
    for name, rate in rates:
        if rate is not None and not 0 <= rate <= MAX_RATE:
            raise BadInput("schedule/rate", field=name, rate_bps=rate, most=MAX_RATE)
    length, cycle = plan.length, plan.cycle
    if length is None and plan.kind not in (Kind.CALLABLE, Kind.UNDATED):
        raise BadInput("schedule/endless", kind=plan.kind.value, reason="no term")
    if length is not None and (length.is_zero or plan.kind is Kind.UNDATED):
        raise _idle(plan, "term")
    if (cycle is None) != (plan.kind is Kind.BULLET):
        raise _idle(plan, "every")
    if bool(plan.reset) != (plan.kind is Kind.FLOATING) and plan.kind not in _MAY_FLOAT:
        raise _idle(plan, "reset")
    if not plan.reset and (plan.floor_bps, plan.cap_bps) != (None, None):
        raise _idle(plan, "floor_bps, cap_bps")
    if plan.floor_bps is not None and plan.cap_bps is not None and plan.floor_bps > plan.cap_bps:
        raise BadInput("schedule/plan", field="floor_bps", reason="above the cap")
    if plan.reset:
        parse_cycle(plan.reset)
    if not parse_period(plan.notice).is_zero and plan.kind is not Kind.CALLABLE:
        raise _idle(plan, "notice")
    parse_period(plan.grace)
    if plan.capitalise and (plan.kind is Kind.BULLET or parse_period(plan.capitalise).is_zero):
        raise _idle(plan, "capitalise")


def round_cents(amount: Fraction, *, rounding: Rounding) -> int:
    """Whole cents of an exact amount that is not negative."""
    whole, rest = divmod(amount.numerator, amount.denominator)
    match rounding:
        case Rounding.DOWN:
            return whole
        case Rounding.UP:
            return whole + (rest > 0)
        case Rounding.NEAREST:
            return whole + (2 * rest >= amount.denominator)


def rate_of(bps: int) -> Fraction:
    """Basis points as a fraction."""
    return Fraction(bps, BPS)


def _idle(plan: Plan, field: str) -> BadInput:
    reason = "missing, or not used by this kind"
    return BadInput("schedule/plan", field=field, kind=plan.kind.value, reason=reason)
