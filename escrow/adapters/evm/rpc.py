"""One JSON-RPC dispatcher for outside clients: in process for web3, or behind HTTP.

It knows nothing of web3 or of a transport. No account is unlocked: keys stay with their
owners, who sign and call ``eth_sendRawTransaction``. Each such transaction is sealed at once
and, as on a real node, mined with status 0 when the contract reverts.

Left out: traces, proofs, state overrides, subscriptions.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Final

from eth_hash.auto import keccak

from escrow.adapters.evm.chain import CALL_GAS, ZERO, Chain, Reverted
from escrow.adapters.evm.queries import Queries
from escrow.adapters.evm.wire import (
    SERVER_ERROR,
    CallRequest,
    Json,
    Params,
    RpcError,
    data,
    invalid,
    quantity,
    to_bytes,
    to_call,
    to_int,
    to_number,
    to_object,
)
from escrow.core.errors import BadInput, EscrowError, Refused
from escrow.core.units import MAX_TIME
from escrow.parse import is_shallow

MAX_REQUEST: Final = 2 * 1024 * 1024
"""Bytes of a request; the largest transaction is a quarter of a MiB in hex."""
MAX_BATCH: Final = 100
"""Requests in a batch."""
PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INTERNAL_ERROR: Final = -32603
REVERTED: Final = 3
"""geth's code for a revert, with the revert data."""
CLIENT: Final = "escrow/py-evm/prague"
MESSAGES: Final = {
    "evm/funds": "insufficient funds for gas * price + value",
    "evm/fee": "max fee per gas less than block base fee",
    "evm/gas": "intrinsic gas too low or exceeds block gas limit",
    "evm/transaction": "invalid transaction",
    "evm/block": "header not found",
    "evm/logs": "query returns too many results",
}
"""Words that clients look for, as geth has them."""


