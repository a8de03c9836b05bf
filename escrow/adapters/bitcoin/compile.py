"""A custody policy as output descriptors (BIP-380): miniscript in P2WSH, a tree in P2TR.

Only what one of the vault's own keys must sign is written into the script. A pre-signed or
attested path spends by the script path it names; its time lock is the transaction's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from escrow.adapters.bitcoin.keys import VaultKey
from escrow.core.errors import BadInput
from escrow.core.units import Seconds
from escrow.custody.policy import (
    After,
    Form,
    KeyKind,
    Lock,
    Moment,
    Older,
    Path,
    Policy,
    ScriptKind,
)
from escrow.custody.shape import OLDER_UNIT, check_shape

UNSPENDABLE: Final = "50929b74c1a04954b78b4b6035e97a5e078a5a0f28ec96d547bfee9ace803ac0"
"""BIP-341's point H: a key that provably nobody has, for an output without a key path."""

_OLDER_IS_TIME: Final = 1 << 22  # BIP-68


@dataclass(frozen=True, slots=True)
class Written:
    """One way of writing a policy as a descriptor."""

    text: str
    """The descriptor, without checksum."""
    leaves: tuple[str, ...]
    """Names of the paths that are leaves of the tree, left to right; none in P2WSH."""


def script_paths(policy: Policy) -> tuple[Path, ...]:
    """The paths that the script itself must offer, in the policy's order.

    Raises BadInput: "policy/value" for a policy that makes no sense, "policy/keyless",
    "policy/key-kind" for a token's key in taproot, which takes no ECDSA.
    """
    check_shape(policy)
    paths = tuple(path for path in policy.paths if path.form in {Form.SCRIPT, Form.MUSIG})
    for path in paths:
        if path.threshold < 1:
            raise BadInput("policy/keyless", path=path.name)
        for name in path.roles if policy.script is ScriptKind.TR else ():
            if policy.role(name).key is KeyKind.TOKEN:
                raise BadInput("policy/key-kind", path=path.name, role=name)
    return paths


def relative_lock_of(lock: Older) -> int:
    """The lock as ``older()`` and nSequence carry it (BIP-68). It must be in range."""
    return _OLDER_IS_TIME | lock.seconds // OLDER_UNIT


def write(
    policy: Policy, *, keys: Mapping[str, VaultKey], moments: Mapping[Moment, Seconds]
) -> tuple[Written, ...]:
    """The descriptors that say what the policy says; whoever asks measures and takes the best.

    Keys are ordered by public key (BIP-67), so who is named first makes no difference. ``keys``
    and ``moments`` must hold all that the script paths name. Raises what ``script_paths`` does,
    and BadInput("policy/script") if a role in two paths of a P2WSH policy cannot be written once.
    """
    writer = _Writer(keys, moments)
    paths = script_paths(policy)
    if policy.script is ScriptKind.TR:
        return (writer.taproot(paths),)
    return tuple(Written(f"wsh({text})", ()) for text in writer.miniscripts(paths))


