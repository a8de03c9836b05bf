"""A statement of reserves: what the vaults hold and what is claimed on them, at one block of each
chain. Plain data; whoever signs it and whoever checks it do so elsewhere.

Everything in it but the signatures goes into one hash, and the message that is signed (BIP-322)
names that hash: nothing can be changed without breaking every signature.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from escrow.adapters.bitcoin.inclusion import Branch
from escrow.adapters.evm.client import terms_mapping
from escrow.core.regions.token import Burn
from escrow.core.terms import Terms
from escrow.core.units import Sats, Seconds

FORMAT: Final = "escrow-reserves"
"""What a file says that it is."""
VERSION: Final = 1
"""Of the file's layout and of the message."""
NETWORK: Final = "regtest"
"""The only Bitcoin network there is here."""


@dataclass(frozen=True, slots=True)
class StatedCoin:
    """An unspent output of a vault, and where the chain shows that it was paid."""

    outpoint: str
    """``txid:vout``."""
    sats: Sats
    """What it is worth."""
    height: int
    """Of its block."""
    tx: bytes
    """The transaction that paid it, without witnesses."""
    branch: Branch
    """From that transaction to its block's header."""


@dataclass(frozen=True, slots=True)
class StatedRekey:
    """Borrower and lender agreed on a vault's next address (EIP-712 struct ``Rekey``)."""

    program: bytes
    """Its witness program, 32 bytes."""
    borrower: bytes
    """Signature for the escrow book, r ‖ s ‖ v, 65 bytes."""
    lender: bytes
    """The same."""


@dataclass(frozen=True, slots=True)
class StatedGeneration:
    """One address of a vault, and what is there."""

    number: int
    """0: the one that the terms name; then the place of its agreement, from 1."""
    descriptor: str
    """Who can move the coins (BIP-380), with checksum."""
    address: str
    """Where the coins are."""
    coins: tuple[StatedCoin, ...]
    """In the chain and unspent, oldest first."""
    proof: str = ""
    """BIP-322 signature of the statement's message by those who can move the coins."""


@dataclass(frozen=True, slots=True)
class StatedVault:
    """One loan's vault and the claims on it."""

    terms: Terms
    """All of the loan's terms: their hash is the loan's id, and they name the vault."""
    rekeys: tuple[StatedRekey, ...]
    """Every later address that was agreed on, in order."""
    generations: tuple[StatedGeneration, ...]
    """The newest, and before it each older one that still holds coins."""
    outstanding: Sats
    """Tokens that exist for this vault."""
    path: tuple[bytes, ...]
    """Trie nodes from the token's storage root to that number."""
    burns: tuple[Burn, ...]
    """Destroyed for coins that were not paid yet."""

    @property
    def coins(self) -> tuple[StatedCoin, ...]:
        """Of all generations."""
        return tuple(coin for each in self.generations for coin in each.coins)


@dataclass(frozen=True, slots=True)
class BitcoinState:
    """Which Bitcoin chain is meant."""

    hash: str
    """Of the tip, display order."""
    headers: tuple[bytes, ...]
    """80 bytes each, from height 1 to the tip."""

    @property
    def height(self) -> int:
        """Of the tip."""
        return len(self.headers)


@dataclass(frozen=True, slots=True)
class EvmState:
    """Which EVM block is meant, and the token's supply in it."""

    chain_id: int
    """EIP-155."""
    token: bytes
    """Address of PledgeToken."""
    book: bytes
    """Address of EscrowBook, for which borrowers and lenders sign."""
    number: int
    """Height of the block."""
    hash: bytes
    """Of the block."""
    header: bytes
    """Its RLP."""
    supply: Sats
    """Tokens that exist, for all vaults."""
    account: tuple[bytes, ...]
    """Trie nodes from the state root to the token's account."""
    path: tuple[bytes, ...]
    """Trie nodes from the token's storage root to the supply."""


@dataclass(frozen=True, slots=True)
class Statement:
    """See the module."""

    at: Seconds
    """When it was made, unix time on the clock of those who sign."""
    bitcoin: BitcoinState
    evm: EvmState
    vaults: tuple[StatedVault, ...]
    """Those that hold a coin or bear a claim, in the order of their loans."""

    @property
    def message(self) -> str:
        """What is signed: one line that a device can show, and the hash of all but signatures."""
        body = as_dict(self, proofs=False)
        raw = json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
        digest = sha256(raw).hexdigest()
        return f"Proof of reserves, version {VERSION}: coins and claims as in sha256 {digest}"


def as_dict(statement: Statement, *, proofs: bool = True) -> dict[str, Any]:
    """As JSON holds it. Terms are text: JSON's numbers end at 2⁵³ in a browser."""
    bitcoin, evm = statement.bitcoin, statement.evm
    return {
        "format": FORMAT,
        "version": VERSION,
        "network": NETWORK,
        "at": statement.at,
        "bitcoin": {
            "height": bitcoin.height,
            "hash": bitcoin.hash,
            "headers": [each.hex() for each in bitcoin.headers],
        },
        "evm": {
            "chain_id": evm.chain_id,
            "token": _hex(evm.token),
            "book": _hex(evm.book),
            "number": evm.number,
            "hash": _hex(evm.hash),
            "header": _hex(evm.header),
            "supply": evm.supply,
            "account": [_hex(each) for each in evm.account],
            "path": [_hex(each) for each in evm.path],
        },
        "vaults": [
            {
                "terms": {
                    name: str(int(value)) if isinstance(value, int) else value
                    for name, value in terms_mapping(vault.terms).items()
                },
                "rekeys": [
                    {
                        "program": _hex(each.program),
                        "borrower": _hex(each.borrower),
                        "lender": _hex(each.lender),
                    }
                    for each in vault.rekeys
                ],
                "generations": [_generation(each, proofs=proofs) for each in vault.generations],
                "outstanding": vault.outstanding,
                "path": [_hex(each) for each in vault.path],
                "burns": [
                    {"id": burn.id, "sats": burn.sats, "script": burn.script}
                    for burn in vault.burns
                ],
            }
            for vault in statement.vaults
        ],
        **({"message": statement.message} if proofs else {}),
    }


def _generation(stated: StatedGeneration, *, proofs: bool) -> dict[str, Any]:
    return {
        "number": stated.number,
        "descriptor": stated.descriptor,
        "address": stated.address,
        "coins": [
            {
                "outpoint": coin.outpoint,
                "sats": coin.sats,
                "height": coin.height,
                "tx": coin.tx.hex(),
                "position": coin.branch.position,
                "branch": list(coin.branch.siblings),
            }
            for coin in stated.coins
        ],
        **({"proof": stated.proof} if proofs else {}),
    }


def _hex(raw: bytes) -> str:
    return "0x" + raw.hex()
