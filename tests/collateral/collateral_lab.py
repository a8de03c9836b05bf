"""Items of every type, a market that stands still, and types whose numbers are round."""

from __future__ import annotations

from dataclasses import replace

from escrow.collateral.items import (
    Claim,
    Coins,
    Energy,
    HashContract,
    Item,
    Machine,
    Revenue,
    asset_id,
)
from escrow.collateral.market import Network, Paths
from escrow.collateral.model import Levels, Limits, Type
from escrow.collateral.pool import Types
from escrow.collateral.read import load_types
from escrow.core.units import COIN, DAY

START = 1_750_000_000
PRICE = 100_000 * COIN
"""100,000.00 a coin: a sat is a tenth of a cent."""
DIFFICULTY = 10**14
REWARD = 312_500_000
TH = 1_000
"""GH/s in 1 TH/s."""
SHIPPED = load_types()
LEVELS = Levels(5_000, 6_000, 7_000, 8_500)


def market(**changes: object) -> Paths:
    fields = {
        "prices": ((0, PRICE),),
        "network": ((0, Network(DIFFICULTY, REWARD)),),
    } | changes
    return Paths(**fields)


def types(**changes: dict[str, object]) -> dict[str, Type]:
    """The shipped ones with the same levels and no limits; ``machine={...}`` changes fields."""
    plain = {"levels": LEVELS, "limits": Limits(), "discount": 0, "costs": 0}
    return {
        name: replace(kind, **(plain | changes.get(name.replace("-", "_"), {})))
        for name, kind in SHIPPED.items()
    }


def coins(sats: int, *, id: str = "coin") -> Item:
    return Item(id, "btc", "", Coins(sats))


def claim(cents: int, *, id: str = "claim", issuer: str = "plant", units: int = 1) -> Item:
    """Due a year from the start."""
    thing = Claim("decision 1", cents, units, START + 365 * DAY)
    return Item(id, "dfa-claim", issuer, thing)


def machine(number: int = 1, *, price: int = 1_000_000, **changes: object) -> Item:
    serial = f"SN{number}"
    fields = {
        **{"serial": serial, "model": "any", "gh_s": 200 * TH, "price": price},
        **{"made": START, "host": "site"},
    } | changes
    return Item(asset_id("machine", serial), "machine", "site", Machine(**fields))


def contract(
    *, id: str = "hash", issuer: str = "maker", gh_s: int = 10**6, days: int = 360
) -> Item:
    return Item(id, "hash-rate", issuer, HashContract(gh_s, START, START + days * DAY))


def revenue(*, units: int = 100, **changes: object) -> Item:
    fields = {
        **{"units": units, "of": 1_000, "gh_s": 10**6, "until": START + 360 * DAY},
        **{"power_day": 0, "cash": 0, "ahead": 0},
    } | changes
    return Item("revenue", "mining-revenue", "programme", Revenue(**fields))


def energy(**changes: object) -> Item:
    fields = {
        **{"watts": 10_000_000, "of_watts": 40_000_000},
        "capex": ((START, 4_000_000), (START + 100 * DAY, 4_000_000)),
    } | changes
    return Item("plant", "energy-asset", "plant", Energy(**fields))


ALL: Types = types()
"""Types without limits."""
