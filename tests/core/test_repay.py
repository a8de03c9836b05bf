"""Anyone repays, part or all, whatever the oracle or the lender do."""

import pytest
from deals import (
    NOW,
    ONE,
    OWED,
    STAGES,
    active,
    called,
    code_of,
    liquidating,
    names,
    play,
    stale,
)

from escrow.core.decide import decide
from escrow.core.phases import debt_now, loan_phase
from escrow.core.regions.loan import Repayment
from escrow.core.regions.token import TokensFreed
from escrow.core.roles import Role
from escrow.core.units import DAY, YEAR, Bps, Cents, Sats, Seconds
from escrow.core.verbs.pledge import SawCoinGone
from escrow.core.verbs.repay import Repay
from escrow.core.verbs.retire import Retire

MONTH = Seconds(NOW + 31 * DAY)


@pytest.mark.parametrize("by", Role)
def test_anyone_may_pay_anothers_debt(by: Role) -> None:
    paid = decide(active(), Repay(by, NOW, Cents(5)))
    assert paid == (Repayment(NOW, by.value, Cents(0), Cents(5), ""),)


@pytest.mark.parametrize("stage", STAGES)
def test_where_there_is_debt_it_may_be_paid(stage: str) -> None:
    escrow = STAGES[stage]()
    if stage in ("DRAFT", "OFFERED", "ACCEPTED"):
        expected = "loan/unknown"
    elif stage in ("ACTIVE", "MARGIN_CALL", "LIQUIDATING"):
        expected = ""
    else:
        expected = "repay/no-debt"
    assert code_of(escrow, Repay(Role.BORROWER, escrow.system.clock, Cents(1))) == expected


@pytest.mark.parametrize(("amount", "code"), [(-1, "loan/amount"), (0, "loan/amount"), (1, "")])
def test_at_least_one_cent(amount: int, code: str) -> None:
    assert code_of(active(), Repay(Role.BORROWER, NOW, Cents(amount))) == code


@pytest.mark.parametrize("stage", [active, called, liquidating])
def test_repayment_asks_for_no_price(stage) -> None:
    dark = stale(stage())
    after = play(dark, Repay(Role.BORROWER, dark.system.clock, OWED))
    assert loan_phase(after) == "REPAID"
    assert (after.token.held, after.token.minted) == (0, ONE)


@pytest.mark.parametrize(
    ("amount", "interest", "principal", "left"),
    [
        # 24,000.00 at 23 % for 31 days: 46,882.19… cents, rounded up.
        (1, 1, 0, 2_400_000 + 46_882),
        (46_882, 46_882, 0, 2_400_001),
        (46_883, 46_883, 0, 2_400_000),
        (46_884, 46_883, 1, 2_399_999),
        (2_446_882, 46_883, 2_399_999, 1),
        (2_446_883, 46_883, 2_400_000, 0),
        (2_446_884, 46_883, 2_400_000, 0),
        (10**15, 46_883, 2_400_000, 0),
    ],
)
def test_interest_first_then_principal_and_never_more(amount, interest, principal, left) -> None:
    escrow = active(rate_bps=Bps(2_300))
    pay = Repay(Role.BORROWER, MONTH, Cents(amount), "0xaa")
    first = decide(escrow, pay)[0]
    assert first == Repayment(MONTH, "borrower", Cents(interest), Cents(principal), "0xaa")
    after = play(escrow, pay)
    assert debt_now(after, at=MONTH) == left
    assert loan_phase(after) == ("ACTIVE" if left else "REPAID")


def test_the_last_cent_frees_the_tokens() -> None:
    pay = Repay(Role.BORROWER, NOW, OWED)
    assert decide(active(), pay)[1] == TokensFreed(NOW, seized=Sats(0), released=ONE)
    almost = Repay(Role.BORROWER, NOW, Cents(OWED - 1))
    assert names(decide(active(), almost)) == ["Repayment"]


@pytest.mark.parametrize("stage", [called, liquidating])
def test_a_part_paid_keeps_the_phase(stage) -> None:
    escrow = stage()
    after = play(escrow, Repay(Role.BORROWER, escrow.system.clock, Cents(1)))
    assert type(after.loan) is type(escrow.loan)
    assert after.loan.debt.paid_principal == 1


def test_many_small_payments_cost_the_borrower_less_than_a_cent_each() -> None:
    """Rounding up collects a fraction of a cent early; it is not owed again."""
    escrow = active(rate_bps=Bps(1_000))
    for month in range(1, 13):
        at = Seconds(NOW + YEAR * month // 12)
        escrow = play(escrow, Repay(Role.BORROWER, at, Cents(20_000)))
    # 240,000 cents of interest in the year, paid in twelve exact parts.
    assert escrow.loan.debt.paid_interest == 240_000
    assert escrow.loan.debt.principal == OWED
    assert escrow.loan.debt.interest_acc == 0


def test_when_the_collateral_was_lost_nothing_is_freed() -> None:
    bare = play(
        active(),
        SawCoinGone(Role.WATCHER, NOW, "aa:0", "ff"),
        Retire(Role.ATTESTOR, NOW, "aa:0", ONE),
    )
    events = decide(bare, Repay(Role.BORROWER, NOW, OWED))
    assert names(events) == ["Repayment", "LoanEnded"]
