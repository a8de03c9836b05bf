"""A party ends what was never drawn (T3, T9)."""

from __future__ import annotations

from dataclasses import dataclass

from escrow.core.errors import Rejected
from escrow.core.regions.loan import (
    Accepted,
    Draft,
    LoanCancelled,
    Offered,
    OfferEnded,
    Opened,
)
from escrow.core.regions.token import TokensFreed
from escrow.core.roles import Role
from escrow.core.state import Escrow, Event
from escrow.core.units import Sats, Seconds


@dataclass(frozen=True, slots=True)
class Cancel:
    """Withdraw an offer, or ``EscrowBook.cancel`` once the loan is on the EVM."""

    by: Role
    at: Seconds
    tx: str = ""


def cancel(escrow: Escrow, command: Cancel) -> tuple[Event, ...]:
    """Raises ``loan/unknown``, ``cancel/…``: not-party, draw-window, too-late."""
    loan = escrow.loan
    party = command.by in (Role.BORROWER, Role.LENDER)
    match loan:
        case Draft():
            raise Rejected("loan/unknown")
        case Offered() | Accepted():
            # WHO
            if not party:
                raise Rejected("cancel/not-party", by=command.by.value)
            # WHEN: until the escrow book knows the loan, either side may still step back.
            # THEN
            return (OfferEnded(command.at, expired=False),)
        case _:
            terms = loan.terms
            over = command.at > terms.draw_by
            # WHO: the borrower; when the draw window has ended, anyone.
            if not party and not over:
                raise Rejected("cancel/not-party", by=command.by.value)
            # WHEN: nothing was drawn.
            if not isinstance(loan, Opened):
                raise Rejected("cancel/too-late")
            if command.by is not Role.BORROWER and not over:
                raise Rejected("cancel/draw-window", draw_by=terms.draw_by, now=command.at)
            # THEN
            held = escrow.token.held
            freed = TokensFreed(command.at, seized=Sats(0), released=held)
            return (LoanCancelled(command.at, command.tx), *((freed,) if held else ()))
