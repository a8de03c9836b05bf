"""The credit: what was agreed, what is owed, how it ends.

A margin call without a deadline, or a liquidation without its numbers, cannot be written.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from escrow.core.regions.servicing import ServicingPlan
from escrow.core.rules import Debt, accrue, interest_due, pay
from escrow.core.sales import Split
from escrow.core.terms import Liquidation, Terms
from escrow.core.units import Cents, PriceE8, Sats, Seconds


class Reason(Enum):
    """Why collateral may be realised."""

    CALL_EXPIRED = "call-expired"
    LEVEL = "liquidation-level"
    DEFAULT = "default"


class Outcome(Enum):
    """How a loan ended."""

    RELEASED = "RELEASED"
    """Repaid, and the coins are back with the borrower."""
    SETTLED = "SETTLED"
    """Liquidated, everything covered and paid out."""
    WRITTEN_OFF = "WRITTEN_OFF"
    """Liquidated with a loss to the lender."""
    CANCELLED = "CANCELLED"
    """Ended before any coin was pledged."""
    REFUNDED = "REFUNDED"
    """Never drawn; the coins went back to the borrower."""
    RECOVERED = "RECOVERED"
    """The borrower took the coins through the timelock; what was owed is owed unsecured."""


@dataclass(frozen=True, slots=True)
class Draft:
    """Nothing was offered yet."""


@dataclass(frozen=True, slots=True)
class Offered:
    """The lender is bound until the terms expire."""

    terms: Terms


@dataclass(frozen=True, slots=True)
class Accepted:
    """Both signed; the escrow book does not know yet."""

    terms: Terms


@dataclass(frozen=True, slots=True)
class Opened:
    """On the EVM, undrawn: coins are awaited, confirming or pledged."""

    terms: Terms
    debt: Debt


@dataclass(frozen=True, slots=True)
class Active:
    """Money was drawn."""

    terms: Terms
    debt: Debt


@dataclass(frozen=True, slots=True)
class Dispute:
    """The borrower says that the call is wrong; until the arbiter has spoken it does not expire."""

    at: Seconds
    """On the world's clock: the arbiter's time runs from here."""
    active: Seconds
    """On the active clock: what passes from here is given back if the call stands."""


@dataclass(frozen=True, slots=True)
class Called:
    """The borrower must bring the loan-to-value down to the restore level in time."""

    terms: Terms
    debt: Debt
    deadline: Seconds
    """On the active clock."""
    called_at: Seconds
    """On the world's clock."""
    dispute: Dispute | None = None
    """Open, if any."""
    heard: bool = False
    """One dispute a call."""


@dataclass(frozen=True, slots=True)
class Liquidating:
    """The cure time passed, or an auction goes on. Full repayment stops it, or a sale that brings
    the loan-to-value back to the restore level."""

    terms: Terms
    debt: Debt
    since: Seconds
    """Of an auction: where its price starts to fall."""


@dataclass(frozen=True, slots=True)
class Repaid:
    """Nothing is owed; the tokens are the borrower's again."""

    terms: Terms
    debt: Debt


@dataclass(frozen=True, slots=True)
class Seized:
    """The collateral was realised; the coins are on their way out."""

    terms: Terms
    debt: Debt
    split: Split
    reason: Reason


@dataclass(frozen=True, slots=True)
class Cancelled:
    """Ended undrawn; coins that were pledged go back."""

    terms: Terms
    debt: Debt


@dataclass(frozen=True, slots=True)
class Ended:
    """Terminal."""

    terms: Terms
    debt: Debt
    outcome: Outcome


Live = Opened | Active | Called | Liquidating
"""States in which the loan is on the EVM and not settled there."""
Indebted = Active | Called | Liquidating
"""States in which something may be owed."""
OnEvm = Live | Repaid | Seized | Cancelled | Ended
"""States of a loan that was opened on the EVM; ``Ended`` also of one that never was."""
Loan = (
    Draft
    | Offered
    | Accepted
    | Opened
    | Active
    | Called
    | Liquidating
    | Repaid
    | Seized
    | Cancelled
    | Ended
)


