"""Esplora's paths and shapes, without sockets: what is asked, what comes back, what is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from hashlib import sha256
from itertools import pairwise

import pytest
from bitcoin_lab import (
    BORROWER,
    COIN,
    LENDER,
    P2WPKH,
    close,
    deposit,
    draft,
    free_coins,
    grow,
    make_vault,
    pay,
    ripe,
    spend,
    txid_of,
)
from btclib.block import BlockHeader
from btclib.p2p.merkleblock import MerkleBlock
from btclib.tx import Tx
from hypothesis import given
from hypothesis import strategies as st

from escrow.adapters.bitcoin.block import GENESIS_HASH, MINER_SCRIPT
from escrow.adapters.bitcoin.node import Node
from escrow.adapters.bitcoin.show import script_asm, script_of, script_type
from escrow.adapters.bitcoin.types import OutPoint
from escrow.adapters.bitcoin.vault import address_of
from escrow.core.errors import BadInput
from escrow.web.esplora import MAX_BODY, MAX_PATH, TARGETS, Esplora

NOBODY = "ab" * 32
SCRIPTHASH = sha256(P2WPKH).hexdigest()


class Asked:
    """A served node, asked in short words."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.esplora = Esplora(node)

    def json(self, path: str):
        reply = self.esplora.handle("GET", path)
        assert (reply.status, reply.content_type) == (200, "application/json"), reply
        return json.loads(reply.body)

    def text(self, path: str) -> str:
        reply = self.esplora.handle("GET", path)
        assert (reply.status, reply.content_type) == (200, "text/plain; charset=utf-8"), reply
        return reply.body.decode()

    def raw(self, path: str) -> bytes:
        reply = self.esplora.handle("GET", path)
        assert (reply.status, reply.content_type) == (200, "application/octet-stream"), reply
        return reply.body

    def post(self, body: bytes):
        return self.esplora.handle("POST", "/tx", body)

    def refused(self, path: str, status: int, code: str, *, method: str = "GET", body=b"") -> str:
        before = self.node.tip_hash, self.node.mempool()
        reply = self.esplora.handle(method, path, body)
        text = reply.body.decode()
        assert (reply.status, text.partition(":")[0]) == (status, code), text
        assert reply.content_type.startswith("text/plain")
        assert (self.node.tip_hash, self.node.mempool()) == before
        return text


@pytest.fixture
def asked() -> Iterator[Asked]:
    with ripe() as node:
        grow(node, 5)
        yield Asked(node)


@pytest.fixture(scope="module")
def still() -> Iterator[Asked]:
    """A chain that no test changes: a payment confirmed, another waiting."""
    with ripe() as node:
        grow(node, 5)
        node.broadcast(pay(node, P2WPKH, sats=COIN))
        grow(node, 2)
        node.broadcast(pay(node, P2WPKH, sats=2 * COIN, fee=700))
        yield Asked(node)


