"""Reading a TOML file key by key: every term with its unit and its provenance, every refusal with
its line.

A term is a table of one unit, ``status`` and ``source``. What was not asked for is an error, and no
float is taken. Whose file it is, its family says: the first word of every code. Where the standard
library's reader says nothing of lines, ``lines_of`` finds them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from enum import Enum
from typing import Any, Final, TypeVar

from escrow.core.errors import BadInput
from escrow.core.units import MAX_CENTS, Bps, Cents, Seconds
from escrow.provenance import Parameter, Status
from escrow.tables import plain, tables

_E = TypeVar("_E", bound=Enum)
_SPANS: Final = {"seconds": 1, "minutes": 60, "hours": 3_600, "days": 86_400}
_PROVENANCE: Final = ("status", "source")
_LONGEST_SOURCE: Final = 400
_ID: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_AMOUNT: Final = re.compile(r"([0-9]{1,17})(?:\.([0-9]{2}))?", re.ASCII)
_NAME: Final = r"""(?:[A-Za-z0-9_-]+|"[^"\\]*"|'[^']*')"""
_PATH: Final = rf"({_NAME}(?:[ \t]*\.[ \t]*{_NAME})*)"
_HEADER: Final = re.compile(rf"\s*(\[\[?)\s*{_PATH}\s*\]")
_KEY: Final = re.compile(rf"\s*{_PATH}\s*=")


class Page:
    """A file: its tables, where they are in it, and the terms that were read."""

    def __init__(
        self,
        text: str | bytes,
        *,
        family: str,
        statuses: Sequence[Status] = (Status.DISCLOSED, Status.ASSUMED),
    ) -> None:
        """``statuses`` are those that a term may have. Raises BadInput("<family>/format")."""
        code = f"{family}/format"
        self._top: dict[str, Any] = tables(text, code=code)
        self._lines = lines_of(plain(text, code=code))
        self._family = family
        self._sections: list[Section] = []
        self._known: set[str] = set()
        self.statuses = {each.value: each for each in statuses}
        self.parameters: list[Parameter] = []
        """In the order in which they were read."""

    def code(self, kind: str) -> str:
        """A code of this family."""
        return f"{self._family}/{kind}"

    def line(self, at: str) -> int:
        """Line of a key, else of its table, else the first."""
        return self._lines.get(at, self._lines.get(at.rpartition(".")[0], 1))

    def bad(self, code: str, at: str, **facts: int | str) -> BadInput:
        """A refusal that says where."""
        return BadInput(code, at=at[:80], line=self.line(at), **facts)

    def section(self, name: str) -> Section:
        """A table; an absent one is empty, so that its keys are what is missing."""
        self._known.add(name)
        found = self._top.get(name, {})
        if not isinstance(found, dict):
            raise self.bad(self.code("value"), name, reason="not a table")
        return self._kept(Section(self, found, path=name))

    def sections(self, name: str, *, most: int) -> tuple[Section, ...]:
        """Tables of one name, ``[[name]]``; maybe none."""
        self._known.add(name)
        found = self._top.get(name, [])
        if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
            raise self.bad(self.code("value"), name, reason=f"not tables: write [[{name}]]")
        if len(found) > most:
            at = f"{name}[{most + 1}]"
            raise self.bad(self.code("value"), at, reason="too many", most=most)
        return tuple(
            self._kept(Section(self, each, path=f"{name}[{n}]"))
            for n, each in enumerate(found, start=1)
        )

    def named(self, name: str, *, most: int) -> Iterator[tuple[str, Section]]:
        """Tables of one name with an ``id`` each, which is no other's: a-z, 0-9 and hyphens."""
        seen: set[str] = set()
        for each in self.sections(name, most=most):
            found = each.text("id", longest=40, pattern=_ID)
            if found in seen:
                raise each.bad(self.code("value"), "id", reason="twice")
            seen.add(found)
            each.path = f"{name}.{found}"
            yield found, each

    def close(self) -> None:
        """Refuse keys that nobody read: BadInput("<family>/unknown-key")."""
        for key in self._top:
            if key not in self._known:
                raise self.bad(self.code("unknown-key"), key)
        for section in self._sections:
            section.close()

    def _kept(self, section: Section) -> Section:
        self._sections.append(section)
        return section


