"""The borrower accepts an offer."""

import pytest
from deals import NOW, STAGES, TERMS, code_of, names, offered, play, refuses

from escrow.core.decide import decide
from escrow.core.phases import loan_phase
from escrow.core.roles import Role
from escrow.core.units import Seconds
from escrow.core.verbs.accept import Accept


@pytest.mark.parametrize("by", Role)
def test_only_the_borrower_accepts(by: Role) -> None:
    expected = "" if by is Role.BORROWER else "accept/not-borrower"
    assert code_of(offered(), Accept(by, NOW)) == expected


@pytest.mark.parametrize("stage", STAGES)
def test_only_an_open_offer_is_accepted(stage: str) -> None:
    escrow = STAGES[stage]()
    expected = "" if stage == "OFFERED" else "accept/not-offered"
    assert code_of(escrow, Accept(Role.BORROWER, escrow.system.clock)) == expected


@pytest.mark.parametrize(("late", "code"), [(-1, ""), (0, ""), (1, "accept/expired")])
def test_the_last_moment_is_in_time(late: int, code: str) -> None:
    at = Seconds(TERMS.expires_at + late)
    assert code_of(offered(), Accept(Role.BORROWER, at)) == code


def test_a_late_borrower_is_told_when_it_was() -> None:
    late_borrower = Accept(Role.BORROWER, Seconds(TERMS.expires_at + 5))
    refuses(
        offered(),
        late_borrower,
        "accept/expired",
        expires_at=TERMS.expires_at,
        now=TERMS.expires_at + 5,
    )


def test_acceptance_keeps_the_terms_as_offered() -> None:
    accept = Accept(Role.BORROWER, NOW)
    assert names(decide(offered(), accept)) == ["OfferAccepted"]
    after = play(offered(), accept)
    assert loan_phase(after) == "ACCEPTED"
    assert after.loan.terms == TERMS
