"""The lender declares a default (T20, T23)."""

from __future__ import annotations

from dataclasses import dataclass

from escrow.core.errors import Rejected
from escrow.core.regions.servicing import DefaultDeclared
from escrow.core.roles import Role
from escrow.core.servicing import check_serviced, default_from, overdue_since
from escrow.core.state import Escrow, Event
from escrow.core.units import Seconds


@dataclass(frozen=True, slots=True)
class DeclareDefault:
    """A right, not a duty (ACTUS: the creditor has the right). The collateral stays where it is
    until the escrow book's own time of default, as a pre-signed default transaction waits for its
    ``nLockTime`` (Firefish)."""

    by: Role
    at: Seconds


def declare_default(escrow: Escrow, command: DeclareDefault) -> tuple[Event, ...]:
    """Raises ``default/not-lender``, ``loan/unknown``, ``assess/no-debt``, ``plan/none``,
    ``default/declared``, ``default/not-overdue``, ``default/too-early``."""
    # WHO
    if command.by is not Role.LENDER:
        raise Rejected("default/not-lender", by=command.by.value)
    # WHEN
    check_serviced(escrow)
    since = overdue_since(escrow, at=command.at)
    if since is None:
        raise Rejected("default/not-overdue")
    last = default_from(escrow, since=since)
    if command.at <= last:
        raise Rejected("default/too-early", now=command.at, after=last)
    # THEN
    return (DefaultDeclared(command.at, since),)
