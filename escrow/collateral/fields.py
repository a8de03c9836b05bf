"""Reading a type's TOML key by key: every term is a table of one unit, ``status`` and ``source``;
what was not asked for is an error, and no float is taken."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum
from typing import Any, Final, TypeVar

from escrow.collateral.model import Parameter, Status
from escrow.core.errors import BadInput
from escrow.core.units import DAY, MAX_CENTS, Bps, Cents, Seconds
from escrow.tables import tables

_E = TypeVar("_E", bound=Enum)
_PROVENANCE: Final = ("status", "source")
_AMOUNT: Final = re.compile(r"([0-9]{1,17})(?:\.([0-9]{2}))?", re.ASCII)


class Page:
    """A file: its tables, and the terms that were read."""

    def __init__(self, text: str | bytes) -> None:
        """Raises BadInput("collateral/format")."""
        self._top: dict[str, Any] = tables(text, code="collateral/format")
        self.parameters: list[Parameter] = []
        self._sections: dict[str, Section] = {}

    def section(self, name: str) -> Section:
        """A table; an absent one is empty, so that its keys are what is missing."""
        found = self._top.get(name, {})
        if not isinstance(found, dict):
            raise BadInput("collateral/value", at=name, reason="not a table")
        return self._sections.setdefault(name, Section(found, path=name, notes=self.parameters))

    def close(self) -> None:
        """Refuse keys that nobody read: BadInput("collateral/unknown-key")."""
        for key in self._top:
            if key not in self._sections:
                raise BadInput("collateral/unknown-key", at=key[:80])
        for section in self._sections.values():
            section.close()


class Section:
    """One table of a page."""

    def __init__(self, data: Mapping[str, Any], *, path: str, notes: list[Parameter]) -> None:
        self._data, self._path, self._notes = data, path, notes
        self._known: set[str] = set()

    def __contains__(self, key: str) -> bool:
        return key in self._data

    def close(self) -> None:
        for key in self._data:
            if key not in self._known:
                raise BadInput("collateral/unknown-key", at=self._at(key))

    def text(self, key: str, *, longest: int, pattern: re.Pattern[str] | None = None) -> str:
        """Plain text, which needs no provenance; a paragraph in the file is one line here."""
        found = self._take(key)
        plain = " ".join(found.split()) if isinstance(found, str) else ""
        if not plain or len(plain) > longest or not plain.isprintable():
            raise self.bad(key, reason="not text", longest=longest)
        if pattern is not None and not pattern.fullmatch(plain):
            raise self.bad(key, reason="not spelled as it must be")
        return plain

    def choice(self, key: str, kind: type[_E]) -> _E:
        """A member of an enum, by value, which needs no provenance."""
        found = self._take(key)
        for member in kind:
            if member.value == found:
                return member
        known = " ".join(str(member.value) for member in kind)
        raise self.bad(key, reason=f"none of {known}")

    def bps(self, key: str, low: int, high: int) -> Bps:
        """Basis points."""
        return Bps(self._whole(key, self._term(key, "bps")[1], low, high))

    def days(self, key: str, low: int, high: int) -> Seconds:
        """A time in whole days, as seconds; the bounds are in days."""
        return Seconds(DAY * self._whole(key, self._term(key, "days")[1], low, high))

    def bps_or_cents(self, key: str, low: int, high: int) -> tuple[Bps | None, Cents | None]:
        """A share, or an amount of money as text; the other is None."""
        unit, found = self._term(key, "bps", "amount")
        if unit == "bps":
            return Bps(self._whole(key, found, low, high)), None
        plain = _AMOUNT.fullmatch(found) if isinstance(found, str) else None
        cents = int(plain[1] + (plain[2] or "00")) if plain else -1
        if not 0 <= cents <= MAX_CENTS:
            raise self.bad(key, reason='not an amount like "10000.00"')
        return None, Cents(cents)

    def pairs(self, key: str, unit: str, *, most: int) -> tuple[tuple[int, int], ...]:
        """A list of pairs of whole numbers."""
        found = self._term(key, unit)[1]
        if not isinstance(found, list) or not 0 < len(found) <= most:
            raise self.bad(key, reason="not a list of pairs", most=most)
        for each in found:
            good = isinstance(each, list) and len(each) == 2
            # True is an int to Python, and no number to TOML.
            if not good or not all(type(number) is int for number in each):
                raise self.bad(key, reason="not pairs of whole numbers")
        return tuple((one, two) for one, two in found)

    def bad(self, key: str, **facts: int | str) -> BadInput:
        """The refusal of this key's value."""
        return BadInput("collateral/value", at=self._at(key), **facts)

    def _term(self, key: str, *units: str) -> tuple[str, Any]:
        """Unit and value of a term whose provenance is in order; it is noted."""
        table = self._take(key)
        if not isinstance(table, dict):
            raise BadInput("collateral/provenance", at=self._at(key), reason="not { unit = … }")
        given = [name for name in table if name not in _PROVENANCE]
        if len(given) != 1 or given[0] not in units:
            shown = " ".join(given)[:80] or "none"
            expected = " or ".join(units)
            raise BadInput("collateral/unit", at=self._at(key), unit=shown, expected=expected)
        status, source = table.get("status"), table.get("source")
        known = {each.value: each for each in Status}
        if not isinstance(status, str) or status not in known:
            reason = "status is none of " + " ".join(known)
            raise BadInput("collateral/provenance", at=self._at(key), reason=reason)
        if not isinstance(source, str) or not source.strip() or len(source) > 400:
            raise BadInput("collateral/provenance", at=self._at(key), reason="no source")
        unit, value = given[0], table[given[0]]
        plain = " ".join(source.split())
        self._notes.append(Parameter(self._at(key), f"{value} {unit}"[:200], known[status], plain))
        return unit, value

    def _whole(self, key: str, found: object, low: int, high: int) -> int:
        if not isinstance(found, int) or isinstance(found, bool):
            raise self.bad(key, reason="not a whole number")
        if not low <= found <= high:
            raise self.bad(key, reason="out of range", low=low, high=high)
        return found

    def _take(self, key: str) -> Any:
        self._known.add(key)
        if key not in self._data:
            raise BadInput("collateral/missing-key", at=self._at(key))
        return self._data[key]

    def _at(self, key: str) -> str:
        return f"{self._path}.{key}"[:80]
