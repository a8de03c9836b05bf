"""Substitution: asked for, answered, confirmed; the old piece goes when the new one is there."""

from __future__ import annotations

from dataclasses import replace

import pytest
from messages_lab import LOAN, check

from escrow.core.errors import BadInput
from escrow.core.units import Bps, Cents, Sats, Seconds
from escrow.messages.fold import Message
from escrow.messages.iso import NAMES, Piece
from escrow.messages.iso_substitution import (
    MAX_PIECES,
    Substitution,
    substitution_confirmation,
    substitution_request,
    substitution_response,
)
from escrow.messages.margin import Pact
from escrow.messages.words import Side

NOW = Seconds(1_764_547_200)
PACT = Pact(LOAN, "0x" + "1e" * 20, "0x" + "b0" * 20, "0x" + "5a" * 32, NOW, "XTS")
OLD = Piece("aa:0", "aa" * 32 + ":0", Sats(10**8), Cents(4_000_000), Cents(2_400_000))
NEW = Piece("bb:1", "bb" * 32 + ":1", Sats(11 * 10**7), Cents(4_400_000), Cents(2_640_000))
ASKED = Substitution(PACT, NOW, "ask-1", (OLD,), (NEW,), Cents(2_400_000), Bps(4_000))
AGREED = replace(ASKED, accepted=True)
THERE = replace(AGREED, received=True)


def valid(definition: str, body: dict) -> dict:
    message = Message(definition, NAMES[definition], Side.BORROWER, NOW, 0, PACT, body)
    return check(message)["body"]


def refuses(code: str, make, **facts) -> None:
    with pytest.raises(BadInput) as refusal:
        make()
    assert refusal.value.code == code
    assert facts.items() <= refusal.value.facts.items()


def test_a_request_names_both_pieces():
    body = valid("colr.010", substitution_request(ASKED))
    back, come = body["CollateralSubstitutionReturn"], body["CollateralSubstitutionDeliver"]
    assert back["OtherCollateral"][0]["AssetNumber"] == "aa:0"
    assert come["OtherCollateral"][0]["CollateralValue"]["Amount"] == "26400.00"
    assert come["SubstitutionRequirement"]["Amount"] == "24000.00"


def test_a_request_is_accepted():
    body = valid("colr.011", substitution_response(AGREED, id="answer-1"))
    assert body["SubstitutionResponse"]["ResponseType"] == "PACK"
    details = body["SubstitutionResponse"]["CollateralSubstitutionAcceptanceDetails"]
    assert details["CollateralSubstitutionRequestIdentification"] == "ask-1"


def test_a_request_is_rejected_with_a_reason():
    body = valid("colr.011", substitution_response(ASKED, id="answer-1", reason="too few coins"))
    details = body["SubstitutionResponse"]["CollateralSubstitutionRejectionDetails"]
    assert details["RejectionReasonInformation"] == "too few coins"
    refuses("message/value", lambda: substitution_response(ASKED, id="answer-1"))


def test_the_new_piece_is_confirmed_and_then_the_old_one():
    for change, returned, kind in ((AGREED, False, "CREL"), (THERE, True, "CRET")):
        body = substitution_confirmation(change, id="c-1", response="answer-1", returned=returned)
        found = valid("colr.012", body)["SubstitutionConfirmation"]
        assert found["ConfirmationType"] == kind


@pytest.mark.parametrize(
    ("change", "returned", "reason"),
    [
        (ASKED, False, "not accepted"),
        (ASKED, True, "not accepted"),
        (AGREED, True, "not received"),
    ],
)
def test_nothing_is_confirmed_out_of_turn(change, returned, reason):
    refuses(
        "message/order",
        lambda: substitution_confirmation(change, id="c", response="a", returned=returned),
        reason=reason,
    )


def test_what_was_not_agreed_is_not_received():
    refuses("message/order", lambda: replace(ASKED, received=True))


@pytest.mark.parametrize("name", ["returned", "delivered"])
def test_pieces_are_some_and_not_too_many(name):
    refuses("message/value", lambda: replace(ASKED, **{name: ()}), at=name)
    refuses("message/value", lambda: replace(ASKED, **{name: (OLD,) * (MAX_PIECES + 1)}), at=name)
    assert len(getattr(replace(ASKED, **{name: (OLD,) * MAX_PIECES}), name)) == MAX_PIECES


@pytest.mark.parametrize("id", ["", "x" * 36, "a b"])
def test_identifications_are_checked(id):
    refuses("message/value", lambda: replace(ASKED, request=id))
    refuses("message/value", lambda: substitution_response(AGREED, id=id))
    refuses(
        "message/value",
        lambda: substitution_confirmation(AGREED, id="c", response=id, returned=False),
    )


def test_a_piece_without_a_price_has_no_value():
    unpriced = replace(NEW, market=None, counted=None)
    body = valid("colr.010", substitution_request(replace(ASKED, delivered=(unpriced,))))
    [piece] = body["CollateralSubstitutionDeliver"]["OtherCollateral"]
    assert "CollateralValue" not in piece
