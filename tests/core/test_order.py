"""What happens at one instant happens in one order."""

from dataclasses import replace
from typing import get_args

import pytest
from deals import (
    AT_CALL,
    AT_LIQUIDATION,
    COIN_B,
    NOW,
    ONE,
    OWED,
    SCRIPT,
    TERMS,
    active,
    called,
    final,
    kept_fresh,
    minted,
    names,
    payout,
    posted,
)
from hypothesis import given
from hypothesis import strategies as st
from rulings import seen, switched

from escrow.core.decide import RANK, Command, in_order, witness
from escrow.core.phases import loan_phase
from escrow.core.regions.register import Purpose
from escrow.core.roles import Role
from escrow.core.state import Escrow, Event, fold
from escrow.core.terms import Liquidation
from escrow.core.units import DAY, HOUR, Cents, PriceE8, Sats, Seconds
from escrow.core.verbs.accept import Accept
from escrow.core.verbs.assess import Assess
from escrow.core.verbs.auction import Redo, Take
from escrow.core.verbs.burn import BurnTokens
from escrow.core.verbs.cancel import Cancel
from escrow.core.verbs.cure import Cure
from escrow.core.verbs.declare_default import DeclareDefault
from escrow.core.verbs.dispute import Dispute, Resolve
from escrow.core.verbs.draw import Draw
from escrow.core.verbs.expire_call import ExpireCall
from escrow.core.verbs.impair import Impair, LiftImpairment
from escrow.core.verbs.lapse import Lapse
from escrow.core.verbs.liquidate import Liquidate
from escrow.core.verbs.margin_call import MarginCall
from escrow.core.verbs.mint import Mint
from escrow.core.verbs.notice import Notice
from escrow.core.verbs.offer import Offer
from escrow.core.verbs.open import Open
from escrow.core.verbs.pause import Pause, Resume
from escrow.core.verbs.payout import SawPayout, SawPayoutDepth, SawPayoutStuck, SawPayoutVoid
from escrow.core.verbs.pledge import SawCoinGone
from escrow.core.verbs.recover import NoteRecovery, SawRecovery
from escrow.core.verbs.refinance import Refinance
from escrow.core.verbs.rekey import Rekey, SawGeneration
from escrow.core.verbs.repay import Repay
from escrow.core.verbs.retire import Retire
from escrow.core.verbs.rotate import SawRotation
from escrow.core.verbs.tick import Tick
from escrow.core.verbs.top_up import TopUp
from escrow.core.verbs.transfer import Transfer
from escrow.core.verbs.withdraw import Withdraw

AT = Seconds(NOW + 60)
DEADLINE = Seconds(NOW + 60 + TERMS.cure)


def log(escrow: Escrow, commands: tuple[Command, ...]) -> tuple[Event, ...]:
    """What is decided when these arrive at one instant."""
    events: list[Event] = []
    for command in in_order(commands):
        decided = witness(escrow, command)
        escrow = fold(escrow, decided)
        events.extend(decided)
    return tuple(events)


ALL_AT_ONCE: tuple[Command, ...] = (
    Tick(Role.WATCHER, AT),
    final(COIN_B, at=AT),
    final("cc:0", sats=20_000, at=AT),
    SawCoinGone(Role.WATCHER, AT, "cc:0", "ff"),
    SawRecovery(Role.WATCHER, AT, "rr", (COIN_B,)),
    SawPayout(Role.WATCHER, AT, payout()),
    SawPayoutDepth(Role.WATCHER, AT, "pp", 1),
    SawPayoutVoid(Role.WATCHER, AT, "pp", "ff"),
    SawPayoutStuck(Role.WATCHER, AT, "pp", 6),
    SawGeneration(Role.WATCHER, AT, COIN_B, 0),
    posted(AT, 2, AT_CALL),
    posted(AT, 2, AT_LIQUIDATION),
    SawRotation(Role.WATCHER, AT, 3),
    Pause(Role.GUARDIAN, AT, Seconds(DAY)),
    Resume(Role.GUARDIAN, AT),
    replace(switched(), at=AT),
    seen("a", at=AT),
    Transfer(Role.STRANGER, AT, TERMS.borrower, TERMS.lender, ONE, Purpose.PURCHASE),
    Offer(Role.LENDER, AT, TERMS),
    Accept(Role.BORROWER, AT),
    Open(Role.OPERATOR, AT),
    Mint(Role.ATTESTOR, AT, COIN_B, ONE),
    TopUp(Role.BORROWER, AT, Sats(1)),
    TopUp(Role.BORROWER, AT, Sats(ONE - 1)),
    Draw(Role.BORROWER, AT, Cents(1)),
    Repay(Role.BORROWER, AT, Cents(100)),
    Repay(Role.STRANGER, AT, Cents(200)),
    Cancel(Role.LENDER, AT),
    Lapse(Role.WATCHER, AT),
    Assess(Role.OPERATOR, AT),
    Impair(Role.LENDER, AT),
    LiftImpairment(Role.LENDER, AT),
    DeclareDefault(Role.LENDER, AT),
    Notice(Role.OPERATOR, AT),
    Cure(Role.BORROWER, AT),
    MarginCall(Role.OPERATOR, AT),
    ExpireCall(Role.OPERATOR, AT),
    Dispute(Role.BORROWER, AT),
    Resolve(Role.ARBITER, AT, True),
    Withdraw(Role.BORROWER, AT, Sats(1)),
    Refinance(Role.OPERATOR, AT, TERMS),
    Redo(Role.OPERATOR, AT),
    Take(Role.LIQUIDATOR, AT, Sats(1)),
    Liquidate(Role.LENDER, AT, Liquidation.TAKE_OVER),
    BurnTokens(Role.LENDER, AT, 0, Sats(10_000), SCRIPT),
    Retire(Role.ATTESTOR, AT, "cc:0", Sats(20_000)),
    NoteRecovery(Role.BORROWER, AT),
    Rekey(Role.OPERATOR, AT, "0x" + "5b" * 32, "lender", 1, (Role.BORROWER, Role.LENDER)),
)


