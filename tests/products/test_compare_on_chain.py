"""One product through both chains: the same to the last sat, or refused by name."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from products_lab import PRINCIPAL, T0, planned, product, units

from escrow.adapters.price.builtin import builtin_prices
from escrow.adapters.price.files import Quote
from escrow.core.errors import BadInput
from escrow.core.units import DAY, HOUR, Cents, PriceE8, Seconds
from escrow.products.level import Level
from escrow.products.model import Lapse, Pays, Product
from escrow.products.read import load_product, read_product
from escrow.sim.on_chain import run_both
from escrow.sim.on_chain_terms import MOST_PRICES
from escrow.streams import Streams

CRASH = builtin_prices()[266:308]
"""The two days of the built-in crash."""


def path(*prices: int, gap: int = HOUR) -> list[Quote]:
    return [Quote(Seconds(T0 + gap * n), units(price)) for n, price in enumerate(prices)]


@pytest.mark.parametrize(
    ("name", "stated"),
    [
        ("strike", 1),
        ("ledn_standard", 3),
        ("hodlhodl", 4),
        ("nexo", 2),
        ("coinbase_morpho", 4),
        ("maker_wbtc", 4),
    ],
)
def test_both_runs_come_to_the_same_in_the_crash(name: str, stated: int) -> None:
    both = run_both(load_product(name), CRASH, principal=Cents(1_234_567))
    assert both.differences == ()
    assert both.laws_broken == 0
    assert both.outcome.sales > 0
    assert len(both.stated) == stated, both.stated
    # Where the contract must have a call that the product has not, calls are not compared.
    assert ("margin_call_at" in both.compared) is bool(load_product(name).calls)


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


def test_a_difference_is_told() -> None:
    """A strict level on its own is stated; a price between it and the next basis point shows it."""
    # Above 85.00 % is at or above 85.01 % there: 85.005 % sells here alone.
    strict = replace(product(), immediate=Level(Fraction(85, 100), strict=True))
    # A coin is pledged; 10,000.00 against it are 85.005 % at this price.
    price = PriceE8(10_000 * 10**8 * 100_000 // 85_005)
    quotes = [Quote(T0, units(20_000)), Quote(Seconds(T0 + HOUR), price)]
    both = run_both(strict, quotes, principal=PRINCIPAL)
    fields = {each.field for each in both.differences}
    assert {"liquidated_at", "sats_sold", "recovered"} <= fields
    assert "immediate above 85.00 %: there at or above 8501 bps" in both.stated


def with_(**changes: object) -> Product:
    return replace(product(), **changes)


FREE = product().repayment
CALL = product().calls[0]
REFUSED = [
    (load_product("crvusd"), "bands"),
    (load_product("unchained_2025"), "levels that count principal alone"),
    (load_product("meld"), "a call that dwells"),
    (load_product("firefish"), "interest of the whole term from the start"),
    (load_product("sovcombank_2026"), "a floating rate"),
    (read_product(planned("annuity")), "a debt that is repaid in instalments"),
    (read_product(planned("linear")), "a debt that is repaid in instalments"),
    (read_product(planned("interest-only")), "interest by the days of a calendar"),
    (read_product(planned("bullet")), "interest by the days of a calendar"),
    (load_product("aave_wbtc"), "a close factor"),
    (load_product("lava_bloc"), "a sale that stops above the restore level"),
    (load_product("liquity_v2_weth"), "levels that the contracts do not take"),
    (
        with_(calls=(CALL, replace(CALL, level=Level(Fraction(4, 5))))),
        "an accelerated call",
    ),
    (
        with_(calls=(replace(CALL, cure=None), replace(CALL, level=Level(Fraction(4, 5))))),
        "a warning below the call",
    ),
    (with_(lapse=Lapse.UNLESS_RESTORED), "a call that lapses between restore level and call"),
    (with_(calls=(replace(CALL, cure=Seconds(0)),)), "a call without time to answer"),
    (with_(immediate=None), "no immediate level"),
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
    warning = with_(calls=(replace(CALL, cure=None),))
    with pytest.raises(BadInput, match="compare/on-chain"):
        run_both(warning, path(*[20_000] * 721), principal=PRINCIPAL)
    with pytest.raises(BadInput, match="prices/empty"):
        run_both(product(), [], principal=PRINCIPAL)


@pytest.mark.parametrize(
    ("name", "seed"),
    [("strike", 1), ("ledn_standard", 2), ("maker_wbtc", 3), ("hodlhodl", 4), ("nexo", 5)],
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
