"""Coins that move within a vault while its loan runs, and vaults funded together."""

from __future__ import annotations

import pytest
from world_lab import coins_balance, sound, wealth

from escrow.actors.reserves import reserves
from escrow.adapters.bitcoin import psbt as bip174
from escrow.config import WorldConfig
from escrow.core.errors import BadInput, Refused, Rejected
from escrow.core.regions.vault import Locked, PayoutSent, PayoutVoid, Seen, Spent
from escrow.core.units import DAY, Sats
from escrow.ports import OutPoint
from escrow.world import World

POLICIES = ("two-of-three-recovery", "three-of-five", "liana-style", "musig")


def of(new, policy):
    return new(config=WorldConfig(seed=1, policy=policy))


def statuses(deal):
    return [type(coin.status) for coin in deal.state.vault.coins]


def events(world, kind):
    return [
        e
        for act in world.acts
        for _, e in ((n, s.event) for n, s in act.steps)
        if isinstance(e, kind)
    ]


@pytest.mark.parametrize("policy", POLICIES)
def test_many_coins_become_one_and_no_token_changes(new, policy):
    world = of(new, policy)
    deal = world.open()
    world.top_up(deal, btc="0.5")
    token, before = deal.state.token, wealth(world)
    world.consolidate(deal)
    world.mine(6)
    assert statuses(deal) == [Spent, Spent, Locked]
    assert deal.state.vault.coins[-1].sats == 200_000_000
    assert deal.state.token == token
    after = wealth(world)
    cost = after.fees - before.fees
    assert 0 < cost < 1_000
    assert after.sats["borrower"] == before.sats["borrower"] - cost
    assert after.vaults == before.vaults
    world.repay(deal)
    world.burn(deal, btc="0.4")
    world.mine(6)
    world.release(deal)
    assert deal.phase == "RELEASED"
    sound(world)
    coins_balance(world)


def test_attestors_know_what_a_sweep_brought_back(world):
    deal = world.loans[0]
    world.top_up(deal, btc="0.5")
    world.consolidate(deal)
    back = OutPoint(deal.state.vault.payouts[0].txid, 0)
    seen = reserves([deal.vault.script_pubkey], burned=(), bitcoin=world.bitcoin)
    assert (seen.change, seen.sats) == ({back}, 200_000_000)
    world.mine(6)
    for attestor in world._wires.attestors:
        with pytest.raises(Refused, match="attestor/change"):
            attestor.attest(back, terms=deal.terms, at=world.now)


def test_somebody_else_may_pay_for_it(world):
    deal = world.loans[0]
    world.top_up(deal, btc="0.5")
    world.pay("borrower", btc="1", to=world._wires.wallet(world.party("lender")).address)
    world.mine()
    had = world.sats_of("borrower")
    world.consolidate(deal, by="lender")
    world.mine(6)
    assert world.sats_of("borrower") == had
    assert 0 < 100_000_000 - world.sats_of("lender") < 1_000
    sound(world)


def test_who_has_no_coins_cannot(world):
    deal = world.loans[0]
    world.top_up(deal, btc="0.5")
    with pytest.raises(Refused, match="bitcoin/funds"):
        world.consolidate(deal, by="lender")
    assert statuses(deal) == [Locked, Locked]


def test_one_coin_is_one_already(world):
    with pytest.raises(Rejected, match="payout/not-locked"):
        world.consolidate()


def test_too_few_answer(world):
    deal = world.loans[0]
    world.top_up(deal, btc="0.5")
    world.silence("lender", "custodian")
    with pytest.raises(Refused, match="cosigner/absent"):
        world.consolidate(deal)
    sound(world)


def test_a_sweep_that_vanished_leaves_the_coins_where_they_were(world):
    deal = world.loans[0]
    world.top_up(deal, btc="0.5")
    world.consolidate(deal)
    world.mine()
    [sweep] = deal.state.vault.payouts
    world.reorg(1, drop=[sweep.txid])
    assert events(world, PayoutVoid)
    assert deal.state.vault.payouts == ()
    assert statuses(deal) == [Locked, Locked]
    world.repay(deal)
    world.release(deal)
    assert deal.phase == "RELEASED"
    sound(world)


