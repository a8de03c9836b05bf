"""The vault: two of three, or the borrower alone once the recovery time has come.

``wsh(or_d(multi(2,K1,K2,K3),and_v(v:pkh(R),after(T))))``. Bitcoin itself enforces this, and
nothing else about a loan: who signs for what is each cosigner's own policy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from types import MappingProxyType
from typing import Final, Self

from btclib.b32 import address_from_witness, witness_from_address
from btclib.exceptions import BTClibTypeError, BTClibValueError
from btclib.fee import dust_threshold
from btclib_wallet.bip32 import BIP32KeyOrigin
from btclib_wallet.descriptors import WshDescriptor, add_checksum, parse

from escrow.adapters.bitcoin.keys import VaultKey
from escrow.adapters.bitcoin.policy import LOCKTIME_THRESHOLD
from escrow.core.errors import BadInput
from escrow.core.units import Sats, Seconds

QUORUM: Final = 2
"""Signatures that move coins before the recovery time."""
WITNESS_SCRIPT_SIZE: Final = 139
"""Bytes of every vault's witness script."""
MAX_RECOVER_AFTER: Final = 2**31 - 1
"""Latest recovery time: script numbers are signed, so ``after()`` ends here (BIP-379)."""

_NETWORK: Final = "regtest"
_HRP: Final = "bcrt"
_SIGNATURE: Final = 72  # DER, low S, sighash byte; a hardware token does not grind for low R
_PUBKEY: Final = 33
_INPUT_BASE: Final = 36 + 1 + 4  # outpoint, empty scriptSig, sequence
_OVERHEAD: Final = 4 + 4  # version, locktime
_SEGWIT_MARKER: Final = 2  # witness bytes


@dataclass(frozen=True, slots=True)
class Vault:
    """One loan's vault, computed once from the parties' key expressions."""

    descriptor: str
    """Output descriptor with checksum: all that a watching wallet needs (BIP-380)."""
    address: str
    """Where to pay, ``bcrt1q…``."""
    script_pubkey: bytes
    """The output script, 34 bytes."""
    witness_script: bytes
    """The script behind its hash, shown when spending."""
    recover_after: Seconds
    """Unix **block** time from which the recovery key alone may spend."""
    roles: Mapping[bytes, str]
    """Public key → borrower, lender, custodian or recovery."""
    origins: Mapping[bytes, BIP32KeyOrigin]
    """Public key → where its owner finds the private key."""

    @classmethod
    def create(
        cls,
        *,
        borrower: VaultKey,
        lender: VaultKey,
        custodian: VaultKey,
        recovery: VaultKey,
        recover_after: Seconds,
    ) -> Self:
        """The vault of three voting keys and the borrower's recovery key.

        Voting keys are sorted by public key (BIP-67), so who is named first makes no difference.
        Raises BadInput("bitcoin/key") if two keys are equal and BadInput("input/time") if
        ``recover_after`` is not a time that a lock can carry: below 500,000,000 it would be read
        as a block height.
        """
        voters = {"borrower": borrower, "lender": lender, "custodian": custodian}
        keys = {**voters, "recovery": recovery}
        if len({key.pubkey for key in keys.values()}) < len(keys):
            raise BadInput("bitcoin/key", reason="two parties share a key")
        if not LOCKTIME_THRESHOLD <= recover_after <= MAX_RECOVER_AFTER:
            raise BadInput("input/time", recover_after=recover_after)
        ordered = sorted(voters.values(), key=lambda key: key.pubkey)
        text = (
            f"wsh(or_d(multi({QUORUM},{','.join(key.expression for key in ordered)}),"
            f"and_v(v:pkh({recovery.expression}),after({recover_after}))))"
        )
        try:
            parsed = parse(text, network=_NETWORK)
            assert isinstance(parsed, WshDescriptor)
            witness_script = parsed.inner.script_pub_key().script
        except (BTClibValueError, BTClibTypeError) as error:
            raise BadInput("bitcoin/key") from error
        program = sha256(witness_script).digest()
        return cls(
            descriptor=add_checksum(text),
            address=address_from_witness(0, program, _NETWORK),
            script_pubkey=b"\x00\x20" + program,
            witness_script=witness_script,
            recover_after=recover_after,
            roles=MappingProxyType({key.pubkey: role for role, key in keys.items()}),
            origins=MappingProxyType({key.pubkey: key.origin for key in keys.values()}),
        )

    @property
    def witness_program(self) -> bytes:
        """Hash of the witness script, 32 bytes: how the EVM names this vault."""
        return self.script_pubkey[2:]


def payout_vsize(inputs: int, *, outputs: Sequence[bytes]) -> int:
    """Most virtual bytes a quorum's spend of vault coins can take, whoever signs.

    ``outputs`` are scripts. Signatures are counted at 72 bytes, the longest with low S; ours are
    71 or less. BIP-141: weight is 3 × stripped + total, a virtual byte is 4 of it, rounded up.
    """
    # an empty item for CHECKMULTISIG's extra pop, two signatures, the script
    return _vsize(inputs, outputs=outputs, stack=[0, _SIGNATURE, _SIGNATURE, WITNESS_SCRIPT_SIZE])


def recovery_vsize(inputs: int, *, outputs: Sequence[bytes]) -> int:
    """Most virtual bytes a recovery of vault coins can take."""
    # signature, key, and three empty items for the two-of-three that is not met
    return _vsize(
        inputs, outputs=outputs, stack=[_SIGNATURE, _PUBKEY, 0, 0, 0, WITNESS_SCRIPT_SIZE]
    )


def parse_address(text: str) -> bytes:
    """The output script of a regtest address.

    Raises BadInput("bitcoin/address") if it is malformed or of another network. Base58 addresses
    are refused too: regtest and testnet write them alike, so nobody can tell which was meant.
    """
    try:
        version, program, network = witness_from_address(text)
    except (BTClibValueError, BTClibTypeError, ValueError) as error:
        raise BadInput("bitcoin/address", address=text[:100]) from error
    if network != _NETWORK:
        raise BadInput("bitcoin/address", address=text[:100], network=network)
    return bytes([version + 0x50 if version else 0, len(program)]) + program


def address_of(script_pubkey: bytes) -> str:
    """The regtest address of a segwit output script. Raises BadInput("bitcoin/address")."""
    try:
        version = max(0, script_pubkey[0] - 0x50)
        address = address_from_witness(version, script_pubkey[2:], _NETWORK)
    except (BTClibValueError, IndexError) as error:
        raise BadInput("bitcoin/address", script=script_pubkey.hex()[:100]) from error
    if parse_address(address) != script_pubkey:
        raise BadInput("bitcoin/address", script=script_pubkey.hex()[:100])
    return address


def dust(script_pubkey: bytes) -> Sats:
    """Least amount that an output to this script may carry (Core's relay policy, 3 sat/vB)."""
    return Sats(dust_threshold(script_pubkey))


def _vsize(inputs: int, *, outputs: Sequence[bytes], stack: Sequence[int]) -> int:
    stripped = _OVERHEAD + _compact(inputs) + inputs * _INPUT_BASE + _compact(len(outputs))
    stripped += sum(8 + _compact(len(script)) + len(script) for script in outputs)
    witness = _compact(len(stack)) + sum(_compact(size) + size for size in stack)
    weight = 4 * stripped + _SEGWIT_MARKER + inputs * witness
    return -(-weight // 4)


def _compact(number: int) -> int:
    return 1 if number < 0xFD else 3
