"""Whole lives of loans, on both chains: after each, the engine and the chains say the same, no law
was broken, and every sat and cent is accounted for."""

from __future__ import annotations

from world_lab import coins, coins_balance, in_vault, sound, wealth

from escrow.adapters.bitcoin.vault import parse_address
from escrow.core.due import AttestLoss, BuryPayout, PayBurns, RecoverCoins
from escrow.core.phases import vault_phase
from escrow.core.units import COIN, DAY, HOUR

SHORT = {"draw_in": DAY, "term": 3 * DAY, "grace": DAY, "recover_in": DAY}
"""Spans of a loan that ends within a week."""


def phase_of_coins(deal):
    return [type(coin.status).__name__ for coin in deal.state.vault.coins]


# --- repaid ---


def test_a_loan_is_repaid_and_released(world):
    deal = world.loans[0]
    before = wealth(world)
    world.repay(deal)
    assert deal.phase == "REPAID"
    sound(world)
    world.release(deal)
    assert deal.phase == "RELEASED"
    assert deal.due == ()
    sound(world)
    coins_balance(world)
    after = wealth(world)
    [payout] = deal.state.vault.payouts
    assert after.sats["borrower"] == before.sats["borrower"] + 150_000_000 - payout.fee
    assert after.vaults == 0
    paid = deal.state.loan.debt
    assert paid.paid_principal == 5_000_000
    assert after.cash["lender"] == before.cash["lender"] + 5_000_000 + paid.paid_interest


def test_repaid_in_parts_by_several(world):
    deal = world.loans[0]
    world.advance(days=30)
    world.repay(deal, "1000.00")
    world.advance(days=1)
    world.repay(deal, "2000.00", by="liquidator")
    sound(world)
    world.advance(days=1)
    world.repay(deal, "1000000.00", by="liquidator")  # only what is owed is taken
    assert deal.phase == "REPAID"
    world.release(deal)
    assert deal.phase == "RELEASED"
    sound(world)
    coins_balance(world)


# --- called and cured ---


def test_a_call_is_cured_by_a_top_up(world):
    deal = world.loans[0]
    world.price("46000.00")
    assert deal.phase == "MARGIN_CALL"
    sound(world)
    world.top_up(deal, btc="0.5")
    assert deal.phase == "ACTIVE"
    sound(world)
    world.repay(deal)
    world.release(deal)
    assert deal.phase == "RELEASED"
    sound(world)
    coins_balance(world)


def test_a_call_is_cured_by_repaying_a_part(world):
    deal = world.loans[0]
    world.price("46000.00")
    world.repay(deal, "15000.00")
    assert deal.phase == "ACTIVE"
    sound(world)


def test_a_call_is_cured_by_the_price(world):
    deal = world.loans[0]
    world.price("46000.00")
    world.price("60000.00")
    assert deal.phase == "ACTIVE"
    sound(world)


def test_a_repayment_at_the_deadline_itself_is_on_time(world):
    deal = world.loans[0]
    world.price("46000.00")
    world.advance(seconds=deal.terms.cure)
    assert deal.phase == "MARGIN_CALL"
    world.repay(deal, "15000.00")
    assert deal.phase == "ACTIVE"
    sound(world)


def test_a_silent_oracle_costs_no_cure_time(new):
    world = new(seed=1)
    deal = world.open(cure=2 * DAY)
    world.price("46000.00")
    world.silence("oracle-1", "oracle-2", "oracle-3")
    world.advance(days=5)
    assert deal.phase == "MARGIN_CALL"
    world.answer("oracle-1")
    world.price("46000.00")
    assert deal.phase == "MARGIN_CALL"
    sound(world)
    world.advance(days=1)
    assert deal.phase == "MARGIN_CALL"
    world.advance(seconds=1)
    assert deal.phase == "LIQUIDATING"
    sound(world)


# --- liquidated ---


def expired(world, **terms):
    deal = world.open(**terms) if terms else world.loans[-1]
    world.price("46000.00")
    world.advance(seconds=deal.terms.cure + 1)
    assert deal.phase == "LIQUIDATING"
    sound(world)
    return deal


