"""A walk through everything that can go wrong with a vault's keys: ``escrow demo custody``.

One vault of a policy, on a real chain. At the start, and again for whom a lock has opened a path:
each key is lost, each party falls silent, each key is stolen, each two keys are. Every line is a
transaction that was sent, and what became of it; the report is asked the same each time. The coins
belong to the borrower of a loan that was repaid, so whatever else becomes of them is a loss.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from escrow.core.errors import CODES
from escrow.core.units import Sats
from escrow.custody.ability import Loss, LossKind, able_keys, able_senders, can_complete, parties
from escrow.custody.policy import After, KeyKind, Moment, Older, Path, Policy
from escrow.custody.reach import losses, pairs
from escrow.custody.windows import Window, when
from escrow.sim.vault_check import Tried, claim_of, in_time, try_claim
from escrow.sim.vault_lab import COIN_SATS, Lab, Opened
from escrow.words import coins

_TITLES: Final = {
    LossKind.KEY_LOST: "The key {who} is lost",
    LossKind.KEY_STOLEN: "The key {who} is stolen",
    LossKind.PARTY_SILENT: "{who} is silent",
    LossKind.TOKEN_LOCKED: "The token {who} is locked by wrong PINs",
}


class Kind(Enum):
    """What a step is about."""

    OPENED = "opened"
    """The vault comes to be."""
    WAY_OUT = "way-out"
    """Those who are left bring the owner its coins."""
    THEFT = "theft"
    """Somebody tries to take them."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that went wrong, and what could be done then."""

    number: int
    """From 1."""
    title: str
    """What went wrong."""
    window: str
    """When: name of the window."""
    time: str
    """The same in words: which locks were open."""
    kind: Kind
    """What it is about."""
    words: tuple[str, ...]
    """What happened, line by line."""
    tried: tuple[Tried, ...]
    """Each transaction that was sent, and what the report says of it."""
    used: str = ""
    """The way out that was taken for the coins' owner; empty if none was sought, or found."""
    lost: Sats = Sats(0)
    """What somebody took who should not have it, of one coin."""


@dataclass(frozen=True, slots=True)
class Walk:
    """All steps, in order."""

    policy: Policy
    """Whose vault it is."""
    seed: int
    """What keys follow from."""
    steps: tuple[Step, ...]
    """In the order of time."""

    @property
    def agrees(self) -> bool:
        """Did the chain say what the report says, each time?"""
        return all(each.agrees for step in self.steps for each in step.tried)


def walk(policy: Policy, *, seed: int = 1) -> Walk:
    """Go through it once. Raises BadInput as ``Lab.open``."""
    with Lab(seed=seed) as lab:
        return Walk(policy, seed, tuple(_Walker(lab, policy).steps()))


@dataclass(frozen=True, slots=True)
class _Able:
    """Who acts, and with what."""

    title: str
    """What happened to make it so."""
    keys: frozenset[str]
    """Roles that they can sign with."""
    senders: frozenset[str]
    """Parties whose transactions they can send."""


