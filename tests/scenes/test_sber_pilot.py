"""The bank's pilot: both endings, one beginning, the same for the same seed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import fields
from datetime import date
from pathlib import Path

import pytest

from escrow.adapters.sign import softhsm
from escrow.config import BLOCK_INTERVAL
from escrow.core.errors import BadInput, Refused
from escrow.core.laws import LAWS
from escrow.core.units import COIN, DAY
from escrow.eligibility.days import first_second
from escrow.messages.audit_file import verify
from escrow.provenance import Status
from escrow.sim.officers import Officers
from escrow.sim.pilot import Pilot, play_pilot
from escrow.view.export import export
from escrow.view.pilot import pilot_as_dict, pilot_text
from escrow.words import jsonable
from escrow.world import World

UNDISCLOSED = ("principal", "rate_bps", "term_days", "initial_ltv", "coins")
"""What the bank did not say (domain, S1)."""


@pytest.fixture(scope="module")
def played() -> Iterator[Pilot]:
    with closing(play_pilot("sber-pilot", seed=7)) as pilot:
        yield pilot


def test_both_endings_are_reached_and_no_law_is_broken(played: Pilot) -> None:
    told = pilot_as_dict(played)
    [phase], [other] = told["loans"].values(), told["branches"]["repaid"]["loans"].values()
    assert (phase, other) == ("SETTLED", "RELEASED")
    assert told["broken"] == told["branches"]["repaid"]["broken"] == []
    assert told["laws"] == len(LAWS)
    assert played.sound
    assert len(told["checks"]) == 8


def test_each_undisclosed_term_is_printed(played: Pilot) -> None:
    text = pilot_text(played)
    for name in UNDISCLOSED:
        assert f"ASSUMED     {name} = " in text
    assert "ASSUMED     moment.2025-12-25.fees = 2000000 sats_per_block: " in text
    assert "ASSUMED     curve.quarterly-30.left = [[0, 10000], " in text, "how machines age too"
    assert "NOT CLAIMED any amount, rate, term" in text


def test_no_term_of_the_loan_is_a_default_that_nobody_is_told(played: Pilot) -> None:
    """Nothing of the loan was disclosed: what is not zero in it is a term of the plan, assumed."""
    parties = {"borrower", "lender", "vault", "arbiter", "origin", "nonce", "expires_at"}
    dates = {"cure": "cure_hours", "draw_by": "draw_days", "maturity": "term_days",
             "grace": "grace_days", "recover_at": "recover_days"}  # fmt: skip
    terms, plan = played.world.loans[0].terms, played.plan
    told = [each.name for each in fields(terms) if getattr(terms, each.name)]
    for name in (dates.get(name, name) for name in told if name not in parties):
        assert plan.terms[name].status is Status.ASSUMED, name
    for name in ("confirmations", "max_fee"):
        assert getattr(terms, name) == plan.terms[name].value
    default_at = terms.maturity + terms.grace
    assert terms.recover_at - default_at == DAY * plan.integer("recover_days", 1, 3_650)
    assert terms.grace == DAY * plan.integer("grace_days", 1, 365)


def test_what_is_assumed_of_the_pool_is_told(played: Pilot) -> None:
    terms = played.plan.terms
    for name in ("pool_fee_bps", "pool_scheme", "pool_threshold"):
        assert terms[name].status is Status.ASSUMED


def test_the_tax_record_is_in_the_report_and_a_cheap_sale_is_flagged(played: Pilot) -> None:
    told = played.result["tax_record"]
    assert told["header"] == "record only, no tax advice"
    [row] = told["rows"]
    sats, quote = int(row["sats"]), int(row["quote_e8"])
    assert quote == 6_864_000 * COIN
    assert int(row["kopecks"]) == int(told["income_kopecks"]) == -(-sats * quote // 10**14)
    [asked] = [each for each in played.steps if each.verb == "ask"]
    assert asked.facts == {"lowest_e8": quote * 8 // 10, "flagged": 1}


def test_december_s_energy_ends_with_december(played: Pilot) -> None:
    """It is reported on the fifth of January: the machines ran on, and that is another month."""
    [told] = [each for each in played.steps if each.verb == "report"]
    worked, month = DAY * played.plan.integer("mining_days", 1, 60), first_second(date(2026, 1, 1))
    since = played.steps[0].at - worked - BLOCK_INTERVAL
    kilowatts = 35_000 * 140 * 21.5 / 1_000
    assert told.at > month
    assert told.facts["kwh"] == int(kilowatts * (month - since) / 3_600) == 28_567_408


def test_it_goes_as_it_must(played: Pilot) -> None:
    verbs = [each.verb for each in played.steps if each.verb != "approve"]
    assert verbs == [
        *("mine", "offer", "admit", "sign", "pledge", "draw", "record", "ask", "report", "price"),
        *("take-over", "top-up", "repay", "price", "take-over", "settle"),
    ]
    refused = [each.refused for each in played.steps if each.refused]
    assert [code for code in refused if not code.startswith("hsm/")] == [
        "eligibility/denied",
        "liquidate/healthy",
    ]
    waterfall = played.result["waterfall"]
    assert waterfall["bank_sats"] + waterfall["miner_sats"] == 13 * 10**8
    assert waterfall["bad_debt_cents"] == 0


def test_the_same_seed_ends_in_the_same_state(played: Pilot) -> None:
    """Tokens make keys and signatures by chance: none of them is in the world."""
    with closing(play_pilot("sber-pilot", seed=7)) as again:
        assert again.world.state_hash == played.world.state_hash
        branch, other = (each.branches["repaid"] for each in (again, played))
        assert branch.state_hash == other.state_hash
        assert pilot_text(again) == pilot_text(played)


def test_both_endings_are_exported_with_their_audit(played: Pilot, tmp_path: Path) -> None:
    told = json.loads(json.dumps(jsonable(pilot_as_dict(played))))
    export(played.world, tmp_path / "out", also={"pilot.json": told})
    export(played.branches["repaid"], tmp_path / "out" / "repaid")
    kept = json.loads((tmp_path / "out" / "pilot.json").read_text())
    assert kept["state_hash"] == played.world.state_hash
    for folder, report in (("", kept), ("repaid", kept["branches"]["repaid"])):
        with (tmp_path / "out" / folder / "audit.jsonl").open("rb") as lines:
            assert verify(lines).head == report["audit_head"]


# Officers


@pytest.fixture
def world() -> Iterator[World]:
    with World() as made:
        yield made


def test_an_officer_answers_only_after_its_pin(world: World) -> None:
    if not shutil.which("softhsm2-util"):
        pytest.skip("softhsm2 is not installed")
    with Officers(world, {"custodian": "1357"}) as officers:
        assert world.silent == {"custodian"}
        with pytest.raises(Refused, match="hsm/pin"):
            officers.approve(world, "custodian", "pay", pin="0000")
        assert world.silent == {"custodian"}
        officers.approve(world, "custodian", "pay", pin="1357")
        assert not world.silent
        officers.rest(world)
        assert world.silent == {"custodian"}
        answers = [verdict for _, what, verdict in officers.entries() if what == "sign"]
        assert answers == ["done"]


def test_ten_wrong_pins_lock_an_officer_out(world: World) -> None:
    if not shutil.which("softhsm2-util"):
        pytest.skip("softhsm2 is not installed")
    with Officers(world, {"custodian": "1357"}) as officers:
        for _ in range(10):
            with pytest.raises(Refused, match="hsm/pin"):
                officers.approve(world, "custodian", "pay", pin="0000")
        with pytest.raises(Refused, match="hsm/locked"):
            officers.approve(world, "custodian", "pay", pin="1357")
        assert world.silent == {"custodian"}


def test_without_a_library_approvals_are_only_said(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(*_: object, **__: object) -> None:
        raise BadInput("hsm/missing")

    monkeypatch.setattr(softhsm, "SoftHsm", absent)
    with Officers(world, {"custodian": "1357"}) as officers:
        assert not officers.has_tokens
        officers.approve(world, "custodian", "pay", pin="")
        assert not world.silent


def test_an_officer_is_a_party(world: World) -> None:
    with pytest.raises(BadInput, match="input/unknown-party"):
        Officers(world, {"nobody": "1357"})
