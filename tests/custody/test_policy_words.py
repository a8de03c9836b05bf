"""Policies in plain English and as JSON: nothing that is assumed or accepted goes unsaid."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from custody_lab import path_of, policies, policy_of, refusal_of
from hypothesis import given

from escrow.custody.audit import audit
from escrow.custody.policy import Policy
from escrow.custody.reach import report
from escrow.custody.read import load_policy, shipped
from escrow.custody.words import as_dict, explain, row_as_dict, sentence

SENTENCES = {
    ("two-of-three", "close"): (
        "At once, any 2 of borrower, lender and custodian sign, for any destination."
    ),
    ("two-of-three-recovery", "recovery"): (
        "From the recovery time on, recovery signs alone, for any destination."
    ),
    ("musig", "close"): (
        "At once, borrower and lender sign together, as one key (MuSig2), for any destination."
    ),
    ("bank-token-single", "close"): (
        "At once, any one of officer-1 and safe sign, for any destination."
    ),
    ("liana-style", "close"): "At once, borrower and lender sign together, for any destination.",
    ("liana-style", "arbiter"): (
        "90 days after the coin's confirmation, any 2 of borrower, lender and custodian sign, "
        "for any destination."
    ),
    ("presigned", "default"): (
        "From default on, a transaction signed up front pays lender: it needs payment-oracle at "
        "the exit, and lender sends it."
    ),
    ("presigned", "recover"): (
        "From the recovery time on, a transaction signed up front pays borrower: it needs nobody "
        "else, and borrower sends it."
    ),
    ("presigned", "joint"): (
        "borrower-ephemeral, price-oracle and payment-oracle sign the exits before the coins "
        "come in; afterwards nobody can, as a key is destroyed."
    ),
    ("dlc", "liquidated"): (
        "At once, a transaction signed up front pays lender once oracle attests liquidated, "
        "and borrower or lender sends it."
    ),
}


@pytest.mark.parametrize(("policy", "path"), SENTENCES)
def test_a_path_is_a_sentence(policy: str, path: str) -> None:
    found = load_policy(policy)
    assert sentence(found, found.path(path)) == SENTENCES[policy, path]


@pytest.mark.parametrize("name", shipped())
def test_what_is_assumed_and_accepted_is_printed(name: str) -> None:
    policy = load_policy(name)
    text = explain(policy)
    for words in (*policy.assumed, *policy.accepts):
        assert f"\n  {words}\n" in text
    for found in audit(policy):
        assert found.words[1:] in text
    for path in policy.paths:
        assert f"\n  {path.name}: {sentence(policy, path)}\n" in text
    for role in policy.roles:
        assert f"\n  {role.name}, held by {role.holder}, " in text
    assert "Refused" not in text


def test_a_danger_that_nobody_accepted_is_printed_as_refused() -> None:
    policy = replace(load_policy("bank-token"), accepts=("sole-control/bank",))
    text = explain(policy)
    assert "Refused, as nobody accepted it:\n  silent/bank: if bank is silent" in text
    assert "Accepted knowingly:\n  sole-control/bank\n" in text


def test_silence_of_the_bank_is_said_in_words() -> None:
    assert "If bank is silent: no way out is left" in explain(load_policy("bank-token"))
    assert "A way out always remains" in explain(load_policy("two-of-three"))


@pytest.mark.parametrize("name", ["bank-token", "bank-token-single"])
def test_what_the_bank_did_not_disclose_is_flagged_and_no_term_is_claimed(name: str) -> None:
    policy = load_policy(name)
    assert sum(line.startswith("Not disclosed: ") for line in policy.assumed) == 4
    text = explain(policy)
    for claim in ("%", "RUB", "BTC", "GOST", "certified", "2023"):
        assert claim not in text


@given(policies())
def test_any_policy_has_words_and_json(policy: Policy) -> None:
    text = explain(policy)
    assert all(line.isprintable() for line in text.split("\n"))
    found = json.loads(json.dumps(as_dict(policy)))
    assert [path["name"] for path in found["paths"]] == [path.name for path in policy.paths]
    assert [f["name"] for f in found["findings"]] == [f.name for f in audit(policy)]


@pytest.mark.parametrize("name", shipped())
def test_a_report_goes_into_json_and_nothing_is_lost(name: str) -> None:
    policy = load_policy(name)
    for row in report(policy):
        found = json.loads(json.dumps(row_as_dict(row)))
        assert (found["state"], found["window"], found["stuck"]) == (
            row.state,
            row.window,
            row.stuck,
        )
        assert [e["path"] for e in found["exits"]] == [e.path for e in row.exits]
        assert [e["by"] for e in found["taken"]] == [e.by for e in row.taken]
        assert [e["state"] for e in found["later"]] == [e.state for e in row.later]
        assert (found["loss"] or {}).get("who") == (row.loss.who if row.loss else None)


def test_the_locks_of_a_policy_are_plain_data() -> None:
    paths = as_dict(load_policy("liana-style"))["paths"]
    assert isinstance(paths, list)
    assert [path["lock"] for path in paths] == [None, {"older": 7_776_256}, {"after": "recovery"}]


def test_a_finding_says_whether_it_is_accepted() -> None:
    policy = replace(load_policy("bank-token"), accepts=("silent/bank",))
    findings = as_dict(policy)["findings"]
    assert isinstance(findings, list)
    assert {f["name"]: f["accepted"] for f in findings} == {
        "sole-control/bank": False,
        "silent/bank": True,
    }


def test_a_policy_without_sense_has_no_words() -> None:
    for act in (explain, as_dict):
        assert refusal_of(act, policy_of(path_of("close", 4, "a b"))).code == "policy/value"
