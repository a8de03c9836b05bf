"""The collateral is realised in full."""

import pytest
from deals import (
    AT_CALL,
    AT_LIQUIDATION,
    NOW,
    ONE,
    OWED,
    STAGES,
    TERMS,
    active,
    called,
    code_of,
    kept_fresh,
    liquidating,
    names,
    play,
    priced,
    refuses,
    seized,
    stale,
)

from escrow.core.decide import decide
from escrow.core.phases import loan_phase
from escrow.core.regions.loan import Reason
from escrow.core.regions.token import TokensFreed
from escrow.core.roles import Role
from escrow.core.rules import Split
from escrow.core.terms import Liquidation
from escrow.core.units import HOUR, Bps, Cents, PriceE8, Sats, Seconds
from escrow.core.verbs.liquidate import Liquidate
from escrow.core.verbs.pledge import SawCoinGone
from escrow.core.verbs.repay import Repay
from escrow.core.verbs.retire import Retire

AT = Seconds(NOW + 60)
TAKE, SELL = Liquidation.TAKE_OVER, Liquidation.THIRD_PARTY
DEFAULT_AT = Seconds(TERMS.maturity + TERMS.grace)


def breached(**terms: object):
    """At the liquidation level."""
    return priced(active(**terms), AT_LIQUIDATION, at=AT)


@pytest.mark.parametrize("by", Role)
def test_only_the_lender_takes_over(by: Role) -> None:
    expected = "" if by is Role.LENDER else "liquidate/not-lender"
    assert code_of(breached(), Liquidate(by, AT, TAKE)) == expected


@pytest.mark.parametrize("by", Role)
def test_anyone_but_the_borrower_buys(by: Role) -> None:
    expected = "liquidate/self" if by is Role.BORROWER else ""
    assert code_of(breached(liquidation=SELL), Liquidate(by, AT, SELL)) == expected


@pytest.mark.parametrize("chosen", Liquidation)
@pytest.mark.parametrize("asked", Liquidation)
def test_the_terms_choose_the_way(chosen: Liquidation, asked: Liquidation) -> None:
    expected = "" if chosen is asked else "liquidate/kind"
    assert code_of(breached(liquidation=chosen), Liquidate(Role.LENDER, AT, asked)) == expected


@pytest.mark.parametrize("stage", STAGES)
def test_where_there_is_debt_there_may_be_a_seizure(stage: str) -> None:
    escrow = STAGES[stage]()
    escrow = priced(escrow, AT_LIQUIDATION, at=Seconds(escrow.system.clock + 1))
    if stage in ("DRAFT", "OFFERED", "ACCEPTED"):
        expected = "loan/unknown"
    elif stage in ("ACTIVE", "MARGIN_CALL", "LIQUIDATING"):
        expected = ""
    else:
        expected = "liquidate/not-live"
    assert code_of(escrow, Liquidate(Role.LENDER, escrow.system.clock, TAKE)) == expected


def test_without_coins_a_debt_is_not_wiped_out() -> None:
    bare = play(
        breached(),
        SawCoinGone(Role.WATCHER, AT, "aa:0", "ff"),
        Retire(Role.ATTESTOR, AT, "aa:0", ONE),
    )
    assert code_of(bare, Liquidate(Role.LENDER, AT, TAKE)) == "liquidate/not-live"


@pytest.mark.parametrize("stage", [active, called])
@pytest.mark.parametrize(
    ("price", "paid", "code"),
    [
        (AT_LIQUIDATION - 1, 0, ""),
        (AT_LIQUIDATION, 0, ""),
        (AT_LIQUIDATION + 1, 0, "liquidate/healthy"),
        (AT_LIQUIDATION, 1, "liquidate/healthy"),
    ],
)
def test_the_liquidation_level_is_exact_call_or_no_call(stage, price, paid, code) -> None:
    escrow = priced(stage(), PriceE8(price), at=Seconds(AT + 1))
    if paid:
        escrow = play(escrow, Repay(Role.BORROWER, Seconds(AT + 1), Cents(paid)))
    assert code_of(escrow, Liquidate(Role.LENDER, Seconds(AT + 1), TAKE)) == code


@pytest.mark.parametrize(
    ("late", "code"), [(-1, "liquidate/healthy"), (0, "liquidate/healthy"), (1, "")]
)
def test_default_begins_after_maturity_and_grace(late: int, code: str) -> None:
    at = Seconds(DEFAULT_AT + late)
    assert code_of(priced(active(), at=at), Liquidate(Role.LENDER, at, TAKE)) == code


