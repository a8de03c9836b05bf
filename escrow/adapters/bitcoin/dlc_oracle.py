"""The oracle of a discreet log contract: announces an event, and later attests one outcome.

An announcement commits to a nonce, so that both parties know beforehand the point under which
each outcome's transaction is encrypted (dlcspecs, Oracle.md). The attestation is the scalar of
one of those points. The oracle never sees the contract, and cannot tell who uses its word.

A nonce signs one message: two outcomes attested for one event give the oracle's key away. So it
refuses the second, and whoever holds two such attestations can prove the fraud.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Self

from btclib.exceptions import BTClibTypeError, BTClibValueError
from btclib_secp256k1 import ssa
from btclib_wallet import dlc as dlcspecs
from ecc.curves import mult
from ecc.ecc import dlc_oracle
from ecc.hashes import tagged_hash

from escrow.core.errors import BadInput, Refused
from escrow.core.units import Seconds

MAX_OUTCOMES: Final = 256
"""Most outcomes of one event: each costs both parties an adaptor signature and its check."""
MAX_TLV: Final = 1 << 16
"""Bytes of the largest announcement or attestation that is read."""

_ANNOUNCEMENT_TAG: Final = b"DLC/oracle/announcement/v0"
_ORDER: Final = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141
_SEED_BYTES: Final = range(16, 65)
_MAX_WORD: Final = 100
_UNREADABLE: Final = (BTClibValueError, BTClibTypeError, ValueError, OverflowError)


@dataclass(frozen=True, slots=True)
class Announcement:
    """An event that an oracle promises to attest."""

    oracle: bytes
    """The oracle's public key, x only, 32 bytes."""
    event: str
    """What will be attested; it should name the loan, or an old word could settle a new one."""
    outcomes: tuple[str, ...]
    """Every word that the oracle may say about it."""
    matures: Seconds
    """Unix time by which the oracle means to have spoken."""
    nonce: bytes
    """Public nonce of the attestation, x only, 32 bytes."""
    signature: bytes
    """The oracle's over all of this, 64 bytes (BIP-340)."""

    @classmethod
    def parse(cls, raw: bytes, *, oracle: bytes) -> Self:
        """Read an ``oracle_announcement`` TLV of the oracle whose key the reader knows already.

        Raises BadInput("dlc/format"), and Refused("dlc/signature") if it is another oracle's or
        the signature does not verify.
        """
        if len(raw) > MAX_TLV:
            raise BadInput("dlc/format", size=len(raw))
        try:
            wire = dlcspecs.OracleAnnouncement.parse(raw)
            if not isinstance(wire.event.descriptor, dlcspecs.EnumEventDescriptor):
                raise BadInput("dlc/format", reason="only events with a list of outcomes")
            outcomes = _checked(wire.event.event_id, wire.event.descriptor.outcomes)
            valid = wire.public_key == oracle and dlcspecs.verify_announcement(wire)
        except _UNREADABLE as error:
            raise BadInput("dlc/format", reason=str(error)[:200]) from error
        if not valid:
            raise Refused("dlc/signature", of="oracle", event=wire.event.event_id)
        return cls(
            wire.public_key,
            wire.event.event_id,
            outcomes,
            Seconds(wire.event.maturity_epoch),
            wire.event.nonces[0],
            wire.signature,
        )

    def serialize(self) -> bytes:
        """The TLV that ``parse`` reads."""
        return self.wire().serialize()

    def wire(self) -> dlcspecs.OracleAnnouncement:
        """As the library has it."""
        event = _event(self.event, self.outcomes, self.matures, self.nonce)
        return dlcspecs.OracleAnnouncement(
            signature=self.signature, public_key=self.oracle, event=event
        )

    def point(self, outcome: str) -> tuple[int, int]:
        """The point whose scalar attests ``outcome``. Raises Refused("dlc/outcome")."""
        if outcome not in self.outcomes:
            raise Refused("dlc/outcome", outcome=outcome[:_MAX_WORD])
        message = dlcspecs.outcome_message(outcome)
        return dlc_oracle.sig_point_var_(message, self.oracle, self.nonce)


