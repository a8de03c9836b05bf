"""Every way in which coins change hands, to its end: they come out on the kernel's chain to whom
they belong, signed for by the real quorum."""

from __future__ import annotations

import pytest
from world_lab import coins, coins_balance, sound

from escrow.core.due import RealiseCollateral, RedoAuction
from escrow.core.errors import Rejected
from escrow.core.regions.loan import Liquidated, Refinanced
from escrow.core.terms import Liquidation
from escrow.core.units import COIN, DAY, HOUR
from escrow.view.why import why

PLEDGED = 150_000_000
CALLED, BREACHED = "46000.00", "36000.00"  # at 72 % and at 93 %


def expire(world):
    """The loan is called, and nobody answers."""
    [deal] = world.loans
    world.price(CALLED)
    world.advance(seconds=deal.terms.cure + 1)
    assert deal.phase == "LIQUIDATING"
    return deal


def sale(world, act, *args, **more):
    """What a verb sold: the event's split."""
    act(*args, **more)
    [found] = [step.event for _, step in world.acts[-1].steps if isinstance(step.event, Liquidated)]
    return found.split


def paid_out(world, deal, **owed):
    """Each holder burns all it has; the quorum pays all of it but the miner's part."""
    before = {name: coins(world, name) for name in owed}
    for name, sats in owed.items():
        assert world.tokens_of(name) == sats
        if sats:
            world.burn(deal, by=name)
    world.mine(2 * deal.terms.confirmations)
    for name, sats in owed.items():
        gained = coins(world, name) - before[name]
        assert sats - deal.terms.max_fee <= gained <= sats - (sats > 0), name
    coins_balance(world)


