"""Odd corners that were defects once."""

from __future__ import annotations

import pytest
from world_lab import sound

from escrow.core.errors import Refused


def test_time_passes_in_few_steps_while_a_called_loan_waits_for_a_price(world):
    """The cure time equals the heartbeat, so the active clock stops a second before the deadline:
    time alone then brings nothing, and there is nothing to stop at."""
    world.price("46000.00")
    world.silence("oracle-1", "oracle-2", "oracle-3")
    world.advance(seconds=world.loans[0].terms.cure)
    before = sum(1 for _ in world.log_lines())
    world.advance(minutes=5)
    assert sum(1 for _ in world.log_lines()) - before < 20


def test_a_burn_that_names_the_vault_itself_is_paid(world):
    """The only output pays the vault: a payout that comes back as a deposit, and no change."""
    deal = world.loans[0]
    world.repay(deal)
    world.burn(deal, to=deal.vault.address)
    world.mine(6)
    [payout] = deal.state.vault.payouts or [None]
    assert payout is not None
    assert world.tokens_of("borrower") > 0  # minted anew for what came back
    sound(world, "pledge/late")


@pytest.mark.parametrize(
    "ask",
    [
        lambda world: world.price("40000"),
        lambda world: world.repay(),
        lambda world: world.fork(),
    ],
)
def test_a_closed_world_says_so(world, ask):
    world.close()
    with pytest.raises(Refused, match="world/closed"):
        ask(world)
