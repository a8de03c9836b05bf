"""Checking a statement of reserves from its file alone: no chain, no node, no network.

What is proved and what is only vouched for is told apart, in ``Verdict`` and in ``GROUNDS``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from escrow.actors.statement import EvmState, StatedCoin, StatedVault, Statement
from escrow.adapters.bitcoin.bip322 import check_proof, descriptor_script
from escrow.adapters.bitcoin.inclusion import check_headers, check_paid
from escrow.adapters.bitcoin.vault import address_of
from escrow.adapters.evm.client import terms_mapping
from escrow.adapters.evm.proof import (
    MASK_64,
    SUPPLY_SLOT,
    check_account,
    check_storage,
    loan_slot,
    read_header,
)
from escrow.adapters.evm.typed import loan_id
from escrow.core.errors import BadInput, EscrowError, Refused
from escrow.core.units import Sats, Seconds

GROUNDS: Final = (
    (
        "proved",
        "every coin was paid to its vault, in the Bitcoin block that is named or one below",
    ),
    ("proved", "each vault belongs to its loan's terms, and to the keys of its descriptor"),
    ("proved", "the supply, and what of it each loan answers for, in the EVM block that is named"),
    ("proved", "a quorum of each vault's keys signed this statement and no other"),
    ("vouched", "no coin listed was spent by the Bitcoin block that is named"),
    ("vouched", "no unpaid burn is missing"),
    ("vouched", "both blocks are the tips of their chains, and the time is right"),
)
"""What a verified statement rests on. Who vouches: the quorums that signed, each of whom looked at
both chains. Compare the two block hashes with a node of your own to need nobody's word for them."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found. ``spare`` is not negative: else it is not proven."""

    at: Seconds
    """When the statement was made."""
    height: int
    """Of the Bitcoin block."""
    bitcoin_block: str
    """Its hash."""
    evm_number: int
    """Of the EVM block."""
    evm_block: str
    """Its hash, with 0x."""
    token: str
    """Address of PledgeToken."""
    vaults: int
    """How many."""
    coins: Sats
    """In all vaults."""
    supply: Sats
    """Tokens that exist."""
    unpaid: Sats
    """Burned and not paid yet."""

    @property
    def spare(self) -> Sats:
        """Coins beyond what is claimed."""
        return Sats(self.coins - self.supply - self.unpaid)


def verify(
    statement: Statement,
    *,
    at: Seconds | None = None,
    max_age: Seconds | None = None,
    bitcoin_block: str | None = None,
    evm_block: str | None = None,
    token: str | None = None,
) -> Verdict:
    """Check everything that a file can show. ``at`` is the verifier's present, the other three what
    it knows of the chains.

    Raises Refused: "reserves/block" for headers that do not link, or blocks or a token other than
    named; "reserves/altered" for what does not hold together; "reserves/signature";
    "reserves/stale" if made after ``at`` or more than ``max_age`` before; last of all
    "reserves/short", if the rest is sound and the coins do not cover the claims.
    BadInput("reserves/format").
    """
    hashes = check_headers(statement.bitcoin.headers)
    if not hashes or hashes[-1] != statement.bitcoin.hash:
        raise Refused("reserves/block", stated=statement.bitcoin.hash, reason="not the last header")
    storage_root = _check_evm(statement)
    _check_named(statement, bitcoin_block=bitcoin_block, evm_block=evm_block, token=token)
    if not statement.vaults:
        # Nobody would have signed it.
        raise BadInput("reserves/format", reason="no vault")
    _check_distinct(statement.vaults)
    for vault in statement.vaults:
        _check_vault(vault, statement, storage_root=storage_root)
    for vault in statement.vaults:
        check_proof(vault.proof, message=statement.message, address=vault.address)
    _check_age(statement.at, at=at, max_age=max_age)
    return _weigh(statement)


def _check_evm(statement: Statement) -> bytes:
    """The token's storage root in the block that is named."""
    evm = statement.evm
    header = read_header(evm.header)
    if (header.hash, header.number) != (evm.hash, evm.number):
        raise Refused("reserves/block", stated=_hex(evm.hash), header=_hex(header.hash))
    if header.timestamp > statement.at:
        raise Refused("reserves/altered", at=statement.at, evm_block_at=header.timestamp)
    root = check_account(evm.account, state_root=header.state_root, address=evm.token)
    word = check_storage(evm.path, storage_root=root, slot=SUPPLY_SLOT)
    if word & MASK_64 != evm.supply:
        raise Refused("reserves/altered", supply=evm.supply, proved=word & MASK_64)
    for burn in (burn for vault in statement.vaults for burn in vault.burns):
        if burn.id >= word >> 64:
            raise Refused("reserves/altered", burn=burn.id, burns=word >> 64)
    return root


