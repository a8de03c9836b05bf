"""Profiles as TOML files: those that are shipped, and anyone's own.

Every key is known and checked, none is guessed::

    [profile]
    name = "ru-2024"                # as the file
    version = 1
    title = "One line"
    about = "What it stands for. What is not verified."     # may run over lines
    source = "Who says so"
    force = "in-force"              # or "proposed", "not-in-force"
    extends = "ru-2024"             # optional: a shipped profile, whose rules come first

    [[rule]]
    id = "ru/mining-registry"
    gates = ["offer", "pledge", "top-up"]       # or "transfer"
    since = 2024-11-01              # first day, UTC; optional: as far back as anyone asks
    until = 2031-12-31              # last day, optional
    status = "law"                  # or "decree", "proposal", "assumed"
    source = "Who says so, and what is not verified"
    reason = "Why not, in one line"
    needs = { any = [{ fact = "mines", is = false }, { fact = "kwh_month", at-most = 6000 }] }

A comparison is ``is``, ``is-not``, ``at-least``, ``at-most``, ``above`` or ``below`` of one fact;
``all`` and ``any`` join up to four deep. Amounts are in the currency's minor unit.
"""

from __future__ import annotations

import re
from datetime import date, datetime
from enum import Enum
from pathlib import Path
from typing import Any, Final, TypeVar

from escrow.core.eligibility import (
    JOINS,
    MAX_NESTING,
    Force,
    Gate,
    Op,
    Predicate,
    Rule,
    RuleBook,
    Status,
    check_book,
)
from escrow.core.errors import BadInput
from escrow.core.units import MAX_TIME, Seconds
from escrow.eligibility.days import first_second, last_second
from escrow.eligibility.profile import Profile
from escrow.tables import MAX_FILE, shipped_bytes, shipped_names, tables

_E = TypeVar("_E", bound=Enum)
_PROFILE: Final = ("name", "version", "title", "about", "source", "force", "extends")
_RULE: Final = ("id", "gates", "since", "until", "status", "source", "reason", "needs")
_COMPARISONS: Final = {op.value: op for op in Op if op not in JOINS}

_SHIPPED: Final = ("escrow.eligibility", "profiles")
"""Package and folder of what ships."""


def shipped() -> tuple[str, ...]:
    """Names of the profiles that come with the package, sorted."""
    return shipped_names(*_SHIPPED)


def load_profile(name_or_path: str) -> Profile:
    """A shipped profile by name, else a file.

    Raises BadInput: ``profile/unknown`` for a name that is neither, ``profile/missing-file`` for a
    path that is not there, and whatever ``read_profile`` raises.
    """
    if name_or_path in shipped():
        return read_profile(shipped_bytes(*_SHIPPED, name_or_path))
    return read_profile(_read_file(name_or_path))


def read_profile(text: str | bytes) -> Profile:
    """A profile from TOML.

    Raises BadInput: ``profile/format`` if it is no TOML or too large, ``profile/unknown-key``,
    ``profile/missing-key``, ``profile/value``, ``profile/unknown`` for what it extends; ``at`` says
    where.
    """
    top = tables(text, code="profile/format")
    _check_keys(top, ("profile", "rule"), at="")
    about = _take(top, "profile", dict, at="")
    _check_keys(about, _PROFILE, at="profile")
    rules = _take(top, "rule", list, at="")
    if not all(isinstance(each, dict) for each in rules):
        raise BadInput("profile/value", at="rule", reason="not tables: write [[rule]]")
    extends = _text(about, "extends", at="profile") if "extends" in about else ""
    before = _extended(extends) if extends else ()
    book = RuleBook(
        profile=_text(about, "name", at="profile"),
        version=_take(about, "version", int, at="profile"),
        force=_choice(_text(about, "force", at="profile"), Force, at="profile.force"),
        rules=(*before, *(_rule(table, n) for n, table in enumerate(rules, start=1))),
    )
    check_book(book)
    return Profile(
        title=_text(about, "title", at="profile"),
        about=" ".join(_text(about, "about", at="profile").split()),
        source=_text(about, "source", at="profile"),
        extends=extends,
        book=book,
    )


def _extended(name: str) -> tuple[Rule, ...]:
    """Only what is shipped, and extends nothing itself: no file leads on to another."""
    if name not in shipped():
        raise BadInput("profile/unknown", name=name[:80], known=" ".join(shipped()))
    base = load_profile(name)
    if base.extends:
        raise BadInput("profile/value", at="profile.extends", reason="it extends another itself")
    return base.book.rules


