"""Sberbank's pilot with Intelion Data, as far as it can be told: one beginning, both endings."""

from __future__ import annotations

import json
from typing import Final

from escrow.adapters.bitcoin.vault import address_of
from escrow.config import WorldConfig
from escrow.core.regions.loan import Liquidated
from escrow.core.units import BPS, COIN, DAY, HOUR, Bps, PriceE8, Sats, muldiv_down
from escrow.deal import Deal
from escrow.eligibility.days import Month, day_in, first_second, month_of
from escrow.eligibility.miners import MinerClass, MinerRegister, standing
from escrow.mining.catalogue import load_catalogue, load_moment
from escrow.mining.path import implied_rate, network_path
from escrow.mining.pool import Scheme, pool_terms
from escrow.mining.site import Rack, new_site
from escrow.mining.tax import Quote, Sale, as_json, day_of, lowest_price, record
from escrow.mining.units import WH_IN_KWH
from escrow.parse import parse_btc, parse_cents, parse_price, parse_time
from escrow.sim.miner import Miner, fund_pool
from escrow.sim.officers import Officers
from escrow.sim.origin import verify_origin
from escrow.sim.pilot import Pilot, Plan, terms_of
from escrow.sim.registrar import Registrar
from escrow.words import coins, exact, money, percent
from escrow.words import price as price_words
from escrow.world import World

_DENIED: Final = "eligibility/denied"
# Shown to whoever reads this, because they guard nothing.
_PINS: Final = {"officer-1": "1357", "officer-2": "2468", "safe": "9753"}
_WRONG: Final = "0000"


def config(plan: Plan, *, seed: int) -> WorldConfig:
    """The bank keeps the coins; a pool pays the miner, who starts with one reward."""
    return WorldConfig(
        seed=seed,
        start=plan.start,
        policy=plan.text("quorum"),
        extra=("pool:stranger",),
        miner_blocks=1,
    )


def play(pilot: Pilot) -> None:
    """Play it."""
    world = pilot.world
    miner, register, registrar = _mine(pilot), MinerRegister(), Registrar(world, may_pay=True)
    _enter(pilot, register, registrar)
    world.advance(seconds=max(0, pilot.plan.read("announced", parse_time) - world.now))
    with Officers(world, _PINS) as officers:
        deal = _lend(pilot, miner, officers)
        _report(pilot, miner, register, registrar)
        _call(pilot, deal)
        _repay_instead(pilot, officers)
        _sell(pilot, deal, officers)
        answers = [verdict for _, what, verdict in officers.entries() if what in ("pin", "sign")]
        tokens = "SoftHSM2 through PKCS#11" if officers.has_tokens else "none: SoftHSM2 is missing"
    pilot.result |= {
        "ending": deal.phase,
        "tokens": tokens,
        "token_refusals": sum(each.startswith("hsm/") for each in answers),
        "other_ending": pilot.branches["repaid"].loans[0].phase,
    }
    pilot.check("this way ends sold and settled", deal.phase == "SETTLED")
    pilot.check(
        "the other way ends repaid and released",
        pilot.branches["repaid"].loans[0].phase == "RELEASED",
    )


def _mine(pilot: Pilot) -> Miner:
    """Machines work for some days, and the pool pays on the chain."""
    plan, world = pilot.plan, pilot.world
    fund_pool(world)
    moment = load_moment(plan.text("moment"))
    machine = load_catalogue().machine(plan.text("model"))
    pilot.adopt(terms_of((*machine.parameters, *machine.curve.parameters, *moment.parameters)))
    site = new_site(
        "the miner's site",
        racks=(Rack(machine, plan.integer("machines", 1, 10**6)),),
        power_cap=plan.integer("power_watts", 1, 10**9),
        tariff=parse_cents(plan.integer("tariff", 0, 10**6)),
        since=world.now,
    )
    miner = Miner(
        world,
        site=site,
        path=network_path(
            at=world.now,
            height=moment.height,
            bits=moment.bits,
            fees=moment.fees,
            hash_rates=[implied_rate(moment.bits)] * 8,
        ),
        terms=pool_terms(
            "a pool",
            scheme=plan.read("pool_scheme", Scheme),
            fee_bps=Bps(plan.integer("pool_fee_bps", 0, 5_000)),
            threshold=plan.read("pool_threshold", parse_btc),
            payout_script=world.party("borrower").script,
        ),
    )
    days = plan.integer("mining_days", 1, 60)
    world.advance(days=days)
    miner.collect()
    world.mine()
    mined = _mined(miner)
    pilot.step(
        "miner", "mine", f"The pool pays {coins(mined)} for {days} days' work on the chain.",
        sats=mined, kwh=muldiv_down(miner.meter, 1, WH_IN_KWH),
    )  # fmt: skip
    pilot.check("at least as much was mined as is pledged", mined >= plan.read("coins", parse_btc))
    return miner


