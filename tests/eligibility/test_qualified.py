"""Highly qualified investors: the thresholds, the age of evidence, and what its loss means."""

from __future__ import annotations

import pytest

from escrow.core.eligibility import MAX_NUMBER
from escrow.core.errors import BadInput
from escrow.core.units import MAX_TIME, Cents, Seconds
from escrow.eligibility.days import first_second, parse_day
from escrow.eligibility.qualified import EVIDENCE_AGE, Evidence, Investor, stands
from escrow.eligibility.read import load_profile

AT = first_second(parse_day("2025-06-01"))
BOOK = load_profile("ru-elr").book
WEALTH, INCOME = 10_000_000_000, 5_000_000_000


def stand(
    securities: int = 0, deposits: int = 0, income: int = 0, *, dated: int = AT, at: int = AT
) -> Investor:
    shown = Evidence(Cents(securities), Cents(deposits), Cents(income), Seconds(dated))
    return stands(shown, BOOK, at=Seconds(at), asset="pledge-token")


@pytest.mark.parametrize(
    ("shown", "qualified"),
    [
        ((WEALTH - 1, 0, 0), False),
        ((WEALTH, 0, 0), False),
        ((WEALTH + 1, 0, 0), True),
        ((WEALTH // 2, WEALTH // 2, 0), False),
        ((WEALTH // 2, WEALTH // 2 + 1, 0), True),
        ((0, 0, INCOME - 1), False),
        ((0, 0, INCOME), False),
        ((0, 0, INCOME + 1), True),
        ((WEALTH, 0, INCOME), False),
    ],
)
def test_above_a_threshold_and_not_at_it(shown: tuple[int, ...], qualified: bool) -> None:
    assert stand(*shown) is (Investor.QUALIFIED if qualified else Investor.HOLD)


def test_evidence_ages() -> None:
    old = AT - EVIDENCE_AGE
    assert stand(WEALTH + 1, dated=old) is Investor.QUALIFIED
    assert stand(WEALTH + 1, dated=old - 1) is Investor.HOLD
    assert stand(WEALTH + 1, dated=AT + 1) is Investor.HOLD


def test_without_evidence_nothing_is_bought() -> None:
    assert stands(None, BOOK, at=AT, asset="pledge-token") is Investor.HOLD


def test_before_the_proposal_nobody_asked() -> None:
    first = first_second(parse_day("2025-03-12"))
    assert stand(at=first - 1, dated=first) is Investor.QUALIFIED
    assert stand(at=first, dated=first) is Investor.HOLD


@pytest.mark.parametrize(
    "shown",
    [(-1, 0, 0), (0, -1, 0), (0, 0, -1), (MAX_NUMBER, 1, 0), (0, 0, MAX_NUMBER + 1)],
)
def test_absurd_evidence_is_refused(shown: tuple[int, ...]) -> None:
    with pytest.raises(BadInput) as refused:
        stand(*shown)
    assert refused.value.code == "qualified/evidence"


@pytest.mark.parametrize("dated", [-1, MAX_TIME + 1])
def test_evidence_has_a_date(dated: int) -> None:
    with pytest.raises(BadInput):
        stand(dated=dated)
    last = Evidence(Cents(MAX_NUMBER), Cents(0), Cents(0), MAX_TIME)
    assert last.until == MAX_TIME