def test_an_expired_call_needs_no_level() -> None:
    escrow = liquidating()
    at = Seconds(escrow.system.clock + 1)
    better = priced(escrow, PriceE8(3 * AT_CALL), at=at)
    assert code_of(better, Liquidate(Role.LENDER, at, TAKE)) == ""


@pytest.mark.parametrize(("age", "code"), [(HOUR, ""), (HOUR + 1, "price/stale")])
def test_a_stale_price_seizes_nothing(age: int, code: str) -> None:
    assert code_of(breached(), Liquidate(Role.LENDER, Seconds(AT + age), TAKE)) == code


def test_not_even_in_default() -> None:
    dark = stale(active())
    late = Seconds(DEFAULT_AT + 1)
    assert code_of(dark, Liquidate(Role.LENDER, late, TAKE)) == "price/stale"


def test_the_refusals_show_their_facts() -> None:
    refuses(
        active(),
        Liquidate(Role.LENDER, NOW, TAKE),
        "liquidate/healthy",
        ltv_bps=5_000,
        liquidation_ltv=8_000,
    )
    refuses(
        active(),
        Liquidate(Role.LENDER, NOW, SELL),
        "liquidate/kind",
        asked="THIRD_PARTY",
        terms="TAKE_OVER",
    )


@pytest.mark.parametrize(
    ("reason", "build"),
    [
        (Reason.LEVEL, breached),
        (Reason.CALL_EXPIRED, liquidating),
        (Reason.DEFAULT, lambda: priced(active(), at=Seconds(DEFAULT_AT + 1))),
    ],
)
def test_the_reason_is_on_record(reason: Reason, build) -> None:
    escrow = build()
    done, _ = decide(escrow, Liquidate(Role.LENDER, escrow.system.clock, TAKE))
    assert done.reason is reason


def test_the_numbers_of_a_seizure_at_the_level() -> None:
    """24,000.00 and 5 % at 30,000 a coin are 0.84 coins; 0.16 go back to the borrower."""
    done, freed = decide(breached(), Liquidate(Role.LENDER, AT, TAKE, "0xff"))
    assert done.split == Split(OWED, Sats(84_000_000), Sats(16_000_000), Cents(0))
    assert freed == TokensFreed(AT, seized=Sats(84_000_000), released=Sats(16_000_000))
    assert (done.by, done.price, done.debt) == ("lender", AT_LIQUIDATION, OWED)
    assert (done.interest, done.principal, done.tx) == (0, OWED, "0xff")
    after = seized()
    assert loan_phase(after) == "LIQUIDATING"
    assert (after.token.held, after.loan.debt.principal) == (0, 0)


def test_interest_is_covered_before_principal() -> None:
    escrow = breached(rate_bps=Bps(100_000))
    at = Seconds(AT + HOUR)
    done, _ = decide(escrow, Liquidate(Role.LENDER, at, TAKE))
    assert done.interest > 0
    assert done.interest + done.principal == done.debt == done.split.repaid


def test_a_crash_leaves_bad_debt_by_name() -> None:
    """At 12,600 a coin and 5 % the whole coin covers 12,000.00 of 24,000.00."""
    escrow = priced(active(), PriceE8(12_600 * 10**8), at=AT)
    kill = Liquidate(Role.LENDER, AT, TAKE)
    done, freed = decide(escrow, kill)
    assert done.split == Split(Cents(1_200_000), ONE, Sats(0), Cents(1_200_000))
    assert freed == TokensFreed(AT, seized=ONE, released=Sats(0))
    debt = play(escrow, kill).loan.debt
    assert (debt.bad_debt, debt.lost_principal, debt.paid_principal) == (1_200_000,) * 3


def test_bad_debt_may_be_interest() -> None:
    """Covered: interest first. What is lost of it is bad debt, but no lost principal."""
    escrow = active(rate_bps=Bps(100_000))
    at = Seconds(NOW + 30 * 86_400)
    broke = priced(escrow, PriceE8(10**8), at=at)
    done, _ = decide(broke, Liquidate(Role.LENDER, at, TAKE))
    assert done.principal == 0 < done.interest
    debt = play(broke, Liquidate(Role.LENDER, at, TAKE)).loan.debt
    assert debt.lost_principal == OWED < debt.bad_debt
    assert names(decide(broke, Liquidate(Role.LENDER, at, TAKE))) == ["Liquidated", "TokensFreed"]


def test_a_called_loan_may_be_seized_at_the_level_in_cure_time() -> None:
    escrow = kept_fresh(called(), until=Seconds(AT + HOUR), price=AT_LIQUIDATION)
    done, _ = decide(escrow, Liquidate(Role.LENDER, escrow.system.clock, TAKE))
    assert done.reason is Reason.LEVEL
