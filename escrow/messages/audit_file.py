"""Checking an audit log from its file alone: form, chain, order, and where it should end.

Whoever checks one trusts nobody: sizes are bounded, each line is read strictly and has one spelling
only, so that no byte can differ unnoticed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from escrow.core.errors import BadInput
from escrow.core.units import MAX_TIME
from escrow.messages.audit import GENESIS, MAX_FACT, MAX_FACTS, canonical, hash_of
from escrow.parse import is_shallow

MAX_LINE: Final = 16_384
"""Bytes of the longest line, with its end."""
MAX_LINES: Final = 1_000_000
"""Lines of the longest log."""
MAX_MANIFEST: Final = 64_000_000
"""Bytes of the longest manifest: it lists every file of an export."""

_HASH: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_LOAN: Final = re.compile(r"(0x[0-9a-f]{64})?", re.ASCII)
_TEXT: Final = re.compile(rf"[ -~]{{0,{MAX_FACT}}}", re.ASCII)
_ACTOR: Final = re.compile(rf"[ -~]{{1,{MAX_FACT}}}", re.ASCII)
_EVENT: Final = re.compile(r"[A-Z][A-Za-z]{0,39}", re.ASCII)
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,39}", re.ASCII)
_PHASE: Final = re.compile(r"[A-Z][A-Z_()]{0,39}", re.ASCII)
_AMOUNT: Final = re.compile(r"0|[1-9][0-9]{0,24}", re.ASCII)
_REGIONS: Final = ({"system"}, {"loan", "vault", "token", "system"})


@dataclass(frozen=True, slots=True)
class End:
    """Where a log is said to end, by whoever noted it elsewhere."""

    head: str
    """Hash of the last line; 64 zeros for no line."""
    lines: int | None = None
    """How many there are, if that was noted too."""


@dataclass(frozen=True, slots=True)
class Audited:
    """A log that is whole."""

    lines: int
    """How many."""
    head: str
    """Hash of the last; 64 zeros for no line."""
    first: int
    """When the first event happened, unix seconds; 0 for no line."""
    last: int
    """When the last one did."""
    ends: tuple[End, ...]
    """Where it was said to end, and does. Empty: lines cut off at the end would not be noticed."""


def verify(lines: Iterable[bytes], *, ends: tuple[End, ...] = ()) -> Audited:
    """Check a log line by line, ends of lines included.

    Raises BadInput with the number of the line, from 1: "audit/format" for what is no such line,
    "audit/broken-link" for a hash that is wrong, "audit/order" for places or times that go back;
    "audit/truncated" if the log does not end where one of ``ends`` says.
    """
    count, previous, log, first, at = 0, GENESIS, -1, 0, 0
    for count, raw in enumerate(lines, start=1):
        row = read_line(raw, number=count)
        if row["previous"] != previous or row["hash"] != hash_of(row):
            raise BadInput("audit/broken-link", line=count)
        if row["seq"] != count - 1 or row["log"] <= log or row["at"] < at:
            raise BadInput("audit/order", line=count)
        previous, log, at = row["hash"], row["log"], row["at"]
        first = at if count == 1 else first
    for end in ends:
        if end.head != previous or end.lines not in (None, count):
            said = {} if end.lines is None else {"said": end.lines}
            raise BadInput("audit/truncated", lines=count, head=previous, expected=end.head, **said)
    return Audited(count, previous, first, at, ends)


def read_line(raw: bytes, *, number: int) -> dict[str, Any]:
    """One line of a log. Raises BadInput("audit/format") with its number and what is wrong."""
    if number > MAX_LINES:
        raise BadInput("audit/format", line=number, most=MAX_LINES)
    if len(raw) > MAX_LINE:
        raise BadInput("audit/format", line=number, reason="too long", most=MAX_LINE)
    if not raw.endswith(b"\n"):
        raise BadInput("audit/format", line=number, reason="no end of line")
    row = _object(raw[:-1], line=number)
    for name, check in _FIELDS.items():
        if name not in row or not check(row[name]):
            raise BadInput("audit/format", line=number, at=name)
    if len(row) != len(_FIELDS):
        raise BadInput("audit/format", line=number, reason="an unknown key")
    if set(row["before"]) != set(row["after"]) or (set(row["before"]) == {"system"}) != (
        row["loan"] == ""
    ):
        raise BadInput("audit/format", line=number, at="after", reason="other regions")
    if canonical(row).encode() != raw[:-1]:
        raise BadInput("audit/format", line=number, reason="another spelling")
    return row


def end_in(manifest: bytes) -> End:
    """Where the manifest of an export says that its audit log ends. Raises
    BadInput("audit/format")."""
    if len(manifest) > MAX_MANIFEST:
        raise BadInput("audit/format", file="manifest", most=MAX_MANIFEST)
    found = _object(manifest, file="manifest")
    head, lines = found.get("audit_head"), found.get("audit_lines")
    for name, good in (("audit_head", _matches(_HASH)(head)), ("audit_lines", _count(lines))):
        if not good:
            raise BadInput("audit/format", file="manifest", at=name)
    return End(str(head), lines)


def head_of(text: str) -> End:
    """A head as it is typed. Raises BadInput("audit/format")."""
    if not _matches(_HASH)(text):
        raise BadInput("audit/format", at="head")
    return End(text)


def _object(raw: bytes, **where: int | str) -> dict[str, Any]:
    try:
        text = raw.decode("ascii")
        if not is_shallow(text):
            raise ValueError
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadInput("audit/format", **where, reason="not JSON") from error
    if not isinstance(found, dict):
        raise BadInput("audit/format", **where, reason="not an object")
    return found


def _matches(pattern: re.Pattern[str]) -> Callable[[object], bool]:
    return lambda value: isinstance(value, str) and pattern.fullmatch(value) is not None


def _integer(most: int) -> Callable[[object], bool]:
    # Not isinstance: True is no number here.
    return lambda value: type(value) is int and 0 <= value <= most


def _count(value: object) -> bool:
    return _integer(MAX_LINES)(value)


def _table(pattern: re.Pattern[str]) -> Callable[[object], bool]:
    def check(value: object) -> bool:
        return (
            isinstance(value, dict)
            and len(value) <= MAX_FACTS
            and all(_NAME.fullmatch(name) for name in value)
            and all(map(_matches(pattern), value.values()))
        )

    return check


def _regions(value: object) -> bool:
    return isinstance(value, dict) and set(value) in _REGIONS and _table(_PHASE)(value)


_FIELDS: Final[Mapping[str, Callable[[object], bool]]] = {
    "seq": _integer(MAX_LINES),
    "log": _integer(2**53),
    "at": _integer(MAX_TIME),
    "actor": _matches(_ACTOR),
    "loan": _matches(_LOAN),
    "event": _matches(_EVENT),
    "before": _regions,
    "after": _regions,
    "cents": _table(_AMOUNT),
    "sats": _table(_AMOUNT),
    "facts": _table(_TEXT),
    "previous": _matches(_HASH),
    "hash": _matches(_HASH),
}
"""Every key of a line, and what its value must be: the same as ``schemas/audit.json`` says."""
