"""The guardian stops everything that needs a price, for a while."""

from dataclasses import replace
from itertools import product

import pytest
from deals import (
    AT_CALL,
    AT_INITIAL,
    AT_LIQUIDATION,
    NOW,
    active,
    code_of,
    draft,
    platform,
    play,
    posted,
    priced,
    refuses,
)

from escrow.core.decide import decide
from escrow.core.phases import system_phase
from escrow.core.regions.system import (
    MAX_PAUSE,
    RESUME_GRACE,
    Degraded,
    Paused,
    Price,
    PriceMarked,
    Resumed,
    Running,
    System,
    active_seconds,
    evolve_system,
    is_fresh,
)
from escrow.core.regions.system import Pause as PauseRegion
from escrow.core.roles import Role
from escrow.core.terms import Liquidation
from escrow.core.units import DAY, HOUR, Cents, Seconds
from escrow.core.verbs.liquidate import Liquidate
from escrow.core.verbs.margin_call import MarginCall
from escrow.core.verbs.pause import Pause, Resume
from escrow.core.verbs.repay import Repay
from escrow.core.verbs.tick import Tick


def stop(after: int, seconds: int, by: Role = Role.GUARDIAN) -> Pause:
    return Pause(by, Seconds(NOW + after), Seconds(seconds))


def go_on(after: int, by: Role = Role.GUARDIAN) -> Resume:
    return Resume(by, Seconds(NOW + after))


def later(after: int) -> Tick:
    return Tick(Role.WATCHER, Seconds(NOW + after))


@pytest.mark.parametrize("by", Role)
def test_only_the_guardian_pauses_and_resumes(by: Role) -> None:
    code = "" if by is Role.GUARDIAN else "pause/not-guardian"
    assert code_of(priced(draft()), stop(0, 60, by)) == code
    paused = play(priced(draft()), stop(0, DAY))
    assert code_of(paused, go_on(1, by)) == code


@pytest.mark.parametrize(
    ("seconds", "code"),
    [
        (-1, "pause/length"),
        (0, "pause/length"),
        (1, ""),
        (MAX_PAUSE, ""),
        (MAX_PAUSE + 1, "pause/length"),
    ],
)
def test_a_pause_lasts_at_most_a_week(seconds: int, code: str) -> None:
    assert code_of(priced(draft()), stop(0, seconds)) == code


@pytest.mark.parametrize(
    ("resumed", "again", "code"),
    [
        (None, HOUR, "pause/too-soon"),
        (None, DAY, "pause/too-soon"),
        (None, 2 * DAY - 1, "pause/too-soon"),
        (None, 2 * DAY, ""),
        (30, 60 + 2 * RESUME_GRACE - 1, "pause/too-soon"),
        (30, 60 + 2 * RESUME_GRACE, ""),
        (0, 2 * RESUME_GRACE, ""),
    ],
)
def test_between_pauses_is_as_long_as_the_last_one_was(
    resumed: int | None, again: int, code: str
) -> None:
    paused = play(priced(draft()), stop(0, DAY))
    if resumed is not None:
        paused = play(paused, go_on(resumed))
    assert code_of(paused, stop(again, 1)) == code
    if code:
        least = 2 * (30 + RESUME_GRACE) if resumed else 2 * DAY
        refuses(paused, stop(again, 1), code, least=NOW + least)


@pytest.mark.parametrize(
    ("after", "code"),
    [
        (0, ""),
        (99, ""),
        (100, "pause/ends-soon"),
        (100 + RESUME_GRACE - 1, "pause/ends-soon"),
        (100 + RESUME_GRACE, "pause/not-paused"),
        (2 * DAY, "pause/not-paused"),
    ],
)
def test_only_a_pause_that_lasts_can_be_ended(after: int, code: str) -> None:
    assert code_of(play(priced(draft()), stop(0, 100 + RESUME_GRACE)), go_on(after)) == code
    assert code_of(priced(draft()), go_on(after)) == "pause/not-paused"


def test_a_pause_that_is_ended_cannot_be_put_off_by_ending_it_again() -> None:
    paused = play(priced(draft()), stop(0, DAY), go_on(60))
    end = NOW + 60 + RESUME_GRACE
    refuses(paused, go_on(61), "pause/ends-soon", now=NOW + 61, until=end)
    assert paused.system.pause == PauseRegion(NOW, Seconds(end))


def test_a_pause_that_is_ended_leaves_grace() -> None:
    at = Seconds(NOW + 60)
    paused = play(active(), stop(60, DAY), posted(at, 2, AT_LIQUIDATION), go_on(60))
    again = play(paused, posted(Seconds(at + RESUME_GRACE - 1), 3, AT_LIQUIDATION))
    early, late = (
        Liquidate(Role.LENDER, Seconds(at + RESUME_GRACE - 1 + after), Liquidation.TAKE_OVER)
        for after in (0, 1)
    )
    assert code_of(again, early) == "price/stale"
    top_up = Repay(Role.BORROWER, early.at, Cents(1))
    assert code_of(again, top_up) == ""
    assert code_of(again, late) == ""


