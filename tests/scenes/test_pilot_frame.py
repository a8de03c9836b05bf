"""The frame that pilots are told in."""

from __future__ import annotations

from typing import Final

import pytest

from escrow.config import WorldConfig
from escrow.core.errors import BadInput, Refused, Rejected
from escrow.parse import parse_cents
from escrow.provenance import Status
from escrow.sim.pilot import Pilot, load_plan, play_pilot, read_plan
from escrow.view.pilot import pilot_as_dict, pilot_text
from escrow.world import World

FILE: Final = """
[pilot]
name = "a-pilot"
title = "A bank lends to a miner"
start = "2025-12-01"
systems = ["S1"]
simulated = ["a loan"]
not_claimed = ["any amount as fact"]

[terms]
principal = { value = "50000.00", status = "assumed", source = "not disclosed" }
cure_hours = { value = 24, status = "disclosed", source = "a paper" }
"""


@pytest.fixture
def pilot() -> Pilot:
    plan = read_plan(FILE)
    world = World(config=WorldConfig(seed=3, start=plan.start))
    told = Pilot(plan, world)
    loan = world.open(btc="1.5", principal=plan.text("principal"))
    told.step("lender", "lend", "The bank lends.", cents=plan.read("principal", parse_cents))
    with told.refused("draw/above-principal", "borrower", "repay", "It repays more than it owes."):
        raise Rejected("draw/above-principal", amount=7)
    world.repay(loan)
    told.check("the loan is over", True)
    told.result["ending"] = "REPAID"
    return told


def test_a_plan_says_what_nobody_disclosed() -> None:
    plan = read_plan(FILE)
    assert plan.assumed == ("principal = 50000.00: not disclosed",)
    assert plan.terms["cure_hours"].status is Status.DISCLOSED
    assert plan.integer("cure_hours", 1, 24) == 24
    assert plan.read("principal", parse_cents) == 5_000_000


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("[pilot]", "[pilots]", "scenario/missing-key"),
        ('status = "assumed", ', "", "scenario/missing-key"),
        (', source = "a paper"', "", "scenario/missing-key"),
        ('"assumed"', '"guessed"', "scenario/value"),
        ("value = 24", "value = 24.0", "scenario/value"),
        ("value = 24", "value = true", "scenario/value"),
        ("value = 24", 'value = ""', "scenario/value"),
        ("value = 24", "value = 24, unit = 1", "scenario/unknown-key"),
        ('"2025-12-01"', '"soon"', "input/time"),
        ("[terms]", "[terms", "scenario/format"),
        ("[terms]\n", "[terms]\n" + "".join(f"a{n} = 1\n" for n in range(200)), "scenario/format"),
    ],
)
def test_a_bad_file_is_refused(old: str, new: str, code: str) -> None:
    with pytest.raises(BadInput, match=code):
        read_plan(FILE.replace(old, new, 1))


def test_a_term_is_what_the_story_needs() -> None:
    plan = read_plan(FILE)
    for ask in (
        lambda: plan.integer("cure_hours", 25, 48),
        lambda: plan.integer("principal", 0, 1),
        lambda: plan.text("cure_hours"),
    ):
        with pytest.raises(BadInput, match="scenario/value"):
            ask()
    with pytest.raises(BadInput, match="scenario/missing-key"):
        plan.text("rate")
    with pytest.raises(BadInput, match=r"input/amount.*terms\.principal"):
        read_plan(FILE.replace("50000.00", "much")).read("principal", parse_cents)


def test_steps_know_the_acts_they_are_made_of(pilot: Pilot) -> None:
    with pilot.world as world:
        lend, refused = pilot.steps
        verbs = [act.verb for act in world.acts[lend.acts[0] - 1 : lend.acts[1] - 1]]
        assert (verbs[0], verbs[-1]) == ("offer", "draw")
        assert (refused.refused, refused.facts) == ("draw/above-principal", {"amount": 7})
        assert refused.acts[0] == refused.acts[1]


def test_what_must_be_refused_and_is_not_is_an_error(pilot: Pilot) -> None:
    with pilot.world:
        with (
            pytest.raises(Refused, match="pilot/not-refused"),
            pilot.refused("draw/above-principal", "borrower", "repay", "Nothing is wrong."),
        ):
            pass
        with (
            pytest.raises(Rejected, match="loan/amount"),
            pilot.refused("draw/above-principal", "borrower", "repay", "Something else is wrong."),
        ):
            raise Rejected("loan/amount")


def test_a_report_says_what_is_assumed_and_what_not_claimed(pilot: Pilot) -> None:
    with pilot.world as world:
        told, text = pilot_as_dict(pilot), pilot_text(pilot)
        assert told["assumed"] == ["principal = 50000.00: not disclosed"]
        assert told["broken"] == []
        assert told["state_hash"] == world.state_hash
        assert "ASSUMED     principal = 50000.00: not disclosed\n" in text
        assert "NOT CLAIMED any amount as fact\n" in text
        assert "refused     draw/above-principal amount=7\n" in text
        assert "lender: lend  (acts 1 to " in text
        assert "borrower: repay\n" in text
        assert pilot.sound
        pilot.check("the moon is of cheese", False)
        assert not pilot.sound
        assert "BROKEN      the moon is of cheese\n" in pilot_text(pilot)


def test_an_unknown_pilot_is_refused_by_name() -> None:
    for ask in (load_plan, play_pilot):
        with pytest.raises(BadInput, match="scene/unknown"):
            ask("a-pilot")
