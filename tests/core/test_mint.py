"""Attested coins are minted, each once."""

from dataclasses import replace

import pytest
from deals import (
    COIN_A,
    CONFIRMATIONS,
    NOW,
    ONE,
    burned,
    code_of,
    final,
    minted,
    opened,
    paid_out,
    play,
    refuses,
)

from escrow.core.decide import decide
from escrow.core.regions.token import Minted, free
from escrow.core.regions.vault import Coin, Locked, Vault
from escrow.core.roles import Role
from escrow.core.state import Escrow
from escrow.core.terms import MIN_DEPOSIT, RESERVE_LIFE
from escrow.core.units import MAX_MONEY, Sats, Seconds
from escrow.core.verbs.mint import Mint
from escrow.core.verbs.pledge import SawCoin, SawCoinGone

GOOD = Mint(Role.ATTESTOR, NOW, COIN_A, ONE)


def confirmed(sats: int = ONE) -> Escrow:
    """A final coin without tokens."""
    return play(opened(), final(sats=sats))


@pytest.mark.parametrize("by", Role)
def test_only_attestors_mint(by: Role) -> None:
    expected = "" if by is Role.ATTESTOR else "mint/not-attestor"
    assert code_of(confirmed(), Mint(by, NOW, COIN_A, ONE)) == expected


@pytest.mark.parametrize("depth", range(CONFIRMATIONS + 2))
def test_only_a_final_coin_is_minted(depth: int) -> None:
    shallow = play(opened(), SawCoin(Role.WATCHER, NOW, COIN_A, ONE, depth, height=1))
    assert code_of(shallow, GOOD) == ("pledge/not-confirmed" if depth < CONFIRMATIONS else "")


def test_a_reorged_or_lost_coin_is_not_minted() -> None:
    for lost in (
        SawCoin(Role.WATCHER, NOW, COIN_A, ONE, 0),
        SawCoinGone(Role.WATCHER, NOW, COIN_A, "ff"),
    ):
        assert code_of(play(confirmed(), lost), GOOD) == "pledge/not-confirmed"


def test_only_coins_of_the_vault_are_minted() -> None:
    refuses(
        confirmed(),
        Mint(Role.ATTESTOR, NOW, "ee:0", ONE),
        "pledge/unknown-coin",
        outpoint="ee:0",
    )


def test_change_has_its_tokens_already() -> None:
    half = ONE // 2
    escrow = paid_out(burned(minted(), half), paid=((0, half - 1_000),), change=half)
    escrow = play(escrow, final("pp:1", sats=half))
    refuses(escrow, Mint(Role.ATTESTOR, NOW, "pp:1", Sats(half)), "pledge/unknown-coin")


@pytest.mark.parametrize(("sats", "code"), [(-1, "mint/amount"), (0, ""), (1, "mint/amount")])
def test_the_amount_is_the_coins(sats: int, code: str) -> None:
    assert code_of(confirmed(), Mint(Role.ATTESTOR, NOW, COIN_A, Sats(ONE + sats))) == code


@pytest.mark.parametrize(
    ("sats", "code"),
    [
        (MIN_DEPOSIT - 1, "mint/amount"),
        (MIN_DEPOSIT, ""),
        (MAX_MONEY, ""),
        (MAX_MONEY + 1, "mint/amount"),
    ],
)
def test_the_least_and_the_most(sats: int, code: str) -> None:
    coin = Coin(COIN_A, Sats(sats), Locked(100))
    escrow = Escrow(opened().system, opened().loan, Vault((coin,)))
    assert code_of(escrow, Mint(Role.ATTESTOR, NOW, COIN_A, Sats(sats))) == code


@pytest.mark.parametrize(
    ("age", "code"),
    [
        (-1, "mint/from-future"),
        (0, ""),
        (RESERVE_LIFE, ""),
        (RESERVE_LIFE + 1, "mint/expired"),
    ],
)
def test_the_reserves_were_seen_within_the_hour(age: int, code: str) -> None:
    assert code_of(confirmed(), replace(GOOD, age=Seconds(age))) == code


@pytest.mark.parametrize(("spare", "code"), [(-1, "mint/reserves"), (0, ""), (1, "")])
def test_tokens_stay_within_the_reserves_that_were_stated(spare: int, code: str) -> None:
    assert code_of(confirmed(), replace(GOOD, reserves=Sats(ONE + spare))) == code
    two = play(minted(), final("cc:0", sats=ONE))
    second = replace(GOOD, outpoint="cc:0", reserves=Sats(2 * ONE + spare))
    assert code_of(two, second) == code
    # What was burned is claimed no more, and the quorum has taken it off the reserves.
    less = replace(second, reserves=Sats(2 * ONE - MIN_DEPOSIT + spare))
    assert code_of(play(burned(minted(), MIN_DEPOSIT), final("cc:0", sats=ONE)), less) == code


def test_the_first_rule_broken_is_named() -> None:
    """In the contract's order; each case breaks all that follow, too."""
    bad = replace(GOOD, age=Seconds(-1), sats=Sats(0), reserves=Sats(0))
    steps = (
        ("mint/from-future", {}),
        ("mint/expired", {"age": Seconds(RESERVE_LIFE + 1)}),
        ("mint/amount", {"age": Seconds(0)}),
        ("mint/replayed", {"sats": ONE}),
        ("mint/reserves", {"outpoint": "cc:0"}),
    )
    escrow = play(minted(), final("cc:0", sats=ONE))
    for code, change in steps:
        bad = replace(bad, **change)
        assert code_of(escrow, bad) == code


def test_an_outpoint_is_minted_once() -> None:
    refuses(minted(), GOOD, "mint/replayed", outpoint=COIN_A)
    gone = play(minted(), SawCoinGone(Role.WATCHER, NOW, COIN_A, "ff"))
    refuses(gone, GOOD, "mint/replayed", outpoint=COIN_A)


def test_the_tokens_are_free() -> None:
    assert decide(confirmed(), GOOD) == (Minted(NOW, COIN_A, ONE, ""),)
    assert free(minted().token) == ONE
