"""The mempool: what a node relays, and what a miner takes first."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from bitcoin_lab import (
    BORROWER,
    COIN,
    P2WPKH,
    P2WSH,
    START,
    STEP,
    free_coins,
    grow,
    high_s,
    pay,
    ripe,
    spend,
    txid_of,
    with_witness,
)
from btclib.script.witness import Witness
from btclib.tx import Tx

from escrow.adapters.bitcoin import block as regtest
from escrow.adapters.bitcoin.block import MINER_SCRIPT
from escrow.adapters.bitcoin.mempool import MAX_ANCESTORS
from escrow.adapters.bitcoin.node import Node
from escrow.adapters.bitcoin.policy import MAX_FEERATE
from escrow.adapters.bitcoin.types import OutPoint
from escrow.adapters.bitcoin.vault import dust
from escrow.adapters.bitcoin.wallet import Wallet
from escrow.core.errors import BadInput, Refused
from escrow.core.units import DAY, MAX_MONEY, Sats


@pytest.fixture
def node() -> Iterator[Node]:
    with ripe() as it:
        grow(it, 9)  # ten rewards are ripe
        yield it


def refusal(node: Node, raw: bytes) -> Refused:
    """Offer what must be refused. The mempool must not change."""
    before = node.mempool()
    with pytest.raises(Refused) as caught:
        node.broadcast(raw)
    assert node.mempool() == before
    return caught.value


def one(node: Node, *outputs: tuple[bytes, int], fee: int = 2_000, **facts: object) -> bytes:
    """Spend the oldest free coin: the outputs, and the rest but ``fee`` back to anyone."""
    coin = free_coins(node)[0]
    rest = coin.sats - fee - sum(sats for _, sats in outputs)
    return spend([coin.outpoint], [*outputs, (MINER_SCRIPT, rest)], **facts)


def size(raw: bytes) -> int:
    return Tx.parse(raw).vsize


class TestReading:
    @pytest.mark.parametrize(
        "raw",
        [b"", b"\x00", b"\xff" * 100, bytes.fromhex("02000000000000000000")],
        ids=["empty", "zero", "noise", "no inputs"],
    )
    def test_garbage(self, node: Node, raw: bytes):
        with pytest.raises(BadInput, match="bitcoin/transaction"):
            node.broadcast(raw)

    def test_bytes_after_the_end(self, node: Node):
        with pytest.raises(BadInput, match="bitcoin/transaction"):
            node.broadcast(pay(node) + b"\x00")

    def test_amount_out_of_range(self, node: Node):
        coin = free_coins(node)[0]
        with pytest.raises(BadInput, match="bitcoin/transaction"):
            node.broadcast(spend([coin.outpoint], [(P2WPKH, MAX_MONEY + 1)]))

    def test_one_coin_twice(self, node: Node):
        coin = free_coins(node)[0]
        with pytest.raises(BadInput, match="bitcoin/transaction"):
            node.broadcast(spend([coin.outpoint] * 2, [(P2WPKH, COIN)]))

    def test_a_known_transaction_is_welcome(self, node: Node):
        raw = pay(node)
        txid = node.broadcast(raw)
        assert txid == txid_of(raw) == node.broadcast(raw)
        assert node.mempool() == (raw,)
        grow(node)
        assert node.broadcast(raw) == txid
        assert node.mempool() == ()

    def test_one_dropped_may_come_again(self, node: Node):
        raw = pay(node)
        txid = node.broadcast(raw)
        grow(node)
        node.reorg(1, time=node.tip_time + 1, drop=[txid])
        assert node.broadcast(raw) == txid


class TestStandard:
    """Core's words for what is valid in a block and yet not relayed."""

    @pytest.mark.parametrize(
        ("outputs", "facts", "reason"),
        [
            ([(b"\x51", COIN)], {}, "scriptpubkey"),
            ([(b"\x6a" + b"\x4d\xa0\x86" * 40_000, 0)], {}, "tx-size"),
            ([(P2WPKH, COIN)], {"version": 3}, "version"),
            ([(P2WPKH, COIN)], {"version": 0}, "version"),
            ([(P2WPKH, COIN)], {"witness": [b"\x00" * 81, b"\x51"]}, "bad-witness-nonstandard"),
            ([(P2WPKH, COIN)], {"witness": [b"\x51" * 3_601]}, "bad-witness-nonstandard"),
        ],
        ids=["script", "size", "version 3", "version 0", "witness item", "witness script"],
    )
    def test_not_standard(self, node: Node, outputs: list, facts: dict, reason: str):
        error = refusal(node, one(node, *outputs, **facts))
        assert (error.code, error.facts["reason"]) == ("bitcoin/policy", reason)

    def test_smaller_than_a_merkle_node(self, node: Node):
        coin = free_coins(node)[0]
        raw = spend([coin.outpoint], [(b"\x6a", 0)])
        assert refusal(node, raw).facts["reason"] == "tx-size-small"

    def test_coinbase(self, node: Node):
        coinbase = regtest.parse(node.block(1)).transactions[0]
        again = Tx(2, 9, coinbase.vin, coinbase.vout).serialize(include_witness=True)
        assert refusal(node, again).facts["reason"] == "coinbase"

    @pytest.mark.parametrize(("script", "least"), [(P2WPKH, 294), (P2WSH, 330)])
    def test_dust(self, node: Node, script: bytes, least: int):
        assert dust(script) == least
        error = refusal(node, one(node, (script, least - 1)))
        assert (error.code, error.facts["sats"]) == ("bitcoin/dust", least - 1)
        node.broadcast(one(node, (script, least)))

    def test_unusual_input(self, node: Node):
        coin = free_coins(node)[0]
        odd = regtest.build(
            node.tip_hash,
            height=node.height + 1,
            time=node.tip_time + 1,
            transactions=[Tx.parse(spend([coin.outpoint], [(b"\x51", coin.sats)]))],
            fees=0,
            script_pubkey=MINER_SCRIPT,
            extra_nonce=b"odd",
        )
        node.submit_block(odd.raw)
        raw = spend([OutPoint(odd.txids[1], 0)], [(P2WPKH, coin.sats - 500)], witness=[])
        assert refusal(node, raw).facts["reason"] == "bad-txns-nonstandard-inputs"

    def test_high_s(self, node: Node):
        wallet = Wallet(BORROWER, node=node)
        node.broadcast(pay(node, wallet.script_pubkey))
        grow(node)
        raw = wallet.pay([(P2WPKH, Sats(50_000))])
        signature, key = Tx.parse(raw).vin[0].script_witness.stack
        other = with_witness(raw, 0, [high_s(signature), key])
        error = refusal(node, other)
        assert error.code == "bitcoin/policy"
        assert "Non-canonical signature: S value is unnecessarily high" in str(error)
        # Consensus does not mind: a miner may take it.
        block = regtest.build(
            node.tip_hash,
            height=node.height + 1,
            time=node.tip_time + 1,
            transactions=[Tx.parse(other)],
            fees=0,
            script_pubkey=MINER_SCRIPT,
            extra_nonce=b"high",
        )
        assert node.submit_block(block.raw) == node.tip_hash

    def test_wrong_script(self, node: Node):
        error = refusal(node, one(node, (P2WPKH, COIN), witness=[b"\x00"]))
        assert (error.code, error.facts["input"]) == ("bitcoin/script", 0)
        assert error.facts["reason"] == "Witness program hash mismatch"

    def test_signature_of_another(self, node: Node):
        wallet = Wallet(BORROWER, node=node)
        for sats in (COIN, 2 * COIN):
            node.broadcast(pay(node, wallet.script_pubkey, sats=sats))
        grow(node)
        large, both = (wallet.pay([(P2WPKH, Sats(want))]) for want in (COIN, 3 * COIN - 9_999))
        stack = Tx.parse(large).vin[0].script_witness.stack
        error = refusal(node, with_witness(both, 1, stack))
        assert (error.code, error.facts["input"]) == ("bitcoin/script", 1)


