"""The fee market jumps while a payout waits: it is stuck by name, and there is a way out of it —
the quorum bumps it within the bound, a payee pays for it, the market falls again; or it is void."""

from __future__ import annotations

import pytest
from world_lab import coins, coins_balance, sound

from escrow.adapters.bitcoin import block as regtest
from escrow.adapters.bitcoin import psbt as bip174
from escrow.adapters.bitcoin.block import MINER_SCRIPT
from escrow.adapters.bitcoin.policy import read_transaction
from escrow.core.due import BumpPayout, BuryPayout, MakeGood, PayBurns, PayByChild
from escrow.core.errors import BadInput, Refused, Rejected
from escrow.core.phases import vault_phase
from escrow.core.regions.vault import PayoutMined, PayoutReplaced, PayoutStuck, PayoutVoid
from escrow.core.units import DAY, HOUR
from escrow.ports import OutPoint
from escrow.view.trace import lines
from escrow.world import World

COSIGNERS = ("lender", "borrower", "custodian")


def released(world, **terms):
    """The loan is repaid and burned for, and its payout waits at 2 sat/vB."""
    deal = world.open(**terms) if terms else world.loans[0]
    world.repay(deal)
    world.burn(deal)
    [payout] = deal.state.vault.payouts
    assert vault_phase(deal.state) == "SPEND_BROADCAST"
    return deal, payout


def happened(world, *kinds):
    """Events of these kinds, in order."""
    steps = [step.event for act in world.acts for _, step in act.steps]
    return [type(event).__name__ for event in steps if isinstance(event, kinds)]


def due_of(deal, *kinds):
    return [type(effect) for effect in deal.due if isinstance(effect, kinds)]


def feerate(world, txid):
    """Of a transaction, in whole sat/vB."""
    tx = read_transaction(world.bitcoin.transaction(txid))
    taken = sum(
        read_transaction(world.bitcoin.transaction(each.prev_out.tx_id.hex()))
        .vout[each.prev_out.vout]
        .value
        for each in tx.vin
    )
    return (taken - sum(out.value for out in tx.vout)) // tx.vsize


def mine_by_hand(world, *raws):
    """A block by a miner who takes what it likes."""
    node = world.bitcoin
    transactions = [read_transaction(raw) for raw in raws]
    block = regtest.build(
        node.tip_hash,
        height=node.height + 1,
        time=node.tip_time + 600,
        transactions=transactions,
        fees=0,
        script_pubkey=MINER_SCRIPT,
        extra_nonce=b"hand",
    )
    node.submit_block(block.raw)


# --- the quorum bumps it ---


def test_a_payout_is_offered_at_what_the_day_asks(world):
    _, payout = released(world)
    assert feerate(world, payout.txid) == 2
    with world.fork() as dear:
        dear.fee_market(30)
        second = dear.open(btc="1", principal="10000.00")
        _, later = released(dear, btc="0.5", principal="1000.00")
        assert feerate(dear, later.txid) == 31
        assert second.phase == "ACTIVE"  # parties pay what the day asks too


@pytest.mark.parametrize(("blocks", "stuck"), [(5, False), (6, True)])
def test_a_stuck_payout_is_bumped_within_the_bound(world, blocks, stuck):
    deal, payout = released(world)
    world.fee_market(100)
    world.mine(blocks)
    assert (happened(world, PayoutStuck, PayoutReplaced) != []) is stuck
    if not stuck:
        assert deal.state.vault.payouts == (payout,)
        return
    [bumped] = deal.state.vault.payouts
    assert bumped.txid != payout.txid
    assert (bumped.inputs, bumped.change) == (payout.inputs, payout.change)
    assert feerate(world, bumped.txid) == 101
    assert world.bitcoin.depth(payout.txid) is None
    world.mine(6)
    assert deal.phase == "RELEASED"
    assert coins(world, "borrower") + bumped.fee == coins_before(world)
    sound(world)
    coins_balance(world)


def coins_before(world):
    """What the borrower had mined, less what its own transactions cost."""
    deal = world.loans[0]
    [coin] = deal.state.vault.coins
    funding = coin.outpoint[:64]
    tx = read_transaction(world.bitcoin.transaction(funding))
    spent = sum(
        read_transaction(world.bitcoin.transaction(each.prev_out.tx_id.hex()))
        .vout[each.prev_out.vout]
        .value
        for each in tx.vin
    )
    return 50 * 10**8 * world.config.miner_blocks - (spent - sum(out.value for out in tx.vout))


