"""``escrow vault`` and ``escrow demo custody`` as a user meets them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from escrow.cli import main
from escrow.custody.read import load_policy, shipped
from escrow.custody.write import write_policy
from escrow.sim import vault_check
from escrow.world import World

TRANSCRIPT = Path(__file__).parents[1] / "scenes" / "custody.txt"
DAY = 86_400

SOLE = """
[policy]
name = "mine"
title = "Any one of two"
about = "A mistake."
source = "Nobody"
script = "wsh"

[[role]]
name = "borrower"

[[role]]
name = "lender"

[[path]]
name = "side-door"
threshold = 1
roles = ["borrower", "lender"]
"""


def escrow(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stop:
        main(list(argv))
    out, err = capsys.readouterr()
    return int(stop.value.code or 0), out, err


def explained(capsys: pytest.CaptureFixture[str], *argv: str) -> dict[str, Any]:
    status, out, err = escrow(capsys, "vault", "explain", *argv, "--json")
    assert (status, err) == (0, "")
    found = json.loads(out)
    assert isinstance(found, dict)
    return found


class TestList:
    def test_names_every_policy(self, capsys: pytest.CaptureFixture[str]):
        _, out, _ = escrow(capsys, "vault", "list")
        assert [line.split()[0] for line in out.splitlines()] == list(shipped())
        rows = json.loads(escrow(capsys, "vault", "list", "--json")[1])["policies"]
        assert [row["policy"] for row in rows] == list(shipped())


class TestExplain:
    def test_says_who_signs_when_and_for_how_many_bytes(self, capsys: pytest.CaptureFixture[str]):
        status, out, err = escrow(capsys, "vault", "explain", "two-of-three-recovery")
        assert (status, err) == (0, "")
        assert "any 2 of borrower, lender and custodian sign" in out
        assert "154 vB  at once" in out
        assert "145 vB  from the recovery time on: 2027-01-10 00:00:00 UTC, in 405 days" in out
        assert "chain and report agree" in out
        assert "borrower and lender: close at once" in out

    def test_as_json(self, capsys: pytest.CaptureFixture[str]):
        found = explained(capsys, "liana-style")
        close, arbiter, recovery = found["paths"]
        assert (close["opens"], close["vsize"]) == (None, 156)
        assert arbiter["opens"]["in_days"] == 91
        assert recovery["opens"] == {"at": 1_764_547_200 + 405 * DAY, "in_days": 405}
        assert found["descriptor"].startswith("wsh(")
        assert found["descriptor"][-9] == "#"
        assert found["address"].startswith("bcrt1q")
        assert found["check"]["agree"] is True
        assert found["check"]["tried"] == len(found["check"]["claims"]) > 20
        assert {"LIQUIDATING", "REPAID"} < {row["state"] for row in found["report"]}
        assert found["assumed"]

    def test_another_seed_has_another_address(self, capsys: pytest.CaptureFixture[str]):
        one = explained(capsys, "two-of-three", "--no-check")
        two = explained(capsys, "two-of-three", "--no-check", "--seed", "2")
        assert one["address"] != two["address"]
        assert one["check"]["agree"] is None
        assert one["check"]["untried"] == "--no-check"

    def test_reads_a_file(self, capsys: pytest.CaptureFixture[str], tmp_path: Path):
        file = tmp_path / "mine.toml"
        file.write_text(write_policy(load_policy("two-of-three")).replace("Two of", "My two of"))
        status, out, _ = escrow(capsys, "vault", "explain", str(file))
        assert status == 0
        assert "My two of three" in out

    def test_refuses_a_bad_policy_and_names_the_path(
        self, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ):
        file = tmp_path / "mine.toml"
        file.write_text(SOLE)
        status, out, err = escrow(capsys, "vault", "explain", str(file))
        assert (status, out) == (2, "")
        assert err.startswith("error: policy/sole-control: ")
        assert "side-door" in err

    def test_tells_what_it_cannot_try(self, capsys: pytest.CaptureFixture[str], tmp_path: Path):
        refund = """
