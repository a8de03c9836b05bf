"""A loan against things and coins, on both chains."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from asset_world import claim, desk, machine, world

from escrow.collateral.items import Claim, Coins
from escrow.collateral.margin import Move
from escrow.core.errors import BadInput, Rejected
from escrow.core.units import COIN, DAY
from escrow.sim.assets import Desk
from escrow.world import World


@pytest.fixture
def made():
    with world() as found:
        yield found
        assert not found.engine.broken


def lent(made: World, *, machines: int = 2, cents: int = 1_000_000, **changes) -> Desk:
    """Machines of 10,000.00 each are pledged, and half of what they are worth is lent."""
    found = desk(made, **changes)
    for number in range(machines):
        item = machine(made, number)
        found.enter(item)
        found.pledge(item)
    found.draw(cents)
    return found


# The register


def test_a_thing_is_entered_once_and_held_once(made: World) -> None:
    found, item = desk(made), machine(made)
    with pytest.raises(Rejected, match="token/balance"):
        found.pledge(item)
    assert found.items == ()
    found.enter(item)
    with pytest.raises(Rejected, match="asset/exists"):
        found.enter(item)
    found.pledge(item)
    assert (found.held(item), found.items) == (1, (item,))
    with pytest.raises(BadInput, match="collateral/twice"):
        found.pledge(item)
    found.hands.loan, loan = bytes(32), found.hands.loan
    assert found.held(item) == 0, "for another loan"
    found.hands.loan = loan
    act = made.acts[-1]
    assert (act.actor, act.verb, act.asked["pool"]) == ("borrower", "hold", "Desk")
    assert len(act.evm) == 1


def test_part_of_a_claim_is_pledged_and_the_rest_moves(made: World) -> None:
    found, item = desk(made), claim(made, 10_000)
    found.enter(item)
    assert isinstance(item.thing, Claim)
    part = replace(item, thing=replace(item.thing, units=6))
    found.pledge(part)
    assert found.held(item) == 6
    borrower = made.party("borrower").account
    to = made.party("liquidator").address_bytes, made.party("stranger").address_bytes
    found.register.send(borrower, "transfer", bytes.fromhex(item.id), to[0], 4)
    with pytest.raises(Rejected, match="token/held"):
        found.register.send(borrower, "transfer", bytes.fromhex(item.id), to[0], 1)
    with pytest.raises(Rejected, match="token/cannot-receive"):
        found.register.send(borrower, "transfer", bytes.fromhex(item.id), to[1], 1)


def test_coins_are_not_entered_and_machines_not_secured(made: World) -> None:
    found = desk(made)
    coins = replace(machine(made), type="btc", issuer="", thing=Coins(COIN))
    for ask in (found.take, found.hand_back, found.deal_of):
        with pytest.raises(Rejected, match="collateral/not-pledged"):
            ask(coins)
    with pytest.raises(BadInput, match="collateral/thing"):
        found.pledge(coins)


def test_the_register_stays_with_the_world(made: World, tmp_path: Path) -> None:
    found = lent(made)
    made.save(tmp_path / "world")
    with World.load(tmp_path / "world") as again:
        owner = again.party("borrower").address_bytes
        asked = "lien_of", owner, bytes.fromhex(found.items[0].id)
        assert again.extras["Desk"].call(*asked) == found.register.call(*asked)


# Money


def test_no_more_is_lent_than_the_haircut_leaves(made: World) -> None:
    found = lent(made, cents=999_999)
    with pytest.raises(Rejected) as caught:
        found.draw(2)
    assert caught.value.facts == {"lending": 1_000_000, "required": 1_000_001}
    before = made.cash_of("borrower")
    found.draw(1)
    assert (found.owed, made.cash_of("borrower") - before) == (1_000_000, 1)
    assert made.cash_of("lender") == 10**12 - 1_000_000


def test_interest_grows_and_payments_cover_it_first(made: World) -> None:
    found = lent(made, rate_bps=3_650)
    made.advance(days=10)
    assert found.owed == 1_010_000
    found.repay(11_000)
    assert (found.debt.paid_interest, found.debt.paid_principal) == (10_000, 1_000)
    made.advance(days=10)
    found.repay(10**9)
    assert found.owed == 0
    with pytest.raises(Rejected, match="repay/no-debt"):
        found.repay(1)


def test_swept_coins_count_at_the_price_of_now(made: World) -> None:
    found = lent(made)
    assert found.credit(19) == 1, "1.9 cents"
    assert found.owed == 999_999
    made.price("90000.00")
    assert found.credit(COIN) == 999_999
    assert found.owed == 0


def test_nothing_is_valued_at_a_stale_price(made: World) -> None:
    found = lent(made)
    coins = found.secure("0.1")
    found.take(coins)
    made.silence(*(name for name in made.parties if name.startswith("oracle")))
    made.advance(days=31)
    one = found.items[0]
    for ask in (lambda: found.value, found.look, lambda: found.give_back(one)):
        with pytest.raises(Rejected, match="price/stale"):
            ask()
    # What would stay are machines, which carry the debt at any price of coins.
    found.give_back(coins)
    assert made.tokens_of("borrower") == 10_000_000


# What may leave


def test_what_the_rest_can_do_without_goes_back(made: World) -> None:
    found = lent(made, cents=500_000)
    one, two = found.items
    found.give_back(one)
    assert (found.held(one), found.held(two), found.items) == (0, 1, (two,))
    with pytest.raises(Rejected, match="collateral/short"):
        found.give_back(two)
    assert found.held(two) == 1
    with pytest.raises(Rejected, match="collateral/not-pledged"):
        found.give_back(one)


def test_coins_in_place_of_a_machine_on_both_chains(made: World) -> None:
    found = lent(made)
    one, two = found.items
    few = found.secure("0.0999")
    with pytest.raises(Rejected, match="collateral/short"):
        found.substitute(few, one)
    assert (found.items, found.held(one)) == ((one, two), 1)
    found.hand_back(few)
    assert made.tokens_of("borrower") == 9_990_000
    # What was handed back counts no more, nor can it be handed back twice.
    for ask in (found.take, found.hand_back):
        with pytest.raises(Rejected, match="collateral/not-pledged"):
            ask(few)
    enough = found.secure("0.1")
    assert made.tokens_of("custodian") == 10_000_000
    with pytest.raises(Rejected, match="collateral/not-pledged"):
        found.take(replace(enough, thing=Coins(COIN)))
    found.substitute(enough, one)
    assert (found.items, found.held(one)) == ((two, enough), 0)
    with pytest.raises(Rejected, match="collateral/not-pledged"):
        found.hand_back(enough)
    found.repay(1_000_000)
    found.give_back(enough)
    deal = found.deal_of(enough)
    before = made.sats_of("borrower")
    made.burn(deal, btc="0.1")
    made.mine(deal.terms.confirmations)
    assert 9_990_000 < made.sats_of("borrower") - before < 10_000_000


def test_a_machine_in_place_of_another(made: World) -> None:
    found = lent(made)
    new = machine(made, 9, price=1_000_000)
    with pytest.raises(Rejected, match="token/balance"):
        found.substitute(new, found.items[0])
    found.enter(new)
    old = found.items[0]
    found.substitute(new, old)
    assert (found.held(new), found.held(old)) == (1, 0)


def test_nothing_comes_in_for_what_cannot_leave(made: World) -> None:
    found = desk(made)
    old, new = found.secure("0.1"), machine(made, 9)
    found.take(old)
    found.enter(new)
    suspended(made, "borrower")
    with pytest.raises(Rejected, match="token/cannot-receive"):
        found.substitute(new, old)
    assert (found.items, found.held(new)) == ((old,), 0)


# Calls and sales


def crashed(made: World, bps: int, **changes) -> Desk:
    steps = ((0, 10_000), (made.now + 10 * DAY, bps))
    found = lent(made, second_hand=steps, **changes)
    made.advance(days=11)
    return found


def test_a_call_is_cured_by_payment(made: World) -> None:
    found = crashed(made, 7_000)
    assert found.look() is Move.CALL
    assert found.look() is Move.NONE
    found.repay(160_000)
    assert found.look() is Move.CURE
    assert found.call is None


def test_a_call_at_the_last_second_and_one_later(made: World) -> None:
    found = crashed(made, 7_000)
    found.look()
    assert found.call is not None
    made.advance(days=1)
    assert found.look() is Move.NONE
    made.advance(seconds=1)
    assert found.look() is Move.EXPIRE
    assert found.default_at == made.now
    assert found.look() is Move.NONE
    with pytest.raises(Rejected, match="asset/declared"):
        found.declare()


def test_a_call_whose_end_the_chain_refuses_is_not_forgotten(made: World) -> None:
    found = crashed(made, 7_000)
    found.look()
    before = found.call
    made.advance(days=1, seconds=1)
    found.hands.terms = replace(found.terms, notary="borrower")
    with pytest.raises(Rejected, match="token/not-book"):
        found.look()
    assert (found.call, found.default_at) == (before, None)
    found.hands.terms = found.terms
    assert found.look() is Move.EXPIRE


def test_the_liquidation_level_waits_for_nobody(made: World) -> None:
    found = crashed(made, 5_882)
    assert found.look() is Move.LIQUIDATE
    assert found.default_at == made.now


def test_nothing_is_drawn_while_called(made: World) -> None:
    found = crashed(made, 7_000)
    found.look()
    with pytest.raises(Rejected, match="draw/not-open"):
        found.draw(0)


def test_after_a_default_nothing_is_added_drawn_or_withdrawn(made: World) -> None:
    found = lent(made, cents=100)
    coins, more = found.secure("0.1"), machine(made, 9)
    found.enter(more)
    found.declare()
    for ask, code in (
        (lambda: found.pledge(more), "top-up/not-live"),
        (lambda: found.take(coins), "top-up/not-live"),
        (lambda: found.draw(1), "draw/not-open"),
        (lambda: found.give_back(found.items[0]), "withdraw/not-active"),
    ):
        with pytest.raises(Rejected, match=code):
            ask()
    found.hand_back(coins)


def test_coins_are_taken_once(made: World) -> None:
    found = desk(made)
    coins = found.secure("0.1")
    found.take(coins)
    with pytest.raises(BadInput, match="collateral/twice"):
        found.take(coins)


def test_nothing_is_sold_without_a_default(made: World) -> None:
    found = lent(made)
    with pytest.raises(Rejected, match="asset/not-declared"):
        found.sell()


@pytest.mark.parametrize("office", ["borrower", "lender", "notary"])
def test_a_desk_for_nobody_is_not_opened(made: World, office: str) -> None:
    first = desk(made)
    terms = replace(first.terms, **{office: "nobody"})
    before = len(made.evm.chain.transactions()), len(made.acts), set(made.extras)
    with pytest.raises(BadInput, match="input/unknown-party"):
        Desk(made, terms, types=first.types, market=first.market, label="Another")
    assert (len(made.evm.chain.transactions()), len(made.acts), set(made.extras)) == before


def test_a_default_is_declared_of_all_or_of_none(made: World) -> None:
    """The notary has declared the second thing by itself: the first stays as it is."""
    found = lent(made)
    one, two = found.items
    notary, owner = made.party("custodian").account, made.party("borrower").address_bytes
    found.register.send(notary, "declare", bytes.fromhex(two.id), owner, True)
    made.settle()
    before = len(made.evm.chain.transactions()), len(made.acts), found.hands.executable(two)
    with pytest.raises(Rejected, match="asset/declared"):
        found.declare()
    assert (found.default_at, found.hands.executable(one)) == (None, 0)
    after = len(made.evm.chain.transactions()), len(made.acts), found.hands.executable(two)
    assert after == before
    found.register.send(notary, "declare", bytes.fromhex(two.id), owner, False)
    found.declare()
    assert found.hands.executable(one) > 0


def test_coins_go_first_then_machines_after_their_lag(made: World) -> None:
    """1,000.00 of coins and 20,000.00 of machines for 10,000.00: the second machine is left."""
    found = lent(made)
    found.take(found.secure("0.01"))
    names = "lender", "borrower", "operator", "liquidator"
    before = {name: made.cash_of(name) for name in names}
    found.declare()
    start = made.now
    coins = found.sell()
    assert coins is not None
    assert (coins.at - start, coins.proceeds, coins.split.lender) == (0, 100_000, 100_000)
    assert made.tokens_of("liquidator") == 1_000_000
    first = found.sell()
    assert first is not None
    assert 0 <= first.at - start - 2 * DAY <= 5
    assert (first.split.costs, first.split.lender, first.split.surplus) == (100_000, 900_000, 0)
    owner = made.party("liquidator").address_bytes
    sold = bytes.fromhex(first.item.id)
    assert found.register.call("balanceOf", owner, sold) == 1
    left = found.items
    assert found.sell() is None
    assert (found.items, found.owed) == ((), 0)
    assert found.held(left[0]) == 0
    paid = {name: made.cash_of(name) - before[name] for name in names}
    assert paid == {
        **{"lender": 1_000_000, "borrower": 0, "operator": 100_000, "liquidator": -1_100_000}
    }


def test_what_is_above_the_debt_goes_back_to_the_borrower(made: World) -> None:
    found = lent(made, cents=300_000)
    found.declare()
    before = made.cash_of("borrower")
    sale = found.sell()
    assert sale is not None
    assert sale.split.surplus == 600_000 == made.cash_of("borrower") - before


def test_a_buyer_without_money_moves_nothing(made: World) -> None:
    found = lent(made)
    found.declare()
    poor = made.party("arbiter").address_bytes
    found.register.send(made.party("registrar").account, "admit", poor, 2**40 - 1)
    # Enough for the costs, and not for the lender.
    made.evm.contracts.cash.send(made.party("issuer").account, "mint", poor, 100_000)
    before = made.cash_of("lender"), found.items, found.owed
    with pytest.raises(Rejected, match="token/balance"):
        found.sell(buyer="arbiter")
    assert (made.cash_of("lender"), found.items, found.owed) == before
    assert made.cash_of("arbiter") == 100_000
    with pytest.raises(Rejected, match="token/cannot-receive"):
        found.sell(buyer="stranger")
    assert (made.cash_of("lender"), found.items, found.owed) == before


def suspended(made: World, name: str) -> None:
    registrar, who = made.party("registrar").account, made.party(name).address_bytes
    made.evm.contracts.registry.send(registrar, "suspend", [who])


def test_a_sale_whose_surplus_nobody_can_receive_moves_nothing(made: World) -> None:
    found = lent(made, cents=300_000)
    found.declare()
    suspended(made, "borrower")
    names = "lender", "operator", "liquidator"
    before = [made.cash_of(name) for name in names], found.items, found.owed
    with pytest.raises(Rejected, match="token/cannot-receive"):
        found.sell()
    assert ([made.cash_of(name) for name in names], found.items, found.owed) == before
    assert found.sales == []


def test_a_sale_for_frozen_money_moves_nothing(made: World) -> None:
    """Each payment alone would pass: the costs, and what the lender is owed."""
    found = lent(made)
    found.declare()
    cash, authority = made.evm.contracts.cash, made.party("authority").account
    has, buyer = made.cash_of("liquidator"), made.party("liquidator").address_bytes
    cash.send(authority, "setFrozenTokens", buyer, has - 900_000)
    before = made.cash_of("lender"), made.cash_of("operator"), found.items
    with pytest.raises(Rejected, match="token/"):
        found.sell()
    assert (made.cash_of("lender"), made.cash_of("operator"), found.items) == before


def test_a_debt_paid_after_the_default_frees_everything(made: World) -> None:
    found = lent(made)
    one, two = found.items
    found.declare()
    found.repay(1_000_000)
    assert found.sell() is None
    assert (found.held(one), found.held(two)) == (0, 0)


def test_the_price_is_of_now_and_of_no_other_moment(made: World) -> None:
    found = desk(made)
    assert found.market.price(made.now) == 100_000 * COIN
    for at in (made.now - 1, made.now + 1):
        with pytest.raises(BadInput, match="collateral/market"):
            found.market.price(at)
