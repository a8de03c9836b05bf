"""What a spend of a vault must carry and shows, path by path: locks, scripts, bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from btclib_wallet.descriptors import Descriptor, SpendContext, TrDescriptor, WshDescriptor

from escrow.adapters.bitcoin.compile import relative_lock_of
from escrow.adapters.bitcoin.keys import VaultKey
from escrow.adapters.bitcoin.policy import SEQUENCE_LOCKED, SEQUENCE_REPLACEABLE
from escrow.core.errors import BadInput
from escrow.core.units import Seconds
from escrow.custody.policy import After, Form, KeyKind, Lock, Moment, Older, Path, Policy

SIGNATURE: Final = 72
"""Bytes of the longest ECDSA signature that is relayed: DER, low S, sighash byte."""
LOW_R_SIGNATURE: Final = 71
"""The same by a wallet, which grinds for low R. A hardware token need not."""
SCHNORR: Final = 64
"""A taproot signature of the whole transaction has no sighash byte (BIP-341)."""

_INPUT_BASE: Final = 36 + 1 + 4  # outpoint, empty scriptSig, sequence
_OVERHEAD: Final = 4 + 4  # version, locktime
_SEGWIT_MARKER: Final = 2  # witness bytes


@dataclass(frozen=True, slots=True)
class Exit:
    """What the witness of a spend by one script path holds."""

    script: bytes
    """Tapleaf or witness script; empty for taproot's key path."""
    control_block: bytes
    """Proof that the output commits to the tapleaf (BIP-341); empty elsewhere."""
    stack: tuple[int, ...]
    """Most bytes of each item of the witness, the first pushed first."""

    @property
    def weight(self) -> int:
        """Most bytes of the witness of one input."""
        return witness_size(self.stack)


def locks_of(policy: Policy, path: Path) -> tuple[Lock, ...]:
    """The locks a spend by this path must wait for: its own, and that of the path it uses."""
    via = (policy.path(path.via),) if path.via else ()
    return tuple(each.lock for each in (path, *via) if each.lock is not None)


def locktime_of(locks: Sequence[Lock], moments: Mapping[Moment, Seconds]) -> int:
    """nLockTime of a spend under these locks; 0 if none of them names a moment."""
    times = [moments[each.moment] for each in locks if isinstance(each, After)]
    return max(times, default=0)


def sequence_of(locks: Sequence[Lock]) -> int:
    """nSequence of every input of a spend under these locks."""
    older = [relative_lock_of(each) for each in locks if isinstance(each, Older)]
    if older:
        return max(older)  # below 0xffffffff, so nLockTime counts as well (BIP-65)
    return SEQUENCE_LOCKED if locks else SEQUENCE_REPLACEABLE


def exits_of(
    parsed: Descriptor,
    policy: Policy,
    paths: Sequence[Path],
    *,
    leaves: Sequence[str],
    keys: Mapping[str, VaultKey],
    moments: Mapping[Moment, Seconds],
) -> dict[str, Exit]:
    """What a spend by each script path shows, by the path's name.

    ``leaves`` are the names of the paths in the tree, left to right. Raises
    BadInput("policy/script") if two paths are one, or what the library raises if a path's own
    signatures do not satisfy the script.
    """
    if isinstance(parsed, TrDescriptor):
        return _taproot(parsed, paths, leaves=leaves)
    assert isinstance(parsed, WshDescriptor)
    script = parsed.inner.script_pub_key().script
    exits = {}
    for path in paths:
        # Those who cost most: whoever else signs takes less.
        costs = {name: _cost(policy, name, keys[name].pubkey, script) for name in path.roles}
        signers = sorted(path.roles, key=lambda name: costs[name], reverse=True)[: path.threshold]
        locks = locks_of(policy, path)
        _, witness = parsed.satisfy(
            {keys[name].pubkey: bytes(_signature_size(policy, name)) for name in signers},
            spend=SpendContext(locktime=locktime_of(locks, moments), sequence=sequence_of(locks)),
        )
        exits[path.name] = Exit(witness.stack[-1], b"", tuple(map(len, witness.stack)))
    return exits


def vsize_of(inputs: int, *, outputs: Sequence[bytes], witness: int) -> int:
    """Virtual bytes of a segwit transaction whose inputs have ``witness`` bytes each.

    BIP-141: weight is 3 × stripped + total, a virtual byte is 4 of it, rounded up.
    """
    stripped = _OVERHEAD + _compact(inputs) + inputs * _INPUT_BASE + _compact(len(outputs))
    stripped += sum(8 + _compact(len(script)) + len(script) for script in outputs)
    weight = 4 * stripped + _SEGWIT_MARKER + inputs * witness
    return -(-weight // 4)


def witness_size(stack: Sequence[int]) -> int:
    """Bytes of a witness whose items have these sizes (BIP-144)."""
    return _compact(len(stack)) + sum(_compact(size) + size for size in stack)


def _taproot(
    parsed: TrDescriptor, paths: Sequence[Path], *, leaves: Sequence[str]
) -> dict[str, Exit]:
    proofs = parsed.taproot_leaf_scripts()  # keyed by control block, in the tree's order
    if len(proofs) != len(leaves):
        raise BadInput("policy/script", reason="two paths are the same")
    found = dict(zip(leaves, proofs.items(), strict=True))
    exits = {}
    for path in paths:
        signed = 1 if path.form is Form.MUSIG else path.threshold
        # multi_a wants an item for each key (BIP-387)
        unsigned = 0 if path.form is Form.MUSIG else len(path.roles) - path.threshold
        stack = (SCHNORR,) * signed + (0,) * unsigned
        if path.name not in found:
            exits[path.name] = Exit(b"", b"", stack)
            continue
        control_block, (script, _) = found[path.name]
        stack += (len(script), len(control_block))
        exits[path.name] = Exit(script, control_block, stack)
    return exits


def _cost(policy: Policy, role: str, pubkey: bytes, script: bytes) -> int:
    """Bytes that this signer adds to the witness; a hashed key must be shown as well."""
    return _signature_size(policy, role) + (0 if pubkey in script else len(pubkey))


def _signature_size(policy: Policy, role: str) -> int:
    return SIGNATURE if policy.role(role).key is KeyKind.TOKEN else LOW_R_SIGNATURE


def _compact(number: int) -> int:
    return 1 if number < 0xFD else 3
