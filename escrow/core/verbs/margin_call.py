"""The loan is called: bring the loan-to-value down in time (T14)."""

from __future__ import annotations

from dataclasses import dataclass

from escrow.core.errors import Rejected
from escrow.core.phases import fresh_price, on_evm
from escrow.core.regions.loan import Active, MarginCalled
from escrow.core.regions.system import active_seconds
from escrow.core.roles import Role
from escrow.core.rules import at_or_above, ltv_up, owed
from escrow.core.state import Escrow, Event
from escrow.core.units import Seconds


@dataclass(frozen=True, slots=True)
class MarginCall:
    """``EscrowBook.margin_call``: a keeper's duty, open to anyone."""

    by: Role
    at: Seconds
    tx: str = ""


def margin_call(escrow: Escrow, command: MarginCall) -> tuple[Event, ...]:
    """Raises ``loan/unknown``, ``call/not-active``, ``price/stale``, ``call/healthy``."""
    # WHO: anyone.
    # WHEN
    loan = on_evm(escrow.loan)
    if not isinstance(loan, Active):
        raise Rejected("call/not-active")
    terms = loan.terms
    price = fresh_price(escrow.system, at=command.at)
    debt = owed(loan.debt, rate_bps=terms.rate_bps, at=command.at)
    held = escrow.token.held
    if not at_or_above(debt, sats=held, price=price.price, level=terms.call_ltv):
        raise Rejected(
            "call/healthy",
            ltv_bps=ltv_up(debt, sats=held, price=price.price),
            call_ltv=terms.call_ltv,
        )
    # THEN: the deadline is on the active clock, so an outage of the oracle does not eat it.
    deadline = Seconds(active_seconds(escrow.system, at=command.at) + terms.cure)
    return (MarginCalled(command.at, deadline, price.round, command.tx),)
