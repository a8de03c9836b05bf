"""What a type of collateral is: valuation, haircut and levels, eligibility, lag and custody.

Pure data. ``read`` makes it from TOML, ``value`` and ``pool`` decide by it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from escrow.core.units import Bps, Cents, Seconds
from escrow.provenance import Parameter, assumed


class Custody(Enum):
    """Where it is kept while it is pledged."""

    VAULT = "vault"
    """Coins in a vault on Bitcoin."""
    REGISTER = "register"
    """Units held for the loan in a register of assets (``AssetToken``)."""
    NOWHERE = "nowhere"
    """It is not taken."""


@dataclass(frozen=True, slots=True)
class Curve:
    """What is left of a price as a thing ages: straight lines between points."""

    points: tuple[tuple[int, Bps], ...]
    """Age in days and the part of the price that is left; from day 0 on, falling. After the last
    point nothing falls any more."""


@dataclass(frozen=True, slots=True)
class ByPrice:
    """Coins at the market's price."""


@dataclass(frozen=True, slots=True)
class ByFace:
    """A claim at its face, discounted to when it is due; after that day it is cash."""

    rate_bps: Bps
    """Simple discount a year, actual/365."""
    min_left: Seconds
    """Shortest time to the day it is due at which it is eligible."""


@dataclass(frozen=True, slots=True)
class ByAge:
    """A machine at its price, less what its age took, at what second-hand machines fetch."""

    curve: Curve
    """Unless the machine has one of its own."""
    max_age: Seconds
    """Oldest that is eligible."""


@dataclass(frozen=True, slots=True)
class ByDeliveries:
    """A contract over hash power at what it is still expected to deliver, discounted."""

    rate_bps: Bps
    """Simple discount a year, to the middle of what is to be delivered: deliveries are even."""
    min_left: Seconds
    """Shortest time to its end at which it is eligible."""


@dataclass(frozen=True, slots=True)
class ByNav:
    """Shares of mining revenue at net asset value: cash and expected rewards, less the cost of
    power and what is owed to the lender before holders."""

    rate_bps: Bps
    """Discount of expected rewards, as ``ByDeliveries``."""
    min_left: Seconds
    """Shortest time to the end of the programme at which it is eligible."""


@dataclass(frozen=True, slots=True)
class ByCapex:
    """A share of an energy asset at what was really built of it."""

    split_bps: Bps | None
    """Part of the asset that is another's, the grid's say, and counts zero; none: no split."""


@dataclass(frozen=True, slots=True)
class Unverifiable:
    """Nothing of it can be verified, so it counts zero."""


Valuation = ByPrice | ByFace | ByAge | ByDeliveries | ByNav | ByCapex | Unverifiable


@dataclass(frozen=True, slots=True)
class Limit:
    """The most that counts, as a value or as a share, never both (CDM's ``ConcentrationLimit``:
    ``valueLimit`` or ``percentageLimit``)."""

    share_bps: Bps | None = None
    """Of all that is eligible in the pool, before limits."""
    cents: Cents | None = None
    """As a value."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Concentration limits of a type. What is above one counts zero and is not refused."""

    whole: Limit | None = None
    """All of the type."""
    issuer: Limit | None = None
    """All of the type that one issuer is behind."""
    item: Limit | None = None
    """One thing: parts of it, which keep its id, share the limit."""


@dataclass(frozen=True, slots=True)
class Levels:
    """Loan-to-value levels of a type; a pool's are the average, weighted by value."""

    haircut: Bps
    """What does not count when money is drawn or collateral leaves: 10,000 less the initial
    loan-to-value."""
    restore: Bps
    """At or below this a call is cured."""
    call: Bps
    """At or above this a call is made."""
    liquidation: Bps
    """At or above this the collateral is realised at once."""


@dataclass(frozen=True, slots=True)
class Type:
    """A type of collateral."""

    id: str
    """Short name: small letters, digits and hyphens."""
    title: str
    """One line for reports."""
    in_words: str
    """What it is, and what is not claimed of it."""
    tag: str
    """``unverifiable`` where nothing can be said; else empty."""
    valuation: Valuation
    """How it is valued."""
    levels: Levels
    """What it counts for."""
    limits: Limits
    """How much of it counts."""
    lag: Seconds
    """From a default to its sale."""
    discount: Bps
    """What a forced sale fetches less than the value."""
    costs: Bps
    """Of the proceeds: auctioneer, transport, fees; paid first."""
    custody: Custody
    """Where it is kept."""
    parameters: tuple[Parameter, ...]
    """Where each term is from."""

    @property
    def assumed(self) -> tuple[Parameter, ...]:
        """What nobody has disclosed."""
        return assumed(self.parameters)
