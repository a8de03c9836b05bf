"""What the world says of collateral: prices, the Bitcoin network's path, second-hand machines, and
who has defaulted.

``Market`` is a protocol: anything that answers these questions will do. ``Paths`` answers from
steps that are known beforehand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from typing import Final, Protocol, TypeVar

from escrow.core.errors import BadInput
from escrow.core.units import BPS, MAX_MONEY, MAX_PRICE, Bps, PriceE8, Sats, Seconds

GH: Final = 10**9
"""Hashes a second in 1 GH/s."""
HASHES: Final = 2**32
"""Expected hashes for a block at difficulty 1 (Bitcoin: difficulty × 2³² hashes a block)."""
MAX_DIFFICULTY: Final = 10**24
"""A network ten thousand million times that of 2025 is refused as absurd."""
MAX_STEPS: Final = 10_000
"""Steps of a path."""

_V = TypeVar("_V")


class Market(Protocol):
    """What collateral is valued by."""

    def price(self, at: Seconds) -> PriceE8:
        """Of 1 BTC."""

    def earned(self, gh_s: int, *, since: Seconds, until: Seconds, seen: Seconds) -> Sats:
        """Sats that so much hash power is expected to earn, fees included, by what is known at
        ``seen``; rounded once, down."""

    def resale(self, at: Seconds) -> Bps:
        """What second-hand machines fetch, as a part of what their age says; 10,000: just that."""

    def defaulted(self, issuer: str, at: Seconds) -> bool:
        """Does this issuer or counter-party not perform any more?"""


@dataclass(frozen=True, slots=True)
class Network:
    """The Bitcoin network from a moment on."""

    difficulty: int
    """Whole; 1 or more."""
    reward: Sats
    """Of a block: subsidy and fees."""


@dataclass(frozen=True, slots=True)
class Paths:
    """A market in steps: each value holds from its moment until the next."""

    prices: tuple[tuple[Seconds, PriceE8], ...]
    """Of 1 BTC."""
    network: tuple[tuple[Seconds, Network], ...]
    """Difficulty and reward."""
    second_hand: tuple[tuple[Seconds, Bps], ...] = ((Seconds(0), Bps(BPS)),)
    """See ``Market.resale``."""
    defaults: Mapping[str, Seconds] = field(default_factory=dict)
    """Issuer → from when it does not perform."""

    def __post_init__(self) -> None:
        for name in ("prices", "network", "second_hand"):
            _check_order(getattr(self, name), name)
        if not all(0 < price <= MAX_PRICE for _, price in self.prices):
            raise BadInput("collateral/market", path="prices")
        for _, each in self.network:
            if not (1 <= each.difficulty <= MAX_DIFFICULTY and 0 <= each.reward <= MAX_MONEY):
                raise BadInput("collateral/market", path="network")
        if not all(0 <= bps <= 10 * BPS for _, bps in self.second_hand):
            raise BadInput("collateral/market", path="second_hand")

    def price(self, at: Seconds) -> PriceE8:
        """Raises BadInput("collateral/market") before the first step, as all of these do."""
        return _step(self.prices, at)

    def resale(self, at: Seconds) -> Bps:
        return _step(self.second_hand, at)

    def defaulted(self, issuer: str, at: Seconds) -> bool:
        return issuer in self.defaults and at >= self.defaults[issuer]

    def earned(self, gh_s: int, *, since: Seconds, until: Seconds, seen: Seconds) -> Sats:
        """What comes after ``seen`` is expected at the difficulty known then. Rewards are known
        beforehand: a halving is in the protocol."""
        if since >= until:
            return Sats(0)
        between = [moment for moment, _ in self.network if since < moment < until]
        if since < seen < until:
            between.append(seen)
        total = Fraction(0)
        for begin, end in pairwise([since, *sorted({*between}), until]):
            reward = _step(self.network, begin).reward
            difficulty = _step(self.network, Seconds(min(begin, seen))).difficulty
            total += Fraction(gh_s * GH * (end - begin) * reward, difficulty * HASHES)
        return Sats(int(total))


def _step(path: Sequence[tuple[Seconds, _V]], at: Seconds) -> _V:
    found = None
    for since, value in path:
        if since > at:
            break
        found = value
    if found is None:
        raise BadInput("collateral/market", at=at, reason="before the first step")
    return found


def _check_order(path: Sequence[tuple[Seconds, object]], name: str) -> None:
    rising = all(one < two for (one, _), (two, _) in pairwise(path))
    if not path or len(path) > MAX_STEPS or not rising or path[0][0] < 0:
        raise BadInput("collateral/market", path=name, reason="steps do not rise")
