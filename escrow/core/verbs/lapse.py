"""An offer that nobody opened in time ends by itself (T3)."""

from __future__ import annotations

from dataclasses import dataclass

from escrow.core.errors import Rejected
from escrow.core.regions.loan import Accepted, Offered, OfferEnded
from escrow.core.roles import Role
from escrow.core.state import Escrow, Event
from escrow.core.units import Seconds


@dataclass(frozen=True, slots=True)
class Lapse:
    """See whether a time has run out that no chain keeps."""

    by: Role
    at: Seconds


def lapse(escrow: Escrow, command: Lapse) -> tuple[Event, ...]:
    """No event while nothing has run out. Raises ``lapse/not-watcher``."""
    # WHO
    if command.by is not Role.WATCHER:
        raise Rejected("lapse/not-watcher", by=command.by.value)
    # WHEN
    loan = escrow.loan
    if not isinstance(loan, Offered | Accepted) or command.at <= loan.terms.expires_at:
        return ()
    # THEN
    return (OfferEnded(command.at, expired=True),)
