"""``escrow serve evm`` in a process of its own, and scripts that speak to it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from pathlib import Path

JS = Path(__file__).parent / "js"
RUN = "from escrow.commands.serve import app; app()"


@dataclass
class Answer:
    """An HTTP reply."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> object:
        return json.loads(self.body)


@dataclass
class Evm:
    """A server, as a client has it."""

    url: str
    lines: list[str] = field(default_factory=list)
    """What it printed before it served."""

    def http(self, path: str = "/", *, body: bytes | None = None, **headers: str) -> Answer:
        method = headers.pop("method", "GET" if body is None else "POST")
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        asked = urllib.request.Request(self.url + path, body, named, method=method)
        try:
            with urllib.request.urlopen(asked, timeout=120) as reply:
                return Answer(reply.status, lower(reply.headers), reply.read())
        except urllib.error.HTTPError as error:
            return Answer(error.code, lower(error.headers), error.read())

    def ask(self, method: str, *params: object) -> dict[str, object]:
        """The whole answer, result or error."""
        body = {"jsonrpc": "2.0", "id": 7, "method": method, "params": params}
        answer = self.http(body=json.dumps(body).encode(), content_type="application/json")
        assert answer.status == 200
        assert answer.json["id"] == 7
        return answer.json

    def result(self, method: str, *params: object):
        answer = self.ask(method, *params)
        assert "error" not in answer, answer
        return answer["result"]

    def code(self, method: str, *params: object) -> int:
        return self.ask(method, *params)["error"]["code"]

    @property
    def named(self) -> dict[str, str]:
        """The shell's names that were printed."""
        pairs = [line.removeprefix("export ").split("=", 1) for line in self.lines if "=" in line]
        return {name: value.strip("'") for name, value in pairs}

    @property
    def loan(self) -> dict[str, object]:
        return self.http("/world").json["loans"][-1]


def lower(headers: Message) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


@contextmanager
def serving(*options: str, told: list[str] | None = None) -> Iterator[Evm]:
    """The command on a free port. ``told`` takes what it prints while it serves."""
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", RUN, "evm", "--port", "0", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    try:
        lines = []
        for line in process.stdout:
            if line.startswith("# serving"):
                break
            lines.append(line.rstrip("\n"))
        url = next((x.split("=")[1] for x in lines if x.startswith("export ETH_RPC_URL=")), None)
        assert url, lines
        yield Evm(url, lines)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        assert (process.returncode, err) == (0, "")
        assert out.endswith("# stopped\n")
        if told is not None:
            told += out.splitlines()[:-1]
    finally:
        process.kill()
        process.communicate()


def node(script: Path, *args: str, package: Path, folder: Path) -> str:
    """What a script prints that finds the packages beside ``package``."""
    modules = next(each for each in package.parents if each.name == "node_modules")
    (folder / "node_modules").symlink_to(modules)
    copy = folder / script.name
    copy.write_bytes(script.read_bytes())
    done = subprocess.run(
        ["node", copy, *args], capture_output=True, text=True, timeout=300, cwd=folder, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
