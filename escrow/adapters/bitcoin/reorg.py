"""A new branch in place of the last blocks: what it carries, and the blocks themselves."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from btclib.tx import Tx

from escrow.adapters.bitcoin import block as regtest
from escrow.adapters.bitcoin.block import MINER_SCRIPT, ParsedBlock
from escrow.adapters.bitcoin.index import Index


def surviving(
    old: Sequence[ParsedBlock], *, drop: Collection[str]
) -> tuple[set[str], list[list[Tx]]]:
    """What of the old blocks is gone for good, and by block what is not.

    Gone are the dropped transactions, the old rewards (their blocks never were), and whatever
    spends from something gone.
    """
    gone = set(drop) | {each.txids[0] for each in old}
    kept: list[list[Tx]] = []
    for each in old:
        kept.append([])
        for tx, txid in zip(each.transactions[1:], each.txids[1:], strict=True):
            if txid in gone or any(spent.prev_out.tx_id.hex() in gone for spent in tx.vin):
                gone.add(txid)
            else:
                kept[-1].append(tx)
    return gone, kept


def build_branch(
    index: Index,
    old: Sequence[ParsedBlock],
    *,
    kept: Sequence[Sequence[Tx]],
    count: int,
    time: int,
) -> list[ParsedBlock]:
    """``count`` blocks in place of ``old``, which end at the tip of ``index``.

    A block keeps the time of the one it replaces: the same rules on time then hold for it. The
    further ones are dated ``time``, or a second after their median time if that is later.
    """
    base = index.height - len(old)
    times = index.times[: base + 1]
    previous = index.hashes[base]
    branch: list[ParsedBlock] = []
    for number in range(count):
        transactions = kept[number] if number < len(kept) else []
        if number < len(old):
            times.append(old[number].time)
        else:
            times.append(max(time, regtest.median_time(times) + 1))
        branch.append(
            regtest.build(
                previous,
                height=base + 1 + number,
                time=times[-1],
                transactions=transactions,
                fees=sum(index.transactions[tx.id.hex()].fee for tx in transactions),
                script_pubkey=MINER_SCRIPT,
                extra_nonce=regtest.nonce_after(index.hashes[-1]),
            )
        )
        previous = branch[-1].hash
    return branch
