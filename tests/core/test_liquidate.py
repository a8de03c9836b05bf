"""The collateral is realised in full."""

import pytest
from deals import (
    AT_CALL,
    AT_LIQUIDATION,
    AUCTION,
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
from escrow.core.due import RealiseCollateral, due
from escrow.core.phases import loan_phase
from escrow.core.regions.loan import Reason
from escrow.core.regions.token import TokensFreed
from escrow.core.roles import Role
from escrow.core.rules import INTEREST_DEN, accrue, at_or_below
from escrow.core.sales import Split
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


KINDS = {
    Liquidation.TAKE_OVER: {},
    Liquidation.THIRD_PARTY: {},
    Liquidation.PARTIAL: {"target_ltv": Bps(6_000)},
    Liquidation.AUCTION: AUCTION,
}
"""What terms of each kind have of their own."""


@pytest.mark.parametrize("chosen", Liquidation)
@pytest.mark.parametrize("asked", Liquidation)
def test_the_terms_choose_the_way(chosen: Liquidation, asked: Liquidation) -> None:
    escrow = breached(**{"liquidation": chosen, **KINDS[chosen]})
    # Coins of an auction are taken, not bought at the oracle's price.
    expected = "" if chosen is asked is not Liquidation.AUCTION else "liquidate/kind"
    assert code_of(escrow, Liquidate(Role.LENDER, AT, asked)) == expected


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


# --- a part is sold

PARTIAL = {"liquidation": Liquidation.PARTIAL, "target_ltv": Bps(6_000), "bonus_bps": Bps(0)}


def sold(escrow, **asked: object):
    """A third party buys."""
    kind = escrow.loan.terms.liquidation
    return play(escrow, Liquidate(Role.LIQUIDATOR, escrow.system.clock, kind, **asked))


def test_a_sale_to_a_target_leaves_an_active_loan() -> None:
    """24,000.00 at 30,000 a coin, down to 60 %: 15,000.00 for half a coin."""
    for before in (breached(**PARTIAL), liquidating(**PARTIAL)):
        price = before.system.price.price
        after = sold(before)
        assert loan_phase(after) == "ACTIVE"
        debt, held = after.loan.debt.principal, after.token.held
        assert at_or_below(Cents(debt), sats=held, price=price, level=Bps(6_000))
        assert debt > 0 < held


def test_in_default_all_of_it_is_sold_whatever_the_target() -> None:
    late = Seconds(DEFAULT_AT + 1)
    for escrow in (active(**PARTIAL), liquidating(**PARTIAL)):
        after = sold(priced(escrow, PriceE8(4 * AT_CALL), at=late))
        assert loan_phase(after) == "LIQUIDATING"
        assert after.loan.split.left == 0


def test_a_price_that_recovered_leaves_nothing_to_sell() -> None:
    escrow = liquidating(**PARTIAL)
    at = Seconds(escrow.system.clock + 1)
    better = priced(escrow, PriceE8(3 * AT_CALL), at=at)
    ask = Liquidate(Role.LIQUIDATOR, at, Liquidation.PARTIAL)
    refuses(better, ask, "liquidate/healthy", target_ltv=6_000)
    owing = RealiseCollateral(Liquidation.PARTIAL)
    assert owing in due(escrow)
    assert owing not in due(better)


@pytest.mark.parametrize(
    ("stage", "pay", "phase"),
    [
        # Not yet at the restore level: as before, with less debt.
        (active, 100_000, "ACTIVE"),
        (called, 100_000, "MARGIN_CALL"),
        (liquidating, 100_000, "LIQUIDATING"),
        # 24,000.00 less 16,000.00 against the 0.44 coins that stay is 8,000.00 of 13,200.00.
        (active, 1_600_000, "ACTIVE"),
        (called, 1_700_000, "ACTIVE"),
        (liquidating, 2_000_000, "ACTIVE"),
    ],
)
def test_a_part_bought_restores_a_loan_or_leaves_it(stage, pay: int, phase: str) -> None:
    escrow = stage(liquidation=SELL)
    at = Seconds(escrow.system.clock + 60)
    after = sold(priced(escrow, AT_LIQUIDATION, at=at), pay=Cents(pay))
    assert loan_phase(after) == phase
    assert after.loan.debt.principal == OWED - pay
    assert after.token.held < ONE


@pytest.mark.parametrize(("least", "code"), [(84_000_000, ""), (84_000_001, "liquidate/slippage")])
def test_a_buyer_says_what_it_wants_at_least(least: int, code: str) -> None:
    ask = Liquidate(Role.LIQUIDATOR, AT, SELL, least=Sats(least))
    assert code_of(breached(liquidation=SELL), ask) == code


def test_a_part_of_the_debt_is_paid_in_rank_order() -> None:
    """Interest first; what is not paid of it stays, to the last fraction."""
    escrow = breached(liquidation=SELL, rate_bps=Bps(100_000))
    at = Seconds(AT + HOUR)
    before = accrue(escrow.loan.debt, rate_bps=Bps(100_000), at=at)
    ask = Liquidate(Role.LIQUIDATOR, at, SELL, pay=Cents(100))
    done, _ = decide(escrow, ask)
    assert (done.interest, done.principal) == (100, 0)
    assert play(escrow, ask).loan.debt.interest_acc == before.interest_acc - 100 * INTEREST_DEN
