"""The contracts, deployed once for all tests of a run that leave them as they were."""

from __future__ import annotations

import pytest
from contracts_lab import Lab


@pytest.fixture(scope="session")
def base() -> Lab:
    return Lab()


@pytest.fixture
def lab(base: Lab) -> Lab:
    base.back()
    return base
