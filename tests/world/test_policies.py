"""Worlds of every custody policy: whole lives of loans, the way out for each, and the way round
who is silent."""

from __future__ import annotations

import pytest
from world_lab import coins_balance, sound

from escrow.actors.vaults import cosigner_names, new_parties
from escrow.actors.verifier import verify
from escrow.adapters.bitcoin import psbt as bip174
from escrow.adapters.bitcoin.policy import read_transaction
from escrow.adapters.bitcoin.taken import path_taken
from escrow.config import WorldConfig, world_policy
from escrow.core.errors import BadInput, Refused
from escrow.core.regions.vault import Recovered
from escrow.core.units import DAY
from escrow.custody.read import load_policy, write_policy
from escrow.ports import OutPoint
from escrow.sim.reserves import prove_world
from escrow.world import World

SHORT = {"draw_in": DAY, "term": 3 * DAY, "grace": DAY, "recover_in": DAY}
POLICIES = (
    "two-of-three",
    "two-of-three-recovery",
    "three-of-four",
    "three-of-five",
    "bank-token",
    "liana-style",
    "musig",
)
RECOVERABLE = ("two-of-three-recovery", "liana-style", "musig")


def of(new, policy, **options):
    return new(config=WorldConfig(seed=1, policy=policy, **options))


def taken(world, deal):
    """By which path the newest payout left the vault."""
    payout = deal.state.vault.payouts[-1]
    raw = world.bitcoin.transaction(payout.txid)
    value = {coin.outpoint: coin.sats for coin in deal.state.vault.coins}
    return path_taken(deal.vault, read_transaction(raw), 0, sats=value[payout.inputs[0]])


@pytest.mark.parametrize("policy", POLICIES)
def test_a_life(new, policy):
    world = of(new, policy)
    repaid = world.open()
    world.repay(repaid)
    world.release(repaid)
    assert repaid.phase == "RELEASED"
    assert taken(world, repaid) == "close"
    seized = world.open(price="83333.34", **SHORT)
    world.price("30000")
    world.liquidate(seized)
    world.burn(seized, by="lender")
    world.mine(6)
    assert seized.phase in {"SETTLED", "WRITTEN_OFF"}
    sound(world)
    if policy in RECOVERABLE:
        left = world.open(price="83333.34", **SHORT)
        world.advance(days=7)
        world.recover(left)
        world.mine(6)
        assert left.phase == "RECOVERED"
        assert [type(coin.status) for coin in left.state.vault.coins] == [Recovered]
        sound(world)
    coins_balance(world)


@pytest.mark.parametrize("policy", sorted(set(POLICIES) - set(RECOVERABLE)))
def test_a_vault_without_a_recovery_path_is_not_recovered(new, policy):
    world = of(new, policy)
    deal = world.open(**SHORT)
    world.advance(days=7)
    with pytest.raises(BadInput, match="psbt/path"):
        world.recover(deal)
    assert deal.phase == "ACTIVE"
    sound(world)


@pytest.mark.parametrize("policy", POLICIES)
def test_a_release_in_part_with_change_and_a_top_up(new, policy):
    world = of(new, policy)
    deal = world.open()
    world.top_up(deal, btc="0.5")
    world.repay(deal)
    world.burn(deal, btc="1.7")
    world.mine(6)
    assert [coin.sats for coin in deal.state.vault.coins if coin.change] == [30_000_000]
    world.release(deal)
    assert deal.phase == "RELEASED"
    sound(world)
    coins_balance(world)


@pytest.mark.parametrize(
    ("policy", "silent", "path"),
    [
        ("musig", "lender", "release"),
        ("musig", "borrower", "liquidate"),
        ("musig", "custodian", "close"),
        ("three-of-five", "bank", "close"),
        ("bank-token", "officer-1", "close"),
    ],
)
def test_who_is_silent_is_done_without(new, policy, silent, path):
    world = of(new, policy)
    deal = world.open()
    world.silence(silent)
    world.repay(deal)
    world.release(deal)
    assert deal.phase == "RELEASED"
    assert taken(world, deal) == path
    sound(world)


@pytest.mark.parametrize(
    ("policy", "silent"),
    [
        ("musig", ("lender", "custodian")),
        ("three-of-four", ("lender", "platform")),
        ("bank-token", ("officer-1", "safe")),
    ],
)
def test_too_few_sign_nothing(new, policy, silent):
    world = of(new, policy)
    deal = world.open()
    world.silence(*silent)
    world.repay(deal)
    world.release(deal)
    assert deal.phase == "RELEASING"
    assert deal.state.vault.payouts == ()
    assert world.acts[-1].refusals[0].code == "cosigner/absent"
    world.answer(*silent)
    world.mine(7)
    assert deal.phase == "RELEASED"


def test_a_path_that_opens_by_waiting_is_taken_when_it_is_open(new):
    """Liana: without the lender the coins rest 90 days first."""
    world = of(new, "liana-style")
    deal = world.open()
    world.silence("lender")
    world.repay(deal)
    world.release(deal)
    world.advance(days=89)
    assert deal.state.vault.payouts == ()
    world.advance(days=2)
    assert taken(world, deal) == "arbiter"
    world.mine(6)
    assert deal.phase == "RELEASED"
    sound(world)


