"""One product through both chains: the same to the last sat, or refused by name."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from products_lab import PRINCIPAL, T0, planned, product, units

from escrow.adapters.price.builtin import builtin_prices
from escrow.adapters.price.files import Quote
from escrow.core.errors import BadInput
from escrow.core.units import DAY, HOUR, Bps, Cents, PriceE8, Seconds
from escrow.products.level import Level
from escrow.products.model import Basis, DutchAuction, Lapse, PartialSale, Pays, Product
from escrow.products.read import load_product, read_product, shipped
from escrow.products.sale import time_to_take
from escrow.sim.on_chain import run_both
from escrow.sim.on_chain_policy import Refusal
from escrow.sim.on_chain_rules import By
from escrow.sim.on_chain_terms import MOST_PRICES
from escrow.streams import Streams

CRASH = builtin_prices()[276:300]
"""The day of the built-in crash."""
POLICY, CONTRACT = By.POLICY, By.CONTRACT


def path(*prices: int, gap: int = HOUR) -> list[Quote]:
    return [Quote(Seconds(T0 + gap * n), units(price)) for n, price in enumerate(prices)]


# Each shipped product on a stretch on which it acts: what it did, and what only its lender's policy
# kept. Hours; the first price is 20,000.
HOURS: dict[str, list[int]] = {
    # Above 66.67 % for a day and a second; the contract counts interest and would have called.
    "unchained_2025": [11_900] * 26,
    # The accelerated call's four hours are over before the first one's two days.
    "unchained_legacy": [*[11_900] * 6, *[10_700] * 6],
    # An hour off the level begins the dwell anew; then three days of it, and a sale.
    "meld": [13_300, 13_400, *[13_300] * 73, 11_700],
    # Half of the debt, then all of what is little.
    "aave_wbtc": [18_000, 17_000, 16_000],
    # A call at 80.6 %, open at 60.6, cured at 50, sold at 85.5.
    "lava_bloc": [12_400, 16_500, 20_000, 11_690],
    "liquity_v2_weth": [19_990, 19_000],
    # Called nothing, and the whole year's interest counts from the start.
    "firefish": [10_600, 10_500],
    "lendasat": [11_200, 11_100],
}
ACTS = [
    ("strike", 0, {"call": CONTRACT, "call, cure time": CONTRACT, "sale": CONTRACT}),
    ("nexo", 0, {"immediate": CONTRACT, "call": POLICY, "sale": CONTRACT}),
    ("ledn_standard", 0, {"call 1": CONTRACT, "call 1, cure time": POLICY, "call 2": POLICY}),
    ("hodlhodl", 0, {"immediate": POLICY, "sale": CONTRACT}),
    ("debifi", 0, {"immediate": POLICY, "call 3": POLICY}),
    ("maple_btc", 0, {"immediate": CONTRACT, "lapse": CONTRACT, "sale": POLICY}),
    ("sberbank_pilot_2025_12", 0, {"restore": CONTRACT, "sale": CONTRACT}),
    ("coinbase_morpho", 1, {"immediate": POLICY, "sale": CONTRACT}),
    ("comet_wbtc", 1, {"immediate": POLICY, "sale": CONTRACT}),
    ("atomic_loans", 0, {"immediate": POLICY, "sale": CONTRACT}),
    ("maker_wbtc", 1, {"immediate": POLICY, "sale": POLICY}),
    ("unchained_2025", 0, {"levels": POLICY, "call": POLICY, "call, cure time": CONTRACT}),
    ("unchained_legacy", 0, {"call 2": POLICY, "call 2, cure time": POLICY, "sale": POLICY}),
    ("meld", 0, {"call, dwell": POLICY, "call": CONTRACT, "immediate": CONTRACT}),
    ("aave_wbtc", 1, {"immediate": POLICY, "sale": POLICY}),
    ("lava_bloc", 0, {"restore": POLICY, "immediate": POLICY, "sale": CONTRACT}),
    ("liquity_v2_weth", 1, {"immediate": CONTRACT}),
    ("firefish", 0, {"interest": POLICY, "immediate": CONTRACT}),
    ("lendasat", 0, {"interest": POLICY, "immediate": CONTRACT}),
]


def test_every_shipped_product_is_run_but_bands_and_a_floating_rate() -> None:
    assert {name for name, _, _ in ACTS} == set(shipped()) - {"crvusd", "sovcombank_2026"}


@pytest.mark.parametrize(("name", "unconfirmed", "rules"), ACTS, ids=[each[0] for each in ACTS])
def test_both_runs_come_to_the_same_where_the_product_acts(
    name: str, unconfirmed: int, rules: dict[str, By]
) -> None:
    quotes = path(20_000, *HOURS[name]) if name in HOURS else CRASH
    both = run_both(load_product(name), quotes, principal=Cents(1_234_567))
    assert both.differences == ()
    assert both.refusals == ()
    assert both.laws_broken == 0
    assert both.outcome.sales > 0
    assert len(both.stated) == 1 + unconfirmed, both.stated
    kept = {each.rule: each.by for each in both.rules}
    assert kept | rules == kept


def test_the_accelerated_call_sold_before_the_first_one_lapsed() -> None:
    quotes = path(20_000, *HOURS["unchained_legacy"])
    both = run_both(load_product("unchained_legacy"), quotes, principal=PRINCIPAL)
    assert (both.differences, both.refusals) == ((), ())
    # Called after an hour, again after seven; four hours and a second later sold.
    assert both.outcome.margin_call_at == T0 + HOUR
    assert both.outcome.liquidated_at == T0 + 11 * HOUR + 1


def test_a_dwell_is_waited_out_to_the_second() -> None:
    slow = with_(calls=(replace(CALL, dwell=Seconds(90 * 60), cure=None),))
    quotes = path(20_000, 14_000, 14_500, 14_000, 14_000, 14_000, 20_000)
    both = run_both(slow, quotes, principal=PRINCIPAL)
    assert both.differences == ()
    # The first hour at the level was not enough; the second time it lasts.
    assert both.outcome.margin_call_at == T0 + 3 * HOUR + 90 * 60
    assert both.outcome.cured is True


@pytest.mark.parametrize(("strict", "sales"), [(False, 1), (True, 0)])
def test_above_a_level_is_not_at_it(strict: bool, sales: int) -> None:
    """One coin against 10,000.00 at 12,500: exactly 80 %."""
    level = Level(Fraction(4, 5), strict=strict)
    both = run_both(replace(product(), immediate=level), path(20_000, 12_500), principal=PRINCIPAL)
    assert both.differences == ()
    assert both.outcome.sales == sales
    [rule] = [each for each in both.rules if each.rule == "immediate"]
    assert rule.by is (POLICY if strict else CONTRACT)
    assert rule.contract == "at or above 80.00 %"


def test_a_level_between_two_basis_points_is_enclosed_from_below() -> None:
    """2/3: the contract would sell at 66.66 %, the lender does not below 66.67."""
    third = with_(calls=(), immediate=Level(Fraction(2, 3)))
    for price, sales in ((15_000, 1), (15_001, 0)):
        both = run_both(third, path(20_000, price), principal=PRINCIPAL)
        assert both.differences == ()
        assert both.outcome.sales == sales


def test_an_auction_that_runs_from_the_level_is_not_begun_anew_by_a_lapse() -> None:
    """The level is reached in the last second of the cure time: the price falls from there."""
    auction = load_product("maker_wbtc").liquidation
    falling = with_(calls=(QUICK,), liquidation=auction)
    both = run_both(falling, path(20_000, 14_000, 14_000, 11_700, 11_700), principal=PRINCIPAL)
    assert (both.differences, both.refusals) == ((), ())
    assert isinstance(auction, DutchAuction)
    assert both.outcome.liquidated_at == T0 + 3 * HOUR + time_to_take(auction)


def test_levels_that_count_principal_are_cured_whatever_the_interest() -> None:
    """59.999 % of principal; with two hours of interest 60.0002, which the contract sees."""
    plain = with_(basis=Basis.PRINCIPAL, repayment=replace(FREE, rate_bps=1_000))
    both = run_both(plain, path(20_000, 14_000, 16_667, 16_667), principal=PRINCIPAL)
    assert (both.differences, both.refusals) == ((), ())
    assert both.outcome.cured is True


def test_a_call_that_lapses_unless_restored() -> None:
    quotes, calls = path(20_000, 14_000, *[16_000] * 3), (QUICK,)
    for lapse, sold in ((Lapse.WHILE_REACHED, None), (Lapse.UNLESS_RESTORED, T0 + 3 * HOUR + 1)):
        both = run_both(with_(calls=calls, lapse=lapse), quotes, principal=PRINCIPAL)
        assert both.differences == ()
        assert both.outcome.liquidated_at == sold


def test_without_an_immediate_level_only_a_lapse_sells() -> None:
    never = with_(immediate=None, calls=(QUICK,))
    both = run_both(never, path(20_000, *[10_500] * 4), principal=PRINCIPAL)
    assert both.differences == ()
    assert both.outcome.liquidated_at == T0 + 3 * HOUR + 1


def test_a_warning_below_the_call_that_lapses() -> None:
    calls = (replace(CALL, cure=None), replace(QUICK, level=Level(Fraction(4, 5))))
    quotes = path(20_000, 14_000, *[12_400] * 4)
    both = run_both(with_(calls=calls), quotes, principal=PRINCIPAL)
    assert both.differences == ()
    assert both.outcome.margin_call_at == T0 + HOUR
    assert both.outcome.liquidated_at == T0 + 4 * HOUR + 1


def test_the_second_of_two_calls_with_the_first_sold_in_part() -> None:
    """Sold to a target above the restore level: the product's call is over, and a new one has all
    its time, while the contract's goes on."""
    partial = PartialSale(target_bps=Bps(6_500), fee_bps=Bps(99), full_below=Cents(100))
    quotes = path(20_000, *[14_000] * 4, *[12_900] * 4)
    both = run_both(with_(calls=(QUICK,), liquidation=partial), quotes, principal=PRINCIPAL)
    assert both.differences == ()
    assert both.outcome.sales == 2
    assert both.outcome.calls == 2


