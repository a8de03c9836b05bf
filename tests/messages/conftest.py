"""Worlds to write letters in: made once, forked for each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from escrow.world import World


@pytest.fixture(scope="session")
def _lent() -> Iterator[dict[str, World]]:
    made: dict[str, World] = {}
    yield made
    for each in made.values():
        each.close()


@pytest.fixture
def lent(_lent: dict[str, World]) -> Iterator[Callable[..., World]]:
    """A loan runs: 1.5 BTC pledged, 50,000.00 drawn at 80,000, no interest, with an arbiter."""
    forks: list[World] = []

    def make(liquidation: str = "take-over") -> World:
        if liquidation not in _lent:
            _lent[liquidation] = World(seed=1)
            _lent[liquidation].open(
                btc="1.5",
                principal="50000.00",
                price="80000",
                liquidation=liquidation,
                arbiter="arbiter",
                rate_bps=0,
            )
        forks.append(_lent[liquidation].fork())
        return forks[-1]

    yield make
    for each in forks:
        each.close()
