"""The pilot of an atomic swap: played to its end, with every refusal that it tells of."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from escrow.sim.pilot import Pilot, load_plan, play_pilot
from escrow.view.pilot import pilot_as_dict, pilot_text


@pytest.fixture(scope="module")
def pilot() -> Iterator[Pilot]:
    played = play_pilot("atomic-swap")
    with played.world:
        yield played


def test_it_ends_well(pilot: Pilot) -> None:
    assert pilot.sound
    assert len(pilot.checks) == 6
    assert pilot.result["cents_to_miner"] == 1_400_000_000
    assert pilot.result["sats_to_bank"] == 200_000_000 - 2 * 139
    assert pilot.result["yuan_cents_to_miner"] == 9_020_000


def test_what_it_shows_to_be_refused(pilot: Pilot) -> None:
    assert [step.refused for step in pilot.steps if step.refused] == [
        "swap/margin",
        "swap/order",
        "hashlock/preimage",
        "platform/offline",
        "bitcoin/non-final",
        "settle/rate",
    ]


def test_every_number_is_assumed_and_said_to_be(pilot: Pilot) -> None:
    text, told = pilot_text(pilot), pilot_as_dict(pilot)
    assert len(told["assumed"]) == len(load_plan("atomic-swap").terms)  # type: ignore[arg-type]
    assert text.count("ASSUMED ") == len(pilot.plan.terms)
    assert "NOT CLAIMED any interface, rule or limit of the digital rouble" in text
    assert pilot.plan.systems == ("S19", "S20")


def test_the_same_seed_tells_the_same(pilot: Pilot) -> None:
    again = play_pilot("atomic-swap")
    with again.world:
        assert pilot_text(again) == pilot_text(pilot)
