"""The terms of a contract. Names and meanings are those of the ACTUS dictionary 1.4.

The dictionary's short name stands in brackets; None is the specification's ∅, not defined.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import Final

from escrow.actus.moments import Moment
from escrow.schedules.calendars import Calendar, Convention
from escrow.schedules.cycle import Cycle, Period
from escrow.schedules.daycount import DayCount


class ContractType(Enum):
    """The eight that are carried out."""

    PAM = "PAM"
    """Principal at maturity: a bullet loan."""
    LAM = "LAM"
    """Linear amortiser: the same principal each time."""
    NAM = "NAM"
    """Negative amortiser: the same payment each time, however much of it is interest."""
    ANN = "ANN"
    """Annuity: a payment that repays all by the end."""
    CLM = "CLM"
    """Call money: repaid a notice after it is called."""
    UMP = "UMP"
    """Undefined maturity profile: a line without an end."""
    CEC = "CEC"
    """Credit enhancement by collateral."""
    CEG = "CEG"
    """Credit enhancement by guarantee."""


class Performance(Enum):
    """How well a debtor pays (``contractPerformance``)."""

    PF = "PF"
    """As agreed."""
    DL = "DL"
    """Delayed: a payment is missing after the grace period."""
    DQ = "DQ"
    """Delinquent: it is missing after the delinquency period, so that default may be declared."""
    DF = "DF"
    """Default was declared."""
    MA = "MA"
    """The contract matured."""
    TE = "TE"
    """It was terminated."""


class Base(Enum):
    """What interest is counted on (``interestCalculationBase``)."""

    NT = "NT"
    """What is outstanding."""
    NTIED = "NTIED"
    """What was lent at first."""
    NTL = "NTL"
    """What was outstanding on the last date of a cycle of its own."""


class FeeBasis(Enum):
    """What a fee is (``feeBasis``)."""

    ABSOLUTE = "A"
    """An amount."""
    NOTIONAL = "N"
    """A rate on what is outstanding."""


class Exposure(Enum):
    """What of a covered contract is covered (``guaranteedExposure``)."""

    NO = "NO"
    """Its nominal value."""
    NI = "NI"
    """Nominal value and accrued interest."""
    MV = "MV"
    """Its market value."""


class Penalty(Enum):
    """What is paid for a prepayment (``penaltyType``)."""

    NONE = "N"
    """Nothing."""
    ABSOLUTE = "A"
    """An amount."""
    RELATIVE = "R"
    """A rate on what is outstanding, since the last event."""
    INTEREST = "I"
    """What the rate is above the market's, so too."""


class Prepay(Enum):
    """What a prepayment does to what is left (``prepaymentEffect``)."""

    NONE = "N"
    """There is no right to prepay."""
    AMOUNT = "A"
    """Each later payment is smaller."""
    MATURITY = "M"
    """Payments stay, and end sooner."""


SIGNS: Final = {
    **dict.fromkeys(("RPA", "LG", "BUY", "RFL", "RF", "COL", "CNO", "OBL", "UDL", "UDLP"), 1),
    **dict.fromkeys(("RPL", "ST", "SEL", "PFL", "PF", "GUA", "UDLM"), -1),
}
"""The specification's R(CNTRL): 1 for a claim, -1 for an obligation of the record's creator."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A contract that another one covers, or is covered by (an entry of ``contractStructure``)."""

    role: str
    """``COVE`` is covered, ``COVI`` covers."""
    contract_id: str
    """Its id."""
    terms: Terms | None
    """Its terms; None if only its id is given."""
    market_code: str = ""
    """Market object of its price, if it has one."""
    quantity: Decimal = Decimal(1)
    """How many units of it."""


