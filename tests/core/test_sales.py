"""What a liquidation sells: golden numbers of real products, bounds, exact fractions."""

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from math import ceil, floor

import pytest
from deals import AUCTION, TERMS
from hypothesis import assume, given
from hypothesis import strategies as st

from escrow.core.errors import Rejected
from escrow.core.sales import (
    WAD,
    Split,
    auction_life,
    auction_price,
    cover_to_target,
    covers,
    decay,
    gross_up,
    is_stale_auction,
    net_down,
    sell,
    sell_all,
    sell_at,
    sell_part,
    sell_seen,
)
from escrow.core.terms import Liquidation, Terms
from escrow.core.units import COIN, MAX_CENTS, MAX_MONEY, Bps, Cents, PriceE8, Sats, Seconds

CENTS = st.integers(1, 2**63).map(Cents)
SATS = st.integers(1, MAX_MONEY).map(Sats)
PRICES = st.integers(1, 10**18).map(PriceE8)
BONUS = st.integers(0, 5_000).map(Bps)


def terms(kind: Liquidation = Liquidation.TAKE_OVER, **changes: object) -> Terms:
    """One way of liquidation, without a bonus."""
    return replace(TERMS, liquidation=kind, **{"bonus_bps": Bps(0), **changes})


def auction(**changes: object) -> Terms:
    """Maker's: 1.2 of the price at first, a hundredth less every 90 seconds."""
    return replace(TERMS, **{**AUCTION, **changes})


def outcome(ask: Callable[[], Split]) -> tuple[str, Split | None]:
    """The code of a refusal, or what was sold."""
    try:
        return "", ask()
    except Rejected as refusal:
        return refusal.code, None


def worth(sats: int, price: int) -> Fraction:
    """Cents, exactly."""
    return Fraction(sats, COIN) * Fraction(price, 10**8) * 100


def coins_worth(cents: Fraction, price: int) -> int:
    """Sats nearest to it."""
    return round(cents / worth(1, price))


# --- all of it


@pytest.mark.parametrize(
    ("bonus", "breakeven"),
    [
        (438, 9_580),
        (500, 9_524),
        (700, 9_346),
        (1_000, 9_091),
        (1_300, 8_850),
        (2_000, 8_333),
    ],
)
def test_the_lender_breaks_even_at_one_over_one_plus_bonus(bonus: int, breakeven: int) -> None:
    price = PriceE8(50_000 * 10**8)
    value = Fraction(5_000_000)
    most = floor(value / (1 + Fraction(bonus, 10_000)))
    assert round(most / value * 10_000) == breakeven
    agreed = terms(bonus_bps=Bps(bonus))
    covered = sell_all(agreed, debt=Cents(most), held=Sats(COIN), price=price)
    beyond = sell_all(agreed, debt=Cents(most + 1), held=Sats(COIN), price=price)
    assert (covered.bad_debt, beyond.bad_debt) == (0, 1)
    assert (covered.repaid, beyond.repaid) == (most, most)
    assert beyond.seized == COIN
    assert covered.surplus < COIN // 1_000


@pytest.mark.parametrize(
    ("debt", "held", "price", "bonus", "split"),
    [
        (2_400_000, COIN, 30_000, 500, (2_400_000, 84_000_000, 16_000_000, 0)),
        (2_400_000, COIN, 25_200, 500, (2_400_000, COIN, 0, 0)),
        (2_400_001, COIN, 25_200, 500, (2_400_000, COIN, 0, 1)),
        (2_400_000, COIN, 12_600, 500, (1_200_000, COIN, 0, 1_200_000)),
        (2_400_000, 0, 30_000, 500, (0, 0, 0, 2_400_000)),
        (0, COIN, 30_000, 500, (0, 0, COIN, 0)),
        (1, COIN, 30_000, 0, (1, 33, COIN - 33, 0)),
    ],
)
def test_a_full_liquidation_in_golden_numbers(debt, held, price, bonus, split) -> None:
    done = sell_all(
        terms(bonus_bps=Bps(bonus)),
        debt=Cents(debt),
        held=Sats(held),
        price=PriceE8(price * 10**8),
    )
    assert (done.repaid, done.seized, done.surplus, done.bad_debt) == split
    assert (done.fee, done.left) == (0, 0)


def test_a_fee_is_the_lenders_and_covers_nothing() -> None:
    """Strike's 0.99 % on 24,000.00: 240.00 and a bit, and the buyer pays both."""
    agreed = terms(fee_bps=Bps(99))
    done = sell_all(agreed, debt=Cents(2_400_000), held=Sats(COIN), price=PriceE8(30_000 * 10**8))
    assert (done.repaid, done.fee) == (2_400_000, 23_998)
    assert Fraction(done.fee, done.repaid + done.fee) == pytest.approx(0.0099, abs=1e-6)
    assert done.seized == 80_799_933


