"""What has happened: blocks, transactions and logs, indexed, and truncated by a revert."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from escrow.adapters.evm.block import Block
from escrow.adapters.evm.transaction import Transaction
from escrow.core.errors import BadInput, Refused
from escrow.ports import Log, Receipt

Topics = Sequence[bytes | Collection[bytes] | None]
"""A filter by place: a topic, any of several, or None for anything."""


@dataclass(frozen=True, slots=True)
class Included:
    """A transaction in a block, sealed or pending."""

    raw: bytes
    """Signed bytes as sent."""
    block_number: int
    timestamp: int
    """Of its block, unix seconds."""
    receipt: Receipt
    transaction: Transaction


@dataclass(frozen=True, slots=True)
class Mark:
    """How long the history was."""

    blocks: int
    included: int
    logs: int


@dataclass(slots=True)
class History:
    """Append-only but for :meth:`cut`; nothing in it is ever changed."""

    blocks: list[Block] = field(default_factory=list)
    """Sealed blocks; the number is the place."""
    included: list[Included] = field(default_factory=list)
    """Transactions in order, those of the pending block last."""
    logs: list[Log] = field(default_factory=list)
    """Logs in order, those of the pending block last."""
    by_block_hash: dict[bytes, int] = field(default_factory=dict)
    by_tx_hash: dict[bytes, int] = field(default_factory=dict)
    by_address: dict[bytes, list[int]] = field(default_factory=dict)
    """Places in ``logs``, ascending, by emitting contract."""
    by_topic: dict[bytes, list[int]] = field(default_factory=dict)
    """Places in ``logs``, ascending, by first topic."""

    def add_block(self, block: Block) -> None:
        self.by_block_hash[block.hash] = len(self.blocks)
        self.blocks.append(block)

    def add(self, entry: Included) -> None:
        self.by_tx_hash[entry.receipt.tx_hash] = len(self.included)
        self.included.append(entry)
        for log in entry.receipt.logs:
            at = len(self.logs)
            self.logs.append(log)
            self.by_address.setdefault(log.address, []).append(at)
            if log.topics:
                self.by_topic.setdefault(log.topics[0], []).append(at)

    def mark(self) -> Mark:
        return Mark(blocks=len(self.blocks), included=len(self.included), logs=len(self.logs))

    def cut(self, mark: Mark) -> None:
        """Forget what was added since ``mark``, in time proportional to that."""
        while len(self.blocks) > mark.blocks:
            del self.by_block_hash[self.blocks.pop().hash]
        while len(self.included) > mark.included:
            del self.by_tx_hash[self.included.pop().receipt.tx_hash]
        while len(self.logs) > mark.logs:
            log = self.logs.pop()
            _drop(self.by_address, log.address)
            if log.topics:
                _drop(self.by_topic, log.topics[0])

    def of_block(self, number: int) -> Sequence[Included]:
        """The transactions of a block, sealed or pending."""
        start = bisect_left(self.included, number, key=_number)
        return self.included[start : bisect_left(self.included, number + 1, key=_number)]

    def since(self, cursor: int) -> tuple[tuple[Log, ...], int]:
        """Logs from a place on, and where the next will be.

        Raises ``BadInput("evm/cursor")`` for a place that a revert has cut off.
        """
        if not 0 <= cursor <= len(self.logs):
            raise BadInput("evm/cursor", cursor=cursor)
        return tuple(self.logs[cursor:]), len(self.logs)

    def query(
        self,
        *,
        address: bytes | Collection[bytes] | None,
        topics: Topics,
        from_block: int,
        to_block: int,
        limit: int,
    ) -> tuple[Log, ...]:
        """What :meth:`find` finds. Raises ``Refused("evm/logs")`` for more than ``limit``."""
        found: list[Log] = []
        for log in self.find(
            addresses=(address,) if isinstance(address, bytes) else address,
            topics=topics,
            from_block=from_block,
            to_block=to_block,
        ):
            if len(found) == limit:
                raise Refused("evm/logs", limit=limit)
            found.append(log)
        return tuple(found)

    def find(
        self,
        *,
        addresses: Collection[bytes] | None,
        topics: Topics,
        from_block: int,
        to_block: int,
    ) -> Iterator[Log]:
        """Logs of the blocks from and to, both included, that match, in order.

        Only the candidates of the narrowest index are looked at.
        """
        addresses = None if addresses is None else frozenset(addresses)
        low = bisect_left(self.logs, from_block, key=_log_number)
        high = bisect_left(self.logs, to_block + 1, key=_log_number)
        wanted = [_choices(topic) for topic in topics]
        first = wanted[0] if wanted else None
        places: Iterable[int] = range(low, high)
        if addresses is not None:
            places = _places(self.by_address, addresses, low=low, high=high)
        elif first is not None:
            places = _places(self.by_topic, first, low=low, high=high)
        for at in places:
            log = self.logs[at]
            if addresses is not None and log.address not in addresses:
                continue
            if len(log.topics) >= len(wanted) and all(
                choice is None or topic in choice
                for choice, topic in zip(wanted, log.topics, strict=False)
            ):
                yield log


def _number(entry: Included) -> int:
    return entry.block_number


def _log_number(log: Log) -> int:
    return log.block_number


def _choices(topic: bytes | Collection[bytes] | None) -> Collection[bytes] | None:
    if topic is None:
        return None
    return frozenset((topic,) if isinstance(topic, bytes) else topic)


def _places(
    index: dict[bytes, list[int]], keys: Collection[bytes], *, low: int, high: int
) -> list[int]:
    found: list[int] = []
    for key in sorted(set(keys)):
        places = index.get(key, [])
        found += places[bisect_left(places, low) : bisect_left(places, high)]
    return sorted(found)


def _drop(index: dict[bytes, list[int]], key: bytes) -> None:
    places = index[key]
    places.pop()
    if not places:
        del index[key]