def _mined(miner: Miner) -> Sats:
    """What the pool paid; the reward that the miner began with is not of these days."""
    return Sats(sum(each.coin.sats for each in miner.origins() if each.coin.pool))


def _enter(pilot: Pilot, register: MinerRegister, registrar: Registrar) -> None:
    """Only who is in the registry is offered anything."""
    plan, world = pilot.plan, pilot.world
    inn = plan.text("inn")
    world.switch_profile("ru-2024")
    register.add(inn, MinerClass.LEGAL_ENTITY, since=month_of(world.now))
    registrar.tell("borrower", register.miner(inn))
    with pilot.refused(
        _DENIED, "bank", "offer", "A legal entity that mines must be in the registry: no offer."
    ):
        world.offer(world.terms(principal=plan.text("principal")))
    register.register(inn, at=world.now)
    registrar.tell("borrower", register.miner(inn))
    pilot.step(
        "registrar", "admit", "Entered in the registry, and on chain in the register of parties.",
        standing=standing(register.miner(inn), at=world.now).value,
    )  # fmt: skip


def _lend(pilot: Pilot, miner: Miner, officers: Officers) -> Deal:
    """Coins into custody, tokens minted and held, money drawn."""
    plan, world = pilot.plan, pilot.world
    deal = world.accept(
        world.offer(
            world.terms(
                principal=plan.text("principal"),
                liquidation=plan.text("liquidation"),
                rate_bps=plan.integer("rate_bps", 0, 10_000),
                cure=HOUR * plan.integer("cure_hours", 1, 720),
                draw_in=DAY * plan.integer("draw_days", 1, 365),
                term=DAY * plan.integer("term_days", 1, 3_650),
                grace=DAY * plan.integer("grace_days", 0, 365),
                recover_in=DAY * plan.integer("recover_days", 1, 3_650),
                confirmations=plan.integer("confirmations", 1, 100),
                max_fee=plan.integer("max_fee", 1, 10**7),
                bonus_bps=plan.integer("bonus_bps", 0, 5_000),
                initial_ltv=plan.integer("initial_ltv", 1, BPS),
                restore_ltv=plan.integer("restore_ltv", 1, BPS),
                call_ltv=plan.integer("call_ltv", 1, BPS),
                liquidation_ltv=plan.integer("liquidation_ltv", 1, BPS),
            )
        )
    )
    pilot.step("bank, miner", "sign", "Both sign the terms; their hash is the loan's name.")
    btc = plan.text("coins")
    words = f"take {coins(parse_btc(btc))} into custody for loan {deal.id[:10]}"
    if officers.has_tokens:
        with pilot.refused("hsm/pin", "officer-1", "approve", "A wrong PIN, and it is counted."):
            officers.approve(world, "officer-1", words, pin=_WRONG)
    for name in ("officer-1", "officer-2"):
        officers.approve(world, name, words, pin=_PINS[name])
    world.pledge(deal, btc=btc)
    officers.rest(world)
    [origin] = miner.pledged(deal)
    verify_origin(origin, world.bitcoin)
    pilot.step(
        "miner", "pledge", "Approved by two officers; in the vault, attested, minted and held.",
        sats=deal.state.token.held, self_mined="yes" if origin.self_mined else "no",
        coinbases=len(origin.coinbases),
    )  # fmt: skip
    pilot.check("every pledged coin is traced to rewards of its miner or pool", origin.self_mined)
    world.price(plan.text("price"))
    world.draw(deal)
    assert deal.ltv is not None
    pilot.step(
        "miner", "draw", f"{money(deal.debt)} roubles in tokens at {percent(deal.ltv)}.",
        cents=deal.debt, ltv_bps=deal.ltv,
    )  # fmt: skip
    return deal