class TestBlocks:
    def test_the_tip(self, still):
        assert still.text("/blocks/tip/height") == str(still.node.height)
        assert still.text("/blocks/tip/hash") == still.node.tip_hash

    def test_a_block_has_esploras_fields(self, still):
        height = still.node.height - 1
        block_hash = still.text(f"/block-height/{height}")
        raw = still.raw(f"/block/{block_hash}/raw")
        header = BlockHeader.parse(raw[:80], check_validity=False)
        assert still.json(f"/block/{block_hash}") == {
            "id": block_hash,
            "height": height,
            "version": 0x20000000,
            "timestamp": still.node.index.times[height],
            "tx_count": 2,
            "size": len(raw),
            "weight": still.json(f"/block/{block_hash}")["weight"],
            "merkle_root": header.merkle_root.hex(),
            "previousblockhash": still.node.index.hashes[height - 1],
            "mediantime": still.node.index.median_time(height),
            "nonce": header.nonce,
            "bits": 0x207FFFFF,
            "difficulty": header.difficulty,
        }
        assert still.text(f"/block/{block_hash}/header") == raw[:80].hex()
        assert raw == still.node.block(height)
        txids = still.json(f"/block/{block_hash}/txids")
        assert still.text(f"/block/{block_hash}/txid/1") == txids[1]
        assert [tx["txid"] for tx in still.json(f"/block/{block_hash}/txs")] == txids

    def test_every_block_knows_its_height_and_its_median_time(self, still):
        for height, block_hash in enumerate(still.node.index.hashes):
            shown = still.json(f"/block/{block_hash}")
            assert (shown["height"], shown["id"]) == (height, block_hash)
            assert shown["mediantime"] == still.node.index.median_time(height)

    def test_genesis_is_a_block_too(self, still):
        assert still.text("/block-height/0") == GENESIS_HASH
        shown = still.json(f"/block/{GENESIS_HASH}")
        assert (shown["height"], shown["previousblockhash"], shown["tx_count"]) == (0, None, 1)
        raw = still.raw(f"/block/{GENESIS_HASH}/raw")
        assert sha256(sha256(raw[:80]).digest()).digest()[::-1].hex() == GENESIS_HASH
        assert still.json(f"/block/{GENESIS_HASH}/status")["next_best"] == still.text(
            "/block-height/1"
        )
        assert len(still.json(f"/block/{GENESIS_HASH}/txs")) == 1

    def test_lists_are_ten_blocks_newest_first(self, still):
        tip = still.node.height
        assert [each["height"] for each in still.json("/blocks")] == list(range(tip, tip - 10, -1))
        assert [each["height"] for each in still.json("/blocks/3")] == [3, 2, 1, 0]

    def test_a_block_left_aside_is_shown_as_such(self, asked):
        txid = asked.node.broadcast(pay(asked.node))
        grow(asked.node, 2)
        old, tip = asked.node.index.hashes[-2:]
        assert asked.json(f"/block/{tip}/status") == {
            "in_best_chain": True,
            "height": asked.node.height,
        }
        assert asked.json(f"/block/{old}/status")["next_best"] == tip
        asked.node.reorg(2, time=asked.node.tip_time + 600, drop=[txid])
        assert asked.json(f"/block/{old}/status") == {"in_best_chain": False}
        assert asked.json(f"/block/{old}")["height"] == asked.node.height - 2
        assert txid in asked.json(f"/block/{old}/txids")
        assert asked.json(f"/block/{old}/txs")[1]["status"] == {"confirmed": False}
        asked.refused(f"/tx/{txid}", 404, "http/unknown")
        assert sha256(P2WPKH).digest() not in asked.node.index.scripts

    def test_transactions_of_a_block_come_in_pages(self, asked):
        fan_out(asked.node, 30)
        block = f"/block/{asked.node.tip_hash}"
        txids = asked.json(f"{block}/txids")
        assert len(txids) == 31
        pages = [asked.json(f"{block}/txs"), asked.json(f"{block}/txs/25")]
        assert [len(page) for page in pages] == [25, 6]
        assert [tx["txid"] for page in pages for tx in page] == txids
        asked.refused(f"{block}/txs/5", 400, "http/value")
        asked.refused(f"{block}/txs/50", 404, "http/unknown")


