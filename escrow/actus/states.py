"""Events, states and rows: what happens to a contract, what it then is, and what is shown.

Numbers are ``Decimal``s of 60 digits, not fractions: ACTUS rounds nothing on the way, so exact
fractions grow with each period (a floating annuity of 30 years would carry numbers of 30,000 bits
through 360 annuities of 360 periods). 60 digits leave 50 below the 1e-9 that results are
compared at.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Context, Decimal, DivisionByZero, InvalidOperation, Overflow
from enum import Enum
from fractions import Fraction
from typing import Final

from escrow.actus.moments import Moment

ARITHMETIC: Final = Context(prec=60, traps=[InvalidOperation, DivisionByZero, Overflow])
"""The context in which every payoff is computed."""
ZERO: Final = Decimal(0)


class EventType(Enum):
    """What happens. The value is the dictionary's; members stand in the order in which events of
    one moment are evaluated, the dictionary's sequence with one exception."""

    IED = "IED"
    """Initial exchange: the money is lent."""
    FP = "FP"
    """A fee is paid."""
    PR = "PR"
    """Principal is repaid."""
    PD = "PD"
    """Principal is drawn."""
    PY = "PY"
    """A penalty is paid for a prepayment."""
    PP = "PP"
    """Principal is prepaid."""
    IP = "IP"
    """Interest is paid."""
    IPCI = "IPCI"
    """Interest is added to the principal."""
    RRF = "RRF"
    """The rate is reset to a value that was known."""
    RR = "RR"
    """The rate is reset to what is observed."""
    PRF = "PRF"
    """The payment of an annuity is fixed. The dictionary has it before interest; but it follows
    from the rate, and the published results have it after the reset of the same moment."""
    PRD = "PRD"
    """The contract is bought."""
    TD = "TD"
    """The contract is sold or terminated."""
    SC = "SC"
    """Payments are scaled with an index."""
    IPCB = "IPCB"
    """What interest is counted on is fixed."""
    MD = "MD"
    """The contract matures."""
    XD = "XD"
    """It is called, or a cover is drawn upon."""
    XIP = "XIP"
    """Interest of a called contract: an IP, but paid with the settlement. Shown as IP."""
    STD = "STD"
    """What was exercised is settled."""


SEQUENCE: Final = {kind: n for n, kind in enumerate(EventType)}
"""Place of an event among those of its moment."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happens to a contract."""

    kind: EventType
    """What."""
    at: Moment
    """When, on a business day."""
    calc: date
    """The date to which interest runs."""
    value: Decimal = ZERO
    """The amount of an observed event."""

    @property
    def order(self) -> tuple[Moment, int]:
        """Its place among events."""
        return self.at, SEQUENCE[self.kind]


@dataclass(frozen=True, slots=True)
class State:
    """What a contract is, between two events. Amounts carry the sign of the role."""

    at: date
    """[Sd] The date to which interest was counted."""
    notional: Decimal = ZERO
    """[Nt] Outstanding."""
    rate: Decimal = ZERO
    """[Ipnr]"""
    accrued: Decimal = ZERO
    """[Ipac] Interest not yet paid."""
    fee: Decimal = ZERO
    """[Feac] Fees not yet paid."""
    notional_scale: Decimal = Decimal(1)
    """[Nsc]"""
    interest_scale: Decimal = Decimal(1)
    """[Isc]"""
    redemption: Decimal | None = None
    """[Prnxt] None until it is fixed."""
    base: Decimal = ZERO
    """[Ipcb] What interest is counted on, unless that is ``notional``."""
    exercised: Moment | None = None
    """[Xd]"""
    exercise: Decimal = ZERO
    """[Xa] The amount that was fixed, and is not settled yet."""


@dataclass(frozen=True, slots=True)
class Row:
    """An event with its payoff and the state after it."""

    event: Event
    """What happened."""
    payoff: Decimal
    """What is paid: positive to the creator of the record."""
    state: State
    """The state after it."""

    @property
    def name(self) -> str:
        """The event type as it is shown."""
        return "IP" if self.event.kind is EventType.XIP else self.event.kind.value


def decimal(value: Fraction) -> Decimal:
    """A fraction with 60 digits."""
    return ARITHMETIC.divide(Decimal(value.numerator), Decimal(value.denominator))
