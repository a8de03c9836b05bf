"""Does a policy make sense at all: names that resolve, numbers in range, forms that fit.

Whether it is a good one is the audit's question.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from escrow.core.errors import BadInput
from escrow.custody.policy import Form, Older, Path, Policy, ScriptKind

MAX_ROLES: Final = 15
"""Most keys: more do not fit a standard witness script with its paths (BIP-383 stops at 20)."""
MAX_PATHS: Final = 16
"""Most ways out."""
MAX_ITEMS: Final = 64
"""Most lines under ``assumed`` or ``accepts``."""
OLDER_UNIT: Final = 512
"""Seconds in one unit of a relative time lock (BIP-68)."""
MAX_OLDER_UNITS: Final = 65_535
"""Most units of a relative time lock (BIP-68)."""
PAID: Final = ("borrower", "lender")
"""Parties that a transaction signed up front may pay."""

_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,39}", re.ASCII)
_UP_FRONT: Final = (Form.PRESIGNED, Form.ATTESTED)


def check_shape(policy: Policy) -> None:
    """Raises BadInput("policy/value") with ``at`` and ``reason``, for example
    ``at=path.close.threshold``."""
    _check_name(policy.name, at="policy.name")
    for key, text, longest in (
        ("title", policy.title, 200),
        ("about", policy.about, 2_000),
        ("source", policy.source, 300),
    ):
        _check_line(text, at=f"policy.{key}", longest=longest)
    for key, lines in (("assumed", policy.assumed), ("accepts", policy.accepts)):
        if len(lines) > MAX_ITEMS:
            raise bad(f"policy.{key}", "too many", most=MAX_ITEMS)
        for line in lines:
            _check_line(line, at=f"policy.{key}", longest=500)
        _check_distinct(lines, at=f"policy.{key}")
    _check_roles(policy)
    if not 1 <= len(policy.paths) <= MAX_PATHS:
        raise bad("path", "too few or too many", most=MAX_PATHS)
    for path in policy.paths:
        _check_name(path.name, at="path.name")
    _check_distinct([path.name for path in policy.paths], at="path.name")
    for path in policy.paths:
        _check_path(policy, path)


def bad(at: str, reason: str, **facts: int | str) -> BadInput:
    """The refusal of one value."""
    return BadInput("policy/value", at=shown(at), reason=reason, **facts)


def shown(text: str) -> str:
    """Foreign text, short and on one line."""
    text = text[:80]
    return text if text.isprintable() else ascii(text)


def _check_roles(policy: Policy) -> None:
    if not 1 <= len(policy.roles) <= MAX_ROLES:
        raise bad("role", "too few or too many", most=MAX_ROLES)
    for role in policy.roles:
        _check_name(role.name, at="role.name")
        _check_name(role.holder, at=f"role.{role.name}.holder")
    _check_distinct([role.name for role in policy.roles], at="role.name")
    named = {*PAID, *(role.holder for role in policy.roles)}
    for role in policy.roles:
        # Or "lender" would mean a key in one finding and a party in the next.
        if role.name in named and role.holder != role.name:
            raise bad(f"role.{role.name}.holder", "the key bears the name of another party")


def _check_path(policy: Policy, path: Path) -> None:
    at = f"path.{path.name}"
    known = {role.name for role in policy.roles}
    for name in path.roles:
        if name not in known:
            raise bad(f"{at}.roles", "no such role", role=shown(name))
    _check_distinct(path.roles, at=f"{at}.roles")
    if not 0 <= path.threshold <= len(path.roles):
        raise bad(f"{at}.threshold", "out of range", low=0, high=len(path.roles))
    if isinstance(path.lock, Older):
        units, rest = divmod(path.lock.seconds, OLDER_UNIT)
        if rest or not 1 <= units <= MAX_OLDER_UNITS:
            raise bad(
                f"{at}.older",
                "not a multiple of 512 seconds, or out of range",
                low=OLDER_UNIT,
                high=OLDER_UNIT * MAX_OLDER_UNITS,
            )
    if path.form is Form.MUSIG:
        if policy.script is not ScriptKind.TR:
            raise bad(f"{at}.form", "MuSig2 makes Schnorr signatures, so the script must be tr")
        if path.threshold != len(path.roles) or path.threshold < 2:
            raise bad(f"{at}.threshold", "MuSig2 needs two signers or more, and all of them")
    if path.form in _UP_FRONT:
        _check_up_front(policy, path, at=at)
    elif path.via or path.to or path.held_by:
        raise bad(f"{at}.form", "via, to and held_by are for what is signed up front")


def _check_up_front(policy: Policy, path: Path, *, at: str) -> None:
    beneath = next((each for each in policy.paths if each.name == path.via), None)
    if beneath is None or beneath.form in _UP_FRONT or beneath.lock is not None:
        raise bad(f"{at}.via", "not the name of an unlocked script path", via=shown(path.via))
    if path.to not in PAID:
        raise bad(f"{at}.to", "neither borrower nor lender", to=shown(path.to))
    if not path.held_by:
        raise bad(f"{at}.held_by", "nobody holds the transaction, so nobody can send it")
    if len(path.held_by) > MAX_ROLES:
        raise bad(f"{at}.held_by", "too many", most=MAX_ROLES)
    for party in path.held_by:
        _check_name(party, at=f"{at}.held_by")
        # Or a finding about this name could mean the key or the party.
        if any(role.name == party != role.holder for role in policy.roles):
            raise bad(f"{at}.held_by", "the name of a key that another party holds", party=party)
    _check_distinct(path.held_by, at=f"{at}.held_by")
    if path.form is Form.PRESIGNED:
        if not set(path.roles) <= set(beneath.roles):
            raise bad(f"{at}.roles", "a signer that its via path does not have", via=path.via)
        if path.threshold > beneath.threshold:
            raise bad(f"{at}.threshold", "more signatures than its via path takes", via=path.via)
    elif set(path.roles) & set(beneath.roles):
        raise bad(f"{at}.roles", "an oracle is no signer of the coins", via=path.via)


def _check_name(name: str, *, at: str) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise bad(at, "not a name", name=shown(str(name)), pattern=_NAME.pattern)


def _check_line(text: str, *, at: str, longest: int) -> None:
    if not (0 < len(text) <= longest and text.isprintable() and text == " ".join(text.split())):
        raise bad(at, "not one line of text", longest=longest)


def _check_distinct(names: Iterable[str], *, at: str) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise bad(at, "twice", name=shown(name))
        seen.add(name)
