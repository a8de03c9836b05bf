"""A party ends what was never drawn."""

import pytest
from deals import (
    NOW,
    ONE,
    STAGES,
    TERMS,
    accepted,
    code_of,
    offered,
    opened,
    play,
    refuses,
    secured,
)

from escrow.core.decide import decide
from escrow.core.phases import loan_phase
from escrow.core.regions.loan import LoanCancelled, OfferEnded
from escrow.core.regions.token import TokensFreed
from escrow.core.roles import Role
from escrow.core.units import Sats, Seconds
from escrow.core.verbs.cancel import Cancel

IN_TIME, LATE = TERMS.draw_by, Seconds(TERMS.draw_by + 1)
PARTIES = (Role.BORROWER, Role.LENDER)


@pytest.mark.parametrize("stage", [offered, accepted])
@pytest.mark.parametrize("by", Role)
def test_either_party_steps_back_before_the_book_knows(stage, by: Role) -> None:
    if by in PARTIES:
        assert decide(stage(), Cancel(by, NOW)) == (OfferEnded(NOW, expired=False),)
    else:
        refuses(stage(), Cancel(by, NOW), "cancel/not-party", by=by.value)


@pytest.mark.parametrize("by", Role)
@pytest.mark.parametrize("at", [IN_TIME, LATE])
def test_until_the_draw_window_ends_only_the_borrower_cancels(by: Role, at: Seconds) -> None:
    if at == LATE or by is Role.BORROWER:
        expected = ""
    else:
        expected = "cancel/draw-window" if by is Role.LENDER else "cancel/not-party"
    assert code_of(opened(), Cancel(by, at)) == expected


@pytest.mark.parametrize("by", [Role.BORROWER, Role.STRANGER])
@pytest.mark.parametrize("stage", STAGES)
def test_what_was_drawn_or_is_over_is_not_cancelled(stage: str, by: Role) -> None:
    escrow = STAGES[stage]()
    at = max(LATE, escrow.system.clock)
    if stage == "DRAFT":
        expected = "loan/unknown"
    elif stage in ("OFFERED", "ACCEPTED"):
        expected = "" if by in PARTIES else "cancel/not-party"
    elif stage in ("AWAITING_COLLATERAL", "SECURED"):
        expected = ""
    else:
        expected = "cancel/too-late"
    assert code_of(escrow, Cancel(by, at)) == expected


def test_the_collateral_goes_back() -> None:
    assert decide(secured(), Cancel(Role.BORROWER, NOW, "0xcc")) == (
        LoanCancelled(NOW, "0xcc"),
        TokensFreed(NOW, seized=Sats(0), released=ONE),
    )


def test_without_collateral_it_ends_at_once() -> None:
    after = play(opened(), Cancel(Role.BORROWER, NOW))
    assert loan_phase(after) == "CANCELLED"
