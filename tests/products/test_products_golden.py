"""The shipped products: published levels, price falls and sales, to a sat and a cent."""

from __future__ import annotations

import re
from dataclasses import replace
from fractions import Fraction

import pytest
from products_lab import PRINCIPAL, T0, units

from escrow.core.sales import cover_to_target, sell_part
from escrow.core.terms import Liquidation
from escrow.core.units import BPS, CENTS_SCALE, COIN, DAY, Bps, Cents, PriceE8, Sats, Seconds
from escrow.products.debt import Owing, debt_of
from escrow.products.ladder import Ladder
from escrow.products.level import shown
from escrow.products.model import (
    DutchAuction,
    MarketSale,
    Pays,
    Product,
    Repayment,
    SoftBands,
    TakeOver,
    ThirdParty,
)
from escrow.products.read import load_product, shipped
from escrow.products.sale import sale_terms, sell, time_to_take
from escrow.products.words import describe, explain, price_falls

ALL = [load_product(name) for name in shipped()]


def named(name: str) -> Product:
    return load_product(name)


def sold(kind: object, *, debt: int, held: int = COIN, price: PriceE8, principal: int = 0):
    return sell(
        kind,
        debt=Cents(debt),
        principal=Cents(principal or debt),
        held=Sats(held),
        price=price,
        at=T0,
        in_default=False,
    )


def test_every_product_of_the_table_is_shipped() -> None:
    assert set(shipped()) == {
        "unchained_2025", "unchained_legacy", "ledn_standard", "strike", "firefish", "debifi",
        "hodlhodl", "lendasat", "lava_bloc", "meld", "nexo", "coinbase_morpho", "atomic_loans",
        "maple_btc", "aave_wbtc", "comet_wbtc", "liquity_v2_weth", "maker_wbtc", "crvusd",
        "sovcombank_2026", "sberbank_pilot_2025_12",
    }  # fmt: skip


# --- what is published ---

LEVELS = {
    "unchained_2025": ("40.00", [], ["≈66.67"], "≈83.33"),
    "unchained_legacy": ("40.00", ["≈57.14", "≈60.61", "62.50"], ["≈66.67", "≈74.07"], "≈90.91"),
    "ledn_standard": ("50.00", [], ["70.00", "75.00"], "80.00"),
    "strike": ("50.00", [], ["70.00"], "85.00"),
    "firefish": ("50.00", [], [], "95.00"),
    "debifi": ("70.00", [], ["75.00", "80.00", "85.00"], "90.00"),
    "hodlhodl": ("70.00", ["75.00", "80.00", "85.00"], ["75.00", "80.00", "85.00"], "90.00"),
    "lava_bloc": ("50.00", [], ["80.00"], "85.00"),
    "meld": ("50.00", ["65.00"], ["75.00"], "85.00"),
    "nexo": ("50.00", ["71.40", "74.10", "76.90"], [], "83.10"),
    "coinbase_morpho": ("75.00", [], [], "86.00"),
    "aave_wbtc": ("70.00", [], [], "77.00"),
    "comet_wbtc": ("70.00", [], [], "77.00"),
    "liquity_v2_weth": ("90.90", [], [], "≈90.91"),
    "atomic_loans": ("50.00", [], [], "≈71.43"),
}


@pytest.mark.parametrize("name", LEVELS)
def test_levels_are_the_published_ones(name: str) -> None:
    product = named(name)
    initial, notices, calls, immediate = LEVELS[name]
    assert shown(product.initial) == f"{initial} %"
    assert [shown(each.ltv) for each in product.notices] == [f"{each} %" for each in notices]
    assert [shown(each.level.ltv) for each in product.calls] == [f"{each} %" for each in calls]
    assert product.immediate is not None
    assert shown(product.immediate.ltv) == f"{immediate} %"