def test_an_expired_call_ends_in_take_over_and_both_are_paid_in_two_spends(world):
    deal = expired(world)
    before = wealth(world)
    world.liquidate(deal)
    split = deal.state.loan.split
    assert split.seized + split.surplus == 150_000_000
    assert split.bad_debt == 0
    assert world.tokens_of("lender") == split.seized
    assert world.tokens_of("borrower") == split.surplus
    sound(world)
    world.burn(deal, by="lender")
    world.mine(6)
    sound(world)
    world.burn(deal, by="borrower")
    world.mine(6)
    assert deal.phase == "SETTLED"
    assert deal.due == ()
    sound(world)
    coins_balance(world)
    first, second = deal.state.vault.payouts
    after = wealth(world)
    assert after.sats["lender"] == before.sats["lender"] + split.seized - first.fee
    assert after.sats["borrower"] == before.sats["borrower"] + split.surplus - second.fee
    assert first.change == split.surplus


def test_two_burns_that_wait_are_paid_by_one_spend(world):
    deal = expired(world)
    world.liquidate(deal)
    split = deal.state.loan.split
    world.silence("custodian", "lender")
    world.burn(deal, by="lender")
    world.burn(deal, by="borrower")
    assert [type(effect) for effect in deal.due] == [PayBurns]
    assert deal.state.vault.payouts == ()
    world.answer("custodian", "lender")
    world.mine(6)
    world.mine(6)
    [payout] = deal.state.vault.payouts
    assert len(payout.paid) == 2
    assert payout.change == 0
    assert deal.phase == "SETTLED"
    sound(world)
    coins_balance(world)
    assert coins(world, "lender") == split.seized - payout.fee + payout.fee // 2


def test_a_third_party_buys_the_collateral(new):
    world = new(seed=3)
    deal = expired(world, liquidation="third-party")
    before = wealth(world)
    owed = deal.debt
    world.liquidate(deal)
    split = deal.state.loan.split
    after = wealth(world)
    assert before.cash["liquidator"] - after.cash["liquidator"] == split.repaid >= owed
    assert after.cash["lender"] - before.cash["lender"] == split.repaid
    sound(world)
    world.burn(deal, by="liquidator")
    world.mine(6)
    world.burn(deal)
    world.mine(6)
    assert deal.phase == "SETTLED"
    sound(world)
    coins_balance(world)
    assert coins(world, "liquidator") == split.seized - deal.state.vault.payouts[0].fee


def test_a_crash_leaves_bad_debt_that_is_written_off(world):
    deal = world.loans[0]
    world.price("20000.00")
    world.liquidate(deal)
    split = deal.state.loan.split
    assert split.bad_debt > 0
    assert split.surplus == 0
    world.burn(deal, by="lender")
    world.mine(6)
    assert deal.phase == "WRITTEN_OFF"
    sound(world)
    coins_balance(world)


def test_a_loan_in_default_is_taken_over(new):
    world = new(seed=1)
    deal = world.open(**SHORT)
    world.advance(seconds=deal.terms.maturity + deal.terms.grace - world.now)
    assert deal.phase == "ACTIVE"
    world.advance(seconds=1)
    world.liquidate(deal)
    assert deal.state.loan.reason.value == "default"
    sound(world)


# --- never drawn ---


def test_an_offer_is_withdrawn(new):
    world = new(seed=1)
    deal = world.offer()
    world.cancel(deal, by="lender")
    assert deal.phase == "CANCELLED"
    sound(world)


def test_an_offer_lapses(new):
    world = new(seed=1)
    deal = world.offer()
    world.advance(seconds=DAY)
    assert deal.phase == "OFFERED"
    world.advance(seconds=1)
    assert deal.phase == "CANCELLED"
    sound(world)


def test_a_loan_without_coins_is_cancelled(new):
    world = new(seed=1)
    deal = world.accept(world.offer())
    assert deal.phase == "AWAITING_COLLATERAL"
    world.cancel(deal)
    assert deal.phase == "CANCELLED"
    sound(world)


