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
from escrow.core.terms import Terms
from escrow.core.units import Bps, Cents, PriceE8, Sats, Seconds, muldiv_up
from escrow.deal import Deal
from escrow.products.ladder import Ladder
from escrow.products.model import (
    Product,
)
from escrow.products.outcome import Outcome
from escrow.sim.on_chain_terms import Plan, check, plan_of
from escrow.words import exact
from escrow.world import World

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
    check(product, quotes)
    ladder = Ladder(product, principal=principal, at=quotes[0].at, price=quotes[0].price)
    ladder.follow([q.at for q in quotes[1:]], [q.price for q in quotes[1:]])
    pure = ladder.outcome()
    plan, stated = plan_of(product, principal=principal)
    found, broken = _on_chain(
        plan, quotes, principal=principal, pledged=pure.sats_pledged, seed=seed
    )
    fields = tuple(f for f in _FIELDS if product.calls or f not in _CALL_FIELDS)
    differences = tuple(
        Difference(f, getattr(pure, f), found[f]) for f in fields if getattr(pure, f) != found[f]
    )
    return BothRuns(pure, fields, differences, stated, broken)


def _on_chain(
    plan: Plan, quotes: Sequence[Quote], *, principal: Cents, pledged: Sats, seed: int
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


def _wait(world: World, deal: Deal, plan: Plan, *, until: Seconds) -> None:
    """What falls due before the next price: the end of a call, and of an auction's fall."""
    while isinstance(deal.state.loan, Indebted):
        moments = [m for m in _moments(world, deal, plan) if world.now < m < until]
        if not moments:
            return
        world.advance(seconds=min(moments) - world.now)
        _act(world, deal, plan)


def _moments(world: World, deal: Deal, plan: Plan) -> list[int]:
    state, now, found = deal.state, world.now, []
    if isinstance(state.loan, Called):
        left = state.loan.deadline - active_seconds(state.system, at=now)
        found.append(now + left + 1)
    reason, price = breach(state, at=now), state.system.price
    if plan.wait is not None and reason and price and isinstance(state.loan, Indebted):
        found.append(auction_start(state.loan, price, reason) + plan.wait)
    return found


def _act(world: World, deal: Deal, plan: Plan) -> None:
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


def _read(world: World, deal: Deal, plan: Plan, *, pledged: Sats, last: Seconds) -> dict[str, Any]:
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


def _paid(terms: Terms, sale: Liquidated, plan: Plan) -> PriceE8:
    """What the buyer paid for 1 BTC."""
    if plan.wait is None:
        return sale.price
    return auction_price(terms, price=sale.price, elapsed=plan.wait)
