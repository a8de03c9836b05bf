"""What is owed: simple interest by the second, actual/365, exact inside and rounded up once.

The same numbers as ``escrow.core.rules``, which the tests compare them with, kept in place: a
comparison asks for them half a million times. What runs by a plan's calendar is ``Dated``.
"""

from __future__ import annotations

from escrow.core.rules import INTEREST_DEN, MAX_INTEREST_ACC
from escrow.core.units import Cents, Seconds, muldiv_up
from escrow.products.dated import Dated
from escrow.products.model import Pays, Repayment


class Owing:
    """A debt that grows each second, and what was paid of it."""

    __slots__ = (
        "_acc",
        "_due",
        "_late",
        "_overdue",
        "_plan",
        "_rate",
        "_since",
        "due_at",
        "principal",
    )

    def __init__(self, plan: Repayment, *, principal: Cents, at: Seconds) -> None:
        self.principal = principal
        """Outstanding."""
        self._plan, self._since = plan, at
        self._rate: int = plan.rate_bps
        self._acc = self._late = self._overdue = 0
        if plan.pays is Pays.FULL_TERM and plan.term is not None:
            # All of it from the first second, and nothing after.
            self._acc, self._rate = principal * plan.rate_bps * plan.term, 0
        self._due = None if plan.term is None else Seconds(at + plan.term)
        self.due_at = self._due
        """When the next payment is due; none under ``OPEN``, and after the last."""
        if plan.every is not None and self._due is not None:
            self.due_at = Seconds(min(at + plan.every, self._due))

    def interest(self, at: Seconds) -> Cents:
        """Unpaid interest in whole cents, rounded up; below 0 only where the rate is."""
        acc, late = self._grown(at)
        return Cents(muldiv_up(acc + late, 1, INTEREST_DEN))

    def owed(self, at: Seconds) -> Cents:
        """Principal and interest."""
        return Cents(self.principal + self.interest(at))

    def due(self) -> Cents:
        """What falls due at ``due_at``, and what is overdue: interest, at the end everything."""
        at = self.due_at or self._since
        return self.owed(at) if at == self._due else self.interest(at)

    def meet(self) -> Cents:
        """What falls due is paid: how much. The next payment is due."""
        paid = self.pay(self.due(), at=self.due_at or self._since)
        self._next()
        return paid

    def miss(self) -> None:
        """What falls due is not paid: it is overdue. The next payment is due."""
        at = self.due_at or self._since
        self._settle(at)
        interest = max(0, muldiv_up(self._acc, 1, INTEREST_DEN))
        self._overdue = interest + (self.principal if at == self._due else 0)
        self._next()

    def pay(self, amount: Cents, *, at: Seconds) -> Cents:
        """Apply ``amount``: interest first, then principal. What was taken; never more than is
        owed."""
        self._settle(at)
        grown = self._acc + self._late
        interest = min(amount, muldiv_up(grown, 1, INTEREST_DEN))
        principal = min(amount - interest, self.principal)
        self.principal = Cents(self.principal - principal)
        # The fraction of a cent that rounding up collected is not owed again.
        left = max(min(0, grown), grown - interest * INTEREST_DEN)
        self._late = max(0, min(self._late, left))
        self._acc = left - self._late
        self._overdue = max(0, self._overdue - interest - principal)
        return Cents(interest + principal)

    def _next(self) -> None:
        every, last = self._plan.every, self._due
        if self.due_at == last or last is None or every is None or self.due_at is None:
            self.due_at = None
        else:
            self.due_at = Seconds(min(self.due_at + every, last))

    def _settle(self, at: Seconds) -> None:
        """What ran until then has run."""
        self._acc, self._late = self._grown(at)
        self._since = max(at, self._since)

    def _grown(self, at: Seconds) -> tuple[int, int]:
        """Interest of the principal, and late interest on what is overdue, on top of it."""
        ran = at - self._since
        if ran <= 0:
            return self._acc, self._late
        acc = min(self._acc + self.principal * self._rate * ran, MAX_INTEREST_ACC)
        if self._rate < 0:
            # Nobody owes less than nothing.
            acc = max(acc, -self.principal * INTEREST_DEN)
        if not self._overdue:
            return acc, self._late
        return acc, self._late + self._overdue * self._plan.late_bps * ran


Debt = Owing | Dated


def debt_of(terms: Repayment, *, principal: Cents, at: Seconds) -> Debt:
    """The debt of a loan that is drawn. Raises BadInput: ``schedule/…``, for a plan that cannot
    be laid from that day on."""
    if terms.plan is not None:
        return Dated(terms, plan=terms.plan, principal=principal, at=at)
    return Owing(terms, principal=principal, at=at)
