"""Attacks on the quorum: a lying operator with the real PSBT functions and every message it can
send, and stolen keys. Each cosigner refuses by itself, for the right reason."""

from __future__ import annotations

from dataclasses import replace

import pytest
from world_lab import burn_on_evm, coins, fingerprint, sound

from escrow.adapters.bitcoin import psbt as bip174
from escrow.adapters.bitcoin.policy import read_transaction
from escrow.adapters.evm import typed
from escrow.core.errors import CODES, BadInput, Refused
from escrow.core.units import COIN
from escrow.ports import OutPoint

COSIGNERS = ("lender", "borrower", "custodian")
FEE = 2 * 155  # of one coin to one P2WPKH output


def by_name(world):
    return {each.party.name: each for each in world._wires.cosigners}


def burned(world):
    """The borrower is owed 1.5 BTC and the operator has not asked the quorum yet."""
    deal = world.loans[0]
    world.repay(deal)
    quiet = [name for name in COSIGNERS if name not in world.silent]
    world.silence(*quiet)
    world.burn(deal)
    world.answer(*quiet)
    return deal


def draft(world, deal, outputs, *, coins=None, locktime=0, sequence=None):
    """A PSBT as an operator makes it: Creator, then Updater."""
    inputs = [OutPoint.parse(each) for each in coins or [deal.state.vault.coins[0].outpoint]]
    previous = [world.bitcoin.transaction(each.txid) for each in inputs]
    return bip174.update(
        bip174.create(inputs, outputs=outputs, locktime=locktime, sequence=sequence),
        owner=deal.vault,
        prev_txs=[raw for raw in previous if raw is not None],
    )


def refuse(world, deal, psbt, code, *, terms=None, script=None):
    """Every cosigner refuses, by ``code``, and keeps its signature to itself."""
    before = fingerprint(world)
    for cosigner in by_name(world).values():
        memory = cosigner.memory
        with pytest.raises(Refused) as refusal:
            cosigner.sign(
                psbt, terms=terms or deal.terms, script=script or deal.vault.script_pubkey
            )
        assert refusal.value.code == code in CODES, cosigner
        assert cosigner.memory == memory
    assert fingerprint(world) == before


def accept(world, deal, psbt, *names):
    """These cosigners sign; the spend is complete."""
    signed = [
        by_name(world)[name].sign(psbt, terms=deal.terms, script=deal.vault.script_pubkey)
        for name in names
    ]
    return bip174.extract(bip174.finalize(bip174.combine(signed)))


def home(world, name="borrower"):
    return world.party(name).script


# --- what is entitled is signed ---


@pytest.mark.parametrize("pair", [(0, 1), (0, 2), (1, 2)])
def test_any_two_sign_what_a_burn_entitles(world, pair):
    deal = burned(world)
    raw = accept(
        world,
        deal,
        draft(world, deal, [(home(world), 150_000_000 - FEE)]),
        *(COSIGNERS[i] for i in pair),
    )
    world.bitcoin.broadcast(raw)
    world.mine(6)
    assert deal.phase == "RELEASED"
    sound(world)


# --- lies about where, how much, and what for ---


def test_another_destination(world):
    deal = burned(world)
    for name in ("operator", "lender", "stranger"):
        psbt = draft(world, deal, [(home(world, name), 150_000_000 - FEE)])
        refuse(world, deal, psbt, "cosigner/destination")


def test_an_output_beside_the_right_one(world):
    deal = burned(world)
    outputs = [(home(world), 140_000_000), (home(world, "operator"), 10_000_000 - FEE)]
    refuse(world, deal, draft(world, deal, outputs), "cosigner/destination")


