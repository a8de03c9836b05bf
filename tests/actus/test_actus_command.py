"""``escrow actus``: what it prints, and how it ends."""

import json
from pathlib import Path
from typing import Any

import pytest
from actus_lab import LOAN, VECTORS

from escrow.cli import main

RESULTS = [
    {"eventDate": "2013-10-01T00:00", "eventType": "IP", "payoff": 90, "currency": "USD"},
    {"eventDate": "2014-01-01T00:00", "eventType": "IP", "payoff": 90, "currency": "USD"},
    {"eventDate": "2014-01-01T00:00", "eventType": "MD", "payoff": 3600, "currency": "USD"},
]
GOOD = {"terms": {**LOAN, "statusDate": "2013-09-01"}, "results": RESULTS}
WRONG = {**GOOD, "results": RESULTS[:2]}
ALIEN = {"terms": {**LOAN, "contractType": "SWAPS"}, "results": []}
OPEN = {"terms": GOOD["terms"]}


def actus(
    capsys: pytest.CaptureFixture[str], folder: Path, cases: dict[str, Any], *more: str
) -> tuple[int, str, str]:
    file = folder / "cases.json"
    file.write_text(json.dumps(cases))
    with pytest.raises(SystemExit) as stop:
        main(["actus", str(file), *more])
    out, err = capsys.readouterr()
    return int(stop.value.code or 0), out, err


def test_all_pass(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert actus(capsys, tmp_path, {"one": GOOD}) == (
        0,
        "passed   one  PAM, 3 events\n1 passed\n",
        "",
    )


def test_one_fails(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    status, out, err = actus(capsys, tmp_path, {"one": GOOD, "three": WRONG})
    assert (status, err) == (1, "")
    assert out.splitlines() == [
        "passed   one    PAM, 3 events",
        "failed   three  3 rows, expected 2, next 2014-01-01T00:00:00 MD",
        "1 passed, 1 failed",
    ]


def test_one_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    status, out, err = actus(capsys, tmp_path, {"alien": ALIEN, "three": WRONG, "one": GOOD})
    assert status == 2
    assert out.splitlines()[0].startswith("refused  alien  actus/type: ")
    assert out.splitlines()[-1] == "1 passed, 1 failed, 1 refused"
    assert err.startswith("error: actus/type: ")


def test_any_name_is_shown_on_its_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    odd = {"terms": {**GOOD["terms"], "\x1b[0m": 1}}
    status, out, err = actus(capsys, tmp_path, {"one\n\ud800": GOOD, "two": odd})
    assert status == 2
    assert out.splitlines()[0] == "passed   one??  PAM, 3 events"
    assert out.isascii()
    assert "two.?[0m" in err


def test_what_expects_nothing_is_played(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    status, out, _ = actus(capsys, tmp_path, {"mine": OPEN}, "--rows")
    assert status == 0
    lines = out.splitlines()
    assert lines[0] == "played   mine  PAM, 3 events"
    assert lines[1].split() == [
        "2013-10-01T00:00:00", "IP", "90.0000000000", "3600.0000000000", "0.0000000000",
    ]  # fmt: skip
    assert lines[-1] == "1 played"


def test_json_is_one_object(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    cases = {"one": GOOD, "three": WRONG, "alien": ALIEN}
    status, out, _ = actus(capsys, tmp_path, cases, "--json", "--rows")
    found = json.loads(out)
    assert status == 2
    assert list(found) == ["file", "cases", "passed", "failed", "refused", "played"]
    assert [case["verdict"] for case in found["cases"]] == ["passed", "failed", "refused"]
    assert found["cases"][0]["rows"][-1] == {
        "at": "2014-01-01T00:00:00",
        "event": "MD",
        "payoff": "3600.0000000000",
        "notional": "0.0000000000",
        "rate": "0.1000000000",
        "accrued": "0.0000000000",
        "exercise": "0.0000000000",
    }
    assert found["cases"][2]["why"].startswith("actus/type: ")


@pytest.mark.parametrize(("raw", "code"), [("[]", "actus/format"), (None, "actus/missing-file")])
def test_a_bad_file(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, raw: str | None, code: str
) -> None:
    file = tmp_path / "cases.json"
    if raw is not None:
        file.write_text(raw)
    with pytest.raises(SystemExit) as stop:
        main(["actus", str(file)])
    out, err = capsys.readouterr()
    assert (stop.value.code, out) == (2, "")
    assert err.startswith(f"error: {code}: ")


@pytest.mark.skipif(not VECTORS.is_dir(), reason="no ACTUS vectors: set ESCROW_SHARED")
def test_a_published_file(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["actus", str(VECTORS / "actus-tests-cec.json")])
    out, err = capsys.readouterr()
    assert (stop.value.code or 0, err) == (0, "")
    assert out.splitlines()[-1] == "15 passed"
