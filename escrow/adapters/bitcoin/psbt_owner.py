"""Whose script an input spends, by which path, and what signers are told about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Protocol, runtime_checkable

from btclib.hashes import hash160
from btclib.script import taproot
from btclib.tx import OutPoint, Tx, TxIn, TxOut
from btclib_wallet.bip32 import BIP32KeyOrigin
from btclib_wallet.descriptors import TrDescriptor, parse
from btclib_wallet.psbt import psbt as bip174
from btclib_wallet.psbt.psbt_in import PsbtIn

from escrow.adapters.bitcoin.policy import relative_lock
from escrow.adapters.bitcoin.psbt_input import is_taproot
from escrow.core.errors import BadInput
from escrow.custody.policy import After, Form, Older, Path, Policy

_NETWORK: Final = "regtest"
_NUMS: Final = bytes.fromhex("50929b74c1a04954b78b4b6035e97a5e078a5a0f28ec96d547bfee9ace803ac0")
_TAPROOT_FIELDS: Final = (
    "taproot_internal_key",
    "taproot_merkle_root",
    "taproot_leaf_scripts",
    "taproot_hd_key_paths",
    "musig2_participant_pub_keys",
)
_SIGNED_AHEAD: Final = (Form.PRESIGNED, Form.ATTESTED)


class Owner(Protocol):
    """Whoever's script an input spends: a Vault or a WalletKey."""

    @property
    def script_pubkey(self) -> bytes:
        """The output script."""

    @property
    def witness_script(self) -> bytes:
        """The script behind its hash; empty for a single key, and in taproot."""

    @property
    def origins(self) -> Mapping[bytes, BIP32KeyOrigin]:
        """Public key → where its owner finds the private key."""


@runtime_checkable
class PathOwner(Owner, Protocol):
    """An owner whose coins move by several paths: a Vault of a custody policy."""

    @property
    def descriptor(self) -> str:
        """Output descriptor."""

    @property
    def policy(self) -> Policy:
        """Which paths there are."""

    def leaf(self, path: str) -> bytes:
        """Script that a spend by ``path`` runs; in taproot empty for the key path."""


def describe(inner: bip174.Psbt, numbers: Sequence[int], *, owner: Owner, path: str = "") -> None:
    """Tell signers how ``owner`` spends these inputs.

    In P2WSH all keys are named whatever the ``path``: a finaliser needs them to read the script,
    and the transaction's locks tell whose signatures count (``psbt_asked``). In taproot an input
    shows the one leaf of ``path``, so that a finaliser has no choice to make; empty: the first
    path that the locks fit. Raises BadInput("psbt/path").
    """
    if path and not isinstance(owner, PathOwner):
        raise BadInput("psbt/path", path=path[:100])
    shown: dict[str, PsbtIn] = {}
    for number in numbers:
        each = inner.inputs[number]
        each.witness_script = owner.witness_script
        if not isinstance(owner, PathOwner):
            each.hd_key_paths = dict(sorted(owner.origins.items()))
            continue
        name = _path(owner.policy, path, locktime=inner.lock_time, sequence=each.sequence).name
        if not is_taproot(owner.script_pubkey):
            each.hd_key_paths = dict(sorted(owner.origins.items()))
            continue
        if name not in shown:
            shown[name] = taproot_fields(owner.descriptor, leaf=owner.leaf(name))
        for field in _TAPROOT_FIELDS:
            setattr(each, field, getattr(shown[name], field))


def taproot_fields(descriptor: str, *, leaf: bytes = b"") -> PsbtIn:
    """BIP-371's and BIP-373's fields of an input that shows one leaf; none: the key path.

    Raises BadInput("psbt/path").
    """
    parsed = parse(descriptor, network=_NETWORK)
    if not isinstance(parsed, TrDescriptor):
        raise BadInput("psbt/path", reason="not a taproot descriptor")
    nowhere = Tx(2, 0, [TxIn(OutPoint(b"\x01" * 32, 0))], [TxOut(0, b"")])
    whole = parsed.update_psbt_input(bip174.Psbt.from_tx(nowhere), 0).inputs[0]
    internal, named = whole.taproot_internal_key, whole.taproot_hd_key_paths
    groups = whole.musig2_participant_pub_keys
    if not leaf:
        above = named[internal][1].master_fingerprint if internal in named else b""
        asked = {
            group: members
            for group, members in groups.items()
            if group[1:] == internal or hash160(group)[:4] == above
        }
        wanted = {internal, *(member[1:] for members in asked.values() for member in members)}
        whole.taproot_leaf_scripts = {}
        whole.taproot_hd_key_paths = {key: ([], named[key][1]) for key in named if key in wanted}
        whole.musig2_participant_pub_keys = asked
        return whole
    proofs = [proof for proof, (code, _) in whole.taproot_leaf_scripts.items() if code == leaf]
    if not proofs:
        raise BadInput("psbt/path", reason="no such leaf")
    proof = min(proofs, key=lambda it: (len(it), it))
    version = whole.taproot_leaf_scripts[proof][1]
    this = taproot.leaf_hash(version, leaf)
    whole.taproot_leaf_scripts = {proof: (leaf, version)}
    whole.taproot_hd_key_paths = {
        key: ([this], origin) for key, (leaves, origin) in named.items() if this in leaves
    }
    whole.musig2_participant_pub_keys = {
        group: members for group, members in groups.items() if b"\x20" + group[1:] in leaf
    }
    # Whoever holds the internal key alone would sign for the key path, which nobody chose.
    if not parsed.internal_key.is_aggregate and internal != _NUMS:
        whole.taproot_internal_key = whole.taproot_merkle_root = b""
    return whole


def _path(policy: Policy, path: str, *, locktime: int, sequence: int | None) -> Path:
    """The path of that name, or the first script path that the locks fit."""
    by_name = {each.name: each for each in policy.paths}
    if path:
        if path not in by_name:
            raise BadInput("psbt/path", path=path[:100])
        return by_name[path]
    lock: type[After | Older] | None = None
    if locktime:
        lock = After
    elif sequence is not None and relative_lock(sequence) is not None:
        lock = Older
    scripts = [each for each in policy.paths if each.form not in _SIGNED_AHEAD]
    at_once = [each for each in scripts if each.lock is None]
    fits = [each for each in scripts if lock is not None and isinstance(each.lock, lock)]
    # Locks that no path needs keep nobody from taking one that opens at once.
    for each in (*fits, *at_once, *scripts):
        return each
    raise BadInput("psbt/path", policy=policy.name)
