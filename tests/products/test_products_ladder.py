"""Notices, calls, clocks, cures and sales: one loan, price by price."""

from __future__ import annotations

from dataclasses import replace

import pytest
from products_lab import PRINCIPAL, T0, A, D, Loan, changed, product, units

from escrow.core.rules import value_down
from escrow.core.units import COIN, DAY, HOUR, Cents, PriceE8, Seconds
from escrow.products.ladder import Ladder
from escrow.products.model import Product
from escrow.products.outcome import Answer, End, Habit
from escrow.products.read import load_product, read_product
from escrow.products.soft import Soft

# Half of a coin at 20,000 is lent: warned at 15,384, called at 14,285, restored at 16,666, sold
# at once at 11,764.
WARNED, CALLED, RESTORED, SOLD = 15_384, 14_285, 16_667, 11_764
PLAIN = product()


def quiet(hours: int, price: int) -> list[int]:
    return [price] * hours


def test_fewest_coins_are_pledged_and_nothing_happens_above_the_notice() -> None:
    loan = Loan(PLAIN).hourly(15_385)
    end = loan.end
    assert end.sats_pledged == end.sats_held == COIN
    assert (end.end, end.first_notice_at, end.margin_call_at) == (End.OPEN, None, None)
    assert (end.cured, end.liquidated_at, end.calls) == (None, None, 0)


def test_notice_call_and_sale_are_told_apart() -> None:
    loan = Loan(PLAIN).hourly(WARNED, CALLED + 1, CALLED, SOLD + 1, SOLD)
    end = loan.end
    assert end.first_notice_at == T0 + HOUR
    assert end.margin_call_at == T0 + 3 * HOUR
    assert end.liquidated_at == T0 + 5 * HOUR
    assert end.liquidation_price == units(SOLD)
    assert (end.cured, end.calls, end.seconds_called) == (False, 1, 2 * HOUR)
    assert (end.end, end.ended_at) == (End.LIQUIDATED, T0 + 5 * HOUR)
    assert end.recovered == PRINCIPAL
    assert end.owed == 0


def test_after_the_end_prices_change_nothing() -> None:
    loan = Loan(PLAIN).hourly(SOLD)
    end = loan.end
    assert loan.hourly(20_000, 1).end == end
    loan.ladder.skip(Seconds(T0 + DAY), units(3))
    assert loan.end == end


def test_a_price_that_reaches_both_calls_and_sells_but_no_call_lapses_in_its_step() -> None:
    end = Loan(PLAIN).hourly(SOLD).end
    assert end.margin_call_at == end.liquidated_at == T0 + HOUR
    at_once = product(cure=f"{{ seconds = 0, {D} }}")
    loan = Loan(at_once).hourly(CALLED)
    assert loan.end.liquidated_at is None
    assert loan.hourly(CALLED).end.liquidated_at == T0 + HOUR + 1


# --- the cure and its clock ---


def test_a_call_lapses_a_second_after_its_deadline_at_the_last_price() -> None:
    loan = Loan(PLAIN).hourly(CALLED, *quiet(24, CALLED))
    # The last price came in the second of the deadline: not late yet.
    assert loan.ladder.at == T0 + 25 * HOUR
    assert loan.end.liquidated_at is None
    end = loan.hourly(12_000).end
    assert end.liquidated_at == T0 + 25 * HOUR + 1
    assert end.liquidation_price == units(CALLED)


def test_a_price_in_the_second_of_the_deadline_still_cures() -> None:
    loan = Loan(PLAIN).hourly(CALLED, *quiet(23, CALLED), RESTORED, *quiet(30, CALLED + 1))
    end = loan.end
    assert (end.cured, end.cured_at, end.liquidated_at) == (True, T0 + 25 * HOUR, None)
    assert end.seconds_called == DAY


@pytest.mark.parametrize(("price", "cured"), [(RESTORED, True), (RESTORED - 1, False)])
def test_a_call_is_cured_at_the_restore_level_and_not_below_its_price(
    price: int, cured: bool
) -> None:
    end = Loan(PLAIN).hourly(CALLED, price).end
    assert end.cured is cured
    assert end.end is (End.OPEN if cured else End.CALLED)


