"""Checking a statement of reserves from its file alone: no chain, no node, no network.

What is proved and what is only vouched for is told apart, in ``Verdict`` and in ``GROUNDS``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from escrow.actors.generations import rekey_message
from escrow.actors.statement import (
    BitcoinState,
    EvmState,
    StatedCoin,
    StatedGeneration,
    StatedVault,
    Statement,
)
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
from escrow.adapters.evm.typed import Domain, Sig, loan_id, rekey_signer
from escrow.core.errors import BadInput, EscrowError, Refused
from escrow.core.units import Sats, Seconds

GROUNDS: Final = (
    (
        "proved",
        "every coin was paid to its vault, in the Bitcoin block that is named or one below",
    ),
    (
        "proved",
        "each vault is the one of its loan's terms, or one that borrower and lender signed for "
        "since, and belongs to the keys of its descriptor",
    ),
    ("proved", "the supply, and what of it each loan answers for, in the EVM block that is named"),
    ("proved", "a quorum of each vault's keys signed this statement and no other"),
    ("vouched", "no coin listed was spent by the Bitcoin block that is named"),
    ("vouched", "no unpaid burn and no later vault of a loan is missing"),
    ("vouched", "the escrow book that is named is the token's"),
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
    book: str
    """Address of EscrowBook."""
    vaults: int
    """How many: one a loan, whatever addresses it has."""
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
    book: str | None = None,
) -> Verdict:
    """Check everything that a file can show. ``at`` is the verifier's present, the other four what
    it knows of the chains.

    Raises Refused: "reserves/block" for headers that do not link, or blocks or contracts other than
    named; "reserves/altered" for what does not hold together; "reserves/signature" for a quorum's
    that does not hold, or one of borrower or lender for a later vault;
    "reserves/stale" if made after ``at`` or more than ``max_age`` before; last of all
    "reserves/short", if the rest is sound and the coins do not cover the claims.
    BadInput("reserves/format").
    """
    check_bitcoin(statement.bitcoin)
    storage_root = _check_evm(statement)
    named = {"bitcoin_block": bitcoin_block, "evm_block": evm_block, "token": token, "book": book}
    _check_named(statement, named)
    if not statement.vaults:
        # Nobody would have signed it.
        raise BadInput("reserves/format", reason="no vault")
    _check_distinct(statement.vaults)
    for vault in statement.vaults:
        _check_vault(vault, statement, storage_root=storage_root)
    message = statement.message
    for each in _generations(statement):
        check_proof(each.proof, message=message, address=each.address)
    check_age(statement.at, at=at, max_age=max_age)
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


def _check_named(statement: Statement, named: Mapping[str, str | None]) -> None:
    evm: EvmState = statement.evm
    for name, stated in (
        ("bitcoin_block", statement.bitcoin.hash),
        ("evm_block", _hex(evm.hash)),
        ("token", _hex(evm.token)),
        ("book", _hex(evm.book)),
    ):
        wanted = named[name]
        if wanted is not None and wanted.lower().removeprefix("0x") != stated.removeprefix("0x"):
            raise Refused("reserves/block", named=name, wanted=wanted[:80], stated=stated)


def _generations(statement: Statement) -> tuple[StatedGeneration, ...]:
    return tuple(each for vault in statement.vaults for each in vault.generations)


def _check_distinct(vaults: tuple[StatedVault, ...]) -> None:
    """Nothing is counted twice."""
    for words, names in (
        ("loan", [vault.terms.vault.lower() for vault in vaults]),
        ("vault", [each.address for vault in vaults for each in vault.generations]),
        ("coin", [coin.outpoint for vault in vaults for coin in vault.coins]),
        ("burn", [str(burn.id) for vault in vaults for burn in vault.burns]),
    ):
        if len(set(names)) < len(names):
            raise Refused("reserves/altered", twice=words)


def _check_vault(vault: StatedVault, statement: Statement, *, storage_root: bytes) -> None:
    """The terms name the vault or it was agreed on since, the descriptor is the vault, the coins
    are in it, and the tokens are the loan's."""
    try:
        loan = loan_id(terms_mapping(vault.terms))
    except EscrowError as error:
        raise BadInput("reserves/format", reason=error.code) from error
    _check_rekeys(vault, loan=_hex(loan), evm=statement.evm)
    programs = [vault.terms.vault, *(_hex(each.program) for each in vault.rekeys)]
    numbers = [each.number for each in vault.generations]
    if len({each.lower() for each in programs}) < len(programs):
        raise Refused("reserves/altered", newest=len(vault.rekeys), twice="vault")
    if numbers != sorted(set(numbers)) or numbers[-1:] != [len(vault.rekeys)]:
        # Whoever holds the newest keys must be among those who sign: older ones may be stolen.
        raise Refused("reserves/altered", newest=len(vault.rekeys), reason="generations")
    for each in vault.generations:
        _check_generation(each, statement, program=programs[each.number])
    proved = check_storage(vault.path, storage_root=storage_root, slot=loan_slot(loan)) & MASK_64
    if proved != vault.outstanding:
        raise Refused("reserves/altered", outstanding=vault.outstanding, proved=proved)


