"""A product in plain words, and as JSON: every term, and whether it was disclosed."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Final, assert_never

from escrow.core.units import BPS, Cents, Seconds
from escrow.products.check import steps_to_par
from escrow.products.level import Level, ltv_of_ratio, shown
from escrow.products.model import (
    Basis,
    DutchAuction,
    Lapse,
    Liquidation,
    MarketSale,
    PartialSale,
    Pays,
    Product,
    Repayment,
    SoftBands,
    TakeOver,
    ThirdParty,
)
from escrow.schedules.accrual import Fixing, day_of
from escrow.schedules.calendars import Convention
from escrow.schedules.cycle import Period, parse_period
from escrow.schedules.plan import Kind, Plan, Prepayment, Rounding

_MOST_STEPS: Final = 4
"""Most steps of a key rate that are all told."""
_ROUNDS: Final = {
    Rounding.UP: "up to the cent",
    Rounding.DOWN: "down to the cent",
    Rounding.NEAREST: "to the nearest cent",
}


def explain(product: Product) -> Iterator[str]:
    """Lines of text: what happens at which level, what it costs, and what of it is assumed."""
    yield f"{product.title} ({product.id})"
    yield ""
    yield product.in_words
    yield ""
    yield from (f"  {line}" for line in _ladder(product))
    yield from (f"  {line}" for line in _costs(product))
    yield ""
    assumed = product.assumed
    yield f"{len(product.parameters)} terms, {len(assumed)} of them assumed:"
    yield from (f"  ASSUMED  {each.name}: {each.source}" for each in assumed)


def describe(product: Product) -> dict[str, object]:
    """The same as JSON."""
    return {
        "product": product.id,
        "title": product.title,
        "in_words": product.in_words,
        "explained": [*_ladder(product), *_costs(product)],
        "parameters": [
            {
                "name": each.name,
                "status": each.status.value,
                "source": each.source,
                "line": each.line,
            }
            for each in product.parameters
        ],
    }


def assumed_lines(product: Product) -> list[str]:
    """What is assumed, one line a term."""
    return [f"{each.name}: {each.source}" for each in product.assumed]


def price_falls(product: Product) -> Iterator[tuple[str, Fraction]]:
    """By what part the price must fall, from a loan drawn at the initial level, to each level:
    ``1 − initial ÷ level``, before interest."""
    for n, notice in enumerate(product.notices, start=1):
        yield f"notice {n}", 1 - product.initial / notice.ltv
    for n, call in enumerate(product.calls, start=1):
        yield f"call {n}", 1 - product.initial / call.level.ltv
    if product.immediate is not None:
        yield "sale", 1 - product.initial / product.immediate.ltv


def _ladder(product: Product) -> Iterator[str]:
    counted = "principal and interest" if product.basis is Basis.DEBT else "principal alone"
    falls = dict(price_falls(product))
    yield f"Lends up to {_ratio(product.initial)}; levels count {counted}."
    for n, notice in enumerate(product.notices, start=1):
        yield f"Warns {_at(notice)}{_fall(falls[f'notice {n}'])}."
    for n, call in enumerate(product.calls, start=1):
        dwell = f" once it has lasted {_span(call.dwell)}" if call.dwell else ""
        cure = "without a deadline" if call.cure is None else f"with {_span(call.cure)} to answer"
        yield f"Calls {_at(call.level)}{dwell}, {cure}{_fall(falls[f'call {n}'])}."
    if product.calls:
        way = {"top-up": "more coins", "repay": "money", "both": "more coins or money"}
        yield (
            f"A call is cured at or below {_ratio(product.restore)}, by "
            f"{way[product.cure_by.value]} or a better price."
        )
    if any(call.cure is not None for call in product.calls):
        if product.lapse is Lapse.UNLESS_RESTORED:
            yield "Unless it is cured in time the coins are sold."
        else:
            yield "After its time the coins are sold once the level is reached."
    if product.immediate is not None:
        yield f"Sells at once {_at(product.immediate)}{_fall(falls['sale'])}."
    elif not isinstance(product.liquidation, SoftBands):
        yield "Never sells at once."
    yield _sale(product.liquidation)
    rule = product.price
    yield (
        f"Price: the median of {rule.sources}, of which {rule.quorum} must agree to "
        f"{_percent(rule.deviation_bps)}; stale after {_span(rule.heartbeat)}, when clocks stop; "
        f"{rule.to_call} must see a call's level."
    )


def _sale(kind: Liquidation) -> str:
    match kind:
        case TakeOver():
            return f"The lender takes coins for the debt and {_percent(kind.bonus_bps)} on top."
        case MarketSale():
            return f"The custodian sells what the debt needs; fee {_percent(kind.fee_bps)}."
        case PartialSale():
            small = f"; all below {_money(kind.full_below)}" if kind.full_below else ""
            return (
                f"The custodian sells down to {_percent(kind.target_bps)}{small}; fee "
                f"{_percent(kind.fee_bps)}."
            )
        case ThirdParty():
            part = "" if kind.close_bps == BPS else f", {_percent(kind.close_bps)} at a time"
            return f"Anyone repays debt{part} for coins worth {_percent(kind.bonus_bps)} more."
        case DutchAuction():
            time = _span(Seconds(steps_to_par(kind) * kind.step))
            return (
                f"An auction falls from {_percent(kind.buf_bps)} of the price to the price in "
                f"{time}; fee {_percent(kind.fee_bps)}."
            )
        case SoftBands():
            return (
                f"Coins turn to cash over {kind.count} bands, each a {kind.steepness}th wide, and "
                f"back; the rest is sold when {_percent(BPS - kind.liquidation_discount)} of what "
                "they come to is less than the debt."
            )
        case _:
            assert_never(kind)


def _costs(product: Product) -> Iterator[str]:
    terms = product.repayment
    rate, fee = _percent(terms.rate_bps), _percent(terms.fee_bps)
    rate = f"the key rate and {rate}" if terms.index else rate
    if terms.plan is not None:
        term = f", {_calendar(terms.plan.term)}"
    else:
        term = "" if terms.term is None else f", {_span(terms.term)}"
    yield f"Costs {rate} a year and {fee} at first{term}; {_how(terms)}."
    if terms.plan is not None:
        yield from _plan(terms.plan, terms.index)
    if terms.pays is not Pays.OPEN:
        late = f"Costs {_percent(terms.late_bps)} a year more" if terms.late_bps else "No more"
        yield f"{late} on what is overdue; in default {_span(terms.grace)} after a missed payment."
    yield f"Coins count after {product.confirmations} confirmations."
    if product.least is not None or product.most is not None:
        low = "any" if product.least is None else _money(product.least)
        high = "any" if product.most is None else _money(product.most)
        yield f"Loans from {low} to {high}."


def _how(terms: Repayment) -> str:
    each = "" if terms.plan is None else _calendar(terms.plan.every, each=True)
    match terms.pays:
        case Pays.AT_END | Pays.BULLET:
            return "all due at the end"
        case Pays.EVERY:
            due = _span(terms.every or Seconds(0))
            return f"interest due each {due}, principal at the end"
        case Pays.FULL_TERM:
            return "the interest of the whole term owed from the start"
        case Pays.OPEN:
            return "no term"
        case Pays.INTEREST_ONLY:
            return f"interest due each {each}, principal at the end"
        case Pays.ANNUITY:
            return f"the same amount due each {each}, first of all for interest"
        case Pays.LINEAR:
            return f"the same part of the principal due each {each}, and the interest"
        case _:
            assert_never(terms.pays)


def _plan(plan: Plan, index: tuple[Fixing, ...]) -> Iterator[str]:
    """What instalments depend on beside the rate."""
    if index:
        steps = [f"{_percent(each.bps)} from {day_of(each.at).isoformat()}" for each in index]
        if len(steps) > _MOST_STEPS:
            steps = [steps[0], f"{len(steps) - 2} more", steps[-1]]
        bounds = [
            f", never {word} {_percent(bps)}"
            for word, bps in (("below", plan.floor_bps), ("above", plan.cap_bps))
            if bps is not None
        ]
        yield (
            f"The rate is fixed anew each {_calendar(plan.reset, each=True)}{''.join(bounds)}. Key "
            f"rate: {', '.join(steps)}; before and after, the nearest is assumed."
        )
    if plan.capitalise:
        yield f"For the first {_calendar(plan.capitalise)} interest is added to the debt instead."
    yield (
        f"Days count as {plan.day_count.value}; each payment is rounded once, "
        f"{_ROUNDS[plan.rounding]}."
    )
    if plan.convention is not Convention.NOS:
        runs = "the day before it is moved" if plan.convention.calculates_first else "that day"
        yield (
            f"No payment on a Saturday or Sunday: it moves {_moves(plan.convention)}, and interest "
            f"runs to {runs}."
        )
    if plan.end_of_month:
        yield "A loan drawn on the last day of a short month pays on the last day of each."
    whole = plan.prepayment is Prepayment.FULL_PERIOD
    owes = "of the whole running period" if whole else "until then"
    anew = "; what is left is spread anew" if plan.kind in (Kind.ANNUITY, Kind.LINEAR) else ""
    yield f"Who repays early owes the interest {owes}{anew}."


def _moves(convention: Convention) -> str:
    """Where to; ``M`` keeps it within its month."""
    other = ", within its month" if "M" in convention.value else ""
    to = "on to the next Monday" if convention.value.endswith("F") else "back to the Friday"
    return to + other


def _calendar(text: str, *, each: bool = False) -> str:
    """``P24M``: 24 months; in "each …": ``P1M`` is a month."""
    period = parse_period(text.partition("L")[0]) if text else Period()
    parts = [(period.months, "month"), (period.days, "day")]
    if each and sum(parts[n][0] for n in (0, 1)) == 1:
        return next(name for count, name in parts if count)
    return " and ".join(
        f"{count} {name}{'s' if count > 1 else ''}" for count, name in parts if count
    )


def _at(level: Level) -> str:
    word = "above" if level.strict else "at or above"
    return f"{word} {_ratio(level.ltv)}"


def _ratio(ltv: Fraction) -> str:
    return f"{shown(ltv)} of the collateral's value ({shown(ltv_of_ratio(ltv))} the other way)"


def _fall(part: Fraction) -> str:
    return f" (a fall of {shown(part)})" if part > 0 else ""


def _percent(bps: int) -> str:
    return f"{bps // 100}.{bps % 100:02d} %" if bps >= 0 else f"-{_percent(-bps)}"


def _money(cents: Cents) -> str:
    return f"{cents // 100:,}.{cents % 100:02d}"


def _span(seconds: Seconds) -> str:
    """The two largest units."""
    parts, left = [], int(seconds)
    for name, size in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count} {name}")
    return " ".join(parts[:2]) or "0 s"
