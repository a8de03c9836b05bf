"""The chains that stories are told on, and how many."""

from __future__ import annotations

import importlib.util

import pytest
from both_lab import Lab
from hypothesis import settings

from escrow.adapters.evm.fast import FastChain

FAST = importlib.util.find_spec("pyrevm") is not None
PROFILE = settings.get_current_profile_name()


def stories(dev: int, ci: int, night: int) -> int:
    """Examples by Hypothesis profile; a twelfth where only the slow machine is installed."""
    count = {"dev": dev, "ci": ci, "night": night}[PROFILE]
    return count if FAST else max(2, count // 12)


@pytest.fixture(scope="session")
def lab() -> Lab:
    """For volume: transactions that nobody signed, on revm if it is installed."""
    return Lab(FastChain) if FAST else Lab()


@pytest.fixture(scope="session")
def slow_lab() -> Lab:
    """The same on py-evm, to the last rule of a block."""
    return Lab()


@pytest.fixture(scope="session")
def hand_lab() -> Lab:
    """The real thing: each transaction signed by its sender, in blocks that are sealed."""
    return Lab(by_hand=True)