def _check_named(
    statement: Statement, *, bitcoin_block: str | None, evm_block: str | None, token: str | None
) -> None:
    evm: EvmState = statement.evm
    for name, wanted, stated in (
        ("bitcoin_block", bitcoin_block, statement.bitcoin.hash),
        ("evm_block", evm_block, _hex(evm.hash)),
        ("token", token, _hex(evm.token)),
    ):
        if wanted is not None and wanted.lower().removeprefix("0x") != stated.removeprefix("0x"):
            raise Refused("reserves/block", named=name, wanted=wanted[:80], stated=stated)


def _check_distinct(vaults: tuple[StatedVault, ...]) -> None:
    """Nothing is counted twice."""
    for words, names in (
        ("vault", [vault.address for vault in vaults]),
        ("coin", [coin.outpoint for vault in vaults for coin in vault.coins]),
        ("burn", [str(burn.id) for vault in vaults for burn in vault.burns]),
    ):
        if len(set(names)) < len(names):
            raise Refused("reserves/altered", twice=words)


def _check_vault(vault: StatedVault, statement: Statement, *, storage_root: bytes) -> None:
    """The terms name the vault, the descriptor is the vault, the coins are in it, and the tokens
    are the loan's."""
    try:
        script = descriptor_script(vault.descriptor)
        loan = loan_id(terms_mapping(vault.terms))
    except EscrowError as error:
        raise BadInput("reserves/format", reason=error.code) from error
    if address_of(script) != vault.address or script[2:].hex() != vault.terms.vault[2:]:
        raise Refused("reserves/altered", address=vault.address, reason="not the vault's")
    for coin in vault.coins:
        _check_coin(coin, statement, script=script)
    proved = check_storage(vault.path, storage_root=storage_root, slot=loan_slot(loan)) & MASK_64
    if proved != vault.outstanding:
        raise Refused("reserves/altered", outstanding=vault.outstanding, proved=proved)


def _check_coin(coin: StatedCoin, statement: Statement, *, script: bytes) -> None:
    if not 1 <= coin.height <= statement.bitcoin.height:
        raise Refused("reserves/altered", outpoint=coin.outpoint, height=coin.height)
    txid, _, vout = coin.outpoint.partition(":")
    header = statement.bitcoin.headers[coin.height - 1]
    paid = check_paid(coin.tx, vout=int(vout), branch=coin.branch, header=header)
    if (paid.txid, paid.sats, paid.script) != (txid, coin.sats, script):
        raise Refused("reserves/altered", outpoint=coin.outpoint, reason="pays something else")


def _check_age(made: Seconds, *, at: Seconds | None, max_age: Seconds | None) -> None:
    if max_age is not None and at is None:
        raise BadInput("input/time", reason="an age needs a present")
    if at is not None and (made > at or (max_age is not None and at - made > max_age)):
        raise Refused("reserves/stale", at=made, now=at)


def _weigh(statement: Statement) -> Verdict:
    evm = statement.evm
    for vault in statement.vaults:
        # Each vault answers for its own loan: no loan's coins pay another's tokens.
        coins = sum(coin.sats for coin in vault.coins)
        unpaid = sum(burn.sats for burn in vault.burns)
        if coins < vault.outstanding + unpaid:
            facts = {"coins": coins, "tokens": vault.outstanding, "unpaid": unpaid}
            raise Refused("reserves/short", vault=vault.address, **facts)
    answered = sum(vault.outstanding for vault in statement.vaults)
    if answered < evm.supply:
        raise Refused("reserves/short", tokens=evm.supply, with_vaults=answered)
    return Verdict(
        at=statement.at,
        height=statement.bitcoin.height,
        bitcoin_block=statement.bitcoin.hash,
        evm_number=evm.number,
        evm_block=_hex(evm.hash),
        token=_hex(evm.token),
        vaults=len(statement.vaults),
        coins=Sats(sum(coin.sats for vault in statement.vaults for coin in vault.coins)),
        supply=evm.supply,
        unpaid=Sats(sum(burn.sats for vault in statement.vaults for burn in vault.burns)),
    )


def _hex(raw: bytes) -> str:
    return "0x" + raw.hex()
