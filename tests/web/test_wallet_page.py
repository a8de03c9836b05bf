"""The page on wallets says the truth: its very commands run, and lead where it says."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path

from serve_lab import node

PAGE = (Path(__file__).parents[2] / "docs" / "wallet.md").read_text(encoding="utf-8")
SERVE, CAST = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
(SCRIPT,) = re.findall(r"```js\n(.*?)```", PAGE, re.DOTALL)
PHASES = ["REPAID", "RELEASING", "RELEASED"]


@contextmanager
def first_terminal(folder: Path) -> Iterator[dict[str, str]]:
    """The page's server, on a free port; the environment of the second terminal.

    It is over when the server has told all of ``PHASES``.
    """
    command = SERVE.replace("serve evm", "serve evm --port 0")
    assert command != SERVE
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = os.environ | {"PATH": path, "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        ["bash", "-c", command], cwd=folder, env=env, stdout=subprocess.PIPE, text=True,
        stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    try:
        assert any(line.startswith("# serving") for line in process.stdout)
        # What tee shows it has yet to write: the second terminal begins when the file is whole.
        follow = ["tail", "--lines=+1", "--follow", "deal.env"]
        with subprocess.Popen(follow, cwd=folder, stdout=subprocess.PIPE, text=True) as tail:
            try:
                assert any(line.startswith("# serving") for line in tail.stdout)
            finally:
                tail.kill()
        yield env
        # Ctrl-C ends tee too, which must have shown the last of it.
        told = (re.match(r"# loan \S+ (\w+)$", line) for line in process.stdout)
        assert [found[1] for found in islice(filter(None, told), len(PHASES))] == PHASES
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=60)
        assert err == ""
    finally:
        # Bash is not alone: a server that is left holds the pipes open.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def test_cast_repays_and_gets_the_coins(tool: Callable[[str], Path], tmp_path: Path) -> None:
    cast = tool("cast")
    with first_terminal(tmp_path) as env:
        path = f"{cast.parent}{os.pathsep}{env['PATH']}"
        done = subprocess.run(
            ["bash", "-euc", CAST], cwd=tmp_path, env=env | {"PATH": path}, capture_output=True,
            text=True, timeout=120, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("31337\n5000000 ")
    assert done.stdout.count("1 (success)") == 3
    assert "\n150000000 [1.5e8]\n" in done.stdout
    values = [int(value) for value in re.findall(r'"value":(\d+)', done.stdout.splitlines()[-1])]
    assert any(149_900_000 < value < 150_000_000 for value in values)


def test_ethers_repays_and_gets_the_coins(tool: Callable[[str], Path], tmp_path: Path) -> None:
    package = tool("ethers")
    script = tmp_path / "page.mjs"
    script.write_text(SCRIPT)
    (tmp_path / "project").mkdir()
    with first_terminal(tmp_path):
        names = dict(
            line.removeprefix("export ").split("=", 1)
            for line in (tmp_path / "deal.env").read_text().splitlines()
            if "=" in line
        )
        out = node(
            script, names["ETH_RPC_URL"], names["KEY"], package=package, folder=tmp_path / "project"
        ).splitlines()
    assert out[0] == "owed 5000000n"
    assert "event Repaid" in out
    assert [line for line in out if line.startswith("phase")] == [f"phase {x}" for x in PHASES]
    assert out[-1] == "coins true"