@given(CENTS, SATS, PRICES, BONUS, BONUS)
def test_a_full_liquidation_as_fractions(debt, held, price, bonus, fee) -> None:
    agreed = terms(bonus_bps=bonus, fee_bps=fee)
    done = sell_all(agreed, debt=debt, held=held, price=price)
    discount = 1 + Fraction(bonus, 10_000)
    paid = ceil(debt / (1 - Fraction(fee, 10_000)))
    assert done.seized + done.surplus == held
    assert done.repaid + done.bad_debt == debt
    assert min(done.repaid, done.seized, done.surplus, done.bad_debt, done.fee) >= 0
    if covers(agreed, debt=debt, held=held, price=price):
        assert worth(held, price) >= paid * discount
        assert (done.bad_debt, done.fee) == (0, paid - debt)
        assert done.seized == floor(paid * discount / worth(1, price))
    else:
        assert done.seized == held
        assert done.repaid + done.fee == floor(worth(held, price) / discount)
    # The taker never profits from rounding.
    assert worth(done.seized, price) <= (done.repaid + done.fee + 1) * discount


@given(CENTS, BONUS)
def test_what_a_payment_covers_is_what_it_was_made_for(covered: Cents, fee: Bps) -> None:
    assert net_down(gross_up(covered, fee=fee), fee=fee) == covered
    assert net_down(Cents(gross_up(covered, fee=fee) - 1), fee=fee) < covered


# --- a part of it, back to a target


@pytest.mark.parametrize(
    ("debt", "value", "fee", "bonus", "target", "pays", "covers_", "sells"),
    [
        # Strike: 85 % down to 60 %, 0.99 % fee.
        (5_000_000, 5_882_353, 99, 0, 6_000, 3_769_772, 3_732_452, 3_769_772),
        # A bonus of 5 % from 82 % down to 60 %.
        (5_000_000, 6_097_561, 0, 500, 6_000, 3_625_577, 3_625_577, 3_806_856),
        # Unchained's old ladder: no fee, to a collateral-to-principal of 200 %: s = 2 D - C.
        (5_000_000, 5_555_556, 0, 0, 5_000, 4_444_444, 4_444_444, 4_444_444),
    ],
)
def test_the_sale_to_a_target_in_golden_numbers(
    debt, value, fee, bonus, target, pays, covers_, sells
) -> None:
    price = PriceE8(50_000 * 10**8)
    held = Sats(coins_worth(Fraction(value), price))
    agreed = terms(
        Liquidation.PARTIAL, target_ltv=Bps(target), fee_bps=Bps(fee), bonus_bps=Bps(bonus)
    )
    done = sell(agreed, debt=Cents(debt), held=held, price=price, pay=MAX_CENTS, in_default=False)
    assert done.repaid + done.fee == pytest.approx(pays, abs=1)
    assert done.repaid == pytest.approx(covers_, abs=1)
    assert float(worth(done.seized, price)) == pytest.approx(sells, abs=1)
    assert done.left == debt - done.repaid
    after = Fraction(done.left) / worth(held - done.seized, price)
    assert float(after) == pytest.approx(target / 10_000, abs=1e-6)


@given(
    st.integers(10**4, 10**12).map(Cents),
    st.integers(10**8, 10**14).map(PriceE8),
    st.integers(11_000, 60_000),
    st.integers(1, 9_000).map(Bps),
    st.integers(0, 200).map(Bps),
    st.integers(0, 300).map(Bps),
)
def test_the_target_is_met_to_a_few_cents(debt, price, ctp, target, fee, bonus) -> None:
    """The coins are worth 1.1 to 6 times the debt: enough to cover it."""
    held = Sats(ceil(Fraction(debt * ctp, 10_000) / worth(1, price)))
    assume(held <= MAX_MONEY)
    agreed = terms(Liquidation.PARTIAL, target_ltv=target, fee_bps=fee, bonus_bps=bonus)
    covered = cover_to_target(agreed, debt=debt, held=held, price=price)
    level = Fraction(target, 10_000)
    if debt <= level * worth(held, price):
        assert covered == 0
        return
    assert covered > 0
    if covered < debt:
        done = sell_part(agreed, debt=debt, price=price, covered=covered)
        kept = worth(held - done.seized, price)
        assert done.left - 3 <= level * kept
        assert done.left + 3 + worth(1, price) * level >= level * kept


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"in_default": True}, ""),
        ({"price": 48_000}, "liquidate/healthy"),
        ({"pay": Cents(100)}, "loan/amount"),
        ({"price": 20_000}, ""),
    ],
)
def test_a_sale_to_a_target_is_refused_or_full(changes: dict[str, object], code: str) -> None:
    price = PriceE8(int(changes.pop("price", 30_000)) * 10**8)
    asked = {"pay": MAX_CENTS, "in_default": False, **changes}
    agreed = terms(Liquidation.PARTIAL, target_ltv=Bps(6_000))
    found, done = outcome(
        lambda: sell(agreed, debt=Cents(2_400_000), held=Sats(COIN), price=price, **asked)
    )
    assert found == code
    # In default, and where the coins cannot cover the debt, all of it is sold for.
    assert done is None or done.left == 0


