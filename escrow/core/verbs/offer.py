"""The lender offers terms (T1)."""

from __future__ import annotations

from dataclasses import dataclass

from escrow.core.errors import Rejected
from escrow.core.gates import check_terms_now
from escrow.core.regions.loan import Draft, OfferMade
from escrow.core.regions.servicing import ServicingPlan
from escrow.core.roles import Role
from escrow.core.servicing import check_plan
from escrow.core.state import Escrow, Event
from escrow.core.terms import Terms, check_terms
from escrow.core.units import Seconds


@dataclass(frozen=True, slots=True)
class Offer:
    """Be bound to these terms until they expire."""

    by: Role
    at: Seconds
    terms: Terms
    plan: ServicingPlan | None = None


def offer(escrow: Escrow, command: Offer) -> tuple[Event, ...]:
    """Raises ``offer/not-lender``, ``offer/already-offered``, those of ``check_terms`` and
    ``check_plan``, and ``eligibility/denied``."""
    # WHO
    if command.by is not Role.LENDER:
        raise Rejected("offer/not-lender", by=command.by.value)
    # WHEN
    if not isinstance(escrow.loan, Draft):
        raise Rejected("offer/already-offered")
    check_terms(command.terms, at=command.at)
    if command.plan is not None:
        check_plan(command.plan, command.terms)
    rules = check_terms_now(escrow, command.terms, at=command.at)
    # THEN
    return (OfferMade(command.at, command.terms, command.plan), *rules)
