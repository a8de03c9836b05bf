"""A product as the terms that the contracts take: the nearest bounds that enclose its ladder.

The contracts know one call, whole basis points and ``≥``. Whatever the ladder has beyond that, its
terms permit the contract to do whenever the product does it, and as little more as can be; what is
left to decide, the lender's policy decides (``on_chain_policy``). ``on_chain_rules`` tells which
rule is whose. What no terms can enclose is refused by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Final, assert_never

from escrow.adapters.price.files import Quote
from escrow.core.errors import BadInput
from escrow.core.terms import MAX_SPAN, Liquidation
from escrow.core.units import BPS, DAY, Bps, Cents, Seconds
from escrow.products.debt import Owing
from escrow.products.level import Level
from escrow.products.model import (
    Basis,
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
_MOST_BEAT: Final = Seconds(30 * DAY - 1)
"""Longest heartbeat of a world, less the second that keeps it from signing a price again."""
_MOST_GAP: Final = 2
"""By so many basis points at most a level may be above the product's: the contract wants a basis
point between restore level, call and immediate level."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Loan-to-value levels of the terms."""

    initial: Bps
    """A draw may not leave the loan-to-value above this."""
    restore: Bps
    """At or below this the contract permits a cure."""
    call: Bps
    """At or above this it permits a call, and that one lapses."""
    liquidation: Bps
    """At or above this it permits a sale at once."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A product as the contracts take it."""

    liquidation: Liquidation
    """Which kind of sale."""
    bounds: Bounds
    """Within which levels."""
    terms: dict[str, int]
    """Fields of ``LoanDefaults``."""
    term: Seconds
    """From drawing to maturity."""
    heartbeat: Seconds
    """Of the world: no price of the path grows stale."""
    drawn: Cents
    """Drawn from the contract: the principal, and interest that is owed from the first second."""
    up_front: Cents
    """That interest: handed back as soon as it is drawn."""
    wait: Seconds | None
    """Of an auction: from its start to the second of the sale."""

    @property
    def penalty(self) -> bool:
        """Does the lender take coins?"""
        return self.liquidation is Liquidation.TAKE_OVER


def refused(product: Product, reason: str, **facts: int | str) -> BadInput:
    """The refusal of a product, or of a run of it."""
    return BadInput("compare/on-chain", product=product.id, reason=reason, **facts)


def check(product: Product, quotes: Sequence[Quote]) -> None:
    """Refuse what no terms enclose: BadInput("compare/on-chain")."""
    plan = product.repayment
    if isinstance(product.liquidation, SoftBands):
        raise refused(product, "bands")
    if any(call.cure == 0 for call in product.calls):
        raise refused(product, "a call without time to answer")
    if plan.pays in (Pays.ANNUITY, Pays.LINEAR):
        raise refused(product, "a debt that is repaid in instalments")
    if plan.index:
        raise refused(product, "a floating rate")
    if plan.plan is not None:
        raise refused(product, "interest by the days of a calendar")
    if plan.rate_bps < 0:
        raise refused(product, "a negative rate")
    if len(quotes) > MOST_PRICES:
        raise refused(product, "too many prices", prices=len(quotes), most=MOST_PRICES)
    span = quotes[-1].at - quotes[0].at
    for due in (plan.every, plan.term):
        if due is not None and span >= due:
            raise refused(product, "a payment within the path", due_after=due)
    gap = max((b.at - a.at for a, b in pairwise(quotes)), default=0)
    if gap > min(product.price.heartbeat, _MOST_BEAT):
        raise refused(product, "prices further apart than the heartbeat", gap=gap)