def test_a_call_that_lapses_at_its_second_is_the_same_too() -> None:
    quotes = path(20_000, 14_000, *[14_000] * 26)
    both = run_both(product(), quotes, principal=PRINCIPAL)
    assert both.differences == ()
    assert both.outcome.liquidated_at == T0 + HOUR + DAY + 1


def test_a_cured_call_and_a_loan_that_goes_on() -> None:
    quotes = path(20_000, 14_000, 17_000, 16_000)
    both = run_both(load_product("strike"), quotes, principal=PRINCIPAL)
    assert both.differences == ()
    assert both.outcome.cured is True
    assert both.outcome.owed > PRINCIPAL


def test_a_debt_beyond_the_coins_is_the_same_loss() -> None:
    both = run_both(product(), path(20_000, 9_000), principal=PRINCIPAL)
    assert both.differences == ()
    assert both.outcome.bad_debt == 100_000


def test_where_the_contract_is_narrower_the_difference_is_told() -> None:
    """Liquity lends up to 90.90 % and sells above 90.909: the contract wants two basis points
    between, so it does not permit a sale before 90.92."""
    quotes = [Quote(T0, units(20_000)), Quote(Seconds(T0 + HOUR), PriceE8(19_997_80 * 10**6))]
    both = run_both(load_product("liquity_v2_weth"), quotes, principal=PRINCIPAL)
    assert both.outcome.worst_ltv_bps == 9_092  # rounded up
    fields = {each.field for each in both.differences}
    assert {"liquidated_at", "sats_to_lender", "recovered"} <= fields
    assert both.refusals == (Refusal(Seconds(T0 + HOUR), "liquidate/healthy"),)
    [rule] = [each for each in both.rules if each.rule == "immediate"]
    assert (rule.product, rule.contract) == (
        "above ≈90.91 %",
        "at or above 90.92 %, and refuses below that",
    )


