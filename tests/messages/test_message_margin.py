"""The numbers in messages: what a call asks for is what cures it, to the cent."""

from __future__ import annotations

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from messages_lab import LOAN, TERMS

from escrow.core.errors import BadInput
from escrow.core.regions.loan import Active
from escrow.core.regions.system import Price
from escrow.core.regions.token import Token
from escrow.core.rules import Debt, at_or_below
from escrow.core.state import Escrow
from escrow.core.units import BPS, MAX_MONEY, MAX_PRICE, Bps, Cents, PriceE8, Sats, Seconds
from escrow.messages.margin import Margin, Pact, after_haircut, margin_of
from escrow.messages.words import cash, checked, clipped, coins, day, identification, moment, share
from escrow.parse import parse_btc
from escrow.testing import START, platform

LEVEL = st.integers(1, BPS - 2).map(Bps)
SATS = st.integers(0, MAX_MONEY).map(Sats)
PRICE = st.integers(1, MAX_PRICE).map(PriceE8)
DEBT = st.integers(0, 2**63 - 1).map(Cents)


def margin(debt: Cents, sats: Sats, price: PriceE8, level: Bps) -> Margin:
    haircut = Bps(BPS - level)
    counted = after_haircut(sats, price=price, haircut=haircut)
    return Margin(
        Seconds(0), debt, sats, Sats(0), haircut, Price(1, price, Seconds(0)), Cents(0), counted
    )


@given(DEBT, SATS, PRICE, LEVEL)
@example(Cents(2_400_000), Sats(10**8), PriceE8(40_000 * 10**8), Bps(6_000))
@example(Cents(2_400_001), Sats(10**8), PriceE8(40_000 * 10**8), Bps(6_000))
def test_nothing_is_missing_exactly_where_the_rules_call_a_loan_cured(debt, sats, price, level):
    cured = at_or_below(debt, sats=sats, price=price, level=level)
    assert (margin(debt, sats, price, level).call == 0) is cured


@given(DEBT, SATS, PRICE, LEVEL)
def test_repaying_what_is_called_cures_and_a_cent_less_does_not(debt, sats, price, level):
    call = margin(debt, sats, price, level).call
    assume(call > 0)
    assert at_or_below(Cents(debt - call), sats=sats, price=price, level=level)
    assert not at_or_below(Cents(debt - call + 1), sats=sats, price=price, level=level)


@given(DEBT, SATS, PRICE, LEVEL)
def test_deficit_and_excess_are_never_both(debt, sats, price, level):
    found = margin(debt, sats, price, level)
    assert found.exposure - found.collateral == found.call - found.excess
    assert 0 in (found.call, found.excess)


def test_a_deal_without_a_price_has_no_values():
    loan = Active(TERMS, Debt(principal=Cents(100), accrued_to=START))
    deal = Escrow(platform(), loan, token=Token(minted=Sats(10), held=Sats(10)), agreed=TERMS)
    found = margin_of(deal, at=START)
    assert (found.price, found.market, found.collateral, found.call) == (None, 0, 0, 100)
    assert (found.counted(Sats(10)), found.worth(Sats(10))) == (0, 0)


@pytest.mark.parametrize(
    ("bps", "text"), [(0, "0"), (1, "0.0001"), (4_000, "0.4"), (3_500, "0.35"), (9_999, "0.9999")]
)
def test_a_haircut_is_exact(bps, text):
    assert share(bps) == text


@pytest.mark.parametrize("bps", [-1, 10_000, 10_001])
def test_a_haircut_of_all_or_of_less_than_nothing_is_refused(bps):
    with pytest.raises(BadInput) as refusal:
        share(bps)
    assert refusal.value.code == "message/value"


@given(st.integers(0, 2**70))
def test_cash_has_two_decimals_and_reads_back(cents):
    whole, part = cash(cents).split(".")
    assert (int(whole) * 100 + int(part), len(part)) == (cents, 2)


@given(st.integers(10_000, MAX_MONEY))
def test_coins_read_back(sats):
    assert parse_btc(coins(sats)) == sats


@given(st.integers(0, 10**10 - 2))
def test_identifications_fit_and_differ(log):
    first = identification(LOAN, log=log, definition="colr.003")
    assert len(first) <= 35
    assert first != identification(LOAN, log=log, definition="colr.004")
    assert first != identification(LOAN, log=log + 1, definition="colr.003")


@pytest.mark.parametrize("text", ["", " a", "a b", "x" * 36, "ä", "a\n", None, 7])
def test_what_cannot_identify_is_refused(text):
    with pytest.raises(BadInput) as refusal:
        checked(text)
    assert refusal.value.code == "message/value"


def test_an_identification_of_35_characters_is_allowed():
    assert checked("x" * 35) == "x" * 35


def test_moments_and_long_texts():
    assert moment(1_764_547_200) == "2025-12-01T00:00:00Z"
    assert day(1_764_547_200) == "2025-12-01"
    assert clipped("x" * 211) == "x" * 207 + "..."
    assert clipped("x" * 210) == "x" * 210


def test_a_pact_names_a_currency():
    with pytest.raises(BadInput) as refusal:
        Pact(LOAN, "0x", "0x", "0x", START, "dollars")
    assert refusal.value.code == "message/value"
