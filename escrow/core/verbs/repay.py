"""Anyone repays, part or all, whatever the oracle or the lender do (T10, T27)."""

from __future__ import annotations

from dataclasses import dataclass

from escrow.core.errors import Rejected
from escrow.core.phases import on_evm
from escrow.core.regions.loan import Indebted, Repayment, is_debt_free
from escrow.core.regions.token import TokensFreed
from escrow.core.roles import Role
from escrow.core.rules import accrue, pay
from escrow.core.state import Escrow, Event
from escrow.core.units import Cents, Sats, Seconds


@dataclass(frozen=True, slots=True)
class Repay:
    """``EscrowBook.repay``: at most ``amount`` is taken, never more than is owed."""

    by: Role
    at: Seconds
    amount: Cents
    tx: str = ""


def repay(escrow: Escrow, command: Repay) -> tuple[Event, ...]:
    """Raises ``loan/unknown``, ``repay/no-debt``, ``loan/amount``. Never asks for a price."""
    # WHO: anyone may pay another's debt.
    # WHEN
    loan = on_evm(escrow.loan)
    if not isinstance(loan, Indebted):
        raise Rejected("repay/no-debt")
    if command.amount <= 0:
        raise Rejected("loan/amount", amount=command.amount)
    # THEN
    debt = accrue(loan.debt, rate_bps=loan.terms.rate_bps, at=command.at)
    after, interest, principal = pay(debt, amount=command.amount)
    paid = Repayment(command.at, command.by.value, interest, principal, command.tx)
    held = escrow.token.held
    if is_debt_free(after) and held:
        return (paid, TokensFreed(command.at, seized=Sats(0), released=held))
    return (paid,)
