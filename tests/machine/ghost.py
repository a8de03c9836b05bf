"""A second opinion: the loan in exact fractions, kept from the events alone.

It shares no arithmetic with the core. Whatever the core decides, or refuses, on a level must be
what the fractions say.
"""

from __future__ import annotations

from fractions import Fraction
from math import ceil

from escrow.core.decide import Command
from escrow.core.errors import Rejected
from escrow.core.laws import Step
from escrow.core.regions import loan as ln
from escrow.core.regions.system import PriceMarked
from escrow.core.regions.token import Retired, TokensFreed, TokensHeld
from escrow.core.state import Escrow
from escrow.core.terms import Terms

YEAR = 365 * 24 * 60 * 60


class Ghost:
    """One loan, as a bookkeeper with fractions would keep it."""

    def __init__(self) -> None:
        self.terms: Terms
        self.principal = 0
        self.interest = Fraction(0)
        self.since = 0
        self.held = 0
        self.worth = Fraction(0)
        """Cents for one sat."""

    def owes(self, at: int) -> int:
        """Cents at a moment, interest rounded up."""
        return self.principal + ceil(self._accrued(at))

    def _accrued(self, at: int) -> Fraction:
        seconds = max(0, at - self.since)
        yearly = Fraction(self.terms.rate_bps, 10_000)
        return self.interest + self.principal * yearly * Fraction(seconds, YEAR)

    def _accrue(self, at: int) -> None:
        self.interest = self._accrued(at)
        self.since = max(self.since, at)

    def ratio(self, at: int, *, more: int = 0) -> Fraction:
        """Loan-to-value in basis points, with ``more`` cents drawn."""
        debt, value = self.owes(at) + more, self.held * self.worth
        if not debt:
            return Fraction(0)
        return debt / value * 10_000 if value else Fraction(10**30)

    def _pay(self, at: int, interest: int, principal: int) -> None:
        self._accrue(at)
        assert interest == min(interest + principal, ceil(self.interest))
        assert 0 <= principal <= self.principal
        self.interest = max(Fraction(0), self.interest - interest)
        self.principal -= principal

    def see(self, step: Step) -> None:
        """Take an event in, and disagree aloud."""
        event = step.event
        match event:
            case ln.OfferMade(terms=terms):
                self.terms = terms
            case PriceMarked(price=price):
                self.worth = Fraction(price.price, 10**14)
            case TokensHeld(sats=sats):
                self.held += sats
            case TokensFreed(seized=seized, released=released):
                self.held -= seized + released
                assert self.held == 0
            case Retired(sats=sats):
                self.held -= min(self.held, sats)
            case ln.Drawn(at=at, amount=amount):
                assert self.ratio(at, more=amount) <= self.terms.initial_ltv
                self._accrue(at)
                self.principal += amount
            case ln.Repayment(at=at, interest=interest, principal=principal):
                self._pay(at, interest, principal)
            case ln.MarginCalled(at=at):
                assert self.ratio(at) >= self.terms.call_ltv
            case ln.CallCured(at=at):
                assert self.ratio(at) <= self.terms.restore_ltv
            case ln.CallExpired(at=at):
                assert self.ratio(at) >= self.terms.call_ltv
            case ln.Liquidated(at=at):
                self._seize(event, step.before.loan, at)
            case ln.LoanRecovered(at=at):
                self._accrue(at)
        assert self.held == step.after.token.held
        self._agree(step.after)

    def _seize(self, event: ln.Liquidated, before: ln.Loan, at: int) -> None:
        late = at > self.terms.maturity + self.terms.grace
        assert (
            (event.reason is ln.Reason.CALL_EXPIRED and isinstance(before, ln.Liquidating))
            or (event.reason is ln.Reason.LEVEL and self.ratio(at) >= self.terms.liquidation_ltv)
            or (event.reason is ln.Reason.DEFAULT and late)
        )
        claim = self.owes(at) * (1 + Fraction(self.terms.bonus_bps, 10_000))
        split, value = event.split, self.held * self.worth
        assert split.repaid + split.bad_debt == self.owes(at)
        assert split.seized * self.worth <= claim
        assert (split.bad_debt == 0) == (
            value * Fraction(10_000, 10_000 + self.terms.bonus_bps) >= self.owes(at)
        )
        self._pay(at, event.interest, event.principal)
        self.interest, self.principal = Fraction(0), 0

    def _agree(self, escrow: Escrow) -> None:
        debt = getattr(escrow.loan, "debt", None)
        if debt is not None:
            assert debt.principal == self.principal
            assert Fraction(debt.interest_acc, 10_000 * YEAR) == self.interest

    def hear(self, command: Command, refusal: Rejected) -> None:
        """A refusal on a level must be a refusal by the fractions as well."""
        at = command.at
        match refusal.code:
            case "call/healthy" | "expire/healthy":
                assert self.ratio(at) < self.terms.call_ltv
            case "cure/not-restored":
                assert self.ratio(at) > self.terms.restore_ltv
            case "liquidate/healthy":
                assert self.ratio(at) < self.terms.liquidation_ltv
                assert at <= self.terms.maturity + self.terms.grace
            case "draw/above-initial-ltv":
                more = getattr(command, "amount", 0)
                assert self.ratio(at, more=more) > self.terms.initial_ltv
