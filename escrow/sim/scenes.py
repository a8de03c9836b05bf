"""Scenes: short lives of one loan, for demonstrations and transcripts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from escrow.config import POLICY, WorldConfig
from escrow.core.errors import BadInput
from escrow.world import World


def release(world: World) -> None:
    """Opened, drawn, repaid with interest after a month; the coins come back."""
    loan = world.open(btc="1.5", principal="50000.00", price="80000")
    world.advance(days=30)
    world.repay(loan)
    world.release(loan)


def margin_call(world: World) -> None:
    """The price falls to the call level; the borrower tops up in time and repays later."""
    loan = world.open(btc="1.5", principal="50000.00", price="80000")
    world.advance(days=10)
    world.price("47000")
    world.advance(hours=6)
    world.top_up(loan, btc="0.5")
    world.advance(days=20)
    world.repay(loan)
    world.release(loan)


def liquidation(world: World) -> None:
    """The call goes unanswered; the lender takes coins worth the debt, the rest goes back."""
    loan = world.open(btc="1.5", principal="50000.00", price="80000")
    world.advance(days=10)
    world.price("46000")
    world.advance(days=1, seconds=1)
    world.liquidate(loan)
    world.burn(loan, by="lender")
    world.burn(loan, by="borrower")
    world.mine(2 * loan.terms.confirmations)


def partial_sale(world: World) -> None:
    """The call goes unanswered; just so many coins are sold that the loan goes on at its target,
    and the borrower repays the rest."""
    loan = world.open(btc="1.5", principal="50000.00", price="80000", liquidation="partial")
    world.advance(days=10)
    world.price("46000")
    world.advance(days=1, seconds=1)
    world.liquidate(loan)
    world.burn(loan, by="liquidator")
    world.advance(days=20)
    world.repay(loan)
    world.release(loan)


def auction(world: World) -> None:
    """The call goes unanswered; the price of the coins falls until somebody takes as many as the
    debt needs, the rest goes back."""
    loan = world.open(btc="1.5", principal="50000.00", price="80000", liquidation="auction")
    world.advance(days=10)
    world.price("46000")
    world.advance(days=1, seconds=1)
    world.advance(minutes=30)
    world.take(loan)
    world.burn(loan, by="liquidator")
    world.burn(loan, by="borrower")
    world.mine(2 * loan.terms.confirmations)


def recovery(world: World) -> None:
    """Lender and custodian vanish; the borrower waits for the timelock and takes its coins."""
    loan = world.open(btc="1.5", principal="50000.00", price="80000")
    world.silence("lender", "custodian")
    world.advance(seconds=loan.terms.recover_at - world.now)
    world.advance(hours=2)
    world.recover(loan)
    world.mine(loan.terms.confirmations)


SCENES: Final[Mapping[str, Callable[[World], None]]] = MappingProxyType(
    {
        "release": release,
        "margin-call": margin_call,
        "liquidation": liquidation,
        "partial-sale": partial_sale,
        "auction": auction,
        "recovery": recovery,
    }
)
"""Every scene by name."""


def scene_named(name: str) -> Callable[[World], None]:
    """A scene. Raises ``BadInput("scene/unknown")``."""
    if name not in SCENES:
        raise BadInput("scene/unknown", name=name[:40], known=" ".join(SCENES))
    return SCENES[name]


def play(name: str, *, seed: int, policy: str = POLICY) -> World:
    """A world in which the scene was played, its vaults under ``policy``. The caller closes it.

    Raises ``BadInput``: ``scene/unknown``, ``policy/…``; whatever the policy does not let happen.
    """
    scene = scene_named(name)
    world = World(config=WorldConfig(seed=seed, policy=policy))
    try:
        scene(world)
    except BaseException:
        world.close()
        raise
    return world
