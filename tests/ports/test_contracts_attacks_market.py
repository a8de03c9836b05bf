"""Attacks on EscrowBook by those who call and sell, buy, repay and make blocks."""

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
    sell,
    sold,
)
from contracts_lab import (
    ACTIVE,
    AUCTION,
    HEARTBEAT,
    LIQUIDATING,
    MARGIN_CALL,
    OPENED,
    PRICE,
    SEIZED,
    Lab,
    raw,
    refuses,
)

from escrow.adapters.evm import typed
from escrow.core.errors import Rejected
from escrow.core.units import COIN, DAY

# In front of others


def test_a_permit_carried_by_somebody_else(lab: Lab):
    """whoever sees the pool: carries a lender's permit before the lender does.

    Gets: `permit/not-owner` for the lender's own call, and the allowance is what the lender signed:
    nobody but the book can use it.
    """
    lab.cash.send(lab.issuer, "mint", raw(lab.lender), 10**9)
    permit = lab.permit(lab.cash, lab.lender, lab.book.address, 5_000_000)
    lab.cash.send(lab.stranger, "permit", *permit)
    with refuses("permit/not-owner"):
        lab.cash.send(lab.lender, "permit", *permit)
    assert lab.cash.call("allowance", raw(lab.lender), lab.book.address) == 5_000_000
    with refuses("token/allowance"):
        lab.cash.send(lab.stranger, "transferFrom", raw(lab.lender), raw(lab.buyer), 1)
    with refuses("token/not-book"):
        lab.cash.send(lab.stranger, "settle", raw(lab.lender), raw(lab.buyer), 1)


def test_terms_opened_by_somebody_else(lab: Lab):
    """whoever sees the pool: opens the loan before the borrower's `open_and_draw` does.

    Gets: `loan/exists` for that call, and nothing for itself; the borrower pledges and draws by two
    calls more.
    """
    terms = lab.terms()
    lab.mint(typed.loan_id(terms), 2 * COIN)
    lab.fund(lab.lender, 10**9)
    lab.post()
    lab.open(terms)
    with refuses("loan/exists"):
        lab.book.send(
            lab.borrower,
            "open_and_draw",
            typed.encode_terms(terms),
            *lab.sign_terms(terms),
            2 * COIN,
            1_000,
        )
    for verb, *args in (("top_up", 1), ("draw", 1)):
        with refuses(f"{verb.replace('_', '-')}/not-borrower"):
            lab.do(lab.keeper, verb, terms, *args)
    lab.do(lab.borrower, "top_up", terms, 2 * COIN)
    lab.do(lab.borrower, "draw", terms, 1_000)


