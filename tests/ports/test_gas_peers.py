"""Morpho Blue, measured on our own chain, takes what it takes elsewhere: so both sides of the
comparison stand on the same ground."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from gas_account import accounts
from gas_meter import written_down
from gas_peers.morpho import MorphoMeter
from gas_table import bars, lines, on_page, page, rewrite_page

ELSEWHERE = {
    "add collateral, new borrower": 70_927,
    "borrow, new borrower": 72_133,
    "open, 2 transactions": 143_060,
    "top up": 53_839,
    "borrow again": 72_133,
    "repay part": 64_311,
    "withdraw part": 64_690,
    "repay all": 64_494,
    "withdraw all": 51_397,
    "close, 2 transactions": 115_891,
    "whole loan, 6 transactions": 377_101,
    "liquidate part": 90_859,
    "liquidate all": 90_847,
    "liquidate with bad debt": 94_222,
    "token transfer, to a holder": 34_455,
}
"""The same actions on anvil 1.7.1. Other accounts and amounts, so other zero bytes in calldata."""
BYTES = 6
"""Bytes of calldata a transaction that may be zero here and not there; 12 gas each."""


@pytest.fixture(scope="module")
def morpho(tool: Callable[[str], Path]) -> dict[str, int]:
    tool("solc")
    tool("morpho")
    return MorphoMeter().measure()


@pytest.mark.parametrize("action", ELSEWHERE)
def test_morpho_takes_here_what_it_takes_elsewhere(morpho: dict[str, int], action: str):
    transactions = int(action.split(", ")[1][0]) if action.endswith("transactions") else 1
    assert abs(morpho[action] - ELSEWHERE[action]) <= 12 * BYTES * transactions


def test_every_figure_has_been_measured_elsewhere(morpho: dict[str, int]):
    assert morpho.keys() == ELSEWHERE.keys()


def test_every_action_of_the_table_that_morpho_offers_is_measured(morpho: dict[str, int]):
    assert {bar.morpho for bar in bars()} - {None} <= morpho.keys()


def test_morphos_accounts_are_whole(morpho: dict[str, int]):
    explained = accounts(MorphoMeter)
    assert {name: each.total() for name, each in explained.items()} == morpho
    assert explained["borrow again"].times["cold SLOAD", "Morpho"] == 4
    assert explained["withdraw all"].of("refund") == -4_800, "the position's slot is cleared"


def test_the_page_of_the_contracts_shows_the_table(morpho: dict[str, int]):
    table = lines(written_down(), morpho=morpho)
    if os.environ.get("ESCROW_REWRITE"):
        rewrite_page(table)
    assert on_page() == page(table)


def test_the_bench_prints_both_sides_of_one_run(morpho: dict[str, int]):
    bench = Path(__file__).parents[2] / "scripts" / "_bench.py"
    command = [sys.executable, str(bench), "gas", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    rows = {row["action"]: row for row in json.loads(done.stdout)["gas"]}
    for bar in bars():
        row = rows.pop(bar.action)
        assert row["ours"] == (written_down()[bar.ours] if bar.ours else 0)
        assert row["morpho"] == (morpho[bar.morpho] if bar.morpho else None)
    assert not rows
