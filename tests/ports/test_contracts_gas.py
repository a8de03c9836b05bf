"""Gas of every action, from receipts, against contracts/gas.json and contracts/gas_bars.json.
A change must be looked at: after a deliberate one run this file, and then ``test_gas_peers.py``,
with ``ESCROW_REWRITE=1``.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace

import gas_meter
import gas_table
import pytest
from gas_account import Account, accounts
from gas_cash import CashMeter
from gas_meter import Meter, written_down
from gas_table import Bar, bars, line, lines


@pytest.fixture(scope="module")
def measured() -> dict[str, int]:
    return Meter().measure() | CashMeter().measure()


def test_gas_is_what_is_written_down(measured: dict[str, int]):
    if os.environ.get("ESCROW_REWRITE"):
        gas_meter.FILE.write_text(json.dumps(measured, indent=1) + "\n")
    assert written_down() == measured


def test_what_misses_its_bar_is_what_is_written_down(measured: dict[str, int]):
    missed = {line.action: line.missed for line in lines(measured, morpho={})}
    if os.environ.get("ESCROW_REWRITE"):
        gas_table.rewrite(missed)
    assert missed == {bar.action: bar.missed for bar in bars()}


@pytest.mark.parametrize("bar", bars(), ids=lambda bar: bar.action)
def test_a_missed_bar_says_what_the_difference_consists_of(bar: Bar):
    assert bool(bar.why) == bool(bar.missed)


def test_a_figure_above_its_bar_is_missed_and_one_at_it_is_not():
    bar = Bar(action="x", ours="ours", morpho="theirs", others={"A": 90, "B": 80}, bar=100)
    assert line(bar, ours={"ours": 101}, morpho={"theirs": 7}).missed == 1
    assert line(bar, ours={"ours": 100}, morpho={"theirs": 7}).missed == 0
    without = replace(bar, bar=None)
    assert line(without, ours={"ours": 8}, morpho={"theirs": 7}).most == 7
    assert line(without, ours={"ours": 8}, morpho={"theirs": 81}).who == "B"


@pytest.fixture(scope="module")
def explained() -> dict[str, Account]:
    return accounts(Meter) | accounts(CashMeter)


def test_every_account_is_whole(measured: dict[str, int], explained: dict[str, Account]):
    deployments = {name for name in measured if name.startswith("deploy ")}
    assert explained.keys() == measured.keys() - deployments
    assert {name: each.total() for name, each in explained.items()} == {
        name: gas for name, gas in measured.items() if name not in deployments
    }


def test_what_an_account_says(explained: dict[str, Account]):
    parts = explained["book.repay, part"]
    assert parts.gas["refund", ""] == 0, "nothing is cleared, so nothing is unexplained"
    assert parts.times["SSTORE, changed", "CashToken"] == 2
    assert parts.times["ecrecover", "EscrowBook"] == 0
    parts = explained["whole loan, 4 transactions"]
    assert parts.times["transaction", ""] == 4
    assert parts.times["ecrecover", "EscrowBook"] == 2, "both parties' signatures"
    assert parts.times["SSTORE, new slot", "EscrowBook"] == 1, "the loan's word, and no other"


def test_why_digital_cash_is_no_option_of_cash(measured: dict[str, int]):
    """The page says what asking limits costs each transfer."""
    page = gas_table.PAGE.read_text()
    for name in ("digital.transfer", "cash.transfer, to a holder"):
        assert f"{measured[name]:,}" in page.split("A currency of its own")[1].split("Both are")[0]
