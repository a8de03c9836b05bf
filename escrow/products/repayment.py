"""Reading ``[repayment]`` and ``[[key_rate]]`` of a product's TOML; ``read`` shows how to write it.

What runs by the second and what runs by a calendar have keys of their own: one that the other way
to pay has no use for is refused as unknown.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any, Final

from escrow.core.errors import BadInput
from escrow.core.terms import MAX_BONUS, MAX_RATE
from escrow.core.units import BPS, HOUR, YEAR, Bps, Seconds
from escrow.page import Page, Section
from escrow.products.fields import period
from escrow.products.model import Pays, Repayment
from escrow.schedules.accrual import Fixing, moment, rate_at
from escrow.schedules.calendars import Calendar, Convention
from escrow.schedules.cycle import add, parse_cycle, parse_period
from escrow.schedules.daycount import DayCount
from escrow.schedules.instalments import last_day, slots_of
from escrow.schedules.plan import (
    MAX_INSTALMENTS,
    Kind,
    Plan,
    Prepayment,
    Rounding,
    check_plan,
)

MAX_TERM: Final = Seconds(30 * YEAR)
"""Longest term."""
MAX_KEY_RATES: Final = 200
"""Most steps of a key rate: eight decisions a year for 25 years."""

_KINDS: Final = {
    Pays.BULLET: Kind.BULLET,
    Pays.INTEREST_ONLY: Kind.INTEREST_ONLY,
    Pays.ANNUITY: Kind.ANNUITY,
    Pays.LINEAR: Kind.LINEAR,
}
_CODES: Final = {
    "schedule/endless": "product/endless",
    "schedule/rate": "product/rate",
    "schedule/order": "product/value",
}
_PROBE: Final = date(2024, 1, 31)
"""A first day that ends a long month, in a leap year: each plan is laid from it once."""


def read_repayment(page: Page) -> Repayment:
    """What a loan costs, and when it is due.

    Raises BadInput: ``product/rate`` for a rate below zero that the product does not allow,
    ``product/endless`` for payments without an end, ``product/schedule`` for terms that contradict
    each other, and as ``read_product``.
    """
    table = page.section("repayment")
    pays = table.choice("pays", Pays)
    if pays in _KINDS:
        return _by_the_calendar(page, table, pays)
    negative = table.flag("negative") if "negative" in table else False
    rate = table.bps("rate", -MAX_RATE, MAX_RATE)
    if rate < 0 and not negative:
        raise table.bad("product/rate", "rate", rate_bps=rate)
    if pays is not Pays.OPEN and "term" not in table:
        raise table.bad("product/endless", "term", reason=f"{pays.value} needs a term")
    term = None if pays is Pays.OPEN else table.span("term", HOUR, MAX_TERM)
    every = table.span("every", 0, MAX_TERM) if pays is Pays.EVERY else None
    if every == 0:
        raise table.bad("product/endless", "every", reason="no time between two payments")
    if every and term and term > MAX_INSTALMENTS * every:
        raise table.bad(
            "product/endless", "every", reason="too many payments", most=MAX_INSTALMENTS
        )
    runs = every or term
    if runs is not None and -rate * runs >= BPS * YEAR:
        reason = "nothing of the principal would be owed"
        raise table.bad("product/rate", "rate", rate_bps=rate, reason=reason)
    fee, grace = table.bps("fee", 0, MAX_BONUS), table.span("grace", 0, YEAR)
    late = Bps(0) if pays is Pays.OPEN else _late(table)
    return Repayment(pays, rate, fee, term, every, grace, late)


def _by_the_calendar(page: Page, table: Section, pays: Pays) -> Repayment:
    floats, kind = "spread" in table, _KINDS[pays]
    key = "spread" if floats else "rate"
    rate = table.bps(key, -MAX_RATE, MAX_RATE)
    if rate < 0:
        raise table.bad("product/rate", key, rate_bps=rate)
    if "term" not in table:
        raise table.bad("product/endless", "term", reason=f"{pays.value} needs a term")
    more: dict[str, Any] = {}
    if kind is not Kind.BULLET:
        more["every"] = period(table, "every", repeats=True)
        more["capitalise"] = period(table, "capitalise") if "capitalise" in table else ""
    if floats:
        kind = Kind.FLOATING if kind is Kind.INTEREST_ONLY else kind
        more["reset"] = period(table, "reset", repeats=True)
        for bound in ("floor", "cap"):
            more[f"{bound}_bps"] = table.bps(bound, 0, MAX_RATE) if bound in table else None
    if "calendar" in table or "convention" in table:
        more["calendar"] = table.choice("calendar", Calendar)
        more["convention"] = table.choice("convention", Convention)
    if "end_of_month" in table:
        more["end_of_month"] = table.flag("end_of_month")
    if "rounding" in table:
        more["rounding"] = table.choice("rounding", Rounding)
    plan = Plan(
        kind,
        rate,
        term=period(table, "term"),
        day_count=table.choice("day_count", DayCount),
        prepayment=table.choice("prepayment", Prepayment),
        **more,
    )
    _check(table, plan)
    index = tuple(_key_rates(page, plan)) if floats else ()
    fee, grace = table.bps("fee", 0, MAX_BONUS), table.span("grace", 0, YEAR)
    return Repayment(pays, rate, fee, None, None, grace, _late(table), plan, index)


def _late(table: Section) -> Bps:
    if "late" in table:
        return table.bps("late", 0, MAX_RATE)
    table.assume("late", "not in the file: no interest on what is overdue beside the loan's own")
    return Bps(0)


def _check(table: Section, plan: Plan) -> None:
    """Refuse what contradicts itself, and terms that say nothing."""
    if (plan.calendar is Calendar.NC) != (plan.convention is Convention.NOS):
        reason = "days off and where payments go on them need each other"
        raise table.bad("product/schedule", "convention", reason=reason)
    cycle = plan.cycle or (parse_cycle(plan.reset) if plan.reset else None)
    if plan.end_of_month and (cycle is None or not cycle.period.months):
        reason = "the month's end is for what comes by the month"
        raise table.bad("product/schedule", "end_of_month", reason=reason)
    try:
        check_plan(plan)
        end = last_day(plan, first=_PROBE)
        if end > add(_PROBE, period=parse_period(f"P{MAX_TERM // YEAR}Y")):
            raise table.bad("product/value", "term", reason="out of range", most="P30Y")
        slots = slots_of(plan, first=_PROBE, end=end)
        if plan.capitalise and not any(each.capitalises for each in slots[:-1]):
            reason = "no payment but the last falls within it"
            raise table.bad("product/schedule", "capitalise", reason=reason)
    except BadInput as error:
        if error.code.startswith("product/"):
            raise
        key = str(error.facts.get("field", "")).partition("_bps")[0]
        code = _CODES.get(error.code, "product/schedule")
        reason = str(error.facts.get("reason", error.code))
        raise table.bad(code, key if key in table else "term", reason=reason) from error


def _key_rates(page: Page, plan: Plan) -> Iterator[Fixing]:
    last: date | None = None
    tables = page.sections("key_rate", most=MAX_KEY_RATES)
    if not tables:
        raise page.bad("product/missing-key", "key_rate")
    for each in tables:
        day = each.day("from")
        if last is not None and day <= last:
            raise each.bad("product/value", "from", reason="dates must rise")
        last = day
        step = Fixing(moment(day, like=Seconds(0)), each.bps("rate", -MAX_RATE, MAX_RATE))
        try:
            rate_at(plan, start=day, day=day, fixings=(step,))
        except BadInput as error:
            bps = int(error.facts["rate_bps"])
            raise each.bad("product/rate", "rate", rate_bps=bps) from error
        yield step
    tables[-1].assume("beyond", "before the first date and after the last the nearest rate stays")
