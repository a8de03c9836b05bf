"""The reading half of the JSON-RPC: accounts, blocks, transactions, receipts, fees."""

from __future__ import annotations

from typing import Final

from escrow.adapters.evm.block import GAS_LIMIT, Block
from escrow.adapters.evm.chain import Chain
from escrow.adapters.evm.proof import Account, find_account
from escrow.adapters.evm.show import (
    block_json,
    receipt_json,
    transaction_json,
)
from escrow.adapters.evm.wire import (
    SERVER_ERROR,
    Json,
    Params,
    RpcError,
    data,
    given,
    invalid,
    quantity,
    to_address,
    to_flag,
    to_int,
    to_list,
    to_number,
    to_percentile,
    to_slot,
    to_word,
)
from escrow.ports import Receipt

MAX_PROOFS: Final = 1_024
"""Slots in one proof, as geth."""
MAX_FEE_BLOCKS: Final = 1_024
"""Blocks in one fee history, as geth."""
MAX_PERCENTILES: Final = 100
LATEST: Final = (None, "latest", "safe", "finalized")
"""One and the same here: no beacon chain, no reorganisation."""


class Queries:
    """Answers in JSON form about one chain. Holds nothing of its own."""

    def __init__(self, chain: Chain) -> None:
        self.chain = chain

    # --- which block ---

    def place(self, value: object) -> int | None:
        """A block number, or None for pending; as in EIP-1898, the latest if left out."""
        if isinstance(value, dict):
            if "blockHash" in value:
                block = self.chain.block(to_word(value["blockHash"]))
                if block is None:
                    raise RpcError(SERVER_ERROR, "header not found")
                return block.number
            value = value.get("blockNumber")
        if value is None or isinstance(value, str):
            if value in LATEST:
                return self.chain.block_number
            if value == "pending":
                return None
            if value == "earliest":
                return 0
        number = to_int(value)
        if number > self.chain.block_number:
            raise RpcError(SERVER_ERROR, "header not found")
        return number

    def _found(self, value: object) -> Block | None:
        """A sealed block; None if it is pending or not made yet."""
        try:
            number = self.place(value)
        except RpcError as error:
            if error.code == SERVER_ERROR:
                return None
            raise
        return None if number is None else self.chain.block(number)

    # --- accounts ---

    def balance(self, params: Params) -> object:
        return quantity(
            self.chain.balance(params.read(0, to_address), block=self.place(params.get(1)))
        )

    def nonce(self, params: Params) -> object:
        return quantity(
            self.chain.nonce(params.read(0, to_address), block=self.place(params.get(1)))
        )

    def code(self, params: Params) -> object:
        return data(self.chain.code(params.read(0, to_address), block=self.place(params.get(1))))

    def storage(self, params: Params) -> object:
        address, slot = params.read(0, to_address), params.read(1, to_slot)
        word = self.chain.storage(address, slot, block=self.place(params.get(2)))
        return data(word.to_bytes(32, "big"))

    def proof(self, params: Params) -> object:
        """EIP-1186, of a sealed block's state."""
        address, slots = params.read(0, to_address), params.read(1, to_list)
        if len(slots) > MAX_PROOFS:
            raise invalid(f"want at most {MAX_PROOFS} slots")
        places = [to_slot(slot) for slot in slots]
        number = self.place(params.get(2))
        number = self.chain.block_number if number is None else number
        block = self.chain.block(number)
        assert block is not None, "a place is that of a block"
        nodes, *paths = self.chain.prove(address, places, block=number)
        account = find_account(nodes, state_root=block.state_root, address=address) or Account()
        return {
            "address": data(address),
            "balance": quantity(account.balance),
            "nonce": quantity(account.nonce),
            "codeHash": data(account.code_hash),
            "storageHash": data(account.storage_root),
            "accountProof": [data(node) for node in nodes],
            "storageProof": [
                {
                    "key": asked if isinstance(asked, str) else quantity(slot),
                    "value": quantity(self.chain.storage(address, slot, block=number)),
                    "proof": [data(node) for node in path],
                }
                for asked, slot, path in zip(slots, places, paths, strict=True)
            ],
        }

    # --- blocks and transactions ---

    def block_by_number(self, params: Params) -> object:
        full = params.get(1) is not None and params.read(1, to_flag)
        if params.read(0, given) == "pending":
            return self._pending(full=full)
        return self._block(self._found(params.get(0)), full=full)

    def block_by_hash(self, params: Params) -> object:
        full = params.get(1) is not None and params.read(1, to_flag)
        return self._block(self.chain.block(params.read(0, to_word)), full=full)

    def _block(self, block: Block | None, *, full: bool) -> Json | None:
        if block is None:
            return None
        entries = self.chain.transactions(block=block.number)
        hashes: list[object] = [data(entry.receipt.tx_hash) for entry in entries]
        chain_id = self.chain.chain_id
        shown = [transaction_json(entry, block, chain_id=chain_id) for entry in entries]
        return block_json(block, [entry.raw for entry in entries], shown if full else hashes)

    def _pending(self, *, full: bool) -> Json:
        """The block that the next transaction joins; its hash and roots are not known yet."""
        chain, head = self.chain, self.chain.head
        entries = chain.transactions(block=head.number + 1)
        used = entries[-1].receipt.cumulative_gas_used if entries else 0
        bloom = 0
        for entry in entries:
            bloom |= entry.receipt.bloom
        shown: list[object] = [data(entry.receipt.tx_hash) for entry in entries]
        if full:
            shown = [transaction_json(one, None, chain_id=chain.chain_id) for one in entries]
        return block_json(head, [entry.raw for entry in entries], shown) | {
            "number": quantity(head.number + 1),
            "hash": None,
            "nonce": None,
            "parentHash": data(head.hash),
            "timestamp": quantity(chain.next_time),
            "baseFeePerGas": quantity(chain.next_base_fee),
            "gasUsed": quantity(used),
            "logsBloom": data(bloom.to_bytes(256, "big")),
        }

    def block_receipts(self, params: Params) -> object:
        block = self._which(params.read(0, given))
        if block is None:
            return None
        entries = self.chain.transactions(block=block.number)
        return [receipt_json(entry.receipt, block) for entry in entries]

    def transaction_count(self, params: Params) -> object:
        block = self._which(params.read(0, given))
        return None if block is None else quantity(len(block.transactions))

    def transaction_at(self, params: Params) -> object:
        block, at = self._which(params.read(0, given)), params.read(1, to_int)
        if block is None or at >= len(block.transactions):
            return None
        entry = self.chain.transactions(block=block.number)[at]
        return transaction_json(entry, block, chain_id=self.chain.chain_id)

    def _which(self, value: object) -> Block | None:
        """By hash, tag or number."""
        if isinstance(value, str) and len(value) == 66:
            return self.chain.block(to_word(value))
        return self._found(value)

    def transaction(self, params: Params) -> object:
        entry = self.chain.included(params.read(0, to_word))
        if entry is None:
            return None
        block = self.chain.block_of(entry.receipt)
        return transaction_json(entry, block, chain_id=self.chain.chain_id)

    def raw_transaction(self, params: Params) -> object:
        entry = self.chain.included(params.read(0, to_word))
        return None if entry is None else data(entry.raw)

    def uncle_count(self, params: Params) -> object:
        return None if self._which(params.read(0, given)) is None else "0x0"

    def receipt(self, params: Params) -> object:
        receipt: Receipt | None = self.chain.receipt(params.read(0, to_word))
        block = self.chain.block_of(receipt) if receipt else None
        return receipt_json(receipt, block) if receipt and block else None

    # --- fees ---

    def fee_history(self, params: Params) -> object:
        count = params.read(0, to_number)
        newest = self.place(params.read(1, given))
        wanted = [] if params.get(2) is None else params.read(2, to_list)
        percentiles = [to_percentile(one) for one in wanted]
        if len(percentiles) > MAX_PERCENTILES or percentiles != sorted(percentiles):
            raise invalid(f"want at most {MAX_PERCENTILES} rising percentiles")
        last = self.chain.block_number if newest is None else newest
        first = max(0, last + 1 - min(count, MAX_FEE_BLOCKS))
        blocks = [b for n in range(first, last + 1) if (b := self.chain.block(n)) is not None]
        after = self.chain.block(last + 1)
        fees = [block.base_fee for block in blocks]
        fees.append(after.base_fee if after else self.chain.next_base_fee)
        shown: Json = {
            "oldestBlock": quantity(first),
            "baseFeePerGas": [quantity(fee) for fee in fees],
            "gasUsedRatio": [block.gas_used / GAS_LIMIT for block in blocks],
        }
        if percentiles:
            shown["reward"] = [self._tips(block, percentiles) for block in blocks]
        return shown

    def _tips(self, block: Block, percentiles: list[float]) -> list[str]:
        """Tip at each percentile of the block's gas, transactions sorted by tip."""
        entries = [entry.receipt for entry in self.chain.transactions(block=block.number)]
        tips = sorted((one.effective_gas_price - block.base_fee, one.gas_used) for one in entries)
        found: list[str] = []
        for percentile in percentiles:
            left, at = percentile * block.gas_used / 100, 0
            for one, gas in tips:
                left, at = left - gas, one
                if left <= 0:
                    break
            found.append(quantity(at))
        return found
