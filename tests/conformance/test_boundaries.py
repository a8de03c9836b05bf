"""Each boundary by name: a price at a level and a unit beside it, a moment and a second."""

from __future__ import annotations

from dataclasses import replace

import pytest
from asks import KINDS, NEAR, WHO, moment, odd_terms, price
from both_lab import AUCTION, HEARTBEAT, PARTIAL, PEOPLE, QUORUM, START, WIDE, Both, terms
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from escrow.adapters.evm import typed
from escrow.adapters.evm.client import terms_mapping
from escrow.core.errors import Rejected
from escrow.core.regions.system import MAX_PAUSE, RESUME_GRACE
from escrow.core.terms import RESERVE_LIFE, check_terms
from escrow.core.units import BPS, CENTS_SCALE, COIN, DAY, HOUR, MAX_PRICE, MAX_TIME

PAR = 120_000 * 10**8


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    changes=odd_terms().map(lambda t: t | {"principal": 5_000_000, "min_left": 0}),
    debt=st.sampled_from((5_000_000, 1, 3_333_333)),
    level=st.sampled_from(("restore_ltv", "call_ltv", "liquidation_ltv", "bad", "tiny")),
    near=NEAR,
    late=NEAR,
    again=st.sampled_from(("restore_ltv", "initial_ltv", "call_ltv")),
    who=WHO,
)
def test_a_margin_call_at_every_edge(lab, changes, debt, level, near, late, again, who):
    """Price at each level and a unit beside it; time at the deadline and a second beside it."""
    both = Both(lab, **changes)
    both.open()
    both.deposit(COIN)
    both.top_up("borrower", COIN)
    both.price(120_000 * 10**8)
    both.draw("borrower", debt)
    both.wait(HOUR // 2)
    both.price(price(both, level, near))
    both.margin_call(who)
    both.cure(who)
    both.take_over(who)
    both.liquidate(who)
    both.take(who)
    while both.now + HEARTBEAT < moment(both, "deadline", late) < both.now + DAY:
        both.wait(HEARTBEAT)
        both.price(both.state.system.price.price)
    both.until(moment(both, "deadline", late))
    both.price(price(both, again, near))
    both.expire_call(who)
    both.cure(who)
    both.top_up("borrower", 1)
    both.draw("borrower", 1)
    both.take_over("lender")
    both.liquidate("buyer")
    both.take("buyer")
    both.close(who)
    for holder in PEOPLE:
        both.burn(holder, both.tokens[holder])


EXACT = {
    "rate_bps": 0,
    "initial_ltv": 5_000,
    "restore_ltv": 6_250,
    "call_ltv": 8_000,
    "liquidation_ltv": 8_192,
}
"""Levels that 50,000.00 against one bitcoin reaches at a whole price, so exactly."""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("near", [-1, 0, 1])
def test_a_level_is_hit_exactly(lab, near, kind):
    """At the level itself: a draw is allowed, a call is due, a cure is done, a sale is allowed."""
    both = Both(lab, **EXACT, **KINDS[kind])
    both.open()
    both.deposit(COIN)
    both.top_up("borrower", COIN)

    def stand_at(level: str) -> None:
        exact, rest = divmod(5_000_000 * CENTS_SCALE * BPS, EXACT[level] * COIN)
        assert rest == 0
        both.price(exact + near)

    stand_at("initial_ltv")
    draw = both.draw("borrower", 5_000_000)
    assert draw == ("draw/above-initial-ltv" if near < 0 else "")
    if near < 0:
        both.price(120_000 * 10**8)
        both.draw("borrower", 5_000_000)
    stand_at("call_ltv")
    assert both.margin_call("stranger") == ("call/healthy" if near > 0 else "")
    if near > 0:
        both.price(1)
        both.margin_call("stranger")
    stand_at("restore_ltv")
    assert both.cure("stranger") == ("cure/not-restored" if near < 0 else "")
    stand_at("liquidation_ltv")
    sale = {"take": both.take_over, "auction": both.take}.get(kind, both.liquidate)
    assert sale("lender") == ("liquidate/healthy" if near > 0 else "")


@pytest.mark.parametrize("near", [-1, 0, 1])
def test_an_expired_call_needs_the_call_level_exactly(lab, near):
    both = Both(lab, cure=1, **EXACT)
    both.open()
    both.deposit(COIN)
    both.top_up("borrower", COIN)
    both.price(120_000 * 10**8)
    both.draw("borrower", 5_000_000)
    both.price(5_000_000 * CENTS_SCALE * BPS // (8_000 * COIN))
    assert both.margin_call("lender") == ""
    both.price(5_000_000 * CENTS_SCALE * BPS // (8_000 * COIN) + near)
    assert both.expire_call("stranger") == "expire/cure-time"
    both.wait(1)
    assert both.expire_call("stranger") == ("expire/healthy" if near > 0 else "")


@pytest.mark.parametrize("back", [-2, -1, 0, 1, RESERVE_LIFE, RESERVE_LIFE + 1])
@pytest.mark.parametrize("spare", [-1, 0, 1])
def test_mints_stay_within_reserves_seen_freshly(lab, back, spare):
    """The age is judged before the amount; each refusal leaves the coin to be minted later."""
    both = Both(lab)
    both.open()
    both.deposit(COIN)
    both.wait(2 * HOUR)
    code = "mint/from-future" if back < 0 else "mint/expired" if back > RESERVE_LIFE else ""
    code = code or ("mint/reserves" if spare < 0 else "")
    assert both.deposit(COIN, spare=spare, back=back) == code
    if code:
        assert both.mint(both.coins[-1], COIN) == ""
    assert both.burn("borrower", COIN // 2) == ""
    assert both.deposit(COIN // 2, spare=-1) == "mint/reserves"
    assert both.mint(both.coins[-1], COIN // 2) == ""
    assert both.mint(both.coins[-1], COIN // 2, spare=-1) == "mint/replayed"


@pytest.mark.parametrize("late", [-1, 0, 1])
def test_a_draw_is_on_time_until_its_last_second(lab, late):
    both = Both(lab)
    both.open()
    both.deposit(COIN)
    both.top_up("borrower", COIN)
    both.until(both.terms.draw_by + late - 1)
    both.price(120_000 * 10**8)
    both.until(both.terms.draw_by + late)
    assert both.draw("borrower", 1) == ("draw/window-closed" if late > 0 else "")


@pytest.mark.parametrize("late", [-1, 0, 1])
@pytest.mark.parametrize("by", PEOPLE)
def test_who_cancels_when(lab, late, by):
    both = Both(lab)
    both.open()
    both.until(both.terms.draw_by + late)
    over = late > 0
    party = "cancel/draw-window" if by == "lender" else "cancel/not-party"
    assert both.cancel(by) == ("" if over or by == "borrower" else party)


@pytest.mark.parametrize("late", [-1, 0, 1])
def test_default_begins_after_the_grace(lab, late):
    both = Both(lab, **EXACT)
    both.open()
    both.deposit(COIN)
    both.top_up("borrower", COIN)
    both.price(120_000 * 10**8)
    both.draw("borrower", 1_000_000)
    both.until(both.terms.maturity + both.terms.grace + late - 1)
    both.price(120_000 * 10**8)
    both.until(both.terms.maturity + both.terms.grace + late)
    assert both.take_over("lender") == ("" if late > 0 else "liquidate/healthy")


@pytest.mark.parametrize("late", [-1, 0, 1])
def test_a_price_is_fresh_until_the_heartbeat_itself(lab, late):
    both = Both(lab)
    both.open()
    both.deposit(COIN)
    both.top_up("borrower", COIN)
    both.price(120_000 * 10**8)
    both.wait(HEARTBEAT + late)
    assert both.draw("borrower", 1) == ("price/stale" if late > 0 else "")
    both.wait(HOUR)
    both.price(120_000 * 10**8)  # what was lost is lost on both clocks
    both.wait(1)


@pytest.mark.parametrize("near", [-1, 0, 1])
@pytest.mark.parametrize("way", [-1, 1])
@pytest.mark.parametrize("signers", [QUORUM, WIDE])
def test_how_far_one_quorum_moves_the_price(lab, near, way, signers):
    both = Both(lab)
    both.price(PAR)
    both.wait(60)
    code = "price/deviation" if near > 0 and signers == QUORUM else ""
    assert both.price(PAR + way * (PAR // 5 + near), signers=signers) == code
    # An outlier at the end moves nothing.
    assert both.price(PAR, signers=WIDE, outlier=MAX_PRICE) == ""
    assert both.price(PAR, signers=WIDE, outlier=1) == "price/order"


@pytest.mark.parametrize("late", [-1, 0, 1])
def test_from_a_stale_price_nothing_is_a_jump(lab, late):
    both = Both(lab)
    both.price(PAR)
    both.wait(HEARTBEAT + late)
    assert both.price(1, signers=QUORUM) == ("" if late > 0 else "price/deviation")


@pytest.mark.parametrize("late", [-1, 0, 1])
@pytest.mark.parametrize("span", [1, HEARTBEAT - 60, HEARTBEAT, 3 * HEARTBEAT])
def test_a_pause_stops_clock_and_verdicts_until_it_is_over(lab, span, late):
    both = Both(lab)
    both.open()
    both.deposit(COIN)
    both.top_up("borrower", COIN)
    both.price(PAR)
    both.wait(60)
    assert both.pause(span) == ""
    assert both.draw("borrower", 1) == "price/stale"
    both.wait(span + late)
    fresh = late >= 0 and span + late + 60 <= HEARTBEAT
    assert both.draw("borrower", 1) == ("" if fresh else "price/stale")
    assert both.resume() == ("pause/not-paused" if late >= 0 else "pause/ends-soon")
    both.price(PAR)
    both.until(both.state.system.pause.until + span + late)
    both.pause(MAX_PAUSE)
    both.wait(HEARTBEAT)
    both.price(PAR)
    both.wait(MAX_PAUSE + HEARTBEAT)
    both.price(PAR)
    both.wait(1)


@pytest.mark.parametrize("by", [*PEOPLE, "guardian"])
def test_who_pauses_and_resumes(lab, by):
    both = Both(lab)
    code = "" if by == "guardian" else "pause/not-guardian"
    assert both.pause(60, by) == code
    both.until(both.now + DAY)
    both.pause(DAY)
    assert both.resume(by) == code


@pytest.mark.parametrize("late", [-1, 0, 1])
def test_a_pause_that_is_ended_leaves_its_grace(lab, late):
    both = Both(lab)
    both.open()
    both.deposit(COIN)
    both.top_up("borrower", COIN)
    both.pause(DAY)
    both.wait(DAY - RESUME_GRACE + late)
    assert both.resume() == ("" if late < 0 else "pause/ends-soon")
    both.until(both.state.system.pause.until - 1)
    both.price(PAR)
    assert both.draw("borrower", 1) == "price/stale"
    both.wait(1)
    assert both.draw("borrower", 1) == ""


@pytest.mark.parametrize("back", [-1, 0, HEARTBEAT - 1, HEARTBEAT, HEARTBEAT + 1])
@pytest.mark.parametrize("later", [0, 1, 2 * HOUR])
def test_how_old_the_first_price_may_be(lab, back, later):
    both = Both(lab)
    both.wait(later)
    code = both.price(40_000 * 10**8, back=back)
    if back < 0:
        assert code == "price/from-future"
    both.price(40_000 * 10**8, back=back)
    both.wait(HEARTBEAT)


BOUNDS = [
    {},
    *({"initial_ltv": level} for level in (0, 1, 6_000, 6_001)),
    *({"restore_ltv": level} for level in (4_999, 5_000, 6_999, 7_000)),
    *({"call_ltv": level} for level in (6_000, 6_001, 8_499, 8_500)),
    *({"liquidation_ltv": level} for level in (7_000, 7_001, 9_999, 10_000)),
    *({"draw_by": START + DAY + n} for n in (-1, 0, 1)),
    *({"draw_by": START + 10 * DAY + n} for n in (-1, 0, 1)),
    *({"recover_at": START + 11 * DAY + n} for n in (-1, 0, 1)),
    *({"recover_at": MAX_TIME + n} for n in (-1, 0, 1)),
    *({"principal": n} for n in (0, 1, 2**63 - 1, 2**63)),
    *({"confirmations": n} for n in (0, 1, 100, 101)),
    *({"bonus_bps": n} for n in (0, 5_000, 5_001)),
    *({"max_fee": n} for n in (0, 1, 10_000_000, 10_000_001)),
    *({"cure": n} for n in (0, 1, 30 * DAY, 30 * DAY + 1)),
    *({"grace": n, "recover_at": MAX_TIME} for n in (0, 365 * DAY, 365 * DAY + 1)),
    *({"rate_bps": n} for n in (0, 100_000, 100_001)),
    *({"fee_bps": n} for n in (0, 5_000, 5_001)),
    *({"min_left": n} for n in (0, 5_000_000, 5_000_001)),
    {"target_ltv": 1},
    *(PARTIAL | {"target_ltv": n} for n in (0, 1, 6_000, 6_001)),
    # (1 − fee) ÷ (1 + bonus) is the first target out of reach.
    *(PARTIAL | {"fee_bps": 5_000, "bonus_bps": 0, "target_ltv": n} for n in (4_999, 5_000)),
    *(AUCTION | {"bonus_bps": n} for n in (0, 1)),
    *(AUCTION | {"buf_bps": n} for n in (9_999, 10_000, 20_000, 20_001)),
    *(AUCTION | {"cut_bps": n} for n in (0, 1, 9_999, 10_000)),
    *(AUCTION | {"step": n} for n in (0, 1, 7, 8, 7_200, 7_201)),
    *(AUCTION | {"step": 30 * DAY, "tail": 30 * DAY + n} for n in (-1, 0, 1)),
    *(AUCTION | {"cusp_bps": n} for n in (0, 1, 10_000, 10_001)),
    *({name: 1} for name in ("buf_bps", "cut_bps", "step", "tail", "cusp_bps", "dispute")),
    *({"heard": True, "dispute": n} for n in (0, 1, 30 * DAY, 30 * DAY + 1)),
]


@pytest.mark.parametrize("changes", BOUNDS, ids=str)
def test_the_same_terms_are_sound(lab, changes):
    lab.fresh()
    made = terms(lab, **changes)
    ours = theirs = ""
    try:
        check_terms(made, at=START)
    except Rejected as refusal:
        ours = refusal.code
    mapping, domain = terms_mapping(made), lab.contracts.book.domain
    sigs = [
        typed.sign_terms(lab.people[role], terms=mapping, domain=domain)
        for role in ("borrower", "lender")
    ]
    try:
        lab.contracts.book.send(lab.people["stranger"], "open", typed.encode_terms(mapping), *sigs)
    except Rejected as refusal:
        theirs = refusal.code
    assert ours == theirs


def test_the_same_parties_are_refused(lab):
    lab.fresh()
    made = terms(lab)
    same = replace(made, lender=made.borrower)
    with pytest.raises(Rejected, match="terms/parties"):
        check_terms(same, at=START)
    mapping, domain = terms_mapping(same), lab.contracts.book.domain
    sig = typed.sign_terms(lab.people["borrower"], terms=mapping, domain=domain)
    with pytest.raises(Rejected, match="terms/parties"):
        lab.contracts.book.send(
            lab.people["stranger"], "open", typed.encode_terms(mapping), sig, sig
        )


@pytest.mark.parametrize("late", [-1, 0, 1])
def test_an_offer_is_opened_until_its_last_second(lab, late):
    both = Both(lab)
    both.until(both.terms.expires_at + late)
    assert both.open() == ("open/expired" if late > 0 else "")
    assert both.open() == ("open/expired" if late > 0 else "loan/exists")


@pytest.mark.parametrize("late", [-1, 0, 1])
def test_recovery_is_noted_from_its_second_on(lab, late):
    both = Both(lab)
    both.open()
    both.deposit(COIN)
    both.top_up("borrower", COIN)
    both.price(120_000 * 10**8)
    both.draw("borrower", 5_000_000)
    assert both.recovered("stranger") == "recover/too-early"
    both.until(both.terms.recover_at + late)
    assert both.recovered("stranger") == ("recover/too-early" if late < 0 else "recover/held")
    both.lose(0)
    both.until(both.terms.recover_at + max(0, late))
    assert both.recovered("stranger") == ""
    assert both.repay("borrower", 1) == "repay/no-debt"
