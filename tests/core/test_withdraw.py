"""The borrower takes excess collateral back."""

import pytest
from deals import (
    AT_INITIAL,
    NOW,
    ONE,
    STAGES,
    TERMS,
    active,
    code_of,
    names,
    play,
    priced,
    refuses,
    stale,
)

from escrow.core.decide import decide
from escrow.core.regions.token import TokensFreed
from escrow.core.roles import Role
from escrow.core.units import HOUR, Bps, PriceE8, Sats, Seconds
from escrow.core.verbs.withdraw import Withdraw

AT = Seconds(NOW + 60)
HALF = Sats(ONE // 2)


def rich(**terms: object):
    """The price doubled: half a coin would carry the debt."""
    return priced(active(**terms), PriceE8(2 * AT_INITIAL), at=AT)


@pytest.mark.parametrize("by", Role)
def test_only_the_borrower_withdraws(by: Role) -> None:
    expected = "" if by is Role.BORROWER else "withdraw/not-borrower"
    assert code_of(rich(), Withdraw(by, AT, HALF)) == expected


@pytest.mark.parametrize("stage", STAGES)
def test_only_from_a_loan_that_is_drawn_and_in_order(stage: str) -> None:
    escrow = priced(STAGES[stage](), PriceE8(4 * AT_INITIAL), at=Seconds(TERMS.recover_at + 1))
    if stage in ("DRAFT", "OFFERED", "ACCEPTED"):
        expected = "loan/unknown"
    else:
        expected = "withdraw/matured" if stage == "ACTIVE" else "withdraw/not-active"
    assert code_of(escrow, Withdraw(Role.BORROWER, escrow.system.clock, Sats(1))) == expected


@pytest.mark.parametrize(
    ("sats", "code"),
    [
        (0, "loan/amount"),
        (-1, "loan/amount"),
        (1, ""),
        (HALF, ""),
        (HALF + 1, "withdraw/above-initial-ltv"),
        (ONE, "withdraw/above-initial-ltv"),
        (ONE + 1, "token/balance"),
    ],
)
def test_what_stays_carries_the_debt_at_the_initial_level(sats: int, code: str) -> None:
    assert code_of(rich(), Withdraw(Role.BORROWER, AT, Sats(sats))) == code


@pytest.mark.parametrize(("price", "code"), [(0, ""), (-1, "withdraw/above-initial-ltv")])
def test_the_level_is_exact(price: int, code: str) -> None:
    escrow = priced(active(), PriceE8(2 * AT_INITIAL + price), at=AT)
    assert code_of(escrow, Withdraw(Role.BORROWER, AT, HALF)) == code


@pytest.mark.parametrize(("late", "code"), [(0, ""), (1, "withdraw/matured")])
def test_not_when_the_loan_is_due(late: int, code: str) -> None:
    at = Seconds(TERMS.maturity + late)
    escrow = priced(active(), PriceE8(2 * AT_INITIAL), at=at)
    assert code_of(escrow, Withdraw(Role.BORROWER, at, HALF)) == code


def test_not_on_a_stale_price() -> None:
    dark = stale(rich())
    assert code_of(dark, Withdraw(Role.BORROWER, dark.system.clock, HALF)) == "price/stale"


def test_interest_counts() -> None:
    escrow = rich(rate_bps=Bps(100_000))
    at = Seconds(AT + HOUR)
    refuses(
        escrow,
        Withdraw(Role.BORROWER, at, HALF),
        "withdraw/above-initial-ltv",
        ltv_bps=5_006,
        initial_ltv=5_000,
    )


def test_the_tokens_are_free_and_the_debt_is_as_it_was() -> None:
    events = decide(rich(), Withdraw(Role.BORROWER, AT, HALF, "0xaa"))
    assert names(events) == ["Withdrawn", "TokensFreed"]
    assert events[1] == TokensFreed(AT, seized=Sats(0), released=HALF)
    after = play(rich(), Withdraw(Role.BORROWER, AT, HALF))
    assert after.token.held == ONE - HALF
    assert after.loan == rich().loan
