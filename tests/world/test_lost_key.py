"""A key is lost: the remaining quorum moves the coins to a vault in which it is new."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from world_lab import coins_balance, sound, wealth

from escrow.actors.generations import Agreement, rekey_message
from escrow.adapters.bitcoin import psbt as bip174
from escrow.adapters.bitcoin.policy import read_transaction
from escrow.adapters.evm.typed import Sig, sign_rekey
from escrow.config import WorldConfig
from escrow.core.due import SweepVault
from escrow.core.errors import BadInput, Refused, Rejected
from escrow.core.regions.vault import Locked, Recovered, Rekeyed, Spent
from escrow.core.units import DAY
from escrow.ports import OutPoint
from escrow.vault_life import vaults_of
from escrow.world import World

SHORT = {"draw_in": DAY, "term": 3 * DAY, "grace": DAY, "recover_in": DAY}


def of(new, policy):
    return new(config=WorldConfig(seed=1, policy=policy))


def where(deal):
    return [(type(coin.status), coin.generation) for coin in deal.state.vault.coins]


def signers(world, deal, vault, txid):
    """Roles whose signatures the sweep shows."""
    stack = read_transaction(world.bitcoin.transaction(txid)).vin[0].script_witness.stack
    assert stack[-1] == vault.witness_script
    return len([item for item in stack if item[:1] == b"\x30"])


@pytest.mark.parametrize(
    ("policy", "lost"),
    [
        ("two-of-three-recovery", "lender"),
        ("two-of-three-recovery", "borrower"),
        ("two-of-three-recovery", "recovery"),
        ("three-of-five", "bank"),
        ("bank-token", "safe"),
        ("musig", "lender"),
    ],
)
def test_the_coins_move_and_the_loan_goes_on(new, policy, lost):
    world = of(new, policy)
    deal = world.open()
    world.top_up(deal, btc="0.5")
    old, token, before = deal.vault, deal.state.token, wealth(world)
    world.rekey(deal, lost=lost)
    world.mine(6)
    assert where(deal) == [(Spent, 0), (Spent, 0), (Locked, 1)]
    assert deal.state.token == token
    assert deal.vault.address != old.address
    changed = {role for role in old.keys if old.keys[role] != deal.vault.keys[role]}
    assert changed == {lost}
    after = wealth(world)
    assert after.vaults == before.vaults
    assert after.sats["borrower"] == before.sats["borrower"] - (after.fees - before.fees)
    assert deal.due == ()
    world.repay(deal)
    world.burn(deal, btc="0.3")
    world.mine(6)
    world.release(deal)
    assert deal.phase == "RELEASED"
    sound(world)
    coins_balance(world)


def test_the_lost_key_signs_nothing(world):
    """Its cosigner would still answer here; it is not asked."""
    deal = world.loans[0]
    old = deal.vault
    world.silence("custodian")
    world.rekey(deal, lost="lender")
    assert [type(effect) for effect in deal.due] == [SweepVault]
    assert world.acts[-1].refusals[0].code == "cosigner/absent"
    world.answer("custodian")
    world.settle()
    [sweep] = deal.state.vault.payouts
    assert signers(world, deal, old, sweep.txid) == 2
    sound(world)


def test_deposits_to_the_old_address_follow(world):
    deal = world.loans[0]
    old = deal.vault
    world.rekey(deal, lost="lender")
    world.mine(6)
    world.pay("borrower", btc="0.25", to=old.address)
    world.mine(6)
    assert where(deal)[-2:] == [(Spent, 0), (where(deal)[-1][0], 1)]
    world.mine(6)
    assert where(deal)[-1] == (Locked, 1)
    world.secure(deal)
    assert deal.state.token.held == 175_000_000
    world.repay(deal)
    world.release(deal)
    assert deal.phase == "RELEASED"
    sound(world)
    coins_balance(world)


def test_a_top_up_goes_to_the_new_address(world):
    deal = world.loans[0]
    world.rekey(deal, lost="custodian")
    world.top_up(deal, btc="0.25")
    assert where(deal)[-1] == (Locked, 1)
    sound(world)


def test_twice(world):
    deal = world.loans[0]
    world.rekey(deal, lost="lender")
    with pytest.raises(Rejected, match="rekey/payout"):
        world.rekey(deal, lost="lender")
    world.mine(6)
    world.rekey(deal, lost="lender")
    world.mine(6)
    assert where(deal) == [(Spent, 0), (Spent, 1), (Locked, 2)]
    world.repay(deal)
    world.release(deal)
    assert deal.phase == "RELEASED"
    sound(world)


def test_too_few_keys_left_and_the_recovery_path_remains(new):
    world = of(new, "two-of-three-recovery")
    deal = world.open(**SHORT)
    world.silence("custodian")
    world.rekey(deal, lost="lender")
    with pytest.raises(Refused, match="rekey/quorum") as refusal:
        world.rekey(deal, lost="custodian")
    assert refusal.value.facts["lost"] == "custodian lender"
    assert len(deal.state.vault.generations) == 1
    world.advance(days=7)
    world.recover(deal)
    world.mine(6)
    assert where(deal) == [(Recovered, 0)]
    assert deal.phase == "RECOVERED"
    sound(world)


def test_recovered_from_two_generations_at_once(new):
    world = of(new, "two-of-three-recovery")
    deal = world.open(**SHORT)
    old = deal.vault
    world.rekey(deal, lost="recovery")
    world.mine(6)
    world.silence("lender", "custodian")
    world.pay("borrower", btc="0.25", to=old.address)
    world.mine(6)
    assert [kind for kind, _ in where(deal)] == [Spent, Locked, Locked]
    world.advance(days=7)
    world.recover(deal)
    world.mine(6)
    assert where(deal)[1:] == [(Recovered, 1), (Recovered, 0)]
    sound(world)


@pytest.mark.parametrize("silent", ["borrower", "lender"])
def test_both_must_agree(world, silent):
    deal = world.loans[0]
    world.silence(silent)
    before = world.state_hash
    with pytest.raises(Rejected, match="rekey/not-agreed"):
        world.rekey(deal, lost="custodian")
    assert world.state_hash == before
    assert world._wires.rekeys == []
    world.answer(silent)
    world.rekey(deal, lost="custodian")
    sound(world)


def test_no_such_role(world):
    with pytest.raises(BadInput, match="bitcoin/key"):
        world.rekey(lost="bank")


def test_a_sweep_that_vanished_is_made_again(world):
    deal = world.loans[0]
    world.rekey(deal, lost="lender")
    world.mine()
    [sweep] = deal.state.vault.payouts
    world.reorg(1, drop=[sweep.txid])
    world.mine(6)
    assert where(deal) == [(Spent, 0), (Locked, 1)]
    sound(world)


def test_saved_and_forked(world, tmp_path):
    deal = world.loans[0]
    world.rekey(deal, lost="lender")
    world.save(tmp_path / "a.world")
    with World.load(tmp_path / "a.world") as loaded, world.fork() as twin:
        for each in (world, loaded, twin):
            each.mine(6)
            each.repay()
            each.release()
            assert each.loans[0].phase == "RELEASED"
            assert each.state_hash == world.state_hash
            sound(each)


@pytest.mark.parametrize("how", ["none", "forged", "another", "malformed"])
def test_a_file_without_the_signatures_is_no_world(world, how):
    deal = world.loans[0]
    world.rekey(deal, lost="lender")
    data = world._data()
    [words] = json.loads(data.meta["rekeys"])
    changed = {
        "none": [],
        "forged": [[*words[:3], words[4], words[3]]],
        "another": [[words[0], "0x" + "11" * 32, *words[2:]]],
        "malformed": [words[:4]],
    }[how]
    meta = {**data.meta, "rekeys": json.dumps(changed)}
    with pytest.raises(BadInput, match="world/format" if how == "malformed" else "world/tampered"):
        World._from_data(replace(data, meta=meta))


# --- a lying operator ---


def agreement(world, deal, *, program=None, generation=1, lender=None, loan=None):
    program = program or "0x" + "77" * 32
    loan = loan or deal.id
    message = rekey_message(loan, program, generation)
    domain = world.evm.contracts.book.domain
    borrower, other = (
        sign_rekey(world.party(name).account, rekey=message, domain=domain)
        for name in ("borrower", lender or "lender")
    )
    return Agreement(loan, program, generation, borrower, other)


def all_refuse(world, deal, what, code):
    for each in (*world._wires.cosigners, *world._wires.attestors):
        before = each.generations.scripts(deal.terms)
        with pytest.raises(Refused, match=code):
            each.generations.agree(what, terms=deal.terms)
        assert each.generations.scripts(deal.terms) == before


def test_each_of_them_checks_the_signatures(world):
    deal = world.loans[0]
    with world.fork() as twin:
        twin.rekey(lost="lender")
        program = "0x" + twin.loans[0].vault.witness_program.hex()
    good = agreement(world, deal, program=program)
    low = good.lender
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    high = Sig(55 - low.v, low.r, (order - int.from_bytes(low.s, "big")).to_bytes(32, "big"))
    for bad, code in (
        (agreement(world, deal), "rekey/vault"),  # both signed, for an address of somebody's own
        (agreement(world, deal, lender="custodian"), "rekey/signature"),
        (replace(good, lender=good.borrower), "rekey/signature"),
        (replace(good, program="0x" + "78" * 32), "rekey/signature"),
        (replace(good, lender=high), "rekey/signature"),
        (replace(good, lender=Sig(29, low.r, low.s)), "rekey/signature"),
        (replace(good, lender=Sig(27, b"\0" * 32, low.s)), "rekey/signature"),
        (replace(good, lender=Sig(27, b"", low.s)), "rekey/signature"),
        (agreement(world, deal, generation=2), "rekey/generation"),
        (agreement(world, deal, program=deal.terms.vault), "rekey/generation"),
        (agreement(world, deal, loan="0x" + "00" * 32), "rekey/generation"),
    ):
        all_refuse(world, deal, bad, code)
    for each in (*world._wires.cosigners, *world._wires.attestors):
        each.generations.agree(good, terms=deal.terms)
    all_refuse(world, deal, good, "rekey/generation")


def test_a_vault_that_nobody_agreed_on_gets_no_coins(world):
    """The very sweep that a re-key makes due, without the re-key."""
    deal = world.loans[0]
    with world.fork() as twin:
        twin.rekey(lost="lender")
        elsewhere = twin.loans[0].vault
    [coin] = deal.state.vault.coins
    keys = world.party("borrower").keys
    added = world._wires.wallet(world.party("borrower")).coins()[0]
    inputs = [OutPoint.parse(coin.outpoint), added.outpoint]
    raws = [world.bitcoin.transaction(each.txid) for each in inputs]
    psbt = bip174.create(inputs, outputs=[(elsewhere.script_pubkey, coin.sats)])
    psbt = bip174.sign(bip174.update(psbt, owner=keys.wallet_key(), prev_txs=raws), keys=keys)
    psbt = bip174.update(psbt, owner=deal.vault, prev_txs=raws)
    for cosigner in world._wires.cosigners:
        for script in (deal.vault.script_pubkey, elsewhere.script_pubkey):
            with pytest.raises(Refused, match="cosigner/"):
                cosigner.sign(psbt, terms=deal.terms, script=script)


def test_the_old_address_pays_nobody(world):
    """Who lost a key may have lost it to somebody: from there coins only move on."""
    deal = world.loans[0]
    world.repay(deal)
    world.silence("custodian")
    world.rekey(deal, lost="lender")
    world.burn(deal)
    old = vaults_of(world._wires, deal.state)[0]
    [coin] = deal.state.vault.coins
    assert (type(coin.status), coin.generation) == (Locked, 0)
    place = OutPoint.parse(coin.outpoint)
    psbt = bip174.update(
        bip174.create([place], outputs=[(world.party("borrower").script, coin.sats - 500)]),
        owner=old,
        prev_txs=[world.bitcoin.transaction(place.txid)],
    )
    for cosigner in world._wires.cosigners:
        with pytest.raises(Refused, match="cosigner/input"):
            cosigner.sign(psbt, terms=deal.terms, script=old.script_pubkey)
    world.answer("custodian")
    world.settle()
    world.mine(6)  # moved
    world.mine(6)  # paid
    assert deal.phase == "RELEASED"
    sound(world)


def test_the_log_shows_who_has_a_new_key(world):
    deal = world.loans[0]
    world.rekey(deal, lost="lender")
    [event] = [s.event for _, s in world.acts[-1].steps if isinstance(s.event, Rekeyed)]
    assert event.generation.role == "lender"
    assert event.generation.program == "0x" + deal.vault.witness_program.hex()
