"""Carries requests to a ``Site`` and replies back: Starlette and uvicorn, one thread.

Chains and logs belong to one thread at a time: requests are answered one by one on the server's
own loop, under a lock that others who use them meanwhile take too.
"""

from __future__ import annotations

import http.client
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Mount
from starlette.types import Receive, Scope, Send

from escrow.core.errors import BadInput, EscrowError
from escrow.web.site import Asked, Reply, Site

_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_HEADERS: Final = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
_BACKLOG: Final = 128
_CONNECTIONS: Final = 256
_GRACE: Final = 2  # seconds that open connections get at the end
_PATIENCE: Final = 60  # seconds until a test's server is given up


@dataclass(frozen=True, slots=True)
class Served:
    """A server that runs beside the caller."""

    url: str
    """Where it listens, without a slash at the end."""
    lock: AbstractContextManager[object]
    """To be held by whoever uses what is served directly meanwhile."""


def listen(*, host: str = "127.0.0.1", port: int = 0) -> socket.socket:
    """A socket to serve on; port 0 picks a free one. ``host`` is an IP address or ``localhost``.

    Raises BadInput("http/address") if it is neither, out of range, not ours or in use.
    """
    try:
        address = ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError:
        raise BadInput("http/address", host=host[:100]) from None
    if not 0 <= port <= 65535:
        raise BadInput("http/address", port=port)
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    found = socket.socket(family, socket.SOCK_STREAM)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind((str(address), port))
        found.listen(_BACKLOG)
    except OSError as error:
        found.close()
        reason = error.strerror or type(error).__name__
        raise BadInput("http/address", host=host, port=port, reason=reason) from None
    return found


def url_of(bound: socket.socket) -> str:
    """Where a socket from ``listen`` is reached."""
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def create_app(
    site: Site,
    *,
    hosts: frozenset[str] | None = frozenset(),
    lock: AbstractContextManager[object] | None = None,
) -> Starlette:
    """The application over a site.

    It answers only requests that name a loopback host, or one of ``hosts``; None is any. A page of
    another site that has its name resolved to this machine (DNS rebinding) is thereby refused, and
    so is what a page posts from an origin that the site does not share with.
    """
    held = nullcontext() if lock is None else lock
    names = None if hosts is None else _LOOPBACK | hosts

    async def respond(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        origin = request.headers.get("origin")
        shared = origin is not None and site.shares_with(origin)
        try:
            _check_host(request, names, shared=shared)
            if shared and request.method == "OPTIONS":
                reply = Reply(204, "text/plain", b"")
            else:
                body = await _body(request, most=site.most)
                asked = Asked(request.method, scope["path"], request.url.query, body)
                with held:
                    reply = site.handle(asked)
        except EscrowError as error:
            reply = site.refuse(error)
        except ClientDisconnect:
            return
        headers = _HEADERS | (_sharing(origin) if shared and origin else {})
        response = Response(reply.body, reply.status, headers, media_type=reply.content_type)
        await response(scope, receive, send)

    return Starlette(routes=[Mount("/", app=respond)])


def is_loopback(host: str) -> bool:
    """Whether only programs on this machine reach a host that ``listen`` took."""
    return host == "localhost" or ip_address(host).is_loopback


def hosts_for(host: str) -> frozenset[str] | None:
    """What requests may name if the server listens on ``host``: any, if that is every address."""
    if host == "localhost":
        return frozenset()
    return None if ip_address(host).is_unspecified else frozenset({host})


def serve(app: Starlette, bound: socket.socket) -> None:
    """Serve until SIGINT or SIGTERM, and close the socket. To be called in the main thread."""
    # uvicorn ends on either and raises it again: both then unwind, and nothing is left behind.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        _server(app).run(sockets=[bound])
    except KeyboardInterrupt:
        pass
    finally:
        signal.signal(signal.SIGTERM, before)
        bound.close()


@contextmanager
def serve_in_thread(site: Site, *, hosts: frozenset[str] | None = frozenset()) -> Iterator[Served]:
    """Serve a site on a free loopback port for the length of a ``with`` block."""
    lock = threading.RLock()
    bound = listen()
    server = _server(create_app(site, hosts=hosts, lock=lock))
    thread = threading.Thread(target=server.run, args=([bound],), name="escrow-web")
    thread.start()
    try:
        # The socket listens already, so the first answer says that the server has started.
        host, port = bound.getsockname()[:2]
        first = http.client.HTTPConnection(host, port, timeout=_PATIENCE)
        first.request("GET", "/")
        first.getresponse().read()
        first.close()
        yield Served(url_of(bound), lock)
    finally:
        server.should_exit = True
        thread.join(_PATIENCE)
        bound.close()


def _server(app: Starlette) -> uvicorn.Server:
    # No access log: what is asked says which addresses belong together.
    config = uvicorn.Config(
        app,
        loop="asyncio",
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        limit_concurrency=_CONNECTIONS,
        timeout_graceful_shutdown=_GRACE,
    )
    return uvicorn.Server(config)


async def _body(request: Request, *, most: int) -> bytes:
    """The body, as far as it is small enough. Raises BadInput("http/too-large")."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            raise BadInput("http/too-large", most=most)
    return bytes(body)


def _check_host(request: Request, names: frozenset[str] | None, *, shared: bool) -> None:
    host = request.headers.get("host", "")
    if names is not None and _name(host) not in names:
        raise BadInput("http/host", host=host[:100])
    # A browser lets any page post plain text anywhere, and says so here.
    origin = request.headers.get("origin")
    own = origin is None or origin == f"http://{host}"
    if request.method != "GET" and not own and not shared:
        raise BadInput("http/host", origin=str(origin)[:100])


def _sharing(origin: str) -> dict[str, str]:
    """What lets a browser's page of that origin ask and read."""
    return {
        "access-control-allow-origin": origin,
        "access-control-allow-methods": "GET, POST, OPTIONS",
        "access-control-allow-headers": "content-type",
        "access-control-max-age": "600",
        "vary": "origin",
    }


def _name(host: str) -> str:
    """A Host header without its port and an IPv6 address's brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()
