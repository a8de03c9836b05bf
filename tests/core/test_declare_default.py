"""The lender declares a default."""

import pytest
from deals import NOW, PLAN, STAGES, code_of, kept_fresh, play, refuses, serviced

from escrow.core.decide import decide
from escrow.core.due import RealiseCollateral, due
from escrow.core.phases import loan_phase
from escrow.core.regions.servicing import DefaultDeclared, Standing
from escrow.core.roles import Role
from escrow.core.terms import Liquidation
from escrow.core.units import DAY, Cents, Seconds
from escrow.core.verbs.assess import Assess
from escrow.core.verbs.declare_default import DeclareDefault
from escrow.core.verbs.impair import Impair
from escrow.core.verbs.liquidate import Liquidate
from escrow.core.verbs.repay import Repay

DUE = PLAN.instalments[0].due_at
LAST = Seconds(DUE + 7 * DAY)
"""Two days of grace and five of delinquency."""


@pytest.mark.parametrize("by", Role)
def test_only_the_lender_has_the_right(by: Role) -> None:
    expected = "" if by is Role.LENDER else "default/not-lender"
    assert code_of(serviced(), DeclareDefault(by, Seconds(LAST + 1))) == expected


@pytest.mark.parametrize("stage", STAGES)
def test_only_of_what_is_lent_under_a_plan(stage: str) -> None:
    escrow = STAGES[stage]()
    if stage in ("DRAFT", "OFFERED", "ACCEPTED"):
        expected = "loan/unknown"
    elif stage in ("ACTIVE", "MARGIN_CALL", "LIQUIDATING"):
        expected = "plan/none"
    else:
        expected = "assess/no-debt"
    assert code_of(escrow, DeclareDefault(Role.LENDER, escrow.system.clock)) == expected


@pytest.mark.parametrize(
    ("at", "code"),
    [
        (DUE, "default/not-overdue"),
        (DUE + 1, "default/too-early"),
        (LAST, "default/too-early"),
        (LAST + 1, ""),
    ],
)
def test_when(at: int, code: str) -> None:
    assert code_of(serviced(), DeclareDefault(Role.LENDER, Seconds(at))) == code


def test_the_refusal_says_from_when() -> None:
    ask = DeclareDefault(Role.LENDER, LAST)
    refuses(serviced(), ask, "default/too-early", now=LAST, after=LAST)


def test_an_impaired_loan_defaults_by_its_own_clock() -> None:
    escrow = play(serviced(), Impair(Role.LENDER, NOW))
    last = Seconds(NOW + 7 * DAY)
    assert code_of(escrow, DeclareDefault(Role.LENDER, last)) == "default/too-early"
    [said] = decide(escrow, DeclareDefault(Role.LENDER, Seconds(last + 1)))
    assert said == DefaultDeclared(Seconds(last + 1), NOW)


def test_paid_in_the_last_second_it_is_none() -> None:
    escrow = play(serviced(), Repay(Role.BORROWER, LAST, Cents(400_000)))
    ask = DeclareDefault(Role.LENDER, Seconds(LAST + 1))
    assert code_of(escrow, ask) == "default/not-overdue"


def test_it_stands_until_the_debt_is_paid() -> None:
    at = Seconds(LAST + 1)
    escrow = play(serviced(), DeclareDefault(Role.LENDER, at))
    assert (escrow.servicing.standing, loan_phase(escrow)) == (Standing.DEFAULTED, "DEFAULTED")
    assert code_of(escrow, DeclareDefault(Role.LENDER, at)) == "default/declared"
    part = play(escrow, Repay(Role.BORROWER, at, Cents(400_000)))
    assert code_of(part, Assess(Role.OPERATOR, at)) == "assess/unchanged"
    assert loan_phase(part) == "DEFAULTED"
    whole = play(part, Repay(Role.BORROWER, at, Cents(10**9)))
    assert loan_phase(whole) == "REPAID"


def test_the_coins_wait_for_the_books_own_time() -> None:
    """T23: as a default transaction signed in advance waits for its lock time."""
    escrow = play(serviced(), DeclareDefault(Role.LENDER, Seconds(LAST + 1)))
    healthy = kept_fresh(escrow, until=Seconds(LAST + 60), price=escrow.system.price.price)
    ask = Liquidate(Role.LENDER, Seconds(LAST + 60), Liquidation.TAKE_OVER)
    assert code_of(healthy, ask) == "liquidate/healthy"
    assert RealiseCollateral(Liquidation.TAKE_OVER) not in due(healthy)
    book = Seconds(escrow.loan.terms.maturity + escrow.loan.terms.grace + 1)
    late = kept_fresh(healthy, until=book, price=escrow.system.price.price)
    assert RealiseCollateral(Liquidation.TAKE_OVER) in due(late)
