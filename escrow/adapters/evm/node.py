"""A user's own Ethereum node as an ``EvmPort``, over JSON-RPC: anvil, or any other.

With a clock, the node is one for development: it takes the time of each block from this clock and
goes back to snapshots (``evm_setNextBlockTimestamp``, ``evm_snapshot``, ``evm_revert``). Without
one, the node keeps its own time and nothing is asked of it but what every node can do.

Each transaction is a block of its own, so it takes the next second at the earliest. Before it is
sent, what a node would only keep waiting is refused here, and it is tried as a call: that tells
what a receipt does not, the data of a revert.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import Final, TypeVar

from escrow.adapters.evm.answers import call_of, next_fee, read, to_log, to_receipt
from escrow.adapters.evm.history import Topics
from escrow.adapters.evm.inclusion import admit, advance
from escrow.adapters.evm.node_client import NodeClient, refused
from escrow.adapters.evm.revert import Reverted
from escrow.adapters.evm.transaction import Transaction, decode
from escrow.adapters.evm.wire import (
    Json,
    RpcError,
    data,
    quantity,
    to_bytes,
    to_int,
    to_list,
    to_object,
    to_word,
)
from escrow.core.errors import BadInput, Refused
from escrow.ports import Clock, Log, Receipt

URL: Final = "http://127.0.0.1:8545"
"""Where nodes listen unless told otherwise."""
CALL_GAS: Final = 50_000_000
"""Gas of a call: a loop without end must end."""
_REVERTED: Final = 3
"""geth's code for a revert; others have taken it over."""
_STOPPED: Final = ("EVM error ", "execution failed: ")
"""What anvil and our own dispatcher say before the machine's word for why a run stopped."""
_HALTS: Final = ("out of gas", "invalid opcode", "invalid jump", "stack underflow")
"""geth's words for it, which stand alone."""
# The node's words for what it refuses to take, as geth and anvil have them.
_REASONS: Final = (
    ("nonce too", "evm/nonce"),
    ("insufficient funds", "evm/funds"),
    ("fee", "evm/fee"),
    ("gas", "evm/gas"),
    ("", "evm/transaction"),
)
_PAUSE: Final = 0.02  # seconds between two looks for a receipt
_LOOKS: Final = 1_500
"""Half a minute: a node with blocks every twelve seconds is waited for."""
_T = TypeVar("_T")


