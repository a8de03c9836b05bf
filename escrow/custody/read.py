"""Policies as TOML files: those that are shipped, and anyone's own.

Every key is known and checked, none is guessed::

    [policy]
    name = "two-of-three"       # a-z, 0-9 and hyphens
    title = "A short line"
    about = "Whom it is for and what it costs in trust."    # may run over lines
    source = "Who does it this way"
    script = "wsh"              # or "tr"
    assumed = ["what a real product does not disclose"]     # optional
    accepts = ["silent/bank"]   # optional: findings of the audit, taken knowingly

    [[role]]                    # 1 to 15
    name = "borrower"
    holder = "borrower"         # optional: a party of the same name
    key = "software"            # optional; or "token", "ephemeral"

    [[path]]                    # 1 to 16, the cooperative close first
    name = "close"
    threshold = 2
    roles = ["borrower", "lender", "custodian"]
    after = "recovery"          # optional: opens at this moment; or "default"
    older = "90d"               # optional, instead: this long after the coin's confirmation
    form = "script"             # optional; or "musig", "presigned", "attested"; these two have
    via = "close"               #   the path whose signatures they are,
    to = "borrower"             #   who is paid (borrower or lender)
    held_by = ["borrower"]      #   and who holds the transaction

``older`` is a number and ``s``, ``min``, ``h``, ``d`` or ``w``, rounded **up** to whole units of
512 seconds (BIP-68): 90 days are 90 days and 256 seconds. Findings and their names: ``audit``.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from enum import Enum
from pathlib import Path as File
from typing import Any, Final, TypeVar

from escrow.core.errors import BadInput
from escrow.core.units import Seconds
from escrow.custody.audit import check
from escrow.custody.policy import (
    After,
    Form,
    KeyKind,
    Lock,
    Moment,
    Older,
    Path,
    Policy,
    Role,
    ScriptKind,
)
from escrow.custody.shape import (
    MAX_OLDER_UNITS,
    MAX_PATHS,
    MAX_ROLES,
    OLDER_UNIT,
    bad,
    check_shape,
    shown,
)
from escrow.custody.write import write_policy
from escrow.tables import MAX_FILE, shipped_bytes, shipped_names, tables

__all__ = ["MAX_FILE", "load_policy", "read_policy", "shipped", "write_policy"]


_E = TypeVar("_E", bound=Enum)
_SPAN: Final = re.compile(r"([1-9][0-9]{0,8})(s|min|h|d|w)", re.ASCII)
_UNITS: Final = {"s": 1, "min": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_POLICY_KEYS: Final = ("name", "title", "about", "source", "script", "assumed", "accepts")
_ROLE_KEYS: Final = ("name", "holder", "key")
_PATH_KEYS: Final = (
    "name",
    "threshold",
    "roles",
    "after",
    "older",
    "form",
    "via",
    "to",
    "held_by",
)

_SHIPPED: Final = ("escrow.custody", "policies")
"""Package and folder of what ships."""


def shipped() -> tuple[str, ...]:
    """Names of the policies that come with the package, sorted."""
    return shipped_names(*_SHIPPED)


def load_policy(name_or_path: str) -> Policy:
    """A shipped policy by name, else a file; read and audited.

    Raises BadInput: ``policy/unknown`` for a name that is neither, ``policy/missing-file`` for a
    path that is not there, and whatever ``read_policy`` and ``audit.check`` raise.
    """
    if name_or_path in shipped():
        raw = shipped_bytes(*_SHIPPED, name_or_path)
    else:
        raw = _read_file(name_or_path)
    policy = read_policy(raw)
    check(policy)
    return policy


def read_policy(text: str | bytes) -> Policy:
    """A policy from TOML. Its shape is checked; whether it is safe, ``audit.check`` says.

    Raises BadInput: ``policy/format`` if it is no TOML or too large, ``policy/unknown-key``,
    ``policy/missing-key``, ``policy/value``; ``at`` says where (``path.close.roles``).
    """
    top = tables(text, code="policy/format")
    _check_keys(top, ("policy", "role", "path"), at="")
    about = _table(top, "policy")
    _check_keys(about, _POLICY_KEYS, at="policy")
    policy = Policy(
        name=_text(about, "name", at="policy"),
        title=_text(about, "title", at="policy"),
        # A paragraph in the file is one line here.
        about=" ".join(_text(about, "about", at="policy").split()),
        source=_text(about, "source", at="policy"),
        script=_choice(about, "script", ScriptKind, at="policy"),
        roles=tuple(_role(table, n) for n, table in _tables(top, "role", most=MAX_ROLES)),
        paths=tuple(_path(table, n) for n, table in _tables(top, "path", most=MAX_PATHS)),
        assumed=_texts(about, "assumed", at="policy", default=()),
        accepts=_texts(about, "accepts", at="policy", default=()),
    )
    check_shape(policy)
    return policy


def _read_file(name: str) -> bytes:
    try:
        file = File(name)
        if not file.is_file():
            if re.fullmatch(r"[A-Za-z0-9_-]+", name):
                raise BadInput("policy/unknown", name=name[:80], known=" ".join(shipped()))
            raise BadInput("policy/missing-file", file=shown(name))
        with file.open("rb") as opened:
            return opened.read(MAX_FILE + 1)
    except (OSError, ValueError) as error:
        raise BadInput("policy/missing-file", file=shown(name), reason="not readable") from error


def _role(table: dict[str, Any], number: int) -> Role:
    at = f"role[{number}]"
    _check_keys(table, _ROLE_KEYS, at=at)
    name = _text(table, "name", at=at)
    holder = _text(table, "holder", at=at) if "holder" in table else name
    key = _choice(table, "key", KeyKind, at=at) if "key" in table else KeyKind.SOFTWARE
    return Role(name, holder, key)


def _path(table: dict[str, Any], number: int) -> Path:
    at = f"path[{number}]"
    _check_keys(table, _PATH_KEYS, at=at)
    threshold = _take(table, "threshold", at=at)
    # True is an int to Python, and no number to TOML.
    if not isinstance(threshold, int) or isinstance(threshold, bool):
        raise bad(f"{at}.threshold", "not a whole number")
    return Path(
        name=_text(table, "name", at=at),
        threshold=threshold,
        roles=_texts(table, "roles", at=at),
        lock=_lock(table, at=at),
        form=_choice(table, "form", Form, at=at) if "form" in table else Form.SCRIPT,
        via=_text(table, "via", at=at) if "via" in table else "",
        to=_text(table, "to", at=at) if "to" in table else "",
        held_by=_texts(table, "held_by", at=at, default=()),
    )


def _lock(table: dict[str, Any], *, at: str) -> Lock | None:
    if "after" in table and "older" in table:
        raise bad(f"{at}.older", "after is given too")
    if "after" in table:
        return After(_choice(table, "after", Moment, at=at))
    if "older" not in table:
        return None
    found = _SPAN.fullmatch(_text(table, "older", at=at))
    if found is None:
        raise bad(f"{at}.older", "not a span like 90d", units=" ".join(_UNITS))
    units = -(-int(found[1]) * _UNITS[found[2]] // OLDER_UNIT)
    if units > MAX_OLDER_UNITS:
        raise bad(f"{at}.older", "too long", most=OLDER_UNIT * MAX_OLDER_UNITS)
    return Older(Seconds(units * OLDER_UNIT))


def _take(table: dict[str, Any], key: str, *, at: str) -> Any:
    if key not in table:
        raise BadInput("policy/missing-key", at=f"{at}.{key}".lstrip("."))
    return table[key]


def _table(top: dict[str, Any], key: str) -> dict[str, Any]:
    found = _take(top, key, at="")
    if not isinstance(found, dict):
        raise bad(key, "not a table")
    return found


def _tables(top: dict[str, Any], key: str, *, most: int) -> list[tuple[int, dict[str, Any]]]:
    found = _take(top, key, at="")
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise bad(key, f"not tables: write [[{key}]]")
    if len(found) > most:
        raise bad(key, "too many", most=most)
    return list(enumerate(found, start=1))


def _text(table: dict[str, Any], key: str, *, at: str) -> str:
    found = _take(table, key, at=at)
    if not isinstance(found, str) or not found:
        raise bad(f"{at}.{key}", "not text")
    return found


def _texts(
    table: dict[str, Any], key: str, *, at: str, default: tuple[str, ...] | None = None
) -> tuple[str, ...]:
    if default is not None and key not in table:
        return default
    found = _take(table, key, at=at)
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise bad(f"{at}.{key}", "not a list of texts")
    return tuple(found)


def _choice(table: dict[str, Any], key: str, kind: type[_E], *, at: str) -> _E:
    found = _take(table, key, at=at)
    for member in kind:
        if member.value == found:
            return member
    raise bad(f"{at}.{key}", "none of " + " ".join(str(member.value) for member in kind))


def _check_keys(table: dict[str, Any], known: Collection[str], *, at: str) -> None:
    for key in table:
        if key not in known:
            raise BadInput("policy/unknown-key", at=shown(f"{at}.{key}".lstrip(".")))