class TestTransactions:
    def test_one_has_esploras_fields(self, still):
        txid = still.node.history(P2WPKH)[0].txid
        raw = still.node.transaction(txid)
        tx = Tx.parse(raw)
        height = still.node.height - 1
        shown = still.json(f"/tx/{txid}")
        assert list(shown) == [
            "txid", "version", "locktime", "vin", "vout", "size", "weight", "fee", "status",
        ]  # fmt: skip
        assert (shown["txid"], shown["fee"], shown["weight"]) == (txid, 1_000, tx.weight)
        assert (shown["size"], shown["version"], shown["locktime"]) == (len(raw), 2, 0)
        assert shown["status"] == {
            "confirmed": True,
            "block_height": height,
            "block_hash": still.node.index.hashes[height],
            "block_time": still.node.index.times[height],
        }
        (vin,) = shown["vin"]
        assert vin["prevout"]["scriptpubkey"] == MINER_SCRIPT.hex()
        assert vin["prevout"]["value"] - shown["fee"] == sum(o["value"] for o in shown["vout"])
        assert (vin["witness"], vin["scriptsig"], vin["is_coinbase"]) == (["51"], "", False)
        assert vin["inner_witnessscript_asm"] == "OP_PUSHNUM_1"
        assert shown["vout"][0] == {
            "scriptpubkey": P2WPKH.hex(),
            "scriptpubkey_asm": f"OP_0 OP_PUSHBYTES_20 {P2WPKH[2:].hex()}",
            "scriptpubkey_type": "v0_p2wpkh",
            "scriptpubkey_address": address_of(P2WPKH),
            "value": COIN,
        }
        assert still.text(f"/tx/{txid}/hex") == raw.hex()
        assert still.raw(f"/tx/{txid}/raw") == raw
        assert still.json(f"/tx/{txid}/status") == shown["status"]

    def test_a_coinbase_takes_nothing(self, still):
        txid = still.json(f"/block/{still.node.tip_hash}/txids")[0]
        shown = still.json(f"/tx/{txid}")
        (vin,) = shown["vin"]
        assert (vin["is_coinbase"], vin["prevout"], shown["fee"]) == (True, None, 0)
        assert (vin["txid"], vin["vout"]) == ("00" * 32, 0xFFFFFFFF)

    def test_one_that_waits_is_not_confirmed(self, still):
        txid = still.node.history(P2WPKH)[1].txid
        assert still.json(f"/tx/{txid}")["status"] == {"confirmed": False}
        assert still.json(f"/tx/{txid}")["fee"] == 700
        still.refused(f"/tx/{txid}/merkle-proof", 404, "http/unknown")
        still.refused(f"/tx/{txid}/merkleblock-proof", 404, "http/unknown")

    def test_proofs_lead_to_the_blocks_root(self, asked):
        fan_out(asked.node, 4)
        root = asked.json(f"/block/{asked.node.tip_hash}")["merkle_root"]
        txids = asked.json(f"/block/{asked.node.tip_hash}/txids")
        assert len(txids) == 5
        for position, txid in enumerate(txids):
            proof = asked.json(f"/tx/{txid}/merkle-proof")
            assert (proof["block_height"], proof["pos"]) == (asked.node.height, position)
            assert _climbs(txid, proof["merkle"], position) == root
            message = bytes.fromhex(asked.text(f"/tx/{txid}/merkleblock-proof"))
            found = MerkleBlock.parse(message, check_validity=False)
            assert found.header.hash.hex() == asked.node.tip_hash
            assert found.tree.merkle_root.hex() == root
            assert [(at, each.hex()) for at, each in found.tree.matches] == [(position, txid)]

    def test_outputs_say_what_spent_them(self, asked):
        first = asked.node.broadcast(pay(asked.node, MINER_SCRIPT, sats=COIN))
        grow(asked.node)
        coin = next(c for c in free_coins(asked.node) if c.outpoint.txid == first)
        second = asked.node.broadcast(spend([coin.outpoint], [(P2WPKH, coin.sats - 500)]))
        waiting = {"spent": True, "txid": second, "vin": 0, "status": {"confirmed": False}}
        spends = asked.json(f"/tx/{first}/outspends")
        assert sorted(spends, key=str) == sorted([waiting, {"spent": False}], key=str)
        assert asked.json(f"/tx/{first}/outspend/{coin.outpoint.vout}") == waiting
        grow(asked.node)
        confirmed = asked.json(f"/tx/{first}/outspend/{coin.outpoint.vout}")
        assert confirmed["status"]["block_height"] == asked.node.height
        asked.refused(f"/tx/{first}/outspend/2", 404, "http/unknown")

    def test_a_vaults_spend_shows_its_script(self, asked):
        vault = make_vault()
        coin = deposit(asked.node, vault)
        raw = close(draft(asked.node, vault, [coin]), BORROWER, LENDER)
        (vin,) = asked.json(f"/tx/{asked.post(raw.hex().encode()).body.decode()}")["vin"]
        words = vin["inner_witnessscript_asm"].split(" ")
        assert words[0] == "OP_PUSHNUM_2"
        assert words[-2:] == ["OP_CLTV", "OP_ENDIF"]
        assert vin["prevout"]["scriptpubkey_address"] == vault.address