def _read_file(name: str) -> bytes:
    try:
        file = Path(name)
        if not file.is_file():
            if re.fullmatch(r"[A-Za-z0-9_-]+", name):
                raise BadInput("profile/unknown", name=name[:80], known=" ".join(shipped()))
            raise BadInput("profile/missing-file", file=name[-80:])
        with file.open("rb") as opened:
            return opened.read(MAX_FILE + 1)
    except (OSError, ValueError) as error:
        raise BadInput("profile/missing-file", file=name[-80:], reason="not readable") from error


def _rule(table: dict[str, Any], number: int) -> Rule:
    at = f"rule[{number}]"
    _check_keys(table, _RULE, at=at)
    gates = _take(table, "gates", list, at=at)
    return Rule(
        id=_text(table, "id", at=at),
        gates=tuple(_choice(each, Gate, at=f"{at}.gates") for each in gates),
        needs=_predicate(_take(table, "needs", dict, at=at), at=f"{at}.needs", left=MAX_NESTING),
        reason=_text(table, "reason", at=at),
        status=_choice(_text(table, "status", at=at), Status, at=f"{at}.status"),
        source=_text(table, "source", at=at),
        since=first_second(_day(table, "since", at=at)) if "since" in table else Seconds(0),
        until=last_second(_day(table, "until", at=at)) if "until" in table else MAX_TIME,
    )


def _predicate(table: dict[str, Any], *, at: str, left: int) -> Predicate:
    if left == 0:
        raise BadInput("profile/value", at=at[:80], reason="nested too deep", most=MAX_NESTING)
    for join in JOINS:
        if join.value in table:
            _check_keys(table, (join.value,), at=at)
            inner = _take(table, join.value, list, at=at)
            if not all(isinstance(each, dict) for each in inner):
                raise BadInput("profile/value", at=at[:80], reason="not a list of tables")
            parts = tuple(
                _predicate(each, at=f"{at}.{join.value}[{n}]", left=left - 1)
                for n, each in enumerate(inner, start=1)
            )
            return Predicate(join, parts=parts)
    asked = [key for key in table if key != "fact"]
    if len(asked) != 1 or asked[0] not in _COMPARISONS:
        known = " ".join((*_COMPARISONS, *(join.value for join in JOINS)))
        raise BadInput("profile/value", at=at[:80], reason="not one comparison", known=known)
    value = table[asked[0]]
    if not isinstance(value, (bool, int, str)):
        raise BadInput("profile/value", at=at[:80], reason="neither number, word nor true or false")
    return Predicate(_COMPARISONS[asked[0]], _text(table, "fact", at=at), value)


def _day(table: dict[str, Any], key: str, *, at: str) -> date:
    found = table[key]
    if not isinstance(found, date) or isinstance(found, datetime):
        raise BadInput("profile/value", at=f"{at}.{key}", reason="not a date like 2024-11-01")
    return found


def _take(table: dict[str, Any], key: str, kind: type, *, at: str) -> Any:
    where = f"{at}.{key}".lstrip(".")
    if key not in table:
        raise BadInput("profile/missing-key", at=where[:80])
    found = table[key]
    # True is an int to Python, and no number to TOML.
    if not isinstance(found, kind) or isinstance(found, bool):
        names = {dict: "a table", list: "a list", int: "a whole number", str: "text"}
        raise BadInput("profile/value", at=where[:80], reason=f"not {names[kind]}")
    return found


def _text(table: dict[str, Any], key: str, *, at: str) -> str:
    found = str(_take(table, key, str, at=at))
    if not found:
        raise BadInput("profile/value", at=f"{at}.{key}"[:80], reason="empty")
    return found


def _choice(found: object, kind: type[_E], *, at: str) -> _E:
    for member in kind:
        if member.value == found:
            return member
    raise BadInput(
        "profile/value", at=at[:80], reason="none of " + " ".join(str(m.value) for m in kind)
    )


def _check_keys(table: dict[str, Any], known: tuple[str, ...], *, at: str) -> None:
    for key in table:
        if key not in known:
            raise BadInput("profile/unknown-key", at=f"{at}.{key}".lstrip(".")[:80])
