"""How a loan stands by its plan: which notices its price earns, and what is overdue."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

from escrow.core.errors import Rejected
from escrow.core.phases import debt_now, on_evm
from escrow.core.regions.loan import Active, Indebted
from escrow.core.regions.servicing import ServicingPlan, Standing
from escrow.core.regions.system import Price
from escrow.core.rules import at_or_above
from escrow.core.state import Escrow
from escrow.core.terms import MAX_PRINCIPAL, Terms
from escrow.core.units import DAY, Seconds

MAX_INSTALMENTS: Final = 1_000
"""More than a payment a week for nineteen years."""
MAX_NOTICES: Final = 10
"""Most notice levels."""
MAX_PATIENCE: Final = Seconds(365 * DAY)
"""Longest grace, and longest delinquency."""


def check_plan(plan: ServicingPlan, terms: Terms) -> None:
    """Refuse a plan that contradicts itself or the terms.

    Raises ``Rejected``: ``plan/notices``, ``plan/instalments``, ``plan/patience``.
    """
    levels = (0, *plan.notices, terms.call_ltv)
    if len(plan.notices) > MAX_NOTICES or not _ascending(levels):
        raise Rejected("plan/notices", notices=len(plan.notices), call=terms.call_ltv)
    # From the end of the draw window, so that what falls due was lent.
    times = (terms.draw_by, *(each.due_at for each in plan.instalments), terms.maturity + 1)
    amounts = [each.amount for each in plan.instalments]
    if (
        len(amounts) > MAX_INSTALMENTS
        or not _ascending(times)
        or not all(0 < amount <= MAX_PRINCIPAL for amount in amounts)
    ):
        raise Rejected("plan/instalments", instalments=len(amounts), maturity=terms.maturity)
    if not (0 <= plan.grace <= MAX_PATIENCE and 0 <= plan.delinquency <= MAX_PATIENCE):
        raise Rejected("plan/patience", grace=plan.grace, delinquency=plan.delinquency)


def _ascending(values: tuple[int, ...]) -> bool:
    return all(low < high for low, high in pairwise(values))


def check_serviced(escrow: Escrow) -> None:
    """The lender may judge a debt that is serviced, until it has declared default.

    Raises ``Rejected``: ``loan/unknown``, ``assess/no-debt``, ``plan/none``, ``default/declared``.
    """
    if not isinstance(on_evm(escrow.loan), Indebted):
        raise Rejected("assess/no-debt")
    if escrow.servicing.plan is None:
        raise Rejected("plan/none")
    if escrow.servicing.standing is Standing.DEFAULTED:
        raise Rejected("default/declared")


def notices_earned(escrow: Escrow, price: Price, *, at: Seconds) -> int:
    """How many notice levels the loan-to-value has reached, at this price. A called loan earns
    none: it is past notices."""
    plan, held = escrow.servicing.plan, escrow.token.held
    if plan is None or not isinstance(escrow.loan, Active) or not held:
        return 0
    debt = debt_now(escrow, at=at)
    return sum(at_or_above(debt, sats=held, price=price.price, level=n) for n in plan.notices)


def unpaid_since(escrow: Escrow) -> Seconds | None:
    """Due date, past or to come, of the oldest money that is unpaid; ``None``: nothing is serviced.

    Whatever was paid counts for the oldest instalment first.
    """
    loan, servicing = escrow.loan, escrow.servicing
    if servicing.plan is None or not isinstance(loan, Indebted):
        return None
    left = loan.debt.paid_principal + loan.debt.paid_interest
    since = [loan.terms.maturity]
    if servicing.impaired_at is not None:
        since.append(servicing.impaired_at)
    for each in servicing.plan.instalments:
        left -= each.amount
        if left < 0:
            since.append(each.due_at)
            break
    return min(since)


def overdue_since(escrow: Escrow, *, at: Seconds) -> Seconds | None:
    """Due date of the oldest money that is overdue at ``at``; ``None``: nothing is. At its due
    date money is not overdue."""
    oldest = unpaid_since(escrow)
    return oldest if oldest is not None and at > oldest else None


def standing_at(escrow: Escrow, *, at: Seconds) -> Standing:
    """How the loan stands at ``at``. A declared default stands until the debt is paid or the loan
    refinanced."""
    if escrow.servicing.standing is Standing.DEFAULTED:
        return Standing.DEFAULTED
    since = overdue_since(escrow, at=at)
    if since is None:
        return Standing.PERFORMING
    assert escrow.servicing.plan is not None
    late = at > since + escrow.servicing.plan.grace
    return Standing.DELINQUENT if late else Standing.PAYMENT_GRACE


def next_assessment(escrow: Escrow) -> tuple[Seconds, ...]:
    """Moments at which the standing may change by time alone; some may be past."""
    oldest = unpaid_since(escrow)
    if oldest is None:
        return ()
    assert escrow.servicing.plan is not None
    return (Seconds(oldest + 1), Seconds(oldest + escrow.servicing.plan.grace + 1))


def default_from(escrow: Escrow, *, since: Seconds) -> Seconds:
    """The last second at which the lender may not yet declare default of what is overdue."""
    plan = escrow.servicing.plan
    assert plan is not None
    return Seconds(since + plan.grace + plan.delinquency)
