"""What a loan product is: levels, calls, clocks, how it liquidates, and where each term is from.

Pure data. ``read`` makes it from TOML, ``ladder`` decides by it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from fractions import Fraction

from escrow.core.units import Bps, Cents, Seconds
from escrow.products.level import Level
from escrow.provenance import Parameter, assumed
from escrow.schedules.accrual import Fixing
from escrow.schedules.plan import Plan


class Basis(Enum):
    """What of the debt the levels count."""

    DEBT = "debt"
    """Principal and interest."""
    PRINCIPAL = "principal"
    """Principal alone: "collateral to principal"."""


class CureBy(Enum):
    """How a call may be answered."""

    TOP_UP = "top-up"
    """With more coins."""
    REPAY = "repay"
    """With money."""
    BOTH = "both"
    """With either."""


class Lapse(Enum):
    """When a call whose time is over turns into a sale."""

    WHILE_REACHED = "while-reached"
    """Once the loan-to-value is at the call's level, then or later: between that and the restore
    level the call stays open. So do the contracts (``expire_call``)."""
    UNLESS_RESTORED = "unless-restored"
    """At once, unless it is at or below the restore level."""


class Pays(Enum):
    """When what is paid. The first four run by the second, actual/365; the others by the days of
    a calendar, as ``escrow.schedules`` lays them."""

    AT_END = "at-end"
    """Interest accrues; all is due at the end of the term."""
    EVERY = "every"
    """Interest alone is due each so many days, principal at the end."""
    FULL_TERM = "full-term"
    """The interest of the whole term is owed from the first second."""
    OPEN = "open"
    """Interest accrues, and there is no term."""
    BULLET = "bullet"
    """All is due at the end of the term."""
    INTEREST_ONLY = "interest-only"
    """Interest is due in instalments, principal at the end."""
    ANNUITY = "annuity"
    """Instalments of the same amount."""
    LINEAR = "linear"
    """Instalments of the same part of the principal, and the interest."""


@dataclass(frozen=True, slots=True)
class Call:
    """A margin call."""

    level: Level
    """Where it is made."""
    cure: Seconds | None
    """Time to answer, in active seconds; none: it never lapses, and is a warning."""
    dwell: Seconds
    """How long the level must stay reached before the call is made, in active seconds."""


@dataclass(frozen=True, slots=True)
class TakeOver:
    """The lender takes coins worth the debt and a penalty; the rest goes back."""

    bonus_bps: Bps
    """Penalty on the debt covered."""


@dataclass(frozen=True, slots=True)
class MarketSale:
    """The custodian sells what the debt and its fee need; the rest goes back."""

    fee_bps: Bps
    """Of the proceeds."""


@dataclass(frozen=True, slots=True)
class PartialSale:
    """The custodian sells just so much that the loan-to-value is at a target."""

    target_bps: Bps
    """Loan-to-value after the sale, of all that is owed."""
    fee_bps: Bps
    """Of the proceeds."""
    full_below: Cents
    """A loan of a smaller principal is sold out; 0: none is."""


@dataclass(frozen=True, slots=True)
class ThirdParty:
    """Anyone repays debt for coins at a discount, as often as the level is reached."""

    bonus_bps: Bps
    """Discount: coins worth so much more than the debt covered."""
    close_bps: Bps
    """Part of the debt that one sale may cover (Aave's close factor)."""
    full_at: Fraction | None
    """At or above this loan-to-value one sale may cover all; none: there is no such level."""
    full_below: Cents
    """A debt or collateral below this is sold out at once; 0: none is."""
    min_left: Cents
    """A sale leaves no debt, or at least this much."""


@dataclass(frozen=True, slots=True)
class DutchAuction:
    """The price falls with time until somebody takes the coins: a step after it meets the
    market's."""

    buf_bps: Bps
    """Where it starts, as a part of the market's price."""
    cut_bps: Bps
    """What is left of it after a step."""
    step: Seconds
    """How long a step lasts."""
    tail: Seconds
    """After this long it would have to be begun anew."""
    cusp_bps: Bps
    """As once less than this part of the first price is left."""
    fee_bps: Bps
    """Of what the buyer pays; covers no debt."""


@dataclass(frozen=True, slots=True)
class SoftBands:
    """Coins turn into cash and back over bands of price; when that no longer covers the debt, the
    rest is sold (``escrow.core.bands``)."""

    count: int
    """Bands of a loan."""
    steepness: int
    """A band is one part in so many wide."""
    fee_bps: Bps
    """Of a trader's payment; stays in the band."""
    stride_bps: Bps
    """How far the oracle moves at a time."""
    loan_discount: Bps
    """Below what the bands come to, when the loan is made."""
    liquidation_discount: Bps
    """And at which the rest is sold."""


Liquidation = TakeOver | MarketSale | PartialSale | ThirdParty | DutchAuction | SoftBands


@dataclass(frozen=True, slots=True)
class PriceRule:
    """Which price counts, and for how long."""

    sources: int
    """How many are asked."""
    quorum: int
    """Fewest that must agree, or there is no price."""
    heartbeat: Seconds
    """Age at which a price is stale: the active clock stops, and nothing is called or sold."""
    deviation_bps: Bps
    """A source further than this from the median of all does not count."""
    to_call: int
    """How many must each see the level reached before a call is made."""


@dataclass(frozen=True, slots=True)
class Repayment:
    """What the loan costs, and when it is due."""

    pays: Pays
    """When what is paid."""
    rate_bps: Bps
    """Interest a year; where there is an index, the spread over it."""
    fee_bps: Bps
    """Origination fee, of the principal; paid in money when the loan is drawn."""
    term: Seconds | None
    """From drawing to maturity; none under ``OPEN``, and where a plan says it."""
    every: Seconds | None
    """From one payment of interest to the next; only under ``EVERY``."""
    grace: Seconds
    """From a missed payment to default."""
    late_bps: Bps = Bps(0)
    """Interest a year on what is overdue, from its due date, on top of the principal's own."""
    plan: Plan | None = None
    """The instalments, at ``rate_bps``; none where interest runs by the second."""
    index: tuple[Fixing, ...] = ()
    """What a floating rate follows, rising in time. Before the first and after the last of them
    the nearest is assumed."""


@dataclass(frozen=True, slots=True)
class Product:
    """A loan product."""

    id: str
    """Short name: small letters, digits and underscores."""
    title: str
    """One line for reports."""
    in_words: str
    """What it is like, for people."""
    basis: Basis
    """What of the debt the levels count."""
    initial: Fraction
    """Most loan-to-value when the loan is drawn."""
    notices: tuple[Level, ...]
    """Where the borrower is warned, rising."""
    calls: tuple[Call, ...]
    """Margin calls, rising."""
    restore: Fraction
    """At or below this every call is cured."""
    cure_by: CureBy
    """How."""
    lapse: Lapse
    """What becomes of a call that nobody answered in time."""
    immediate: Level | None
    """Where the collateral is realised at once, call or no call."""
    liquidation: Liquidation
    """How."""
    price: PriceRule
    """At which price."""
    repayment: Repayment
    """What it costs."""
    confirmations: int
    """Blocks before a top-up counts."""
    least: Cents | None
    """Smallest principal."""
    most: Cents | None
    """Largest principal."""
    parameters: tuple[Parameter, ...]
    """Where each term is from."""

    @property
    def assumed(self) -> tuple[Parameter, ...]:
        """What was not disclosed."""
        return assumed(self.parameters)
