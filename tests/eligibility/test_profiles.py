"""Every rule of every shipped profile: what it lets in, what it refuses, and from when to when."""

from __future__ import annotations

import re
from typing import Any

import pytest

from escrow.core.eligibility import Denied, Force, Gate, Status, Value, names, refusal
from escrow.core.units import MAX_TIME, Seconds
from escrow.eligibility.days import first_second, last_second, parse_day
from escrow.eligibility.profile import in_words
from escrow.eligibility.read import load_profile, shipped

LONG = Seconds(first_second(parse_day("2027-01-15")))
"""When all but the sunset is in force."""
COMPANY = {
    "mines": True,
    "class": "legal-entity",
    "registered": True,
    "report_filed": True,
    "banned_region": False,
    "kwh_month": 90_000,
}
PERSON = COMPANY | {"class": "individual", "registered": False, "report_filed": False}
BANK = {"mines": False}
BUYS, PAYS = {"purpose": "purchase"}, {"purpose": "payment"}
TOKEN, DFA, COIN = ({"asset": name} for name in ("pledge-token", "dfa", "anonymous-coin"))
HERE, ABROAD = {"resident": True, "elr_listed": True}, {"resident": False}


def other(facts: dict[str, Value]) -> dict[str, Value]:
    return {f"other.{name}": value for name, value in facts.items()}


