"""EscrowBook: margin calls, cures, expiry, and the two ways of liquidation."""

from __future__ import annotations

import pytest
from contracts_lab import (
    ACTIVE,
    HEARTBEAT,
    LIQUIDATING,
    MARGIN_CALL,
    PRICE,
    RECOVERED,
    SEIZED,
    Lab,
    raw,
    refuses,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from escrow.adapters.evm import typed
from escrow.core.units import COIN, DAY, muldiv_down

HALF = PRICE // 2
"""Two coins at this price are 100,000.00: the debt in cents is then the level in bps × 1,000."""


@pytest.fixture(scope="module")
def base() -> Lab:
    return Lab()


@pytest.fixture
def lab(base: Lab) -> Lab:
    base.back()
    return base


def at_level(lab: Lab, bps: int, **changes: object) -> dict[str, object]:
    """A loan of ``bps`` × 1,000 cents without interest on two coins: at HALF its level is bps."""
    terms = lab.active(cents=bps * 1_000, **({"rate_bps": 0} | changes))
    lab.wait(1)
    return terms


def called(lab: Lab, **changes: object) -> dict[str, object]:
    terms = at_level(lab, 7_000, **changes)
    lab.post(HALF)
    lab.do(lab.keeper, "margin_call", terms)
    return terms


def expired(lab: Lab, **changes: object) -> dict[str, object]:
    terms = called(lab, **changes)
    lab.stay_fresh(lab.now + DAY + 1, HALF)
    lab.do(lab.keeper, "expire_call", terms)
    return terms


# Margin call


def test_a_call_at_the_level_exactly(lab: Lab):
    terms = at_level(lab, 7_000)
    lab.post(HALF + 1)
    with refuses("call/healthy"):
        lab.do(lab.keeper, "margin_call", terms)
    lab.wait(1)
    lab.post(HALF)
    active = lab.prices.call("active_seconds")
    receipt = lab.do(lab.keeper, "margin_call", terms)
    assert lab.said(receipt) == [
        (
            "MarginCalled",
            {"loan": typed.loan_id(terms), "deadline": active + DAY, "price": HALF},
        )
    ]
    assert lab.loan(terms) == (MARGIN_CALL, 7_000_000, 0, lab.now, active + DAY)
    assert lab.book.call("ltv", typed.encode_terms(terms)) == 7_000


def test_interest_alone_can_reach_the_level(lab: Lab):
    terms = at_level(lab, 7_000, rate_bps=2_300)
    lab.post(HALF + 10**8)
    with refuses("call/healthy"):
        lab.do(lab.keeper, "margin_call", terms)
    lab.wait(HEARTBEAT)
    lab.do(lab.keeper, "margin_call", terms)


def test_a_call_at_a_fresh_price_only(lab: Lab):
    terms = at_level(lab, 7_000)
    lab.post(HALF)
    lab.wait(HEARTBEAT + 1)
    with refuses("price/stale"):
        lab.do(lab.keeper, "margin_call", terms)


def test_only_an_active_loan_is_called(lab: Lab):
    terms = called(lab)
    with refuses("call/not-active"):
        lab.do(lab.keeper, "margin_call", terms)
    other = lab.terms(nonce=2)
    lab.open(other)
    with refuses("call/not-active"):
        lab.do(lab.keeper, "margin_call", other)


FALLS = {
    5_000: (7_000, 7_500, 8_000, 8_500, 9_500),
    4_000: (6_667, 8_333),
    7_000: (9_000,),
    7_500: (8_600,),
}
"""Initial levels of lenders in the market, and those at which they call or sell."""


@pytest.mark.parametrize(
    ("initial", "call"), [(initial, call) for initial, calls in FALLS.items() for call in calls]
)
def test_the_fall_that_leads_to_a_call(lab: Lab, initial: int, call: int):
    levels = {"initial_ltv": initial, "restore_ltv": initial, "call_ltv": call}
    terms = at_level(lab, 2 * initial, **levels, liquidation_ltv=call + 1)
    trigger = muldiv_down(PRICE, initial, call)
    lab.post(trigger + 1)
    with refuses("call/healthy"):
        lab.do(lab.keeper, "margin_call", terms)
    lab.wait(1)
    lab.post(trigger)
    lab.do(lab.keeper, "margin_call", terms)


# Cure


@pytest.mark.parametrize("way", ["repay", "top_up", "price"])
def test_cured_at_the_restore_level_exactly(lab: Lab, way: str):
    terms = called(lab)
    lab.fund(lab.borrower, 10**9)
    if way == "repay":  # 70,000.00 to 60,000.00
        lab.do(lab.borrower, "repay", terms, 999_999)
    elif way == "top_up":  # 7/6 of two coins
        lab.mint(typed.loan_id(terms), COIN)
        lab.do(lab.borrower, "top_up", terms, 33_333_333)
    else:
        lab.wait(1)
        lab.post(HALF * 7 // 6)
    with refuses("cure/not-restored"):
        lab.do(lab.keeper, "cure", terms)
    if way == "repay":
        lab.do(lab.borrower, "repay", terms, 1)
    elif way == "top_up":
        lab.do(lab.borrower, "top_up", terms, 1)
    else:
        lab.wait(1)
        lab.post(HALF * 7 // 6 + 1)
    receipt = lab.do(lab.stranger, "cure", terms)
    assert lab.said(receipt) == [("Cured", {"loan": typed.loan_id(terms)})]
    assert (lab.phase(terms), lab.loan(terms)[4]) == (ACTIVE, 0)


def test_cured_after_the_deadline_while_nobody_expired_the_call(lab: Lab):
    terms = called(lab)
    lab.stay_fresh(lab.now + 2 * DAY, PRICE)
    lab.do(lab.keeper, "cure", terms)
    assert lab.phase(terms) == ACTIVE


def test_a_cure_at_a_fresh_price_only(lab: Lab):
    terms = called(lab)
    lab.wait(1)
    lab.post(PRICE)
    lab.wait(HEARTBEAT + 1)
    with refuses("price/stale"):
        lab.do(lab.keeper, "cure", terms)


def test_nothing_to_cure(lab: Lab):
    terms = at_level(lab, 5_000)
    with refuses("cure/not-called"):
        lab.do(lab.keeper, "cure", terms)
    other = expired(lab, nonce=2)
    with refuses("cure/not-called"):
        lab.do(lab.keeper, "cure", other)


# Expiry


def test_a_call_expires_after_its_deadline(lab: Lab):
    terms = called(lab)
    lab.stay_fresh(lab.now + DAY, HALF)
    assert lab.prices.call("active_seconds") == lab.loan(terms)[4]
    with refuses("expire/cure-time"):
        lab.do(lab.keeper, "expire_call", terms)
    lab.wait(1)
    receipt = lab.do(lab.stranger, "expire_call", terms)
    assert lab.said(receipt) == [("CallExpired", {"loan": typed.loan_id(terms)})]
    assert (lab.phase(terms), lab.loan(terms)[4]) == (LIQUIDATING, 0)


def test_cure_time_stands_still_while_no_price_is_fresh(lab: Lab):
    terms = called(lab)
    lab.wait(30 * DAY)
    with refuses("price/stale"):
        lab.do(lab.keeper, "expire_call", terms)
    lab.post(HALF)
    left = lab.loan(terms)[4] - lab.prices.call("active_seconds")
    assert left == DAY - HEARTBEAT
    with refuses("expire/cure-time"):
        lab.do(lab.keeper, "expire_call", terms)
    lab.stay_fresh(lab.now + left, HALF)
    with refuses("expire/cure-time"):
        lab.do(lab.keeper, "expire_call", terms)
    lab.wait(1)
    lab.do(lab.keeper, "expire_call", terms)


def test_a_call_does_not_expire_below_its_level(lab: Lab):
    terms = called(lab)
    lab.stay_fresh(lab.now + DAY + 1, HALF + 1)
    with refuses("expire/healthy"):
        lab.do(lab.keeper, "expire_call", terms)
    lab.wait(1)
    lab.post(HALF)
    lab.do(lab.keeper, "expire_call", terms)


def test_no_call_to_expire(lab: Lab):
    terms = at_level(lab, 7_000)
    with refuses("expire/not-called"):
        lab.do(lab.keeper, "expire_call", terms)


def test_no_more_collateral_once_expired(lab: Lab):
    terms = expired(lab)
    lab.mint(typed.loan_id(terms), COIN)
    with refuses("top-up/not-live"):
        lab.do(lab.borrower, "top_up", terms, COIN)


# Liquidation: who


def test_under_take_over_only_the_lender(lab: Lab):
    terms = expired(lab)
    for who in (lab.borrower, lab.stranger, lab.issuer):
        with refuses("liquidate/not-lender"):
            lab.do(who, "take_over", terms)
    with refuses("liquidate/kind"):
        lab.do(lab.buyer, "liquidate", terms, 2**255)
    lab.do(lab.lender, "take_over", terms)


def test_under_sale_anyone_but_the_borrower(lab: Lab):
    terms = expired(lab, liquidation=1)
    lab.fund(lab.borrower, 10**9)
    lab.fund(lab.keeper, 10**9)
    with refuses("liquidate/self"):
        lab.do(lab.borrower, "liquidate", terms, 2**255)
    with refuses("liquidate/kind"):
        lab.do(lab.lender, "take_over", terms)
    lab.do(lab.keeper, "liquidate", terms, 2**255)


# Liquidation: when


def take(lab: Lab, terms) -> object:
    if terms["liquidation"] == 0:
        return lab.do(lab.lender, "take_over", terms)
    return lab.do(lab.buyer, "liquidate", terms, 2**255)


@pytest.mark.parametrize("kind", [0, 1])
def test_at_the_liquidation_level_exactly(lab: Lab, kind: int):
    terms = at_level(lab, 8_500, liquidation=kind)
    lab.fund(lab.buyer, 10**9)
    lab.post(HALF + 1)
    with refuses("liquidate/healthy"):
        take(lab, terms)
    lab.wait(1)
    lab.post(HALF)
    take(lab, terms)
    assert lab.phase(terms) == SEIZED


@pytest.mark.parametrize("kind", [0, 1])
def test_after_maturity_and_grace_though_healthy(lab: Lab, kind: int):
    terms = at_level(lab, 5_000, liquidation=kind)
    lab.fund(lab.buyer, 10**9)
    lab.at(terms["maturity"] + terms["grace"])
    lab.post()
    with refuses("liquidate/healthy"):
        take(lab, terms)
    lab.wait(1)
    take(lab, terms)


@pytest.mark.parametrize("kind", [0, 1])
def test_during_cure_time_only_at_the_liquidation_level(lab: Lab, kind: int):
    terms = called(lab, liquidation=kind)
    lab.fund(lab.buyer, 10**9)
    with refuses("liquidate/healthy"):
        take(lab, terms)
    lab.wait(1)
    trigger = muldiv_down(HALF, 7_000, 8_500)
    lab.post(trigger + 1)
    with refuses("liquidate/healthy"):
        take(lab, terms)
    lab.wait(1)
    lab.post(trigger)
    take(lab, terms)


@pytest.mark.parametrize("kind", [0, 1])
def test_an_expired_call_has_no_way_back(lab: Lab, kind: int):
    terms = expired(lab, liquidation=kind)
    lab.fund(lab.buyer, 10**9)
    lab.wait(1)
    lab.post(PRICE)
    take(lab, terms)


@pytest.mark.parametrize("kind", [0, 1])
def test_at_a_fresh_price_only(lab: Lab, kind: int):
    terms = expired(lab, liquidation=kind)
    lab.fund(lab.buyer, 10**9)
    lab.wait(HEARTBEAT + 1)
    with refuses("price/stale"):
        take(lab, terms)


@pytest.mark.parametrize("kind", [0, 1])
def test_what_is_not_live_cannot_be_liquidated(lab: Lab, kind: int):
    terms = lab.opened(sats=COIN, liquidation=kind)
    lab.fund(lab.buyer, 10**9)
    lab.fund(lab.borrower, 10**9)
    lab.post()
    with refuses("liquidate/not-live"):
        take(lab, terms)
    lab.do(lab.borrower, "draw", terms, 1_000)
    lab.do(lab.borrower, "close", terms)
    with refuses("liquidate/not-live"):
        take(lab, terms)
    lab.wait(1)
    other = at_level(lab, 8_500, liquidation=kind, nonce=2)
    lab.post(HALF)
    take(lab, other)
    with refuses("liquidate/not-live"):
        take(lab, other)


@pytest.mark.parametrize("kind", [0, 1])
def test_a_debt_is_not_wiped_out_where_there_are_no_coins(lab: Lab, kind: int):
    terms = lab.opened(liquidation=kind, rate_bps=0)
    lab.fund(lab.buyer, 10**9)
    att = lab.mint(typed.loan_id(terms), 2 * COIN)
    lab.do(lab.borrower, "top_up", terms, 2 * COIN)
    lab.post()
    lab.do(lab.borrower, "draw", terms, 1_000_000)
    lab.retire(att)
    with refuses("liquidate/not-live"):
        take(lab, terms)
    assert lab.owed(terms) == 1_000_000


# Liquidation: how much


def test_take_over_sets_off_the_debt(lab: Lab):
    terms = at_level(lab, 8_500)
    lab.post(HALF)
    cash = lab.money(lab.lender)
    receipt = lab.do(lab.lender, "take_over", terms)
    # 85,000.00 and 5 % at 50,000.00 a coin.
    seized = 178_500_000
    assert (
        "Liquidated",
        {
            "loan": typed.loan_id(terms),
            "by": raw(lab.lender),
            "kind": 0,
            "repaid": 8_500_000,
            "seized": seized,
            "surplus": 2 * COIN - seized,
            "bad_debt": 0,
        },
    ) in lab.said(receipt)
    assert (lab.tokens(lab.lender), lab.tokens(lab.borrower)) == (seized, 2 * COIN - seized)
    assert lab.money(lab.lender) == cash
    assert lab.loan(terms) == (SEIZED, 0, 0, 0, 0)
    assert (lab.owed(terms), lab.held(terms)) == (0, 0)


def test_a_sale_pays_the_lender(lab: Lab):
    terms = at_level(lab, 8_500, liquidation=1)
    lab.fund(lab.buyer, 10**9)
    lab.post(HALF)
    cash = lab.money(lab.lender)
    lab.do(lab.buyer, "liquidate", terms, 8_500_000)
    assert lab.money(lab.lender) == cash + 8_500_000
    assert lab.money(lab.buyer) == 10**9 - 8_500_000
    assert (lab.tokens(lab.buyer), lab.tokens(lab.borrower)) == (178_500_000, 21_500_000)


@pytest.mark.parametrize("kind", [0, 1])
def test_a_liquidation_counts_interest(lab: Lab, kind: int):
    terms = at_level(lab, 5_000, rate_bps=2_300, liquidation=kind)
    lab.fund(lab.buyer, 10**9)
    lab.wait(100 * DAY)
    lab.post(HALF)
    owed = lab.owed(terms)
    assert owed > 5_300_000
    with refuses("liquidate/healthy"):
        take(lab, terms)
    lab.at(terms["maturity"] + terms["grace"] + 1)
    lab.post(HALF)
    owed = lab.owed(terms)
    args = next(args for name, args in lab.said(take(lab, terms)) if name == "Liquidated")
    assert args["repaid"] + args["bad_debt"] == owed
    assert args["seized"] == owed * 10_500 * 10**14 // (10_000 * HALF)


def test_interest_alone_can_reach_the_liquidation_level(lab: Lab):
    terms = at_level(lab, 8_500, rate_bps=2_300)
    lab.post(HALF + 10**8)
    with refuses("liquidate/healthy"):
        take(lab, terms)
    lab.wait(HEARTBEAT)
    take(lab, terms)


def test_the_buyer_bounds_what_it_pays(lab: Lab):
    terms = at_level(lab, 8_500, liquidation=1)
    lab.fund(lab.buyer, 10**9)
    lab.post(HALF)
    with refuses("loan/amount"):
        lab.do(lab.buyer, "liquidate", terms, 8_499_999)
    lab.do(lab.buyer, "liquidate", terms, 8_500_000)


def test_a_buyer_without_cash_gets_nothing(lab: Lab):
    terms = at_level(lab, 8_500, liquidation=1)
    lab.post(HALF)
    with refuses("token/allowance"):
        lab.do(lab.buyer, "liquidate", terms, 2**255)
    lab.cash.send(lab.buyer, "approve", lab.book.address, 2**256 - 1)
    with refuses("token/balance"):
        lab.do(lab.buyer, "liquidate", terms, 2**255)
    assert (lab.tokens(lab.buyer), lab.held(terms)) == (0, 2 * COIN)


BREAK_EVEN = [438, 500, 700, 1_000, 1_300, 2_000]
"""Bonuses of known markets: the debt is covered up to a loan-to-value of 1 / (1 + bonus)."""


@pytest.mark.parametrize("bonus", BREAK_EVEN)
def test_the_last_price_that_covers_debt_and_bonus(lab: Lab, bonus: int):
    terms = at_level(lab, 8_000, bonus_bps=bonus, liquidation_ltv=7_001)
    debt, held = 8_000_000, 2 * COIN
    exact = debt * (10_000 + bonus) * 10**14
    covers = -(-exact // (10_000 * held))
    lab.post(covers)
    lab.save()
    try:
        receipt = lab.do(lab.lender, "take_over", terms)
        args = next(args for name, args in lab.said(receipt) if name == "Liquidated")
        assert (args["repaid"], args["bad_debt"]) == (debt, 0)
        assert args["seized"] == exact // (10_000 * covers)
        assert args["surplus"] == held - args["seized"] <= 1
        lab.back()
        lab.wait(1)
        lab.post(covers - 1)
        receipt = lab.do(lab.lender, "take_over", terms)
        args = next(args for name, args in lab.said(receipt) if name == "Liquidated")
        assert (args["seized"], args["surplus"]) == (held, 0)
        assert args["repaid"] == held * (covers - 1) * 10_000 // (10**14 * (10_000 + bonus))
        assert args["bad_debt"] == debt - args["repaid"] == 1
    finally:
        lab.forget()


def test_a_crash_leaves_bad_debt(lab: Lab):
    terms = at_level(lab, 8_500, liquidation=1)
    lab.fund(lab.buyer, 10**9)
    lab.post(PRICE // 10)
    receipt = lab.do(lab.buyer, "liquidate", terms, 2**255)
    args = next(args for name, args in lab.said(receipt) if name == "Liquidated")
    # 20,000.00 of coins less 5 %.
    assert (args["repaid"], args["seized"], args["surplus"]) == (1_904_761, 2 * COIN, 0)
    assert args["bad_debt"] == 8_500_000 - 1_904_761
    assert lab.money(lab.buyer) == 10**9 - 1_904_761


def test_coins_worth_nothing_are_taken_for_nothing(lab: Lab):
    terms = at_level(lab, 8_500, liquidation=1)
    lab.fund(lab.buyer, 10**9)
    lab.post(1)
    receipt = lab.do(lab.buyer, "liquidate", terms, 0)
    # One movement of tokens, none of cash.
    assert [name for name, _ in lab.said(receipt)] == ["Liquidated", "Transfer"]
    assert lab.tokens(lab.buyer) == 2 * COIN
    assert lab.money(lab.buyer) == 10**9


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    price=st.integers(1, 10**14),
    bonus=st.integers(0, 5_000),
    debt=st.integers(1, 10_000_000),
    sats=st.integers(10_000, 3 * COIN),
    kind=st.integers(0, 1),
)
def test_what_goes_out_is_what_was_there(price: int, bonus: int, debt: int, sats: int, kind: int):
    lab = Lab()
    terms = lab.opened(sats=sats, bonus_bps=bonus, liquidation=kind, rate_bps=0)
    lab.fund(lab.buyer, 10**9)
    lab.post(10**18)
    lab.do(lab.borrower, "draw", terms, debt)
    lab.at(terms["maturity"] + terms["grace"] + 1)
    lab.post(price)
    cash = lab.money(lab.lender)
    receipt = take(lab, terms)
    args = next(args for name, args in lab.said(receipt) if name == "Liquidated")
    assert args["seized"] + args["surplus"] == sats
    assert args["repaid"] + args["bad_debt"] == debt
    assert args["bad_debt"] == 0 or args["surplus"] == 0
    # Never more than what was paid for, with the bonus; less than a sat below it if covered.
    paid_for = args["repaid"] * (10_000 + bonus) * 10**14
    if args["bad_debt"] == 0:
        assert args["seized"] * price * 10_000 <= paid_for
        assert (args["seized"] + 1) * price * 10_000 > paid_for
    else:
        assert paid_for <= sats * price * 10_000
        assert paid_for + (10_000 + bonus) * 10**14 > sats * price * 10_000
    taker = lab.buyer if kind else lab.lender
    assert lab.tokens(taker) == args["seized"]
    assert lab.tokens(lab.borrower) == args["surplus"]
    assert lab.money(lab.lender) - cash == (args["repaid"] if kind else 0)
    assert lab.pledge.call("balanceOf", lab.book.address) == 0


# Reading


def test_ltv_is_rounded_up_and_reads_a_stale_price(lab: Lab):
    terms = at_level(lab, 7_000)
    lab.post(HALF - 1)
    lab.wait(100 * DAY)
    assert lab.book.call("ltv", typed.encode_terms(terms)) == 7_001


def test_ltv_of_a_debt_on_nothing(lab: Lab):
    terms = lab.opened(rate_bps=0)
    att = lab.mint(typed.loan_id(terms), COIN)
    lab.do(lab.borrower, "top_up", terms, COIN)
    lab.post()
    lab.do(lab.borrower, "draw", terms, 1)
    lab.retire(att)
    assert lab.book.call("ltv", typed.encode_terms(terms)) == 2**256 - 1


def test_ltv_counts_interest(lab: Lab):
    terms = at_level(lab, 5_000, rate_bps=10_000)
    lab.post(PRICE)
    lab.wait(365 * DAY - 1)  # With the second that at_level waited: a year at 100 %.
    assert lab.book.call("ltv", typed.encode_terms(terms)) == 5_000


# What every verb keeps


def test_a_call_a_cure_and_an_expiry_leave_the_debt_alone(lab: Lab):
    terms = at_level(lab, 7_000, rate_bps=2_300)
    for verb, price, wait in (
        ("margin_call", HALF, 30 * DAY),
        ("cure", PRICE * 10, 30 * DAY),
        ("margin_call", HALF, 30 * DAY),
        ("expire_call", HALF, DAY + 1),
    ):
        lab.wait(30 * DAY)
        lab.post(price)
        if verb == "expire_call":
            lab.stay_fresh(lab.now + wait, price)
        owed = lab.owed(terms)
        assert owed > 7_000_000
        lab.do(lab.keeper, verb, terms)
        assert lab.owed(terms) == owed
        assert lab.loan(terms)[3] == lab.now


@pytest.mark.parametrize("phase", [ACTIVE, MARGIN_CALL, LIQUIDATING])
def test_every_live_loan_is_recovered_without_coins(lab: Lab, phase: int):
    make = {
        ACTIVE: lambda: at_level(lab, 7_000, rate_bps=2_300),
        MARGIN_CALL: lambda: called(lab, rate_bps=2_300),
        LIQUIDATING: lambda: expired(lab, rate_bps=2_300),
    }
    terms = make[phase]()
    assert lab.phase(terms) == phase
    lab.at(terms["recover_at"])
    lab.lose_last_coin(terms, 2 * COIN)
    owed = lab.owed(terms)
    assert owed > 7_000_000
    lab.do(lab.stranger, "recovered", terms)
    found, principal, _, accrued_to, deadline = lab.loan(terms)
    assert (found, principal, accrued_to, deadline) == (RECOVERED, 7_000_000, lab.now, 0)
    lab.wait(DAY)
    assert lab.owed(terms) == owed
