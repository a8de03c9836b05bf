"""The names of phases, and the questions that many verbs ask."""

import pytest
from deals import (
    AT_LIQUIDATION,
    COIN_A,
    COIN_B,
    CONFIRMATIONS,
    NOW,
    ONE,
    STAGES,
    TERMS,
    active,
    burned,
    cancelled,
    draft,
    final,
    liquidating,
    minted,
    offered,
    opened,
    paid_out,
    play,
    priced,
    recovered,
    released,
    repaid,
    seized,
    stale,
    stuck,
)

from escrow.core.decide import decide
from escrow.core.errors import Rejected
from escrow.core.phases import (
    backing,
    breach,
    coin_phase,
    debt_now,
    ended,
    fresh_price,
    loan_phase,
    system_phase,
    takes_collateral,
    terms_of,
    token_phase,
    vault_phase,
)
from escrow.core.regions.loan import LoanEnded, Outcome, Reason
from escrow.core.regions.vault import (
    Confirming,
    Locked,
    Lost,
    Recovered,
    Reorged,
    Seen,
    Spent,
)
from escrow.core.roles import Role
from escrow.core.terms import MIN_DEPOSIT
from escrow.core.units import YEAR, Bps, PriceE8, Sats, Seconds
from escrow.core.verbs.cancel import Cancel
from escrow.core.verbs.lapse import Lapse
from escrow.core.verbs.mint import Mint
from escrow.core.verbs.payout import SawPayoutDepth
from escrow.core.verbs.pledge import SawCoin, SawCoinGone
from escrow.core.verbs.repay import Repay
from escrow.core.verbs.retire import Retire

DEEP = CONFIRMATIONS


def saw(depth: int, outpoint: str = COIN_A) -> SawCoin:
    """The watcher sees one coin."""
    return SawCoin(Role.WATCHER, NOW, outpoint, ONE, depth, 100)


@pytest.mark.parametrize("stage", STAGES)
def test_a_phase_is_read_off_the_regions(stage: str) -> None:
    expected = {"SEIZED": "LIQUIDATING", "CANCELLED": "RELEASING"}.get(stage, stage)
    assert loan_phase(STAGES[stage]()) == expected


@pytest.mark.parametrize(
    ("build", "phase"),
    [
        (lambda: play(opened(), saw(0)), "COLLATERAL_CONFIRMING"),
        (minted, "COLLATERAL_CONFIRMING"),
        (lambda: burned(repaid()), "RELEASING"),
        (lambda: burned(cancelled()), "RELEASING"),
    ],
)
def test_phases_between(build, phase: str) -> None:
    assert loan_phase(build()) == phase


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (Seen(), "SEEN"),
        (Confirming(1), "CONFIRMING"),
        (Locked(1), "LOCKED"),
        (Reorged(), "REORGED"),
        (Lost("ff"), "LOST"),
        (Spent("pp"), "SPENT"),
        (Recovered("rr"), "RECOVERED"),
    ],
)
def test_phases_of_a_coin(status, name: str) -> None:
    assert coin_phase(status) == name


@pytest.mark.parametrize(
    ("build", "phase"),
    [
        (draft, "UNFUNDED"),
        (minted, "LOCKED"),
        (lambda: play(minted(), saw(0, COIN_B)), "SEEN"),
        (lambda: play(minted(), saw(1, COIN_B)), "CONFIRMING"),
        (lambda: play(minted(), saw(0, COIN_B), saw(0)), "REORGED"),
        (lambda: play(minted(), SawCoinGone(Role.WATCHER, NOW, COIN_A, "ff")), "LOST"),
        (lambda: paid_out(burned(repaid())), "SPEND_BROADCAST"),
        (lambda: stuck(paid_out(burned(repaid()))), "SPEND_STUCK"),
        (released, "SPENT"),
        (recovered, "RECOVERED"),
    ],
)
def test_the_vault_shows_the_coin_that_wants_most_attention(build, phase: str) -> None:
    assert vault_phase(build()) == phase


@pytest.mark.parametrize(
    ("build", "phase"),
    [
        (opened, "NONE"),
        (minted, "MINTED"),
        (active, "HELD"),
        (seized, "SEIZED"),
        (repaid, "MINTED"),
        (released, "BURNED"),
    ],
)
def test_phases_of_the_token(build, phase: str) -> None:
    assert token_phase(build()) == phase


@pytest.mark.parametrize(
    ("build", "phase"),
    [
        (draft, "DEGRADED(ORACLE_STALE)"),
        (active, "RUNNING"),
        (lambda: stale(active()), "DEGRADED(ORACLE_STALE)"),
    ],
)
def test_phases_of_the_platform(build, phase: str) -> None:
    assert system_phase(build().system) == phase


def test_terms_are_known_from_the_offer_on() -> None:
    assert terms_of(offered().loan) == TERMS
    with pytest.raises(Rejected) as refusal:
        terms_of(draft().loan)
    assert refusal.value.code == "loan/unknown"


@pytest.mark.parametrize("stage", STAGES)
def test_collateral_is_taken_while_it_can_still_help(stage: str) -> None:
    expected = stage in ("AWAITING_COLLATERAL", "SECURED", "ACTIVE", "MARGIN_CALL")
    assert takes_collateral(STAGES[stage]().loan) is expected