[[path]]
name = "refund"
threshold = 1
roles = ["lender"]
form = "presigned"
via = "close"
to = "borrower"
held_by = ["borrower"]
"""
        file = tmp_path / "mine.toml"
        file.write_text(write_policy(load_policy("two-of-three")) + refund)
        found = explained(capsys, str(file))
        assert found["check"]["agree"] is None
        assert found["check"]["untried"].startswith("policy/value")
        assert [path["vsize"] for path in found["paths"]] == [146, 146]
        assert "Not tried on the chain" in escrow(capsys, "vault", "explain", str(file))[1]

    @pytest.mark.parametrize(
        ("argv", "code"),
        [
            (("explain",), "scenario/missing-key"),
            (("explain", "two-of-three", "--world", "w.escrow"), "scenario/missing-key"),
            (("explain", "none-of-three"), "policy/unknown"),
            (("explain", "two-of-three", "--seed", "-1"), "input/seed"),
        ],
    )
    def test_bad_input_has_status_2(
        self, argv: tuple[str, ...], code: str, capsys: pytest.CaptureFixture[str]
    ):
        status, out, err = escrow(capsys, "vault", *argv)
        assert (status, out) == (2, "")
        assert err.startswith(f"error: {code}: ")

    def test_fails_loudly_if_chain_and_report_differ(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ):
        honest = vault_check.can_complete

        def lie(policy: object, path: object, **facts: Any) -> bool:
            said = honest(policy, path, **facts)  # type: ignore[arg-type]
            return said or facts["keys"] == frozenset({"custodian"})

        monkeypatch.setattr(vault_check, "can_complete", lie)
        status, out, _ = escrow(capsys, "vault", "explain", "two-of-three")
        assert status == 1
        assert "CHAIN AND REPORT DIFFER in 1 of 8 claims, first: close in start by custodian" in out

    def test_a_vault_of_a_saved_world(self, capsys: pytest.CaptureFixture[str], tmp_path: Path):
        file = tmp_path / "world.escrow"
        with World(seed=1) as world:
            loan = world.open(btc="1.5", principal="50000.00", price="80000")
            world.advance(days=30)
            second = world.offer().vault
            world.save(file)
            vault, left = loan.vault, loan.terms.recover_at - world.now
        found = explained(capsys, "--world", str(file), "--no-check")
        assert (found["address"], found["descriptor"]) == (vault.address, vault.descriptor)
        assert found["paths"][1]["opens"]["at"] == loan.terms.recover_at
        assert found["paths"][1]["opens"]["in_days"] == -(-left // DAY)
        other = explained(capsys, "--world", str(file), "--no-check", "--loan", "2")
        assert other["address"] == second.address != vault.address
        status, _, err = escrow(capsys, "vault", "explain", "--world", str(file), "--loan", "3")
        assert status == 2
        assert err.startswith("error: loan/unknown: ")


class TestDemo:
    def test_reads_as_checked_in(self, capsys: pytest.CaptureFixture[str]):
        status, out, err = escrow(capsys, "demo", "custody")
        assert (status, err) == (0, "")
        # Regenerate with: python -m escrow.view.generate
        assert out == TRANSCRIPT.read_text(encoding="utf-8")

    def test_as_json_of_another_policy(self, capsys: pytest.CaptureFixture[str]):
        status, out, _ = escrow(
            capsys, "demo", "custody", "--policy", "bank-token", "--json", "--seed", "2"
        )
        found = json.loads(out)
        assert status == 0
        assert list(found) == ["scene", "policy", "seed", "steps", "agree"]
        assert (found["policy"], found["seed"], found["agree"]) == ("bank-token", 2, True)
        steps = found["steps"]
        assert [step["n"] for step in steps] == list(range(1, len(steps) + 1))
        ends = {step["title"]: (step["used"], step["lost"] > 0) for step in steps}
        assert ends["The token safe is locked by wrong PINs"] == ("close", False)
        assert ends["The key officer-1 is stolen"] == ("", False)
        assert ends["The keys officer-1 and safe are stolen together"] == ("", True)
        assert ends["Bank is silent"] == ("", False)
        silent = next(step for step in steps if step["title"] == "Bank is silent")
        assert silent["tried"][0]["reason"].startswith("block-script-verify-flag-failed")

    def test_a_loan_lives_under_another_policy(self, capsys: pytest.CaptureFixture[str]):
        status, out, _ = escrow(capsys, "demo", "release", "--policy", "musig", "--json")
        assert status == 0
        assert json.loads(out)["final"]["loan"] == "RELEASED"

    @pytest.mark.parametrize(
        ("argv", "code"),
        [
            (("custody", "--policy", "nobodys"), "policy/unknown"),
            (("token", "--policy", "musig"), "scenario/unknown-key"),
            (("release", "--policy", "presigned"), "policy/value"),
            (("custody", "--seed", "-1"), "input/seed"),
        ],
    )
    def test_bad_input_has_status_2(
        self, argv: tuple[str, ...], code: str, capsys: pytest.CaptureFixture[str]
    ):
        status, out, err = escrow(capsys, "demo", *argv)
        assert (status, out) == (2, "")
        assert err.startswith(f"error: {code}: ")
