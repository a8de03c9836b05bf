"""EscrowBook: auctions: when they begin, how the price falls, who takes what, begun anew, and how
much may be in them at once."""

from __future__ import annotations

import pytest
from book_lab import (
    ANY,
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
    AUCTION_CAP,
    HEARTBEAT,
    LIQUIDATING,
    PRICE,
    RECOVERED,
    REPAID,
    SEIZED,
    Lab,
    raw,
    refuses,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from escrow.adapters.evm import typed
from escrow.core import sales
from escrow.core.errors import Rejected
from escrow.core.units import COIN, DAY

STEP, TAIL = AUCTION["step"], AUCTION["tail"]
TOP = HALF * 6 // 5
"""Of an auction that begins at HALF."""


def asked(lab: Lab, terms) -> int:
    """Price of 1 BTC at this second."""
    return lab.book.call("auction_price", typed.encode_terms(terms))


def in_auctions(lab: Lab) -> int:
    return lab.book.call("auction_debt")


def begun(lab: Lab, **changes: object) -> dict[str, object]:
    """At the liquidation level, and marked."""
    terms = breached(lab, **AUCTION | changes)
    lab.do(lab.keeper, "redo", terms)
    return terms


# When it begins: nobody has to say so


@pytest.mark.parametrize("way", ["the call expired", "the level is breached", "the default"])
def test_it_begins_without_a_transaction(lab: Lab, way: str):
    if way == "the call expired":
        terms = expired(lab, **AUCTION)
        start = lab.now
        lab.fund(lab.buyer, 10**9)
    elif way == "the level is breached":
        terms = breached(lab, **AUCTION)
        start = lab.prices.call("latest")[1]
    else:
        terms = at_level(lab, 7_500, **AUCTION)
        lab.fund(lab.buyer, 10**9)
        start = terms["maturity"] + terms["grace"]
        overdue(lab, terms, HALF)
        assert lab.now == start + 1
    assert asked(lab, terms) == TOP
    lab.at(start + STEP - 1)
    assert asked(lab, terms) == TOP
    lab.at(start + STEP)
    assert asked(lab, terms) == TOP * 99 // 100
    assert lab.phase(terms) == (LIQUIDATING if way == "the call expired" else ACTIVE)
    args = sold(lab, sell(lab, terms, 1_000_000))
    # What is left goes on falling from where it began.
    assert args["left"] > 0
    assert (lab.phase(terms), lab.loan(terms)[4]) == (LIQUIDATING, start)
    lab.at(start + 2 * STEP)
    assert asked(lab, terms) == TOP * 99 * 99 // 10_000


def test_no_auction_before_there_is_a_reason(lab: Lab):
    terms = called(lab, **AUCTION)
    for verb, *args in (("take", ANY, ANY), ("redo",)):
        with refuses("liquidate/healthy"):
            lab.do(lab.buyer, verb, terms, *args)
    with refuses("liquidate/healthy"):
        asked(lab, terms)
    lab.wait(1)
    healthy = at_level(lab, 5_000, **AUCTION, nonce=2)
    lab.at(healthy["maturity"] + healthy["grace"])
    lab.post()
    for verb, *args in (("take", ANY, ANY), ("redo",)):
        with refuses("liquidate/healthy"):
            lab.do(lab.buyer, verb, healthy, *args)


def test_a_new_price_begins_anew_what_nobody_marked(lab: Lab):
    terms = breached(lab, **AUCTION)
    lab.wait(10 * STEP)
    assert asked(lab, terms) < TOP
    lab.post(HALF)
    assert asked(lab, terms) == TOP
    lab.do(lab.keeper, "redo", terms)
    lab.wait(10 * STEP)
    falling = asked(lab, terms)
    assert falling < TOP
    lab.post(HALF)
    assert asked(lab, terms) == falling


def test_a_breach_that_is_over_is_no_reason_unless_marked(lab: Lab):
    terms = breached(lab, **AUCTION)
    with aside(lab):
        lab.wait(1)
        lab.post(PRICE)
        with refuses("liquidate/healthy"):
            sell(lab, terms)
    lab.do(lab.keeper, "redo", terms)
    lab.wait(1)
    lab.post(PRICE)
    sell(lab, terms)


def test_at_a_fresh_price_only(lab: Lab):
    terms = expired(lab, **AUCTION)
    lab.wait(HEARTBEAT + 1)
    for verb, *args in (("take", ANY, ANY), ("redo",)):
        with refuses("price/stale"):
            lab.do(lab.buyer, verb, terms, *args)
    with refuses("price/stale"):
        asked(lab, terms)


# Who


def test_anyone_but_the_borrower_takes_and_anyone_begins_anew(lab: Lab):
    terms = breached(lab, **AUCTION)
    lab.fund(lab.borrower, 10**9)
    with refuses("liquidate/self"):
        lab.do(lab.borrower, "take", terms, ANY, ANY)
    lab.do(lab.stranger, "redo", terms)
    with refuses("token/cannot-receive"):
        lab.do(lab.stranger, "take", terms, ANY, ANY)
    lab.do(lab.buyer, "take", terms, ANY, ANY)


@pytest.mark.parametrize("kind", [0, 1, 2])
def test_no_auction_under_other_terms(lab: Lab, kind: int):
    terms = breached(lab, liquidation=kind, target_ltv=6_000 if kind == 2 else 0)
    for verb, *args in (("take", ANY, ANY), ("redo",)):
        with refuses("liquidate/kind"):
            lab.do(lab.buyer, verb, terms, *args)
    with refuses("liquidate/kind"):
        asked(lab, terms)


# How the price falls


@pytest.mark.parametrize(
    "changes",
    [{}, {"buf_bps": 13_000, "step": 60}, {"cut_bps": 9_500, "step": 300, "cusp_bps": 1_000}],
    ids=["Maker's", "faster", "steeper"],
)
def test_the_price_falls_step_by_step_as_the_core_says(fast: Lab, changes):
    lab = fast
    terms = begun(lab, **changes)
    start, rules = lab.loan(terms)[4], core_terms(terms)
    assert start == lab.now
    last, steps = ANY, TAIL // terms["step"]
    for step in range(steps + 2):
        for off in (-1, 0):
            elapsed = step * terms["step"] + off
            if elapsed < 0:
                continue
            lab.stay_fresh(start + elapsed, HALF)
            if sales.is_stale_auction(rules, elapsed=elapsed):
                with refuses("auction/stale"):
                    asked(lab, terms)
                with refuses("auction/stale"):
                    sell(lab, terms)
                continue
            price = asked(lab, terms)
            assert price == sales.auction_price(rules, price=HALF, elapsed=elapsed)
            assert price == last if off and step else price < last
            last = price
    assert sales.is_stale_auction(rules, elapsed=lab.now - start)


@pytest.mark.parametrize(("buf", "par"), [(12_000, 1_710), (13_000, 2_430)])
def test_when_the_price_is_back_at_par(lab: Lab, buf: int, par: int):
    """28.5 and 40.5 minutes, at 1 % every 90 seconds."""
    terms = breached(lab, **AUCTION | {"buf_bps": buf})
    start = lab.prices.call("latest")[1]
    lab.at(start + par - 1)
    assert asked(lab, terms) > HALF
    lab.at(start + par)
    assert asked(lab, terms) <= HALF


def test_the_price_moves_with_the_oracles(lab: Lab):
    terms = begun(lab)
    lab.wait(STEP)
    lab.post(HALF * 11 // 10)
    assert asked(lab, terms) == -(-HALF * 11 * 12 * 99 // 10_000)


# Taking


def test_a_part_is_taken(lab: Lab):
    terms = begun(lab)
    cash = lab.money(lab.lender)
    receipt = sell(lab, terms, COIN // 2, TOP)
    assert sold(lab, receipt) == {
        "loan": typed.loan_id(terms),
        "by": raw(lab.buyer),
        "kind": 3,
        "repaid": 3_000_000,
        "fee": 0,
        "seized": COIN // 2,
        "surplus": 0,
        "bad_debt": 0,
        "left": 5_500_000,
    }
    assert [name for name, _ in lab.said(receipt)] == ["Liquidated", "Transfer", "Transfer"]
    assert (lab.tokens(lab.buyer), lab.held(terms)) == (COIN // 2, COIN * 3 // 2)
    assert lab.money(lab.lender) == cash + 3_000_000
    assert lab.owed(terms) == in_auctions(lab) == 5_500_000
    assert lab.phase(terms) == LIQUIDATING


@pytest.mark.parametrize("fee", [0, 99])
def test_no_more_is_taken_than_the_debt_needs(lab: Lab, fee: int):
    terms = begun(lab, fee_bps=fee)
    claim = -(-8_500_000 * 10_000 // (10_000 - fee))
    args = sold(lab, sell(lab, terms))
    assert (args["repaid"], args["fee"]) == (8_500_000, claim - 8_500_000)
    assert args["seized"] == claim * 10**14 // TOP
    assert args["surplus"] == 2 * COIN - args["seized"]
    assert (args["bad_debt"], args["left"], lab.phase(terms)) == (0, 0, SEIZED)
    assert lab.tokens(lab.borrower) == args["surplus"]
    assert lab.money(lab.buyer) == 10**9 - claim
    assert in_auctions(lab) == 0


@pytest.mark.parametrize("fee", [0, 99])
def test_the_last_coin_gone_with_debt_left_is_bad_debt(lab: Lab, fee: int):
    terms = begun(lab, fee_bps=fee)
    lab.wait(50 * STEP - HEARTBEAT)
    lab.stay_fresh(lab.loan(terms)[4] + 50 * STEP, HALF)
    price = asked(lab, terms)
    paid = -(-2 * COIN * price // 10**14)
    assert paid < 8_500_000
    args = sold(lab, sell(lab, terms, 2 * COIN))
    assert args["repaid"] == paid * (10_000 - fee) // 10_000
    assert args["fee"] == paid - args["repaid"]
    assert args["bad_debt"] == 8_500_000 - args["repaid"] > 0
    assert (args["seized"], args["surplus"], args["left"]) == (2 * COIN, 0, 0)
    assert (lab.phase(terms), lab.owed(terms), in_auctions(lab)) == (SEIZED, 0, 0)


def test_all_but_a_sat_leaves_the_debt(lab: Lab):
    terms = begun(lab)
    lab.stay_fresh(lab.loan(terms)[4] + 50 * STEP, HALF)
    args = sold(lab, sell(lab, terms, 2 * COIN - 1))
    assert (args["left"], args["bad_debt"]) == (8_500_000 - args["repaid"], 0)
    assert (lab.phase(terms), lab.held(terms)) == (LIQUIDATING, 1)
    assert in_auctions(lab) == lab.owed(terms) > 0


def test_the_taker_bounds_the_price(lab: Lab):
    terms = begun(lab)
    with refuses("liquidate/slippage"):
        sell(lab, terms, COIN, TOP - 1)
    with refuses("loan/amount"):
        sell(lab, terms, 0)
    sell(lab, terms, COIN, TOP)


@pytest.mark.parametrize("off", [-1, 0, 1])
def test_a_part_leaves_the_least_or_nothing(lab: Lab, off: int):
    """Half a coin at the first price leaves 55,000.00."""
    terms = begun(lab, min_left=5_500_000 + off)
    if off > 0:
        with refuses("liquidate/dust"):
            sell(lab, terms, COIN // 2)
        sell(lab, terms)
        assert lab.phase(terms) == SEIZED
    else:
        assert sold(lab, sell(lab, terms, COIN // 2))["left"] == 5_500_000


def test_a_sat_costs_a_cent(lab: Lab):
    """Payments are rounded up, so nobody gets coins for nothing."""
    terms = begun(lab)
    args = sold(lab, sell(lab, terms, 1))
    assert (args["repaid"], args["seized"]) == (1, 1)
    with_fee = begun_again(lab)
    with refuses("loan/amount"):  # All of the cent is fee.
        sell(lab, with_fee, 1)


def begun_again(lab: Lab) -> dict[str, object]:
    lab.wait(1)
    return begun(lab, fee_bps=99, nonce=2)


@pytest.mark.parametrize("marked", [True, False])
def test_a_part_that_restores_the_loan_ends_the_auction(lab: Lab, marked: bool):
    terms = begun(lab) if marked else breached(lab, **AUCTION)
    # 50,000.00 at 60,000.00 a coin leave 35,000.00 on 58,333.33.
    with aside(lab):
        sell(lab, terms, 83_333_316)
        assert lab.phase(terms) == LIQUIDATING
        assert in_auctions(lab) == 3_500_001
    assert sold(lab, sell(lab, terms, 83_333_333))["left"] == 3_500_000
    assert (lab.phase(terms), lab.loan(terms)[4], in_auctions(lab)) == (ACTIVE, 0, 0)
    with refuses("liquidate/healthy"):
        sell(lab, terms)


# Begun anew


def test_not_before_its_tail(lab: Lab):
    terms = begun(lab)
    start = lab.loan(terms)[4]
    lab.stay_fresh(start + TAIL, HALF)
    with refuses("auction/running"):
        lab.do(lab.keeper, "redo", terms)
    with aside(lab):
        sell(lab, terms, COIN)
    lab.wait(1)
    with refuses("auction/stale"):
        sell(lab, terms)
    receipt = lab.do(lab.keeper, "redo", terms)
    assert lab.said(receipt) == [("AuctionBegun", {"loan": typed.loan_id(terms)})]
    assert lab.loan(terms)[4] == lab.now
    assert asked(lab, terms) == TOP
    assert in_auctions(lab) == 8_500_000
    with refuses("auction/running"):
        lab.do(lab.keeper, "redo", terms)


def test_not_above_its_cusp(lab: Lab):
    """0.99 ** 68 is above a half, 0.99 ** 69 below."""
    terms = begun(lab, cusp_bps=5_000)
    start = lab.loan(terms)[4]
    lab.stay_fresh(start + 69 * STEP - 1, HALF)
    with refuses("auction/running"):
        lab.do(lab.keeper, "redo", terms)
    lab.wait(1)
    with refuses("auction/stale"):
        sell(lab, terms)
    lab.do(lab.keeper, "redo", terms)
    assert asked(lab, terms) == TOP


def test_an_auction_that_nobody_marked_is_marked_once(lab: Lab):
    terms = at_level(lab, 5_000, **AUCTION)
    lab.fund(lab.buyer, 10**9)
    lab.at(terms["maturity"] + terms["grace"] + TAIL + 1)
    lab.post(HALF)
    with refuses("auction/stale"):
        sell(lab, terms)
    lab.do(lab.keeper, "redo", terms)
    with refuses("auction/running"):
        lab.do(lab.keeper, "redo", terms)
    sell(lab, terms)


# How much at once


def large(lab: Lab, cents: int, level: int = 8_600, **changes: object) -> dict[str, object]:
    """At HALF its level is at least ``level``; not yet posted."""
    lab.wait(1)
    sats = cents * 10**18 // (level * HALF)
    return lab.active(sats=sats, cents=cents, principal=cents, rate_bps=0, **AUCTION | changes)


def test_no_more_than_the_book_has_room_for(lab: Lab):
    first = large(lab, 6 * 10**9)
    fits = large(lab, AUCTION_CAP - 6 * 10**9, nonce=2)
    small = large(lab, 10_000, nonce=3)
    lab.fund(lab.buyer, 10**12)
    lab.wait(1)
    lab.post(HALF)
    lab.do(lab.keeper, "redo", first)
    assert in_auctions(lab) == 6 * 10**9
    with aside(lab):
        lab.do(lab.keeper, "redo", small)
        with refuses("auction/cap"):
            lab.do(lab.keeper, "redo", fits)
        assert in_auctions(lab) == 6 * 10**9 + 10_000
    lab.do(lab.keeper, "redo", fits)
    assert in_auctions(lab) == AUCTION_CAP
    with refuses("auction/cap"):
        lab.do(lab.keeper, "redo", small)
    # A part would put the rest up; all of it leaves nothing.
    with refuses("auction/cap"):
        sell(lab, small, 1_000)
    with aside(lab):
        sell(lab, small)
        assert in_auctions(lab) == AUCTION_CAP
    # What leaves makes room.
    sell(lab, first, 1_000_000)
    lab.do(lab.keeper, "redo", small)
    room = AUCTION_CAP - in_auctions(lab)
    assert 0 < room == AUCTION_CAP - lab.owed(first) - lab.owed(fits) - lab.owed(small)


def test_a_call_expires_only_if_there_is_room(lab: Lab):
    full = large(lab, AUCTION_CAP)
    lab.wait(1)
    small = at_level(lab, 7_000, **AUCTION, nonce=2)
    lab.wait(1)
    lab.post(HALF)
    lab.do(lab.keeper, "redo", full)
    lab.do(lab.keeper, "margin_call", small)
    lab.stay_fresh(lab.now + DAY + 1, HALF)
    with refuses("auction/cap"):
        lab.do(lab.keeper, "expire_call", small)
    lab.fund(lab.borrower, 10**9)
    lab.do(lab.borrower, "repay", full, 7_000_000)
    lab.do(lab.keeper, "expire_call", small)
    assert in_auctions(lab) == AUCTION_CAP


def test_other_kinds_of_sale_need_no_room(lab: Lab):
    full = large(lab, AUCTION_CAP)
    lab.wait(1)
    lab.post(HALF)
    lab.do(lab.keeper, "redo", full)
    lab.wait(1)
    expired(lab, nonce=2)
    assert in_auctions(lab) == AUCTION_CAP


@pytest.mark.parametrize("way", ["repay", "interest", "close", "take", "restore", "recovered"])
def test_every_way_out_of_an_auction_is_counted(lab: Lab, way: str):
    other = begun(lab, nonce=2)
    lab.wait(1)
    terms = begun(lab, rate_bps=2_300)
    both = in_auctions(lab)
    assert both == 17_000_000
    lab.fund(lab.borrower, 10**9)
    left, phase = 0, LIQUIDATING
    if way == "repay":
        lab.do(lab.borrower, "repay", terms, 1_000_001)
        left = lab.loan(terms)[1]
        assert 7_500_000 <= left < 8_500_000
    elif way == "interest":
        lab.wait(HEARTBEAT)
        assert lab.owed(terms) > 8_500_010
        lab.do(lab.borrower, "repay", terms, 10)
        left = 8_500_000
    elif way == "close":
        lab.do(lab.borrower, "close", terms)
        phase = REPAID
    elif way == "take":
        sell(lab, terms)
        phase = SEIZED
    elif way == "restore":
        sell(lab, terms, 90_000_000)
        phase = ACTIVE
    else:
        lab.at(terms["recover_at"])
        lab.lose_last_coin(terms, 2 * COIN)
        lab.do(lab.stranger, "recovered", terms)
        phase = RECOVERED
    assert lab.phase(terms) == phase
    assert in_auctions(lab) == 8_500_000 + left
    assert lab.loan(other)[:2] == (LIQUIDATING, 8_500_000)


# As the core counts


@settings(deadline=None, max_examples=60, derandomize=True)
@given(
    buf=st.integers(10_000, 20_000),
    cut=st.integers(1, 9_999),
    step=st.integers(1, 600),
    cusp=st.integers(1, 10_000),
    fee=st.integers(0, 5_000),
    debt=st.integers(1, 100_000_000),
    least=st.integers(0, 100_000_000),
    sats=st.integers(10_000, 30 * COIN),
    level=st.integers(8_500, 30_000),
    elapsed=st.integers(0, 3_600),
    share=st.integers(0, 11_000),
)
def test_a_taking_is_what_the_core_says(
    fast_base: Lab, buf, cut, step, cusp, fee, debt, least, sats, level, elapsed, share
):
    """At any second of any auction: the same split to the unit, or the same refusal."""
    lab = fast_base
    lab.back()
    path = {"buf_bps": buf, "cut_bps": cut, "step": step, "tail": min(1_000 * step, 3_000)}
    path["tail"] = max(path["tail"], step)
    terms = lab.opened(
        sats=sats, rate_bps=0, fee_bps=fee, min_left=least, **AUCTION | path | {"cusp_bps": cusp}
    )
    lab.fund(lab.buyer, 2**63 - 1)
    lab.post(10**18)
    lab.do(lab.borrower, "draw", terms, debt)
    lab.wait(1)
    oracle = max(1, debt * 10**18 // (level * sats))
    lab.post(oracle)
    lab.wait(elapsed)
    rules, want = core_terms(terms), sats * share // 10_000
    if sales.is_stale_auction(rules, elapsed=elapsed):
        with refuses("auction/stale"):
            sell(lab, terms, want)
        return
    price = sales.auction_price(rules, price=oracle, elapsed=elapsed)
    try:
        split = sales.sell_at(rules, debt=debt, held=sats, price=price, want=want)
    except Rejected as refusal:
        with refuses(refusal.code):
            sell(lab, terms, want)
        return
    args = sold(lab, sell(lab, terms, want, price))
    names = ("repaid", "fee", "seized", "surplus", "bad_debt", "left")
    assert {name: args[name] for name in names} == {n: getattr(split, n) for n in names}
    assert (lab.tokens(lab.buyer), lab.tokens(lab.borrower)) == (split.seized, split.surplus)
    assert lab.money(lab.buyer) == 2**63 - 1 - split.repaid - split.fee
    assert lab.owed(terms) == split.left
    assert in_auctions(lab) == (split.left if lab.phase(terms) == LIQUIDATING else 0)
