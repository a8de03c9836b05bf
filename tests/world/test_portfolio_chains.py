"""Many loans on both chains: batches, one price for all, and nobody's loan touched by another's."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import fields, is_dataclass
from enum import Enum

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from world_lab import agrees

from escrow.adapters.store.codec import state_hash
from escrow.config import WorldConfig
from escrow.core.errors import EscrowError
from escrow.core.phases import loan_phase
from escrow.core.regions.loan import Called
from escrow.core.regions.system import new_system
from escrow.core.units import DAY, Bps, Seconds
from escrow.deal import Deal
from escrow.world import World

EXTRA = tuple(f"miner-{n}:borrower" for n in range(6))
CONFIRMATIONS = 3


def opened(world: World, name: str, *, principal: str = "24000.00", **terms: int) -> Deal:
    """Agreed on, and nothing more."""
    options = {"confirmations": CONFIRMATIONS, "call_ltv": 7_500, "liquidation_ltv": 8_000}
    terms = {"rate_bps": 0, **options, **terms}
    return world.accept(world.offer(world.terms(borrower=name, principal=principal, **terms)))


def drawn(world: World, amounts: list[int]) -> list[Deal]:
    """Loans of these cents against one coin each, funded in one block and drawn in one."""
    deals = [
        opened(world, f"miner-{n}", principal=f"{cents // 100}.00")
        for n, cents in enumerate(amounts)
    ]
    world.pledge_many([(deal, "1") for deal in deals])
    world.price("48000")
    for deal in deals:
        world.draw(deal)
    return deals


def test_one_mark_serves_all_in_one_block() -> None:
    """Six deposits in one Bitcoin block, six draws in one EVM block, then one price round: all
    that reached their level are called in the block of the price, and no other."""
    with World(config=WorldConfig(extra=EXTRA)) as world:
        amounts = [2_000_000, 2_300_000, 2_400_000, 2_100_000, 2_390_000, 2_399_900]
        deals = drawn(world, amounts)
        coins = [world.bitcoin.coins(deal.vault.script_pubkey) for deal in deals]
        assert len({coin.height for [coin] in coins}) == 1
        assert len({coin.outpoint.txid for [coin] in coins}) == 6
        assert len(blocks(world, "draw")) == 1
        rounds = len(world.acts)
        world.price("31000")
        called = [deal for deal in deals if isinstance(deal.state.loan, Called)]
        assert called == [d for d, c in zip(deals, amounts, strict=True) if c >= 2_325_000]
        assert len(called) == 3
        [act] = world.acts[rounds:]
        # The round itself, and a call for each: all in one block.
        assert len(act.evm) == 1 + len(called)
        numbers = {world.evm.chain.receipt(bytes.fromhex(tx[2:])).block_number for tx in act.evm}
        assert len(numbers) == 1
        assert world.engine.broken == []
        agrees(world)


def blocks(world: World, verb: str) -> set[int]:
    """Numbers of the blocks that hold the transactions of a verb."""
    found = [tx for act in world.acts if act.verb == verb for tx in act.evm]
    return {world.evm.chain.receipt(bytes.fromhex(tx[2:])).block_number for tx in found}


# --- nobody's loan is touched by another's ---

ACTS: dict[str, Callable[[World, Deal], object]] = {
    "top-up": lambda w, d: w.pledge(d, btc="0.3", wait=False),
    "repay some": lambda w, d: w.repay(d, "1000.00"),
    "repay all": lambda w, d: w.repay(d),
    "burn": lambda w, d: w.burn(d),
    "take over": lambda w, d: w.liquidate(d),
    "rekey": lambda w, d: w.rekey(d, lost="custodian"),
    "withdraw": lambda w, d: w.withdraw(d, btc="0.1"),
    "refinance": lambda w, d: w.refinance(d, rate_bps=1_000),
    "dust": lambda w, d: w.pay("miner-5", btc="0.0001", to=d.vault.address),
}
"""What may be done about another loan; refusals are no matter."""


def told(world: World, loan: str) -> list[object]:
    """A loan's events but for what names transactions of the EVM, whose nonces all share, and ids
    that count all burns there are."""
    burns: dict[int, int] = {}
    return [_plain(event, burns) for stream, event in world.events() if stream == loan]


def _plain(value: object, burns: dict[int, int], name: str = "") -> object:
    if type(value).__name__ == "Burn":
        burns.setdefault(value.id, len(burns))  # type: ignore[attr-defined]
    if is_dataclass(value):
        kept = [each.name for each in fields(value) if each.name != "tx"]
        parts = (_plain(getattr(value, each), burns, each) for each in kept)
        return (type(value).__name__, *parts)
    if isinstance(value, tuple) and name == "paid":
        return tuple((burns[burn], sats) for burn, sats in value)
    if isinstance(value, tuple):
        return tuple(_plain(each, burns) for each in value)
    if isinstance(value, Enum):
        return value.name
    return burns[value] if name == "id" and isinstance(value, int) else value


def own(world: World, deal: Deal) -> tuple[object, ...]:
    """All that is its borrower's, and the deal's own, but for ids of burns and transactions."""
    state = deal.state
    return (
        told(world, deal.id),
        _plain(
            (state.token, state.vault, state.loan, state.servicing), {}
        ),  # burns are named first
        world.sats_of("miner-0"),
        world.tokens_of("miner-0"),
        world.cash_of("miner-0"),
        sum(coin.sats for coin in world.bitcoin.coins(deal.vault.script_pubkey)),
        world.evm.entry(deal.id),
    )


def deal_hash(deal: Deal) -> str:
    """SHA-256 of the deal's own regions, beside a platform that is always the same."""
    state = deal.state
    platform = new_system(
        origin=Seconds(0), heartbeat=Seconds(1), quorum=1, wide_quorum=1, deviation=Bps(1)
    )
    return state_hash(platform, {deal.id: (state.loan, state.vault, state.token, state.incidents)})


