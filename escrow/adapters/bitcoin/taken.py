"""Which path of a vault's policy a spend on the chain took.

Read from the witness alone: in taproot from the script it shows, in P2WSH from whose signatures
verify. What a transaction waits for tells little, since any spend may name a lock it has no need
of.
"""

from __future__ import annotations

from typing import Final

from btclib.script import sig_hash
from btclib.tx import Tx
from btclib_secp256k1 import dsa

from escrow.adapters.bitcoin.policy import relative_lock
from escrow.adapters.bitcoin.vault import Vault
from escrow.core.units import Sats
from escrow.custody.policy import After, Form, Moment, Path

_DER: Final = 0x30
_SHORTEST: Final = 9  # bytes of a DER signature with its sighash byte
_ANNEX: Final = 0x50  # BIP-341
_SCRIPT_FORMS: Final = (Form.SCRIPT, Form.MUSIG)


def path_taken(vault: Vault, tx: Tx, number: int, *, sats: Sats) -> str:
    """Name of the path by which input ``number`` took a coin of ``sats`` out of this vault.

    Where a witness fits several, the first of the policy. Empty if it fits none, as for a coin
    that is not the vault's or a transaction without witnesses.
    """
    stack = [bytes(item) for item in tx.vin[number].script_witness.stack]
    paths = [path for path in vault.policy.paths if path.form in _SCRIPT_FORMS]
    if not vault.taproot:
        if not stack or stack[-1] != vault.witness_script:
            return ""
        signers = _signers(vault, tx, number, stack=stack[:-1], sats=sats)
        fits = (path for path in paths if _is_met(vault, path, tx, number, signers=signers))
        return next((path.name for path in fits), "")
    if len(stack) > 1 and stack[-1][:1] == bytes([_ANNEX]):
        stack.pop()
    shown = stack[-2] if len(stack) > 1 else b""
    return next((path.name for path in paths if stack and vault.leaf(path.name) == shown), "")


def recovery_path(vault: Vault) -> str:
    """Name of the path that opens at the recovery time; empty if the policy has none."""
    lock = After(Moment.RECOVERY)
    return next((path.name for path in vault.policy.paths if path.lock == lock), "")


def _signers(
    vault: Vault, tx: Tx, number: int, *, stack: list[bytes], sats: Sats
) -> frozenset[str]:
    """Roles whose signatures are there and verify."""
    found: set[str] = set()
    for item in stack:
        if len(item) < _SHORTEST or item[0] != _DER:
            continue
        digest = sig_hash.segwit_v0(vault.witness_script, tx, number, item[-1], sats)
        for key, role in vault.roles.items():
            if role not in found and _verifies(digest, key, item[:-1]):
                found.add(role)
                break
    return frozenset(found)


def _verifies(digest: bytes, key: bytes, signature: bytes) -> bool:
    try:
        return dsa.verify(digest, key, signature)
    except ValueError:
        return False


def _is_met(vault: Vault, path: Path, tx: Tx, number: int, *, signers: frozenset[str]) -> bool:
    if len(signers.intersection(path.roles)) < path.threshold:
        return False
    wanted = relative_lock(vault.sequence(path.name))
    waits = relative_lock(tx.vin[number].sequence)
    if wanted is not None and (waits is None or waits[0] != wanted[0] or waits[1] < wanted[1]):
        return False
    return tx.lock_time >= vault.locktime(path.name)