def test_a_coin_that_no_token_stands_on_stays(world):
    """Swept, it would look like change, and nobody could ever mint for it."""
    deal = world.loans[0]
    world.top_up(deal, btc="0.5")
    world.pay("borrower", btc="0.00009", to=deal.vault.address)
    world.mine(6)
    world.consolidate(deal)
    world.mine(6)
    assert statuses(deal) == [Spent, Spent, Locked, Locked]
    sound(world, "pledge/below-minimum")


def test_a_stuck_sweep_is_paid_for_by_its_payer(world):
    deal = world.loans[0]
    world.top_up(deal, btc="0.5")
    world.consolidate(deal)
    with pytest.raises(Rejected, match="payout/unknown"):
        world.bump(deal, feerate=30)
    world.bump(deal, by="borrower", feerate=30)
    world.fee_market(20)
    world.mine(6)
    assert deal.state.vault.payouts[0].final
    sound(world)


# --- a lying operator ---


def sweep(world, deal, *, given, back=None, named=(), signed=True):
    """The vault's coin and ``given``'s largest coin; the vault gets ``back``, the operator what
    is left. ``named``: whose wallet key the added coin is said to have."""
    [coin] = deal.state.vault.coins
    added = world._wires.wallet(world.party(given)).coins()[0]
    inputs = [OutPoint.parse(coin.outpoint), added.outpoint]
    raws = [world.bitcoin.transaction(each.txid) for each in inputs]
    back = coin.sats if back is None else back
    rest = Sats(coin.sats + added.sats - back - 2_000)
    psbt = bip174.create(
        inputs,
        outputs=[(deal.vault.script_pubkey, back), (world.party("operator").script, rest)],
    )
    if signed:
        keys = world.party(given).keys
        psbt = bip174.update(psbt, owner=keys.wallet_key(), prev_txs=raws)
        psbt = bip174.sign(psbt, keys=keys)
    for name in named:
        psbt = bip174.update(psbt, owner=world.party(name).keys.wallet_key(), prev_txs=raws)
    return bip174.update(psbt, owner=deal.vault, prev_txs=raws)


def codes(world, deal, psbt):
    found = set()
    for cosigner in world._wires.cosigners:
        try:
            cosigner.sign(psbt, terms=deal.terms, script=deal.vault.script_pubkey)
            found.add("")
        except Refused as refusal:
            found.add(refusal.code)
    return found


def test_what_the_payer_signed_itself_is_signed_by_all(world):
    deal = world.loans[0]
    assert codes(world, deal, sweep(world, deal, given="borrower")) == {""}


def test_a_cosigners_own_wallet_is_not_signed_away(world):
    deal = world.loans[0]
    psbt = sweep(world, deal, given="borrower", signed=False, named=["borrower"])
    assert codes(world, deal, psbt) == {"cosigner/input"}


@pytest.mark.parametrize("short", [1, -1, 100_000])
def test_the_vault_gets_exactly_what_it_gave(world, short):
    deal = world.loans[0]
    [coin] = deal.state.vault.coins
    psbt = sweep(world, deal, given="borrower", back=Sats(coin.sats - short))
    assert codes(world, deal, psbt) == {"cosigner/input"}


def test_a_sweep_costs_no_more_than_the_terms_bound(new):
    world = new()
    deal = world.open(max_fee=6_000)
    world.top_up(deal, btc="0.5")
    before = wealth(world)
    world.fee_market(30)
    with pytest.raises(Rejected, match=r"payout/fee: .*bound=6000"):
        world.consolidate(deal)
    assert wealth(world) == before
    world.fee_market(10)
    world.consolidate(deal)
    assert statuses(deal) == [Spent, Spent, Seen]


def test_another_vaults_coin_is_no_fee(world):
    """Its keys are the cosigners' too, so that they would sign for it unasked."""
    deal = world.loans[0]
    other = world.open(btc="1.5")
    coins = [each.state.vault.coins[0] for each in (deal, other)]
    inputs = [OutPoint.parse(coin.outpoint) for coin in coins]
    raws = [world.bitcoin.transaction(each.txid) for each in inputs]
    psbt = bip174.create(
        inputs,
        outputs=[
            (deal.vault.script_pubkey, coins[0].sats),
            (world.party("operator").script, Sats(coins[1].sats - 2_000)),
        ],
    )
    psbt = bip174.update(psbt, owner=deal.vault, prev_txs=raws)
    assert codes(world, deal, bip174.update(psbt, owner=other.vault, prev_txs=raws)) == {
        "cosigner/input"
    }
    assert codes(world, deal, psbt) == {"cosigner/input"}


