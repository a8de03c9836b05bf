"""A loan against mining machines: registered, swept, in default, auctioned."""

from __future__ import annotations

from dataclasses import dataclass

from escrow.adapters.bitcoin.vault import address_of
from escrow.collateral.items import Item, Machine, asset_id
from escrow.collateral.margin import Move
from escrow.collateral.market import Network, Paths
from escrow.collateral.read import load_types
from escrow.collateral.revenue import sweep
from escrow.config import WorldConfig
from escrow.core.units import BPS, CENTS_SCALE, DAY, HOUR, Bps, Cents, Sats, Seconds, muldiv_up
from escrow.parse import parse_cents, parse_price
from escrow.sim.assets import Desk, DeskTerms
from escrow.sim.pilot import Pilot, Plan
from escrow.sim.pilot_parts import tell_types
from escrow.words import coins, exact, money, percent

_TYPES = ("machine",)
"""Types of collateral that it is about."""
_MONTH = 30
"""Days between two payouts."""
_SITE = "hall-1"


@dataclass(slots=True)
class _Flows:
    """What came at the pool address, and where it went; sats."""

    received: int = 0
    lender: int = 0
    borrower: int = 0
    kept: int = 0


def config(plan: Plan, *, seed: int) -> WorldConfig:
    """The world in which it is played."""
    heartbeat = Seconds(plan.integer("heartbeat_days", 1, 30) * DAY)
    return WorldConfig(seed=seed, start=plan.start, heartbeat=heartbeat, extra=("pool:borrower",))


def play(pilot: Pilot) -> None:
    """Play it."""
    plan, world = pilot.plan, pilot.world
    world.price(plan.text("price"))
    tell_types(pilot, _TYPES)
    desk = _desk(pilot)
    machines = _register(pilot, desk)
    drawn = _lend(pilot, desk, machines)
    flows = _sweep_months(pilot, desk)
    _crash(pilot, desk)
    _auction(pilot, desk)
    _ending(pilot, desk, drawn, flows)


def _desk(pilot: Pilot) -> Desk:
    plan, start = pilot.plan, pilot.world.now
    crash = start + plan.integer("crash_month", 1, 24) * _MONTH * DAY
    types = load_types()
    kind = types["machine"]
    reward = Sats(plan.integer("reward_sats", 1, 10**10))
    difficulty = plan.read("difficulty", int)
    market = Paths(
        prices=((Seconds(0), plan.read("price", parse_price)),),
        network=((Seconds(0), Network(difficulty, reward)),),
        second_hand=(
            (Seconds(0), Bps(BPS)),
            (Seconds(crash), Bps(plan.integer("crash_bps", 0, BPS))),
            (Seconds(crash + kind.lag), Bps(plan.integer("auction_bps", 0, BPS))),
        ),
    )
    term = plan.integer("term_days", 1, 730) + plan.integer("grace_days", 0, 365)
    terms = DeskTerms(
        rate_bps=Bps(plan.integer("rate_bps", 0, BPS)),
        cure=Seconds(plan.integer("cure_hours", 1, 720) * HOUR),
        until=Seconds(start + term * DAY),
    )
    return Desk(pilot.world, terms, types=types, market=market, label="Machines")


def _machine(pilot: Pilot, number: int) -> Item:
    plan, serial = pilot.plan, f"M{number:04d}"
    thing = Machine(
        serial=serial,
        model="assumed",
        gh_s=plan.integer("hash_rate_gh_s", 1, 10**9),
        price=plan.read("machine_price", parse_cents),
        made=pilot.plan.start,
        host=_SITE,
    )
    return Item(asset_id("machine", serial), "machine", _SITE, thing)


def _register(pilot: Pilot, desk: Desk) -> list[Item]:
    machines = [_machine(pilot, n + 1) for n in range(pilot.plan.integer("machines", 1, 100))]
    for item in machines:
        desk.enter(item)
    pilot.step(
        "registrar",
        "issue",
        f"{len(machines)} machines are entered in the register, each under the hash of its serial "
        "number: one unit, for ever.",
        machines=len(machines),
    )
    with pilot.refused("asset/exists", "registrar", "issue", "One of them once more."):
        desk.enter(machines[0])
    for item in machines:
        desk.pledge(item)
    pilot.step(
        "borrower",
        "hold",
        "The miner has all of them held for the loan. They stay in its balance and at its site.",
        held=sum(desk.held(item) for item in machines),
    )
    asset, party = bytes.fromhex(machines[0].id), pilot.world.party
    lien = party("liquidator").address_bytes, 0, desk.terms.until
    with pilot.refused(
        "asset/encumbered", "borrower", "hold", "It pledges one of them to somebody else as well."
    ):
        desk.register.send(party("borrower").account, "hold", asset, b"\1" * 32, 1, *lien)
    return machines


def _lend(pilot: Pilot, desk: Desk, machines: list[Item]) -> Cents:
    value = desk.value
    with pilot.refused(
        "collateral/short", "lender", "lend", "A cent more than the haircut leaves."
    ):
        desk.draw(Cents(value.lending + 1))
    desk.draw(value.lending)
    pilot.step(
        "lender",
        "lend",
        f"The pool is worth {money(value.counted)}; the lender lends {money(value.lending)} "
        f"against it, {percent(value.ltv(value.lending))}.",
        worth=value.counted,
        cents=value.lending,
        ltv_bps=value.ltv(value.lending),
    )
    ltv = value.ltv(value.lending)
    pilot.check(
        "the loan is within 20 to 40 % of what the machines are worth", 2_000 <= ltv <= 4_000
    )
    pilot.check("every machine is held once", all(desk.held(each) == 1 for each in machines))
    return value.lending


