"""New terms take the old loan's place: the old debt is settled first (T33)."""

from __future__ import annotations

from dataclasses import dataclass

from escrow.core.errors import Rejected
from escrow.core.gates import check_terms_now
from escrow.core.phases import fresh_price, on_evm
from escrow.core.regions.loan import Active, Refinanced
from escrow.core.roles import Role
from escrow.core.rules import at_or_below, ltv_up, owed
from escrow.core.state import Escrow, Event
from escrow.core.terms import Terms, check_terms
from escrow.core.units import Seconds


@dataclass(frozen=True, slots=True)
class Refinance:
    """``EscrowBook.refinance`` with the signatures of borrower and new lender over ``terms``."""

    by: Role
    at: Seconds
    terms: Terms
    tx: str = ""


def refinance(escrow: Escrow, command: Refinance) -> tuple[Event, ...]:
    """Raises ``loan/unknown``, those of ``check_terms`` (``open/expired`` for terms out of date),
    ``refinance/not-active``, ``refinance/custody``, ``price/stale``, ``draw/above-principal``,
    ``draw/above-initial-ltv``, ``eligibility/denied``.

    That the new terms name this loan as their origin, were never used before and are signed by both
    is for the contract to say: the core knows neither hashes nor signatures.
    """
    # WHO: anyone who carries both signatures.
    loan, new = on_evm(escrow.loan), command.terms
    # WHEN
    try:
        check_terms(new, at=command.at)
    except Rejected as refusal:
        if refusal.code != "offer/expired":
            raise
        raise Rejected("open/expired", **refusal.facts) from None
    if not isinstance(loan, Active):
        raise Rejected("refinance/not-active")
    old = loan.terms
    # The coins stay where they are, so nothing that the vault was built on may change.
    kept = ("borrower", "vault", "recover_at", "confirmations", "max_fee")
    for name in kept:
        if getattr(old, name) != getattr(new, name):
            raise Rejected("refinance/custody", field=name)
    price = fresh_price(escrow.system, at=command.at).price
    debt = owed(loan.debt, rate_bps=old.rate_bps, at=command.at)
    if debt > new.principal:
        raise Rejected("draw/above-principal", amount=debt, outstanding=0, principal=new.principal)
    held = escrow.token.held
    if not at_or_below(debt, sats=held, price=price, level=new.initial_ltv):
        raise Rejected(
            "draw/above-initial-ltv",
            ltv_bps=ltv_up(debt, sats=held, price=price),
            initial_ltv=new.initial_ltv,
        )
    rules = check_terms_now(escrow, new, at=command.at)
    # THEN
    return (Refinanced(command.at, new, debt, command.tx), *rules)
