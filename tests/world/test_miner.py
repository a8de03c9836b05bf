"""A miner in a world: what its site earns is paid on the chain, and each coin can be traced."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from fractions import Fraction
from pathlib import Path

import pytest

from escrow import World, WorldConfig
from escrow.adapters.bitcoin.vault import address_of
from escrow.core.errors import BadInput, Refused
from escrow.core.units import COIN, DAY, Sats, Seconds
from escrow.mining.catalogue import load_catalogue
from escrow.mining.hashprice import hash_price
from escrow.mining.network import bits_of_difficulty
from escrow.mining.path import implied_rate, network_path
from escrow.mining.pool import Scheme, pool_terms
from escrow.mining.site import Rack, new_site
from escrow.mining.tax import Quote, record
from escrow.sim.miner import Miner, fund_pool
from escrow.sim.origin import Kind, verify_from_blocks, verify_origin

BITS = bits_of_difficulty(148_260_000_000_000)


def miner_in(world: World, **changes: object) -> Miner:
    """1,000 S21 with a pool that pays from 0.001 BTC up; switched on when the world began."""
    start = world.config.start
    site = new_site(
        "a site",
        racks=(Rack(load_catalogue().machine("antminer-s21"), 1_000),),
        power_cap=4_000_000,
        tariff=500,
        since=start,
    )
    path = network_path(
        at=start, height=929_376, bits=BITS, fees=Sats(0), hash_rates=[implied_rate(BITS)] * 4
    )
    terms = pool_terms(
        "a pool",
        scheme=Scheme.PPS,
        fee_bps=100,
        threshold=100_000,
        payout_script=world.party("borrower").script,
    )
    return Miner(world, **({"site": site, "path": path, "terms": terms} | changes))


@pytest.fixture(scope="module")
def _funded() -> Iterator[World]:
    with World(config=WorldConfig(seed=1, extra=("pool:stranger", "buyer:stranger"))) as made:
        fund_pool(made, blocks=2)
        yield made


@pytest.fixture
def world(_funded: World) -> Iterator[World]:
    with _funded.fork() as fork:
        yield fork


def test_blocks_found_alone_pay_the_miner_and_may_be_spent_a_hundred_later(world: World) -> None:
    miner, had = miner_in(world), world.sats_of("borrower")
    rewards = miner.mine(2)
    found = [miner.origin(each) for each in rewards]
    assert [each.coin.kind for each in found] == [Kind.COINBASE] * 2
    assert all(each.self_mined and each.sources == each.coinbases for each in found)
    assert [each.coin.height for each in found] == [world.bitcoin.height - 1, world.bitcoin.height]
    assert world.sats_of("borrower") == had
    world.mine(98)
    assert world.sats_of("borrower") == had + found[0].coin.sats
    assert world.acts[-2].actor == "borrower"


def test_a_block_is_not_found_for_nobody(world: World) -> None:
    height = world.bitcoin.height
    with pytest.raises(BadInput, match="input/unknown-party"):
        world.mine(1, to="nobody")
    assert world.bitcoin.height == height


def test_a_pool_pays_what_it_owes_from_its_own_coins(world: World) -> None:
    miner = miner_in(world)
    before, had = miner.balance, world.sats_of("borrower")
    # 102 blocks have passed: 17 hours of 200 PH/s at 42,400 sats a PH and day, less 1 %.
    assert before.owed == pytest.approx(200 * 42_400 * 17 / 24 * 0.99, rel=1e-4)
    funds = world.sats_of("pool")
    txid = miner.collect()
    assert miner.balance.owed == 0
    assert miner.balance.paid == before.owed
    world.mine()
    assert world.sats_of("borrower") == had + before.owed
    fee = world.bitcoin.index.transactions[txid].fee
    assert world.sats_of("pool") == funds - before.owed - fee
    payout = miner.origins()[-1]
    assert payout.coin.outpoint.txid == txid
    assert (payout.coin.kind, payout.coin.pool) == (Kind.POOL_PAYOUT, "a pool")
    assert payout.self_mined
    # The pool's own reward is behind it.
    assert [each.sats for each in payout.coinbases] == [50 * COIN]


def test_below_the_threshold_and_from_a_silent_pool_nothing_comes_and_it_is_carried(
    world: World,
) -> None:
    miner = miner_in(world)
    miner.collect()
    assert miner.collect() == ""
    world.advance(days=2)
    owed = miner.balance.owed
    assert owed == pytest.approx(2 * 200 * 42_400 * 0.99, rel=1e-4)
    world.silence("pool")
    assert miner.collect() == ""
    assert miner.balance.owed == owed
    world.answer("pool")
    assert miner.collect()
    assert miner.balance.owed == 0


def test_a_pool_without_coins_cannot_pay() -> None:
    with World(config=WorldConfig(seed=1, extra=("pool:stranger",))) as world:
        world.advance(days=1)
        miner = miner_in(world)
        owed = miner.balance.owed
        with pytest.raises(Refused, match="bitcoin/funds"):
            miner.collect()
        assert miner.balance.owed == owed


def test_paying_more_often_pays_the_same(world: World) -> None:
    with world.fork() as other:
        often, once = miner_in(world), miner_in(other)
        for _ in range(3):
            world.advance(days=1)
            often.collect()
        other.advance(days=3)
        once.collect()
        assert often.balance == once.balance


def test_a_miner_made_anew_goes_on_in_a_world_that_was_saved(world: World, tmp_path: Path) -> None:
    miner = miner_in(world)
    miner.collect()
    world.advance(days=1)
    world.save(tmp_path / "world")
    with World.load(tmp_path / "world") as loaded:
        again = miner_in(loaded)
        assert again.balance == miner.balance
        assert again.origins() == miner.origins()
        assert again.meter == miner.meter


def test_a_payout_that_a_reorg_drops_is_owed_again(world: World) -> None:
    miner = miner_in(world)
    txid = miner.collect()
    world.mine()
    payout = miner.origins()[-1]
    verify_origin(payout, world.bitcoin)
    world.reorg(1)
    # It waits in the mempool again: paid, and in no block.
    assert miner.balance.paid == payout.coin.sats
    with pytest.raises(Refused, match="origin/unknown"):
        verify_origin(payout, world.bitcoin)
    world.mine()
    with pytest.raises(Refused, match="origin/block"):
        verify_origin(payout, world.bitcoin)
    world.reorg(1, drop=[txid])
    assert miner.balance.paid == 0
    assert miner.balance.owed >= payout.coin.sats


def test_a_pledged_coin_is_traced_to_rewards_and_payouts(world: World) -> None:
    miner = miner_in(world)
    miner.collect()
    world.mine()
    # All that the miner has goes in: its rewards and the payout.
    everything = world.sats_of("borrower")
    loan = world.accept(world.offer(world.terms(principal="1000.00")))
    world.pledge(loan, btc=f"{(everything - 10_000) // COIN}.{(everything - 10_000) % COIN:08d}")
    (found,) = miner.pledged(loan)
    assert found.coin.kind is Kind.MOVED
    assert found.self_mined
    kinds = [each.kind for each in found.sources]
    assert kinds.count(Kind.COINBASE) == world.config.miner_blocks
    assert kinds.count(Kind.POOL_PAYOUT) == 1
    assert sum(each.sats for each in found.sources) == everything
    # The pool's reward is behind its payout; those of the miner are its own.
    assert len(found.coinbases) == world.config.miner_blocks + 1
    verify_origin(found, world.bitcoin)
    verify_from_blocks(found, world.bitcoin.blocks())
    with pytest.raises(Refused, match="origin/unknown"):
        verify_from_blocks(found, world.bitcoin.blocks()[: found.coin.height - 1])


def test_a_coin_that_was_bought_is_foreign_and_makes_what_it_is_mixed_with_so(world: World) -> None:
    miner = miner_in(world)
    world.mine(1, to="buyer")
    world.mine(100)
    bought = world.pay("buyer", btc="1", to=miner.profile()["payout_address"])
    world.mine()
    assert bought not in {each.coin.outpoint.txid for each in miner.origins()}
    assert miner.balance.paid == 0
    (own_coin,) = (
        each
        for each in world.bitcoin.coins(world.party("borrower").script)
        if each.outpoint.txid == bought
    )
    found = miner.origin(own_coin.outpoint)
    assert (found.coin.kind, found.self_mined) == (Kind.FOREIGN, False)
    everything = world.sats_of("borrower") - 10_000
    loan = world.accept(world.offer(world.terms(principal="1000.00")))
    world.pledge(loan, btc=f"{everything // COIN}.{everything % COIN:08d}")
    (mixed,) = miner.pledged(loan)
    assert not mixed.self_mined
    foreign = [each for each in mixed.sources if each.kind is Kind.FOREIGN]
    assert [each.outpoint.txid for each in foreign] == [bought]


def test_what_another_mined_is_not_the_miners(world: World) -> None:
    miner = miner_in(world)
    world.mine(1, to="buyer")
    (reward,) = world.bitcoin.history(world.party("buyer").script)
    found = miner.origin(reward)
    assert (found.coin.kind, found.self_mined) == (Kind.FOREIGN, False)
    # Nor is what the pool pays to somebody else.
    txid = world.pay("pool", btc="0.1", to=address_of(world.party("buyer").script))
    world.mine()
    (paid,) = (
        each for each in world.bitcoin.history(world.party("buyer").script) if each.txid == txid
    )
    assert miner.origin(paid).coin.kind is Kind.FOREIGN


def test_receipts_go_into_the_tax_record_at_the_quote_of_their_day(world: World) -> None:
    miner = miner_in(world)
    miner.collect()
    world.mine()
    mine = [each for each in miner.receipts() if each.at > world.config.start]
    assert len(mine) == 1
    assert mine[0].at == world.now
    day = date(2025, 12, 1)
    found = record(mine, quotes=[Quote(day, 7_000_000 * 10**8)])
    assert found.mined == miner.balance.paid
    assert found.income == -(-found.mined * 700_000_000 // 10**8)


def test_a_profile_says_what_the_miner_is(world: World) -> None:
    miner = miner_in(world, registration="registered")
    found = miner.profile()
    assert found["hash_rate_gh_s"] == 200_000_000
    assert found["power_micro_watts"] == 3_500_000 * 10**6
    per_th = hash_price(BITS, reward=Sats(312_500_000), price=0).per_th_day
    assert found["first_day_sats"] == int(Fraction(99, 100) * 200_000 * per_th) == 8_395_297
    assert found["registration"] == "registered"
    assert "script" not in repr(miner)
    world.advance(seconds=DAY)
    hours = (world.now - world.config.start) // 3_600
    assert miner.meter == 3_500_000 * hours


def test_a_miner_that_makes_no_sense_is_refused(world: World) -> None:
    terms = miner_in(world).terms
    with pytest.raises(BadInput, match="input/unknown-party"):
        miner_in(world, pool="nobody")
    with pytest.raises(BadInput, match="pool/terms"):
        miner_in(world, pool="borrower", terms=terms)
    late = new_site(
        "late",
        racks=(Rack(load_catalogue().machine("antminer-s21"), 1),),
        power_cap=4_000,
        tariff=0,
        since=Seconds(world.now + 1),
    )
    with pytest.raises(BadInput, match="site/time"):
        _ = miner_in(world, site=late).balance
