"""The borrower draws the lender's cash (T8)."""

from __future__ import annotations

from dataclasses import dataclass

from escrow.core.errors import Rejected
from escrow.core.phases import fresh_price, on_evm
from escrow.core.regions.loan import Active, Drawn, Opened
from escrow.core.roles import Role
from escrow.core.rules import at_or_below, ltv_up, owed
from escrow.core.state import Escrow, Event
from escrow.core.units import Cents, Seconds


@dataclass(frozen=True, slots=True)
class Draw:
    """``EscrowBook.draw``."""

    by: Role
    at: Seconds
    amount: Cents
    tx: str = ""


def draw(escrow: Escrow, command: Draw) -> tuple[Event, ...]:
    """Raises ``loan/unknown``, ``draw/not-borrower``, ``draw/not-open``, ``draw/window-closed``,
    ``loan/amount``, ``draw/above-principal``, ``price/stale``, ``draw/above-initial-ltv``."""
    loan = on_evm(escrow.loan)
    # WHO
    if command.by is not Role.BORROWER:
        raise Rejected("draw/not-borrower", by=command.by.value)
    # WHEN
    if not isinstance(loan, Opened | Active):
        raise Rejected("draw/not-open")
    terms, debt = loan.terms, loan.debt
    if command.at > terms.draw_by:
        raise Rejected("draw/window-closed", draw_by=terms.draw_by, now=command.at)
    if command.amount <= 0:
        raise Rejected("loan/amount", amount=command.amount)
    if debt.principal + command.amount > terms.principal:
        raise Rejected(
            "draw/above-principal",
            amount=command.amount,
            outstanding=debt.principal,
            principal=terms.principal,
        )
    price = fresh_price(escrow.system, at=command.at).price
    after = Cents(owed(debt, rate_bps=terms.rate_bps, at=command.at) + command.amount)
    held = escrow.token.held
    if not at_or_below(after, sats=held, price=price, level=terms.initial_ltv):
        raise Rejected(
            "draw/above-initial-ltv",
            ltv_bps=ltv_up(after, sats=held, price=price),
            initial_ltv=terms.initial_ltv,
        )
    # THEN
    return (Drawn(command.at, command.amount, command.tx),)
