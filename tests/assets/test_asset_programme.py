"""Shares in revenue: who is paid what, on chain, and what that does to their value."""

from __future__ import annotations

from dataclasses import replace

import pytest
from asset_world import desk, machine, world

from escrow.collateral.items import Energy, Item, Revenue, asset_id
from escrow.collateral.revenue import Dues
from escrow.core.errors import BadInput, Rejected
from escrow.core.units import COIN, DAY
from escrow.sim.programme import Programme

BUYER, HOST = "liquidator", "operator"


@pytest.fixture
def programme():
    with world() as made:
        found = desk(made)
        thing = Revenue(
            units=500,
            of=1_000,
            gh_s=10**7,
            until=made.now + 360 * DAY,
            power_day=100,
            cash=0,
            ahead=0,
        )
        item = Item(asset_id("revenue", "1"), "mining-revenue", "programme", thing)
        found.enter(item, units=1_000)
        to = made.party(BUYER).address_bytes
        account = made.party("borrower").account
        found.register.send(account, "transfer", bytes.fromhex(item.id), to, 250)
        found.pledge(item)
        found.draw(1_000_000)
        yield Programme(found, item, holders=("borrower", BUYER), host=HOST)
        assert not made.engine.broken


def test_power_the_lender_and_holders_are_paid_in_this_order(programme: Programme) -> None:
    made, names = programme.desk.world, ("borrower", "lender", HOST, BUYER)
    before = {name: made.cash_of(name) for name in names}
    programme.bill(days=30, service=100_000)
    paid, parts = programme.pay_out(COIN // 50, buyer=BUYER)
    # 2,000.00: 30.00 of power, 1,000.00 of service, and 970.00 for 750 and 250 units.
    assert (paid.power, paid.lender, paid.holders) == (3_000, 100_000, 97_000)
    assert parts == (72_750, 24_250)
    assert {name: made.cash_of(name) - before[name] for name in names} == {
        "borrower": 72_750,
        "lender": 100_000,
        HOST: 3_000,
        BUYER: 24_250 - 200_000,
    }
    assert programme.dues == Dues(0, 0)
    assert programme.desk.owed == 900_000


def test_what_was_missed_comes_first_the_next_time(programme: Programme) -> None:
    programme.bill(days=30, service=100_000)
    paid, parts = programme.pay_out(COIN // 50_000, buyer=BUYER)
    assert (paid.power, paid.lender, parts) == (200, 0, (0, 0))
    assert programme.dues == Dues(2_800, 100_000)
    programme.bill(days=1, service=100_000)
    paid, _ = programme.pay_out(COIN // 50, buyer=BUYER)
    assert (paid.power, paid.lender) == (2_900, 100_000)


def test_the_lender_is_never_paid_more_than_is_owed(programme: Programme) -> None:
    programme.bill(days=0, service=10**9)
    paid, _ = programme.pay_out(COIN, buyer=BUYER)
    assert paid.lender == 1_000_000
    assert programme.desk.owed == 0
    assert programme.desk.items == (programme.item,)


def test_net_asset_value_knows_what_comes_before(programme: Programme) -> None:
    found = programme.desk
    (free,) = [line.worth for line in found.value.lines]
    programme.bill(days=30, service=0)
    programme.pay_out(COIN // 50_000, buyer=BUYER)
    (after,) = [line.worth for line in found.value.lines]
    # Half of what is owed, and of 28.00 of power that was not paid.
    assert free - after == (1_000_000 + 2_800) // 2


def test_all_holders_are_known_or_nobody_is_paid(programme: Programme) -> None:
    made = programme.desk.world
    before = made.cash_of(BUYER)
    alone = Programme(programme.desk, programme.item, holders=("borrower",), host=HOST)
    with pytest.raises(BadInput, match="collateral/thing"):
        alone.pay_out(COIN // 50, buyer=BUYER)
    assert made.cash_of(BUYER) == before


@pytest.mark.parametrize("cash", [2_999, 3_000, 175_749])
def test_a_buyer_that_cannot_pay_all_pays_nobody(programme: Programme, cash: int) -> None:
    made = programme.desk.world
    programme.bill(days=30, service=100_000)
    # 3,000 of power, 100,000 to the lender, 72,750 to the other holder.
    programme.desk.hands.pay(BUYER, HOST, made.cash_of(BUYER) - cash, verb="spend")
    before, dues = made.cash_of(HOST), programme.dues
    with pytest.raises(Rejected, match="token/balance"):
        programme.pay_out(COIN // 50, buyer=BUYER)
    assert (made.cash_of(HOST), programme.dues) == (before, dues)


def test_a_payout_that_one_cannot_receive_pays_nobody(programme: Programme) -> None:
    made = programme.desk.world
    programme.bill(days=30, service=100_000)
    registrar, who = made.party("registrar").account, made.party("borrower").address_bytes
    made.evm.contracts.registry.send(registrar, "suspend", [who])
    before, dues = [made.cash_of(name) for name in (HOST, "lender")], programme.dues
    with pytest.raises(Rejected, match="token/cannot-receive"):
        programme.pay_out(COIN // 50, buyer=BUYER)
    assert ([made.cash_of(name) for name in (HOST, "lender")], programme.dues) == (before, dues)


def test_units_that_left_the_pool_pay_nobody(programme: Programme) -> None:
    found, made = programme.desk, programme.desk.world
    found.repay(found.owed)
    found.give_back(programme.item)
    programme.bill(days=30, service=0)
    before, dues = made.cash_of(HOST), programme.dues
    with pytest.raises(Rejected, match="collateral/not-pledged"):
        programme.pay_out(COIN // 50, buyer=BUYER)
    assert (made.cash_of(HOST), programme.dues) == (before, dues)


def test_shares_are_of_as_many_as_there_are(programme: Programme) -> None:
    """500 of 1,000 that call themselves 500 of 500 would be worth twice as much."""
    found, item = programme.desk, programme.item
    other = replace(item, id=asset_id("revenue", "2"), thing=replace(item.thing, of=500))
    found.enter(other, units=1_000)
    before = (found.items, found.held(other))
    with pytest.raises(BadInput, match="collateral/thing"):
        found.pledge(other)
    with pytest.raises(BadInput, match="collateral/thing"):
        found.restate(item, replace(item.thing, of=500))
    assert (found.items, found.held(other)) == before
    found.pledge(replace(other, thing=replace(other.thing, of=1_000)))


@pytest.mark.parametrize("bill", [{"days": -1, "service": 0}, {"days": 1, "service": -1}])
def test_nobody_is_due_less_than_nothing(programme: Programme, bill: dict[str, int]) -> None:
    with pytest.raises(BadInput, match="input/amount"):
        programme.bill(**bill)
    assert programme.dues == Dues(0, 0)


def test_units_are_not_what_is_restated(programme: Programme) -> None:
    found, item = programme.desk, programme.item
    assert isinstance(item.thing, Revenue)
    with pytest.raises(BadInput, match="collateral/thing"):
        found.restate(item, replace(item.thing, units=501))
    with pytest.raises(BadInput, match="collateral/thing"):
        found.restate(item, Energy(1, 1, ()))
    other = machine(found.world)
    with pytest.raises(Rejected, match="collateral/not-pledged"):
        found.restate(other, other.thing)
    with pytest.raises(BadInput, match="collateral/thing"):
        Programme(found, other, holders=(), host=HOST)
