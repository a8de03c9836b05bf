"""What a desk refuses leaves both chains, the log and the desk as they were."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from asset_world import claim, desk, machine, world

from escrow.collateral.items import Claim, Coins, Item
from escrow.config import WorldConfig
from escrow.core.errors import BadInput, EscrowError, Rejected
from escrow.core.units import COIN, DAY
from escrow.sim.assets import Desk, DeskTerms
from escrow.world import World

SPARE = 9
"""Number of a machine that is entered and not pledged."""


@pytest.fixture(scope="module")
def lent() -> Iterator[Desk]:
    """Two machines and coins are pledged; one more machine and half of a claim are free."""
    with world() as made:
        found = desk(made)
        found.enter(spare(made))
        for number in (1, 2):
            found.enter(machine(made, number))
            found.pledge(machine(made, number))
        found.enter(claim(made, 1_000))
        found.pledge(half(made))
        found.take(found.secure("0.1"))
        found.draw(1_400_000)
        yield found


def spare(made: World) -> Item:
    """A cheap one."""
    return machine(made, SPARE, price=10_000)


def half(made: World) -> Item:
    whole = claim(made, 1_000)
    assert isinstance(whole.thing, Claim)
    return replace(whole, thing=replace(whole.thing, units=5))


def everything(found: Desk) -> tuple[object, ...]:
    made = found.world
    things = (*found.items, spare(made))
    return (
        made.now,
        made.state_hash,
        len(made.acts),
        made.evm.chain.block_number,
        made.bitcoin.tip_hash,
        [(name, made.cash_of(name), made.tokens_of(name), made.sats_of(name)) for name in PARTIES],
        [(each, found.held(each)) for each in things if not isinstance(each.thing, Coins)],
        (found.items, found.debt, found.call, found.default_at, tuple(found.sales)),
    )


PARTIES = ("borrower", "lender", "liquidator", "custodian", "operator", "stranger")

CASES: dict[str, tuple[str, Callable[[Desk], object]]] = {
    "enter again": ("asset/exists", lambda d: d.enter(d.items[0])),
    "enter what has no name of a register": (
        "collateral/thing",
        lambda d: d.enter(replace(spare(d.world), id="machine 9")),
    ),
    "enter a short name": (
        "collateral/thing",
        lambda d: d.enter(replace(spare(d.world), id="ab")),
    ),
    "pledge again": ("collateral/twice", lambda d: d.pledge(d.items[0])),
    "pledge under another name": (
        "collateral/twice",
        lambda d: d.pledge(replace(d.items[0], id="ab" * 32)),
    ),
    "pledge as another type": (
        "collateral/thing",
        lambda d: d.pledge(replace(spare(d.world), type="hash-rate")),
    ),
    "pledge an unknown type": (
        "collateral/type",
        lambda d: d.pledge(replace(spare(d.world), type="gold")),
    ),
    "pledge what cannot be verified": (
        "collateral/thing",
        lambda d: d.pledge(replace(spare(d.world), type="cloud-mining")),
    ),
    "pledge what is not there": ("token/balance", lambda d: d.pledge(machine(d.world, 8))),
    "pledge more units than are free": (
        "token/held",
        lambda d: d.pledge(replace(half(d.world), thing=replace(half(d.world).thing, units=6))),
    ),
    "secure nonsense": ("input/amount", lambda d: d.secure("many")),
    "secure dust": ("input/amount", lambda d: d.secure("0.00000001")),
    "take again": ("collateral/twice", lambda d: d.take(d.items[-1])),
    "take what is not secured": ("collateral/not-pledged", lambda d: d.take(coins())),
    "hand back what is in the pool": ("collateral/not-pledged", lambda d: d.hand_back(d.items[-1])),
    "give back too much": ("collateral/short", lambda d: d.give_back(d.items[0])),
    "give back what is not in": (
        "collateral/not-pledged",
        lambda d: d.give_back(spare(d.world)),
    ),
    "too little instead": (
        "collateral/short",
        lambda d: d.substitute(spare(d.world), d.items[-1]),
    ),
    "itself instead": ("collateral/twice", lambda d: d.substitute(d.items[0], d.items[0])),
    "nothing that there is instead": (
        "token/balance",
        lambda d: d.substitute(machine(d.world, 8, price=10**7), d.items[0]),
    ),
    "coins of nobody instead": (
        "collateral/not-pledged",
        lambda d: d.substitute(coins(), d.items[0]),
    ),
    "restate another's": (
        "collateral/not-pledged",
        lambda d: d.restate(spare(d.world), d.items[0].thing),
    ),
    "draw nothing": ("loan/amount", lambda d: d.draw(0)),
    "draw less than nothing": ("loan/amount", lambda d: d.draw(-1)),
    "draw too much": ("collateral/short", lambda d: d.draw(d.value.lending - d.owed + 1)),
    "repay nothing": ("repay/no-debt", lambda d: d.repay(0)),
    "repay less than nothing": ("repay/no-debt", lambda d: d.repay(-1)),
    "repaid by nobody": ("input/unknown-party", lambda d: d.repay(1, by="nobody")),
    "repaid by who has nothing": ("token/balance", lambda d: d.repay(1, by="stranger")),
    "credit less than nothing": ("input/amount", lambda d: d.credit(-1)),
    "sell before a default": ("asset/not-declared", lambda d: d.sell()),
    "sell to nobody": ("input/unknown-party", lambda d: d.sell(buyer="nobody")),
}


def coins() -> Item:
    return Item("ab" * 32, "btc", "", Coins(COIN))


@pytest.mark.parametrize("case", CASES)
def test_what_is_refused_changes_nothing(lent: Desk, case: str) -> None:
    code, ask = CASES[case]
    before = everything(lent)
    with pytest.raises(EscrowError) as raised:
        ask(lent)
    assert raised.value.code == code
    assert everything(lent) == before


def test_coins_that_cannot_be_paid_leave_no_loan_open() -> None:
    with world() as made:
        found = desk(made)
        for btc in ("100000", "0.00009999"):
            with pytest.raises(EscrowError, match=r"bitcoin/funds|mint/amount"):
                found.secure(btc)
        assert {each.phase for each in made.loans} == {"CANCELLED"}
        found.take(found.secure("0.1"))


def test_the_coins_are_those_of_the_desks_own_borrower() -> None:
    config = WorldConfig(seed=7, heartbeat=30 * DAY, extra=("miner-7:borrower",))
    with World(config=config) as made:
        made.price("100000.00")
        plain = desk(made)
        terms = DeskTerms(rate_bps=0, cure=DAY, until=made.now + DAY, borrower="miner-7")
        found = Desk(made, terms, types=plain.types, market=plain.market, label="Other")
        item = found.secure("0.1")
        found.take(item)
        assert found.deal_of(item).terms.borrower == made.party("miner-7").address
        found.give_back(item)
        assert made.tokens_of("miner-7") == 10_000_000


def test_a_thing_is_restated_wherever_its_description_is_from() -> None:
    with world() as made:
        found = desk(made)
        for number in (1, 2):
            found.enter(machine(made, number))
            found.pledge(machine(made, number))
        found.restate(machine(made, 1), replace(machine(made, 1).thing, host_lien=True))
        assert [each.why for each in found.value.lines] == ["collateral/host-lien", ""]


def test_who_buys_is_known_before_anybody_waits() -> None:
    with world() as made:
        found = desk(made)
        found.enter(machine(made))
        found.pledge(machine(made))
        found.draw(1)
        found.declare()
        now = made.now
        with pytest.raises(BadInput, match="input/unknown-party"):
            found.sell(buyer="nobody")
        assert made.now == now


def test_a_thing_in_one_register_gets_into_no_other() -> None:
    """Else one machine would secure two loans, each of a desk of its own."""
    with world() as made:
        found = desk(made)
        item = machine(made)
        found.enter(item)
        found.pledge(item)
        other = Desk(made, found.terms, types=found.types, market=found.market, label="Other")
        before = everything(found)
        with pytest.raises(Rejected, match="asset/exists"):
            other.enter(item)
        with pytest.raises(Rejected, match="token/balance"):
            other.pledge(item)
        assert (everything(found), other.items) == (before, ())
        other.enter(machine(made, 2))
        other.pledge(machine(made, 2))


def test_a_default_is_declared_once() -> None:
    with world() as made:
        found = desk(made)
        found.declare()
        before = everything(found)
        with pytest.raises(Rejected, match="asset/declared"):
            found.declare()
        assert everything(found) == before
