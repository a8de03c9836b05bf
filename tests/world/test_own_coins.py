"""What a party has in its own wallet, proved from the statement alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from escrow.actors.own_coins import OwnCoins, prove_own, verify_own
from escrow.core.errors import BadInput, EscrowError, Refused
from escrow.core.units import COIN, Sats, Seconds
from escrow.world import World


def stated(world: World, name: str = "borrower") -> OwnCoins:
    return prove_own(world.party(name), bitcoin=world.bitcoin, at=world.now)


def test_what_is_there_is_proved(world: World) -> None:
    made = stated(world)
    assert verify_own(made) == made.sats == world.sats_of("borrower") > 0
    assert verify_own(made, at=world.now, max_age=Seconds(0), bitcoin_block=made.bitcoin.hash)


def test_who_has_nothing_proves_nothing(world: World) -> None:
    assert verify_own(stated(world, "stranger")) == 0


def test_what_waits_for_a_spend_is_not_stated(world: World) -> None:
    before = stated(world).sats
    world.pay("borrower", btc=1, to=stated(world, "stranger").address)
    assert stated(world).sats <= before - 50 * COIN + COIN, "the coin that is being spent is out"
    world.mine(1)
    assert verify_own(stated(world, "stranger")) == COIN


@pytest.mark.parametrize(
    ("code", "change"),
    [
        ("reserves/signature", lambda s: replace(s, at=Seconds(s.at + 1))),
        ("reserves/signature", lambda s: replace(s, owner="fund")),
        ("reserves/signature", lambda s: replace(s, coins=s.coins[1:])),
        ("reserves/altered", lambda s: replace(s, coins=(*s.coins, s.coins[0]))),
        (
            "reserves/altered",
            lambda s: replace(s, coins=(replace(s.coins[0], sats=Sats(s.coins[0].sats + 1)),)),
        ),
        (
            "reserves/block",
            lambda s: replace(s, bitcoin=replace(s.bitcoin, headers=s.bitcoin.headers[:-1])),
        ),
        ("reserves/signature", lambda s: replace(s, proof="")),
    ],
)
def test_what_was_changed_is_refused(
    world: World, code: str, change: Callable[[OwnCoins], OwnCoins]
) -> None:
    with pytest.raises(EscrowError) as caught:
        verify_own(change(stated(world)))
    assert caught.value.code == code


def test_anothers_coins_are_not_ones_own(world: World) -> None:
    mine, theirs = stated(world, "stranger"), stated(world)
    with pytest.raises(Refused, match="reserves/altered"):
        verify_own(replace(mine, coins=theirs.coins))
    with pytest.raises(Refused, match="reserves/signature"):
        verify_own(replace(theirs, proof=mine.proof))


def test_another_block_or_an_old_statement(world: World) -> None:
    made = stated(world)
    with pytest.raises(Refused, match="reserves/block"):
        verify_own(made, bitcoin_block="00" * 32)
    with pytest.raises(Refused, match="reserves/stale"):
        verify_own(made, at=Seconds(made.at + 61), max_age=Seconds(60))
    with pytest.raises(BadInput, match="input/time"):
        verify_own(made, max_age=Seconds(60))


def test_it_shows_no_key(world: World) -> None:
    assert "xprv" not in repr(stated(world))