@pytest.mark.parametrize("more", [1, -1, 5_000])
def test_an_amount_beside_the_burned_one(world, more):
    """One sat more to one payee is one sat less to another, or to the miner."""
    deal = world.loans[0]
    world.repay(deal)
    world.silence(*COSIGNERS)
    world.burn(deal, btc="1")
    world.answer(*COSIGNERS)
    vault = deal.vault.script_pubkey
    right = [(home(world), COIN - 500), (vault, COIN // 2)]
    by_name(world)["lender"].review(draft(world, deal, right), terms=deal.terms, script=vault)
    wrong = [(home(world), COIN - 500 + more), (vault, COIN // 2 - more)]
    refuse(world, deal, draft(world, deal, wrong), "cosigner/amount")


def test_change_is_kept_as_a_fee(world):
    """What should return to the vault goes to a friendly miner instead."""
    deal = world.loans[0]
    world.repay(deal)
    world.silence(*COSIGNERS)
    world.burn(deal, btc="1.4999")
    world.answer(*COSIGNERS)
    psbt = draft(world, deal, [(home(world), 149_990_000)])
    refuse(world, deal, psbt, "cosigner/amount")


@pytest.mark.parametrize(("over", "ok"), [(0, True), (1, False), (10_000_000, False)])
def test_a_fee_up_to_the_bound(world, over, ok):
    deal = burned(world)
    psbt = draft(world, deal, [(home(world), 150_000_000 - deal.terms.max_fee - over)])
    if ok:
        accept(world, deal, psbt, "lender", "custodian")
    else:
        refuse(world, deal, psbt, "cosigner/fee")


def test_no_burn_at_all(world):
    deal = world.loans[0]
    for name, code in (("borrower", "destination"), ("operator", "destination")):
        psbt = draft(world, deal, [(home(world, name), 150_000_000 - FEE)])
        refuse(world, deal, psbt, f"cosigner/{code}")


def test_a_spend_back_to_the_vault_itself(world):
    """Pays nobody, but burns coins as fees, again and again."""
    deal = world.loans[0]
    psbt = draft(world, deal, [(deal.vault.script_pubkey, 150_000_000 - FEE)])
    refuse(world, deal, psbt, "cosigner/amount")


def test_the_order_of_outputs_cannot_hide_anything(world):
    deal = world.loans[0]
    world.repay(deal)
    world.silence(*COSIGNERS)
    world.burn(deal, btc="1")
    world.answer(*COSIGNERS)
    vault = deal.vault.script_pubkey
    psbt = draft(world, deal, [(vault, COIN // 2), (home(world), COIN - 500)])
    refuse(world, deal, psbt, "cosigner/amount")


# --- replays ---


def two_coins(world):
    """Two coins of the same size; a burn of one of them waits."""
    deal = world.loans[0]
    world.top_up(deal, btc="1.5")
    world.repay(deal)
    world.silence(*COSIGNERS)
    world.burn(deal, btc="1.5")
    world.answer(*COSIGNERS)
    first, second = (coin.outpoint for coin in deal.state.vault.coins)
    return deal, first, second


@pytest.mark.parametrize("blocks", [0, 1, 6])
def test_a_burn_is_paid_once(world, blocks):
    """The second spend of one burn, while the first waits, is mined, or is final."""
    deal, first, second = two_coins(world)
    outputs = [(home(world), 150_000_000 - FEE)]
    raw = accept(world, deal, draft(world, deal, outputs, coins=[first]), "lender", "custodian")
    world.bitcoin.broadcast(raw)
    world.silence(*COSIGNERS)
    for cosigner in by_name(world).values():
        cosigner.remember({})  # even one that has lost its memory
    world.mine(blocks)
    refuse(world, deal, draft(world, deal, outputs, coins=[second]), "cosigner/amount")


def test_a_spend_that_was_signed_and_held_back(world):
    """Signed first, sent later: on no chain can one see it, so a cosigner must remember."""
    deal, first, second = two_coins(world)
    outputs = [(home(world), 150_000_000 - FEE)]
    held_back = accept(
        world, deal, draft(world, deal, outputs, coins=[first]), "lender", "custodian"
    )
    again = draft(world, deal, outputs, coins=[second])
    for name in ("lender", "custodian"):
        with pytest.raises(Refused, match="cosigner/amount"):
            by_name(world)[name].sign(again, terms=deal.terms, script=deal.vault.script_pubkey)
    # Both coins together conflict with what was held back, so that may be signed.
    rest = [(home(world), 150_000_000 - FEE), (deal.vault.script_pubkey, 150_000_000)]
    sent = accept(world, deal, draft(world, deal, rest, coins=[first, second]), *COSIGNERS[::2])
    world.bitcoin.broadcast(sent)
    with pytest.raises(Refused, match="bitcoin/conflict"):
        world.bitcoin.broadcast(held_back)
    world.mine(6)
    sound(world)


def test_a_spend_whose_coin_is_gone_for_good_is_forgotten(world):
    """What was signed can never confirm, so the burn may be paid from another coin."""
    deal, first, second = two_coins(world)
    accept(
        world,
        deal,
        draft(world, deal, [(home(world), 150_000_000 - FEE)], coins=[first]),
        "lender",
        "custodian",
    )
    theft = draft(world, deal, [(home(world, "stranger"), 150_000_000 - FEE)], coins=[first])
    stolen = [bip174.sign(theft, keys=world.party(name).keys) for name in ("lender", "borrower")]
    world.bitcoin.broadcast(bip174.extract(bip174.finalize(bip174.combine(stolen))))
    world.mine(6)
    [payout] = deal.state.vault.payouts
    assert payout.inputs == (second,)
    assert world.engine.broken == []


def test_a_thrown_out_payout_is_not_replaced_by_another(world):
    """One of its coins is back in the mempool: what is left would pay the burn in another way."""
    deal, first, second = two_coins(world)
    outputs = [(home(world), 150_000_000 - FEE), (deal.vault.script_pubkey, 150_000_000)]
    both = draft(world, deal, outputs, coins=[first, second])
    world.bitcoin.broadcast(accept(world, deal, both, "lender", "custodian"))
    world.mine(1)
    [payout] = deal.state.vault.payouts
    world.reorg(7, drop=[payout.txid])
    assert world.bitcoin.depth(second[:64]) == 0
    assert world.bitcoin.spender(OutPoint.parse(first)) is None
    assert any(error.code == "payout/unknown" for error in world.acts[-1].refusals)
    world.mine(6)
    assert world.bitcoin.depth(payout.txid) == 0  # all its coins are final again: the same again
    assert world.engine.broken == []


def test_memory_is_saved_and_forked(world, tmp_path):
    deal, first, second = two_coins(world)
    outputs = [(home(world), 150_000_000 - FEE)]
    accept(world, deal, draft(world, deal, outputs, coins=[first]), "lender", "custodian")
    world.silence(*COSIGNERS)
    world.save(tmp_path / "world")
    for again in (world.fork(), type(world).load(tmp_path / "world")):
        with again:
            psbt = draft(again, again.loans[0], outputs, coins=[second])
            with pytest.raises(Refused, match="cosigner/amount"):
                by_name(again)["lender"].review(
                    psbt, terms=deal.terms, script=deal.vault.script_pubkey
                )


def test_what_was_signed_and_got_lost_does_not_block_the_payout(world):
    """One cosigner signed, the others were silent; then a larger coin came in."""
    deal, _, second = two_coins(world)
    outputs = [(home(world), 150_000_000 - FEE)]
    psbt = draft(world, deal, outputs, coins=[second])
    by_name(world)["lender"].sign(psbt, terms=deal.terms, script=deal.vault.script_pubkey)
    world.silence("borrower")
    world.mine(1)
    [payout] = deal.state.vault.payouts
    assert second in payout.inputs
    sound(world)


def test_tokens_without_coins_are_not_paid_with_anothers(world):
    """A quorum of attestors lies: the borrower burns what was minted for nothing."""
    deal, pledge = world.loans[0], world.evm.contracts.pledge
    message = {
        "loan": bytes.fromhex(deal.id[2:]),
        "holder": world.party("borrower").address_bytes,
        "txid": b"\xab" * 32,
        "vout": 0,
        "sats": 150_000_000,
        "reserves": 300_000_000,
        "seen_at": world.now,
        "bitcoin_block": bytes.fromhex(world.bitcoin.tip_hash),
    }
    sigs = [
        typed.sign_attestation(world.party(name).account, attestation=message, domain=pledge.domain)
        for name in ("attestor-1", "attestor-2")
    ]
    anyone = world.party("stranger").account
    pledge.send(anyone, "mint", tuple(message.values()), sigs)
    burn_on_evm(world, "borrower", message["loan"], 150_000_000, home(world))
    world.settle()
    psbt = draft(world, deal, [(home(world), 150_000_000 - FEE)])
    refuse(world, deal, psbt, "cosigner/change")


# --- coins ---


def test_coins_of_another_loan(world):
    deal = burned(world)
    other = world.open(btc="1.5", principal="30000.00")
    world.silence(*COSIGNERS)
    [coin] = other.state.vault.coins
    outputs = [(home(world), 150_000_000 - FEE)]
    psbt = draft(world, other, outputs, coins=[coin.outpoint])
    refuse(world, deal, psbt, "cosigner/input")
    refuse(world, deal, psbt, "cosigner/loan-state", script=other.vault.script_pubkey)
    refuse(
        world,
        deal,
        psbt,
        "cosigner/destination",
        terms=other.terms,
        script=other.vault.script_pubkey,
    )


def test_a_coin_that_is_not_final(world):
    world.pay("borrower", btc="1.5", to=world.loans[0].vault.address)
    deal = burned(world)
    pending = deal.state.vault.coins[-1].outpoint
    outputs = [(home(world), 150_000_000 - FEE)]
    refuse(world, deal, draft(world, deal, outputs, coins=[pending]), "cosigner/input")
    world.silence(*COSIGNERS)
    world.mine(5)
    refuse(world, deal, draft(world, deal, outputs, coins=[pending]), "cosigner/input")
    world.mine(1)
    accept(world, deal, draft(world, deal, outputs, coins=[pending]), "lender", "custodian")


def test_a_coin_that_does_not_exist(world):
    deal = burned(world)
    [coin] = deal.state.vault.coins
    txid = coin.outpoint.split(":")[0]
    with pytest.raises((Refused, BadInput)):
        draft(world, deal, [(home(world), 1_000_000)], coins=[f"{txid}:7"])


@pytest.mark.parametrize(("more", "code"), [(1, ""), (0, "fee"), (-1, "fee")])
def test_a_payout_that_waits_is_replaced_by_a_dearer_one_only(world, more, code):
    deal = burned(world)
    right = draft(world, deal, [(home(world), 150_000_000 - FEE)])
    world.bitcoin.broadcast(accept(world, deal, right, "lender", "custodian"))
    other = draft(world, deal, [(home(world), 150_000_000 - FEE - more)])
    if more == 0:
        # Another transaction at the same fee.
        other = draft(world, deal, [(home(world), 150_000_000 - FEE)], sequence=0xFFFFFFFC)
    if code:
        refuse(world, deal, other, f"cosigner/{code}")
    else:
        accept(world, deal, other, "lender", "custodian")
    world.bitcoin.mine(time=world.bitcoin.tip_time + 600)
    refuse(world, deal, other, "cosigner/input")


def test_a_spend_that_could_not_be_bumped(world):
    deal = burned(world)
    outputs = [(home(world), 150_000_000 - FEE)]
    refuse(world, deal, draft(world, deal, outputs, sequence=0xFFFFFFFE), "cosigner/sequence")
    accept(world, deal, draft(world, deal, outputs, sequence=0xFFFFFFFD), "lender", "custodian")


def test_a_bump_that_drops_a_payee(world):
    """The lender's burn and the borrower's are paid together; a bump must pay both."""
    deal = world.loans[0]
    world.price("46000.00")
    world.advance(seconds=deal.terms.cure + 1)
    world.liquidate(deal)
    world.silence(*COSIGNERS)
    world.burn(deal, by="lender")
    world.burn(deal)
    world.answer(*COSIGNERS)
    world.settle()
    [payout] = deal.state.vault.payouts
    seized, back = (burn.sats for burn in deal.state.token.burns)
    fee = payout.fee + 1_000
    one = [(home(world, "lender"), seized - fee), (deal.vault.script_pubkey, back)]
    refuse(world, deal, draft(world, deal, one), "cosigner/amount")
    both = [(home(world, "lender"), seized - fee // 2), (home(world), back - fee // 2)]
    accept(world, deal, draft(world, deal, both), "lender", "custodian")


def test_a_theft_that_waits_is_not_bumped(world):
    """What it would push out pays no burn: nobody can say whom the bump would serve."""
    deal = burned(world)
    theft = draft(world, deal, [(home(world, "stranger"), 150_000_000 - FEE)])
    stolen = [bip174.sign(theft, keys=world.party(name).keys) for name in ("lender", "borrower")]
    world.bitcoin.broadcast(bip174.extract(bip174.finalize(bip174.combine(stolen))))
    dearer = draft(world, deal, [(home(world), 150_000_000 - 2 * FEE)])
    refuse(world, deal, dearer, "cosigner/input")


# --- terms and time ---


def test_terms_that_were_never_opened(world):
    deal = burned(world)
    psbt = draft(world, deal, [(home(world), 150_000_000 - FEE)])
    for change in ({"max_fee": 10_000_000}, {"confirmations": 1}, {"nonce": 9}):
        terms = replace(deal.terms, **change)
        refuse(world, deal, psbt, "cosigner/loan-state", terms=terms)


def test_a_spend_with_a_time_lock(world):
    """A cosigner's recovery key must not sign what the quorum is asked for."""
    deal = burned(world)
    locktime = deal.vault.recover_after
    psbt = draft(world, deal, [(home(world), 150_000_000 - FEE)], locktime=locktime)
    refuse(world, deal, psbt, "cosigner/loan-state")


def test_a_signature_on_one_spend_is_none_on_another(world):
    deal = burned(world)
    right = draft(world, deal, [(home(world), 150_000_000 - FEE)])
    wrong = draft(world, deal, [(home(world, "operator"), 150_000_000 - FEE)])
    signed = by_name(world)["lender"].sign(right, terms=deal.terms, script=deal.vault.script_pubkey)
    stolen = bip174.sign(wrong, keys=world.party("custodian").keys)
    with pytest.raises(Refused, match="psbt/altered"):
        bip174.combine([stolen, signed])


# --- stolen keys ---


@pytest.mark.parametrize("thief", COSIGNERS)
def test_one_stolen_key_moves_nothing(world, thief):
    deal = world.loans[0]
    psbt = draft(world, deal, [(home(world, "stranger"), 150_000_000 - FEE)])
    signed = bip174.sign(psbt, keys=world.party(thief).keys)
    with pytest.raises(Refused, match="psbt/incomplete"):
        bip174.finalize(signed)


def test_the_recovery_key_moves_nothing_before_its_time(world):
    deal = world.loans[0]
    before = fingerprint(world)
    with pytest.raises(Refused, match="bitcoin/non-final"):
        world.recover(deal)
    assert fingerprint(world) == before
    fee = 2 * deal.vault.vsize("recovery", 1, [home(world)])
    early = draft(
        world,
        deal,
        [(home(world), 150_000_000 - fee)],
        locktime=world.bitcoin.tip_time - 10_000,  # a lock that has passed, but not the vault's
    )
    signed = bip174.sign(early, keys=world.party("borrower").keys)
    with pytest.raises(Refused, match="psbt/incomplete"):
        bip174.finalize(signed)
    assert fingerprint(world) == before


def test_two_keys_together_move_coins_and_it_shows(world):
    """That is what two of three means: no policy stands above two thieves. But the theft is seen,
    the tokens are retired, and the debt is owed as before."""
    deal = world.loans[0]
    psbt = draft(world, deal, [(home(world, "stranger"), 150_000_000 - FEE)])
    signed = [bip174.sign(psbt, keys=world.party(name).keys) for name in ("lender", "custodian")]
    world.bitcoin.broadcast(bip174.extract(bip174.finalize(bip174.combine(signed))))
    world.mine(6)
    assert coins(world, "stranger") == 150_000_000 - FEE
    assert deal.state.token.held == 0
    assert deal.debt > 5_000_000
    sound(world)


# --- lies to the attestors ---


def attestor(world):
    return world._wires.attestors[0]


def test_change_is_not_attested_as_a_deposit(world):
    """Its tokens exist already: minting for it again would double the supply."""
    deal = world.loans[0]
    world.repay(deal)
    world.burn(deal, btc="0.5")
    world.mine(6)
    [payout] = deal.state.vault.payouts
    assert payout.final
    change = OutPoint(payout.txid, 1)
    with pytest.raises(Refused, match="attestor/change"):
        attestor(world).attest(change, terms=deal.terms, at=world.now)
    sound(world)


def test_a_coin_that_was_paid_out_is_no_loss(world):
    """Its tokens were burned already: retiring them again would take another's."""
    deal = world.loans[0]
    [coin] = deal.state.vault.coins
    world.repay(deal)
    world.burn(deal, btc="0.5")
    world.mine(6)
    with pytest.raises(Refused, match="attestor/not-lost"):
        attestor(world).attest_loss(
            OutPoint.parse(coin.outpoint), terms=deal.terms, sats=coin.sats, at=world.now
        )


def test_a_coin_that_never_was_in_the_vault_is_no_loss(world):
    """Else any outpoint would do to destroy tokens that others hold."""
    deal = world.loans[0]
    txid = deal.state.vault.coins[0].outpoint[:64]
    funding = read_transaction(world.bitcoin.transaction(txid)).vin[0].prev_out
    elsewhere = OutPoint(funding.tx_id.hex(), funding.vout)  # a coin of the borrower's, spent
    for point in (OutPoint("ab" * 32, 0), OutPoint(txid, 7), elsewhere):
        with pytest.raises(Refused, match="attestor/not-lost"):
            attestor(world).attest_loss(point, terms=deal.terms, sats=COIN, at=world.now)


def test_change_of_a_payout_that_was_thrown_out_is_no_loss(world):
    """The coins behind it are unspent again, and the payout is sent again."""
    deal = world.loans[0]
    world.repay(deal)
    world.burn(deal, btc="0.5")
    world.mine(2)
    [payout] = deal.state.vault.payouts
    world.silence(*COSIGNERS)
    world.reorg(2, drop=[payout.txid])
    assert world.bitcoin.depth(payout.txid) is None
    with pytest.raises(Refused, match="attestor/not-lost"):
        attestor(world).attest_loss(
            OutPoint(payout.txid, 1), terms=deal.terms, sats=payout.change, at=world.now
        )
    assert world.evm.outstanding(deal.id) == COIN
    world.answer(*COSIGNERS)
    world.mine(7)  # sent again after the first block
    assert deal.state.vault.payouts[0].final
    world.release(deal)
    assert deal.phase == "RELEASED"
    sound(world)


def test_a_loss_is_at_most_what_the_coin_was_worth(world):
    deal = world.loans[0]
    psbt = draft(world, deal, [(home(world, "stranger"), 150_000_000 - FEE)])
    signed = [bip174.sign(psbt, keys=world.party(name).keys) for name in ("lender", "custodian")]
    world.silence("attestor-1", "attestor-2")
    world.bitcoin.broadcast(bip174.extract(bip174.finalize(bip174.combine(signed))))
    world.mine(6)
    point = OutPoint.parse(deal.state.vault.coins[0].outpoint)
    with pytest.raises(Refused, match="attestor/amount"):
        attestor(world).attest_loss(point, terms=deal.terms, sats=150_000_001, at=world.now)
    world.answer("attestor-1")
    world.mine(1)
    assert deal.state.token.held == 0
    sound(world)


def test_a_coin_is_attested_for_its_own_loan_only(world):
    first = world.loans[0]
    other = world.accept(world.offer())
    point = OutPoint.parse(first.state.vault.coins[0].outpoint)
    with pytest.raises(Refused, match="attestor/not-vault"):
        attestor(world).attest(point, terms=other.terms, at=world.now)
    terms = replace(first.terms, max_fee=1)
    with pytest.raises(Refused, match="attestor/not-vault"):
        attestor(world).attest(point, terms=terms, at=world.now)


def test_a_minted_coin_is_not_attested_beyond_the_supply(world):
    deal = world.loans[0]
    point = OutPoint.parse(deal.state.vault.coins[0].outpoint)
    with pytest.raises(Refused, match="attestor/supply"):
        attestor(world).attest(point, terms=deal.terms, at=world.now)


def test_a_coin_with_too_few_confirmations_is_not_attested(world):
    deal = world.loans[0]
    world.pledge(deal, btc="1", wait=False)
    world.mine(5)
    point = OutPoint.parse(deal.state.vault.coins[-1].outpoint)
    with pytest.raises(Refused, match="attestor/not-final"):
        attestor(world).attest(point, terms=deal.terms, at=world.now)


def test_a_coin_that_is_there_is_not_retired(world):
    deal = world.loans[0]
    [coin] = deal.state.vault.coins
    point = OutPoint.parse(coin.outpoint)
    with pytest.raises(Refused, match="attestor/not-lost"):
        attestor(world).attest_loss(point, terms=deal.terms, sats=coin.sats, at=world.now)
    world.reorg(7)  # back in the mempool: not lost yet
    with pytest.raises(Refused, match="attestor/not-lost"):
        attestor(world).attest_loss(point, terms=deal.terms, sats=coin.sats, at=world.now)


# --- one payee cannot hold up another ---


def test_a_burn_that_names_the_vault_itself_holds_up_nobody_else(world):
    """The lender's burn and the borrower's, which names the vault, wait together."""
    deal = world.loans[0]
    world.price("46000.00")
    world.advance(seconds=deal.terms.cure + 1)
    world.liquidate(deal)
    world.silence(*COSIGNERS)
    world.burn(deal, by="lender")
    world.burn(deal, to=deal.vault.address)
    world.answer(*COSIGNERS)
    world.mine(6)
    assert coins(world, "lender") > 0
    assert world.engine.broken == []
