"""Pieces that several pilots are made of."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from escrow.collateral.read import load_type
from escrow.config import LoanDefaults
from escrow.core.units import YEAR, Cents
from escrow.deal import Deal
from escrow.parse import parse_btc
from escrow.provenance import Status
from escrow.sim.pilot import Pilot, Term, terms_of
from escrow.world import World

_TERMS: Final = (
    "rate_bps",
    "initial_ltv",
    "restore_ltv",
    "call_ltv",
    "liquidation_ltv",
    "cure",
    "grace",
    "confirmations",
    "max_fee",
    "bonus_bps",
    "buf_bps",
    "cut_bps",
    "step",
    "tail",
    "cusp_bps",
)
"""What a drawn loan does follows from these, beside what it is opened with."""


def tell_terms(pilot: Pilot, deal: Deal) -> None:
    """Report the terms of a loan of which the plan says nothing, and its usual length, as what they
    are: assumed."""
    told = {name: int(getattr(deal.terms, name)) for name in _TERMS if name not in pilot.plan.terms}
    told["term"] = LoanDefaults().term
    source = "not disclosed, this project's default"
    pilot.adopt(
        Term(f"loan.{name}", value, Status.ASSUMED, source) for name, value in told.items() if value
    )


def tell_types(pilot: Pilot, names: Iterable[str]) -> None:
    """Report the terms of types of collateral that ship."""
    for name in names:
        pilot.adopt(terms_of(load_type(name).parameters, of=f"{name}."))


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
