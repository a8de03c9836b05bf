"""Nodes to ask over HTTP: anvil, started and ended here, and our own dispatcher behind a socket."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from escrow.adapters.evm.node_client import NodeClient

PATIENCE = 20.0
"""Seconds for a node to come up, and to end."""


@contextmanager
def anvil(
    program: Path, *options: str, genesis_time: int, alloc: Mapping[bytes, int], base_fee: int
) -> Iterator[str]:
    """The URL of an anvil under Prague's rules, with our block gas and nobody's accounts.

    It takes a free port of its own and says which.
    """
    command = [
        str(program),
        *("--port", "0", "--hardfork", "prague", "--accounts", "0", "--gas-limit", "300000000"),
        *("--timestamp", str(genesis_time), "--block-base-fee-per-gas", str(base_fee), *options),
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    # Read to the end: an anvil whose output nobody takes stops answering once the pipe is full.
    heard: list[str] = []
    up = threading.Event()

    def listen() -> None:
        for line in process.stdout or ():
            if line.startswith("Listening on "):
                heard.append(line.split()[-1])
                up.set()
        up.set()

    reader = threading.Thread(target=listen)
    reader.start()
    try:
        assert up.wait(PATIENCE), "anvil does not come up"
        assert heard, "anvil ended at once"
        url = f"http://{heard[0]}"
        node = NodeClient(url)
        for address, wei in alloc.items():
            node.call("anvil_setBalance", "0x" + address.hex(), hex(wei))
        yield url
    finally:
        process.kill()
        process.wait(PATIENCE)
        reader.join(PATIENCE)
        process.stdout.close()


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """Nothing to say: clients that go away are part of the tests."""


@contextmanager
def serving(answer: Callable[[bytes], str | bytes], *, status: int = 200) -> Iterator[str]:
    """The URL of an HTTP server that answers each request's body with ``answer``."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            said = answer(self.rfile.read(int(self.headers["content-length"])))
            body = said.encode() if isinstance(said, str) else said
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    server = _Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