CASES: list[tuple[str, str, Gate, dict[str, Any], bool]] = [
    # --- ru-2024 ---
    ("ru-2024", "ru/mining-registry", Gate.OFFER, COMPANY, True),
    ("ru-2024", "ru/mining-registry", Gate.OFFER, BANK, True),
    ("ru-2024", "ru/mining-registry", Gate.OFFER, COMPANY | {"registered": False}, False),
    ("ru-2024", "ru/mining-registry", Gate.PLEDGE, COMPANY | {"class": "entrepreneur"}, True),
    (
        "ru-2024", "ru/mining-registry", Gate.TOP_UP,
        COMPANY | {"class": "entrepreneur", "registered": False}, False,
    ),
    ("ru-2024", "ru/mining-registry", Gate.OFFER, {}, False),
    ("ru-2024", "ru/mining-threshold", Gate.OFFER, PERSON | {"kwh_month": 5_999}, True),
    ("ru-2024", "ru/mining-threshold", Gate.OFFER, PERSON | {"kwh_month": 6_000}, True),
    ("ru-2024", "ru/mining-threshold", Gate.OFFER, PERSON | {"kwh_month": 6_001}, False),
    (
        "ru-2024", "ru/mining-threshold", Gate.TOP_UP,
        PERSON | {"kwh_month": 6_001, "registered": True, "report_filed": True}, True,
    ),
    ("ru-2024", "ru/banned-region", Gate.PLEDGE, COMPANY | {"banned_region": True}, False),
    ("ru-2024", "ru/banned-region", Gate.PLEDGE, COMPANY, True),
    ("ru-2024", "ru/mining-report", Gate.TOP_UP, COMPANY | {"report_filed": False}, False),
    ("ru-2024", "ru/mining-report", Gate.TOP_UP, COMPANY, True),
    ("ru-2024", "ru/mining-report", Gate.TOP_UP, PERSON | {"kwh_month": 1}, True),
    *(
        (
            "ru-2024", "ru/dfa-limit", Gate.TRANSFER,
            BUYS | DFA | {"qualified": False, "dfa_year_kopecks": kopecks}, kopecks <= 60_000_000,
        )
        for kopecks in (59_999_999, 60_000_000, 60_000_001)
    ),
    (
        "ru-2024", "ru/dfa-limit", Gate.TRANSFER,
        BUYS | DFA | {"qualified": True, "dfa_year_kopecks": 10**15}, True,
    ),
    ("ru-2024", "ru/dfa-limit", Gate.TRANSFER, BUYS | TOKEN, True),
    ("ru-2024", "ru/dfa-limit", Gate.TRANSFER, PAYS | DFA, True),
    # --- ru-elr ---
    ("ru-elr", "elr/cross-border", Gate.TRANSFER, PAYS | TOKEN | ABROAD | other(HERE), True),
    ("ru-elr", "elr/cross-border", Gate.TRANSFER, PAYS | TOKEN | HERE | other(ABROAD), True),
    ("ru-elr", "elr/cross-border", Gate.TRANSFER, PAYS | TOKEN | HERE | other(HERE), False),
    ("ru-elr", "elr/cross-border", Gate.TRANSFER, PAYS | TOKEN, False),
    ("ru-elr", "elr/participant", Gate.TRANSFER, PAYS | TOKEN | ABROAD | other(ABROAD), True),
    (
        "ru-elr", "elr/participant", Gate.TRANSFER,
        PAYS | TOKEN | ABROAD | other({"resident": True, "elr_listed": False}), False,
    ),
    (
        "ru-elr", "elr/participant", Gate.TRANSFER,
        PAYS | TOKEN | other(ABROAD) | {"resident": True, "elr_listed": False}, False,
    ),
    *(
        (
            "ru-elr", "elr/highly-qualified", Gate.TRANSFER,
            BUYS | TOKEN | {"securities_deposits_kopecks": kopecks, "income_kopecks": 0},
            kopecks > 10_000_000_000,
        )
        for kopecks in (9_999_999_999, 10_000_000_000, 10_000_000_001)
    ),
    *(
        (
            "ru-elr", "elr/highly-qualified", Gate.TRANSFER,
            BUYS | TOKEN | {"securities_deposits_kopecks": 0, "income_kopecks": kopecks},
            kopecks > 5_000_000_000,
        )
        for kopecks in (4_999_999_999, 5_000_000_000, 5_000_000_001)
    ),
    ("ru-elr", "ru/mining-registry", Gate.OFFER, COMPANY | {"registered": False}, False),
    # --- ru-draft-2026 ---
    *(
        (
            "ru-draft-2026", "draft/non-qualified", Gate.TRANSFER,
            BUYS | TOKEN | {"qualified": False, "test_passed": True, "year_kopecks": kopecks},
            kopecks <= 30_000_000,
        )
        for kopecks in (29_999_999, 30_000_000, 30_000_001)
    ),
    (
        "ru-draft-2026", "draft/non-qualified", Gate.TRANSFER,
        BUYS | TOKEN | {"qualified": False, "test_passed": False, "year_kopecks": 1}, False,
    ),
    (
        "ru-draft-2026", "draft/non-qualified", Gate.TRANSFER,
        BUYS | TOKEN | {"qualified": True}, True,
    ),
    ("ru-draft-2026", "draft/anonymous", Gate.TRANSFER, BUYS | COIN | {"qualified": True}, False),
    (
        "ru-draft-2026", "draft/domestic-payment", Gate.TRANSFER,
        PAYS | TOKEN | HERE | other(HERE), False,
    ),
    (
        "ru-draft-2026", "draft/domestic-payment", Gate.TRANSFER,
        PAYS | TOKEN | HERE | other(ABROAD), True,
    ),
    # --- kz-aifc ---
    ("ru-draft-2026", "draft/anonymous", Gate.TRANSFER, BUYS | TOKEN | {"qualified": True}, True),
    ("kz-aifc", "kz/mining-licence", Gate.TOP_UP, BANK, True),
    ("kz-aifc", "kz/mining-licence", Gate.OFFER, {"mines": True, "mining_licence": False}, False),
    (
        "kz-aifc", "kz/accredited-pool", Gate.PLEDGE,
        {"mines": True, "mining_licence": True, "accredited_pool": False}, False,
    ),
    (
        "kz-aifc", "kz/accredited-pool", Gate.PLEDGE,
        {"mines": True, "mining_licence": True, "accredited_pool": True}, True,
    ),
    ("kz-aifc", "kz/through-aifc", Gate.OFFER, BANK, False),
    ("kz-aifc", "kz/through-aifc", Gate.OFFER, BANK | {"other.aifc_participant": True}, True),
    ("kz-aifc", "kz/through-aifc", Gate.TRANSFER, {"aifc_participant": True}, True),
    ("kz-aifc", "kz/through-aifc", Gate.TRANSFER, {"aifc_participant": False}, False),
    # --- ua-va-2022 ---
    ("ua-va-2022", "ua/secured-or-unsecured", Gate.OFFER, {}, False),
    ("ua-va-2022", "ua/secured-or-unsecured", Gate.OFFER, {"other.va_provider": True}, True),
    ("ua-va-2022", "ua/secured-or-unsecured", Gate.TRANSFER, {"va_provider": True}, True),
    # --- us-generic ---
    ("us-generic", "us/lender-licence", Gate.OFFER, {"other.state_licence": True}, True),
    ("us-generic", "us/lender-licence", Gate.OFFER, {"state_licence": True}, False),
]  # fmt: skip


@pytest.mark.parametrize(("profile", "rule", "gate", "facts", "allowed"), CASES)
def test_a_rule_lets_in_and_refuses(
    profile: str, rule: str, gate: Gate, facts: dict[str, Value], allowed: bool
) -> None:
    found = refusal(load_profile(profile).book, gate, facts, at=LONG)
    if allowed:
        assert found is None
        return
    reason = next(each.reason for each in load_profile(profile).book.rules if each.id == rule)
    assert found == Denied(gate, rule, reason)


def own_rules(profile: str) -> set[str]:
    found = load_profile(profile)
    base = load_profile(found.extends).book.rules if found.extends else ()
    return {rule.id for rule in found.book.rules} - {rule.id for rule in base}


