"""Amounts and times as people write them, exactly or not at all.

An amount is a whole number or plain decimal text: ``10``, ``"0.5"``, ``"45000.00"``. No float
(0.1 is not a tenth), no sign, exponent, separator or space, no digits but 0 to 9.
"""

from __future__ import annotations

import re
from calendar import timegm
from datetime import datetime
from typing import Final

from escrow.core.errors import BadInput
from escrow.core.scripts import DUST
from escrow.core.units import DAY, MAX_CENTS, MAX_MONEY, MAX_PRICE, Cents, PriceE8, Sats, Seconds

MAX_DEPTH: Final = 32
"""Nesting of JSON from outside; the deepest request that means something has 7."""

_BRACKETS: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)
"""A whole string, so that brackets in it are passed over, or a bracket."""
_DECIMAL: Final = re.compile(r"([0-9]{1,30})(?:\.([0-9]{1,30}))?", re.ASCII)
_ISO: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:[T ]([0-9]{2}:[0-9]{2}(?::[0-9]{2})?)(?:\.0{1,9})?(?:Z|\+00:?00)?)?",
    re.ASCII,
)


def parse_btc(text: str | int, *, minimum: Sats = DUST) -> Sats:
    """Bitcoin with up to 8 decimals as sats; a bare integer is whole coins.

    Raises BadInput("input/amount"): not such a number, below ``minimum``, above 21 million BTC.
    """
    return Sats(_scaled(text, decimals=8, low=minimum, high=MAX_MONEY))


def parse_cents(text: str | int) -> Cents:
    """Cash with up to 2 decimals as cents; a bare integer is whole currency units.

    Raises BadInput("input/amount"): not such a number, zero, above ``MAX_CENTS``.
    """
    return Cents(_scaled(text, decimals=2, low=1, high=MAX_CENTS))


def parse_price(text: str | int) -> PriceE8:
    """The price of one bitcoin with up to 8 decimals; a bare integer is whole currency units.

    Raises BadInput("input/amount"): not such a number, zero, above ``MAX_PRICE``.
    """
    return PriceE8(_scaled(text, decimals=8, low=1, high=MAX_PRICE))


def parse_time(text: str, *, end_of_day: bool = False) -> Seconds:
    """ISO 8601 in UTC (``2020-03-12``, ``2020-03-12T06:00:00Z``) as unix time.

    A date alone is its first second, with ``end_of_day`` its last. Without a zone it is UTC;
    another zone is refused. Raises BadInput("input/time"), also for moments before 1970.
    """
    found = _ISO.fullmatch(text)
    try:
        if found is None:
            raise ValueError
        moment = datetime.fromisoformat(f"{found[1]}T{found[2] or '00:00'}")
    except ValueError as error:
        raise BadInput("input/time", value=text[:40]) from error
    at = timegm(moment.timetuple())
    if at < 0:
        raise BadInput("input/time", value=text[:40])
    return Seconds(at + DAY - 1 if end_of_day and found[2] is None else at)


def _scaled(text: str | int, *, decimals: int, low: int, high: int) -> int:
    # True is an int to Python, and no amount.
    if isinstance(text, bool) or not isinstance(text, (str, int)):
        raise BadInput("input/amount", value=type(text).__name__, reason="not text or an integer")
    # An integer of five thousand digits cannot even be printed.
    shown = text[:40] if isinstance(text, str) else "an integer"
    if isinstance(text, int):
        amount: int = text * 10**decimals
    else:
        found = _DECIMAL.fullmatch(text)
        if found is None:
            raise BadInput("input/amount", value=shown, reason="not a plain decimal")
        fraction = found[2] or ""
        if len(fraction) > decimals:
            raise BadInput("input/amount", value=shown, max_decimals=decimals)
        amount = int(found[1] + fraction.ljust(decimals, "0"))
    if amount < low:
        raise BadInput("input/amount", value=shown, reason="too small", minimum=low)
    if amount > high:
        raise BadInput("input/amount", value=shown, reason="too large", maximum=high)
    return amount


def is_shallow(text: str) -> bool:
    """Whether the brackets of a JSON text nest no deeper than ``MAX_DEPTH``. Ask before parsing.

    Importing py-evm raises Python's recursion limit above what the C stack bears, so the
    standard library's parser would end the process where it should raise.
    """
    depth = 0
    for found in _BRACKETS.finditer(text):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(found[0], 0)
        if depth > MAX_DEPTH:
            return False
    return True
