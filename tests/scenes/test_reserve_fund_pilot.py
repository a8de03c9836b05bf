"""The pilot of the reserve fund: told to its end, with what it assumes and does not claim."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from escrow.provenance import Status
from escrow.sim.pilot import Pilot, load_plan, play_pilot
from escrow.view.pilot import pilot_as_dict, pilot_text
from escrow.world import World

REFUSED = ["fund/price", "fund/lot", "fund/day", "fund/share", "token/frozen"]


@pytest.fixture(scope="module")
def pilot() -> Iterator[Pilot]:
    told = play_pilot("reserve-fund", seed=7)
    with told.world:
        yield told


def test_it_ends_well_and_every_limit_was_tried(pilot: Pilot) -> None:
    assert pilot.sound
    assert [step.refused for step in pilot.steps if step.refused] == REFUSED
    assert pilot.result["lots"] == 2
    assert pilot.result["debt_cents"] == 0
    assert pilot.result["claims_sats"] == 20_000_000
    assert (pilot.result["frozen_accounts"], pilot.result["bank_above_limit"]) == (1, "yes")


def test_no_term_of_a_loan_is_a_default_that_nobody_is_told(pilot: Pilot) -> None:
    text = pilot_text(pilot)
    terms, plan = pilot.world.loans[0].terms, pilot.plan.terms
    dates = {"principal", "maturity", "draw_by", "expires_at", "recover_at", "nonce"}
    for each in fields(terms):
        value = getattr(terms, each.name)
        if type(value) is int and value and each.name not in dates | plan.keys():
            assert f"ASSUMED     loan.{each.name} = {value}: not disclosed" in text, each.name
    assert "ASSUMED     loan.term = 31536000: " in text


def test_every_number_that_nobody_disclosed_is_said_to_be_assumed(pilot: Pilot) -> None:
    text = pilot_text(pilot)
    for term in pilot.plan.terms.values():
        assert (f"ASSUMED     {term.name} = " in text) == (term.status is Status.ASSUMED)
    disclosed = {t.name for t in pilot.plan.terms.values() if t.status is Status.DISCLOSED}
    assert disclosed == {"risk_weight_bps", "ratio_bps", "limit_bps"}
    assert "NOT CLAIMED the size of any reserve" in text
    assert pilot_as_dict(pilot)["systems"] == ["S11", "S24"]


def test_the_same_seed_tells_the_same(pilot: Pilot) -> None:
    again = play_pilot("reserve-fund", seed=7)
    with again.world:
        assert pilot_text(again) == pilot_text(pilot)


def test_its_world_is_kept_and_goes_on(pilot: Pilot, tmp_path: Path) -> None:
    pilot.world.save(tmp_path / "world")
    with World.load(tmp_path / "world") as again:
        assert again.state_hash == pilot.world.state_hash
        assert again.tokens_of("fund") == 20_000_000


def test_its_plan_is_read() -> None:
    assert load_plan("reserve-fund").integer("limit_bps", 100, 100) == 100
