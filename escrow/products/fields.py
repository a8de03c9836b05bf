"""Terms that products have and other files do not: levels, in any of four ways to write one, and
times by the calendar."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Final

from escrow.core.errors import BadInput
from escrow.core.units import BPS, Cents
from escrow.page import Section
from escrow.products.level import Level, ltv_of_bps, ltv_of_health, ltv_of_ratio
from escrow.schedules.cycle import parse_cycle, parse_period

_RATIOS: Final = ("bps", "ctp_percent", "cr_percent", "health_factor")
_COMPARATOR: Final = ("comparator", "comparator_status", "comparator_source")
_STRICT: Final = {"above": True, "at-or-above": False}
_STRICT_RATIO: Final = {"below": True, "at-or-below": False}
_DECIMAL: Final = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,8})?", re.ASCII)


def cents(table: Section, key: str) -> Cents:
    """An amount of money above 0, as text."""
    return table.cents(key, table.term(key, "amount")[1], least=1)


def period(table: Section, key: str, *, repeats: bool = False) -> str:
    """A time by the calendar, ``P1M``; one that repeats may say what becomes of its last stub,
    ``P1ML0``. BadInput("product/endless") for none at all."""
    found = table.term(key, "period")[1]
    text = found if isinstance(found, str) else ""
    try:
        leads_nowhere = parse_period(text.partition("L")[0] if repeats else text).is_zero
        if repeats and not leads_nowhere:
            parse_cycle(text)
    except BadInput as error:
        raise table.bad("product/value", key, reason=str(error.facts["reason"])) from error
    if leads_nowhere:
        raise table.bad("product/endless", key, reason="no time at all")
    return text


def ratio(table: Section, key: str) -> Fraction:
    """A loan-to-value, in any of the four ways to write one."""
    return _ltv(table, key)[1]


def level(table: Section, key: str) -> Level:
    """A loan-to-value and its comparator, which may have a provenance of its own."""
    unit, ltv = _ltv(table, key, *_COMPARATOR)
    said, status, source = (table.beside(key, name) for name in _COMPARATOR)
    words = _STRICT if unit == "bps" else _STRICT_RATIO
    if not isinstance(said, str) or said not in words:
        reason = "comparator is none of " + " ".join(words)
        raise table.bad("product/value", key, reason=reason)
    if status is not None or source is not None:
        table.sourced(f"{key}.comparator", {"status": status, "source": source}, value=said)
    return Level(ltv, words[said])


def _ltv(table: Section, key: str, *extra: str) -> tuple[str, Fraction]:
    """The unit that it is written in, and the loan-to-value."""
    unit, found = table.term(key, *_RATIOS, extra=("threshold_bps", *extra))
    threshold = table.beside(key, "threshold_bps")
    if (threshold is not None) is not (unit == "health_factor"):
        raise table.bad("product/unit", key, reason="threshold_bps goes with health_factor")
    if unit == "bps":
        # 50 for fifty percent: no lender has a level below one percent.
        if isinstance(found, int) and not isinstance(found, bool) and 0 < found <= 100:
            raise table.bad("product/unit", key, reason="percent for bps", bps=found)
        return unit, ltv_of_bps(table.whole(key, found, 1, 10 * BPS))
    if unit == "health_factor":
        whole = ltv_of_bps(table.whole(key, threshold, 101, BPS))
        return unit, ltv_of_health(_decimal(table, key, found), threshold=whole)
    return unit, ltv_of_ratio(_decimal(table, key, found) / 100)


def _decimal(table: Section, key: str, found: object) -> Fraction:
    """A whole number or decimal text, above 0; never a TOML float."""
    whole = isinstance(found, int) and not isinstance(found, bool)
    plain = str(found) if isinstance(found, str) or whole else ""
    if not _DECIMAL.fullmatch(plain) or not Fraction(plain):
        raise table.bad("product/value", key, reason='not a number like 150 or "133.5"')
    return Fraction(plain)
