"""What a scenario says, once read: a deal, a stretch of prices and who behaves how."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final

from escrow.config import LoanDefaults
from escrow.core.terms import Liquidation
from escrow.core.units import Bps, Cents, Sats, Seconds


class Source(Enum):
    """Where prices come from."""

    BUILTIN = "builtin"
    """The table of our own making: invented."""
    FILE = "file"
    """A CSV of recorded or made-up prices."""


class Borrower(Enum):
    """How the borrower behaves when called."""

    ABSENT = "absent"
    """Does nothing after drawing."""
    TOPS_UP = "tops-up"
    """Pledges more coins."""
    REPAYS = "repays"
    """Pays back."""


class Lender(Enum):
    """How the lender behaves."""

    DILIGENT = "diligent"
    """Looks at every price, and calls and realises as soon as the terms allow."""


class Liquidator(Enum):
    """How the third party behaves."""

    DILIGENT = "diligent"
    """Buys the collateral as soon as the terms allow."""
    ABSENT = "absent"
    """Does not come."""


_USUAL: Final = LoanDefaults()
"""Where a scenario says nothing, a loan is as anywhere else in the world."""


@dataclass(frozen=True, slots=True)
class Collateral:
    """Coins of the borrower."""

    pledged: Sats
    """Sent to the vault at the start."""
    top_up: Sats | None = None
    """Sent when called; none unless the borrower tops up."""


@dataclass(frozen=True, slots=True)
class LoanPlan:
    """Terms as a scenario gives them, before there are parties and a vault.

    The defaults are those of every loan here, ``LoanDefaults``.
    """

    principal: Cents | None = None
    """Lent and drawn at the start; none if ``draw_ltv`` says how much."""
    draw_ltv: Bps | None = _USUAL.initial_ltv
    """Loan-to-value to draw up to at the first price; none if ``principal`` is given."""
    rate_bps: Bps = _USUAL.rate_bps
    """Interest a year."""
    initial_ltv: Bps = _USUAL.initial_ltv
    """A draw may not leave the loan-to-value above this."""
    restore_ltv: Bps = _USUAL.restore_ltv
    """At or below this a margin call is cured."""
    call_ltv: Bps = _USUAL.call_ltv
    """At or above this the loan may be called."""
    liquidation_ltv: Bps = _USUAL.liquidation_ltv
    """At or above this the collateral may be realised at once."""
    cure: Seconds = _USUAL.cure
    """Time to answer a margin call."""
    term: Seconds = _USUAL.term
    """From the start to maturity."""
    grace: Seconds = _USUAL.grace
    """From maturity to default."""
    recover: Seconds = _USUAL.recover_in
    """From default to the moment when the borrower alone can spend the vault."""
    confirmations: int = _USUAL.confirmations
    """Blocks before a coin or a payout counts as final."""
    liquidation: Liquidation = _USUAL.liquidation
    """Who realises the collateral."""
    bonus_bps: Bps = _USUAL.bonus_bps
    """Penalty or discount, on the debt covered."""
    max_fee: Sats = _USUAL.max_fee
    """Bound on the miner's fee of one payout."""


@dataclass(frozen=True, slots=True)
class PricePlan:
    """Which prices, from when to when."""

    source: Source
    """Table or file."""
    file: Path | None
    """The file, found from the scenario's folder; none for the built-in table."""
    start: Seconds
    """First moment."""
    end: Seconds | None
    """Last moment, included; none for the end of the prices."""
    every: Seconds
    """From one price to the next."""


@dataclass(frozen=True, slots=True)
class Actors:
    """Who behaves how."""

    borrower: Borrower = Borrower.ABSENT
    """The pledgor."""
    lender: Lender = Lender.DILIGENT
    """The secured party."""
    liquidator: Liquidator = Liquidator.DILIGENT
    """The third party, if the terms call for one."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """A deal, a stretch of prices and who behaves how."""

    name: str
    """Short name: small letters, digits and hyphens."""
    title: str
    """One line for reports."""
    start: Seconds
    """When the world begins."""
    seed: int
    """Seed of the world."""
    collateral: Collateral
    """Coins of the borrower."""
    loan: LoanPlan
    """Terms."""
    prices: PricePlan
    """Prices."""
    actors: Actors
    """Behaviour."""
    assumed: tuple[str, ...]
    """What was not disclosed and is supposed; reports print it."""


DEFAULTS: Final = LoanPlan()
"""What a scenario's ``[loan]`` need not say."""
