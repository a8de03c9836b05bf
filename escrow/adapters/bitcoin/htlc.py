"""A hash time lock on Bitcoin: coins for who shows a secret, back to who locked them after a time.

One leg of an atomic swap with another chain. The script is miniscript in P2WSH::

    wsh(andor(pk(CLAIMER),sha256(H),and_v(v:pk(REFUNDER),after(T))))

Bitcoin enforces both ways out and the beginning of the second, but no end of the first: after T
whoever is first in a block has the coins. ``sha256`` takes a preimage of exactly 32 bytes
(BIP-379), as the EVM's ``bytes32`` does, so no secret opens one leg and is too long for the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from hashlib import sha256
from types import MappingProxyType
from typing import Final, Self

from btclib_wallet.bip32 import BIP32KeyOrigin
from btclib_wallet.descriptors import WshDescriptor, add_checksum, parse

from escrow.adapters.bitcoin import psbt as bip174
from escrow.adapters.bitcoin.exits import LOW_R_SIGNATURE, vsize_of, witness_size
from escrow.adapters.bitcoin.keys import VaultKey
from escrow.adapters.bitcoin.policy import LOCKTIME_THRESHOLD, read_transaction
from escrow.adapters.bitcoin.psbt_data import Psbt, unshared
from escrow.adapters.bitcoin.signatures import SigningKeys
from escrow.adapters.bitcoin.types import OutPoint
from escrow.adapters.bitcoin.vault import MAX_RECOVER_AFTER, address_of, dust
from escrow.core.errors import BadInput, Refused
from escrow.core.units import Sats, Seconds

SECRET_BYTES: Final = 32
"""Length of every preimage (BIP-379)."""

_NETWORK: Final = "regtest"


class Way(Enum):
    """How the coins leave."""

    CLAIM = "claim"
    """The claimer signs and shows the secret."""
    REFUND = "refund"
    """The refunder signs, once its time has come."""


@dataclass(frozen=True, slots=True)
class HashTimeLock:
    """The lock, computed once from two keys, a digest and a time."""

    claimer: VaultKey
    refunder: VaultKey
    digest: bytes
    """SHA-256 of the secret, 32 bytes."""
    refund_after: Seconds
    """Unix **block** time from which the refunder may take the coins (median time past)."""
    descriptor: str
    """Output descriptor with checksum (BIP-380)."""
    witness_script: bytes
    script_pubkey: bytes
    """The output script, 34 bytes."""

    @classmethod
    def create(
        cls, *, claimer: VaultKey, refunder: VaultKey, digest: bytes, refund_after: Seconds
    ) -> Self:
        """Raises BadInput: "bitcoin/key" if both have one key, "swap/terms" for a digest that is
        none, "input/time" for a time that a lock cannot carry."""
        if claimer.pubkey[1:] == refunder.pubkey[1:]:
            raise BadInput("bitcoin/key", reason="two parties share a key")
        if len(digest) != SECRET_BYTES:
            raise BadInput("swap/terms", digest_bytes=len(digest))
        if not LOCKTIME_THRESHOLD <= refund_after <= MAX_RECOVER_AFTER:
            raise BadInput("input/time", time=refund_after)
        back = f"and_v(v:pk({refunder.expression}),after({refund_after}))"
        text = f"wsh(andor(pk({claimer.expression}),sha256({digest.hex()}),{back}))"
        parsed = parse(text, network=_NETWORK)
        assert isinstance(parsed, WshDescriptor)
        return cls(
            claimer=claimer,
            refunder=refunder,
            digest=digest,
            refund_after=refund_after,
            descriptor=add_checksum(text),
            witness_script=parsed.inner.script_pub_key().script,
            script_pubkey=parsed.script_pub_key().script,
        )

    @property
    def address(self) -> str:
        """Where to pay, ``bcrt1q…``."""
        return address_of(self.script_pubkey)

    @property
    def origins(self) -> Mapping[bytes, BIP32KeyOrigin]:
        """Public key → where its owner finds the private key."""
        return MappingProxyType({k.pubkey: k.origin for k in (self.claimer, self.refunder)})

    def vsize(self, way: Way, script: bytes) -> int:
        """Most virtual bytes of a spend of one coin to one output with this script."""
        # From the bottom: signature and secret; or signature, and nothing for the claimer's.
        stack = [LOW_R_SIGNATURE, 0] if way is Way.REFUND else [SECRET_BYTES, LOW_R_SIGNATURE]
        witness = witness_size([*stack, len(self.witness_script)])
        return vsize_of(1, outputs=[script], witness=witness)

    def claim(
        self,
        outpoint: OutPoint,
        *,
        prev_tx: bytes,
        to: bytes,
        feerate: int,
        keys: SigningKeys,
        secret: bytes,
    ) -> bytes:
        """The claimer's signed transaction, which shows the secret to whoever sees it.

        ``prev_tx`` is the transaction of the outpoint, ``to`` the script that is paid, ``feerate``
        sat/vB. Raises as :meth:`refund`, and BadInput("swap/preimage") for bytes that are
        not the secret, which are not repeated.
        """
        if not opens(secret, self.digest):
            raise BadInput("swap/preimage", preimage_bytes=len(secret))
        signed = self._signed(Way.CLAIM, outpoint, prev_tx, to=to, feerate=feerate, keys=keys)
        inner = unshared(signed._inner)
        inner.inputs[0].sha256_preimages = {self.digest: secret}
        return bip174.extract(bip174.finalize(Psbt(inner)))

    def refund(
        self, outpoint: OutPoint, *, prev_tx: bytes, to: bytes, feerate: int, keys: SigningKeys
    ) -> bytes:
        """The refunder's signed transaction; no block takes it before ``refund_after``.

        Raises Refused: "bitcoin/funds" if the fee would leave less than dust, "psbt/no-key" for
        keys of somebody else.
        """
        signed = self._signed(Way.REFUND, outpoint, prev_tx, to=to, feerate=feerate, keys=keys)
        return bip174.extract(bip174.finalize(signed))

    def _signed(
        self,
        way: Way,
        outpoint: OutPoint,
        prev_tx: bytes,
        *,
        to: bytes,
        feerate: int,
        keys: SigningKeys,
    ) -> Psbt:
        left = Sats(sats_of(outpoint, prev_tx) - feerate * self.vsize(way, to))
        if left < dust(to):
            raise Refused("bitcoin/funds", wanted=dust(to), balance=left)
        draft = bip174.create(
            [outpoint],
            outputs=[(to, left)],
            locktime=self.refund_after if way is Way.REFUND else 0,
        )
        return bip174.sign(bip174.update(draft, owner=self, prev_txs=[prev_tx]), keys=keys)


def sats_of(outpoint: OutPoint, raw: bytes) -> Sats:
    """What an output of this transaction carries. Raises BadInput("bitcoin/transaction")."""
    outputs = read_transaction(raw).vout
    if outpoint.vout >= len(outputs):
        raise BadInput("bitcoin/transaction", outpoint=str(outpoint))
    return Sats(outputs[outpoint.vout].value)


def opens(secret: bytes, digest: bytes) -> bool:
    """Is this the secret behind the digest?"""
    return len(secret) == SECRET_BYTES and sha256(secret).digest() == digest


def shown_in(raw: bytes, digest: bytes) -> bytes | None:
    """The secret, if a transaction shows it in a witness. Raises BadInput("bitcoin/transaction")"""
    for each in read_transaction(raw).vin:
        for item in each.script_witness.stack:
            if opens(item, digest):
                return bytes(item)
    return None