class Section:
    """One table of a page. Whatever is read raises BadInput: ``<family>/missing-key``,
    ``<family>/value``; a term also ``<family>/provenance``, ``<family>/unit`` and
    ``<family>/unknown-key``."""

    def __init__(self, page: Page, data: Mapping[str, Any], *, path: str) -> None:
        self._page, self._data, self._place = page, data, path
        self._known: set[str] = set()
        self.path = path
        """How it is called."""
        self.parameters: list[Parameter] = []
        """Of this table, in the order in which they were read."""

    def __contains__(self, key: str) -> bool:
        return key in self._data

    def close(self) -> None:
        for key in self._data:
            if key not in self._known:
                raise self._refused("unknown-key", key)

    def bad(self, code: str, key: str, **facts: int | str) -> BadInput:
        """A refusal of this key."""
        at = f"{self.path}.{key}"[:80]
        return BadInput(code, at=at, line=self._page.line(f"{self._place}.{key}"), **facts)

    def assume(self, key: str, source: str) -> None:
        """Note a term that is not in the file, and what is assumed for it."""
        self._note(key, "", Status.ASSUMED, source)

    # --- plain, without provenance ---

    def text(self, key: str, *, longest: int, pattern: re.Pattern[str] | None = None) -> str:
        """Text; a paragraph in the file is one line here."""
        found = self._take(key)
        plain = " ".join(found.split()) if isinstance(found, str) else ""
        if not plain or len(plain) > longest or not plain.isprintable():
            raise self._refused("value", key, reason="not text", longest=longest)
        if pattern is not None and not pattern.fullmatch(plain):
            raise self._refused("value", key, reason="not spelled as it must be")
        return plain

    def word(self, key: str, kind: type[_E]) -> _E:
        """A member of an enum, by value; files write hyphens."""
        return self._member(key, self._take(key), kind)

    # --- terms ---

    def choice(self, key: str, kind: type[_E]) -> _E:
        """A member of an enum, by value; files write hyphens."""
        return self._member(key, self.term(key, "value")[1], kind)

    def flag(self, key: str) -> bool:
        """True or false."""
        found = self.term(key, "value")[1]
        if not isinstance(found, bool):
            raise self._refused("value", key, reason="not true or false")
        return found

    def number(self, key: str, unit: str, low: int, high: int) -> int:
        """A whole number of this unit."""
        return self.whole(key, self.term(key, unit)[1], low, high)

    def bps(self, key: str, low: int, high: int) -> Bps:
        """Basis points."""
        return Bps(self.number(key, "bps", low, high))

    def span(self, key: str, low: int, high: int) -> Seconds:
        """A time, in seconds, minutes, hours or days; the bounds are in seconds."""
        unit, found = self.term(key, *_SPANS)
        each = _SPANS[unit]
        return Seconds(each * self.whole(key, found, -(-low // each), high // each))

    def span_or_none(self, key: str, low: int, high: int) -> Seconds | None:
        """A time, or ``{ value = "none" }``: that there is none is a term too."""
        table = self._data.get(key)
        if isinstance(table, dict) and "value" in table:
            if self.term(key, "value")[1] != "none":
                raise self._refused("value", key, reason='a time, or value = "none"')
            return None
        return self.span(key, low, high)

    def day(self, key: str) -> date:
        """A date of TOML, since 1970."""
        found = self.term(key, "date")[1]
        # A moment is a date to Python, and none to TOML.
        if type(found) is not date or found.year < 1970:
            reason = "not a date like 2026-02-01, since 1970"
            raise self._refused("value", key, reason=reason)
        return found

    def pairs(self, key: str, unit: str, *, most: int) -> tuple[tuple[int, int], ...]:
        """A list of pairs of whole numbers."""
        found = self.term(key, unit)[1]
        if not isinstance(found, list) or not 0 < len(found) <= most:
            raise self._refused("value", key, reason="not a list of pairs", most=most)
        for each in found:
            good = isinstance(each, list) and len(each) == 2
            # True is an int to Python, and no number to TOML.
            if not good or not all(type(number) is int for number in each):
                raise self._refused("value", key, reason="not pairs of whole numbers")
        return tuple((one, two) for one, two in found)

    def term(self, key: str, *units: str, extra: Sequence[str] = ()) -> tuple[str, Any]:
        """Unit and value of a term whose provenance is in order; it is noted. ``extra`` are keys
        that it may have beside."""
        table = self._take(key)
        if not isinstance(table, dict):
            raise self._refused("provenance", key, reason="not { unit = …, status, source }")
        given = [name for name in table if name not in (*_PROVENANCE, *extra)]
        mine = [name for name in given if name in units]
        if len(mine) == 1:
            # A second number is a second unit; what is text beside it is something else.
            for name in given:
                if name not in mine and isinstance(table[name], str):
                    raise self._refused("unknown-key", f"{key}.{name}")
        if len(given) != 1 or given != mine:
            shown, expected = " ".join(given)[:80] or "none", " or ".join(units)
            raise self._refused("unit", key, unit=shown, expected=expected)
        unit = mine[0]
        self.sourced(key, table, value=f"{table[unit]} {unit}")
        return unit, table[unit]

    def beside(self, key: str, name: str) -> Any:
        """What stands beside the unit of a term that was read; None if it is not there."""
        return self._data[key].get(name)

    def sourced(self, key: str, table: Mapping[str, Any], *, value: str) -> None:
        """Note a term by the ``status`` and ``source`` of ``table``, which must be in order."""
        status, source = table.get("status"), table.get("source")
        known = self._page.statuses
        if not isinstance(status, str) or status not in known:
            reason = "status is none of " + " ".join(known)
            raise self._refused("provenance", key, reason=reason)
        plain = " ".join(source.split()) if isinstance(source, str) else ""
        if not plain or len(plain) > _LONGEST_SOURCE or not plain.isprintable():
            raise self._refused("provenance", key, reason="no source")
        self._note(key, value[:200], known[status], plain)

    # --- values of terms ---

    def whole(self, key: str, found: object, low: int, high: int) -> int:
        """A whole number from ``low`` to ``high``."""
        # True is an int to Python, and no number to TOML.
        if not isinstance(found, int) or isinstance(found, bool):
            raise self._refused("value", key, reason="not a whole number")
        if not low <= found <= high:
            raise self._refused("value", key, reason="out of range", low=low, high=high)
        return found

    def cents(self, key: str, found: object, *, least: int = 0) -> Cents:
        """An amount of money, as text."""
        plain = _AMOUNT.fullmatch(found) if isinstance(found, str) else None
        cents = int(plain[1] + (plain[2] or "00")) if plain else -1
        if not least <= cents <= MAX_CENTS:
            raise self._refused("value", key, reason='not an amount like "10000.00"')
        return Cents(cents)

    # --- inside ---

    def _member(self, key: str, found: object, kind: type[_E]) -> _E:
        names = {str(member.value).replace("_", "-"): member for member in kind}
        if not isinstance(found, str) or found not in names:
            raise self._refused("value", key, reason="none of " + ", ".join(names))
        return names[found]

    def _take(self, key: str) -> Any:
        self._known.add(key)
        if key not in self._data:
            raise self._refused("missing-key", key)
        return self._data[key]

    def _note(self, key: str, value: str, status: Status, source: str) -> None:
        line = self._page.line(f"{self._place}.{key}")
        found = Parameter(f"{self.path}.{key}", value, status, source, line)
        self.parameters.append(found)
        self._page.parameters.append(found)

    def _refused(self, kind: str, key: str, **facts: int | str) -> BadInput:
        return self.bad(self._page.code(kind), key, **facts)


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