class TestCoins:
    def test_missing_and_spent(self, node: Node):
        raw = spend([OutPoint("ab" * 32, 0)], [(P2WPKH, COIN)])
        assert refusal(node, raw).code == "bitcoin/missing-input"
        first, second = one(node, (P2WPKH, COIN)), one(node, (P2WPKH, 2 * COIN))
        txid = node.broadcast(first)
        past_the_end = spend([OutPoint(txid, 2)], [(P2WPKH, COIN)])
        assert refusal(node, past_the_end).code == "bitcoin/missing-input"
        grow(node)
        assert refusal(node, second).code == "bitcoin/missing-input"

    def test_conflict(self, node: Node):
        """A double spend that does not even pay more; tests/ports/test_bitcoin_fees.py has those
        that do."""
        first, second = one(node, (P2WPKH, COIN)), one(node, (P2WPKH, 2 * COIN))
        node.broadcast(first)
        error = refusal(node, second)
        assert (error.code, error.facts["fee"]) == ("bitcoin/conflict", 2_000)

    def test_maturity(self, node: Node):
        young = next(coin for coin in node.coins(MINER_SCRIPT) if coin.height == 11)
        raw = spend([young.outpoint], [(P2WPKH, young.sats - 500)])
        error = refusal(node, raw)
        assert (error.code, error.facts["depth"]) == ("bitcoin/immature", 99)
        grow(node)
        node.broadcast(raw)

    def test_outputs_above_inputs(self, node: Node):
        coin = free_coins(node)[0]
        assert refusal(node, spend([coin.outpoint], [(P2WPKH, coin.sats + 1)])).code == (
            "bitcoin/amount"
        )

    def test_fee_floor(self, node: Node):
        least = size(one(node, (P2WPKH, COIN)))
        error = refusal(node, one(node, (P2WPKH, COIN), fee=least - 1))
        assert (error.code, error.facts["least"]) == ("bitcoin/fee", least)
        node.broadcast(one(node, (P2WPKH, COIN), fee=least))

    def test_absurd_fee(self, node: Node):
        most = MAX_FEERATE * size(one(node, (P2WPKH, COIN)))
        assert refusal(node, one(node, (P2WPKH, COIN), fee=most + 1)).code == "bitcoin/fee"
        node.broadcast(one(node, (P2WPKH, COIN), fee=most))

    def test_long_families(self, node: Node):
        coin = free_coins(node)[0]
        outpoint, sats = coin.outpoint, coin.sats
        for _ in range(MAX_ANCESTORS):
            sats -= 500
            outpoint = OutPoint(node.broadcast(spend([outpoint], [(MINER_SCRIPT, sats)])), 0)
        raw = spend([outpoint], [(MINER_SCRIPT, sats - 500)])
        assert refusal(node, raw).facts["reason"] == "too-long-mempool-chain"
        grow(node)
        node.broadcast(raw)


