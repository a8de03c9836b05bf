"""An EVM chain's site: Ethereum's JSON-RPC at ``/``, and what a party needs to know to take part.

Browsers may ask from pages of this machine and from extensions, as wallets are; from nowhere else.
Nobody's key is here: who wants to act signs with its own.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

from escrow.adapters.evm.rpc import INVALID_REQUEST, MAX_REQUEST, Rpc
from escrow.core.errors import BadInput, EscrowError
from escrow.web.esplora import Esplora
from escrow.web.site import Asked, Reply, status_of

_JSON: Final = "application/json"
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_EXTENSIONS: Final = frozenset({"chrome-extension", "moz-extension", "safari-web-extension"})
_ESPLORA: Final = "/esplora"


class EthereumSite:
    """``about`` is shown at ``/world``; ``bitcoin`` may be read under ``/esplora``."""

    most = MAX_REQUEST

    def __init__(
        self,
        rpc: Rpc,
        *,
        about: Callable[[], object] | None = None,
        bitcoin: Esplora | None = None,
    ) -> None:
        self._rpc = rpc
        self._about = about
        self._bitcoin = bitcoin

    def handle(self, asked: Asked) -> Reply:
        path = asked.path
        if path == "/":
            _check_method(asked, "POST")
            answer = self._rpc.handle(asked.body)
            return Reply(200 if answer else 204, _JSON, answer.encode())
        if path == "/world" and self._about is not None:
            _check_method(asked, "GET")
            return Reply(200, _JSON, json.dumps(self._about()).encode())
        if path.startswith(f"{_ESPLORA}/") and self._bitcoin is not None:
            _check_method(asked, "GET")
            return self._bitcoin.handle("GET", path.removeprefix(_ESPLORA))
        raise BadInput("http/path", path=path[:100])

    def refuse(self, error: EscrowError) -> Reply:
        shown = {"code": INVALID_REQUEST, "message": str(error)}
        answer = {"jsonrpc": "2.0", "id": None, "error": shown}
        return Reply(status_of(error), _JSON, json.dumps(answer).encode())

    def shares_with(self, origin: str) -> bool:
        try:
            parts = urlsplit(origin)
        except ValueError:
            return False
        if parts.scheme in _EXTENSIONS:
            return True
        return parts.scheme in ("http", "https") and parts.hostname in _LOOPBACK


def _check_method(asked: Asked, method: str) -> None:
    if asked.method != method and (method, asked.method) != ("GET", "HEAD"):
        raise BadInput("http/method", method=asked.method[:20], takes=method)
