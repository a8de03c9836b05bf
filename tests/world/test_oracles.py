"""Oracles that disagree, prices that jump, and the guardian's pause, on a whole world."""

from __future__ import annotations

import pytest
from world_lab import sound

from escrow.adapters.evm import typed
from escrow.core.errors import BadInput, Rejected
from escrow.core.phases import system_phase
from escrow.core.regions.system import PriceMarked
from escrow.core.units import DAY, HOUR, PriceE8
from escrow.world import World


def value(world) -> PriceE8:
    return world.engine.system.price.price


def reports(world) -> tuple[PriceE8, ...]:
    """What the oracles said in the last act's round."""
    events = (step.event for _, step in world.acts[-1].steps)
    return next(event.reports for event in events if isinstance(event, PriceMarked))


def phase(world) -> str:
    return system_phase(world.engine.system)


def test_one_oracle_that_lies_moves_nothing(world):
    deal, before = world.loans[0], value(world)
    for wild in ("1", "9000000000"):
        world.lie("oracle-2", wild)
        world.price("80000.00")
        assert value(world) == 80_000 * 10**8
        assert deal.phase == "ACTIVE"
    said = reports(world)
    assert said == (80_000 * 10**8, 80_000 * 10**8, 9_000_000_000 * 10**8)
    assert before != value(world)
    sound(world)


def test_a_quorum_that_lies_is_outvoted_where_it_would_make_the_price_jump(world):
    """Two of the three that are asked: then all five are, and three of them are honest."""
    world.price("80000.00")
    world.lie("oracle-1", "20000")
    world.lie("oracle-2", "20000")
    world.price("80000.00")
    assert value(world) == 80_000 * 10**8
    assert len(reports(world)) == 5
    # Within the bound they have their way: that is what the bound is for.
    world.lie("oracle-1", "70000")
    world.lie("oracle-2", "70000")
    world.price("80000.00")
    assert value(world) == 70_000 * 10**8
    for name in ("oracle-1", "oracle-2"):
        world.lie(name, None)
    world.price("80000.00")
    assert value(world) == 80_000 * 10**8
    sound(world)


def test_a_jump_waits_for_all_oracles_or_for_the_heartbeat(world):
    deal = world.loans[0]
    world.price("80000.00")
    world.silence("oracle-5")
    with pytest.raises(Rejected, match="price/deviation"):
        world.price("46000.00")
    assert value(world) == 80_000 * 10**8
    world.price("70000.00")
    world.answer("oracle-5")
    world.price("46000.00")
    assert deal.phase == "MARGIN_CALL"
    sound(world)


def test_a_price_that_nobody_may_repeat_grows_stale_first(world):
    """At the heartbeat three oracles answer, and two of them have begun to lie: that is a jump."""
    world.price("80000.00")
    world.silence("oracle-4", "oracle-5")
    world.lie("oracle-1", "20000")
    world.lie("oracle-2", "20000")
    posted = world.now
    world.advance(days=1)
    assert [refusal.code for refusal in world.acts[-1].refusals] == ["price/deviation"]
    assert world.engine.system.price.at == posted
    assert phase(world) == "RUNNING"
    world.advance(seconds=1)
    assert value(world) == 20_000 * 10**8
    sound(world)


def test_a_pause_costs_no_cure_time_and_hinders_no_payment(new):
    world = new(seed=1)
    deal = world.open(cure=DAY)
    world.price("46000.00")
    assert deal.phase == "MARGIN_CALL"
    world.advance(hours=1)
    world.pause(2 * DAY)
    assert phase(world) == "DEGRADED(PAUSED)"
    for ask in (
        world.liquidate,
        world.expire_call if hasattr(world, "expire_call") else world.cure,
    ):
        with pytest.raises(Rejected, match="price/stale"):
            ask()
    world.repay(deal, "100.00")
    world.advance(seconds=2 * DAY - 1)
    assert phase(world) == "DEGRADED(PAUSED)"
    world.advance(seconds=1)
    assert phase(world) == "RUNNING"
    world.advance(seconds=DAY - HOUR)
    assert deal.phase == "MARGIN_CALL"
    world.advance(seconds=1)
    assert deal.phase == "LIQUIDATING"
    sound(world)


