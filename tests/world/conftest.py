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
