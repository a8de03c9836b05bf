"""A product in plain words, and as JSON: every term, and whether it was disclosed."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import assert_never

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
    SoftBands,
    TakeOver,
    ThirdParty,
)


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
                "status": "disclosed" if each.disclosed else "assumed",
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
                f"back; the rest is sold when they come to less than the debt and "
                f"{_percent(kind.liquidation_discount)}."
            )
        case _:
            assert_never(kind)


def _costs(product: Product) -> Iterator[str]:
    plan = product.repayment
    term = "" if plan.term is None else f", {_span(plan.term)}"
    how = {
        Pays.AT_END: "all due at the end",
        Pays.EVERY: f"interest due each {_span(plan.every or Seconds(0))}, principal at the end",
        Pays.FULL_TERM: "the interest of the whole term owed from the start",
        Pays.OPEN: "no term",
    }[plan.pays]
    rate, fee = _percent(plan.rate_bps), _percent(plan.fee_bps)
    yield f"Costs {rate} a year and {fee} at first{term}; {how}."
    if plan.term is not None:
        yield f"In default {_span(plan.grace)} after a missed payment."
    yield f"Coins count after {product.confirmations} confirmations."
    if product.least is not None or product.most is not None:
        low = "any" if product.least is None else _money(product.least)
        high = "any" if product.most is None else _money(product.most)
        yield f"Loans from {low} to {high}."


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
