"""What is dangerous about a policy, found by trying every loss and every defector.

A finding has a stable name, by which a policy can accept it::

    keyless/PATH         a path that needs nobody's signature             never acceptable
    key-kind/PATH        a path asks a key for what it cannot do          never acceptable
    sole-control/WHO     this party, or this one key, can take the coins before the recovery time
    lost/KEY             without this key there is no way out, ever
    locked/KEY           without this token there is no way out until it is unblocked
    silent/PARTY         without this party there is no way out, ever
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from escrow.core.errors import BadInput
from escrow.custody.ability import (
    Loss,
    LossKind,
    able_keys,
    able_senders,
    can_complete,
    locks,
    losses,
    own_keys,
    parties,
)
from escrow.custody.policy import After, Form, KeyKind, Moment, Path, Policy, ScriptKind
from escrow.custody.shape import bad, check_shape

FATAL: Final = ("policy/keyless", "policy/key-kind")
"""Codes of findings that nobody may accept."""

_STRANDING: Final = {
    LossKind.KEY_LOST: "lost",
    LossKind.TOKEN_LOCKED: "locked",
    LossKind.PARTY_SILENT: "silent",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One danger."""

    name: str
    """Stable, for ``accepts``: ``silent/bank``."""
    code: str
    """The refusal's, ``policy/…``."""
    path: str
    """The path that shows it; where coins are stranded all paths, since each of them fails."""
    words: str
    """One sentence."""


def audit(policy: Policy) -> tuple[Finding, ...]:
    """Every danger, the worst first, whether accepted or not.

    Raises BadInput("policy/value") for a policy that makes no sense.
    """
    check_shape(policy)
    return (*_keyless(policy), *_key_kinds(policy), *_sole_control(policy), *_strands(policy))


def check(policy: Policy) -> None:
    """Refuse a policy with a danger that it does not accept by name.

    Raises BadInput with the first finding's code (``policy/keyless``, ``policy/key-kind``,
    ``policy/sole-control``, ``policy/strands``), its name and the path that shows it; and
    ``policy/value`` for a policy that makes no sense or accepts what the audit does not find.
    """
    findings = audit(policy)
    for found in findings:
        if found.code in FATAL or found.name not in policy.accepts:
            raise BadInput(found.code, finding=found.name, path=found.path, why=found.words)
    for name in policy.accepts:
        # A stale or misspelled acceptance would one day hide a real finding.
        if name not in {found.name for found in findings}:
            raise bad("policy.accepts", "the audit finds no such thing", name=name[:80])


def _keyless(policy: Policy) -> Iterator[Finding]:
    for path in policy.paths:
        # What was signed up front in full carries its signatures; anything else has none.
        if path.threshold == 0 and path.form is not Form.PRESIGNED:
            words = f"{path.name} needs no signature: anyone could take the coins"
            yield Finding(f"keyless/{path.name}", "policy/keyless", path.name, words)


def _key_kinds(policy: Policy) -> Iterator[Finding]:
    for path in policy.paths:
        words = _misfit(policy, path)
        if words:
            yield Finding(f"key-kind/{path.name}", "policy/key-kind", path.name, words)


def _misfit(policy: Policy, path: Path) -> str:
    """Why one of the path's keys cannot do what the path asks; empty if all can."""
    asked = list(path.roles)
    schnorr = policy.script is ScriptKind.TR or path.form is Form.MUSIG
    if path.form is Form.ATTESTED:
        # The oracle attests in Schnorr, and the signers up front make adaptors.
        schnorr = True
        asked += policy.path(path.via).roles
    for name in asked:
        if schnorr and policy.role(name).key is KeyKind.TOKEN:
            return f"{name} is a token: it signs ECDSA only, which {path.name} does not take"
    up_front = {each.via for each in policy.paths}
    for name in path.roles:
        if policy.role(name).key is KeyKind.EPHEMERAL and path.name not in up_front:
            return f"{name} is destroyed once the exits are signed, and {path.name} asks for it"
    return ""


def _sole_control(policy: Policy) -> Iterator[Finding]:
    before = locks(policy) - {After(Moment.RECOVERY)}
    signed = tuple(path for path in policy.paths if path.threshold)
    for party in parties(policy):
        own = own_keys(policy, party)
        for path in policy.paths:
            keyless = path.threshold == 0 and path.form is not Form.PRESIGNED
            if not keyless and can_complete(
                policy, path, keys=own, open_locks=before, senders={party}
            ):
                yield _sole(party, path, f"{party} alone")
                break
        # Of several keys in one hand each is a person or a drawer: dual control is their affair.
        for key in sorted(own - {party}):
            if len(own) < 2:
                break
            for path in signed:
                if can_complete(policy, path, keys={key}, open_locks=before, senders={party}):
                    yield _sole(key, path, f"whoever has the key {key} (held by {party})")
                    break


def _sole(who: str, path: Path, subject: str) -> Finding:
    words = f"{subject} can take the coins by {path.name}"
    if path.to:
        words = f"{subject} can send the coins to {path.to} by {path.name}"
    if path.lock is not None:
        words += ", which may open while the loan runs"
    return Finding(f"sole-control/{who}", "policy/sole-control", path.name, words)


def _strands(policy: Policy) -> Iterator[Finding]:
    ever = locks(policy)
    for loss in losses(policy):
        if loss is None or loss.kind not in _STRANDING:
            continue
        keys = able_keys(policy, loss=loss)
        senders = able_senders(policy, loss=loss)
        if not any(
            can_complete(policy, path, keys=keys, open_locks=ever, senders=senders)
            for path in policy.paths
        ):
            left = "; ".join(_shortfall(path, keys, senders) for path in policy.paths)
            name = f"{_STRANDING[loss.kind]}/{loss.who}"
            words = f"{_what(loss)}: no way out is left ({left})"
            yield Finding(name, "policy/strands", " ".join(p.name for p in policy.paths), words)


def _what(loss: Loss) -> str:
    match loss.kind:
        case LossKind.KEY_LOST:
            return f"if the key {loss.who} is lost"
        case LossKind.TOKEN_LOCKED:
            return f"while the token {loss.who} is locked"
        case _:
            return f"if {loss.who} is silent"


def _shortfall(path: Path, keys: frozenset[str], senders: frozenset[str]) -> str:
    if path.held_by and not set(path.held_by) & senders:
        return f"{path.name}: nobody sends it"
    return f"{path.name}: {len(keys & set(path.roles))} of {path.threshold} sign"