@pytest.mark.parametrize("stage", STAGES)
def test_only_a_live_debt_grows(stage: str) -> None:
    escrow = STAGES[stage]()
    owes = stage in ("ACTIVE", "MARGIN_CALL", "LIQUIDATING")
    assert (debt_now(escrow, at=escrow.system.clock) > 0) is owes


def test_the_debt_is_asked_for_a_moment() -> None:
    year = Seconds(NOW + YEAR)
    assert debt_now(active(rate_bps=Bps(1_000)), at=year) == 2_640_000


def test_a_price_serves_while_it_is_fresh() -> None:
    system = active().system
    assert fresh_price(system, at=NOW) == system.price
    with pytest.raises(Rejected) as refusal:
        fresh_price(draft().system, at=NOW)
    assert refusal.value.code == "price/stale"


@pytest.mark.parametrize(
    ("build", "late", "reason"),
    [
        (draft, 0, None),
        (repaid, 0, None),
        (active, 0, None),
        (lambda: priced(active(), AT_LIQUIDATION, at=Seconds(NOW + 1)), 0, Reason.LEVEL),
        (active, TERMS.maturity + TERMS.grace - NOW, None),
        (active, TERMS.maturity + TERMS.grace - NOW + 1, Reason.DEFAULT),
        (liquidating, 0, Reason.CALL_EXPIRED),
    ],
)
def test_why_the_collateral_may_be_realised(build, late: int, reason: Reason | None) -> None:
    escrow = build()
    assert breach(escrow, at=Seconds(escrow.system.clock + late)) is reason


def test_tokens_stand_for_minted_coins_and_change() -> None:
    assert [coin.outpoint for coin in backing(play(minted(), final(COIN_B)))] == [COIN_A]
    half = ONE // 2
    spent = paid_out(burned(minted(), half), paid=((0, half - 1_000),), change=half)
    assert backing(spent) == ()
    assert [coin.outpoint for coin in backing(play(spent, final("pp:1", sats=half)))] == ["pp:1"]


def test_a_retired_coin_that_comes_back_stands_for_nothing() -> None:
    back = play(
        minted(),
        SawCoinGone(Role.WATCHER, NOW, COIN_A, "ff"),
        Retire(Role.ATTESTOR, NOW, COIN_A, ONE),
        saw(DEEP),
    )
    assert coin_phase(back.vault.coins[0].status) == "LOCKED"
    assert backing(back) == ()


def finished(escrow, at: Seconds = NOW):
    """Burn, pay out and bury everything."""
    sats = escrow.token.minted
    escrow = burned(escrow, sats, at=at)
    escrow = paid_out(escrow, paid=((0, sats - 1_000),))
    return play(escrow, SawPayoutDepth(Role.WATCHER, escrow.system.clock, "pp", DEEP))


@pytest.mark.parametrize(
    ("build", "outcome"),
    [
        (released, Outcome.RELEASED),
        (lambda: finished(seized(), Seconds(NOW + 60)), Outcome.SETTLED),
        (
            lambda: finished(seized(PriceE8(12_600 * 10**8)), Seconds(NOW + 60)),
            Outcome.WRITTEN_OFF,
        ),
        (lambda: finished(cancelled()), Outcome.REFUNDED),
        (lambda: play(opened(), Cancel(Role.BORROWER, NOW)), Outcome.CANCELLED),
        (
            lambda: play(offered(), Lapse(Role.WATCHER, Seconds(TERMS.expires_at + 1))),
            Outcome.CANCELLED,
        ),
        (recovered, Outcome.RECOVERED),
    ],
)
def test_how_a_loan_ends(build, outcome: Outcome) -> None:
    assert build().loan.outcome is outcome


@pytest.mark.parametrize(
    ("build", "over"),
    [
        (active, False),
        (repaid, False),
        (lambda: burned(repaid()), False),
        (lambda: paid_out(burned(repaid())), False),
    ],
)
def test_a_loan_ends_only_when_nothing_is_open(build, over: bool) -> None:
    assert bool(ended(build(), at=NOW)) is over


@pytest.mark.parametrize(
    ("sats", "events"),
    [(MIN_DEPOSIT - 1, ["Repayment", "LoanEnded"]), (MIN_DEPOSIT, ["Repayment"])],
)
def test_a_coin_too_small_to_mint_does_not_hold_the_end_up(sats: int, events: list[str]) -> None:
    bare = play(
        active(),
        SawCoinGone(Role.WATCHER, NOW, COIN_A, "ff"),
        Retire(Role.ATTESTOR, NOW, COIN_A, ONE),
        SawCoin(Role.WATCHER, NOW, COIN_B, Sats(sats), DEEP, 100),
    )
    repay = Repay(Role.BORROWER, NOW, bare.loan.debt.principal)
    assert [type(event).__name__ for event in decide(bare, repay)] == events


@pytest.mark.parametrize("depth", [0, 1, DEEP])
def test_a_coin_that_may_still_be_minted_holds_the_end_up(depth: int) -> None:
    waiting = play(opened(), saw(depth), Cancel(Role.BORROWER, NOW))
    assert loan_phase(waiting) == "RELEASING"
    if depth == DEEP:
        waiting = play(waiting, Mint(Role.ATTESTOR, NOW, COIN_A, ONE), saw(0))
        assert ended(waiting, at=NOW) == ()
    gone = SawCoinGone(Role.WATCHER, NOW, COIN_A, "ff")
    minted_for = bool(waiting.token.minted)
    last = decide(waiting, gone)[-1]
    assert isinstance(last, LoanEnded) is not minted_for
