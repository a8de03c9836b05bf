"""Reading a product's TOML key by key: every term with its unit and its provenance, every refusal
with its line.

A term is a table of one unit, ``status`` and ``source``; what was not asked for is an error. Where
the standard library's reader says nothing of lines, ``lines_of`` finds them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date
from enum import Enum
from fractions import Fraction
from typing import Any, Final, TypeVar

from escrow.core.errors import BadInput
from escrow.core.units import BPS, MAX_CENTS, Bps, Cents, Seconds
from escrow.products.level import Level, ltv_of_bps, ltv_of_health, ltv_of_ratio
from escrow.products.model import Parameter
from escrow.schedules.cycle import parse_cycle, parse_period
from escrow.tables import plain, tables

_E = TypeVar("_E", bound=Enum)
_SPANS: Final = {"seconds": 1, "minutes": 60, "hours": 3_600, "days": 86_400}
_RATIOS: Final = ("bps", "ctp_percent", "cr_percent", "health_factor")
_OTHERS: Final = ("count", "amount", "value", "percent", "cents", "months", "ltv", "period", "date")
_UNITS: Final = {*_SPANS, *_RATIOS, *_OTHERS}
"""Everything that is a unit somewhere, or that people take for one."""
_PROVENANCE: Final = ("status", "source")
_STRICT: Final = {"above": True, "at-or-above": False}
_STRICT_RATIO: Final = {"below": True, "at-or-below": False}
_DECIMAL: Final = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,8})?", re.ASCII)
_AMOUNT: Final = re.compile(r"([0-9]{1,17})(?:\.([0-9]{2}))?", re.ASCII)
_NAME: Final = r"""(?:[A-Za-z0-9_-]+|"[^"\\]*"|'[^']*')"""
_PATH: Final = rf"({_NAME}(?:[ \t]*\.[ \t]*{_NAME})*)"
_HEADER: Final = re.compile(rf"\s*(\[\[?)\s*{_PATH}\s*\]")
_KEY: Final = re.compile(rf"\s*{_PATH}\s*=")


class Page:
    """A file: its tables, where they are in it, and the terms that were read."""

    def __init__(self, text: str | bytes) -> None:
        self._top: dict[str, Any] = tables(text, code="product/format")
        self.lines = lines_of(plain(text, code="product/format"))
        self.parameters: list[Parameter] = []
        self._known: set[str] = set()
        self._sections: list[Section] = []

    def bad(self, code: str, at: str, **facts: int | str) -> BadInput:
        """A refusal that says where."""
        line = self.lines.get(at, self.lines.get(at.rpartition(".")[0], 1))
        return BadInput(code, at=at[:80], line=line, **facts)

    def section(self, name: str) -> Section:
        """A table; an absent one is empty, so that its keys are what is missing."""
        self._known.add(name)
        found = self._top.get(name, {})
        if not isinstance(found, dict):
            raise self.bad("product/value", name, reason="not a table")
        return self._kept(Section(self, found, path=name))

    def sections(self, name: str, *, most: int) -> tuple[Section, ...]:
        """Tables of one name, ``[[name]]``; maybe none."""
        self._known.add(name)
        found = self._top.get(name, [])
        if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
            raise self.bad("product/value", name, reason=f"not tables: write [[{name}]]")
        if len(found) > most:
            raise self.bad("product/value", f"{name}[{most + 1}]", reason="too many", most=most)
        return tuple(
            self._kept(Section(self, each, path=f"{name}[{n}]"))
            for n, each in enumerate(found, start=1)
        )

    def close(self) -> None:
        """Refuse keys that nobody read: BadInput("product/unknown-key")."""
        for key in self._top:
            if key not in self._known:
                raise self.bad("product/unknown-key", key)
        for section in self._sections:
            section.close()

    def _kept(self, section: Section) -> Section:
        self._sections.append(section)
        return section


