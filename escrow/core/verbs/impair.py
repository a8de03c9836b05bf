"""The lender holds a loan for impaired, or takes that back (T21, T22)."""

from __future__ import annotations

from dataclasses import dataclass

from escrow.core.errors import Rejected
from escrow.core.regions.servicing import Impaired, ImpairmentLifted
from escrow.core.roles import Role
from escrow.core.servicing import check_serviced
from escrow.core.state import Escrow, Event
from escrow.core.units import Seconds


@dataclass(frozen=True, slots=True)
class Impair:
    """From now on all of the debt is due (Maple ``impairLoan``: an accelerated due date)."""

    by: Role
    at: Seconds


@dataclass(frozen=True, slots=True)
class LiftImpairment:
    """What is due is what the plan says (Maple ``removeLoanImpairment``)."""

    by: Role
    at: Seconds


def impair(escrow: Escrow, command: Impair) -> tuple[Event, ...]:
    """Raises ``impair/not-lender``, ``loan/unknown``, ``assess/no-debt``, ``plan/none``,
    ``impair/already``, ``default/declared``."""
    # WHO
    if command.by is not Role.LENDER:
        raise Rejected("impair/not-lender", by=command.by.value)
    # WHEN
    check_serviced(escrow)
    if escrow.servicing.impaired_at is not None:
        raise Rejected("impair/already", impaired_at=escrow.servicing.impaired_at)
    # THEN
    return (Impaired(command.at),)


def lift_impairment(escrow: Escrow, command: LiftImpairment) -> tuple[Event, ...]:
    """Raises ``impair/not-lender``, ``loan/unknown``, ``assess/no-debt``, ``plan/none``,
    ``impair/not-impaired``, ``default/declared``."""
    # WHO
    if command.by is not Role.LENDER:
        raise Rejected("impair/not-lender", by=command.by.value)
    # WHEN
    check_serviced(escrow)
    if escrow.servicing.impaired_at is None:
        raise Rejected("impair/not-impaired")
    # THEN
    return (ImpairmentLifted(command.at),)
