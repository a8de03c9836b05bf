"""The call is answered: the loan-to-value is back at the restore level (T15)."""

from __future__ import annotations

from dataclasses import dataclass

from escrow.core.errors import Rejected
from escrow.core.phases import fresh_price, on_evm
from escrow.core.regions.loan import CallCured, Called
from escrow.core.roles import Role
from escrow.core.rules import at_or_below, ltv_up, owed
from escrow.core.state import Escrow, Event
from escrow.core.units import Seconds


@dataclass(frozen=True, slots=True)
class Cure:
    """``EscrowBook.cure``: by top-up, repayment or a better price; open to anyone.

    Not bound to the deadline: until the call has expired on the EVM, a borrower whose ratio
    is restored is cured, late or not.
    """

    by: Role
    at: Seconds
    tx: str = ""


def cure(escrow: Escrow, command: Cure) -> tuple[Event, ...]:
    """Raises ``loan/unknown``, ``cure/not-called``, ``price/stale``, ``cure/not-restored``."""
    # WHO: anyone.
    # WHEN
    loan = on_evm(escrow.loan)
    if not isinstance(loan, Called):
        raise Rejected("cure/not-called")
    terms = loan.terms
    price = fresh_price(escrow.system, at=command.at)
    debt = owed(loan.debt, rate_bps=terms.rate_bps, at=command.at)
    held = escrow.token.held
    if not at_or_below(debt, sats=held, price=price.price, level=terms.restore_ltv):
        raise Rejected(
            "cure/not-restored",
            ltv_bps=ltv_up(debt, sats=held, price=price.price),
            restore_ltv=terms.restore_ltv,
        )
    # THEN
    return (CallCured(command.at, price.round, command.tx),)