class TestScripts:
    def test_an_address_and_its_scripthash_tell_the_same(self, still):
        for path in ("", "/txs", "/txs/chain", "/txs/mempool", "/utxo"):
            by_address = still.json(f"/address/{address_of(P2WPKH)}{path}")
            by_hash = still.json(f"/scripthash/{SCRIPTHASH}{path}")
            if path:
                assert by_address == by_hash
        assert by_address != []
        shown = still.json(f"/address/{address_of(P2WPKH)}")
        assert shown["address"] == address_of(P2WPKH)
        assert still.json(f"/scripthash/{SCRIPTHASH}")["scripthash"] == SCRIPTHASH

    def test_sums_count_what_came_and_what_went(self, asked):
        def stats() -> list[tuple[int, ...]]:
            shown = asked.json(f"/address/{address_of(MINER_SCRIPT)}")
            return [tuple(shown[each].values()) for each in ("chain_stats", "mempool_stats")]

        def rest(after: list[tuple[int, ...]]) -> list[list[int]]:
            rows = zip(after, before, strict=True)
            return [[new - old for new, old in zip(*row, strict=True)] for row in rows]

        before = stats()
        assert list(asked.json(f"/address/{address_of(MINER_SCRIPT)}")["chain_stats"]) == [
            "tx_count", "funded_txo_count", "funded_txo_sum", "spent_txo_count", "spent_txo_sum",
        ]  # fmt: skip
        coin = free_coins(asked.node)[0]
        raw = spend([coin.outpoint], [(MINER_SCRIPT, COIN), (P2WPKH, coin.sats - COIN - 500)])
        asked.post(raw.hex().encode())
        assert rest(stats()) == [[0] * 5, [1, 1, COIN, 1, coin.sats]]
        grow(asked.node, script=P2WPKH)
        assert rest(stats()) == [[1, 1, COIN, 1, coin.sats], [0] * 5]

    def test_utxos_are_what_nobody_spends(self, still):
        first, second = still.node.history(P2WPKH)
        confirmed, waiting = still.json(f"/scripthash/{SCRIPTHASH}/utxo")
        assert (confirmed["txid"], confirmed["vout"], confirmed["value"]) == (first.txid, 0, COIN)
        assert confirmed["status"] == still.json(f"/tx/{first.txid}/status")
        assert (waiting["txid"], waiting["status"]) == (second.txid, {"confirmed": False})
        spent = sha256(MINER_SCRIPT).hexdigest()
        for each in still.json(f"/scripthash/{spent}/utxo"):
            assert not still.json(f"/tx/{each['txid']}/outspend/{each['vout']}")["spent"]

    def test_a_script_that_only_waits_is_known_by_its_hash(self, asked):
        other = b"\x00\x14" + bytes(20)
        txid = asked.node.broadcast(pay(asked.node, other))
        shown = asked.json(f"/scripthash/{sha256(other).hexdigest()}/txs")
        assert [tx["txid"] for tx in shown] == [txid]

    def test_a_script_that_was_never_paid_has_an_empty_history(self, still):
        for path in ("/txs", "/txs/chain", "/txs/mempool", "/utxo"):
            assert still.json(f"/scripthash/{NOBODY}{path}") == []
        shown = still.json(f"/scripthash/{NOBODY}")
        assert set(shown["chain_stats"].values()) == set(shown["mempool_stats"].values()) == {0}
        still.refused(f"/scripthash/{NOBODY}/txs/chain/{NOBODY}", 404, "http/unknown")

    def test_a_long_history_comes_in_pages_newest_first(self, asked):
        grow(asked.node, 60, script=P2WPKH)
        path = f"/scripthash/{SCRIPTHASH}/txs"
        pages = [asked.json(path)]
        while pages[-1] and len(pages) < 9:
            pages.append(asked.json(f"{path}/chain/{pages[-1][-1]['txid']}"))
        assert [len(page) for page in pages] == [25, 25, 10, 0]
        heights = [tx["status"]["block_height"] for page in pages for tx in page]
        assert all(newer > older for newer, older in pairwise(heights))
        asked.refused(f"{path}/chain/{NOBODY}", 404, "http/unknown")

    def test_transactions_of_one_block_are_newest_first_too(self, asked):
        fan_out(asked.node, 4)
        path = f"/scripthash/{SCRIPTHASH}/txs"
        before = [tx["txid"] for tx in asked.json(path)]
        assert before == asked.json(f"/block/{asked.node.tip_hash}/txids")[:0:-1]
        waiting = [asked.node.broadcast(pay(asked.node)) for _ in range(2)]
        assert [tx["txid"] for tx in asked.json(path)] == [*reversed(waiting), *before]


