"""The bank's pool: who is let in, and the story in small."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from escrow.core.errors import BadInput, Rejected
from escrow.core.rules import at_or_below
from escrow.core.units import BPS, Bps
from escrow.eligibility.read import load_profile
from escrow.sim.pilot import Pilot, Plan, load_plan
from escrow.sim.pilots import sovcombank_pool as story
from escrow.sim.pool import GATES, Applicant, Rules, admit
from escrow.view.pilot import pilot_as_dict, pilot_text
from escrow.world import World

RULES = Rules(least_age=12, longest=24)
GOOD = Applicant(
    name="miner",
    company=True,
    months=12,
    registered=True,
    tax_debt=False,
    proof=True,
    term_months=24,
)
"""At both bounds."""


def small(**changes: int) -> Plan:
    """The story's plan, with a few numbers of its own."""
    plan = load_plan("sovcombank-pool")
    changes = {"loans": 30, "sample": 6, **changes}
    terms = {
        name: replace(term, value=changes.get(name, term.value))
        for name, term in plan.terms.items()
    }
    return replace(plan, terms=terms)


def told(plan: Plan, *, seed: int = 1) -> Pilot:
    pilot = Pilot(plan, World(config=story.config(plan, seed=seed)))
    story.play(pilot)
    return pilot


def test_a_good_miner_is_let_in() -> None:
    admit(GOOD, RULES)


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"company": False}, "sovcombank/legal-entity"),
        ({"registered": False}, "ru/mining-registry"),
        ({"months": 11}, "sovcombank/age"),
        ({"tax_debt": True}, "sovcombank/tax-debt"),
        ({"proof": False}, "sovcombank/ownership"),
        ({"term_months": 25}, "sovcombank/term"),
    ],
)
def test_each_gate_keeps_out_by_its_name(change: dict[str, int], rule: str) -> None:
    with pytest.raises(Rejected, match="eligibility/denied") as refusal:
        admit(replace(GOOD, **change), RULES)
    assert refusal.value.facts["rule"] == rule
    assert rule in [gate.rule for gate in GATES]


def test_a_rule_of_law_has_the_name_that_its_profile_gives_it() -> None:
    named = {rule.id for rule in load_profile("ru-2024").book.rules}
    of_law = {gate.rule for gate in GATES if gate.rule.startswith("ru/")}
    assert of_law
    assert of_law <= named


def test_fewer_than_a_third_are_registered() -> None:
    """And the first rule that fails is the answer, so of all who ask few pass."""
    pool = story._pool(small(loans=300), seed=1)
    companies = pool.asked - pool.denied["sovcombank/legal-entity"]
    registered = companies - pool.denied["ru/mining-registry"]
    assert len(pool.members) == 300
    assert BPS * registered < 3_600 * companies
    assert set(pool.denied) == {gate.rule for gate in GATES}


def test_all_and_none_registered() -> None:
    everybody = {"registered_bps": BPS, "company_bps": BPS, "tax_debt_bps": 0, "proof_bps": BPS}
    open_to_all = {**everybody, "least_age_months": 1, "too_long_bps": 0}
    pool = story._pool(small(**open_to_all), seed=1)
    assert (pool.asked, pool.denied.total()) == (30, 0)
    none = story._pool(small(registered_bps=0, population=50), seed=1)
    assert (none.asked, len(none.members)) == (50, 0)


def test_a_larger_pool_changes_nobody() -> None:
    few, many = (story._pool(small(loans=n), seed=1) for n in (10, 30))
    assert many.members[:10] == few.members
    assert story._pool(small(loans=10), seed=2).members != few.members


def test_each_type_of_collateral_has_its_discount() -> None:
    """Nobody draws more than the discount of its type allows at the first price."""
    plan = small(loans=60)
    pool, offer = story._pool(plan, seed=1), story._offer(plan)
    kinds = {"bitcoin": (5_000, 6_000, 7_000, 8_500), "DFA claim": (4_000, 5_000, 6_000, 7_500)}
    assert set(pool.kinds.values()) == set(kinds)
    for each in pool.members:
        terms = each.terms
        levels = (terms.initial_ltv, terms.restore_ltv, terms.call_ltv, terms.liquidation_ltv)
        assert levels == kinds[pool.kinds[each.name]]
        assert terms.rate_bps == 2_300
        assert at_or_below(each.draw, sats=each.pledged, price=offer.price, level=terms.initial_ltv)


@pytest.fixture(scope="module")
def pilot() -> Iterator[Pilot]:
    found = told(small())
    yield found
    found.world.close()


def test_the_story_holds(pilot: Pilot) -> None:
    assert pilot.sound
    assert [step.refused for step in pilot.steps[:6]] == ["eligibility/denied"] * 6
    assert [check.words for check in pilot.checks if not check.holds] == []
    assert pilot.result["sample_called"] >= 2
    assert pilot.result["sample_taken"] >= 1
    assert pilot.result["end_loans"] == 30
    assert pilot.result["end_outstanding_cents"] == 0
    assert {"mark", "take-over", "top-up", "refinance"} <= {step.verb for step in pilot.steps}


def test_the_report_says_what_nobody_disclosed(pilot: Pilot) -> None:
    text = pilot_text(pilot)
    assert "NOT CLAIMED that digital financial assets include bitcoin" in text
    for name in ("registered_bps", "call_bps", "dfa_discount_bps", "least_loan", "answers_bps"):
        assert f"ASSUMED     {name} = " in text
    for name in ("discount_bps", "key_rate_bps", "margin_bps", "longest_months"):
        assert f"ASSUMED     {name} = " not in text
    assert pilot_as_dict(pilot)["broken"] == []


def test_the_same_seed_tells_the_same(pilot: Pilot) -> None:
    again = told(small())
    with again.world:
        assert pilot_as_dict(again) == pilot_as_dict(pilot)


def test_a_bad_number_is_refused() -> None:
    for wrong in ({"loans": 0}, {"registered_bps": 10_001}, {"sample": 1}, {"fall_bps": 0}):
        with pytest.raises(BadInput, match="scenario/value"):
            told(small(**wrong))


def test_the_bank_counts_half() -> None:
    offer = story._offer(load_plan("sovcombank-pool"))
    assert offer.kinds[0].initial == Bps(5_000)
    assert offer.rules == RULES
