"""A path of the network: blocks to come, at which target, subsidy and pace.

The hash rate of the network in each period of 2,016 blocks is given; targets follow from it as
Bitcoin computes them. Blocks come at their average pace: there is no luck in a path.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from escrow.core.errors import BadInput
from escrow.core.units import MAX_MONEY, MAX_TIME, Sats, Seconds
from escrow.mining.network import (
    BLOCK_SPACING,
    HALVING_BLOCKS,
    MAX_HEIGHT,
    RETARGET_BLOCKS,
    difficulty_of,
    hashes_per_block,
    next_bits,
    subsidy,
    target_of,
)
from escrow.mining.units import HASHES_IN_GH, MAX_RATE, Ghs

MAX_PERIODS: Final = 2_000
"""Periods of a path: 77 years of them."""

Window = tuple[Seconds, Seconds]
"""A span of time: its first second, and the one after its last."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Blocks in a row that have one target and one subsidy."""

    height: int
    """Of the first of them."""
    blocks: int
    """How many."""
    since: Seconds
    """When the block before it was found: from here on this target is worked on."""
    until: Seconds
    """When the last of them is found."""
    bits: int
    """The target, in compact form."""
    subsidy: Sats
    """New sats a block."""


@dataclass(frozen=True, slots=True)
class NetworkPath:
    """What the network does over a time."""

    stretches: tuple[Stretch, ...]
    """Without gaps, in order."""
    fees: Sats
    """Fees of transactions a block: one figure for all."""

    @property
    def since(self) -> Seconds:
        """Its first second."""
        return self.stretches[0].since

    @property
    def until(self) -> Seconds:
        """The second after its last."""
        return self.stretches[-1].until

    def at(self, moment: Seconds) -> Stretch:
        """What holds at a moment. Raises BadInput("network/outside")."""
        for each in self.stretches:
            if each.since <= moment < each.until:
                return each
        raise BadInput("network/outside", at=moment, since=self.since, until=self.until)

    def steps(self) -> tuple[tuple[Seconds, int, Sats], ...]:
        """From when on which difficulty, rounded down, and what a block brings, fees included: the
        path for those who count no targets."""
        return tuple(
            (each.since, int(difficulty_of(each.bits)), Sats(each.subsidy + self.fees))
            for each in self.stretches
        )


def network_path(
    *, at: Seconds, height: int, bits: int, fees: Sats, hash_rates: Sequence[Ghs]
) -> NetworkPath:
    """The path from the block at ``height`` on, whose target is ``bits``, starting at ``at``.

    ``hash_rates`` are the network's, one a period; the first period may have begun before, and
    counts as if its blocks had come at the same pace. Moments are rounded down to the second.

    Raises BadInput: ``network/bits``, ``network/height``, ``network/rate`` (no rate, too many, or
    one that is not positive or absurd), ``network/fees``, ``network/outside`` past the last time.
    """
    target_of(bits)
    if type(at) is not int:
        raise BadInput("network/outside", at=str(at)[:40], most=MAX_TIME)
    if type(height) is not int or not 0 <= height < MAX_HEIGHT:
        raise BadInput("network/height", height=str(height)[:40])
    if type(fees) is not int or not 0 <= fees <= MAX_MONEY:
        raise BadInput("network/fees", fees=str(fees)[:40])
    if not 1 <= len(hash_rates) <= MAX_PERIODS:
        raise BadInput("network/rate", periods=len(hash_rates), most=MAX_PERIODS)
    stretches: list[Stretch] = []
    for rate in hash_rates:
        if type(rate) is not int or not 0 < rate <= MAX_RATE:
            raise BadInput("network/rate", rate=str(rate)[:40])
        pace = hashes_per_block(bits) / (rate * HASHES_IN_GH)  # seconds a block
        for first, blocks in _period(height):
            until = Seconds(at + max(1, int(pace * blocks)))
            if not 0 <= at < until <= MAX_TIME:
                raise BadInput("network/outside", at=at, most=MAX_TIME)
            stretches.append(Stretch(first, blocks, at, until, bits, subsidy(first)))
            at, height = until, first + blocks
        bits = next_bits(bits, span=Seconds(int(pace * (RETARGET_BLOCKS - 1))))
    return NetworkPath(tuple(stretches), fees)


def implied_rate(bits: int) -> Ghs:
    """The network's hash rate at which blocks of this target come ten minutes apart, rounded down.

    Raises BadInput("network/bits").
    """
    return Ghs(int(hashes_per_block(bits) / (BLOCK_SPACING * HASHES_IN_GH)))


def earned(
    path: NetworkPath, *, hash_rate: Ghs, windows: Sequence[Window], fees: bool = True
) -> Fraction:
    """Sats that a hash rate is expected to earn in these windows, exact; with or without its part
    of the fees.

    Being exact it adds up over any split of the time: round what it comes to once. Raises
    BadInput("network/outside") for a window that the path does not cover.
    """
    total = Fraction(0)
    for since, until in windows:
        if not path.since <= since <= until <= path.until:
            raise BadInput("network/outside", at=since, since=path.since, until=path.until)
        for each in path.stretches:
            seconds = min(until, each.until) - max(since, each.since)
            if seconds > 0:
                reward = Sats(each.subsidy + (path.fees if fees else 0))
                total += seconds * sats_per_second(each.bits, hash_rate=hash_rate, reward=reward)
    return total


def sats_per_second(bits: int, *, hash_rate: Ghs, reward: Sats) -> Fraction:
    """Expected sats a second of a hash rate, where a block brings ``reward``. Exact. Raises
    BadInput: ``network/bits``, ``network/rate``."""
    if type(hash_rate) is not int or not 0 <= hash_rate <= MAX_RATE:
        raise BadInput("network/rate", rate=str(hash_rate)[:40])
    return Fraction(hash_rate * HASHES_IN_GH * reward) / hashes_per_block(bits)


def _period(height: int) -> Iterator[tuple[int, int]]:
    """The rest of the period of ``height``, split where the subsidy halves: first block, count."""
    end = height - height % RETARGET_BLOCKS + RETARGET_BLOCKS
    halving = height - height % HALVING_BLOCKS + HALVING_BLOCKS
    if halving < end:
        yield height, halving - height
        height = halving
    yield height, end - height