def test_between_restore_level_and_call_a_late_call_waits_for_its_level() -> None:
    waiting = Loan(PLAIN).hourly(CALLED, *quiet(40, CALLED + 1))
    assert waiting.end.liquidated_at is None
    assert waiting.hourly(CALLED).end.liquidated_at == T0 + 42 * HOUR
    lower = Loan(PLAIN).hourly(CALLED - 500, *quiet(40, CALLED + 1), CALLED)
    assert lower.end.liquidated_at == T0 + 42 * HOUR


def test_or_is_sold_if_the_product_says_unless_restored() -> None:
    strict = product(lapse=f'{{ value = "unless-restored", {A} }}')
    end = Loan(strict).hourly(CALLED, *quiet(40, CALLED + 1)).end
    assert end.liquidated_at == T0 + 25 * HOUR + 1
    cured = Loan(strict).hourly(CALLED, RESTORED, *quiet(40, CALLED + 1)).end
    assert cured.liquidated_at is None


def test_the_clock_stops_when_the_price_is_stale() -> None:
    # A gap of ten hours counts as the one of the heartbeat: nine hours more to answer.
    loan = Loan(PLAIN).hourly(CALLED).at(11 * HOUR, CALLED)
    assert loan.end.seconds_stopped == 9 * HOUR
    loan.hourly(*quiet(23, CALLED))
    assert loan.end.liquidated_at is None
    assert loan.hourly(CALLED).end.liquidated_at == T0 + 34 * HOUR + 1


def test_nothing_lapses_while_the_price_is_stale() -> None:
    # The deadline would pass within the gap if the clock ran on.
    loan = Loan(PLAIN).hourly(CALLED, *quiet(20, CALLED)).at(100 * HOUR, CALLED)
    assert loan.end.liquidated_at is None


@pytest.mark.parametrize(("gap", "late"), [(HOUR, True), (HOUR - 1, False)])
def test_a_price_is_fresh_to_the_last_second_of_its_heartbeat(gap: int, late: bool) -> None:
    short = product(
        cure=f"{{ seconds = {HOUR - 1}, {D} }}", heartbeat=f"{{ seconds = {gap}, {D} }}"
    )
    loan = Loan(short).at(60, CALLED).at(60 + 5 * HOUR, 20_000)
    assert (loan.end.liquidated_at == 60 + T0 + HOUR) is late
    assert loan.end.cured is (not late)


def test_a_call_without_a_deadline_never_lapses() -> None:
    warning = product(cure=f'{{ value = "none", {A} }}')
    end = Loan(warning).hourly(CALLED, *quiet(1_000, CALLED)).end
    assert (end.end, end.liquidated_at, end.calls) == (End.CALLED, None, 1)


def test_an_accelerated_call_shortens_the_time() -> None:
    legacy = load_product("unchained_legacy")
    free = replace(legacy, repayment=replace(legacy.repayment, rate_bps=0))
    # Two fifths lent at 20,000: called at 12,000, accelerated at 10,800, sold at once at 8,800.
    slow = Loan(free).hourly(12_000, *quiet(49, 12_000))
    assert slow.end.liquidated_at == T0 + 49 * HOUR + 1
    fast = Loan(free).hourly(12_000, 10_800, *quiet(5, 10_800))
    assert fast.end.calls == 2
    assert fast.end.liquidated_at == T0 + 6 * HOUR + 1
    # The accelerated call counts at its own level; the first one's clock goes on.
    back = Loan(free).hourly(12_000, 10_800, *quiet(46, 10_801), 12_000)
    assert back.end.liquidated_at is None
    assert back.hourly(12_000).end.liquidated_at == T0 + 49 * HOUR + 1


# --- dwell ---

DWELLS = product(dwell=f"{{ hours = 72, {D} }}")


def test_a_call_is_made_once_its_level_has_lasted() -> None:
    loan = Loan(DWELLS).hourly(*quiet(72, CALLED))
    assert loan.end.margin_call_at is None
    assert loan.hourly(CALLED).end.margin_call_at == T0 + 73 * HOUR


def test_one_price_above_begins_the_dwell_anew() -> None:
    loan = Loan(DWELLS).hourly(*quiet(72, CALLED), CALLED + 1, *quiet(72, CALLED))
    assert loan.end.margin_call_at is None
    assert loan.hourly(CALLED).end.margin_call_at == T0 + 146 * HOUR


def test_the_same_after_a_lower_price() -> None:
    loan = Loan(DWELLS).hourly(CALLED - 500, *quiet(30, CALLED), CALLED + 1, *quiet(72, CALLED))
    assert loan.end.margin_call_at is None
    assert loan.hourly(CALLED).end.margin_call_at == T0 + 105 * HOUR


