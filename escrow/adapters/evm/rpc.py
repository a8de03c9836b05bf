"""One JSON-RPC dispatcher for outside clients: in process for web3, or behind HTTP.

It knows nothing of web3 or of a transport. No account is unlocked: keys stay with their
owners, who sign and call ``eth_sendRawTransaction``. Each such transaction is sealed at once
and, as on a real node, mined with status 0 when the contract reverts.

Left out: state overrides, subscriptions, tracers other than steps and calls.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Final

from eth_hash.auto import keccak

from escrow.adapters.evm.chain import Chain, Reverted
from escrow.adapters.evm.controls import Controls
from escrow.adapters.evm.filters import Filters
from escrow.adapters.evm.host import Bare, Host
from escrow.adapters.evm.queries import Queries
from escrow.adapters.evm.runs import MOST_GAS, Runs
from escrow.adapters.evm.wire import (
    SERVER_ERROR,
    Json,
    Params,
    RpcError,
    data,
    quantity,
    to_bytes,
)
from escrow.core.errors import EscrowError
from escrow.parse import is_shallow

MAX_REQUEST: Final = 2 * 1024 * 1024
"""Bytes of a request; the largest transaction is a quarter of a MiB in hex."""
MAX_BATCH: Final = 100
"""Requests in a batch."""
MAX_WORK: Final = 2 * MOST_GAS
"""Gas of calls, estimates and traces in a batch, after which it ends."""
MAX_ANSWER: Final = 25_000_000
"""Bytes of a batch's answers, after which it ends, as geth."""
PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INTERNAL_ERROR: Final = -32603
TOO_LARGE: Final = -32003
"""geth's code for a response that is."""
LIMIT_EXCEEDED: Final = -32005
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
    "evm/trace": "trace too large",
}
"""Words that clients look for, as geth has them."""


class Rpc:
    """Requests in, answers out, one at a time: a server with threads needs a lock.

    Without ``control`` the ``evm_`` methods do not exist: then nobody outside moves the
    world's clock or takes the chain back.
    """

    def __init__(self, chain: Chain, *, host: Host | None = None, control: bool = True) -> None:
        """``host`` is what the chain stands in, if it does not stand alone."""
        host = host or Bare(chain)
        self.chain = chain
        self.control = control
        self.queries = Queries(chain)
        self.filters = Filters(chain)
        self.runs = Runs(self.queries, host)
        self.controls = Controls(self.filters, host)

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
        return self._batch(asked)

    def _batch(self, asked: list[object]) -> str:
        """Answers until they are too much, then errors: what one request costs is bounded."""
        began, answers, size = self.chain.work, [], 0
        for one in asked:
            if self.chain.work - began > MAX_WORK:
                answer = _stopped(one, LIMIT_EXCEEDED, "the batch has run too much gas")
            elif size > MAX_ANSWER:
                answer = _stopped(one, TOO_LARGE, "response too large")
            else:
                answer = self._answer(one)
            if answer is not None:
                answers.append(json.dumps(answer))
                size += len(answers[-1])
        return f"[{', '.join(answers)}]" if answers else ""

    def dispatch(self, method: str, params: object = ()) -> object:
        """The JSON result of one method. Raises ``RpcError`` and nothing else."""
        if method not in METHODS or (method.startswith("evm_") and not self.control):
            raise RpcError(METHOD_NOT_FOUND, f"the method {method[:80]} does not exist")
        most, function = METHODS[method]
        try:
            return function(self, Params(params, most=most))
        except Reverted as error:
            raise _reverted(error) from error
        except EscrowError as error:
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


def _locked(_: Rpc, __: Params) -> object:
    raise RpcError(
        METHOD_NOT_FOUND,
        "no account is held here: sign with your own key and use eth_sendRawTransaction",
    )


def _sha3(_: Rpc, params: Params) -> object:
    return data(keccak(params.read(0, to_bytes)))


Method = Callable[[Rpc, Params], object]


def _query(function: Callable[[Queries, Params], object]) -> Method:
    return lambda rpc, params: function(rpc.queries, params)


def _filter(function: Callable[[Filters, Params], object]) -> Method:
    return lambda rpc, params: function(rpc.filters, params)


def _run(function: Callable[[Runs, Params], object]) -> Method:
    return lambda rpc, params: function(rpc.runs, params)


def _control(function: Callable[[Controls, Params], object]) -> Method:
    return lambda rpc, params: function(rpc.controls, params)


