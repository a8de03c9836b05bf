"""The escrow book takes the loan in, from terms that both sides signed (T4)."""

from __future__ import annotations

from dataclasses import dataclass

from escrow.core.eligibility import Gate
from escrow.core.errors import Rejected
from escrow.core.gates import check_gate
from escrow.core.regions.loan import Accepted, Draft, LoanOpened, Offered
from escrow.core.roles import Role
from escrow.core.state import Escrow, Event
from escrow.core.terms import NEW
from escrow.core.units import Seconds


@dataclass(frozen=True, slots=True)
class Open:
    """``EscrowBook.open``. Anyone may carry the two signatures there."""

    by: Role
    at: Seconds
    tx: str = ""


def open_loan(escrow: Escrow, command: Open) -> tuple[Event, ...]:
    """Raises ``open/not-accepted``, ``open/expired``, ``loan/terms``, ``loan/exists``, in the
    contract's order; then ``eligibility/denied``."""
    # WHO: anyone; the authority is in the two signatures, which the contract checks.
    # WHEN
    loan = escrow.loan
    if isinstance(loan, Draft | Offered):
        raise Rejected("open/not-accepted")
    if command.at > loan.terms.expires_at:
        raise Rejected("open/expired", expires_at=loan.terms.expires_at, now=command.at)
    # Terms that refinance a loan open none.
    if loan.terms.origin != NEW:
        raise Rejected("loan/terms", origin=loan.terms.origin)
    if not isinstance(loan, Accepted):
        raise Rejected("loan/exists")
    check_gate(escrow, Gate.OFFER, at=command.at)
    # THEN
    return (LoanOpened(command.at, command.tx),)
