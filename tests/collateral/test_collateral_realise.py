"""After a default: what goes first, what it fetches after its lag, and who gets it."""

from __future__ import annotations

import pytest
from collateral_lab import ALL, PRICE, START, claim, coins, contract, machine, market, types
from hypothesis import given
from hypothesis import strategies as st

from escrow.collateral.realise import divide, order, proceeds_of, realise
from escrow.collateral.revenue import Dues, Payout, distribute, share_out, sweep
from escrow.core.errors import BadInput
from escrow.core.rules import Debt
from escrow.core.units import COIN, DAY, YEAR

MACHINE_LAG = 60 * DAY


def debt(cents: int) -> Debt:
    return Debt(principal=cents, accrued_to=START)


def sell(*items, owed: int, rate: int = 0, kinds=ALL, by=None):
    return realise(
        items, debt(owed), rate_bps=rate, types=kinds, market=by or market(), start=START
    )


def test_what_is_over_first_goes_first() -> None:
    items = machine(2), contract(), claim(1), machine(1), coins(1)
    names = [item.type for item in order(items, types=ALL)]
    assert names == ["btc", "hash-rate", "dfa-claim", "machine", "machine"]
    machines = order((machine(1), machine(2)), types=ALL)
    assert [each.id for each in machines] == sorted(each.id for each in machines)


