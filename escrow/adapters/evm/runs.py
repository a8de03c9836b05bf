"""The running half of the JSON-RPC: calls, estimates, traces, access lists, transactions."""

from __future__ import annotations

from typing import Final

from eth_typing import Address

from escrow.adapters.evm.chain import ZERO, Call, Chain
from escrow.adapters.evm.host import Host
from escrow.adapters.evm.queries import Queries
from escrow.adapters.evm.show_trace import to_options, trace_json
from escrow.adapters.evm.tracing import Watch
from escrow.adapters.evm.wire import (
    SERVER_ERROR,
    CallRequest,
    Json,
    Params,
    RpcError,
    access_list_json,
    data,
    invalid,
    quantity,
    to_bytes,
    to_call,
    to_object,
    to_word,
)

MOST_GAS: Final = 10_000_000
"""Gas of a call, an estimate or a traced call, unless less is asked: some ten seconds of an endless
loop, and twice what the largest contract here takes to deploy."""

_PRECOMPILES: Final = 0x11
"""Prague's last: they are warm without being named."""


class Runs:
    """Answers in JSON form about what code does, or would do, on one chain."""

    def __init__(self, queries: Queries, host: Host) -> None:
        self.queries = queries
        self.chain: Chain = queries.chain
        self.host = host

    def send_raw(self, params: Params) -> object:
        receipt = self.chain.send(params.read(0, to_bytes), strict=False)
        self.host.sent()
        return data(receipt.tx_hash)

    def call(self, params: Params) -> object:
        asked, block = self._asked(params)
        self._no_overrides(params)
        return data(self.chain.call(**_fields(asked), block=block))

    def estimate(self, params: Params) -> object:
        asked, block = self._asked(params)
        self._no_overrides(params)
        return quantity(self.chain.estimate(**_fields(asked), block=block))

    def trace(self, params: Params) -> object:
        options = to_options(params.get(1))
        tx_hash = params.read(0, to_word)
        trace = self.chain.trace(tx_hash, watch=options.watch)
        included = self.chain.included(tx_hash)
        if trace is None or included is None:
            raise RpcError(SERVER_ERROR, "transaction not found")
        return trace_json(trace, options, gas=included.transaction.gas)

    def trace_call(self, params: Params) -> object:
        options = to_options(params.get(2))
        asked, block = self._asked(params)
        fields = _fields(asked)
        trace = self.chain.trace_call(**fields, block=block, watch=options.watch)
        return trace_json(trace, options, gas=fields["gas"])

    def access_list(self, params: Params) -> object:
        """What the call touches beside its own two accounts, and its gas once that is named."""
        asked, block = self._asked(params)
        fields = _fields(asked)
        watch = Watch(steps=False)
        first = self.chain.trace_call(**fields, block=block, watch=watch)
        own = {asked.sender or ZERO, asked.to}
        found = [
            (account, sorted(slots))
            for account, slots in sorted(first.touched.items())
            if slots or not (account in own or 0 < int.from_bytes(account, "big") <= _PRECOMPILES)
        ]
        fields["access_list"] = tuple((Address(account), tuple(slots)) for account, slots in found)
        named = self.chain.trace_call(**fields, block=block, watch=watch).outcome
        shown: Json = {"accessList": access_list_json(found), "gasUsed": quantity(named.gas_used)}
        return shown if named.success else shown | {"error": named.halt}

    def _asked(self, params: Params) -> tuple[CallRequest, int | None]:
        asked = params.read(0, to_call)
        if asked.chain_id not in (None, self.chain.chain_id):
            raise invalid("chainId does not match")
        return asked, self.queries.place(params.get(1))

    def _no_overrides(self, params: Params) -> None:
        if params.get(2) is not None and params.read(2, to_object):
            raise invalid("state overrides are not supported")


def _fields(asked: CallRequest) -> Call:
    return {
        "to": asked.to,
        "data": asked.data,
        "sender": asked.sender or ZERO,
        "value": asked.value,
        "gas": MOST_GAS if asked.gas is None else min(asked.gas, MOST_GAS),
        "access_list": asked.access_list,
    }