def _sweep_months(pilot: Pilot, desk: Desk) -> _Flows:
    """Every month the pool pays to an address of the notary's, which forwards it."""
    plan, world, flows = pilot.plan, pilot.world, _Flows()
    rate = sum(each.thing.gh_s for each in desk.items if isinstance(each.thing, Machine))
    share = Bps(plan.integer("sweep_bps", 0, BPS))
    fee = plan.integer("forwarding_sats", 0, 100_000)
    for month in range(1, plan.integer("paying_months", 1, 24) + 1):
        since = world.now
        world.advance(days=_MONTH)
        got = desk.market.earned(rate, since=since, until=world.now, seen=world.now)
        _send(pilot, "pool", got, to="custodian")
        price = desk.market.price(world.now)
        most = Sats(muldiv_up(desk.owed, CENTS_SCALE, price))
        parts = sweep(Sats(got - fee), share_bps=share, most=most)
        _send(pilot, "custodian", parts.lender, to="lender")
        paid = desk.credit(parts.lender)
        _send(pilot, "custodian", Sats(parts.borrower - fee), to="borrower")
        flows.received += got
        flows.lender += parts.lender
        flows.borrower += parts.borrower - fee
        flows.kept += 2 * fee
        value, move = desk.value, desk.look()
        pilot.step(
            "custodian",
            "sweep",
            f"Month {month}: {coins(got)} arrive at the pool address, {coins(parts.lender)} go to "
            f"the lender and pay {money(paid)}. Owed {money(desk.owed)}, the machines are worth "
            f"{money(value.counted)}: {percent(value.ltv(desk.owed))}.",
            month=month,
            received_sats=got,
            swept_sats=parts.lender,
            owed=desk.owed,
            worth=value.counted,
            move=move.value,
        )
    return flows


def _crash(pilot: Pilot, desk: Desk) -> None:
    plan, world = pilot.plan, pilot.world
    crash = plan.start + plan.integer("crash_month", 1, 24) * _MONTH * DAY
    world.advance(seconds=max(0, crash - world.now))
    move = desk.look()
    value = desk.value
    pilot.step(
        "lender",
        move.value,
        "Nothing arrives any more, and second-hand machines fetch "
        f"{percent(desk.market.resale(world.now))} of what their age says: they are worth "
        f"{money(value.counted)} against {money(desk.owed)}, {percent(value.ltv(desk.owed))}.",
        worth=value.counted,
        owed=desk.owed,
        ltv_bps=value.ltv(desk.owed),
    )
    pilot.check("the fall of second-hand prices leads to a call", move is Move.CALL)
    asset, party = bytes.fromhex(desk.items[0].id), world.party
    people = party("borrower").address_bytes, party("lender").address_bytes
    with pilot.refused(
        "asset/not-declared", "lender", "execute", "It takes a machine before a default."
    ):
        desk.register.send(party("lender").account, "execute", asset, *people, 1)
    world.advance(seconds=desk.terms.cure + 1)
    move = desk.look()
    pilot.step(
        "custodian",
        "declare",
        "The miner does not answer in its time. The notary declares the default, and the lag of "
        "the auction begins.",
        move=move.value,
        owed=desk.owed,
    )
    pilot.check("a call that nobody answers expires", move is Move.EXPIRE)
    with pilot.refused(
        "asset/too-early", "lender", "execute", "It takes a machine before the lag is over."
    ):
        desk.register.send(party("lender").account, "execute", asset, *people, 1)


def _auction(pilot: Pilot, desk: Desk) -> None:
    while desk.sell() is not None:
        pass
    sales = desk.sales
    parts = [sale.split for sale in sales]
    got = sum(sale.proceeds for sale in sales)
    costs, lender = sum(each.costs for each in parts), sum(each.lender for each in parts)
    surplus = sum(each.surplus for each in parts)
    pilot.step(
        "liquidator",
        "buy",
        f"The lag is over. {len(sales)} machines are sold one by one and fetch {money(got)}: "
        f"{money(costs)} costs, {money(lender)} to the lender, {money(surplus)} back to the miner. "
        f"Still owed, and lost: {money(desk.owed)}.",
        sold=len(sales),
        proceeds=got,
        costs=costs,
        lender=lender,
        surplus=surplus,
        shortfall=desk.owed,
    )


def _ending(pilot: Pilot, desk: Desk, drawn: Cents, flows: _Flows) -> None:
    sales = [sale.split for sale in desk.sales]
    proceeds = sum(sale.proceeds for sale in desk.sales)
    parts = (
        sum(each.costs for each in sales),
        sum(each.interest for each in sales),
        sum(each.principal for each in sales),
        sum(each.surplus for each in sales),
    )
    pilot.check("the waterfall paid out what the auction brought", sum(parts) == proceeds)
    swept = pilot.world.sats_of("lender")
    pilot.check("the lender has on Bitcoin what was swept", swept == flows.lender)
    pilot.check(
        "what arrived at the pool address was forwarded, or kept for fees",
        flows.received == flows.lender + flows.borrower + flows.kept,
    )
    paid = desk.debt.paid_principal + desk.debt.principal
    pilot.check("principal repaid and principal lost are what was lent", paid == drawn)
    pilot.result |= {
        "lent_cents": drawn,
        "swept_sats": flows.lender,
        "machines_sold": len(desk.sales),
        "proceeds_cents": proceeds,
        "costs_cents": parts[0],
        "to_lender_cents": parts[1] + parts[2],
        "surplus_cents": parts[3],
        "shortfall_cents": desk.owed,
    }


def _send(pilot: Pilot, payer: str, sats: Sats, *, to: str) -> None:
    """A payment on Bitcoin, and the block that has it."""
    world = pilot.world
    world.pay(payer, btc=exact(sats), to=address_of(world.party(to).script))
    world.mine()
