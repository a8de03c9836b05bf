"""What comes over the wire: hosts, sizes, half requests, and a server that outlives them all."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import pytest
from bitcoin_lab import grow, pay, ripe, txid_of

from escrow.adapters.bitcoin.node import Node
from escrow.core.errors import BadInput
from escrow.web.bitcoin import MOST_BLOCKS, BitcoinSite
from escrow.web.esplora import MAX_BODY
from escrow.web.server import (
    Served,
    hosts_for,
    is_loopback,
    listen,
    serve_in_thread,
    url_of,
)


@dataclass
class Client:
    node: Node
    served: Served

    @property
    def address(self) -> tuple[str, int]:
        host, port = self.served.url.removeprefix("http://").split(":")
        return host, int(port)

    def ask(self, path: str, *, method: str = "GET", body: bytes | None = None, **headers: str):
        connection = http.client.HTTPConnection(*self.address, timeout=20)
        connection.request(method, path, body, {k.replace("_", "-"): v for k, v in headers.items()})
        reply = connection.getresponse()
        found = reply.status, reply.read().decode()
        connection.close()
        return found

    def send(self, raw: bytes) -> bytes:
        """Bytes as they are; what comes back first, if the server says anything."""
        with (
            socket.create_connection(self.address, timeout=20) as line,
            suppress(ConnectionError),
        ):
            line.sendall(raw)
            line.shutdown(socket.SHUT_WR)
            return line.recv(1_000)
        return b""

    def is_alive(self) -> bool:
        return self.ask("/blocks/tip/height") == (200, str(self.node.height))


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with ripe() as node:
        grow(node, 3)
        with serve_in_thread(BitcoinSite(node, mine=lambda blocks: grow(node, blocks))) as served:
            yield Client(node, served)


class TestRequests:
    def test_a_transaction_goes_in_over_the_wire(self, client):
        with client.served.lock:
            raw = pay(client.node)
        assert client.ask("/tx", method="POST", body=raw.hex().encode()) == (200, txid_of(raw))
        assert client.ask(f"/tx/{txid_of(raw)}/hex") == (200, raw.hex())

    def test_head_is_get_without_a_body(self, client):
        assert client.ask("/blocks/tip/hash", method="HEAD") == (200, "")
        assert client.ask(f"/tx/{'ab' * 32}", method="HEAD") == (404, "")

    def test_answers_are_not_to_be_kept_or_guessed_at(self, client):
        connection = http.client.HTTPConnection(*client.address, timeout=20)
        connection.request("GET", "/blocks/tip/hash")
        reply = connection.getresponse()
        assert reply.read().decode() == client.node.tip_hash
        assert reply.getheader("cache-control") == "no-store"
        assert reply.getheader("x-content-type-options") == "nosniff"
        assert reply.getheader("access-control-allow-origin") is None
        connection.close()

    @pytest.mark.parametrize(
        ("path", "status", "code"),
        [
            ("/block-height/-1", 400, "http/value"),
            ("/tx/zz", 400, "http/value"),
            (f"/tx/{'ab' * 32}", 404, "http/unknown"),
            ("/%2e%2e/etc/passwd", 404, "http/path"),
            ("/tx/%00%ff", 400, "http/value"),
            ("/" + "a" * 5_000, 413, "http/too-large"),
        ],
    )
    def test_a_bad_path_is_refused_by_name(self, client, path, status, code):
        found, text = client.ask(path)
        assert (found, text.partition(":")[0]) == (status, code)

    @pytest.mark.parametrize("size", [MAX_BODY + 1, 5 * MAX_BODY])
    def test_a_body_that_is_too_large_is_not_read_to_its_end(self, client, size):
        head = f"POST /tx HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size}\r\n\r\n"
        with socket.create_connection(client.address, timeout=20) as line:
            line.sendall(head.encode() + b"0" * (MAX_BODY + 1))
            assert line.recv(12) == b"HTTP/1.1 413"
        assert client.is_alive()

    def test_chunks_are_counted_too(self, client):
        chunk = b"%x\r\n%s\r\n" % (500_000, b"0" * 500_000)
        head = b"POST /tx HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        with socket.create_connection(client.address, timeout=20) as line:
            line.sendall(head + chunk * 2 + b"1\r\n0\r\n")
            assert line.recv(12) == b"HTTP/1.1 413"
        assert client.is_alive()

    @pytest.mark.parametrize(
        "raw",
        [
            b"\x16\x03\x01\x02\x00\x01\x00",  # a browser that tries TLS
            b"GET / HTTP/9.9\r\n\r\n",
            b"nonsense\r\n\r\n",
            b"POST /tx HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
            b"POST /tx HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500\r\n\r\n0200",
            b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
            b"",
        ],
    )
    def test_what_is_no_request_does_not_end_the_server(self, client, raw):
        before = client.node.mempool()
        assert b" 200 " not in client.send(raw)[:20]
        assert client.is_alive()
        assert client.node.mempool() == before


class TestWhoMayAsk:
    @pytest.mark.parametrize("host", ["localhost", "127.0.0.1:1", "[::1]:3002", "LOCALHOST:80"])
    def test_a_loopback_name_is_welcome(self, client, host):
        assert client.ask("/blocks/tip/height", Host=host)[0] == 200

    @pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.2", ""])
    def test_another_name_is_refused_whatever_it_asks(self, client, host):
        with client.served.lock:
            raw, before = pay(client.node), client.node.mempool()
        for method, path, body in (
            ("GET", "/blocks/tip/height", None),
            ("POST", "/tx", raw.hex().encode()),
            ("POST", "/regtest/mine", b""),
        ):
            status, text = client.ask(path, method=method, body=body, Host=host)
            assert (status, text.partition(":")[0]) == (403, "http/host")
        assert client.node.mempool() == before

    @pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://localhost:8080"])
    def test_another_sites_page_may_not_post(self, client, origin):
        with client.served.lock:
            raw, before = pay(client.node), client.node.mempool()
        status, text = client.ask("/tx", method="POST", body=raw.hex().encode(), Origin=origin)
        assert (status, text.partition(":")[0]) == (403, "http/host")
        assert client.node.mempool() == before

    def test_a_page_of_this_server_may(self, client):
        status, text = client.ask("/tx", method="POST", body=b"zz", Origin=client.served.url)
        assert (status, text.partition(":")[0]) == (400, "http/value")

    def test_a_host_that_was_asked_for_is_welcome(self):
        with (
            ripe() as node,
            serve_in_thread(BitcoinSite(node), hosts=frozenset({"node.test"})) as served,
        ):
            other = Client(node, served)
            assert other.ask("/blocks/tip/height", Host="node.test:80")[0] == 200
            assert other.ask("/blocks/tip/height", Host="evil.example")[0] == 403
        with ripe() as node, serve_in_thread(BitcoinSite(node), hosts=None) as served:
            assert Client(node, served).ask("/blocks/tip/height", Host="any.example")[0] == 200

    @pytest.mark.parametrize(
        ("host", "hosts", "loopback"),
        [
            ("127.0.0.1", frozenset({"127.0.0.1"}), True),
            ("localhost", frozenset(), True),
            ("::1", frozenset({"::1"}), True),
            ("0.0.0.0", None, False),
            ("::", None, False),
            ("192.168.1.7", frozenset({"192.168.1.7"}), False),
        ],
    )
    def test_what_may_be_named_follows_from_where_it_listens(self, host, hosts, loopback):
        assert (hosts_for(host), is_loopback(host)) == (hosts, loopback)


class TestMining:
    def test_blocks_are_found_on_demand(self, client):
        height, time = client.node.height, client.node.tip_time
        status, text = client.ask("/regtest/mine?blocks=3", method="POST")
        assert (status, json.loads(text)) == (
            200,
            {"height": height + 3, "tip": client.node.tip_hash},
        )
        assert client.node.tip_time == time + 3 * 600
        assert client.ask("/regtest/mine", method="POST")[0] == 200
        assert client.node.height == height + 4

    @pytest.mark.parametrize("blocks", ["0", "-1", "x", "", str(MOST_BLOCKS + 1), "9" * 50, "1.5"])
    def test_a_number_that_makes_no_sense(self, client, blocks):
        height = client.node.height
        status, text = client.ask(f"/regtest/mine?blocks={blocks}", method="POST")
        assert (status, text.partition(":")[0]) == (400, "http/value")
        assert client.node.height == height

    def test_it_is_posted(self, client):
        height = client.node.height
        status, text = client.ask("/regtest/mine")
        assert (status, text.partition(":")[0]) == (405, "http/method")
        assert client.node.height == height

    def test_it_is_not_there_unless_given(self):
        with ripe() as node, serve_in_thread(BitcoinSite(node)) as served:
            status, text = Client(node, served).ask("/regtest/mine", method="POST")
            assert (status, text.partition(":")[0]) == (405, "http/method")
            assert node.height == 100


class TestListening:
    def test_a_free_port_is_picked(self):
        with listen() as bound:
            host, port = bound.getsockname()
            assert (host, port > 0) == ("127.0.0.1", True)
            assert url_of(bound) == f"http://127.0.0.1:{port}"

    @pytest.mark.parametrize(
        ("host", "port"),
        [("nonsense", 0), ("", 0), ("127.0.0.1", -1), ("127.0.0.1", 65_536), ("192.0.2.1", 0)],
    )
    def test_an_address_that_cannot_be(self, host, port):
        with pytest.raises(BadInput) as refusal:
            listen(host=host, port=port)
        assert refusal.value.code == "http/address"

    def test_a_port_in_use(self):
        with listen() as bound:
            with pytest.raises(BadInput) as refusal:
                listen(port=bound.getsockname()[1])
            assert refusal.value.code == "http/address"

    def test_after_the_block_nothing_listens_and_no_thread_is_left(self):
        before = threading.active_count()
        with ripe() as node:
            with serve_in_thread(BitcoinSite(node)) as served:
                url = served.url
            host, port = url.removeprefix("http://").split(":")
            with pytest.raises(ConnectionRefusedError), socket.create_connection((host, int(port))):
                pass
        assert threading.active_count() == before
