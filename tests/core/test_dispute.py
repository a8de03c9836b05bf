"""A margin call is disputed, and decided on."""

import pytest
from deals import (
    AT_CALL,
    AT_LIQUIDATION,
    NOW,
    STAGES,
    TERMS,
    called,
    code_of,
    kept_fresh,
    play,
    priced,
    refuses,
    stale,
)

from escrow.core.due import EndDispute, due, wakes
from escrow.core.phases import loan_phase
from escrow.core.regions.loan import Called
from escrow.core.roles import Role
from escrow.core.terms import Liquidation
from escrow.core.units import DAY, HOUR, Seconds
from escrow.core.verbs.cure import Cure
from escrow.core.verbs.dispute import Dispute, Resolve
from escrow.core.verbs.expire_call import ExpireCall
from escrow.core.verbs.liquidate import Liquidate
from escrow.core.verbs.margin_call import MarginCall

AT = Seconds(NOW + 60)
LIMIT = Seconds(2 * DAY)
NAMED = {"arbiter": "0x" + "ab" * 20, "dispute": LIMIT}


def arguable(**terms: object):
    """Called, under terms that name an arbiter."""
    return called(**NAMED, **terms)


def disputed():
    """An hour later the borrower disputes the call."""
    escrow = kept_fresh(arguable(), until=Seconds(AT + HOUR))
    return play(escrow, Dispute(Role.BORROWER, Seconds(AT + HOUR)))


BEGUN = Seconds(AT + HOUR)


@pytest.mark.parametrize("by", Role)
def test_only_the_borrower_disputes(by: Role) -> None:
    expected = "" if by is Role.BORROWER else "dispute/not-borrower"
    assert code_of(arguable(), Dispute(by, AT)) == expected


@pytest.mark.parametrize("stage", STAGES)
def test_only_a_call_is_disputed_and_only_where_someone_decides(stage: str) -> None:
    escrow = STAGES[stage]()
    if stage in ("DRAFT", "OFFERED", "ACCEPTED"):
        expected = "loan/unknown"
    else:
        expected = "dispute/no-arbiter" if stage == "MARGIN_CALL" else "dispute/not-called"
    assert code_of(escrow, Dispute(Role.BORROWER, escrow.system.clock)) == expected


def test_once_a_call() -> None:
    assert code_of(disputed(), Dispute(Role.BORROWER, BEGUN)) == "dispute/heard"
    decided = play(disputed(), Resolve(Role.ARBITER, BEGUN, False))
    assert code_of(decided, Dispute(Role.BORROWER, BEGUN)) == "dispute/heard"


def test_another_call_may_be_disputed_again() -> None:
    void = play(disputed(), Resolve(Role.ARBITER, BEGUN, True))
    again = play(void, MarginCall(Role.OPERATOR, BEGUN))
    assert code_of(again, Dispute(Role.BORROWER, BEGUN)) == ""


@pytest.mark.parametrize("by", Role)
def test_only_the_arbiter_decides_in_time(by: Role) -> None:
    expected = "" if by is Role.ARBITER else "dispute/not-arbiter"
    assert code_of(disputed(), Resolve(by, Seconds(BEGUN + LIMIT), True)) == expected


@pytest.mark.parametrize("by", Role)
def test_after_its_time_anyone_ends_it_and_the_call_stands(by: Role) -> None:
    late = Seconds(BEGUN + LIMIT + 1)
    after = play(disputed(), Resolve(by, late, True))
    assert isinstance(after.loan, Called)
    assert after.loan.dispute is None


def test_where_nothing_is_disputed_nothing_is_decided() -> None:
    assert code_of(arguable(), Resolve(Role.ARBITER, AT, True)) == "dispute/none"
    decided = play(disputed(), Resolve(Role.ARBITER, BEGUN, False))
    assert code_of(decided, Resolve(Role.ARBITER, BEGUN, True)) == "dispute/none"


def test_a_wrong_call_is_void() -> None:
    after = play(disputed(), Resolve(Role.ARBITER, BEGUN, True))
    assert loan_phase(after) == "ACTIVE"


def test_a_call_that_stands_gives_the_time_back() -> None:
    before = disputed()
    at = Seconds(BEGUN + 5 * HOUR)
    after = play(kept_fresh(before, until=at), Resolve(Role.ARBITER, at, False))
    assert after.loan.deadline == before.loan.deadline + 5 * HOUR


def test_time_without_a_price_is_not_given_back_twice() -> None:
    """The active clock stood: that time was never lost."""
    before = disputed()
    at = Seconds(BEGUN + 5 * HOUR)
    after = play(before, Resolve(Role.ARBITER, at, False))
    assert after.loan.deadline == before.loan.deadline + HOUR


def test_a_disputed_call_does_not_expire() -> None:
    late = Seconds(AT + TERMS.cure + 1)
    escrow = kept_fresh(disputed(), until=late)
    refuses(escrow, ExpireCall(Role.OPERATOR, late), "expire/disputed", since=BEGUN)


def test_the_liquidation_level_is_not_held_up() -> None:
    at = Seconds(BEGUN + 1)
    escrow = priced(disputed(), AT_LIQUIDATION, at=at)
    assert code_of(escrow, Liquidate(Role.LENDER, at, Liquidation.TAKE_OVER)) == ""


def test_a_restored_loan_is_cured_whatever_the_arbiter_thinks() -> None:
    at = Seconds(BEGUN + 1)
    escrow = priced(disputed(), 2 * AT_CALL, at=at)
    assert loan_phase(play(escrow, Cure(Role.OPERATOR, at))) == "ACTIVE"


def test_a_silent_arbiter_is_waited_for_and_no_longer() -> None:
    from escrow.core.verbs.tick import Tick

    before = disputed()
    assert BEGUN + LIMIT + 1 in wakes(before)
    at_the_end = play(before, Tick(Role.WATCHER, Seconds(BEGUN + LIMIT)))
    after = play(before, Tick(Role.WATCHER, Seconds(BEGUN + LIMIT + 1)))
    assert EndDispute(BEGUN) not in due(at_the_end)
    assert EndDispute(BEGUN) in due(after)
    assert EndDispute(BEGUN).id == f"resolve/{BEGUN}"


def test_no_price_is_needed_to_dispute_or_to_decide() -> None:
    dark = stale(arguable())
    at = dark.system.clock
    after = play(dark, Dispute(Role.BORROWER, at), Resolve(Role.ARBITER, at, True))
    assert loan_phase(after) == "ACTIVE"