def plan_of(product: Product, *, principal: Cents, span: Seconds) -> Plan:
    """The product as terms for a loan that is looked at for ``span``.

    Raises BadInput("compare/on-chain") for bands, and for levels too close to each other.
    """
    owing, start = Owing(product.repayment, principal=principal, at=Seconds(0)), Seconds(0)
    drawn, last = owing.owed(start), owing.owed(span)
    counts_all = product.basis is Basis.DEBT
    # The contract counts interest too: where the product does not, it sees so much more.
    first, most = (1, 1) if counts_all else (Fraction(drawn, principal), Fraction(last, principal))
    bounds = _bounds(product, first=Fraction(first), most=Fraction(most))
    how, terms = _sale_terms(product)
    full_term = product.repayment.pays is Pays.FULL_TERM
    terms |= {
        "rate_bps": 0 if full_term else product.repayment.rate_bps,
        "initial_ltv": bounds.initial,
        "restore_ltv": bounds.restore,
        "call_ltv": bounds.call,
        "liquidation_ltv": bounds.liquidation,
        "cure": cure_of(product),
        "confirmations": max(1, product.confirmations),
        "grace": product.repayment.grace,
    }
    kind = product.liquidation
    return Plan(
        liquidation=how,
        bounds=bounds,
        terms=terms,
        term=product.repayment.term or Seconds(365 * DAY),
        heartbeat=Seconds(max(DAY, min(product.price.heartbeat, _MOST_BEAT) + 1)),
        drawn=drawn,
        up_front=Cents(drawn - principal),
        wait=time_to_take(kind) if isinstance(kind, DutchAuction) else None,
    )


def cure_of(product: Product) -> Seconds:
    """The shortest cure time of any call, so that no call lapses before the contract lets it."""
    cures = [call.cure for call in product.calls if call.cure is not None]
    return min([*cures, MAX_SPAN])


def floor_bps(ltv: Fraction) -> Bps:
    """The last whole basis point at or below."""
    return Bps(ltv.numerator * BPS // ltv.denominator)


def ceil_bps(ltv: Fraction) -> Bps:
    """The first whole basis point at or above."""
    return Bps(-(-ltv.numerator * BPS // ltv.denominator))


def _bounds(product: Product, *, first: Fraction, most: Fraction) -> Bounds:
    """``first`` and ``most``: what the contract counts ÷ what the product does, when it is drawn
    and at the end."""
    initial = ceil_bps(product.initial * first)
    lows = [int(initial)]
    if product.calls:
        lows.append(ceil_bps(product.restore * most))
    if isinstance(product.liquidation, PartialSale):
        # No sale may stop above the restore level.
        lows.append(product.liquidation.target_bps)
    restore = max(lows)
    top = _reached(product.immediate, most=BPS - 1)
    if not product.calls:
        wanted = max(restore + 1, top - 1)
    elif product.lapse is Lapse.UNLESS_RESTORED:
        wanted = restore + 1
    else:
        wanted = _reached(product.calls[0].level, most=BPS - 2)
    call = max(wanted, restore + 1)
    liquidation = max(top, call + 1)
    far = max(call - wanted, liquidation - top)
    if not (initial > 0 and liquidation < BPS and far <= _MOST_GAP):
        reason = "levels that the contracts do not take"
        raise refused(product, reason, initial=initial, restore=restore, call=call)
    return Bounds(initial, Bps(restore), Bps(call), Bps(liquidation))


def _reached(level: Level | None, *, most: int) -> int:
    """Where it is reached at the earliest, in whole basis points; ``most`` where it never is."""
    return most if level is None else min(most, floor_bps(level.ltv))


def _sale_terms(product: Product) -> tuple[Liquidation, dict[str, int]]:
    """Of the contract's kinds the one that permits every sale of the product, and its terms."""
    terms, kind, how = {"bonus_bps": 0}, product.liquidation, Liquidation.THIRD_PARTY
    match kind:
        case TakeOver():
            how, terms["bonus_bps"] = Liquidation.TAKE_OVER, kind.bonus_bps
        case MarketSale():
            terms["fee_bps"] = kind.fee_bps
        case PartialSale():
            terms["fee_bps"] = kind.fee_bps
            # A small loan is sold out, and what is small changes with each sale: the buyer decides.
            if kind.full_below == 0:
                how, terms["target_ltv"] = Liquidation.PARTIAL, kind.target_bps
        case ThirdParty():
            terms["bonus_bps"], terms["min_left"] = kind.bonus_bps, kind.min_left
        case DutchAuction():
            how = Liquidation.AUCTION
            terms |= {
                "fee_bps": kind.fee_bps,
                "buf_bps": kind.buf_bps,
                "cut_bps": kind.cut_bps,
                "step": kind.step,
                "tail": kind.tail,
                "cusp_bps": kind.cusp_bps,
            }
        case SoftBands():
            raise refused(product, "bands")
        case _:
            assert_never(kind)
    return how, terms
