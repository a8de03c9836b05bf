"""What the lab is for: does the chain say what the report says, and what does each exit cost?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Final

from escrow.core.errors import BadInput
from escrow.custody.ability import (
    Loss,
    LossKind,
    able_keys,
    able_senders,
    can_complete,
    own_keys,
    parties,
)
from escrow.custody.policy import After, Form, Path, Policy
from escrow.custody.reach import losses, pairs
from escrow.custody.read import load_policy, shipped
from escrow.custody.windows import Window, windows
from escrow.sim.vault_chain import SINGLE
from escrow.sim.vault_lab import Attempt, Lab, Opened

_UP_FRONT: Final = (Form.PRESIGNED, Form.ATTESTED)


@dataclass(frozen=True, slots=True)
class Claim:
    """Something the report says: can these take this path then?"""

    path: str
    """Which path."""
    window: Window
    """When."""
    keys: frozenset[str]
    """Those of their keys that have to do with the path."""
    sends: bool
    """Do they hold what was signed up front, if anything was?"""
    can: bool
    """What the report says."""


@dataclass(frozen=True, slots=True)
class Tried:
    """A claim, and what the chain says of it."""

    claim: Claim
    """What the report says."""
    attempt: Attempt
    """What happened."""

    @property
    def agrees(self) -> bool:
        """Do chain and report say the same?"""
        return self.claim.can == self.attempt.accepted


@dataclass(frozen=True, slots=True)
class Cost:
    """Virtual bytes of one policy's transactions, as the chain took them."""

    policy: str
    """Its name."""
    open: int
    """A deposit: one taproot input, the vault's output, change to taproot."""
    close: int
    """The cooperative close: one coin to one P2WPKH output (31 bytes)."""
    close_two: int
    """The same with a second such output."""
    paths: dict[str, int]
    """Path → one coin to one P2WPKH output."""


def claims(policy: Policy) -> tuple[Claim, ...]:
    """Every distinct claim behind the report: each path, in each window, for whoever is left after
    each loss, each thief, each party alone and each two together. In the order of time."""
    found: dict[Claim, None] = {}
    for window in in_time(policy):
        for keys, senders in groups(policy):
            for path in policy.paths:
                found[claim_of(policy, path, window=window, keys=keys, senders=senders)] = None
    return tuple(found)


def claim_of(
    policy: Policy,
    path: Path,
    *,
    window: Window,
    keys: frozenset[str],
    senders: frozenset[str],
) -> Claim:
    """What the report says of one group. Keys that the path does not ask for make no difference."""
    can = can_complete(policy, path, keys=keys, open_locks=window.open, senders=senders)
    sends = not path.held_by or bool(set(path.held_by) & senders)
    # Who has the transaction has the signatures given up front; others sign what they can.
    signed = sends and path.form is Form.PRESIGNED
    beneath = policy.path(path.via).roles if path.via and not signed else ()
    return Claim(path.name, window, keys & {*path.roles, *beneath}, sends, can)


def groups(policy: Policy) -> Iterator[tuple[frozenset[str], frozenset[str]]]:
    """Everyone whom the report asks about: keys, and whose transactions they can send."""
    holders = {role.name: role.holder for role in policy.roles}
    for loss in losses(policy):
        keys, senders = able_keys(policy, loss=loss), able_senders(policy, loss=loss)
        yield keys, senders
        # Once the recovery time has come only those entitled act.
        borrowers = frozenset(key for key in keys if holders[key] == "borrower")
        yield borrowers, senders & {"borrower"}
        if loss is not None and loss.kind is LossKind.KEY_STOLEN:
            yield frozenset({loss.who}), frozenset({holders[loss.who]})
        for party in parties(policy):
            if loss != Loss(LossKind.PARTY_SILENT, party):
                yield own_keys(policy, party, loss=loss), frozenset({party})
    for pair, _ in pairs(policy):
        yield (
            frozenset(name for name in pair if name in holders),
            frozenset(holders.get(name, name) for name in pair),
        )


def check(policy: Policy, *, seed: int = 1) -> tuple[Tried, ...]:
    """Try every claim on a chain of its own. Raises BadInput as ``Lab.open``."""
    with Lab(seed=seed) as lab:
        opened = lab.open(policy)
        return tuple(Tried(claim, try_claim(lab, opened, claim)) for claim in claims(policy))


def try_claim(lab: Lab, opened: Opened, claim: Claim) -> Attempt:
    """What the chain says of a claim whose window is now or later."""
    return lab.attempt(
        opened,
        claim.path,
        keys=claim.keys,
        at=claim.window,
        senders=None if claim.sends else (),
    )


def in_time(policy: Policy) -> tuple[Window, ...]:
    """The policy's windows in an order in which one chain can pass through them."""
    return tuple(
        sorted(
            windows(policy),
            key=lambda each: (
                sum(isinstance(lock, After) for lock in each.open),
                len(each.open),
            ),
        )
    )


def costs(*, seed: int = 1) -> tuple[Cost, tuple[Cost, ...]]:
    """The limit, a single signature by taproot's key path, and every shipped policy."""
    with Lab(seed=seed) as lab:
        limit = cost(SINGLE, lab=lab)
        return limit, tuple(cost(load_policy(name), lab=lab) for name in shipped())


def cost(policy: Policy, *, lab: Lab) -> Cost:
    """What one policy's transactions take, each of them accepted by the chain.

    Paths are measured when they open first, by whoever can sign them, and the most counts. What is
    signed up front pays one party; there ``close_two`` is the path underneath. Raises BadInput as
    ``Lab.open``, and ("policy/value") if the chain refuses one.
    """
    everyone = frozenset(role.name for role in policy.roles)
    opened = lab.open(policy)
    first, *_ = policy.paths
    close, both = first, [lab.payee("taker"), lab.payee("other taker")]
    if first.form in _UP_FRONT:
        # What is signed up front has one payee for good: two take the path underneath.
        close = policy.path(first.via)
    sizes: dict[str, int] = {}
    two = 0
    for window in in_time(policy):
        for path in policy.paths:
            if path.name not in sizes and can_complete(
                policy, path, keys=everyone, open_locks=window.open
            ):
                tries = [
                    lab.attempt(opened, path.name, keys=signers, at=window)
                    for signers in combinations(path.roles, path.threshold)
                ]
                sizes[path.name] = max(map(_size, tries))
                if path.name == close.name:
                    costly = max(tries, key=_size).signers
                    two = _size(lab.attempt(opened, path.name, keys=costly, at=window, to=both))
    return Cost(
        policy=policy.name,
        open=lab.deposit(policy),
        close=sizes[first.name],
        close_two=two,
        paths={path.name: sizes[path.name] for path in policy.paths},
    )


def _size(attempt: Attempt) -> int:
    if not attempt.accepted or attempt.code:
        raise BadInput("policy/value", path=attempt.path, refused=attempt.code or "by the chain")
    return attempt.vsize
