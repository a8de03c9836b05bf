"""How well a debtor pays, what lateness costs, and who may declare a default.

Source: the ACTUS dictionary on ``gracePeriod``, ``delinquencyPeriod``, ``delinquencyRate`` and
``contractPerformance``. The technical specification has no schedule for these: they follow from
what was really paid, and no published result has any.
"""

from __future__ import annotations

from decimal import Decimal, localcontext

from escrow.actus.moments import Moment
from escrow.actus.states import ARITHMETIC, ZERO, decimal
from escrow.actus.terms import Performance, Terms
from escrow.core.errors import BadInput
from escrow.schedules.daycount import year_fraction


def standing(
    terms: Terms, *, due: Moment, at: Moment, paid: Moment | None = None, declared: bool = False
) -> Performance:
    """How the contract performs at a moment, as to one payment.

    Performant until the grace is over, then delayed; after the delinquency period delinquent: the
    creditor has the right to declare default, and only the declaration makes it one.

    Raises BadInput("actus/event") for a declaration before there is the right.
    """
    settled = paid is not None and paid <= at
    if declared and (settled or at <= due.plus(terms.delinquency) or at <= due.plus(terms.grace)):
        raise BadInput("actus/event", kind="DF", at=str(at), reason="no right to declare yet")
    if settled or at <= due.plus(terms.grace):
        return Performance.PF
    if at <= due.plus(terms.delinquency):
        return Performance.DL
    return Performance.DF if declared else Performance.DQ


def delinquency_interest(terms: Terms, *, notional: Decimal, due: Moment, paid: Moment) -> Decimal:
    """What is owed for lateness beside the interest: ``delinquencyRate`` on what is outstanding,
    from the due date to the payment, and no longer than the delinquency period.

    Nothing for a payment within the grace. ``notional`` carries the sign of the role, and so does
    the result.
    """
    if paid <= due.plus(terms.grace):
        return ZERO
    end = min(paid, due.plus(terms.delinquency))
    if end <= due:
        return ZERO
    with localcontext(ARITHMETIC):
        years = year_fraction(due.calc, end=end.calc, count=terms.day_count)
        return notional * terms.delinquency_rate * decimal(years)
