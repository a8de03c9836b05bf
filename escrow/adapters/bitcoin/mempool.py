"""Transactions that wait for a block: who may come in, who is pushed out, who is mined next."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from btclib.tx import Tx

from escrow.adapters.bitcoin import policy
from escrow.adapters.bitcoin.block import ParsedBlock
from escrow.adapters.bitcoin.index import Index
from escrow.adapters.bitcoin.types import Coin, OutPoint
from escrow.core.errors import EscrowError, Refused
from escrow.core.units import Sats

MAX_ANCESTORS: Final = 25
"""Longest family of unconfirmed ancestors, the transaction included (Core's ancestor limit)."""

MAX_BLOCK_WEIGHT: Final = 4_000_000 - 8_000
"""Weight of transactions in one block: consensus, less what Core keeps for the coinbase."""
_MAX_BLOCK_SIGOPS: Final = 80_000 - 400  # the same
_RATE_SCALE: Final = 1 << 32


@dataclass(frozen=True, slots=True)
class Entry:
    """A transaction in the mempool."""

    txid: str
    """Its id."""
    tx: Tx
    """Decoded."""
    raw: bytes
    """As it travels."""
    fee: Sats
    """What it pays the miner."""
    vsize: int
    """Virtual bytes as fees count them."""
    sigops: int
    """Signature-check cost, which blocks bound."""
    parents: frozenset[str]
    """Ids of the mempool transactions it spends from."""
    height: int
    """Height of the tip when it came."""


class Mempool:
    """The transactions a miner may take next, in the order they came."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self.floor = policy.MIN_FEERATE
        """Sat/vB below which nothing is relayed or mined, unless a child pays for it (Core's
        ``-minrelaytxfee`` and ``-blockmintxfee``). What waits already stays when it rises."""
        self._entries: dict[str, Entry] = {}
        self._spenders: dict[OutPoint, str] = {}
        self._children: dict[str, set[str]] = {}

    def __contains__(self, txid: str) -> bool:
        return txid in self._entries

    def __iter__(self) -> Iterator[Entry]:
        return iter(tuple(self._entries.values()))

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, txid: str) -> Entry | None:
        """The transaction with this id, if it waits here."""
        return self._entries.get(txid)

    def spender(self, outpoint: OutPoint) -> str | None:
        """Id of the waiting transaction that spends this output."""
        return self._spenders.get(outpoint)

    def paying(self, script_pubkey: bytes) -> Iterator[Coin]:
        """Outputs of waiting transactions to this script that none of them spends."""
        for outpoint in self.received(script_pubkey):
            if outpoint not in self._spenders:
                value = self._entries[outpoint.txid].tx.vout[outpoint.vout].value
                yield Coin(outpoint, Sats(value), script_pubkey, 0, False)

    def received(self, script_pubkey: bytes) -> Iterator[OutPoint]:
        """Outputs of waiting transactions to this script, spent or not, in the order they came."""
        for entry in self._entries.values():
            for vout, tx_out in enumerate(entry.tx.vout):
                if tx_out.script_pub_key.script == script_pubkey:
                    yield OutPoint(entry.txid, vout)

    def accept(
        self, tx: Tx, raw: bytes, txid: str, *, height: int | None = None, parent: str = ""
    ) -> None:
        """Let a new transaction in, or raise Refused with the rule it breaks, in Core's order.

        With ``parent`` the two are asked for the fee together. With ``height`` it came when the
        tip was there, and its fee is asked no more: what was let in once stays in.
        """
        policy.check_standard(tx)
        coins, fee = self._check_chain(tx)
        sigops = policy.check_inputs_standard(tx, coins)
        entry = self._entry(tx, raw, txid, fee=fee, sigops=sigops, height=height)
        if height is None:
            self._check_fee(entry, parent=parent)
        if len(self._family(entry)) > MAX_ANCESTORS:
            raise Refused("bitcoin/policy", reason="too-long-mempool-chain")
        rivals = self._rivals(tx)
        self._check_replacement(entry, rivals)
        policy.check_scripts(tx, raw, coins)
        self.evict(rivals)
        self._insert(entry)

    def accept_package(self, parent: tuple[Tx, bytes, str], child: tuple[Tx, bytes, str]) -> None:
        """Let a parent and its child in, both or none; a parent below the floor if the child pays
        for it (Core's ``submitpackage``). Raises Refused as ``accept``."""
        if all(each.prev_out.tx_id.hex() != parent[2] for each in child[0].vin):
            raise Refused("bitcoin/policy", reason="package-not-child-with-parents")
        kept = dict(self._entries), dict(self._spenders), _twin(self._children)
        try:
            try:
                self.accept(*parent)
            except Refused as refusal:
                if refusal.code != "bitcoin/fee" or "least" not in refusal.facts:
                    raise
                self.accept(*parent, height=self._index.height)
            self.accept(*child, parent=parent[2])
        except EscrowError:
            self._entries, self._spenders, self._children = kept
            raise

    def feerate_beyond(self, weight: int) -> int:
        """Sat/vB, rounded up, of the best that waits and does not fit into ``weight``; 0 if all
        do. Families are ranked as they stand, whole."""
        if sum(entry.tx.weight for entry in self._entries.values()) <= weight:
            return 0
        families = [self._family(entry) for entry in self._entries.values()]
        taken: set[str] = set()
        for rank, family in sorted((self._rank(each), sorted(each)) for each in families):
            weight -= sum(self._entries[txid].tx.weight for txid in family if txid not in taken)
            taken.update(family)
            if weight < 0:
                return -(rank // _RATE_SCALE)
        return 0

    def on_block(self, block: ParsedBlock) -> None:
        """Let go of what the block confirmed and of what conflicts with it."""
        for txid in block.txids:
            if txid in self._entries:
                self._drop(txid)
        for tx in block.transactions[1:]:
            for outpoint in _spends(tx):
                if (rival := self._spenders.get(outpoint)) is not None:
                    self.evict((rival,))

    def evict(self, txids: Collection[str]) -> None:
        """Forget transactions and all that spend from them."""
        for txid in txids:
            if txid in self._entries:
                for child in sorted(self._children[txid]):
                    self.evict((child,))
                self._drop(txid)

    def reconsider(self, returned: Collection[tuple[Tx, bytes, str]]) -> None:
        """After a reorg: take back what the old blocks held, then judge everyone anew.

        Only what the chain can have changed is asked: coins, maturity, locks. Fees and
        standardness are not, as in Core: what was once in a block is not thrown out for them.
        """
        tip = self._index.height
        came = [(*each, tip) for each in returned]
        came += [(entry.tx, entry.raw, entry.txid, entry.height) for entry in self]
        self._entries.clear()
        self._spenders.clear()
        self._children.clear()
        for tx, raw, txid, height in came:
            known = txid in self._entries or txid in self._index.transactions
            if known or self._rivals(tx):
                continue
            try:
                coins, fee = self._check_chain(tx)
                sigops = policy.check_inputs_standard(tx, coins)
            except EscrowError:
                continue
            self._insert(self._entry(tx, raw, txid, fee=fee, sigops=sigops, height=height))

    def select(self) -> list[Entry]:
        """Transactions for the next block: best package feerate first, ancestors before heirs.

        Packages below the floor wait. Ties go to whoever came first. What became non-final through
        a reorg was put out then, so everything here fits the next block.
        """
        order = {txid: number for number, txid in enumerate(self._entries)}
        packages = {txid: self._family(entry) for txid, entry in self._entries.items()}
        queue = [(self._rank(package), order[txid], txid) for txid, package in packages.items()]
        heapq.heapify(queue)
        chosen: dict[str, Entry] = {}
        weight = sigops = 0
        while queue:
            rank, _, txid = heapq.heappop(queue)
            package = packages[txid]
            if txid in chosen or rank != self._rank(package):
                continue  # taken with an heir, or ranked again since
            if -rank < self.floor * _RATE_SCALE:
                break  # and so is all that is left
            entries = [self._entries[each] for each in sorted(package, key=order.__getitem__)]
            added, checks = sum(each.tx.weight for each in entries), sum(e.sigops for e in entries)
            if weight + added > MAX_BLOCK_WEIGHT or sigops + checks > _MAX_BLOCK_SIGOPS:
                continue
            weight, sigops = weight + added, sigops + checks
            # Parents before children: an ancestor has fewer ancestors than its heir.
            for entry in sorted(entries, key=lambda e: (len(self._family(e)), order[e.txid])):
                chosen[entry.txid] = entry
            for heir in self._heirs(package) - chosen.keys():
                packages[heir] -= package
                heapq.heappush(queue, (self._rank(packages[heir]), order[heir], heir))
        return list(chosen.values())

    def _check_chain(self, tx: Tx) -> tuple[list[Coin], Sats]:
        height = self._index.height + 1
        median_time = self._index.median_time(self._index.height)
        if not policy.is_final(tx, height=height, median_time=median_time):
            raise Refused("bitcoin/non-final", locktime=tx.lock_time, clock=median_time)
        coins = [self._coin(outpoint) for outpoint in _spends(tx)]
        if tx.version >= 2:
            self._check_relative(tx, coins, height=height, median_time=median_time)
        return coins, policy.check_amounts(tx, coins, height=height)

    def _rivals(self, tx: Tx) -> tuple[str, ...]:
        """Those that wait and spend a coin of this one."""
        found = (self._spenders.get(outpoint) for outpoint in _spends(tx))
        return tuple(dict.fromkeys(txid for txid in found if txid is not None))

    def _check_fee(self, entry: Entry, *, parent: str) -> None:
        fee, vsize = entry.fee, entry.vsize
        if (paid_for := self._entries.get(parent)) is not None:
            fee, vsize = Sats(fee + paid_for.fee), vsize + paid_for.vsize
        policy.check_fee(fee=fee, vsize=vsize, floor=self.floor)

    def _check_replacement(self, entry: Entry, rivals: Sequence[str]) -> None:
        """May it push out those that spend its coins, and their heirs?"""
        if not rivals:
            return
        direct = [self._entries[txid] for txid in rivals]
        out = {*rivals, *self._heirs(rivals)}
        spent = {outpoint for each in direct for outpoint in _spends(each.tx)}
        fresh = {each for each in _spends(entry.tx) if each.txid in self._entries}
        policy.check_replacement(
            fee=entry.fee,
            vsize=entry.vsize,
            rivals=[(each.fee, each.vsize) for each in direct],
            pushed_out=[self._entries[txid].fee for txid in out],
            heir=not out.isdisjoint(self._family(entry)),
            adds_unconfirmed=not fresh <= spent,
        )

    def _check_relative(self, tx: Tx, coins: list[Coin], *, height: int, median_time: int) -> None:
        for tx_in, coin in zip(tx.vin, coins, strict=True):
            if (lock := policy.relative_lock(tx_in.sequence)) is None:
                continue
            by_time, amount = lock
            born = coin.height or height  # one still waiting is counted as of the next block
            clock = median_time if by_time else height
            start = self._index.median_time(born - 1) if by_time else born
            if start + amount > clock:
                raise Refused("bitcoin/non-final", outpoint=str(coin.outpoint), relative=amount)

    def _coin(self, outpoint: OutPoint) -> Coin:
        if (coin := self._index.coins.get(outpoint)) is not None:
            return coin
        if (parent := self._entries.get(outpoint.txid)) and outpoint.vout < len(parent.tx.vout):
            tx_out = parent.tx.vout[outpoint.vout]
            return Coin(outpoint, Sats(tx_out.value), tx_out.script_pub_key.script, 0, False)
        raise Refused("bitcoin/missing-input", outpoint=str(outpoint))

    def _entry(
        self, tx: Tx, raw: bytes, txid: str, *, fee: Sats, sigops: int, height: int | None
    ) -> Entry:
        vsize = policy.policy_vsize(tx, sigops=sigops)
        parents = frozenset(each.txid for each in _spends(tx) if each.txid in self._entries)
        came = self._index.height if height is None else height
        return Entry(txid, tx, raw, fee, vsize, sigops, parents, came)

    def _insert(self, entry: Entry) -> None:
        self._entries[entry.txid] = entry
        self._children[entry.txid] = set()
        for parent in entry.parents:
            self._children[parent].add(entry.txid)
        for outpoint in _spends(entry.tx):
            self._spenders[outpoint] = entry.txid

    def _drop(self, txid: str) -> None:
        entry = self._entries.pop(txid)
        for parent in entry.parents:
            if parent in self._children:
                self._children[parent].discard(txid)
        for outpoint in _spends(entry.tx):
            del self._spenders[outpoint]
        del self._children[txid]

    def _family(self, entry: Entry) -> frozenset[str]:
        family, unread = {entry.txid}, [entry.parents]
        while unread:
            for txid in unread.pop() - family:
                # A parent that a block has taken meanwhile is no ancestor any more.
                if (parent := self._entries.get(txid)) is not None:
                    family.add(txid)
                    unread.append(parent.parents)
        return frozenset(family)

    def _heirs(self, txids: Collection[str]) -> set[str]:
        heirs: set[str] = set()
        unread = list(txids)
        while unread:
            fresh = self._children[unread.pop()] - heirs
            heirs |= fresh
            unread.extend(sorted(fresh))
        return heirs

    def _rank(self, package: Collection[str]) -> int:
        # Heap order: the best feerate is the smallest number.
        entries = [self._entries[txid] for txid in package]
        fee = sum(entry.fee for entry in entries)
        return -(fee * _RATE_SCALE // sum(entry.vsize for entry in entries))


def _spends(tx: Tx) -> list[OutPoint]:
    return [OutPoint(each.prev_out.tx_id.hex(), each.prev_out.vout) for each in tx.vin]


def _twin(children: Mapping[str, set[str]]) -> dict[str, set[str]]:
    return {txid: set(heirs) for txid, heirs in children.items()}
