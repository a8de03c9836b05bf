"""Blocks, transactions, receipts and logs in the JSON of Ethereum's ``execution-apis``."""

from __future__ import annotations

from collections.abc import Sequence

import rlp  # type: ignore[import-untyped]

from escrow.adapters.evm.block import (
    COINBASE,
    EMPTY_REQUESTS,
    EMPTY_TRIE,
    EMPTY_UNCLES,
    GAS_LIMIT,
    ZERO_HASH,
    Block,
)
from escrow.adapters.evm.history import Included
from escrow.adapters.evm.wire import Json, access_list_json, data, quantity
from escrow.ports import Log, Receipt


def log_json(log: Log, block: Block) -> Json:
    return {
        "address": data(log.address),
        "topics": [data(topic) for topic in log.topics],
        "data": data(log.data),
        "blockNumber": quantity(log.block_number),
        "blockHash": data(block.hash),
        "blockTimestamp": quantity(block.timestamp),
        "transactionHash": data(log.tx_hash),
        "transactionIndex": quantity(log.tx_index),
        "logIndex": quantity(log.index),
        "removed": False,
    }


def receipt_json(receipt: Receipt, block: Block) -> Json:
    created = receipt.contract_address
    return {
        "type": quantity(receipt.type_id),
        "status": quantity(receipt.status),
        "transactionHash": data(receipt.tx_hash),
        "transactionIndex": quantity(receipt.tx_index),
        "blockHash": data(block.hash),
        "blockNumber": quantity(block.number),
        "from": data(receipt.sender),
        "to": None if receipt.to is None else data(receipt.to),
        "contractAddress": None if created is None else data(created),
        "gasUsed": quantity(receipt.gas_used),
        "cumulativeGasUsed": quantity(receipt.cumulative_gas_used),
        "effectiveGasPrice": quantity(receipt.effective_gas_price),
        "logsBloom": data(receipt.bloom.to_bytes(256, "big")),
        "logs": [log_json(log, block) for log in receipt.logs],
    }


def transaction_json(entry: Included, block: Block | None, *, chain_id: int) -> Json:
    """A transaction; without a block it is pending."""
    tx, receipt = entry.transaction, entry.receipt
    shown: Json = {
        "type": quantity(tx.type_id),
        "chainId": quantity(chain_id),
        "hash": data(tx.hash),
        "nonce": quantity(tx.nonce),
        "from": data(tx.sender),
        "to": data(tx.to) if tx.to else None,
        "value": quantity(tx.value),
        "gas": quantity(tx.gas),
        "gasPrice": quantity(receipt.effective_gas_price),
        "input": data(tx.data),
        "v": quantity(tx.v),
        "r": quantity(tx.r),
        "s": quantity(tx.s),
        "blockHash": data(block.hash) if block else None,
        "blockNumber": quantity(block.number) if block else None,
        "transactionIndex": quantity(receipt.tx_index) if block else None,
    }
    if tx.type_id:
        shown["yParity"] = quantity(tx.v)
        shown["accessList"] = access_list_json(tx.access_list)
    if tx.type_id > 1:
        shown["maxFeePerGas"] = quantity(tx.max_fee_per_gas)
        shown["maxPriorityFeePerGas"] = quantity(tx.max_priority_fee_per_gas)
    if tx.authorization_list:
        shown["authorizationList"] = [
            {
                "chainId": quantity(one.chain_id),
                "address": data(one.address),
                "nonce": quantity(one.nonce),
                "yParity": quantity(one.y_parity),
                "r": quantity(one.r),
                "s": quantity(one.s),
            }
            for one in tx.authorization_list
        ]
    return shown


def block_json(block: Block, raws: Sequence[bytes], transactions: Sequence[object]) -> Json:
    # The size counts the block as it would travel: header, transactions, no uncles or
    # withdrawals. Typed transactions travel as byte strings, legacy ones as lists.
    body = sum(len(rlp.encode(raw)) if raw[0] < 0xC0 else len(raw) for raw in raws)
    size = _framed(len(block.header) + _framed(body) + 2)
    return {
        "number": quantity(block.number),
        "hash": data(block.hash),
        "parentHash": data(block.parent_hash),
        "timestamp": quantity(block.timestamp),
        "nonce": data(bytes(8)),
        "mixHash": data(ZERO_HASH),
        "sha3Uncles": data(EMPTY_UNCLES),
        "logsBloom": data(block.bloom.to_bytes(256, "big")),
        "transactionsRoot": data(block.transactions_root),
        "stateRoot": data(block.state_root),
        "receiptsRoot": data(block.receipts_root),
        "withdrawalsRoot": data(EMPTY_TRIE),
        "parentBeaconBlockRoot": data(ZERO_HASH),
        "requestsHash": data(EMPTY_REQUESTS),
        "miner": data(COINBASE),
        "difficulty": "0x0",
        "totalDifficulty": "0x0",
        "extraData": "0x",
        "size": quantity(size),
        "gasLimit": quantity(GAS_LIMIT),
        "gasUsed": quantity(block.gas_used),
        "baseFeePerGas": quantity(block.base_fee),
        "blobGasUsed": "0x0",
        "excessBlobGas": "0x0",
        "uncles": [],
        "withdrawals": [],
        "transactions": list(transactions),
    }


def _framed(length: int) -> int:
    """Length of an RLP list with a payload of ``length`` bytes."""
    return length + 1 + (0 if length < 56 else (length.bit_length() + 7) // 8)