def test_a_deposit_that_was_not_minted_for_is_not_swept(world):
    deal = world.loans[0]
    world.silence("attestor-1", "attestor-2", "attestor-3")
    world.pay("borrower", btc="0.5", to=deal.vault.address)
    world.mine(6)
    _, coin = deal.state.vault.coins
    added = world._wires.wallet(world.party("borrower")).coins()[0]
    inputs = [OutPoint.parse(coin.outpoint), added.outpoint]
    raws = [world.bitcoin.transaction(each.txid) for each in inputs]
    keys = world.party("borrower").keys
    change = (world.party("borrower").script, Sats(added.sats - 1_000))
    outputs = [(deal.vault.script_pubkey, coin.sats), change]
    psbt = bip174.create(inputs, outputs=outputs)
    psbt = bip174.sign(bip174.update(psbt, owner=keys.wallet_key(), prev_txs=raws), keys=keys)
    psbt = bip174.update(psbt, owner=deal.vault, prev_txs=raws)
    assert codes(world, deal, psbt) == {"cosigner/input"}


# --- made young again ---


def test_coins_are_moved_before_less_is_asked_for_them(new):
    world = of(new, "liana-style")
    deal = world.open()
    [need] = world.refresh_by(deal)
    assert need.path == "arbiter"
    assert 89 * DAY < need.by - world.now < 91 * DAY
    world.advance(days=60)
    world.refresh(deal)
    world.mine(6)
    [later] = world.refresh_by(deal)
    assert later.by - need.by >= 60 * DAY
    world.silence("lender")
    world.repay(deal)
    world.release(deal)
    world.advance(days=40)  # 100 days after the deposit: the coin is young again
    assert [p for p in deal.state.vault.payouts if p.paid] == []
    world.advance(days=55)
    world.mine(6)
    assert deal.phase == "RELEASED"
    sound(world)


def test_a_refresh_by_the_late_path_itself(new):
    """The vault's coin must have rested; the coin that pays need not have."""
    world = of(new, "liana-style")
    deal = world.open()
    world.silence("lender")
    with pytest.raises(Refused, match="cosigner/absent"):
        world.refresh(deal)
    world.advance(days=91)
    world.pay("borrower", btc="1", to=world._wires.wallet(world.party("custodian")).address)
    world.mine()
    world.refresh(deal, by="custodian")
    world.mine(6)
    assert statuses(deal) == [Spent, Locked]
    sound(world)


def test_nothing_to_refresh_where_no_path_opens_by_waiting(world):
    assert world.refresh_by() == ()
    with pytest.raises(BadInput, match="psbt/path"):
        world.refresh()


# --- funded together ---


@pytest.mark.parametrize("policy", ["two-of-three-recovery", "musig"])
def test_several_vaults_in_one_transaction(new, policy):
    world = of(new, policy)
    deals = [world.accept(world.offer()) for _ in range(3)]
    world.pledge_many([(deal, f"1.{n}") for n, deal in enumerate(deals)])
    assert [deal.phase for deal in deals] == ["SECURED"] * 3
    places = {coin.outpoint.partition(":")[0] for d in deals for coin in d.state.vault.coins}
    assert len(places) == 1
    assert [deal.state.token.held for deal in deals] == [100_000_000, 110_000_000, 120_000_000]
    sound(world)
    coins_balance(world)


def test_all_or_nothing(world):
    deal = world.loans[0]
    had = world.sats_of("borrower")
    for deposits, code in (
        ([], "input/amount"),
        ([(deal, "1"), (deal, "0.00009999")], "mint/amount"),
        ([(deal, "1"), (deal, "1000")], "bitcoin/funds"),
    ):
        with pytest.raises((BadInput, Rejected, Refused), match=code):
            world.pledge_many(deposits)
    assert world.sats_of("borrower") == had


def test_a_sweep_survives_saving(world, tmp_path):
    deal = world.loans[0]
    world.top_up(deal, btc="0.5")
    world.consolidate(deal)
    assert events(world, PayoutSent)
    world.save(tmp_path / "a.world")
    with World.load(tmp_path / "a.world") as loaded:
        loaded.mine(6)
        loaded.repay()
        loaded.release()
        assert loaded.loans[0].phase == "RELEASED"
        sound(loaded)