def test_a_bump_keeps_the_change_and_both_payees(world):
    deal = world.loans[0]
    world.price("46000.00")
    world.advance(seconds=deal.terms.cure + 1)
    world.liquidate(deal)
    world.silence(*COSIGNERS)
    world.burn(deal, by="lender")
    world.burn(deal, btc="0.01")
    world.answer(*COSIGNERS)
    world.settle()
    [payout] = deal.state.vault.payouts
    world.fee_market(80)
    world.mine(6)
    [bumped] = deal.state.vault.payouts
    assert [burn for burn, _ in bumped.paid] == [burn for burn, _ in payout.paid] == [0, 1]
    assert bumped.change == payout.change > 0
    world.mine(6)
    assert deal.state.vault.payouts[0].final
    sound(world)
    coins_balance(world)


def test_a_market_that_falls_again_needs_no_bump(world):
    deal, payout = released(world)
    world.fee_market(100)
    world.silence("lender", "custodian")
    world.mine(6)
    assert vault_phase(deal.state) == "SPEND_STUCK"
    assert due_of(deal, BumpPayout, PayByChild) == [BumpPayout, PayByChild]
    world.fee_market(1)
    world.answer("lender", "custodian")
    world.mine(1)
    assert happened(world, PayoutMined, PayoutReplaced) == ["PayoutMined"]
    assert vault_phase(deal.state) == "SPEND_BROADCAST"
    world.mine(5)
    assert (deal.phase, deal.state.vault.payouts[0].txid) == ("RELEASED", payout.txid)
    sound(world)


def test_cosigners_that_refuse_leave_the_old_one_standing(world):
    deal, payout = released(world)
    world.fee_market(100)
    world.silence("lender", "custodian")
    world.mine(6)
    assert world.bitcoin.depth(payout.txid) == 0
    assert {each.code for each in world.acts[-1].refusals} == {"cosigner/absent"}
    world.answer("custodian")
    world.settle()
    assert deal.state.vault.payouts[0].txid != payout.txid
    world.mine(6)
    assert deal.phase == "RELEASED"
    sound(world)


def test_a_dearer_market_bumps_again(world):
    deal, _ = released(world)
    for floor in (50, 100):
        world.fee_market(floor)
        world.mine(6)
    [last] = deal.state.vault.payouts
    assert feerate(world, last.txid) == 101
    assert happened(world, PayoutReplaced) == ["PayoutReplaced"] * 2
    world.mine(6)
    assert deal.phase == "RELEASED"
    sound(world)


def test_a_payout_that_was_thrown_out_and_is_too_cheap_now_is_bumped_at_once(world):
    deal, payout = released(world)
    world.mine(2)
    world.fee_market(40)
    world.reorg(2, drop=[payout.txid])
    [bumped] = deal.state.vault.payouts
    assert feerate(world, bumped.txid) == 41
    world.mine(6)
    assert deal.phase == "RELEASED"
    sound(world)
    coins_balance(world)


def test_bumped_by_hand(world):
    deal, payout = released(world)
    with pytest.raises(Rejected, match="payout/fee"):
        world.bump(deal, feerate=1_000)
    txid = world.bump(deal, feerate=9)
    assert [each.txid for each in deal.state.vault.payouts] == [txid] != [payout.txid]
    assert feerate(world, txid) == 9
    assert world.bump(deal, feerate=9) == txid  # it pays that already
    world.mine(6)
    with pytest.raises(Rejected, match="payout/unknown"):
        world.bump(deal, feerate=20)
    assert deal.phase == "RELEASED"
    sound(world)


@pytest.mark.parametrize("given", [{"feerate": 0}, {"feerate": "9"}, {"feerate": 9, "most": -1}])
def test_a_bump_in_nonsense(world, given):
    deal, _ = released(world)
    with pytest.raises(BadInput, match="input/amount"):
        world.bump(deal, by="borrower", **given)
    with pytest.raises(BadInput, match="input/unknown-party"):
        world.bump(deal, by="nobody")
    with pytest.raises(BadInput, match="input/amount"):
        world.fee_market(0)
    sound(world)


# --- signatures that a bump makes void ---


def draft(world, deal, *, fee):
    """All of the first coin to the borrower, less the fee."""
    [coin] = deal.state.vault.coins
    outpoint = OutPoint.parse(coin.outpoint)
    outputs = [(world.party("borrower").script, coin.sats - fee)]
    return bip174.update(
        bip174.create([outpoint], outputs=outputs),
        owner=deal.vault,
        prev_txs=[world.bitcoin.transaction(outpoint.txid)],
    )