def test_every_rule_refuses_somebody_and_lets_somebody_in() -> None:
    refused = {(profile, rule) for profile, rule, *_, allowed in CASES if not allowed}
    allowed = {(profile, rule) for profile, rule, *_, allowed in CASES if allowed}
    every = {(profile, rule) for profile in shipped() for rule in own_rules(profile)}
    assert every - refused == {("ru-elr", "elr/sunset")}, "and that one below"
    assert every - allowed == {("ru-elr", "elr/sunset")}


def test_every_gate_is_somewhere_open_and_somewhere_shut() -> None:
    for gate in Gate:
        assert {allowed for *_, each, _facts, allowed in CASES if each is gate} == {True, False}


DATES = [
    (profile, rule.id, rule.since, rule.until)
    for profile in shipped()
    for rule in load_profile(profile).book.rules
    if rule.id in own_rules(profile)
]


@pytest.mark.parametrize(("profile", "rule", "since", "until"), DATES)
def test_a_rule_counts_from_its_first_second_to_its_last(
    profile: str, rule: str, since: Seconds, until: Seconds
) -> None:
    """Nothing is known of anybody: every rule that is in force refuses, at one of its gates."""
    book = load_profile(profile).book
    (one,) = (each for each in book.rules if each.id == rule)
    alone = type(book)(book.profile, 1, book.force, (one,))
    asked = {
        "ru/dfa-limit": BUYS | DFA, "draft/anonymous": BUYS | COIN,
        "elr/highly-qualified": BUYS | TOKEN, "draft/non-qualified": BUYS | TOKEN,
    }.get(rule, PAYS | TOKEN)  # fmt: skip

    def shut(at: int) -> bool:
        return refusal(alone, one.gates[0], asked, at=Seconds(at)) is not None

    assert (shut(since), shut(min(until, MAX_TIME))) == (True, True)
    if since:
        assert shut(since - 1) is False
    if until < MAX_TIME:
        assert shut(until + 1) is False


def test_dates_are_those_of_the_sources() -> None:
    found = {rule: (since, until) for _, rule, since, until in DATES}
    first, last = first_second, last_second
    assert found["ru/mining-registry"] == (first(parse_day("2024-11-01")), MAX_TIME)
    assert found["ru/banned-region"] == (
        first(parse_day("2025-01-01")), last(parse_day("2031-12-31"))
    )  # fmt: skip
    assert found["ru/dfa-limit"][0] == first(parse_day("2021-01-01"))
    assert found["elr/highly-qualified"][0] == first(parse_day("2025-03-12"))
    assert found["draft/domestic-payment"][0] == first(parse_day("2026-07-01"))
    assert found["kz/mining-licence"][0] == first(parse_day("2023-04-01"))


@pytest.mark.parametrize("prolonged", [True, False])
def test_the_regime_ends_after_three_years_unless_prolonged(prolonged: bool) -> None:
    book = load_profile("ru-elr").book
    facts = PAYS | TOKEN | ABROAD | other(HERE) | {"elr_prolonged": prolonged}
    last = last_second(parse_day("2027-08-31"))
    assert refusal(book, Gate.TRANSFER, facts, at=last) is None
    found = refusal(book, Gate.TRANSFER, facts, at=Seconds(last + 1))
    assert (found is None) is prolonged
    assert found is None or found.rule == "elr/sunset"


def test_what_ships_says_what_it_is() -> None:
    assert shipped() == (
        "kz-aifc", "ru-2024", "ru-draft-2026", "ru-elr", "ua-va-2022", "us-generic"
    )  # fmt: skip
    for name in shipped():
        profile = load_profile(name)
        assert profile.book.profile == name
        assert profile.title
        assert profile.about
        for rule in profile.book.rules:
            assert "secondary" in rule.source or rule.status is Status.ASSUMED
            assert names(rule.needs)
            assert in_words(rule.needs)
    forces = {name: load_profile(name).book.force for name in shipped()}
    assert forces["ua-va-2022"] is Force.NOT_IN_FORCE
    assert forces["ru-draft-2026"] is Force.PROPOSED
    assert "not verified" in load_profile("ru-elr").about
    assert "us/lender-licence" in load_profile("us-generic").assumed


@pytest.mark.parametrize("name", shipped())
def test_a_rule_whose_question_is_ours_is_no_law(name: str) -> None:
    """Its source may be: what a gate asks by it, and of whom, is then still assumed."""
    ours = re.compile(r"that (a lender|a bank|one participant) .*is assumed")
    for rule in load_profile(name).book.rules:
        assert not ours.search(rule.source) or rule.status is Status.ASSUMED, rule.id


def test_a_predicate_is_read_as_a_sentence() -> None:
    rule = load_profile("ru-2024").book.rules[1]
    assert in_words(rule.needs) == (
        "mines is false or registered is true or (class is individual and kwh_month at most 6,000)"
    )
