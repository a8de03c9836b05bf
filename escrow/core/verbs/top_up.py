"""The borrower pledges free tokens: the first collateral, and every later top-up (T8, T11)."""

from __future__ import annotations

from dataclasses import dataclass

from escrow.core.errors import Rejected
from escrow.core.gates import check_collateral
from escrow.core.phases import on_evm, takes_collateral
from escrow.core.regions.token import TokensHeld, free
from escrow.core.roles import Role
from escrow.core.state import Escrow, Event
from escrow.core.units import Sats, Seconds


@dataclass(frozen=True, slots=True)
class TopUp:
    """``EscrowBook.top_up``. Needs no price."""

    by: Role
    at: Seconds
    sats: Sats
    tx: str = ""


def top_up(escrow: Escrow, command: TopUp) -> tuple[Event, ...]:
    """Raises ``loan/unknown``, ``top-up/not-borrower``, ``top-up/not-live``, ``loan/amount``,
    ``top-up/no-tokens``, ``eligibility/denied``."""
    loan = on_evm(escrow.loan)
    # WHO
    if command.by is not Role.BORROWER:
        raise Rejected("top-up/not-borrower", by=command.by.value)
    # WHEN
    if not takes_collateral(loan):
        raise Rejected("top-up/not-live")
    if command.sats <= 0:
        raise Rejected("loan/amount", sats=command.sats)
    if command.sats > free(escrow.token):
        raise Rejected("top-up/no-tokens", sats=command.sats, free=free(escrow.token))
    check_collateral(escrow, at=command.at)
    # THEN
    return (TokensHeld(command.at, command.sats, command.tx),)
