"""The lending market in a world with real coins: what is pledged twice is refused, and a coin has
one claim at most, whatever is done in whatever order."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from world_lab import in_vault, refuses

from escrow.core.errors import BadInput, EscrowError, Rejected
from escrow.core.units import COIN, DAY
from escrow.sim.market import Market
from escrow.world import World

UNIT = COIN // 10


def one_claim_a_coin(world: World) -> None:
    """Both chains: each coin was minted for once, and what is free, held and in the market is all
    there is, and no more than the coins in the vaults that no burn is owed."""
    parts, market = world.evm.contracts, Market(world)
    held = 0
    for deal in world.loans:
        burned = sum(burn.sats for burn in deal.state.token.burns if not is_paid(world, burn.id))
        assert world.evm.outstanding(deal.id) + burned <= in_vault(world, deal)
        held += world.evm.held(deal.id)
    free = sum(world.tokens_of(name) for name in world.parties)
    supply = parts.pledge.call("totalSupply")
    assert free + held + market.collateral == supply
    assert supply == sum(world.evm.outstanding(deal.id) for deal in world.loans)
    assert market.collateral == sum(market.place(name).collateral for name in world.parties)
    logs = [log for tx in world.evm.chain.transactions() for log in tx.receipt.logs]
    minted = [e.args for e in parts.events(logs) if e.name == "Minted"]
    outpoints = [(said["txid"].hex(), said["vout"]) for said in minted]
    assert len(set(outpoints)) == len(outpoints)
    assert all(world.bitcoin.transaction(txid) is not None for txid, _ in outpoints)
    assert world.engine.broken == []


def is_paid(world: World, burn: int) -> bool:
    """Is the payout of a burn in a block?"""
    return any(
        world.bitcoin.depth(payout.txid) > 0 and burn in {each for each, _ in payout.paid}
        for deal in world.loans
        for payout in deal.state.vault.payouts
    )


@pytest.fixture(scope="module")
def begun() -> Iterator[World]:
    with World() as world:
        loan = world.open()
        market = Market.open(world, lltv=8_600, base=200, slope=800)
        market.supply("100000.00")
        world.pledge(loan, btc="0.5", wait=False)
        world.mine(6)
        yield world


@pytest.fixture
def world(begun: World) -> Iterator[World]:
    """A loan holds 1.5 coins; the borrower has 0.5 more that are free, and a market has cash."""
    with begun.fork() as fork:
        yield fork


# A coin pledged twice


def test_what_a_loan_holds_does_not_get_into_the_market(world: World) -> None:
    market = Market(world)
    with refuses(world, "token/held"):
        market.supply_collateral(btc="0.6")
    market.supply_collateral(btc="0.5")
    with pytest.raises(Rejected, match="token/held"):
        market.supply_collateral(btc="0.1")
    one_claim_a_coin(world)
    world.repay(by="liquidator")
    market.supply_collateral(btc="1.5")
    one_claim_a_coin(world)


def test_what_is_in_the_market_does_not_get_into_a_loan(world: World) -> None:
    market = Market(world)
    market.supply_collateral(btc="0.5")
    with pytest.raises(Rejected, match="top-up/no-tokens"):
        world.secure()
    market.withdraw_collateral(btc="0.5")
    world.secure()
    assert world.loans[0].state.token.held == 2 * COIN
    one_claim_a_coin(world)


def test_what_is_in_the_market_is_not_paid_out_in_coins(world: World) -> None:
    market = Market(world)
    market.supply_collateral(btc="0.5")
    market.borrow("1000.00")
    with pytest.raises(Rejected, match="burn/no-tokens"):
        world.burn(btc="0.1")
    market.repay(of="borrower", by="liquidator")
    market.withdraw_collateral(btc="0.5")
    world.burn(btc="0.5")
    world.mine(6)
    assert world.loans[0].state.vault.payouts
    one_claim_a_coin(world)


def test_a_coin_is_not_attested_again_while_its_tokens_are_in_the_market(world: World) -> None:
    Market(world).supply_collateral(btc="0.5")
    before = world.evm.contracts.pledge.call("totalSupply")
    world.reorg(3)
    world.advance(days=1)
    assert world.evm.contracts.pledge.call("totalSupply") == before
    one_claim_a_coin(world)


def test_who_buys_in_the_market_is_paid_by_the_vault(world: World) -> None:
    """A liquidation there moves the claim, and the claim is still one on the same coins."""
    market, loan = Market(world), world.loans[0]
    market.supply_collateral(btc="0.5")
    market.borrow("35000.00")
    world.repay(by="liquidator")
    with refuses(world, "market/healthy"):
        market.liquidate("borrower")
    world.price("80000")
    assert not market.is_healthy("borrower")
    said = market.liquidate("borrower")
    assert (said["repaid"], said["bad_debt"]) == (3_500_000, 0)
    one_claim_a_coin(world)
    coins = world.sats_of("liquidator")
    world.burn(loan, by="liquidator")
    world.mine(6)
    assert world.sats_of("liquidator") - coins >= said["seized"] - loan.terms.max_fee
    one_claim_a_coin(world)


# The market itself


def test_interest_is_the_lenders(world: World) -> None:
    market = Market(world)
    market.supply_collateral(btc="0.5")
    market.borrow("20000.00")
    assert market.rate == 360
    world.advance(days=73)
    assert market.totals.borrowed == 2_000_000 + 2_000_000 * 360 * 73 * DAY // (10_000 * 365 * DAY)
    assert market.place("lender").lent >= 10_000_000 + 14_398
    market.repay(of="borrower", by="liquidator")
    assert market.place("borrower").owed == 0
    market.withdraw()
    assert market.totals.lent <= 1


def test_it_is_kept_with_its_world(world: World, tmp_path: Path) -> None:
    Market(world).supply_collateral(btc="0.5")
    world.save(tmp_path / "world")
    with World.load(tmp_path / "world") as again:
        assert Market(again).place("borrower") == Market(world).place("borrower")
        one_claim_a_coin(again)


def test_a_market_that_is_not_there_or_makes_no_sense() -> None:
    with World() as world:
        with pytest.raises(BadInput, match="evm/contract"):
            Market(world)
        with pytest.raises(Rejected, match="market/level"):
            Market.open(world, lltv=10_000)
        assert not world.extras


# Any order

SATS = st.sampled_from(["0.1", "0.2", "0.5", "1.5"])
CASH = st.sampled_from(["100.00", "20000.00"])
DOINGS = st.one_of(
    st.tuples(st.sampled_from(["in", "out", "burn", "coins", "take", "seize"]), SATS),
    st.tuples(st.sampled_from(["borrow", "pay", "draw"]), CASH),
    st.tuples(st.sampled_from(["secure", "close", "mine", "reorg", "crash", "buy"]), st.just("")),
)
EXPECTED = {
    *("token/held", "token/balance", "token/allowance", "market/collateral", "market/unhealthy"),
    *("market/healthy", "market/liquidity", "top-up/no-tokens", "top-up/not-live", "loan/amount"),
    *("burn/no-tokens", "burn/dust", "repay/no-debt", "draw/not-open", "draw/above-principal"),
    *("withdraw/not-active", "withdraw/above-initial-ltv", "pledge/late", "bitcoin/funds"),
    *("liquidate/healthy", "liquidate/not-live", "input/amount", "price/deviation"),
}


def do(world: World, what: str, how: str) -> None:
    market = Market(world)
    match what:
        case "in":
            market.supply_collateral(btc=how)
        case "out":
            market.withdraw_collateral(btc=how)
        case "burn":
            world.burn(btc=how)
        case "coins":
            world.pledge(btc=how, wait=False)
            world.mine(6)
        case "take":
            world.withdraw(btc=how)
        case "seize":
            world.liquidate()
        case "borrow":
            market.borrow(how)
        case "pay":
            market.repay(how, of="borrower", by="liquidator")
        case "draw":
            world.draw(amount=how)
        case "secure":
            world.secure()
        case "close":
            world.repay(by="liquidator")
        case "mine":
            world.mine(3)
        case "reorg":
            world.reorg(2)
        case "crash":
            world.price("30000")
        case "buy":
            market.liquidate("borrower")


@given(doings=st.lists(DOINGS, min_size=4, max_size=12))
@settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
def test_a_coin_has_one_claim_in_any_order(begun: World, doings: list[tuple[str, str]]) -> None:
    with begun.fork() as world:
        for what, how in doings:
            try:
                do(world, what, how)
            except EscrowError as refusal:
                code = refusal.code
                if code not in EXPECTED:
                    raise
            one_claim_a_coin(world)