def test_nobody_but_the_lender_calls_or_sells() -> None:
    """At 66.66 % the contract would let anyone call; the operator, who does so elsewhere, is
    silent, and the lender waits."""
    both = run_both(load_product("unchained_2025"), path(20_000, 12_000), principal=PRINCIPAL)
    assert both.outcome.margin_call_at is None
    assert both.differences == ()


def with_(**changes: object) -> Product:
    return replace(product(), **changes)


FREE = product().repayment
CALL = product().calls[0]
QUICK = replace(CALL, cure=Seconds(2 * HOUR))
REFUSED = [
    (load_product("crvusd"), "bands"),
    (load_product("sovcombank_2026"), "a floating rate"),
    (read_product(planned("annuity")), "a debt that is repaid in instalments"),
    (read_product(planned("linear")), "a debt that is repaid in instalments"),
    (read_product(planned("interest-only")), "interest by the days of a calendar"),
    (read_product(planned("bullet")), "interest by the days of a calendar"),
    (
        with_(initial=Fraction(9_998, 10_000), calls=(), immediate=Level(Fraction(9_999, 10_000))),
        "levels that the contracts do not take",
    ),
    (
        # A year's interest is a tenth: what the contract sees at the restore level is a call.
        with_(
            basis=Basis.PRINCIPAL,
            restore=Fraction(2, 3),
            repayment=replace(FREE, rate_bps=1_000, pays=Pays.FULL_TERM),
        ),
        "levels that the contracts do not take",
    ),
    (with_(calls=(replace(CALL, cure=Seconds(0)),)), "a call without time to answer"),
    (with_(repayment=replace(FREE, rate_bps=-1)), "a negative rate"),
    (with_(repayment=replace(FREE, term=Seconds(HOUR))), "a payment within the path"),
    (
        with_(repayment=replace(FREE, pays=Pays.EVERY, every=Seconds(HOUR))),
        "a payment within the path",
    ),
    (
        with_(price=replace(product().price, heartbeat=Seconds(HOUR - 1))),
        "prices further apart than the heartbeat",
    ),
]


