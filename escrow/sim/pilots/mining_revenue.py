"""Shares in mining revenue, pledged beside a share of a plant: who is paid what, and when."""

from __future__ import annotations

from escrow.adapters.bitcoin.vault import address_of
from escrow.collateral.items import Energy, Item, Revenue, asset_id
from escrow.collateral.market import Network, Paths
from escrow.collateral.read import load_types
from escrow.config import WorldConfig
from escrow.core.units import BPS, DAY, HOUR, Bps, Cents, Sats, Seconds, muldiv_up
from escrow.parse import parse_cents, parse_price
from escrow.sim.assets import Desk, DeskTerms
from escrow.sim.pilot import Pilot, Plan
from escrow.sim.pilot_parts import tell_types
from escrow.sim.programme import Programme
from escrow.words import coins, exact, money, percent

_TYPES = ("mining-revenue", "energy-asset")
"""Types of collateral that it is about."""
_MONTH = 30
"""Days between two payouts."""
_INVESTOR = "liquidator"
"""The party of the world that holds units, and buys the rewards."""
_HOST = "operator"
"""And the one that is paid for power."""


def config(plan: Plan, *, seed: int) -> WorldConfig:
    """The world in which it is played."""
    heartbeat = Seconds(plan.integer("heartbeat_days", 1, 30) * DAY)
    return WorldConfig(seed=seed, start=plan.start, heartbeat=heartbeat, extra=("pool:borrower",))


def play(pilot: Pilot) -> None:
    """Play it."""
    pilot.world.price(pilot.plan.text("price"))
    tell_types(pilot, _TYPES)
    desk = _desk(pilot)
    programme = _issue(pilot, desk)
    plant = _build(pilot, desk)
    lent = _lend(pilot, desk)
    _serve(pilot, programme, lent)
    _ending(pilot, desk, programme, plant, lent)


def _desk(pilot: Pilot) -> Desk:
    plan, start = pilot.plan, pilot.world.now
    network = Network(plan.read("difficulty", int), Sats(plan.integer("reward_sats", 1, 10**10)))
    market = Paths(
        prices=((Seconds(0), plan.read("price", parse_price)),),
        network=((Seconds(0), network),),
    )
    terms = DeskTerms(
        rate_bps=Bps(plan.integer("rate_bps", 0, BPS)),
        cure=Seconds(plan.integer("cure_hours", 1, 720) * HOUR),
        until=Seconds(start + 365 * DAY),
    )
    return Desk(pilot.world, terms, types=load_types(), market=market, label="Revenue")


def _issue(pilot: Pilot, desk: Desk) -> Programme:
    plan, world = pilot.plan, pilot.world
    units, sold = plan.integer("units", 1, 10**9), plan.integer("sold_units", 1, 10**9)
    thing = Revenue(
        units=plan.integer("pledged_units", 1, 10**9),
        of=units,
        gh_s=plan.integer("hash_rate_gh_s", 1, 10**12),
        until=Seconds(world.now + plan.integer("programme_days", 1, 10_000) * DAY),
        power_day=plan.read("power_day", parse_cents),
        cash=Cents(0),
        ahead=Cents(0),
    )
    item = Item(asset_id("mining-revenue", "programme 1"), "mining-revenue", "programme 1", thing)
    desk.enter(item, units=units)
    asset, miner = bytes.fromhex(item.id), world.party("borrower").account
    with world.act("borrower", "sell", units=sold):
        to = world.party(_INVESTOR).address_bytes
        desk.register.send(miner, "transfer", asset, to, sold)
    pilot.step(
        "registrar",
        "issue",
        f"{units} units of a mining programme are entered; the miner sells {sold} to an investor "
        "who is admitted to the register.",
        units=units,
        sold=sold,
    )
    with pilot.refused(
        "token/cannot-receive", "borrower", "sell", "And one to somebody who is not admitted."
    ):
        stranger = world.party("stranger").address_bytes
        desk.register.send(miner, "transfer", asset, stranger, 1)
    desk.pledge(item)
    free = units - sold - thing.units
    with pilot.refused("token/held", "borrower", "sell", "And one more than it has not pledged."):
        to = world.party(_INVESTOR).address_bytes
        desk.register.send(miner, "transfer", asset, to, free + 1)
    return Programme(desk, item, holders=("borrower", _INVESTOR), host=_HOST)