def test_a_bump_says_whose_signatures_are_void(world):
    """One of three has signed; the market moves, and another draft is signed: never merged."""
    deal = world.loans[0]
    world.repay(deal)
    world.silence(*COSIGNERS)
    world.burn(deal)
    cosigners = {each.party.name: each for each in world._wires.cosigners}
    script = deal.vault.script_pubkey
    old = draft(world, deal, fee=310)
    half = cosigners["lender"].sign(old, terms=deal.terms, script=script)

    world.fee_market(60)
    world.answer(*COSIGNERS)
    world.settle()
    [payout] = deal.state.vault.payouts
    assert payout.txid != old.txid
    [notice] = world.acts[-1].refusals
    assert (notice.code, notice.facts) == (
        "psbt/stale",
        {"txid": old.txid, "instead": payout.txid, "signers": "lender"},
    )
    assert "no longer: psbt/stale: signatures" in list(lines(world))[-1].why
    # What was signed for the old one neither completes it beside the new one, nor the new one.
    new = draft(world, deal, fee=payout.fee)
    assert new.txid == payout.txid
    other = bip174.sign(new, keys=world.party("custodian").keys)
    for copies in ([half, other], [other, half]):
        with pytest.raises(Refused, match="psbt/stale"):
            bip174.combine(copies)
    both = [half, bip174.sign(old, keys=world.party("custodian").keys)]
    raw = bip174.extract(bip174.finalize(bip174.combine(both)))
    with pytest.raises(Refused, match="bitcoin/fee"):
        world.bitcoin.broadcast(raw)
    world.mine(6)
    assert deal.phase == "RELEASED"
    sound(world)


def test_every_replacement_names_who_signed_the_old_one(world):
    _, payout = released(world)
    world.fee_market(100)
    world.mine(6)
    [notice] = [each for each in world.acts[-1].refusals if each.code == "psbt/stale"]
    assert notice.facts["txid"] == payout.txid
    assert notice.facts["signers"] == "lender borrower"


def test_the_old_one_may_still_be_mined(world):
    """A miner that never saw the bump: the burn is paid once, and it is noted."""
    deal, payout = released(world)
    old = world.bitcoin.transaction(payout.txid)
    world.bump(deal, feerate=50)
    mine_by_hand(world, old)
    world.settle()
    assert [each.txid for each in deal.state.vault.payouts] == [payout.txid]
    world.mine(5)
    assert deal.phase == "RELEASED"
    sound(world, "payout/replacement")
    coins_balance(world)


# --- the bound buys no place in a block ---


def test_where_the_bound_is_too_low_a_payee_pays(new):
    world = new(seed=1)
    deal, payout = released(world, max_fee=5_000)
    world.fee_market(100)
    world.mine(6)
    assert vault_phase(deal.state) == "SPEND_STUCK"
    refusal = world.acts[-1].refusals[-1]
    assert (refusal.code, refusal.facts["bound"]) == ("payout/fee", 5_000)
    assert due_of(deal, BumpPayout, PayByChild) == [BumpPayout, PayByChild]
    before = world.bitcoin.mempool()
    with pytest.raises(Rejected, match="payout/fee"):
        world.bump(deal, by="borrower", most=1_000)
    with pytest.raises(Rejected, match="payout/unknown"):
        world.bump(deal, by="lender")
    assert world.bitcoin.mempool() == before
    child = world.bump(deal, by="borrower", most=50_000)
    assert world.bitcoin.depth(child) == 0
    assert deal.state.vault.payouts == (payout,)  # nobody signed anything again
    world.mine(6)
    assert deal.phase == "RELEASED"
    assert happened(world, PayoutReplaced) == []
    sound(world)
    coins_balance(world)


def test_a_payee_may_pay_more_later(new):
    world = new(seed=1)
    deal, _ = released(world, max_fee=400)
    world.fee_market(20)
    first = world.bump(deal, by="borrower")
    world.fee_market(90)
    world.mine(1)
    second = world.bump(deal, by="borrower")
    assert [world.bitcoin.depth(each) for each in (first, second)] == [None, 0]
    world.mine(6)
    assert deal.phase == "RELEASED"
    sound(world)


def test_a_payout_that_no_node_relays_goes_with_its_child(new):
    """Signed within the bound, below the floor of the day: it is held, and stays owed."""
    world = new(seed=1)
    deal = world.open(max_fee=1_000)
    world.repay(deal)
    world.fee_market(100)
    world.burn(deal)
    assert {each.code for each in world.acts[-1].refusals} == {"bitcoin/fee"}
    assert due_of(deal, PayBurns) == [PayBurns]
    with world.fork() as other:
        # What is held is signed again wherever the world goes on.
        for each in (world, other):
            again = each.loans[0]
            each.bump(again, by="borrower")
            [payout] = again.state.vault.payouts
            assert payout.fee == 1_000
            each.mine(6)
            assert again.phase == "RELEASED"
            sound(each)
            coins_balance(each)
        assert other.state_hash == world.state_hash


