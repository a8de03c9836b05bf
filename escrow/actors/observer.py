"""What one party sees of all vaults, put down as a statement of reserves.

Only what is in blocks counts here. A payout that waits has paid nothing yet and its coins are still
there, so the statement is about one block of each chain and can be checked against it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from escrow.actors.generations import Agreement
from escrow.actors.reserves import reserves
from escrow.actors.statement import (
    BitcoinState,
    EvmState,
    StatedCoin,
    StatedGeneration,
    StatedRekey,
    StatedVault,
    Statement,
)
from escrow.adapters.bitcoin.inclusion import HEADER_SIZE, branch_of, stripped
from escrow.adapters.bitcoin.vault import Vault
from escrow.adapters.evm.client import EvmClient
from escrow.adapters.evm.proof import MASK_64, SUPPLY_SLOT, loan_slot
from escrow.adapters.evm.typed import Sig
from escrow.core.errors import BadInput
from escrow.core.terms import Terms
from escrow.core.units import Sats, Seconds
from escrow.ports import BitcoinView, Coin


class Blocks(BitcoinView, Protocol):
    """A view of Bitcoin that can show its blocks."""

    def block(self, height: int) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Custody:
    """Where the coins of one loan may be."""

    terms: Terms
    vaults: tuple[Vault, ...]
    """Every generation, the oldest first: the terms name that one."""
    agreements: tuple[Agreement, ...] = ()
    """What borrower and lender signed for each later one, in order."""


@dataclass(frozen=True, slots=True)
class View:
    """What one party sees: both chains, and the vaults that it knows of."""

    bitcoin: Blocks
    evm: EvmClient
    custodies: Mapping[str, Custody]
    """By loan."""
    now: Callable[[], Seconds]
    """The party's own clock."""

    def vaults(self, statement: Statement) -> list[tuple[Vault, Vault]]:
        """Each generation that is stated, in order, and the newest of its loan.

        Raises ``KeyError`` or ``IndexError`` for one that this party does not know.
        """
        found = []
        for stated in statement.vaults:
            known = self.custodies[self.evm.loan_id(stated.terms)].vaults
            found += [(known[each.number], known[-1]) for each in stated.generations]
        return found


def observe(view: View, *, at: Seconds) -> Statement:
    """What both chains show in their last blocks, unsigned.

    Where no vault holds anything, one is named all the same: its quorum signs that nothing is
    claimed. Raises BadInput("reserves/format") if there is none at all.
    """
    chain, bitcoin = view.evm.chain, view.bitcoin
    head, token = chain.head, view.evm.contracts.pledge.address
    word = chain.storage(token, SUPPLY_SLOT, block=head.number)
    found = [
        _vault(view, loan, custody, block=head.number, burns=word >> 64)
        for loan, custody in sorted(view.custodies.items())
    ]
    vaults = [each for each in found if each.coins or each.outstanding or each.burns] or found[:1]
    if not vaults:
        raise BadInput("reserves/format", reason="no vault")
    account, path = chain.prove(token, [SUPPLY_SLOT], block=head.number)
    return Statement(
        at,
        bitcoin_state(bitcoin),
        EvmState(
            chain_id=chain.chain_id,
            token=token,
            book=view.evm.contracts.book.address,
            number=head.number,
            hash=head.hash,
            header=head.header,
            supply=Sats(word & MASK_64),
            account=account,
            path=path,
        ),
        tuple(vaults),
    )


def _vault(view: View, loan: str, custody: Custody, *, block: int, burns: int) -> StatedVault:
    """``block`` is the sealed EVM block that counts, ``burns`` how many there were up to it."""
    chain, raw = view.evm.chain, bytes.fromhex(loan[2:])
    token = view.evm.contracts.pledge.address
    burned = [burn for burn in view.evm.burns(loan) if burn.id < burns]
    scripts = [vault.script_pubkey for vault in custody.vaults]
    seen = reserves(scripts, burned=burned, bitcoin=view.bitcoin, waiting=False)
    _, path = chain.prove(token, [loan_slot(raw)], block=block)
    return StatedVault(
        custody.terms,
        rekeys=tuple(
            StatedRekey(bytes.fromhex(each.program[2:]), _raw(each.borrower), _raw(each.lender))
            for each in custody.agreements
        ),
        generations=tuple(_generations(view.bitcoin, custody.vaults, seen.coins)),
        outstanding=Sats(chain.storage(token, loan_slot(raw), block=block) & MASK_64),
        path=path,
        burns=seen.unpaid,
    )


def _generations(
    bitcoin: Blocks, vaults: tuple[Vault, ...], coins: tuple[Coin, ...]
) -> Iterator[StatedGeneration]:
    """The newest vault always: whoever holds its keys says so if older ones are empty."""
    for number, vault in enumerate(vaults):
        here = [coin for coin in coins if coin.script_pubkey == vault.script_pubkey]
        if here or vault is vaults[-1]:
            yield StatedGeneration(
                number,
                descriptor=vault.descriptor,
                address=vault.address,
                coins=tuple(stated_coins(here, bitcoin=bitcoin)),
            )


def bitcoin_state(bitcoin: Blocks) -> BitcoinState:
    """The chain up to its tip, as far as a verifier needs it."""
    headers = (bitcoin.block(n)[:HEADER_SIZE] for n in range(1, bitcoin.height + 1))
    return BitcoinState(bitcoin.tip_hash, tuple(headers))


def stated_coins(coins: Iterable[Coin], *, bitcoin: Blocks) -> Iterator[StatedCoin]:
    """Coins of the chain, each with the way from its transaction to its block."""
    for coin in coins:
        raw = bitcoin.transaction(coin.outpoint.txid)
        assert raw is not None, "a coin's transaction is in the chain"
        branch = branch_of(bitcoin.block(coin.height), txid=coin.outpoint.txid)
        yield StatedCoin(str(coin.outpoint), coin.sats, coin.height, stripped(raw), branch)


def _raw(signature: Sig) -> bytes:
    return signature.r + signature.s + bytes([signature.v])
