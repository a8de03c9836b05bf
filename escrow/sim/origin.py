"""Where a coin comes from: every source of it, back to the block rewards, as the chain shows it.

A record names the scripts that its holder calls its own and those of its pools; whether they are,
the chain does not say, and a verifier compares them with what the holder has registered (the
address-identifiers of 221-FZ). Everything else anybody recomputes from the blocks alone.

A transaction does not say which input paid which output. Of several inputs all are sources, of
every output; nothing is shared out pro rata.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, NamedTuple, Protocol

from escrow.adapters.bitcoin.block import ParsedBlock, parse
from escrow.adapters.bitcoin.node import Node
from escrow.adapters.bitcoin.policy import read_transaction
from escrow.core.errors import Refused
from escrow.core.units import Sats
from escrow.ports import OutPoint

MAX_ANCESTORS: Final = 2_000
"""Transactions followed back from one output."""


class Chain(Protocol):
    """What is asked of a chain: ``Node`` is one."""

    @property
    def height(self) -> int: ...
    def depth(self, txid: str) -> int | None: ...
    def transaction(self, txid: str) -> bytes | None: ...
    def block(self, height: int) -> bytes: ...


class Kind(Enum):
    """How an output came about."""

    COINBASE = "coinbase"
    """The reward of a block."""
    POOL_PAYOUT = "pool-payout"
    """A payment that spends coins of one pool and no others."""
    MOVED = "moved"
    """The holder's own coins, or some of them, spent onwards."""
    FOREIGN = "foreign"
    """Somebody else's coins."""


@dataclass(frozen=True, slots=True)
class Source:
    """An output that a coin's value came from."""

    outpoint: OutPoint
    """Where it is, or was."""
    sats: Sats
    """All of it."""
    kind: Kind
    """How the holder came to it."""
    pool: str
    """Which pool paid it; empty if none did."""
    block: str
    """Hash of its block."""
    height: int
    """Height of its block."""


@dataclass(frozen=True, slots=True)
class CoinOrigin:
    """The record of one output: how it came about, and all its sources."""

    coin: Source
    """The output itself."""
    sources: tuple[Source, ...]
    """How the holder came to what is in it: rewards, payouts, and what came from others; in the
    order of the chain."""
    coinbases: tuple[Source, ...]
    """The block rewards behind all that, whoever mined them, in the order of the chain."""
    ancestors: tuple[str, ...]
    """Every transaction from the rewards to this output, in the order of the chain."""
    own: tuple[bytes, ...]
    """Output scripts that the holder calls its own."""
    pools: tuple[tuple[str, bytes], ...]
    """Pools by name, and the output script that each pays from."""

    @property
    def self_mined(self) -> bool:
        """Did the holder come to all of it by rewards and payouts of these pools?"""
        return all(each.kind in (Kind.COINBASE, Kind.POOL_PAYOUT) for each in self.sources)


def trace_origin(
    chain: Chain,
    outpoint: OutPoint,
    *,
    own: Sequence[bytes] = (),
    pools: Mapping[str, bytes] | None = None,
) -> CoinOrigin:
    """The record of an output in a block, spent or not.

    ``own`` are the holder's scripts, ``pools`` what pools pay from. A reward or payout that is not
    paid to a script of the holder's is no source of its own: it is foreign.

    Raises Refused: ``origin/unknown`` if no block holds the output, ``origin/too-many`` for more
    than ``MAX_ANCESTORS`` transactions behind it.
    """
    walk = _Walk(chain, outpoint, own=own, pools=pools or {})
    ancestors = walk.ancestors()
    return CoinOrigin(
        coin=walk.source(outpoint),
        sources=tuple(walk.source(each) for each in walk.sources()),
        coinbases=tuple(walk.reward(each) for each in walk.coinbases(ancestors)),
        ancestors=ancestors,
        own=tuple(own),
        pools=tuple(sorted((pools or {}).items())),
    )


def verify_origin(record: CoinOrigin, chain: Chain) -> None:
    """Recompute a record from the chain.

    Raises Refused: ``origin/unknown``, ``origin/amount``, ``origin/block``,
    ``origin/not-coinbase`` for what is called a reward of the holder's and is none,
    ``origin/pool`` for what is called a payout of a pool and is none of that pool,
    ``origin/sources`` for any other difference, ``origin/too-many``.
    """
    said = record.coin
    found = trace_origin(chain, said.outpoint, own=record.own, pools=dict(record.pools))
    seen = found.coin
    where = str(said.outpoint)
    if said.sats != seen.sats:
        raise Refused("origin/amount", outpoint=where, said=said.sats, found=seen.sats)
    if (said.block, said.height) != (seen.block, seen.height):
        raise Refused("origin/block", outpoint=where, said=said.height, found=seen.height)
    for kind, code in ((Kind.COINBASE, "origin/not-coinbase"), (Kind.POOL_PAYOUT, "origin/pool")):
        for _, claimed, pool in sorted(_claims(record, kind) - _claims(found, kind)):
            raise Refused(code, outpoint=where, source=str(claimed), pool=pool[:40])
    if record != found:
        raise Refused("origin/sources", outpoint=where)


def verify_from_blocks(record: CoinOrigin, blocks: Iterable[bytes]) -> None:
    """The same with nothing but the blocks of a chain, from height 1 on: Bitcoin Core's kernel
    checks each of them anew. Raises as ``verify_origin`` and ``Node.submit_block``."""
    with Node() as node:
        for raw in blocks:
            node.submit_block(raw)
        verify_origin(record, node)


