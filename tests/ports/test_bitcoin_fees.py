"""Fees beyond one transaction: replacement, packages, the floor of the day, and estimates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
from bitcoin_lab import (
    BORROWER,
    COIN,
    P2WPKH,
    free_coins,
    grow,
    pay,
    ripe,
    spend,
    txid_of,
    with_witness,
)
from btclib.tx import Tx

from escrow.adapters.bitcoin import block as regtest
from escrow.adapters.bitcoin.block import MINER_SCRIPT
from escrow.adapters.bitcoin.node import Node
from escrow.adapters.bitcoin.policy import MAX_FEERATE, MAX_REPLACED
from escrow.adapters.bitcoin.types import Coin, OutPoint
from escrow.adapters.bitcoin.wallet import Wallet
from escrow.core.errors import BadInput, EscrowError, Refused, Rejected
from escrow.core.units import Sats

SIZE = Tx.parse(spend([OutPoint("ab" * 32, 0)], [(MINER_SCRIPT, COIN)])).vsize
"""Virtual bytes of one coin to one output."""


@pytest.fixture
def node() -> Iterator[Node]:
    with ripe() as it:
        grow(it, 9)  # ten rewards are ripe
        yield it


def send(node: Node, coins: Sequence[Coin], fee: int, **facts: int) -> bytes:
    """All of these coins to anyone, less the fee."""
    left = sum(coin.sats for coin in coins) - fee
    return spend([coin.outpoint for coin in coins], [(MINER_SCRIPT, left)], **facts)


def heir(node: Node, txid: str, fee: int, *, vout: int = 0) -> bytes:
    """Spend an output that waits."""
    raw = node.transaction(txid)
    assert raw is not None
    sats = Tx.parse(raw).vout[vout].value
    return spend([OutPoint(txid, vout)], [(MINER_SCRIPT, sats - fee)])


def many(node: Node, coin: Coin, outputs: int, fee: int = 20_000) -> str:
    """Split a coin, and let the parts wait."""
    part = (coin.sats - fee) // outputs
    return node.broadcast(spend([coin.outpoint], [(MINER_SCRIPT, part)] * outputs))


def refused(node: Node, *raws: bytes) -> EscrowError:
    """What must be refused, leaving the mempool as it was."""
    before = node.mempool(), [node.spender(coin.outpoint) for coin in node.coins(MINER_SCRIPT)]
    with pytest.raises(EscrowError) as caught:
        node.broadcast(raws[0]) if len(raws) == 1 else node.broadcast_package(raws)
    after = node.mempool(), [node.spender(coin.outpoint) for coin in node.coins(MINER_SCRIPT)]
    assert after == before
    return caught.value


def mined(node: Node) -> list[str]:
    """What the next block takes."""
    grow(node)
    return list(regtest.parse(node.block(node.height)).txids[1:])


class TestReplacement:
    """BIP-125 as Core has it: each rule at its edge."""

    @pytest.mark.parametrize(
        ("more", "code"),
        [
            (-1, "bitcoin/conflict"),
            (0, "bitcoin/conflict"),
            (1, "bitcoin/replace"),
            (SIZE - 1, "bitcoin/replace"),
            (SIZE, ""),
            (50_000, ""),
        ],
    )
    def test_it_pays_for_what_it_pushes_out_and_for_its_own_relay(
        self, node: Node, more: int, code: str
    ):
        coin = free_coins(node)[0]
        first = node.broadcast(send(node, [coin], 1_000))
        raw = send(node, [coin], 1_000 + more, sequence=0)
        if code:
            error = refused(node, raw)
            assert (error.code, error.facts["least"]) == (code, 1_000 + SIZE)
            assert error.facts.get("reason", "insufficient fee") == "insufficient fee"
            return
        second = node.broadcast(raw)
        assert (node.depth(first), node.depth(second)) == (None, 0)
        assert node.spender(coin.outpoint) == second
        assert mined(node) == [second]

    @pytest.mark.parametrize("sequence", [0xFFFFFFFF, 0xFFFFFFFD])
    def test_nobody_has_to_signal(self, node: Node, sequence: int):
        coin = free_coins(node)[0]
        node.broadcast(send(node, [coin], 1_000, sequence=sequence))
        node.broadcast(send(node, [coin], 2_000, sequence=sequence))
        assert len(node.mempool()) == 1

    def test_heirs_go_too_and_their_fees_count(self, node: Node):
        coin = free_coins(node)[0]
        parent = node.broadcast(send(node, [coin], 1_000))
        child = node.broadcast(heir(node, parent, 5_000))
        error = refused(node, send(node, [coin], 6_000))
        assert (error.code, error.facts["least"]) == ("bitcoin/conflict", 6_000 + SIZE)
        new = node.broadcast(send(node, [coin], 6_000 + SIZE))
        assert [node.depth(each) for each in (parent, child, new)] == [None, None, 0]

    def test_a_higher_feerate_than_each_it_conflicts_with(self, node: Node):
        """More sats in all, fewer for each byte: a miner would lose by it."""
        coins = free_coins(node)[:5]
        node.broadcast(send(node, coins[:1], 2_000))
        error = refused(node, send(node, coins, 3_000))
        assert (error.code, error.facts["reason"]) == ("bitcoin/replace", "insufficient fee")
        vsize = Tx.parse(send(node, coins, 3_000)).vsize
        node.broadcast(send(node, coins, 2_000 * vsize // SIZE + 1))

    def test_no_unconfirmed_input_that_the_old_one_had_not(self, node: Node):
        coin, other = free_coins(node)[:2]
        split = many(node, other, 2)
        parts = [OutPoint(split, n) for n in range(2)]
        value = (other.sats - 20_000) // 2
        node.broadcast(send(node, [coin], 1_000))
        out = [(MINER_SCRIPT, coin.sats + value - 50_000)]
        error = refused(node, spend([coin.outpoint, parts[0]], out))
        assert error.facts["reason"] == "replacement-adds-unconfirmed"
        # One that spent it already may be replaced by one that does.
        node.broadcast(spend([parts[1]], [(MINER_SCRIPT, value - 1_000)]))
        node.broadcast(spend([coin.outpoint, parts[1]], out))

    def test_it_does_not_spend_from_what_it_pushes_out(self, node: Node):
        coin = free_coins(node)[0]
        parent = node.broadcast(send(node, [coin], 1_000))
        both = [coin.outpoint, OutPoint(parent, 0)]
        error = refused(node, spend(both, [(MINER_SCRIPT, 2 * coin.sats - 51_000)]))
        assert error.facts["reason"] == "bad-txns-spends-conflicting-tx"

    @pytest.mark.parametrize(("heirs", "ok"), [(MAX_REPLACED - 1, True), (MAX_REPLACED, False)])
    def test_a_hundred_at_most(self, node: Node, heirs: int, ok: bool):
        coin = free_coins(node)[0]
        root = many(node, coin, heirs)
        for n in range(heirs):
            node.broadcast(heir(node, root, 200, vout=n))
        raw = send(node, [coin], 500_000)
        if ok:
            node.broadcast(raw)
            assert node.mempool() == (raw,)
        else:
            assert refused(node, raw).facts["reason"] == "too many potential replacements"

    def test_a_bad_signature_pushes_nothing_out(self, node: Node):
        coin = free_coins(node)[0]
        node.broadcast(send(node, [coin], 1_000))
        raw = spend([coin.outpoint], [(MINER_SCRIPT, coin.sats - 9_000)], witness=[b"\x00"])
        assert refused(node, raw).code == "bitcoin/script"

    def test_what_came_out_of_a_block_is_not_pushed_out_by_less(self, node: Node):
        coin = free_coins(node)[0]
        first = node.broadcast(send(node, [coin], 5_000))
        grow(node)
        node.reorg(1, time=node.tip_time + 1)
        assert node.depth(first) == 0
        assert refused(node, send(node, [coin], 4_000)).code == "bitcoin/conflict"


class TestFloor:
    def test_a_jump_leaves_cheap_ones_waiting(self, node: Node):
        poor, rich = (
            node.broadcast(send(node, [coin], fee * SIZE))
            for coin, fee in zip(free_coins(node), (9, 10), strict=False)
        )
        node.set_floor(10)
        assert node.floor == 10
        assert mined(node) == [rich]
        assert (node.depth(poor), node.waited(poor), node.waited(rich)) == (0, 1, None)
        error = refused(node, send(node, free_coins(node)[:1], 9 * SIZE))
        assert (error.code, error.facts["least"]) == ("bitcoin/fee", 10 * SIZE)
        node.set_floor(9)
        assert mined(node) == [poor]

    def test_a_child_pays_for_a_parent_that_waits(self, node: Node):
        parent = node.broadcast(send(node, free_coins(node)[:1], SIZE))
        node.set_floor(50)
        assert mined(node) == []
        short = heir(node, parent, 99 * SIZE - 1)
        child = node.broadcast(short)  # its own fee is enough to wait, not to bring the other in
        assert mined(node) == []
        dearer = node.broadcast(heir(node, parent, 100 * SIZE))
        assert node.depth(child) is None
        assert mined(node) == [parent, dearer]

    @pytest.mark.parametrize("floor", [0, -1, MAX_FEERATE + 1, True, 2.5, "7"])
    def test_a_floor_out_of_range(self, node: Node, floor: object):
        with pytest.raises(BadInput, match="input/amount"):
            node.set_floor(floor)
        assert node.floor == 1

    def test_waiting_is_counted_in_blocks(self, node: Node):
        node.set_floor(5)
        cheap = node.broadcast(send(node, free_coins(node)[:1], 5 * SIZE))
        assert node.waited(cheap) == 0
        node.set_floor(6)
        grow(node, 3)
        assert node.waited(cheap) == 3
        node.reorg(1, time=node.tip_time + 1)
        assert node.waited(cheap) == 4
        assert node.waited("ab" * 32) is None


class TestPackage:
    def pair(self, node: Node, fee: int, child_fee: int) -> tuple[bytes, bytes]:
        coin = free_coins(node)[0]
        parent = send(node, [coin], fee)
        left = coin.sats - fee - child_fee
        return parent, spend([OutPoint(txid_of(parent), 0)], [(MINER_SCRIPT, left)])

    @pytest.mark.parametrize(("child_fee", "ok"), [(20 * SIZE, True), (20 * SIZE - 1, False)])
    def test_a_parent_below_the_floor_comes_in_with_its_child(
        self, node: Node, child_fee: int, ok: bool
    ):
        node.set_floor(10)
        parent, child = self.pair(node, 0, child_fee)
        assert refused(node, parent).code == "bitcoin/fee"
        if not ok:
            assert refused(node, parent, child).code == "bitcoin/fee"
            return
        assert node.broadcast_package([parent, child]) == (txid_of(parent), txid_of(child))
        assert mined(node) == [txid_of(parent), txid_of(child)]

    def test_both_or_none(self, node: Node):
        parent, child = self.pair(node, 1_000, 1_000)
        wrong = with_witness(child, 0, [b"\x00"])
        assert refused(node, parent, wrong).code == "bitcoin/script"
        assert node.broadcast_package([parent, child])

    def test_a_parent_that_is_refused_for_another_reason(self, node: Node):
        coin = free_coins(node)[0]
        node.broadcast(send(node, [coin], 5_000))
        parent, child = send(node, [coin], 4_000), b""
        child = spend([OutPoint(txid_of(parent), 0)], [(MINER_SCRIPT, COIN)])
        assert refused(node, parent, child).code == "bitcoin/conflict"

    def test_a_parent_at_an_absurd_fee(self, node: Node):
        parent, child = self.pair(node, MAX_FEERATE * SIZE + 1, 1_000)
        assert "most" in refused(node, parent, child).facts

    def test_a_parent_that_pushes_others_out_and_a_child_that_fails(self, node: Node):
        coin = free_coins(node)[0]
        old = node.broadcast(send(node, [coin], 1_000))
        parent = send(node, [coin], 5_000)
        child = spend([OutPoint(txid_of(parent), 0)], [(MINER_SCRIPT, coin.sats)])
        assert refused(node, parent, child).code == "bitcoin/amount"
        assert node.depth(old) == 0

    def test_a_parent_that_is_known(self, node: Node):
        parent, child = self.pair(node, 1_000, 1_000)
        node.broadcast(parent)
        node.broadcast_package([parent, child])
        assert node.broadcast_package([parent, child]) == (txid_of(parent), txid_of(child))
        assert node.mempool() == (parent, child)
        grow(node)
        assert node.broadcast_package([parent, child])[1] == txid_of(child)

    def test_not_a_parent_and_its_child(self, node: Node):
        first, second = (send(node, [coin], 1_000) for coin in free_coins(node)[:2])
        error = refused(node, first, second)
        assert error.facts["reason"] == "package-not-child-with-parents"
        for raws in ([], [first], [first, second, second]):
            with pytest.raises(BadInput, match="bitcoin/transaction"):
                node.broadcast_package(raws)
        with pytest.raises(BadInput, match="bitcoin/transaction"):
            node.broadcast_package([first, b"\x00"])


class TestEstimate:
    def test_a_quiet_market_asks_two(self, node: Node):
        assert [node.estimate_feerate(n) for n in (1, 6, 1_008)] == [2, 2, 2]
        node.broadcast(send(node, free_coins(node)[:1], 500 * SIZE))
        assert node.estimate_feerate(1) == 2  # there is room

    def test_one_above_the_floor(self, node: Node):
        node.set_floor(100)
        assert node.estimate_feerate(1) == 101
        raw = send(node, free_coins(node)[:1], 101 * SIZE)
        assert mined_with(node, raw)

    @pytest.mark.parametrize("blocks", [0, -1, 1_009, True, "1", 1.5])
    def test_a_target_out_of_range(self, node: Node, blocks: object):
        with pytest.raises(BadInput, match="input/amount"):
            node.estimate_feerate(blocks)

    def test_a_crowd_is_outbid_and_a_full_block_remembered(self, node: Node):
        """Eleven transactions of a tenth of a block each, and a parent that its child pays for."""
        memo = b"\x6a\x4e" + (98_000).to_bytes(4, "little") + bytes(98_000)
        grow(node, 2)
        coins = free_coins(node)[:12]
        rates = [5, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39]
        vsize = Tx.parse(spend([coins[0].outpoint], [(memo, 0), (MINER_SCRIPT, 1)])).vsize
        for coin, rate in zip(coins, rates, strict=False):
            outputs = [(memo, 0), (MINER_SCRIPT, coin.sats - rate * vsize)]
            node.broadcast(spend([coin.outpoint], outputs))
        parent = node.broadcast(send(node, coins[11:], SIZE))
        node.broadcast(heir(node, parent, 500 * SIZE))
        assert node.estimate_feerate(1) == 6  # the best that does not fit pays 5
        assert node.estimate_feerate(2) == 2
        grow(node)
        # The block was full, and nine tenths of it paid 30 or more.
        assert node.estimate_feerate(1) == 31
        assert node.estimate_feerate(2) == 2  # the block before had room
        grow(node)
        assert node.estimate_feerate(1) == 2


def mined_with(node: Node, raw: bytes) -> bool:
    """Offered now, is it in the next block?"""
    return node.broadcast(raw) in mined(node)


class TestRestore:
    def test_what_waited_waits_on_whatever_the_floor_is_now(self, node: Node):
        first = send(node, free_coins(node)[:1], SIZE)
        node.broadcast(first)
        came = node.height
        node.set_floor(7)
        grow(node, 2)
        second = heir(node, txid_of(first), 7 * SIZE)
        node.broadcast(second)
        waiting = [(first, came), (second, node.height)]
        with Node() as other:
            for raw in node.blocks():
                other.submit_block(raw)
            other.set_floor(7)
            other.restore(waiting)
            assert other.mempool() == node.mempool()
            assert [other.waited(txid_of(raw)) for raw, _ in waiting] == [2, 0]
            assert mined(other) == mined(node) == []

    @pytest.mark.parametrize("height", [-1, 110])
    def test_a_height_that_was_not_reached(self, node: Node, height: int):
        raw = send(node, free_coins(node)[:1], 1_000)
        with pytest.raises(BadInput, match="bitcoin/transaction"):
            node.restore([(raw, height)])

    def test_the_other_rules_hold(self, node: Node):
        coin = free_coins(node)[0]
        forged = spend([coin.outpoint], [(MINER_SCRIPT, COIN)], witness=[b"\x00"])
        with pytest.raises(Refused, match="bitcoin/script"):
            node.restore([(forged, node.height)])
        raw = send(node, [coin], 1_000)
        with pytest.raises(BadInput, match="bitcoin/transaction"):
            node.restore([(raw, node.height), (raw, node.height)])


class TestChild:
    """A wallet pays for a parent that waits, or that no node relays."""

    def parent(self, node: Node, wallet: Wallet, fee: int) -> bytes:
        coin = free_coins(node)[0]
        rest = coin.sats - COIN - fee
        outputs = [(P2WPKH, rest), (wallet.script_pubkey, COIN)]
        return spend([coin.outpoint], outputs)

    @pytest.mark.parametrize("relayed", [True, False])
    def test_the_two_reach_the_feerate(self, node: Node, relayed: bool):
        wallet = Wallet(BORROWER, node=node)
        parent = self.parent(node, wallet, 1_000 if relayed else 10)
        assert wallet.is_paid_by(parent)
        if relayed:
            node.broadcast(parent)
        node.set_floor(40)
        child = wallet.child(parent, feerate=40)
        node.broadcast_package([parent, child])
        left = Tx.parse(child).vout[0].value
        sizes = Tx.parse(parent).vsize + Tx.parse(child).vsize
        paid = COIN - left + (1_000 if relayed else 10)
        assert 40 * sizes <= paid <= 40 * (sizes + 1)
        assert mined(node) == [txid_of(parent), txid_of(child)]
        assert wallet.balance() == left

    def test_within_what_the_payee_would_spend(self, node: Node):
        wallet = Wallet(BORROWER, node=node)
        parent = self.parent(node, wallet, 1_000)
        fee = COIN - Tx.parse(wallet.child(parent, feerate=40)).vout[0].value
        wallet.child(parent, feerate=40, most=Sats(fee))
        with pytest.raises(Rejected, match="payout/fee"):
            wallet.child(parent, feerate=40, most=Sats(fee - 1))

    def test_an_output_too_small_for_the_fee_or_none(self, node: Node):
        wallet = Wallet(BORROWER, node=node)
        parent = self.parent(node, wallet, 1_000)
        with pytest.raises(Refused, match="bitcoin/funds"):
            wallet.child(parent, feerate=1_000_000)
        other = pay(node)
        assert not wallet.is_paid_by(other)
        with pytest.raises(Refused, match="bitcoin/funds"):
            wallet.child(other, feerate=10)

    def test_a_parent_whose_coins_nobody_knows(self, node: Node):
        wallet = Wallet(BORROWER, node=node)
        lost = spend([OutPoint("ab" * 32, 0)], [(wallet.script_pubkey, COIN)])
        with pytest.raises(Refused, match="bitcoin/missing-input"):
            wallet.child(lost, feerate=10)

    def test_a_child_is_never_below_its_own_floor(self, node: Node):
        """The parent pays enough for both: the child still has to be relayed."""
        wallet = Wallet(BORROWER, node=node)
        parent = self.parent(node, wallet, 100_000)
        node.broadcast(parent)
        child = wallet.child(parent, feerate=2)
        assert node.broadcast(child) == txid_of(child)