@dataclass(frozen=True, slots=True)
class OfferMade:
    """The lender offered."""

    at: Seconds
    terms: Terms
    plan: ServicingPlan | None = None
    """What is serviced beside the terms, if anything."""


@dataclass(frozen=True, slots=True)
class OfferAccepted:
    """The borrower accepted."""

    at: Seconds


@dataclass(frozen=True, slots=True)
class OfferEnded:
    """Withdrawn by a party, or expired, before it was opened on the EVM."""

    at: Seconds
    expired: bool


@dataclass(frozen=True, slots=True)
class LoanOpened:
    """The escrow book verified both signatures and knows the loan."""

    at: Seconds
    tx: str


@dataclass(frozen=True, slots=True)
class LoanCancelled:
    """The escrow book cancelled an undrawn loan."""

    at: Seconds
    tx: str


@dataclass(frozen=True, slots=True)
class Drawn:
    """The lender's cash went to the borrower."""

    at: Seconds
    amount: Cents
    tx: str


@dataclass(frozen=True, slots=True)
class Repayment:
    """Cash went to the lender: interest first, then principal."""

    at: Seconds
    by: str
    interest: Cents
    principal: Cents
    tx: str


@dataclass(frozen=True, slots=True)
class MarginCalled:
    """The loan was called."""

    at: Seconds
    deadline: Seconds
    round: int
    tx: str


@dataclass(frozen=True, slots=True)
class CallCured:
    """The loan-to-value is back at the restore level."""

    at: Seconds
    round: int
    tx: str


@dataclass(frozen=True, slots=True)
class CallExpired:
    """The cure time passed with the loan-to-value at the call level or above."""

    at: Seconds
    round: int
    tx: str


@dataclass(frozen=True, slots=True)
class Disputed:
    """The borrower disputed the call."""

    at: Seconds
    active: Seconds
    tx: str


@dataclass(frozen=True, slots=True)
class Resolved:
    """The arbiter decided, or was silent for too long and the call stands."""

    at: Seconds
    upheld: bool
    """The borrower was right: the call is void."""
    deadline: Seconds
    """Of the call that stands; 0 of a void one."""
    tx: str


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """The borrower took excess collateral back. ``TokensFreed`` says how much."""

    at: Seconds
    sats: Sats
    tx: str


@dataclass(frozen=True, slots=True)
class AuctionBegun:
    """The price of the coins falls from here, for the first time or anew."""

    at: Seconds
    reason: Reason
    tx: str


@dataclass(frozen=True, slots=True)
class Refinanced:
    """New terms, which both signed, settled the old debt and go on with it as principal."""

    at: Seconds
    terms: Terms
    settled: Cents
    """What was owed: paid by the new lender to the old one, who may be the same."""
    tx: str


@dataclass(frozen=True, slots=True)
class Liquidated:
    """Collateral was realised, all or part."""

    at: Seconds
    by: str
    kind: Liquidation
    reason: Reason
    price: PriceE8
    debt: Cents
    split: Split
    interest: Cents
    principal: Cents
    tx: str
    restored: bool = False
    """A part was sold and the loan-to-value is back where no call or seizure is open."""
    since: Seconds | None = None
    """A part was sold and the auction goes on; its price has fallen since then."""


@dataclass(frozen=True, slots=True)
class LoanRecovered:
    """The escrow book noted that the borrower took the coins through the timelock."""

    at: Seconds
    tx: str


@dataclass(frozen=True, slots=True)
class LoanEnded:
    """Nothing more can happen, short of a reorganisation."""

    at: Seconds
    outcome: Outcome


LoanEvent = (
    OfferMade
    | OfferAccepted
    | OfferEnded
    | LoanOpened
    | LoanCancelled
    | Drawn
    | Repayment
    | MarginCalled
    | CallCured
    | CallExpired
    | Disputed
    | Resolved
    | Withdrawn
    | AuctionBegun
    | Refinanced
    | Liquidated
    | LoanRecovered
    | LoanEnded
)


