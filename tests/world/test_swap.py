"""An atomic swap of bitcoin for cash on both chains: its rules, its secret, and its promise."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from swap_lab import (
    ACTS,
    BUYER,
    CENTS,
    SATS,
    SELLER,
    agreed,
    all_cents,
    all_sats,
    attempt,
    got,
    kept,
    play,
)
from world_lab import refuses

from escrow.core.errors import BadInput, Rejected
from escrow.core.units import HOUR, Cents, Sats, Seconds
from escrow.sim.swap import Swap
from escrow.sim.swap_terms import Leg, LegState, SwapTerms
from escrow.world import World

NONE, LOCKED, CLAIMED, REFUNDED = LegState
TERMS = SwapTerms(
    number=0,
    seller=SELLER,
    buyer=BUYER,
    sats=SATS,
    cents=CENTS,
    digest=bytes(32),
    first=Leg.BITCOIN,
    bitcoin_until=Seconds(48 * HOUR),
    cash_until=Seconds(24 * HOUR),
    margin=Seconds(12 * HOUR),
    confirmations=6,
)


@pytest.fixture
def world() -> Iterator[World]:
    with World() as made:
        yield made


def states(swap: Swap) -> tuple[LegState, LegState]:
    """Bitcoin, cash."""
    return swap.state(Leg.BITCOIN), swap.state(Leg.CASH)


def both_locked(world: World, first: Leg) -> Swap:
    swap = agreed(world, first)
    if first is Leg.BITCOIN:
        swap.lock_bitcoin()
        world.mine(6)
        swap.lock_cash()
    else:
        swap.lock_cash()
        swap.lock_bitcoin()
        world.mine(6)
    return swap


# To the end


@pytest.mark.parametrize("first", Leg)
def test_both_get_what_was_agreed(world: World, first: Leg) -> None:
    swap = agreed(world, first)
    cash, coins = world.cash_of(SELLER), world.sats_of(BUYER)
    assert states(swap) == (NONE, NONE)
    swap = both_locked(world, first)
    assert states(swap) == (LOCKED, LOCKED)
    claims = [swap.claim_cash, swap.claim_bitcoin]
    for claim in claims if first is Leg.BITCOIN else reversed(claims):
        claim()
    world.mine(1)
    assert states(swap) == (CLAIMED, CLAIMED)
    assert world.cash_of(SELLER) == cash + CENTS
    fee = 2 * 139
    assert world.sats_of(BUYER) == coins + SATS - fee
    verbs = [act.verb for act in world.acts if act.verb.startswith("swap-")]
    assert verbs[-2:] == (
        ["swap-claim-cash", "swap-claim-bitcoin"]
        if first is Leg.BITCOIN
        else ["swap-claim-bitcoin", "swap-claim-cash"]
    )


@pytest.mark.parametrize("first", Leg)
def test_if_nobody_claims_both_have_their_own_again(world: World, first: Leg) -> None:
    swap = both_locked(world, first)
    sats, cents = all_sats(swap), all_cents(swap)
    for refund, code in (
        (swap.refund_bitcoin, "bitcoin/non-final"),
        (swap.refund_cash, "hashlock/too-early"),
    ):
        assert attempt(refund) == code
    assert states(swap) == (LOCKED, LOCKED)
    world.advance(hours=50)
    assert attempt(swap.claim_cash if first is Leg.BITCOIN else swap.claim_bitcoin) in (
        "hashlock/too-late",
        "swap/too-late",
    )
    swap.refund_bitcoin()
    swap.refund_cash()
    world.mine(1)
    assert states(swap) == (REFUNDED, REFUNDED)
    assert (all_sats(swap), all_cents(swap)) == (sats, cents)
    for again in (swap.refund_bitcoin, swap.refund_cash, swap.claim_cash, swap.claim_bitcoin):
        assert attempt(again) in ("swap/not-locked", "swap/secret")


def test_a_claim_on_bitcoin_is_in_the_secret_s_way_while_it_waits(world: World) -> None:
    """The seller reads the secret in the mempool: no block is needed for that."""
    swap = both_locked(world, Leg.CASH)
    swap.claim_bitcoin()
    assert world.bitcoin.mempool()
    swap.claim_cash()
    assert swap.state(Leg.CASH) is CLAIMED


# Who may do what, and when


def test_the_initiator_locks_first_and_the_other_what_is_final(world: World) -> None:
    swap = agreed(world, Leg.BITCOIN)
    assert attempt(swap.lock_cash) == "swap/order"
    swap.lock_bitcoin()
    assert attempt(swap.lock_cash) == "swap/order"
    world.mine(5)
    assert attempt(swap.lock_cash) == "swap/order"
    world.mine(1)
    swap.lock_cash()
    for again in (swap.lock_cash, swap.lock_bitcoin):
        assert attempt(again) == "swap/locked"
    other = agreed(world, Leg.CASH)
    assert attempt(other.lock_bitcoin) == "swap/order"
    other.lock_cash()
    other.lock_bitcoin()


def test_too_little_time_is_left_to_lock(world: World) -> None:
    swap = agreed(world, Leg.BITCOIN)
    swap.lock_bitcoin()
    world.mine(6)
    world.advance(seconds=swap.terms.cash_until - swap.terms.room + 1 - world.now)
    assert attempt(swap.lock_cash) == "swap/too-late"
    late = agreed(world, Leg.CASH)
    world.advance(seconds=late.terms.cash_until - late.terms.room - world.now)
    late.lock_cash()


def test_who_shows_the_secret_first_is_not_overtaken(world: World) -> None:
    """On Bitcoin a claim ends with nothing when the refund is mined first, and a lock that is not
    final can be undone by who made it."""
    swap = agreed(world, Leg.CASH)
    swap.lock_cash()
    swap.lock_bitcoin()
    assert attempt(swap.claim_bitcoin) == "swap/not-locked"
    world.mine(6)
    world.advance(seconds=swap.terms.bitcoin_until - swap.terms.room + 1 - world.now)
    assert attempt(swap.claim_bitcoin) == "swap/too-late"
    assert swap.shown() is None


def test_who_learns_the_secret_may_claim_while_the_coins_are_there(world: World) -> None:
    """Bitcoin has no end of the claim; only the refund makes it too late."""
    swap = both_locked(world, Leg.BITCOIN)
    world.advance(seconds=swap.terms.cash_until - world.now)
    swap.claim_cash()
    world.advance(seconds=swap.terms.bitcoin_until - world.now)
    swap.claim_bitcoin()
    world.mine(1)
    assert states(swap) == (CLAIMED, CLAIMED)


def test_a_claim_after_the_refund_is_too_late(world: World) -> None:
    swap = both_locked(world, Leg.BITCOIN)
    swap.claim_cash()
    world.advance(hours=50)
    swap.refund_bitcoin()
    world.mine(1)
    assert attempt(swap.claim_bitcoin) == "swap/not-locked"
    assert states(swap) == (REFUNDED, CLAIMED)


@pytest.mark.parametrize("first", Leg)
def test_another_secret_changes_nothing(world: World, first: Leg) -> None:
    swap = both_locked(world, first)
    before = world.state_hash, all_sats(swap), all_cents(swap)
    assert attempt(lambda: swap.claim_cash(secret=bytes(32))) == "hashlock/preimage"
    for wrong in (bytes(32), b"", bytes(33)):
        assert attempt(lambda wrong=wrong: swap.claim_bitcoin(secret=wrong)) == "swap/preimage"
    assert (world.state_hash, all_sats(swap), all_cents(swap)) == before
    assert states(swap) == (LOCKED, LOCKED)
    assert swap.shown() is None


def test_the_other_does_not_know_the_secret(world: World) -> None:
    assert attempt(both_locked(world, Leg.BITCOIN).claim_bitcoin) == "swap/secret"
    assert attempt(both_locked(world, Leg.CASH).claim_cash) == "swap/secret"


def test_less_than_was_agreed_locks_nothing(world: World) -> None:
    swap = agreed(world, Leg.BITCOIN)
    world.pay(SELLER, btc="1.49999999", to=swap.coins.address)
    world.mine(6)
    assert swap.state(Leg.BITCOIN) is NONE
    swap.lock_bitcoin()
    world.mine(6)
    swap.lock_cash()
    assert states(swap) == (LOCKED, LOCKED)


def test_cash_that_may_not_move_shows_no_secret(world: World) -> None:
    swap = both_locked(world, Leg.BITCOIN)
    seller = world.party(SELLER).address_bytes
    registry, registrar = world.evm.contracts.registry, world.party("registrar").account
    registry.send(registrar, "suspend", [seller])
    assert attempt(swap.claim_cash) == "token/cannot-receive"
    assert swap.shown() is None
    registry.send(registrar, "reinstate", [seller])
    swap.claim_cash()


def test_cash_that_may_not_move_is_not_approved_either(world: World) -> None:
    swap = agreed(world, Leg.CASH)
    registry, registrar = world.evm.contracts.registry, world.party("registrar").account
    registry.send(registrar, "suspend", [world.party(BUYER).address_bytes])
    with refuses(world, "token/cannot-send"):
        swap.lock_cash()
    registry.send(registrar, "reinstate", [world.party(BUYER).address_bytes])
    swap.lock_cash()


# Terms


@pytest.mark.parametrize("first", Leg)
def test_the_initiator_s_leg_outlasts_the_other_s_by_the_margin(first: Leg) -> None:
    long, short = Seconds(36 * HOUR), Seconds(24 * HOUR)
    times = {"bitcoin_until": long, "cash_until": short}
    if first is Leg.CASH:
        times = {"bitcoin_until": short, "cash_until": long}
    replace(TERMS, first=first, **times)
    for name, change in (("margin", 12 * HOUR + 1), ("margin", 17 * 600 - 1)):
        with pytest.raises(Rejected, match="swap/margin"):
            replace(TERMS, first=first, **times | {name: Seconds(change)})
    replace(TERMS, first=first, **times | {"margin": Seconds(17 * 600)})
    with pytest.raises(Rejected, match="swap/margin"):
        replace(TERMS, first=Leg.CASH if first is Leg.BITCOIN else Leg.BITCOIN, **times)


@pytest.mark.parametrize(
    "change",
    [
        {"buyer": SELLER},
        {"sats": Sats(9_999)},
        {"sats": 1e6},
        {"confirmations": True},
        {"cash_until": 1e9},
        {"cents": Cents(0)},
        {"digest": bytes(31)},
        {"confirmations": 0},
        {"confirmations": 101},
        {"number": -1},
    ],
)
def test_terms_that_make_no_sense(change: dict[str, object]) -> None:
    with pytest.raises(BadInput, match="swap/terms"):
        replace(TERMS, **change)  # type: ignore[arg-type]


def test_a_party_that_is_not_there(world: World) -> None:
    with pytest.raises(BadInput, match="input/unknown-party"):
        Swap.of(world, replace(TERMS, seller="nobody"))


# The secret


@pytest.mark.parametrize("first", Leg)
def test_the_secret_is_nowhere_before_it_is_shown(world: World, first: Leg, tmp_path: Path) -> None:
    swap = both_locked(world, first)
    attempt(swap.claim_bitcoin if first is Leg.BITCOIN else swap.claim_cash)
    secret = swap._secret
    assert len(secret) == 32
    seen = "".join((repr(swap), str(swap), repr(world), *map(repr, world.acts)))
    seen += "".join(world.log_lines())
    seen += "".join(raw.hex() for raw in (*world.bitcoin.blocks(), *world.bitcoin.mempool()))
    seen += "".join(each.raw.hex() for each in world.evm.chain.transactions())
    assert swap.terms.digest.hex() in seen
    assert secret.hex() not in seen
    assert repr(secret) not in seen
    world.save(tmp_path / "world")
    assert secret not in (tmp_path / "world").read_bytes()
    assert secret.hex().encode() not in (tmp_path / "world").read_bytes()


def test_a_world_that_was_saved_goes_on_with_the_swap(world: World, tmp_path: Path) -> None:
    swap = both_locked(world, Leg.BITCOIN)
    swap.claim_cash()
    world.save(tmp_path / "world")
    with World.load(tmp_path / "world") as later:
        same = Swap.of(later, swap.terms)
        assert states(same) == (LOCKED, CLAIMED)
        same.claim_bitcoin()
        later.mine(1)
        assert states(same) == (CLAIMED, CLAIMED)
        assert agreed(later, Leg.BITCOIN).terms.number == 1


def test_two_swaps_have_two_secrets_and_two_scripts(world: World) -> None:
    one, other = (agreed(world, Leg.BITCOIN) for _ in range(2))
    assert one.terms.digest != other.terms.digest
    assert one.coins.address != other.coins.address
    assert {key.pubkey for key in (one.coins.claimer, one.coins.refunder)}.isdisjoint(
        {key.pubkey for key in (other.coins.claimer, other.coins.refunder)}
    )


# The promise


HOURS = st.sampled_from((0, 0, 1, 3, 9, 20, 23, 24, 25))
"""Many at once, and some up to just before or after a deadline."""


def stories(*parties: str) -> st.SearchStrategy[list[tuple[str, int]]]:
    acts = [act for party in parties for act in ACTS[party]]
    return st.lists(st.tuples(st.sampled_from(acts), HOURS), max_size=8)


@pytest.fixture(scope="module")
def long_world() -> Iterator[World]:
    """One world for many swaps, one after the other: making one takes longer than a swap."""
    with World() as made:
        yield made


def told(
    world: World, first: Leg, story: list[tuple[str, int]], careful: tuple[str, ...] = ()
) -> Swap:
    """The swap after the story: whatever was done, all coins and all cash are still there."""
    swap = agreed(world, first)
    sats, cents = all_sats(swap), all_cents(swap)
    play(swap, story, careful)
    world.mine(1)
    assert (all_sats(swap), all_cents(swap)) == (sats, cents)
    return swap


@pytest.mark.parametrize("careful", [SELLER, BUYER])
@pytest.mark.parametrize("first", Leg)
@settings(max_examples=8, derandomize=True, deadline=None)
@given(data=st.data())
def test_who_looks_after_its_own_loses_nothing(
    long_world: World, first: Leg, careful: str, data: st.DataObject
) -> None:
    """Whatever the other does, and if it does nothing: a party that looks every five hours ends
    with what it gave or with what it was promised. Who ends with neither did not act in time."""
    other = BUYER if careful == SELLER else SELLER
    swap = told(long_world, first, data.draw(stories(other)), (careful,))
    assert kept(swap, careful) or got(swap, careful)


@pytest.mark.parametrize("late", [0, 7])
@pytest.mark.parametrize("first", Leg)
def test_two_who_look_after_their_own_get_what_was_promised(
    long_world: World, first: Leg, late: int
) -> None:
    long_world.advance(hours=late)
    assert states(told(long_world, first, [], (SELLER, BUYER))) == (CLAIMED, CLAIMED)


@pytest.mark.parametrize("first", Leg)
@settings(max_examples=6, derandomize=True, deadline=None)
@given(story=stories(SELLER, BUYER))
def test_whatever_is_done_coins_and_cash_are_conserved(
    long_world: World, first: Leg, story: list[tuple[str, int]]
) -> None:
    """Nobody looks. A leg that was locked is its taker's, its giver's, or waits for its giver."""
    swap = told(long_world, first, story)
    for leg in Leg:
        if swap.state(leg) is CLAIMED:
            assert swap.shown() is not None