def test_a_secured_loan_is_cancelled_and_refunded(new):
    world = new(seed=1)
    deal = world.pledge(world.accept(world.offer()), btc="1")
    assert deal.phase == "SECURED"
    world.cancel(deal)
    assert deal.phase == "RELEASING"
    world.release(deal)
    assert deal.phase == "REFUNDED"
    sound(world)
    coins_balance(world)


def test_the_draw_window_lapses(new):
    world = new(seed=1)
    deal = world.pledge(world.accept(world.offer()), btc="1")
    world.advance(seconds=deal.terms.draw_by - world.now)
    assert deal.phase == "SECURED"
    world.advance(seconds=1)
    assert deal.phase == "RELEASING"
    world.release(deal)
    assert deal.phase == "REFUNDED"
    sound(world)
    coins_balance(world)


# --- others fall silent ---


def test_the_borrower_recovers_when_lender_and_custodian_are_silent(new):
    world = new(seed=1)
    deal = world.open(**SHORT)
    world.silence("lender", "custodian")
    world.advance(seconds=deal.terms.recover_at - world.now)
    world.advance(hours=2)  # Bitcoin's own clock is behind
    assert any(isinstance(effect, RecoverCoins) for effect in deal.due)
    world.recover(deal)
    world.mine(6)
    assert deal.phase == "RECOVERED"
    assert phase_of_coins(deal) == ["Recovered"]
    assert deal.state.loan.debt.principal == 5_000_000  # owed still, without security
    sound(world)
    coins_balance(world)


def test_a_repaid_borrower_recovers_though_nobody_signs(new):
    world = new(seed=1)
    deal = world.open(**SHORT)
    world.repay(deal)
    world.silence("lender", "custodian")
    world.burn(deal)
    assert deal.state.vault.payouts == ()
    world.advance(seconds=deal.terms.recover_at - world.now + 2 * HOUR)
    world.recover(deal)
    world.mine(6)
    assert in_vault(world, deal) == 0
    coins_balance(world)


def test_the_custodian_signs_in_place_of_a_silent_lender(world):
    deal = world.loans[0]
    world.repay(deal)
    world.silence("lender")
    world.release(deal)
    assert deal.phase == "RELEASED"
    sound(world)
    [payout] = deal.state.vault.payouts
    raw = world.bitcoin.transaction(payout.txid)
    assert raw is not None


# --- reorganisations ---


def test_a_deposit_is_reorganised_before_it_is_minted(new):
    world = new(seed=1)
    deal = world.accept(world.offer())
    world.pledge(deal, btc="1", wait=False)
    world.mine(3)
    assert phase_of_coins(deal) == ["Confirming"]
    world.reorg(3)
    assert phase_of_coins(deal) == ["Seen"]
    world.mine(6)
    assert deal.state.token.minted == COIN
    world.secure(deal)
    sound(world)


def test_a_minted_deposit_is_dug_out_and_comes_back(world):
    deal = world.loans[0]
    world.reorg(7)
    assert phase_of_coins(deal) == ["Reorged"]
    assert vault_phase(deal.state) == "REORGED"
    world.mine(6)
    assert phase_of_coins(deal) == ["Locked"]
    assert deal.state.token.minted == 150_000_000
    sound(world)


def test_a_deposit_that_was_double_spent_takes_its_tokens_along(world):
    deal = world.loans[0]
    [coin] = deal.state.vault.coins
    world.reorg(7, drop=[coin.outpoint.split(":")[0]])
    assert phase_of_coins(deal) == ["Lost"]
    assert deal.state.token.held == 0
    assert world.tokens_of("borrower") == 0
    assert not any(isinstance(effect, AttestLoss) for effect in deal.due)
    assert deal.phase in ("ACTIVE", "MARGIN_CALL")  # the debt is bare, and everyone can see it
    sound(world)
    coins_balance(world)
    world.repay(deal)
    assert deal.phase == "RELEASED"
    sound(world)


def test_a_payout_is_reorganised_and_buried_again(world):
    deal = world.loans[0]
    world.repay(deal)
    world.release(deal)
    assert deal.phase == "RELEASED"
    world.reorg(6)
    assert vault_phase(deal.state) == "SPEND_BROADCAST"
    world.mine(6)
    assert deal.state.vault.payouts[0].final
    sound(world)
    coins_balance(world)


