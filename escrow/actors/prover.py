"""Making a statement of reserves: anyone writes down what both chains show, and those who can move
the coins sign it, each after a look of its own.

Only what is in blocks counts here. A payout that waits has paid nothing yet and its coins are still
there, so the statement is about one block of each chain and can be checked against it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from escrow.actors.reserves import reserves
from escrow.actors.signers import Signer
from escrow.actors.statement import BitcoinState, EvmState, StatedCoin, StatedVault, Statement
from escrow.adapters.bitcoin import bip322
from escrow.adapters.bitcoin import psbt as bip174
from escrow.adapters.bitcoin.inclusion import HEADER_SIZE, branch_of, stripped
from escrow.adapters.bitcoin.psbt import Psbt
from escrow.adapters.bitcoin.vault import Vault
from escrow.adapters.evm.client import EvmClient
from escrow.adapters.evm.proof import MASK_64, SUPPLY_SLOT, loan_slot
from escrow.core.errors import BadInput, EscrowError, Refused
from escrow.core.terms import Terms
from escrow.core.units import Sats, Seconds
from escrow.ports import BitcoinView, Coin


class Blocks(BitcoinView, Protocol):
    """A view of Bitcoin that can show its blocks."""

    def block(self, height: int) -> bytes: ...


@dataclass(frozen=True, slots=True)
class View:
    """What one party sees: both chains, and the vaults that it knows of."""

    bitcoin: Blocks
    evm: EvmClient
    vaults: Mapping[str, tuple[Terms, Vault]]
    """Loan → its terms and its vault."""
    now: Callable[[], Seconds]
    """The party's own clock."""


def observe(view: View, *, at: Seconds) -> Statement:
    """What both chains show in their last blocks, unsigned.

    Where no vault holds anything, one is named all the same: its quorum signs that nothing is
    claimed. Raises BadInput("reserves/format") if there is none at all.
    """
    chain, bitcoin = view.evm.chain, view.bitcoin
    head, token = chain.head, view.evm.contracts.pledge.address
    word = chain.storage(token, SUPPLY_SLOT, block=head.number)
    found = [
        _vault(view, loan, terms, vault, block=head.number, burns=word >> 64)
        for loan, (terms, vault) in sorted(view.vaults.items())
    ]
    vaults = [each for each in found if each.coins or each.outstanding or each.burns] or found[:1]
    if not vaults:
        raise BadInput("reserves/format", reason="no vault")
    account, path = chain.prove(token, [SUPPLY_SLOT], block=head.number)
    return Statement(
        at,
        BitcoinState(
            bitcoin.tip_hash,
            tuple(bitcoin.block(n)[:HEADER_SIZE] for n in range(1, bitcoin.height + 1)),
        ),
        EvmState(
            chain_id=chain.chain_id,
            token=token,
            number=head.number,
            hash=head.hash,
            header=head.header,
            supply=Sats(word & MASK_64),
            account=account,
            path=path,
        ),
        tuple(vaults),
    )


class Voucher:
    """One who can move coins of a vault, asked to sign that they are there."""

    def __init__(self, signer: Signer, *, holder: str, view: View) -> None:
        """``holder`` is the party whose keys these are, as policies name it."""
        self.holder = holder
        self._signer = signer
        self._view = view

    def __repr__(self) -> str:
        return f"<Voucher {self._signer.name}>"

    def review(self, statement: Statement) -> None:
        """Is all of it what this party sees for itself, on both chains, at this moment?

        Raises Refused: "reserves/stale" if it is dated otherwise, "reserves/block" if it is about
        other blocks than this party's tips, "reserves/altered" for anything else.
        """
        if statement.at != self._view.now():
            raise Refused("reserves/stale", at=statement.at, now=self._view.now())
        mine = observe(self._view, at=statement.at)
        for theirs, ours in (
            (statement.bitcoin.hash, mine.bitcoin.hash),
            (statement.evm.hash.hex(), mine.evm.hash.hex()),
        ):
            if theirs != ours:
                raise Refused("reserves/block", stated=theirs, seen=ours)
        if statement.message != mine.message:
            raise Refused("reserves/altered", stated=statement.message, seen=mine.message)

    def sign(self, psbts: Sequence[Psbt], statement: Statement) -> tuple[Psbt, ...]:
        """Review once, then sign the statement's message for each vault, and nothing but that.

        Raises as ``review``; Refused("reserves/signature") for a PSBT that is not the proof of
        this message for one of these vaults, and then none is signed; what the signer refuses.
        """
        self.review(statement)
        scripts = [self._script(vault) for vault in statement.vaults]

        def check(psbt: Psbt) -> None:
            if not any(
                bip322.is_proof(psbt, message=statement.message, script=script)
                for script in scripts
            ):
                raise Refused("reserves/signature", txid=psbt.txid, reason="not this statement")

        for psbt in psbts:
            check(psbt)
        return tuple(self._signer.sign(psbt, check=check, at=statement.at) for psbt in psbts)

    def _script(self, stated: StatedVault) -> bytes:
        return self._view.vaults[self._view.evm.loan_id(stated.terms)][1].script_pubkey


