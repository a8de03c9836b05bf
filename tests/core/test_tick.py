"""Time passes."""

import pytest
from deals import NOW, active, code_of, draft, names, play, priced, refuses

from escrow.core.decide import decide
from escrow.core.phases import system_phase
from escrow.core.regions.system import OracleStale, Tips
from escrow.core.roles import Role
from escrow.core.units import HOUR, Seconds
from escrow.core.verbs.tick import Tick


@pytest.mark.parametrize("by", Role)
def test_only_the_watcher_tells_the_time(by: Role) -> None:
    expected = "" if by is Role.WATCHER else "tick/not-watcher"
    assert code_of(draft(), Tick(by, NOW)) == expected


@pytest.mark.parametrize(("step", "code"), [(-1, "clock/backwards"), (0, ""), (1, "")])
def test_time_never_goes_back(step: int, code: str) -> None:
    assert code_of(draft(), Tick(Role.WATCHER, Seconds(NOW + step))) == code


def test_a_command_from_the_past_says_how_late_it_is() -> None:
    past = Tick(Role.WATCHER, Seconds(NOW - 1))
    refuses(draft(), past, "clock/backwards", now=NOW, at=NOW - 1)


@pytest.mark.parametrize(
    ("age", "events", "phase"),
    [
        (HOUR - 1, ["ClockTicked"], "RUNNING"),
        (HOUR, ["ClockTicked"], "RUNNING"),
        (HOUR + 1, ["OracleStale", "ClockTicked"], "DEGRADED(ORACLE_STALE)"),
    ],
)
def test_a_price_serves_until_it_is_older_than_the_heartbeat(age, events, phase) -> None:
    tick = Tick(Role.WATCHER, Seconds(NOW + age))
    assert names(decide(active(), tick)) == events
    assert system_phase(play(active(), tick).system) == phase


def test_going_stale_is_dated_at_the_heartbeat_and_said_once() -> None:
    late = Seconds(NOW + 3 * HOUR)
    stale, _ = decide(active(), Tick(Role.WATCHER, late))
    assert stale == OracleStale(late, since=Seconds(NOW + HOUR))
    after = play(active(), Tick(Role.WATCHER, late))
    assert names(decide(after, Tick(Role.WATCHER, Seconds(late + 1)))) == ["ClockTicked"]


def test_a_new_price_ends_the_outage() -> None:
    late = Seconds(NOW + 3 * HOUR)
    after = priced(play(active(), Tick(Role.WATCHER, late)), at=late)
    assert system_phase(after.system) == "RUNNING"


def test_a_tick_brings_both_tips() -> None:
    tips = Tips(height=7, bitcoin="00ff", block=9, evm="0xaa")
    assert play(draft(), Tick(Role.WATCHER, NOW, tips)).system.tips == tips