def test_a_payout_that_was_thrown_out_is_sent_again(world):
    deal = world.loans[0]
    world.repay(deal)
    world.burn(deal)
    world.mine(2)
    [payout] = deal.state.vault.payouts
    world.reorg(2, drop=[payout.txid])
    assert world.bitcoin.depth(payout.txid) == 0  # the same transaction, signed again
    world.mine(6)
    assert deal.phase == "RELEASED"
    sound(world)
    coins_balance(world)


def test_a_thrown_out_payout_waits_for_signers(world):
    deal = world.loans[0]
    world.repay(deal)
    world.burn(deal)
    world.mine(2)
    [payout] = deal.state.vault.payouts
    world.silence("lender", "custodian")
    world.reorg(2, drop=[payout.txid])
    assert world.bitcoin.depth(payout.txid) is None
    assert BuryPayout(payout.txid) in deal.due
    world.answer("custodian")
    world.mine(1)
    assert world.bitcoin.depth(payout.txid) is not None
    world.mine(6)
    assert deal.phase == "RELEASED"
    sound(world)


# --- odd deposits ---


def test_a_late_deposit_to_an_ended_loan_comes_back_by_a_burn(world):
    deal = world.loans[0]
    world.repay(deal)
    world.release(deal)
    world.pay("borrower", btc="0.25", to=deal.vault.address)
    world.mine(6)
    assert world.tokens_of("borrower") == 25_000_000
    sound(world, "pledge/late")
    world.burn(deal)
    world.mine(6)
    assert world.tokens_of("borrower") == 0
    assert in_vault(world, deal) == 0
    sound(world, "pledge/late")
    coins_balance(world)


def test_two_deposits_both_count(new):
    world = new(seed=1)
    deal = world.accept(world.offer())
    world.pledge(deal, btc="1", wait=False)
    world.pledge(deal, btc="0.5", wait=False)
    world.mine(6)
    world.secure(deal)
    assert deal.state.token.held == 150_000_000
    sound(world)
    world.price("83325.00")
    world.draw(deal)
    world.repay(deal)
    world.release(deal)
    assert deal.phase == "RELEASED"
    sound(world)
    coins_balance(world)


def test_a_deposit_too_small_to_mint_stays_and_hinders_nobody(world):
    deal = world.loans[0]
    world.pay("borrower", btc="0.00005", to=deal.vault.address)
    world.mine(6)
    sound(world, "pledge/below-minimum")
    world.repay(deal)
    world.release(deal)
    assert deal.phase == "RELEASED"
    assert in_vault(world, deal) == 5_000
    sound(world, "pledge/below-minimum")
    coins_balance(world)


def test_many_small_coins_do_not_make_a_payout_too_dear(new):
    """Seventy coins of the least size would cost more than the fee bound to spend."""
    world = new(seed=1)
    deal = world.open(max_fee=5_000)
    wallet = world._wires.wallet(world.party("borrower"))
    outputs = [(deal.vault.script_pubkey, 10_000)] * 70
    world.bitcoin.broadcast(wallet.pay(outputs, feerate=2))
    world.mine(6)
    assert deal.state.token.minted == 150_000_000 + 70 * 10_000
    world.price("20000.00")
    world.liquidate(deal)
    world.burn(deal, by="lender")
    world.mine(6)
    assert coins(world, "lender") > 149_000_000
    sound(world)


def test_one_loan_does_not_see_anothers_coins(world):
    first = world.loans[0]
    second = world.open(btc="2", principal="30000.00")
    assert first.vault.address != second.vault.address
    world.repay(first)
    world.release(first)
    assert first.phase == "RELEASED"
    assert second.state.token.held == 2 * COIN
    assert in_vault(world, second) == 2 * COIN
    sound(world)
    coins_balance(world)


def test_coins_go_to_the_address_that_the_burn_names(world):
    deal = world.loans[0]
    world.repay(deal)
    other = world.parties["stranger"]
    to = world._wires.wallet(other).address
    world.burn(deal, to=to)
    world.mine(6)
    assert coins(world, "stranger") == 150_000_000 - deal.state.vault.payouts[0].fee
    assert parse_address(to) == other.script
    sound(world)
