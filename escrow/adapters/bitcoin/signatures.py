"""Who may sign an input of a PSBT, and whether a signature is what it claims to be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, Protocol

from btclib.exceptions import BTClibTypeError, BTClibValueError
from btclib.hashes import hash160
from btclib_secp256k1 import dsa, ssa
from btclib_wallet.bip32 import BIP32KeyOrigin
from btclib_wallet.psbt import psbt as bip174

from escrow.adapters.bitcoin.musig_session import check_partials
from escrow.adapters.bitcoin.psbt_input import (
    is_taproot,
    leaf_scripts,
    named_keys,
    signers,
    spent_output,
)
from escrow.core.errors import BadInput, Refused

_SIGHASH_DEFAULT: Final = 0  # taproot: the whole transaction, in one byte less
_SIGHASH_ALL: Final = 1
_XONLY: Final = 32
_SCHNORR: Final = 64


class SigningKeys(Protocol):
    """Whatever holds private keys: a seed, a token, a person with a device.

    It is asked key by key and answers None for keys that are not its own. ``origin`` is where a
    PSBT says that the key comes from; an implementation that knows its keys by heart may declare
    it ``object`` and ignore it. ``recovery`` tells that the spend has a time lock. What an
    implementation answers is verified before anybody else sees it.
    """

    @property
    def name(self) -> str:
        """How refusals name this signer. No secret."""

    def owns(self, pubkey: bytes, origin: BIP32KeyOrigin | None) -> bool:
        """Whether the private key is here. ``pubkey`` is 33 bytes, or 32 in taproot (x-only)."""

    def ecdsa(
        self, pubkey: bytes, *, origin: BIP32KeyOrigin | None, digest: bytes, recovery: bool
    ) -> bytes | None:
        """DER signature of ``digest`` with low S, no sighash byte; None if not ours."""

    def schnorr(
        self,
        pubkey: bytes,
        *,
        origin: BIP32KeyOrigin | None,
        digest: bytes,
        recovery: bool,
        merkle_root: bytes | None,
    ) -> bytes | None:
        """BIP-340 signature, 64 bytes; None if not ours, or if it cannot.

        ``merkle_root`` is what the private key is tweaked with to spend by key (BIP-341; empty if
        there are no scripts); None in a script, where keys sign as they are.
        """


@dataclass(frozen=True, slots=True)
class Signer:
    """btclib's KeyManager protocol over one party's keys."""

    keys: SigningKeys
    """Whose."""
    recovery: bool
    """The spend has a time lock."""
    leaves: Mapping[bytes, bytes]
    """Leaf hash → script, of every leaf that the PSBT shows."""

    def sign_ecdsa(
        self, pub_key: bytes, origin: BIP32KeyOrigin | None, msg_hash: bytes
    ) -> bytes | None:
        """DER signature, or None if the key is not this party's."""
        return self.keys.ecdsa(pub_key, origin=origin, digest=msg_hash, recovery=self.recovery)

    def sign_schnorr(
        self, pub_key: bytes, origin: BIP32KeyOrigin | None, msg_hash: bytes, merkle_root: bytes
    ) -> bytes | None:
        """Key path signature, or None if the key is not this party's."""
        return self.keys.schnorr(
            pub_key,
            origin=origin,
            digest=msg_hash,
            recovery=self.recovery,
            merkle_root=merkle_root,
        )

    def sign_schnorr_script_path(
        self, pub_key: bytes, origin: BIP32KeyOrigin | None, msg_hash: bytes, leaf_hash: bytes
    ) -> bytes | None:
        """Script path signature, or None if the key is not this party's, or not in the leaf.

        A MuSig2 participant is named for the leaf too, but the leaf holds only the aggregate.
        """
        if b"\x20" + pub_key not in self.leaves.get(leaf_hash, b""):
            return None
        return self.keys.schnorr(
            pub_key, origin=origin, digest=msg_hash, recovery=self.recovery, merkle_root=None
        )


def signed_before(inner: bip174.Psbt, keys: SigningKeys) -> bool:
    """Whether a signature of this party is there already."""
    return any(
        keys.owns(pubkey, origin)
        for each in inner.inputs
        for pubkey, origin in named_keys(each).items()
        if pubkey in signers(each)
    )


