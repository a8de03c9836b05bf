"""EscrowBook: collateral sold at the oracle's price: who, when, and how much.

Take-over by the lender, sale to a third party, sale to a target. Auctions: test_contracts_auction.
"""

from __future__ import annotations

import pytest
from book_lab import (
    ANY,
    ARBITER,
    HALF,
    aside,
    at_level,
    breached,
    called,
    core_terms,
    expired,
    overdue,
    sell,
    sold,
)
from contracts_lab import (
    ACTIVE,
    AUCTION,
    HEARTBEAT,
    LIQUIDATING,
    MARGIN_CALL,
    PARTIAL,
    PRICE,
    SEIZED,
    Lab,
    raw,
    refuses,
)
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from escrow.adapters.evm import typed
from escrow.core import sales
from escrow.core.errors import Rejected
from escrow.core.units import COIN, DAY, muldiv_down

KINDS = ({"liquidation": 0}, {"liquidation": 1}, PARTIAL)
every_kind = pytest.mark.parametrize("kind", KINDS, ids=["take over", "third party", "partial"])
all_or_part = pytest.mark.parametrize("kind", KINDS[1:], ids=["third party", "partial"])

# Who


def test_under_take_over_only_the_lender(lab: Lab):
    terms = expired(lab)
    for who in (lab.borrower, lab.stranger, lab.issuer):
        with refuses("liquidate/not-lender"):
            lab.do(who, "take_over", terms)
    with refuses("liquidate/kind"):
        lab.do(lab.buyer, "liquidate", terms, ANY, 0)
    lab.do(lab.lender, "take_over", terms)


@all_or_part
def test_under_sale_anyone_but_the_borrower(lab: Lab, kind):
    terms = expired(lab, **kind)
    for who in (lab.borrower, lab.keeper):
        lab.fund(who, 10**9)
    with refuses("liquidate/self"):
        lab.do(lab.borrower, "liquidate", terms, ANY, 0)
    with refuses("liquidate/kind"):
        lab.do(lab.lender, "take_over", terms)
    with refuses("liquidate/kind"):
        lab.do(lab.keeper, "take", terms, ANY, ANY)
    with refuses("liquidate/kind"):
        lab.do(lab.keeper, "redo", terms)
    lab.do(lab.keeper, "liquidate", terms, ANY, 0)


def test_a_lender_buys_like_anybody(lab: Lab):
    """It pays itself, and gets the coins with the bonus, as if it had taken them over."""
    terms = breached(lab, liquidation=1)
    before = lab.money(lab.lender)
    lab.cash.send(lab.lender, "approve", lab.book.address, ANY)
    lab.do(lab.lender, "liquidate", terms, ANY, 0)
    assert (lab.money(lab.lender), lab.tokens(lab.lender)) == (before, 178_500_000)


def test_a_buyer_must_be_admitted(lab: Lab):
    terms = breached(lab, liquidation=1)
    with refuses("token/cannot-receive"):
        lab.do(lab.stranger, "liquidate", terms, ANY, 0)
    lab.suspend(raw(lab.buyer))
    with refuses("token/cannot-receive"):
        lab.do(lab.buyer, "liquidate", terms, ANY, 0)
    lab.registry.send(lab.registrar, "reinstate", [raw(lab.buyer)], gas=4_000_000)
    lab.do(lab.buyer, "liquidate", terms, ANY, 0)


def test_a_lender_that_is_suspended_takes_nothing_over(lab: Lab):
    terms = breached(lab)
    lab.suspend(raw(lab.lender))
    with refuses("token/cannot-receive"):
        sell(lab, terms)


# When


@every_kind
def test_at_the_liquidation_level_exactly(lab: Lab, kind):
    terms = at_level(lab, 8_500, **kind)
    lab.fund(lab.buyer, 10**9)
    lab.post(HALF + 1)
    with refuses("liquidate/healthy"):
        sell(lab, terms)
    lab.wait(1)
    lab.post(HALF)
    sell(lab, terms)


