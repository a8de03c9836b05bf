"""The arithmetic of the loan: exact inside, rounded once, the direction in the name.

``EscrowBook.vy`` computes the same numbers from the same formulas; the conformance tests
compare them to the last unit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from escrow.core.units import (
    BPS,
    CENTS_SCALE,
    YEAR,
    Bps,
    Cents,
    PriceE8,
    Sats,
    Seconds,
    muldiv_down,
    muldiv_up,
)

INTEREST_DEN: Final = BPS * YEAR
"""Denominator of ``Debt.interest_acc``."""
MAX_INTEREST_ACC: Final = 2**101 - 1
"""Interest stops here, at 8.0 × 10¹⁸ cents, rather than make repaying impossible: with the largest
principal it stays below 2⁶⁴ cents, the most cash that there can be."""


@dataclass(frozen=True, slots=True)
class Debt:
    """What is owed, and the sums that explain it."""

    principal: Cents = Cents(0)
    """Outstanding principal."""
    interest_acc: int = 0
    """Unpaid interest, exactly: Σ principal × rate_bps × seconds; ÷ ``INTEREST_DEN`` = cents."""
    accrued_to: Seconds = Seconds(0)
    """Moment up to which ``interest_acc`` is complete."""
    drawn: Cents = Cents(0)
    """All that was ever drawn."""
    paid_principal: Cents = Cents(0)
    """Principal repaid or covered by liquidation."""
    paid_interest: Cents = Cents(0)
    """Interest repaid or covered by liquidation."""
    bad_debt: Cents = Cents(0)
    """What liquidation could not cover: the lender's loss, principal and interest."""
    lost_principal: Cents = Cents(0)
    """The part of ``bad_debt`` that was principal."""


def accrue(debt: Debt, *, rate_bps: Bps, at: Seconds) -> Debt:
    """Interest up to ``at``: simple, per second, actual/365. A moment in the past adds nothing."""
    if at <= debt.accrued_to:
        return debt
    grown = debt.interest_acc + debt.principal * rate_bps * (at - debt.accrued_to)
    return replace(debt, interest_acc=min(grown, MAX_INTEREST_ACC), accrued_to=at)


def interest_due(debt: Debt) -> Cents:
    """Accrued interest in whole cents, rounded up: against the one who owes."""
    return Cents(muldiv_up(debt.interest_acc, 1, INTEREST_DEN))


def owed(debt: Debt, *, rate_bps: Bps, at: Seconds) -> Cents:
    """Principal and interest at ``at``, in cents, rounded up."""
    grown = accrue(debt, rate_bps=rate_bps, at=at)
    return Cents(grown.principal + interest_due(grown))


def pay(debt: Debt, *, amount: Cents) -> tuple[Debt, Cents, Cents]:
    """Apply ``amount`` to an accrued debt: interest first, then principal.

    Returns the debt after, the interest part and the principal part. What exceeds the debt
    is not taken. The fraction of a cent that rounding up collected is not owed again.
    """
    interest = Cents(min(amount, interest_due(debt)))
    principal = Cents(min(amount - interest, debt.principal))
    after = replace(
        debt,
        principal=Cents(debt.principal - principal),
        interest_acc=max(0, debt.interest_acc - interest * INTEREST_DEN),
        paid_interest=Cents(debt.paid_interest + interest),
        paid_principal=Cents(debt.paid_principal + principal),
    )
    return after, interest, principal


def value_down(sats: Sats, *, price: PriceE8) -> Cents:
    """What ``sats`` are worth, in cents, rounded down: against the one who pledges."""
    return Cents(muldiv_down(sats, price, CENTS_SCALE))


def ltv_up(debt: Cents, *, sats: Sats, price: PriceE8) -> Bps:
    """Loan-to-value in bps, rounded up, for people to read. Rules compare exactly, below.

    Debt against nothing is shown as 10,000 times over: there is no ratio.
    """
    if debt == 0:
        return Bps(0)
    if sats * price == 0:
        return Bps(BPS * BPS)
    return Bps(muldiv_up(debt * CENTS_SCALE, BPS, sats * price))


def at_or_above(debt: Cents, *, sats: Sats, price: PriceE8, level: Bps) -> bool:
    """Is the loan-to-value ≥ ``level``? Exact: no division."""
    return debt * CENTS_SCALE * BPS >= level * sats * price


def at_or_below(debt: Cents, *, sats: Sats, price: PriceE8, level: Bps) -> bool:
    """Is the loan-to-value ≤ ``level``? Exact: no division."""
    return debt * CENTS_SCALE * BPS <= level * sats * price


def fee_shares(fee: Sats, *, payees: int) -> tuple[Sats, ...]:
    """The miner's fee of one payout divided among its payees; the first bears the remainder."""
    each = muldiv_down(fee, 1, payees)
    return (Sats(fee - each * (payees - 1)), *(Sats(each) for _ in range(payees - 1)))