def test_or_the_payee_waits(new):
    world = new(seed=1)
    deal = world.open(max_fee=1_000)
    world.repay(deal)
    world.fee_market(100)
    world.burn(deal)
    world.mine(12)
    assert due_of(deal, PayBurns) == [PayBurns]
    world.fee_market(2)
    world.mine(7)
    assert deal.phase == "RELEASED"
    sound(world)


def test_or_the_recovery_time_comes(new):
    """Nobody helps: after the recovery time the borrower takes the coins alone."""
    world = new(seed=1)
    deal = world.open(max_fee=1_000, draw_in=DAY, term=2 * DAY, grace=HOUR, recover_in=HOUR)
    world.repay(deal)
    world.fee_market(100)
    world.burn(deal)
    world.advance(seconds=deal.terms.recover_at - world.now)
    world.advance(hours=2)
    world.recover(deal)
    world.mine(6)
    assert deal.phase == "RECOVERED"
    coins_balance(world)
    assert world.engine.broken == []


# --- void ---


def test_a_payout_whose_coins_are_gone_for_good_is_void(world):
    """What funded the vault was double-spent below it: the payout can never confirm."""
    deal, payout = released(world)
    [coin] = deal.state.vault.coins
    funding = world.bitcoin.transaction(coin.outpoint[:64])
    world.mine(2)
    world.reorg(9, drop=[coin.outpoint[:64]])
    world.mine(7)
    assert happened(world, PayoutVoid) == ["PayoutVoid"]
    assert (deal.phase, vault_phase(deal.state)) == ("RELEASING", "LOST")
    assert deal.due == (MakeGood(coin.sats),)
    sound(world)
    # Should it come back after all, the burn is paid.
    world.bitcoin.broadcast(funding)
    world.mine(13)
    assert deal.phase == "RELEASED"
    assert [each.txid for each in deal.state.vault.payouts] == [payout.txid]
    sound(world)
    coins_balance(world)


@pytest.mark.parametrize(("blocks", "void"), [(5, False), (6, True)])
def test_a_payout_whose_coin_a_thief_takes_is_void_once_that_is_final(world, blocks, void):
    deal, payout = released(world)
    [coin] = deal.state.vault.coins
    outpoint = OutPoint.parse(coin.outpoint)
    theft = bip174.update(
        bip174.create([outpoint], outputs=[(world.party("stranger").script, coin.sats)]),
        owner=deal.vault,
        prev_txs=[world.bitcoin.transaction(outpoint.txid)],
    )
    signed = [bip174.sign(theft, keys=world.party(n).keys) for n in ("lender", "custodian")]
    mine_by_hand(world, bip174.extract(bip174.finalize(bip174.combine(signed))))
    world.settle()
    assert world.bitcoin.depth(payout.txid) is None
    world.mine(blocks - 1)
    if not void:
        assert deal.due == (BuryPayout(payout.txid),)
        return
    assert (vault_phase(deal.state), deal.due) == ("LOST", (MakeGood(coin.sats),))
    sound(world)
    coins_balance(world)


def test_a_void_payout_is_not_paid_from_another_coin(world):
    """It would do. But the old spend is signed, and what funded it may come back: both would
    confirm."""
    deal = world.loans[0]
    world.top_up(deal, btc="1.5")
    world.repay(deal)
    world.burn(deal, btc="1.5")
    [payout] = deal.state.vault.payouts
    [taken] = payout.inputs
    world.mine(2)
    depth = world.bitcoin.depth(taken[:64])
    world.reorg(depth, drop=[taken[:64]])
    world.mine(7)
    assert happened(world, PayoutVoid) == ["PayoutVoid"]
    assert due_of(deal, PayBurns) == [PayBurns]
    assert {each.code for each in world.acts[-1].refusals} == {"cosigner/amount"}
    assert deal.state.vault.payouts == ()
    sound(world)


# --- saved ---


def test_a_world_is_saved_while_a_payout_is_stuck(world, tmp_path):
    deal, _ = released(world)
    world.fee_market(100)
    world.mine(3)
    world.save(tmp_path / "a")
    with World.load(tmp_path / "a") as loaded:
        assert loaded.bitcoin.floor == 100
        for each in (world, loaded):
            each.mine(2)
            assert happened(each, PayoutStuck) == []
            each.mine(1)
            assert happened(each, PayoutStuck, PayoutReplaced) == ["PayoutStuck", "PayoutReplaced"]
            each.mine(6)
        assert loaded.state_hash == world.state_hash
        assert loaded.bitcoin.tip_hash == world.bitcoin.tip_hash
        assert deal.phase == loaded.loans[0].phase == "RELEASED"
