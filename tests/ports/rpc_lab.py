"""The few calls of Bitcoin Core's JSON-RPC that ``RpcNode`` makes, over HTTP, before our node.

Not Core: it stands in for one where none is installed. Blocks, transactions and verdicts are the
node's; only the words are Core's (rpc/protocol.h, validation.cpp).
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from escrow.adapters.bitcoin.node import Node
from escrow.adapters.bitcoin.policy import read_transaction
from escrow.core.errors import BadInput, EscrowError, Refused

USER, PASSWORD = "alice", "correct horse battery staple"
WORDS = {
    "bitcoin/conflict": "insufficient fee, rejecting replacement; less fees than conflicting txs",
    "bitcoin/replace": "insufficient fee, rejecting replacement; not enough additional fees",
    "bitcoin/fee": "min relay fee not met, 1 < 110",
    "bitcoin/dust": "dust, tx with dust output must be 0-fee",
    "bitcoin/non-final": "non-final",
    "bitcoin/immature": "bad-txns-premature-spend-of-coinbase, tried to spend coinbase at depth 1",
    "bitcoin/amount": "bad-txns-in-belowout, value in (1) < value out (2)",
    "bitcoin/script": "mempool-script-verify-flag-failed (Witness program hash mismatch)",
    "bitcoin/policy": "scriptpubkey",
}


class RpcFault(Exception):
    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass
class CoreRpc:
    """What answers. ``lies`` replaces the answer to a method, for nodes that cannot be trusted."""

    node: Node
    lock: threading.RLock = field(default_factory=threading.RLock)
    lies: dict[str, object] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def answer(self, method: str, params: list[object]) -> object:
        self.asked.append(method)
        if method in self.lies:
            lie = self.lies[method]
            return lie(*params) if callable(lie) else lie
        call = getattr(self, method, None)
        if call is None:
            raise RpcFault(-32601, "Method not found")
        with self.lock:
            return call(*params)

    def getblockchaininfo(self) -> dict[str, object]:
        return {"chain": "regtest", "blocks": self.node.height, "pruned": False}

    def getblockcount(self) -> int:
        return self.node.height

    def getbestblockhash(self) -> str:
        return self.node.tip_hash

    def getblockhash(self, height: int) -> str:
        if not 0 <= height <= self.node.height:
            raise RpcFault(-8, "Block height out of range")
        return self.node.index.hashes[height]

    def getblock(self, block_hash: str, verbosity: int) -> str:
        assert verbosity == 0
        if (raw := self.node.block_of(block_hash)) is None:
            raise RpcFault(-5, "Block not found")
        return raw.hex()

    def getrawmempool(self, verbose: bool) -> dict[str, object]:
        assert verbose
        waiting = {
            each.txid: {
                "time": 1_700_000_000 + number,
                "height": each.height,
                "ancestorcount": 1 + len(each.parents),
            }
            for number, each in enumerate(self.node.waiting())
        }
        return dict(sorted(waiting.items(), key=lambda each: sha256(each[0].encode()).digest()))

    def getrawtransaction(self, txid: str) -> str:
        # Without -txindex Core knows only what waits.
        for entry in self.node.waiting():
            if entry.txid == txid:
                return entry.raw.hex()
        raise RpcFault(-5, "No such mempool transaction. Use -txindex or provide a block hash")

    def getmempoolinfo(self) -> dict[str, object]:
        rate = self.node.floor / 100_000
        return {"size": len(self.node.waiting()), "mempoolminfee": rate, "minrelaytxfee": rate}

    def estimatesmartfee(self, blocks: int) -> dict[str, object]:
        # What Core says on a chain that is too young for statistics.
        return {"errors": ["Insufficient data or no feerate found"], "blocks": blocks}

    def sendrawtransaction(self, text: str) -> str:
        try:
            txid = read_transaction(bytes.fromhex(text)).id.hex()
            if (self.node.depth(txid) or 0) > 0:
                if any(coin.txid == txid for coin in self.node.index.coins):
                    raise RpcFault(-27, "Transaction outputs already in utxo set")
                raise RpcFault(-25, "bad-txns-inputs-missingorspent")
            return self.node.broadcast(bytes.fromhex(text))
        except BadInput:
            raise RpcFault(-22, "TX decode failed.") from None
        except Refused as refusal:
            if refusal.code == "bitcoin/missing-input":
                raise RpcFault(-25, "bad-txns-inputs-missingorspent") from None
            words = WORDS[refusal.code]
            if refusal.code == "bitcoin/policy" and "script" in str(refusal.facts.get("reason")):
                words = str(refusal.facts["reason"])
            raise RpcFault(-26, words) from None


@contextmanager
def serving(core: CoreRpc) -> Iterator[str]:
    """The URL of an HTTP server before ``core``."""
    accepted = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("authorization") != accepted:
                self.reply(401, b"")
                return
            asked = json.loads(body)
            batch = isinstance(asked, list)
            answers = [self.answer(each) for each in (asked if batch else [asked])]
            self.reply(200, json.dumps(answers if batch else answers[0]).encode())

        def answer(self, request: dict) -> dict[str, object]:
            found: dict[str, object] = {"jsonrpc": "2.0", "id": request["id"]}
            try:
                found["result"] = core.answer(request["method"], request["params"])
            except RpcFault as fault:
                found["error"] = {"code": fault.code, "message": str(fault)}
            except EscrowError as error:
                found["error"] = {"code": -1, "message": str(error)}
            return found

        def reply(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
