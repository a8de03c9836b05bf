"""Regtest blocks: build, solve, read.

btclib assembles the coinbase (BIP34), the witness commitment (BIP141) and the merkle root.
This module only fixes what regtest leaves open, so that the same inputs give the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final

from btclib.block import Block
from btclib.block.build import build_block, build_coinbase
from btclib.block.mining import mine
from btclib.exceptions import BTClibValueError
from btclib.tx import Tx

from escrow.core.errors import BadInput

GENESIS_TIME: Final = 1_296_688_602
"""Unix time of the regtest genesis block, 2011-02-02 (Bitcoin Core, chainparams.cpp)."""
GENESIS_HASH: Final = "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206"
"""Hash of the regtest genesis block (Bitcoin Core, chainparams.cpp)."""
HALVING_INTERVAL: Final = 150
"""Blocks between halvings of the subsidy on regtest (Bitcoin Core, chainparams.cpp)."""
MAX_BLOCK_TIME: Final = 2**32 - 1
"""Widest time a block header can carry: four unsigned bytes."""
MINER_SCRIPT: Final = b"\x00\x20" + sha256(b"\x51").digest()
"""Default coinbase script, P2WSH of OP_TRUE: anyone may spend it, and no party's wallet sees it."""

_BITS: Final = bytes.fromhex("207fffff")
_HEADER_SIZE: Final = 80
_MEDIAN_SPAN: Final = 11
_NONCE_SIZE: Final = 8


@dataclass(frozen=True, slots=True)
class ParsedBlock:
    """A block taken apart once, with what costs a hash kept beside it."""

    hash: str
    """Block hash, display order."""
    previous: str
    """Hash of the parent block, display order."""
    time: int
    """Unix time in the header."""
    raw: bytes
    """The block as it travels."""
    transactions: tuple[Tx, ...]
    """Coinbase first."""
    txids: tuple[str, ...]
    """Ids of the transactions, in the same order."""


def build(
    previous: str,
    *,
    height: int,
    time: int,
    transactions: Sequence[Tx],
    fees: int,
    script_pubkey: bytes,
    extra_nonce: bytes,
) -> ParsedBlock:
    """Build and solve the block at ``height`` on top of ``previous``.

    ``extra_nonce`` keeps two blocks of the same height and content apart: without it a reorg of
    an empty block would rebuild that very block. The nonce search starts at zero and needs two
    tries on average, so the result is a function of the arguments.
    """
    coinbase = build_coinbase(
        height,
        script_pubkey,
        fees=fees,
        halving_interval=HALVING_INTERVAL,
        extra_nonce=extra_nonce,
    )
    candidate = build_block(
        bytes.fromhex(previous), [coinbase, *transactions], datetime.fromtimestamp(time, UTC), _BITS
    )
    solved = mine(candidate.header)
    assert solved is not None, "half of all nonces solve a regtest header"
    candidate.header = solved
    return ParsedBlock(
        hash=solved.hash.hex(),
        previous=previous,
        time=time,
        raw=candidate.serialize(check_validity=False),
        transactions=tuple(candidate.transactions),
        txids=tuple(tx.id.hex() for tx in candidate.transactions),
    )


def parse(raw: bytes) -> ParsedBlock:
    """Take a block apart. Raises BadInput("bitcoin/block") if the bytes are not a block."""
    try:
        block = Block.parse(raw, check_validity=False)
    except (BTClibValueError, ValueError, OverflowError) as error:
        raise BadInput("bitcoin/block", reason="not-a-block") from error
    if not block.transactions:
        raise BadInput("bitcoin/block", reason="not-a-block")
    return ParsedBlock(
        hash=block_hash(raw),
        previous=raw[4:36][::-1].hex(),
        time=int.from_bytes(raw[68:72], "little"),
        raw=raw,
        transactions=tuple(block.transactions),
        txids=tuple(tx.id.hex() for tx in block.transactions),
    )


def nonce_after(tip_hash: str) -> bytes:
    """The extra nonce of blocks mined when ``tip_hash`` was the tip.

    A tip is never the tip again, so no two blocks that this node mines are the same.
    """
    return bytes.fromhex(tip_hash)[-_NONCE_SIZE:]


def median_time(times: Sequence[int]) -> int:
    """Median of the last eleven block times: the clock that time locks read (BIP113)."""
    span = sorted(times[-_MEDIAN_SPAN:])
    return span[len(span) // 2]


def block_hash(raw: bytes) -> str:
    """Hash of a block's header, display order."""
    return sha256(sha256(raw[:_HEADER_SIZE]).digest()).digest()[::-1].hex()
