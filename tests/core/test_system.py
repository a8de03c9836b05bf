"""The platform: its clock, its price, and the active clock that margin calls are measured on."""

import pytest
from deals import AT_INITIAL, NOW, platform
from hypothesis import given
from hypothesis import strategies as st

from escrow.core.regions.system import (
    ClockTicked,
    Degraded,
    OracleStale,
    Price,
    PriceMarked,
    Running,
    System,
    Tips,
    active_seconds,
    evolve_system,
    is_fresh,
    stale_from,
)
from escrow.core.units import HOUR, Seconds


def marked(system: System, at: int, *, seen: int | None = None) -> System:
    """A price signed at ``at``, seen by the oracles at ``seen``."""
    number = system.price.round + 1 if system.price else 1
    price = Price(number, AT_INITIAL, Seconds(at if seen is None else seen))
    return evolve_system(system, PriceMarked(Seconds(at), price, (AT_INITIAL,) * 3))


def test_a_platform_without_a_price_is_stale_and_its_active_clock_stands() -> None:
    system = platform()
    assert system.mode == Degraded("ORACLE_STALE", NOW)
    assert not is_fresh(system, at=NOW)
    assert stale_from(system) == NOW
    assert [active_seconds(system, at=Seconds(NOW + s)) for s in (0, 1, HOUR)] == [NOW] * 3


@pytest.mark.parametrize(
    ("age", "fresh", "active"),
    [(0, True, 0), (HOUR - 1, True, HOUR - 1), (HOUR, True, HOUR), (HOUR + 1, False, HOUR)],
)
def test_the_active_clock_runs_up_to_the_heartbeat(age: int, fresh: bool, active: int) -> None:
    system, at = marked(platform(), NOW), Seconds(NOW + age)
    assert is_fresh(system, at=at) is fresh
    assert active_seconds(system, at=at) == NOW + active


def test_a_price_is_as_old_as_when_it_was_seen() -> None:
    system = marked(platform(), NOW + 100, seen=NOW + 40)
    assert stale_from(system) == NOW + 40 + HOUR


def test_an_outage_is_lost_once() -> None:
    once = marked(marked(platform(), NOW), NOW + HOUR + 500)
    assert once.lost == 500
    assert active_seconds(once, at=Seconds(NOW + HOUR + 500)) == NOW + HOUR
    again = marked(once, NOW + HOUR + 600)
    assert again.lost == 500


def test_events_move_clock_mode_and_tips() -> None:
    tips = Tips(height=3, bitcoin="aa", block=4, evm="bb")
    ticked = evolve_system(platform(), ClockTicked(Seconds(NOW + 5), tips))
    assert (ticked.clock, ticked.tips, ticked.mode) == (NOW + 5, tips, platform().mode)
    running = marked(ticked, NOW + 6)
    assert (running.clock, running.mode) == (NOW + 6, Running())
    dark = evolve_system(running, OracleStale(Seconds(NOW + 9_999), since=Seconds(NOW + HOUR + 6)))
    assert (dark.clock, dark.mode) == (NOW + 9_999, Degraded("ORACLE_STALE", NOW + HOUR + 6))


@given(st.lists(st.integers(1, 3 * HOUR), max_size=12), st.integers(0, 3 * HOUR))
def test_the_active_clock_counts_the_seconds_with_a_fresh_price(gaps, last) -> None:
    """Ghost model: a second is active if the price before it was not older than the heartbeat."""
    system, now, ghost = marked(platform(), NOW), int(NOW), int(NOW)
    for gap in gaps:
        ghost += min(gap, HOUR)
        now += gap
        system = marked(system, now)
        assert active_seconds(system, at=Seconds(now)) == ghost
    assert active_seconds(system, at=Seconds(now + last)) == ghost + min(last, HOUR)
