"""MuSig2 (BIP-327) over PSBTs (BIP-373): several keys, one signature, two rounds.

Each party has a ``MusigSigner``. Round 1: everybody adds public nonces (``nonces``), and the
copies are combined. Round 2: everybody adds a partial signature (``partial``), and the copies are
combined. Then anyone adds them up (``aggregate``), and finalizing goes on as ever.

The secret half of a nonce lives in the memory of its ``MusigSigner`` and nowhere else: not in the
PSBT, not in a file, not in a copy. It signs once. Two partial signatures made with one nonce, in
sessions that differ in anything, give the private key away by school algebra; that is also why
nonces are not derived from the message alone, as ECDSA's are: the other signers' nonces are part
of what is signed, and they may change them between two attempts. So each session takes 32 bytes
that were never used before with these keys, by any process. By default they are from the
operating system; a simulation that must end in the same chain each time passes its own stream.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, Never, Protocol

from btclib_secp256k1 import musig, ssa
from btclib_wallet.bip32 import BIP32KeyOrigin
from btclib_wallet.psbt import psbt as bip174

from escrow.adapters.bitcoin.musig_session import Place, check_partials, places
from escrow.adapters.bitcoin.psbt_asked import is_locked
from escrow.adapters.bitcoin.psbt_data import Psbt, unshared
from escrow.adapters.bitcoin.signatures import check_sighashes
from escrow.core.errors import BadInput, Refused

SESSION_BYTES: Final = 32
"""Size of what makes a session's nonces new."""


class MusigKeys(Protocol):
    """Private keys that take part in MuSig2: ``Keys``, and nothing that signs by PKCS#11."""

    @property
    def name(self) -> str:
        """How refusals name this signer."""

    def owns(self, pubkey: bytes, origin: BIP32KeyOrigin | None) -> bool:
        """Whether the private key is here."""

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
        """A secret nonce; None if the key is not here."""

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
        """A partial signature, after which the nonce is gone; None if the key is not here."""


@dataclass(frozen=True, slots=True, repr=False)
class _Held:
    """A secret nonce that waits for round 2."""

    place: tuple[str, int, bytes]
    """Transaction, input, and under which key the PSBT files the public half."""
    digest: bytes
    """The one message it may sign."""
    secret: musig.SecretNonce
    """The secret half: libsecp256k1's own object, which wipes itself when it signs."""


