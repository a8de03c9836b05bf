"""Tokens whose coin is gone are destroyed."""

import pytest
from deals import (
    COIN_A,
    COIN_B,
    NOW,
    ONE,
    active,
    burned,
    code_of,
    final,
    minted,
    names,
    opened,
    play,
    recovered,
    refuses,
    repaid,
)

from escrow.core.decide import decide
from escrow.core.phases import loan_phase
from escrow.core.regions.token import Retired, free
from escrow.core.roles import Role
from escrow.core.state import Escrow
from escrow.core.units import Sats
from escrow.core.verbs.mint import Mint
from escrow.core.verbs.pledge import SawCoin, SawCoinGone
from escrow.core.verbs.retire import Retire
from escrow.core.verbs.top_up import TopUp

GOOD = Retire(Role.ATTESTOR, NOW, COIN_A, ONE, "0xee")


def lost(escrow: Escrow, outpoint: str = COIN_A) -> Escrow:
    """A double spend took the coin."""
    return play(escrow, SawCoinGone(Role.WATCHER, NOW, outpoint, "ff"))


@pytest.mark.parametrize("by", Role)
def test_only_attestors_retire(by: Role) -> None:
    expected = "" if by is Role.ATTESTOR else "mint/not-attestor"
    assert code_of(lost(active()), Retire(by, NOW, COIN_A, ONE)) == expected


@pytest.mark.parametrize(
    ("build", "code"),
    [
        (active, "retire/not-lost"),
        (opened, "retire/not-lost"),
        (lambda: lost(active()), ""),
        (lambda: lost(play(opened(), final())), "retire/not-lost"),
        (lambda: play(active(), SawCoin(Role.WATCHER, NOW, COIN_A, ONE, 0)), "retire/not-lost"),
        (lambda: play(lost(active()), GOOD), "retire/replayed"),
    ],
)
def test_only_a_minted_coin_that_is_gone_and_once(build, code: str) -> None:
    assert code_of(build(), GOOD) == code


def test_a_recovered_coin_is_gone_as_well() -> None:
    escrow = recovered()
    assert escrow.token.retired_outpoints == (COIN_A,)


@pytest.mark.parametrize("sats", [-ONE, 0, 1, ONE - 1, ONE + 1])
def test_the_amount_is_the_coins(sats: int) -> None:
    command = Retire(Role.ATTESTOR, NOW, COIN_A, Sats(sats))
    refuses(lost(active()), command, "mint/amount", sats=sats, coin=ONE)


def test_tokens_burned_before_cannot_be_retired() -> None:
    escrow = lost(burned(minted(), 10_000))
    refuses(escrow, GOOD, "retire/insufficient", sats=ONE)


def test_pledged_tokens_go_first() -> None:
    two = play(
        minted(),
        TopUp(Role.BORROWER, NOW, Sats(ONE // 2)),
        final(COIN_B),
        Mint(Role.ATTESTOR, NOW, COIN_B, ONE),
    )
    assert decide(lost(two), GOOD) == (Retired(NOW, COIN_A, ONE, "0xee"),)
    after = play(lost(two), GOOD).token
    assert (after.held, free(after), after.retired) == (0, ONE, ONE)


def test_the_loss_of_the_last_coin_may_end_a_settled_deal() -> None:
    escrow = lost(repaid())
    assert names(decide(escrow, GOOD)) == ["Retired", "LoanEnded"]
    assert loan_phase(play(escrow, GOOD)) == "RELEASED"
