"""A reserve fund as the last buyer of an auction, its proofs, and its supervisor (S11, S24)."""

from __future__ import annotations

from typing import Final

from escrow.actors.own_coins import verify_own
from escrow.actors.verifier import verify
from escrow.config import WorldConfig
from escrow.core.errors import Rejected
from escrow.core.units import BPS, Bps
from escrow.deal import Deal
from escrow.parse import parse_cents, parse_time
from escrow.sim.fund import Limits, Origin, Purchase, ReserveFund
from escrow.sim.pilot import Pilot, Plan
from escrow.sim.pilot_parts import tell_terms
from escrow.sim.regulator import Prudential, Regulator
from escrow.sim.reserves import prove_world
from escrow.words import coins, money

FUND: Final = "fund"
"""The further party of this world."""
_MOST_STEPS: Final = 200
"""Longest that it waits: steps of an auction's price."""


def config(plan: Plan, *, seed: int) -> WorldConfig:
    """A world with the fund in it: neither its lender nor its liquidator."""
    return WorldConfig(seed=seed, start=plan.start, extra=(f"{FUND}:stranger",))


def play(pilot: Pilot) -> None:
    """Fill the fund, let a loan fail, buy within limits, prove, freeze, seize, report."""
    fund, regulator = _fund(pilot), _regulator(pilot)
    _fill(pilot, fund)
    loan = _fail(pilot, fund)
    _buy(pilot, fund, loan)
    _pay_out(pilot, fund, loan)
    _prove(pilot, fund)
    _freeze(pilot, fund, regulator, loan)
    _report(pilot, fund, regulator, loan)


def _fund(pilot: Pilot) -> ReserveFund:
    plan = pilot.plan
    limits = Limits(
        price=Bps(plan.integer("price_bps", 1, BPS)),
        lot=plan.read("lot", parse_cents),
        day=plan.read("day", parse_cents),
        share=Bps(plan.integer("share_bps", 1, BPS)),
    )
    return ReserveFund(pilot.world, limits=limits, name=FUND)


def _regulator(pilot: Pilot) -> Regulator:
    plan = pilot.plan
    rules = Prudential(
        in_force=plan.read("in_force", parse_time),
        risk_weight=Bps(plan.integer("risk_weight_bps", 1, 100 * BPS)),
        ratio=Bps(plan.integer("ratio_bps", 1, BPS)),
        limit=Bps(plan.integer("limit_bps", 1, BPS)),
        tier_1=plan.read("tier_1", parse_cents),
    )
    return Regulator(pilot.world, rules=rules)


def _fill(pilot: Pilot, fund: ReserveFund) -> None:
    plan, world = pilot.plan, pilot.world
    granted = plan.text("granted")
    fund.take_grant(granted)
    pilot.step(
        "issuer", "grant", "The treasury gives the fund cash.", cents=fund.intakes[-1].amount
    )
    fund.take_mined(btc=plan.text("mined_btc"))
    world.mine(1)
    world.price(plan.text("price"))
    has = fund.holdings
    text = f"A miner pays it {coins(has.coins)}; it is worth {money(has.nav)}."
    pilot.step("borrower", "pay", text, sats=has.coins, nav_cents=has.nav)


def _fail(pilot: Pilot, fund: ReserveFund) -> Deal:
    plan, world = pilot.plan, pilot.world
    loan = world.open(
        btc=plan.text("pledged_btc"), principal=plan.text("principal"), liquidation="auction"
    )
    tell_terms(pilot, loan)
    text = "The bank lends to the miner; if it comes to that, the pledge is auctioned."
    pilot.step("lender", "lend", text, cents=loan.debt, sats=loan.state.token.held)
    world.price(plan.text("crash"))
    pilot.step(
        "oracles", "price", "The price falls past the liquidation level.", ltv_bps=loan.ltv or 0
    )
    with pilot.refused(
        "fund/price", FUND, "buy", "The auction begins a fifth above the price: too dear for it."
    ):
        fund.buy(loan, btc=plan.text("small_btc"))
    return loan


def _buy(pilot: Pilot, fund: ReserveFund, loan: Deal) -> None:
    plan, world = pilot.plan, pilot.world
    lot, small = plan.text("lot_btc"), plan.text("small_btc")
    _wait(pilot, fund, loan, btc=small)
    with pilot.refused("fund/lot", FUND, "buy", "One lot may not be as dear as this."):
        fund.buy(loan, btc=plan.text("large_btc"))
    _tell(pilot, fund.buy(loan, btc=lot))
    with pilot.refused("fund/day", FUND, "buy", "Another would pass what it spends in a day."):
        fund.buy(loan, btc=lot)
    world.take(loan, by="lender", btc=plan.text("bank_btc"))
    text = "The bank buys a part itself: that is bitcoin of its own now."
    pilot.step("lender", "take", text, sats=world.tokens_of("lender"))
    world.advance(days=1)
    _wait(pilot, fund, loan, btc=small)
    with pilot.refused("fund/share", FUND, "buy", "Too much of it would be in bitcoin."):
        fund.buy(loan, btc=lot)
    _tell(pilot, fund.buy(loan, btc=small))
    world.take(loan, by="liquidator")
    text = "Another buyer takes what the debt still needs; the rest is the miner's again."
    pilot.step("liquidator", "take", text, left_sats=world.tokens_of("borrower"))


