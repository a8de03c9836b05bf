"""Bitcoin as light wallets ask for it: the HTTP API of Blockstream's Esplora, without the HTTP.

A request is a method, a path and a body; a reply is a status, a type and bytes. Paths and shapes
are those of ``esplora/API.md``. What differs, on purpose: what is unknown is 404 everywhere, and an
error's body starts with one of our codes. Nothing but ``POST /tx`` changes anything.
"""

from __future__ import annotations

import json
from typing import Final, TypeVar

from escrow.adapters.bitcoin.explorer import PAGE, Explorer, script_of
from escrow.adapters.bitcoin.node import Node
from escrow.core.errors import BadInput, EscrowError
from escrow.web.site import Reply, refusal

MAX_BODY: Final = 1_000_000
"""Bytes of the largest body that is read (Esplora): hex of a transaction that could be relayed."""
MAX_PATH: Final = 200
"""Characters of the longest path; the longest real one has some 170."""
TARGETS: Final = (*range(1, 26), 144, 504, 1008)
"""Blocks that fee estimates are given for (Esplora)."""

T = TypeVar("T")

_TEXT: Final = "text/plain; charset=utf-8"
_JSON: Final = "application/json"
_BINARY: Final = "application/octet-stream"
_HASH_DIGITS: Final = 64
_MOST_DIGITS: Final = 10
_HEADER: Final = 80


