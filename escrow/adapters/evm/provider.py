"""web3 on a chain in the same process, without a socket.

``Web3(InProcessProvider(Rpc(chain)))``: the contract API, events, custom errors, and local
signing with ``eth_account``. Requests pass through the same JSON as behind HTTP, so that
what works here works there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from web3.providers.base import JSONBaseProvider
from web3.types import RPCEndpoint, RPCResponse

from escrow.adapters.evm.rpc import Rpc


class InProcessProvider(JSONBaseProvider):
    """A web3 provider over one :class:`Rpc`."""

    def __init__(self, rpc: Rpc, *, before: Callable[[], object] | None = None) -> None:
        """``before`` is called ahead of every request, e.g. ``chain.seal`` for clients that expect
        ``latest`` to hold all that was sent."""
        super().__init__()
        self.rpc = rpc
        self._before = before

    def __repr__(self) -> str:
        return f"<InProcessProvider {self.rpc!r}>"

    def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        answer = self._answer(self.encode_rpc_request(method, params))
        return self.decode_rpc_response(answer.encode())

    def make_batch_request(
        self, requests: list[tuple[RPCEndpoint, Any]]
    ) -> list[RPCResponse] | RPCResponse:
        answer = self._answer(self.encode_batch_rpc_request(requests))
        return cast("list[RPCResponse] | RPCResponse", self.decode_rpc_response(answer.encode()))

    def _answer(self, request: bytes) -> str:
        if self._before is not None:
            self._before()
        return self.rpc.handle(request)