@dataclass(frozen=True, slots=True)
class Terms:
    """One contract."""

    contract_type: ContractType
    """[CT]"""
    contract_id: str
    """[CID]"""
    status_date: Moment
    """[SD] Everything here is as of this moment; events at or before it are past."""
    sign: int
    """[CNTRL] 1 or -1."""
    currency: str
    """[CUR]"""
    settlement_currency: str = ""
    """[CURS] If payments are in another one."""
    calendar: Calendar = Calendar.NC
    """[CLDR]"""
    convention: Convention = Convention.NOS
    """[BDC]"""
    end_of_month: bool = False
    """[EOMC]"""
    initial_exchange: Moment | None = None
    """[IED]"""
    maturity: Moment | None = None
    """[MD]"""
    amortization: Moment | None = None
    """[AMD] An annuity is sized to end here; at an earlier maturity the rest is due at once."""
    notional: Decimal | None = None
    """[NT]"""
    premium: Decimal = Decimal(0)
    """[PDIED] Added to what is paid out at first."""
    rate: Decimal | None = None
    """[IPNR]"""
    day_count: DayCount = DayCount.A365F
    """[IPDC]"""
    accrued: Decimal | None = None
    """[IPAC] As of the status date."""
    interest_anchor: Moment | None = None
    """[IPANX]"""
    interest_cycle: Cycle | None = None
    """[IPCL]"""
    capitalization_end: Moment | None = None
    """[IPCED]"""
    base: Base = Base.NT
    """[IPCB]"""
    base_amount: Decimal | None = None
    """[IPCBA]"""
    base_anchor: Moment | None = None
    """[IPCBANX]"""
    base_cycle: Cycle | None = None
    """[IPCBCL]"""
    redemption_anchor: Moment | None = None
    """[PRANX]"""
    redemption_cycle: Cycle | None = None
    """[PRCL]"""
    redemption: Decimal | None = None
    """[PRNXT]"""
    reset_anchor: Moment | None = None
    """[RRANX]"""
    reset_cycle: Cycle | None = None
    """[RRCL]"""
    reset_code: str = ""
    """[RRMO]"""
    reset_spread: Decimal = Decimal(0)
    """[RRSP]"""
    reset_multiplier: Decimal = Decimal(1)
    """[RRMLT]"""
    next_reset: Decimal | None = None
    """[RRNXT] Already fixed, for the next reset."""
    period_cap: Decimal | None = None
    """[RRPC] Most that a reset raises the rate by."""
    period_floor: Decimal | None = None
    """[RRPF] Most that a reset lowers it by."""
    life_cap: Decimal | None = None
    """[RRLC]"""
    life_floor: Decimal | None = None
    """[RRLF]"""
    scales_interest: bool = False
    """[SCEF] I.."""
    scales_notional: bool = False
    """[SCEF] .N."""
    scaling_anchor: Moment | None = None
    """[SCANX]"""
    scaling_cycle: Cycle | None = None
    """[SCCL]"""
    scaling_code: str = ""
    """[SCMO]"""
    scaling_index: Decimal | None = None
    """[SCCDD] The index at the deal date, of which later ones are multiples."""
    interest_scale: Decimal = Decimal(1)
    """[SCIP]"""
    notional_scale: Decimal = Decimal(1)
    """[SCNT]"""
    fee_rate: Decimal = Decimal(0)
    """[FER]"""
    fee_basis: FeeBasis = FeeBasis.NOTIONAL
    """[FEB]"""
    fee_anchor: Moment | None = None
    """[FEANX]"""
    fee_cycle: Cycle | None = None
    """[FECL]"""
    fee_accrued: Decimal | None = None
    """[FEAC]"""
    purchase: Moment | None = None
    """[PRD]"""
    purchase_price: Decimal = Decimal(0)
    """[PPRD]"""
    termination: Moment | None = None
    """[TD]"""
    termination_price: Decimal = Decimal(0)
    """[PTD]"""
    prepayment: Prepay = Prepay.NONE
    """[PPEF]"""
    penalty: Penalty = Penalty.NONE
    """[PYTP]"""
    penalty_rate: Decimal = Decimal(0)
    """[PYRT]"""
    performance: Performance = Performance.PF
    """[PRF]"""
    grace: Period = Period()
    """[GRP]"""
    delinquency: Period = Period()
    """[DQP]"""
    delinquency_rate: Decimal = Decimal(0)
    """[DQR]"""
    credit_line: Decimal | None = None
    """[CLA]"""
    notice: Period = Period()
    """[XDN]"""
    covered_events: tuple[Performance, ...] = (Performance.DF,)
    """[CETC]"""
    coverage: Decimal = Decimal(1)
    """[CECV]"""
    exposure: Exposure = Exposure.NO
    """[CEGE]"""
    settlement: Period = Period()
    """[STP]"""
    exercised: Moment | None = None
    """[XD]"""
    exercise_amount: Decimal | None = None
    """[XA]"""
    market_code: str = ""
    """[MOC]"""
    structure: tuple[Reference, ...] = ()
    """[CTS]"""
