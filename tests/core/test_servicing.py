"""Which plans make sense."""

from dataclasses import replace

import pytest
from deals import NOW, PLAN, TERMS, active, code_of, draft, play, serviced

from escrow.core.due import due
from escrow.core.phases import loan_phase
from escrow.core.regions.servicing import Instalment
from escrow.core.roles import Role
from escrow.core.servicing import MAX_INSTALMENTS, MAX_PATIENCE
from escrow.core.terms import MAX_PRINCIPAL
from escrow.core.units import Bps, Cents, Seconds
from escrow.core.verbs.notice import Notice
from escrow.core.verbs.offer import Offer

CALL = TERMS.call_ltv


def one(due_at: int, amount: int = 1) -> tuple[Instalment, ...]:
    return (Instalment(Seconds(due_at), Cents(amount)),)


MANY = tuple(
    Instalment(Seconds(TERMS.draw_by + n), Cents(1)) for n in range(1, MAX_INSTALMENTS + 2)
)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, ""),
        ({"notices": ()}, ""),
        ({"notices": (Bps(1), Bps(CALL - 1))}, ""),
        ({"notices": (Bps(0),)}, "plan/notices"),
        ({"notices": (CALL,)}, "plan/notices"),
        ({"notices": (Bps(6_000), Bps(6_000))}, "plan/notices"),
        ({"notices": (Bps(6_500), Bps(6_000))}, "plan/notices"),
        ({"notices": tuple(Bps(n) for n in range(1, 11))}, ""),
        ({"notices": tuple(Bps(n) for n in range(1, 12))}, "plan/notices"),
        ({"instalments": ()}, ""),
        ({"instalments": one(TERMS.draw_by)}, "plan/instalments"),
        ({"instalments": one(TERMS.draw_by + 1)}, ""),
        ({"instalments": one(TERMS.maturity)}, ""),
        ({"instalments": one(TERMS.maturity + 1)}, "plan/instalments"),
        ({"instalments": PLAN.instalments[::-1]}, "plan/instalments"),
        ({"instalments": one(TERMS.maturity, 0)}, "plan/instalments"),
        ({"instalments": one(TERMS.maturity, MAX_PRINCIPAL)}, ""),
        ({"instalments": one(TERMS.maturity, MAX_PRINCIPAL + 1)}, "plan/instalments"),
        ({"instalments": MANY[:-1]}, ""),
        ({"instalments": MANY}, "plan/instalments"),
        ({"grace": MAX_PATIENCE, "delinquency": MAX_PATIENCE}, ""),
        ({"grace": Seconds(-1)}, "plan/patience"),
        ({"grace": Seconds(MAX_PATIENCE + 1)}, "plan/patience"),
        ({"delinquency": Seconds(-1)}, "plan/patience"),
        ({"delinquency": Seconds(MAX_PATIENCE + 1)}, "plan/patience"),
    ],
)
def test_a_plan_is_offered_with_the_terms(changes, code: str) -> None:
    ask = Offer(Role.LENDER, NOW, TERMS, replace(PLAN, **changes))
    assert code_of(draft(), ask) == code


def test_it_is_kept_with_the_deal() -> None:
    assert play(draft(), Offer(Role.LENDER, NOW, TERMS, PLAN)).servicing.plan == PLAN
    assert play(draft(), Offer(Role.LENDER, NOW, TERMS)).servicing.plan is None
    assert active().servicing.plan is None


def test_no_notice_without_collateral() -> None:
    """Lost coins are not a price: what is due then is another thing."""
    escrow = serviced(notices=(Bps(5_000),))
    bare = replace(escrow, token=replace(escrow.token, held=0))
    assert code_of(bare, Notice(Role.OPERATOR, NOW)) == "notice/unchanged"
    told = play(escrow, Notice(Role.OPERATOR, NOW))
    assert loan_phase(told) == "MARGIN_NOTICE"
    assert due(told) == ()
