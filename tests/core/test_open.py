"""The escrow book takes the loan in."""

from dataclasses import replace

import pytest
from deals import NOW, STAGES, TERMS, accepted, code_of, play

from escrow.core.phases import loan_phase
from escrow.core.regions.loan import Accepted
from escrow.core.roles import Role
from escrow.core.rules import Debt
from escrow.core.units import Seconds
from escrow.core.verbs.open import Open


@pytest.mark.parametrize("by", Role)
def test_anyone_may_carry_the_signatures(by: Role) -> None:
    assert loan_phase(play(accepted(), Open(by, NOW))) == "AWAITING_COLLATERAL"


@pytest.mark.parametrize("stage", STAGES)
def test_only_accepted_terms_are_opened_and_once(stage: str) -> None:
    escrow = STAGES[stage]()
    expected = {"DRAFT": "open/not-accepted", "OFFERED": "open/not-accepted", "ACCEPTED": ""}
    # The contract asks for the time first, so a loan that is old says so.
    again = "open/expired" if escrow.system.clock > TERMS.expires_at else "loan/exists"
    command = Open(Role.OPERATOR, escrow.system.clock)
    assert code_of(escrow, command) == expected.get(stage, again)


@pytest.mark.parametrize(("late", "code"), [(-1, ""), (0, ""), (1, "open/expired")])
def test_the_last_moment_is_in_time(late: int, code: str) -> None:
    assert code_of(accepted(), Open(Role.OPERATOR, Seconds(TERMS.expires_at + late))) == code


def test_an_opened_loan_owes_nothing() -> None:
    assert play(accepted(), Open(Role.OPERATOR, NOW)).loan.debt == Debt()


def test_terms_that_refinance_open_no_loan() -> None:
    terms = replace(TERMS, origin="0x" + 64 * "1")
    escrow = play(replace(accepted(), loan=Accepted(terms)))
    assert code_of(escrow, Open(Role.OPERATOR, NOW)) == "loan/terms"