class Esplora:
    """Answers for one node. Not for several threads at once, as the node is not."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._explorer = Explorer(node)

    def handle(self, method: str, path: str, body: bytes = b"") -> Reply:
        """Answer a request. Every refusal is a reply; nothing was changed then."""
        try:
            if len(path) > MAX_PATH:
                raise BadInput("http/too-large", path=len(path), most=MAX_PATH)
            if len(body) > MAX_BODY:
                raise BadInput("http/too-large", body=len(body), most=MAX_BODY)
            parts = path.split("/")[1:]
            if parts == ["tx"]:
                if method != "POST":
                    raise BadInput("http/method", method=method[:20], takes="POST")
                return _text(self._node.broadcast(_hex(body)))
            if method not in ("GET", "HEAD"):
                raise BadInput("http/method", method=method[:20], takes="GET")
            return self._get(parts, path)
        except EscrowError as error:
            return refusal(error)

    def _get(self, parts: list[str], path: str) -> Reply:
        match parts:
            case ["blocks" | "block" | "block-height", *_]:
                return self._blocks(parts, path)
            case ["tx", txid, *rest]:
                return self._transaction(_hash(txid), rest, path)
            case ["address", address, *rest]:
                return self._script("address", address, script_of(address), rest, path)
            case ["scripthash", scripthash, *rest]:
                script = self._explorer.script(bytes.fromhex(_hash(scripthash)))
                return self._script("scripthash", scripthash, script, rest, path)
            case ["mempool"]:
                return _json(self._explorer.mempool())
            case ["mempool", "txids"]:
                return _json([each.txid for each in self._node.waiting()])
            case ["mempool", "recent"]:
                return _json(self._explorer.recent())
            case ["fee-estimates"]:
                return _json({str(each): self._node.estimate_feerate(each) for each in TARGETS})
        raise BadInput("http/path", path=path)

    def _blocks(self, parts: list[str], path: str) -> Reply:
        explorer = self._explorer
        match parts:
            case ["blocks", "tip", "height"]:
                return _text(str(self._node.height))
            case ["blocks", "tip", "hash"]:
                return _text(self._node.tip_hash)
            case ["blocks"]:
                return _json(_found(explorer.blocks(self._node.height)))
            case ["blocks", height]:
                return _json(_found(explorer.blocks(_number(height)), height=height))
            case ["block-height", height]:
                return _text(_found(explorer.block_hash(_number(height)), height=height))
            case ["block", block, *rest]:
                return self._block(_hash(block), rest, path)
        raise BadInput("http/path", path=path)

    def _block(self, block: str, rest: list[str], path: str) -> Reply:
        explorer = self._explorer
        match rest:
            case []:
                return _json(_found(explorer.block(block), block=block))
            case ["header"]:
                return _text(_found(explorer.block_raw(block), block=block)[:_HEADER].hex())
            case ["status"]:
                return _json(_found(explorer.block_status(block), block=block))
            case ["txids"]:
                return _json(_found(explorer.block_txids(block), block=block))
            case ["txid", index]:
                txids = _found(explorer.block_txids(block), block=block)
                if (at := _number(index)) >= len(txids):
                    raise BadInput("http/unknown", block=block, index=at)
                return _text(txids[at])
            case ["raw"]:
                return Reply(200, _BINARY, _found(explorer.block_raw(block), block=block))
            case ["txs"]:
                return _json(_found(explorer.block_txs(block, start=0), block=block))
            case ["txs", start]:
                if (first := _number(start)) % PAGE:
                    raise BadInput("http/value", start=first, multiple_of=PAGE)
                page = explorer.block_txs(block, start=first)
                return _json(_found(page, block=block, start=first))
        raise BadInput("http/path", path=path)

    def _transaction(self, txid: str, rest: list[str], path: str) -> Reply:
        explorer = self._explorer
        match rest:
            case []:
                return _json(_found(explorer.transaction(txid), txid=txid))
            case ["hex"]:
                return _text(_found(self._node.transaction(txid), txid=txid).hex())
            case ["raw"]:
                return Reply(200, _BINARY, _found(self._node.transaction(txid), txid=txid))
            case ["status"]:
                return _json(_found(explorer.status(txid), txid=txid))
            case ["merkle-proof"]:
                return _json(_found(explorer.merkle_proof(txid), txid=txid))
            case ["merkleblock-proof"]:
                return _text(_found(explorer.merkleblock_proof(txid), txid=txid).hex())
            case ["outspend", vout]:
                spends = _found(explorer.outspends(txid), txid=txid)
                if (at := _number(vout)) >= len(spends):
                    raise BadInput("http/unknown", txid=txid, vout=at)
                return _json(spends[at])
            case ["outspends"]:
                return _json(_found(explorer.outspends(txid), txid=txid))
        raise BadInput("http/path", path=path)

    def _script(
        self, kind: str, name: str, script: bytes | None, rest: list[str], path: str
    ) -> Reply:
        explorer = self._explorer
        # None was never paid. Its history is empty, not unknown: asking is how wallets scan.
        match rest:
            case []:
                chain, mempool = explorer.stats(script)
                return _json({kind: name, "chain_stats": chain, "mempool_stats": mempool})
            case ["txs"]:
                return _json([*explorer.waiting(script), *_found(explorer.history(script))])
            case ["txs", "chain"]:
                return _json(_found(explorer.history(script)))
            case ["txs", "chain", last]:
                txid = _hash(last)
                return _json(_found(explorer.history(script, after=txid), txid=txid))
            case ["txs", "mempool"]:
                return _json(explorer.waiting(script))
            case ["utxo"]:
                return _json(explorer.utxos(script))
        raise BadInput("http/path", path=path)


def _text(text: str) -> Reply:
    return Reply(200, _TEXT, text.encode())


def _json(value: object) -> Reply:
    return Reply(200, _JSON, json.dumps(value, separators=(",", ":")).encode())


def _found(value: T | None, **what: int | str) -> T:
    if value is None:
        raise BadInput("http/unknown", **what)
    return value


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS):
        raise BadInput("http/value", number=text[:20])
    return int(text)


def _hash(text: str) -> str:
    if len(text) != _HASH_DIGITS or any(each not in "0123456789abcdefABCDEF" for each in text):
        raise BadInput("http/value", hash=text[:_HASH_DIGITS])
    return text.lower()


def _hex(body: bytes) -> bytes:
    try:
        return bytes.fromhex(body.decode("ascii").strip())
    except ValueError:
        raise BadInput("http/value", body="not hexadecimal") from None
