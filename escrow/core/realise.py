"""Collateral realised: may it be, since when, and what follows from a split."""

from __future__ import annotations

from escrow.core.errors import Rejected
from escrow.core.phases import breach, fresh_price
from escrow.core.regions.loan import Indebted, Liquidated, Liquidating, Reason
from escrow.core.regions.system import Price
from escrow.core.regions.token import TokensFreed
from escrow.core.roles import Role
from escrow.core.rules import accrue, at_or_below, ltv_up, owed, pay
from escrow.core.sales import Split
from escrow.core.state import Escrow
from escrow.core.terms import Liquidation
from escrow.core.units import Sats, Seconds


def breached(escrow: Escrow, *, at: Seconds) -> tuple[Indebted, Price, Reason]:
    """The loan, the price and why the collateral may be realised at it.

    Raises ``liquidate/not-live`` without a debt or without coins: a seizure of nothing would wipe
    out the debt for nothing, and that is what recovery is for. ``price/stale``;
    ``liquidate/healthy``.
    """
    loan, held = escrow.loan, escrow.token.held
    if not isinstance(loan, Indebted) or not held:
        raise Rejected("liquidate/not-live")
    price = fresh_price(escrow.system, at=at)
    reason = breach(escrow, at=at)
    if reason is None:
        debt = owed(loan.debt, rate_bps=loan.terms.rate_bps, at=at)
        raise Rejected(
            "liquidate/healthy",
            ltv_bps=ltv_up(debt, sats=held, price=price.price),
            liquidation_ltv=loan.terms.liquidation_ltv,
        )
    return loan, price, reason


def auction_start(loan: Indebted, price: Price, reason: Reason) -> Seconds:
    """Since when an auction's price falls. Nobody has to start it: without a mark on the loan it
    runs from the price that breached the level, or from the default."""
    if isinstance(loan, Liquidating):
        return loan.since
    return price.at if reason is Reason.LEVEL else Seconds(loan.terms.maturity + loan.terms.grace)


def realise(
    escrow: Escrow,
    split: Split,
    *,
    by: Role,
    at: Seconds,
    price: Price,
    reason: Reason,
    tx: str,
    since: Seconds | None = None,
) -> tuple[Liquidated, TokensFreed]:
    """What a sale did to debt and tokens. ``since`` is of an auction that would go on."""
    loan = escrow.loan
    assert isinstance(loan, Indebted)
    terms = loan.terms
    grown = accrue(loan.debt, rate_bps=terms.rate_bps, at=at)
    after, interest, principal = pay(grown, amount=split.repaid)
    kept = Sats(escrow.token.held - split.seized)
    restored = split.left > 0 and (
        terms.liquidation is Liquidation.PARTIAL
        or at_or_below(
            owed(after, rate_bps=terms.rate_bps, at=at),
            sats=kept,
            price=price.price,
            level=terms.restore_ltv,
        )
    )
    done = Liquidated(
        at=at,
        by=by.value,
        kind=terms.liquidation,
        reason=reason,
        price=price.price,
        debt=owed(grown, rate_bps=terms.rate_bps, at=at),
        split=split,
        interest=interest,
        principal=principal,
        tx=tx,
        restored=restored,
        since=since if split.left and not restored else None,
    )
    return done, TokensFreed(at, seized=split.seized, released=split.surplus)
