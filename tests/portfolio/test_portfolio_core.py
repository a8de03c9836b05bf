"""A portfolio by the rules alone: nobody's story is another's, and skipping changes no story."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from portfolio_lab import DILIGENT, OWED, PAYING, SILENT, START, member, path, played, story

from escrow.adapters.price.files import Quote
from escrow.core.errors import BadInput, Rejected
from escrow.core.phases import loan_phase
from escrow.core.regions.loan import Active, CallCured, Liquidated, MarginCalled, Refinanced
from escrow.core.roles import Role
from escrow.core.rules import Debt, accrue, interest_due
from escrow.core.units import COIN, DAY, HOUR, Bps, Cents, PriceE8, Sats, Seconds
from escrow.core.verbs.pause import Pause
from escrow.core.verbs.tick import Tick
from escrow.sim.book import Bound, Watchlist, bound_of
from escrow.sim.outcomes import outcomes
from escrow.sim.portfolio import Habit, Member, Portfolio

CHANCE = st.sampled_from((0, 3_000, 10_000))


@st.composite
def members(draw: st.DrawFn, name: str = "") -> Member:
    """Terms and habits of every sort, also such that stand at a level from the start."""
    habit = Habit(
        answers=Bps(draw(CHANCE)),
        pays=Bps(draw(CHANCE)),
        repays=Bps(draw(CHANCE)),
        reserve=Sats(draw(st.sampled_from((0, COIN >> 2, 10 * COIN)))),
    )
    return member(
        name or f"m-{draw(st.integers(0, 99))}",
        habit=habit,
        draw=draw(st.sampled_from((1, 1_200_000, 2_399_999, 2_400_000))),
        rate_bps=Bps(draw(st.sampled_from((0, 2_300, 100_000)))),
        maturity=Seconds(START + draw(st.sampled_from((2, 5, 12, 60))) * DAY),
        cure=Seconds(draw(st.sampled_from((1, 6 * HOUR, DAY)))),
    )


@st.composite
def paths(draw: st.DrawFn) -> list[Quote]:
    """Up and down, with jumps to just where something may come due; now and then a long gap."""
    at, found = START, path(48_000)
    steps = draw(st.lists(st.sampled_from((1, 6 * HOUR, DAY, DAY + 1, 40 * DAY)), max_size=16))
    for step in steps:
        at = Seconds(at + step)
        price = draw(st.sampled_from((60_000, 48_000, 40_000, 36_000, 32_000, 30_000, 15_000)))
        off = draw(st.sampled_from((-1, 0, 1)))
        found.append(Quote(at, PriceE8(price * 10**8 + off)))
    return found


RATES = st.sampled_from(((), ((Seconds(START + 2 * DAY), Bps(1_900)),)))


@settings(max_examples=60)
@given(
    st.lists(members(), min_size=1, max_size=4, unique_by=lambda m: m.name),
    paths(),
    RATES,
    st.sampled_from((None, 1, 3)),
)
def test_skipping_changes_no_story(
    chosen: list[Member],
    quotes: list[Quote],
    rates: tuple[tuple[Seconds, Bps], ...],
    paused: int | None,
) -> None:
    """Event by event, draw by draw, also where the guardian pauses: the bounds are never wrong."""
    told = []
    for skipping in (True, False):
        done = Portfolio(chosen, first=quotes[0], seed=3, rates=rates, every=1, skipping=skipping)
        if paused is None:
            done.run(quotes[1:])
        else:
            done.run(quotes[1:paused])
            stop = Pause(Role.GUARDIAN, done.book.system.clock, Seconds(DAY))
            done.book.tell(stop)
            done.run(quotes[paused:])
        assert done.book.broken == []
        told.append(done)
    skipped, full = told
    assert skipped.book.log == full.book.log
    assert skipped.book.system == full.book.system
    assert skipped.streams.counters == full.streams.counters
    assert outcomes(skipped) == outcomes(full)
    assert skipped.book.looks <= full.book.looks


@settings(max_examples=40)
@given(
    members("a"),
    st.lists(members(), max_size=3, unique_by=lambda m: m.name),
    paths(),
    RATES,
    st.booleans(),
)
def test_no_loan_touches_another(
    mine: Member,
    others: list[Member],
    quotes: list[Quote],
    rates: tuple[tuple[Seconds, Bps], ...],
    first: bool,
) -> None:
    """INV-RISK-9: a loan alone and the same one among others, which are called, sold, repaid: its
    events, its state and its outcome are the same."""
    alone = played([mine], quotes, rates=rates)
    among = played([mine, *others] if first else [*others, mine], quotes, rates=rates)
    assert story(alone, "a") == story(among, "a")
    assert alone.book.deal("a") == among.book.deal("a")
    assert outcomes(alone).loans == tuple(o for o in outcomes(among).loans if o.name == "a")


def test_each_draws_from_its_own_streams() -> None:
    """Half of the calls are answered: whose are, does not depend on who else is called."""
    habit = replace(DILIGENT, answers=Bps(5_000), pays=Bps(5_000), repays=Bps(5_000))
    quotes = path(48_000, *[32_000] * 8, *[48_000] * 300)
    many = [member(f"m-{n}", habit=habit) for n in range(8)]
    among = played(many, quotes)
    assert 0 < outcomes(among).total("cured") < 8
    for each in many:
        assert story(played([each], quotes), each.name) == story(among, each.name)


def test_resting_loans_cost_nothing() -> None:
    """A hundred prices that reach nobody: two looks each, when accepting and drawing end."""
    done = played([member(f"m-{n}") for n in range(10)], path(*[48_000] * 100))
    opened = played([member(f"m-{n}") for n in range(10)], path(48_000))
    assert done.book.looks == opened.book.looks + 2 * 10
    full = played([member(f"m-{n}") for n in range(10)], path(*[48_000] * 100), skipping=False)
    assert full.book.looks == opened.book.looks + 99 * 10


def test_one_mark_calls_all_that_reach_their_level_and_no_other() -> None:
    drawn = {f"m-{n}": 2_000_000 + n * 50_000 for n in range(9)}
    done = played([member(name, draw=cents) for name, cents in drawn.items()], path(48_000, 30_000))
    called = {loan for loan, event in done.book.log if isinstance(event, MarginCalled)}
    reached = {name for name, cents in drawn.items() if cents * 100 >= 30_000 * 100 * 75}
    assert called == reached
    assert 0 < len(reached) < len(drawn)


def test_a_bound_is_the_highest_price_that_calls() -> None:
    done = Portfolio([member("a", rate_bps=Bps(2_300))], first=path(48_000)[0], seed=1)
    done.run([Quote(Seconds(START + 2 * DAY), PriceE8(48_000 * 10**8))])
    deal, until = done.book.deal("a"), Seconds(START + 20 * DAY)
    bound = bound_of(deal, until=until)
    assert bound is not None
    assert bound.until == until
    for price, called in ((bound.below, True), (bound.below + 1, False)):
        book = Portfolio([done.members[0]], first=path(48_000)[0], seed=1, skipping=False)
        book.run([Quote(until, PriceE8(price))])
        assert any(isinstance(e, MarginCalled) for e in story(book, "a")) is called
    assert bound_of(replace(deal, token=replace(deal.token, held=Sats(0))), until=until) is None


def test_a_watchlist_gives_back_what_is_reached() -> None:
    watch = Watchlist()
    watch.put("a", Bound(PriceE8(100), Seconds(50)))
    watch.put("b", Bound(PriceE8(90), Seconds(60)))
    watch.put("c", Bound(PriceE8(200), Seconds(70)))
    watch.drop("c")
    assert watch.reached(price=PriceE8(101), at=Seconds(49)) == []
    assert watch.reached(price=PriceE8(100), at=Seconds(49)) == ["a"]
    assert watch.reached(price=PriceE8(100), at=Seconds(59)) == []
    watch.put("a", Bound(PriceE8(10), Seconds(99)))
    assert watch.reached(price=PriceE8(91), at=Seconds(60)) == ["b"]
    assert watch.reached(price=PriceE8(1), at=Seconds(99)) == ["a"]
    assert watch.reached(price=PriceE8(1), at=Seconds(99)) == []


def test_each_borrower_does_what_it_is_like() -> None:
    """Called at 75 %: one is silent and sold, one sends coins, one pays, one has too few coins."""
    poor = replace(DILIGENT, reserve=Sats(1_000))
    habits = {"silent": SILENT, "coins": DILIGENT, "money": PAYING, "poor": poor}
    quotes = path(48_000, *[32_000] * 8, *[48_000] * 400)
    done = played([member(name, habit=habit) for name, habit in habits.items()], quotes)
    found = {each.name: each for each in outcomes(done).loans}
    assert {name: each.phase for name, each in found.items()} == {
        "silent": "SETTLED",
        "coins": "RELEASED",
        "money": "RELEASED",
        "poor": "SETTLED",
    }
    assert all(each.calls == 1 for each in found.values())
    assert [found[name].cured for name in habits] == [0, 1, 1, 0]
    assert found["silent"].recovered == OWED
    assert found["silent"].sold == 75_000_000
    assert found["money"].repaid == found["coins"].repaid == OWED
    assert all(each.worst == 7_500 for each in found.values())
    assert all(each.outstanding == each.loss == 0 for each in found.values())


def test_who_does_not_repay_is_in_default_after_the_grace() -> None:
    done = played([member("a")], path(*[48_000] * 300))
    [sale] = [each for each in story(done, "a") if isinstance(each, Liquidated)]
    assert sale.reason.value == "default"
    terms = done.members[0].terms
    assert terms.maturity + terms.grace < sale.at <= terms.maturity + terms.grace + DAY


def test_what_coins_do_not_cover_is_lost() -> None:
    done = played([member("a"), member("b")], path(48_000, 20_000))
    found = outcomes(done)
    assert found.total("loss") == 2 * 400_000
    assert found.total("recovered") == 2 * 2_000_000
    assert found.phases == {"WRITTEN_OFF": 2}
    assert found.total("outstanding") == 0
    assert found.worst == 12_000


def test_concentration_is_of_borrowers() -> None:
    same = member("c").terms.borrower
    done = played([member("a"), member("b", borrower=same), member("c")], path(48_000))
    found = outcomes(done)
    assert found.largest == 6_667
    assert found.concentration == 5_556
    assert outcomes(played([], path(48_000))).as_dict()["largest_bps"] == 0


def test_a_floating_rate_is_signed_anew() -> None:
    """On its day where the coins carry the debt at the restore level; otherwise day by day."""
    rates = ((Seconds(START + 2 * DAY), Bps(1_900)),)
    quotes = path(*[48_000] * 4, *[39_000] * 8, *[48_000] * 8)
    done = played(
        [member("a", rate_bps=Bps(2_300)), member("b", draw=1_000_000, rate_bps=Bps(2_300))],
        quotes,
        rates=rates,
    )
    assert done.refused == {"draw/above-initial-ltv": 1}
    [late] = [event.at for event in story(done, "a") if isinstance(event, Refinanced)]
    [timely] = [event.at for event in story(done, "b") if isinstance(event, Refinanced)]
    assert timely == START + 2 * DAY
    assert late == START + 3 * DAY
    for name in ("a", "b"):
        loan = done.book.deal(name).loan
        assert isinstance(loan, Active)
        assert loan.terms.rate_bps == 1_900


def test_a_cure_shows_in_the_story() -> None:
    done = played([member("a", habit=DILIGENT)], path(48_000, *[32_000] * 8))
    assert [type(each) for each in story(done, "a")].count(CallCured) == 1
    assert loan_phase(done.book.deal("a")) == "ACTIVE"


def test_a_month_at_key_rate_and_seven() -> None:
    """1,000,000.00 for 31 days at 23 %, actual/365: 19,534.25."""
    debt = Debt(principal=Cents(100_000_000))
    grown = accrue(debt, rate_bps=Bps(2_300), at=Seconds(31 * DAY))
    assert interest_due(grown) == 1_953_425


def test_what_is_no_portfolio(monkeypatch: pytest.MonkeyPatch) -> None:
    first = path(48_000)[0]
    with pytest.raises(BadInput, match="input/party"):
        Portfolio([member("a"), member("a")], first=first, seed=1)
    with pytest.raises(Rejected, match="draw/above-initial-ltv"):
        Portfolio([member("a", draw=2_400_001)], first=first, seed=1)
    monkeypatch.setattr("escrow.sim.portfolio.MAX_MEMBERS", 2)
    with pytest.raises(BadInput, match="input/amount"):
        Portfolio([member(str(n)) for n in range(3)], first=first, seed=1)
    for wrong in ({"answers": -1}, {"pays": 10_001}, {"repays": -1}, {"reserve": -1}):
        with pytest.raises(BadInput, match="input/amount"):
            replace(SILENT, **wrong)
    done = Portfolio([member("a")], first=first, seed=1)
    with pytest.raises(Rejected, match="price/not-newer"):
        done.run([first])
    with pytest.raises(Rejected, match="tick/not-watcher"):
        done.book.tell(Tick(Role.BORROWER, Seconds(START + 1)))