def test_a_third_party_buys_a_part_and_then_the_rest(kind):
    world = kind("third-party")
    [deal] = world.loans
    world.price(BREACHED)
    cash = world.cash_of("lender")
    first = sale(world, world.liquidate, deal, pay="20000.00", least="0.58")
    assert (first.repaid, first.seized) == (2_000_000, 2_100_000 * 10**6 // 36_000)
    assert (deal.phase, first.left) == ("MARGIN_CALL", deal.debt)  # not restored
    paid_out(world, deal, liquidator=first.seized)
    rest = sale(world, world.liquidate, deal)
    assert rest.left == rest.bad_debt == 0
    paid_out(world, deal, liquidator=rest.seized, borrower=rest.surplus)
    assert deal.phase == "SETTLED"
    assert world.cash_of("lender") - cash == first.repaid + rest.repaid
    assert first.seized + rest.seized + rest.surplus == PLEDGED
    sound(world)


def test_a_partial_sale_stops_at_the_target_and_the_loan_goes_on(kind):
    world = kind("partial")
    deal = expire(world)
    split = sale(world, world.liquidate, deal)
    assert (deal.phase, split.surplus) == ("ACTIVE", 0)
    assert deal.ltv == deal.terms.target_ltv == 6_000
    paid_out(world, deal, liquidator=split.seized)
    with pytest.raises(Rejected, match="liquidate/healthy"):
        world.liquidate(deal)
    world.repay(deal)
    paid_out(world, deal, borrower=PLEDGED - split.seized)
    assert deal.phase == "RELEASED"
    sound(world)


def test_in_default_a_partial_sale_sells_for_all_of_the_debt(kind):
    world = kind("partial")
    [deal] = world.loans
    world.advance(seconds=deal.terms.maturity + deal.terms.grace - world.now + 1)
    split = sale(world, world.liquidate, deal)
    assert (split.left, split.bad_debt) == (0, 0)
    paid_out(world, deal, liquidator=split.seized, borrower=split.surplus)
    assert deal.phase == "SETTLED"
    sound(world)


def test_an_auction_is_taken_in_parts(kind):
    world = kind("auction")
    [deal] = world.loans
    world.price(BREACHED)
    world.advance(minutes=45)  # 30 steps: at 0.887 of the price
    first = sale(world, world.take, deal, btc="0.3", most="32000.00")
    assert (first.seized, deal.phase) == (30_000_000, "LIQUIDATING")
    begun = deal.state.loan.since
    world.advance(minutes=3)
    rest = sale(world, world.take, deal)
    assert deal.phase == "LIQUIDATING"
    assert begun == world.engine.system.price.at  # the same auction, from the price that breached
    paid_out(world, deal, liquidator=first.seized + rest.seized, borrower=rest.surplus)
    assert deal.phase == ("WRITTEN_OFF" if rest.bad_debt else "SETTLED")
    sound(world)


def test_a_part_that_restores_the_loan_ends_the_auction(kind):
    world = kind("auction")
    deal = expire(world)
    world.advance(minutes=21)
    split = sale(world, world.take, deal, btc="0.6")
    assert (split.left, deal.phase) == (deal.debt, "ACTIVE")
    paid_out(world, deal, liquidator=split.seized)
    assert deal.phase == "ACTIVE"
    sound(world)


def test_the_last_coin_leaves_bad_debt(kind):
    world = kind("auction")
    [deal] = world.loans
    world.price("30000.00")
    world.advance(minutes=90)  # 60 steps: at 0.657 of the price
    split = sale(world, world.take, deal)
    assert split.seized == PLEDGED
    assert split.bad_debt > 1_000_000
    paid_out(world, deal, liquidator=PLEDGED, borrower=0)
    assert deal.phase == "WRITTEN_OFF"
    sound(world)


@pytest.mark.parametrize("less", [0, 1, 5])
def test_a_few_sats_less_than_the_debt_needs_end_the_loan_too(kind, less):
    """A cent is worth twenty sats here: who wants five less pays the same, and gets five less."""
    world = kind("auction")
    deal = expire(world)
    world.advance(minutes=30)
    with world.fork() as fork:
        need = sale(fork, fork.take).seized
    split = sale(
        world,
        world.take,
        deal,
        btc=f"0.{need - less:08d}"
        if need < COIN
        else f"{(need - less) // COIN}.{(need - less) % COIN:08d}",
    )
    assert (split.seized, split.surplus) == (need - less, PLEDGED - need + less)
    assert split.left == split.bad_debt == 0
    paid_out(world, deal, liquidator=split.seized, borrower=split.surplus)
    assert deal.phase == "SETTLED"
    sound(world)


def test_an_auction_that_nobody_takes_is_begun_anew_by_the_operator(kind):
    world = kind("auction")
    deal = expire(world)
    first, life = deal.state.loan.since, 7_200
    world.advance(seconds=life)
    assert deal.state.loan.since == first
    world.advance(seconds=1)
    assert deal.state.loan.since == first + life + 1 == world.now
    world.advance(hours=9)
    assert world.now - deal.state.loan.since <= life
    assert [type(each) for each in deal.due] == [RealiseCollateral]
    world.advance(seconds=deal.state.loan.since + life + 1 + 1_800 - world.now)
    split = sale(world, world.take, deal)
    paid_out(world, deal, liquidator=split.seized, borrower=split.surplus)
    assert deal.phase == "SETTLED"
    sound(world)


def test_an_auction_that_nobody_began_is_begun_anew_too(kind):
    """It runs from the price that breached the level, and nobody has to mark that."""
    world = kind("auction")
    [deal] = world.loans
    world.price(BREACHED)
    at = world.engine.system.price.at
    assert deal.phase in ("ACTIVE", "MARGIN_CALL")
    world.advance(seconds=7_201)
    assert deal.phase == "LIQUIDATING"
    assert deal.state.loan.since == at + 7_201
    assert not any(isinstance(each, RedoAuction) for each in deal.due)
    sound(world)


def test_an_auction_that_still_runs_is_not_begun_anew(kind):
    world = kind("auction")
    deal = expire(world)
    world.advance(seconds=7_199)
    with pytest.raises(Rejected, match="auction/running"):
        world.redo(deal)


def test_a_dear_price_is_not_taken_by_who_named_a_lower_one(kind):
    world = kind("auction")
    deal = expire(world)
    world.advance(minutes=30)
    with pytest.raises(Rejected, match="liquidate/slippage"):
        world.take(deal, most="1000.00")
    with pytest.raises(Rejected, match="liquidate/self"):
        world.take(deal, by="borrower")
    with pytest.raises(Rejected, match="liquidate/kind"):
        world.evm.book(world.party("lender").account, "take_over", deal.terms)


def reasons(world):
    """What the trace says of each event, in order, from the last price on."""
    return {type(step.event).__name__: why(step) for act in world.acts for _, step in act.steps}


def test_the_trace_says_why(kind):
    world = kind("auction")
    deal = expire(world)
    world.advance(hours=2)
    world.advance(minutes=40)
    world.take(deal, btc="0.2")
    said = reasons(world)
    assert said["AuctionBegun"] == "the margin call expired: the price of the coins falls from here"
    assert "0.20000000 BTC sold for 8,501.28; 41,516.99" in said["Liquidated"]
    assert said["Liquidated"].endswith(" stays owed")
    other = kind("take-over")
    other.withdraw(btc="0.1")
    other.refinance(rate_bps=2_000)
    other.price(CALLED)
    other.dispute()
    other.resolve(upheld=True)
    said = reasons(other)
    assert said["Withdrawn"] == "0.10000000 BTC freed: what stays is within 50.00 %"
    assert said["Refinanced"].startswith("50,000.00 settled; new terms: 20.00 % a year, until ")
    assert said["Disputed"].endswith("until the arbiter decides, at most 2 d")
    assert said["Resolved"] == "the call was wrong and is void"


# --- the borrower takes back what is too much ---


def test_what_is_too_much_is_withdrawn(kind):
    world = kind("take-over")
    [deal] = world.loans
    for btc, code in (("0.31", "withdraw/above-initial-ltv"), ("2", "token/balance")):
        with pytest.raises(Rejected, match=code):
            world.withdraw(deal, btc=btc)
    with pytest.raises(Rejected, match="withdraw/not-borrower"):
        world.withdraw(deal, btc="0.1", by="lender")
    world.withdraw(deal, btc="0.29")
    assert deal.state.token.held == PLEDGED - 29_000_000
    paid_out(world, deal, borrower=29_000_000)
    assert deal.phase == "ACTIVE"
    world.repay(deal)
    paid_out(world, deal, borrower=PLEDGED - 29_000_000)
    assert deal.phase == "RELEASED"
    sound(world)


@pytest.mark.parametrize(
    ("price", "code"), [(CALLED, "withdraw/not-active"), (None, "price/stale")]
)
def test_nothing_is_withdrawn_from_a_called_loan_or_without_a_price(kind, price, code):
    world = kind("take-over")
    if price:
        world.price(price)
    else:
        world.silence("oracle-1", "oracle-2", "oracle-3")
        world.advance(seconds=DAY + 1)
    with pytest.raises(Rejected, match=code):
        world.withdraw(btc="0.0001")


# --- disputes ---


def disputed(world):
    [deal] = world.loans
    world.price(CALLED)
    world.advance(hours=20)
    world.dispute(deal)
    return deal


def test_a_dispute_that_is_upheld_voids_the_call(kind):
    world = kind("take-over")
    deal = disputed(world)
    world.price("49000.00")  # at 68 %: neither cured nor to be called again
    world.resolve(deal, upheld=True)
    assert deal.phase == "ACTIVE"
    world.advance(days=3)
    with pytest.raises(Rejected, match="liquidate/healthy"):
        world.liquidate(deal)
    sound(world)


def test_a_dispute_that_is_rejected_gives_the_time_back_and_the_call_stands(kind):
    world = kind("take-over")
    deal = disputed(world)
    deadline = deal.state.loan.deadline
    world.advance(hours=30)
    assert deal.phase == "MARGIN_CALL"  # the cure time is over, but for the dispute
    with pytest.raises(Rejected, match="expire/disputed"):
        world.expire_call(deal)
    world.resolve(deal, upheld=False)
    assert deal.state.loan.deadline == deadline + 30 * HOUR
    with pytest.raises(Rejected, match="dispute/heard"):
        world.dispute(deal)
    world.advance(hours=4)
    assert deal.phase == "MARGIN_CALL"
    world.advance(seconds=1)
    assert deal.phase == "LIQUIDATING"
    split = sale(world, world.liquidate, deal)
    paid_out(world, deal, lender=split.seized, borrower=split.surplus)
    assert deal.phase == "SETTLED"
    sound(world)


def test_when_the_arbiter_is_silent_the_operator_ends_the_dispute(kind):
    world = kind("take-over")
    deal = disputed(world)
    begun = world.now
    world.advance(seconds=deal.terms.dispute)
    assert deal.state.loan.dispute is not None
    world.advance(seconds=1)
    assert deal.state.loan.dispute is None
    with pytest.raises(Rejected, match="dispute/none"):
        world.resolve(deal, upheld=True)
    world.advance(hours=4)
    world.advance(seconds=1)
    assert deal.phase == "LIQUIDATING"
    assert world.now - begun > deal.terms.dispute + 4 * HOUR
    split = sale(world, world.liquidate, deal)
    paid_out(world, deal, lender=split.seized, borrower=split.surplus)
    sound(world)


def test_who_may_dispute_and_who_decides(kind):
    world = kind("take-over")
    [deal] = world.loans
    for act, code in (
        (world.dispute, "dispute/not-called"),
        (lambda _: world.resolve(deal, upheld=True), "dispute/none"),
    ):
        with pytest.raises(Rejected, match=code):
            act(deal)
    world.price(CALLED)
    with pytest.raises(Rejected, match="dispute/not-borrower"):
        world.dispute(deal, by="lender")
    world.dispute(deal)
    for name in ("borrower", "lender", "operator"):
        with pytest.raises(Rejected, match="dispute/not-arbiter"):
            world.resolve(deal, upheld=True, by=name)


def test_a_dispute_does_not_hold_up_the_liquidation_level(kind):
    world = kind("take-over")
    deal = disputed(world)
    world.price(BREACHED)
    split = sale(world, world.liquidate, deal)
    paid_out(world, deal, lender=split.seized, borrower=split.surplus)
    sound(world)


# --- other terms for the same loan ---


def test_a_loan_is_refinanced_and_later_liquidated_under_the_new_terms(kind):
    world = kind("take-over")
    [deal] = world.loans
    first, vault = deal.terms, deal.vault.address
    world.advance(days=30)
    owed = deal.debt
    lender = world.cash_of("lender")
    world.refinance(
        deal,
        rate_bps=2_000,
        principal=6_000_000,
        liquidation=Liquidation.THIRD_PARTY,
        call_ltv=6_500,
    )
    [event] = [step.event for _, step in world.acts[-1].steps if isinstance(step.event, Refinanced)]
    assert event.settled == deal.state.loan.debt.principal
    assert 0 <= event.settled - owed <= 1
    assert (deal.terms.rate_bps, deal.terms.origin) == (2_000, deal.id)
    assert (deal.vault.address, deal.state.agreed) == (vault, first)
    assert world.cash_of("lender") == lender  # it owes itself
    world.advance(days=30)
    assert deal.debt - event.settled == -(-event.settled * 2_000 * 30 * DAY // (10_000 * 365 * DAY))
    world.price("50000.00")  # at 68 %: called under the new terms, not under the old
    assert deal.phase == "MARGIN_CALL"
    world.price(BREACHED)
    with pytest.raises(Rejected, match="liquidate/kind"):
        world.evm.book(world.party("lender").account, "take_over", deal.terms)
    split = sale(world, world.liquidate, deal)
    paid_out(world, deal, liquidator=split.seized, borrower=split.surplus)
    assert deal.phase in ("SETTLED", "WRITTEN_OFF")
    sound(world)


def test_another_lender_pays_the_old_one_and_takes_its_place(kind):
    world = kind("take-over")
    [deal] = world.loans
    before = world.cash_of("lender")
    world.refinance(deal, lender="liquidator")
    assert world.cash_of("lender") - before == deal.state.loan.debt.principal
    world.price(BREACHED)
    with pytest.raises(Rejected, match="liquidate/not-lender"):
        world.liquidate(deal, by="lender")
    split = sale(world, world.liquidate, deal)
    paid_out(world, deal, liquidator=split.seized, borrower=split.surplus, lender=0)
    sound(world)


@pytest.mark.parametrize("name", ["borrower", "lender"])
def test_who_is_silent_signs_no_new_terms(kind, name):
    world = kind("take-over")
    world.silence(name)
    with pytest.raises(Rejected, match="refinance/not-agreed"):
        world.refinance(rate_bps=2_000)
    world.answer(name)
    world.refinance(rate_bps=2_000)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"max_fee": 19_999}, "refinance/custody"),
        ({"confirmations": 5}, "refinance/custody"),
        ({"recover_at": 2_000_000_000}, "refinance/custody"),
        ({"principal": 4_000_000}, "draw/above-principal"),
        ({"initial_ltv": 3_999}, "draw/above-initial-ltv"),
        ({"rate_bps": 100_001}, "terms/rate"),
        ({"origin": "0x" + 64 * "1"}, "loan/terms"),
    ],
)
def test_what_new_terms_may_not_say(kind, changes, code):
    world = kind("take-over")
    before = world.state_hash
    with pytest.raises(Rejected, match=code):
        world.refinance(**changes)
    assert world.state_hash == before


def test_a_called_loan_is_not_refinanced(kind):
    world = kind("take-over")
    world.price(CALLED)
    with pytest.raises(Rejected, match="refinance/not-active"):
        world.refinance(rate_bps=2_000)