def check_sighashes(inner: bip174.Psbt) -> None:
    """Refuse an input that asks for a signature which does not commit to all of the transaction.

    Raises Refused("psbt/sighash").
    """
    for number, each in enumerate(inner.inputs):
        if each.sig_hash_type is None:
            continue
        schnorr = is_taproot(spent_output(number, each).script_pub_key.script)
        wanted = _SIGHASH_DEFAULT if schnorr else _SIGHASH_ALL
        if each.sig_hash_type != wanted:
            raise Refused("psbt/sighash", input=number, sighash=each.sig_hash_type)


def check_signatures(inner: bip174.Psbt) -> None:
    """Verify every signature, and that its key is one the coin's script names.

    Only SIGHASH_ALL, taproot's SIGHASH_DEFAULT and low S pass: anything else would let others
    change the transaction, or not be relayed. Raises Refused: "psbt/sighash",
    "psbt/foreign-signature", "psbt/bad-signature", "musig/partial"; BadInput.
    """
    check_sighashes(inner)
    for number, each in enumerate(inner.inputs):
        try:
            if each.partial_sigs:
                _check_ecdsa(inner, number)
            if each.taproot_key_spend_signature or each.taproot_script_spend_signatures:
                _check_taproot(inner, number)
        except (BTClibValueError, BTClibTypeError) as error:
            raise BadInput("psbt/format", input=number, reason=str(error)[:200]) from error
    check_partials(inner)


def _check_ecdsa(inner: bip174.Psbt, number: int) -> None:
    each = inner.inputs[number]
    script = spent_output(number, each).script_pub_key.script
    if each.witness_script:
        # Else a stranger could bring a script of its own, and be in it.
        if script != b"\x00\x20" + sha256(each.witness_script).digest():
            raise BadInput("psbt/format", input=number, reason="not the coin's witness script")
        script = each.witness_script
    for pubkey, signature in each.partial_sigs.items():
        if pubkey not in script and hash160(pubkey) not in script:
            raise Refused("psbt/foreign-signature", input=number, key=pubkey.hex())
        if signature[-1] != _SIGHASH_ALL:
            raise Refused("psbt/sighash", input=number, key=pubkey.hex(), sighash=signature[-1])
    digest = bip174.ecdsa_sig_hash(inner, number, hash_type=_SIGHASH_ALL)
    for pubkey, signature in each.partial_sigs.items():
        if not _verifies(digest, pubkey, signature[:-1]):
            raise Refused("psbt/bad-signature", input=number, key=pubkey.hex())


def _check_taproot(inner: bip174.Psbt, number: int) -> None:
    each = inner.inputs[number]
    script = spent_output(number, each).script_pub_key.script
    if not is_taproot(script):
        raise Refused("psbt/foreign-signature", input=number, reason="the coin is not taproot")
    output_key = script[2:]
    if each.taproot_key_spend_signature:
        digest = bip174.taproot_sig_hash(inner, number, hash_type=_SIGHASH_DEFAULT)
        _check_schnorr(digest, output_key, each.taproot_key_spend_signature, number)
    leaves = leaf_scripts(each, output_key=output_key)
    for key_data, signature in each.taproot_script_spend_signatures.items():
        key, leaf_hash = key_data[:_XONLY], key_data[_XONLY:]
        if b"\x20" + key not in leaves.get(leaf_hash, b""):
            raise Refused("psbt/foreign-signature", input=number, key=key.hex())
        digest = bip174.taproot_sig_hash(
            inner, number, leaf_hash=leaf_hash, hash_type=_SIGHASH_DEFAULT
        )
        _check_schnorr(digest, key, signature, number)


def _check_schnorr(digest: bytes, key: bytes, signature: bytes, number: int) -> None:
    if len(signature) != _SCHNORR:
        raise Refused("psbt/sighash", input=number, key=key.hex(), sighash=signature[-1])
    if not ssa.verify(digest, key, signature):
        raise Refused("psbt/bad-signature", input=number, key=key.hex())


def _verifies(digest: bytes, pubkey: bytes, signature: bytes) -> bool:
    try:
        return dsa.verify(digest, pubkey, signature)  # libsecp256k1 takes low S only
    except ValueError:
        return False