@dataclass(frozen=True, slots=True)
class _Writer:
    """Writes paths with these keys and times."""

    keys: Mapping[str, VaultKey]
    """Role → key."""
    moments: Mapping[Moment, Seconds]
    """Block times."""

    def taproot(self, paths: Sequence[Path]) -> Written:
        """The first path takes the key path if one key can be made of it: nothing is cheaper."""
        first, *rest = paths
        if first.lock is None and (first.form is Form.MUSIG or len(first.roles) == 1):
            internal, leaves = self._one_key(first), tuple(rest)
            tree = f",{self._tree(rest)}" if rest else ""
        else:
            internal, leaves = UNSPENDABLE, tuple(paths)
            # The first leaf sits beside the root, so that spending by it proves least.
            leaf = self._leaf(first)
            tree = f",{{{leaf},{self._tree(rest)}}}" if rest else f",{leaf}"
        return Written(f"tr({internal}{tree})", tuple(path.name for path in leaves))

    def _tree(self, paths: Sequence[Path]) -> str:
        """Leaves from left to right, the earlier ones no deeper than the later."""
        if len(paths) == 1:
            return self._leaf(paths[0])
        middle = len(paths) // 2
        return f"{{{self._tree(paths[:middle])},{self._tree(paths[middle:])}}}"

    def _leaf(self, path: Path) -> str:
        keys, count = self._sorted(path.roles), path.threshold
        if path.form is Form.MUSIG:
            return self._chain([f"pk({self._one_key(path)})"], path.lock)
        if count == len(keys):  # two bytes less than multi_a
            return self._chain([f"pk({key})" for key in keys], path.lock)
        return self._chain([f"multi_a({count},{','.join(keys)})"], path.lock)

    def _one_key(self, path: Path) -> str:
        keys = self._sorted(path.roles)
        return keys[0] if len(keys) == 1 else f"musig({','.join(keys)})"

    def miniscripts(self, paths: Sequence[Path]) -> list[str]:
        """Candidates for P2WSH; whether they are sane the parser judges."""
        first, *rest = _groups(paths)
        if not rest and len(first) == 1 and first[0].lock is None:
            (path,) = first
            keys = self._sorted(path.roles)
            one = f"pk({keys[0]})"
            return [one if len(keys) == 1 else f"sortedmulti({path.threshold},{','.join(keys)})"]
        forms = self._shown(first)
        if not rest:
            return forms
        *others, last = (self._hidden(group) for group in rest)
        for each in reversed(others):
            last = f"or_i({each},{last})"
        # or_d costs its first branch nothing, but only what can fail cleanly may stand there;
        # or_i costs its second branch one byte.
        return [
            f"or_i({last},{form})"
            if form.startswith("and_v(") or "sln:" in form
            else f"or_d({form},{last})"
            for form in forms
        ]

    def _shown(self, group: Sequence[Path]) -> list[str]:
        """Forms of the path that must be cheap to take."""
        if len(group) > 1:
            return [self._decaying(group)]
        (path,) = group
        keys, count = self._sorted(path.roles), path.threshold
        forms = []
        if len(keys) > 1:
            forms.append(self._chain([f"multi({count},{','.join(keys)})"], path.lock))
        if count == len(keys):
            forms.append(self._chain([f"pk({key})" for key in keys], path.lock))
        return forms

    def _hidden(self, group: Sequence[Path]) -> str:
        """A path that is seldom taken: its keys are hashed, so that the others do not carry them.

        ``multi`` has no hashed form.
        """
        if len(group) > 1:
            return self._decaying(group)
        (path,) = group
        keys, count = self._sorted(path.roles), path.threshold
        if count == len(keys):
            return self._chain([f"pkh({key})" for key in keys], path.lock)
        return self._chain([f"multi({count},{','.join(keys)})"], path.lock)

    def _decaying(self, group: Sequence[Path]) -> str:
        """Paths that share roles, as one threshold: a sane miniscript names each key once.

        Later paths may add keys and ask for fewer signatures. A key that is added votes only with
        the lock that adds it; a signature less is a vote of that lock by itself.
        """
        first = group[0]
        votes = [f"pk({key})" for key in self._sorted(first.roles)]
        votes[1:] = [f"s:{each}" for each in votes[1:]]
        if first.lock is not None or not all(self._opens_up(*two) for two in pairwise(group)):
            raise BadInput(
                "policy/script",
                paths=", ".join(path.name for path in group),
                reason="these paths share a role: use taproot, or give the role a second key",
            )
        for before, path in pairwise(group):
            lock = self._lock(path.lock)
            votes += [
                f"anj:and_v(v:pkh({key}),{lock})"
                for key in self._sorted(set(path.roles) - set(before.roles))
            ]
            votes += [f"sln:{lock}"] * (before.threshold - path.threshold)
        return f"thresh({first.threshold},{','.join(votes)})"

    def _opens_up(self, before: Path, after: Path) -> bool:
        """Whether the second path only adds to the first, and surely opens later."""
        grows = set(before.roles) <= set(after.roles) and before.threshold >= after.threshold
        match before.lock, after.lock:
            case None, After() | Older():
                return grows
            case Older(early), Older(late):
                return grows and early < late
            case After(early), After(late):
                return grows and self.moments[early] < self.moments[late]
            case _:
                return False

    def _chain(self, parts: Sequence[str], lock: Lock | None) -> str:
        """All of ``parts``, and the lock last: a lock leaves no signature for it to check."""
        *others, last = [*parts, *([self._lock(lock)] if lock else [])]
        for each in reversed(others):
            last = f"and_v(v:{each},{last})"
        return last

    def _lock(self, lock: Lock | None) -> str:
        match lock:
            case After(moment):
                return f"after({self.moments[moment]})"
            case Older():
                return f"older({relative_lock_of(lock)})"
            case None:
                raise AssertionError("a path without a lock asks for none")

    def _sorted(self, roles: Iterable[str]) -> list[str]:
        keys = sorted((self.keys[role] for role in roles), key=lambda key: key.pubkey)
        return [key.expression for key in keys]


def _groups(paths: Sequence[Path]) -> list[list[Path]]:
    """Paths that share roles, directly or through others, together; the policy's order is kept."""
    groups: list[list[Path]] = []
    for path in paths:
        near = [g for g in groups if any(set(path.roles) & set(each.roles) for each in g)]
        merged = [*(each for group in near for each in group), path]
        groups = [group for group in groups if group not in near] + [merged]
    ordered = [sorted(group, key=paths.index) for group in groups]
    return sorted(ordered, key=lambda group: paths.index(group[0]))
