"""Events as bytes and back, and one spelling of any state for hashing.

An event is an envelope ``{"type": "Drawn", "v": 1, "data": {...}}``. It has exactly one
spelling: what does not encode back to the very bytes that were read is refused, so a field
that nobody knows, a missing one, or a number written another way never gets in.

JSON numbers beyond 2⁵³ − 1 lose digits in a browser, so such an integer is written
``{"int": "9007199254740993"}``. No event has a field of that name, and quotes inside text are
escaped, so the spelling cannot be mistaken.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any, Final, cast, get_args

import msgspec

from escrow.core.errors import BadInput
from escrow.core.state import Event

VERSION: Final = 1
"""Version of every event's ``data``. A changed event class gets a higher one of its own."""
MAX_SAFE: Final = 2**53 - 1
"""Largest integer that every JSON reader keeps (``Number.MAX_SAFE_INTEGER``, ECMA-262)."""
MAX_EVENT: Final = 1_000_000
"""Longest event in bytes. The longest real ones, terms and payouts, are a few kilobytes."""

EVENTS: Final[dict[str, type[Event]]] = {
    kind.__name__: kind for kind in cast("tuple[type[Event], ...]", get_args(Event))
}
"""Every event class by name, from the union itself: a new class cannot be forgotten."""
assert len(EVENTS) == len(get_args(Event)), "two event classes share a name"


class _Envelope(msgspec.Struct, forbid_unknown_fields=True):
    type: str
    v: int
    data: msgspec.Raw


_ENVELOPE: Final = msgspec.json.Decoder(_Envelope)
_DECODERS: Final = {name: msgspec.json.Decoder(kind) for name, kind in EVENTS.items()}
_PREFIXES: Final = {
    kind: f'{{"type":"{name}","v":{VERSION},"data":'.encode() for name, kind in EVENTS.items()
}
_WIDE: Final = re.compile(rb"[0-9]{16}")
"""Bytes without 16 digits in a row hold no integer beyond ``MAX_SAFE``: the quick way out."""
_WIDE_MARK: Final = b'{"int":'


def encode(event: Event) -> bytes:
    """The one spelling of ``event``. Raises BadInput("world/format") for text that is not Unicode
    or an event beyond ``MAX_EVENT``."""
    try:
        data = msgspec.json.encode(event)
        if _WIDE.search(data):
            data = msgspec.json.encode(_narrow(msgspec.to_builtins(event)))
    except (UnicodeError, ValueError) as error:
        raise BadInput("world/format", event=type(event).__name__, reason="text") from error
    if len(data) > MAX_EVENT:
        raise BadInput("world/format", event=type(event).__name__, bytes=len(data))
    return b"%b%b}" % (_PREFIXES[type(event)], data)


def decode(payload: bytes) -> Event:
    """Read an event back. Raises BadInput("world/format") for anything ``encode`` did not write."""
    if len(payload) > 2 * MAX_EVENT:
        raise BadInput("world/format", bytes=len(payload))
    try:
        envelope = _ENVELOPE.decode(payload)
        if envelope.type not in EVENTS:
            raise BadInput("world/format", event=envelope.type[:80], reason="unknown type")
        if envelope.v != VERSION:
            raise BadInput("world/format", event=envelope.type, version=str(envelope.v)[:20])
        data = bytes(envelope.data)
        if _WIDE_MARK in data:
            wide = _widen(msgspec.json.decode(data))
            event: Event = msgspec.convert(wide, EVENTS[envelope.type])
        else:
            event = _DECODERS[envelope.type].decode(data)
        same = encode(event) == payload
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise BadInput("world/format", reason="not an event") from error
    if not same:
        raise BadInput("world/format", event=envelope.type, reason="another spelling")
    return event


def canonical(obj: object) -> bytes:
    """Any frozen state as canonical JSON: keys sorted, no spaces, dataclasses by type name.

    A dataclass becomes ``{"data": {...}, "type": name}``, so that two states that differ only
    in kind never hash alike. Floats and anything else without one spelling are a ``TypeError``:
    they have no place in a state.
    """
    return msgspec.json.encode(_plain(obj), order="sorted")


def plain(value: object) -> Any:
    """What JSON can hold of a value: dataclasses as objects, enums by value. Raises ``TypeError``,
    ``ValueError``, ``OverflowError`` for what it cannot."""
    return msgspec.to_builtins(value)


def as_kind(value: Any, kind: Any) -> Any:
    """What ``plain`` made of a value of that type. Raises ``ValueError`` for anything else."""
    return msgspec.convert(value, kind)


def state_hash(*parts: object) -> str:
    """SHA-256 of the canonical JSON of ``parts``, in hex."""
    return hashlib.sha256(canonical(parts)).hexdigest()


def _plain(obj: object) -> Any:
    if obj is None or isinstance(obj, (str, bool)):
        return obj
    if isinstance(obj, Enum):
        return {"type": type(obj).__name__, "data": _plain(obj.value)}
    if isinstance(obj, int):
        return _narrow(int(obj))
    if isinstance(obj, bytes):
        return {"hex": obj.hex()}
    if isinstance(obj, (tuple, list)):
        return [_plain(item) for item in obj]
    if isinstance(obj, (set, frozenset)):
        return sorted((_plain(item) for item in obj), key=msgspec.json.encode)
    if is_dataclass(obj) and not isinstance(obj, type):
        data = {field.name: _plain(getattr(obj, field.name)) for field in fields(obj)}
        return {"type": type(obj).__name__, "data": data}
    if isinstance(obj, Mapping) and all(isinstance(key, str) for key in obj):
        return {"type": "dict", "data": {key: _plain(value) for key, value in obj.items()}}
    raise TypeError(f"{type(obj).__name__} has no canonical form")


def _narrow(value: Any) -> Any:
    """Spell integers that a browser would round as text."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > MAX_SAFE:
        return {"int": str(value)}
    if isinstance(value, dict):
        return {key: _narrow(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_narrow(item) for item in value]
    return value


def _widen(value: Any) -> Any:
    """Undo ``_narrow``. A bad spelling is a ``ValueError``."""
    if isinstance(value, dict):
        if value.keys() == {"int"}:
            return int(value["int"]) if isinstance(value["int"], str) else value
        return {key: _widen(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_widen(item) for item in value]
    return value
