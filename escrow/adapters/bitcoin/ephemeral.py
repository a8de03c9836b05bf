"""A key that signs the exits of a vault and is destroyed, so that no other exit can be signed."""

from __future__ import annotations

from typing import Final

from btclib.hashes import hash160
from btclib_secp256k1 import keys, ssa
from btclib_wallet.bip32 import BIP32KeyOrigin

from escrow.adapters.bitcoin.keys import VaultKey
from escrow.core.errors import BadInput, Refused

_SECRET_BYTES: Final = 32
_AUX: Final = bytes(32)  # BIP-340 without chance: the nonce follows from key and message


class EphemeralKey:
    """Holds one private key until ``destroy``. Shows nothing but its public key.

    What Python copied on the way cannot be wiped with certainty: in earnest such a key lives in a
    process of its own, which ends. The rule that it signs nothing more is kept here in any case.
    """

    __slots__ = ("_secret", "pubkey")

    def __init__(self, secret: bytes) -> None:
        """``secret`` is 32 bytes that nobody else has. Raises BadInput("bitcoin/key")."""
        try:
            self.pubkey = keys.pubkey_from_prvkey(secret)
            """The public key, 33 bytes."""
        except (ValueError, TypeError):
            # Not chained: the library's message may quote what it was given.
            raise BadInput("bitcoin/key", reason="not a private key") from None
        self._secret = bytearray(secret)

    def __repr__(self) -> str:
        return f"EphemeralKey({self.name}{', destroyed' if self.destroyed else ''})"

    def __reduce__(self) -> str:
        raise TypeError("keys are not pickled")

    @property
    def name(self) -> str:
        """First four bytes of the public key's hash, as a key's origin has it (BIP-380)."""
        return hash160(self.pubkey)[:4].hex()

    @property
    def destroyed(self) -> bool:
        """Whether it can sign no more."""
        return not self._secret

    @property
    def vault_key(self) -> VaultKey:
        """The key as a vault names it. It has no path: it comes from no seed."""
        return VaultKey(
            f"[{self.name}]{self.pubkey.hex()}",
            self.pubkey,
            BIP32KeyOrigin(bytes.fromhex(self.name), ()),
        )

    def destroy(self) -> None:
        """Wipe the private key. Safe to call twice."""
        self._secret[:] = bytes(len(self._secret))
        self._secret.clear()

    def owns(self, pubkey: bytes, origin: BIP32KeyOrigin | None = None) -> bool:
        """Whether this is the key, 33 bytes or x-only. ``origin`` is not needed."""
        del origin
        return pubkey in (self.pubkey, self.pubkey[1:])

    def ecdsa(
        self, pubkey: bytes, *, origin: BIP32KeyOrigin | None, digest: bytes, recovery: bool
    ) -> None:
        """Never: it signs in taproot leaves only."""

    def schnorr(
        self,
        pubkey: bytes,
        *,
        origin: BIP32KeyOrigin | None,
        digest: bytes,
        recovery: bool,
        merkle_root: bytes | None,
    ) -> bytes | None:
        """BIP-340 signature for a leaf, 64 bytes; None if the key is not this one, or tweaked.

        Raises Refused("signer/destroyed").
        """
        del recovery  # it guards a role, and what it signs is bounded by being destroyed
        if not self.owns(pubkey, origin) or merkle_root is not None:
            return None
        if self.destroyed:
            raise Refused("signer/destroyed", signer=self.name)
        return ssa.sign(digest, self._secret, _AUX)
