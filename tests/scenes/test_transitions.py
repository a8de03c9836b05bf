"""The table of transitions: complete, and its tests are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from escrow.view.transitions import TRANSITIONS, Transition

TESTS = Path(__file__).parents[1]


def test_all_thirty_five_are_there_in_order() -> None:
    assert [each.id for each in TRANSITIONS] == [f"T{n}" for n in range(1, 36)]


@pytest.mark.parametrize("row", TRANSITIONS, ids=lambda row: row.id)
def test_each_has_a_test_that_allows_it_and_one_that_refuses_it(row: Transition) -> None:
    assert row.allows != row.refuses or row.id == "T18"
    for named in (row.allows, row.refuses):
        file, _, function = named.partition("::")
        assert re.search(rf"^def {function}\(", (TESTS / file).read_text(), re.MULTILINE), named
    assert all((row.move, row.guard, row.vault, row.token, row.ledger))
