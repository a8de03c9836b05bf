"""One product of a comparison through both chains, and whether they come to the same.

The contracts know one call, one immediate level, ``≥`` in whole basis points and four ways to
sell. What a product has beyond that is refused by name, or stated where the two can differ only
there; nothing is dropped silently. Everyone acts as in the pure run: the borrower answers nothing,
the lender or a buyer acts in the first second that the terms allow.

Amounts are those of tokens: what a payout's miner takes of the coins, within ``max_fee`` of the
terms, is no part of the comparison.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from typing import Any, Final

from escrow.adapters.price.files import Quote
from escrow.config import BLOCK_INTERVAL, WorldConfig
from escrow.core.due import RealiseCollateral
from escrow.core.errors import BadInput
from escrow.core.phases import breach
from escrow.core.realise import auction_start
from escrow.core.regions.loan import CallCured, Called, Indebted, Liquidated, MarginCalled
from escrow.core.regions.system import active_seconds
from escrow.core.sales import auction_price
from escrow.core.terms import MAX_SPAN, Liquidation, Terms
from escrow.core.units import BPS, DAY, Bps, Cents, PriceE8, Sats, Seconds, muldiv_up
from escrow.deal import Deal
from escrow.products.ladder import Ladder
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
from escrow.products.outcome import Outcome
from escrow.products.sale import time_to_take
from escrow.words import exact
from escrow.world import World

MOST_PRICES: Final = 1_500
"""Longest path: two months of hours take about a minute."""

_FIELDS: Final = (
    "margin_call_at",
    "cured",
    "liquidated_at",
    "liquidation_price",
    "sales",
    "sats_pledged",
    "sats_sold",
    "sats_to_lender",
    "sats_fees",
    "sats_returned",
    "sats_held",
    "owed",
    "recovered",
    "bad_debt",
    "worst_ltv_bps",
)
_CALL_FIELDS: Final = ("margin_call_at", "cured")


@dataclass(frozen=True, slots=True)
class Difference:
    """A field in which the two runs differ."""

    field: str
    pure: object
    on_chain: object


@dataclass(frozen=True, slots=True)
class BothRuns:
    """A product in the pure core and on both chains."""

    outcome: Outcome
    """Of the pure run."""
    compared: tuple[str, ...]
    """Fields that were held against each other."""
    differences: tuple[Difference, ...]
    """And in which they differ: none, or something is wrong."""
    stated: tuple[str, ...]
    """In what the contracts' terms differ from the product's."""
    laws_broken: int
    """Laws that the run on the chains broke: none, or something is wrong."""


def run_both(
    product: Product, quotes: Sequence[Quote], *, principal: Cents, seed: int = 1
) -> BothRuns:
    """The same loan twice.

    Raises BadInput("compare/on-chain") for a product or a path that the contracts cannot express,
    with the reason; ``prices/empty``.
    """
    if not quotes:
        raise BadInput("prices/empty")
    _check(product, quotes)
    ladder = Ladder(product, principal=principal, at=quotes[0].at, price=quotes[0].price)
    ladder.follow([q.at for q in quotes[1:]], [q.price for q in quotes[1:]])
    pure = ladder.outcome()
    plan, stated = _plan(product, principal=principal)
    found, broken = _on_chain(
        plan, quotes, principal=principal, pledged=pure.sats_pledged, seed=seed
    )
    fields = tuple(f for f in _FIELDS if product.calls or f not in _CALL_FIELDS)
    differences = tuple(
        Difference(f, getattr(pure, f), found[f]) for f in fields if getattr(pure, f) != found[f]
    )
    return BothRuns(pure, fields, differences, stated, broken)


@dataclass(frozen=True, slots=True)
class _Plan:
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


def _check(product: Product, quotes: Sequence[Quote]) -> None:
    """What the contracts cannot express."""
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


def _plan(product: Product, *, principal: Cents) -> tuple[_Plan, tuple[str, ...]]:
    """The product as terms, and what of it is only close."""
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
    return _Plan(how, terms, term, isinstance(kind, TakeOver), wait), tuple(stated)


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


def _on_chain(
    plan: _Plan, quotes: Sequence[Quote], *, principal: Cents, pledged: Sats, seed: int
) -> tuple[dict[str, Any], int]:
    first, confirmations = quotes[0], plan.terms["confirmations"]
    lead = (confirmations + 1) * BLOCK_INTERVAL
    blocks = max(WorldConfig().miner_blocks, pledged // (50 * 10**8) + 2)
    config = WorldConfig(
        seed=seed,
        start=Seconds(first.at - lead),
        miner_blocks=blocks,
        cash=max(WorldConfig().cash, Cents(4 * principal)),
        auction_cap=max(WorldConfig().auction_cap, principal),
    )
    with World(config=config) as world:
        terms = replace(
            world.terms(
                liquidation=plan.liquidation.name.lower().replace("_", "-"),
                term=plan.term + lead,
                **plan.terms,  # type: ignore[arg-type]
            ),
            principal=principal,
        )
        deal = world.accept(world.offer(terms))
        world.pledge(deal, btc=exact(pledged), wait=True)
        world.advance(seconds=first.at - world.now)
        world.price(exact(first.price))
        world.draw(deal)
        worst = deal.ltv or Bps(0)
        for quote in quotes[1:]:
            if not isinstance(deal.state.loan, Indebted):
                break
            _wait(world, deal, plan, until=quote.at)
            if not isinstance(deal.state.loan, Indebted):
                break
            world.advance(seconds=quote.at - world.now)
            world.price(exact(quote.price))
            worst = max(worst, deal.ltv or Bps(0))
            _act(world, deal, plan)
        found = _read(world, deal, plan, pledged=pledged, last=quotes[-1].at)
        found["worst_ltv_bps"] = worst
        return found, len(world.engine.broken)


def _wait(world: World, deal: Deal, plan: _Plan, *, until: Seconds) -> None:
    """What falls due before the next price: the end of a call, and of an auction's fall."""
    while isinstance(deal.state.loan, Indebted):
        moments = [m for m in _moments(world, deal, plan) if world.now < m < until]
        if not moments:
            return
        world.advance(seconds=min(moments) - world.now)
        _act(world, deal, plan)


