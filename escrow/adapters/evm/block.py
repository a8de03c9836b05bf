"""What a chain keeps: logs, receipts and blocks, and the encodings their hashes are made of.

Encodings follow the Prague fork of the execution specification: receipts by EIP-2718,
headers with the fields of EIP-1559, 4895, 4844, 4788 and 7685.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from itertools import groupby
from typing import Any, Final, cast

import rlp  # type: ignore[import-untyped]
from eth_hash.auto import keccak

from escrow.ports import Log, Receipt

ZERO_HASH: Final = bytes(32)
EMPTY_UNCLES: Final = keccak(rlp.encode([]))
EMPTY_TRIE: Final = keccak(rlp.encode(b""))
EMPTY_REQUESTS: Final = sha256().digest()
"""No deposits, withdrawals or consolidations: this chain has no beacon chain (EIP-7685)."""
COINBASE: Final = bytes(20)
"""Tips go to the zero address: nobody in the simulation earns them."""
GAS_LIMIT: Final = 300_000_000
"""Gas of a block. Wide, so that all that happens at one instant fits in one block."""
BASE_FEE: Final = 1_000_000_000
"""Wei a gas in the first block (EIP-1559, ``INITIAL_BASE_FEE``)."""


@dataclass(frozen=True, slots=True)
class Block:
    """A sealed block."""

    number: int
    hash: bytes
    parent_hash: bytes
    timestamp: int
    """Unix seconds; strictly later than the parent's."""
    state_root: bytes
    transactions_root: bytes
    receipts_root: bytes
    bloom: int
    """Union of its receipts' filters."""
    gas_used: int
    base_fee: int
    """Wei a gas, burnt."""
    transactions: tuple[bytes, ...]
    """Hashes, in order."""
    header: bytes
    """RLP of the header; its keccak is the hash."""


def encode_receipt(receipt: Receipt) -> bytes:
    """The consensus encoding, as in the receipts trie (EIP-2718)."""
    logs = [[log.address, list(log.topics), log.data] for log in receipt.logs]
    status = b"\1" if receipt.status else b""
    bloom = receipt.bloom.to_bytes(256, "big")
    fields = [status, _int(receipt.cumulative_gas_used), bloom, logs]
    kind = bytes([receipt.type_id]) if receipt.type_id else b""
    return kind + cast(bytes, rlp.encode(fields))


def make_block(
    parent: Block | None,
    *,
    timestamp: int,
    base_fee: int,
    state_root: bytes,
    raws: Sequence[bytes] = (),
    receipts: Sequence[Receipt] = (),
) -> Block:
    """Seal a block: roots, bloom, header and hash. ``parent`` is None for the genesis."""
    number = parent.number + 1 if parent else 0
    parent_hash = parent.hash if parent else ZERO_HASH
    transactions_root = _root(raws)
    receipts_root = _root([encode_receipt(receipt) for receipt in receipts])
    bloom = 0
    for receipt in receipts:
        bloom |= receipt.bloom
    gas_used = receipts[-1].cumulative_gas_used if receipts else 0
    header = rlp.encode(
        [
            parent_hash,
            EMPTY_UNCLES,
            COINBASE,
            state_root,
            transactions_root,
            receipts_root,
            bloom.to_bytes(256, "big"),
            b"",  # difficulty: none since EIP-3675
            _int(number),
            _int(GAS_LIMIT),
            _int(gas_used),
            _int(timestamp),
            b"",  # extra data
            ZERO_HASH,  # PREVRANDAO: a contract that draws lots from it draws the same ones
            bytes(8),
            _int(base_fee),
            EMPTY_TRIE,  # withdrawals
            b"",  # blob gas used
            b"",  # excess blob gas
            ZERO_HASH,  # parent beacon block root
            EMPTY_REQUESTS,
        ]
    )
    return Block(
        number=number,
        hash=keccak(header),
        parent_hash=parent_hash,
        timestamp=timestamp,
        state_root=state_root,
        transactions_root=transactions_root,
        receipts_root=receipts_root,
        bloom=bloom,
        gas_used=gas_used,
        base_fee=base_fee,
        transactions=tuple(receipt.tx_hash for receipt in receipts),
        header=header,
    )


def next_base_fee(base_fee: int, *, gas_used: int) -> int:
    """Wei a gas of the child of a block, at most an eighth up or down (EIP-1559)."""
    target = GAS_LIMIT // 2
    if gas_used > target:
        return base_fee + max(base_fee * (gas_used - target) // target // 8, 1)
    return base_fee - base_fee * (target - gas_used) // target // 8


def bloom_of(logs: Iterable[Log]) -> int:
    """The 2048-bit filter over the logs' addresses and topics."""
    bloom = 0
    for log in logs:
        bloom |= _bloom_bits(log.address)
        for topic in log.topics:
            bloom |= _bloom_bits(topic)
    return bloom


@lru_cache(maxsize=4096)
def _bloom_bits(item: bytes) -> int:
    digest = keccak(item)
    bits = 0
    for i in (0, 2, 4):
        bits |= 1 << (int.from_bytes(digest[i : i + 2], "big") & 2047)
    return bits


def _root(items: Sequence[bytes]) -> bytes:
    """Root of the trie from RLP of the index to item (Yellow Paper, appendix D).

    Built in one go from its leaves: a general trie hashes every node on the way again at each
    insertion, and then most of a block's time goes into its two roots.
    """
    if not items:
        return EMPTY_TRIE
    keys = (cast(bytes, rlp.encode(_int(index))).hex() for index in range(len(items)))
    return keccak(rlp.encode(_node(sorted(zip(keys, items, strict=True)), 0)))


def _node(leaves: Sequence[tuple[str, bytes]], depth: int) -> list[Any]:
    """The node over leaves, sorted, whose hex keys agree in their first ``depth`` digits."""
    first, last = leaves[0][0], leaves[-1][0]
    if len(leaves) == 1:
        return [_path(first[depth:], leaf=True), leaves[0][1]]
    fork = depth
    while first[fork] == last[fork]:
        fork += 1
    if fork > depth:
        return [_path(first[depth:fork], leaf=False), _link(_node(leaves, fork))]
    # No number's RLP begins with another's, so no leaf ends at a branch.
    below = {
        digit: _link(_node(list(group), depth + 1))
        for digit, group in groupby(leaves, key=lambda leaf: leaf[0][depth])
    }
    return [below.get(digit, b"") for digit in "0123456789abcdef"] + [b""]


def _link(node: list[Any]) -> list[Any] | bytes:
    """A node as its parent holds it: whole if its RLP is shorter than a hash, else the hash."""
    encoded = cast(bytes, rlp.encode(node))
    return node if len(encoded) < 32 else keccak(encoded)


def _path(digits: str, *, leaf: bool) -> bytes:
    """Hex digits packed in bytes; the first digit tells leaf from extension, and odd from even."""
    odd = len(digits) % 2
    return bytes.fromhex(f"{2 * leaf + odd}{'' if odd else '0'}{digits}")


def _int(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8, "big")
