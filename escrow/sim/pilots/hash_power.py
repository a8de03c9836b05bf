"""Contracts over hash power as collateral: they run off, the network outgrows them, coins replace
them."""

from __future__ import annotations

from dataclasses import dataclass

from escrow.adapters.bitcoin.vault import address_of
from escrow.collateral.items import HashContract, Item, asset_id
from escrow.collateral.margin import Move
from escrow.collateral.market import Paths
from escrow.collateral.read import load_types
from escrow.collateral.value import delivered
from escrow.config import WorldConfig
from escrow.core.units import BPS, DAY, HOUR, Bps, Cents, Sats, Seconds, muldiv_down
from escrow.mining.network import MAX_HEIGHT, bits_of_difficulty
from escrow.mining.path import NetworkPath, implied_rate, network_path
from escrow.mining.units import Ghs
from escrow.parse import parse_btc, parse_cents, parse_price
from escrow.sim.assets import Desk, DeskTerms
from escrow.sim.pilot import Pilot, Plan
from escrow.sim.pilot_parts import tell_types
from escrow.sim.world_market import network_steps
from escrow.words import coins, exact, money, percent

_TYPES = ("btc", "hash-rate")
"""Types of collateral that it is about."""
_MONTH = 30
"""Days between two deliveries."""
_PERIOD_DAYS = 12
"""Days that a period takes at least, however fast the network grows here: so a path is long
enough."""
_FIRST, _SECOND = "first counter-party", "second counter-party"
_PAYER = "counter-parties"
"""The party of the world that delivers for both: a miner with a reward of its own."""


@dataclass(frozen=True, slots=True)
class _Pool:
    """What is pledged."""

    first: Item
    second: Item
    coins: Item


def config(plan: Plan, *, seed: int) -> WorldConfig:
    """The world in which it is played."""
    heartbeat = Seconds(plan.integer("heartbeat_days", 1, 30) * DAY)
    cash = Cents(plan.read("principal", parse_cents))
    return WorldConfig(
        seed=seed,
        start=plan.start,
        heartbeat=heartbeat,
        borrower_cash=cash,
        extra=(f"{_PAYER}:borrower",),
    )


def play(pilot: Pilot) -> None:
    """Play it."""
    pilot.world.price(pilot.plan.text("price"))
    tell_types(pilot, _TYPES)
    desk = _desk(pilot)
    pool = _pledge(pilot, desk)
    _lend(pilot, desk)
    got = _run_off(pilot, desk, pool)
    new = _substitute(pilot, desk, pool)
    _default(pilot, desk, pool)
    _ending(pilot, desk, pool, new, got)


def _desk(pilot: Pilot) -> Desk:
    plan, start = pilot.plan, pilot.world.now
    market = Paths(
        prices=((Seconds(0), plan.read("price", parse_price)),),
        network=network_steps(_network(plan, start)),
        defaults={_FIRST: _failure(plan)},
    )
    terms = DeskTerms(
        rate_bps=Bps(plan.integer("rate_bps", 0, BPS)),
        cure=Seconds(plan.integer("cure_hours", 1, 720) * HOUR),
        until=Seconds(start + plan.integer("term_days", 1, 3_650) * DAY),
    )
    return Desk(pilot.world, terms, types=load_types(), market=market, label="Hash power")


