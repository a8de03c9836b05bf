"""Tokens to try things on. Without SoftHSM2 these tests are skipped; in CI that is a failure."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from escrow.adapters.sign.module import Module
from escrow.adapters.sign.softhsm import SoftHsm
from escrow.core.errors import BadInput

sys.path.append(str(Path(__file__).parents[1] / "ports"))

# SoftHSM2 waits for the disk at every key; where there is one, a disk of memory is faster.
MEMORY = Path("/dev/shm")


@contextmanager
def _store() -> Iterator[SoftHsm]:
    try:
        Module()
    except BadInput as missing:
        if os.environ.get("CI"):
            pytest.fail(f"CI runs these tests: {missing}")
        pytest.skip(str(missing))
    where = MEMORY if os.access(MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=where) as home, SoftHsm(Path(home)) as store:
        yield store


@pytest.fixture
def hsm() -> Iterator[SoftHsm]:
    """A token store of its own."""
    with _store() as store:
        yield store


@pytest.fixture(scope="module")
def shared() -> Iterator[SoftHsm]:
    """A token store that the tests of one file share."""
    with _store() as store:
        yield store
