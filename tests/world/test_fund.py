"""The reserve fund: what comes in, what it is worth, what it proves, and what it may buy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from world_lab import refuses, sound

from escrow.actors.own_coins import verify_own
from escrow.config import WorldConfig
from escrow.core.errors import BadInput, Rejected
from escrow.core.units import COIN, DAY, Bps, Cents
from escrow.sim.fund import Limits, Origin, ReserveFund
from escrow.sim.reserves import prove_world
from escrow.world import World

LIMITS = Limits(price=Bps(10_000), lot=Cents(2_000_000), day=Cents(3_000_000), share=Bps(5_000))
"""20,000.00 a lot, 30,000.00 a day, half in bitcoin."""
CRASH = "38000"
"""At it the loan of 50,000.00 on 1.5 coins stands at 87.72 %: its auction begins at 45,600.00."""
TO_PAR = 19 * 90
"""Seconds until 0.99 to the power of the steps of 90 seconds has eaten the 20 % above par."""


@pytest.fixture(scope="module")
def _begun() -> Iterator[World]:
    with World(config=WorldConfig(extra=("fund:stranger",))) as world:
        world.open(liquidation="auction")
        ReserveFund(world, limits=LIMITS).take_grant("100000.00")
        world.price(CRASH)
        yield world


@pytest.fixture
def world(_begun: World) -> Iterator[World]:
    """An auction has just begun, and the fund has 100,000.00."""
    with _begun.fork() as fork:
        yield fork


def fund_of(world: World, **changes: int) -> ReserveFund:
    return ReserveFund(world, limits=replace(LIMITS, **changes))


# What comes in, and what it is worth


def test_mined_coins_and_cash_come_in_and_are_worth_the_price(world: World) -> None:
    fund = fund_of(world)
    fund.take_mined(btc="0.5")
    assert fund.holdings.coins == 0, "what is not confirmed is not there"
    world.mine(1)
    has = fund.holdings
    assert (has.coins, has.tokens, has.cash) == (COIN // 2, 0, 10_000_000)
    assert has.nav == 10_000_000 + 1_900_000
    assert [(each.origin, each.giver, each.amount) for each in fund.intakes] == [
        (Origin.GRANTED, "issuer", 10_000_000),
        (Origin.MINED, "borrower", COIN // 2),
    ]


def test_seized_tokens_come_in_and_pledged_ones_do_not(world: World) -> None:
    fund = fund_of(world)
    with pytest.raises(Rejected, match="token/held"):
        fund.take_seized(btc="0.1", of="borrower")
    with pytest.raises(Rejected, match="token/balance"):
        fund.take_seized(btc="0.1", of="stranger")
    world.repay()
    fund.take_seized(btc="0.1", of="borrower")
    assert fund.holdings.tokens == COIN // 10
    assert fund.intakes[-1].origin is Origin.SEIZED


def test_nothing_is_worth_an_old_price(world: World) -> None:
    fund = fund_of(world)
    world.silence(*(name for name in world.parties if name.startswith("oracle")))
    world.advance(days=2)
    with pytest.raises(Rejected, match="price/stale"):
        _ = fund.holdings


def test_a_saved_world_knows_what_came_in_and_what_was_bought(world: World, tmp_path: Path) -> None:
    world.advance(seconds=TO_PAR)
    fund = fund_of(world)
    fund.buy(world.loans[-1], btc="0.3")
    world.save(tmp_path / "world")
    with World.load(tmp_path / "world") as again:
        other = fund_of(again)
        assert (other.intakes, other.purchases) == (fund.intakes, fund.purchases)
        assert other.holdings == fund.holdings


# What it buys


def test_it_buys_at_par_and_is_paid_out_in_coins_that_it_proves(world: World) -> None:
    fund, loan = fund_of(world), world.loans[-1]
    world.advance(seconds=TO_PAR)
    bought = fund.buy(loan, btc="0.3")
    assert (bought.sats, bought.loan) == (3 * COIN // 10, loan.id)
    assert 1_100_000 < bought.paid <= 1_140_000, "at most what the oracles say, 11,400.00"
    assert world.cash_of("fund") == 10_000_000 - bought.paid
    assert (
        world.evm.contracts.cash.call(
            "allowance", world.party("fund").address_bytes, world.evm.contracts.book.address
        )
        == 0
    )
    world.burn(loan, by="fund")
    world.mine(loan.terms.confirmations)
    attested = fund.attest()
    assert verify_own(attested, at=world.now) == world.sats_of("fund")
    assert 0 < 3 * COIN // 10 - attested.sats <= loan.terms.max_fee
    sound(world)


def test_above_the_price_it_pays_it_does_not_buy(world: World) -> None:
    fund, loan = fund_of(world), world.loans[-1]
    before = len(world.evm.chain.transactions())
    with pytest.raises(Rejected) as caught:
        fund.buy(loan, btc="0.3")
    assert caught.value.code == "fund/price"
    assert caught.value.facts == {"paid": 1_368_000, "worth": 1_140_000, "most_bps": 10_000}
    assert len(world.evm.chain.transactions()) == before
    world.advance(seconds=TO_PAR - 90)
    with pytest.raises(Rejected, match="fund/price"):
        fund.buy(loan, btc="0.3")
    world.advance(seconds=90)
    fund.buy(loan, btc="0.3")


def test_a_lot_is_no_dearer_than_its_limit(world: World) -> None:
    loan = world.loans[-1]
    world.advance(seconds=TO_PAR)
    paid = fund_of(world).quote(loan, btc="0.5").repaid
    with pytest.raises(Rejected) as caught:
        fund_of(world, lot=paid - 1).buy(loan, btc="0.5")
    assert (caught.value.code, caught.value.facts) == ("fund/lot", {"paid": paid, "most": paid - 1})
    fund_of(world, lot=paid).buy(loan, btc="0.5")


def test_a_days_lots_cost_no_more_than_their_limit_and_the_next_day_is_another(
    world: World,
) -> None:
    loan = world.loans[-1]
    world.advance(seconds=TO_PAR)
    bought = fund_of(world).buy(loan, btc="0.3")
    split = fund_of(world).quote(loan, btc="0.1")
    both = bought.paid + split.repaid
    fund_of(world, lot=bought.paid, day=both).check(split)
    fund = fund_of(world, lot=bought.paid, day=both - 1)
    with pytest.raises(Rejected) as caught:
        fund.buy(loan, btc="0.1")
    assert caught.value.code == "fund/day"
    facts = {"paid": split.repaid, "spent": bought.paid, "most": both - 1}
    assert caught.value.facts == facts
    world.advance(seconds=bought.at + DAY - 1 - world.now)
    with pytest.raises(Rejected, match="fund/day"):
        fund.check(split)
    world.advance(seconds=1)
    fund.check(split)


def test_no_more_of_it_is_in_bitcoin_than_its_limit(world: World) -> None:
    loan = world.loans[-1]
    world.advance(seconds=TO_PAR)
    split = fund_of(world).quote(loan, btc="0.5")
    worth, nav = 1_900_000, 10_000_000 - split.repaid + 1_900_000
    tight = -(-worth * 10_000 // nav)
    with pytest.raises(Rejected, match="fund/share"):
        fund_of(world, share=tight - 1).buy(loan, btc="0.5")
    fund_of(world, share=tight).buy(loan, btc="0.5")


def test_the_rules_of_the_book_are_asked_first(world: World) -> None:
    world.price("90000")
    with pytest.raises(Rejected, match="liquidate/healthy"):
        fund_of(world).buy(world.loans[-1], btc="0.1")


@pytest.mark.parametrize("sealed", [False, True])
def test_what_the_token_refuses_leaves_no_allowance(world: World, sealed: bool) -> None:
    """Nor does it move the clock, where this second has its block already."""
    world.advance(seconds=TO_PAR)
    registry, registrar = world.evm.contracts.registry, world.party("registrar").account
    with world.act("registrar", "suspend"):
        registry.send(registrar, "suspend", [world.party("fund").address_bytes])
    if sealed:
        world.evm.chain.seal()
    with refuses(world, "token/cannot-receive"):
        fund_of(world).buy(world.loans[-1], btc="0.3")
    registry.send(registrar, "reinstate", [world.party("fund").address_bytes])
    assert fund_of(world).buy(world.loans[-1], btc="0.3").sats == 3 * COIN // 10


@pytest.mark.parametrize(
    "change",
    [
        *({name: value} for name in ("price", "share") for value in (0, 10_001)),
        *({"lot": value} for value in (0, LIMITS.day + 1)),
        {"day": 2**64},
    ],
)
def test_limits_that_make_no_sense(change: dict[str, int]) -> None:
    with pytest.raises(BadInput, match="fund/limits"):
        replace(LIMITS, **change)


def test_a_fund_is_a_party() -> None:
    with World() as world, pytest.raises(BadInput, match="input/unknown-party"):
        ReserveFund(world, limits=LIMITS)


def test_the_vaults_that_back_its_tokens_are_proved_by_their_quorums(world: World) -> None:
    from escrow.actors.verifier import verify

    world.advance(seconds=TO_PAR)
    fund_of(world).buy(world.loans[-1], btc="0.3")
    verdict = verify(prove_world(world), at=world.now)
    assert verdict.supply >= fund_of(world).holdings.tokens
    assert verdict.spare >= 0
