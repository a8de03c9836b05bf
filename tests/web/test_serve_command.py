"""``escrow serve bitcoin`` as a user meets it: a URL, answers, and an end by Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from bitcoin_lab import P2WPKH

from escrow.adapters.bitcoin.vault import address_of
from escrow.commands.serve import app
from escrow.core.errors import EscrowError
from escrow.world import World

RUN = "from escrow.commands.serve import app; app()"


@contextmanager
def serving(*options: str, end: signal.Signals = signal.SIGINT) -> Iterator[tuple[str, str]]:
    """The command in a process of its own: its URL, and the line before it."""
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", RUN, "bitcoin", "--port", "0", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    try:
        first, line = process.stdout.readline(), process.stdout.readline()
        assert line.startswith("Esplora "), (first, line)
        yield line.split()[1], first
        process.send_signal(end)
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out, err) == (0, "stopped\n", "")
    finally:
        process.kill()
        process.communicate()


def get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=20) as reply:
        return reply.read()


def post(url: str) -> bytes:
    with urllib.request.urlopen(urllib.request.Request(url, b""), timeout=20) as reply:
        return reply.read()


def test_a_fresh_chain_pays_the_wallet_that_was_named_and_mines_on_demand() -> None:
    address = address_of(P2WPKH)
    with serving("--fund", address) as (url, line):
        assert line.split() == ["wallet", address]
        assert get(f"{url}/blocks/tip/height") == b"101"
        assert len(json.loads(get(f"{url}/address/{address}/utxo"))) == 101
        before = json.loads(get(f"{url}/blocks"))[0]
        assert json.loads(post(f"{url}/regtest/mine?blocks=2"))["height"] == 103
        assert json.loads(get(f"{url}/blocks"))[0]["timestamp"] == before["timestamp"] + 1_200


def test_a_saved_world_is_served_and_its_file_left_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "loan.world"
    with World(seed=3) as world:
        deal = world.open(btc="1.5")
        tip, height, vault = world.bitcoin.tip_hash, world.bitcoin.height, deal.vault
        world.save(file)
    before = file.read_bytes()
    with serving("--world", str(file), end=signal.SIGTERM) as (url, line):
        assert line.split() == ["vault", vault.address, vault.descriptor]
        assert get(f"{url}/blocks/tip/hash").decode() == tip
        (coin,) = json.loads(get(f"{url}/address/{vault.address}/utxo"))
        assert coin["value"] == 150_000_000
        assert json.loads(post(f"{url}/regtest/mine"))["height"] == height + 1
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--scene", "picnic"], "scene/unknown"),
        (["--world", "nowhere.world"], "world/format"),
        (["--fund", "bcrt1q"], "bitcoin/address"),
        (["--seed", "-1"], "input/seed"),
        (["--scene", "release", "--fund", "x"], "http/value"),
        (["--scene", "release", "--world", "x"], "http/value"),
        (["--host", "nonsense"], "http/address"),
        (["--port", "65536"], "http/address"),
        (["--port", "-1"], "http/address"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_listens(options, code) -> None:
    with pytest.raises(EscrowError) as refusal:
        app(["bitcoin", "--port", "0", *options], standalone_mode=False)
    assert refusal.value.code == code


@pytest.mark.parametrize("absent", ["starlette.applications", "uvicorn"])
def test_without_the_extra_it_says_which_one(monkeypatch: pytest.MonkeyPatch, absent: str) -> None:
    monkeypatch.delitem(sys.modules, "escrow.web.server", raising=False)
    monkeypatch.setitem(sys.modules, absent, None)
    with pytest.raises(EscrowError) as refusal:
        app(["bitcoin", "--host", "nonsense"], standalone_mode=False)
    assert (refusal.value.code, refusal.value.facts["extra"]) == ("extra/missing", "web")