class Rpc:
    """Requests in, answers out, one at a time: a server with threads needs a lock.

    Without ``control`` the ``evm_`` methods do not exist: then nobody outside moves the
    world's clock or takes the chain back.
    """

    def __init__(self, chain: Chain, *, control: bool = True) -> None:
        self.chain = chain
        self.control = control
        self._snapshots: set[int] = set()
        self.queries = Queries(chain)
        self._pushed = 0

    def __repr__(self) -> str:
        return f"<Rpc {self.chain!r}>"

    def handle(self, request: str | bytes) -> str:
        """Answer a JSON request or batch; never raises. A notification's answer is empty."""
        if len(request) > MAX_REQUEST:
            return json.dumps(_error(None, INVALID_REQUEST, "request too large"))
        try:
            text = request.decode() if isinstance(request, bytes) else request
            asked = json.loads(text) if is_shallow(text) else None
        except ValueError:  # bad UTF-8, bad JSON, and integers of thousands of digits
            return json.dumps(_error(None, PARSE_ERROR, "parse error"))
        if not isinstance(asked, list):
            answer = self._answer(asked)
            return "" if answer is None else json.dumps(answer)
        if not 0 < len(asked) <= MAX_BATCH:
            return json.dumps(_error(None, INVALID_REQUEST, f"batch of 1 to {MAX_BATCH}"))
        answers = [answer for one in asked if (answer := self._answer(one)) is not None]
        return json.dumps(answers) if answers else ""

    def dispatch(self, method: str, params: object = ()) -> object:
        """The JSON result of one method. Raises ``RpcError`` and nothing else."""
        if method not in METHODS or (method.startswith("evm_") and not self.control):
            raise RpcError(METHOD_NOT_FOUND, f"the method {method[:80]} does not exist")
        most, function = METHODS[method]
        try:
            return function(self, Params(params, most=most))
        except Reverted as error:
            raise _reverted(error) from error
        except (Refused, BadInput) as error:
            raise RpcError(SERVER_ERROR, _words(error)) from error

    def _answer(self, asked: object) -> Json | None:
        if not isinstance(asked, dict) or not isinstance(asked.get("method"), str):
            return _error(None, INVALID_REQUEST, "invalid request")
        number = asked.get("id")
        if isinstance(number, bool) or not isinstance(number, int | str | None):
            return _error(None, INVALID_REQUEST, "invalid id")
        try:
            result = self.dispatch(asked["method"], asked.get("params", []))
            answer: Json = {"jsonrpc": "2.0", "id": number, "result": result}
        except RpcError as error:
            answer = _error(number, error.code, error.message, revert_data=error.data)
        # A defect of ours must not take a server down; the chain has undone what it began.
        except Exception:
            answer = _error(number, INTERNAL_ERROR, "internal error")
        return answer if "id" in asked else None

    # --- to run and to send ---

    def call(self, params: Params) -> object:
        asked, block = self._asked(params)
        return data(
            self.chain.call(
                to=asked.to,
                data=asked.data,
                sender=asked.sender or ZERO,
                value=asked.value,
                gas=CALL_GAS if asked.gas is None else asked.gas,
                access_list=asked.access_list,
                block=block,
            )
        )

    def estimate(self, params: Params) -> object:
        asked, block = self._asked(params)
        return quantity(
            self.chain.estimate(
                to=asked.to,
                data=asked.data,
                sender=asked.sender or ZERO,
                value=asked.value,
                gas=CALL_GAS if asked.gas is None else asked.gas,
                access_list=asked.access_list,
                block=block,
            )
        )

    def _asked(self, params: Params) -> tuple[CallRequest, int | None]:
        asked = params.read(0, to_call)
        if asked.chain_id not in (None, self.chain.chain_id):
            raise invalid("chainId does not match")
        if params.get(2) is not None and params.read(2, to_object):
            raise invalid("state overrides are not supported")
        return asked, self.queries.place(params.get(1))

    def send_raw(self, params: Params) -> object:
        receipt = self.chain.send(params.read(0, to_bytes), strict=False)
        self.chain.seal()
        return data(receipt.tx_hash)

    # --- the clock and snapshots ---

    def increase_time(self, params: Params) -> object:
        """Seconds pushed by this method so far, as other development nodes answer."""
        seconds = params.read(0, to_number)
        self._push(self.chain.clock.now + seconds)
        self._pushed += seconds
        return quantity(self._pushed)

    def set_time(self, params: Params) -> object:
        """The next block's timestamp. Time never goes back: see the error."""
        t = params.read(0, to_number)
        if t <= self.chain.head.timestamp or t < self.chain.clock.now:
            raise RpcError(SERVER_ERROR, "timestamp is not after the last block and the clock")
        self._push(t)
        return quantity(t)

    def mine(self, params: Params) -> object:
        """Seal the pending block, or an empty one, at a time if one is given."""
        if params.get(0) is not None:
            self.set_time(params)
        self.chain.seal(empty=True)
        return "0x0"

    def snapshot(self, _: Params) -> object:
        taken = self.chain.snapshot()
        self._snapshots.add(taken)
        return quantity(taken)

    def revert(self, params: Params) -> object:
        """True, or False if there is no such snapshot. The clock stays where it is."""
        wanted = params.read(0, to_int)
        # Snapshots that others took of the chain in process are not for a client to use up.
        if wanted not in self._snapshots:
            return False
        self._snapshots = {taken for taken in self._snapshots if taken < wanted}
        try:
            self.chain.revert(wanted)
        except Refused:  # a revert in process has used it up
            return False
        self.queries.rewind()
        return True

    def _push(self, t: int) -> None:
        if t >= MAX_TIME:
            raise invalid("time out of range")
        self.chain.clock.at_least(t)


def _locked(_: Rpc, __: Params) -> object:
    raise RpcError(
        SERVER_ERROR, "unknown account: sign with your own key and use eth_sendRawTransaction"
    )


def _sha3(_: Rpc, params: Params) -> object:
    return data(keccak(params.read(0, to_bytes)))


Method = Callable[[Rpc, Params], object]


def _query(function: Callable[[Queries, Params], object]) -> Method:
    return lambda rpc, params: function(rpc.queries, params)


