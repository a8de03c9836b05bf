"""Asking an Ethereum node by JSON-RPC over HTTP: calls, batches, and its failures in our words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from escrow.adapters.evm.wire import RpcError, to_bytes
from escrow.core.errors import BadInput, Refused
from escrow.parse import is_shallow

_TIMEOUT: Final = 30.0  # seconds of patience with a node: not money, price or deadline
_LARGEST_REPLY: Final = 20_000_000
"""Bytes; ten thousand logs as JSON are below it."""
_OK: Final = 200


class NodeClient:
    """One node on this machine: what is sent there is not encrypted unless the URL says so."""

    def __init__(self, url: str) -> None:
        """``http`` or ``https`` on a loopback address. Raises BadInput("http/address")."""
        try:
            parts = urlsplit(url)
            self._host, self._port = parts.hostname or "", parts.port
        except ValueError:
            raise BadInput("http/address", reason="malformed URL") from None
        if parts.scheme not in ("http", "https") or "@" in parts.netloc:
            # Not repeated: a malformed URL may have a password in it.
            raise BadInput("http/address", reason="not http(s), or with credentials")
        if not _is_loopback(self._host):
            raise BadInput("http/address", reason="not on this machine", host=self._host[:80])
        self._secure = parts.scheme == "https"
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self.url = url
        """Where the node listens."""

    def __repr__(self) -> str:
        return f"NodeClient({self.url})"

    def call(self, method: str, *params: object) -> object:
        """The node's answer. Raises Refused("rpc/refused"), Refused("rpc/unreachable")."""
        try:
            return self.ask(method, *params)
        except RpcError as error:
            raise refused(error, method=method) from None

    def ask(self, method: str, *params: object) -> object:
        """The node's answer; what it refuses is raised as RpcError, with its number and data."""
        (found,) = self._exchange([(method, *params)])
        if isinstance(found, RpcError):
            raise found
        return found

    def batch(self, *calls: tuple[object, ...]) -> list[object]:
        """Answers to several calls at once, each a method and its parameters; a node may run them
        in any order. Raises as ``call`` does, also if one of them is refused."""
        answers = self._exchange(list(calls))
        for answer, (method, *_) in zip(answers, calls, strict=True):
            if isinstance(answer, RpcError):
                raise refused(answer, method=str(method))
        return answers

    def _exchange(self, calls: list[tuple[object, ...]]) -> list[object]:
        asked = [
            {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
            for number, (method, *params) in enumerate(calls)
        ]
        method = str(calls[0][0])
        body = self._post(json.dumps(asked if len(asked) > 1 else asked[0]), method=method)
        try:
            text = body.decode()
            answered = json.loads(text) if is_shallow(text) else None
        except ValueError:  # bad UTF-8, bad JSON, and integers of thousands of digits
            answered = None
        answers = answered if isinstance(answered, list) else [answered]
        found = {each.get("id"): each for each in answers if isinstance(each, dict)}
        if len(answers) != len(calls) or set(found) != set(range(len(calls))):
            raise Refused("rpc/unreachable", method=method, reason="not an answer in JSON-RPC")
        return [_result(found[number]) for number in range(len(calls))]

    def _post(self, body: str, *, method: str) -> bytes:
        # A connection for each request: nothing is kept open, and none is found closed.
        kind = HTTPSConnection if self._secure else HTTPConnection
        connection = kind(self._host, self._port, timeout=_TIMEOUT)
        try:
            connection.request("POST", self._path, body, {"content-type": "application/json"})
            response = connection.getresponse()
            if response.status != _OK:
                raise Refused("rpc/unreachable", method=method, status=response.status)
            read = response.read(_LARGEST_REPLY + 1)
        except (OSError, HTTPException) as error:
            raise Refused("rpc/unreachable", method=method, reason=type(error).__name__) from None
        finally:
            connection.close()
        if len(read) > _LARGEST_REPLY:
            raise Refused("rpc/unreachable", method=method, reason="the answer is too large")
        return read


def refused(error: RpcError, *, method: str) -> Refused:
    """A call that the node refused, as ours."""
    return Refused("rpc/refused", method=method, rpc_code=error.code, reason=error.message[:200])


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _result(answer: Mapping[str, object]) -> object:
    error = answer.get("error")
    if error is None:
        return answer.get("result")
    if not isinstance(error, dict) or not isinstance(code := error.get("code"), int):
        return RpcError(0, "an error without a code")
    try:
        data = "0x" + to_bytes(error.get("data")).hex()
    except RpcError:  # other nodes put words there
        data = None
    return RpcError(code, str(error.get("message")), data=data)