def evolve_loan(loan: Loan, event: LoanEvent) -> Loan:
    """Fold one event into the credit. An event that cannot follow means a corrupt log."""
    match loan, event:
        case Draft(), OfferMade(terms=terms):
            return Offered(terms)
        case Offered(terms), OfferAccepted():
            return Accepted(terms)
        case ((Offered(terms) | Accepted(terms)), OfferEnded()):
            return Ended(terms, Debt(), Outcome.CANCELLED)
        case Accepted(terms), LoanOpened():
            return Opened(terms, Debt())
        case Opened(terms, debt), LoanCancelled():
            return Cancelled(terms, debt)
        case ((Opened(terms, debt) | Active(terms, debt)), Drawn(at=at, amount=amount)):
            grown = accrue(debt, rate_bps=terms.rate_bps, at=at)
            return Active(
                terms,
                replace(
                    grown,
                    principal=Cents(grown.principal + amount),
                    drawn=Cents(grown.drawn + amount),
                ),
            )
        case (
            (Active(terms, debt) | Called(terms, debt) | Liquidating(terms, debt)),
            Repayment(),
        ):
            after, _, _ = pay(
                accrue(debt, rate_bps=terms.rate_bps, at=event.at),
                amount=Cents(event.interest + event.principal),
            )
            if is_debt_free(after):
                return Repaid(terms, after)
            return replace(loan, debt=after)
        case Active(terms, debt), MarginCalled(at=at, deadline=deadline):
            return Called(terms, debt, deadline, at)
        case Called(terms, debt), CallCured():
            return Active(terms, debt)
        case Called(terms, debt), CallExpired(at=at):
            return Liquidating(terms, debt, at)
        case (
            (Active(terms, debt) | Called(terms, debt) | Liquidating(terms, debt)),
            Liquidated(),
        ):
            paid, _, _ = pay(
                accrue(debt, rate_bps=terms.rate_bps, at=event.at),
                amount=Cents(event.interest + event.principal),
            )
            if event.split.left:
                return _after_part(loan, event, paid)
            cleared = replace(
                paid,
                principal=Cents(0),
                interest_acc=0,
                bad_debt=event.split.bad_debt,
                lost_principal=paid.principal,
            )
            return Seized(terms, cleared, event.split, event.reason)
        case Active(), Withdrawn():
            return loan
        case Called(), Disputed(at=at, active=active):
            return replace(loan, dispute=Dispute(at, active), heard=True)
        case Called(terms, debt), Resolved(upheld=True):
            return Active(terms, debt)
        case Called(), Resolved(deadline=deadline):
            return replace(loan, deadline=deadline, dispute=None)
        case (
            (Active(terms, debt) | Called(terms, debt) | Liquidating(terms, debt)),
            AuctionBegun(at=at),
        ):
            return Liquidating(terms, debt, at)
        case Active(terms, debt), Refinanced(at=at, terms=new, settled=settled):
            old = accrue(debt, rate_bps=terms.rate_bps, at=at)
            return Active(
                new,
                replace(
                    old,
                    principal=settled,
                    interest_acc=0,
                    drawn=Cents(old.drawn + settled),
                    paid_principal=Cents(old.paid_principal + old.principal),
                    paid_interest=Cents(old.paid_interest + interest_due(old)),
                ),
            )
        case (
            (
                Opened(terms, debt)
                | Active(terms, debt)
                | Called(terms, debt)
                | Liquidating(terms, debt)
            ),
            LoanRecovered(at=at),
        ):
            # The claim stays on record, without security, and stops growing.
            unsecured = accrue(debt, rate_bps=terms.rate_bps, at=at)
            return Ended(terms, unsecured, Outcome.RECOVERED)
        case (
            (Repaid(terms, debt) | Seized(terms, debt) | Cancelled(terms, debt)),
            LoanEnded(outcome=outcome),
        ):
            return Ended(terms, debt, outcome)
        case _:
            raise AssertionError(f"{event} cannot follow {loan}")


def _after_part(loan: Active | Called | Liquidating, event: Liquidated, debt: Debt) -> Loan:
    """A part was sold: healthy again, in an auction that goes on, or as before with less debt."""
    if event.restored:
        return Active(loan.terms, debt)
    if event.since is not None:
        return Liquidating(loan.terms, debt, event.since)
    return replace(loan, debt=debt)


def is_debt_free(debt: Debt) -> bool:
    """Is nothing owed, to the last fraction of a cent?"""
    return debt.principal == 0 and debt.interest_acc == 0