def _claims(record: CoinOrigin, kind: Kind) -> set[tuple[int, OutPoint, str]]:
    """Outputs that a record says are of this kind: in which of its lists, and of which pool."""
    lists = ((record.coin,), record.sources, record.coinbases)
    return {(n, s.outpoint, s.pool) for n, each in enumerate(lists) for s in each if s.kind is kind}


class _Out(NamedTuple):
    script: bytes
    sats: Sats


class _Seen(NamedTuple):
    """A transaction in a block."""

    inputs: tuple[OutPoint, ...]
    """None for a reward."""
    outputs: tuple[_Out, ...]
    height: int


class _Walk:
    """One look back from an output: what was read is kept until it is over."""

    def __init__(
        self, chain: Chain, root: OutPoint, *, own: Sequence[bytes], pools: Mapping[str, bytes]
    ) -> None:
        self._chain, self._root, self._own = chain, root, frozenset(own)
        self._pools = {script: name for name, script in sorted(pools.items())}
        self._seen: dict[str, _Seen] = {}
        self._blocks: dict[int, ParsedBlock] = {}

    def ancestors(self) -> tuple[str, ...]:
        """All transactions behind the output, its own among them, in the order of the chain."""
        self._output(self._root)
        found, waiting = {self._root.txid}, [self._root.txid]
        while waiting:
            for spent in self._transaction(waiting.pop()).inputs:
                if spent.txid not in found:
                    found.add(spent.txid)
                    waiting.append(spent.txid)
        return tuple(sorted(found, key=self._place))

    def coinbases(self, ancestors: Iterable[str]) -> list[OutPoint]:
        """Rewards that these transactions spend, or the output itself is."""
        spent = {each for txid in ancestors for each in self._transaction(txid).inputs}
        return self._ordered(
            each for each in {*spent, self._root} if not self._transaction(each.txid).inputs
        )

    def sources(self) -> list[OutPoint]:
        """Where the holder's own chain of coins begins, seen back from the output."""
        found: list[OutPoint] = []
        passed, waiting = {self._root}, [self._root]
        while waiting:
            each = waiting.pop()
            if self._kind(each)[0] is not Kind.MOVED:
                found.append(each)
                continue
            new = {*self._transaction(each.txid).inputs} - passed
            passed |= new
            waiting.extend(new)
        return self._ordered(found)

    def source(self, outpoint: OutPoint) -> Source:
        """An output with all that is recorded of it."""
        return self._recorded(outpoint, *self._kind(outpoint))

    def reward(self, outpoint: OutPoint) -> Source:
        """The same of a reward, whoever's."""
        return self._recorded(outpoint, Kind.COINBASE, "")

    def _kind(self, outpoint: OutPoint) -> tuple[Kind, str]:
        """How an output came about, and which pool paid it."""
        tx, mine = self._transaction(outpoint.txid), self._output(outpoint).script in self._own
        if not tx.inputs:
            return (Kind.COINBASE if mine else Kind.FOREIGN), ""
        payers = {self._output(each).script for each in tx.inputs}
        # What the holder paid to others and they spent beside its coins is theirs.
        if payers & self._own:
            return (Kind.MOVED if mine or outpoint == self._root else Kind.FOREIGN), ""
        payer = payers.pop() if len(payers) == 1 else b""
        if mine and payer in self._pools:
            return Kind.POOL_PAYOUT, self._pools[payer]
        return Kind.FOREIGN, ""

    def _recorded(self, outpoint: OutPoint, kind: Kind, pool: str) -> Source:
        height, sats = self._transaction(outpoint.txid).height, self._output(outpoint).sats
        return Source(outpoint, sats, kind, pool, self._block(height).hash, height)

    def _ordered(self, outpoints: Iterable[OutPoint]) -> list[OutPoint]:
        return sorted(outpoints, key=lambda each: (*self._place(each.txid), each.vout))

    def _place(self, txid: str) -> tuple[int, int]:
        """Where a transaction stands in the chain."""
        height = self._transaction(txid).height
        return height, self._block(height).txids.index(txid)

    def _block(self, height: int) -> ParsedBlock:
        if height not in self._blocks:
            self._blocks[height] = parse(self._chain.block(height))
        return self._blocks[height]

    def _output(self, outpoint: OutPoint) -> _Out:
        outputs = self._transaction(outpoint.txid).outputs
        if not 0 <= outpoint.vout < len(outputs):
            raise Refused("origin/unknown", outpoint=str(outpoint))
        return outputs[outpoint.vout]

    def _transaction(self, txid: str) -> _Seen:
        if txid not in self._seen:
            depth, raw = self._chain.depth(txid), self._chain.transaction(txid)
            if not depth or raw is None:
                raise Refused("origin/unknown", txid=txid)
            if len(self._seen) >= MAX_ANCESTORS:
                raise Refused("origin/too-many", most=MAX_ANCESTORS)
            tx = read_transaction(raw)
            spent = (OutPoint(v.prev_out.tx_id.hex(), v.prev_out.vout) for v in tx.vin)
            self._seen[txid] = _Seen(
                () if tx.is_coinbase else tuple(spent),
                tuple(_Out(o.script_pub_key.script, Sats(o.value)) for o in tx.vout),
                self._chain.height - depth + 1,
            )
        return self._seen[txid]
