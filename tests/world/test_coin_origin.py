"""Origins on a chain of one's own: what a record says, and that no false one passes."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from escrow.adapters.bitcoin import psbt
from escrow.adapters.bitcoin.keys import Keys, derive_seed
from escrow.adapters.bitcoin.node import Node
from escrow.adapters.bitcoin.policy import read_transaction
from escrow.adapters.bitcoin.wallet import Wallet
from escrow.core.errors import BadInput, Refused
from escrow.core.units import COIN, Sats
from escrow.ports import OutPoint
from escrow.sim import origin
from escrow.sim.origin import CoinOrigin, Kind, trace_origin, verify_origin
from escrow.sim.origin_file import MAX_FILE, read_origin, write_origin

NAMES = ("miner", "pool", "other")
FIRST = 1_325_376_000


class Little:
    """A chain on which three have mined a block each, and pay each other."""

    def __init__(self) -> None:
        self.node = Node()
        self.wallets = {
            name: Wallet(Keys(derive_seed(bytes(32), name=name)), node=self.node) for name in NAMES
        }
        for n in range(103):
            script = self.script(NAMES[n]) if n < len(NAMES) else None
            self.node.mine(time=FIRST + 600 * n, script_pubkey=script)

    def script(self, name: str) -> bytes:
        return self.wallets[name].script_pubkey

    def block(self) -> None:
        self.node.mine(time=self.node.median_time + 600)

    def pay(self, by: str, *outputs: tuple[str, int]) -> str:
        paid = [(self.script(to), Sats(sats)) for to, sats in outputs]
        txid = self.node.broadcast(self.wallets[by].pay(paid))
        self.block()
        return txid

    def trace(self, outpoint: OutPoint) -> CoinOrigin:
        pools = {"a pool": self.script("pool")}
        return trace_origin(self.node, outpoint, own=(self.script("miner"),), pools=pools)


@pytest.fixture
def little():
    made = Little()
    yield made
    made.node.close()


@pytest.fixture
def moved(little: Little) -> CoinOrigin:
    """A coin of the miner's that is made of its reward and of a pool's payout."""
    little.pay("pool", ("miner", 7 * COIN))
    txid = little.pay("miner", ("miner", 56 * COIN))
    return little.trace(OutPoint(txid, 0))


def test_a_coin_of_two_sources_has_both(little: Little, moved: CoinOrigin) -> None:
    assert moved.coin.kind is Kind.MOVED
    assert [each.kind for each in moved.sources] == [Kind.COINBASE, Kind.POOL_PAYOUT]
    assert [each.sats for each in moved.sources] == [50 * COIN, 7 * COIN]
    assert [each.height for each in moved.coinbases] == [1, 2]
    assert len(moved.ancestors) == 4
    assert moved.ancestors[-1] == moved.coin.outpoint.txid
    verify_origin(moved, little.node)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda r: replace(r, coin=replace(r.coin, sats=r.coin.sats + 1)), "origin/amount"),
        (lambda r: replace(r, coin=replace(r.coin, height=r.coin.height - 1)), "origin/block"),
        (lambda r: replace(r, coin=replace(r.coin, block="00" * 32)), "origin/block"),
        (lambda r: replace(r, coin=replace(r.coin, kind=Kind.COINBASE)), "origin/not-coinbase"),
        (
            lambda r: replace(r, coin=replace(r.coin, kind=Kind.POOL_PAYOUT, pool="a pool")),
            "origin/pool",
        ),
        (
            lambda r: replace(
                r, sources=(r.sources[0], replace(r.sources[1], kind=Kind.COINBASE, pool=""))
            ),
            "origin/not-coinbase",
        ),
        (
            lambda r: replace(r, sources=(r.sources[0], replace(r.sources[1], pool="its rival"))),
            "origin/pool",
        ),
        (lambda r: replace(r, sources=r.sources[:1]), "origin/sources"),
        (lambda r: replace(r, sources=r.sources[::-1]), "origin/sources"),
        (lambda r: replace(r, coinbases=r.coinbases[1:]), "origin/sources"),
        (lambda r: replace(r, ancestors=r.ancestors[1:]), "origin/sources"),
        (
            lambda r: replace(r, coin=replace(r.coin, outpoint=OutPoint("00" * 32, 0))),
            "origin/unknown",
        ),
        (
            lambda r: replace(r, coin=replace(r.coin, outpoint=OutPoint(r.ancestors[-1], 9))),
            "origin/unknown",
        ),
        # Without the pool, its payout is somebody else's money; without the script, all is.
        (lambda r: replace(r, pools=()), "origin/pool"),
        (lambda r: replace(r, own=()), "origin/not-coinbase"),
    ],
)
def test_a_record_that_does_not_match_the_chain_is_refused(
    little: Little, moved: CoinOrigin, change, code
) -> None:
    with pytest.raises(Refused) as caught:
        verify_origin(change(moved), little.node)
    assert caught.value.code == code


def test_what_is_in_no_block_has_no_origin_yet(little: Little) -> None:
    raw = little.wallets["miner"].pay([(little.script("miner"), Sats(COIN))])
    txid = little.node.broadcast(raw)
    with pytest.raises(Refused, match="origin/unknown"):
        little.trace(OutPoint(txid, 0))
    little.block()
    assert little.trace(OutPoint(txid, 0)).self_mined


def test_a_long_walk_is_bounded(little: Little, moved: CoinOrigin, monkeypatch) -> None:
    monkeypatch.setattr(origin, "MAX_ANCESTORS", 4)
    verify_origin(moved, little.node)
    monkeypatch.setattr(origin, "MAX_ANCESTORS", 3)
    with pytest.raises(Refused, match="origin/too-many"):
        verify_origin(moved, little.node)


def test_a_payout_that_another_helped_to_pay_is_no_payout(little: Little) -> None:
    """Both put in what they have; a record says so of each output."""
    miner, pool = little.wallets["miner"], little.wallets["pool"]
    inputs = [*miner.coins(), *pool.coins()]
    raws = [raw for each in inputs if (raw := little.node.transaction(each.outpoint.txid))]
    bare = psbt.create(
        [each.outpoint for each in inputs],
        outputs=[
            (miner.script_pubkey, Sats(60 * COIN)),
            (pool.script_pubkey, Sats(40 * COIN - 10_000)),
        ],
    )
    signed = pool.sign(miner.sign(bare, prev_txs=raws), prev_txs=raws)
    txid = little.node.broadcast(psbt.extract(psbt.finalize(signed)))
    little.block()
    found = little.trace(OutPoint(txid, 0))
    assert found.coin.kind is Kind.MOVED
    assert sorted(each.kind.value for each in found.sources) == ["coinbase", "foreign"]
    assert not found.self_mined


def test_what_the_miner_paid_to_another_is_no_more_the_miners(little: Little) -> None:
    """Another spends it beside a coin of the miner's: of that transaction's two sources one is
    foreign, though the miner had mined it."""
    given_away = OutPoint(little.pay("miner", ("other", 10 * COIN)), 0)
    miner, other = little.wallets["miner"], little.wallets["other"]
    inputs = [miner.coins()[0].outpoint, given_away]
    raws = [raw for raw in [little.node.transaction(given_away.txid)] if raw]
    bare = psbt.create(inputs, outputs=[(miner.script_pubkey, Sats(50 * COIN - 20_000))])
    signed = other.sign(miner.sign(bare, prev_txs=raws), prev_txs=raws)
    txid = little.node.broadcast(psbt.extract(psbt.finalize(signed)))
    little.block()
    found = little.trace(OutPoint(txid, 0))
    kinds = {each.outpoint: each.kind for each in found.sources}
    assert kinds.pop(given_away) is Kind.FOREIGN
    assert set(kinds.values()) == {Kind.COINBASE}
    assert not found.self_mined


def test_what_came_back_through_another_is_foreign(little: Little) -> None:
    little.pay("miner", ("other", 49 * COIN))
    txid = little.pay("other", ("miner", 90 * COIN))
    found = little.trace(OutPoint(txid, 0))
    assert (found.coin.kind, found.self_mined) == (Kind.FOREIGN, False)
    assert len(found.coinbases) == 2


payments = st.lists(
    st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES), st.integers(1_000, 80 * COIN)),
    min_size=1,
    max_size=8,
)


@settings(max_examples=15)
@given(payments)
def test_rewards_are_the_coin_the_fees_and_what_went_elsewhere(asked) -> None:
    """Conservation, back from any output: the rewards behind it are worth the output, the fees of
    its ancestors, and the ancestors' outputs that none of them spends. So they come to the output
    alone only where every ancestor pays no fee and has no other output."""
    little = Little()
    try:
        for by, to, sats in asked:
            if little.wallets[by].balance() > sats + 10_000:
                little.pay(by, (to, sats))
        index = little.node.index
        for name in NAMES:
            for outpoint in little.node.history(little.script(name)):
                found = little.trace(outpoint)
                txs = {
                    each: read_transaction(index.transactions[each].raw) for each in found.ancestors
                }
                spent = {
                    OutPoint(v.prev_out.tx_id.hex(), v.prev_out.vout)
                    for tx in txs.values()
                    if not tx.is_coinbase
                    for v in tx.vin
                }
                elsewhere = sum(
                    out.value
                    for txid, tx in txs.items()
                    for n, out in enumerate(tx.vout)
                    if OutPoint(txid, n) not in spent | {outpoint}
                    and not (tx.is_coinbase and n)  # the witness commitment
                )
                fees = sum(index.transactions[each].fee for each in found.ancestors)
                rewards = sum(each.sats for each in found.coinbases)
                assert rewards == found.coin.sats + fees + elsewhere
                assert sum(each.sats for each in found.sources) >= found.coin.sats
                if found.coin.kind is not Kind.MOVED:
                    assert found.sources == (found.coin,)
                places = [index.transactions[each].height for each in found.ancestors]
                assert places == sorted(places)
                verify_origin(read_origin(write_origin(found)), little.node)
    finally:
        little.node.close()


# --- the file ---


def test_a_record_is_written_one_way_and_read_back(little: Little, moved: CoinOrigin) -> None:
    text = write_origin(moved)
    assert read_origin(text) == read_origin(text.encode()) == moved
    assert json.loads(text)["self_mined"] is True


@pytest.mark.parametrize(
    "change",
    [
        lambda words: words.update(self_mined=False),
        lambda words: words.update(version=2),
        lambda words: words.update(more=1),
        lambda words: words.pop("own"),
        lambda words: words["coin"].update(sats=-1),
        lambda words: words["coin"].update(sats=1.5),
        lambda words: words["coin"].update(sats=True),
        lambda words: words["coin"].update(height=0),
        lambda words: words["coin"].update(kind="gift"),
        lambda words: words["coin"].update(more=1),
        lambda words: words["coin"].update(outpoint="00:0"),
        lambda words: words["coin"].update(block="zz"),
        lambda words: words.update(sources={}),
        lambda words: words.update(ancestors=["00"] * 2_001),
        lambda words: words.update(own=["00" * 521]),
        lambda words: words.update(own=[7]),
        lambda words: words.update(pools=[]),
    ],
)
def test_a_record_that_was_not_written_so_is_refused(moved: CoinOrigin, change) -> None:
    words = json.loads(write_origin(moved))
    change(words)
    with pytest.raises(BadInput, match="origin/format"):
        read_origin(json.dumps(words, indent=1, sort_keys=True) + "\n")


@pytest.mark.parametrize("text", ["", "{", "[]", "7", b"\xff", " " * (MAX_FILE + 1), "[" * 100])
def test_what_is_no_record_is_refused(text) -> None:
    with pytest.raises(BadInput, match="origin/format"):
        read_origin(text)
