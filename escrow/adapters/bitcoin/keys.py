"""A party's keys, all from one seed, and the only place where a private key signs.

Paths are the field's own, so that any wallet finds the keys again: BIP-48 for the vault, BIP-84
for the party's own coins, BIP-44 coin type 60 for its EVM account. ECDSA signatures are RFC 6979
with low R, Schnorr signatures BIP-340 without auxiliary randomness: no chance is involved, and an
ECDSA signature never takes more than 71 bytes. MuSig2 alone needs something new each time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Final, Self

from btclib.exceptions import BTClibTypeError, BTClibValueError
from btclib.hashes import hash160
from btclib.script import taproot
from btclib_secp256k1 import dsa, musig, ssa
from btclib_wallet.bip32 import BIP32KeyData, BIP32KeyOrigin
from btclib_wallet.bip32.bip32 import derive_, fingerprint, rootxprv_from_seed_, xpub_from_xprv_
from btclib_wallet.descriptors import parse
from btclib_wallet.mnemonic.bip39 import mxprv_from_mnemonic
from ecc.ecc import ecdsa_adaptor

from escrow.core.errors import BadInput

_NETWORK: Final = "regtest"
_TPRV: Final = bytes.fromhex("04358394")  # BIP-32 version bytes of a test network's private key
_VAULT: Final = "48h/1h/0h/2h"  # BIP-48: coin type 1 is any test network, script type 2 is P2WSH
_RECOVERY: Final = "48h/1h/1h/2h"  # an account of its own: hardened, so one leaf leaks no other
_WALLET: Final = "84h/1h/0h"  # BIP-84: native single-key segwit
_EVM: Final = "44h/60h/0h"  # BIP-44: coin type 60 is Ether
_PUBLIC: Final = ("tpub", "02", "03")  # extended or plain; a hardware token has only plain ones
_SEED_BYTES: Final = range(16, 65)  # BIP-32: 128 to 512 bits
_HARDENED: Final = 1 << 31
_XONLY: Final = 32
_MAX_WORDS: Final = 1_000  # characters of a mnemonic: 24 words take fewer in any language


@dataclass(frozen=True, slots=True)
class VaultKey:
    """One public key of a vault, and where its owner finds the private one."""

    expression: str
    """Key expression with origin (BIP-380): ``[fingerprint/48h/1h/0h/2h]tpub…/0/7``."""
    pubkey: bytes
    """The derived public key, 33 bytes."""
    origin: BIP32KeyOrigin
    """Master fingerprint and whole path, as PSBTs carry it."""

    @classmethod
    def parse(cls, expression: str) -> Self:
        """Derive the key that an expression names.

        Raises BadInput("bitcoin/key") if it is malformed, ranged, of another network, or private:
        a private key must not travel, so it is refused and not repeated in the error.
        """
        if not expression.rpartition("]")[2].startswith(_PUBLIC):
            raise BadInput("bitcoin/key", reason="not a public key")
        try:
            (key,) = parse(f"wpkh({expression})", network=_NETWORK).key_expressions
            pubkey = key.sec(0, _NETWORK)
        except (BTClibValueError, BTClibTypeError, ValueError):
            # Not chained: the library's message may quote what it was given.
            raise BadInput("bitcoin/key", reason="malformed") from None
        if key.is_ranged or key.origin is None:
            raise BadInput("bitcoin/key", reason="ranged or without origin")
        path = (*key.origin.der_path, *key.der_path)
        return cls(expression, pubkey, BIP32KeyOrigin(key.origin.master_fingerprint, path))

    @classmethod
    def single(cls, pubkey: bytes) -> Self:
        """A key that has no BIP-32 path, as a hardware token's: its own fingerprint is its origin.

        Raises BadInput("bitcoin/key").
        """
        return cls.parse(f"[{hash160(pubkey)[:4].hex()}]{pubkey.hex()}")


@dataclass(frozen=True, slots=True)
class WalletKey:
    """A single-key segwit address (P2WPKH) of a party's own wallet."""

    pubkey: bytes
    """The public key, 33 bytes."""
    origin: BIP32KeyOrigin
    """Master fingerprint and whole path."""

    @property
    def script_pubkey(self) -> bytes:
        """The script that pays this key."""
        return b"\x00\x14" + hash160(self.pubkey)

    @property
    def witness_script(self) -> bytes:
        """Empty: P2WPKH has none."""
        return b""

    @property
    def origins(self) -> Mapping[bytes, BIP32KeyOrigin]:
        """The one key and its origin."""
        return {self.pubkey: self.origin}


