"""A product as the terms that the contracts take, what of it is only close, and what is refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Final

from escrow.adapters.price.files import Quote
from escrow.core.errors import BadInput
from escrow.core.terms import MAX_SPAN, Liquidation
from escrow.core.units import BPS, DAY, Bps, Cents, Seconds, muldiv_up
from escrow.products.level import Level, shown
from escrow.products.model import (
    DutchAuction,
    Lapse,
    MarketSale,
    PartialSale,
    Pays,
    Product,
    SoftBands,
    TakeOver,
    ThirdParty,
)
from escrow.products.sale import time_to_take

MOST_PRICES: Final = 1_500
"""Longest path: two months of hours take about a minute."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A product as the contracts take it."""

    liquidation: Liquidation
    terms: dict[str, int]
    """Fields of ``LoanDefaults``."""
    term: Seconds
    penalty: bool
    """Does the lender take coins?"""
    wait: Seconds | None
    """Of an auction: from its start to the second of the sale."""


def _refused(product: Product, reason: str, **facts: int | str) -> BadInput:
    return BadInput("compare/on-chain", product=product.id, reason=reason, **facts)


def check(product: Product, quotes: Sequence[Quote]) -> None:
    """Refuse what the contracts cannot express: BadInput("compare/on-chain")."""
    kind, plan = product.liquidation, product.repayment
    if isinstance(kind, SoftBands):
        raise _refused(product, "bands")
    if product.basis.value != "debt":
        raise _refused(product, "levels that count principal alone")
    if any(call.dwell for call in product.calls):
        raise _refused(product, "a call that dwells")
    if sum(call.cure is not None for call in product.calls) > 1:
        raise _refused(product, "an accelerated call")
    if product.calls and product.calls[0].cure is None and any(c.cure for c in product.calls):
        raise _refused(product, "a warning below the call")
    if product.lapse is Lapse.UNLESS_RESTORED and any(c.cure is not None for c in product.calls):
        raise _refused(product, "a call that lapses between restore level and call")
    if any(call.cure == 0 for call in product.calls):
        raise _refused(product, "a call without time to answer")
    if product.immediate is None:
        raise _refused(product, "no immediate level")
    if isinstance(kind, ThirdParty) and (kind.close_bps < BPS or kind.full_below):
        raise _refused(product, "a close factor")
    if plan.pays in (Pays.ANNUITY, Pays.LINEAR):
        raise _refused(product, "a debt that is repaid in instalments")
    if plan.index:
        raise _refused(product, "a floating rate")
    if plan.plan is not None:
        raise _refused(product, "interest by the days of a calendar")
    if plan.pays is Pays.FULL_TERM:
        raise _refused(product, "interest of the whole term from the start")
    if plan.rate_bps < 0:
        raise _refused(product, "a negative rate")
    if len(quotes) > MOST_PRICES:
        raise _refused(product, "too many prices", prices=len(quotes), most=MOST_PRICES)
    span = quotes[-1].at - quotes[0].at
    for due in (plan.every, plan.term):
        if due is not None and span >= due:
            raise _refused(product, "a payment within the path", due_after=due)
    if any(call.cure is None for call in product.calls) and span >= MAX_SPAN:
        raise _refused(product, "a call without a deadline on so long a path", most=MAX_SPAN)
    gap = max((b.at - a.at for a, b in pairwise(quotes)), default=0)
    if gap > min(product.price.heartbeat, DAY):
        raise _refused(product, "prices further apart than the heartbeat", gap=gap)


def plan_of(product: Product, *, principal: Cents) -> tuple[Plan, tuple[str, ...]]:
    """The product as terms, and what of it is only close. Raises BadInput("compare/on-chain")."""
    stated: list[str] = []
    assert product.immediate is not None
    liquidation = _bps(product.immediate, "immediate", stated)
    if product.calls:
        call, restore = _bps(product.calls[0].level, "call", stated), product.restore
        cure = product.calls[0].cure or MAX_SPAN
        if product.calls[0].cure is None:
            stated.append("the call never lapses; there it would after 30 days")
        if len(product.calls) > 1:
            stated.append("later calls are warnings: there is one call there")
    else:
        call, restore, cure = Bps(liquidation - 1), product.initial, MAX_SPAN
        if isinstance(product.liquidation, PartialSale):
            # Nothing is cured without a call, but a sale may not stop above the restore level.
            restore = max(restore, Fraction(product.liquidation.target_bps, BPS))
        stated.append("no call; there one is made a basis point below the immediate level")
    initial = Bps(muldiv_up(product.initial.numerator, BPS, product.initial.denominator))
    level = restore.numerator * BPS // restore.denominator
    if restore * BPS != level:
        stated.append(f"restore level {shown(restore)}: there {level} bps")
    if not 0 < initial <= level < call < liquidation < BPS:
        reason = "levels that the contracts do not take"
        raise _refused(product, reason, initial=initial, restore=level, call=call)
    if product.confirmations == 0:
        stated.append("no confirmations; there one")
    stated.append("one price from all sources; there the median of five oracles")
    terms: dict[str, int] = {
        "rate_bps": product.repayment.rate_bps,
        "initial_ltv": initial,
        "restore_ltv": level,
        "call_ltv": call,
        "liquidation_ltv": liquidation,
        "cure": cure,
        "confirmations": max(1, product.confirmations),
        "grace": product.repayment.grace,
        "bonus_bps": 0,
    }
    kind, how, wait = product.liquidation, Liquidation.THIRD_PARTY, None
    match kind:
        case TakeOver():
            how, terms["bonus_bps"] = Liquidation.TAKE_OVER, kind.bonus_bps
        case MarketSale():
            terms["fee_bps"] = kind.fee_bps
        case PartialSale():
            terms["fee_bps"] = kind.fee_bps
            if principal >= kind.full_below:
                how, terms["target_ltv"] = Liquidation.PARTIAL, kind.target_bps
                if kind.target_bps > level:
                    raise _refused(product, "a sale that stops above the restore level")
        case ThirdParty():
            terms["bonus_bps"], terms["min_left"] = kind.bonus_bps, kind.min_left
        case DutchAuction():
            how, wait = Liquidation.AUCTION, time_to_take(kind)
            terms |= {
                "fee_bps": kind.fee_bps,
                "buf_bps": kind.buf_bps,
                "cut_bps": kind.cut_bps,
                "step": kind.step,
                "tail": kind.tail,
                "cusp_bps": kind.cusp_bps,
            }
        case SoftBands():
            raise _refused(product, "bands")
    term = product.repayment.term or Seconds(365 * DAY)
    return Plan(how, terms, term, isinstance(kind, TakeOver), wait), tuple(stated)


def _bps(level: Level, name: str, stated: list[str]) -> Bps:
    """The least whole number of basis points at which the level is reached."""
    exactly = level.ltv * BPS
    found = (
        exactly.numerator // exactly.denominator + 1
        if level.strict
        else -(-exactly.numerator // exactly.denominator)
    )
    if level.strict or found != exactly:
        word = "above" if level.strict else "at or above"
        stated.append(f"{name} {word} {shown(level.ltv)}: there at or above {found} bps")
    return Bps(found)
