"""Pieces that several pilots are made of."""

from __future__ import annotations

from escrow.core.units import YEAR, Cents
from escrow.deal import Deal
from escrow.parse import parse_btc
from escrow.sim.pilot import Pilot
from escrow.world import World


def free_tokens(pilot: Pilot, *, of: str) -> Deal:
    """A loan is opened and undrawn; tokens of its vault are the borrower's, free. ``of``: what the
    pilot calls it."""
    world, btc = pilot.world, pilot.plan.text("pledged")
    loan = world.accept(world.offer(world.terms(draw_in=YEAR - 1)))
    world.pay("borrower", btc=btc, to=loan.vault.address)
    world.mine(loan.terms.confirmations)
    pilot.step(of, "deposit", "Coins in a vault, tokens for them.", sats=parse_btc(btc))
    return loan


def pay_cash(world: World, payer: str, payee: str, cents: Cents) -> None:
    """The issuer's cash, from one party to another."""
    cash, sender = world.evm.contracts.cash, world.party(payer)
    with world.act("issuer", "mint-cash", cents=cents):
        cash.send(world.party("issuer").account, "mint", sender.address_bytes, cents)
    with world.act(payer, "pay-cash", to=payee, cents=cents):
        cash.send(sender.account, "transfer", world.party(payee).address_bytes, cents)