class TestLocks:
    """One block too early is refused; at its block it is taken and mined."""

    def test_absolute_height(self, node: Node):
        raw = one(node, (P2WPKH, COIN), locktime=node.height + 1, sequence=0xFFFFFFFE)
        assert refusal(node, raw).code == "bitcoin/non-final"
        grow(node)
        node.broadcast(raw)
        grow(node)
        assert node.mempool() == ()

    def test_absolute_time_is_median_time(self, node: Node):
        raw = one(node, (P2WPKH, COIN), locktime=node.median_time, sequence=0xFFFFFFFE)
        assert node.tip_time > node.median_time
        assert refusal(node, raw).code == "bitcoin/non-final"
        grow(node)
        node.broadcast(raw)
        grow(node)
        assert node.mempool() == ()

    def test_final_sequences_switch_it_off(self, node: Node):
        node.broadcast(one(node, (P2WPKH, COIN), locktime=START + 9_999 * DAY))

    def test_relative_height(self, node: Node):
        txid = node.broadcast(one(node))
        grow(node)
        coin = node.coin(OutPoint(txid, 0))
        raw = spend([coin.outpoint], [(MINER_SCRIPT, coin.sats - 500)], sequence=2)
        assert refusal(node, raw).code == "bitcoin/non-final"
        grow(node)
        node.broadcast(raw)
        grow(node)
        assert node.mempool() == ()

    def test_relative_time(self, node: Node):
        txid = node.broadcast(one(node))
        grow(node)
        units = 3  # of 512 s; blocks are 600 s apart
        coin = node.coin(OutPoint(txid, 0))
        raw = spend([coin.outpoint], [(MINER_SCRIPT, coin.sats - 500)], sequence=1 << 22 | units)
        start = node._index.median_time(coin.height - 1)
        while node.median_time < start + units * 512:
            assert refusal(node, raw).code == "bitcoin/non-final"
            grow(node)
        node.broadcast(raw)
        grow(node)
        assert node.mempool() == ()

    def test_relative_lock_on_a_waiting_coin(self, node: Node):
        txid = node.broadcast(one(node))
        sats = Tx.parse(node.transaction(txid)).vout[0].value
        raw = spend([OutPoint(txid, 0)], [(MINER_SCRIPT, sats - 500)], sequence=1)
        assert refusal(node, raw).code == "bitcoin/non-final"
        zero = spend([OutPoint(txid, 0)], [(MINER_SCRIPT, sats - 500)], sequence=0)
        node.broadcast(zero)

    def test_old_versions_have_no_relative_locks(self, node: Node):
        txid = node.broadcast(one(node))
        sats = Tx.parse(node.transaction(txid)).vout[0].value
        raw = spend([OutPoint(txid, 0)], [(MINER_SCRIPT, sats - 500)], sequence=99, version=1)
        node.broadcast(raw)


