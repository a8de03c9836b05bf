"""What exits that were agreed beforehand have in common, however they are completed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from escrow.core.units import Sats


@dataclass(frozen=True, slots=True)
class AgreedExit:
    """A transaction that was agreed beforehand: what it does, and what it still takes."""

    name: str
    """The path, or the oracle's word for it."""
    to: tuple[str, ...]
    """Parties paid, in the order of the outputs."""
    outputs: tuple[tuple[bytes, Sats], ...]
    """Script and amount."""
    txid: str
    """Its id: witnesses are not part of it, so it is known before it is signed."""
    vsize: int
    """Virtual bytes once complete; the most it can take where signatures vary in length."""
    fee: Sats
    """Left to the miner, fixed when it was signed."""
    locktime: int
    """nLockTime: unix **block** time that must have passed; 0 if none."""
    signers: tuple[str, ...]
    """Roles that must still act: sign, or attest."""
    held_by: tuple[str, ...]
    """Parties that hold the transaction and can send it."""


def set_id(txids: Sequence[str]) -> str:
    """One name for several transactions, whatever their order."""
    return sha256(b"escrow/exits/" + "".join(sorted(txids)).encode()).hexdigest()
