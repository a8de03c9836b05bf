"""The borrower takes excess collateral back (T12)."""

from __future__ import annotations

from dataclasses import dataclass

from escrow.core.errors import Rejected
from escrow.core.phases import fresh_price, on_evm
from escrow.core.regions.loan import Active, Withdrawn
from escrow.core.regions.token import TokensFreed
from escrow.core.roles import Role
from escrow.core.rules import at_or_below, ltv_up, owed
from escrow.core.state import Escrow, Event
from escrow.core.units import Sats, Seconds


@dataclass(frozen=True, slots=True)
class Withdraw:
    """``EscrowBook.withdraw``: the tokens are free again, and burning them brings the coins."""

    by: Role
    at: Seconds
    sats: Sats
    tx: str = ""


def withdraw(escrow: Escrow, command: Withdraw) -> tuple[Event, ...]:
    """Raises ``loan/unknown``, ``withdraw/not-borrower``, ``withdraw/not-active``,
    ``withdraw/matured``, ``loan/amount``, ``price/stale``, ``token/balance``,
    ``withdraw/above-initial-ltv``."""
    loan = on_evm(escrow.loan)
    # WHO
    if command.by is not Role.BORROWER:
        raise Rejected("withdraw/not-borrower", by=command.by.value)
    # WHEN: nothing is called or overdue, and what stays is worth what a new draw would need.
    if not isinstance(loan, Active):
        raise Rejected("withdraw/not-active")
    terms, held = loan.terms, escrow.token.held
    if command.at > terms.maturity:
        raise Rejected("withdraw/matured", maturity=terms.maturity, now=command.at)
    if command.sats <= 0:
        raise Rejected("loan/amount", amount=command.sats)
    price = fresh_price(escrow.system, at=command.at).price
    if command.sats > held:
        raise Rejected("token/balance", sats=command.sats, held=held)
    debt = owed(loan.debt, rate_bps=terms.rate_bps, at=command.at)
    left = Sats(held - command.sats)
    if not at_or_below(debt, sats=left, price=price, level=terms.initial_ltv):
        raise Rejected(
            "withdraw/above-initial-ltv",
            ltv_bps=ltv_up(debt, sats=left, price=price),
            initial_ltv=terms.initial_ltv,
        )
    # THEN
    return (
        Withdrawn(command.at, command.sats, command.tx),
        TokensFreed(command.at, seized=Sats(0), released=command.sats),
    )