class TestMining:
    def order(self, node: Node) -> list[str]:
        grow(node)
        return list(regtest.parse(node.block(node.height)).txids[1:])

    def test_best_feerate_first(self, node: Node):
        fees = [500, 3_000, 1_000, 3_000]
        txids = [node.broadcast(one(node, (P2WPKH, COIN), fee=fee)) for fee in fees]
        first, second, third, fourth = txids
        assert self.order(node) == [second, fourth, third, first]  # ties: who came first

    def test_a_child_pays_for_its_parent(self, node: Node):
        poor = node.broadcast(one(node, fee=110))
        middling = node.broadcast(one(node, fee=1_000))
        sats = Tx.parse(node.transaction(poor)).vout[0].value
        rich = node.broadcast(spend([OutPoint(poor, 0)], [(MINER_SCRIPT, sats - 20_000)]))
        assert self.order(node) == [poor, rich, middling]

    def test_an_heir_is_ranked_without_what_is_taken(self, node: Node):
        rich = node.broadcast(one(node, fee=50_000))
        middling = node.broadcast(one(node, fee=2_000))
        sats = Tx.parse(node.transaction(rich)).vout[0].value
        heir = node.broadcast(spend([OutPoint(rich, 0)], [(MINER_SCRIPT, sats - 1_000)]))
        assert self.order(node) == [rich, middling, heir]

    def test_a_full_block_leaves_the_cheapest(self, node: Node):
        memo = b"\x6a\x4e" + (98_000).to_bytes(4, "little") + bytes(98_000)
        fees = [100_000 + 1_000 * number for number in range(10)] + [99_000]
        node.reorg(1, time=node.tip_time + 1, blocks=6)
        grow(node, 3)
        coins = free_coins(node)[: len(fees)]
        txids = [
            node.broadcast(spend([coin.outpoint], [(memo, 0), (MINER_SCRIPT, coin.sats - fee)]))
            for coin, fee in zip(coins, fees, strict=True)
        ]
        assert self.order(node) == txids[9::-1]
        assert node.depth(txids[10]) == 0
        assert self.order(node) == [txids[10]]

    def test_a_block_from_elsewhere_evicts_rivals_and_their_heirs(self, node: Node):
        rival, chosen = one(node, (P2WPKH, COIN)), one(node, (P2WPKH, 2 * COIN), fee=0)
        loser = node.broadcast(rival)
        sats = Tx.parse(rival).vout[1].value
        heir = node.broadcast(spend([OutPoint(loser, 1)], [(MINER_SCRIPT, sats - 500)]))
        other = node.broadcast(one(node, (P2WPKH, COIN)))
        block = regtest.build(
            node.tip_hash,
            height=node.height + 1,
            time=node.tip_time + STEP,
            transactions=[Tx.parse(chosen)],
            fees=0,
            script_pubkey=MINER_SCRIPT,
            extra_nonce=b"rival",
        )
        node.submit_block(block.raw)
        assert [node.depth(each) for each in (loser, heir, other)] == [None, None, 0]
        assert node.depth(txid_of(chosen)) == 1

    def test_returned_transactions_come_before_later_ones(self, node: Node):
        first = one(node, (P2WPKH, COIN))
        node.broadcast(first)
        grow(node)
        second = one(node, (P2WPKH, COIN))
        node.broadcast(second)
        node.reorg(1, time=node.tip_time + 1)
        assert node.mempool() == (first, second)

    def test_same_id_other_witness_is_known(self, node: Node):
        raw = pay(node)
        node.broadcast(raw)
        tx = Tx.parse(raw)
        tx.vin[0].script_witness = Witness([b"\x01", b"\x51"])
        assert node.broadcast(tx.serialize(include_witness=True)) == txid_of(raw)
        assert node.mempool() == (raw,)
