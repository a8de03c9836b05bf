"""Another book counts for new offers."""

from __future__ import annotations

from dataclasses import replace

import pytest
from deals import NOW, ONE, OWED, TERMS, active, code_of, draft, final, names, play, refuses
from rulings import ALL_FACTS, BOOK, book, pledged, rule, ruled, seen, switched

from escrow.core.decide import decide, witness
from escrow.core.eligibility import Force, Gate
from escrow.core.errors import BadInput
from escrow.core.roles import Role
from escrow.core.state import fold
from escrow.core.verbs.draw import Draw
from escrow.core.verbs.mint import Mint
from escrow.core.verbs.offer import Offer
from escrow.core.verbs.refinance import Refinance
from escrow.core.verbs.top_up import TopUp

STRICT = book(rule("strict", Gate.OFFER, Gate.TOP_UP), profile="strict")
NEW = replace(TERMS, rate_bps=TERMS.rate_bps + 1)


@pytest.mark.parametrize("by", Role)
def test_only_the_registrar_switches(by: Role) -> None:
    expected = "" if by is Role.REGISTRAR else "profile/not-registrar"
    assert code_of(draft(), replace(switched(), by=by)) == expected


def test_the_same_book_is_no_switch() -> None:
    refuses(ruled(), switched(), "profile/unchanged", profile="test", version=1)
    assert code_of(ruled(), switched(replace(BOOK, version=2))) == ""


@pytest.mark.parametrize(
    ("force", "code"),
    [
        (Force.IN_FORCE, ""),
        (Force.PROPOSED, ""),
        (Force.NOT_IN_FORCE, "eligibility/not-in-force"),
    ],
)
def test_what_is_not_in_force_can_only_be_asked_what_if(force: Force, code: str) -> None:
    rules = replace(BOOK, force=force)
    assert code_of(draft(), switched(rules)) == code
    assert code_of(draft(), switched(rules, what_if=True)) == ""
    assert play(draft(), switched(rules, what_if=True)).register.what_if is True


def test_a_book_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(BadInput) as refused:
        decide(draft(), switched(replace(BOOK, profile="")))
    assert refused.value.code == "profile/value"


def test_a_loan_keeps_its_rules_and_the_new_ones_hold_for_new_offers() -> None:
    escrow = play(pledged(*ALL_FACTS), switched(STRICT))
    assert escrow.book == BOOK
    assert escrow.register.book == STRICT
    drawn = play(escrow, Draw(Role.BORROWER, NOW, OWED))
    at, more = drawn.system.clock, final("cc:0")
    drawn = play(drawn, more, Mint(Role.ATTESTOR, at, "cc:0", ONE))
    # Nobody knows what the strict book asks for, and the loan's own does not ask.
    assert code_of(drawn, TopUp(Role.BORROWER, at, ONE)) == ""
    refuses(
        play(ruled(*ALL_FACTS), switched(STRICT)),
        Offer(Role.LENDER, NOW, TERMS),
        "eligibility/denied",
        rule="test/strict",
    )


def test_a_loan_without_rules_stays_without() -> None:
    escrow = play(active(), switched(STRICT))
    escrow = play(escrow, final("cc:0"), Mint(Role.ATTESTOR, NOW, "cc:0", ONE))
    assert escrow.book is None
    assert code_of(escrow, TopUp(Role.BORROWER, NOW, ONE)) == ""


def test_new_terms_are_under_the_rules_of_their_day() -> None:
    escrow = play(pledged(*ALL_FACTS), Draw(Role.BORROWER, NOW, OWED), switched(STRICT))
    refuses(escrow, Refinance(Role.OPERATOR, NOW, NEW), "eligibility/denied", rule="test/strict")
    known = play(escrow, seen("strict"))
    after = play(known, Refinance(Role.OPERATOR, NOW, NEW))
    assert after.book == STRICT


def test_new_terms_that_a_chain_took_are_noted_and_change_no_rules() -> None:
    escrow = play(pledged(*ALL_FACTS), Draw(Role.BORROWER, NOW, OWED), switched(STRICT))
    events = witness(escrow, Refinance(Role.OPERATOR, NOW, NEW))
    assert names(events) == ["Incident", "Refinanced"]
    assert fold(escrow, events).book == BOOK


def test_new_terms_of_a_loan_without_rules_stay_without() -> None:
    after = play(active(), Refinance(Role.OPERATOR, NOW, NEW))
    assert after.book is None
