"""What a fund, a supervisor, a swap, a currency and a market refuse changes nothing.

Settlements, and those verbs of the market that spend, have theirs beside their other tests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from world_lab import fingerprint

from escrow.adapters.evm.contracts import Contract
from escrow.config import WorldConfig
from escrow.core.errors import EscrowError
from escrow.core.units import Bps, Cents, Sats, Seconds
from escrow.sim import cash_legs
from escrow.sim.fund import Limits, ReserveFund
from escrow.sim.market import Market
from escrow.sim.regulator import Prudential, Regulator
from escrow.sim.swap import Swap, propose
from escrow.world import World

MINER, BANK = "borrower", "lender"


@dataclass(frozen=True)
class Place:
    world: World
    fund: ReserveFund
    supervisor: Regulator
    roubles: Contract
    swap: Swap
    market: Market

    @property
    def state(self) -> tuple[object, ...]:
        roubles = self.roubles
        held = [roubles.call("balanceOf", p.address_bytes) for p in self.world.parties.values()]
        legs = self.market.totals, [self.market.place(name) for name in self.world.parties]
        return fingerprint(self.world), held, roubles.call("totalSupply"), legs


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    """An auction that has just begun, a fund with cash, a swap whose coins wait to be final."""
    limits = Limits(price=Bps(10_000), lot=Cents(10**6), day=Cents(10**6), share=Bps(5_000))
    rules = Prudential(
        in_force=Seconds(0), risk_weight=Bps(125_000), ratio=Bps(800), limit=Bps(100),
        tier_1=Cents(10**9),
    )  # fmt: skip
    with World(config=WorldConfig(extra=("fund:stranger",))) as world:
        world.open(liquidation="auction")
        fund = ReserveFund(world, limits=limits)
        fund.take_grant("100000.00")
        market = Market.open(world, lltv=8_600)
        market.supply("1000.00")
        roubles = cash_legs.open_currency(world, name="Digital rouble", symbol="RUBd")
        ample = cash_legs.Limits(balance=Cents(10**9), payment=Cents(1_000), period=Cents(1_500))
        cash_legs.open_wallets(world, roubles, kind=1, limits=ample, accounts=[MINER, BANK])
        cash_legs.issue(world, roubles, to=MINER, cents=Cents(10_000))
        swap = propose(world, seller=MINER, buyer=BANK, sats=Sats(10**6), cents=Cents(100))
        swap.lock_bitcoin()
        world.price("38000")
        supervisor = Regulator(world, rules=rules)
        yield Place(world, fund, supervisor, roubles, swap, market)


def lock(p: Place, **changes: object) -> object:
    """A payment that waits; ``changes`` make no sense of it."""
    usual = {"payer": MINER, "payee": BANK, "cents": Cents(5), "deadline": p.world.now + 9}
    return cash_legs.lock_payment(p.world, p.roubles, **(usual | changes))  # type: ignore[arg-type]


def proposed(p: Place, **changes: object) -> object:
    usual = {"seller": MINER, "buyer": BANK, "sats": Sats(10**6), "cents": Cents(100)}
    return propose(p.world, **(usual | changes))  # type: ignore[arg-type]


def auction(p: Place, btc: str) -> object:
    return p.fund.buy(p.world.loans[0], btc=btc)


CASES: dict[str, tuple[str, Callable[[Place], object]]] = {
    "a grant of nothing": ("input/amount", lambda p: p.fund.take_grant("0")),
    "more coins than there are": ("bitcoin/funds", lambda p: p.fund.take_mined(btc="100000")),
    "coins of nobody": ("input/unknown-party", lambda p: p.fund.take_mined(btc="1", by="nobody")),
    "dust": ("input/amount", lambda p: p.fund.take_mined(btc="0.00000001")),
    "what is pledged is seized": (
        "token/held",
        lambda p: p.fund.take_seized(btc="1", of=MINER),
    ),
    "what is not there is seized": (
        "token/balance",
        lambda p: p.fund.take_seized(btc="1", of=BANK),
    ),
    "a lot that is dear": ("fund/price", lambda p: auction(p, "0.1")),
    "a lot of nothing": ("input/amount", lambda p: auction(p, "0")),
    "an account of nobody is frozen": (
        "input/unknown-party",
        lambda p: p.supervisor.freeze("nobody"),
    ),
    "an account of nobody is suspended": (
        "input/unknown-party",
        lambda p: p.supervisor.suspend("nobody"),
    ),
    "a halt without end": ("pause/length", lambda p: p.supervisor.halt(10**9)),
    "a halt of nothing": ("pause/length", lambda p: p.supervisor.halt(0)),
    "a currency twice": (
        "evm/contract",
        lambda p: cash_legs.open_currency(p.world, name="Digital rouble", symbol="RUBd"),
    ),
    "more than a wallet may have": (
        "limit/balance",
        lambda p: cash_legs.issue(p.world, p.roubles, to=BANK, cents=Cents(10**9 + 1)),
    ),
    "money for who has no wallet": (
        "token/cannot-receive",
        lambda p: cash_legs.issue(p.world, p.roubles, to="liquidator", cents=Cents(1)),
    ),
    "a payment that waits for nothing": ("pay/unconditional", lock),
    "a payment of nothing": ("pay/amount", lambda p: lock(p, cents=Cents(0), payee_kind=1)),
    "a payment above its limit": (
        "limit/payment",
        lambda p: lock(p, cents=Cents(1_001), payee_kind=1),
    ),
    "a payment to oneself": ("pay/payee", lambda p: lock(p, payee=MINER, payee_kind=1)),
    "a payment of yesterday": (
        "pay/window",
        lambda p: lock(p, deadline=p.world.now - 1, payee_kind=1),
    ),
    "a swap with oneself": ("swap/terms", lambda p: proposed(p, buyer=MINER)),
    "a swap for nothing": ("swap/terms", lambda p: proposed(p, cents=Cents(0))),
    "a swap with nobody": ("input/unknown-party", lambda p: proposed(p, buyer="nobody")),
    "a swap without a margin": (
        "swap/margin",
        lambda p: proposed(p, longer=Seconds(3_600), shorter=Seconds(3_600)),
    ),
    "coins locked twice": ("swap/locked", lambda p: p.swap.lock_bitcoin()),
    "cash before coins are final": ("swap/order", lambda p: p.swap.lock_cash()),
    "coins with a secret that nobody told": ("swap/secret", lambda p: p.swap.claim_bitcoin()),
    "coins that are not final": (
        "swap/not-locked",
        lambda p: p.swap.claim_bitcoin(secret=bytes(32)),
    ),
    "coins back before their time": ("bitcoin/non-final", lambda p: p.swap.refund_bitcoin()),
    "cash that is not locked": ("swap/not-locked", lambda p: p.swap.claim_cash()),
    "cash back that is not locked": ("swap/not-locked", lambda p: p.swap.refund_cash()),
    "a loan against nothing": ("market/unhealthy", lambda p: p.market.borrow("1.00")),
    "collateral of nobody": (
        "market/collateral",
        lambda p: p.market.withdraw_collateral(btc="0.1"),
    ),
    "more than was lent": ("market/shares", lambda p: p.market.withdraw("1000.01")),
    "a market at no level": (
        "market/level",
        lambda p: Market.open(p.world, lltv=0, label="another"),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_refused_changes_nothing(place: Place, case: str) -> None:
    code, ask = CASES[case]
    before = place.state
    with pytest.raises(EscrowError) as raised:
        ask(place)
    assert raised.value.code == code
    assert place.state == before
