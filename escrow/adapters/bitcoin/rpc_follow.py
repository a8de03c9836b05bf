"""Follows a running ``bitcoind``: its chain block by block into an index, its mempool beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from btclib.tx import Tx, TxIn

from escrow.adapters.bitcoin import block as regtest
from escrow.adapters.bitcoin.index import Index
from escrow.adapters.bitcoin.policy import read_transaction
from escrow.adapters.bitcoin.rpc_client import RpcClient, RpcError, refused
from escrow.adapters.bitcoin.types import OutPoint
from escrow.core.errors import BadInput, EscrowError, Refused

_BATCH: Final = 500  # hashes asked for at once
_HASH_DIGITS: Final = 64
_TRIES: Final = 10  # times that the chain may move while it is read
_UNKNOWN: Final = -5  # RPC_INVALID_ADDRESS_OR_KEY: no such transaction or block


@dataclass(frozen=True, slots=True)
class Waiting:
    """A transaction in Core's mempool."""

    tx: Tx
    """Decoded."""
    raw: bytes
    """As it travels."""
    height: int
    """Height of the tip when it came."""


class Follower:
    """What a node says now, as an index. Never trusts that answers fit together: it looks."""

    def __init__(self, rpc: RpcClient) -> None:
        self._rpc = rpc
        self.index = Index()
        """The chain when ``look`` was last called."""
        self.mempool: dict[str, Waiting] = {}
        """Transactions that waited then, in the order in which this object saw them."""

    def look(self) -> Index:
        """Bring index and mempool to where the node stands; the index.

        Raises Refused("rpc/unreachable"), Refused("rpc/refused"); what is then known is whole.
        """
        for _ in range(_TRIES):
            # In this order, and only if the tip is the one indexed: a block that came in between
            # has taken transactions out of the mempool, and then both are asked for again.
            listed, tip = self._rpc.batch(("getrawmempool", True), ("getbestblockhash",))
            if _hash(tip) == self.index.hashes[-1]:
                self._read_mempool(listed)
                return self.index
            try:
                self._follow()
            except (EscrowError, LookupError) as error:
                # Half a block may have been taken in: begin anew next time.
                self.index = Index()
                if isinstance(error, EscrowError):
                    raise
                raise Refused("rpc/refused", reason="blocks do not fit together") from None
        raise Refused("rpc/refused", reason="the chain does not come to rest")

    def _follow(self) -> None:
        index = self.index
        while index.height and not self._is_on_chain(index.height, index.hashes[-1]):
            index.disconnect(self._block(index.hashes[-1]))
        best = self._rpc.call("getblockcount")
        if type(best) is not int:
            raise Refused("rpc/refused", method="getblockcount", reason="not a height")
        for start in range(index.height + 1, best + 1, _BATCH):
            heights = range(start, min(start + _BATCH, best + 1))
            for found in self._rpc.batch(*(("getblockhash", height) for height in heights)):
                block = self._block(_hash(found))
                if block.previous != index.hashes[-1]:
                    return  # the chain moved meanwhile; the caller looks again
                index.connect(block)

    def _is_on_chain(self, height: int, block_hash: str) -> bool:
        try:
            return self._rpc.ask("getblockhash", height) == block_hash
        except RpcError:  # Core's chain is shorter now
            return False

    def _block(self, block_hash: str) -> regtest.ParsedBlock:
        raw = _bytes(self._rpc.call("getblock", block_hash, 0))
        try:
            found = regtest.parse(raw)
        except BadInput:
            raise Refused("rpc/refused", method="getblock", reason="not a block") from None
        if found.hash != block_hash:
            raise Refused("rpc/refused", method="getblock", reason="another block")
        return found

    def _read_mempool(self, listed: object) -> None:
        if not isinstance(listed, dict):
            raise Refused("rpc/refused", method="getrawmempool", reason="not an object")
        for txid in self.mempool.keys() - listed.keys():
            del self.mempool[txid]
        fresh = [txid for txid in listed if txid not in self.mempool]
        # Core lists ids in no order that means anything; it says when each came, to the second.
        for txid in sorted(fresh, key=lambda each: _came(listed[each], each)):
            try:
                raw = _bytes(self._rpc.ask("getrawtransaction", txid))
            except RpcError as error:
                if error.code == _UNKNOWN:  # it left meanwhile
                    continue
                raise refused(error, method="getrawtransaction") from None
            self.mempool[txid] = _waiting(raw, txid, listed[txid])

    def spenders(self) -> dict[OutPoint, str]:
        """Output → the waiting transaction that spends it."""
        return {
            outpoint_of(each): txid
            for txid, waiting in self.mempool.items()
            for each in waiting.tx.vin
        }


def outpoint_of(tx_in: TxIn) -> OutPoint:
    """The output that an input spends."""
    return OutPoint(tx_in.prev_out.tx_id.hex(), tx_in.prev_out.vout)


def member(found: object, name: str) -> object:
    """A member of a JSON object, None if it has none. Raises Refused("rpc/refused")."""
    if not isinstance(found, dict):
        raise Refused("rpc/refused", reason="not an object")
    return found.get(name)


def _waiting(raw: bytes, txid: str, listed: object) -> Waiting:
    try:
        tx = read_transaction(raw)
    except BadInput:
        raise Refused("rpc/refused", method="getrawtransaction", reason="unreadable") from None
    if tx.id.hex() != txid:
        raise Refused("rpc/refused", method="getrawtransaction", reason="another transaction")
    height = member(listed, "height")
    return Waiting(tx, raw, height if isinstance(height, int) else 0)


def _hash(found: object) -> str:
    if not isinstance(found, str) or len(found) != _HASH_DIGITS:
        raise Refused("rpc/refused", reason="not a hash")
    return found


def _came(listed: object, txid: str) -> tuple[int, int, str]:
    moment, ancestors = member(listed, "time"), member(listed, "ancestorcount")
    return (
        moment if isinstance(moment, int) else 0,
        ancestors if isinstance(ancestors, int) else 0,
        txid,
    )


def _bytes(text: object) -> bytes:
    try:
        return bytes.fromhex(text) if isinstance(text, str) else b""
    except ValueError:
        raise Refused("rpc/refused", reason="not hexadecimal") from None
