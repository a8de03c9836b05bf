"""A chain as the bytes that made it, and back: how a world is saved and loaded.

Nothing but signed transactions and their blocks' times is kept. Running them again gives the
same hashes, so a saved chain cannot be altered without being noticed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from escrow.adapters.evm.block import Block
from escrow.adapters.evm.inclusion import Slot
from escrow.adapters.evm.ledger import Ledger
from escrow.adapters.evm.transaction import decode
from escrow.core.errors import BadInput, Refused


@dataclass(frozen=True, slots=True)
class BlockRecord:
    """All that is needed to make a block again."""

    timestamp: int
    """Unix seconds."""
    transactions: tuple[bytes, ...]
    """Signed bytes, in order."""
    sealed: bool
    """False only for a last, pending block."""


def export(ledger: Ledger) -> tuple[BlockRecord, ...]:
    """The blocks after the genesis, the pending one last."""
    history, pending = ledger.history, ledger.pending
    made: list[Block | Slot] = [*history.blocks[1:], *([pending] if pending else [])]
    return tuple(
        BlockRecord(
            timestamp=place.timestamp,
            transactions=tuple(entry.raw for entry in history.of_block(place.number)),
            sealed=isinstance(place, Block),
        )
        for place in made
    )


def restore(ledger: Ledger, blocks: Iterable[BlockRecord], *, head: bytes | None) -> None:
    """Make the blocks again; all of them, or none and ``BadInput``."""
    if len(ledger.history.blocks) > 1 or ledger.pending:
        raise BadInput("world/format", reason="not a new chain")
    saved = ledger.save()
    try:
        for record in blocks:
            decoded = [decode(raw, chain_id=ledger.chain_id) for raw in record.transactions]
            ledger.replay(record.timestamp, decoded, sealed=record.sealed)
        if head is not None and ledger.history.blocks[-1].hash != head:
            raise BadInput("world/tampered", reason="head")
        ledger.clock.at_least((ledger.pending or ledger.history.blocks[-1]).timestamp)
    except Refused as error:
        ledger.load(saved)
        raise BadInput("world/tampered", reason=error.code) from error
    except BaseException:
        ledger.load(saved)
        raise