class MusigSigner:
    """One party's side of MuSig2 sessions. Cannot be copied or pickled, and shows nothing."""

    __slots__ = ("_held", "_keys", "_sessions")

    def __init__(self, keys: MusigKeys) -> None:
        """Signs with every key of this party that a PSBT names as a participant."""
        self._keys = keys
        self._held: dict[bytes, _Held] = {}
        self._sessions: set[bytes] = set()

    def __repr__(self) -> str:
        return f"MusigSigner({self._keys.name})"

    def __copy__(self) -> Never:
        raise TypeError("secret nonces are not copied")

    def __deepcopy__(self, memo: object) -> Never:
        raise TypeError("secret nonces are not copied")

    def __reduce_ex__(self, protocol: object) -> Never:
        raise TypeError("secret nonces are not pickled")

    def nonces(self, psbt: Psbt, *, session: bytes | None = None) -> Psbt:
        """Round 1: the PSBT with this party's public nonces.

        ``session`` is 32 bytes, never used before with these keys; None: from the operating
        system. Asked again for the same signature, the first nonce is wiped and a new one made.
        Raises Refused: "musig/nonce" for a session used before, "psbt/no-key" if no group has a
        key of this party, "psbt/sighash"; BadInput("musig/nonce") for another size,
        BadInput("psbt/format").
        """
        session = os.urandom(SESSION_BYTES) if session is None else session
        if len(session) != SESSION_BYTES:
            raise BadInput("musig/nonce", size=len(session))
        mark = sha256(session).digest()
        if mark in self._sessions:
            raise Refused("musig/nonce", signer=self._keys.name, reason="session used before")
        inner = unshared(psbt._inner)
        check_sighashes(inner)
        ours = list(self._ours(inner))
        if not ours:
            raise Refused("psbt/no-key", signer=self._keys.name)
        self._sessions.add(mark)
        for place, member, origin in ours:
            field = place.field(member)
            # One session may sign in several places, and no two of them may share a nonce.
            salt = sha256(session + place.number.to_bytes(4, "big") + field).digest()
            secret = self._keys.musig_nonce(
                member,
                origin=origin,
                recovery=is_locked(inner),
                session=salt,
                digest=place.digest,
                cache=place.cache,
            )
            assert secret is not None
            where = (psbt.txid, place.number, field)
            self._drop(where)
            self._held[secret.pubnonce] = _Held(where, place.digest, secret)
            each = inner.inputs[place.number]
            each.musig2_pub_nonces = dict(
                sorted((each.musig2_pub_nonces | {field: secret.pubnonce}).items())
            )
        return Psbt(inner)

    def partial(self, psbt: Psbt) -> Psbt:
        """Round 2: the PSBT with this party's partial signatures. Its nonces are gone then.

        Raises Refused: "musig/nonce" if a public nonce of this party in the PSBT is missing, not
        of this signer, used before, or was made for another message; "psbt/incomplete" if another
        party's is missing; "musig/partial" if one is malformed or a partial signature is wrong;
        "psbt/no-key", "psbt/sighash"; BadInput("psbt/format"). Refused, nothing was used up.
        """
        inner = unshared(psbt._inner)
        check_sighashes(inner)
        check_partials(inner)
        work = []
        for place, member, origin in self._ours(inner):
            public = place.nonces(inner).get(member, b"")
            held = self._held.get(public)
            where = (psbt.txid, place.number, place.field(member))
            if held is None or held.place != where or held.digest != place.digest:
                raise Refused("musig/nonce", signer=self._keys.name, input=place.number)
            work.append((place, member, origin, public, place.session(place.nonces(inner))))
        if not work:
            raise Refused("psbt/no-key", signer=self._keys.name)
        for place, member, origin, public, session in work:
            signature = self._keys.musig_sign(
                member,
                origin=origin,
                recovery=is_locked(inner),
                nonce=self._held.pop(public).secret,
                cache=place.cache,
                session=session,
            )
            assert signature is not None
            each = inner.inputs[place.number]
            each.musig2_partial_sigs = dict(
                sorted((each.musig2_partial_sigs | {place.field(member): signature}).items())
            )
        return Psbt(inner)

    def close(self) -> None:
        """Wipe every secret nonce that was not used."""
        for held in self._held.values():
            held.secret.wipe()
        self._held.clear()

    def _drop(self, where: tuple[str, int, bytes]) -> None:
        for public in [public for public, held in self._held.items() if held.place == where]:
            self._held.pop(public).secret.wipe()

    def _ours(self, inner: bip174.Psbt) -> Iterator[tuple[Place, bytes, BIP32KeyOrigin]]:
        for place in places(inner):
            named = inner.inputs[place.number].taproot_hd_key_paths
            for member in dict.fromkeys(place.members):
                _, origin = named.get(member[1:], (None, None))
                if origin is not None and self._keys.owns(member, origin):
                    yield place, member, origin


def aggregate(psbt: Psbt) -> Psbt:
    """Add up the partial signatures of every group that is complete: one signature each.

    Public nonces and partial signatures leave the PSBT, participants stay. Raises Refused:
    "psbt/incomplete" if no group is complete, naming a signer that is missing; "musig/partial"
    naming the signer of a wrong one; BadInput("psbt/format").
    """
    inner = unshared(psbt._inner)
    check_partials(inner)
    missing = b""
    done = False
    for place in places(inner):
        each = inner.inputs[place.number]
        partials = place.partials(inner)
        absent = [member for member in place.members if member not in partials]
        if absent:
            missing = missing or absent[0]
            continue
        session = place.check(inner)
        signature = session.partial_sig_agg([partials[member] for member in place.members])
        if not ssa.verify(place.digest, place.key, signature):
            raise Refused("musig/partial", input=place.number)
        if place.leaf_hash:
            filed = {place.key[1:] + place.leaf_hash: signature}
            each.taproot_script_spend_signatures = dict(
                sorted((each.taproot_script_spend_signatures | filed).items())
            )
        else:
            each.taproot_key_spend_signature = signature
        fields = {place.field(member) for member in place.members}
        each.musig2_pub_nonces = _without(each.musig2_pub_nonces, fields)
        each.musig2_partial_sigs = _without(each.musig2_partial_sigs, fields)
        done = True
    if not done:
        raise Refused("psbt/incomplete", missing=missing.hex())
    return Psbt(inner)


def _without(fields: dict[bytes, bytes], gone: set[bytes]) -> dict[bytes, bytes]:
    return {key: value for key, value in fields.items() if key not in gone}
