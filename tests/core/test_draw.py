"""The borrower draws the lender's cash."""

from dataclasses import replace

import pytest
from deals import (
    AT_INITIAL,
    NOW,
    ONE,
    OWED,
    STAGES,
    TERMS,
    active,
    code_of,
    minted,
    names,
    opened,
    play,
    priced,
    refuses,
    secured,
    stale,
)

from escrow.core.decide import decide
from escrow.core.phases import debt_now
from escrow.core.regions.loan import Drawn
from escrow.core.roles import Role
from escrow.core.rules import accrue
from escrow.core.state import evolve
from escrow.core.units import HOUR, YEAR, Bps, Cents, PriceE8, Sats, Seconds
from escrow.core.verbs.draw import Draw
from escrow.core.verbs.repay import Repay
from escrow.core.verbs.tick import Tick
from escrow.core.verbs.top_up import TopUp


@pytest.mark.parametrize("by", Role)
def test_only_the_borrower_draws(by: Role) -> None:
    expected = "" if by is Role.BORROWER else "draw/not-borrower"
    assert code_of(priced(secured()), Draw(by, NOW, Cents(1))) == expected


@pytest.mark.parametrize("stage", STAGES)
def test_an_opened_or_active_loan_is_drawn(stage: str) -> None:
    # Half the principal is left where something was drawn, and a price is fresh.
    half = {"ACTIVE": lambda: active(amount=OWED // 2), "SECURED": lambda: priced(secured())}
    escrow = half.get(stage, STAGES[stage])()
    expected = {
        "DRAFT": "loan/unknown",
        "OFFERED": "loan/unknown",
        "ACCEPTED": "loan/unknown",
        "AWAITING_COLLATERAL": "price/stale",
        "SECURED": "",
        "ACTIVE": "",
    }
    command = Draw(Role.BORROWER, escrow.system.clock, Cents(1))
    assert code_of(escrow, command) == expected.get(stage, "draw/not-open")


@pytest.mark.parametrize(("late", "code"), [(-1, ""), (0, ""), (1, "draw/window-closed")])
def test_the_draw_window(late: int, code: str) -> None:
    at = Seconds(TERMS.draw_by + late)
    assert code_of(priced(secured(), at=at), Draw(Role.BORROWER, at, Cents(1))) == code


@pytest.mark.parametrize(
    ("amount", "code"),
    [
        (-1, "loan/amount"),
        (0, "loan/amount"),
        (1, ""),
        (OWED, ""),
        (OWED + 1, "draw/above-principal"),
    ],
)
def test_the_amount(amount: int, code: str) -> None:
    rich = priced(secured(), PriceE8(10 * AT_INITIAL))
    assert code_of(rich, Draw(Role.BORROWER, NOW, Cents(amount))) == code


def test_principal_repaid_may_be_drawn_again() -> None:
    again = play(active(), Repay(Role.BORROWER, NOW, Cents(100)))
    assert code_of(again, Draw(Role.BORROWER, NOW, Cents(100))) == ""
    refuses(
        again,
        Draw(Role.BORROWER, NOW, Cents(101)),
        "draw/above-principal",
        amount=101,
        outstanding=OWED - 100,
        principal=OWED,
    )


@pytest.mark.parametrize(
    ("price", "sats", "amount", "code"),
    [
        (AT_INITIAL, 0, 0, ""),
        (AT_INITIAL + 1, 0, 0, ""),
        (AT_INITIAL - 1, 0, 0, "draw/above-initial-ltv"),
        (AT_INITIAL - 1, 0, -1, ""),
        (AT_INITIAL, -1, 0, "draw/above-initial-ltv"),
        (AT_INITIAL, -1, -1, ""),
    ],
)
def test_the_initial_level_is_exact(price: int, sats: int, amount: int, code: str) -> None:
    """At the level is allowed; a unit of price, coin or cash beyond it is not."""
    held = priced(play(minted(), TopUp(Role.BORROWER, NOW, Sats(ONE + sats))), PriceE8(price))
    assert code_of(held, Draw(Role.BORROWER, NOW, Cents(OWED + amount))) == code


def test_interest_counts_before_a_second_draw() -> None:
    half = active(amount=OWED // 2, rate_bps=Bps(2_300))
    at = Seconds(NOW + HOUR)
    later = priced(half, at=at)
    room = OWED - debt_now(later, at=at)
    assert room < OWED // 2
    assert code_of(later, Draw(Role.BORROWER, at, Cents(room))) == ""
    assert code_of(later, Draw(Role.BORROWER, at, Cents(room + 1))) == "draw/above-initial-ltv"


@pytest.mark.parametrize(("age", "code"), [(HOUR, ""), (HOUR + 1, "price/stale")])
def test_a_stale_price_lends_nothing(age: int, code: str) -> None:
    at = Seconds(NOW + age)
    assert code_of(priced(secured()), Draw(Role.BORROWER, at, Cents(1))) == code


def test_the_staleness_is_dated() -> None:
    dark = stale(priced(secured()))
    late = dark.system.clock
    refuses(dark, Draw(Role.BORROWER, late, Cents(1)), "price/stale", now=late, priced_at=NOW)
    never = play(opened(), Tick(Role.WATCHER, NOW))
    refuses(never, Draw(Role.BORROWER, NOW, Cents(1)), "price/stale", now=NOW, priced_at=0)


def test_a_draw_is_owed_from_its_second_on() -> None:
    draw = Draw(Role.BORROWER, NOW, Cents(1_000), "0xdd")
    escrow = priced(secured(rate_bps=Bps(1_000)))
    assert decide(escrow, draw) == (Drawn(NOW, Cents(1_000), "0xdd"),)
    debt = play(escrow, draw).loan.debt
    assert (debt.principal, debt.drawn, debt.accrued_to, debt.interest_acc) == (
        1_000,
        1_000,
        NOW,
        0,
    )
    year = accrue(debt, rate_bps=Bps(1_000), at=Seconds(NOW + YEAR))
    assert year.interest_acc == 1_000 * 1_000 * YEAR


def test_a_draw_that_is_late_to_be_told_does_not_charge_twice() -> None:
    """Interest was taken in up to a later second: the draw must not turn the accrual back."""
    half = active(amount=OWED // 2, rate_bps=Bps(2_300))
    ahead = play(half, Repay(Role.BORROWER, Seconds(NOW + 60), Cents(1)))
    after = evolve(ahead, Drawn(Seconds(NOW + 30), Cents(1), ""))
    assert after.loan.debt.accrued_to == NOW + 60


def test_terms_are_not_touched() -> None:
    assert replace(active().loan.terms) == TERMS
    assert names(decide(priced(secured()), Draw(Role.BORROWER, NOW, OWED))) == ["Drawn"]