def test_a_pause_is_ended_by_the_guardian_and_by_nobody_else(world):
    with pytest.raises(Rejected, match="pause/not-guardian"):
        world.pause(60, by="lender")
    world.pause(DAY)
    with pytest.raises(Rejected, match="pause/not-guardian"):
        world.resume(by="operator")
    with pytest.raises(Rejected, match="pause/too-soon"):
        world.pause(60)
    world.advance(hours=1)
    world.resume()
    assert phase(world) == "DEGRADED(PAUSED)"
    with pytest.raises(Rejected, match="pause/ends-soon"):
        world.resume()
    world.advance(hours=4)
    assert phase(world) == "RUNNING"
    with pytest.raises(Rejected, match="pause/not-paused"):
        world.resume()
    world.advance(hours=4, minutes=59)
    with pytest.raises(Rejected, match="pause/too-soon"):
        world.pause(60)
    world.advance(minutes=1)
    world.pause(60)
    sound(world)


def test_a_seizure_after_a_pause_is_paid_by_cosigners_who_count_the_clock_themselves(new):
    world = new(seed=1)
    deal = world.open(cure=2 * HOUR)
    world.price("46000.00")
    world.advance(hours=1)
    world.pause(DAY)
    world.advance(days=1, hours=1, seconds=1)
    assert deal.phase == "LIQUIDATING"
    world.liquidate(deal)
    world.burn(deal, by="lender")
    world.mine(6)
    assert world.sats_of("lender") > 0
    sound(world)


def test_lies_and_a_pause_are_saved_and_branch(world, tmp_path):
    world.lie("oracle-2", "1")
    world.pause(DAY)
    world.save(tmp_path / "paused.escrow")
    with World.load(tmp_path / "paused.escrow") as loaded:
        assert loaded.state_hash == world.state_hash
        assert phase(loaded) == "DEGRADED(PAUSED)"
        loaded.price("80000.00")
        assert reports(loaded)[0] == 10**8
    world.lie("oracle-2", None)


@pytest.mark.parametrize(
    ("ask", "code"),
    [
        (lambda world: world.lie("lender", "1"), "input/unknown-party"),
        (lambda world: world.lie("nobody", "1"), "input/unknown-party"),
        (lambda world: world.lie("oracle-1", "0"), "input/amount"),
        (lambda world: world.pause(-1), "input/time"),
        (lambda world: world.pause(True), "input/time"),
        (lambda world: world.pause(60, by="nobody"), "input/unknown-party"),
    ],
)
def test_what_cannot_be_read(world, ask, code):
    with pytest.raises(BadInput, match=code):
        ask(world)


def test_another_set_of_oracles_is_followed_by_everybody(world):
    """The same five in another order, and all of them make a price: the engine goes by that."""
    prices, stranger = world.evm.contracts.prices, world.party("stranger")
    names = [f"oracle-{number}" for number in range(5, 0, -1)]
    change = {
        "number": prices.call("change_number"),
        "members": tuple(world.party(name).address_bytes for name in names),
        "quorum": 5,
    }
    sigs = [
        typed.sign_set_change(world.party(name).account, change=change, domain=prices.domain)
        for name in names[:3]
    ]
    prices.send(stranger.account, "propose_set", change["members"], 5, sigs)
    world.advance(days=2)
    prices.send(stranger.account, "rotate_set")
    world.settle()
    assert world.engine.system.quorum == 5
    world.price("80000.00")
    assert len(reports(world)) == 5
    world.silence("oracle-1")
    with pytest.raises(Rejected, match="price/too-few-signers"):
        world.price("80000.00")
    sound(world)
