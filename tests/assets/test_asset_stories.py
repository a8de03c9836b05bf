"""The stories about collateral beyond coins end as their files say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from escrow.provenance import Status
from escrow.sim.pilot import Pilot, play_pilot
from escrow.view.export import export
from escrow.view.pilot import pilot_as_dict, pilot_text

DISCLOSED = Status.DISCLOSED
NAMES = ("machine-loan", "hash-power", "mining-revenue")


@pytest.fixture(scope="module", params=NAMES)
def story(request: pytest.FixtureRequest) -> Iterator[Pilot]:
    played = play_pilot(request.param, seed=3)
    yield played
    played.world.close()


def test_a_story_is_sound_and_says_what_it_assumes(story: Pilot) -> None:
    assert [check.words for check in story.checks if not check.holds] == []
    assert story.sound
    text = pilot_text(story)
    disclosed = [each.name for each in story.plan.terms.values() if each.status is DISCLOSED]
    assert disclosed == (["btc.levels.haircut"] if story.plan.name == "hash-power" else [])
    assert text.count("ASSUMED") == len(story.plan.terms) - len(disclosed)
    assert any(".levels.call = " in line for line in story.plan.assumed), "those of types too"
    assert text.count("NOT CLAIMED") == len(story.plan.not_claimed) > 2
    assert pilot_as_dict(story)["assumed"] == list(story.plan.assumed)


REFUSED = {
    "machine-loan": [
        *("asset/exists", "asset/encumbered", "collateral/short"),
        *("asset/not-declared", "asset/too-early"),
    ],
    "hash-power": ["collateral/short"] * 3,
    "mining-revenue": ["token/cannot-receive", "token/held", "collateral/short"],
}


def test_what_is_refused_on_the_way(story: Pilot) -> None:
    found = [step.refused for step in story.steps if step.refused]
    assert found == REFUSED[story.plan.name]


def test_how_they_end(story: Pilot) -> None:
    end = story.result
    if story.plan.name == "machine-loan":
        assert end["machines_sold"] == 12
        parts = ("costs_cents", "to_lender_cents", "surplus_cents")
        assert sum(end[part] for part in parts) == end["proceeds_cents"]
        assert end["shortfall_cents"] > 0, "what an auction after a crash does not bring"
    elif story.plan.name == "mining-revenue":
        assert end["interest_cents"] > 0
        assert (end["miner_units"], end["investor_units"]) == (700, 300)
    else:
        assert end["repaid_cents"] > end["lent_cents"]
        fees = 300_000_000 - end["coins_back_sats"]
        assert 0 < fees < 5_000


DONE = {
    "machine-loan": {"issue", "hold", "lend", "declare", "buy"},
    "hash-power": {"issue", "hold", "lend", "give", "release", "repay"},
    "mining-revenue": {"issue", "hold", "lend", "pay-out", "repay", "release"},
}
"""What leaves no event in the log of loans, and is evidence all the same."""


def test_the_evidence_has_what_was_done_beside_the_loans(story: Pilot, tmp_path: Path) -> None:
    manifest = export(story.world, tmp_path / "out")
    assert "acts.jsonl" in manifest["files"]
    acts, sent = (
        [json.loads(line) for line in (tmp_path / "out" / name).read_text().splitlines()]
        for name in ("acts.jsonl", "evm_txs.jsonl")
    )
    assert [each["n"] for each in acts] == list(range(1, len(story.world.acts) + 1))
    assert {each["verb"] for each in acts} >= DONE[story.plan.name]
    told = [name for each in acts for name in each["evm"]]
    assert len(set(told)) == len(told)
    assert set(told) <= {each["hash"] for each in sent}
    assert all(each["evm"] for each in acts if each["verb"] in ("issue", "hold", "lend"))
