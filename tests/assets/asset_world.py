"""A desk in a world, with machines of round prices and a price that lasts a month."""

from __future__ import annotations

from dataclasses import replace

from escrow.collateral.items import Claim, Item, Machine, asset_id
from escrow.collateral.market import Network, Paths
from escrow.collateral.model import Levels, Limits
from escrow.collateral.read import load_types
from escrow.config import WorldConfig
from escrow.core.units import COIN, DAY
from escrow.sim.assets import Desk, DeskTerms
from escrow.world import World

PRICE = "100000.00"
LEVELS = Levels(5_000, 6_000, 7_000, 8_500)


def world() -> World:
    made = World(config=WorldConfig(seed=7, heartbeat=30 * DAY))
    made.price(PRICE)
    return made


def desk(made: World, *, rate_bps: int = 0, **changes: object) -> Desk:
    """Everything at a haircut of a half, without limits; machines are sold after two days."""
    plain = {"levels": LEVELS, "limits": Limits(), "discount": 0, "costs": 0}
    types = {name: replace(kind, **plain) for name, kind in load_types().items()}
    types["machine"] = replace(types["machine"], lag=2 * DAY, costs=1_000)
    fields = {
        "prices": ((0, 100_000 * COIN),),
        "network": ((0, Network(10**14, 3 * COIN)),),
    } | changes
    terms = DeskTerms(rate_bps=rate_bps, cure=DAY, until=made.now + 365 * DAY)
    return Desk(made, terms, types=types, market=Paths(**fields), label="Desk")


def machine(made: World, number: int = 1, *, price: int = 1_000_000, **changes: object) -> Item:
    """New, and for a century: nothing of its price is taken by age."""
    fields = {
        **{"serial": f"SN{number}", "model": "any", "gh_s": 200_000, "price": price},
        **{"made": made.now + 36_500 * DAY, "host": "site"},
    } | changes
    return Item(asset_id("machine", f"SN{number}"), "machine", "site", Machine(**fields))


def claim(made: World, cents: int, *, units: int = 10) -> Item:
    """Due now, of ten units."""
    thing = Claim("decision 1", cents, units, made.now + 400 * DAY)
    return Item(asset_id("dfa-claim", "1"), "dfa-claim", "plant", thing)
