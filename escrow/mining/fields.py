"""Reading a TOML file of figures key by key: every number with its unit and its provenance.

A number is a table of one unit, ``status`` (disclosed, reported or assumed) and ``source``; what
was not asked for is an error. No float is taken anywhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from escrow.core.errors import BadInput
from escrow.mining.provenance import Parameter, Status
from escrow.tables import tables

MAX_TABLES: Final = 200
"""Tables of one name."""

_ID: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")


def parse(text: str | bytes) -> dict[str, Any]:
    """A file's tables. Raises BadInput("mining/format") if it is no TOML or too large."""
    return tables(text, code="mining/format")


def sections(top: Mapping[str, Any], name: str) -> Iterator[Section]:
    """Tables of one name, ``[[name]]``, each with an id of its own. Raises BadInput:
    ``mining/value``, ``mining/missing-key``."""
    found = top.get(name, [])
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise BadInput("mining/value", at=name, reason=f"not tables: write [[{name}]]")
    if len(found) > MAX_TABLES:
        raise BadInput("mining/value", at=name, reason="too many", most=MAX_TABLES)
    seen: set[str] = set()
    for each in found:
        section = Section(each, path=name)
        if section.id in seen:
            raise BadInput("mining/value", at=section.path, reason="twice")
        seen.add(section.id)
        yield section


def check_known(top: Mapping[str, Any], names: tuple[str, ...]) -> None:
    """Raises BadInput("mining/unknown-key") for a table of another name."""
    for key in top:
        if key not in names:
            raise BadInput("mining/unknown-key", at=key[:80])


class Section:
    """One table: plain text, and numbers with their provenance, which is noted."""

    def __init__(self, data: Mapping[str, Any], *, path: str) -> None:
        self._data, self.path = data, path
        self._known: set[str] = set()
        self._parameters: list[Parameter] = []
        self.id = self.text("id", pattern=_ID)
        self.path = f"{path}.{self.id}"

    def close(self) -> tuple[Parameter, ...]:
        """The provenance of all its numbers. Raises BadInput("mining/unknown-key") for keys that
        nobody read."""
        for key in self._data:
            if key not in self._known:
                raise BadInput("mining/unknown-key", at=f"{self.path}.{key}"[:80])
        return tuple(self._parameters)

    def text(self, key: str, *, pattern: re.Pattern[str] | None = None) -> str:
        """One line, which needs no provenance."""
        found = self._take(key)
        if not isinstance(found, str) or not 0 < len(found) <= 200 or not found.isprintable():
            raise self.bad(key, reason="not a line of text")
        if pattern is not None and not pattern.fullmatch(found):
            raise self.bad(key, reason="not spelled as it must be")
        return found

    def number(self, key: str, unit: str, low: int, high: int) -> int:
        """A whole number of this unit, with its provenance."""
        return self.whole(key, self.sourced(key, unit), low, high)

    def sourced(self, key: str, unit: str) -> Any:
        """A value of this unit whose provenance is in order; it is noted.

        Raises BadInput: ``mining/provenance``, ``mining/unit``, ``mining/missing-key``.
        """
        table = self._take(key)
        if not isinstance(table, dict):
            raise BadInput("mining/provenance", at=self._at(key), reason="not { unit = … }")
        if set(table) - {"status", "source"} != {unit}:
            given = " ".join(sorted(set(table) - {"status", "source"}))
            raise BadInput("mining/unit", at=self._at(key), unit=given[:80], expected=unit)
        source = table.get("source")
        status = {each.value: each for each in Status}.get(str(table.get("status")))
        if status is None:
            known = " ".join(each.value for each in Status)
            raise BadInput("mining/provenance", at=self._at(key), reason=f"status none of {known}")
        if not isinstance(source, str) or not 0 < len(source) <= 400 or not source.isprintable():
            raise BadInput("mining/provenance", at=self._at(key), reason="no source")
        self._parameters.append(Parameter(self._at(key), status, source))
        return table[unit]

    def whole(self, key: str, found: object, low: int, high: int) -> int:
        """A whole number from ``low`` to ``high``. Raises BadInput("mining/value")."""
        # True is an int to Python, and no number to TOML.
        if not isinstance(found, int) or isinstance(found, bool):
            raise self.bad(key, reason="not a whole number")
        if not low <= found <= high:
            raise self.bad(key, reason="out of range", low=low, high=high)
        return found

    def bad(self, key: str, **facts: int | str) -> BadInput:
        """The refusal of a key's value."""
        return BadInput("mining/value", at=self._at(key), **facts)

    def _take(self, key: str) -> Any:
        self._known.add(key)
        if key not in self._data:
            raise BadInput("mining/missing-key", at=self._at(key))
        return self._data[key]

    def _at(self, key: str) -> str:
        return f"{self.path}.{key}"[:80]