def prove(view: View, *, vouchers: Sequence[Voucher]) -> Statement:
    """State the reserves as of now and have each vault's quorum sign. ``vouchers`` are those that
    answer, one for each key, asked in this order. Seals the pending EVM block.

    Raises BadInput("reserves/format") if there is nothing to prove; Refused("cosigner/absent") if
    too few answer for a vault, or what the last of them said.
    """
    view.evm.chain.seal()
    statement = observe(view, at=view.now())
    vaults = [view.vaults[view.evm.loan_id(each.terms)][1] for each in statement.vaults]
    unsigned = [bip322.to_sign(statement.message, owner=vault) for vault in vaults]
    copies: list[list[Psbt]] = [[] for _ in vaults]
    proofs: dict[int, str] = {}
    refused: EscrowError = Refused("cosigner/absent", asked="reserves")
    for voucher in vouchers:
        asked = [
            n
            for n, vault in enumerate(vaults)
            if n not in proofs and voucher.holder in _holders(vault)
        ]
        if not asked:
            continue
        try:
            signed = voucher.sign([unsigned[n] for n in asked], statement)
        except EscrowError as refusal:
            # The others may still make a quorum.
            refused = refusal
            continue
        for n, psbt in zip(asked, signed, strict=True):
            copies[n].append(psbt)
            if proof := _proof(copies[n]):
                proofs[n] = proof
    if len(proofs) < len(vaults):
        raise refused
    stated = enumerate(statement.vaults)
    return replace(statement, vaults=tuple(replace(each, proof=proofs[n]) for n, each in stated))


def _holders(vault: Vault) -> set[str]:
    """Parties that can take part in the cooperative close."""
    return {vault.policy.role(name).holder for name in vault.policy.paths[0].roles}


def _proof(copies: Sequence[Psbt]) -> str:
    """The proof, or nothing while signatures are missing."""
    try:
        return bip322.proof_of(bip174.combine(copies))
    except Refused as refusal:
        if refusal.code != "psbt/incomplete":
            raise
        return ""


def _vault(
    view: View, loan: str, terms: Terms, vault: Vault, *, block: int, burns: int
) -> StatedVault:
    """``block`` is the sealed EVM block that counts, ``burns`` how many there were up to it."""
    bitcoin, chain, raw = view.bitcoin, view.evm.chain, bytes.fromhex(loan[2:])
    token = view.evm.contracts.pledge.address
    burned = [burn for burn in view.evm.burns(loan) if burn.id < burns]
    seen = reserves([vault.script_pubkey], burned=burned, bitcoin=bitcoin, waiting=False)
    _, path = chain.prove(token, [loan_slot(raw)], block=block)
    return StatedVault(
        terms,
        descriptor=vault.descriptor,
        address=vault.address,
        coins=tuple(_coins(bitcoin, seen.coins)),
        outstanding=Sats(chain.storage(token, loan_slot(raw), block=block) & MASK_64),
        path=path,
        burns=seen.unpaid,
    )


def _coins(bitcoin: Blocks, coins: Iterable[Coin]) -> Iterable[StatedCoin]:
    for coin in coins:
        raw = bitcoin.transaction(coin.outpoint.txid)
        assert raw is not None, "a coin's transaction is in the chain"
        branch = branch_of(bitcoin.block(coin.height), txid=coin.outpoint.txid)
        yield StatedCoin(str(coin.outpoint), coin.sats, coin.height, stripped(raw), branch)
