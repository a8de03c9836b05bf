"""EscrowBook: opening, pledging, drawing, paying back, cancelling, recovering."""

from __future__ import annotations

from fractions import Fraction
from math import ceil

import pytest
from book_lab import ARBITER, VERBS, refinance
from contracts_lab import (
    ACTIVE,
    AUCTION,
    CANCELLED,
    GENESIS,
    HEARTBEAT,
    LIQUIDATING,
    MARGIN_CALL,
    OPENED,
    PARTIAL,
    PRICE,
    RECOVERED,
    REPAID,
    Lab,
    raw,
    refuses,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from escrow.adapters.evm import typed
from escrow.core.units import COIN, DAY, MAX_TIME

DEN = 10_000 * 31_536_000
YEAR = 365 * DAY


# Open


def test_anyone_opens_what_both_signed(lab: Lab):
    terms = lab.terms()
    receipt = lab.open(terms)
    loan = typed.loan_id(terms)
    assert lab.said(receipt) == [
        ("Opened", {"loan": loan, "borrower": terms["borrower"], "lender": terms["lender"]})
    ]
    assert lab.loan(terms) == (OPENED, 0, 0, 0, 0)
    assert lab.owed(terms) == 0
    assert lab.book.call("ltv", typed.encode_terms(terms)) == 0


def test_the_id_and_the_domain_are_those_that_were_signed(lab: Lab):
    terms = lab.terms()
    assert lab.book.call("loan_id", typed.encode_terms(terms)) == typed.loan_id(terms)
    assert lab.book.call("DOMAIN_SEPARATOR") == lab.book.domain.separator


def test_a_loan_opens_once(lab: Lab):
    terms = lab.terms()
    lab.open(terms)
    with refuses("loan/exists"):
        lab.open(terms)
    lab.do(lab.borrower, "cancel", terms)
    with refuses("loan/exists"):
        lab.open(terms)
    lab.open(lab.terms(nonce=2))


def test_both_must_sign_in_their_place(lab: Lab):
    terms = lab.terms()
    for pair in (
        (lab.borrower, lab.borrower),
        (lab.lender, lab.lender),
        (lab.lender, lab.borrower),
        (lab.borrower, lab.stranger),
        (lab.stranger, lab.lender),
    ):
        with refuses("open/bad-signature"):
            lab.open(terms, *pair)


KIND_OF = {
    "target_ltv": PARTIAL,
    **dict.fromkeys(("buf_bps", "cut_bps", "step", "tail", "cusp_bps"), AUCTION),
    **dict.fromkeys(("arbiter", "dispute"), ARBITER),
}
"""Terms in which a member means something."""
DOWN = ("expires_at", "draw_by", "call_ltv", "target_ltv")


@pytest.mark.parametrize("member", [name for name, _ in typed.TERMS.fields if name != "origin"])
def test_every_member_is_signed(lab: Lab, member: str):
    signed = lab.terms(**KIND_OF.get(member, {}))
    value = signed[member]
    if member == "liquidation":
        changed: object = 1
    elif isinstance(value, bytes):
        changed = value[:-1] + bytes([value[-1] ^ 1])
    else:
        changed = value + (-1 if member in DOWN else 1)
    opened = signed | {member: changed}
    with refuses("open/bad-signature"):
        lab.book.send(lab.keeper, "open", typed.encode_terms(opened), *lab.sign_terms(signed))
    # It is not the terms that are refused.
    if member not in ("borrower", "lender"):
        lab.open(opened)


def test_terms_that_refinance_open_no_loan(lab: Lab):
    for origin in (typed.loan_id(lab.terms()), b"\x01" * 32):
        with refuses("loan/terms"):
            lab.open(lab.terms(origin=origin))


@pytest.mark.parametrize("change", [{"chain_id": 1}, {"contract": b"\1" * 20}, {"name": "Book"}])
def test_signatures_for_another_domain(lab: Lab, change):
    terms, own = lab.terms(), lab.book.domain
    fields = {"name": own.name, "chain_id": own.chain_id, "contract": own.contract} | change
    sigs = [
        typed.sign_terms(who, terms=terms, domain=typed.Domain(**fields))
        for who in (lab.borrower, lab.lender)
    ]
    with refuses("open/bad-signature"):
        lab.book.send(lab.keeper, "open", typed.encode_terms(terms), *sigs)


def test_malformed_signatures(lab: Lab):
    terms = lab.terms()
    good, other = lab.sign_terms(terms)
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    high = (order - int.from_bytes(good.s, "big")).to_bytes(32, "big")
    for bad in (good._replace(v=0), typed.Sig(55 - good.v, good.r, high)):
        with refuses("token/signature"):
            lab.book.send(lab.keeper, "open", typed.encode_terms(terms), bad, other)


def test_an_offer_until_it_expires(lab: Lab):
    at = lab.now + 100
    lab.at(at)
    lab.open(lab.terms(expires_at=at))
    with refuses("open/expired"):
        lab.open(lab.terms(expires_at=at - 1))


SOUND = {
    "flat initial and restore": {"initial_ltv": 6_000},
    "levels one apart": {
        "initial_ltv": 1,
        "restore_ltv": 1,
        "call_ltv": 2,
        "liquidation_ltv": 3,
    },
    "just below one": {"liquidation_ltv": 9_999},
    "no rate": {"rate_bps": 0},
    "the highest rate": {"rate_bps": 100_000},
    "the smallest principal": {"principal": 1},
    "the largest principal": {"principal": 2**63 - 1},
    "one confirmation": {"confirmations": 1},
    "a hundred confirmations": {"confirmations": 100},
    "no bonus": {"bonus_bps": 0},
    "the largest bonus": {"bonus_bps": 5_000},
    "a sale": {"liquidation": 1},
    "the smallest fee bound": {"max_fee": 1},
    "the largest fee bound": {"max_fee": 10_000_000},
    "the shortest cure": {"cure": 1},
    "the longest cure": {"cure": 30 * DAY},
    "no grace": {"grace": 0},
    "the longest grace": {"grace": YEAR, "recover_at": GENESIS + 2 * YEAR + 1},
    "recovery right after grace": {"recover_at": GENESIS + 375 * DAY + 1},
    "the end of time": {"recover_at": MAX_TIME},
    "expiry at the end of the draw window": {"draw_by": GENESIS + 2 * DAY},
    "maturity right after the draw window": {"maturity": GENESIS + 10 * DAY + 1},
    "any nonce": {"nonce": 2**256 - 1},
    "the largest fee": {"fee_bps": 5_000},
    "all or nothing": {"min_left": 100_000_000},
    "a target": PARTIAL,
    "the lowest target": PARTIAL | {"target_ltv": 1},
    "the last target that a sale reaches": PARTIAL
    | {"restore_ltv": 6_599, "target_ltv": 6_599, "bonus_bps": 5_000, "fee_bps": 100},
    "an auction": AUCTION,
    "an auction with a fee": AUCTION | {"fee_bps": 100},
    "an auction from the oracle's price": AUCTION | {"buf_bps": 10_000},
    "an auction from twice the oracle's price": AUCTION | {"buf_bps": 20_000},
    "the steepest auction": AUCTION | {"cut_bps": 1},
    "the flattest auction": AUCTION | {"cut_bps": 9_999},
    "an auction of a thousand steps": AUCTION | {"step": 1, "tail": 1_000},
    "an auction of one step": AUCTION | {"step": 7_200},
    "the longest auction": AUCTION | {"step": 2_592, "tail": 30 * DAY},
    "the lowest cusp": AUCTION | {"cusp_bps": 1},
    "the highest cusp": AUCTION | {"cusp_bps": 10_000},
    "the shortest dispute": ARBITER | {"dispute": 1},
    "the longest dispute": ARBITER | {"dispute": 30 * DAY},
}
UNSOUND = {
    "no initial level": ("terms/ltv-order", {"initial_ltv": 0}),
    "initial above restore": ("terms/ltv-order", {"initial_ltv": 6_001}),
    "restore at call": ("terms/ltv-order", {"restore_ltv": 7_000}),
    "call at liquidation": ("terms/ltv-order", {"call_ltv": 8_500}),
    "liquidation at one": ("terms/ltv-order", {"liquidation_ltv": 10_000}),
    "draw window before expiry": ("terms/time-order", {"draw_by": GENESIS + 2 * DAY - 1}),
    "maturity in the draw window": ("terms/time-order", {"maturity": GENESIS + 10 * DAY}),
    "recovery in grace": ("terms/time-order", {"recover_at": GENESIS + 375 * DAY}),
    "recovery before maturity": ("terms/time-order", {"recover_at": GENESIS + 365 * DAY}),
    "beyond the end of time": ("terms/time-order", {"recover_at": MAX_TIME + 1}),
    "sums that overflow": ("terms/time-order", {"grace": 2**256 - 1}),
    "maturity that overflows": ("terms/time-order", {"maturity": 2**256 - 1}),
    "no principal": ("terms/size", {"principal": 0}),
    "too much principal": ("terms/size", {"principal": 2**63}),
    "no confirmation": ("terms/size", {"confirmations": 0}),
    "too many confirmations": ("terms/size", {"confirmations": 101}),
    "too much bonus": ("terms/size", {"bonus_bps": 5_001}),
    "another liquidation": ("terms/size", {"liquidation": 4}),
    "no fee bound": ("terms/size", {"max_fee": 0}),
    "too high a fee bound": ("terms/size", {"max_fee": 10_000_001}),
    "no cure": ("terms/size", {"cure": 0}),
    "too long a cure": ("terms/size", {"cure": 30 * DAY + 1}),
    "too long a grace": (
        "terms/size",
        {"grace": YEAR + 1, "recover_at": GENESIS + 3 * YEAR},
    ),
    "too high a rate": ("terms/rate", {"rate_bps": 100_001}),
    "too much fee": ("terms/size", {"fee_bps": 5_001}),
    "more left than there can be": ("terms/size", {"min_left": 100_000_001}),
    "a target of another kind": ("terms/target", {"target_ltv": 6_000}),
    "no target": ("terms/target", PARTIAL | {"target_ltv": 0}),
    "a target above restore": ("terms/target", PARTIAL | {"target_ltv": 6_001}),
    "the first target that no sale reaches": (
        "terms/target",
        PARTIAL | {"restore_ltv": 6_600, "target_ltv": 6_600, "bonus_bps": 5_000, "fee_bps": 100},
    ),
    **{
        f"{name} of an auction under another kind": ("terms/auction", {name: AUCTION[name]})
        for name in ("buf_bps", "cut_bps", "step", "tail", "cusp_bps")
    },
    **{
        f"an auction with {name} {value}": ("terms/auction", AUCTION | {name: value})
        for name, value in (
            ("bonus_bps", 1),
            ("buf_bps", 9_999),
            ("buf_bps", 20_001),
            ("cut_bps", 0),
            ("cut_bps", 10_000),
            ("step", 0),
            ("step", 7_201),
            ("step", 7),
            ("tail", 30 * DAY + 1),
            ("cusp_bps", 0),
            ("cusp_bps", 10_001),
        )
    },
    "an arbiter without time": ("terms/arbiter", ARBITER | {"dispute": 0}),
    "an arbiter with too much time": ("terms/arbiter", ARBITER | {"dispute": 30 * DAY + 1}),
    "time for nobody": ("terms/arbiter", {"dispute": DAY}),
}


@pytest.mark.parametrize("changes", SOUND.values(), ids=SOUND)
def test_sound_terms(lab: Lab, changes):
    lab.open(lab.terms(**changes))


@pytest.mark.parametrize(("code", "changes"), UNSOUND.values(), ids=UNSOUND)
def test_unsound_terms(lab: Lab, code: str, changes):
    with refuses(code):
        lab.open(lab.terms(**changes))


def test_two_different_parties(lab: Lab):
    one = raw(lab.borrower)
    for changes in ({"lender": one}, {"lender": bytes(20)}, {"borrower": bytes(20)}):
        with refuses("terms/parties"):
            lab.open(lab.terms(**changes))


def test_no_party_is_its_own_arbiter(lab: Lab):
    for who in (lab.borrower, lab.lender):
        with refuses("terms/arbiter"):
            lab.open(lab.terms(**ARBITER | {"arbiter": raw(who)}))


def test_there_must_be_a_loan(lab: Lab):
    terms = lab.terms()
    for verb, *args in VERBS:
        with refuses("loan/unknown"):
            lab.do(lab.borrower, verb, terms, *args)
    new = lab.terms(origin=typed.loan_id(terms))
    with refuses("loan/unknown"):
        refinance(lab, terms, new)
    with refuses("loan/unknown"):
        lab.do(lab.borrower, "close", new)


# Cancel


def test_the_borrower_cancels_and_gets_back_what_was_pledged(lab: Lab):
    terms = lab.opened(sats=COIN)
    receipt = lab.do(lab.borrower, "cancel", terms)
    assert lab.said(receipt) == [("Cancelled", {"loan": typed.loan_id(terms)})]
    assert (lab.phase(terms), lab.held(terms), lab.tokens(lab.borrower)) == (CANCELLED, 0, COIN)


def test_cancelling_moves_nothing_where_nothing_was_pledged(lab: Lab):
    terms = lab.opened()
    receipt = lab.do(lab.borrower, "cancel", terms)
    assert lab.said(receipt) == [("Cancelled", {"loan": typed.loan_id(terms)})]


def test_until_the_draw_window_ends_only_the_borrower_cancels(lab: Lab):
    terms = lab.opened(sats=COIN)
    lab.at(terms["draw_by"])
    with refuses("cancel/draw-window"):
        lab.do(lab.lender, "cancel", terms)
    with refuses("cancel/not-party"):
        lab.do(lab.stranger, "cancel", terms)
    lab.do(lab.borrower, "cancel", terms)


@pytest.mark.parametrize("who", ["lender", "stranger", "borrower"])
def test_after_the_draw_window_anyone_cancels(lab: Lab, who: str):
    terms = lab.opened(sats=COIN)
    lab.at(terms["draw_by"] + 1)
    lab.do(getattr(lab, who), "cancel", terms)
    assert lab.tokens(lab.borrower) == COIN


def test_what_was_drawn_or_cancelled_cannot_be_cancelled(lab: Lab):
    terms = lab.active()
    for who in (lab.borrower, lab.lender):
        with refuses("cancel/too-late"):
            lab.do(who, "cancel", terms)
    other = lab.opened(nonce=2)
    lab.do(lab.borrower, "cancel", other)
    with refuses("cancel/too-late"):
        lab.do(lab.borrower, "cancel", other)


# Top up


def test_the_borrower_tops_up_without_a_price(lab: Lab):
    terms = lab.opened()
    lab.mint(typed.loan_id(terms), COIN)
    receipt = lab.do(lab.borrower, "top_up", terms, COIN - 1)
    assert lab.said(receipt)[0] == ("ToppedUp", {"loan": typed.loan_id(terms), "sats": COIN - 1})
    assert (lab.held(terms), lab.tokens(lab.borrower)) == (COIN - 1, 1)
    lab.do(lab.borrower, "top_up", terms, 1)
    held = lab.pledge.call("balanceOnHold", raw(lab.borrower))
    assert lab.held(terms) == held == lab.pledge.call("balanceOf", raw(lab.borrower)) == COIN
    assert lab.pledge.call("balanceOf", lab.book.address) == 0


def test_nobody_else_tops_up(lab: Lab):
    terms = lab.opened()
    lab.mint(typed.loan_id(terms), COIN, holder=raw(lab.lender))
    with refuses("top-up/not-borrower"):
        lab.do(lab.lender, "top_up", terms, COIN)


def test_top_up_with_nothing_or_with_too_much(lab: Lab):
    terms = lab.opened()
    lab.mint(typed.loan_id(terms), COIN)
    with refuses("loan/amount"):
        lab.do(lab.borrower, "top_up", terms, 0)
    for sats in (COIN + 1, 2**64, 2**255):
        with refuses("top-up/no-tokens"):
            lab.do(lab.borrower, "top_up", terms, sats)


def test_top_up_with_another_vaults_tokens(lab: Lab):
    terms = lab.opened()
    lab.mint(b"\x05" * 32, COIN)
    lab.mint(typed.loan_id(terms), 10_000, holder=raw(lab.buyer))
    with refuses("top-up/no-tokens"):
        lab.do(lab.borrower, "top_up", terms, 10_001)
    lab.do(lab.borrower, "top_up", terms, 10_000)


def test_top_up_without_tokens_of_ones_own(lab: Lab):
    terms = lab.opened()
    lab.mint(typed.loan_id(terms), COIN)
    lab.pledge.send(lab.borrower, "transfer", raw(lab.buyer), 1)
    with refuses("top-up/no-tokens"):
        lab.do(lab.borrower, "top_up", terms, COIN)


def test_top_up_of_a_loan_that_ended(lab: Lab):
    terms = lab.opened(sats=COIN)
    lab.do(lab.borrower, "cancel", terms)
    with refuses("top-up/not-live"):
        lab.do(lab.borrower, "top_up", terms, COIN)


# Draw


def test_the_borrower_draws_up_to_the_initial_level(lab: Lab):
    terms = lab.opened(sats=2 * COIN)
    lab.post()
    with refuses("draw/above-initial-ltv"):
        lab.do(lab.borrower, "draw", terms, 10_000_001)
    receipt = lab.do(lab.borrower, "draw", terms, 10_000_000)
    assert lab.said(receipt)[0] == ("Drawn", {"loan": typed.loan_id(terms), "amount": 10_000_000})
    assert lab.loan(terms) == (ACTIVE, 10_000_000, 0, lab.now, 0)
    assert lab.money(lab.borrower) == 10_000_000
    assert lab.money(lab.lender) == 10**12 - 10_000_000
    assert lab.book.call("ltv", typed.encode_terms(terms)) == 5_000


def test_interest_counts_when_drawing_again(lab: Lab):
    terms = lab.active(cents=9_000_000)
    lab.wait(HEARTBEAT)
    owed = lab.owed(terms)
    assert owed > 9_000_000
    with refuses("draw/above-initial-ltv"):
        lab.do(lab.borrower, "draw", terms, 10_000_001 - owed)
    lab.do(lab.borrower, "draw", terms, 10_000_000 - owed)
    assert lab.owed(terms) == 10_000_000


def test_nobody_else_draws(lab: Lab):
    terms = lab.opened(sats=COIN)
    lab.post()
    with refuses("draw/not-borrower"):
        lab.do(lab.lender, "draw", terms, 1)


def test_draw_within_the_principal(lab: Lab):
    terms = lab.opened(sats=2 * COIN, principal=1_000)
    lab.post()
    for amount in (1_001, 2**255):
        with refuses("draw/above-principal"):
            lab.do(lab.borrower, "draw", terms, amount)
    lab.do(lab.borrower, "draw", terms, 999)
    with refuses("draw/above-principal"):
        lab.do(lab.borrower, "draw", terms, 2)
    lab.do(lab.borrower, "draw", terms, 1)


def test_draw_nothing(lab: Lab):
    terms = lab.opened(sats=COIN)
    lab.post()
    with refuses("loan/amount"):
        lab.do(lab.borrower, "draw", terms, 0)


def test_draw_until_the_window_closes(lab: Lab):
    terms = lab.opened(sats=2 * COIN)
    lab.at(terms["draw_by"])
    lab.post()
    lab.do(lab.borrower, "draw", terms, 1)
    lab.wait(1)
    with refuses("draw/window-closed"):
        lab.do(lab.borrower, "draw", terms, 1)


def test_draw_at_a_fresh_price_only(lab: Lab):
    terms = lab.opened(sats=2 * COIN)
    with refuses("price/stale"):
        lab.do(lab.borrower, "draw", terms, 1)
    lab.post()
    lab.wait(HEARTBEAT)
    lab.do(lab.borrower, "draw", terms, 1)
    lab.wait(1)
    with refuses("price/stale"):
        lab.do(lab.borrower, "draw", terms, 1)


def test_draw_on_nothing_pledged(lab: Lab):
    terms = lab.opened()
    lab.post()
    with refuses("draw/above-initial-ltv"):
        lab.do(lab.borrower, "draw", terms, 1)


def test_draw_on_a_called_or_ended_loan(lab: Lab):
    terms = lab.active(cents=7_000_000)
    lab.wait(1)
    lab.post(PRICE // 2)
    lab.do(lab.keeper, "margin_call", terms)
    with refuses("draw/not-open"):
        lab.do(lab.borrower, "draw", terms, 1)
    lab.fund(lab.borrower, 10**9)
    lab.do(lab.borrower, "close", terms)
    with refuses("draw/not-open"):
        lab.do(lab.borrower, "draw", terms, 1)


def test_the_lender_must_have_the_cash_and_allow_it(lab: Lab):
    terms = lab.opened(sats=2 * COIN)
    lab.post()
    lab.cash.send(lab.lender, "approve", lab.book.address, 999)
    with refuses("token/allowance"):
        lab.do(lab.borrower, "draw", terms, 1_000)
    lab.cash.send(lab.lender, "approve", lab.book.address, 2**255)
    lab.cash.send(lab.lender, "transfer", raw(lab.buyer), 10**12 - 999)
    with refuses("token/balance"):
        lab.do(lab.borrower, "draw", terms, 1_000)
    lab.do(lab.borrower, "draw", terms, 999)


# Interest


def test_a_million_at_23_percent_for_31_days(lab: Lab):
    terms = lab.active(sats=30 * COIN, cents=100_000_000)
    lab.wait(31 * DAY)
    exact = Fraction(100_000_000 * 2_300 * 31 * DAY, DEN)
    assert (int(exact), ceil(exact)) == (1_953_424, 1_953_425)
    assert lab.owed(terms) == 101_953_425


def test_a_second_of_interest_is_rounded_up_to_a_cent(lab: Lab):
    terms = lab.active(cents=1)
    assert lab.owed(terms) == 1
    lab.wait(1)
    assert lab.owed(terms) == 2


def test_no_rate_no_interest(lab: Lab):
    terms = lab.active(cents=1_000, rate_bps=0)
    lab.wait(300 * DAY)
    assert lab.owed(terms) == 1_000


def test_interest_that_outgrows_its_field_stops_and_can_still_be_repaid(lab: Lab):
    principal = 2**63 - 1
    terms = lab.opened(sats=21_000_000 * COIN - 1, principal=principal, rate_bps=100_000)
    lab.cash.send(lab.issuer, "mint", raw(lab.lender), principal - 10**12)
    lab.post(10**18)
    lab.do(lab.borrower, "draw", terms, principal)
    lab.wait(399 * DAY)
    limit = -(-(2**101 - 1) // DEN)
    assert lab.owed(terms) == principal + limit < 2**64
    lab.fund(lab.borrower, limit)
    lab.do(lab.borrower, "repay", terms, 1)
    assert lab.owed(terms) == principal + limit - 1
    lab.do(lab.borrower, "close", terms)
    assert lab.phase(terms) == REPAID


# Repay


def test_interest_first_then_principal(lab: Lab):
    terms = lab.active(sats=30 * COIN, cents=100_000_000)
    lab.wait(31 * DAY)
    lab.fund(lab.borrower, 10**9)
    receipt = lab.do(lab.borrower, "repay", terms, 1_000_000)
    assert lab.said(receipt)[0] == (
        "Repaid",
        {
            "loan": typed.loan_id(terms),
            "by": raw(lab.borrower),
            "interest": 1_000_000,
            "principal": 0,
        },
    )
    assert lab.owed(terms) == 100_953_425
    receipt = lab.do(lab.borrower, "repay", terms, 953_426)
    assert lab.said(receipt)[0][1]["interest"] == 953_425
    assert lab.loan(terms)[:3] == (ACTIVE, 99_999_999, 0)
    assert lab.owed(terms) == 99_999_999


def test_anyone_repays_for_the_borrower(lab: Lab):
    terms = lab.active(cents=5_000_000)
    lab.fund(lab.keeper, 10**9)
    before = lab.money(lab.lender)
    lab.do(lab.keeper, "repay", terms, 5_000_000)
    assert lab.phase(terms) == REPAID
    assert lab.money(lab.lender) == before + 5_000_000
    assert lab.money(lab.keeper) == 10**9 - 5_000_000
    assert (lab.tokens(lab.borrower), lab.tokens(lab.keeper)) == (2 * COIN, 0)


def test_no_more_is_taken_than_is_owed(lab: Lab):
    terms = lab.active(cents=5_000_000)
    lab.fund(lab.borrower, 10**9)
    lab.wait(10 * DAY)
    owed, before = lab.owed(terms), lab.money(lab.borrower)
    lab.do(lab.borrower, "repay", terms, 2**256 - 1)
    assert before - lab.money(lab.borrower) == owed


def test_close_pays_all_and_releases_all_without_a_price(lab: Lab):
    terms = lab.active(cents=5_000_000)
    lab.fund(lab.borrower, 10**9)
    lab.wait(100 * DAY)
    assert lab.prices.call("latest")[2] is False
    receipt = lab.do(lab.borrower, "close", terms)
    loan = typed.loan_id(terms)
    assert ("Closed", {"loan": loan, "released": 2 * COIN}) in lab.said(receipt)
    assert lab.loan(terms) == (REPAID, 0, 0, 0, 0)
    assert (lab.held(terms), lab.tokens(lab.borrower), lab.owed(terms)) == (0, 2 * COIN, 0)


def test_all_but_a_cent_keeps_the_pledge(lab: Lab):
    terms = lab.active(cents=5_000_000)
    lab.fund(lab.borrower, 10**9)
    lab.wait(DAY)
    lab.do(lab.borrower, "repay", terms, lab.owed(terms) - 1)
    assert (lab.phase(terms), lab.owed(terms), lab.held(terms)) == (ACTIVE, 1, 2 * COIN)


def test_repaying_nothing_or_where_nothing_is_owed(lab: Lab):
    terms = lab.opened(sats=2 * COIN)
    lab.fund(lab.borrower, 10**9)
    with refuses("repay/no-debt"):
        lab.do(lab.borrower, "repay", terms, 1)
    lab.post()
    lab.do(lab.borrower, "draw", terms, 1_000)
    with refuses("loan/amount"):
        lab.do(lab.borrower, "repay", terms, 0)
    lab.do(lab.borrower, "close", terms)
    for verb, *args in (("repay", 1), ("close",)):
        with refuses("repay/no-debt"):
            lab.do(lab.borrower, verb, terms, *args)


def test_repaying_without_the_cash(lab: Lab):
    terms = lab.active(cents=5_000_000)
    with refuses("token/allowance"):
        lab.do(lab.borrower, "repay", terms, 1)
    lab.cash.send(lab.borrower, "approve", lab.book.address, 2**256 - 1)
    lab.wait(1)
    with refuses("token/balance"):
        lab.do(lab.borrower, "close", terms)
    assert lab.loan(terms)[1] == 5_000_000


def test_repaying_works_in_every_live_phase(lab: Lab):
    terms = lab.active(cents=7_000_000)
    lab.fund(lab.borrower, 10**9)
    lab.wait(1)
    lab.post(PRICE // 2)
    lab.do(lab.keeper, "margin_call", terms)
    lab.do(lab.borrower, "repay", terms, 1_000)
    assert lab.phase(terms) == MARGIN_CALL
    lab.stay_fresh(lab.now + DAY + 1, PRICE // 2)
    lab.do(lab.keeper, "expire_call", terms)
    lab.do(lab.borrower, "repay", terms, 1_000)
    assert lab.phase(terms) == LIQUIDATING
    lab.do(lab.borrower, "close", terms)
    assert lab.phase(terms) == REPAID


steps = st.lists(
    st.one_of(
        st.tuples(st.just("draw"), st.integers(1, 3_000_000)),
        st.tuples(st.just("repay"), st.integers(1, 3_000_000)),
        st.tuples(st.just("wait"), st.integers(1, 2 * DAY)),
    ),
    max_size=12,
)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(steps=steps, rate=st.integers(0, 100_000))
def test_the_debt_is_what_exact_arithmetic_says(fast_base: Lab, steps, rate: int):
    lab = fast_base
    lab.back()
    terms = lab.opened(sats=20 * COIN, rate_bps=rate, draw_by=GENESIS + 300 * DAY)
    lab.fund(lab.borrower, 10**12)
    principal, interest, then = 0, Fraction(0), lab.now
    paid = received = 0
    for verb, number in [*steps, ("wait", 1)]:
        if verb == "wait":
            lab.wait(number)
            continue
        interest += Fraction(principal * rate * (lab.now - then), DEN)
        then = lab.now
        if verb == "draw":
            if lab.phase(terms) not in (OPENED, ACTIVE):
                break
            lab.wait(1)
            interest += Fraction(principal * rate, DEN)
            then = lab.now
            lab.post()
            lab.do(lab.borrower, "draw", terms, number)
            principal += number
            received += number
        elif lab.phase(terms) == ACTIVE:
            lab.do(lab.borrower, "repay", terms, number)
            first = min(number, ceil(interest))
            rest = min(number - first, principal)
            interest = max(Fraction(0), interest - first)
            principal -= rest
            paid += first + rest
        if principal == 0:
            interest = Fraction(0)
        assert lab.owed(terms) == principal + ceil(interest)
        assert lab.loan(terms)[1] == principal
    assert lab.money(lab.borrower) == 10**12 + received - paid
    assert lab.money(lab.borrower) + lab.money(lab.lender) == 2 * 10**12
    assert lab.held(terms) + lab.tokens(lab.borrower) == 20 * COIN


# Recover


def test_a_loan_without_coins_after_the_recovery_time_is_over(lab: Lab):
    terms = lab.opened()
    att = lab.mint(typed.loan_id(terms), 2 * COIN)
    lab.do(lab.borrower, "top_up", terms, 2 * COIN)
    lab.post()
    lab.do(lab.borrower, "draw", terms, 1_000_000)
    lab.at(terms["recover_at"] - 1)
    with refuses("recover/too-early"):
        lab.do(lab.stranger, "recovered", terms)
    lab.wait(1)
    with refuses("recover/held"):
        lab.do(lab.stranger, "recovered", terms)
    lab.retire(att, deadline=lab.now)
    owed = lab.owed(terms)
    receipt = lab.do(lab.stranger, "recovered", terms)
    assert lab.said(receipt) == [("Recovered", {"loan": typed.loan_id(terms)})]
    assert lab.loan(terms)[:2] == (RECOVERED, 1_000_000)
    lab.wait(100 * DAY)
    assert lab.owed(terms) == owed
    with refuses("recover/not-live"):
        lab.do(lab.stranger, "recovered", terms)
    with refuses("repay/no-debt"):
        lab.do(lab.borrower, "repay", terms, 1)


def test_an_opened_loan_is_over_too(lab: Lab):
    terms = lab.opened()
    lab.at(terms["recover_at"])
    lab.do(lab.stranger, "recovered", terms)
    assert lab.loan(terms) == (RECOVERED, 0, 0, lab.now, 0)


def test_a_loan_that_ended_is_not_recovered(lab: Lab):
    terms = lab.opened()
    lab.do(lab.borrower, "cancel", terms)
    lab.at(terms["recover_at"])
    with refuses("recover/not-live"):
        lab.do(lab.stranger, "recovered", terms)


# Apart


def test_one_loan_does_not_touch_another(lab: Lab):
    first = lab.active(cents=5_000_000)
    second = lab.terms(nonce=2)
    lab.open(second)
    lab.mint(typed.loan_id(second), COIN)
    lab.do(lab.borrower, "top_up", second, COIN)
    before = lab.loan(first), lab.held(first)
    lab.do(lab.borrower, "draw", second, 1_000)
    lab.fund(lab.borrower, 10**9)
    lab.do(lab.borrower, "close", second)
    assert (lab.loan(first), lab.held(first)) == before
    assert lab.tokens(lab.borrower) == COIN
