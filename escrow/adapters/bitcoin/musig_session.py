"""What a PSBT says about MuSig2 (BIP-327, BIP-373): keys, messages, public halves.

Nothing here is secret. The same questions are asked before a signer signs, when copies are
combined, and when partial signatures are added up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256

from btclib.exceptions import BTClibTypeError, BTClibValueError
from btclib.hashes import hash160
from btclib_secp256k1 import musig
from btclib_wallet.bip32 import BIP328_CHAIN_CODE, pub_key_derivation_tweaks
from btclib_wallet.psbt import psbt as bip174
from btclib_wallet.psbt.psbt_in import PsbtIn

from escrow.adapters.bitcoin.psbt_input import is_taproot, leaf_scripts, spent_output
from escrow.core.errors import BadInput, Refused


@dataclass(frozen=True, slots=True)
class Place:
    """One signature that several keys make as one."""

    number: int
    """Input."""
    members: tuple[bytes, ...]
    """Public keys of the participants, 33 bytes, in the order in which they were aggregated."""
    key: bytes
    """The aggregate with its tweaks, 33 bytes: the key that the signature is verified with."""
    leaf_hash: bytes
    """The leaf whose key it is; empty on the key path."""
    digest: bytes
    """The message."""
    cache: musig.KeyAggCache
    """libsecp256k1's form of members and tweaks."""

    def field(self, member: bytes) -> bytes:
        """Under which key a PSBT files what ``member`` gives (BIP-373)."""
        return member + self.key + self.leaf_hash

    def nonces(self, inner: bip174.Psbt) -> dict[bytes, bytes]:
        """Member → public nonce, of those who gave one."""
        return self._found(inner.inputs[self.number].musig2_pub_nonces)

    def partials(self, inner: bip174.Psbt) -> dict[bytes, bytes]:
        """Member → partial signature, of those who gave one."""
        return self._found(inner.inputs[self.number].musig2_partial_sigs)

    def session(self, nonces: Mapping[bytes, bytes]) -> musig.Session:
        """The session of everybody's public nonces.

        Raises Refused: "psbt/incomplete" if one is missing, "musig/partial" if one is no nonce.
        """
        for member in self.members:
            if member not in nonces:
                raise Refused(
                    "psbt/incomplete", input=self.number, key=member.hex(), missing="public nonce"
                )
            try:
                musig.nonce_agg([nonces[member]])
            except ValueError:
                raise Refused("musig/partial", input=self.number, key=member.hex()) from None
        total = musig.nonce_agg([nonces[member] for member in self.members])
        return musig.Session(total, self.digest, self.cache)

    def check(self, inner: bip174.Psbt) -> musig.Session:
        """Verify every partial signature that is there.

        Raises as ``session``, and Refused("musig/partial") for one that is not its signer's, made
        of that signer's own public nonce.
        """
        nonces = self.nonces(inner)
        session = self.session(nonces)
        for member, partial in self.partials(inner).items():
            try:
                good = session.partial_sig_verify(partial, nonces[member], member, self.cache)
            except ValueError:
                good = False
            if not good:
                raise Refused("musig/partial", input=self.number, key=member.hex())
        return session

    def _found(self, fields: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
        return {
            member: fields[self.field(member)]
            for member in self.members
            if self.field(member) in fields
        }


def places(inner: bip174.Psbt) -> list[Place]:
    """Every signature that the PSBT asks of a MuSig2 group.

    Raises BadInput("psbt/format") if participants, tweaks and coin do not belong together.
    """
    found: list[Place] = []
    for number, each in enumerate(inner.inputs):
        for aggregate, members in each.musig2_participant_pub_keys.items():
            try:
                found.extend(_places(inner, number, aggregate=aggregate, members=members))
            except (BTClibValueError, BTClibTypeError, ValueError) as error:
                raise BadInput("psbt/format", input=number, reason=str(error)[:200]) from error
    return found


def check_partials(inner: bip174.Psbt) -> None:
    """Verify all partial signatures, and that nobody else's are there.

    Raises Refused: "psbt/foreign-signature", and as ``Place.check``; BadInput as ``places``.
    """
    if not any(each.musig2_pub_nonces or each.musig2_partial_sigs for each in inner.inputs):
        return
    known: set[tuple[int, bytes]] = set()
    for place in places(inner):
        known |= {(place.number, place.field(member)) for member in place.members}
        if place.partials(inner):
            place.check(inner)
    for number, each in enumerate(inner.inputs):
        for field in (*each.musig2_pub_nonces, *each.musig2_partial_sigs):
            if (number, field) not in known:
                raise Refused("psbt/foreign-signature", input=number, key=field[:33].hex())


def _places(
    inner: bip174.Psbt, number: int, *, aggregate: bytes, members: list[bytes]
) -> Iterator[Place]:
    each = inner.inputs[number]
    script = spent_output(number, each).script_pub_key.script
    if not is_taproot(script):
        raise ValueError("participants of a coin that is not taproot")
    tweaks = _key_path_tweaks(each, aggregate)
    leaves = leaf_scripts(each, output_key=script[2:])
    theirs = [leaf for leaf, code in leaves.items() if b"\x20" + aggregate[1:] in code]
    for leaf_hash in (*([b""] if tweaks is not None else []), *theirs):
        cache = musig.KeyAggCache(members)
        if cache.pubkey_get() != aggregate:
            raise ValueError("the participants make another aggregate key")
        if not leaf_hash and tweaks is not None:
            for tweak in tweaks[:-1]:
                cache.pubkey_ec_tweak_add(tweak)
            cache.pubkey_xonly_tweak_add(tweaks[-1])
            if cache.pubkey_get()[1:] != script[2:]:
                raise ValueError("the aggregate key does not lead to the coin")
        digest = bip174.taproot_sig_hash(inner, number, leaf_hash=leaf_hash, hash_type=0)
        yield Place(number, tuple(members), cache.pubkey_get(), leaf_hash, digest, cache)


def _key_path_tweaks(each: PsbtIn, aggregate: bytes) -> list[bytes] | None:
    """Tweaks from the aggregate to the coin's key, BIP-341's last; None if it leads elsewhere."""
    internal = each.taproot_internal_key
    if not internal:
        return None
    tag = sha256(b"TapTweak").digest()
    commitment = sha256(tag + tag + internal + each.taproot_merkle_root).digest()
    if internal == aggregate[1:]:
        return [commitment]
    _, origin = each.taproot_hd_key_paths.get(internal, (None, None))
    if origin is None or origin.master_fingerprint != hash160(aggregate)[:4]:
        return None
    # BIP-328: the aggregate as an extended key, and a child of it inside.
    steps = pub_key_derivation_tweaks(aggregate, BIP328_CHAIN_CODE, origin.der_path)
    return [*steps, commitment]
