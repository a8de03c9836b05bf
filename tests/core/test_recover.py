"""The borrower alone takes the coins after the recovery time."""

import pytest
from deals import (
    COIN_A,
    CONFIRMATIONS,
    NOW,
    ONE,
    STAGES,
    TERMS,
    active,
    burned,
    cancelled,
    code_of,
    draft,
    final,
    names,
    opened,
    paid_out,
    play,
    recovered,
    refuses,
    repaid,
)

from escrow.core.decide import decide
from escrow.core.phases import loan_phase
from escrow.core.regions.loan import LoanRecovered
from escrow.core.regions.vault import CoinsRecovered
from escrow.core.roles import Role
from escrow.core.rules import interest_due
from escrow.core.units import Bps, Seconds
from escrow.core.verbs.cancel import Cancel
from escrow.core.verbs.pledge import SawCoin, SawCoinGone
from escrow.core.verbs.recover import NoteRecovery, SawRecovery
from escrow.core.verbs.retire import Retire
from escrow.core.verbs.tick import Tick

THEN = TERMS.recover_at


def sees(*outpoints: str, at: Seconds = THEN, txid: str = "rr", by: Role = Role.WATCHER):
    """A spend through the timelock."""
    return SawRecovery(by, at, txid, outpoints or (COIN_A,))


def noted(at: Seconds = THEN, by: Role = Role.STRANGER) -> NoteRecovery:
    """``EscrowBook.recovered``."""
    return NoteRecovery(by, at, "0xdd")


def taken(**terms: object):
    """The coin is recovered and its tokens are retired; the loan does not know."""
    return play(active(**terms), sees(), Retire(Role.ATTESTOR, THEN, COIN_A, ONE))


@pytest.mark.parametrize("by", Role)
def test_only_what_the_watcher_sees_counts(by: Role) -> None:
    expected = "" if by is Role.WATCHER else "pledge/not-watcher"
    assert code_of(active(), sees(by=by)) == expected


@pytest.mark.parametrize(("late", "code"), [(-1, "recover/too-early"), (0, ""), (1, "")])
def test_nobody_recovers_before_the_time(late: int, code: str) -> None:
    at = Seconds(THEN + late)
    assert code_of(active(), sees(at=at)) == code
    assert code_of(taken(), noted(at=max(at, THEN))) == ""
    bare = opened()
    assert code_of(bare, noted(at=at)) == code


def test_the_refusal_says_how_early() -> None:
    early = Seconds(THEN - 7)
    refuses(active(), sees(at=early), "recover/too-early", recover_at=THEN, now=early)
    refuses(opened(), noted(at=early), "recover/too-early", recover_at=THEN, now=early)


def test_a_draft_has_no_recovery_time() -> None:
    refuses(draft(), sees(), "loan/unknown")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (SawCoin(Role.WATCHER, THEN, COIN_A, ONE, CONFIRMATIONS, 100), ""),
        (SawCoin(Role.WATCHER, THEN, COIN_A, ONE, 1, 101), ""),
        (SawCoin(Role.WATCHER, THEN, COIN_A, ONE, 0), "payout/not-locked"),
        (SawCoinGone(Role.WATCHER, THEN, COIN_A, "ff"), "payout/not-locked"),
    ],
)
def test_only_coins_in_a_block_are_recovered(change, code: str) -> None:
    assert code_of(play(active(), change), sees()) == code


def test_a_coin_that_never_was() -> None:
    refuses(active(), sees(COIN_A, "ee:0"), "payout/not-locked", outpoint="ee:0")


def test_seen_again_is_no_event() -> None:
    once = play(active(), sees())
    assert decide(active(), sees()) == (CoinsRecovered(THEN, "rr", (COIN_A,)),)
    assert decide(once, sees()) == ()
    refuses(once, sees(txid="ss"), "payout/not-locked", outpoint=COIN_A)


@pytest.mark.parametrize("by", Role)
def test_anyone_closes_the_books(by: Role) -> None:
    assert code_of(taken(), noted(by=by)) == ""


@pytest.mark.parametrize("stage", STAGES)
def test_only_a_live_loan_is_closed(stage: str) -> None:
    escrow = play(STAGES[stage](), Tick(Role.WATCHER, Seconds(THEN + 1)))
    if stage in ("DRAFT", "OFFERED", "ACCEPTED"):
        expected = "loan/unknown"
    elif stage == "AWAITING_COLLATERAL":
        expected = ""
    elif stage in ("SECURED", "ACTIVE", "MARGIN_CALL", "LIQUIDATING"):
        expected = "recover/held"
    else:
        expected = "recover/not-live"
    assert code_of(escrow, noted(at=Seconds(THEN + 1))) == expected


def test_pledged_tokens_are_named() -> None:
    refuses(active(), noted(), "recover/held", held=ONE)


def test_what_was_owed_stays_on_record_and_stops_growing() -> None:
    escrow = taken(rate_bps=Bps(2_300))
    assert decide(escrow, noted()) == (LoanRecovered(THEN, "0xdd"),)
    after = play(escrow, noted())
    assert loan_phase(after) == "RECOVERED"
    # 24,000.00 at 23 % for 120 days, in cents, rounded up.
    assert interest_due(after.loan.debt) == 181_480
    assert after.loan.debt.accrued_to == THEN


@pytest.mark.parametrize(
    ("build", "phase"),
    [(repaid, "RECOVERED"), (cancelled, "RECOVERED")],
)
def test_a_settled_deal_ends_when_its_tokens_are_retired(build, phase: str) -> None:
    escrow = play(build(), sees())
    assert loan_phase(escrow) == "REPAID" or build is cancelled
    assert loan_phase(play(escrow, Retire(Role.ATTESTOR, THEN, COIN_A, ONE))) == phase


def test_a_settled_deal_ends_with_the_recovery_of_a_coin_that_was_never_minted() -> None:
    waiting = play(opened(), final(), Cancel(Role.BORROWER, NOW))
    assert loan_phase(waiting) == "RELEASING"
    assert names(decide(waiting, sees())) == ["CoinsRecovered", "LoanEnded"]
    assert loan_phase(play(waiting, sees())) == "RECOVERED"


def test_the_borrower_may_recover_what_a_payout_left() -> None:
    half = ONE // 2
    escrow = burned(repaid(), half)
    escrow = paid_out(escrow, paid=((0, half - 1_000),), change=half)
    escrow = play(escrow, final("pp:1", sats=half))
    assert names(decide(escrow, sees("pp:1"))) == ["CoinsRecovered"]


def test_the_end_is_the_end() -> None:
    escrow = recovered()
    refuses(escrow, noted(at=escrow.system.clock), "recover/not-live")
