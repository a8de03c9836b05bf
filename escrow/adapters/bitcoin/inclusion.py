"""Proofs that a transaction is in the chain: headers that link and carry work, and merkle branches.

Checking needs no node: a branch leads from a transaction to its block's header, and the headers
from the genesis block, whose hash is known, to the tip that is named. Regtest's work is next to
nothing, so here a chain of headers shows consistency; on the main chain it would be the proof.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from btclib.block import merkle_proof
from btclib.exceptions import BTClibException

from escrow.adapters.bitcoin.block import GENESIS_HASH, parse
from escrow.adapters.bitcoin.policy import read_transaction
from escrow.core.errors import BadInput, EscrowError, Refused
from escrow.core.units import Sats

HEADER_SIZE: Final = 80
"""Bytes of a header."""
MAX_BRANCH: Final = 32
"""Siblings on the way up; a block cannot hold 2³² transactions."""

_BITS: Final = bytes.fromhex("ffff7f20")
"""Regtest's difficulty, which never changes (Bitcoin Core, chainparams.cpp), as headers have it."""
_TARGET: Final = 0x7FFFFF << 8 * 29


@dataclass(frozen=True, slots=True)
class Branch:
    """Where a transaction stands in its block."""

    position: int
    """From 0, the coinbase."""
    siblings: tuple[str, ...]
    """Hashes met on the way up to the merkle root, display order."""


@dataclass(frozen=True, slots=True)
class Paid:
    """An output of a transaction."""

    txid: str
    """Display order."""
    sats: Sats
    """How much."""
    script: bytes
    """To whom."""


def branch_of(raw_block: bytes, *, txid: str) -> Branch:
    """The branch of one of the block's transactions. Raises BadInput("bitcoin/block")."""
    txids = parse(raw_block).txids
    if txid not in txids:
        raise BadInput("bitcoin/block", txid=txid[:64])
    position = at = txids.index(txid)
    row, siblings = [bytes.fromhex(each)[::-1] for each in txids], []
    while len(row) > 1:
        if len(row) % 2:
            row.append(row[-1])  # an odd one out is paired with itself
        siblings.append(row[at ^ 1][::-1].hex())
        row = [_hash(row[i] + row[i + 1]) for i in range(0, len(row), 2)]
        at //= 2
    return Branch(position, tuple(siblings))


def stripped(raw: bytes) -> bytes:
    """A transaction without its witnesses: all that its id is made of."""
    return read_transaction(raw).serialize(include_witness=False)


def check_headers(headers: Sequence[bytes]) -> tuple[str, ...]:
    """The hash of each header from height 1 on, display order.

    Raises Refused("reserves/block") where one does not name the one before, has no work, or not
    this network's difficulty.
    """
    before, hashes = bytes.fromhex(GENESIS_HASH)[::-1], []
    for height, header in enumerate(headers, start=1):
        if len(header) != HEADER_SIZE or header[4:36] != before:
            raise Refused("reserves/block", height=height, reason="does not follow the one before")
        before = _hash(header)
        if header[72:76] != _BITS or int.from_bytes(before, "little") > _TARGET:
            raise Refused("reserves/block", height=height, reason="no work")
        hashes.append(before[::-1].hex())
    return tuple(hashes)


def check_paid(raw: bytes, *, vout: int, branch: Branch, header: bytes) -> Paid:
    """What output ``vout`` of this transaction pays, if the header's block holds it.

    Raises BadInput("reserves/format") for bytes that are no transaction without witnesses or have
    no such output; Refused("reserves/altered") if the branch does not lead to the header.
    """
    try:
        tx = read_transaction(raw)
    except EscrowError as error:
        raise BadInput("reserves/format", reason="transaction") from error
    if tx.serialize(include_witness=False) != raw or not 0 <= vout < len(tx.vout):
        raise BadInput("reserves/format", reason="transaction")
    txid = tx.id.hex()
    # Bits beyond the branch's length would name the same place by another number.
    if len(branch.siblings) > MAX_BRANCH or branch.position >> len(branch.siblings):
        raise BadInput("reserves/format", reason="branch", txid=txid)
    try:
        merkle_proof.assert_as_valid(
            txid, branch.siblings, branch.position, header[36:68][::-1].hex()
        )
    except (BTClibException, ValueError) as error:
        raise Refused("reserves/altered", reason="not in the block named", txid=txid) from error
    out = tx.vout[vout]
    return Paid(txid, Sats(out.value), out.script_pub_key.script)


def _hash(raw: bytes) -> bytes:
    return sha256(sha256(raw).digest()).digest()
