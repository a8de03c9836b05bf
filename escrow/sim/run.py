"""Runs a scenario: the world goes along the prices, and each actor does what it is like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from escrow.adapters.price.builtin import builtin_prices
from escrow.adapters.price.files import Quote, read_prices, sample
from escrow.config import BLOCK_INTERVAL, WorldConfig
from escrow.core.due import RealiseCollateral
from escrow.core.phases import takes_collateral
from escrow.core.regions.loan import Called, Ended, Indebted
from escrow.core.regions.token import free
from escrow.core.roles import Role
from escrow.core.rules import value_down
from escrow.core.terms import Liquidation
from escrow.core.units import BPS, Cents, Seconds, muldiv_down
from escrow.deal import Deal
from escrow.sim.plan import Borrower, Liquidator, Scenario, Source
from escrow.words import exact
from escrow.world import World


def quotes_of(scenario: Scenario) -> tuple[Quote, ...]:
    """The prices that a scenario runs along. Raises ``prices/…``."""
    plan = scenario.prices
    if plan.source is Source.BUILTIN:
        found = builtin_prices(start=plan.start, end=plan.end)
    else:
        assert plan.file is not None
        found = read_prices(plan.file, start=plan.start, end=plan.end)
    return sample(found, start=plan.start, end=plan.end, every=plan.every)


def run(scenario: Scenario, *, seed: int | None = None) -> World:
    """A world in which the scenario ran to its end. The caller closes it.

    The vault is funded and the tokens pledged just before the first price, so that the loan is
    drawn at it. Raises ``prices/…`` and what the rules refuse.
    """
    quotes = quotes_of(scenario)
    lead = (scenario.loan.confirmations + 1) * BLOCK_INTERVAL
    config = WorldConfig(
        seed=scenario.seed if seed is None else seed,
        start=Seconds(quotes[0].at - lead),
        miner_blocks=_blocks_for(scenario),
    )
    world = World(config=config)
    try:
        deal = _open(world, scenario, quotes[0], lead=Seconds(lead))
        for quote in quotes[1:]:
            world.advance(seconds=quote.at - world.now)
            world.price(exact(quote.price))
            _act(world, deal, scenario)
            if isinstance(deal.state.loan, Ended):
                break
        _finish(world, deal, scenario)
    except BaseException:
        world.close()
        raise
    return world


def _blocks_for(scenario: Scenario) -> int:
    """Block rewards (50 BTC) that the borrower must have mined to pledge what it pledges."""
    wanted = scenario.collateral.pledged + (scenario.collateral.top_up or 0)
    return max(WorldConfig().miner_blocks, wanted // (50 * 10**8) + 2)


def _open(world: World, scenario: Scenario, first: Quote, *, lead: Seconds) -> Deal:
    plan = scenario.loan
    pledged = scenario.collateral.pledged
    principal = plan.principal
    if principal is None:
        worth = value_down(pledged, price=first.price)
        principal = Cents(muldiv_down(worth, plan.draw_ltv or plan.initial_ltv, BPS))
    terms = replace(
        world.terms(
            rate_bps=plan.rate_bps,
            initial_ltv=plan.initial_ltv,
            restore_ltv=plan.restore_ltv,
            call_ltv=plan.call_ltv,
            liquidation_ltv=plan.liquidation_ltv,
            cure=plan.cure,
            term=plan.term + lead,
            grace=plan.grace,
            recover_in=plan.recover,
            confirmations=plan.confirmations,
            bonus_bps=plan.bonus_bps,
            max_fee=plan.max_fee,
        ),
        principal=principal,
        liquidation=plan.liquidation,
    )
    deal = world.accept(world.offer(terms))
    world.pledge(deal, btc=exact(pledged), wait=True)
    world.advance(seconds=first.at - world.now)
    world.price(exact(first.price))
    return world.draw(deal)


def _act(world: World, deal: Deal, scenario: Scenario) -> None:
    """What the actors do at one instant, in the order that the rules give such acts: payments
    and top-ups, then liquidation, then burns."""
    _borrower(world, deal, scenario)
    due = next((e for e in deal.due if isinstance(e, RealiseCollateral)), None)
    if due is not None and due.kind is Liquidation.TAKE_OVER:
        world.liquidate(deal, by=Role.LENDER.value)
    elif due is not None and scenario.actors.liquidator is Liquidator.DILIGENT:
        world.liquidate(deal, by=Role.LIQUIDATOR.value)
    _claim(world, deal)


def _borrower(world: World, deal: Deal, scenario: Scenario) -> None:
    state = deal.state
    called = isinstance(state.loan, Called)
    if scenario.actors.borrower is Borrower.REPAYS and called:
        world.repay(deal)
    if scenario.actors.borrower is not Borrower.TOPS_UP or not takes_collateral(state.loan):
        return
    if free(state.token):
        world.secure(deal)
    # Once: the coins of the first answer are on their way or pledged already.
    elif called and len(state.vault.coins) == 1 and scenario.collateral.top_up is not None:
        world.pledge(deal, btc=exact(scenario.collateral.top_up), wait=False)


def _claim(world: World, deal: Deal) -> None:
    """Holders of free tokens of a loan that is over burn them."""
    if isinstance(deal.state.loan, Indebted) or takes_collateral(deal.state.loan):
        return
    for name in _holders(world):
        if free(deal.state.token) and world.tokens_of(name):
            world.burn(deal, by=name)


def _holders(world: World) -> Sequence[str]:
    return [name for name in ("lender", "liquidator", "borrower") if name in world.parties]


def _finish(world: World, deal: Deal, scenario: Scenario) -> None:
    """After the last price: a borrower who repays does so, and payouts under way are buried."""
    if scenario.actors.borrower is Borrower.REPAYS and isinstance(deal.state.loan, Indebted):
        world.repay(deal)
    _claim(world, deal)
    for _ in range(2):
        if not isinstance(deal.state.loan, Ended) and deal.state.token.burns:
            world.mine(deal.terms.confirmations)
