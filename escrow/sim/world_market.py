"""What collateral is valued by in a world: its oracles' price, and a market for everything else."""

from __future__ import annotations

from escrow.collateral.market import Market, Network
from escrow.core.errors import BadInput
from escrow.core.phases import fresh_price
from escrow.core.units import Bps, PriceE8, Sats, Seconds
from escrow.mining.path import NetworkPath
from escrow.world import World


def network_steps(path: NetworkPath) -> tuple[tuple[Seconds, Network], ...]:
    """A path of the network as collateral is valued by it."""
    return tuple((since, Network(difficulty, reward)) for since, difficulty, reward in path.steps())


class WorldMarket:
    """A market whose price of bitcoin is what the world's oracles say now."""

    def __init__(self, world: World, rest: Market) -> None:
        """``rest`` answers everything else."""
        self._world, self._rest = world, rest

    def price(self, at: Seconds) -> PriceE8:
        """Raises Rejected("price/stale"); BadInput("collateral/market") for another moment."""
        if at != self._world.now:
            raise BadInput("collateral/market", at=at, now=self._world.now)
        return fresh_price(self._world.engine.system, at=at).price

    def earned(self, gh_s: int, *, since: Seconds, until: Seconds, seen: Seconds) -> Sats:
        return self._rest.earned(gh_s, since=since, until=until, seen=seen)

    def resale(self, at: Seconds) -> Bps:
        return self._rest.resale(at)

    def defaulted(self, issuer: str, at: Seconds) -> bool:
        return self._rest.defaulted(issuer, at)
