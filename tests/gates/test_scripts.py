"""The readers' scripts run, stay short, and end as they say."""

import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted((ROOT / "scripts").glob("[1-9]_*.py"))
LAST_WORDS = {
    "1_open": "loan ACTIVE",
    "2_release": "loan RELEASED",
    "3_margin_call": "same state: False",
    "4_liquidation": "loan SETTLED",
    "5_lost_key": "loan RELEASED",
}


def test_there_is_one_for_each_part_of_the_story() -> None:
    assert [path.stem for path in SCRIPTS] == list(LAST_WORDS)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_runs_and_ends_as_it_says(
    path: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    left = runpy.run_path(str(path))
    assert LAST_WORDS[path.stem] in capsys.readouterr().out
    assert left["w"].engine.broken == []
    assert list(tmp_path.iterdir()) == [], "a script leaves no files behind"


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_is_short_and_in_cells(path: Path) -> None:
    lines = path.read_text().splitlines()
    assert len(lines) < 40
    assert sum(line.startswith("# %% ") for line in lines) >= 4


@pytest.mark.parametrize("name", ["check", "test", "demo", "bench", "build-contracts"])
def test_a_command_can_be_executed(name: str) -> None:
    assert os.access(ROOT / "scripts" / name, os.X_OK)


def test_help_loads_neither_chain() -> None:
    probe = """
import sys
from escrow.cli import app
try:
    app(["--help"])
except SystemExit as stop:
    assert not stop.code
heavy = {"web3", "pbk", "eth", "btclib", "coincurve", "eth_account", "msgspec", "rich.console"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", probe], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "demo" in done.stdout