def _check_rekeys(vault: StatedVault, *, loan: str, evm: EvmState) -> None:
    """Borrower and lender of the terms signed for every later address, in this order."""
    domain = Domain("EscrowBook", evm.chain_id, evm.book)
    for number, rekey in enumerate(vault.rekeys, start=1):
        message = rekey_message(loan, _hex(rekey.program), number)
        for party, raw in (
            (vault.terms.borrower, rekey.borrower),
            (vault.terms.lender, rekey.lender),
        ):
            signature = Sig(raw[64], raw[:32], raw[32:64])
            if rekey_signer(message, signature, domain=domain) != bytes.fromhex(party[2:]):
                raise Refused("reserves/signature", loan=loan, generation=number, party=party)


def _check_generation(stated: StatedGeneration, statement: Statement, *, program: str) -> None:
    script = descriptor_script(stated.descriptor)
    if address_of(script) != stated.address or script[2:].hex() != program[2:]:
        raise Refused("reserves/altered", address=stated.address, reason="not the vault's")
    for coin in stated.coins:
        check_coin(coin, bitcoin=statement.bitcoin, script=script)


def check_coin(coin: StatedCoin, *, bitcoin: BitcoinState, script: bytes) -> None:
    """Was this coin paid to this script, in a block of this chain? Raises
    Refused("reserves/altered"), BadInput("reserves/format")."""
    if not 1 <= coin.height <= bitcoin.height:
        raise Refused("reserves/altered", outpoint=coin.outpoint, height=coin.height)
    txid, _, vout = coin.outpoint.partition(":")
    header = bitcoin.headers[coin.height - 1]
    paid = check_paid(coin.tx, vout=int(vout), branch=coin.branch, header=header)
    if (paid.txid, paid.sats, paid.script) != (txid, coin.sats, script):
        raise Refused("reserves/altered", outpoint=coin.outpoint, reason="pays something else")


def check_bitcoin(bitcoin: BitcoinState) -> None:
    """Do the headers link up to the block that is named? Raises Refused("reserves/block")."""
    hashes = check_headers(bitcoin.headers)
    if not hashes or hashes[-1] != bitcoin.hash:
        raise Refused("reserves/block", stated=bitcoin.hash, reason="not the last header")


def check_age(made: Seconds, *, at: Seconds | None, max_age: Seconds | None) -> None:
    """Was it made by ``at``, and no longer than ``max_age`` before? Raises
    Refused("reserves/stale"), BadInput("input/time")."""
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
            newest = vault.generations[-1]
            raise Refused("reserves/short", vault=newest.address, **facts)
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
        book=_hex(evm.book),
        vaults=len(statement.vaults),
        coins=Sats(sum(coin.sats for vault in statement.vaults for coin in vault.coins)),
        supply=evm.supply,
        unpaid=Sats(sum(burn.sats for vault in statement.vaults for burn in vault.burns)),
    )


def _hex(raw: bytes) -> str:
    return "0x" + raw.hex()