def _report(pilot: Pilot, miner: Miner, register: MinerRegister, registrar: Registrar) -> None:
    """The month is over: meter and coins to the tax service, in time."""
    plan, world = pilot.plan, pilot.world
    inn = plan.text("inn")
    december = month_of(world.now)
    world.advance(days=8)
    mined = _mined(miner)
    # Read by the site's meter at midnight, not now: it has counted on.
    midnight = first_second(day_in(Month(december + 1), 1))
    read = register.read_meter(inn, december, miner.site.meter(at=midnight) // WH_IN_KWH)
    address = address_of(world.party("borrower").script)
    report = register.report(inn, december, at=world.now, sats=mined, addresses=(address,))
    registrar.tell("borrower", register.miner(inn))
    received = [each for each in miner.receipts() if each.at >= plan.start]
    quote = plan.read("price", parse_price)
    days = {day_of(at) for at in (world.now, *(each.at for each in received))}
    quotes = [Quote(day, quote) for day in sorted(days)]
    taxed = record(received, quotes=quotes)
    pilot.result["tax_record"] = json.loads(as_json(taxed))
    pilot.step(
        "miner", "record", f"Income at the quotes of the days of receipt: {money(taxed.income)}.",
        kopecks=taxed.income, sats=taxed.mined,
    )  # fmt: skip
    lowest = lowest_price(quote)
    prices = {"at 20 % below": lowest, "below that": PriceE8(lowest - 1)}
    sales = [Sale(world.now, Sats(COIN), price, where) for where, price in prices.items()]
    asked = record((), sales, quotes=quotes)
    pilot.step(
        "miner", "ask", "Sold at 20 % below the quote a coin would count as it is; lower, flagged.",
        lowest_e8=lowest, flagged=len(asked.flagged),
    )  # fmt: skip
    pilot.check(
        "only a sale more than 20 % below the quote is flagged",
        [each.reference for each in asked.flagged] == ["below that"],
    )
    pilot.step(
        "miner", "report", "The month's meter and coins are reported before the 20th.",
        sats=mined, kwh=read.readings[-1].used_kwh, late="yes" if report.late else "no",
    )  # fmt: skip


def _call(pilot: Pilot, deal: Deal) -> None:
    """The price falls to the call level, and the miner answers in time."""
    plan, world = pilot.plan, pilot.world
    _fall(pilot, "fall_bps")
    pilot.check("the fall is a margin call", deal.phase == "MARGIN_CALL")
    with pilot.refused(
        "liquidate/healthy", "bank", "take-over", "Within the time to cure nothing is sold."
    ):
        world.liquidate(deal)
    world.advance(hours=12)
    world.top_up(deal, btc=plan.text("top_up"))
    assert deal.ltv is not None
    pilot.step(
        "miner", "top-up", f"Half a day later: {percent(deal.ltv)}, and the call is cured.",
        sats=plan.read("top_up", parse_btc), ltv_bps=deal.ltv,
    )  # fmt: skip
    pilot.check("the call is cured", deal.phase == "ACTIVE")


def _repay_instead(pilot: Pilot, officers: Officers) -> None:
    """The other ending, in a world of its own."""
    world = pilot.branches["repaid"] = pilot.world.fork()
    deal = world.loans[0]
    world.advance(days=30)
    owed = deal.debt
    world.repay(deal)
    _approve(world, officers, deal)
    world.release(deal)
    officers.rest(world)
    pilot.step(
        "miner", "repay", f"In another ending {money(owed)} is repaid and the coins come back.",
        cents=owed,
    )  # fmt: skip


def _sell(pilot: Pilot, deal: Deal, officers: Officers) -> None:
    """The price falls to the level of liquidation; the bank takes what covers the debt."""
    world = pilot.world
    _fall(pilot, "crash_bps")
    held = deal.state.token.held
    world.liquidate(deal)
    events = [step.event for _, step in world.acts[-1].steps]
    [sale] = [event for event in events if isinstance(event, Liquidated)]
    split = sale.split
    pilot.result["waterfall"] = {
        "debt_cents": sale.debt,
        "repaid_cents": split.repaid,
        "bad_debt_cents": split.bad_debt,
        "bank_sats": split.seized,
        "miner_sats": split.surplus,
    }
    pilot.check(
        "the waterfall divides all coins and all debt",
        split.seized + split.surplus == held and split.repaid + split.bad_debt == sale.debt,
    )
    pilot.step("bank", "take-over", f"The level is reached; debt {money(sale.debt)}.")
    _approve(world, officers, deal)
    world.burn(deal, by="lender")
    if world.tokens_of("borrower"):
        world.burn(deal, by="borrower")
    world.mine(2 * deal.terms.confirmations)
    officers.rest(world)
    pilot.step("bank", "settle", "Two officers approve; each is paid the coins that it burned for.")


def _approve(world: World, officers: Officers, deal: Deal) -> None:
    for name in ("officer-1", "safe"):
        officers.approve(world, name, f"pay what loan {deal.id[:10]} entitles", pin=_PINS[name])


def _fall(pilot: Pilot, by: str) -> None:
    plan, world = pilot.plan, pilot.world
    first = plan.read("price", parse_price)
    cut = plan.integer(by, 1, BPS - 1)
    now = PriceE8(muldiv_down(first, BPS - cut, BPS))
    world.price(exact(now))
    ltv = world.loans[0].ltv
    assert ltv is not None
    pilot.step(
        "oracles", "price", f"1 BTC costs {price_words(now)}, {percent(cut)} less: {percent(ltv)}.",
        price_e8=now, ltv_bps=ltv,
    )  # fmt: skip
