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
from escrow.core.terms import Liquidation, Terms

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
        self.priced_at = 0
        self.over = False
        """Sold for the last time."""

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
                self.priced_at = price.at
            case TokensHeld(sats=sats):
                self.held += sats
            case TokensFreed(seized=seized, released=released):
                self.held -= seized + released
                assert self.held == 0 or released == 0 or not self.over
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
            case ln.Withdrawn(at=at, sats=sats):
                worth = (self.held - sats) * self.worth * self.terms.initial_ltv
                assert self.owes(at) * 10_000 <= worth
            case ln.Refinanced(at=at, terms=terms, settled=settled):
                assert settled == self.owes(at)
                self.terms, self.since = terms, at
                self.principal, self.interest = settled, Fraction(0)
                assert self.ratio(at) <= terms.initial_ltv
            case ln.AuctionBegun(at=at):
                self._may_be_sold(event.reason, step.before.loan, at)
            case ln.LoanRecovered(at=at):
                self._accrue(at)
        assert self.held == step.after.token.held
        self._agree(step.after)

    def _may_be_sold(self, reason: ln.Reason, before: ln.Loan, at: int) -> None:
        late = at > self.terms.maturity + self.terms.grace
        assert (
            (reason is ln.Reason.CALL_EXPIRED and isinstance(before, ln.Liquidating))
            or (reason is ln.Reason.LEVEL and self.ratio(at) >= self.terms.liquidation_ltv)
            or (reason is ln.Reason.DEFAULT and late)
        )

    def _seize(self, event: ln.Liquidated, before: ln.Loan, at: int) -> None:
        """Where every cent and sat of a sale goes: paid = fee + interest + principal, in that
        order; coins to the buyer at no more than they cost; what is not covered stays, or is bad
        debt once no coin is left."""
        self._may_be_sold(event.reason, before, at)
        split, owed = event.split, self.owes(at)
        paid = split.repaid + split.fee
        assert min(split.repaid, split.fee, split.seized, split.surplus, split.left) >= 0
        assert split.repaid + split.left + split.bad_debt == owed
        assert split.repaid == event.interest + event.principal
        # The fee is that part of what was paid, to a cent.
        assert abs(split.fee - paid * Fraction(self.terms.fee_bps, 10_000)) <= 1
        assert split.seized * self._unit(event, before) <= paid + 1
        if split.bad_debt:
            assert split.seized == self.held
        if split.left:
            assert split.left >= self.terms.min_left
            assert split.surplus == split.bad_debt == 0
        else:
            assert split.seized + split.surplus == self.held
        self._pay(at, event.interest, event.principal)
        if not split.left:
            self.over = True
            self.interest, self.principal = Fraction(0), 0

    def _unit(self, event: ln.Liquidated, before: ln.Loan) -> Fraction:
        """Cents that a buyer pays for one sat, by the terms alone."""
        if event.kind is not Liquidation.AUCTION:
            return self.worth / (1 + Fraction(self.terms.bonus_bps, 10_000))
        start = {
            ln.Reason.CALL_EXPIRED: getattr(before, "since", 0),
            ln.Reason.LEVEL: self.priced_at,
            ln.Reason.DEFAULT: self.terms.maturity + self.terms.grace,
        }[event.reason]
        steps = (event.at - start) // self.terms.step
        first = self.worth * Fraction(self.terms.buf_bps, 10_000)
        # Rounding down at each multiplication loses less than a part in 10**15.
        exact = first * Fraction(self.terms.cut_bps, 10_000) ** steps
        return exact * (1 - Fraction(1, 10**15))

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
            case "liquidate/healthy" if "target_ltv" in refusal.facts:
                assert self.ratio(at) <= self.terms.target_ltv
            case "liquidate/healthy":
                assert self.ratio(at) < self.terms.liquidation_ltv
                assert at <= self.terms.maturity + self.terms.grace
            case "draw/above-initial-ltv":
                more = getattr(command, "amount", 0)
                assert self.ratio(at, more=more) > self.terms.initial_ltv
