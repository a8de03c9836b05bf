"""Reading a TOML table key by key: what was not asked for by the end is an error."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from enum import Enum
from typing import Any, Final, TypeVar, cast

from escrow.core.errors import BadInput

_T = TypeVar("_T")
_E = TypeVar("_E", bound=Enum)
_D = TypeVar("_D")


class _Missing(Enum):
    MISSING = "missing"


_MISSING: Final = _Missing.MISSING


class Table:
    """One TOML table and those inside it; every getter remembers that its key is known."""

    def __init__(self, data: dict[str, Any], *, path: str = "") -> None:
        self._data = data
        self._path = path
        self._known: set[str] = set()
        self._inner: list[Table] = []

    def __contains__(self, key: str) -> bool:
        return key in self._data

    @property
    def keys(self) -> tuple[str, ...]:
        """What is in it, in the file's order."""
        return tuple(self._data)

    def close(self) -> None:
        """Refuse keys that nobody read, here and inside: BadInput("scenario/unknown-key")."""
        for key in self._data:
            if key not in self._known:
                raise BadInput("scenario/unknown-key", at=self._at(key)[:80])
        for table in self._inner:
            table.close()

    def table(self, key: str, *, optional: bool = False) -> Table:
        """A table inside this one; an optional one that is absent is empty."""
        found = self._take(key, {} if optional else _MISSING)
        if not isinstance(found, dict):
            raise self.bad(key, reason="not a table")
        inner = Table(found, path=self._at(key))
        self._inner.append(inner)
        return inner

    def integer(self, key: str, low: int, high: int, *, default: int | None = None) -> int:
        """A whole number from ``low`` to ``high``."""
        found = self._take(key, _MISSING if default is None else default)
        # True is an int to Python, and no number to TOML.
        if not isinstance(found, int) or isinstance(found, bool):
            raise self.bad(key, reason="not a whole number")
        if not low <= found <= high:
            raise self.bad(key, reason="out of range", low=low, high=high)
        return found

    def word(self, key: str) -> int | str:
        """A whole number, or one line of printable text."""
        found = self._take(key, _MISSING)
        if isinstance(found, bool) or not (isinstance(found, int) or _is_line(found, 200)):
            raise self.bad(key, reason="neither a whole number nor one line of text")
        return cast(int | str, found)

    def text(self, key: str, *, pattern: re.Pattern[str] | None = None, longest: int = 200) -> str:
        """One line of printable text, of the whole ``pattern`` if there is one."""
        found = self._take(key, _MISSING)
        if not _is_line(found, longest):
            raise self.bad(key, reason="not one line of text", longest=longest)
        if pattern is not None and not pattern.fullmatch(found):
            raise self.bad(key, reason="not spelled as it must be", pattern=pattern.pattern)
        return str(found)

    def texts(self, key: str) -> tuple[str, ...]:
        """Lines of text; none if the key is absent."""
        found = self._take(key, [])
        if not isinstance(found, list) or not all(_is_line(item, 500) for item in found):
            raise self.bad(key, reason="not a list of lines of text")
        return tuple(found)

    def one_of(self, key: str, choices: Mapping[str, _T], *, default: _T | None = None) -> _T:
        """One of a few words."""
        if default is not None and key not in self._data:
            return default
        found = self._take(key, _MISSING)
        if not isinstance(found, str) or found not in choices:
            raise self.bad(key, reason="none of " + " ".join(choices))
        return choices[found]

    def choice(self, key: str, kind: type[_E], *, default: _E | None = None) -> _E:
        """A member of an enum, by value."""
        return self.one_of(key, {member.value: member for member in kind}, default=default)

    def amount(self, key: str, parse: Callable[[str | int], _T]) -> _T:
        """What ``parse`` makes of decimal text or a whole number; its refusals say where."""
        found = self._take(key, _MISSING)
        if isinstance(found, bool) or not isinstance(found, (str, int)):
            raise self.bad(key, reason="an amount is text or a whole number")
        return self._parsed(key, parse, found)

    def read(
        self, key: str, parse: Callable[[str], _T], *, default: _D | _Missing = _MISSING
    ) -> _T | _D:
        """What ``parse`` makes of text or a TOML date; ``default`` if the key is absent."""
        if not isinstance(default, _Missing) and key not in self._data:
            return default
        found = self._take(key, _MISSING)
        if isinstance(found, (date, datetime)):
            found = found.isoformat()
        if not isinstance(found, str):
            raise self.bad(key, reason="neither text nor a date")
        return self._parsed(key, parse, found)

    def bad(self, key: str, **facts: int | str) -> BadInput:
        """The refusal of this key's value."""
        return BadInput("scenario/value", at=self._at(key), **facts)

    def _parsed(self, key: str, parse: Callable[[Any], _T], found: str | int) -> _T:
        try:
            return parse(found)
        except BadInput as error:
            raise BadInput(error.code, at=self._at(key), **error.facts) from error

    def _take(self, key: str, default: Any) -> Any:
        self._known.add(key)
        found = self._data.get(key, default)
        if found is _MISSING:
            raise BadInput("scenario/missing-key", at=self._at(key))
        return found

    def _at(self, key: str) -> str:
        return f"{self._path}.{key}" if self._path else key


def _is_line(value: object, longest: int) -> bool:
    return isinstance(value, str) and 0 < len(value) <= longest and value.isprintable()
