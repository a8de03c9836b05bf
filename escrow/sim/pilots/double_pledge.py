"""A coin that a loan holds, and a market that lends against coins: at most one claim on each."""

from __future__ import annotations

from escrow.config import WorldConfig
from escrow.parse import parse_btc, parse_cents
from escrow.sim.market import Market
from escrow.sim.pilot import Pilot, Plan
from escrow.sim.pilot_parts import tell_terms
from escrow.words import money


def config(plan: Plan, *, seed: int) -> WorldConfig:
    """A world of the plan's day."""
    return WorldConfig(seed=seed, start=plan.start)


def play(pilot: Pilot) -> None:
    """Play it."""
    plan, world = pilot.plan, pilot.world
    btc, price, more = plan.text("pledged"), plan.text("price"), plan.text("free")
    deal = world.open(btc=btc, principal=plan.text("principal"), price=price)
    tell_terms(pilot, deal)
    pilot.step("miner", "borrow", "A loan holds its tokens.", sats=parse_btc(btc))
    world.pledge(deal, btc=more, wait=False)
    world.mine(deal.terms.confirmations)
    pilot.step("miner", "mint", "One more coin is minted for and stays free.", sats=parse_btc(more))
    market = Market.open(
        world,
        lltv=plan.integer("lltv_bps", 1, 9_999),
        base=plan.integer("base_bps", 0, 10_000),
        slope=plan.integer("slope_bps", 0, 10_000),
    )
    market.supply(plan.text("pool"))
    pilot.step("bank", "supply", "A market stands beside the loan, and the bank lends to it.")

    with pilot.refused(
        "token/held", "miner", "supply-collateral", "What the loan holds, the token keeps out."
    ):
        market.supply_collateral(btc=btc)
    market.supply_collateral(btc=more)
    market.borrow(plan.text("borrowed"))
    pilot.step(
        "miner", "borrow", "Against the free coin the market lends.",
        cents=plan.read("borrowed", parse_cents),
    )  # fmt: skip
    with pilot.refused(
        "top-up/no-tokens", "miner", "top-up", "What the market has, no loan can hold."
    ):
        world.secure(deal)
    with pilot.refused("burn/no-tokens", "miner", "burn", "Nor is it paid out in bitcoin."):
        world.burn(deal, btc=more)
    with pilot.refused(
        "market/unhealthy", "miner", "withdraw-collateral", "It leaves when the debt allows."
    ):
        market.withdraw_collateral(btc=more)

    held = deal.state.token.held
    world.price(plan.text("crash"))
    sale = market.liquidate("borrower")
    pilot.step(
        "liquidator", "liquidate",
        f"The price falls: the market's position is sold for {money(sale['repaid'])}.",
        repaid=sale["repaid"], seized=sale["seized"], bad_debt=sale["bad_debt"],
    )  # fmt: skip
    pilot.check(
        "the loan beside it was not touched",
        deal.phase == "ACTIVE" and deal.state.token.held == held,
    )
    supply = world.evm.contracts.pledge.call("totalSupply")
    free = sum(world.tokens_of(name) for name in world.parties)
    pilot.check(
        "free, held and in the market is all there is", free + held + market.collateral == supply
    )
    coins = sum(each.sats for each in world.bitcoin.coins(deal.vault.script_pubkey))
    pilot.check("and no more than the coins in the vault", supply <= coins)
    pilot.result |= {
        "ending": deal.phase,
        "supply_sats": supply,
        "vault_sats": coins,
        "market_bad_debt_cents": sale["bad_debt"],
    }
