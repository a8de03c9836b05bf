"""``escrow rules``: what it lists, and what it refuses."""

from __future__ import annotations

import json

import pytest

from escrow.cli import main


def ended(capsys: pytest.CaptureFixture[str], status: int, *args: str) -> tuple[str, str]:
    with pytest.raises(SystemExit) as stop:
        main(["rules", *args])
    assert (stop.value.code or 0) == status
    found = capsys.readouterr()
    return found.out, found.err


def told(capsys: pytest.CaptureFixture[str], *args: str) -> str:
    out, err = ended(capsys, 0, *args)
    assert err == ""
    return out


def refused(capsys: pytest.CaptureFixture[str], *args: str) -> str:
    out, err = ended(capsys, 2, *args)
    assert out == ""
    return err


def test_all_profiles_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    lines = told(capsys).splitlines()
    assert [line.split()[0] for line in lines] == [
        "kz-aifc", "ru-2024", "ru-draft-2026", "ru-elr", "ua-va-2022", "us-generic"
    ]  # fmt: skip
    rows = json.loads(told(capsys, "--json"))["profiles"]
    assert [row["force"] for row in rows if row["profile"] == "ua-va-2022"] == ["not-in-force"]


def test_rules_in_force_on_a_day(capsys: pytest.CaptureFixture[str]) -> None:
    out = told(capsys, "ru-2024", "--at", "2025-03-01")
    assert "5 of 5 rules in force on 2025-03-01" in out
    for said in ("ru/mining-registry  [law]  from 2024-11-01", "decree 1469", "[ASSUMED]"):
        assert said in out
    assert "2025-01-01 – 2031-12-31" in out
    before = told(capsys, "ru-2024", "--at", "2024-10-31")
    assert "1 of 5 rules in force on 2024-10-31" in before
    assert "ru/mining-registry" not in before


@pytest.mark.parametrize(
    ("at", "count"),
    [("2024-10-31T23:59:59", 1), ("2024-11-01", 4), ("2031-12-31T23:59:59", 5), ("2032-01-01", 4)],
)
def test_the_same_as_json(capsys: pytest.CaptureFixture[str], at: str, count: int) -> None:
    found = json.loads(told(capsys, "ru-2024", "--at", at, "--json"))
    assert (found["profile"], len(found["in_force"])) == ("ru-2024", count)
    assert all(
        rule["id"] and rule["source"] and rule["reason"] and rule["needs"] and rule["gates"]
        for rule in found["in_force"]
    )


def test_without_a_day_all_of_them(capsys: pytest.CaptureFixture[str]) -> None:
    out = told(capsys, "us-generic")
    assert "1 of 1 rules\n" in out
    assert "always" in out
    found = json.loads(told(capsys, "us-generic", "--json"))
    assert (found["at"], found["in_force"][0]["since"]) == (None, None)


def test_what_is_not_in_force_is_shown_as_a_what_if_only(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert "eligibility/not-in-force" in refused(capsys, "ua-va-2022")
    assert "WHAT IF: not in force" in told(capsys, "ua-va-2022", "--what-if")
    assert "PROPOSED" in told(capsys, "ru-draft-2026", "--at", "2026-08-01")
    assert "WHAT IF" in told(capsys, "us-generic", "--what-if")


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (("nowhere",), "profile/unknown"),
        (("no/where.toml",), "profile/missing-file"),
        (("ru-2024", "--at", "yesterday"), "input/time"),
        (("--at", "2025-01-01"), "scenario/unknown-key"),
        (("--what-if",), "scenario/unknown-key"),
    ],
)
def test_bad_input_is_one_line(
    capsys: pytest.CaptureFixture[str], args: tuple[str, ...], code: str
) -> None:
    err = refused(capsys, *args)
    assert code in err
    assert err.count("\n") == 1