class TestMempoolAndFees:
    def test_the_backlog_is_summed(self, still):
        (entry,) = still.node.waiting()
        assert still.json("/mempool") == {
            "count": 1,
            "vsize": entry.vsize,
            "total_fee": 700,
            "fee_histogram": [[700 // entry.vsize, entry.vsize]],
        }
        assert still.json("/mempool/txids") == [entry.txid]
        assert still.json("/mempool/recent") == [
            {
                "txid": entry.txid,
                "fee": 700,
                "vsize": entry.vsize,
                "value": sum(output.value for output in entry.tx.vout),
            }
        ]

    def test_estimates_are_given_for_esploras_targets(self, still):
        shown = still.json("/fee-estimates")
        assert list(shown) == [str(each) for each in TARGETS]
        assert all(isinstance(each, int) and each >= 2 for each in shown.values())


class TestABroadcast:
    def test_a_good_one_gives_its_txid(self, asked):
        raw = pay(asked.node)
        reply = asked.post(raw.hex().encode() + b"\n")
        assert (reply.status, reply.body.decode()) == (200, txid_of(raw))
        assert asked.node.depth(txid_of(raw)) == 0
        assert asked.post(raw.hex().encode()).status == 200  # known already

    @pytest.mark.parametrize(
        ("body", "code"),
        [
            (b"", "bitcoin/transaction"),
            (b"zz", "http/value"),
            (b"0", "http/value"),
            ("é".encode(), "http/value"),
            (b"\xff\xfe", "http/value"),
            (b"00", "bitcoin/transaction"),
            (b"ff" * 500_000, "bitcoin/transaction"),
        ],
    )
    def test_garbage_is_refused_by_name(self, asked, body, code):
        asked.refused("/tx", 400, code, method="POST", body=body)

    def test_a_rule_of_the_mempool_is_named(self, asked):
        raw = pay(asked.node, fee=0)
        asked.refused("/tx", 400, "bitcoin/fee", method="POST", body=raw.hex().encode())
        coin = free_coins(asked.node)[0]
        raw = spend([coin.outpoint], [(P2WPKH, coin.sats - 500)], witness=[b"\x00"])
        asked.refused("/tx", 400, "bitcoin/script", method="POST", body=raw.hex().encode())

    def test_a_body_that_is_too_large(self, asked):
        body = b"0" * (MAX_BODY + 1)
        asked.refused("/tx", 413, "http/too-large", method="POST", body=body)


REFUSALS = [
    ("/", 404, "http/path"),
    ("", 404, "http/path"),
    ("/nonsense", 404, "http/path"),
    ("/blocks/tip", 400, "http/value"),
    ("/blocks/tip/time", 404, "http/path"),
    ("/blocks/-1", 400, "http/value"),
    ("/blocks/1000000", 404, "http/unknown"),
    ("/block-height/-1", 400, "http/value"),
    ("/block-height/1e3", 400, "http/value"),
    ("/block-height/٣", 400, "http/value"),
    ("/block-height/" + "9" * 30, 400, "http/value"),
    ("/block-height/999999", 404, "http/unknown"),
    ("/block-height", 404, "http/path"),
    ("/block/xyz", 400, "http/value"),
    (f"/block/{NOBODY}", 404, "http/unknown"),
    (f"/block/{NOBODY}/header", 404, "http/unknown"),
    (f"/block/{NOBODY}/status", 404, "http/unknown"),
    (f"/block/{NOBODY}/txids", 404, "http/unknown"),
    (f"/block/{NOBODY}/txid/0", 404, "http/unknown"),
    (f"/block/{GENESIS_HASH}/txid/1", 404, "http/unknown"),
    (f"/block/{NOBODY}/raw", 404, "http/unknown"),
    (f"/block/{NOBODY}/txs", 404, "http/unknown"),
    (f"/block/{NOBODY}/txs/x", 400, "http/value"),
    (f"/block/{NOBODY}/cat", 404, "http/path"),
    (f"/tx/{NOBODY}", 404, "http/unknown"),
    (f"/tx/{NOBODY[1:]}", 400, "http/value"),
    (f"/tx/{NOBODY}/hex", 404, "http/unknown"),
    (f"/tx/{NOBODY}/raw", 404, "http/unknown"),
    (f"/tx/{NOBODY}/status", 404, "http/unknown"),
    (f"/tx/{NOBODY}/merkle-proof", 404, "http/unknown"),
    (f"/tx/{NOBODY}/outspend/0", 404, "http/unknown"),
    (f"/tx/{NOBODY}/outspend/-1", 404, "http/unknown"),
    (f"/tx/{NOBODY}/outspends", 404, "http/unknown"),
    (f"/tx/{NOBODY}/cat", 404, "http/path"),
    ("/address/bcrt1q", 400, "bitcoin/address"),
    ("/address/", 400, "bitcoin/address"),
    ("/address/tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx/txs", 400, "bitcoin/address"),
    ("/address/bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", 400, "bitcoin/address"),
    ("/scripthash/xyz", 400, "http/value"),
    (f"/scripthash/{NOBODY}/cat", 404, "http/path"),
    (f"/scripthash/{NOBODY}/txs/chain/x", 400, "http/value"),
    ("/mempool/old", 404, "http/path"),
    ("/" + "a" * MAX_PATH, 413, "http/too-large"),
]


class TestRefusals:
    @pytest.mark.parametrize(("path", "status", "code"), REFUSALS)
    def test_a_path_that_makes_no_sense(self, still, path, status, code):
        still.refused(path, status, code)

    @pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "BREW"])
    def test_a_method_that_a_path_does_not_take(self, still, method):
        still.refused("/blocks/tip/height", 405, "http/method", method=method)

    @pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
    def test_transactions_are_only_posted(self, still, method):
        still.refused("/tx", 405, "http/method", method=method)

    def test_an_address_in_capitals_is_the_same_address(self, still):
        assert still.json(f"/address/{address_of(P2WPKH).upper()}/utxo")


