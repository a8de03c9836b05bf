"""How messages spell things: exact decimals as text, moments in ISO 8601, identifications."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from enum import Enum
from typing import Final

from escrow.core.errors import BadInput
from escrow.core.units import BPS, Bps, Cents, Sats
from escrow.words import exact

FORMAT: Final = "escrow-message"
VERSION: Final = 1
NOTICE: Final = (
    "Simulated. Names follow ISO 20022 colr and ISDA CDM; "
    "no certified compliance with either, or with any margin rule, is claimed."
)
"""Stands in every message file."""
TESTING: Final = "XTS"
"""ISO 4217's code for testing: the world's cash is no currency of this world."""
MAX_ID: Final = 35
"""``Max35Text``: the longest identification."""
MAX_INFO: Final = 210
"""``Max210Text``: the longest additional information."""

_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9:._/-]{0,34}", re.ASCII)
_CURRENCY: Final = re.compile(r"[A-Z]{3}", re.ASCII)

Body = dict[str, object]
"""A JSON object."""


class Side(Enum):
    """Who sends a message; the other side receives it."""

    LENDER = "lender"
    """Party A: the secured party, the collateral's taker."""
    BORROWER = "borrower"
    """Party B: the pledgor, the collateral's giver."""

    @property
    def other(self) -> Side:
        """Who receives what this side sends."""
        return Side.BORROWER if self is Side.LENDER else Side.LENDER


class Action(Enum):
    """CDM ``MarginCallActionEnum``: which way the collateral goes."""

    DELIVERY = "Delivery"
    """To the secured party."""
    RETURN = "Return"
    """Back to the pledgor."""


class Answer(Enum):
    """CDM ``MarginCallResponseTypeEnum``, as CDM spells it."""

    FULL = "AgreeinFull"
    """What was called was delivered."""
    PART = "PartiallyAgree"
    """A part was."""
    DISPUTE = "Dispute"
    """Nothing was: the call is said to be wrong."""


def cash(cents: Cents | int) -> str:
    """Cents as ``50000.00``."""
    return f"{cents // 100}.{cents % 100:02d}"


def coins(sats: Sats | int) -> str:
    """Sats as ``1.50000000``, in bitcoin."""
    return exact(sats)


def share(bps: Bps | int) -> str:
    """Basis points from 0 up to, and not including, 10,000 as the decimal they are: ``0.35``.

    CDM's rule for ``haircutPercentage``. Raises BadInput("message/value").
    """
    if not 0 <= bps < BPS:
        raise BadInput("message/value", at="haircutPercentage", bps=bps)
    return f"0.{bps:04d}".rstrip("0").rstrip(".")


def moment(at: int) -> str:
    """Unix seconds as ``2025-12-01T06:00:00Z``."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def day(at: int) -> str:
    """Unix seconds as ``2025-12-01``, in UTC."""
    return moment(at)[:10]


def identification(loan: str, *, log: int, definition: str) -> str:
    """A name for one message, at most 35 characters: loan, place in the log, number of the kind."""
    return checked(f"{loan.removeprefix('0x')[:20]}-{log}-{definition[-3:]}")


def checked(text: str) -> str:
    """``text`` if it can identify something. Raises BadInput("message/value")."""
    if not isinstance(text, str) or not _ID.fullmatch(text):
        raise BadInput("message/value", at="identification", value=str(text)[:40])
    return text


def currency(code: str) -> str:
    """``code`` if it looks like one of ISO 4217. Raises BadInput("message/value")."""
    if not isinstance(code, str) or not _CURRENCY.fullmatch(code):
        raise BadInput("message/value", at="currency", value=str(code)[:40])
    return code


def clipped(text: str, most: int = MAX_INFO) -> str:
    """The head of a text that may be long."""
    return text if len(text) <= most else text[: most - 3] + "..."
