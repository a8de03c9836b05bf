"""The borrower is told that the price nears the call level."""

import pytest
from deals import (
    AT_CALL,
    AT_INITIAL,
    NOW,
    ONE,
    PLAN,
    STAGES,
    code_of,
    play,
    priced,
    refuses,
    secured,
    serviced,
    stale,
)

from escrow.core.decide import decide
from escrow.core.due import CallMargin, GiveNotice, ask_of, due
from escrow.core.phases import loan_phase
from escrow.core.regions.servicing import MarginNoticed, NoticeLifted
from escrow.core.roles import Role
from escrow.core.units import Bps, PriceE8, Seconds
from escrow.core.verbs.margin_call import MarginCall
from escrow.core.verbs.notice import Notice
from escrow.core.verbs.repay import Repay

AT = Seconds(NOW + 60)
AT_FIRST = PriceE8(-(-2_400_000 * 10**10 // 5_500))
"""Least price at which 24,000.00 against a coin stands below 55 %, less one unit: at or above."""
AT_SECOND = PriceE8(-(-2_400_000 * 10**10 // 6_500))


def at_price(price: int):
    return priced(serviced(), PriceE8(price), at=AT)


@pytest.mark.parametrize("by", Role)
def test_anyone_tells(by: Role) -> None:
    assert code_of(at_price(AT_CALL + 1), Notice(by, AT)) == ""


@pytest.mark.parametrize("stage", STAGES)
def test_only_an_active_loan_gets_notices_and_only_by_a_plan(stage: str) -> None:
    escrow = STAGES[stage]()
    if stage in ("DRAFT", "OFFERED", "ACCEPTED"):
        expected = "loan/unknown"
    else:
        expected = "notice/unchanged" if stage == "ACTIVE" else "notice/not-active"
    assert code_of(escrow, Notice(Role.OPERATOR, escrow.system.clock)) == expected


@pytest.mark.parametrize(
    ("price", "noticed"),
    [
        (AT_INITIAL, 0),
        (AT_FIRST, 0),
        (AT_FIRST - 1, 1),
        (AT_SECOND, 1),
        (AT_SECOND - 1, 2),
    ],
)
def test_a_level_is_reached_exactly(price: int, noticed: int) -> None:
    escrow = at_price(price)
    if not noticed:
        refuses(escrow, Notice(Role.OPERATOR, AT), "notice/unchanged", noticed=0)
        assert due(escrow) == ()
        return
    [told] = decide(escrow, Notice(Role.OPERATOR, AT))
    assert told == MarginNoticed(AT, noticed, 2)
    after = play(escrow, Notice(Role.OPERATOR, AT))
    assert loan_phase(after) == "MARGIN_NOTICE"
    assert due(after) == ()


def test_equality_is_reached() -> None:
    """At 50 % exactly, where that is a level."""
    escrow = serviced(notices=(Bps(5_000),))
    [told] = decide(escrow, Notice(Role.OPERATOR, NOW))
    assert told == MarginNoticed(NOW, 1, 1)


def test_it_needs_a_fresh_price() -> None:
    assert code_of(stale(serviced()), Notice(Role.OPERATOR, Seconds(NOW + 3_601))) == "price/stale"


def test_it_is_lifted_when_the_price_is_back() -> None:
    escrow = play(at_price(AT_SECOND - 1), Notice(Role.OPERATOR, AT))
    escrow = priced(escrow, AT_INITIAL, at=Seconds(AT + 60))
    [told] = decide(escrow, Notice(Role.OPERATOR, Seconds(AT + 60)))
    assert told == NoticeLifted(Seconds(AT + 60), 0, 3)
    assert loan_phase(play(escrow, Notice(Role.OPERATOR, Seconds(AT + 60)))) == "ACTIVE"


def test_a_payment_lifts_it_too() -> None:
    escrow = play(at_price(AT_FIRST - 1), Notice(Role.OPERATOR, AT))
    escrow = play(escrow, Repay(Role.BORROWER, AT, 1_000))
    assert due(escrow) == (GiveNotice(0, 2),)


def test_the_operator_owes_it_and_a_call_comes_first() -> None:
    [effect] = due(at_price(AT_FIRST - 1))
    assert effect == GiveNotice(1, 2)
    assert effect.id == "notice/1/2"
    assert ask_of(effect, at=AT) == Notice(Role.OPERATOR, AT)
    [effect] = due(at_price(AT_CALL))
    assert effect == CallMargin(2)
    assert ask_of(effect, at=AT) is None


def test_a_called_loan_is_past_notices() -> None:
    escrow = play(at_price(AT_CALL), MarginCall(Role.OPERATOR, AT))
    assert code_of(escrow, Notice(Role.OPERATOR, AT)) == "notice/not-active"
    assert loan_phase(escrow) == "MARGIN_CALL"


def test_levels_are_the_plans() -> None:
    assert PLAN.notices == (5_500, 6_500)
    assert serviced().token.held == ONE
    assert secured().servicing.plan is None
