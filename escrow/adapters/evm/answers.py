"""What a node is asked and answers: the other side of ``wire`` and ``show``. The readers raise
``RpcError``, as those of ``wire`` do, and :func:`read` says it in our words."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from escrow.adapters.evm.block import bloom_of
from escrow.adapters.evm.transaction import Transaction
from escrow.adapters.evm.wire import (
    Json,
    RpcError,
    access_list_json,
    data,
    quantity,
    to_address,
    to_bytes,
    to_int,
    to_list,
    to_object,
    to_word,
)
from escrow.core.errors import Refused
from escrow.ports import Log, Receipt

_T = TypeVar("_T")


def read(reader: Callable[[object], _T], value: object, *, method: str = "") -> _T:
    """A value of an answer, or "rpc/refused" if it is not of its kind."""
    try:
        return reader(value)
    except RpcError as error:
        reason = f"malformed answer: {error.message}"
        raise Refused("rpc/refused", method=method, reason=reason) from None


def call_of(transaction: Transaction) -> Json:
    """A transaction as ``eth_call`` takes it, to try it."""
    asked: Json = {
        "from": data(transaction.sender),
        "gas": quantity(transaction.gas),
        "value": quantity(transaction.value),
        "data": data(transaction.data),
    }
    if transaction.to:
        asked["to"] = data(transaction.to)
    if transaction.access_list:
        asked["accessList"] = access_list_json(transaction.access_list)
    return asked


def next_fee(history: object) -> int:
    """Wei a gas of the block after those of an ``eth_feeHistory``."""
    fees = to_list(to_object(history).get("baseFeePerGas"))
    return to_int(fees[-1] if fees else None)


def to_log(value: object) -> Log:
    """A log as nodes show it."""
    shown = to_object(value)
    return Log(
        address=to_address(shown.get("address")),
        topics=tuple(to_word(topic) for topic in to_list(shown.get("topics"))),
        data=to_bytes(shown.get("data")),
        index=to_int(shown.get("logIndex")),
        block_number=to_int(shown.get("blockNumber")),
        tx_hash=to_word(shown.get("transactionHash")),
        tx_index=to_int(shown.get("transactionIndex")),
    )


def to_receipt(shown: Json, block: Json, *, output: bytes) -> Receipt:
    """A receipt as nodes show it, with the time that its block shows."""

    def address(name: str) -> bytes | None:
        return None if shown.get(name) is None else to_address(shown[name])

    logs = tuple(to_log(each) for each in to_list(shown.get("logs")))
    status, created = to_int(shown.get("status")), address("contractAddress")
    return Receipt(
        tx_hash=to_word(shown.get("transactionHash")),
        sender=to_address(shown.get("from")),
        to=address("to"),
        contract_address=created,
        status=status,
        gas_used=to_int(shown.get("gasUsed")),
        logs=logs,
        block_number=to_int(shown.get("blockNumber")),
        timestamp=to_int(block.get("timestamp")),
        tx_index=to_int(shown.get("transactionIndex")),
        cumulative_gas_used=to_int(shown.get("cumulativeGasUsed")),
        effective_gas_price=to_int(shown.get("effectiveGasPrice")),
        type_id=to_int(shown.get("type")),
        bloom=bloom_of(logs),
        output=b"" if created and status else output,
    )
