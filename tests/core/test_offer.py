"""The lender offers. What makes terms sound is in test_terms."""

from dataclasses import replace

import pytest
from deals import NOW, STAGES, TERMS, code_of, draft, names, play

from escrow.core.decide import decide
from escrow.core.roles import Role
from escrow.core.units import Bps
from escrow.core.verbs.offer import Offer


@pytest.mark.parametrize("by", Role)
def test_only_the_lender_offers(by: Role) -> None:
    expected = "" if by is Role.LENDER else "offer/not-lender"
    assert code_of(draft(), Offer(by, NOW, TERMS)) == expected


@pytest.mark.parametrize("stage", STAGES)
def test_a_deal_is_offered_once(stage: str) -> None:
    escrow = STAGES[stage]()
    again = Offer(Role.LENDER, escrow.system.clock, TERMS)
    assert code_of(escrow, again) == ("" if stage == "DRAFT" else "offer/already-offered")


def test_unsound_terms_are_refused() -> None:
    unsound = replace(TERMS, initial_ltv=Bps(0))
    assert code_of(draft(), Offer(Role.LENDER, NOW, unsound)) == "terms/ltv-order"


def test_an_offer_binds_to_exactly_these_terms() -> None:
    offer = Offer(Role.LENDER, NOW, TERMS)
    assert names(decide(draft(), offer)) == ["OfferMade"]
    assert play(draft(), offer).loan.terms == TERMS
