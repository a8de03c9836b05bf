"""Why collateral was realised: the reason, how nearly it was not, and the split."""

from __future__ import annotations

from typing import assert_never

from escrow.core.regions import loan as ln
from escrow.core.state import Escrow
from escrow.core.terms import Liquidation
from escrow.core.units import Seconds
from escrow.view.explain import guards
from escrow.view.explain import rulebook as rb
from escrow.view.explain.measure import (
    BOOK,
    number,
    signed,
)
from escrow.view.explain.parts import (
    SHOWN,
    Explanation,
    Finding,
    explained,
)


def reasons(reason: ln.Reason, before: Escrow, *, at: Seconds) -> tuple[Finding, ...]:
    """Why the collateral may be realised, and how nearly it may not."""
    loan = before.loan
    assert isinstance(loan, ln.Indebted)
    t = loan.terms
    match reason:
        case ln.Reason.LEVEL:
            found = guards.liquidation_level(before, at=at)
            if at > t.maturity + t.grace:
                # In default as well: no level would have spared it.
                also = guards.default_time(t, at=at, alone=False)
                return (Finding(found.verdict, found.inputs, found.rounding), also)
            return (found,)
        case ln.Reason.DEFAULT:
            level = guards.liquidation_level(before, at=at)
            return (
                guards.default_time(t, at=at),
                Finding(level.verdict, level.inputs, level.rounding),
            )
        case ln.Reason.CALL_EXPIRED:
            assert isinstance(loan, ln.Liquidating)
            since = number("expired or begun", loan.since, unit="moment", source=BOOK)
            ago = SHOWN["seconds"](at - loan.since)
            said = f"for sale since {ago}: no level and no time matters any more, only repayment"
            return (Finding(said, (since,)),)
        case _:
            assert_never(reason)


def liquidated(event: ln.Liquidated, before: Escrow) -> Explanation:
    """Why collateral was realised, and how it was divided."""
    loan, at = before.loan, event.at
    assert isinstance(loan, ln.Indebted)
    t, last = loan.terms, before.system.price
    assert last is not None
    findings = [*reasons(event.reason, before, at=at)]
    if event.kind is Liquidation.AUCTION:
        findings.append(
            guards.auction_clock(before, loan, event.reason, at=at, code="auction/stale")
        )
    else:
        findings.append(guards.breakeven(before, t, debt=event.debt, reason=event.reason))
    if event.kind is Liquidation.PARTIAL:
        findings.append(Finding("", (signed(t, "target_ltv", unit="bps"),)))
    if event.split.left:
        findings.append(Finding("", (signed(t, "min_left", unit="cents"),)))
    stood = guards.position(before, at=at, field="liquidation_ltv", above=True)
    assert stood is not None
    findings += [Finding("", stood.inputs()), guards.split_of(event)]
    return explained("Liquidated", at, rb.SEIZURE, *findings)