METHODS: Final[Mapping[str, tuple[int, Method]]] = {
    "web3_clientVersion": (0, lambda *_: CLIENT),
    "web3_sha3": (1, _sha3),
    "net_version": (0, lambda rpc, _: str(rpc.chain.chain_id)),
    "net_listening": (0, lambda *_: True),
    "eth_chainId": (0, lambda rpc, _: quantity(rpc.chain.chain_id)),
    "eth_syncing": (0, lambda *_: False),
    "eth_accounts": (0, lambda *_: []),
    "eth_sendTransaction": (1, _locked),
    "eth_sign": (2, _locked),
    "eth_signTransaction": (1, _locked),
    "eth_signTypedData_v4": (2, _locked),
    "personal_sign": (3, _locked),
    "eth_blockNumber": (0, lambda rpc, _: quantity(rpc.chain.block_number)),
    "eth_gasPrice": (0, lambda rpc, _: quantity(rpc.chain.next_base_fee)),
    "eth_maxPriorityFeePerGas": (0, lambda *_: "0x0"),
    "eth_feeHistory": (3, _query(Queries.fee_history)),
    "eth_getBalance": (2, _query(Queries.balance)),
    "eth_getTransactionCount": (2, _query(Queries.nonce)),
    "eth_getCode": (2, _query(Queries.code)),
    "eth_getStorageAt": (3, _query(Queries.storage)),
    "eth_call": (3, Rpc.call),
    "eth_estimateGas": (3, Rpc.estimate),
    "eth_sendRawTransaction": (1, Rpc.send_raw),
    "eth_getBlockByNumber": (2, _query(Queries.block_by_number)),
    "eth_getBlockByHash": (2, _query(Queries.block_by_hash)),
    "eth_getBlockReceipts": (1, _query(Queries.block_receipts)),
    "eth_getBlockTransactionCountByNumber": (1, _query(Queries.transaction_count)),
    "eth_getBlockTransactionCountByHash": (1, _query(Queries.transaction_count)),
    "eth_getTransactionByBlockNumberAndIndex": (2, _query(Queries.transaction_at)),
    "eth_getTransactionByBlockHashAndIndex": (2, _query(Queries.transaction_at)),
    "eth_getTransactionByHash": (1, _query(Queries.transaction)),
    "eth_getTransactionReceipt": (1, _query(Queries.receipt)),
    "eth_getLogs": (1, _query(Queries.logs)),
    "eth_newFilter": (1, _query(Queries.new_log_filter)),
    "eth_newBlockFilter": (0, _query(Queries.new_block_filter)),
    "eth_getFilterChanges": (1, _query(Queries.filter_changes)),
    "eth_getFilterLogs": (1, _query(Queries.filter_logs)),
    "eth_uninstallFilter": (1, _query(Queries.drop_filter)),
    "evm_increaseTime": (1, Rpc.increase_time),
    "evm_setNextBlockTimestamp": (1, Rpc.set_time),
    "evm_mine": (1, Rpc.mine),
    "evm_snapshot": (0, Rpc.snapshot),
    "evm_revert": (1, Rpc.revert),
}
"""Name → most parameters, function. Everything else answers -32601."""


def _reverted(error: Reverted) -> RpcError:
    if error.halt != "Revert":
        # Out of gas, a bad opcode: the contract said nothing, so there is nothing to decode.
        return RpcError(SERVER_ERROR, f"execution failed: {error.halt}")
    said = error.reason if error.reason is not None else error.panic and f"panic {error.panic}"
    return RpcError(
        REVERTED,
        f"execution reverted: {said}" if said else "execution reverted",
        data=data(error.data),
    )


def _words(error: EscrowError) -> str:
    words = MESSAGES.get(error.code)
    if error.code == "evm/nonce":
        low = int(error.facts["nonce"]) < int(error.facts.get("expected", 0))
        words = "nonce too low" if low else "nonce too high"
    return f"{words}; {error}" if words else str(error)


def _error(number: object, code: int, message: str, *, revert_data: str | None = None) -> Json:
    shown: Json = {"code": code, "message": message}
    if revert_data is not None:
        shown["data"] = revert_data
    return {"jsonrpc": "2.0", "id": number, "error": shown}
