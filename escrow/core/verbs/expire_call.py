"""The cure time passed and the loan is still under water: the collateral may be taken (T16)."""

from __future__ import annotations

from dataclasses import dataclass

from escrow.core.errors import Rejected
from escrow.core.phases import fresh_price, on_evm
from escrow.core.regions.loan import Called, CallExpired
from escrow.core.regions.system import active_seconds
from escrow.core.roles import Role
from escrow.core.rules import at_or_above, ltv_up, owed
from escrow.core.state import Escrow, Event
from escrow.core.units import MAX_CENTS, Cents, Seconds
from escrow.core.verbs.auction import check_room


@dataclass(frozen=True, slots=True)
class ExpireCall:
    """``EscrowBook.expire_call``: a keeper's duty, open to anyone. Irreversible."""

    by: Role
    at: Seconds
    tx: str = ""
    room: Cents = MAX_CENTS
    """Principal that the book still lets into auctions."""


def expire_call(escrow: Escrow, command: ExpireCall) -> tuple[Event, ...]:
    """Raises ``loan/unknown``, ``expire/not-called``, ``price/stale``, ``expire/disputed``,
    ``expire/cure-time``, ``expire/healthy``, ``auction/cap``."""
    # WHO: anyone.
    # WHEN
    loan = on_evm(escrow.loan)
    if not isinstance(loan, Called):
        raise Rejected("expire/not-called")
    if loan.dispute is not None:
        raise Rejected("expire/disputed", since=loan.dispute.at)
    terms = loan.terms
    price = fresh_price(escrow.system, at=command.at)
    # What is done at the deadline itself is on time.
    active = active_seconds(escrow.system, at=command.at)
    if active <= loan.deadline:
        raise Rejected("expire/cure-time", active_now=active, deadline=loan.deadline)
    debt = owed(loan.debt, rate_bps=terms.rate_bps, at=command.at)
    held = escrow.token.held
    if not at_or_above(debt, sats=held, price=price.price, level=terms.call_ltv):
        raise Rejected(
            "expire/healthy",
            ltv_bps=ltv_up(debt, sats=held, price=price.price),
            call_ltv=terms.call_ltv,
        )
    check_room(terms, loan.debt.principal, room=command.room)
    # THEN
    return (CallExpired(command.at, price.round, command.tx),)
