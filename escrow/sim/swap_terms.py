"""What two parties agree on before an atomic swap of bitcoin for cash, and when it is safe.

The initiator alone knows the secret. It locks first, and its leg outlasts the other's: who shows
the secret at the last second of the shorter leg leaves the other the margin to use it. Bitcoin's
own clock (BIP-113, the median of eleven blocks) runs late by up to eleven blocks, and what must
be final takes its confirmations: no margin may be less than both together.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from escrow.config import BLOCK_INTERVAL
from escrow.core.errors import BadInput, Rejected
from escrow.core.units import MAX_CENTS, MAX_MONEY, Cents, Sats, Seconds

LEAST_SATS: Final = Sats(10_000)
"""Smallest swap: its spend pays 139 vbytes and leaves more than dust at ordinary fees."""
MAX_CONFIRMATIONS: Final = 100

_MTP_BLOCKS: Final = 11
_DIGEST_BYTES: Final = 32


class Leg(Enum):
    """One side of a swap."""

    BITCOIN = "bitcoin"
    CASH = "cash"


class LegState(Enum):
    """Where a leg stands, as its chain says."""

    NONE = "none"
    LOCKED = "locked"
    CLAIMED = "claimed"
    """The other party has it: the secret was shown."""
    REFUNDED = "refunded"
    """Who locked it has it back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SwapTerms:
    """Coins of the seller for cash of the buyer. Raises ``BadInput("swap/terms")``,
    ``Rejected("swap/margin")``."""

    number: int
    """Among the swaps of its world: which keys of the parties lock the coins."""
    seller: str
    """Party that gives bitcoin."""
    buyer: str
    """Party that gives cash."""
    sats: Sats
    cents: Cents
    digest: bytes
    """SHA-256 of the initiator's secret, 32 bytes."""
    first: Leg
    """The initiator's leg: locked first, and the longer."""
    bitcoin_until: Seconds
    """World time from which the seller may take the coins back, on Bitcoin's own clock."""
    cash_until: Seconds
    """World time up to which the cash may be claimed, itself included."""
    margin: Seconds
    """By how much the initiator's leg outlasts the other's at least."""
    confirmations: int
    """Blocks on the coins before anybody relies on them."""

    def __post_init__(self) -> None:
        counts = (self.number, self.sats, self.cents, self.margin, self.confirmations)
        sound = (
            all(type(each) is int for each in (*counts, self.bitcoin_until, self.cash_until))
            and self.seller != self.buyer
            and LEAST_SATS <= self.sats <= MAX_MONEY
            and 0 < self.cents <= MAX_CENTS
            and len(self.digest) == _DIGEST_BYTES
            and 1 <= self.confirmations <= MAX_CONFIRMATIONS
            and self.number >= 0
        )
        if not sound:
            sats, cents = str(self.sats)[:40], str(self.cents)[:40]
            raise BadInput("swap/terms", sats=sats, cents=cents, least=LEAST_SATS)
        longer, shorter = self.until(self.first), self.until(self.second)
        if self.margin < self.room or longer - shorter < self.margin:
            raise Rejected(
                "swap/margin",
                initiators=longer,
                others=shorter,
                margin=self.margin,
                least=self.room,
            )

    @property
    def second(self) -> Leg:
        """The other's leg."""
        return Leg.CASH if self.first is Leg.BITCOIN else Leg.BITCOIN

    @property
    def initiator(self) -> str:
        """Party that knows the secret."""
        return self.giver(self.first)

    @property
    def room(self) -> Seconds:
        """Seconds that Bitcoin may need until what is done is final: its clock's lag, and the
        confirmations."""
        return Seconds((_MTP_BLOCKS + self.confirmations) * BLOCK_INTERVAL)

    def giver(self, leg: Leg) -> str:
        """Who locks a leg, and gets it back after its deadline."""
        return self.seller if leg is Leg.BITCOIN else self.buyer

    def taker(self, leg: Leg) -> str:
        """Who claims a leg."""
        return self.buyer if leg is Leg.BITCOIN else self.seller

    def check_time(self, leg: Leg, *, now: Seconds) -> None:
        """Is there room left before a leg's deadline? Raises ``Rejected("swap/too-late")``."""
        until = self.until(leg)
        if now + self.room > until:
            raise Rejected("swap/too-late", now=now, until=until, room=self.room)

    def until(self, leg: Leg) -> Seconds:
        """The deadline of a leg, world time."""
        return self.bitcoin_until if leg is Leg.BITCOIN else self.cash_until