class TestScriptsInWords:
    @pytest.mark.parametrize(
        ("script", "kind", "asm"),
        [
            (b"", "empty", ""),
            (b"\x6a\x02hi", "op_return", "OP_RETURN OP_PUSHBYTES_2 6869"),
            (b"\x51\x20" + bytes(32), "v1_p2tr", "OP_PUSHNUM_1 OP_PUSHBYTES_32 " + "00" * 32),
            (b"\x00\x20" + bytes(32), "v0_p2wsh", "OP_0 OP_PUSHBYTES_32 " + "00" * 32),
            (
                b"\x76\xa9\x14" + bytes(20) + b"\x88\xac",
                "p2pkh",
                f"OP_DUP OP_HASH160 OP_PUSHBYTES_20 {'00' * 20} OP_EQUALVERIFY OP_CHECKSIG",
            ),
            (
                b"\xa9\x14" + bytes(20) + b"\x87",
                "p2sh",
                f"OP_HASH160 OP_PUSHBYTES_20 {'00' * 20} OP_EQUAL",
            ),
            (b"\x21" + b"\x02" * 33 + b"\xac", "p2pk", f"OP_PUSHBYTES_33 {'02' * 33} OP_CHECKSIG"),
            (b"\x4f\x60\xb1\xb2\xba\xbb\xff", "unknown",
             "OP_PUSHNUM_NEG1 OP_PUSHNUM_16 OP_CLTV OP_CSV OP_CHECKSIGADD OP_RETURN_187 "
             "OP_INVALIDOPCODE"),
            (b"\x4c\x03abc", "unknown", "OP_PUSHDATA1 616263"),
            (b"\x4d\x01", "unknown", "<unexpected end>"),
            (b"\x05ab", "unknown", "OP_PUSHBYTES_5 <push past end>"),
            (b"\x51", "unknown", "OP_PUSHNUM_1"),
        ],
    )  # fmt: skip
    def test_a_script_has_a_kind_and_words(self, script, kind, asm):
        assert (script_type(script), script_asm(script)) == (kind, asm)

    @given(st.binary(max_size=200))
    def test_every_script_has_both(self, script):
        assert isinstance(script_asm(script), str)
        assert script_type(script)

    @given(st.text(max_size=120))
    def test_what_is_no_address_is_refused(self, text):
        with pytest.raises(BadInput) as refusal:
            script_of(text)
        assert refusal.value.code == "bitcoin/address"


