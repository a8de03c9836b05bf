"""The lender holds a loan for impaired."""

from dataclasses import replace

import pytest
from deals import NOW, STAGES, TERMS, active, code_of, play, refuses, serviced

from escrow.core.phases import loan_phase
from escrow.core.regions.servicing import Standing
from escrow.core.roles import Role
from escrow.core.state import Escrow
from escrow.core.units import DAY, Cents, Seconds
from escrow.core.verbs.assess import Assess
from escrow.core.verbs.declare_default import DeclareDefault
from escrow.core.verbs.impair import Impair, LiftImpairment
from escrow.core.verbs.refinance import Refinance
from escrow.core.verbs.repay import Repay

AT = Seconds(NOW + DAY)


def impaired() -> Escrow:
    return play(serviced(), Impair(Role.LENDER, AT))


@pytest.mark.parametrize("by", Role)
@pytest.mark.parametrize("ask", [Impair, LiftImpairment])
def test_only_the_lender_judges(by: Role, ask: type[Impair] | type[LiftImpairment]) -> None:
    escrow = serviced() if ask is Impair else impaired()
    expected = "" if by is Role.LENDER else "impair/not-lender"
    assert code_of(escrow, ask(by, AT)) == expected


@pytest.mark.parametrize("stage", STAGES)
def test_only_what_is_lent_under_a_plan(stage: str) -> None:
    escrow = STAGES[stage]()
    if stage in ("DRAFT", "OFFERED", "ACCEPTED"):
        expected = "loan/unknown"
    elif stage in ("ACTIVE", "MARGIN_CALL", "LIQUIDATING"):
        expected = "plan/none"
    else:
        expected = "assess/no-debt"
    for ask in (Impair, LiftImpairment):
        assert code_of(escrow, ask(Role.LENDER, escrow.system.clock)) == expected


def test_once() -> None:
    refuses(impaired(), Impair(Role.LENDER, AT), "impair/already", impaired_at=AT)
    assert code_of(serviced(), LiftImpairment(Role.LENDER, AT)) == "impair/not-impaired"


def test_all_of_the_debt_is_due_at_once() -> None:
    escrow = impaired()
    assert loan_phase(escrow) == "IMPAIRED"
    assert code_of(escrow, Assess(Role.OPERATOR, AT)) == "assess/unchanged"
    then = Seconds(AT + 1)
    escrow = play(escrow, Assess(Role.OPERATOR, then))
    assert (escrow.servicing.standing, loan_phase(escrow)) == (Standing.PAYMENT_GRACE, "IMPAIRED")
    then = Seconds(AT + 2 * DAY + 1)
    assert loan_phase(play(escrow, Assess(Role.OPERATOR, then))) == "DELINQUENT"


def test_lifted_the_plan_counts_again() -> None:
    then = Seconds(AT + 1)
    escrow = play(impaired(), Assess(Role.OPERATOR, then), LiftImpairment(Role.LENDER, then))
    escrow = play(escrow, Assess(Role.OPERATOR, then))
    assert (escrow.servicing.standing, loan_phase(escrow)) == (Standing.PERFORMING, "ACTIVE")


def test_a_payment_is_still_taken() -> None:
    escrow = play(impaired(), Repay(Role.BORROWER, AT, Cents(10**9)))
    assert loan_phase(escrow) == "REPAID"


def test_a_declared_default_is_not_taken_back_by_words() -> None:
    then = Seconds(AT + 7 * DAY + 1)
    escrow = play(impaired(), DeclareDefault(Role.LENDER, then))
    for ask in (Impair, LiftImpairment):
        assert code_of(escrow, ask(Role.LENDER, then)) == "default/declared"


def test_new_terms_end_the_plan() -> None:
    new = replace(TERMS, expires_at=AT, maturity=Seconds(TERMS.maturity + 1))
    escrow = play(serviced(), Impair(Role.LENDER, Seconds(NOW + 60)))
    after = play(escrow, Refinance(Role.OPERATOR, Seconds(NOW + 60), new))
    assert after.servicing.plan is None
    assert loan_phase(after) == loan_phase(active()) == "ACTIVE"