def test_a_sale_is_at_the_price_of_its_end() -> None:
    """A machine is sold 60 days on: older, and at what second-hand machines fetch then."""
    kinds = types(machine={"discount": 1_500})
    end = START + MACHINE_LAG
    crash = market(second_hand=((0, 10_000), (end, 5_000), (end + 1, 1)))
    # 3,000 bps in 91 days: 60 days take 1,978.02, rounded against the seller.
    assert proceeds_of(machine(), kind=ALL["machine"], market=market(), start=START) == 802_100
    half = proceeds_of(machine(), kind=kinds["machine"], market=crash, start=START)
    assert half == 802_100 * 5_000 * 8_500 // 10**8
    fall = market(prices=((0, PRICE), (START, PRICE // 2), (START + 1, 1)))
    assert proceeds_of(coins(COIN), kind=ALL["btc"], market=fall, start=START) == 5_000_000


def test_the_lender_is_paid_first_and_the_rest_goes_back() -> None:
    found = sell(coins(COIN), coins(COIN, id="zzz"), machine(), owed=12_000_000)
    assert [(sale.split.lender, sale.split.surplus) for sale in found.sales] == [
        (10_000_000, 0),
        (2_000_000, 8_000_000),
    ]
    assert found.returned == (machine(),)
    assert found.shortfall == 0
    assert sell(coins(COIN), owed=0).returned == (coins(COIN),)


def test_interest_goes_on_until_the_auction_is_over() -> None:
    found = sell(machine(), owed=600_000, rate=2_300)
    (sale,) = found.sales
    assert sale.at == START + MACHINE_LAG
    interest = -(-600_000 * 2_300 * MACHINE_LAG // (10_000 * YEAR))
    assert (sale.split.interest, sale.split.principal) == (interest, 600_000)
    assert sale.split.surplus == 802_100 - 600_000 - interest


def test_what_is_not_covered_is_the_lenders_loss() -> None:
    kinds = types(machine={"costs": 1_000})
    found = sell(coins(COIN), machine(), owed=11_000_000, kinds=kinds)
    assert [sale.split.costs for sale in found.sales] == [0, 80_210]
    assert found.shortfall == 1_000_000 - (802_100 - 80_210)
    assert found.returned == ()
    assert found.debt.principal == found.shortfall


def test_costs_are_rounded_up_and_come_first() -> None:
    split, after = divide(101, debt=debt(50), costs_bps=100)
    assert (split.costs, split.principal, split.surplus) == (2, 50, 49)
    assert after.principal == 0
    split, after = divide(1, debt=debt(50), costs_bps=1)
    assert (split.costs, split.lender, after.principal) == (1, 0, 50)


AMOUNT = st.integers(0, 10**15)


@given(AMOUNT, AMOUNT, st.integers(0, 10**9), st.integers(0, 10_000))
def test_the_waterfall_pays_out_what_came_in(
    proceeds: int, principal: int, interest: int, costs: int
) -> None:
    before = Debt(principal=principal, interest_acc=interest * 10_000 * YEAR, accrued_to=START)
    split, after = divide(proceeds, debt=before, costs_bps=costs)
    parts = (split.costs, split.interest, split.principal, split.surplus)
    assert min(parts) >= 0
    assert sum(parts) == proceeds
    assert after.principal == principal - split.principal
    assert split.surplus == 0 or (after.principal, split.interest) == (0, interest)


@given(
    st.lists(st.integers(1, 10**6), max_size=5),
    st.lists(st.integers(1, 10**6), max_size=4),
    st.integers(0, 10**6),
    st.integers(0, 5_000),
)
def test_realising_conserves_and_never_pays_the_lender_more_than_is_owed(
    sats: list[int], prices: list[int], owed: int, rate: int
) -> None:
    items = [coins(each, id=f"coin {n}") for n, each in enumerate(sats)]
    items += [machine(n, price=price) for n, price in enumerate(prices)]
    found = sell(*items, owed=owed, rate=rate, kinds=types(machine={"costs": 77}))
    assert sorted(item.id for item in items) == sorted(
        [sale.item.id for sale in found.sales] + [item.id for item in found.returned]
    )
    assert sum(sale.split.principal for sale in found.sales) + found.debt.principal == owed
    for sale in found.sales:
        assert sale.split.costs + sale.split.lender + sale.split.surplus == sale.proceeds
    if found.shortfall:
        assert not found.returned
        assert not any(sale.split.surplus for sale in found.sales)


# Revenue


@pytest.mark.parametrize(
    ("rewards", "paid"),
    [
        (0, Payout(0, 0, 0, Dues(100, 50))),
        (99, Payout(99, 0, 0, Dues(1, 50))),
        (100, Payout(100, 0, 0, Dues(0, 50))),
        (120, Payout(100, 20, 0, Dues(0, 30))),
        (151, Payout(100, 50, 1, Dues(0, 0))),
    ],
)
def test_power_then_the_lender_then_holders(rewards: int, paid: Payout) -> None:
    assert distribute(rewards, dues=Dues(100, 50)) == paid


@given(AMOUNT, AMOUNT, AMOUNT)
def test_rewards_are_paid_out_whole(rewards: int, power: int, service: int) -> None:
    found = distribute(rewards, dues=Dues(power, service))
    assert found.power + found.lender + found.holders == rewards
    assert (found.power + found.left.power, found.lender + found.left.service) == (power, service)
    assert not (found.holders and (found.left.power or found.left.service))


@given(AMOUNT, st.lists(st.integers(0, 10**9), min_size=1, max_size=8).filter(any))
def test_holders_get_all_within_a_cent_of_their_part(cents: int, units: list[int]) -> None:
    parts = share_out(cents, units=tuple(units))
    assert sum(parts) == cents
    for part, each in zip(parts, units, strict=True):
        assert 0 <= part - cents * each // sum(units) <= (1 if each else 0)


@given(AMOUNT, st.integers(0, 10_000), AMOUNT)
def test_a_sweep_takes_its_share_and_no_more_than_is_owed(
    received: int, share: int, most: int
) -> None:
    found = sweep(received, share_bps=share, most=most)
    assert found.lender + found.borrower == received
    assert found.lender == min(received * share // 10_000, most)


@pytest.mark.parametrize(
    "ask",
    [
        lambda: distribute(-1, dues=Dues(0, 0)),
        lambda: distribute(0, dues=Dues(-1, 0)),
        lambda: distribute(0, dues=Dues(0, -1)),
        lambda: share_out(1, units=()),
        lambda: share_out(1, units=(0, 0)),
        lambda: share_out(1, units=(3, -1)),
        lambda: sweep(-1, share_bps=1, most=1),
        lambda: sweep(1, share_bps=10_001, most=1),
        lambda: sweep(1, share_bps=-1, most=1),
        lambda: sweep(1, share_bps=1, most=-1),
    ],
)
def test_amounts_below_nothing(ask) -> None:
    with pytest.raises(BadInput, match="input/amount"):
        ask()
