"""What became of one loan under one product."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from escrow.core.units import HOUR, Bps, Cents, PriceE8, Sats, Seconds


class Answer(Enum):
    """What the borrower does about a margin call, and about what is due."""

    NONE = "none"
    """Nothing about calls; pays interest and principal when due."""
    TOP_UP = "top-up"
    """Sends the fewest coins that restore the loan; pays when due."""
    REPAY = "repay"
    """Pays the least that restores the loan; pays when due."""
    ABSENT = "absent"
    """Nothing at all."""


@dataclass(frozen=True, slots=True)
class Habit:
    """How the borrower behaves."""

    answer: Answer = Answer.NONE
    """What about calls. Where the product takes only the other way, it is that."""
    after: Seconds = HOUR
    """How long after a call. Coins then wait for the product's confirmations, ten minutes each."""


class End(Enum):
    """How the loan stands when the prices end."""

    OPEN = "open"
    """It goes on."""
    CALLED = "called"
    """It goes on, and is called."""
    REPAID = "repaid"
    """The borrower paid, and got the coins back."""
    LIQUIDATED = "liquidated"
    """The coins went for the debt, to the last cent of it or the last sat."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Times are unix seconds, and none where it did not happen. Coins: ``sats_pledged`` are
    always sold + to the lender + fees + returned + held."""

    product: str
    drawn_at: Seconds
    principal: Cents
    first_price: PriceE8
    """Price when the loan was drawn."""
    end: End
    ended_at: Seconds | None
    first_notice_at: Seconds | None
    margin_call_at: Seconds | None
    """The first call."""
    cured: bool | None
    """Was that call cured? None: there was none."""
    cured_at: Seconds | None
    calls: int
    """How many calls were made, of any level."""
    seconds_called: Seconds
    """How long the loan was under a call, on the wall's clock."""
    liquidated_at: Seconds | None
    """The first sale; of bands: when the rest was sold."""
    liquidation_price: PriceE8 | None
    """What was paid for 1 BTC then."""
    sales: int
    """How many."""
    soft_from: Seconds | None
    """When bands sold first."""
    sats_pledged: Sats
    """With top-ups."""
    sats_topped_up: Sats
    sats_sold: Sats
    """What buyers got; of bands: net of what was bought back, so it can be below 0."""
    sats_to_lender: Sats
    sats_fees: Sats
    """Penalties taken in coins."""
    sats_returned: Sats
    sats_held: Sats
    """Still pledged."""
    cash_held: Cents
    """What lies in bands for coins sold."""
    owed: Cents
    """When the prices end."""
    recovered: Cents
    """Debt that the collateral covered: the lender's recovery."""
    repaid: Cents
    """Principal and interest that the borrower paid."""
    bad_debt: Cents
    fees: Cents
    """All that the borrower bore beside principal and interest: origination, liquidation fee,
    penalty, discount."""
    worst_ltv_bps: Bps
    """Highest loan-to-value at a price, on the product's basis, rounded up."""
    seconds_stopped: Seconds
    """How long the active clock stood, for want of a fresh price."""
    outside_size: bool
    """The product makes no loan of this principal."""
