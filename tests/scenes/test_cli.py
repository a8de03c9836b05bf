"""The command line as a user meets it: output, exit status, and errors on stderr."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from escrow.cli import main
from escrow.core.laws import LAWS

SHARED = Path(os.environ.get("ESCROW_SHARED", Path(__file__).parents[2].parent / "shared"))
PRICES = SHARED / "data" / "btc_usd_hourly_2018-05_2020-12.csv.gz"
MARCH_12 = 1_583_971_200
MARCH_14 = 1_584_144_000


def escrow(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stop:
        main(list(argv))
    out, err = capsys.readouterr()
    return int(stop.value.code or 0), out, err


def test_demo_prints_steps_and_laws(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = escrow(capsys, "demo", "release", "--seed", "2")
    assert (status, err) == (0, "")
    assert f"{len(LAWS)} laws" in out
    assert "none broken" in out


def test_demo_json_is_one_object_with_the_promised_shape(
    capsys: pytest.CaptureFixture[str],
) -> None:
    status, out, _ = escrow(capsys, "demo", "liquidation", "--json")
    run = json.loads(out)
    assert status == 0
    assert list(run) == ["scene", "seed", "state_hash", "steps", "final", "laws"]
    assert list(run["steps"][0]) == [
        "n", "at", "actor", "verb", "decision", "why", "loan", "vault", "token", "bitcoin", "evm",
    ]  # fmt: skip
    assert list(run["final"]) == ["loan", "vault", "token", "balances"]
    assert set(run["final"]["balances"]["lender"]) == {"sats", "pledge_tokens", "cash"}
    assert run["final"]["loan"] == "SETTLED"
    assert run["laws"]["broken"] == []


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        (("demo", "picnic"), "scene/unknown"),
        (("demo", "release", "--seed", "-1"), "input/seed"),
        (("demo", "release", "--seed", str(2**64)), "input/seed"),
        (("run", "nowhere.toml"), "scenario/missing-file"),
        (("run", "black-thursday", "--prices", "nowhere.csv"), "prices/missing-file"),
        (("run", "black-thursday", "--from", "yesterday"), "input/time"),
        (("run", "black-thursday", "--from", "2020-03-12", "--to", "2020-03-11"), "input/time"),
        (
            ("run", "black-thursday", "--from", "2031-01-01", "--to", "2031-01-02"),
            "prices/empty",
        ),
    ],
)
def test_bad_input_is_named_on_stderr_with_status_2(
    argv: tuple[str, ...], code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = escrow(capsys, *argv)
    assert (status, out) == (2, "")
    assert err.startswith(f"error: {code}: ")
    assert err.count("\n") == 1


def test_an_unknown_scene_is_told_which_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    _, _, err = escrow(capsys, "demo", "picnic")
    for known in ("recovery", "custody", "token", "sber-pilot"):
        assert f" {known}" in err


def test_an_unknown_option_has_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = escrow(capsys, "demo", "--speed", "9")
    assert status == 2
    assert "--speed" in err


def test_laws_diagram_and_doctor(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = escrow(capsys, "laws", "--json")
    assert {"law", "in words", "words"} & set(json.loads(out)["laws"][0]) == {"law", "words"}
    assert "INV-SAT-1" in escrow(capsys, "laws")[1]
    assert "ACTIVE --> MARGIN_CALL: MarginCall" in escrow(capsys, "diagram")[1]
    found = json.loads(escrow(capsys, "doctor", "--json")[1])
    assert found["both chains"].startswith("start: ")


def test_black_thursday_on_the_built_in_prices(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = escrow(capsys, "run", "black-thursday", "--json")
    run = json.loads(out)
    assert status == 0
    assert run["final"]["loan"] == "SETTLED"
    assert run["assumed"]
    _called_and_seized_in_time(run)


@pytest.mark.skipif(not PRICES.exists(), reason=f"real prices are not at {PRICES}")
def test_black_thursday_on_the_real_prices(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = escrow(capsys, "run", "black-thursday", "--prices", str(PRICES), "--json")
    run = json.loads(out)
    assert status == 0
    assert run["final"]["loan"] == "SETTLED"
    assert run["laws"]["broken"] == []
    assert sum("Burned" in step["decision"] for step in run["steps"]) == 2
    _called_and_seized_in_time(run)


def _called_and_seized_in_time(run: dict[str, object]) -> None:
    """Drawn at 50 % on 8 March, called and liquidated on 12 or 13 March."""
    when = {}
    for step in run["steps"]:  # type: ignore[attr-defined]
        for decided in step["decision"].split(", "):
            when.setdefault(decided, step["at"])
    assert when["Drawn"] == MARCH_12 - 4 * 86_400
    assert MARCH_12 <= when["MarginCalled"] <= when["Liquidated"] < MARCH_14


def test_help_imports_neither_chain() -> None:
    probe = (
        "import sys\nfrom escrow.__main__ import main\n"
        "sys.argv = ['escrow', '--help']\nmain()\n"
        "print(sorted({'web3', 'pbk', 'eth', 'btclib', 'rich', 'typer'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_terminal_without_a_sign_is_shown_another() -> None:
    """As on a console or in a file of an older code page."""
    done = subprocess.run(
        [sys.executable, "-m", "escrow", "products", "unchained_legacy"],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "cp1252"},
        check=True,
    )
    assert b"Warns at or above ?57.14 %" in done.stdout
