"""A third book of the loan, in exact fractions and from the events alone: it shares no arithmetic
with core or contracts.

It is kept twice. By the rules: interest is exact and shown rounded up, what is paid covers interest
first; so every verdict on a level can be judged. And as if nothing were ever rounded: what the
rules say that is owed is never less, and more by less than a cent for each operation.
"""

from __future__ import annotations

from fractions import Fraction
from math import ceil

from escrow.core.decide import Command
from escrow.core.errors import Rejected
from escrow.core.regions import loan as ln
from escrow.core.regions.system import PriceMarked
from escrow.core.regions.token import Retired, TokensFreed, TokensHeld
from escrow.core.state import Escrow, Event
from escrow.core.terms import Liquidation, Terms

YEAR = 365 * 24 * 60 * 60
TINY = Fraction(1, 10**14)
"""What an auction's price may lose by its own rounding, as a part of it."""


class Exact:
    """One loan, as a bookkeeper with fractions would keep it."""

    def __init__(self) -> None:
        self.terms: Terms
        self.principal = 0
        self.interest = Fraction(0)
        self.true = Fraction(0)
        """Principal and interest that were never rounded."""
        self.true_principal = Fraction(0)
        self.slack = Fraction(0)
        """A cent for each operation, with the interest on it."""
        self.since = 0
        self.held = 0
        self.worth = Fraction(0)
        """Cents for one sat."""
        self.priced_at = 0
        self.mark: int | None = None
        """Since when a liquidation is marked on the loan."""
        self.sold: ln.Liquidated | None = None

    def owes(self, at: int) -> int:
        """Cents at a moment, interest rounded up."""
        return self.principal + ceil(self.interest + self._grows(self.principal, at))

    def ratio(self, at: int, *, more: int = 0, fewer: int = 0) -> Fraction:
        """Loan-to-value in basis points, with ``more`` cents drawn, ``fewer`` sats pledged."""
        debt, value = self.owes(at) + more, (self.held - fewer) * self.worth
        if not debt:
            return Fraction(0)
        return debt / value * 10_000 if value else Fraction(10**30)

    def _grows(self, amount: Fraction | int, at: int) -> Fraction:
        seconds = max(0, at - self.since)
        return amount * Fraction(self.terms.rate_bps * seconds, 10_000 * YEAR)

    def _accrue(self, at: int) -> None:
        self.interest += self._grows(self.principal, at)
        self.true += self._grows(self.true_principal, at)
        self.slack += self._grows(self.slack, at)
        self.since = max(self.since, at)

    def _pay(self, at: int, interest: int, principal: int) -> None:
        self._accrue(at)
        paid = interest + principal
        assert interest == min(paid, ceil(self.interest)), "interest first"
        assert 0 <= principal <= self.principal
        self.interest = max(Fraction(0), self.interest - interest)
        self.principal -= principal
        covers = min(Fraction(paid), self.true - self.true_principal)
        self.true_principal = max(Fraction(0), self.true_principal - (paid - covers))
        self.true = max(Fraction(0), self.true - paid)
        self.slack += 1

    def see(self, event: Event) -> None:
        """Take an event in, and disagree aloud."""
        match event:
            case ln.OfferMade(terms=terms):
                self.terms = terms
            case PriceMarked(price=price):
                self.worth, self.priced_at = Fraction(price.price, 10**14), price.at
            case TokensHeld(sats=sats):
                self.held += sats
            case TokensFreed(at=at, seized=seized, released=released):
                self.held -= seized + released
                if self.sold:
                    self._restored(self.sold)
            case Retired(sats=sats):
                self.held -= min(self.held, sats)
            case ln.Drawn(at=at, amount=amount):
                assert self.ratio(at, more=amount) <= self.terms.initial_ltv
                self._accrue(at)
                self.principal += amount
                self.true_principal += amount
                self.true += amount
            case ln.Withdrawn(at=at, sats=sats):
                assert self.ratio(at, fewer=sats) <= self.terms.initial_ltv
                assert at <= self.terms.maturity
            case ln.Repayment(at=at, interest=interest, principal=principal):
                self._pay(at, interest, principal)
            case ln.Refinanced(at=at, terms=new, settled=settled):
                assert settled == self.owes(at) <= new.principal
                assert self.ratio(at) <= new.initial_ltv
                self._accrue(at)
                self._is_close(settled)
                self.terms, self.principal, self.interest = new, settled, Fraction(0)
                self.true = self.true_principal = Fraction(settled)
                self.slack = Fraction(0)
            case ln.MarginCalled(at=at):
                assert self.ratio(at) >= self.terms.call_ltv
            case ln.CallCured(at=at):
                assert self.ratio(at) <= self.terms.restore_ltv
            case ln.CallExpired(at=at):
                assert self.ratio(at) >= self.terms.call_ltv
                self.mark = at
            case ln.AuctionBegun(at=at):
                self.mark = at
            case ln.Liquidated():
                self._sell(event)
            case ln.LoanRecovered(at=at):
                self._accrue(at)
            case _:
                pass

    # --- sales ---

    def _sell(self, event: ln.Liquidated) -> None:
        terms, split, at = self.terms, event.split, event.at
        late = at > terms.maturity + terms.grace
        assert (
            (event.reason is ln.Reason.CALL_EXPIRED and self.mark is not None)
            or (event.reason is ln.Reason.LEVEL and self.ratio(at) >= terms.liquidation_ltv)
            or (event.reason is ln.Reason.DEFAULT and late)
        )
        # The waterfall: of what is paid the fee, then interest, then principal.
        paid, owed = split.repaid + split.fee, self.owes(at)
        assert 0 <= split.fee - paid * Fraction(terms.fee_bps, 10_000) < 1
        assert event.interest + event.principal == split.repaid
        # Nothing of debt or coins is lost: each has a name.
        assert split.repaid + split.bad_debt + split.left == owed
        kept = self.held - split.seized - split.surplus
        assert kept >= 0
        if split.left:
            assert split.bad_debt == split.surplus == 0
            assert kept > 0
            assert split.left >= terms.min_left
        else:
            assert kept == 0
        if split.bad_debt:
            assert split.seized == self.held, "bad debt only when the last coin is gone"
        self._fair(event, paid)
        self._pay(at, event.interest, event.principal)
        self.sold = event
        if not split.left:
            self.principal, self.interest, self.mark = 0, Fraction(0), None
            self.true = self.true_principal = self.slack = Fraction(0)

    def _fair(self, event: ln.Liquidated, paid: int) -> None:
        """What is paid is what the coins cost, and never less; more by less than a sat and a cent.
        Where coins cannot cover the debt, nobody pays a cent for a part of one."""
        price, got = self._asked(event), event.split.seized
        fixed = self.terms.liquidation is not Liquidation.AUCTION
        cent = 1 if fixed and event.split.bad_debt else 0
        assert got * price * (1 - TINY) < paid + cent or got * price == paid
        if got < self.held or event.split.bad_debt:
            assert paid < (got + 1) * price * (1 + TINY) + 1

    def _asked(self, event: ln.Liquidated) -> Fraction:
        """Cents for a sat."""
        terms = self.terms
        if terms.liquidation is not Liquidation.AUCTION:
            return self.worth * Fraction(10_000, 10_000 + terms.bonus_bps)
        steps = (event.at - self._start(event)) // terms.step
        fallen = Fraction(terms.cut_bps, 10_000) ** steps
        return self.worth * Fraction(terms.buf_bps, 10_000) * fallen

    def _start(self, event: ln.Liquidated) -> int:
        if self.mark is not None:
            return self.mark
        if event.reason is ln.Reason.LEVEL:
            return self.priced_at
        return self.terms.maturity + self.terms.grace

    def _restored(self, event: ln.Liquidated) -> None:
        """The loan goes on, healthy or not."""
        self.sold, terms, at = None, self.terms, event.at
        if not event.split.left:
            return
        if terms.liquidation is Liquidation.PARTIAL:
            assert event.restored
            # The payment is whole cents and the coins whole sats.
            slack = 2 / (self.held * self.worth) * 10_000
            assert self.ratio(at) <= terms.target_ltv + slack
        else:
            assert event.restored == (self.ratio(at) <= terms.restore_ltv)
        if event.restored:
            self.mark = None
        elif terms.liquidation is Liquidation.AUCTION:
            self.mark = self._start(event)

    # --- what it agrees with ---

    def agree(self, escrow: Escrow, *, at: int) -> None:
        """The core's books show the same."""
        assert self.held == escrow.token.held
        if not isinstance(escrow.loan, ln.Indebted):
            return
        debt = escrow.loan.debt
        assert debt.principal == self.principal
        # Of no third rounding: the core's sum is the very fraction.
        since = Fraction(debt.interest_acc, 10_000 * YEAR) + self.principal * Fraction(
            self.terms.rate_bps * (at - debt.accrued_to), 10_000 * YEAR
        )
        assert since == self.interest + self._grows(self.principal, at)
        true, slack = self.true, self.slack
        self.true += self._grows(self.true_principal, at)
        self.slack += self._grows(self.slack, at)
        self._is_close(self.owes(at))
        self.true, self.slack = true, slack

    def _is_close(self, owed: int) -> None:
        assert 0 <= owed - self.true < 1 + self.slack, "a cent for each operation"

    def hear(self, command: Command, refusal: Rejected) -> None:
        """A refusal on a level must be a refusal by the fractions as well."""
        at = command.at
        match refusal.code:
            case "call/healthy" | "expire/healthy":
                assert self.ratio(at) < self.terms.call_ltv
            case "cure/not-restored":
                assert self.ratio(at) > self.terms.restore_ltv
            case "liquidate/healthy" if "liquidation_ltv" in refusal.facts:
                assert self.ratio(at) < self.terms.liquidation_ltv
                assert at <= self.terms.maturity + self.terms.grace
            case "liquidate/healthy":
                assert self.ratio(at) <= self.terms.target_ltv
            case "withdraw/above-initial-ltv":
                fewer = getattr(command, "sats", 0)
                assert self.ratio(at, fewer=fewer) > self.terms.initial_ltv
            case "draw/above-initial-ltv":
                new = getattr(command, "terms", self.terms)
                more = getattr(command, "amount", 0)
                if self.held:
                    assert self.ratio(at, more=more) > new.initial_ltv
