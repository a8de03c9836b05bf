"""Witnesses from signatures: what satisfies a script, and how much of it is missing."""

from __future__ import annotations

from itertools import combinations
from typing import Final

from btclib.alias import Octets
from btclib.exceptions import BTClibTypeError, BTClibValueError
from btclib.hashes import hash160
from btclib.script.witness import Witness
from btclib_wallet.descriptors import miniscript, miniscript_solver
from btclib_wallet.descriptors.miniscript import SpendContext
from btclib_wallet.psbt import psbt as bip174

from escrow.adapters.bitcoin.psbt_asked import MAX_SCRIPT, asked_keys
from escrow.adapters.bitcoin.psbt_data import Psbt, unshared
from escrow.adapters.bitcoin.psbt_input import signers

_ECDSA: Final = bytes(71)
_SCHNORR: Final = bytes(64)
_MAX_KEYS: Final = 10


def solve(inner: bip174.Psbt, number: int) -> tuple[bytes, Witness] | None:
    """Witness of a miniscript or of a tapscript; None for what the library builds itself.

    Raises ``BTClibValueError`` if the signatures do not satisfy the script.
    """
    each = inner.inputs[number]
    if len(each.witness_script) > MAX_SCRIPT:
        raise BTClibValueError("the witness script is too long")
    leaves = {key[32:] for key in each.taproot_script_spend_signatures}
    if each.taproot_key_spend_signature or len(leaves) != 1:
        return miniscript_solver(inner, number)
    script, proof = bip174.leaf_script(each, leaves.pop())
    if len(script) > MAX_SCRIPT:
        raise BTClibValueError("the leaf script is too long")
    hashes: dict[Octets, Octets] = {hash160(key): key for key in each.taproot_hd_key_paths}
    node = miniscript.from_script(script, miniscript.TAPSCRIPT, hashes)
    signatures: dict[Octets, Octets] = {
        key[:32]: it for key, it in each.taproot_script_spend_signatures.items()
    }
    tx = inner.tx
    spend = SpendContext(
        locktime=tx.lock_time, sequence=tx.vin[number].sequence, version=tx.version
    )
    return b"", Witness([*node.satisfy(signatures, spend), script, proof])


def missing(psbt: Psbt) -> tuple[int | None, ...]:
    """Input by input, how many signatures it needs yet; None if no number of them would do.

    As when a time lock of the script is not met. Also None where there are too many keys to tell.
    """
    inner = psbt._inner
    return tuple(_missing(inner, number) for number in range(len(inner.inputs)))


def _missing(inner: bip174.Psbt, number: int) -> int | None:
    each = inner.inputs[number]
    if each.final_script_sig or each.final_script_witness or each.taproot_key_spend_signature:
        return 0
    for group, members in each.musig2_participant_pub_keys.items():
        if not any(key[:32] == group[1:] for key in each.taproot_script_spend_signatures):
            return len({member[1:] for member in members} - signers(each))
    if not each.witness_script and not each.taproot_leaf_scripts:
        return 0 if each.partial_sigs else 1
    absent = sorted(asked_keys(inner, number).keys() - signers(each))
    if len(absent) > _MAX_KEYS:
        return None
    for count in range(len(absent) + 1):
        if any(_would_do(inner, number, more) for more in combinations(absent, count)):
            return count
    return None


def _would_do(inner: bip174.Psbt, number: int, more: tuple[bytes, ...]) -> bool:
    """Whether signatures by these keys as well would satisfy the script."""
    trial = unshared(inner)
    each = trial.inputs[number]
    if each.witness_script:
        each.partial_sigs = dict(each.partial_sigs) | dict.fromkeys(more, _ECDSA)
    else:
        named = each.taproot_hd_key_paths
        each.taproot_script_spend_signatures = dict(each.taproot_script_spend_signatures) | {
            key + leaf: _SCHNORR for key in more for leaf in named[key][0]
        }
    try:
        return solve(trial, number) is not None
    except (BTClibValueError, BTClibTypeError):
        return False