METHODS: Final[Mapping[str, tuple[int, Method]]] = {
    "web3_clientVersion": (0, lambda *_: CLIENT),
    "web3_sha3": (1, _sha3),
    "net_version": (0, lambda rpc, _: str(rpc.chain.chain_id)),
    "net_listening": (0, lambda *_: True),
    "net_peerCount": (0, lambda *_: "0x0"),
    "eth_chainId": (0, lambda rpc, _: quantity(rpc.chain.chain_id)),
    "eth_syncing": (0, lambda *_: False),
    "eth_accounts": (0, lambda *_: []),
    "eth_sendTransaction": (1, _locked),
    "eth_sign": (2, _locked),
    "eth_signTransaction": (1, _locked),
    "eth_signTypedData": (2, _locked),
    "eth_signTypedData_v4": (2, _locked),
    "eth_requestAccounts": (0, _locked),
    "personal_sign": (3, _locked),
    "eth_blockNumber": (0, lambda rpc, _: quantity(rpc.chain.block_number)),
    "eth_gasPrice": (0, lambda rpc, _: quantity(rpc.chain.next_base_fee)),
    "eth_maxPriorityFeePerGas": (0, lambda *_: "0x0"),
    "eth_blobBaseFee": (0, lambda *_: "0x1"),
    "eth_feeHistory": (3, _query(Queries.fee_history)),
    "eth_getBalance": (2, _query(Queries.balance)),
    "eth_getTransactionCount": (2, _query(Queries.nonce)),
    "eth_getCode": (2, _query(Queries.code)),
    "eth_getStorageAt": (3, _query(Queries.storage)),
    "eth_getProof": (3, _query(Queries.proof)),
    "eth_call": (3, _run(Runs.call)),
    "eth_estimateGas": (3, _run(Runs.estimate)),
    "eth_createAccessList": (2, _run(Runs.access_list)),
    "debug_traceTransaction": (2, _run(Runs.trace)),
    "debug_traceCall": (3, _run(Runs.trace_call)),
    "eth_sendRawTransaction": (1, _run(Runs.send_raw)),
    "eth_getBlockByNumber": (2, _query(Queries.block_by_number)),
    "eth_getBlockByHash": (2, _query(Queries.block_by_hash)),
    "eth_getBlockReceipts": (1, _query(Queries.block_receipts)),
    "eth_getBlockTransactionCountByNumber": (1, _query(Queries.transaction_count)),
    "eth_getBlockTransactionCountByHash": (1, _query(Queries.transaction_count)),
    "eth_getTransactionByBlockNumberAndIndex": (2, _query(Queries.transaction_at)),
    "eth_getTransactionByBlockHashAndIndex": (2, _query(Queries.transaction_at)),
    "eth_getUncleCountByBlockNumber": (1, _query(Queries.uncle_count)),
    "eth_getUncleCountByBlockHash": (1, _query(Queries.uncle_count)),
    "eth_getRawTransactionByHash": (1, _query(Queries.raw_transaction)),
    "eth_getTransactionByHash": (1, _query(Queries.transaction)),
    "eth_getTransactionReceipt": (1, _query(Queries.receipt)),
    "eth_getLogs": (1, _filter(Filters.logs)),
    "eth_newFilter": (1, _filter(Filters.new_log_filter)),
    "eth_newBlockFilter": (0, _filter(Filters.new_block_filter)),
    "eth_newPendingTransactionFilter": (0, _filter(Filters.new_transaction_filter)),
    "eth_getFilterChanges": (1, _filter(Filters.filter_changes)),
    "eth_getFilterLogs": (1, _filter(Filters.filter_logs)),
    "eth_uninstallFilter": (1, _filter(Filters.drop_filter)),
    "evm_increaseTime": (1, _control(Controls.increase_time)),
    "evm_setNextBlockTimestamp": (1, _control(Controls.set_time)),
    "evm_mine": (1, _control(Controls.mine)),
    "evm_snapshot": (0, _control(Controls.snapshot)),
    "evm_revert": (1, _control(Controls.revert)),
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


def _stopped(asked: object, code: int, message: str) -> Json | None:
    """The error for one of a batch that is not looked at any more; nothing for a notification."""
    if isinstance(asked, dict) and "id" not in asked:
        return None
    number = asked.get("id") if isinstance(asked, dict) else None
    return _error(number if isinstance(number, int | str) else None, code, message)


def _error(number: object, code: int, message: str, *, revert_data: str | None = None) -> Json:
    shown: Json = {"code": code, "message": message}
    if revert_data is not None:
        shown["data"] = revert_data
    return {"jsonrpc": "2.0", "id": number, "error": shown}
