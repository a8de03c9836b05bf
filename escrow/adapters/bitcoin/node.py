"""A real Bitcoin regtest node in one process: Core's consensus, and around it what a node adds.

The kernel decides which blocks are valid. This module keeps the index, the mempool and the
miner in step with it, takes time only from its caller, and does nothing by halves.
"""

from __future__ import annotations

import weakref
from collections.abc import Collection, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from btclib.tx import Tx

from escrow.adapters.bitcoin import block as regtest
from escrow.adapters.bitcoin.block import MINER_SCRIPT, ParsedBlock
from escrow.adapters.bitcoin.datadir import Datadir
from escrow.adapters.bitcoin.fees import estimate
from escrow.adapters.bitcoin.index import Index
from escrow.adapters.bitcoin.kernel import Kernel
from escrow.adapters.bitcoin.mempool import Entry, Mempool
from escrow.adapters.bitcoin.policy import MAX_FEERATE, read_transaction
from escrow.adapters.bitcoin.reorg import build_branch, surviving
from escrow.adapters.bitcoin.types import Coin, OutPoint
from escrow.core.errors import BadInput, Refused


class Node:
    """A chain, its coins and its mempool.

    Hashes and txids are hex in display order; amounts are sats; times are unix seconds given by
    the caller. Queries answer from memory and keep answering after ``close``.
    """

    def __init__(self, datadir: Path | None = None) -> None:
        """Open the chain in ``datadir``, or a private one that vanishes at ``close``.

        A chain that was not closed cleanly is rebuilt from its block files. Raises
        Refused("bitcoin/datadir") if the directory is in use or holds something else.
        """
        self._index = Index()
        self._mempool = Mempool(self._index)
        self._seen: dict[str, bytes] = {}
        self._parsed: dict[str, ParsedBlock] = {}
        home = Datadir(datadir)
        try:
            self._kernel: Kernel | None = Kernel(
                home.path, in_memory=home.private, rebuild=home.unclean
            )
        except Refused:
            home.abandon()
            raise
        self._finalizer = weakref.finalize(self, _shut, self._kernel, home)
        for raw in self._kernel.blocks() if datadir is not None else ():
            parsed = regtest.parse(raw)
            self._seen[parsed.hash] = raw
            self._index.connect(parsed)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "" if self._kernel else ", closed"
        return f"Node(height={self.height}, mempool={len(self._mempool)}{state})"

    def close(self) -> None:
        """Flush and free the chain; delete a private directory. Safe to call twice."""
        self._kernel = None
        self._finalizer()

    @property
    def height(self) -> int:
        """Height of the tip; 0 is the genesis block."""
        return self._index.height

    @property
    def tip_hash(self) -> str:
        """Hash of the tip."""
        return self._index.hashes[-1]

    @property
    def tip_time(self) -> int:
        """Time in the tip's header."""
        return self._index.times[-1]

    @property
    def median_time(self) -> int:
        """Median time past of the tip. Time locks read this clock, and the next block beats it."""
        return self._index.median_time(self.height)

    def median_time_at(self, height: int) -> int:
        """The same when the block at ``height``, from 0 to the tip's, was the tip."""
        return self._index.median_time(height)

    @property
    def index(self) -> Index:
        """What the active chain holds, for explorers. To be read only."""
        return self._index

    def mine(self, *, time: int, script_pubkey: bytes | None = None) -> str:
        """Mine the mempool's best transactions into a block dated ``time``; its hash.

        The reward goes to ``script_pubkey``, by default to a script anyone may spend. Raises
        Refused("bitcoin/block") if ``time`` is not above the median time (``time-too-old``), or
        more than two hours ahead of the machine's clock (``time-too-new``: the kernel reads it).
        """
        self._check_time(time, median=self.median_time)
        chosen = self._mempool.select()
        block = regtest.build(
            self.tip_hash,
            height=self.height + 1,
            time=time,
            transactions=[entry.tx for entry in chosen],
            fees=sum(entry.fee for entry in chosen),
            script_pubkey=MINER_SCRIPT if script_pubkey is None else script_pubkey,
            extra_nonce=regtest.nonce_after(self.tip_hash),
        )
        self._submit(block)
        return block.hash

    def submit_block(self, raw: bytes) -> str:
        """Give a block from elsewhere to the kernel; its hash.

        A valid block that is not on the best chain is kept aside. Raises BadInput or
        Refused("bitcoin/block") with the kernel's reject string as ``reason``; the chain is then
        what it was.
        """
        block = regtest.parse(raw)
        self._submit(block)
        return block.hash

    def broadcast(self, raw: bytes) -> str:
        """Offer a transaction to the mempool; its txid. One that is known already is welcome.

        One that pays enough more than those that spend the same coins pushes them out (BIP-125).

        Raises BadInput("bitcoin/transaction") if it cannot be read, else Refused with
        "bitcoin/policy", "dust", "non-final", "missing-input", "immature", "amount", "fee",
        "conflict", "replace" or "script" (each ``bitcoin/…``), the first rule it breaks in Core's
        order.
        """
        self._require_open()
        tx = read_transaction(raw)
        txid = tx.id.hex()
        if not self._knows(txid):
            self._mempool.accept(tx, raw, txid)
        return txid

    def broadcast_package(self, raws: Sequence[bytes]) -> tuple[str, ...]:
        """Offer a parent and its child together; their txids. Both come in, or none (Core's
        ``submitpackage``, one parent and one child).

        The parent may pay less than the floor if the two together do not. Raises as
        ``broadcast``, and BadInput("bitcoin/transaction") for anything but two transactions.
        """
        self._require_open()
        if len(raws) != 2:
            raise BadInput("bitcoin/transaction", package=len(raws))
        parent, child = ((tx, raw, tx.id.hex()) for raw in raws for tx in [read_transaction(raw)])
        if self._knows(parent[2]):
            return parent[2], self.broadcast(child[1])
        self._mempool.accept_package(parent, child)
        return parent[2], child[2]

    def restore(self, waiting: Sequence[tuple[bytes, int]]) -> None:
        """Take back transactions that waited before this chain was opened again, in the order they
        came, each with the height at which it did. Their fees are asked no more: whatever the
        floor was when they came, they are in. Raises as ``broadcast``; BadInput for a height that
        the chain has not reached."""
        self._require_open()
        for raw, height in waiting:
            tx = read_transaction(raw)
            if not 0 <= height <= self.height or self._knows(tx.id.hex()):
                raise BadInput("bitcoin/transaction", txid=tx.id.hex(), height=height)
            self._mempool.accept(tx, raw, tx.id.hex(), height=height)

    @property
    def floor(self) -> int:
        """Sat/vB below which transactions are neither relayed nor mined, unless a child pays."""
        return self._mempool.floor

    def set_floor(self, feerate: int) -> None:
        """What miners and nodes ask at least, in sat/vB (Core's ``-blockmintxfee`` and
        ``-minrelaytxfee``). What waits and pays less stays, and waits. Raises
        BadInput("input/amount") outside 1 to ``MAX_FEERATE``."""
        self._require_open()
        if type(feerate) is not int or not 1 <= feerate <= MAX_FEERATE:
            raise BadInput("input/amount", feerate=str(feerate)[:40], most=MAX_FEERATE)
        self._mempool.floor = feerate

    def estimate_feerate(self, blocks: int) -> int:
        """Sat/vB that should bring a transaction into one of the next ``blocks`` blocks: what
        ``fees.estimate`` says. Above the floor, and 2 in a quiet market. Raises
        BadInput("input/amount")."""
        return estimate(blocks, mempool=self._mempool, index=self._index, raws=self._seen)

    def reorg(
        self,
        depth: int,
        *,
        time: int,
        drop: Collection[str] = (),
        blocks: int | None = None,
        remine: bool = False,
    ) -> tuple[str, ...]:
        """Replace the last ``depth`` blocks by ``blocks`` others (one more by default).

        Transactions of the old blocks go back to the mempool; with ``remine`` they are in the
        new blocks at the height they had. Those in ``drop``, what spends from them and what
        spends an old reward are gone. A new block keeps the time of the one it replaces; the
        further ones are dated ``time``, or a second after the median time if that is later.
        Returns the new hashes, oldest first. Raises Refused: "bitcoin/reorg" if the chain is not
        that deep, the new branch is not longer or a dropped transaction is neither in the old
        blocks nor in the mempool; "bitcoin/block" if ``time`` is too old.
        """
        count = depth + 1 if blocks is None else blocks
        if not 1 <= depth <= self.height:
            raise Refused("bitcoin/reorg", depth=depth, height=self.height)
        if count <= depth:
            raise Refused("bitcoin/reorg", depth=depth, blocks=count)
        base = self.height - depth
        old = [self._parse(each) for each in self._index.hashes[base + 1 :]]
        returned = {txid for each in old for txid in each.txids[1:]}
        for txid in drop:
            if txid not in returned and txid not in self._mempool:
                raise Refused("bitcoin/reorg", drop=txid[:64])
        self._check_time(time, median=self.median_time)

        gone, kept = surviving(old, drop=drop)
        branch = build_branch(self._index, old, kept=kept if remine else [], count=count, time=time)
        for fresh in branch:
            self._submit(fresh)
        self._mempool.evict(gone)
        return tuple(each.hash for each in branch)

    def coin(self, outpoint: OutPoint) -> Coin | None:
        """The confirmed, unspent output there, or None."""
        return self._index.coins.get(outpoint)

    def coins(self, script_pubkey: bytes) -> tuple[Coin, ...]:
        """Confirmed, unspent outputs to a script, oldest first, spent in the mempool or not."""
        return tuple(self._index.paying(script_pubkey))

    def pending(self, script_pubkey: bytes) -> tuple[Coin, ...]:
        """Unconfirmed, unspent outputs to a script, in the order they came."""
        return tuple(self._mempool.paying(script_pubkey))

    def history(self, script_pubkey: bytes) -> tuple[OutPoint, ...]:
        """Every output that ever paid a script, spent or not: the chain's in order, then the
        mempool's. With ``spender`` it tells a script's whole story."""
        confirmed = self._index.history.get(script_pubkey, ())
        return (*confirmed, *self._mempool.received(script_pubkey))

    def depth(self, txid: str) -> int | None:
        """Confirmations of a transaction; 0 in the mempool, None if unknown."""
        if (confirmed := self._index.transactions.get(txid)) is not None:
            return self.height - confirmed.height + 1
        return 0 if txid in self._mempool else None

    def waited(self, txid: str) -> int | None:
        """Blocks found while a transaction waited in the mempool; None if it is not there."""
        entry = self._mempool.get(txid)
        return None if entry is None else max(0, self.height - entry.height)

    def transaction(self, txid: str) -> bytes | None:
        """A transaction of the chain or the mempool as it travels."""
        if (confirmed := self._index.transactions.get(txid)) is not None:
            return confirmed.raw
        entry = self._mempool.get(txid)
        return entry.raw if entry else None

    def spender(self, outpoint: OutPoint) -> str | None:
        """Id of the transaction, confirmed or waiting, that spends this output."""
        return self._index.spenders.get(outpoint) or self._mempool.spender(outpoint)

    def block(self, height: int) -> bytes:
        """The block at this height of the chain. Raises BadInput("bitcoin/block")."""
        if not 1 <= height <= self.height:
            raise BadInput("bitcoin/block", height=height)
        return self._seen[self._index.hashes[height]]

    def blocks(self) -> tuple[bytes, ...]:
        """All blocks of the chain from height 1 on."""
        return tuple(self._seen[each] for each in self._index.hashes[1:])

    def block_of(self, block_hash: str) -> bytes | None:
        """A block that this node holds, on its best chain or aside; None for others and genesis."""
        return self._seen.get(block_hash)

    def waiting(self) -> tuple[Entry, ...]:
        """Waiting transactions with their fees, in the order they came."""
        return tuple(self._mempool)

    def mempool(self) -> tuple[bytes, ...]:
        """Waiting transactions in the order they came."""
        return tuple(entry.raw for entry in self._mempool)

    def _knows(self, txid: str) -> bool:
        return txid in self._mempool or txid in self._index.transactions

    def _require_open(self) -> Kernel:
        if self._kernel is None:
            raise Refused("world/closed")
        return self._kernel

    def _check_time(self, time: int, *, median: int) -> None:
        self._require_open()
        if not 0 <= time <= regtest.MAX_BLOCK_TIME:
            raise BadInput("input/time", time=time)
        if time <= median:
            raise Refused("bitcoin/block", reason="time-too-old", time=time, median=median)

    def _submit(self, block: ParsedBlock) -> None:
        verdict = self._require_open().process(block.raw, block_hash=block.hash)
        if verdict.accepted:
            self._seen[block.hash] = block.raw
            self._parsed[block.hash] = block
        returned: list[tuple[Tx, bytes, str]] = []
        backwards = False
        for change in verdict.changes:
            each = self._parse(change.hash)
            if change.connected:
                self._index.connect(each)
                self._mempool.on_block(each)
                continue
            backwards = True
            returned[:0] = [
                (tx, self._index.transactions[txid].raw, txid)
                for tx, txid in zip(each.transactions[1:], each.txids[1:], strict=True)
            ]
            self._index.disconnect(each)
        if backwards:
            self._mempool.reconsider(returned)
        if not verdict.accepted:
            raise Refused("bitcoin/block", reason=verdict.reason, hash=block.hash)
        if self.tip_hash == block.hash:
            self._parsed.clear()

    def _parse(self, block_hash: str) -> ParsedBlock:
        if (parsed := self._parsed.get(block_hash)) is not None:
            return parsed
        if block_hash not in self._seen:  # a side block from before the chain was reopened
            self._seen[block_hash] = self._require_open().read(block_hash)
        return regtest.parse(self._seen[block_hash])


def _shut(kernel: Kernel, home: Datadir) -> None:
    kernel.close()
    home.leave()
