"""Proofs over a block's state: a storage word and the path of trie nodes from the header to it.

Checking needs the header and nothing else: no chain and no node (EIP-1186 answers the same nodes).
A header is only as good as whoever vouches for its hash.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, cast

import rlp  # type: ignore[import-untyped]
from eth_hash.auto import keccak

from escrow.core.errors import BadInput, Refused

SUPPLY_SLOT: Final = 3
"""Where PledgeToken keeps its supply (low 64 bits) and its count of burns (next 64)."""
LOANS_SLOT: Final = 4
"""Where PledgeToken keeps, by loan, the tokens outstanding (low 64 bits), held (next 64) and whose
those are (first 128 bits of an address)."""
MASK_64: Final = 2**64 - 1

MAX_HEADER: Final = 2_000
"""Bytes of the longest header; Prague's has about 620."""
MAX_NODES: Final = 64
"""Nodes in a path: a key has 64 digits."""
MAX_NODE: Final = 1_000
"""Bytes of the longest node: a branch of sixteen hashes has 532."""

_EMPTY: Final = keccak(b"\x80")
"""Root of a trie in which there is nothing."""


@dataclass(frozen=True, slots=True)
class Account:
    """What a state says of an account; the default is one that was never used."""

    nonce: int = 0
    balance: int = 0
    """Wei."""
    storage_root: bytes = _EMPTY
    code_hash: bytes = keccak(b"")


@dataclass(frozen=True, slots=True)
class Header:
    """What a sealed block says of itself."""

    number: int
    """Height."""
    hash: bytes
    """Keccak of its RLP, 32 bytes."""
    state_root: bytes
    """Root of all accounts, 32 bytes."""
    timestamp: int
    """Unix seconds."""


def read_header(raw: bytes) -> Header:
    """Read a header's RLP. Raises BadInput("reserves/format")."""
    fields = _decode(raw, most=MAX_HEADER)
    plain = [each for each in fields if isinstance(each, bytes)]
    if len(plain) < 12 or len(plain) < len(fields):
        raise BadInput("reserves/format", reason="evm header")
    root, number, timestamp = plain[3], plain[8], plain[11]
    if len(root) != 32 or len(number) > 8 or len(timestamp) > 8:
        raise BadInput("reserves/format", reason="evm header")
    return Header(
        int.from_bytes(number, "big"), keccak(raw), root, int.from_bytes(timestamp, "big")
    )


def loan_slot(loan: bytes) -> int:
    """Where PledgeToken keeps the counts of a loan: Vyper hashes the map's slot, then the key."""
    return int.from_bytes(keccak(LOANS_SLOT.to_bytes(32, "big") + loan), "big")


def find_account(nodes: Sequence[bytes], *, state_root: bytes, address: bytes) -> Account | None:
    """An account of that state, or None if the nodes show that there is none.

    Raises BadInput("reserves/format"), Refused("reserves/altered") if they show neither.
    """
    found = _follow(nodes, root=state_root, key=keccak(address))
    if not found:
        return None
    fields = [each for each in _decode(found, most=MAX_NODE) if isinstance(each, bytes)]
    if [len(each) for each in fields[2:]] != [32, 32] or max(map(len, fields)) > 32:
        raise BadInput("reserves/format", reason="account")
    nonce, balance = (int.from_bytes(each, "big") for each in fields[:2])
    return Account(nonce, balance, fields[2], fields[3])


def check_account(nodes: Sequence[bytes], *, state_root: bytes, address: bytes) -> bytes:
    """The storage root of an account in that state.

    Raises BadInput("reserves/format"), Refused("reserves/altered") if the nodes do not lead from
    the root to such an account.
    """
    found = find_account(nodes, state_root=state_root, address=address)
    if found is None:
        raise Refused("reserves/altered", reason="no such account", address="0x" + address.hex())
    return found.storage_root


def check_storage(nodes: Sequence[bytes], *, storage_root: bytes, slot: int) -> int:
    """The word in a slot, 0 if nothing is there. Raises as :func:`check_account`."""
    found = _follow(nodes, root=storage_root, key=keccak(slot.to_bytes(32, "big")))
    if not found:
        return 0
    try:
        word = rlp.decode(found)
    except rlp.DecodingError as error:
        raise BadInput("reserves/format", reason="storage word") from error
    if not isinstance(word, bytes) or len(word) > 32:
        raise BadInput("reserves/format", reason="storage word")
    return int.from_bytes(word, "big")


def _follow(nodes: Sequence[bytes], *, root: bytes, key: bytes) -> bytes:
    """The value at ``key`` (Yellow Paper, appendix D); empty if the path shows that there is none.
    Every node must be needed: what is not part of the path does not belong into a proof."""
    if len(nodes) > MAX_NODES:
        raise BadInput("reserves/format", nodes=len(nodes))
    if not nodes and root == _EMPTY:
        return b""
    digits, waiting = key.hex(), list(nodes)
    link: bytes | list[object] = root
    while link:
        if isinstance(link, bytes):
            raw = waiting.pop(0) if waiting else b""
            if keccak(raw) != link:
                raise Refused("reserves/altered", reason="a state proof does not hash up")
            node = _decode(raw, most=MAX_NODE)
        else:
            node = link  # so short that its parent holds it whole
        if len(node) == 17:
            link, digits = _child(node[int(digits[0], 16)] if digits else b""), digits[1:]
            continue
        if len(node) != 2 or not isinstance(node[0], bytes) or not node[0]:
            raise BadInput("reserves/format", reason="a node of a state proof")
        packed = node[0].hex()
        path = packed[1:] if int(packed[0], 16) & 1 else packed[2:]
        if packed[0] in "23":  # a leaf
            value = node[1] if path == digits else b""
            if waiting or not isinstance(value, bytes):
                raise BadInput("reserves/format", reason="a node of a state proof")
            return value
        if not digits.startswith(path) or not path:
            break
        link, digits = _child(node[1]), digits[len(path) :]
    if waiting:
        raise BadInput("reserves/format", reason="a node too many in a state proof")
    return b""


def _child(link: object) -> bytes | list[object]:
    if isinstance(link, bytes) and len(link) in (0, 32):
        return link
    if isinstance(link, list):
        return link
    raise BadInput("reserves/format", reason="a node of a state proof")


def _decode(raw: bytes, *, most: int) -> list[object]:
    if len(raw) > most:
        raise BadInput("reserves/format", size=len(raw))
    try:
        found = rlp.decode(raw)
    except (rlp.DecodingError, RecursionError) as error:
        raise BadInput("reserves/format", reason="rlp") from error
    if not isinstance(found, list):
        raise BadInput("reserves/format", reason="rlp")
    return cast("list[object]", found)