@pytest.mark.parametrize(("least", "left"), [(299_955, 299_955), (299_956, 0)])
def test_too_little_debt_is_not_left(least: int, left: int) -> None:
    """24,000.00 on a coin at 30,000 down to a third: 21,000.45 are covered, or all of it."""
    agreed = terms(Liquidation.PARTIAL, target_ltv=Bps(3_333), min_left=Cents(least))
    done = sell(
        agreed,
        debt=Cents(2_400_000),
        held=Sats(COIN),
        price=PriceE8(30_000 * 10**8),
        pay=MAX_CENTS,
        in_default=False,
    )
    assert (done.left, done.repaid) == (left, 2_400_000 - left)


# --- to a third party


def third(pay: int, **changes: object) -> Split:
    """24,000.00 against a coin at 30,000, a bonus of 5 %."""
    agreed = terms(Liquidation.THIRD_PARTY, **{"bonus_bps": Bps(500), **changes})
    return sell(
        agreed,
        debt=Cents(2_400_000),
        held=Sats(COIN),
        price=PriceE8(30_000 * 10**8),
        pay=Cents(pay),
        in_default=False,
    )


@pytest.mark.parametrize(
    ("pay", "repaid", "seized"),
    [
        (1, 1, 35),
        (1_000_000, 1_000_000, 35_000_000),
        (2_399_999, 2_399_999, 83_999_965),
        (2_400_000, 2_400_000, 84_000_000),
        (MAX_CENTS, 2_400_000, 84_000_000),
    ],
)
def test_a_third_party_buys_what_it_likes(pay: int, repaid: int, seized: int) -> None:
    done = third(pay)
    assert (done.repaid, done.seized, done.left) == (repaid, seized, 2_400_000 - repaid)
    assert done.surplus == (COIN - seized if not done.left else 0)


@pytest.mark.parametrize(
    ("pay", "code"),
    [
        (0, "loan/amount"),
        (1_900_000, ""),
        (1_900_001, "liquidate/dust"),
        (2_399_999, "liquidate/dust"),
        (2_400_000, ""),
    ],
)
def test_all_or_enough_is_left(pay: int, code: str) -> None:
    assert outcome(lambda: third(pay, min_left=Cents(500_000)))[0] == code


@pytest.mark.parametrize(("pay", "code"), [(1_199_999, "loan/amount"), (1_200_000, "")])
def test_a_debt_that_is_not_covered_is_bought_as_a_whole(pay: int, code: str) -> None:
    agreed = terms(Liquidation.THIRD_PARTY, bonus_bps=Bps(500))
    asked = {"debt": Cents(2_400_000), "held": Sats(COIN), "price": PriceE8(12_600 * 10**8)}
    found, done = outcome(lambda: sell(agreed, **asked, pay=Cents(pay), in_default=False))
    assert found == code
    expected = (1_200_000, 1_200_000, COIN)
    assert done is None or (done.repaid, done.bad_debt, done.seized) == expected


# --- in an auction


@pytest.mark.parametrize(("buf", "minutes"), [(12_000, 28.5), (13_000, 40.5)])
def test_an_auction_is_back_at_par_when_the_closed_form_says(buf: int, minutes: float) -> None:
    agreed, price = auction(buf_bps=Bps(buf)), PriceE8(50_000 * 10**8)
    par = round(minutes * 60)
    before = auction_price(agreed, price=price, elapsed=Seconds(par - 1))
    assert auction_price(agreed, price=price, elapsed=Seconds(par)) <= price < before


@given(st.integers(1, 9_999).map(Bps), st.integers(0, 1_000))
def test_decay_is_the_power_rounded_down(cut: Bps, steps: int) -> None:
    exact = Fraction(cut, 10_000) ** steps * WAD
    found = decay(cut, steps=steps)
    assert found <= exact
    # One unit lost at each of at most 20 multiplications, and doubled by each squaring after.
    assert exact - found <= 2 * max(1, steps)


@given(st.integers(1, 9_999).map(Bps), st.integers(0, 999))
def test_a_price_never_rises_in_an_auction(cut: Bps, steps: int) -> None:
    assert decay(cut, steps=steps + 1) <= decay(cut, steps=steps) + 2 * steps + 2