@dataclass(frozen=True, slots=True)
class Attestation:
    """What an oracle says has happened. Public once it is said."""

    oracle: bytes
    """The oracle's public key, x only, 32 bytes."""
    event: str
    """Which event."""
    outcome: str
    """What happened."""
    signature: bytes
    """64 bytes: the nonce that was announced, and the scalar that decrypts (BIP-340)."""

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Read an ``oracle_attestation`` TLV; ``check`` says if it is true to an announcement.

        Raises BadInput("dlc/format").
        """
        if len(raw) > MAX_TLV:
            raise BadInput("dlc/format", size=len(raw))
        try:
            wire = dlcspecs.OracleAttestation.parse(raw)
        except _UNREADABLE as error:
            raise BadInput("dlc/format", reason=str(error)[:200]) from error
        if len(wire.outcomes) != 1:
            raise BadInput("dlc/format", reason="only events with a list of outcomes")
        return cls(wire.public_key, wire.event_id, wire.outcomes[0], wire.signatures[0])

    def serialize(self) -> bytes:
        """The TLV that ``parse`` reads."""
        return self.wire().serialize()

    def wire(self) -> dlcspecs.OracleAttestation:
        """As the library has it."""
        return dlcspecs.OracleAttestation(
            event_id=self.event,
            public_key=self.oracle,
            signatures=(self.signature,),
            outcomes=(self.outcome,),
        )

    def check(self, announcement: Announcement) -> None:
        """Raises Refused("dlc/signature") unless it attests an outcome of the announced event."""
        try:
            valid = dlcspecs.verify_attestation(announcement.wire(), self.wire())
        except _UNREADABLE as error:
            raise BadInput("dlc/format", reason=str(error)[:200]) from error
        if not valid:
            raise Refused("dlc/signature", of="oracle", event=self.event[:_MAX_WORD])


class Oracle:
    """Holds the key and the nonces. Shows nothing but its public key."""

    __slots__ = ("_attested", "_seed", "public_key")

    def __init__(self, seed: bytes, *, attested: Mapping[str, str] | None = None) -> None:
        """``seed`` is 16 to 64 secret bytes. Raises BadInput("bitcoin/key").

        ``attested`` is what an oracle of this seed has said before, event to outcome: nonces come
        from the seed, so one that forgets its words could be made to contradict them.
        """
        if len(seed) not in _SEED_BYTES:
            raise BadInput("bitcoin/key", seed_bytes=len(seed))
        self._seed = seed
        self._attested = dict(attested or {})
        self.public_key = mult(self._secret(b"key"))[0].to_bytes(32, "big")
        """X only, 32 bytes: what both parties of a contract must know beforehand."""

    def __repr__(self) -> str:
        return f"Oracle({self.public_key.hex()[:16]}…, attested={len(self._attested)})"

    def __reduce__(self) -> str:
        raise TypeError("keys are not pickled")

    @property
    def attested(self) -> Mapping[str, str]:
        """Event → outcome, of all that was attested."""
        return MappingProxyType(self._attested)

    def announce(self, event: str, *, outcomes: Sequence[str], matures: Seconds) -> Announcement:
        """Commit to attesting one of ``outcomes``. Raises BadInput("dlc/format").

        The nonce follows from the whole of the event: the same words twice are one announcement,
        and any other words have a nonce of their own.
        """
        named = _checked(event, tuple(outcomes))
        try:
            draft = _event(event, named, matures, self.public_key)
            nonce = mult(self._nonce(draft))[0].to_bytes(32, "big")
            message = tagged_hash(
                _ANNOUNCEMENT_TAG, _event(event, named, matures, nonce).serialize()
            )
        except _UNREADABLE as error:
            raise BadInput("dlc/format", reason=str(error)[:200]) from error
        # The library's own signature is new each time; this one is a function of the event.
        signature = ssa.sign(message, self._secret(b"key"), bytes(32))
        return Announcement(self.public_key, event, named, matures, nonce, signature)

    def attest(self, announcement: Announcement, *, outcome: str) -> Attestation:
        """Say what happened. Saying the same again is harmless, and gives the same signature.

        Raises Refused: "dlc/attested" if another outcome of this event was attested, "dlc/outcome"
        if it is none of the announced, "dlc/signature" if the announcement is not this oracle's.
        """
        said = self._attested.get(announcement.event, outcome)
        if said != outcome:
            raise Refused("dlc/attested", event=announcement.event, outcome=said)
        if outcome not in announcement.outcomes:
            raise Refused("dlc/outcome", outcome=outcome[:_MAX_WORD])
        mine = self.announce(
            announcement.event, outcomes=announcement.outcomes, matures=announcement.matures
        )
        if mine != announcement:
            raise Refused("dlc/signature", of="oracle", event=announcement.event)
        draft = _event(mine.event, mine.outcomes, mine.matures, self.public_key)
        signed = dlcspecs.sign_attestation(
            mine.wire(), (outcome,), self._secret(b"key"), (self._nonce(draft),)
        )
        self._attested[announcement.event] = outcome
        return Attestation(self.public_key, mine.event, outcome, signed.signatures[0])

    def _nonce(self, draft: dlcspecs.OracleEvent) -> int:
        return self._secret(b"nonce/" + draft.serialize())

    def _secret(self, purpose: bytes) -> int:
        # One of 2**128 seeds would meet the bias of this reduction.
        digest = hmac.digest(self._seed, b"escrow/dlc-oracle/" + purpose, "sha256")
        return 1 + int.from_bytes(digest, "big") % (_ORDER - 1)


def contradict(first: Attestation, second: Attestation, *, of: Announcement) -> bool:
    """Whether two attestations prove that the oracle of an announcement has lied.

    Raises Refused("dlc/signature") if either is not about that announcement.
    """
    first.check(of)
    second.check(of)
    return first.outcome != second.outcome


def _event(
    event: str, outcomes: tuple[str, ...], matures: Seconds, nonce: bytes
) -> dlcspecs.OracleEvent:
    return dlcspecs.OracleEvent(
        nonces=(nonce,),
        maturity_epoch=matures,
        descriptor=dlcspecs.EnumEventDescriptor(outcomes=outcomes),
        event_id=event,
    )


def _checked(event: str, outcomes: tuple[str, ...]) -> tuple[str, ...]:
    words = (event, *outcomes)
    if not 1 <= len(outcomes) <= MAX_OUTCOMES or not all(0 < len(w) <= _MAX_WORD for w in words):
        raise BadInput("dlc/format", outcomes=len(outcomes), longest=max(map(len, words)))
    return outcomes