def _build(pilot: Pilot, desk: Desk) -> Item:
    plan, world = pilot.plan, pilot.world
    capex = (
        (world.now, plan.read("capex_first", parse_cents)),
        (
            Seconds(world.now + plan.integer("capex_days", 1, 3_650) * DAY),
            plan.read("capex_second", parse_cents),
        ),
    )
    thing = Energy(
        watts=plan.integer("share_watts", 1, 10**12),
        of_watts=plan.integer("plant_watts", 1, 10**12),
        capex=capex,
    )
    plant = Item(asset_id("energy-asset", "plant 1"), "energy-asset", "plant 1", thing)
    desk.enter(plant)
    desk.pledge(plant)
    worth = {line.item.type: line.worth for line in desk.value.lines}
    pilot.step(
        "borrower",
        "hold",
        f"{thing.watts:,} W of a plant of {thing.of_watts:,} W are pledged beside the units: "
        f"{money(worth['energy-asset'])} of what was built so far. The units are worth "
        f"{money(worth['mining-revenue'])} at net asset value. After the limits "
        f"{money(desk.value.counted)} of all count.",
        plant=worth["energy-asset"],
        units=worth["mining-revenue"],
        counted=desk.value.counted,
    )
    return plant


def _lend(pilot: Pilot, desk: Desk) -> Cents:
    lending = desk.value.lending
    with pilot.refused("collateral/short", "lender", "lend", "A cent more than may be lent."):
        desk.draw(Cents(lending + 1))
    desk.draw(lending)
    pilot.step("lender", "lend", f"{money(lending)} are lent.", cents=lending)
    return lending


def _serve(pilot: Pilot, programme: Programme, lent: Cents) -> None:
    plan, world, desk = pilot.plan, pilot.world, programme.desk
    months = plan.integer("instalments", 1, 24)
    low = plan.integer("low_month", 1, 24)
    arrears = False
    for month in range(1, months + 3):
        if not desk.owed:
            break
        since = world.now
        world.advance(days=_MONTH)
        world.price(plan.text("low_price" if month == low else "price"))
        # Level instalments of principal, what was missed before included, and interest up to now.
        kept = lent - min(lent, muldiv_up(lent, month, months))
        programme.bill(days=_MONTH, service=Cents(max(0, desk.owed - kept)))
        share = programme.share
        sats = desk.market.earned(share.gh_s, since=since, until=world.now, seen=world.now)
        world.pay("pool", btc=exact(sats), to=address_of(world.party(_INVESTOR).script))
        world.mine()
        paid, parts = programme.pay_out(sats, buyer=_INVESTOR)
        arrears |= paid.left.power + paid.left.service > 0
        value = desk.value
        pilot.step(
            _INVESTOR,
            "pay-out",
            f"Month {month}: {coins(sats)} of rewards are sold: {money(paid.power)} for power, "
            f"{money(paid.lender)} to the lender, {money(paid.holders)} to the holders. Still due "
            f"{money(paid.left.power + paid.left.service)}; owed {money(desk.owed)} against "
            f"{money(value.counted)}, {percent(value.ltv(desk.owed))}.",
            month=month,
            rewards_sats=sats,
            power=paid.power,
            lender=paid.lender,
            holders=paid.holders,
            due=paid.left.power + paid.left.service,
            owed=desk.owed,
        )
        whole = sum(parts) == paid.holders
        pilot.check(f"month {month}: holders got exactly what was left for them", whole)
        first = not (paid.holders and (paid.left.power or paid.left.service))
        pilot.check(f"month {month}: nobody is paid before power and the lender", first)
    pilot.check("in one month the rewards did not cover what was due", arrears)


def _ending(pilot: Pilot, desk: Desk, programme: Programme, plant: Item, lent: Cents) -> None:
    left = desk.owed
    if left:
        desk.repay(left)
    for item in desk.items:
        desk.give_back(item)
    pilot.step("borrower", "release", "Nothing is owed; units and plant are free.", paid=left)
    free = desk.held(programme.item) == desk.held(plant) == 0
    pilot.check("nothing is owed and nothing is held", not desk.owed and free)
    pilot.check("what was lent came back", desk.debt.paid_principal == lent)
    pilot.result |= {
        "lent_cents": lent,
        "interest_cents": desk.debt.paid_interest,
        "miner_units": programme.units()[0],
        "investor_units": programme.units()[1],
    }