def _network(plan: Plan, start: Seconds) -> NetworkPath:
    """The network from its height at the start on: its hash rate grows by each period, targets
    follow as Bitcoin computes them, and the subsidy halves at its height."""
    bits = bits_of_difficulty(plan.read("difficulty", int))
    growth, rate = plan.integer("growth_bps", 0, BPS), implied_rate(bits)
    rates = []
    for _ in range(plan.integer("contract_days", 1, 3_650) // _PERIOD_DAYS + 1):
        rates.append(rate)
        rate = Ghs(muldiv_down(rate, BPS + growth, BPS))
    return network_path(
        at=start,
        height=plan.integer("height", 0, MAX_HEIGHT - 1),
        bits=bits,
        fees=Sats(plan.integer("fees_sats", 0, 10**10)),
        hash_rates=rates,
    )


def _contract(pilot: Pilot, name: str, issuer: str) -> Item:
    plan, start = pilot.plan, pilot.world.now
    days = plan.integer("contract_days", 1, 3_650)
    rate = plan.integer(f"{name}_gh_s", 1, 10**12)
    thing = HashContract(rate, start, Seconds(start + days * DAY))
    return Item(asset_id("hash-rate", f"{name} {start}"), "hash-rate", issuer, thing)


def _pledge(pilot: Pilot, desk: Desk) -> _Pool:
    pool = _Pool(
        _contract(pilot, "first", _FIRST),
        _contract(pilot, "second", _SECOND),
        desk.secure(pilot.plan.text("coins")),
    )
    pilot.step(
        "borrower",
        "pledge",
        f"{pilot.plan.text('coins')} BTC are final in a vault, and the notary has the tokens.",
        sats=pilot.plan.read("coins", parse_btc),
    )
    for item in (pool.first, pool.second):
        desk.enter(item)
        desk.pledge(item)
    desk.take(pool.coins)
    value = desk.value
    excess = sum(each.eligible - each.cents for each in value.types)
    pilot.step(
        "borrower",
        "hold",
        "Two contracts over hash power are entered in the register and held for the loan. All is "
        f"worth {money(value.counted + excess)}; {money(excess)} of it are above the limits of "
        "contracts and of one counter-party, and count zero.",
        counted=value.counted,
        excess=excess,
    )
    pilot.check("what is above a limit counts zero", excess > 0)
    return pool


def _lend(pilot: Pilot, desk: Desk) -> None:
    cents = pilot.plan.read("principal", parse_cents)
    lending = desk.value.lending
    with pilot.refused("collateral/short", "lender", "lend", "A cent more than may be lent."):
        desk.draw(Cents(lending + 1))
    desk.draw(cents)
    pilot.step(
        "lender",
        "lend",
        f"Each type less its haircut carries {money(lending)}; {money(cents)} are lent.",
        lending=lending,
        cents=cents,
    )


def _run_off(pilot: Pilot, desk: Desk, pool: _Pool) -> int:
    """Months of deliveries until a call; the sats that were delivered."""
    world, total = pilot.world, 0
    for month in range(1, 13):
        since = world.now
        world.advance(days=_MONTH)
        got = sum(
            delivered(item.thing, market=desk.market, since=since, until=world.now)
            for item in (pool.first, pool.second)
            if isinstance(item.thing, HashContract)
        )
        _send(pilot, _PAYER, Sats(got), to="borrower")
        total += got
        move, value = desk.look(), desk.value
        worth = sum(each.cents for each in value.types if each.type.id == "hash-rate")
        pilot.step(
            "counter-parties",
            "deliver",
            f"Month {month}: {coins(got)} delivered. What is still to come counts {money(worth)}; "
            f"{money(desk.owed)} are owed against {money(value.counted)}: "
            f"{percent(value.ltv(desk.owed))}, {move.value}.",
            month=month,
            delivered_sats=got,
            worth=worth,
            owed=desk.owed,
            move=move.value,
        )
        if move is not Move.NONE:
            break
    pilot.check("difficulty and the halving lead to a margin call", move is Move.CALL)
    return total


def _substitute(pilot: Pilot, desk: Desk, pool: _Pool) -> Item:
    """Coins for the second contract: first too few, then enough."""
    few = desk.secure(pilot.plan.text("too_few_coins"))
    with pilot.refused(
        "collateral/short", "borrower", "substitute", "Coins for a contract, but too few of them."
    ):
        desk.substitute(few, pool.second)
    pilot.check("a substitution that is refused moves nothing", desk.held(pool.second) == 1)
    desk.hand_back(few)
    new = desk.secure(pilot.plan.text("new_coins"))
    before = desk.value.lending
    desk.substitute(new, pool.second)
    after, move = desk.value, desk.look()
    pilot.step(
        "borrower",
        "substitute",
        f"{pilot.plan.text('new_coins')} BTC in its place: first they are in and valued, then the "
        f"contract is free. What may be lent was {money(before)} and is {money(after.lending)}; "
        f"{money(desk.owed)} are owed. {move.value}.",
        lending=after.lending,
        owed=desk.owed,
        move=move.value,
    )
    pilot.check("the substitution cures the call", move is Move.CURE)
    pilot.check("the contract that left is free", desk.held(pool.second) == 0)
    return new


def _default(pilot: Pilot, desk: Desk, pool: _Pool) -> None:
    world = pilot.world
    world.advance(seconds=max(0, _failure(pilot.plan) - world.now))
    move, value = desk.look(), desk.value
    (line,) = [each for each in value.lines if each.item is pool.first]
    pilot.step(
        _FIRST,
        "default",
        f"It delivers no more: its contract counts {money(line.worth)}. The coins carry the loan, "
        f"{percent(value.ltv(desk.owed))}.",
        worth=line.worth,
        why=line.why,
        move=move.value,
    )
    pilot.check("a contract whose counter-party failed counts zero", line.worth == 0)
    pilot.check("the coins carry the loan", move is Move.NONE)
    with pilot.refused("collateral/short", "borrower", "release", "It asks for its coins now."):
        desk.give_back(pool.coins)


def _ending(pilot: Pilot, desk: Desk, pool: _Pool, new: Item, got: int) -> None:
    world, paid = pilot.world, desk.owed
    desk.repay(paid)
    for item in desk.items:
        desk.give_back(item)
    pilot.step("borrower", "repay", f"It pays {money(paid)}; everything is free.", cents=paid)
    before = world.sats_of("borrower")
    for item in (pool.coins, new):
        world.burn(desk.deal_of(item))
        world.mine(desk.deal_of(item).terms.confirmations)
    back = world.sats_of("borrower") - before
    pilot.step(
        "borrower",
        "burn",
        f"It burns the tokens, the quorum signs, and {coins(back)} are back in its wallet.",
        sats=back,
    )
    pilot.check("nothing is owed and nothing is held", not desk.owed and not desk.items)
    pilot.result |= {
        "lent_cents": pilot.plan.read("principal", parse_cents),
        "repaid_cents": paid,
        "delivered_sats": got,
        "coins_back_sats": back,
    }


def _failure(plan: Plan) -> Seconds:
    """When the first counter-party stops."""
    return Seconds(plan.start + plan.integer("default_days", 1, 3_650) * DAY)


def _send(pilot: Pilot, payer: str, sats: Sats, *, to: str) -> None:
    """A payment on Bitcoin, and the block that has it."""
    world = pilot.world
    world.pay(payer, btc=exact(sats), to=address_of(world.party(to).script))
    world.mine()