def test_a_price_slipped_in_before_a_buyer(lab: Lab):
    """a keeper of prices: posts a new round between a buyer's decision and its purchase.

    Gets: nothing; a buyer that says the fewest sats, or the highest price, is refused with
    `liquidate/slippage` rather than paying more. It does not choose the price: oracles do.
    """
    sale = at_level(lab, 9_000, liquidation=1)
    lab.wait(1)
    auction = at_level(lab, 9_000, **AUCTION, nonce=2)
    lab.fund(lab.buyer, 10**9)
    lab.post(HALF)
    lab.do(lab.keeper, "redo", auction)
    wanted = 1_000_000 * 10_500 * 10**14 // (10_000 * HALF)
    top = HALF * 6 // 5
    lab.wait(1)
    lab.post(HALF + HALF // 100)
    with refuses("liquidate/slippage"):
        sell(lab, sale, 1_000_000, wanted)
    with refuses("liquidate/slippage"):
        sell(lab, auction, COIN, top)
    lab.wait(1)
    lab.post(HALF - HALF // 100)
    # Cheaper than it asked for is welcome.
    assert sold(lab, sell(lab, sale, 1_000_000, wanted))["seized"] > wanted
    assert sold(lab, sell(lab, auction, COIN, top))["repaid"] < COIN * top // 10**14


def test_a_call_and_a_sale_in_the_block_of_the_price(lab: Lab):
    """a lender: posts a low price, calls and sells in one block, before anybody can answer.

    Gets: between the call and the liquidation level only the call, `liquidate/healthy` and
    `expire/cure-time`; at the liquidation level the sale, which is what the terms say.
    """
    terms = at_level(lab, 7_000)
    post = lab.post(HALF)
    call = lab.do(lab.lender, "margin_call", terms)
    with refuses("liquidate/healthy"):
        lab.do(lab.lender, "take_over", terms)
    with refuses("expire/cure-time"):
        lab.do(lab.lender, "expire_call", terms)
    assert call.block_number == post.block_number
    # A second price cannot have the time of the first.
    with refuses("price/not-newer"):
        lab.post(HALF * 7 // 9)
    lab.wait(1)
    post = lab.post(HALF * 7 // 9)
    assert lab.do(lab.lender, "take_over", terms).block_number == post.block_number


def test_an_old_round_again(lab: Lab):
    """a lender: keeps a low round that oracles signed, and posts it when it suits.

    Gets: `price/round` once another round was posted; `price/not-newer` and `price/too-old` if
    oracles would sign that moment again.
    """
    terms = at_level(lab, 7_000)
    low = lab.reports([HALF] * 5)
    moment = low[1]
    lab.wait(1)
    lab.post(PRICE)
    with refuses("price/round"):
        lab.prices.send(lab.lender, "post", *low)
    with refuses("price/not-newer"):
        lab.prices.send(lab.lender, "post", *lab.reports([HALF] * 5, at=moment))
    late = lab.reports([HALF] * 5, at=lab.now + 1)
    lab.wait(HEARTBEAT + 2)
    with refuses("price/too-old"):
        lab.prices.send(lab.lender, "post", *late)
    with refuses("price/stale"):
        lab.do(lab.lender, "margin_call", terms)


def test_silent_oracles(lab: Lab):
    """a lender that can silence oracles: calls, and lets the cure time pass while nobody can post.

    Gets: `price/stale`; cure time stands still, and when a price comes the borrower has all that
    was left of it, `expire/cure-time`.
    """
    terms = called(lab)
    lab.fund(lab.borrower, 10**9)
    lab.wait(300 * DAY)
    for verb in ("expire_call", "take_over", "margin_call"):
        with pytest.raises(Rejected):
            lab.do(lab.lender, verb, terms)
    with refuses("price/stale"):
        lab.do(lab.lender, "take_over", terms)
    lab.post(HALF)
    with refuses("expire/cure-time"):
        lab.do(lab.lender, "expire_call", terms)
    left = lab.loan(terms)[4] - lab.prices.call("active_seconds")
    assert left == DAY - HEARTBEAT
    lab.do(lab.borrower, "close", terms)


# Dust


def test_dust_by_others(lab: Lab):
    """a stranger with tokens of the same vault: adds a sat to the loan, or mints a sat, again and
    again.

    Gets: `top-up/not-borrower`, and `mint/amount` below 10,000 sats; nothing of a loan grows with
    the number of its deposits.
    """
    terms = at_level(lab, 5_000)
    loan = typed.loan_id(terms)
    lab.mint(loan, COIN, holder=raw(lab.buyer))
    for who in (lab.buyer, lab.lender, lab.keeper):
        with refuses("top-up/not-borrower"):
            lab.do(who, "top_up", terms, 1)
    for sats in (1, 9_999):
        with refuses("mint/amount"):
            lab.mint(loan, sats, holder=raw(lab.buyer))
    lab.mint(loan, 10_000, holder=raw(lab.buyer))
    assert lab.held(terms) == 2 * COIN


def test_a_sale_in_tiny_parts(lab: Lab):
    """a buyer: buys a cent's worth, again and again, to leave a debt that nobody bothers to buy.

    Gets: no more coins than in one purchase, and `liquidate/dust` where less than the terms allow
    would be left; the rest is bought at once.
    """
    terms = breached(lab, liquidation=1, min_left=1_000_000)
    for _ in range(10):
        lab.wait(1)
        lab.post(HALF - 10**9)
        args = sold(lab, sell(lab, terms, 1))
        assert (args["repaid"], args["seized"]) == (1, 21)
    sell(lab, terms, lab.owed(terms) - 1_000_000)
    if lab.phase(terms) == ACTIVE:
        lab.wait(1)
        lab.post(HALF // 2)
    with refuses("liquidate/dust"):
        sell(lab, terms, 1)
    sell(lab, terms)
    assert lab.phase(terms) == SEIZED


# Against oneself


def test_liquidating_oneself(lab: Lab):
    """a borrower: buys its own coins, from its account or from another of its own.

    Gets: `liquidate/self`; through another account at 85 % both accounts have the two coins again
    for 85,000.00, which is the debt: the bonus is its own. Under water it gets what any buyer
    gets: coins worth 20,000.00 for 19,047.61, and no more than that bonus.
    """
    terms = breached(lab, liquidation=1)
    lab.fund(lab.borrower, 10**9)
    lab.fund(lab.keeper, 10**9)
    with refuses("liquidate/self"):
        lab.do(lab.borrower, "liquidate", terms, ANY, 0)
    both, lender = (lab.borrower, lab.keeper), lab.money(lab.lender)
    cash = sum(map(lab.money, both))
    with aside(lab):
        lab.do(lab.borrower, "close", terms)
        repaid = sum(map(lab.money, both)), sum(map(lab.tokens, both)), lab.money(lab.lender)
    with aside(lab):
        sell(lab, terms, who=lab.keeper)
        bought = sum(map(lab.money, both)), sum(map(lab.tokens, both)), lab.money(lab.lender)
    assert bought == repaid == (cash - 8_500_000, 2 * COIN, lender + 8_500_000)
    lab.wait(1)
    lab.post(PRICE // 10)
    args = sold(lab, sell(lab, terms, who=lab.keeper))
    assert cash - sum(map(lab.money, both)) == 1_904_761
    assert (sum(map(lab.tokens, both)), args["bad_debt"]) == (2 * COIN, 6_595_239)


def test_tiny_repayments_at_the_deadline(lab: Lab):
    """a borrower: repays a cent in every second around the deadline, so that the call never ends.

    Gets: nothing for it; the deadline does not move, and the call expires a second after it while
    the level is not cured.
    """
    terms = called(lab)
    lab.fund(lab.borrower, 10**9)
    deadline = lab.loan(terms)[4]
    lab.wait(1)
    lab.post(HALF - 10**9)
    lab.stay_fresh(lab.now + deadline - lab.prices.call("active_seconds") - 2, HALF - 10**9)
    for second in (-2, -1, 0, 1):
        assert lab.prices.call("active_seconds") == deadline + second
        lab.do(lab.borrower, "repay", terms, 1)
        assert (lab.phase(terms), lab.loan(terms)[4]) == (MARGIN_CALL, deadline)
        if second <= 0:
            with refuses("expire/cure-time"):
                lab.do(lab.keeper, "expire_call", terms)
            lab.wait(1)
    lab.do(lab.keeper, "expire_call", terms)
    assert lab.phase(terms) == LIQUIDATING


def test_a_repayment_in_front_of_a_buyer(lab: Lab):
    """a borrower: repays a cent in front of a purchase that leaves exactly the least.

    Gets: `liquidate/dust` for that purchase, at a cent and its gas; a buyer that leaves a little
    more, or nothing, is not hindered.
    """
    terms = breached(lab, liquidation=1, min_left=1_000_000)
    lab.fund(lab.borrower, 10**9)
    lab.wait(1)
    lab.post(HALF - 10**9)
    lab.do(lab.borrower, "repay", terms, 1)
    with refuses("liquidate/dust"):
        sell(lab, terms, 7_500_000)
    with aside(lab):
        sell(lab, terms, 7_400_000)
    sell(lab, terms)


# Edges


def opening(lab: Lab):
    terms = lab.terms()
    call = "open", *lab.sign_terms(terms)
    return terms, terms["expires_at"], lab.stranger, call, (GOES, GOES, "open/expired")


def drawing(lab: Lab):
    terms = at_level(lab, 5_000)
    return terms, terms["draw_by"], lab.borrower, ("draw", 1), (GOES, GOES, "draw/window-closed")


def cancelling(lab: Lab):
    terms, early = lab.opened(sats=COIN), "cancel/not-party"
    return terms, terms["draw_by"], lab.stranger, ("cancel",), (early, early, GOES)


def withdrawing(lab: Lab):
    terms = at_level(lab, 5_000)
    wanted = (GOES, GOES, "withdraw/matured")
    return terms, terms["maturity"], lab.borrower, ("withdraw", 1), wanted


def defaulting(lab: Lab):
    terms, early = at_level(lab, 5_000), "liquidate/healthy"
    moment = terms["maturity"] + terms["grace"]
    return terms, moment, lab.lender, ("take_over",), (early, early, GOES)


def recovering(lab: Lab):
    terms, early = lab.opened(), "recover/too-early"
    return terms, terms["recover_at"], lab.stranger, ("recovered",), (early, GOES, GOES)


def expiring(lab: Lab):
    terms, early = called(lab), "expire/cure-time"
    moment = lab.now + lab.loan(terms)[4] - lab.prices.call("active_seconds")
    lab.stay_fresh(moment - 2, HALF)
    return terms, moment, lab.stranger, ("expire_call",), (early, early, GOES)


def deciding(lab: Lab):
    terms, early = called(lab, **ARBITER), "dispute/not-arbiter"
    lab.do(lab.borrower, "dispute", terms)
    moment = lab.now + ARBITER["dispute"]
    return terms, moment, lab.keeper, ("resolve", False), (early, early, GOES)


def taking(lab: Lab):
    terms = breached(lab, **AUCTION)
    lab.do(lab.keeper, "redo", terms)
    moment = lab.now + AUCTION["tail"]
    return terms, moment, lab.buyer, ("take", COIN, ANY), (GOES, GOES, "auction/stale")


def beginning_anew(lab: Lab):
    terms, early = breached(lab, **AUCTION), "auction/running"
    lab.do(lab.keeper, "redo", terms)
    return terms, lab.now + AUCTION["tail"], lab.stranger, ("redo",), (early, early, GOES)


def knowing_the_price(lab: Lab):
    """The one that needs no new price."""
    terms = at_level(lab, 7_000)
    lab.post(HALF)
    wanted = (GOES, GOES, "price/stale")
    return terms, lab.now + HEARTBEAT, lab.stranger, ("margin_call",), wanted


EDGES = (
    *(opening, drawing, cancelling, withdrawing, defaulting, recovering, expiring, deciding),
    *(taking, beginning_anew, knowing_the_price),
)
GOES = "goes"


@pytest.mark.parametrize("edge", EDGES, ids=lambda edge: edge.__name__)
def test_a_second_too_early_or_too_late(lab: Lab, edge):
    """whoever makes blocks: acts a second before, at and after each deadline.

    Gets: no second that is both in time and too late, and none that is neither; a block's maker
    that moves a timestamp by some seconds gains those seconds, and no more.
    """
    terms, moment, who, (verb, *args), wanted = edge(lab)
    lab.at(moment - 1)
    if edge is not knowing_the_price:
        lab.post(PRICE if lab.phase(terms) in (0, OPENED, ACTIVE) else HALF)
    for second, code in enumerate(wanted):
        lab.at(moment - 1 + second)
        try:
            lab.book.call(verb, typed.encode_terms(terms), *args, sender=raw(who))
            said = GOES
        except Rejected as refusal:
            said = refusal.code
        assert said == code, second
