"""Facts about one input of a PSBT: which coin, whose keys, who has signed."""

from __future__ import annotations

from btclib.script import taproot
from btclib.tx import TxOut
from btclib_wallet.bip32 import BIP32KeyOrigin
from btclib_wallet.psbt.psbt_in import PsbtIn

from escrow.core.errors import BadInput

_XONLY = 32


def is_taproot(script: bytes) -> bool:
    """Whether an output script is P2TR (BIP-341)."""
    return len(script) == 34 and script.startswith(b"\x51\x20")


def spent_output(number: int, each: PsbtIn) -> TxOut:
    """The coin of one input, from its previous transaction: only that one is worth believing.

    Raises BadInput("psbt/format").
    """
    tx, out = each.non_witness_utxo, each.prev_out
    if tx is None or tx.id != out.tx_id or out.vout >= len(tx.vout):
        raise BadInput("psbt/format", input=number, reason="the coin's transaction is missing")
    return tx.vout[out.vout]


def leaf_scripts(each: PsbtIn, *, output_key: bytes) -> dict[bytes, bytes]:
    """Leaf hash → script, of every leaf that the PSBT shows and the coin commits to."""
    return {
        taproot.leaf_hash(version, script): script
        for control, (script, version) in each.taproot_leaf_scripts.items()
        if control[0] & 0xFE == version and taproot.check_output_pubkey(output_key, script, control)
    }


def named_keys(each: PsbtIn) -> dict[bytes, BIP32KeyOrigin]:
    """Keys that an input asks for, with their origins; in taproot x-only, without aggregates."""
    aggregates = {key[1:] for key in each.musig2_participant_pub_keys}
    return dict(each.hd_key_paths) | {
        key: origin
        for key, (_, origin) in each.taproot_hd_key_paths.items()
        if key not in aggregates
    }


def signers(each: PsbtIn) -> frozenset[bytes]:
    """Keys whose signatures an input carries; in taproot x-only, MuSig2's participants apart."""
    found = set(each.partial_sigs) | {key[:_XONLY] for key in each.taproot_script_spend_signatures}
    if each.taproot_key_spend_signature:
        found.add(each.taproot_internal_key)
    found |= {key[1 : 1 + _XONLY] for key in each.musig2_partial_sigs}
    for aggregate, members in each.musig2_participant_pub_keys.items():
        if aggregate[1:] in found:
            found |= {member[1:] for member in members}
            found.discard(aggregate[1:])
    return frozenset(found - {b""})
