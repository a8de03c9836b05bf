"""Cash legs in a world: currencies with wallets, a rate, and two legs settled at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256

import pytest
from world_lab import refuses

from escrow.adapters.evm.contracts import Contract
from escrow.core.errors import BadInput, Rejected
from escrow.core.regions.register import Purpose
from escrow.core.units import DAY, HOUR, Bps, Cents, PriceE8, Seconds
from escrow.sim import cash_legs
from escrow.sim.cash_legs import BTC_SCALE, RATE_SCALE, Give, Limits, Rate, settle_cross_border
from escrow.world import World

AMPLE = Limits(balance=Cents(10**15), payment=Cents(10**13), period=Cents(10**14))
EXPORTER, IMPORTER = "borrower", "lender"


@dataclass(frozen=True)
class Trade:
    world: World
    roubles: Contract
    yuan: Contract
    rates: Contract

    def has(self, token: Contract, party: str) -> int:
        return int(token.call("balanceOf", self.world.party(party).address_bytes))

    def rate(self, tolerance: int = 100) -> Rate:
        return Rate(self.rates, RATE_SCALE, Bps(tolerance))


@pytest.fixture
def trade() -> Iterator[Trade]:
    """The exporter has yuan, the importer roubles; 1 rouble is 0.09 yuan. Numbers of the test."""
    with World() as world:
        made = [
            cash_legs.open_currency(world, name=name, symbol=symbol)
            for name, symbol in (("Digital rouble", "RUBd"), ("Digital yuan", "CNYd"))
        ]
        for token in made:
            cash_legs.open_wallets(
                world, token, kind=1, limits=AMPLE, accounts=[EXPORTER, IMPORTER]
            )
        for token, party in zip(made, (IMPORTER, EXPORTER), strict=True):
            cash_legs.issue(world, token, to=party, cents=Cents(10**9))
        rates = cash_legs.open_rates(world)
        cash_legs.post_rate(world, rates, PriceE8(9_000_000))
        yield Trade(world, *made, rates)


def swap_currencies(trade: Trade, yuan: int = 9_000, **changes: object) -> str:
    return settle_cross_border(
        trade.world,
        first=Give(IMPORTER, trade.roubles, 100_000),
        second=Give(EXPORTER, trade.yuan, yuan),
        **changes,  # type: ignore[arg-type]
    )


def test_payment_versus_payment_at_the_rate(trade: Trade) -> None:
    swap_currencies(trade, rate=trade.rate())
    assert [act.verb for act in trade.world.acts[-2:]] == ["settle-order", "settle"]
    assert trade.has(trade.roubles, EXPORTER) == 100_000
    assert trade.has(trade.yuan, IMPORTER) == 9_000
    with refuses(trade.world, "settle/rate"):
        swap_currencies(trade, 8_909, rate=trade.rate())
    assert trade.has(trade.yuan, IMPORTER) == 9_000


def test_wallets_are_opened_all_or_none(trade: Trade) -> None:
    """The last account cannot have one: the class keeps its limits, and the first gets none."""
    tight = Limits(balance=Cents(10**12), payment=Cents(1), period=Cents(1))
    with refuses(trade.world, "token/receiver"):
        cash_legs.open_wallets(
            trade.world, trade.roubles, kind=1, limits=tight, accounts=["stranger", bytes(20)]
        )


def test_bitcoin_for_digital_roubles(trade: Trade) -> None:
    world = trade.world
    loan = world.accept(world.offer())
    world.pledge(loan, btc="1", wait=False)
    world.mine(6)
    world.price("40000")
    pledge = world.evm.contracts.pledge
    rate = Rate(world.evm.contracts.prices, BTC_SCALE, Bps(0))
    legs = {
        "first": Give(EXPORTER, pledge, 50_000_000),
        "second": Give(IMPORTER, trade.roubles, 2_000_000),
    }
    settle_cross_border(world, **legs, rate=rate)
    assert world.tokens_of(IMPORTER) == 50_000_000
    assert trade.has(trade.roubles, EXPORTER) == 2_000_000
    world.burn(loan, by=IMPORTER)
    world.mine(6)
    assert world.sats_of(IMPORTER) > 49_000_000


def test_pledge_tokens_are_not_delivered_to_whom_the_rules_let_buy_none(trade: Trade) -> None:
    """Nor round the gate: it is asked of a settlement as it is of a transfer."""
    world = trade.world
    loan = world.accept(world.offer())
    world.pledge(loan, btc="1", wait=False)
    world.mine(6)
    world.switch_profile("ru-elr")
    legs = {
        "first": Give(IMPORTER, trade.roubles, 2_000_000),
        "second": Give(EXPORTER, world.evm.contracts.pledge, 50_000_000),
    }
    before = (world.state_hash, len(world.acts), world.evm.chain.block_number)
    with pytest.raises(Rejected) as refused:
        settle_cross_border(world, **legs)
    assert refused.value.code == "eligibility/denied"
    assert refused.value.facts["rule"] == "elr/highly-qualified"
    assert (world.state_hash, len(world.acts), world.evm.chain.block_number) == before
    rich = {"securities_deposits_kopecks": 10_000_000_001, "income_kopecks": 0}
    world.attest(IMPORTER, rich, until=world.now + DAY)
    settle_cross_border(world, **legs)
    assert world.tokens_of(IMPORTER) == 50_000_000
    # Two residents may not pay each other in them, whoever is rich.
    listed = {"resident": True, "elr_listed": True}
    for party in (IMPORTER, EXPORTER):
        world.attest(party, listed, until=world.now + DAY)
    with pytest.raises(Rejected) as refused:
        settle_cross_border(world, **legs, purpose=Purpose.PAYMENT)
    assert refused.value.facts["rule"] == "elr/cross-border"


def test_who_does_not_answer_signs_nothing(trade: Trade) -> None:
    trade.world.silence(EXPORTER)
    with pytest.raises(Rejected, match="settle/not-agreed"):
        swap_currencies(trade)


def test_while_one_platform_is_offline_neither_leg_moves(trade: Trade) -> None:
    trade.yuan.send(trade.world.party("operator").account, "go_offline", HOUR)
    with refuses(trade.world, "platform/offline"):
        swap_currencies(trade)
    assert trade.has(trade.roubles, EXPORTER) == 0
    trade.world.advance(hours=1)
    swap_currencies(trade)


def test_a_wallet_s_limits_hold_in_a_settlement(trade: Trade) -> None:
    tight = Limits(balance=Cents(10**12), payment=Cents(99_999), period=Cents(10**6))
    world = trade.world
    cash_legs.open_wallets(world, trade.roubles, kind=2, limits=tight, accounts=[IMPORTER])
    with refuses(world, "limit/payment"):
        swap_currencies(trade)


def test_no_wallet_is_opened_beside_one_of_nobody(trade: Trade) -> None:
    world, opened = trade.world, len(trade.world.evm.chain.transactions())
    with pytest.raises(BadInput, match="input/unknown-party"):
        cash_legs.open_wallets(
            world, trade.roubles, kind=2, limits=AMPLE, accounts=["liquidator", "nobody"]
        )
    assert len(world.evm.chain.transactions()) == opened
    with pytest.raises(Rejected, match="token/cannot-receive"):
        cash_legs.issue(world, trade.roubles, to="liquidator", cents=Cents(1))


def test_a_rate_grows_old(trade: Trade) -> None:
    trade.world.advance(seconds=trade.world.config.heartbeat + 1)
    with pytest.raises(Rejected, match="price/stale"):
        swap_currencies(trade, rate=trade.rate())
    cash_legs.post_rate(trade.world, trade.rates, PriceE8(9_000_000))
    swap_currencies(trade, rate=trade.rate())


def test_too_few_oracles_make_no_rate(trade: Trade) -> None:
    trade.world.advance(seconds=1)
    trade.world.silence("oracle-1", "oracle-2", "oracle-3")
    with pytest.raises(Rejected, match="price/too-few-signers"):
        cash_legs.post_rate(trade.world, trade.rates, PriceE8(9_000_000))


def test_a_payment_waits_for_its_conditions(trade: Trade) -> None:
    world, secret = trade.world, bytes(31) + b"\x07"
    payment = cash_legs.lock_payment(
        world,
        trade.roubles,
        payer=IMPORTER,
        payee=EXPORTER,
        cents=Cents(500),
        deadline=Seconds(world.now + DAY),
        digest=sha256(secret).digest(),
        approver="arbiter",
    )
    with pytest.raises(Rejected, match="pay/not-approved"):
        cash_legs.complete_payment(world, trade.roubles, payment, by=EXPORTER, preimage=secret)
    with pytest.raises(Rejected, match="pay/not-approver"):
        cash_legs.approve_payment(world, trade.roubles, payment, by=EXPORTER)
    cash_legs.approve_payment(world, trade.roubles, payment, by="arbiter")
    with pytest.raises(Rejected, match="pay/preimage"):
        cash_legs.complete_payment(world, trade.roubles, payment, by=EXPORTER)
    cash_legs.complete_payment(world, trade.roubles, payment, by=EXPORTER, preimage=secret)
    assert trade.has(trade.roubles, EXPORTER) == 500


def test_a_payment_that_nobody_completes_goes_back(trade: Trade) -> None:
    world = trade.world
    payment = cash_legs.lock_payment(
        world,
        trade.roubles,
        payer=IMPORTER,
        payee=EXPORTER,
        cents=Cents(500),
        deadline=Seconds(world.now + DAY),
        not_before=Seconds(world.now + HOUR),
    )
    with pytest.raises(Rejected, match="pay/not-expired"):
        cash_legs.return_payment(world, trade.roubles, payment, by=IMPORTER)
    world.advance(days=1, seconds=1)
    cash_legs.return_payment(world, trade.roubles, payment, by="stranger")
    owner = world.party(IMPORTER).address_bytes
    assert trade.roubles.call("spendable", owner) == 10**9


def test_a_currency_is_opened_once(trade: Trade) -> None:
    with pytest.raises(BadInput, match="evm/contract"):
        cash_legs.open_currency(trade.world, name="Digital rouble", symbol="RUBd")
    assert cash_legs.open_rates(trade.world) is trade.rates
