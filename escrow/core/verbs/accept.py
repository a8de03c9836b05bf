"""The borrower accepts an offer (T2)."""

from __future__ import annotations

from dataclasses import dataclass

from escrow.core.eligibility import Gate
from escrow.core.errors import Rejected
from escrow.core.gates import check_gate
from escrow.core.regions.loan import OfferAccepted, Offered
from escrow.core.roles import Role
from escrow.core.state import Escrow, Event
from escrow.core.units import Seconds


@dataclass(frozen=True, slots=True)
class Accept:
    """Sign the terms as they stand."""

    by: Role
    at: Seconds


def accept(escrow: Escrow, command: Accept) -> tuple[Event, ...]:
    """Raises ``accept/not-borrower``, ``accept/not-offered``, ``accept/expired``,
    ``eligibility/denied``."""
    # WHO
    if command.by is not Role.BORROWER:
        raise Rejected("accept/not-borrower", by=command.by.value)
    # WHEN
    if not isinstance(escrow.loan, Offered):
        raise Rejected("accept/not-offered")
    if command.at > escrow.loan.terms.expires_at:
        raise Rejected("accept/expired", expires_at=escrow.loan.terms.expires_at, now=command.at)
    check_gate(escrow, Gate.OFFER, at=command.at)
    # THEN
    return (OfferAccepted(command.at),)