def life(others: int, script: list[tuple[int, str]]) -> tuple[object, ...]:
    """The first miner's loan from its offer to its end, beside ``others`` of which each is dealt
    with as ``script`` says, at fixed moments. One is dropped by a reorganisation, one defaults."""
    with World(config=WorldConfig(extra=EXTRA, check_laws=bool(others))) as world:
        mine = opened(world, "miner-0")
        short = {"grace": DAY, "draw_in": DAY}
        beside = [
            opened(world, f"miner-{n + 1}", principal="23500.00", term=(3 + n) * DAY, **short)
            for n in range(others)
        ]
        todo = iter(script)

        def slot() -> None:
            for which, act in [pair for pair in (next(todo, None), next(todo, None)) if pair]:
                deal = beside[which % others] if others else None
                # What is refused leaves everything as it was, which others test.
                if deal is not None:
                    with suppress(EscrowError):
                        ACTS[act](world, deal)
            # A burn is paid for once its block is sealed: seconds, which everybody shares.
            world.advance(seconds=600 - world.now % 600)

        world.pledge(mine, btc="1", wait=False)
        for deal in beside:
            world.pledge(deal, btc="1", wait=False)
        world.mine(CONFIRMATIONS)
        for deal in (mine, *beside):
            world.secure(deal)
        late = world.pledge(beside[0], btc="0.2", wait=False) and beside[0] if others else None
        world.price("48000")
        for deal in (mine, *beside):
            world.draw(deal)
        world.mine(1)
        dropped = [c.outpoint.txid for c in coins_of(world, late) if c.sats == 20_000_000]
        world.reorg(1, drop=dropped)
        slot()
        world.advance(hours=6)
        slot()
        world.price("31500")
        slot()
        world.pledge(mine, btc="0.5", wait=False)
        world.mine(CONFIRMATIONS)
        world.secure(mine)
        slot()
        world.advance(days=1)
        world.price("48000")
        slot()
        world.advance(days=5)
        slot()
        before = deal_hash(mine)
        world.repay(mine)
        world.burn(mine)
        slot()
        world.mine(CONFIRMATIONS)
        assert loan_phase(mine.state) == "RELEASED"
        assert world.engine.broken == []
        agrees(world)
        return (*own(world, mine), before)


def coins_of(world: World, deal: Deal | None) -> list[object]:
    return [] if deal is None else list(world.bitcoin.coins(deal.vault.script_pubkey))


@pytest.fixture(scope="module")
def alone() -> tuple[object, ...]:
    return life(0, [])


@settings(max_examples=5)
@given(st.lists(st.tuples(st.integers(0, 1), st.sampled_from(sorted(ACTS))), max_size=14))
def test_no_loan_touches_another_on_the_chains(
    alone: tuple[object, ...], script: list[tuple[int, str]]
) -> None:
    """INV-RISK-9 on both chains: alone, or beside two that are dealt with anyhow, one of them
    dug out by a reorganisation and both in default at last."""
    assert life(2, script) == alone


def test_a_default_and_a_reorg_of_another_leave_it_alone(alone: tuple[object, ...]) -> None:
    """Both others do nothing at all: the lender takes their coins over when they are late."""
    script = [(n & 1, "take over") for n in range(14)]
    assert life(2, script) == alone


def test_the_story_that_is_compared_has_something_to_tell(alone: tuple[object, ...]) -> None:
    events = [each[0] for each in alone[0]]  # type: ignore[index, attr-defined]
    assert {"MarginCalled", "CallCured", "Burned", "PayoutSent", "LoanEnded"} <= set(events)


def test_time_is_shared(alone: tuple[object, ...]) -> None:
    """What is compared includes when each thing happened."""
    times = [each[1] for each in alone[0]]  # type: ignore[index, attr-defined]
    assert all(isinstance(at, int) and at > Seconds(0) for at in times)
