"""What the next blocks cost: read off what waits and what the latest blocks took, in integers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from escrow.adapters.bitcoin import block as regtest
from escrow.adapters.bitcoin.index import Index
from escrow.adapters.bitcoin.mempool import MAX_BLOCK_WEIGHT, Mempool
from escrow.core.errors import BadInput

MAX_TARGET: Final = 1_008
"""Most blocks ahead that an estimate is given for: a week (Core's ``estimatesmartfee``)."""
RECENT: Final = 6
"""Latest blocks that an estimate looks at."""

_FULL: Final = MAX_BLOCK_WEIGHT - MAX_BLOCK_WEIGHT // 20  # weight of a block that has no room left
_SCALE: Final = 1 << 32


def estimate(blocks: int, *, mempool: Mempool, index: Index, raws: Mapping[str, bytes]) -> int:
    """Sat/vB that should bring a transaction into one of the next ``blocks`` blocks.

    One more than the highest of: the floor; what the best of those pays that wait now and do not
    fit; and what the cheapest of the latest blocks asked (as many as the target, six at most). A
    block with room asked nothing: the floor was enough. In a quiet market that is 2. ``raws`` are
    blocks by hash. Raises BadInput("input/amount") for a target outside 1 to ``MAX_TARGET``.
    """
    if type(blocks) is not int or not 1 <= blocks <= MAX_TARGET:
        raise BadInput("input/amount", blocks=str(blocks)[:40], most=MAX_TARGET)
    latest = index.hashes[1:][-min(blocks, RECENT) :]
    asked = min((_asked(raws[each], index) for each in latest), default=0)
    return 1 + max(mempool.floor, mempool.feerate_beyond(blocks * MAX_BLOCK_WEIGHT), asked)


def _asked(raw: bytes, index: Index) -> int:
    """Sat/vB that nine tenths of a full block paid at least: the rest are parents whose children
    paid for them. 0 for a block with room."""
    # A byte weighs four units at most: most blocks need not be read.
    if len(raw) * 4 < _FULL:
        return 0
    block = regtest.parse(raw)
    paid = [
        (index.transactions[txid].fee, tx.weight)
        for txid, tx in zip(block.txids[1:], block.transactions[1:], strict=True)
    ]
    total = sum(weight for _, weight in paid)
    return _nine_tenths(paid, total=total) if total >= _FULL else 0


def _nine_tenths(paid: Sequence[tuple[int, int]], *, total: int) -> int:
    passed, asked = 0, 0
    for fee, weight in sorted(paid, key=lambda each: each[0] * _SCALE // each[1]):
        if passed * 10 >= total:
            break
        passed, asked = passed + weight, fee * 4 // weight
    return asked
