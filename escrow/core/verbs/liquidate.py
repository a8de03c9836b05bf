"""The collateral is realised in full: taken over by the lender, or sold at a discount
(T16, T17, T23, T25)."""

from __future__ import annotations

from dataclasses import dataclass

from escrow.core.errors import Rejected
from escrow.core.phases import breach, fresh_price, on_evm
from escrow.core.regions.loan import Indebted, Liquidated
from escrow.core.regions.token import TokensFreed
from escrow.core.roles import Role
from escrow.core.rules import accrue, liquidation_split, ltv_up, owed, pay
from escrow.core.state import Escrow, Event
from escrow.core.terms import Liquidation
from escrow.core.units import Seconds


@dataclass(frozen=True, slots=True)
class Liquidate:
    """``EscrowBook.take_over`` (the lender) or ``EscrowBook.liquidate`` (a third party)."""

    by: Role
    at: Seconds
    kind: Liquidation
    tx: str = ""


def liquidate(escrow: Escrow, command: Liquidate) -> tuple[Event, ...]:
    """Raises ``loan/unknown``, ``liquidate/…``: kind, not-lender, self, not-live, healthy, and
    ``price/stale``."""
    loan = on_evm(escrow.loan)
    terms = loan.terms
    # WHO
    if command.kind is not terms.liquidation:
        raise Rejected("liquidate/kind", asked=command.kind.name, terms=terms.liquidation.name)
    if command.kind is Liquidation.TAKE_OVER and command.by is not Role.LENDER:
        raise Rejected("liquidate/not-lender", by=command.by.value)
    if command.kind is Liquidation.THIRD_PARTY and command.by is Role.BORROWER:
        raise Rejected("liquidate/self")
    # WHEN: there is a debt, and there are coins. Without coins a seizure would wipe out the
    # debt for nothing; that is what recovery is for.
    held = escrow.token.held
    if not isinstance(loan, Indebted) or not held:
        raise Rejected("liquidate/not-live")
    price = fresh_price(escrow.system, at=command.at).price
    debt = owed(loan.debt, rate_bps=terms.rate_bps, at=command.at)
    reason = breach(escrow, at=command.at)
    if reason is None:
        raise Rejected(
            "liquidate/healthy",
            ltv_bps=ltv_up(debt, sats=held, price=price),
            liquidation_ltv=terms.liquidation_ltv,
        )
    # THEN
    split = liquidation_split(debt=debt, held=held, price=price, bonus=terms.bonus_bps)
    grown = accrue(loan.debt, rate_bps=terms.rate_bps, at=command.at)
    _, interest, principal = pay(grown, amount=split.repaid)
    done = Liquidated(
        at=command.at,
        by=command.by.value,
        kind=command.kind,
        reason=reason,
        price=price,
        debt=debt,
        split=split,
        interest=interest,
        principal=principal,
        tx=command.tx,
    )
    return (done, TokensFreed(command.at, seized=split.seized, released=split.surplus))