def test_clocks_are_the_published_ones() -> None:
    hours = {p.id: [c.cure and c.cure // 3_600 for c in p.calls] for p in ALL}
    assert hours["unchained_2025"] == [24]
    assert hours["unchained_legacy"] == [48, 4]
    assert hours["strike"] == [24]
    assert hours["maple_btc"] == [24]
    assert [c.dwell for c in named("meld").calls] == [3 * DAY]
    assert named("strike").repayment.grace == 10 * DAY
    assert named("debifi").repayment.grace == DAY


@pytest.mark.parametrize(
    ("name", "where", "fall"),
    [
        ("strike", "call 1", "28.57"),
        ("ledn_standard", "call 2", "33.33"),
        ("ledn_standard", "sale", "37.50"),
        ("strike", "sale", "41.18"),
        ("firefish", "sale", "47.37"),
        ("unchained_2025", "call 1", "40.00"),
        ("unchained_2025", "sale", "52.00"),
        ("debifi", "sale", "22.22"),
        ("coinbase_morpho", "sale", "12.79"),
    ],
)
def test_price_falls_implied(name: str, where: str, fall: str) -> None:
    assert shown(dict(price_falls(named(name)))[where]).removeprefix("≈") == f"{fall} %"


def test_a_fall_of_27_percent_liquidates_what_was_above_59_4_at_a_trigger_of_81_4() -> None:
    after = Fraction(73, 100)
    assert Fraction(594, 1000) / after < Fraction(814, 1000) < Fraction(595, 1000) / after
    assert shown(1 - Fraction(50, 100) / Fraction(814, 1000)) == "≈38.57 %"


@pytest.mark.parametrize("product", ALL, ids=lambda p: p.id)
def test_each_level_acts_at_its_price_and_not_a_tick_above(product: Product) -> None:
    if isinstance(product.liquidation, SoftBands):
        return
    free = replace(product, repayment=replace(product.repayment, rate_bps=Bps(0)))
    first = units(20_000)
    held = Ladder(free, principal=PRINCIPAL, at=T0, price=first).outcome().sats_pledged

    def after(price: PriceE8):
        ladder = Ladder(free, principal=PRINCIPAL, at=T0, price=first)
        ladder.step(Seconds(T0 + 60), price)
        # An auction needs its time.
        ladder.step(Seconds(T0 + 2_999), price)
        return ladder.outcome()

    for notice in product.notices[:1]:
        price = notice.trigger(PRINCIPAL, held=held)
        assert after(price).first_notice_at == T0 + 60
        assert after(PriceE8(price + 1)).first_notice_at is None
    for call in product.calls[:1]:
        price = call.level.trigger(PRINCIPAL, held=held)
        wait = call.dwell > 0
        assert after(price).margin_call_at == (None if wait else T0 + 60)
        assert after(PriceE8(price + 1)).margin_call_at is None
    assert product.immediate is not None
    price = product.immediate.trigger(PRINCIPAL, held=held)
    assert after(price).sales == 1
    assert after(PriceE8(price + 1)).sales == 0


# --- closed forms ---


def test_strike_sells_so_much_that_it_is_at_60_again() -> None:
    """D = 50,000, C = 58,823.53, fee 0.99 %, target 60 %: 37,697.72 are sold."""
    price = PriceE8(5_882_353 * 10**6)
    sale = sold(named("strike").liquidation, debt=5_000_000, price=price)
    assert sale is not None
    assert abs(sale.sold * price - 3_769_772 * CENTS_SCALE) <= CENTS_SCALE
    assert Fraction(sale.sold, COIN) == pytest.approx(Fraction(64_086, 100_000), abs=1e-5)
    assert sale.left == 1_267_548
    left = (COIN - sale.sold) * price // CENTS_SCALE
    assert abs(left - 2_112_580) <= 1
    assert sale.left * BPS / left == pytest.approx(6_000, abs=0.01)
    assert sale.recovered == 5_000_000 - 1_267_548
    assert (sale.bad_debt, sale.returned, sale.to_lender) == (0, 0, 0)
    assert sale.fees == pytest.approx(37_697.72 * 0.0099 * 100, abs=1)


def test_the_bonus_form_covers_36255_77_and_seizes_38068_56() -> None:
    terms = replace(
        sale_terms(ThirdParty(Bps(500), Bps(BPS), None, Cents(0), Cents(0))),
        liquidation=Liquidation.PARTIAL,
        target_ltv=Bps(6_000),
    )
    debt, price = Cents(5_000_000), PriceE8(6_097_561 * 10**6)
    covered = cover_to_target(terms, debt=debt, held=Sats(COIN), price=price)
    assert covered == 3_625_577
    split = sell_part(terms, debt=debt, price=price, covered=covered)
    assert abs(split.seized * price - 3_806_856 * CENTS_SCALE) <= CENTS_SCALE


@pytest.mark.parametrize("worth", [51_000, 60_000, 74_999])
def test_unchained_legacy_sells_twice_the_debt_less_the_collateral(worth: int) -> None:
    """To CTP 200 without a fee: s = 2 D − C."""
    sale = sold(named("unchained_legacy").liquidation, debt=5_000_000, price=units(worth))
    assert sale is not None
    want = 2 * 5_000_000 - worth * 100
    assert abs(sale.sold * units(worth) - want * CENTS_SCALE) <= CENTS_SCALE
    assert sale.recovered == want


def test_unchained_legacy_sells_out_a_principal_below_10000_and_not_at_it() -> None:
    kind = named("unchained_legacy").liquidation
    small = sold(kind, debt=1_000_500, principal=999_999, price=units(13_000))
    large = sold(kind, debt=1_000_500, principal=1_000_000, price=units(13_000))
    assert small is not None
    assert large is not None
    assert small.left == 0 < large.left


@pytest.mark.parametrize(
    ("bonus", "percent"),
    [(438, 95.80), (500, 95.24), (700, 93.46), (1_000, 90.91), (1_300, 88.50), (2_000, 83.33)],
)
def test_breakeven_is_one_over_one_and_the_bonus(bonus: int, percent: float) -> None:
    level = Fraction(BPS, BPS + bonus)
    assert round(float(level) * 100, 2) == percent
    kind = TakeOver(Bps(bonus))
    # A coin at this price just covers this debt and the bonus on it.
    price = units((BPS + bonus) * 10)
    covered = sold(kind, debt=BPS * 1_000, price=price)
    short = sold(kind, debt=BPS * 1_000 + 1, price=price)
    assert covered is not None
    assert short is not None
    assert (covered.bad_debt, covered.returned) == (0, 0)
    assert covered.to_lender + covered.fee_sats == COIN
    assert (short.bad_debt, short.returned) == (1, 0)


@pytest.mark.parametrize(("buf", "minutes"), [(12_000, 28.5), (13_000, 40.5)])
def test_an_auction_is_back_at_par(buf: int, minutes: float) -> None:
    kind = DutchAuction(Bps(buf), Bps(9_900), Seconds(90), Seconds(7_200), Bps(4_000), Bps(0))
    assert time_to_take(kind) == minutes * 60


def test_maker_sells_40_and_a_half_minutes_after_the_breach() -> None:
    product = named("maker_wbtc")
    ladder = Ladder(product, principal=PRINCIPAL, at=T0, price=units(9_000))
    ladder.step(Seconds(T0 + 3_600), units(6_000))
    ladder.step(Seconds(T0 + 7_200), units(6_000))
    found = ladder.outcome()
    assert found.liquidated_at == T0 + 3_600 + 2_430
    assert found.liquidation_price is not None
    # 1.3 × 0.99²⁷ is 0.9911 of the market's price.
    assert found.liquidation_price == pytest.approx(6_000 * 10**8 * 1.3 * 0.99**27, rel=1e-12)


def test_sovcombank_earns_19534_25_a_month_on_a_million() -> None:
    plan = named("sovcombank_2026").repayment
    assert [each.bps for each in plan.index] == [1_600]
    owing = debt_of(plan, principal=Cents(100_000_000), at=T0)
    # 19,534.2466, rounded up against the one who owes.
    assert owing.interest(Seconds(T0 + 31 * DAY)) == 1_953_425
    assert owing.interest(Seconds(T0 + 31 * DAY)) == -(-100_000_000 * 2_300 * 31 // (BPS * 365))


def test_the_pilot_discloses_nothing_and_says_so() -> None:
    product = named("sberbank_pilot_2025_12")
    assert product.assumed == product.parameters
    assert "28 December 2025" in product.title


def test_aave_sells_half_then_all_at_0_95_and_leaves_no_dust() -> None:
    product = named("aave_wbtc")
    kind = product.liquidation
    half = sold(kind, debt=5_000_000, price=units(64_000))
    assert half is not None
    assert (half.recovered, half.left) == (2_500_000, 2_500_000)
    # A health factor of 0.95 is a loan-to-value of 81.05 %.
    at = Fraction(77 * 100, 95 * 100)
    for price, whole in ((int(50_000 / at), True), (int(50_000 / at) + 1, False)):
        sale = sold(kind, debt=5_000_000, price=units(price))
        assert sale is not None
        assert (sale.left == 0) is whole
    # Below 2,000 of debt at once, and where less than 1,000 would be left.
    for debt, left in ((199_999, 0), (200_000, 100_000)):
        sale = sold(kind, debt=debt, price=units(2_560))
        assert sale is not None
        assert sale.left == left


def test_a_partial_sale_of_a_debt_that_is_not_covered_is_of_all() -> None:
    sale = sold(named("strike").liquidation, debt=5_000_000, price=units(50_000))
    assert sale is not None
    assert (sale.sold, sale.left) == (COIN, 0)
    assert sale.bad_debt == 49_500
    assert sale.recovered + sale.bad_debt == 5_000_000


def test_at_its_target_there_is_nothing_to_sell_for() -> None:
    assert sold(named("strike").liquidation, debt=3_000_000, price=units(50_000)) is None
    assert sold(named("strike").liquidation, debt=3_000_001, price=units(50_000)) is not None


@pytest.mark.parametrize("product", ALL, ids=lambda p: p.id)
def test_every_product_is_explained_in_plain_words(product: Product) -> None:
    lines = list(explain(product))
    text = "\n".join(lines)
    assert product.in_words in text
    assert "Fraction" not in text
    assert text.count("ASSUMED") == len(product.assumed)
    assert all(line == line.rstrip() for line in lines)
    shape = describe(product)
    assert {each["status"] for each in shape["parameters"]} <= {"assumed", "disclosed"}
    assert not re.search(r"\bNone\b", text)


def test_no_bank_has_a_term_that_is_neither_sourced_nor_assumed() -> None:
    assert all(each.source and each.line for product in ALL for each in product.parameters)


# --- what is owed: the same as the core's rules ---


@pytest.mark.parametrize("pays", [Pays.AT_END, Pays.EVERY])
def test_interest_and_payments_are_the_cores(pays: Pays) -> None:
    from escrow.core.rules import Debt, accrue, owed, pay

    plan = Repayment(pays, Bps(1_234), Bps(0), Seconds(365 * DAY), Seconds(30 * DAY), Seconds(0))
    mine = Owing(plan, principal=Cents(7_777_777), at=T0)
    core = Debt(principal=Cents(7_777_777), accrued_to=T0)
    for step, amount in ((1, 0), (86_399, 5), (1_000_003, 123_456), (17, 10**9)):
        at = Seconds(core.accrued_to + step)
        assert mine.owed(at) == owed(core, rate_bps=Bps(1_234), at=at)
        grown = accrue(core, rate_bps=Bps(1_234), at=at)
        core, interest, principal = pay(grown, amount=Cents(amount))
        assert mine.pay(Cents(amount), at=at) == interest + principal
        assert mine.principal == core.principal
    assert mine.owed(Seconds(at + DAY)) == 0


def test_interest_of_the_whole_term_is_owed_at_once_and_grows_no_more() -> None:
    owing = Owing(named("firefish").repayment, principal=Cents(1_000_000), at=T0)
    assert owing.owed(T0) == owing.owed(Seconds(T0 + 300 * DAY)) == 1_120_000


def test_a_negative_rate_shrinks_what_is_owed() -> None:
    plan = Repayment(Pays.AT_END, Bps(-100), Bps(0), Seconds(365 * DAY), None, Seconds(0))
    owing = Owing(plan, principal=Cents(1_000_000), at=T0)
    assert owing.owed(Seconds(T0 + 365 * DAY)) == 990_000
    assert owing.pay(Cents(990_000), at=Seconds(T0 + 365 * DAY)) == 990_000
    assert owing.principal == 0


def test_a_negative_rate_without_a_term_leaves_no_debt_below_zero() -> None:
    plan = Repayment(Pays.OPEN, Bps(-10_000), Bps(0), None, None, Seconds(0))
    owing = Owing(plan, principal=Cents(1_000_000), at=T0)
    assert owing.owed(Seconds(T0 + 364 * DAY)) == 2_740
    assert owing.owed(Seconds(T0 + 365 * DAY)) == owing.owed(Seconds(T0 + 999 * DAY)) == 0
    assert owing.pay(Cents(1), at=Seconds(T0 + 999 * DAY)) == 0
    assert owing.principal == 0


def test_a_take_over_without_a_penalty_takes_none_where_the_coins_fall_short() -> None:
    """The last coins come to less than a cent, and still are for the debt."""
    short = sold(TakeOver(Bps(0)), debt=1_120_000, price=PriceE8(484_167_000_000), held=216_567_826)
    assert short is not None
    assert short.bad_debt > 0
    assert (short.to_lender, short.fee_sats) == (216_567_826, 0)


def test_a_market_sale_is_of_what_the_debt_and_the_fee_need() -> None:
    sale = sold(MarketSale(Bps(100)), debt=990_000, price=units(20_000))
    assert sale is not None
    assert (sale.sold, sale.returned, sale.fees) == (COIN // 2, COIN // 2, 10_000)