@pytest.mark.parametrize(("refused", "reason"), REFUSED, ids=lambda each: str(each)[:40])
def test_what_the_contracts_cannot_express_is_refused_by_name(
    refused: Product, reason: str
) -> None:
    with pytest.raises(BadInput, match="compare/on-chain") as caught:
        run_both(refused, path(20_000, 19_000), principal=PRINCIPAL)
    assert caught.value.facts["reason"] == reason


def test_paths_that_are_too_long_or_none() -> None:
    with pytest.raises(BadInput, match="compare/on-chain") as caught:
        run_both(product(), path(*[20_000] * (MOST_PRICES + 1)), principal=PRINCIPAL)
    assert caught.value.facts["most"] == MOST_PRICES
    with pytest.raises(BadInput, match="prices/empty"):
        run_both(product(), [], principal=PRINCIPAL)


@pytest.mark.parametrize(
    ("name", "seed"),
    [
        ("strike", 1),
        ("ledn_standard", 2),
        ("maker_wbtc", 3),
        ("hodlhodl", 4),
        ("nexo", 5),
        ("unchained_legacy", 6),
        ("aave_wbtc", 7),
        ("lava_bloc", 8),
        ("lendasat", 9),
    ],
)
def test_both_runs_come_to_the_same_on_a_wild_path(name: str, seed: int) -> None:
    """Hours of up to six percent, more down than up: calls, cures and several sales."""
    streams, prices = Streams(seed.to_bytes(4, "big")), [units(20_000)]
    for _ in range(50):
        move = (9_400, 9_500, 9_700, 9_900, 10_000, 10_100, 10_250)[streams.below("move", 7)]
        prices.append(PriceE8(prices[-1] * move // 10_000))
    quotes = [Quote(Seconds(T0 + HOUR * n), price) for n, price in enumerate(prices)]
    both = run_both(load_product(name), quotes, principal=Cents(10_000_019))
    assert both.differences == ()
    assert both.laws_broken == 0
    assert both.outcome.sales > 0