@dataclass(slots=True)
class _Walker:
    lab: Lab
    policy: Policy
    told: dict[str, frozenset[str]] = field(default_factory=dict)
    count: int = 0

    def steps(self) -> Iterator[Step]:
        opened = self.lab.open(self.policy)
        yield self._step(
            "The vault is opened",
            in_time(self.policy)[0],
            self.policy.title,
            f"Address {opened.vault.address}",
            f"Coins of {coins(COIN_SATS)} each come in with transaction {opened.txid}",
        )
        for window in in_time(self.policy):
            yield from self._losses(opened, window)
            yield from self._pairs(opened, window)

    def _losses(self, opened: Opened, window: Window) -> Iterator[Step]:
        for loss in losses(self.policy):
            if loss is not None and loss.kind is LossKind.KEY_STOLEN:
                holder = self.policy.role(loss.who).holder
                able = _Able(_title(loss), frozenset({loss.who}), frozenset({holder}))
                yield from self._theft(opened, window, able)
                continue
            keys, senders = (
                able_keys(self.policy, loss=loss),
                able_senders(self.policy, loss=loss),
            )
            yield from self._way_out(opened, window, _Able(_title(loss), keys, senders))
        if "borrower" in parties(self.policy):
            own = frozenset(
                role.name
                for role in self.policy.roles
                if role.holder == "borrower" and role.key is not KeyKind.EPHEMERAL
            )
            able = _Able("Everybody but the borrower is silent", own, frozenset({"borrower"}))
            yield from self._way_out(opened, window, able)

    def _pairs(self, opened: Opened, window: Window) -> Iterator[Step]:
        holders = {role.name: role.holder for role in self.policy.roles}
        for pair, _ in pairs(self.policy):
            keys = frozenset(name for name in pair if name in holders)
            senders = frozenset(holders.get(name, name) for name in pair)
            title = f"The keys {pair[0]} and {pair[1]} are stolen together"
            if len(keys) == 1:
                title = f"The key {pair[0]} is stolen, and {pair[1]} helps the thief"
            yield from self._theft(opened, window, _Able(title, keys, senders))

    def _way_out(self, opened: Opened, window: Window, able: _Able) -> Iterator[Step]:
        """The owner seeks its coins, by what has just opened first, until a path is taken."""
        fresh = self._fresh(able, window)
        if fresh is None:
            return
        tried = []
        words = []
        used = ""
        for path in sorted(self.policy.paths, key=lambda path: path.name not in fresh):
            if path.to not in ("", "borrower"):
                continue
            found = self._try(opened, path, window, able)
            tried.append(found)
            words.append(_line(found, path))
            if found.attempt.accepted:
                used = path.name
                break
        else:
            words.append("No way out is open yet: the coins stay where they are.")
        yield self._step(
            able.title, window, *words, kind=Kind.WAY_OUT, tried=tuple(tried), used=used
        )

    def _theft(self, opened: Opened, window: Window, able: _Able) -> Iterator[Step]:
        """Every path is tried with what was stolen."""
        if self._fresh(able, window) is None:
            return
        tried = []
        words = []
        lost = 0
        for path in self.policy.paths:
            found = self._try(opened, path, window, able)
            tried.append(found)
            words.append(_line(found, path))
            if found.attempt.accepted and path.to != "borrower":
                lost = COIN_SATS
        loss = "all of it, as the policy says" if lost else "nothing"
        words.append(f"Of a coin of {coins(COIN_SATS)} its owner loses {loss}.")
        yield self._step(able.title, window, *words, kind=Kind.THEFT, tried=tuple(tried), lost=lost)

    def _try(self, opened: Opened, path: Path, window: Window, able: _Able) -> Tried:
        claim = claim_of(self.policy, path, window=window, keys=able.keys, senders=able.senders)
        return Tried(claim, try_claim(self.lab, opened, claim))

    def _fresh(self, able: _Able, window: Window) -> frozenset[str] | None:
        """Paths that the report says have opened for these since they were last asked about;
        None if that has been told already."""
        can = frozenset(
            path.name
            for path in self.policy.paths
            if can_complete(
                self.policy,
                path,
                keys=able.keys,
                open_locks=window.open,
                senders=able.senders,
            )
        )
        before = self.told.get(able.title)
        self.told[able.title] = can
        return None if can == before else can - (before or frozenset())

    def _step(
        self,
        title: str,
        window: Window,
        *words: str,
        kind: Kind = Kind.OPENED,
        tried: tuple[Tried, ...] = (),
        used: str = "",
        lost: int = 0,
    ) -> Step:
        self.count += 1
        return Step(
            self.count, title, window.name, time_of(window), kind, words, tried, used, Sats(lost)
        )


def time_of(window: Window) -> str:
    """A window in words: the last lock of each kind that has opened."""
    spans = [lock for lock in window.open if isinstance(lock, Older)]
    passed = [lock.moment for lock in window.open if isinstance(lock, After)]
    words = [when(max(spans, key=lambda each: each.seconds))] if spans else []
    words += [when(After(max(passed, key=list(Moment).index)))] if passed else []
    return ", and ".join(words) or "at the start"


def _title(loss: Loss | None) -> str:
    if loss is None:
        return "Everybody is there"
    words = _TITLES[loss.kind].format(who=loss.who)
    return words[0].upper() + words[1:]


def _line(found: Tried, path: Path) -> str:
    attempt = found.attempt
    by = " and ".join(attempt.signers) or ("nobody" if found.claim.can else "none of its keys")
    if attempt.accepted:
        to = f" and pays {path.to}" if path.to else ""
        return (
            f"{path.name}, signed by {by}: Bitcoin takes it{to}, {attempt.vsize} vB, "
            f"transaction {attempt.txid}"
        )
    return (
        f"{path.name}, signed by {by}: refused, {attempt.code}, {CODES[attempt.code]}; "
        f"in a block: {attempt.reason}"
    )
