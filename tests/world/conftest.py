"""Worlds to start from: made once, forked for each test, since a fork is cheaper than a loan."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from escrow.world import World


@pytest.fixture(scope="session")
def _opened() -> Iterator[World]:
    with World(seed=1) as world:
        world.open()
        yield world


@pytest.fixture
def world(_opened: World) -> Iterator[World]:
    """A loan runs: 1.5 BTC pledged, 50,000.00 drawn at 40 % loan-to-value."""
    with _opened.fork() as fork:
        yield fork


@pytest.fixture
def new() -> Iterator[Callable[..., World]]:
    """Makes worlds and closes them afterwards."""
    made: list[World] = []

    def make(**options: object) -> World:
        made.append(World(**options))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture(scope="session")
def _kinds() -> Iterator[dict[str, World]]:
    made: dict[str, World] = {}
    yield made
    for each in made.values():
        each.close()


@pytest.fixture
def kind(_kinds: dict[str, World]) -> Iterator[Callable[[str], World]]:
    """As ``world``, with a loan of this kind of liquidation and an arbiter."""
    forks: list[World] = []

    def make(liquidation: str) -> World:
        if liquidation not in _kinds:
            _kinds[liquidation] = World(seed=1)
            _kinds[liquidation].open(liquidation=liquidation, arbiter="arbiter")
        forks.append(_kinds[liquidation].fork())
        return forks[-1]

    yield make
    for each in forks:
        each.close()
