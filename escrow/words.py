"""Numbers and times as people read them. Exact: no float on the way."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from escrow.core.units import COIN

_LAST_DATE: Final = 253_402_300_799
"""The last second of the year 9999: the calendar of Python ends there."""


def money(cents: int) -> str:
    """Cents as ``50,000.00``."""
    return f"{'-' if cents < 0 else ''}{abs(cents) // 100:,}.{abs(cents) % 100:02d}"


def coins(sats: int) -> str:
    """Sats as ``1.50000000 BTC``."""
    return f"{'-' if sats < 0 else ''}{abs(sats) // COIN}.{abs(sats) % COIN:08d} BTC"


def exact(e8: int) -> str:
    """Units × 10⁸ as a plain decimal that parses back to the same: sats to BTC, a price."""
    return f"{e8 // 10**8}.{e8 % 10**8:08d}"


def price(e8: int) -> str:
    """A price × 10⁸ as ``83,333.33``, with as many decimals as it has, at least two."""
    whole, part = divmod(e8, 10**8)
    decimals = f"{part:08d}".rstrip("0").ljust(2, "0")
    return f"{whole:,}.{decimals}"


def percent(bps: int) -> str:
    """Basis points as ``71.43 %``."""
    return f"{bps // 100}.{bps % 100:02d} %"


def moment(at: int) -> str:
    """Unix time as ``2025-12-01 06:00:00``, UTC; past the year 9999 the second itself."""
    if at > _LAST_DATE:
        return f"second {at}"
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")


def span(seconds: int, *, units: int = 2) -> str:
    """Seconds as ``1 d 2 h``: the largest units, two or as many as asked; four are exact."""
    parts = []
    for name, size in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count} {name}")
    return " ".join(parts[:units]) or "0 s"


def short(identifier: str) -> str:
    """The head of a hash, enough to find it again."""
    return identifier[:12] + "…" if len(identifier) > 13 else identifier


def jsonable(value: object) -> object:
    """Lists, objects and integers as JSON keeps them: beyond 2⁵³ an integer becomes text."""
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    if isinstance(value, int):
        return value if abs(value) <= 2**53 else str(value)
    if isinstance(value, dict):
        return {str(key): jsonable(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(each) for each in value]
    raise TypeError(type(value).__name__)
