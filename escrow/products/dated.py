"""What is owed under a plan of ``escrow.schedules``: by days of a calendar, in instalments.

Who pays each instalment pays what ``schedule`` says, to the cent. Kept here is what that cannot
know: principal that went down early, and instalments that were missed. What is left of the
principal is then laid anew over the dates that are left: payments get smaller, the end stays.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from fractions import Fraction
from typing import Final

from escrow.core.units import DAY, Cents, Seconds
from escrow.products.model import Repayment
from escrow.schedules.accrual import accrued, day_of, moment, rate_steps
from escrow.schedules.daycount import year_fraction
from escrow.schedules.instalments import (
    Slot,
    last_day,
    principal_part,
    regular_part_of,
    slots_of,
)
from escrow.schedules.plan import Kind, Plan, Prepayment, rate_of, round_cents

_KEPT: Final = 64
"""Days of which the interest is remembered: prices come many times a day."""


class Dated:
    """A debt in instalments, and what was paid of it."""

    __slots__ = (
        "_acc",
        "_base",
        "_behind",
        "_known",
        "_late",
        "_late_rate",
        "_late_since",
        "_left",
        "_maturity",
        "_plan",
        "_regular",
        "_since",
        "_start",
        "_steps",
        "_unpaid",
        "due_at",
        "principal",
    )

    def __init__(self, terms: Repayment, *, plan: Plan, principal: Cents, at: Seconds) -> None:
        """Raises BadInput as ``schedules.schedule`` does."""
        self._plan = plan = replace(plan, rate_bps=terms.rate_bps)
        self._start, first = at, day_of(at)
        self._maturity = last_day(plan, first=first)
        self._left: tuple[Slot, ...] = slots_of(plan, first=first, end=self._maturity)
        self._steps = rate_steps(
            plan,
            start=first,
            begin=first,
            end=max(self._maturity, self._left[-1].end),
            # Before the first date that the file knows, the first rate is assumed.
            fixings=[*(replace(each, at=Seconds(0)) for each in terms.index[:1]), *terms.index],
        )
        self._late_rate = rate_of(terms.late_bps)
        self.principal = principal
        """Outstanding."""
        self._base = principal
        """What bears interest in the running period."""
        self._since = self._late_since = first
        self._acc = self._late = Fraction(0)
        self._unpaid = self._behind = Cents(0)
        """Interest and principal that fell due and were not paid."""
        self._regular: Cents | None = None
        self._known: dict[int, Cents] = {}
        # A convention may move a payment to before the loan began: then it is in its first second.
        self.due_at = self._due_after(Seconds(at + 1))
        """When the next instalment is due; none after the last."""

    def interest(self, at: Seconds) -> Cents:
        """Unpaid interest in whole cents, rounded once in the plan's direction."""
        day = at // DAY
        found = self._known.get(day)
        if found is None:
            if len(self._known) >= _KEPT:
                self._known.clear()
            on = day_of(at)
            found = Cents(self._unpaid + self._rounded(self._accrued(on) + self._overdue(on)))
            self._known[day] = found
        return found

    def owed(self, at: Seconds) -> Cents:
        """Principal and interest."""
        return Cents(self.principal + self.interest(at))

    def due(self) -> Cents:
        """What falls due at ``due_at``, beside what is overdue; 0 where the interest is added to
        the debt instead."""
        interest, part = self._instalment()
        return Cents(0) if self._adds else Cents(interest + part)

    def meet(self) -> Cents:
        """What falls due is paid: how much. The next instalment is due."""
        interest, part = self._instalment()
        adds = self._adds
        self.principal = Cents(self.principal + (interest if adds else -part))
        self._next()
        return Cents(0 if adds else interest + part)

    def miss(self) -> None:
        """What falls due is not paid: it is overdue. The next instalment is due."""
        interest, part = self._instalment()
        self._settle(self._left[0].due)
        self._unpaid = Cents(self._unpaid + interest)
        self._behind = Cents(self._behind + part)
        self._next()

    def pay(self, amount: Cents, *, at: Seconds) -> Cents:
        """Apply ``amount`` out of turn: interest first, then principal. What was taken; never more
        than is owed. ``FULL_PERIOD``: the running period's interest stays what it was to be."""
        self._settle(day_of(at))
        interest = min(amount, self._unpaid + self._rounded(self._acc + self._late))
        principal = min(amount - interest, self.principal)
        older = min(interest, self._unpaid)
        self._unpaid = Cents(self._unpaid - older)
        # The fraction of a cent that rounding up collected is not owed again.
        left = max(Fraction(0), self._acc + self._late - (interest - older))
        self._late = min(self._late, left)
        self._acc = left - self._late
        self._behind = Cents(max(0, self._behind - principal))
        self.principal = Cents(self.principal - principal)
        if self._plan.prepayment is Prepayment.ACCRUED_ONLY:
            self._base = self.principal
        if principal:
            self._regular = None
        self._known.clear()
        return Cents(interest + principal)

    # --- the running period ---

    @property
    def _adds(self) -> bool:
        """Is its interest added to the debt? That of the last one never is."""
        return len(self._left) > 1 and self._left[0].capitalises

    def _instalment(self) -> tuple[Cents, Cents]:
        """Its interest, and its part of the principal."""
        slot, balance = self._left[0], Cents(self.principal - self._behind)
        interest = self._rounded(self._accrued(slot.end))
        if len(self._left) == 1:
            return interest, balance
        if self._adds:
            return interest, Cents(0)
        if self._regular is None:
            rate = next(each.bps for each in reversed(self._steps) if each.day <= slot.begin)
            self._regular = regular_part_of(
                self._plan, balance=balance, rate=rate, slots=self._left, maturity=self._maturity
            )
        part = principal_part(
            self._plan, regular_part=self._regular, interest=interest, balance=balance
        )
        return interest, part

    def _next(self) -> None:
        done, self._left = self._left[0], self._left[1:]
        self._since, self._acc, self._base = done.end, Fraction(0), self.principal
        if self._plan.reset and self._plan.kind is Kind.ANNUITY:
            self._regular = None
        self._known.clear()
        self.due_at = self._due_after(self.due_at or self._start)

    def _due_after(self, earliest: Seconds) -> Seconds | None:
        if not self._left or not self.principal:
            return None
        return max(moment(self._left[0].due, like=self._start), earliest)

    # --- interest ---

    def _stop(self, day: date) -> date:
        """Until when the running period's interest has run; after the last it goes on."""
        return min(day, self._left[0].end) if self._left else day

    def _accrued(self, day: date) -> Fraction:
        """In the running period until ``day``, on principal that is overdue too."""
        return self._acc + accrued(
            self._plan,
            balance=self._base,
            begin=self._since,
            end=self._stop(day),
            steps=self._steps,
            maturity=self._maturity,
        )

    def _overdue(self, day: date) -> Fraction:
        """Late interest, on top of it; it bears none itself."""
        overdue = self._unpaid + self._behind
        if not overdue or not self._late_rate or day <= self._late_since:
            return self._late
        years = year_fraction(self._late_since, end=day, count=self._plan.day_count)
        return self._late + overdue * self._late_rate * years

    def _settle(self, day: date) -> None:
        """What ran until ``day`` has run."""
        self._acc, self._late = self._accrued(day), self._overdue(day)
        self._since = max(self._since, self._stop(day))
        self._late_since = max(self._late_since, day)

    def _rounded(self, exact: Fraction) -> Cents:
        return Cents(round_cents(exact, rounding=self._plan.rounding))
