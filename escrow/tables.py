"""TOML within bounds: the standard library's reader has none of its own, and is slow on garbage.

Whose file it is, the caller's code says: ``product/format``, ``policy/format`` and so on.
"""

from __future__ import annotations

import tomllib
from importlib import resources
from typing import Any, Final

from escrow.core.errors import BadInput

MAX_FILE: Final = 64 * 1024
"""Longest file of terms, rules or figures, in bytes (of text: in characters)."""
MAX_BRACKETS: Final = 2_000
"""Opening brackets in a file: the largest that ship have some hundreds."""
MAX_DOTS: Final = 200
"""Full stops in one line: the standard library's reader is cubic in the parts of a dotted key."""
MAX_BITS: Final = 256
"""Of a number: the reader bounds decimal ones alone."""
_LONGEST_REASON: Final = 120


def plain(text: str | bytes, *, code: str) -> str:
    """A file's text. Raises ``BadInput(code)``: too large, not UTF-8, too many brackets or dots."""
    if len(text) > MAX_FILE:
        raise BadInput(code, reason="too large", most=MAX_FILE)
    try:
        found = text if isinstance(text, str) else text.decode()
    except UnicodeDecodeError as error:
        raise BadInput(code, reason="not UTF-8") from error
    if found.count("[") + found.count("{") > MAX_BRACKETS:
        raise BadInput(code, reason="too many brackets", most=MAX_BRACKETS)
    if any(line.count(".") > MAX_DOTS for line in found.split("\n")):
        raise BadInput(code, reason="too many dots in a line", most=MAX_DOTS)
    return found


def tables(text: str | bytes, *, code: str) -> dict[str, Any]:
    """What a file says. Raises ``BadInput(code)`` as ``plain``, and if it is no TOML."""
    found = plain(text, code=code)
    try:
        top = tomllib.loads(found)
        check_numbers(top)
    except (RecursionError, ValueError, OverflowError) as error:
        # An impossible date or a number of too many digits is a plain ValueError.
        reason = str(error)[:_LONGEST_REASON]
        raise BadInput(code, reason=reason if reason.isprintable() else ascii(reason)) from error
    return top


def check_numbers(top: dict[str, Any]) -> None:
    """Raises ValueError for a number beyond ``MAX_BITS``, which could not even be printed."""
    waiting: list[Any] = [top]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            waiting.extend(each.values())
        elif isinstance(each, list):
            waiting.extend(each)
        elif isinstance(each, int) and each.bit_length() > MAX_BITS:
            raise ValueError("a number of too many digits")


def shipped_names(package: str, folder: str) -> tuple[str, ...]:
    """Names of the TOML files in a folder of a package, sorted, without their ending."""
    files = resources.files(package).joinpath(folder).iterdir()
    return tuple(sorted(f.name[:-5] for f in files if f.name.endswith(".toml")))


def shipped_bytes(package: str, folder: str, name: str) -> bytes:
    """One of them."""
    return resources.files(package).joinpath(folder, f"{name}.toml").read_bytes()