class Keys:
    """All keys of one party. Shows nothing but its fingerprint."""

    __slots__ = ("__dict__", "_accounts", "_root")

    def __init__(self, seed: bytes) -> None:
        """Derive from a BIP-32 seed of 16 to 64 bytes. Raises BadInput("bitcoin/key")."""
        if len(seed) not in _SEED_BYTES:
            raise BadInput("bitcoin/key", seed_bytes=len(seed))
        self._root = rootxprv_from_seed_(seed, _TPRV)
        self._accounts: dict[str, BIP32KeyData] = {}

    @classmethod
    def from_mnemonic(cls, words: str, *, passphrase: str = "") -> Self:
        """Derive from BIP-39 words. Raises BadInput("signer/mnemonic"), which repeats none."""
        if len(words) > _MAX_WORDS or len(passphrase) > _MAX_WORDS:
            raise BadInput("signer/mnemonic", reason="too long")
        try:
            root = mxprv_from_mnemonic(words, passphrase, _NETWORK)
        except (BTClibValueError, BTClibTypeError, ValueError, TypeError):
            # Not chained: the library's message may quote a word.
            raise BadInput("signer/mnemonic", words=len(words.split())) from None
        keys = cls(bytes(_SEED_BYTES.start))
        keys._root = BIP32KeyData.b58decode(root)
        return keys

    def __repr__(self) -> str:
        return f"Keys({self.fingerprint.hex()})"

    def __reduce__(self) -> str:
        raise TypeError("keys are not pickled")

    @cached_property
    def fingerprint(self) -> bytes:
        """First four bytes of the root key's hash: how PSBTs tell signers apart (BIP-32)."""
        return fingerprint(self._root)

    def vault_key(self, index: int = 0) -> VaultKey:
        """Key ``m/48h/1h/0h/2h/0/index``: this party's vote in the quorum of loan ``index``."""
        return self._vault_key(_VAULT, index)

    def recovery_key(self, index: int = 0) -> VaultKey:
        """Key ``m/48h/1h/1h/2h/0/index``: alone enough once the vault's recovery time has come."""
        return self._vault_key(_RECOVERY, index)

    def wallet_key(self, index: int = 0) -> WalletKey:
        """Key ``m/84h/1h/0h/0/index`` of the party's own wallet."""
        key = xpub_from_xprv_(self._child(_WALLET, index)).key
        return WalletKey(key, self._origin(_WALLET, index))

    def evm_private_key(self, index: int = 0) -> bytes:
        """Private key ``m/44h/60h/0h/0/index``, 32 bytes, for the EVM side to sign with."""
        return self._child(_EVM, index).key[1:]

    @property
    def name(self) -> str:
        """The fingerprint, in hex: how refusals name this signer."""
        return self.fingerprint.hex()

    def owns(self, pubkey: bytes, origin: BIP32KeyOrigin | None) -> bool:
        """Whether ``origin`` is a path of this party that gives ``pubkey``."""
        return self._secret(pubkey, origin=origin, recovery=True) is not None

    def ecdsa(
        self, pubkey: bytes, *, origin: BIP32KeyOrigin | None, digest: bytes, recovery: bool
    ) -> bytes | None:
        """DER signature of ``digest`` if ``origin`` is a path of this party that gives ``pubkey``.

        None if the key is not ours. The recovery account signs only what has a time lock.
        """
        secret = self._secret(pubkey, origin=origin, recovery=recovery)
        if secret is None or len(pubkey) == _XONLY:
            return None
        return dsa.sign(digest, secret, grind=True, pubkey=pubkey)

    def schnorr(
        self,
        pubkey: bytes,
        *,
        origin: BIP32KeyOrigin | None,
        digest: bytes,
        recovery: bool,
        merkle_root: bytes | None,
    ) -> bytes | None:
        """BIP-340 signature of ``digest``, as ``ecdsa``; ``pubkey`` is x-only.

        ``merkle_root`` is what the key is tweaked with to spend by key; None in a script.
        """
        secret = self._secret(pubkey, origin=origin, recovery=recovery)
        if secret is None:
            return None
        if merkle_root is not None:
            tweaked = taproot.output_prvkey_from_merkle_root(
                int.from_bytes(secret, "big"), merkle_root
            )
            secret = tweaked.to_bytes(32, "big")
        return ssa.sign(digest, secret, bytes(32))

    def adaptor(
        self,
        pubkey: bytes,
        *,
        origin: BIP32KeyOrigin | None,
        digest: bytes,
        point: tuple[int, int],
    ) -> bytes | None:
        """ECDSA signature of ``digest`` encrypted under ``point`` (dlcspecs), 162 bytes.

        None if the key is not ours. The nonce follows from key, digest and point.
        """
        secret = self._secret(pubkey, origin=origin, recovery=False)
        return secret and ecdsa_adaptor.encrypt(digest, secret, point, bytes(32))

    def musig_nonce(
        self,
        pubkey: bytes,
        *,
        origin: BIP32KeyOrigin | None,
        recovery: bool,
        session: bytes,
        digest: bytes,
        cache: musig.KeyAggCache,
    ) -> musig.SecretNonce | None:
        """A secret nonce (BIP-327), from the key, the message, the group and ``session``.

        None if the key is not ours. ``session`` is 32 bytes that were never used with this key:
        the same ones for the same message give the same nonce, and two signatures made with it,
        while another signer's nonce changed, give the private key away.
        """
        secret = self._secret(pubkey, origin=origin, recovery=recovery)
        if secret is None:
            return None
        return musig.nonce_gen_counter(secret, 0, digest, cache, session)

    def musig_sign(
        self,
        pubkey: bytes,
        *,
        origin: BIP32KeyOrigin | None,
        recovery: bool,
        nonce: musig.SecretNonce,
        cache: musig.KeyAggCache,
        session: musig.Session,
    ) -> bytes | None:
        """Partial signature, 32 bytes; None if the key is not ours. The nonce is gone then."""
        secret = self._secret(pubkey, origin=origin, recovery=recovery)
        return None if secret is None else nonce.partial_sign(secret, cache, session)

    def _secret(
        self, pubkey: bytes, *, origin: BIP32KeyOrigin | None, recovery: bool
    ) -> bytes | None:
        """The private key of ``pubkey``, 33 bytes or x-only, if it is at ``origin``."""
        if origin is None or origin.master_fingerprint != self.fingerprint:
            return None
        if len(origin.der_path) < 2:
            return None
        *account, branch, index = origin.der_path
        for path in (_VAULT, _WALLET, *([_RECOVERY] if recovery else [])):
            if branch or index >= _HARDENED or tuple(account) != _indexes(path):
                continue
            child = self._child(path, index)
            key = xpub_from_xprv_(child).key
            if pubkey in (key, key[1:]):
                return child.key[1:]
        return None

    def _vault_key(self, path: str, index: int) -> VaultKey:
        account = xpub_from_xprv_(self._account(path)).b58encode()
        return VaultKey(
            f"[{self.fingerprint.hex()}/{path}]{account}/0/{_checked(index)}",
            xpub_from_xprv_(self._child(path, index)).key,
            self._origin(path, index),
        )

    def _origin(self, path: str, index: int) -> BIP32KeyOrigin:
        return BIP32KeyOrigin(self.fingerprint, (*_indexes(path), 0, index))

    def _account(self, path: str) -> BIP32KeyData:
        if path not in self._accounts:
            self._accounts[path] = derive_(self._root, f"m/{path}")
        return self._accounts[path]

    def _child(self, path: str, index: int) -> BIP32KeyData:
        return derive_(self._account(path), [0, _checked(index)])


def derive_seed(parent: bytes, *, name: str) -> bytes:
    """A 32-byte seed for the party ``name`` of a world whose seed is ``parent``."""
    return sha256(b"escrow/seed/" + parent + b"/" + name.encode()).digest()


def _indexes(path: str) -> tuple[int, ...]:
    steps = path.split("/")
    return tuple(int(each.rstrip("h")) + _HARDENED * each.endswith("h") for each in steps)


def _checked(index: int) -> int:
    if not 0 <= index < _HARDENED:
        raise BadInput("bitcoin/key", index=index)
    return index
