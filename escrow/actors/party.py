"""One party of a deal: its keys on both chains, its own wallet, and whether it answers.

A party acts only through its own signatures. Its seed is derived from the world's, by name, so
adding a party never changes another's keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from eth_account import Account
from eth_account.signers.local import LocalAccount

from escrow.adapters.bitcoin.keys import Keys, derive_seed
from escrow.core.roles import Role


@dataclass(frozen=True, slots=True)
class Party:
    """Who holds which keys. Shows its address and nothing secret."""

    name: str
    """Unique in its world, e.g. ``borrower`` or ``oracle-2``."""
    role: Role
    """What it may do."""
    keys: Keys = field(repr=False)
    """Bitcoin keys (BIP-32)."""
    account: LocalAccount = field(repr=False)
    """EVM account, at m/44h/60h/0h/0/0 of the same root."""
    script: bytes = field(repr=False)
    """Output script of its own Bitcoin wallet (P2WPKH)."""

    @classmethod
    def from_seed(cls, seed: bytes, *, name: str, role: Role) -> Party:
        """The party ``name`` of the world whose master seed is ``seed``."""
        keys = Keys(derive_seed(seed, name=name))
        account = Account.from_key(keys.evm_private_key())
        return cls(name, role, keys, account, keys.wallet_key().script_pubkey)

    @property
    def address(self) -> str:
        """EVM address, EIP-55."""
        return str(self.account.address)

    @property
    def address_bytes(self) -> bytes:
        """EVM address, 20 bytes."""
        return bytes.fromhex(self.address[2:])


def borrower_at(parties: Mapping[str, Party], address: str) -> Party:
    """The borrower whose account this is; the world's first where it is no borrower's."""
    found = (p for p in parties.values() if p.role is Role.BORROWER and p.address == address)
    return next(found, parties[Role.BORROWER.value])
