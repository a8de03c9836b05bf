"""Where a deal asks the rules, and what a chain does without asking."""

from __future__ import annotations

from dataclasses import replace

import pytest
from deals import (
    AT_CALL,
    COIN_A,
    COIN_B,
    NOW,
    ONE,
    OWED,
    TERMS,
    accepted,
    code_of,
    draft,
    final,
    names,
    play,
    priced,
    refuses,
)
from rulings import ALL_FACTS, BOOK, UNTIL, lent, lost, pledged, ruled, seen

from escrow.core.decide import decide, witness
from escrow.core.due import OpenOnEvm, due
from escrow.core.eligibility import Gate
from escrow.core.errors import Rejected
from escrow.core.gates import check_collateral, check_gate, check_party, collateral_gate, denial
from escrow.core.roles import Role
from escrow.core.state import Incident, fold
from escrow.core.units import Sats, Seconds
from escrow.core.verbs.accept import Accept
from escrow.core.verbs.draw import Draw
from escrow.core.verbs.margin_call import MarginCall
from escrow.core.verbs.mint import Mint
from escrow.core.verbs.offer import Offer
from escrow.core.verbs.open import Open
from escrow.core.verbs.repay import Repay
from escrow.core.verbs.tick import Tick
from escrow.core.verbs.top_up import TopUp

OFFER = Offer(Role.LENDER, NOW, TERMS)
ACCEPT = Accept(Role.BORROWER, NOW)
OPEN = Open(Role.OPERATOR, NOW)
TOP_UP = TopUp(Role.BORROWER, NOW, ONE)


def test_an_offer_asks_the_rules_of_today_and_the_loan_keeps_them() -> None:
    refuses(ruled(), OFFER, "eligibility/denied", rule="test/offer", reason="offer is not known")
    assert names(decide(ruled("offer"), OFFER)) == ["OfferMade", "OfferedUnder"]
    assert play(ruled("offer"), OFFER).book == BOOK


def test_a_loan_of_another_book_is_asked_the_same() -> None:
    parties = {"borrower": TERMS.borrower, "lender": TERMS.lender}
    check_party(ruled("offer").register, BOOK, Gate.OFFER, **parties, at=NOW)
    check_party(ruled().register, None, Gate.OFFER, **parties, at=NOW)
    with pytest.raises(Rejected, match="eligibility/denied") as caught:
        check_party(ruled().register, BOOK, Gate.OFFER, **parties, at=NOW)
    assert caught.value.facts == {"rule": "test/offer", "reason": "offer is not known"}


def test_the_verb_says_no_before_the_rules_do() -> None:
    assert code_of(ruled(), replace(OFFER, by=Role.BORROWER)) == "offer/not-lender"


def test_acceptance_and_opening_ask_again() -> None:
    offered = play(ruled("offer"), OFFER)
    assert code_of(offered, ACCEPT) == ""
    refuses(play(offered, lost("offer")), ACCEPT, "eligibility/denied", rule="test/offer")
    signed = play(offered, ACCEPT)
    assert code_of(signed, OPEN) == ""
    refuses(play(signed, lost("offer")), OPEN, "eligibility/denied", rule="test/offer")


def test_nobody_is_asked_to_open_what_the_rules_refuse() -> None:
    signed = play(ruled("offer"), OFFER, ACCEPT)
    assert due(signed) == (OpenOnEvm(),)
    assert due(play(signed, lost("offer"))) == ()
    assert due(accepted()) == (OpenOnEvm(),)


def test_evidence_that_ran_out_closes_the_gate_by_time_alone() -> None:
    loan = lent("offer", "pledge")
    assert denial(loan, Gate.PLEDGE, at=UNTIL) is None
    late = Seconds(UNTIL + 1)
    refuses(play(loan, Tick(Role.WATCHER, late)), replace(TOP_UP, at=late), "eligibility/denied")


def test_the_first_collateral_is_a_pledge_and_later_ones_are_top_ups() -> None:
    refuses(lent("offer"), TOP_UP, "eligibility/denied", rule="test/pledge")
    loan = pledged("offer", "pledge")
    assert collateral_gate(loan) is Gate.PLEDGE
    drawn = play(
        play(loan, Draw(Role.BORROWER, NOW, OWED)),
        final(COIN_B),
        Mint(Role.ATTESTOR, NOW, COIN_B, ONE),
    )
    assert collateral_gate(drawn) is Gate.TOP_UP
    refuses(drawn, TOP_UP, "eligibility/denied", rule="test/more")
    assert code_of(play(drawn, seen("more")), TOP_UP) == ""
    with pytest.raises(Exception, match="eligibility/denied"):
        check_collateral(drawn, at=NOW)
    check_collateral(play(drawn, seen("more")), at=NOW)


def test_a_called_loan_is_topped_up_too() -> None:
    at = Seconds(NOW + 60)
    loan = priced(play(pledged(*ALL_FACTS), Draw(Role.BORROWER, NOW, OWED)), AT_CALL, at=at)
    called = play(loan, MarginCall(Role.OPERATOR, at))
    called = play(called, final(COIN_B, at=at), Mint(Role.ATTESTOR, at, COIN_B, ONE))
    ask = replace(TOP_UP, at=at)
    assert code_of(called, ask) == ""
    delisted = play(called, lost("more", at=at))
    refuses(delisted, ask, "eligibility/denied", rule="test/more")
    # What is owed can be paid all the same.
    assert code_of(delisted, Repay(Role.BORROWER, at, OWED)) == ""


def test_a_coin_is_a_fact_and_an_incident_says_who_sent_it() -> None:
    loan = play(ruled("offer"), OFFER, ACCEPT, OPEN)
    seen_coin = replace(final(), depth=0)
    events = witness(loan, seen_coin)
    assert names(events) == ["CoinSeen", "Incident"]
    assert events[1].code == "eligibility/denied"
    assert ("rule", "test/pledge") in events[1].facts
    assert ("outpoint", COIN_A) in events[1].facts
    # Told once: as it is buried it is the same coin.
    assert names(witness(fold(loan, events), final())) == ["CoinMined", "CoinLocked"]
    assert names(witness(play(loan, seen("pledge")), seen_coin)) == ["CoinSeen"]


def test_what_a_chain_took_against_the_rules_is_noted_and_taken_in() -> None:
    loan = lent("offer")
    half = replace(TOP_UP, sats=Sats(ONE // 2))
    events = witness(loan, half)
    assert names(events) == ["Incident", "TokensHeld"]
    assert events[0] == Incident(
        NOW,
        "TopUp",
        "eligibility/denied",
        (("reason", "pledge is not known"), ("rule", "test/pledge")),
    )
    after = fold(loan, events)
    assert (after.token.held, after.book) == (ONE // 2, BOOK)
    # Noted once; the tokens count every time.
    assert names(witness(after, half)) == ["TokensHeld"]


def test_what_a_chain_could_not_have_done_is_still_not_taken_in() -> None:
    loan = play(lent("offer", "pledge"), TOP_UP)
    assert names(witness(loan, TOP_UP)) == ["Incident"]


def test_without_a_book_every_gate_is_open() -> None:
    loan = accepted()
    assert all(denial(loan, gate, at=NOW) is None for gate in Gate)
    assert names(decide(draft(), OFFER)) == ["OfferMade"]
    for gate in Gate:
        check_gate(loan, gate, at=NOW)