@pytest.mark.parametrize(
    ("changes", "last"),
    [
        ({}, 7_200),
        ({"tail": Seconds(7_199)}, 7_199),
        # 0.99 ** 69 is below a half, 0.99 ** 68 is not.
        ({"cusp_bps": Bps(5_000)}, 69 * 90 - 1),
        ({"cusp_bps": Bps(10_000)}, 89),
        ({"cut_bps": Bps(1), "cusp_bps": Bps(1)}, 179),
    ],
)
def test_an_auction_ends_at_its_tail_or_below_its_cusp(changes, last: int) -> None:
    agreed = auction(**changes)
    assert auction_life(agreed) == last
    assert not is_stale_auction(agreed, elapsed=Seconds(last))
    assert is_stale_auction(agreed, elapsed=Seconds(last + 1))


def at(want: int, *, price: int = 30_000, held: int = COIN, **changes: object) -> Split:
    """24,000.00 owed; coins at a price of the auction."""
    return sell_at(
        auction(**changes),
        debt=Cents(2_400_000),
        held=Sats(held),
        price=PriceE8(price * 10**8),
        want=Sats(want),
    )


@pytest.mark.parametrize(
    ("want", "price", "split"),
    [
        # A part.
        (COIN // 10, 30_000, Split(300_000, COIN // 10, 0, 0, 0, 2_100_000)),
        # As much as the debt needs, and the rest is the borrower's.
        (COIN, 30_000, Split(2_400_000, 80_000_000, 20_000_000, 0)),
        (80_000_000, 30_000, Split(2_400_000, 80_000_000, 20_000_000, 0)),
        (79_999_999, 30_000, Split(2_400_000, 79_999_999, 20_000_001, 0)),
        # The last coin goes, and debt is left.
        (COIN, 20_000, Split(2_000_000, COIN, 0, 400_000)),
        (2 * COIN, 20_000, Split(2_000_000, COIN, 0, 400_000)),
    ],
)
def test_a_take_in_golden_numbers(want: int, price: int, split: Split) -> None:
    assert at(want, price=price) == split


@pytest.mark.parametrize(
    ("want", "changes", "code"),
    [
        (0, {}, "loan/amount"),
        (1, {"fee_bps": Bps(5_000)}, "loan/amount"),
        (60_000_000, {"min_left": Cents(600_000)}, ""),
        (60_000_033, {"min_left": Cents(600_000)}, "liquidate/dust"),
        (80_000_000, {"min_left": Cents(600_000)}, ""),
    ],
)
def test_a_take_covers_something_and_leaves_enough(want: int, changes, code: str) -> None:
    assert outcome(lambda: at(want, **changes))[0] == code


@given(CENTS, SATS, PRICES, SATS, BONUS)
def test_a_take_as_fractions(debt, held, price, want, fee) -> None:
    agreed = auction(fee_bps=fee)
    found, done = outcome(lambda: sell_at(agreed, debt=debt, held=held, price=price, want=want))
    assert found in ("", "loan/amount")
    if done is None:
        return
    paid = done.repaid + done.fee
    assert done.repaid + done.left + done.bad_debt == debt
    assert done.seized <= min(want, held)
    assert done.seized + done.surplus == (held if not done.left else done.seized)
    # A buyer pays at least what the coins cost.
    assert paid >= worth(done.seized, price) > paid - 1 - worth(1, price)
    assert 0 <= done.fee <= paid * Fraction(fee, 10_000) + 1
    assert done.bad_debt == 0 or done.seized == held


@given(CENTS, SATS, PRICES, SATS, BONUS, st.integers(1, 100))
def test_what_was_taken_tells_what_was_sold(debt, held, price, want, fee, more) -> None:
    """Also where a few sats less than the debt needs cost as much."""
    facts = {"debt": debt, "held": held, "price": price}
    done = outcome(lambda: sell_at(auction(fee_bps=fee), want=want, **facts))[1]
    assume(done is not None)
    over = not done.left
    seen = sell_seen(auction(fee_bps=fee), seized=done.seized, over=over, **facts)
    assert seen == done
    if over:
        # Nobody is believed to have got more than the debt needs.
        need, lie = sell_at(auction(fee_bps=fee), want=held, **facts).seized, done.seized + more
        assert sell_seen(auction(fee_bps=fee), seized=lie, over=True, **facts).seized <= need


def test_five_sats_less_end_the_loan_too() -> None:
    facts = {"debt": Cents(2_400_000), "held": Sats(COIN), "price": PriceE8(30_000 * 10**8)}
    whole = sell_at(auction(), want=Sats(COIN), **facts)
    less = sell_at(auction(), want=Sats(whole.seized - 5), **facts)
    assert (whole.seized, less.seized, less.left) == (80_000_000, 79_999_995, 0)
    assert less.repaid == whole.repaid
    assert sell_seen(auction(), seized=less.seized, over=True, **facts) == less