class Section:
    """One table of a page."""

    def __init__(self, page: Page, data: Mapping[str, Any], *, path: str) -> None:
        self._page, self._data, self.path = page, data, path
        self._known: set[str] = set()

    def __contains__(self, key: str) -> bool:
        return key in self._data

    def close(self) -> None:
        for key in self._data:
            if key not in self._known:
                raise self.bad("product/unknown-key", key)

    def bad(self, code: str, key: str, **facts: int | str) -> BadInput:
        """A refusal of this key."""
        return self._page.bad(code, f"{self.path}.{key}", **facts)

    def assume(self, key: str, source: str) -> None:
        """Note a term that is not in the file, and what is assumed for it."""
        line = self._page.lines.get(self.path, 1)
        self._page.parameters.append(Parameter(f"{self.path}.{key}", False, source, line))

    def text(self, key: str, *, longest: int, pattern: re.Pattern[str] | None = None) -> str:
        """Plain text, which needs no provenance; a paragraph in the file is one line here."""
        found = self._take(key)
        plain = " ".join(found.split()) if isinstance(found, str) else ""
        if not plain or len(plain) > longest or not plain.isprintable():
            raise self.bad("product/value", key, reason="not text", longest=longest)
        if pattern is not None and not pattern.fullmatch(plain):
            raise self.bad("product/value", key, reason="not spelled as it must be")
        return plain

    def bps(self, key: str, low: int, high: int) -> Bps:
        """Basis points."""
        return Bps(self._number(key, {"bps": 1}, low, high))

    def count(self, key: str, low: int, high: int) -> int:
        """How many."""
        return self._number(key, {"count": 1}, low, high)

    def span(self, key: str, low: int, high: int) -> Seconds:
        """A time, in seconds, minutes, hours or days; the bounds are in seconds."""
        return Seconds(self._number(key, _SPANS, low, high))

    def span_or_none(self, key: str, low: int, high: int) -> Seconds | None:
        """A time, or ``{ value = "none" }``: that there is none is a term too."""
        table = self._data.get(key)
        if isinstance(table, dict) and "value" in table:
            if self._term(key, ("value",))[1] != "none":
                raise self.bad("product/value", key, reason='a time, or value = "none"')
            return None
        return self.span(key, low, high)

    def period(self, key: str, *, repeats: bool = False) -> str:
        """A time by the calendar, ``P1M``; one that repeats may say what becomes of its last
        stub, ``P1ML0``. BadInput("product/endless") for none at all."""
        found = self._term(key, ("period",))[1]
        text = found if isinstance(found, str) else ""
        try:
            leads_nowhere = parse_period(text.partition("L")[0] if repeats else text).is_zero
            if repeats and not leads_nowhere:
                parse_cycle(text)
        except BadInput as error:
            reason = str(error.facts["reason"])
            raise self.bad("product/value", key, reason=reason) from error
        if leads_nowhere:
            raise self.bad("product/endless", key, reason="no time at all")
        return text

    def day(self, key: str) -> date:
        """A date of TOML, since 1970."""
        found = self._term(key, ("date",))[1]
        # A moment is a date to Python, and none to TOML.
        if type(found) is not date or found.year < 1970:
            raise self.bad("product/value", key, reason="not a date like 2026-02-01, since 1970")
        return found

    def cents(self, key: str) -> Cents:
        """An amount of money, as text."""
        _, found = self._term(key, ("amount",))
        plain = _AMOUNT.fullmatch(found) if isinstance(found, str) else None
        cents = int(plain[1] + (plain[2] or "00")) if plain else 0
        if not 0 < cents <= MAX_CENTS:
            raise self.bad("product/value", key, reason='not an amount like "10000.00"')
        return Cents(cents)

    def choice(self, key: str, kind: type[_E]) -> _E:
        """A member of an enum, by value; files write hyphens."""
        found = self._term(key, ("value",))[1]
        names = {str(member.value).replace("_", "-"): member for member in kind}
        if isinstance(found, str) and found in names:
            return names[found]
        known = ", ".join(names)
        raise self.bad("product/value", key, reason=f"none of {known}")

    def flag(self, key: str) -> bool:
        """True or false."""
        found = self._term(key, ("value",))[1]
        if not isinstance(found, bool):
            raise self.bad("product/value", key, reason="not true or false")
        return found

    def ratio(self, key: str) -> Fraction:
        """A loan-to-value, in any of the four ways to write one."""
        return self._level(key, compared=False).ltv

    def level(self, key: str) -> Level:
        """A loan-to-value and its comparator."""
        return self._level(key, compared=True)

    def _level(self, key: str, *, compared: bool) -> Level:
        extra = ["threshold_bps"]
        if compared:
            extra += ["comparator", "comparator_status", "comparator_source"]
        unit, found = self._term(key, _RATIOS, extra=extra)
        table = self._data[key]
        if ("threshold_bps" in table) is not (unit == "health_factor"):
            raise self.bad("product/unit", key, reason="threshold_bps goes with health_factor")
        if unit == "bps":
            # 50 for fifty percent: no lender has a level below one percent.
            if isinstance(found, int) and not isinstance(found, bool) and 0 < found <= 100:
                raise self.bad("product/unit", key, reason="percent for bps", bps=found)
            ltv = ltv_of_bps(self._whole(key, found, 1, 10 * BPS))
        elif unit == "health_factor":
            threshold = self._whole(key, table["threshold_bps"], 101, BPS)
            ltv = ltv_of_health(self._decimal(key, found), threshold=ltv_of_bps(threshold))
        else:
            ltv = ltv_of_ratio(self._decimal(key, found) / 100)
        if not compared:
            return Level(ltv)
        words = _STRICT if unit == "bps" else _STRICT_RATIO
        if table.get("comparator") not in words:
            reason = "comparator is none of " + " ".join(words)
            raise self.bad("product/value", key, reason=reason)
        if "comparator_status" in table or "comparator_source" in table:
            given = {name: table.get(f"comparator_{name}") for name in _PROVENANCE}
            self._provenance(key, given, suffix=".comparator")
        return Level(ltv, words[table["comparator"]])

    def _term(self, key: str, units: tuple[str, ...], *, extra: list[str] | None = None) -> Any:
        """Unit and value of a term whose provenance is in order; it is noted."""
        table = self._take(key)
        if not isinstance(table, dict):
            raise self.bad("product/provenance", key, reason="not { unit = …, status, source }")
        given = [name for name in table if name in _UNITS]
        wrong = [name for name in given if name not in units]
        if wrong or len(given) != 1:
            shown = " ".join(wrong or given)[:80] or "none"
            raise self.bad("product/unit", key, unit=shown, expected=" or ".join(units))
        for name in table:
            if name not in (*units, *_PROVENANCE, *(extra or ())):
                raise self.bad("product/unknown-key", f"{key}.{name}"[:80])
        self._provenance(key, table)
        return given[0], table[given[0]]

    def _provenance(self, key: str, table: Mapping[str, Any], *, suffix: str = "") -> None:
        status, source = table.get("status"), table.get("source")
        if status not in ("disclosed", "assumed"):
            raise self.bad("product/provenance", key, reason="status is disclosed or assumed")
        told = " ".join(source.split()) if isinstance(source, str) else ""
        if not told or len(told) > 300 or not told.isprintable():
            raise self.bad("product/provenance", key, reason="no source")
        at = f"{self.path}.{key}"
        line = self._page.lines.get(at, 1)
        self._page.parameters.append(Parameter(at + suffix, status == "disclosed", told, line))

    def _number(self, key: str, units: Mapping[str, int], low: int, high: int) -> int:
        unit, found = self._term(key, tuple(units))
        most = high // units[unit]
        return units[unit] * self._whole(key, found, -(-low // units[unit]), most)

    def _whole(self, key: str, found: object, low: int, high: int) -> int:
        # True is an int to Python, and no number to TOML.
        if not isinstance(found, int) or isinstance(found, bool):
            raise self.bad("product/value", key, reason="not a whole number")
        if not low <= found <= high:
            raise self.bad("product/value", key, reason="out of range", low=low, high=high)
        return found

    def _decimal(self, key: str, found: object) -> Fraction:
        """A whole number or decimal text, above 0; never a TOML float."""
        whole = isinstance(found, int) and not isinstance(found, bool)
        plain = str(found) if isinstance(found, str) or whole else ""
        if not _DECIMAL.fullmatch(plain) or not Fraction(plain):
            raise self.bad("product/value", key, reason='not a number like 150 or "133.5"')
        return Fraction(plain)

    def _take(self, key: str) -> Any:
        self._known.add(key)
        if key not in self._data:
            raise self.bad("product/missing-key", key)
        return self._data[key]


def lines_of(text: str) -> dict[str, int]:
    """Line of each table and key, from 1, by path: ``levels.restore``, ``call[1].level``."""
    found: dict[str, int] = {}
    counts: dict[str, int] = {}
    table = ""
    for number, line in _outside_strings(text):
        header, key = _HEADER.match(line), _KEY.match(line)
        if header:
            *outer, last = _names(header[2])
            table = ""
            for name in outer:
                table = f"{table}.{name}".lstrip(".")
                # A table within the last of several.
                table += f"[{counts[table]}]" if table in counts else ""
            table = f"{table}.{last}".lstrip(".")
            if header[1] == "[[":
                counts[table] = counts.get(table, 0) + 1
                found.setdefault(table, number)
                table = f"{table}[{counts[table]}]"
            found.setdefault(table, number)
        elif key:
            path = table
            for name in _names(key[1]):
                path = f"{path}.{name}".lstrip(".")
                found.setdefault(path, number)
    return found


def _names(path: str) -> list[str]:
    """Of a dotted key, each without its quotes."""
    return [each.strip("\"'") for each in re.findall(_NAME, path)]


def _outside_strings(text: str) -> Iterator[tuple[int, str]]:
    """Lines that do not begin within a string of several lines."""
    inside = ""
    for number, line in enumerate(text.split("\n"), start=1):
        if not inside:
            yield number, line
        for quote in ('"""', "'''"):
            if inside in ("", quote) and line.count(quote) % 2:
                inside = "" if inside else quote
                break