def _wait(pilot: Pilot, fund: ReserveFund, loan: Deal, *, btc: str) -> None:
    """Until the auction's price has fallen to what the fund pays. The operator begins it anew where
    it has grown stale."""
    for _ in range(_MOST_STEPS):
        try:
            fund.check(fund.quote(loan, btc=btc))
            break
        except Rejected as refusal:
            if refusal.code != "fund/price":
                raise
        pilot.world.advance(seconds=loan.terms.step)
    pilot.step("world", "wait", "Nobody bids. The price of the auction falls to the oracles'.")


def _tell(pilot: Pilot, bought: Purchase) -> None:
    text = f"Within its limits it buys {coins(bought.sats)} for {money(bought.paid)}."
    pilot.step(FUND, "buy", text, sats=bought.sats, paid_cents=bought.paid)


def _pay_out(pilot: Pilot, fund: ReserveFund, loan: Deal) -> None:
    world = pilot.world
    claimed = fund.holdings.tokens
    world.burn(loan, by=FUND)
    world.mine(loan.terms.confirmations)
    text = f"It burns its claims on {coins(claimed)}; the vault's quorum pays the coins out."
    pilot.step(FUND, "burn", text, claimed_sats=claimed, coins_sats=fund.holdings.coins)


def _prove(pilot: Pilot, fund: ReserveFund) -> None:
    world = pilot.world
    own = verify_own(fund.attest(), at=world.now, bitcoin_block=world.bitcoin.tip_hash)
    text = f"It signs for {coins(own)} of its own; checked from the statement alone."
    pilot.step(FUND, "attest", text, sats=own)
    verdict = verify(prove_world(world), at=world.now)
    text = "The vaults' quorum signs for what is left there: every claim is covered."
    facts = {"coins_sats": verdict.coins, "supply_sats": verdict.supply}
    pilot.step("operator", "prove", text, **facts)
    pilot.check("the fund's coins are proved to the sat", own == fund.holdings.coins)
    pilot.check("every claim that there is is covered by coins in vaults", verdict.spare >= 0)
    pilot.result["proved_sats"] = own


def _freeze(pilot: Pilot, fund: ReserveFund, regulator: Regulator, loan: Deal) -> None:
    world, taken = pilot.world, pilot.plan.text("seized_btc")
    regulator.freeze("borrower")
    pilot.step("authority", "freeze", "The supervisor orders the miner's account frozen.")
    with pilot.refused("token/frozen", "borrower", "burn", "The miner cannot be paid out now."):
        world.burn(loan, by="borrower", btc=taken)
    fund.take_seized(btc=taken, of="borrower")
    text = "A court gives a part of the miner's free claims to the fund."
    pilot.step("authority", "seize", text, sats=fund.intakes[-1].amount)


def _report(pilot: Pilot, fund: ReserveFund, regulator: Regulator, loan: Deal) -> None:
    report = regulator.report()
    exposure = report.exposure
    text = (
        f"The bank has {money(exposure.value)} in bitcoin of its own: {money(exposure.capital)} of "
        f"capital, and {'above' if exposure.above_limit else 'within'} its limit of "
        f"{money(exposure.limit)}."
    )
    pilot.step("supervisor", "report", text, value_cents=exposure.value)
    lots, has = fund.purchases, fund.holdings
    came = sum(each.amount for each in fund.intakes if each.origin is not Origin.GRANTED)
    fee = came + sum(each.sats for each in lots) - has.sats
    pilot.check(
        "no lot cost more than the limit of a lot",
        all(each.paid <= fund.limits.lot for each in lots),
    )
    pilot.check(
        "what the fund has is what came in and what it bought, less one miner's fee",
        0 < fee <= loan.terms.max_fee,
    )
    pilot.result |= {
        "debt_cents": loan.debt,
        "lots": len(lots),
        "paid_cents": sum(each.paid for each in lots),
        "nav_cents": has.nav,
        "coins_sats": has.coins,
        "claims_sats": has.tokens,
        "frozen_accounts": sum(1 for each in report.accounts if each.frozen_tokens),
        "bank_bitcoin_cents": exposure.value,
        "bank_capital_cents": exposure.capital,
        "bank_limit_cents": exposure.limit,
        "bank_above_limit": "yes" if exposure.above_limit else "no",
        "laws_broken": list(report.broken),
    }
