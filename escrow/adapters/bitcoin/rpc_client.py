"""Asking a running ``bitcoind`` by JSON-RPC: calls, batches, and its failures in our words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bitcoin_core_rpc import (
    BitcoinCoreRpcClient,
    BtcRpcTypeError,
    BtcRpcValueError,
    CookieNotFoundError,
    FetchError,
    HttpError,
    RpcError,
)

from escrow.core.errors import BadInput, Refused

__all__ = ["RpcClient", "RpcError", "refused", "words"]

_TIMEOUT: Final = 30.0  # seconds of patience with a node: not money, price or deadline
_LARGEST_REPLY: Final = 20_000_000  # a block of 4,000,000 bytes as hex, and a large mempool
_DENIED: Final = (401, 403)


class RpcClient:
    """One node, and the credentials to reach it, which it never shows."""

    def __init__(
        self, url: str, *, cookie: Path | None, user: str | None, password: str | None
    ) -> None:
        """Raises BadInput("http/address") if the URL is malformed or the credentials half there."""
        # A connection for each call: the library's pooled transport fails where http.client
        # leaves a response open that was read to its end (CPython before 3.11.8 and 3.12.2).
        try:
            self._client = BitcoinCoreRpcClient(
                url, user=user, password=password, cookie_path=cookie, timeout=_TIMEOUT
            )
        except (BtcRpcValueError, BtcRpcTypeError):
            # Not chained: a malformed URL may have a password in it.
            raise BadInput("http/address", reason="malformed URL or credentials") from None
        self.url = url
        """Where the node listens."""

    def __repr__(self) -> str:
        return f"RpcClient({self.url})"

    def call(self, method: str, *params: object) -> object:
        """The node's answer. Raises Refused("rpc/refused"), Refused("rpc/unreachable")."""
        try:
            return self.ask(method, *params)
        except RpcError as error:
            raise refused(error, method=method) from None

    def batch(self, *calls: tuple[object, ...]) -> list[object]:
        """Answers to several calls at once, each a method and its parameters. Raises as ``call``
        does, also if one of them is refused."""
        pairs = [(str(method), params) for method, *params in calls]
        with _translated(pairs[0][0]):
            found: list[object] = self._client.call_batch(pairs, max_body_size=_LARGEST_REPLY)
        for answer, (method, _) in zip(found, pairs, strict=True):
            if isinstance(answer, RpcError):
                raise refused(answer, method=method)
        return found

    def ask(self, method: str, *params: object) -> object:
        """The node's answer; what it refuses is raised as RpcError, with Core's number for it."""
        with _translated(method):
            found: object = self._client.call(method, list(params), max_body_size=_LARGEST_REPLY)
        return found


def refused(error: RpcError, *, method: str) -> Refused:
    """A call that the node refused, as ours."""
    return Refused("rpc/refused", method=method, rpc_code=error.code, reason=words(error))


def words(error: RpcError) -> str:
    """Core's words without what the client put around them."""
    return str(error).partition(": ")[2][:200] or str(error)[:200]


@contextmanager
def _translated(method: str) -> Iterator[None]:
    try:
        yield
    except RpcError:
        raise
    except HttpError as error:
        if error.status in _DENIED:
            raise Refused("rpc/refused", method=method, reason="wrong credentials") from None
        raise Refused("rpc/unreachable", method=method, status=error.status) from None
    except CookieNotFoundError:
        raise Refused("rpc/unreachable", method=method, reason="no cookie file") from None
    except (FetchError, BtcRpcValueError, BtcRpcTypeError) as error:
        # Not chained: the library's message is about its own parts.
        raise Refused("rpc/unreachable", method=method, reason=type(error).__name__) from None
