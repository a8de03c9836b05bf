"""Coins reach the vault, are buried, and may be dug out again."""

import pytest
from deals import (
    COIN_A,
    CONFIRMATIONS,
    NOW,
    ONE,
    STAGES,
    code_of,
    draft,
    final,
    minted,
    names,
    opened,
    paid_out,
    play,
    recovered,
    refuses,
    released,
    repaid,
)
from deals import burned as burn_all

from escrow.core.decide import decide
from escrow.core.phases import coin_phase
from escrow.core.regions.vault import CoinSeen, find
from escrow.core.roles import Role
from escrow.core.state import Escrow, Incident
from escrow.core.terms import MIN_DEPOSIT
from escrow.core.units import Sats
from escrow.core.verbs.pledge import SawCoin, SawCoinGone

FINAL = CONFIRMATIONS


def saw(depth: int, height: int = 100, outpoint: str = COIN_A) -> SawCoin:
    """The watcher sees one coin."""
    return SawCoin(Role.WATCHER, NOW, outpoint, ONE, depth, height)


def gone(outpoint: str = COIN_A) -> SawCoinGone:
    """The watcher sees that a coin was taken by ``ff``."""
    return SawCoinGone(Role.WATCHER, NOW, outpoint, "ff")


def phase(escrow: Escrow, outpoint: str = COIN_A) -> str:
    """Where the coin stands."""
    coin = find(escrow.vault, outpoint)
    assert coin is not None
    return coin_phase(coin.status)


@pytest.mark.parametrize("by", Role)
def test_only_what_the_watcher_sees_counts(by: Role) -> None:
    expected = "" if by is Role.WATCHER else "pledge/not-watcher"
    assert code_of(opened(), SawCoin(by, NOW, COIN_A, ONE, 1)) == expected
    assert code_of(minted(), SawCoinGone(by, NOW, COIN_A, "ff")) == expected


def test_a_vault_without_terms_has_no_coins() -> None:
    refuses(draft(), saw(1), "loan/unknown")


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        ([saw(0)], "SEEN"),
        ([saw(1)], "CONFIRMING"),
        ([saw(FINAL - 1)], "CONFIRMING"),
        ([saw(FINAL)], "LOCKED"),
        ([saw(FINAL + 1)], "LOCKED"),
        ([saw(0), saw(0)], "SEEN"),
        ([saw(0), saw(1)], "CONFIRMING"),
        ([saw(0), saw(FINAL)], "LOCKED"),
        ([saw(1), saw(2)], "CONFIRMING"),
        ([saw(1), saw(FINAL)], "LOCKED"),
        # One or two blocks are undone before the coin is final: nothing was promised yet.
        ([saw(1), saw(0)], "SEEN"),
        ([saw(1), saw(1, height=101)], "CONFIRMING"),
        ([saw(1), saw(0), saw(FINAL)], "LOCKED"),
        # A reorganisation deeper than the terms foresaw.
        ([saw(FINAL), saw(0)], "REORGED"),
        ([saw(FINAL), saw(0), saw(0)], "REORGED"),
        ([saw(FINAL), saw(1)], "CONFIRMING"),
        ([saw(FINAL), saw(FINAL, height=101)], "LOCKED"),
        ([saw(FINAL), saw(0), saw(1, height=101)], "CONFIRMING"),
        ([saw(FINAL), saw(0), saw(FINAL, height=101)], "LOCKED"),
        # A double spend, and a second reorganisation that undoes it.
        ([saw(0), gone()], "LOST"),
        ([saw(1), gone()], "LOST"),
        ([saw(FINAL), gone()], "LOST"),
        ([saw(FINAL), saw(0), gone()], "LOST"),
        ([saw(FINAL), gone(), gone()], "LOST"),
        ([saw(FINAL), gone(), saw(0)], "SEEN"),
        ([saw(FINAL), gone(), saw(1)], "CONFIRMING"),
        ([saw(FINAL), gone(), saw(FINAL)], "LOCKED"),
    ],
)
def test_the_life_of_a_coin(history: list[SawCoin | SawCoinGone], expected: str) -> None:
    assert phase(play(opened(), *history)) == expected


@pytest.mark.parametrize(
    ("depth", "height", "events"),
    [
        (FINAL, 100, []),
        (FINAL + 9, 100, []),
        (FINAL, 101, ["CoinReorged", "CoinMined", "CoinLocked"]),
        (FINAL - 1, 100, ["CoinReorged", "CoinMined"]),
        (0, 0, ["CoinReorged"]),
    ],
)
def test_a_locked_coin_says_so_when_it_moves(depth: int, height: int, events: list[str]) -> None:
    assert names(decide(play(opened(), saw(FINAL)), saw(depth, height))) == events


def test_a_block_that_changes_nothing_is_no_event() -> None:
    assert decide(play(opened(), saw(1)), saw(2)) == ()
    assert decide(play(opened(), saw(0)), saw(0)) == ()


def test_a_coin_that_was_paid_out_is_not_seen_again() -> None:
    again = SawCoin(Role.WATCHER, NOW, COIN_A, ONE, FINAL)
    assert decide(released(), again) == ()


def test_a_recovery_that_a_reorganisation_undoes_puts_the_coin_back() -> None:
    escrow = recovered()
    again = SawCoin(Role.WATCHER, escrow.system.clock, COIN_A, ONE, FINAL, 100)
    assert names(decide(escrow, again)) == ["CoinSeen", "CoinMined", "CoinLocked"]


@pytest.mark.parametrize(
    ("sats", "incident"), [(MIN_DEPOSIT - 1, "pledge/below-minimum"), (MIN_DEPOSIT, None)]
)
def test_a_coin_too_small_to_mint_is_noted(sats: int, incident: str | None) -> None:
    events = decide(opened(), SawCoin(Role.WATCHER, NOW, COIN_A, Sats(sats), 0))
    assert events[0] == CoinSeen(NOW, COIN_A, Sats(sats))
    assert [event.code for event in events[1:]] == ([incident] if incident else [])


@pytest.mark.parametrize("stage", [name for name in STAGES if name != "DRAFT"])
def test_a_deposit_that_the_loan_does_not_take_is_noted(stage: str) -> None:
    escrow = STAGES[stage]()
    events = decide(escrow, final("cc:0", at=escrow.system.clock))
    welcome = stage in ("AWAITING_COLLATERAL", "SECURED", "ACTIVE", "MARGIN_CALL")
    expected = [] if welcome else ["pledge/late"]
    assert [event.code for event in events if isinstance(event, Incident)] == expected
    assert names(events)[-1] == "CoinLocked"


def test_the_note_names_coin_and_amount() -> None:
    late = decide(repaid(), final("cc:0"))[1]
    assert late == Incident(NOW, "SawCoin", "pledge/late", (("outpoint", "cc:0"), ("sats", ONE)))


def test_only_what_was_in_the_vault_is_lost() -> None:
    refuses(opened(), gone(), "pledge/unknown-coin", outpoint=COIN_A)


def test_what_a_payout_or_a_recovery_took_is_not_lost() -> None:
    refuses(paid_out(burn_all(repaid())), gone(), "pledge/spent", outpoint=COIN_A)
    escrow = recovered()
    late = SawCoinGone(Role.WATCHER, escrow.system.clock, COIN_A, "ff")
    refuses(escrow, late, "pledge/spent", outpoint=COIN_A)
