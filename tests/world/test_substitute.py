"""Coins for coins: never fewer pledged than before."""

from __future__ import annotations

import pytest
from world_lab import coins_balance, sound

from escrow.core.errors import BadInput, Rejected
from escrow.core.regions.loan import Withdrawn
from escrow.core.regions.token import TokensHeld


def test_the_new_coin_counts_before_the_old_one_goes(world):
    deal = world.loans[0]
    world.price("80000.00")
    pledged, had = deal.state.token.held, world.sats_of("borrower")
    world.substitute(deal, btc="0.5")
    steps = [step for act in world.acts[-3:] for _, step in act.steps]
    assert min(step.after.token.held for step in steps) == pledged
    order = [type(step.event) for step in steps if isinstance(step.event, TokensHeld | Withdrawn)]
    assert order == [TokensHeld, Withdrawn]
    world.mine(deal.terms.confirmations)
    assert (deal.phase, deal.state.token.held, deal.due) == ("ACTIVE", pledged, ())
    fees = sum(payout.fee for payout in deal.state.vault.payouts)
    assert fees > 0
    assert world.sats_of("borrower") <= had - fees
    sound(world)
    coins_balance(world)


@pytest.mark.parametrize(
    ("price", "code"), [("50000.00", "withdraw/above-initial-ltv"), ("46000.00", "withdraw/not-")]
)
def test_what_may_not_be_withdrawn_is_not_substituted(world, price: str, code: str):
    """Asked before a coin moves: above the initial level, or called."""
    deal = world.loans[0]
    world.price(price)
    before = deal.state, world.sats_of("borrower")
    with pytest.raises(Rejected, match=code):
        world.substitute(deal, btc="0.5")
    assert (deal.state, world.sats_of("borrower")) == before


def test_only_by_the_borrower_and_of_a_sound_amount(world):
    world.price("80000.00")
    with pytest.raises(Rejected, match="withdraw/not-borrower"):
        world.substitute(btc="0.5", by="lender")
    with pytest.raises((BadInput, Rejected)):
        world.substitute(btc="0")
    sound(world)
