"""Collateral is realised at the oracle's price: taken over by the lender, sold to a third party, or
sold back to a target (T16, T17, T23–T26)."""

from __future__ import annotations

from dataclasses import dataclass

from escrow.core.errors import Rejected
from escrow.core.phases import on_evm
from escrow.core.realise import breached, realise
from escrow.core.roles import Role
from escrow.core.rules import owed
from escrow.core.sales import sell
from escrow.core.state import Escrow, Event
from escrow.core.terms import Liquidation
from escrow.core.units import MAX_CENTS, Cents, Sats, Seconds


@dataclass(frozen=True, slots=True)
class Liquidate:
    """``EscrowBook.take_over`` (the lender) or ``EscrowBook.liquidate`` (anyone else)."""

    by: Role
    at: Seconds
    kind: Liquidation
    tx: str = ""
    pay: Cents = MAX_CENTS
    """Most that the buyer pays."""
    least: Sats = Sats(0)
    """Fewest coins for which it does."""


def liquidate(escrow: Escrow, command: Liquidate) -> tuple[Event, ...]:
    """Raises ``loan/unknown``, ``liquidate/…``: kind, not-lender, self, not-live, healthy, dust,
    slippage; ``price/stale``, ``loan/amount``."""
    terms = on_evm(escrow.loan).terms
    # WHO
    if command.kind is not terms.liquidation or command.kind is Liquidation.AUCTION:
        raise Rejected("liquidate/kind", asked=command.kind.name, terms=terms.liquidation.name)
    if command.kind is Liquidation.TAKE_OVER:
        if command.by is not Role.LENDER:
            raise Rejected("liquidate/not-lender", by=command.by.value)
    elif command.by is Role.BORROWER:
        raise Rejected("liquidate/self")
    # WHEN
    loan, price, reason = breached(escrow, at=command.at)
    split = sell(
        terms,
        debt=owed(loan.debt, rate_bps=terms.rate_bps, at=command.at),
        held=escrow.token.held,
        price=price.price,
        pay=command.pay,
        in_default=command.at > terms.maturity + terms.grace,
    )
    if split.seized < command.least:
        raise Rejected("liquidate/slippage", seized=split.seized, least=command.least)
    # THEN
    return realise(
        escrow, split, by=command.by, at=command.at, price=price, reason=reason, tx=command.tx
    )