def _moments(world: World, deal: Deal, plan: _Plan) -> list[int]:
    state, now, found = deal.state, world.now, []
    if isinstance(state.loan, Called):
        left = state.loan.deadline - active_seconds(state.system, at=now)
        found.append(now + left + 1)
    reason, price = breach(state, at=now), state.system.price
    if plan.wait is not None and reason and price and isinstance(state.loan, Indebted):
        found.append(auction_start(state.loan, price, reason) + plan.wait)
    return found


def _act(world: World, deal: Deal, plan: _Plan) -> None:
    """Whoever may realise the collateral does."""
    if not any(isinstance(each, RealiseCollateral) for each in deal.due):
        return
    if plan.wait is None:
        world.liquidate(deal, by="lender" if plan.penalty else "liquidator")
        return
    state = deal.state
    reason, price = breach(state, at=world.now), state.system.price
    assert reason is not None
    assert price is not None
    assert isinstance(state.loan, Indebted)
    if world.now >= auction_start(state.loan, price, reason) + plan.wait:
        world.take(deal)


def _read(world: World, deal: Deal, plan: _Plan, *, pledged: Sats, last: Seconds) -> dict[str, Any]:
    """What became of the loan, from the events that the chains led to."""
    events = [s.event for act in world.acts for name, s in act.steps if name == deal.id]
    calls = [e for e in events if isinstance(e, MarginCalled)]
    sales = [e for e in events if isinstance(e, Liquidated)]
    cures = [e for e in events if isinstance(e, CallCured)]
    first_sale = min((e.at for e in sales), default=None)
    cured = None
    if calls:
        cured = any(first_sale is None or cure.at < first_sale for cure in cures)
    found: dict[str, Any] = {
        "margin_call_at": calls[0].at if calls else None,
        "cured": cured,
        "liquidated_at": first_sale,
        "liquidation_price": _paid(deal.terms, sales[0], plan) if sales else None,
        "sales": len(sales),
        "sats_pledged": pledged,
        "sats_sold": 0,
        "sats_to_lender": 0,
        "sats_fees": 0,
        "sats_returned": 0,
        "sats_held": deal.state.token.held,
        "owed": 0,
        "recovered": sum(e.split.repaid for e in sales),
        "bad_debt": sum(e.split.bad_debt for e in sales),
    }
    for each in sales:
        if plan.penalty:
            # The debt's worth of coins is the lender's for the debt, the rest its penalty.
            taken = min(each.split.seized, muldiv_up(each.split.repaid, 10**14, each.price))
            found["sats_to_lender"] += taken
            found["sats_fees"] += each.split.seized - taken
        else:
            found["sats_sold"] += each.split.seized
        found["sats_returned"] += each.split.surplus
    if isinstance(deal.state.loan, Indebted):
        world.advance(seconds=max(0, last - world.now))
        found["owed"] = deal.debt
    return found


def _paid(terms: Terms, sale: Liquidated, plan: _Plan) -> PriceE8:
    """What the buyer paid for 1 BTC."""
    if plan.wait is None:
        return sale.price
    return auction_price(terms, price=sale.price, elapsed=plan.wait)
