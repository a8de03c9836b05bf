"""Logs, and filters that a client polls for what is new."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from escrow.adapters.evm.chain import Chain
from escrow.adapters.evm.queries import LATEST
from escrow.adapters.evm.show import log_json
from escrow.adapters.evm.wire import (
    SERVER_ERROR,
    Json,
    Params,
    RpcError,
    data,
    invalid,
    quantity,
    to_addresses,
    to_int,
    to_object,
    to_topics,
    to_word,
)

MAX_FILTERS: Final = 256
"""Filters kept; the one polled longest ago gives way, as a node forgets those nobody polls."""


@dataclass(slots=True)
class _Filter:
    """What a client polls."""

    criteria: Json | None
    """Of logs; None for hashes."""
    next_block: int
    """First block not yet reported."""
    transactions: bool = False
    """Hashes of transactions, not of blocks."""


class Filters:
    """Answers in JSON form about one chain's logs. Holds the filters."""

    def __init__(self, chain: Chain) -> None:
        self.chain = chain
        self._filters: dict[int, _Filter] = {}
        self._last_filter = 0

    def logs(self, params: Params) -> object:
        criteria = params.read(0, to_object)
        if "blockHash" in criteria:
            block = self.chain.block(to_word(criteria["blockHash"]))
            if block is None:
                raise RpcError(SERVER_ERROR, "header not found")
            return self._logs(criteria, low=block.number, high=block.number)
        head = self.chain.block_number
        low = self._edge(criteria.get("fromBlock"), tag=head)
        return self._logs(criteria, low=low, high=self._edge(criteria.get("toBlock"), tag=head))

    def _logs(self, criteria: Json, *, low: int, high: int) -> list[Json]:
        found = self.chain.logs(
            address=to_addresses(criteria.get("address")),
            topics=to_topics(criteria.get("topics")),
            from_block=low,
            to_block=min(high, self.chain.block_number),
        )
        blocks = {number: self.chain.block(number) for number in {x.block_number for x in found}}
        return [log_json(log, block) for log in found if (block := blocks[log.block_number])]

    def _edge(self, value: object, *, tag: int) -> int:
        """A bound of a range; ``tag`` is what latest, pending or nothing stands for."""
        if value is None or value == "pending" or (isinstance(value, str) and value in LATEST):
            return tag
        return 0 if value == "earliest" else to_int(value)

    def new_log_filter(self, params: Params) -> object:
        criteria = params.read(0, to_object)
        if "blockHash" in criteria:
            raise invalid("a filter looks forward: no blockHash")
        self._new_logs(criteria, since=2**64)  # so that bad criteria are refused now
        return self._keep(criteria)

    def new_block_filter(self, _: Params) -> object:
        return self._keep(None)

    def new_transaction_filter(self, _: Params) -> object:
        """Named after pending ones; here none waits, so it reports them as they are sealed."""
        return self._keep(None, transactions=True)

    def _keep(self, criteria: Json | None, *, transactions: bool = False) -> str:
        self._last_filter += 1
        after = self.chain.block_number + 1
        self._filters[self._last_filter] = _Filter(criteria, after, transactions)
        if len(self._filters) > MAX_FILTERS:
            del self._filters[next(iter(self._filters))]
        return quantity(self._last_filter)

    def _new_logs(self, criteria: Json, *, since: int) -> list[Json]:
        low = max(since, self._edge(criteria.get("fromBlock"), tag=0))
        head = self.chain.block_number
        return self._logs(criteria, low=low, high=self._edge(criteria.get("toBlock"), tag=head))

    def filter_changes(self, params: Params) -> object:
        found, head = self._filter(params), self.chain.block_number
        if found.criteria is None:
            blocks = [self.chain.block(number) for number in range(found.next_block, head + 1)]
            changes: list[object] = [
                data(each)
                for block in blocks
                if block
                for each in (block.transactions if found.transactions else (block.hash,))
            ]
        else:
            changes = list(self._new_logs(found.criteria, since=found.next_block))
        found.next_block = head + 1
        return changes

    def filter_logs(self, params: Params) -> object:
        criteria = self._filter(params).criteria
        if criteria is None:
            raise RpcError(SERVER_ERROR, "filter not found")
        head = self.chain.block_number
        low = self._edge(criteria.get("fromBlock"), tag=head)
        return self._logs(criteria, low=low, high=self._edge(criteria.get("toBlock"), tag=head))

    def drop_filter(self, params: Params) -> object:
        return self._filters.pop(params.read(0, to_int), None) is not None

    def rewind(self) -> None:
        """After a revert: report again what takes the place of what is gone."""
        after = self.chain.block_number + 1
        for one in self._filters.values():
            one.next_block = min(one.next_block, after)

    def _filter(self, params: Params) -> _Filter:
        wanted = params.read(0, to_int)
        found = self._filters.pop(wanted, None)
        if found is None:
            raise RpcError(SERVER_ERROR, "filter not found")
        self._filters[wanted] = found  # now the last to give way
        return found
