"""The contracts, deployed once for all tests of a run that leave them as they were."""

from __future__ import annotations

import pytest
from book_lab import FAST
from contracts_lab import Lab


@pytest.fixture(scope="session")
def base() -> Lab:
    return Lab()


@pytest.fixture
def lab(base: Lab) -> Lab:
    base.back()
    return base


@pytest.fixture(scope="session")
def fast_base() -> Lab:
    """On the fast chain: for tests that ask much, and not what it costs."""
    return Lab(FAST)


@pytest.fixture
def fast(fast_base: Lab) -> Lab:
    fast_base.back()
    return fast_base