@every_kind
def test_after_maturity_and_grace_all_though_healthy(lab: Lab, kind):
    terms = at_level(lab, 5_000, **kind)
    lab.fund(lab.buyer, 10**9)
    lab.at(terms["maturity"] + terms["grace"])
    lab.post()
    with refuses("liquidate/healthy"):
        sell(lab, terms)
    lab.wait(1)
    args = sold(lab, sell(lab, terms))
    assert (args["repaid"], args["left"], lab.phase(terms)) == (5_000_000, 0, SEIZED)


@every_kind
def test_during_cure_time_only_at_the_liquidation_level(lab: Lab, kind):
    terms = called(lab, **kind)
    lab.fund(lab.buyer, 10**9)
    with refuses("liquidate/healthy"):
        sell(lab, terms)
    lab.wait(1)
    trigger = muldiv_down(HALF, 7_000, 8_500)
    lab.post(trigger + 1)
    with refuses("liquidate/healthy"):
        sell(lab, terms)
    lab.wait(1)
    lab.post(trigger)
    sell(lab, terms)


@every_kind
def test_an_expired_call_has_no_way_back(lab: Lab, kind):
    terms = expired(lab, **kind)
    lab.fund(lab.buyer, 10**9)
    lab.wait(1)
    lab.post(HALF * 7 // 6 - 10**8)  # Above the target by a hair, below every other level.
    sell(lab, terms)


@every_kind
def test_at_a_fresh_price_only(lab: Lab, kind):
    terms = expired(lab, **kind)
    lab.fund(lab.buyer, 10**9)
    lab.wait(HEARTBEAT + 1)
    with refuses("price/stale"):
        sell(lab, terms)
    lab.post(HALF)
    sell(lab, terms)


@every_kind
def test_what_is_not_live_cannot_be_liquidated(lab: Lab, kind):
    terms = lab.opened(sats=COIN, **kind)
    lab.fund(lab.buyer, 10**9)
    lab.fund(lab.borrower, 10**9)
    lab.post()
    with refuses("liquidate/not-live"):
        sell(lab, terms)
    lab.do(lab.borrower, "draw", terms, 1_000)
    lab.do(lab.borrower, "close", terms)
    with refuses("liquidate/not-live"):
        sell(lab, terms)
    lab.wait(1)
    other = at_level(lab, 8_500, **kind, nonce=2)
    overdue(lab, other)
    sell(lab, other)
    with refuses("liquidate/not-live"):
        sell(lab, other)


@every_kind
def test_a_debt_is_not_wiped_out_where_there_are_no_coins(lab: Lab, kind):
    terms = at_level(lab, 8_500, **kind)
    lab.fund(lab.buyer, 10**9)
    lab.post(HALF)
    lab.lose_last_coin(terms, 2 * COIN)
    with refuses("liquidate/not-live"):
        sell(lab, terms)
    assert lab.owed(terms) == 8_500_000


@every_kind
def test_interest_alone_can_reach_the_liquidation_level(lab: Lab, kind):
    terms = at_level(lab, 8_500, rate_bps=2_300, **kind)
    lab.fund(lab.buyer, 10**9)
    lab.post(HALF + 10**8)
    with refuses("liquidate/healthy"):
        sell(lab, terms)
    lab.wait(HEARTBEAT)
    sell(lab, terms)


# How much: take-over


def test_take_over_sets_off_the_debt(lab: Lab):
    terms = breached(lab)
    cash = lab.money(lab.lender)
    # 85,000.00 and 5 % at 50,000.00 a coin.
    seized = 178_500_000
    receipt = sell(lab, terms)
    assert sold(lab, receipt) == {
        "loan": typed.loan_id(terms),
        "by": raw(lab.lender),
        "kind": 0,
        "repaid": 8_500_000,
        "fee": 0,
        "seized": seized,
        "surplus": 2 * COIN - seized,
        "bad_debt": 0,
        "left": 0,
    }
    # One movement of tokens, none of cash: what is released was the borrower's all along.
    assert [name for name, _ in lab.said(receipt)] == ["Liquidated", "Transfer"]
    assert (lab.tokens(lab.lender), lab.tokens(lab.borrower)) == (seized, 2 * COIN - seized)
    assert lab.money(lab.lender) == cash
    assert lab.loan(terms) == (SEIZED, 0, 0, 0, 0)
    assert (lab.owed(terms), lab.held(terms)) == (0, 0)


def test_take_over_with_a_fee(lab: Lab):
    """The lender takes coins for its fee as well: 85,000.00 ÷ 99.01 %, and 5 % on that."""
    terms = breached(lab, fee_bps=99)
    args = sold(lab, sell(lab, terms))
    paid = -(-8_500_000 * 10_000 // 9_901)
    assert (args["repaid"], args["fee"]) == (8_500_000, paid - 8_500_000) == (8_500_000, 84_992)
    assert args["seized"] == paid * 10_500 * 10**10 // HALF == 180_284_832
    assert lab.tokens(lab.lender) == 180_284_832


# How much: a third party


def test_a_sale_pays_the_lender(lab: Lab):
    terms = breached(lab, liquidation=1)
    cash = lab.money(lab.lender)
    receipt = sell(lab, terms)
    assert [name for name, _ in lab.said(receipt)] == ["Liquidated", "Transfer", "Transfer"]
    assert lab.money(lab.lender) == cash + 8_500_000
    assert lab.money(lab.buyer) == 10**9 - 8_500_000
    assert (lab.tokens(lab.buyer), lab.tokens(lab.borrower)) == (178_500_000, 21_500_000)
    assert lab.loan(terms) == (SEIZED, 0, 0, 0, 0)


@pytest.mark.parametrize("fee", [0, 99])
def test_a_third_party_buys_a_part(lab: Lab, fee: int):
    terms = breached(lab, liquidation=1, fee_bps=fee)
    cash = lab.money(lab.lender)
    args = sold(lab, sell(lab, terms, 1_000_000))
    covered = 1_000_000 * (10_000 - fee) // 10_000
    assert (args["repaid"], args["fee"]) == (covered, 1_000_000 - covered)
    assert (args["left"], args["bad_debt"], args["surplus"]) == (8_500_000 - covered, 0, 0)
    # 10,000.00 and 5 % at 50,000.00 a coin, fee or not: the fee is the borrower's to bear.
    assert args["seized"] == 21_000_000
    assert lab.tokens(lab.buyer) == 21_000_000
    assert lab.money(lab.lender) == cash + 1_000_000
    assert (lab.owed(terms), lab.held(terms)) == (8_500_000 - covered, 179_000_000)
    assert lab.phase(terms) == ACTIVE


def test_a_part_covers_interest_first(lab: Lab):
    terms = at_level(lab, 8_500, rate_bps=2_300, liquidation=1)
    lab.fund(lab.buyer, 10**9)
    lab.wait(DAY)
    lab.post(HALF)
    interest = lab.owed(terms) - 8_500_000
    assert interest > 5_000
    sell(lab, terms, 1_000)
    assert lab.loan(terms)[1] == 8_500_000
    assert lab.owed(terms) == 8_500_000 + interest - 1_000
    sell(lab, terms, interest)
    assert lab.loan(terms)[1:3] == (8_500_000 - 1_000, 0)


def test_parts_in_every_phase(lab: Lab):
    """A part leaves the call open, and the expired call expired, until the loan is restored."""
    terms = called(lab, liquidation=1)
    lab.fund(lab.buyer, 10**9)
    deadline = lab.loan(terms)[4]
    lab.wait(1)
    lab.post(HALF * 7 // 9)  # 90 %
    sell(lab, terms, 10_000)
    assert (lab.phase(terms), lab.loan(terms)[4]) == (MARGIN_CALL, deadline)
    lab.wait(1)
    other = expired(lab, liquidation=1, nonce=2)
    began = lab.loan(other)[4]
    sell(lab, other, 10_000)
    assert (lab.phase(other), lab.loan(other)[4]) == (LIQUIDATING, began)
    # x of 7,000,000 cents is bought for 1.05 x worth of coins: 60 % is reached at 2,702,702.7.
    sell(lab, other, 2_692_702)
    assert lab.phase(other) == LIQUIDATING
    sell(lab, other, 1)
    assert (lab.phase(other), lab.loan(other)[4]) == (ACTIVE, 0)
    with refuses("liquidate/healthy"):
        sell(lab, other)


def test_a_part_that_restores_the_loan_ends_its_call_and_its_dispute(lab: Lab):
    terms = called(lab, liquidation=1, bonus_bps=0, **ARBITER)
    lab.fund(lab.buyer, 10**9)
    lab.do(lab.borrower, "dispute", terms)
    lab.wait(1)
    lab.post(HALF * 7 // 9)
    # (7,000,000 - x) / (7,777,777.8 - x) is 60 % at x = 5,833,333.3.
    with aside(lab):
        sell(lab, terms, 5_833_333)
        assert lab.phase(terms) == MARGIN_CALL
    sell(lab, terms, 5_833_334)
    assert (lab.phase(terms), lab.loan(terms)[4]) == (ACTIVE, 0)
    with refuses("dispute/none"):
        lab.do(lab.stranger, "resolve", terms, True)


def test_under_water_all_or_nothing(lab: Lab):
    terms = at_level(lab, 8_500, liquidation=1)
    lab.fund(lab.buyer, 10**9)
    lab.post(PRICE // 10)
    # 20,000.00 of coins less 5 %.
    with refuses("loan/amount"):
        sell(lab, terms, 1_904_760)
    args = sold(lab, sell(lab, terms, 1_904_761))
    assert (args["repaid"], args["seized"], args["surplus"]) == (1_904_761, 2 * COIN, 0)
    assert (args["bad_debt"], args["left"]) == (8_500_000 - 1_904_761, 0)
    assert lab.money(lab.buyer) == 10**9 - 1_904_761


@all_or_part
def test_coins_worth_nothing_are_taken_for_nothing(lab: Lab, kind):
    terms = at_level(lab, 8_500, **kind)
    lab.post(1)
    receipt = sell(lab, terms, 0)
    # One movement of tokens, none of cash.
    assert [name for name, _ in lab.said(receipt)] == ["Liquidated", "Transfer"]
    assert lab.tokens(lab.buyer) == 2 * COIN


BREAK_EVEN = [(bonus, fee) for bonus in (0, 438, 500, 700, 1_000, 1_300, 2_000) for fee in (0, 99)]
"""Bonuses of known markets: the debt is covered up to a loan-to-value of (1 - fee) / (1 + bonus):
95.80, 95.24, 93.46, 90.91, 88.50, 83.33 % without a fee."""


@pytest.mark.parametrize(("bonus", "fee"), BREAK_EVEN)
def test_the_last_price_that_covers_debt_fee_and_bonus(lab: Lab, bonus: int, fee: int):
    terms = at_level(lab, 8_000, bonus_bps=bonus, fee_bps=fee, liquidation_ltv=7_001)
    debt, held = 8_000_000, 2 * COIN
    claim = -(-debt * 10_000 // (10_000 - fee))
    exact = claim * (10_000 + bonus) * 10**14
    covers = -(-exact // (10_000 * held))
    level = 10_000 * debt * 10**14 / (held * covers)
    assert level == pytest.approx(10_000 * (10_000 - fee) / (10_000 + bonus), abs=0.01)
    with aside(lab):
        lab.post(covers)
        args = sold(lab, sell(lab, terms))
        assert (args["repaid"], args["fee"], args["bad_debt"]) == (debt, claim - debt, 0)
        assert args["seized"] == exact // (10_000 * covers)
        assert args["surplus"] == held - args["seized"] <= 1
    lab.post(covers - 1)
    args = sold(lab, sell(lab, terms))
    assert (args["seized"], args["surplus"], args["left"]) == (held, 0, 0)
    assert args["repaid"] + args["fee"] == claim - 1
    assert args["bad_debt"] == debt - args["repaid"] in (0, 1)


@pytest.mark.parametrize(
    ("bonus", "level"),
    [(438, 9580), (500, 9524), (700, 9346), (1_000, 9091), (1_300, 8850), (2_000, 8333)],
)
def test_known_break_even_levels(bonus: int, level: int):
    assert round(10_000 * 10_000 / (10_000 + bonus)) == level


# How much: to a target

STRIKE = {"price": 58_823_53 * 10**6, "fee_bps": 99, "bonus_bps": 0, "liquidation_ltv": 8_499}
"""D = 50,000.00 on C = 58,823.53: 85 %, but for a ten-thousandth of a cent."""
GOLDEN = {
    # Strike: sell 37,697.72 (64.086 %); 12,675.48 stay on 21,125.80: 60.000 %.
    "fee": (STRIKE, {"paid": 3_769_773, "repaid": 3_732_452, "worth": 3_769_772.9}),
    # 82 %, bonus 5 %: 36,255.77 of debt for coins worth 38,068.56.
    "bonus": (
        {"price": 60_975_61 * 10**6, "bonus_bps": 500, "liquidation_ltv": 8_199},
        {"paid": 3_625_577, "repaid": 3_625_577, "worth": 3_806_855.8},
    ),
    # Unchained, legacy: back to a ratio of 200 % without a fee: sell 2 D - C.
    "ratio of 200 %": (
        {
            "price": 75_000_00 * 10**6,
            "bonus_bps": 0,
            "initial_ltv": 4_000,
            "restore_ltv": 5_000,
            "target_ltv": 5_000,
            "call_ltv": 6_000,
            "liquidation_ltv": 6_666,
        },
        {"paid": 2_500_000, "repaid": 2_500_000, "worth": 2_500_000},
    ),
}
"""Known sales to a target of 50,000.00 of debt on one coin (domain of lenders)."""


@pytest.mark.parametrize(("given", "wanted"), GOLDEN.values(), ids=GOLDEN)
def test_known_sales_to_a_target(lab: Lab, given, wanted):
    given = dict(given)
    price = given.pop("price")
    terms = lab.active(sats=COIN, cents=5_000_000, price=2 * PRICE, rate_bps=0, **PARTIAL | given)
    lab.fund(lab.buyer, 10**9)
    lab.wait(1)
    lab.post(price)
    args = sold(lab, sell(lab, terms))
    assert args["repaid"] == wanted["repaid"]
    assert args["repaid"] + args["fee"] == wanted["paid"]
    assert args["seized"] * price / 10**14 == pytest.approx(wanted["worth"], abs=0.2)
    # At the target, and a cent less covered would be above it.
    left, kept = lab.owed(terms), lab.held(terms) * price
    assert left == 5_000_000 - wanted["repaid"] == args["left"]
    assert lab.phase(terms) == ACTIVE
    assert lab.book.call("ltv", typed.encode_terms(terms)) == terms["target_ltv"]
    # A cent less covered leaves its coins too, and the loan above the target.
    back = (10_000 + terms["bonus_bps"]) * 10_000 * 10**10 // (10_000 - terms["fee_bps"])
    assert (left + 1) * 10**18 > terms["target_ltv"] * (kept + back)
    with refuses("liquidate/healthy"):
        sell(lab, terms)


def test_nothing_is_sold_where_the_target_is_reached(lab: Lab):
    terms = expired(lab, **PARTIAL)
    lab.fund(lab.buyer, 10**9)
    at_target = -(-7_000_000 * 10**18 // (6_000 * 2 * COIN))
    lab.wait(1)
    lab.post(at_target)
    with refuses("liquidate/healthy"):
        sell(lab, terms)
    lab.wait(1)
    lab.post(at_target - 10**6)
    args = sold(lab, sell(lab, terms))
    assert args["repaid"] > 0
    assert lab.phase(terms) == ACTIVE


def test_in_default_all_is_sold_though_the_call_had_expired(lab: Lab):
    """Else a borrower whose call expired, and whose coins rose, need never pay: from the recovery
    time on the coins are his."""
    terms = expired(lab, **PARTIAL)
    lab.fund(lab.buyer, 10**9)
    overdue(lab, terms)
    args = sold(lab, sell(lab, terms))
    assert (args["repaid"], args["left"], lab.phase(terms)) == (7_000_000, 0, SEIZED)


def test_to_a_target_the_buyer_cannot_choose_less(lab: Lab):
    terms = breached(lab, **PARTIAL)
    most = sold_to_target(8_500_000)
    with refuses("loan/amount"):
        sell(lab, terms, most - 1)
    args = sold(lab, sell(lab, terms, most))
    assert args["repaid"] == most
    assert lab.phase(terms) == ACTIVE


def sold_to_target(debt: int) -> int:
    """Of ``debt`` on 100,000.00 worth of coins, at a bonus of 5 %, to 60 %."""
    return -(-(debt - 6_000_000) * 10_000 // (10_000 - 6_300))


def test_under_water_a_sale_to_a_target_sells_all(lab: Lab):
    terms = at_level(lab, 8_500, **PARTIAL)
    lab.fund(lab.buyer, 10**9)
    lab.post(PRICE // 10)
    args = sold(lab, sell(lab, terms))
    assert (args["repaid"], args["seized"], lab.phase(terms)) == (1_904_761, 2 * COIN, SEIZED)


def test_a_called_loan_sold_to_its_target_is_called_no_more(lab: Lab):
    terms = called(lab, **PARTIAL)
    lab.fund(lab.buyer, 10**9)
    lab.wait(1)
    lab.post(HALF * 7 // 9)
    sell(lab, terms)
    assert (lab.phase(terms), lab.loan(terms)[4]) == (ACTIVE, 0)


# How much: what is left


@pytest.mark.parametrize("off", [-1, 0, 1])
def test_a_part_leaves_the_least_or_nothing(lab: Lab, off: int):
    terms = breached(lab, liquidation=1, min_left=1_000_000)
    pay = 7_500_000 + off
    if off > 0:
        for each in (pay, 8_499_999):
            with refuses("liquidate/dust"):
                sell(lab, terms, each)
        args = sold(lab, sell(lab, terms, 8_500_000))
        assert (args["left"], lab.phase(terms)) == (0, SEIZED)
    else:
        args = sold(lab, sell(lab, terms, pay))
        assert args["left"] == 1_000_000 - off


@pytest.mark.parametrize("off", [-1, 0, 1])
def test_a_sale_to_a_target_that_would_leave_too_little_sells_all(lab: Lab, off: int):
    left = 8_500_000 - sold_to_target(8_500_000)
    terms = breached(lab, **PARTIAL, min_left=left + off)
    args = sold(lab, sell(lab, terms))
    if off > 0:
        assert (args["left"], args["repaid"], lab.phase(terms)) == (0, 8_500_000, SEIZED)
    else:
        assert (args["left"], lab.phase(terms)) == (left, ACTIVE)


# What the buyer bounds


def test_the_buyer_bounds_what_it_pays_and_what_it_gets(lab: Lab):
    terms = breached(lab, liquidation=1)
    with refuses("loan/amount"):
        sell(lab, terms, 0)
    with refuses("liquidate/slippage"):
        sell(lab, terms, 8_500_000, 178_500_001)
    # What it may pay is taken in full, but no more than the debt.
    args = sold(lab, sell(lab, terms, 8_500_001, 178_500_000))
    assert (args["repaid"], args["seized"]) == (8_500_000, 178_500_000)


@all_or_part
def test_a_buyer_without_cash_gets_nothing(lab: Lab, kind):
    terms = at_level(lab, 8_500, **kind)
    lab.post(HALF)
    with refuses("token/allowance"):
        sell(lab, terms)
    lab.cash.send(lab.buyer, "approve", lab.book.address, ANY)
    with refuses("token/balance"):
        sell(lab, terms)
    assert (lab.tokens(lab.buyer), lab.held(terms)) == (0, 2 * COIN)


@every_kind
def test_a_sale_counts_interest(lab: Lab, kind):
    terms = at_level(lab, 5_000, rate_bps=2_300, **kind)
    lab.fund(lab.buyer, 10**9)
    lab.wait(100 * DAY)
    lab.post(HALF)
    assert lab.owed(terms) > 5_300_000
    with refuses("liquidate/healthy"):
        sell(lab, terms)
    overdue(lab, terms, PRICE // 2)
    owed = lab.owed(terms)
    args = sold(lab, sell(lab, terms))
    assert (args["repaid"], args["bad_debt"]) == (owed, 0)
    assert args["seized"] == owed * 10_500 * 10**14 // (10_000 * HALF)


def test_auctions_are_not_sold_at_the_oracles_price(lab: Lab):
    terms = breached(lab, **AUCTION)
    with refuses("liquidate/kind"):
        lab.do(lab.buyer, "liquidate", terms, ANY, 0)
    with refuses("liquidate/kind"):
        lab.do(lab.lender, "take_over", terms)


# As the core counts


@settings(deadline=None, max_examples=60, derandomize=True)
@given(
    kind=st.integers(0, 2),
    bonus=st.integers(0, 5_000),
    fee=st.integers(0, 5_000),
    target=st.integers(1, 6_000),
    debt=st.integers(1, 100_000_000),
    least=st.integers(0, 100_000_000),
    sats=st.integers(10_000, 30 * COIN),
    level=st.integers(8_500, 20_000),
    share=st.integers(0, 12_000),
    default=st.booleans(),
)
def test_a_sale_is_what_the_core_says(
    fast_base: Lab, kind, bonus, fee, target, debt, least, sats, level, share, default
):
    """Any kind, at any level: the same split to the unit, or the same refusal."""
    lab = fast_base
    lab.back()
    if kind == 2:
        assume(target * (10_000 + bonus) < (10_000 - fee) * 10_000)
    terms = lab.opened(
        sats=sats,
        liquidation=kind,
        bonus_bps=bonus,
        fee_bps=fee,
        target_ltv=target if kind == 2 else 0,
        min_left=min(least, 100_000_000),
        rate_bps=0,
    )
    lab.fund(lab.buyer, 10**12)
    lab.post(10**18)
    lab.do(lab.borrower, "draw", terms, debt)
    lab.wait(1)
    price = max(1, debt * 10**18 // (level * sats))
    if default:
        price = min(10**18, 3 * price)
        overdue(lab, terms, price)
    else:
        lab.post(price)
    pay = ANY if kind == 0 else debt * share // 10_000
    before = {who.address: lab.money(who) for who in (lab.buyer, lab.lender)}
    try:
        split = sales.sell(
            core_terms(terms), debt=debt, held=sats, price=price, pay=pay, in_default=default
        )
    except Rejected as refusal:
        with refuses(refusal.code):
            sell(lab, terms, pay)
        return
    args = sold(lab, sell(lab, terms, pay, split.seized))
    names = ("repaid", "fee", "seized", "surplus", "bad_debt", "left")
    assert {name: args[name] for name in names} == {n: getattr(split, n) for n in names}
    # And everything is where that says.
    taker = lab.buyer if kind else lab.lender
    paid = split.repaid + split.fee if kind else 0
    assert lab.tokens(taker) == split.seized
    assert (lab.tokens(lab.borrower), lab.held(terms)) == (
        split.surplus,
        sats - split.seized - split.surplus,
    )
    assert lab.money(lab.lender) - before[lab.lender.address] == paid
    assert before[lab.buyer.address] - lab.money(lab.buyer) == paid
    assert lab.owed(terms) == split.left
