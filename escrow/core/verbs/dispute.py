"""The borrower disputes a margin call, and the arbiter that the terms name decides (T35)."""

from __future__ import annotations

from dataclasses import dataclass

from escrow.core.errors import Rejected
from escrow.core.phases import on_evm
from escrow.core.regions.loan import Called, Disputed, Resolved
from escrow.core.regions.system import active_seconds
from escrow.core.roles import Role
from escrow.core.state import Escrow, Event
from escrow.core.terms import NOBODY
from escrow.core.units import Seconds


@dataclass(frozen=True, slots=True)
class Dispute:
    """``EscrowBook.dispute``: the call does not expire until it is decided on. Once a call."""

    by: Role
    at: Seconds
    tx: str = ""


@dataclass(frozen=True, slots=True)
class Resolve:
    """``EscrowBook.resolve``: the arbiter's word; anyone's once it was silent for too long, and
    then the call stands."""

    by: Role
    at: Seconds
    upheld: bool
    tx: str = ""


def dispute(escrow: Escrow, command: Dispute) -> tuple[Event, ...]:
    """Raises ``loan/unknown``, ``dispute/not-borrower``, ``dispute/not-called``,
    ``dispute/no-arbiter``, ``dispute/heard``."""
    loan = on_evm(escrow.loan)
    # WHO
    if command.by is not Role.BORROWER:
        raise Rejected("dispute/not-borrower", by=command.by.value)
    # WHEN
    if not isinstance(loan, Called):
        raise Rejected("dispute/not-called")
    if loan.terms.arbiter == NOBODY:
        raise Rejected("dispute/no-arbiter")
    if loan.heard:
        raise Rejected("dispute/heard")
    # THEN
    active = active_seconds(escrow.system, at=command.at)
    return (Disputed(command.at, active, command.tx),)


def resolve(escrow: Escrow, command: Resolve) -> tuple[Event, ...]:
    """Raises ``loan/unknown``, ``dispute/not-arbiter``, ``dispute/none``."""
    loan = on_evm(escrow.loan)
    dispute = loan.dispute if isinstance(loan, Called) else None
    # WHO: an arbiter that is late decides nothing any more, and anyone may end it.
    late = dispute is not None and command.at > dispute.at + loan.terms.dispute
    if not late and command.by is not Role.ARBITER:
        raise Rejected("dispute/not-arbiter", by=command.by.value)
    # WHEN
    if not isinstance(loan, Called) or dispute is None:
        raise Rejected("dispute/none")
    # THEN: a call that stands gives back the cure time that passed meanwhile.
    if command.upheld and not late:
        return (Resolved(command.at, True, Seconds(0), command.tx),)
    passed = active_seconds(escrow.system, at=command.at) - dispute.active
    return (Resolved(command.at, False, Seconds(loan.deadline + passed), command.tx),)
