"""Who may sign an input of a PSBT, and whether a signature is what it claims to be."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from btclib.exceptions import BTClibTypeError, BTClibValueError
from btclib.hashes import hash160
from btclib.tx import TxOut
from btclib_secp256k1 import dsa
from btclib_wallet.bip32 import BIP32KeyOrigin
from btclib_wallet.psbt import psbt as bip174
from btclib_wallet.psbt.psbt_in import PsbtIn

from escrow.adapters.bitcoin.keys import Keys
from escrow.core.errors import BadInput, Refused

_SIGHASH_ALL: Final = 1


@dataclass(frozen=True, slots=True)
class Signer:
    """btclib's KeyManager protocol over one party's keys. ECDSA only: no script here is taproot."""

    keys: Keys
    """Whose."""
    recovery: bool
    """The spend has a lock time, so the recovery account signs and not the quorum's."""

    def sign_ecdsa(
        self, pub_key: bytes, origin: BIP32KeyOrigin | None, msg_hash: bytes
    ) -> bytes | None:
        """DER signature, or None if the key is not this party's."""
        if origin is None:
            return None
        return self.keys.sign_spend(pub_key, origin=origin, digest=msg_hash, recovery=self.recovery)

    def sign_schnorr(
        self, pub_key: bytes, origin: BIP32KeyOrigin | None, msg_hash: bytes, merkle_root: bytes
    ) -> None:
        """Never ours."""

    def sign_schnorr_script_path(
        self, pub_key: bytes, origin: BIP32KeyOrigin | None, msg_hash: bytes, leaf_hash: bytes
    ) -> None:
        """Never ours."""


def signed_before(inner: bip174.Psbt, fingerprint: bytes) -> bool:
    """Whether a signature of this party is there already."""
    return any(
        origin.master_fingerprint == fingerprint and pubkey in each.partial_sigs
        for each in inner.inputs
        for pubkey, origin in each.hd_key_paths.items()
    )


def spent_output(number: int, each: PsbtIn) -> TxOut:
    """The coin of one input, from its previous transaction: only that one is worth believing.

    Raises BadInput("psbt/format").
    """
    tx, out = each.non_witness_utxo, each.prev_out
    if tx is None or tx.id != out.tx_id or out.vout >= len(tx.vout):
        raise BadInput("psbt/format", input=number, reason="the coin's transaction is missing")
    return tx.vout[out.vout]


def check_signatures(inner: bip174.Psbt) -> None:
    """Verify every signature, and that its key is one the coin's script names.

    Only SIGHASH_ALL and low S pass: anything else would let others change the transaction, or
    not be relayed. Raises Refused: "psbt/foreign-signature", "psbt/bad-signature"; BadInput.
    """
    for number, each in enumerate(inner.inputs):
        if not each.partial_sigs:
            continue
        script = spent_output(number, each).script_pub_key.script
        if each.witness_script:
            # Else a stranger could bring a script of its own, and be in it.
            if script != b"\x00\x20" + sha256(each.witness_script).digest():
                raise BadInput("psbt/format", input=number, reason="not the coin's witness script")
            script = each.witness_script
        try:
            digest = bip174.ecdsa_sig_hash(inner, number, hash_type=_SIGHASH_ALL)
        except (BTClibValueError, BTClibTypeError) as error:
            raise BadInput("psbt/format", input=number, reason=str(error)[:200]) from error
        for pubkey, signature in each.partial_sigs.items():
            if pubkey not in script and hash160(pubkey) not in script:
                raise Refused("psbt/foreign-signature", input=number, key=pubkey.hex())
            if signature[-1] != _SIGHASH_ALL or not _verifies(digest, pubkey, signature[:-1]):
                raise Refused("psbt/bad-signature", input=number, key=pubkey.hex())


def _verifies(digest: bytes, pubkey: bytes, signature: bytes) -> bool:
    try:
        return dsa.verify(digest, pubkey, signature)  # libsecp256k1 takes low S only
    except ValueError:
        return False
