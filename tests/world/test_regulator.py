"""The supervisor's view and its orders."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial

import pytest
from world_lab import fingerprint, sound

from escrow.core.errors import BadInput, Rejected
from escrow.core.units import COIN, DAY, HOUR, Bps, Cents, Seconds
from escrow.sim.regulator import Account, Position, Prudential, Regulator, Report
from escrow.words import jsonable
from escrow.world import World

BASEL = {"risk_weight": 125_000, "ratio": 800, "limit": 100, "tier_1": 10**9}
"""1250 %, 8 %, 1 % of a Tier 1 of 10,000,000.00."""
CALLED = "45000"
"""The loan of 50,000.00 on 1.5 coins stands at 74.07 %."""


def regulator(world: World, **changes: int) -> Regulator:
    return Regulator(world, rules=Prudential(**({"in_force": 0} | BASEL | changes)))


def account(report: Report, name: str) -> Account:
    (found,) = (each for each in report.accounts if each.name == name)
    return found


def position(report: Report) -> Position:
    (found,) = report.positions
    return found


@pytest.fixture(scope="module")
def _called() -> Iterator[World]:
    with World() as world:
        world.open(arbiter="arbiter")
        world.price(CALLED)
        yield world


@pytest.fixture
def called(_called: World) -> Iterator[World]:
    """A loan of 50,000.00 on 1.5 coins has just been called."""
    with _called.fork() as fork:
        yield fork


# Reports


def test_a_report_says_what_is_there_and_changes_nothing(called: World) -> None:
    before = fingerprint(called)
    report = regulator(called).report()
    assert fingerprint(called) == before
    found = position(report)
    assert (found.phase, found.borrower, found.pledged) == ("MARGIN_CALL", "borrower", 150_000_000)
    assert (found.ltv, found.cure_left) == (7_408, DAY)
    assert report.exposure.secured_loans == found.debt == called.loans[0].debt
    assert (report.fresh, report.broken, report.supply) == (True, (), 150_000_000)
    held = account(report, "borrower")
    assert (held.tokens, held.held, held.suspended) == (150_000_000, 150_000_000, False)
    assert {each.name for each in report.accounts} == {"borrower", "lender", "liquidator"}
    assert json.loads(json.dumps(jsonable(report.as_dict())))["above_limit"] is False


def test_a_report_of_a_world_without_loans_or_prices() -> None:
    with World() as world:
        report = regulator(world).report()
        assert (report.positions, report.price, report.fresh) == ((), 0, False)
        assert report.exposure.value == 0


def test_what_a_bank_took_over_is_its_own_and_weighs_in_full(called: World) -> None:
    assert regulator(called).report().exposure.sats == 0, "credit is not bitcoin of the bank's"
    called.price("38000")
    called.liquidate()
    exposure = regulator(called).report().exposure
    seized = called.tokens_of("lender")
    assert exposure.sats == seized > COIN
    assert exposure.value == -(-seized * 38_000 * 100 // COIN)
    assert exposure.capital == exposure.value, "1250 % of 8 %"
    assert exposure.secured_loans == 0


@pytest.mark.parametrize(("spare", "above"), [(-1, True), (0, False)])
def test_the_limit_is_a_part_of_tier_1(called: World, spare: int, above: bool) -> None:
    called.price("38000")
    called.liquidate()
    value = regulator(called).report().exposure.value
    exposure = regulator(called, tier_1=100 * (value + spare)).report().exposure
    assert exposure.limit == value + spare
    assert exposure.above_limit is above


def test_rules_count_from_their_day_on(called: World) -> None:
    called.price("38000")
    called.liquidate()
    early = regulator(called, in_force=called.now + 1, tier_1=1).report().exposure
    assert (early.in_force, early.capital, early.above_limit) == (False, 0, False)
    assert early.value > 0
    now = regulator(called, in_force=called.now, tier_1=1).report().exposure
    assert (now.in_force, now.capital, now.above_limit) == (True, now.value, True)


@pytest.mark.parametrize(
    "change",
    [
        *({name: value} for name in ("ratio", "limit") for value in (0, 10_001)),
        *({"risk_weight": value} for value in (0, 10**6 + 1)),
        *({"tier_1": value} for value in (0, 2**64)),
        *({"in_force": value} for value in (-1, 2**40)),
    ],
)
def test_figures_that_make_no_sense(change: dict[str, int]) -> None:
    with pytest.raises(BadInput, match="supervision/rules"):
        Prudential(**({"in_force": 0} | BASEL | change))


def test_the_bank_is_a_party(called: World) -> None:
    rules = Prudential(Seconds(0), Bps(1), Bps(1), Bps(1), Cents(1))
    with pytest.raises(BadInput, match="input/unknown-party"):
        Regulator(called, rules=rules, bank="a bank")


# Orders


def test_who_is_frozen_moves_nothing_and_others_pay_for_it(called: World) -> None:
    order = regulator(called)
    order.freeze("borrower")
    report = order.report()
    assert position(report).frozen
    assert account(report, "borrower").frozen_tokens == 2**64 - 1
    called.pledge(btc="0.1", wait=False)
    called.mine(6)
    for do in (called.secure, called.repay, partial(called.burn, btc="0.1")):
        with pytest.raises(Rejected, match="token/frozen"):
            do()
    called.repay(by="liquidator")
    assert called.loans[0].phase == "REPAID"
    # What the loan gives back is the borrower's, and frozen.
    with pytest.raises(Rejected, match="token/frozen"):
        called.burn(btc="0.1")
    order.unfreeze("borrower")
    assert not position(order.report()).frozen
    called.burn(btc="0.1")
    sound(called)


def test_who_is_suspended_sends_and_receives_nothing(called: World) -> None:
    order = regulator(called)
    order.suspend("borrower")
    assert position(order.report()).frozen
    with pytest.raises(Rejected, match="token/cannot-send"):
        called.repay()
    order.reinstate("borrower")
    called.repay()
    assert not position(order.report()).frozen


@pytest.mark.parametrize("order", ["freeze", "suspend"])
def test_a_frozen_borrowers_time_to_cure_runs_on(called: World, order: str) -> None:
    """As the rules stand: the clock of a call is one for all loans, and only a pause stops it."""
    getattr(regulator(called), order)("borrower")
    called.advance(hours=10)
    assert position(regulator(called).report()).cure_left == DAY - 10 * HOUR
    called.advance(hours=15)
    assert called.loans[0].phase == "LIQUIDATING"


def test_a_halt_stops_the_time_to_cure_of_all(called: World) -> None:
    regulator(called).halt(20 * HOUR)
    called.advance(hours=20)
    left = position(regulator(called).report()).cure_left
    assert left == DAY
    called.advance(hours=23)
    assert called.loans[0].phase == "MARGIN_CALL"
    called.advance(hours=2)
    assert called.loans[0].phase == "LIQUIDATING"


def test_orders_reach_nothing_that_is_pledged(called: World) -> None:
    order = regulator(called)
    order.freeze("borrower")
    order.suspend("lender")
    assert called.loans[0].state.token.held == 150_000_000
    called.price("38000")
    with pytest.raises(Rejected, match="token/cannot-receive"):
        called.liquidate()
    order.reinstate("lender")
    called.liquidate()
    order.unfreeze("borrower")
    sound(called)


def test_orders_are_written_down(called: World) -> None:
    order = regulator(called)
    order.freeze("stranger")
    order.suspend("stranger")
    order.halt(HOUR)
    said = [(act.actor, act.verb, act.asked.get("account")) for act in called.acts[-3:]]
    assert said == [
        ("authority", "freeze", "stranger"),
        ("registrar", "suspend", "stranger"),
        ("guardian", "pause", None),
    ]


def test_whom_nobody_knows_cannot_be_frozen(called: World) -> None:
    with pytest.raises(BadInput, match="input/unknown-party"):
        regulator(called).freeze("nobody")
