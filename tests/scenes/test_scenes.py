"""The scenes: transcripts as checked in, the JSON of a run, the same again for the same seed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from escrow.sim.scenes import SCENES, play
from escrow.view.text import transcript
from escrow.view.trace import run_as_dict
from escrow.view.transitions import taken
from escrow.words import jsonable

HERE = Path(__file__).parent
ENDS = {
    "release": ("RELEASED", "SPENT", "BURNED"),
    "margin-call": ("RELEASED", "SPENT", "BURNED"),
    "liquidation": ("SETTLED", "SPENT", "BURNED"),
    "partial-sale": ("RELEASED", "SPENT", "BURNED"),
    "auction": ("SETTLED", "SPENT", "BURNED"),
    "recovery": ("RECOVERED", "RECOVERED", "BURNED"),
}


def test_every_scene_has_an_expected_end() -> None:
    assert set(ENDS) == set(SCENES)


@pytest.mark.parametrize("name", SCENES)
def test_a_scene_reads_as_checked_in_and_ends_as_it_should(
    name: str, record_property: Callable[[str, object], None]
) -> None:
    with play(name, seed=1) as world:
        # Regenerate with: python -m escrow.view.generate
        assert transcript(world, scene=name) == (HERE / f"{name}.txt").read_text(encoding="utf-8")
        run = run_as_dict(world, scene=name)
        steps = [step for act in world.acts for _, step in act.steps]
    record_property("transitions", dict(Counter(name for step in steps for name in taken(step))))
    final = run["final"]
    assert (final["loan"], final["vault"], final["token"]) == ENDS[name]
    assert run["laws"]["checked"] > 1_000
    assert run["laws"]["broken"] == []
    steps = run["steps"]
    assert [step["n"] for step in steps] == list(range(1, len(steps) + 1))
    assert any(step["bitcoin"] for step in steps[4:]), "a real spend of the vault"
    gone = "LoanRecovered" if name == "recovery" else "Burned"
    assert any(gone in step["decision"] for step in steps)
    assert json.loads(json.dumps(jsonable(run))) == jsonable(run)


def test_the_same_seed_gives_the_same_hash_and_another_seed_another() -> None:
    hashes = []
    for seed in (3, 3, 4):
        with play("liquidation", seed=seed) as world:
            hashes.append((world.state_hash, world.bitcoin.tip_hash, world.evm.chain.head_hash))
    assert hashes[0] == hashes[1]
    assert all(a != b for a, b in zip(hashes[0], hashes[2], strict=True))