def test_a_pause_is_over_at_its_last_second_and_says_so() -> None:
    paused = play(priced(draft()), stop(10, 100))
    assert paused.system.mode == Degraded("PAUSED", Seconds(NOW + 10))
    assert system_phase(paused.system) == "DEGRADED(PAUSED)"
    before, end = play(paused, later(109)), Seconds(NOW + 110)
    assert before.system.mode == paused.system.mode
    assert not is_fresh(before.system, at=Seconds(end - 1))
    assert is_fresh(before.system, at=end)
    assert decide(before, later(110))[0] == Resumed(end, ended=end)
    assert play(before, later(110)).system.mode == Running()
    # Whoever looks later is told when it was.
    assert decide(paused, later(150))[0] == Resumed(Seconds(NOW + 150), ended=end)


def test_a_pause_that_ends_on_a_stale_price_leaves_the_platform_degraded() -> None:
    paused = play(priced(draft()), stop(10, 2 * HOUR))
    over = play(paused, later(10 + 2 * HOUR))
    assert over.system.mode == Degraded("ORACLE_STALE", Seconds(NOW + HOUR))


def test_rounds_go_on_in_a_pause_and_do_not_end_it() -> None:
    paused = play(priced(draft()), stop(10, 2 * HOUR), posted(Seconds(NOW + 99), 2, AT_CALL))
    assert paused.system.price == Price(2, AT_CALL, Seconds(NOW + 99))
    assert paused.system.mode == Degraded("PAUSED", Seconds(NOW + 10))


def test_a_price_after_a_pause_that_nobody_saw_end_finds_the_platform_running() -> None:
    paused = play(priced(draft()), stop(10, 100), posted(Seconds(NOW + 110), 2, AT_INITIAL))
    assert paused.system.mode == Running()


def test_in_a_pause_no_price_decides_and_everybody_may_repay() -> None:
    at = Seconds(NOW + 60)
    deal = play(active(), posted(at, 2, AT_CALL))
    call = MarginCall(Role.OPERATOR, at)
    assert code_of(deal, call) == ""
    paused = play(deal, stop(60, DAY))
    assert code_of(paused, call) == "price/stale"
    assert code_of(paused, Repay(Role.STRANGER, at, paused.loan.debt.principal)) == ""
    resumed = play(paused, go_on(60))
    assert code_of(resumed, call) == "price/stale"
    at = Seconds(at + RESUME_GRACE)
    over = play(resumed, posted(at, 3, AT_CALL))
    assert code_of(over, MarginCall(Role.OPERATOR, at)) == ""


# The clock, against a model that goes second by second.

HEARTBEAT = 3
SPAN = 11


def small() -> System:
    return replace(platform(), heartbeat=Seconds(HEARTBEAT))


class Ghost:
    """A second counts if at its end a price is there, not too old, and nobody has paused."""

    def __init__(self) -> None:
        self.priced: int | None = None
        self.pause = (0, 0)
        self.active = int(NOW)

    def fresh(self, at: int) -> bool:
        recent = self.priced is not None and at <= self.priced + HEARTBEAT
        return recent and not self.pause[0] <= at < self.pause[1]

    def second(self, at: int) -> None:
        """The second that ends at ``at`` passes."""
        recent = self.priced is not None and at <= self.priced + HEARTBEAT
        self.active += recent and not self.pause[0] < at <= self.pause[1]


@pytest.mark.parametrize("seen", [0, 2])
def test_the_clock_counts_the_seconds_with_a_fresh_price_and_no_pause(seen: int) -> None:
    """Every pause of every length, with every end, a second one after it, and rounds at any two
    moments: seconds that were both stale and paused are lost once."""
    stories = 0
    spans = [(f, u, e) for f in range(5) for u in range(f + 1, f + 5) for e in (u, f, f + 1)]
    for (since, until, end), first, then in product(spans, range(SPAN), range(SPAN)):
        if end > until or first + seen >= then:
            continue
        system, ghost, again = small(), Ghost(), 2 * end - since
        for now in range(SPAN):
            at = Seconds(NOW + now)
            ghost.second(at)
            if now in (first, then):
                number = system.price.round + 1 if system.price else 1
                price = Price(number, AT_INITIAL, Seconds(at - seen))
                system = evolve_system(system, PriceMarked(at, price, (AT_INITIAL,)))
                ghost.priced = at - seen
            if now == since:
                system = evolve_system(system, Paused(at, until=Seconds(NOW + until)))
                ghost.pause = (at, NOW + until)
            if now == end and end < until:
                system = evolve_system(system, Resumed(at, ended=at))
                ghost.pause = (ghost.pause[0], at)
            if now == again and again > since:
                system = evolve_system(system, Paused(at, until=Seconds(at + 2)))
                ghost.pause = (at, at + 2)
            assert active_seconds(system, at=at) == ghost.active, (since, until, end, first, then)
            assert is_fresh(system, at=at) == ghost.fresh(at), (since, until, end, first, then)
        stories += 1
    assert stories > 1_000
