"""What an explorer says about a node's chain: blocks, transactions, a script's whole story.

Answers are Esplora's JSON; None says that there is no such thing. Nothing is changed or kept but
what was parsed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import Final

from btclib.block import Block
from btclib.block.genesis import genesis_block
from btclib.tx import Tx, TxIn, TxOut

from escrow.adapters.bitcoin.block import GENESIS_HASH
from escrow.adapters.bitcoin.block import median_time as median_of
from escrow.adapters.bitcoin.mempool import Entry
from escrow.adapters.bitcoin.node import Node
from escrow.adapters.bitcoin.show import (
    Json,
    block_json,
    histogram,
    merkle_branch,
    merkleblock,
    script_of,
    transaction_json,
)
from escrow.adapters.bitcoin.types import OutPoint

__all__ = ["BLOCKS", "PAGE", "WAITING", "Explorer", "Json", "script_of"]

PAGE: Final = 25
"""Confirmed transactions that one answer carries (Esplora)."""
WAITING: Final = 50
"""Unconfirmed transactions that one answer about a script carries (Esplora)."""
BLOCKS: Final = 10
"""Blocks that one answer carries (Esplora)."""

_RECENT: Final = 10
_PARSED: Final = 4_096
_MEDIAN_SPAN: Final = 11
_OP_1: Final = 0x51
_OP_16: Final = 0x60


@dataclass(frozen=True, slots=True)
class _Story:
    """All that concerns one script."""

    confirmed: tuple[str, ...]
    """Confirmed transactions that pay it or spend from it, newest first."""
    waiting: tuple[str, ...]
    """The same in the mempool, newest first."""


class Explorer:
    """Reads one node. Not for several threads at once, as the node is not."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._genesis = genesis_block("regtest")
        self._block = lru_cache(_PARSED)(_parse_block)
        self._tx = lru_cache(_PARSED)(Tx.parse)

    # --- blocks ---

    def block_hash(self, height: int) -> str | None:
        """Hash of the block at a height of the best chain."""
        hashes = self._node.index.hashes
        return hashes[height] if 0 <= height < len(hashes) else None

    def block(self, block_hash: str) -> Json | None:
        """A block that the node holds, on its best chain or aside."""
        if (found := self._find(block_hash)) is None:
            return None
        height = 0 if block_hash == GENESIS_HASH else _height(found)
        return block_json(found, height=height, median_time=self._median_time(block_hash))

    def block_status(self, block_hash: str) -> Json | None:
        """Whether a block is on the best chain, and which comes after it."""
        if (shown := self.block(block_hash)) is None:
            return None
        height = shown["height"]
        assert isinstance(height, int)
        if self.block_hash(height) != block_hash:
            return {"in_best_chain": False}
        status: Json = {"in_best_chain": True, "height": height}
        following = self.block_hash(height + 1)
        return status if following is None else status | {"next_best": following}

    def block_raw(self, block_hash: str) -> bytes | None:
        """A block as it travels; its first 80 bytes are the header."""
        if (found := self._find(block_hash)) is None:
            return None
        return self._node.block_of(block_hash) or found.serialize(check_validity=False)

    def block_txids(self, block_hash: str) -> list[str] | None:
        """Ids of a block's transactions."""
        if (found := self._find(block_hash)) is None:
            return None
        return [tx.id.hex() for tx in found.transactions]

    def block_txs(self, block_hash: str, *, start: int) -> list[Json] | None:
        """A page of a block's transactions. None if ``start`` is behind the last."""
        found = self._find(block_hash)
        if found is None or start >= len(found.transactions):
            return None
        page = found.transactions[start : start + PAGE]
        return [self._shown(tx, tx.id.hex()) for tx in page]

    def blocks(self, height: int) -> list[Json] | None:
        """The blocks at ``height`` and before, newest first."""
        if self.block_hash(height) is None:
            return None
        hashes = self._node.index.hashes[max(0, height + 1 - BLOCKS) : height + 1]
        found = [self.block(each) for each in reversed(hashes)]
        return [each for each in found if each is not None]

    # --- transactions ---

    def transaction(self, txid: str) -> Json | None:
        """A transaction of the chain or the mempool."""
        raw = self._node.transaction(txid)
        return None if raw is None else self._shown(self._tx(raw), txid)

    def status(self, txid: str) -> Json | None:
        """Whether and where a known transaction is confirmed."""
        if (confirmed := self._node.index.transactions.get(txid)) is None:
            return None if self._node.transaction(txid) is None else {"confirmed": False}
        index = self._node.index
        return {
            "confirmed": True,
            "block_height": confirmed.height,
            "block_hash": index.hashes[confirmed.height],
            "block_time": index.times[confirmed.height],
        }

    def merkle_proof(self, txid: str) -> Json | None:
        """Electrum's proof that a block holds a transaction: the siblings on the way up."""
        if (confirmed := self._node.index.transactions.get(txid)) is None:
            return None
        branch = merkle_branch(self._txids_at(confirmed.height), confirmed.position)
        return {"block_height": confirmed.height, "merkle": branch, "pos": confirmed.position}

    def merkleblock_proof(self, txid: str) -> bytes | None:
        """The same proof as a ``merkleblock`` message (BIP-37), as ``gettxoutproof`` gives it."""
        if (confirmed := self._node.index.transactions.get(txid)) is None:
            return None
        block = self._find(self._node.index.hashes[confirmed.height])
        assert block is not None
        return merkleblock(block, txid=txid)

    def outspends(self, txid: str) -> list[Json] | None:
        """For each output of a transaction, whether and by what it is spent."""
        if (raw := self._node.transaction(txid)) is None:
            return None
        return [self._spent(OutPoint(txid, vout)) for vout in range(len(self._tx(raw).vout))]

    # --- scripts; None is one that was never paid ---

    def script(self, scripthash: bytes) -> bytes | None:
        """The script with this SHA-256, if the chain or the mempool ever paid it."""
        if (known := self._node.index.scripts.get(scripthash)) is not None:
            return known
        for entry in self._node.waiting():
            for output in entry.tx.vout:
                if sha256(output.script_pub_key.script).digest() == scripthash:
                    return output.script_pub_key.script
        return None

    def stats(self, script: bytes | None) -> tuple[Json, Json]:
        """What a script received and spent: on the chain, and in the mempool."""
        story, confirmed = self._story(script), self._node.index.transactions
        spenders = self._node.index.spenders
        funded = self._received(script)
        old = [each for each in funded if each.txid in confirmed]
        new = [each for each in funded if each.txid not in confirmed]
        gone = [each for each in old if each in spenders]
        going = [each for each in funded if each not in spenders and self._node.spender(each)]
        return (
            self._sums(story.confirmed, funded=old, spent=gone),
            self._sums(story.waiting, funded=new, spent=going),
        )

    def history(self, script: bytes | None, *, after: str | None = None) -> list[Json] | None:
        """A page of a script's confirmed transactions, newest first.

        None if ``after``, the last one of the page before, is not among them.
        """
        txids = self._story(script).confirmed
        if after is not None:
            if after not in txids:
                return None
            txids = txids[txids.index(after) + 1 :]
        return self._many(txids[:PAGE])

    def waiting(self, script: bytes | None) -> list[Json]:
        """A script's unconfirmed transactions, newest first."""
        return self._many(self._story(script).waiting[:WAITING])

    def utxos(self, script: bytes | None) -> list[Json]:
        """Outputs to a script that no transaction spends, confirmed ones first."""
        if script is None:
            return []
        coins = [*self._node.coins(script), *self._node.pending(script)]
        return [
            {
                "txid": coin.outpoint.txid,
                "vout": coin.outpoint.vout,
                "status": self.status(coin.outpoint.txid),
                "value": coin.sats,
            }
            for coin in coins
            if self._node.spender(coin.outpoint) is None
        ]

    # --- mempool ---

    def mempool(self) -> Json:
        """How much waits, and what it pays."""
        entries = self._node.waiting()
        return {
            "count": len(entries),
            "vsize": sum(each.vsize for each in entries),
            "total_fee": sum(each.fee for each in entries),
            "fee_histogram": histogram([{"fee": e.fee, "vsize": e.vsize} for e in entries]),
        }

    def recent(self) -> list[Json]:
        """The last transactions to come in, newest first."""
        entries: Sequence[Entry] = self._node.waiting()[-_RECENT:]
        return [
            {
                "txid": each.txid,
                "fee": each.fee,
                "vsize": each.vsize,
                "value": sum(output.value for output in each.tx.vout),
            }
            for each in reversed(entries)
        ]

    def _find(self, block_hash: str) -> Block | None:
        if block_hash == GENESIS_HASH:
            return self._genesis
        raw = self._node.block_of(block_hash)
        return None if raw is None else self._block(raw)

    def _txids_at(self, height: int) -> list[str]:
        return self.block_txids(self._node.index.hashes[height]) or []

    def _median_time(self, block_hash: str) -> int:
        times: list[int] = []
        while (found := self._find(block_hash)) is not None and len(times) < _MEDIAN_SPAN:
            times.append(int(found.header.time.timestamp()))
            block_hash = found.header.previous_block_hash.hex()
        return median_of(times)

    def _received(self, script: bytes | None) -> tuple[OutPoint, ...]:
        return () if script is None else self._node.history(script)

    def _story(self, script: bytes | None) -> _Story:
        known = self._node.index.transactions
        txids: dict[str, None] = {}
        for outpoint in self._received(script):
            txids[outpoint.txid] = None
            if (spender := self._node.spender(outpoint)) is not None:
                txids[spender] = None
        order = {entry.txid: number for number, entry in enumerate(self._node.waiting())}
        return _Story(
            tuple(
                sorted(
                    (each for each in txids if each in known),
                    key=lambda txid: (-known[txid].height, -known[txid].position),
                )
            ),
            tuple(sorted((each for each in txids if each in order), key=lambda txid: -order[txid])),
        )

    def _sums(
        self, txids: Sequence[str], *, funded: Sequence[OutPoint], spent: Sequence[OutPoint]
    ) -> Json:
        return {
            "tx_count": len(txids),
            "funded_txo_count": len(funded),
            "funded_txo_sum": sum(self._output(each).value for each in funded),
            "spent_txo_count": len(spent),
            "spent_txo_sum": sum(self._output(each).value for each in spent),
        }

    def _spent(self, outpoint: OutPoint) -> Json:
        if (txid := self._node.spender(outpoint)) is None:
            return {"spent": False}
        raw = self._node.transaction(txid)
        assert raw is not None, "a spender is in the chain or the mempool"
        inputs = [(each.prev_out.tx_id.hex(), each.prev_out.vout) for each in self._tx(raw).vin]
        vin = inputs.index((outpoint.txid, outpoint.vout))
        return {"spent": True, "txid": txid, "vin": vin, "status": self.status(txid)}

    def _many(self, txids: Sequence[str]) -> list[Json]:
        found = [self.transaction(txid) for txid in txids]
        return [each for each in found if each is not None]

    def _shown(self, tx: Tx, txid: str) -> Json:
        spends = [] if tx.is_coinbase else [self._spent_by(each) for each in tx.vin]
        return transaction_json(
            tx, txid=txid, spends=spends, status=self.status(txid) or {"confirmed": False}
        )

    def _spent_by(self, tx_in: TxIn) -> TxOut | None:
        # Unknown only in a block aside, whose parents may be gone.
        raw = self._node.transaction(tx_in.prev_out.tx_id.hex())
        return None if raw is None else self._tx(raw).vout[tx_in.prev_out.vout]

    def _output(self, outpoint: OutPoint) -> TxOut:
        raw = self._node.transaction(outpoint.txid)
        assert raw is not None, "what was spent or received is in the chain or the mempool"
        return self._tx(raw).vout[outpoint.vout]


def _parse_block(raw: bytes) -> Block:
    return Block.parse(raw, check_validity=False)


def _height(block: Block) -> int:
    """Height as the coinbase states it (BIP34; one opcode up to 16): a block aside has it too."""
    script = block.transactions[0].vin[0].script_sig
    if _OP_1 <= script[0] <= _OP_16:
        return script[0] - _OP_1 + 1
    return int.from_bytes(script[1 : 1 + script[0]], "little")
