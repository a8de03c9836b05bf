"""What one item is worth, and whether it is eligible. All values in cents, rounded down: against
the one who pledges."""

from __future__ import annotations

from typing import Final, assert_never

from escrow.collateral.items import (
    Claim,
    Coins,
    Energy,
    HashContract,
    Item,
    Machine,
    Promise,
    Revenue,
    Thing,
)
from escrow.collateral.market import Market
from escrow.collateral.model import (
    ByAge,
    ByCapex,
    ByDeliveries,
    ByFace,
    ByNav,
    ByPrice,
    Curve,
    Type,
    Unverifiable,
)
from escrow.core.errors import BadInput
from escrow.core.units import (
    BPS,
    CENTS_SCALE,
    DAY,
    YEAR,
    Bps,
    Cents,
    Sats,
    Seconds,
    muldiv_down,
    muldiv_up,
)

_THINGS: Final[dict[type, type[Thing]]] = {
    ByPrice: Coins,
    ByFace: Claim,
    ByAge: Machine,
    ByDeliveries: HashContract,
    ByNav: Revenue,
    ByCapex: Energy,
}
"""What each valuation values. One that values nothing takes anything."""


def check_fits(item: Item, *, kind: Type) -> None:
    """Raises BadInput("collateral/thing") for a thing that is not of its type: it could never be
    valued, nor a pool that has it."""
    wanted = _THINGS.get(type(kind.valuation))
    if wanted is not None and not isinstance(item.thing, wanted):
        raise BadInput("collateral/thing", item=item.id[:40], type=kind.id)


def worth(item: Item, *, kind: Type, market: Market, at: Seconds) -> Cents:
    """Market value, whether eligible or not: nothing of an issuer that has defaulted, of a
    contract that is over, of what cannot be verified.

    Raises BadInput("collateral/thing") for a thing that is not of its type.
    """
    # A machine is there whoever hosts it; every other thing with an issuer is its promise.
    promised = bool(item.issuer) and not isinstance(item.thing, Machine)
    if promised and market.defaulted(item.issuer, at):
        return Cents(0)
    match kind.valuation, item.thing:
        case ByPrice(), Coins() as coins:
            return _in_cents(coins.sats, market=market, at=at)
        case ByFace() as rule, Claim() as claim:
            face = claim.unit_face * claim.units
            return discounted(face, rate_bps=rule.rate_bps, span=claim.due - at)
        case ByAge() as rule, Machine() as machine:
            left = left_of(machine.curve or rule.curve, age=at - machine.made)
            return Cents(muldiv_down(machine.price * left, market.resale(at), BPS * BPS))
        case ByDeliveries() as rule, HashContract() as contract:
            sats = deliveries(contract, market=market, since=at)
            begin, end = max(at, contract.since), max(at, contract.until)
            middle = muldiv_down(begin + end, 1, 2)
            gross = _in_cents(sats, market=market, at=at)
            return discounted(gross, rate_bps=rule.rate_bps, span=middle - at)
        case ByNav() as rule, Revenue() as share:
            nav = net_asset_value(share, rate_bps=rule.rate_bps, market=market, at=at)
            return Cents(muldiv_down(nav, share.units, share.of))
        case ByCapex() as rule, Energy() as plant:
            built = sum(cents for when, cents in plant.capex if when <= at)
            ours = BPS - (rule.split_bps or 0)
            return Cents(muldiv_down(built * plant.watts, ours, plant.of_watts * BPS))
        case Unverifiable(), _:
            return Cents(0)
    raise BadInput("collateral/thing", item=item.id[:40], type=kind.id)


