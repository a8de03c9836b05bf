"""The pilots of eligibility, played: what is refused, by which rule, and on which chain."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from escrow.sim.pilot import Pilot, play_pilot
from escrow.view.pilot import pilot_as_dict, pilot_text

REFUSED = {
    "registry-delisting": [
        ("eligibility/denied", "ru/mining-threshold"),
        ("eligibility/denied", "ru/mining-registry"),
        ("eligibility/denied", "ru/mining-report"),
        ("eligibility/denied", "ru/mining-threshold"),
        ("token/cannot-send", ""),
        ("eligibility/denied", "ru/mining-threshold"),
    ],
    "highly-qualified": [
        ("eligibility/denied", "elr/highly-qualified"),
        ("eligibility/denied", "elr/highly-qualified"),
        ("token/cannot-receive", ""),
        ("dfa/limit", "ru/dfa-limit"),
        ("dfa/units", ""),
        ("dfa/frozen", ""),
    ],
    "elr-settlement": [
        ("eligibility/denied", "elr/cross-border"),
        ("elr/residents", "elr/cross-border"),
        ("elr/not-listed", "elr/participant"),
        ("elr/over", "elr/sunset"),
    ],
}
"""What each refuses, in order: code and rule."""


@pytest.fixture(scope="module", params=sorted(REFUSED))
def played(request: pytest.FixtureRequest) -> Iterator[Pilot]:
    pilot = play_pilot(request.param, seed=3)
    yield pilot
    pilot.world.close()


def test_it_refuses_what_it_should_and_says_by_which_rule(played: Pilot) -> None:
    found = [
        (step.refused, str(step.facts.get("rule", ""))) for step in played.steps if step.refused
    ]
    assert found == REFUSED[played.plan.name]


def test_every_law_and_every_check_holds(played: Pilot) -> None:
    assert played.checks
    assert played.sound
    assert all(not deal.state.incidents for deal in played.world.loans)


def test_what_nobody_disclosed_is_printed(played: Pilot) -> None:
    text = pilot_text(played)
    assert played.plan.assumed
    for each in played.plan.assumed:
        assert f"ASSUMED     {each}" in text
    assert "NOT CLAIMED" in text
    drawn = played.plan.name == "registry-delisting"
    assert ("ASSUMED     loan.rate_bps = 1200: " in text) is drawn, "of a loan that is drawn"


def test_the_same_seed_tells_the_same_story(played: Pilot) -> None:
    again = play_pilot(played.plan.name, seed=3)
    try:
        assert pilot_as_dict(again) == pilot_as_dict(played)
    finally:
        again.world.close()
