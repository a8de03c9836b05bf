"""May tokens pass from one party to another?"""

from __future__ import annotations

from dataclasses import replace

import pytest
from deals import NOW, TERMS, code_of, draft, names, play, refuses
from rulings import UNTIL, book, joined_by, needs, rule, ruled, seen

from escrow.core.decide import decide
from escrow.core.eligibility import Gate, Op
from escrow.core.regions.register import Purpose
from escrow.core.roles import Role
from escrow.core.units import MAX_MONEY, Sats, Seconds
from escrow.core.verbs.transfer import Transfer

ASK = Transfer(Role.STRANGER, NOW, TERMS.borrower, TERMS.lender, Sats(1), Purpose.PURCHASE)
"""From the borrower to the lender."""


def both_known() -> object:
    return play(ruled(), seen("hold"), seen("hold", party=TERMS.lender))


@pytest.mark.parametrize("by", Role)
def test_anyone_may_ask(by: Role) -> None:
    assert code_of(both_known(), replace(ASK, by=by)) == ""


@pytest.mark.parametrize(
    ("sats", "code"),
    [(0, "loan/amount"), (1, ""), (MAX_MONEY, ""), (MAX_MONEY + 1, "loan/amount")],
)
def test_from_a_sat_to_all_there_are(sats: int, code: str) -> None:
    assert code_of(draft(), replace(ASK, sats=Sats(sats))) == code


def test_the_receiver_is_judged_and_the_sender_is_the_other_side() -> None:
    for known in ((), (TERMS.borrower,), (TERMS.lender,)):
        escrow = play(ruled(), *(seen("hold", party=each) for each in known))
        refuses(escrow, ASK, "eligibility/denied", rule="test/hold", reason="hold is not known")
    assert names(decide(both_known(), ASK)) == ["TransferCleared"]
    one = book(rule("hold", Gate.TRANSFER))
    escrow = play(ruled(rules=one), seen("hold", party=TERMS.lender))
    assert code_of(escrow, ASK) == ""
    swapped = replace(ASK, sender=TERMS.lender, receiver=TERMS.borrower)
    assert code_of(escrow, swapped) == "eligibility/denied"


def test_the_purpose_and_the_asset_are_facts_of_the_ask() -> None:
    no_payment = joined_by(Op.ALL, needs("purpose", "purchase"), needs("asset", "pledge-token"))
    escrow = ruled(rules=book(rule("p", Gate.TRANSFER, asks=no_payment)))
    assert code_of(escrow, ASK) == ""
    assert code_of(escrow, replace(ASK, purpose=Purpose.PAYMENT)) == "eligibility/denied"
    # What a party is said to be cannot stand for what is asked.
    lied = play(escrow, seen("purpose", value="purchase", party=TERMS.lender))
    assert code_of(lied, replace(ASK, purpose=Purpose.PAYMENT)) == "eligibility/denied"


def test_evidence_that_ran_out_opens_nothing() -> None:
    assert code_of(both_known(), replace(ASK, at=UNTIL)) == ""
    late = replace(ASK, at=Seconds(UNTIL + 1))
    assert code_of(both_known(), late) == "eligibility/denied"


def test_a_clearance_moves_nothing() -> None:
    before = both_known()
    assert play(before, ASK) == before
