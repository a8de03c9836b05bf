"""What became of a portfolio: each loan by itself, and all of them together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from escrow.core.phases import debt_now, loan_phase
from escrow.core.regions.loan import CallCured, Called, Liquidated, MarginCalled, Repayment
from escrow.core.state import Event
from escrow.core.units import BPS, Bps, Cents, Sats, muldiv_up
from escrow.sim.portfolio import Member, Portfolio


@dataclass(frozen=True, slots=True)
class Outcome:
    """One loan."""

    name: str
    borrower: str
    """EVM address."""
    phase: str
    lent: Cents
    """What was drawn first; new terms at another rate lend nothing."""
    outstanding: Cents
    """Owed now, rounded up."""
    calls: int
    """Margin calls made."""
    cured: int
    """And answered in time."""
    called: bool
    """Is one open now?"""
    repaid: Cents
    """Paid by the borrower."""
    sold: Sats
    """Coins realised for the lender."""
    recovered: Cents
    """Debt that they covered."""
    loss: Cents
    """Debt that nothing covered."""
    worst: Bps
    """Highest loan-to-value of a day."""


@dataclass(frozen=True)
class Outcomes:
    """All loans."""

    loans: tuple[Outcome, ...]

    @property
    def phases(self) -> dict[str, int]:
        """How many stand in which phase."""
        return dict(sorted(Counter(each.phase for each in self.loans).items()))

    @property
    def worst(self) -> Bps:
        """Highest loan-to-value that any loan had; 0 of none."""
        return max((each.worst for each in self.loans), default=Bps(0))

    @property
    def largest(self) -> Bps:
        """Share of what was lent that the largest borrower has, rounded up; 0 of nothing."""
        return Bps(max((muldiv_up(each, BPS, self._lent) for each in self._by_borrower), default=0))

    @property
    def concentration(self) -> Bps:
        """Sum of the squared shares of the borrowers (Herfindahl–Hirschman), rounded up: 10,000
        for one borrower, 10,000 ÷ n for n alike; 0 of nothing."""
        squares = sum(each * each for each in self._by_borrower)
        return Bps(muldiv_up(squares, BPS, self._lent**2) if squares else 0)

    def total(self, name: str) -> int:
        """The sum of a number over all loans, in its own unit."""
        return sum(int(getattr(each, name)) for each in self.loans)

    def as_dict(self) -> dict[str, int | str]:
        """For a machine: integers with the unit in the name, and the phases in words."""
        return {
            "loans": len(self.loans),
            "phases": ", ".join(f"{count} {phase}" for phase, count in self.phases.items()),
            "lent_cents": self.total("lent"),
            "outstanding_cents": self.total("outstanding"),
            "calls": self.total("calls"),
            "called": self.total("called"),
            "cured": self.total("cured"),
            "repaid_cents": self.total("repaid"),
            "sold_sats": self.total("sold"),
            "recovered_cents": self.total("recovered"),
            "loss_cents": self.total("loss"),
            "largest_bps": self.largest,
            "concentration_bps": self.concentration,
            "worst_ltv_bps": self.worst,
        }

    @cached_property
    def _lent(self) -> int:
        return self.total("lent")

    @cached_property
    def _by_borrower(self) -> tuple[int, ...]:
        lent: Counter[str] = Counter()
        for each in self.loans:
            lent[each.borrower] += each.lent
        return tuple(lent.values())


def outcomes(portfolio: Portfolio) -> Outcomes:
    """What became of every loan, read off the book's log."""
    told: dict[str, list[Event]] = {member.name: [] for member in portfolio.members}
    for loan, event in portfolio.book.log:
        if loan:
            told[loan].append(event)
    return Outcomes(
        tuple(_outcome(portfolio, member, told[member.name]) for member in portfolio.members)
    )


def _outcome(portfolio: Portfolio, member: Member, events: Iterable[Event]) -> Outcome:
    deal = portfolio.book.deal(member.name)
    kinds = Counter(type(event) for event in events)
    sales = [event for event in events if isinstance(event, Liquidated)]
    paid = [event for event in events if isinstance(event, Repayment)]
    return Outcome(
        name=member.name,
        borrower=member.terms.borrower,
        phase=loan_phase(deal),
        lent=member.draw,
        outstanding=debt_now(deal, at=portfolio.book.system.clock),
        calls=kinds[MarginCalled],
        cured=kinds[CallCured],
        called=isinstance(deal.loan, Called),
        repaid=Cents(sum(each.interest + each.principal for each in paid)),
        sold=Sats(sum(each.split.seized for each in sales)),
        recovered=Cents(sum(each.interest + each.principal for each in sales)),
        loss=Cents(sum(each.split.bad_debt for each in sales)),
        worst=portfolio.worst(member.name),
    )
