"""What both sides agreed beside the contract's terms, and how the loan stands by it.

The escrow book knows one due date. Notices before a call, instalments, and what the lender may
say of a borrower who is late are kept here: no event of this region moves a coin, a token or a
cent, and none lets collateral be realised before the book does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import assert_never

from escrow.core.units import Bps, Cents, Seconds


@dataclass(frozen=True, slots=True)
class Instalment:
    """Money that falls due before maturity."""

    due_at: Seconds
    """Paid at this second it is in time."""
    amount: Cents
    """On top of what fell due before."""


@dataclass(frozen=True, slots=True)
class ServicingPlan:
    """What is serviced."""

    notices: tuple[Bps, ...] = ()
    """Loan-to-value levels below the call level, ascending: at or above one the borrower is told
    (Unchained 175/165/160 % CTP, Hodl Hodl 75/80/85 %)."""
    instalments: tuple[Instalment, ...] = ()
    """In order of time; the last not after maturity."""
    grace: Seconds = Seconds(0)
    """After a due date, before the loan is delinquent (ACTUS ``gracePeriod``)."""
    delinquency: Seconds = Seconds(0)
    """After the grace, before the lender may declare default (ACTUS ``delinquencyPeriod``)."""


class Standing(Enum):
    """ACTUS ``contractPerformance`` of a loan that is not over."""

    PERFORMING = "PF"
    PAYMENT_GRACE = "DL"
    DELINQUENT = "DQ"
    DEFAULTED = "DF"


@dataclass(frozen=True, slots=True)
class Servicing:
    """How the loan stands, as last told."""

    plan: ServicingPlan | None = None
    """None was agreed: nothing is serviced."""
    noticed: int = 0
    """Notice levels that the borrower was told of and that still stand."""
    standing: Standing = Standing.PERFORMING
    """By the payments."""
    impaired_at: Seconds | None = None
    """Since when the lender holds the loan for impaired: then everything is due."""


@dataclass(frozen=True, slots=True)
class MarginNoticed:
    """The borrower was told that the loan-to-value reached notice levels. Asks nothing of it."""

    at: Seconds
    noticed: int
    """So many levels now, from the lowest."""
    round: int


@dataclass(frozen=True, slots=True)
class NoticeLifted:
    """The loan-to-value is below notice levels again."""

    at: Seconds
    noticed: int
    """So many levels still."""
    round: int


@dataclass(frozen=True, slots=True)
class StandingNoted:
    """A payment was missed, or grace ran out, or what was overdue has been paid."""

    at: Seconds
    standing: Standing
    since: Seconds | None
    """Due date of the oldest money that is overdue."""


@dataclass(frozen=True, slots=True)
class Impaired:
    """The lender holds the loan for impaired: all of it is due (Maple ``impairLoan``)."""

    at: Seconds


@dataclass(frozen=True, slots=True)
class ImpairmentLifted:
    """The lender takes that back; the plan counts again."""

    at: Seconds


@dataclass(frozen=True, slots=True)
class DefaultDeclared:
    """The lender used its right to declare default. Full repayment still ends the loan."""

    at: Seconds
    since: Seconds
    """Due date of the oldest money that was overdue."""


ServicingEvent = (
    MarginNoticed | NoticeLifted | StandingNoted | Impaired | ImpairmentLifted | DefaultDeclared
)


def evolve_servicing(servicing: Servicing, event: ServicingEvent) -> Servicing:
    """Fold one event into how the loan stands."""
    match event:
        case MarginNoticed(noticed=noticed) | NoticeLifted(noticed=noticed):
            return replace(servicing, noticed=noticed)
        case StandingNoted(standing=standing):
            return replace(servicing, standing=standing)
        case Impaired(at=at):
            return replace(servicing, impaired_at=at)
        case ImpairmentLifted():
            return replace(servicing, impaired_at=None)
        case DefaultDeclared():
            return replace(servicing, standing=Standing.DEFAULTED)
        case _:
            assert_never(event)