def test_every_command_has_a_rank_and_no_two_the_same() -> None:
    assert set(RANK) == set(get_args(Command))
    assert len(set(RANK.values())) == len(RANK)


def test_these_tests_know_every_command() -> None:
    assert {type(command) for command in ALL_AT_ONCE} == set(get_args(Command))


@given(st.permutations(ALL_AT_ONCE))
def test_any_permutation_gives_the_same_log(shuffled: list[Command]) -> None:
    assert log(active(), tuple(shuffled)) == log(active(), ALL_AT_ONCE)


def test_the_same_log_is_not_an_empty_one() -> None:
    happened = set(names(log(active(), ALL_AT_ONCE)))
    assert happened >= {"ClockTicked", "CoinLocked", "PriceMarked", "Minted", "TokensHeld"}
    assert happened >= {"Repayment", "Incident"}


@given(st.permutations(ALL_AT_ONCE), st.integers(0, len(ALL_AT_ONCE) - 1), st.integers(1, 5))
def test_time_goes_before_rank(shuffled: list[Command], index: int, later: int) -> None:
    shuffled[index] = replace(shuffled[index], at=Seconds(AT + later))
    assert in_order(tuple(shuffled))[-1] == shuffled[index]


def test_a_payment_at_the_deadline_is_on_time() -> None:
    escrow = kept_fresh(called(), until=Seconds(DEADLINE + 1))
    at = escrow.system.clock
    both = (ExpireCall(Role.OPERATOR, at), Repay(Role.BORROWER, at, OWED))
    # The deadline passed a second ago, and still what is paid at the same instant counts first.
    events = log(escrow, both)
    assert names(events)[:2] == ["Repayment", "TokensFreed"]
    assert events[2].code == "expire/not-called"


def test_a_top_up_at_the_same_instant_cures() -> None:
    escrow = kept_fresh(called(), until=Seconds(DEADLINE + 1))
    at = escrow.system.clock
    quarter = Sats(ONE // 4)
    events = log(
        escrow,
        (
            ExpireCall(Role.OPERATOR, at),
            Cure(Role.OPERATOR, at),
            TopUp(Role.BORROWER, at, quarter),
            Mint(Role.ATTESTOR, at, COIN_B, quarter),
            final(COIN_B, sats=quarter, at=at),
        ),
    )
    assert "CallCured" in names(events)
    assert "CallExpired" not in names(events)


def test_a_price_that_brings_the_call_cannot_expire_it() -> None:
    events = log(
        active(),
        (
            Liquidate(Role.LENDER, AT, Liquidation.TAKE_OVER),
            ExpireCall(Role.OPERATOR, AT),
            MarginCall(Role.OPERATOR, AT),
            posted(AT, 2, AT_CALL),
        ),
    )
    assert names(events) == ["PriceMarked", "MarginCalled", "Incident", "Incident"]
    assert [e.code for e in events[2:]] == ["expire/cure-time", "liquidate/healthy"]


def test_a_pause_stops_what_the_price_of_its_instant_would_have_brought() -> None:
    events = log(
        active(),
        (
            MarginCall(Role.OPERATOR, AT),
            Pause(Role.GUARDIAN, AT, Seconds(DAY)),
            posted(AT, 2, AT_CALL),
        ),
    )
    assert names(events) == ["PriceMarked", "Paused", "Incident"]
    assert events[2].code == "price/stale"


def test_a_stale_moment_is_known_before_anything_is_asked() -> None:
    at = Seconds(NOW + HOUR + 1)
    events = log(active(), (MarginCall(Role.OPERATOR, at), Tick(Role.WATCHER, at)))
    assert names(events) == ["OracleStale", "ClockTicked", "Incident"]


@pytest.mark.parametrize("price", [AT_CALL, AT_LIQUIDATION])
def test_of_two_prices_at_one_instant_one_counts(price: PriceE8) -> None:
    other = AT_LIQUIDATION if price == AT_CALL else AT_CALL
    marks = tuple(posted(AT, 2, p) for p in (price, other))
    events = log(active(), marks)
    assert names(events) == ["PriceMarked", "Incident"]
    assert events[1].code == "price/round"


def test_a_draw_and_its_collateral_may_come_at_one_instant() -> None:
    at = NOW
    together = (
        Draw(Role.BORROWER, at, OWED),
        posted(at, 1, PriceE8(48_000 * 10**8)),
        TopUp(Role.BORROWER, at, ONE),
    )
    after = fold(minted(), log(minted(), together))
    assert loan_phase(after) == "ACTIVE"