def why_not(item: Item, *, kind: Type, market: Market, at: Seconds) -> str:
    """Why the item is not eligible, as a code; empty if it is."""
    if isinstance(kind.valuation, Unverifiable):
        return "collateral/unverifiable"
    if item.issuer and market.defaulted(item.issuer, at):
        return "collateral/defaulted"
    thing, rule = item.thing, kind.valuation
    match thing:
        case Coins() | Energy() | Promise():
            return ""
        case Machine():
            if thing.host_lien:
                return "collateral/host-lien"
            if isinstance(rule, ByAge) and at - thing.made > rule.max_age:
                return "collateral/age"
            return ""
        case Claim():
            end = thing.due
        case HashContract() | Revenue():
            end = thing.until
        case _:
            assert_never(thing)
    if isinstance(rule, ByFace | ByDeliveries | ByNav) and end - at < rule.min_left:
        return "collateral/matured"
    return ""


def deliveries(contract: HashContract, *, market: Market, since: Seconds) -> Sats:
    """Sats that a contract is still expected to deliver from ``since`` on, by what is known then;
    rounded down."""
    begin = max(since, contract.since)
    if begin >= contract.until:
        return Sats(0)
    return market.earned(contract.gh_s, since=begin, until=contract.until, seen=since)


def delivered(contract: HashContract, *, market: Market, since: Seconds, until: Seconds) -> Sats:
    """Sats that it did deliver between two moments, at the difficulty that there was; rounded
    down. Nothing from a counter-party that has defaulted is the caller's to know."""
    begin, end = max(since, contract.since), min(until, contract.until)
    if begin >= end:
        return Sats(0)
    return market.earned(contract.gh_s, since=begin, until=end, seen=end)


def promised(item: Item, *, market: Market, at: Seconds) -> Cents:
    """What is still promised to come, for reports: none of it counts as worth. Nothing from a
    counter-party that has defaulted; rounded down. Raises BadInput("collateral/thing") for anything
    but a promise."""
    thing = item.thing
    if not isinstance(thing, Promise):
        raise BadInput("collateral/thing", item=item.id[:40])
    if market.defaulted(item.issuer, at):
        return Cents(0)
    total, due = thing.yields[-1][1], _yielded(thing, at=at)
    return Cents(muldiv_down(thing.paid * (total * DAY - due), 1, BPS * DAY))


def net_asset_value(share: Revenue, *, rate_bps: Bps, market: Market, at: Seconds) -> Cents:
    """Cash of holders, and what the programme is expected to earn from now on less power and what
    comes before holders; never less than the cash. Of all units; rounded down."""
    left = max(0, share.until - at)
    sats = market.earned(share.gh_s, since=at, until=share.until, seen=at) if left else Sats(0)
    half = muldiv_down(left, 1, 2)
    rewards = discounted(_in_cents(sats, market=market, at=at), rate_bps=rate_bps, span=half)
    # Power is paid to the last second: up to a cent more is against the holders.
    power = muldiv_up(share.power_day, left, DAY)
    return Cents(share.cash + max(0, rewards - power - share.ahead))


def _yielded(thing: Promise, *, at: Seconds) -> int:
    """What is promised to have come back by ``at``, bps × seconds of a day, rounded up."""
    age = max(0, at - thing.since)
    day, part = thing.yields[0]
    for later, more in thing.yields[1:]:
        if age < later * DAY:
            return part * DAY + muldiv_up((more - part) * DAY, age - day * DAY, (later - day) * DAY)
        day, part = later, more
    return part * DAY


def left_of(curve: Curve, *, age: int) -> Bps:
    """What is left of a price at an age in seconds, rounded down; all of it before day 0."""
    old = max(0, age)
    before, part = curve.points[0]
    for day, left in curve.points[1:]:
        if day * DAY > old:
            run, length = old - before * DAY, (day - before) * DAY
            return Bps(part - muldiv_up(part - left, run, length))
        before, part = day, left
    return part


def discounted(cents: int, *, rate_bps: Bps, span: int) -> Cents:
    """What is due in ``span`` seconds is worth now: ÷ (1 + rate × span), simple, actual/365,
    rounded down; what is due already is worth itself."""
    one = BPS * YEAR
    return Cents(muldiv_down(cents, one, one + rate_bps * max(0, span)))


def _in_cents(sats: Sats, *, market: Market, at: Seconds) -> Cents:
    return Cents(muldiv_down(sats, market.price(at), CENTS_SCALE))
