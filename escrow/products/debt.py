"""What is owed: simple interest by the second, actual/365, exact inside and rounded up once.

The same numbers as ``escrow.core.rules``, which the tests compare them with, kept in place:
a comparison asks for them half a million times.
"""

from __future__ import annotations

from escrow.core.rules import INTEREST_DEN, MAX_INTEREST_ACC
from escrow.core.units import Cents, Seconds, muldiv_up
from escrow.products.model import Pays, Repayment


class Owing:
    """A debt that grows, and what was paid of it."""

    __slots__ = ("_acc", "_due", "_plan", "_rate", "_since", "due_at", "principal")

    def __init__(self, plan: Repayment, *, principal: Cents, at: Seconds) -> None:
        self.principal = principal
        """Outstanding."""
        self._plan, self._since = plan, at
        self._rate: int = plan.rate_bps
        self._acc = 0
        if plan.pays is Pays.FULL_TERM and plan.term is not None:
            # All of it from the first second, and nothing after.
            self._acc, self._rate = principal * plan.rate_bps * plan.term, 0
        self._due = None if plan.term is None else Seconds(at + plan.term)
        self.due_at = self._due
        """When the next payment is due; none under ``OPEN``."""
        if plan.every is not None and self._due is not None:
            self.due_at = Seconds(min(at + plan.every, self._due))

    @property
    def is_last(self) -> bool:
        """Is everything due then?"""
        return self.due_at == self._due

    def interest(self, at: Seconds) -> Cents:
        """Unpaid interest in whole cents, rounded up; below 0 only where the rate is."""
        return Cents(muldiv_up(self._grown(at), 1, INTEREST_DEN))

    def owed(self, at: Seconds) -> Cents:
        """Principal and interest."""
        return Cents(self.principal + self.interest(at))

    def pay(self, amount: Cents, *, at: Seconds) -> Cents:
        """Apply ``amount``: interest first, then principal. What was taken; never more than is
        owed."""
        self._acc, self._since = self._grown(at), max(at, self._since)
        due = muldiv_up(self._acc, 1, INTEREST_DEN)
        interest = min(amount, due)
        principal = min(amount - interest, self.principal)
        self.principal = Cents(self.principal - principal)
        # The fraction of a cent that rounding up collected is not owed again.
        self._acc = max(min(0, self._acc), self._acc - interest * INTEREST_DEN)
        return Cents(interest + principal)

    def next_due(self) -> None:
        """This payment was made: the next one is due."""
        every, last = self._plan.every, self._due
        if every is not None and last is not None and self.due_at is not None:
            self.due_at = Seconds(min(self.due_at + every, last))

    def _grown(self, at: Seconds) -> int:
        if at <= self._since:
            return self._acc
        return min(self._acc + self.principal * self._rate * (at - self._since), MAX_INTEREST_ACC)