def test_interest_alone_brings_a_notice_and_a_call() -> None:
    dear = product(rate=f"{{ bps = 100000, {D} }}")
    # At 1,000 % a year and 16,000 a coin: 65 % after 35.04 hours, 70 % after 105.12.
    end = Loan(dear).hourly(15_900, *quiet(110, 16_000)).end
    assert end.first_notice_at == T0 + 36 * HOUR
    assert end.margin_call_at == T0 + 106 * HOUR


def test_a_dwell_ends_between_two_prices_in_its_own_second() -> None:
    odd = product(dwell=f"{{ seconds = 5000, {D} }}")
    assert Loan(odd).hourly(CALLED, CALLED, CALLED + 1).end.margin_call_at == T0 + HOUR + 5_000


# --- the borrower ---


def test_a_top_up_counts_after_the_confirmations_and_restores() -> None:
    loan = Loan(PLAIN, answer=Answer.TOP_UP).hourly(CALLED, *quiet(3, CALLED))
    end = loan.end
    assert end.cured_at == T0 + HOUR + HOUR + 2 * 600
    # 10,000 at 60 % of 14,285 a coin: 1.16672501 coins, rounded up.
    assert end.sats_pledged == -(-1_000_000 * 10**14 * 10 // (6 * units(CALLED)))
    assert end.sats_topped_up == end.sats_pledged - COIN
    assert (end.sats_held, end.cured) == (end.sats_pledged, True)


def test_a_repayment_restores_to_the_cent() -> None:
    loan = Loan(PLAIN, answer=Answer.REPAY).hourly(CALLED, *quiet(3, CALLED))
    end = loan.end
    # Most debt at 60 % of 14,285: 8,571.00.
    assert (end.repaid, end.owed) == (1_000_000 - 857_100, 857_100)
    assert (end.cured, end.cured_at) == (True, T0 + 2 * HOUR)


def test_a_fall_on_the_way_takes_a_second_answer() -> None:
    loan = Loan(PLAIN, answer=Answer.TOP_UP).hourly(CALLED, 13_500, *quiet(4, 13_500))
    end = loan.end
    assert end.calls == 1
    assert end.cured_at == T0 + HOUR + 2 * (HOUR + 1_200)
    assert end.sats_held == -(-1_000_000 * 10**14 * 10 // (6 * units(13_500)))


def test_the_answer_is_the_way_that_the_product_takes() -> None:
    coins = product(cure_by=f'{{ value = "top-up", {A} }}')
    money = product(cure_by=f'{{ value = "repay", {A} }}')
    prices = [CALLED, *quiet(3, CALLED)]
    assert Loan(coins, answer=Answer.REPAY).hourly(*prices).end.sats_topped_up > 0
    assert Loan(money, answer=Answer.TOP_UP).hourly(*prices).end.repaid > 0
    assert Loan(coins).hourly(*prices).end.sats_topped_up == 0


def test_an_answer_is_on_time_up_to_the_second_in_which_the_call_would_lapse() -> None:
    """The deadline is the last second that is in time; in the next the call lapses, and payments of
    that second come first (``cure`` of the core: late or not, until it has lapsed)."""
    for after, cured in ((DAY, True), (DAY + 1, True), (DAY + 2, False)):
        loan = Loan(PLAIN, answer=Answer.REPAY, after=after).hourly(CALLED, *quiet(26, CALLED))
        assert loan.end.cured is cured
        assert (loan.end.liquidated_at is None) is cured


def test_what_was_cured_by_the_price_needs_no_money() -> None:
    end = (
        Loan(PLAIN, answer=Answer.REPAY, after=2 * HOUR)
        .hourly(CALLED, RESTORED, 20_000, 20_000)
        .end
    )
    assert (end.repaid, end.cured) == (0, True)


def test_a_new_call_is_answered_in_its_own_time() -> None:
    slow = Loan(PLAIN, answer=Answer.REPAY, after=3 * HOUR)
    slow.hourly(CALLED, RESTORED, CALLED, CALLED, CALLED)
    assert slow.end.repaid == 0
    assert slow.hourly(CALLED).end.repaid > 0


def test_coins_on_the_way_arrive_all_the_same() -> None:
    end = Loan(PLAIN, answer=Answer.TOP_UP).hourly(CALLED, RESTORED, 20_000, 20_000).end
    assert end.sats_topped_up > 0
    assert end.sats_held == COIN + end.sats_topped_up


def test_of_a_principal_that_counts_alone_the_interest_is_paid_first() -> None:
    text = changed(basis=f'{{ value = "principal", {D} }}', rate=f"{{ bps = 100000, {D} }}")
    loan = Loan(read_product(text), answer=Answer.REPAY).hourly(CALLED, *quiet(3, CALLED))
    assert loan.ladder.outcome().cured is True
    # 8,571.00 of principal may stay; two hours of 1,000 % a year are 22.83 and a bit more.
    assert loan.end.repaid == 1_000_000 - 857_100 + 2_284


# --- payments and default ---

YEAR = 365 * DAY


def test_at_the_end_of_the_term_all_is_paid_and_the_coins_go_back() -> None:
    loan = Loan(PLAIN).at(YEAR - 1, 20_000)
    assert loan.end.end is End.OPEN
    end = loan.at(YEAR + DAY, 20_000).end
    assert (end.end, end.ended_at) == (End.REPAID, T0 + YEAR)
    assert (end.repaid, end.sats_returned, end.sats_held) == (PRINCIPAL, COIN, 0)


def test_a_payment_in_the_second_of_a_crash_comes_first() -> None:
    assert Loan(PLAIN).at(YEAR, 1).end.end is End.REPAID
    assert Loan(PLAIN).at(YEAR - 1, 1).end.end is End.LIQUIDATED


def test_who_is_absent_defaults_after_the_grace_and_everything_is_sold() -> None:
    loan = Loan(PLAIN, answer=Answer.ABSENT)
    loan.at(YEAR + 10 * DAY - 60, 20_000)
    assert loan.end.liquidated_at is None
    # The last second of the grace is in time.
    assert loan.at(YEAR + 10 * DAY, 20_000).end.liquidated_at is None
    end = loan.at(YEAR + 10 * DAY + 60, 20_000).end
    assert end.liquidated_at == T0 + YEAR + 10 * DAY + 1
    assert end.sats_returned == COIN // 2


def test_a_default_waits_for_a_fresh_price() -> None:
    loan = Loan(PLAIN, answer=Answer.ABSENT).at(YEAR, 20_000).at(YEAR + 20 * DAY, 15_000)
    assert loan.end.liquidated_at == T0 + YEAR + 20 * DAY
    assert loan.end.liquidation_price == units(15_000)


MONTHLY = read_product(
    changed(
        pays=f'{{ value = "every", {D} }}\nevery = {{ days = 30, {D} }}',
        rate=f"{{ bps = 1200, {D} }}",
    )
)


def test_interest_is_paid_each_time_and_principal_at_the_end() -> None:
    end = Loan(MONTHLY).at(31 * DAY, 20_000).end
    # 10,000.00 × 12 % × 30 ÷ 365 is 98.6301…, rounded up.
    assert end.repaid == 9_864
    assert end.owed == PRINCIPAL + 329
    done = Loan(MONTHLY).at(YEAR + 1, 20_000).end
    assert done.end is End.REPAID
    assert done.repaid == pytest.approx(1_120_000, abs=13)


def test_a_missed_payment_of_interest_is_a_default_too() -> None:
    loan = Loan(MONTHLY, answer=Answer.ABSENT).at(40 * DAY + 60, 20_000)
    assert loan.end.liquidated_at == T0 + 40 * DAY + 60


def test_who_answers_at_once_is_not_passed_over_where_the_debt_stands_still() -> None:
    end = Loan(PLAIN, answer=Answer.REPAY, after=0).hourly(CALLED, CALLED + 100).end
    assert (end.cured, end.cured_at) == (True, T0 + 2 * HOUR)


# --- sales ---


def sale_product(*lines: str, **changes: str) -> Product:
    text = changed(liquidation__kind=None, liquidation__fee=None, **changes)
    return read_product(text.replace("[liquidation]", "[liquidation]\n" + "\n".join(lines)))


PARTIAL = sale_product(
    f'kind = {{ value = "partial", {D} }}',
    f"target = {{ bps = 6000, {D} }}",
    f"fee = {{ bps = 99, {D} }}",
)


def test_after_a_partial_sale_the_loan_goes_on_uncalled() -> None:
    loan = Loan(PARTIAL).hourly(CALLED, SOLD)
    end = loan.end
    assert (end.end, end.sales, end.calls, end.cured) == (End.OPEN, 1, 1, False)
    assert 0 < end.sats_held < COIN
    assert end.owed == PRINCIPAL - end.recovered
    again = loan.hourly(11_764, 10_000, 8_000).end
    assert (again.sales, again.calls) == (2, 2)
    assert again.cured is False


def test_a_cure_after_a_sale_does_not_cure_the_first_call() -> None:
    loan = Loan(PARTIAL).hourly(SOLD, 10_000, 20_000)
    assert loan.end.calls == 2
    assert loan.end.cured is False


HALVES = sale_product(
    f'kind = {{ value = "third-party", {D} }}',
    f"bonus = {{ bps = 500, {D} }}",
    f"close = {{ bps = 1000, {D} }}",
)


def test_a_third_party_buys_as_often_as_the_level_is_reached() -> None:
    end = Loan(HALVES).hourly(SOLD, SOLD).end
    assert end.sales == 1
    deep = Loan(HALVES).hourly(10_700).end
    assert deep.sales > 3
    assert deep.end is End.OPEN
    assert deep.fees == pytest.approx(deep.recovered * 5 // 100, abs=deep.sales + 2)


AUCTION = sale_product(
    f'kind = {{ value = "auction", {D} }}',
    f"buf = {{ bps = 12000, {D} }}",
    f"cut = {{ bps = 9900, {D} }}",
    f"step = {{ seconds = 90, {D} }}",
    f"tail = {{ hours = 2, {D} }}",
    f"cusp = {{ bps = 4000, {D} }}",
    f"fee = {{ bps = 0, {D} }}",
)


def test_an_auction_is_over_when_its_price_meets_the_markets() -> None:
    loan = Loan(AUCTION).hourly(SOLD)
    assert loan.end.sales == 0
    end = loan.hourly(20_000).end
    assert end.liquidated_at == T0 + HOUR + 1_710
    assert end.liquidation_price is not None
    assert units(SOLD) * 99 // 100 < end.liquidation_price < units(SOLD)


def test_a_new_price_begins_it_anew_or_ends_it() -> None:
    loan = Loan(AUCTION).at(600, SOLD).at(1_200, SOLD).at(1_800, SOLD - 1).at(HOUR, 11_000)
    assert loan.end.liquidated_at == T0 + 1_800 + 1_710
    saved = Loan(AUCTION).at(600, SOLD).at(1_200, SOLD + 1).at(2 * HOUR, SOLD + 1).end
    assert saved.sales == 0


def test_after_a_lapse_it_runs_on_whatever_the_price_does() -> None:
    loan = Loan(AUCTION).hourly(CALLED, *quiet(24, CALLED)).at(25 * HOUR + 600, 14_000)
    end = loan.at(25 * HOUR + 1_800, 14_000).end
    assert end.liquidated_at == T0 + 25 * HOUR + 1 + 1_710


def test_an_auction_waits_while_the_price_is_stale() -> None:
    slow = replace(AUCTION, price=replace(AUCTION.price, heartbeat=Seconds(600)))
    loan = Loan(slow).at(600, SOLD).at(2 * HOUR, SOLD)
    assert loan.end.sales == 0


def test_bands_sell_buy_back_and_are_closed_when_they_no_longer_cover() -> None:
    soft = load_product("crvusd")
    loan = Loan(soft, price=20_000)
    assert loan.hourly(12_000).end.soft_from is None
    half = loan.hourly(11_000).end
    assert half.soft_from == T0 + 2 * HOUR
    assert 0 < half.sats_held < COIN
    assert half.sats_sold + half.sats_held == half.sats_pledged == COIN
    assert half.cash_held > 0
    back = loan.hourly(13_000).end
    assert back.sats_held > half.sats_held
    assert back.cash_held == 0
    # Held until the interest outgrows the cash: at 5 % a year, after more than a year.
    loan.hourly(9_000)
    first = loan.end
    assert (first.end, first.sats_held) == (End.OPEN, 0)
    for day in range(1, 1_200):
        loan.at(DAY * day, 9_000)
    end = loan.end
    assert end.end is End.LIQUIDATED
    assert (end.sats_sold, end.sats_held, end.bad_debt) == (COIN, 0, 0)
    assert end.recovered + end.fees <= first.cash_held
    assert end.recovered > PRINCIPAL


def test_bands_that_fall_at_once_leave_a_bad_debt() -> None:
    text_free = load_product("crvusd")
    kind = replace(text_free.liquidation, stride_bps=1_000)
    loan = Loan(replace(text_free, liquidation=kind), price=20_000).hourly(2_000)
    end = loan.end
    assert end.end is End.LIQUIDATED
    assert end.bad_debt > 0
    assert end.recovered + end.bad_debt == PRINCIPAL + 1 * 6


def test_after_a_round_trip_the_coins_that_are_left_measure_the_loan() -> None:
    soft = load_product("crvusd")
    loan = Loan(soft, price=20_000).hourly(10_000, 16_000, 13_000)
    end = loan.end
    assert end.sats_held < COIN
    assert end.cash_held == 0
    for price in range(12_990, 11_600, -10):
        loan.hourly(price)
    assert loan.end.worst_ltv_bps >= end.worst_ltv_bps


def test_who_closes_bands_gets_the_coins_that_are_left_and_the_cash() -> None:
    # At half, with ten bands, the first begins at 11,550. A rough oracle sells some of them badly.
    soft = load_product("crvusd")
    rough = replace(soft, liquidation=replace(soft.liquidation, stride_bps=1_000))
    before = Loan(rough, price=20_000).hourly(11_550)
    assert before.end.sats_held == COIN
    loan = Loan(rough, price=20_000).hourly(11_550, 10_700)
    end = loan.end
    bands = Soft(rough.liquidation, debt=PRINCIPAL, sats=COIN, price=units(20_000))
    bands.follow(start=units(20_000), price=units(11_550))
    bands.follow(start=units(11_550), price=units(10_700))
    assert 0 < bands.coins < COIN
    owed = Cents(PRINCIPAL + 2 * 6)
    worth = bands.cash + value_down(bands.coins, price=units(10_700))
    assert (end.end, end.sats_sold, end.sats_held) == (End.LIQUIDATED, COIN, 0)
    assert end.recovered == min(owed, worth)
    assert end.fees == max(0, worth - owed)
    assert end.bad_debt == max(0, owed - worth)


def test_debt_beyond_the_coins_is_bad() -> None:
    end = Loan(PLAIN).hourly(9_000).end
    assert (end.recovered, end.bad_debt, end.sats_sold) == (900_000, 100_000, COIN)


def test_the_origination_fee_and_the_size_are_noted() -> None:
    sized = read_product(
        changed(repayment__fee=f"{{ bps = 150, {D} }}")
        + f'[size]\nleast = {{ amount = "10000.01", {D} }}\n'
    )
    end = Loan(sized).hourly(20_000).end
    assert (end.fees, end.outside_size) == (15_000, True)
    assert Loan(PLAIN).hourly(20_000).end.outside_size is False
    capped = read_product(changed() + f'[size]\nmost = {{ amount = "9999.99", {D} }}\n')
    assert Loan(capped).end.outside_size is True


def test_the_worst_loan_to_value_is_that_before_a_sale() -> None:
    end = Loan(PARTIAL).hourly(11_000, 15_000).end
    assert end.worst_ltv_bps == 9_091


def test_few_of_the_sources_cannot_call() -> None:
    ladder = Ladder(PLAIN, principal=PRINCIPAL, at=T0, price=units(20_000))
    ladder.step(Seconds(T0 + HOUR), units(CALLED), to_call=units(CALLED + 1))
    assert ladder.outcome().margin_call_at is None
    ladder.step(Seconds(T0 + 2 * HOUR), units(CALLED + 1), to_call=units(CALLED))
    assert ladder.outcome().margin_call_at == T0 + 2 * HOUR


def test_a_cent_against_the_cheapest_coins() -> None:
    ladder = Ladder(PLAIN, principal=Cents(1), at=Seconds(0), price=PriceE8(1), habit=Habit())
    assert ladder.outcome().sats_pledged == 2 * 10**14


def test_what_a_sale_in_default_leaves_is_sold_at_the_next_prices() -> None:
    halves = sale_product(
        f'kind = {{ value = "third-party", {D} }}',
        f"bonus = {{ bps = 0, {D} }}",
        f"close = {{ bps = 5000, {D} }}",
    )
    loan = Loan(halves, answer=Answer.ABSENT).at(YEAR + 10 * DAY, 20_000)
    end = loan.at(YEAR + 10 * DAY + 60, 20_000).at(YEAR + 10 * DAY + 120, 20_001).end
    assert (end.sales, end.recovered) == (3, PRINCIPAL * 7 // 8)
