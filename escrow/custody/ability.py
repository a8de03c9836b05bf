"""Who is able to take a path: the one question that the audit and the report both ask."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum

from escrow.custody.policy import After, KeyKind, Lock, Moment, Older, Path, Policy


class LossKind(Enum):
    """What can go wrong with one key or one party."""

    KEY_LOST = "key-lost"
    """Nobody can sign with it any more."""
    KEY_STOLEN = "key-stolen"
    """A thief can sign with it too, and has the transactions that were kept beside it."""
    PARTY_SILENT = "party-silent"
    """The party signs nothing and sends nothing, with none of its keys."""
    TOKEN_LOCKED = "token-locked"  # noqa: S105 (no password)
    """Too many wrong PINs: as lost, until its administrator unblocks it."""


@dataclass(frozen=True, slots=True)
class Loss:
    """One thing that went wrong."""

    kind: LossKind
    """What."""
    who: str
    """The role whose key it is; of ``PARTY_SILENT`` the party."""


def parties(policy: Policy) -> tuple[str, ...]:
    """Everyone who holds a key or a pre-signed transaction or is paid by one, in order."""
    named = [role.holder for role in policy.roles]
    for path in policy.paths:
        named += [*path.held_by, *((path.to,) if path.to else ())]
    return tuple(dict.fromkeys(named))


def losses(policy: Policy) -> tuple[Loss | None, ...]:
    """Every single loss that can happen under this policy; ``None``, nothing, comes first."""
    found: list[Loss | None] = [None]
    for role in policy.roles:
        found += [Loss(LossKind.KEY_LOST, role.name), Loss(LossKind.KEY_STOLEN, role.name)]
        if role.key is KeyKind.TOKEN:
            found.append(Loss(LossKind.TOKEN_LOCKED, role.name))
    found += [Loss(LossKind.PARTY_SILENT, party) for party in parties(policy)]
    return tuple(found)


def locks(policy: Policy) -> frozenset[Lock]:
    """Every lock of the policy."""
    return frozenset(path.lock for path in policy.paths if path.lock is not None)


def can_complete(
    policy: Policy,
    path: Path,
    *,
    keys: Collection[str],
    open_locks: Collection[Lock],
    senders: Collection[str] | None = None,
) -> bool:
    """Can those who sign with ``keys`` take this path, if just these locks have opened?

    ``keys`` are names of roles. ``senders`` are the parties that would send a transaction signed
    up front; ``None``: whoever holds it does. A lock that has opened implies the earlier ones:
    ``RECOVERY`` comes after ``DEFAULT``, and ``Older`` by its seconds.
    """
    if path.lock is not None and not _is_open(path.lock, open_locks):
        return False
    # What was signed up front spends by another path, and that path's lock binds it too.
    beneath = policy.path(path.via).lock if path.via else None
    if beneath is not None and not _is_open(beneath, open_locks):
        return False
    if path.held_by and senders is not None and not set(path.held_by) & set(senders):
        return False
    return len(set(path.roles) & set(keys)) >= path.threshold


def able_keys(policy: Policy, *, loss: Loss | None) -> frozenset[str]:
    """Roles whose honest holder can still sign. A destroyed key never can."""
    return frozenset(
        role.name
        for role in policy.roles
        if role.key is not KeyKind.EPHEMERAL
        and not _is_gone(role.name, loss)
        and not (loss and loss.kind is LossKind.PARTY_SILENT and loss.who == role.holder)
    )


def able_senders(policy: Policy, *, loss: Loss | None) -> frozenset[str]:
    """Parties that can still send what was signed up front."""
    silent = loss.who if loss and loss.kind is LossKind.PARTY_SILENT else ""
    return frozenset(parties(policy)) - {silent}


def own_keys(policy: Policy, party: str, *, loss: Loss | None = None) -> frozenset[str]:
    """Roles with which this party, if it defects, can sign on its own.

    Keys that it promised to destroy count: nobody can see whether it did.
    """
    return frozenset(
        role.name for role in policy.roles if role.holder == party and not _is_gone(role.name, loss)
    )


def _is_gone(role: str, loss: Loss | None) -> bool:
    gone = (LossKind.KEY_LOST, LossKind.TOKEN_LOCKED)
    return loss is not None and loss.kind in gone and loss.who == role


def _is_open(lock: Lock, opened: Collection[Lock]) -> bool:
    match lock:
        case Older(seconds=seconds):
            return any(isinstance(o, Older) and o.seconds >= seconds for o in opened)
        case After(moment=Moment.DEFAULT):
            return any(isinstance(o, After) for o in opened)
        case After():
            return lock in opened
