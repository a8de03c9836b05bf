"""One product of a comparison through both chains, and whether they come to the same.

The contract's terms enclose what the product permits (``on_chain_terms``), and the lender decides
within them as the product's ladder says (``on_chain_policy``). What the contract enforced and what
was only the lender's policy is told rule by rule (``on_chain_rules``). What no terms can enclose is
refused by name. The borrower answers nothing.

Amounts are those of tokens: what a payout's miner takes of the coins, within ``max_fee`` of the
terms, is no part of the comparison.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from escrow.adapters.price.files import Quote
from escrow.config import BLOCK_INTERVAL, WorldConfig
from escrow.core.errors import BadInput
from escrow.core.laws import Step
from escrow.core.realise import auction_start
from escrow.core.regions.loan import CallCured, Indebted, Liquidated, MarginCalled
from escrow.core.sales import auction_price
from escrow.core.terms import Liquidation
from escrow.core.units import Cents, PriceE8, Sats, Seconds
from escrow.deal import Deal
from escrow.products.ladder import Ladder
from escrow.products.model import Product
from escrow.products.outcome import Outcome
from escrow.products.sale import for_the_debt
from escrow.sim.on_chain_policy import Lender, Refusal
from escrow.sim.on_chain_rules import Enforced, enforced, stated
from escrow.sim.on_chain_terms import Plan, check, plan_of
from escrow.words import exact
from escrow.world import World

_FIELDS: Final = (
    "principal",
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
    """And in which they differ: none, or the contract is narrower than the product."""
    rules: tuple[Enforced, ...]
    """The product's rules, and who enforced each."""
    refusals: tuple[Refusal, ...]
    """What the contract refused although the product does it: none where its terms enclose it."""
    stated: tuple[str, ...]
    """In what the two differ beside that."""
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
    span = Seconds(quotes[-1].at - quotes[0].at)
    plan = plan_of(product, principal=principal, span=span)
    found, refusals, broken = _on_chain(
        product, plan, quotes, principal=principal, pledged=pure.sats_pledged, seed=seed
    )
    differences = tuple(
        Difference(f, getattr(pure, f), found[f]) for f in _FIELDS if getattr(pure, f) != found[f]
    )
    return BothRuns(
        outcome=pure,
        compared=_FIELDS,
        differences=differences,
        rules=enforced(product, plan),
        refusals=refusals,
        stated=stated(product),
        laws_broken=broken,
    )


def _on_chain(
    product: Product,
    plan: Plan,
    quotes: Sequence[Quote],
    *,
    principal: Cents,
    pledged: Sats,
    seed: int,
) -> tuple[dict[str, Any], tuple[Refusal, ...], int]:
    first, confirmations = quotes[0], plan.terms["confirmations"]
    lead = (confirmations + 1) * BLOCK_INTERVAL
    blocks = max(WorldConfig().miner_blocks, pledged // (50 * 10**8) + 2)
    config = WorldConfig(
        seed=seed,
        start=Seconds(first.at - lead),
        heartbeat=plan.heartbeat,
        miner_blocks=blocks,
        cash=max(WorldConfig().cash, Cents(4 * plan.drawn)),
        auction_cap=max(WorldConfig().auction_cap, plan.drawn),
    )
    with World(config=config) as world:
        terms = replace(
            world.terms(
                liquidation=plan.liquidation.name.lower().replace("_", "-"),
                term=plan.term + lead,
                **plan.terms,  # type: ignore[arg-type]
            ),
            principal=plan.drawn,
        )
        deal = world.accept(world.offer(terms))
        world.pledge(deal, btc=exact(pledged), wait=True)
        world.advance(seconds=first.at - world.now)
        world.price(exact(first.price))
        before = world.cash_of("borrower")
        world.draw(deal)
        _hand_back(world, deal, plan.up_front)
        lent = world.cash_of("borrower") - before
        # Anyone may call, cure and expire: here the lender alone does, by its policy.
        world.silence("operator")
        lender = Lender(world, deal, product=product, plan=plan, principal=principal)
        worst = lender.ltv
        for quote in quotes[1:]:
            _wait(world, deal, lender, until=quote.at)
            if not isinstance(deal.state.loan, Indebted):
                break
            world.advance(seconds=quote.at - world.now)
            world.price(exact(quote.price))
            worst = max(worst, lender.ltv)
            lender.act()
        found = _read(world, deal, plan, pledged=pledged, last=quotes[-1].at)
        found |= {"principal": lent, "worst_ltv_bps": worst}
        return found, tuple(lender.refusals), len(world.engine.broken)


def _hand_back(world: World, deal: Deal, cents: Cents) -> None:
    """Interest of the whole term, in cash, by the borrower's own transfer."""
    if not cents:
        return
    borrower, lender = world.party("borrower"), world.party("lender")
    with world.act("borrower", "pay-up-front", deal.id, cents=cents):
        cash = world.evm.contracts.cash
        cash.send(borrower.account, "transfer", lender.address_bytes, cents)


def _wait(world: World, deal: Deal, lender: Lender, *, until: Seconds) -> None:
    """What the clocks bring before the next price."""
    while isinstance(deal.state.loan, Indebted):
        moments = [m for m in lender.moments() if m < until]
        if not moments:
            return
        world.advance(seconds=min(moments) - world.now)
        lender.act()


def _read(world: World, deal: Deal, plan: Plan, *, pledged: Sats, last: Seconds) -> dict[str, Any]:
    """What became of the loan, from the events that the chains led to."""
    steps = [step for act in world.acts for name, step in act.steps if name == deal.id]
    events = [step.event for step in steps]
    calls = [n for n, e in enumerate(events) if isinstance(e, MarginCalled)]
    sales = [e for e in events if isinstance(e, Liquidated)]
    # What became of the first call is what came after it.
    ends = [e for e in events[min(calls, default=0) :] if isinstance(e, CallCured | Liquidated)]
    found: dict[str, Any] = {
        "margin_call_at": events[calls[0]].at if calls else None,
        "cured": isinstance(next(iter(ends), None), CallCured) if calls else None,
        "liquidated_at": sales[0].at if sales else None,
        "liquidation_price": next((p for p in map(_paid, steps) if p is not None), None),
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
            bonus = deal.terms.bonus_bps
            taken = for_the_debt(each.split, bonus=bonus, price=each.price)
            found["sats_to_lender"] += taken
            found["sats_fees"] += each.split.seized - taken
        else:
            found["sats_sold"] += each.split.seized
        found["sats_returned"] += each.split.surplus
    if isinstance(deal.state.loan, Indebted):
        world.advance(seconds=max(0, last - world.now))
        found["owed"] = deal.debt
    return found


def _paid(step: Step) -> PriceE8 | None:
    """What the buyer paid for 1 BTC; none if this was no sale."""
    sale, loan, last = step.event, step.before.loan, step.before.system.price
    if not isinstance(sale, Liquidated) or not isinstance(loan, Indebted) or last is None:
        return None
    if sale.kind is not Liquidation.AUCTION:
        return sale.price
    elapsed = Seconds(sale.at - auction_start(loan, last, sale.reason))
    return auction_price(loan.terms, price=last.price, elapsed=elapsed)