@pytest.mark.parametrize("policy", ["liana-style", "musig", "two-of-three-recovery"])
def test_a_stuck_payout_is_replaced_by_the_path_it_takes(new, policy):
    world = of(new, policy)
    deal = world.open()
    world.repay(deal)
    world.burn(deal)
    [old] = deal.state.vault.payouts
    path = taken(world, deal)
    world.bump(deal, feerate=20)
    [payout] = deal.state.vault.payouts
    assert payout.txid != old.txid
    assert payout.fee > old.fee
    assert taken(world, deal) == path
    world.mine(6)
    assert deal.phase == "RELEASED"
    sound(world)


def test_a_musig_cosigner_reviews_before_it_gives_a_nonce(new):
    world = of(new, "musig")
    deal = world.open()
    [coin] = deal.state.vault.coins
    place = OutPoint.parse(coin.outpoint)
    draft = bip174.update(
        bip174.create([place], outputs=[(world.party("operator").script, coin.sats - 500)]),
        owner=deal.vault,
        prev_txs=[world.bitcoin.transaction(place.txid)],
    )
    drawn = dict(world.streams.counters)
    for cosigner in world._wires.cosigners:
        for ask in (cosigner.nonces, cosigner.partial, cosigner.sign):
            with pytest.raises(Refused, match="cosigner/destination"):
                ask(draft, terms=deal.terms, script=deal.vault.script_pubkey)
    assert world.streams.counters == drawn


def test_no_session_of_musig_is_drawn_twice(new):
    world = of(new, "musig")
    deal = world.open()
    world.repay(deal)
    world.release(deal)
    assert world.streams.counters == {"musig/borrower": 2, "musig/lender": 2}
    twin = world.fork()
    assert twin.streams.counters == world.streams.counters
    twin.close()


def test_taproot_or_not_a_cosigner_knows_which(new):
    """The 32 bytes of the terms under the other version are another's script."""
    world = of(new, "musig")
    deal = world.open()
    [coin] = deal.state.vault.coins
    place = OutPoint.parse(coin.outpoint)
    draft = bip174.update(
        bip174.create([place], outputs=[(world.party("borrower").script, coin.sats - 500)]),
        owner=deal.vault,
        prev_txs=[world.bitcoin.transaction(place.txid)],
    )
    for cosigner in world._wires.cosigners:
        with pytest.raises(Refused, match="cosigner/loan-state"):
            cosigner.review(draft, terms=deal.terms, script=b"\0" + deal.vault.script_pubkey[1:])


@pytest.mark.parametrize("policy", ["musig", "bank-token", "liana-style"])
def test_saved_and_forked(new, tmp_path, policy):
    world = of(new, policy)
    deal = world.open()
    world.repay(deal)
    world.burn(deal, btc="0.5")
    world.save(tmp_path / "a.world")
    loaded, twin = World.load(tmp_path / "a.world"), world.fork()
    for each in (world, loaded, twin):
        each.mine(6)
        each.release()
        assert each.loans[0].phase == "RELEASED"
        assert each.state_hash == world.state_hash
        sound(each)
    loaded.close()
    twin.close()


def test_a_policy_of_ones_own_is_kept_with_the_world(new, tmp_path):
    text = write_policy(load_policy("three-of-four")).replace("three-of-four", "ours")
    world = of(new, text)
    deal = world.open()
    assert deal.vault.policy.name == "ours"
    world.save(tmp_path / "a.world")
    with World.load(tmp_path / "a.world") as loaded:
        assert loaded.config.policy == text
        assert loaded.loans[0].vault.address == deal.vault.address
        loaded.repay()
        loaded.release()
        assert loaded.loans[0].phase == "RELEASED"


@pytest.mark.parametrize(
    ("policy", "code"),
    [
        ("presigned", "policy/value"),
        ("dlc", "policy/value"),
        ("two-of-two", "policy/unknown"),
        ("/etc/passwd", "policy/unknown"),
        ("[policy", "policy/format"),
        (7, "policy/format"),
    ],
)
def test_what_a_world_cannot_carry_out(policy, code):
    with pytest.raises(BadInput, match=code):
        World(config=WorldConfig(policy=policy))


def test_a_key_that_is_destroyed_has_no_place_in_a_world():
    text = write_policy(load_policy("two-of-three"))
    spent = text.replace('name = "custodian"', 'name = "custodian"\nkey = "ephemeral"', 1)
    with pytest.raises(BadInput, match="policy/"):
        world_policy(WorldConfig(policy=spent))


@pytest.mark.parametrize(
    "policy", ["two-of-three", "three-of-five", "bank-token", "liana-style", "musig"]
)
def test_reserves_are_proven_whoever_holds_the_keys(new, policy):
    world = of(new, policy)
    world.open()
    verdict = verify(prove_world(world))
    assert (verdict.coins, verdict.supply) == (150_000_000, 150_000_000)


def test_who_plays_which_role(new):
    bank = load_policy("bank-token")
    assert new_parties(bank) == cosigner_names(bank) == ("officer-1", "officer-2", "safe")
    usual = load_policy("two-of-three-recovery")
    assert cosigner_names(usual) == ("lender", "borrower", "custodian")
    assert new_parties(usual) == ("borrower", "lender", "custodian")
    world = of(new, "two-of-three-recovery")
    recovery = world.terms() and world._wires.vaults.holder(
        "recovery", borrower=world.party("borrower").address
    )
    assert recovery.name == "borrower"
    assert of(new, "bank-token").party("safe").address != world.party("custodian").address
