"""``escrow demo token``: every refusal it promises happens, on a real chain."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest
from sign_lab import code

from escrow.adapters.sign.softhsm import SoftHsm
from escrow.sim.token import Walk, walk


@pytest.fixture(scope="module")
def walked(shared: SoftHsm) -> Walk:
    return walk()


def test_the_walk_meets_every_refusal_in_order(walked: Walk) -> None:
    refused = [step.facts["refused"] for step in walked.steps if "refused" in step.facts]
    assert refused == [
        "psbt/incomplete",
        "cosigner/destination",
        "hsm/locked",
        "hsm/unblock",
        "hsm/limit",
        "hsm/lost",
    ]


def test_the_walk_is_numbered_and_told_in_words(walked: Walk) -> None:
    assert [step.number for step in walked.steps] == list(range(1, len(walked.steps) + 1))
    assert all(step.title and step.words for step in walked.steps)
    assert json.loads(json.dumps([asdict(step) for step in walked.steps]))


def test_two_walks_differ_in_keys_and_in_nothing_else(walked: Walk) -> None:
    again = walk()
    assert [step.title for step in again.steps] == [step.title for step in walked.steps]
    assert [step.facts.keys() for step in again.steps] == [s.facts.keys() for s in walked.steps]
    assert again.steps[0].facts["safe"] != walked.steps[0].facts["safe"]
    verdicts = [
        {name: [(e.at, e.what, e.verdict) for e in log] for name, log in each.logs.items()}
        for each in (walked, again)
    ]
    assert verdicts[0] == verdicts[1]


def test_the_walk_ends_with_the_coins_in_the_new_vault(walked: Walk) -> None:
    sweep = next(step for step in walked.steps if step.title.startswith("The other two"))
    assert isinstance(sweep.facts["sats"], int)
    assert sweep.facts["sats"] > 29_000_000
    assert "In the old vault: 0.00000000 BTC." in sweep.words[-1]


def test_without_softhsm_the_walk_says_what_to_install() -> None:
    assert code(lambda: walk(library=Path("/nowhere/at/all.so"))) == "hsm/missing"
