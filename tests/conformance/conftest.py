"""The chains that stories are told on."""

from __future__ import annotations

import pytest
from both_lab import FAST, Lab

from escrow.adapters.evm.fast import FastChain


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