class RpcChain:
    """See the module. Every method raises Refused: "rpc/unreachable" if the node does not answer,
    "rpc/refused" if it answers otherwise than a node does that can what is asked."""

    def __init__(self, url: str = URL, *, clock: Clock | None = None) -> None:
        """Connect to a node on this machine. Raises BadInput("http/address")."""
        self._node = NodeClient(url)
        self._clock = clock
        self._chain_id = self._ask(to_int, "eth_chainId")
        self._aim: int | None = None
        """What the node was told to date its next block."""
        self._snapshots: dict[int, object] = {}
        """Its names for ours."""
        self._last_snapshot = 0

    def __repr__(self) -> str:
        return f"RpcChain({self._node.url})"

    # --- to write ---

    def send(self, raw: bytes, *, strict: bool = True) -> Receipt:
        """As ``Chain.send``. If others use the node too, what went well when tried may revert in
        its block: then ``Reverted`` comes without data, ``mined``, and the nonce is used.

        Raises ``Refused("rpc/unreachable")`` if the node takes it but makes no block in time.
        """
        transaction = decode(raw, chain_id=self._chain_id)
        self._admit(transaction)
        at = self._set_time()
        # A delegation (EIP-7702) cannot be tried: not every node reads one in a call.
        delegates = bool(transaction.authorization_list)
        output, halt = (b"", "") if delegates else self._try(call_of(transaction))
        if halt and strict:
            raise Reverted(output, halt=halt)
        try:
            self._node.ask("eth_sendRawTransaction", data(raw))
        except RpcError as error:
            words = error.message.lower()
            code = next(code for start, code in _REASONS if start in words)
            raise Refused(code, reason=error.message[:200]) from None
        receipt = self._mined(transaction.hash, output=output)
        self._aim = None
        if self._clock is not None:
            if receipt.timestamp != at:
                raise Refused("rpc/refused", reason="not the block time asked", time=at)
            self._clock.at_least(at)
        if strict and not receipt.status:
            raise Reverted(b"", halt="mined")
        return receipt

    def _admit(self, transaction: Transaction) -> None:
        sender = data(transaction.sender)
        nonce, balance, code, fees = self._node.batch(
            ("eth_getTransactionCount", sender, "latest"),
            ("eth_getBalance", sender, "latest"),
            ("eth_getCode", sender, "latest"),
            ("eth_feeHistory", "0x1", "latest", []),
        )
        admit(
            transaction,
            nonce=read(to_int, nonce),
            balance=read(to_int, balance),
            code=read(to_bytes, code),
            base_fee=read(next_fee, fees),
        )

    def _mined(self, tx_hash: bytes, *, output: bytes) -> Receipt:
        for _ in range(_LOOKS):
            receipt = self._receipt(tx_hash, output=output)
            if receipt is not None:
                return receipt
            time.sleep(_PAUSE)
        raise Refused("rpc/unreachable", reason="no block holds the transaction")

    def move_to(self, t: int) -> None:
        """As ``Chain.move_to``; without a clock time is the node's, and ``Refused`` is raised."""
        if self._clock is None:
            raise Refused("evm/time", time=t, reason="the node keeps its own")
        advance(self._clock, t, earliest=self.next_time)

    def snapshot(self) -> int:
        """As ``Chain.snapshot``."""
        self._last_snapshot += 1
        self._snapshots[self._last_snapshot] = self._node.call("evm_snapshot")
        return self._last_snapshot

    def revert(self, snapshot: int) -> None:
        """As ``Chain.revert``."""
        if snapshot not in self._snapshots:
            raise Refused("evm/snapshot", snapshot=snapshot)
        taken = self._snapshots[snapshot]
        for later in [number for number in self._snapshots if number >= snapshot]:
            del self._snapshots[later]
        self._aim = None
        if self._node.call("evm_revert", taken) is not True:
            raise Refused("evm/snapshot", snapshot=snapshot, reason="the node has lost it")

    def _set_time(self) -> int:
        """When the next block will be; tells the node, if its time is the clock's."""
        at = self.next_time
        if self._clock is not None and self._aim != at:
            self._node.call("evm_setNextBlockTimestamp", quantity(at))
            self._aim = at
        return at

    # --- to run without writing ---

    def call(self, *, to: bytes | None, data: bytes = b"", sender: bytes = bytes(20)) -> bytes:
        """As ``Chain.call`` on the state of now."""
        self._set_time()
        asked: Json = {"from": _hex(sender), "gas": quantity(CALL_GAS), "data": "0x" + data.hex()}
        output, halt = self._try(asked if to is None else {**asked, "to": _hex(to)})
        if halt:
            raise Reverted(output, halt=halt)
        return output

    def _try(self, asked: Json) -> tuple[bytes, str]:
        """What a call returns, and why it failed: "" if it did not."""
        try:
            return read(to_bytes, self._node.ask("eth_call", asked, "pending")), ""
        except RpcError as error:
            if error.data is not None or error.code == _REVERTED:
                return bytes.fromhex((error.data or "0x")[2:]), "Revert"
            if halt := _halt(error.message):
                return b"", halt
            raise refused(error, method="eth_call") from None

    # --- to look ---

    @property
    def chain_id(self) -> int:
        return self._chain_id

    @property
    def next_base_fee(self) -> int:
        return self._ask(next_fee, "eth_feeHistory", "0x1", "latest", [])

    @property
    def next_time(self) -> int:
        """Without a clock, the least that the node may date its next block."""
        latest = self._ask(to_object, "eth_getBlockByNumber", "latest", False)
        earliest = read(to_int, latest.get("timestamp")) + 1
        return earliest if self._clock is None else max(self._clock.now, earliest)

    def nonce(self, address: bytes) -> int:
        return self._ask(to_int, "eth_getTransactionCount", _hex(address), "latest")

    def balance(self, address: bytes) -> int:
        return self._ask(to_int, "eth_getBalance", _hex(address), "latest")

    def code(self, address: bytes) -> bytes:
        return self._ask(to_bytes, "eth_getCode", _hex(address), "latest")

    def storage(self, address: bytes, slot: int) -> int:
        if not 0 <= slot < 2**256:
            raise BadInput("evm/word")
        word = self._ask(to_word, "eth_getStorageAt", _hex(address), quantity(slot), "latest")
        return int.from_bytes(word, "big")

    def receipt(self, tx_hash: bytes) -> Receipt | None:
        """What an included transaction did, but for what it returned, which nodes do not keep."""
        return self._receipt(tx_hash, output=b"")

    def _receipt(self, tx_hash: bytes, *, output: bytes) -> Receipt | None:
        shown = self._node.call("eth_getTransactionReceipt", data(tx_hash))
        if shown is None:
            return None
        block = self._ask(
            to_object, "eth_getBlockByNumber", read(to_object, shown).get("blockNumber"), False
        )
        return read(lambda given: to_receipt(to_object(given), block, output=output), shown)

    def logs(
        self,
        *,
        address: bytes | Collection[bytes] | None = None,
        topics: Topics = (),
        from_block: int = 0,
        to_block: int | None = None,
        limit: int = 10_000,
    ) -> tuple[Log, ...]:
        """As ``Chain.logs``."""
        last = self._ask(to_int, "eth_blockNumber")
        end = last if to_block is None else min(to_block, last)
        addresses = (address,) if isinstance(address, bytes) else address
        # To a node no alternatives are as good as any; to a port they match nothing.
        if from_block > end or any(not each for each in (addresses, *topics) if each is not None):
            return ()
        asked: Json = {"fromBlock": quantity(from_block), "toBlock": quantity(end)}
        if addresses is not None:
            asked["address"] = [_hex(each) for each in addresses]
        asked["topics"] = [_topic(each) for each in topics]
        found = self._ask(to_list, "eth_getLogs", asked)
        if len(found) > limit:
            raise Refused("evm/logs", limit=limit)
        return tuple(read(to_log, each) for each in found)

    @property
    def cursor(self) -> int:
        """Number of the next block."""
        return self._ask(to_int, "eth_blockNumber") + 1

    def logs_since(self, cursor: int = 0) -> tuple[tuple[Log, ...], int]:
        """As ``Chain.logs_since``."""
        after = self.cursor
        if not 0 <= cursor <= after:
            raise BadInput("evm/cursor", cursor=cursor)
        return self.logs(from_block=cursor, to_block=after - 1), after

    def _ask(self, reader: Callable[[object], _T], method: str, *params: object) -> _T:
        return read(reader, self._node.call(method, *params), method=method)


def _topic(topic: bytes | Collection[bytes] | None) -> object:
    if topic is None:
        return None
    return data(topic) if isinstance(topic, bytes) else [data(each) for each in topic]


def _hex(address: bytes) -> str:
    if not isinstance(address, bytes) or len(address) != 20:
        raise BadInput("evm/address")
    return data(address)


def _halt(words: str) -> str:
    """The machine's word for why a run stopped; "" if these words are about something else."""
    for start in _STOPPED:
        if words.startswith(start):
            word = words.removeprefix(start)
            # revm has several kinds of this one.
            return "OutOfGas" if "OutOfGas" in word or word.endswith("OOG") else word[:40]
    if words.startswith(_HALTS):
        return "OutOfGas" if words.startswith(_HALTS[0]) else words[:40]
    return ""
