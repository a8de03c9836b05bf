"""The contracts and the core are the same rules twice: any ask by anyone gets the same verdict, the
same code and the same balances, to the last unit. A difference is a defect in one of them."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
from both_lab import CALLERS, DEVIATION, HEARTBEAT, MAX, SCRIPT, START, Both, Lab, terms
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from escrow.adapters.evm import typed
from escrow.adapters.evm.client import terms_mapping
from escrow.core.errors import Rejected
from escrow.core.phases import debt_now
from escrow.core.regions.loan import Accepted, Called
from escrow.core.regions.system import MAX_PAUSE, active_seconds, stale_from
from escrow.core.regions.token import free
from escrow.core.roles import Role
from escrow.core.terms import MIN_DEPOSIT, RESERVE_LIFE, Liquidation, check_terms
from escrow.core.units import BPS, CENTS_SCALE, COIN, DAY, HOUR, MAX_PRICE, MAX_TIME

PAR = 120_000 * 10**8
EXAMPLES = int(os.environ.get("CONFORMANCE_EXAMPLES", "24"))


@pytest.fixture(scope="module")
def lab() -> Lab:
    return Lab()


# --- the asks ---

BY = st.sampled_from(CALLERS)
NEAR = st.integers(-1, 1)
AMOUNT = st.sampled_from(("zero", "one", "owed", "principal", "some", "allowed", "max"))
SATS = st.sampled_from(("zero", "one", "free", "least", "held", "max"))
LEVEL = st.sampled_from(
    ("initial_ltv", "restore_ltv", "call_ltv", "liquidation_ltv", "bad", "tiny", "huge", "zero")
)
MOMENT = st.sampled_from(
    (
        "stale",
        "resumed",
        "rested",
        "deadline",
        "expires_at",
        "draw_by",
        "default",
        "recover_at",
    )
)
BACK = st.sampled_from((0, 1, HEARTBEAT, HEARTBEAT + 1, -1))
"""Seconds by which a price is dated before the present."""
SPARE = st.sampled_from((0, 1, -1, COIN))
"""Sats that the quorum saw in the vault beyond what the tokens will be."""
AGE = st.sampled_from((0, 1, RESERVE_LIFE, RESERVE_LIFE + 1, -1))
"""Seconds since the quorum saw them."""
RIGHT = st.sampled_from((None, None, None, *CALLERS))
"""Who asks: mostly whoever may."""

ASKS = st.one_of(
    st.tuples(st.just("wait"), st.sampled_from((0, 1, 60, HOUR, DAY))),
    st.tuples(st.just("until"), MOMENT, NEAR),
    st.tuples(st.just("price"), LEVEL, NEAR),
    st.tuples(st.just("price"), LEVEL, NEAR),
    st.tuples(
        st.just("post"),
        st.integers(0, 5),
        BACK,
        NEAR,
        st.sampled_from((None, None, 1, 2 * MAX_PRICE)),
    ),
    st.tuples(st.just("jump"), st.sampled_from((-1, 1)), NEAR, st.sampled_from((3, 5))),
    st.tuples(st.just("pause"), st.sampled_from((1, HOUR, MAX_PAUSE, 0, MAX_PAUSE + 1)), RIGHT),
    st.tuples(st.just("resume"), RIGHT),
    st.tuples(st.just("open"), BY),
    st.tuples(st.just("deposit"), st.sampled_from((COIN, COIN // 3, MIN_DEPOSIT)), NEAR),
    st.tuples(st.just("deposit_seen"), SPARE, AGE),
    st.tuples(st.just("mint_again")),
    st.tuples(st.just("lose"), st.integers(0, 3)),
    st.tuples(st.just("top_up"), RIGHT, SATS, NEAR),
    st.tuples(st.just("draw"), RIGHT, AMOUNT, NEAR),
    st.tuples(st.just("draw"), RIGHT, AMOUNT, NEAR),
    st.tuples(st.just("repay"), BY, AMOUNT, NEAR),
    st.tuples(st.just("close"), BY),
    st.tuples(st.just("cancel"), BY),
    st.tuples(st.just("margin_call"), BY),
    st.tuples(st.just("margin_call"), BY),
    st.tuples(st.just("cure"), BY),
    st.tuples(st.just("expire_call"), BY),
    st.tuples(st.just("expire_call"), BY),
    st.tuples(st.just("take_over"), st.sampled_from((Role.LENDER, *CALLERS))),
    st.tuples(st.just("liquidate"), BY),
    st.tuples(st.just("recovered"), BY),
    st.tuples(st.just("burn"), BY, SATS, NEAR, st.booleans()),
)


def cents(both: Both, kind: str, near: int) -> int:
    debt = debt_now(both.state, at=both.now)
    price = both.state.system.price
    worth = both.state.token.held * (price.price if price else 0)
    base = {
        "zero": 0,
        "one": 1,
        "owed": debt,
        "principal": both.terms.principal - debt,
        "some": 777_777,
        "allowed": worth * both.terms.initial_ltv // (CENTS_SCALE * BPS) - debt,
        "max": MAX,
    }[kind]
    return min(MAX, max(0, base + near))


def sats(both: Both, kind: str, near: int) -> int:
    base = {
        "zero": 0,
        "one": 1,
        "free": free(both.state.token),
        "held": both.state.token.held,
        "least": MIN_DEPOSIT,
        "max": MAX,
    }[kind]
    return min(MAX, max(0, base + near))


def price(both: Both, level: str, near: int) -> int:
    """The highest price at which the loan stands at a level, or beside it."""
    debt = debt_now(both.state, at=both.now) or both.terms.principal
    held = both.state.token.held or COIN
    if level in ("tiny", "huge", "zero"):
        return max(0, {"tiny": 1, "huge": MAX_PRICE, "zero": 0}[level] + near)
    bps = 10_000 if level == "bad" else getattr(both.terms, level)
    return max(1, debt * CENTS_SCALE * BPS // (bps * held) + near)


def moment(both: Both, name: str, near: int) -> int:
    state, at = both.state, both.now
    if name == "stale":
        return stale_from(state.system) + near
    if name in ("resumed", "rested"):
        pause = state.system.pause
        then = pause.until if pause else at
        return then + (then - pause.since if pause and name == "rested" else 0) + near
    if name == "deadline":
        left = 0
        if isinstance(state.loan, Called):
            left = state.loan.deadline - active_seconds(state.system, at=at)
        return at + left + near
    if name == "default":
        return both.terms.maturity + both.terms.grace + near
    return getattr(both.terms, name) + near


def ask(both: Both, verb: str, *args) -> None:
    match verb, args:
        case "until", (name, near):
            both.until(moment(both, name, near))
        case "price", (level, near):
            both.price(price(both, level, near))
        case "post", (signers, back, skip, outlier):
            both.price(40_000 * 10**8, signers=signers, back=back, skip=skip, outlier=outlier)
        case "jump", (way, near, signers):
            last = both.state.system.price.price if both.state.system.price else 10**12
            both.price(last + way * (last * DEVIATION // BPS + near), signers=signers)
        case "pause", (seconds, by):
            both.pause(seconds, by or Role.GUARDIAN)
        case "resume", (by,):
            both.resume(by or Role.GUARDIAN)
        case "deposit", (size, near):
            if size + near >= MIN_DEPOSIT:
                both.deposit(size + near)
        case "deposit_seen", (spare, back):
            # A coin that is never minted looks like change to the contract, and to the core not.
            if both.deposit(COIN, spare=spare, back=back).code:
                both.mint(both.coins[-1], COIN)
        case "mint_again", ():
            if both.coins:
                coin = both.state.vault.coins[-1]
                both.mint(coin.outpoint, coin.sats)
        case "top_up", (by, kind, near):
            both.top_up(by or Role.BORROWER, sats(both, kind, near))
        case "draw", (by, kind, near):
            both.draw(by or Role.BORROWER, cents(both, kind, near))
        case "repay", (by, kind, near):
            both.repay(by, cents(both, kind, near))
        case "cancel", (by,):
            # Before the book knows the loan, an offer is withdrawn in the engine alone.
            if not isinstance(both.state.loan, Accepted):
                both.cancel(by)
        case "burn", (by, kind, near, good):
            both.burn(by, sats(both, kind, near), SCRIPT if good else b"\x6a" + bytes(21))
        case _:
            getattr(both, verb)(*args)


TERMS = st.fixed_dictionaries(
    {
        "rate_bps": st.sampled_from((1_200, 0, 100_000)),
        "liquidation": st.sampled_from(Liquidation),
        "bonus_bps": st.sampled_from((500, 0, 5_000)),
        "cure": st.sampled_from((2 * HOUR, 1, 30 * DAY)),
        "grace": st.sampled_from((DAY, 0)),
        "principal": st.sampled_from((5_000_000, 1, 2**63 - 1)),
    }
)
PLAIN = st.just({})


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(
    changes=st.one_of(PLAIN, TERMS),
    stage=st.sampled_from(("active", "active", "active", "secured", "opened", "accepted")),
    asks=st.lists(ASKS, min_size=6, max_size=16),
)
def test_the_same_verdict(lab, changes, stage, asks):
    both = Both(lab, **changes)
    if stage != "accepted":
        both.open()
    if stage in ("secured", "active"):
        both.deposit(COIN)
        both.top_up(Role.BORROWER, COIN)
        both.price(120_000 * 10**8)
    if stage == "active":
        both.draw(Role.BORROWER, min(both.terms.principal, cents(both, "allowed", 0)))
    for each in asks:
        note(f"{both.now}: {each}")
        ask(both, *each)


@settings(max_examples=EXAMPLES // 2, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    changes=TERMS.map(lambda t: t | {"principal": 5_000_000}),
    debt=st.sampled_from((5_000_000, 1, 3_333_333)),
    level=st.sampled_from(("restore_ltv", "call_ltv", "liquidation_ltv", "bad", "tiny")),
    near=NEAR,
    late=NEAR,
    again=st.sampled_from(("restore_ltv", "initial_ltv", "call_ltv")),
    by=BY,
)
def test_a_margin_call_at_every_edge(lab, changes, debt, level, near, late, again, by):
    """Price at each level and a unit beside it; time at the deadline and a second beside it."""
    both = Both(lab, **changes)
    both.open()
    both.deposit(COIN)
    both.top_up(Role.BORROWER, COIN)
    both.price(120_000 * 10**8)
    both.draw(Role.BORROWER, debt)
    both.wait(HOUR // 2)
    both.price(price(both, level, near))
    both.margin_call(by)
    both.cure(by)
    both.take_over(by)
    both.liquidate(by)
    while both.now + HEARTBEAT < moment(both, "deadline", late) < both.now + DAY:
        both.wait(HEARTBEAT)
        both.price(both.state.system.price.price)
    both.until(moment(both, "deadline", late))
    both.price(price(both, again, near))
    both.expire_call(by)
    both.cure(by)
    both.top_up(Role.BORROWER, 1)
    both.draw(Role.BORROWER, 1)
    both.take_over(Role.LENDER)
    both.liquidate(Role.LIQUIDATOR)
    both.close(by)
    for holder in CALLERS:
        both.burn(holder, both.tokens[holder])


EXACT = {
    "rate_bps": 0,
    "initial_ltv": 5_000,
    "restore_ltv": 6_250,
    "call_ltv": 8_000,
    "liquidation_ltv": 8_192,
}
"""Levels that 50,000.00 against one bitcoin reaches at a whole price, so exactly."""


@pytest.mark.parametrize("kind", Liquidation)
@pytest.mark.parametrize("near", [-1, 0, 1])
def test_a_level_is_hit_exactly(lab, near, kind):
    """At the level itself: a draw is allowed, a call is due, a cure is done, a sale is allowed."""
    both = Both(lab, liquidation=kind, **EXACT)
    both.open()
    both.deposit(COIN)
    both.top_up(Role.BORROWER, COIN)

    def stand_at(level: str) -> None:
        exact, rest = divmod(5_000_000 * CENTS_SCALE * BPS, EXACT[level] * COIN)
        assert rest == 0
        both.price(exact + near)

    stand_at("initial_ltv")
    draw = both.draw(Role.BORROWER, 5_000_000)
    assert draw.code == ("draw/above-initial-ltv" if near < 0 else "")
    if near < 0:
        both.price(120_000 * 10**8)
        both.draw(Role.BORROWER, 5_000_000)
    stand_at("call_ltv")
    assert both.margin_call(Role.STRANGER).code == ("call/healthy" if near > 0 else "")
    if near > 0:
        both.price(1)
        both.margin_call(Role.STRANGER)
    stand_at("restore_ltv")
    assert both.cure(Role.STRANGER).code == ("cure/not-restored" if near < 0 else "")
    stand_at("liquidation_ltv")
    sale = both.take_over if kind is Liquidation.TAKE_OVER else both.liquidate
    assert sale(Role.LENDER).code == ("liquidate/healthy" if near > 0 else "")


@pytest.mark.parametrize("near", [-1, 0, 1])
def test_an_expired_call_needs_the_call_level_exactly(lab, near):
    both = Both(lab, cure=1, **EXACT)
    both.open()
    both.deposit(COIN)
    both.top_up(Role.BORROWER, COIN)
    both.price(120_000 * 10**8)
    both.draw(Role.BORROWER, 5_000_000)
    both.price(5_000_000 * CENTS_SCALE * BPS // (8_000 * COIN))
    assert both.margin_call(Role.LENDER).code == ""
    both.price(5_000_000 * CENTS_SCALE * BPS // (8_000 * COIN) + near)
    assert both.expire_call(Role.STRANGER).code == "expire/cure-time"
    both.wait(1)
    assert both.expire_call(Role.STRANGER).code == ("expire/healthy" if near > 0 else "")


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
    assert both.deposit(COIN, spare=spare, back=back).code == code
    if code:
        assert both.mint(both.coins[-1], COIN).code == ""
    assert both.burn(Role.BORROWER, COIN // 2).code == ""
    assert both.deposit(COIN // 2, spare=-1).code == "mint/reserves"
    assert both.mint(both.coins[-1], COIN // 2).code == ""
    assert both.mint(both.coins[-1], COIN // 2, spare=-1).code == "mint/replayed"


@pytest.mark.parametrize("late", [-1, 0, 1])
def test_a_draw_is_on_time_until_its_last_second(lab, late):
    both = Both(lab)
    both.open()
    both.deposit(COIN)
    both.top_up(Role.BORROWER, COIN)
    both.until(both.terms.draw_by + late - 1)
    both.price(120_000 * 10**8)
    both.until(both.terms.draw_by + late)
    assert both.draw(Role.BORROWER, 1).code == ("draw/window-closed" if late > 0 else "")


@pytest.mark.parametrize("late", [-1, 0, 1])
@pytest.mark.parametrize("by", CALLERS)
def test_who_cancels_when(lab, late, by):
    both = Both(lab)
    both.open()
    both.until(both.terms.draw_by + late)
    over = late > 0
    party = "cancel/draw-window" if by is Role.LENDER else "cancel/not-party"
    assert both.cancel(by).code == ("" if over or by is Role.BORROWER else party)


@pytest.mark.parametrize("late", [-1, 0, 1])
def test_default_begins_after_the_grace(lab, late):
    both = Both(lab, **EXACT)
    both.open()
    both.deposit(COIN)
    both.top_up(Role.BORROWER, COIN)
    both.price(120_000 * 10**8)
    both.draw(Role.BORROWER, 1_000_000)
    both.until(both.terms.maturity + both.terms.grace + late - 1)
    both.price(120_000 * 10**8)
    both.until(both.terms.maturity + both.terms.grace + late)
    assert both.take_over(Role.LENDER).code == ("" if late > 0 else "liquidate/healthy")


@pytest.mark.parametrize("late", [-1, 0, 1])
def test_a_price_is_fresh_until_the_heartbeat_itself(lab, late):
    both = Both(lab)
    both.open()
    both.deposit(COIN)
    both.top_up(Role.BORROWER, COIN)
    both.price(120_000 * 10**8)
    both.wait(HEARTBEAT + late)
    assert both.draw(Role.BORROWER, 1).code == ("price/stale" if late > 0 else "")
    both.wait(HOUR)
    both.price(120_000 * 10**8)  # what was lost is lost on both clocks
    both.wait(1)


@pytest.mark.parametrize("near", [-1, 0, 1])
@pytest.mark.parametrize("way", [-1, 1])
@pytest.mark.parametrize("signers", [3, 5])
def test_how_far_one_quorum_moves_the_price(lab, near, way, signers):
    both = Both(lab)
    both.price(PAR)
    both.wait(60)
    code = "price/deviation" if near > 0 and signers == 3 else ""
    assert both.price(PAR + way * (PAR // 5 + near), signers=signers).code == code
    # An outlier at the end moves nothing.
    assert both.price(PAR, signers=5, outlier=MAX_PRICE).code == ""
    assert both.price(PAR, signers=3, outlier=1).code == "price/order"


@pytest.mark.parametrize("late", [-1, 0, 1])
def test_from_a_stale_price_nothing_is_a_jump(lab, late):
    both = Both(lab)
    both.price(PAR)
    both.wait(HEARTBEAT + late)
    assert both.price(1, signers=3).code == ("" if late > 0 else "price/deviation")


@pytest.mark.parametrize("late", [-1, 0, 1])
@pytest.mark.parametrize("span", [1, HEARTBEAT - 60, HEARTBEAT, 3 * HEARTBEAT])
def test_a_pause_stops_clock_and_verdicts_until_it_is_over(lab, span, late):
    both = Both(lab)
    both.open()
    both.deposit(COIN)
    both.top_up(Role.BORROWER, COIN)
    both.price(PAR)
    both.wait(60)
    assert both.pause(span).code == ""
    assert both.draw(Role.BORROWER, 1).code == "price/stale"
    both.wait(span + late)
    fresh = late >= 0 and span + late + 60 <= HEARTBEAT
    assert both.draw(Role.BORROWER, 1).code == ("" if fresh else "price/stale")
    assert both.resume().code == ("pause/not-paused" if late >= 0 else "")
    both.price(PAR)
    both.until(both.state.system.pause.until + span + late)
    both.pause(MAX_PAUSE)
    both.wait(HEARTBEAT)
    both.price(PAR)
    both.wait(MAX_PAUSE + HEARTBEAT)
    both.price(PAR)
    both.wait(1)


@pytest.mark.parametrize("by", CALLERS)
def test_who_pauses_and_resumes(lab, by):
    both = Both(lab)
    code = "" if by is Role.GUARDIAN else "pause/not-guardian"
    assert both.pause(60, by).code == code
    both.pause(60)
    assert both.resume(by).code == code


@pytest.mark.parametrize("back", [-1, 0, HEARTBEAT - 1, HEARTBEAT, HEARTBEAT + 1])
@pytest.mark.parametrize("later", [0, 1, 2 * HOUR])
def test_how_old_the_first_price_may_be(lab, back, later):
    both = Both(lab)
    both.wait(later)
    code = both.price(40_000 * 10**8, back=back).code
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
]


@pytest.mark.parametrize("changes", BOUNDS, ids=str)
def test_the_same_terms_are_sound(lab, changes):
    lab.fresh()
    made = replace(terms(lab), **changes)
    ours = theirs = ""
    try:
        check_terms(made, at=START)
    except Rejected as refusal:
        ours = refusal.code
    mapping, domain = terms_mapping(made), lab.contracts.book.domain
    sigs = [
        typed.sign_terms(lab.people[role], terms=mapping, domain=domain)
        for role in (Role.BORROWER, Role.LENDER)
    ]
    try:
        lab.contracts.book.send(
            lab.people[Role.STRANGER], "open", typed.encode_terms(mapping), *sigs
        )
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
    sig = typed.sign_terms(lab.people[Role.BORROWER], terms=mapping, domain=domain)
    with pytest.raises(Rejected, match="terms/parties"):
        lab.contracts.book.send(
            lab.people[Role.STRANGER], "open", typed.encode_terms(mapping), sig, sig
        )


@pytest.mark.parametrize("late", [-1, 0, 1])
def test_an_offer_is_opened_until_its_last_second(lab, late):
    both = Both(lab)
    both.until(both.terms.expires_at + late)
    assert both.open().code == ("open/expired" if late > 0 else "")
    assert both.open().code == ("open/expired" if late > 0 else "loan/exists")


@pytest.mark.parametrize("late", [-1, 0, 1])
def test_recovery_is_noted_from_its_second_on(lab, late):
    both = Both(lab)
    both.open()
    both.deposit(COIN)
    both.top_up(Role.BORROWER, COIN)
    both.price(120_000 * 10**8)
    both.draw(Role.BORROWER, 5_000_000)
    assert both.recovered(Role.STRANGER).code == "recover/too-early"
    both.until(both.terms.recover_at + late)
    assert both.recovered(Role.STRANGER).code == (
        "recover/too-early" if late < 0 else "recover/held"
    )
    both.lose(0)
    both.until(both.terms.recover_at + max(0, late))
    assert both.recovered(Role.STRANGER).code == ""
    assert both.repay(Role.BORROWER, 1).code == "repay/no-debt"
