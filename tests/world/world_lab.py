"""Looks at a whole world from outside: does the engine tell the truth about both chains?"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from escrow.adapters.bitcoin.block import parse
from escrow.adapters.bitcoin.policy import read_transaction
from escrow.adapters.evm.client import terms_mapping
from escrow.adapters.evm.typed import encode_terms
from escrow.core.errors import EscrowError
from escrow.core.phases import debt_now
from escrow.core.regions import loan as ln
from escrow.core.regions.loan import Outcome
from escrow.core.regions.system import active_seconds, is_fresh
from escrow.core.regions.token import outstanding
from escrow.core.units import Seconds
from escrow.deal import Deal
from escrow.world import World

PHASES = {
    ln.Opened: 1,
    ln.Active: 2,
    ln.Called: 3,
    ln.Liquidating: 4,
    ln.Repaid: 5,
    ln.Seized: 6,
    ln.Cancelled: 7,
}
ENDS = {
    Outcome.RELEASED: {5},
    Outcome.SETTLED: {6},
    Outcome.WRITTEN_OFF: {6},
    Outcome.REFUNDED: {7},
    Outcome.CANCELLED: {7},
    Outcome.RECOVERED: {5, 6, 7, 8},
}
WALLETS = ("borrower", "lender", "liquidator", "custodian", "stranger")
PAYERS = (*WALLETS, "operator", "issuer")


def burn_on_evm(w: World, by: str, loan: bytes, sats: int, script: bytes) -> None:
    """A burn by a party's own transaction, whatever the engine knows of it."""
    pledge, party = w.evm.contracts.pledge, w.party(by)
    request = pledge.call("burns_of", party.address_bytes)
    pledge.send(party.account, "burn", loan, sats, script, request)


@contextmanager
def refuses(w: World, code: str) -> Iterator[None]:
    """What is asked inside is refused with this code and leaves nothing behind."""
    w.settle()
    before = fingerprint(w)
    with pytest.raises(EscrowError) as error:
        yield
    assert error.value.code == code
    assert fingerprint(w) == before


def agrees(w: World) -> None:
    """Core and contracts say the same of every loan: phase, debt to the cent at this second,
    tokens held, outstanding and burned, deadline, coins minted for."""
    pledge = w.evm.contracts.pledge
    for deal in w.loans:
        state, entry = deal.state, w.evm.entry(deal.id)
        loan = state.loan
        if isinstance(loan, ln.Offered | ln.Accepted):
            assert entry.phase == 0
            continue
        if isinstance(loan, ln.Ended):
            never = loan.outcome is Outcome.CANCELLED and not entry.phase
            assert never or entry.phase in ENDS[loan.outcome], (loan, entry)
        else:
            assert entry.phase == PHASES[type(loan)], (loan, entry)
        if isinstance(loan, ln.Indebted):
            assert entry.principal == loan.debt.principal
            at = w.evm.chain.next_time
            terms = encode_terms(terms_mapping(deal.terms))
            assert w.evm.contracts.book.call("owed", terms) == debt_now(state, at=at)
        if isinstance(loan, ln.Called):
            assert entry.deadline == loan.deadline
        assert w.evm.held(deal.id) == state.token.held
        assert w.evm.outstanding(deal.id) == outstanding(state.token)
        assert w.evm.burns(deal.id) == state.token.burns
        for coin in state.vault.coins:
            assert w.evm.is_minted(coin.outpoint) == (coin.outpoint in state.token.outpoints)
    total = sum(w.evm.outstanding(deal.id) for deal in w.loans)
    assert pledge.call("totalSupply") == total
    held = sum(w.evm.held(deal.id) for deal in w.loans)
    assert sum(w.tokens_of(name) for name in w.parties) + held == total
    cash = w.evm.contracts.cash.call("totalSupply")
    assert sum(w.cash_of(name) for name in w.parties) == cash
    system = w.engine.system
    price, _, fresh, active = w.evm.contracts.prices.call("latest")
    at = Seconds(w.evm.chain.next_time)
    assert price == (system.price.price if system.price else 0)
    assert (fresh, active) == (is_fresh(system, at=at), active_seconds(system, at=at))


def sound(w: World, *incidents: str) -> None:
    """No law was broken, nothing odd happened but ``incidents`` (by code), both sides agree."""
    assert w.engine.broken == []
    seen = [each.code for deal in w.loans for each in deal.state.incidents]
    assert seen == list(incidents)
    agrees(w)


def fees(w: World) -> int:
    """What miners earned in fees since the first block."""
    total = 0
    for raw in w.bitcoin.blocks():
        for tx in parse(raw).transactions[1:]:
            total -= sum(out.value for out in tx.vout)
            for each in tx.vin:
                funding = w.bitcoin.transaction(each.prev_out.tx_id.hex())
                assert funding is not None
                total += read_transaction(funding).vout[each.prev_out.vout].value
    return total


def coins(w: World, name: str) -> int:
    """All confirmed coins to a party's wallet, mature or not."""
    return sum(coin.sats for coin in w.bitcoin.coins(w.party(name).script))


def in_vault(w: World, deal: Deal) -> int:
    return sum(coin.sats for coin in w.bitcoin.coins(deal.vault.script_pubkey))


@dataclass(frozen=True)
class Wealth:
    """What every party has, and what the vaults hold."""

    sats: dict[str, int]
    cash: dict[str, int]
    tokens: dict[str, int]
    vaults: int
    fees: int


def wealth(w: World) -> Wealth:
    return Wealth(
        sats={name: coins(w, name) for name in WALLETS},
        cash={name: w.cash_of(name) for name in PAYERS},
        tokens={name: w.tokens_of(name) for name in WALLETS},
        vaults=sum(in_vault(w, deal) for deal in w.loans),
        fees=fees(w),
    )


def coins_balance(w: World) -> None:
    """Not a sat came or went but by fees: the first rewards are all there ever was."""
    now = wealth(w)
    mined = 50 * 10**8 * w.config.miner_blocks
    assert sum(now.sats.values()) + now.vaults + now.fees == mined


def fingerprint(w: World) -> tuple[object, ...]:
    """Everything that must not change when something is refused."""
    chain = w.evm.chain
    return (
        (w.state_hash, tuple(w.log_lines()), tuple(w.acts), w.now),
        (w.bitcoin.tip_hash, w.bitcoin.mempool()),
        (chain.next_time, chain.head_hash, chain.export(), chain.cursor),
        len(chain.transactions()),
        tuple(w.sats_of(name) for name in WALLETS),
        tuple(w.cash_of(name) for name in PAYERS),
        tuple(w.tokens_of(name) for name in WALLETS),
    )