words = st.sampled_from(
    ["", "tx", "block", "blocks", "block-height", "address", "scripthash", "txs", "chain", "utxo",
     "mempool", "recent", "txids", "fee-estimates", "tip", "hash", "height", "raw", "hex", "status",
     "merkle-proof", "merkleblock-proof", "outspend", "outspends", "header", "txid", "0", "1", "25",
     "-1", NOBODY, GENESIS_HASH, SCRIPTHASH, address_of(P2WPKH)]
)  # fmt: skip
segments = st.one_of(words, st.text(max_size=30), st.integers().map(str))
paths = st.one_of(
    st.lists(segments, max_size=6).map(lambda parts: "/" + "/".join(parts)), st.text(max_size=250)
)
bodies = st.one_of(st.binary(max_size=300), st.binary(max_size=300).map(lambda b: b.hex().encode()))


@given(st.one_of(st.sampled_from(["GET", "POST", "HEAD"]), st.text(max_size=10)), paths, bodies)
def test_whatever_is_asked_there_is_an_answer_and_nothing_changes(still, method, path, body):
    before = still.node.tip_hash, still.node.mempool()
    reply = still.esplora.handle(method, path, body)
    assert reply.status in (200, 400, 404, 405, 413)
    assert isinstance(reply.body, bytes)
    if reply.status != 200:
        assert "/" in reply.body.decode().partition(":")[0]
    assert (still.node.tip_hash, still.node.mempool()) == before


@pytest.fixture(scope="module")
def lively() -> Iterator[tuple[Asked, bytes]]:
    with ripe() as node:
        raw = pay(node)
        node.broadcast(raw)
        yield Asked(node), raw


@given(st.data())
def test_a_damaged_transaction_is_taken_or_refused_by_name(lively, data):
    asked, raw = lively[0], bytearray(lively[1])
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] ^= data.draw(st.integers(1, 255))
    before = asked.node.mempool()
    reply = asked.post(raw.hex().encode())
    if reply.status == 200:  # its witness differs, or it pays enough more to replace the other
        assert asked.node.depth(reply.body.decode()) == 0
    else:
        assert (reply.status, reply.body[:8]) == (400, b"bitcoin/")
        assert asked.node.mempool() == before


def fan_out(node: Node, count: int) -> None:
    """A block with ``count`` payments to P2WPKH, at the tip."""
    coin = free_coins(node)[0]
    each = (coin.sats - 10_000) // count
    fan = node.broadcast(spend([coin.outpoint], [(MINER_SCRIPT, each)] * count))
    grow(node)
    for vout in range(count):
        node.broadcast(spend([OutPoint(fan, vout)], [(P2WPKH, each - 500)]))
    grow(node)


def _climbs(txid: str, branch: list[str], position: int) -> str:
    at = bytes.fromhex(txid)[::-1]
    for each in branch:
        other = bytes.fromhex(each)[::-1]
        pair = other + at if position & 1 else at + other
        at = sha256(sha256(pair).digest()).digest()
        position >>= 1
    return at[::-1].hex()
