"""The market of collateral and the network of mining say the same."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from escrow.collateral.market import Paths
from escrow.core.errors import BadInput
from escrow.core.units import COIN, DAY
from escrow.mining.network import bits_of_difficulty
from escrow.mining.path import NetworkPath, earned, implied_rate, network_path
from escrow.sim.world_market import network_steps

START = 1_750_000_000
BITS = bits_of_difficulty(148 * 10**12)


def network(*growth: int) -> NetworkPath:
    """Over a halving: 2,000 blocks before one."""
    rates = [implied_rate(BITS)]
    for each in growth:
        rates.append(rates[-1] * (10_000 + each) // 10_000)
    return network_path(at=START, height=838_000, bits=BITS, fees=10**7, hash_rates=rates)


@given(
    st.lists(st.integers(-900, 900), min_size=5, max_size=5),
    st.integers(0, 40),
    st.integers(1, 20),
)
def test_earnings_agree_to_15_millionths_and_a_sat(growth: list[int], day: int, days: int) -> None:
    """Difficulty 1 is 0xffff × 2²⁰⁸ and not 2²²⁴: 2³² × difficulty is a little less than a block
    takes; and difficulties are rounded down to whole numbers."""
    path = network(*growth)
    market = Paths(prices=((0, COIN),), network=network_steps(path))
    since, until = START + day * DAY, START + (day + days) * DAY
    ours = market.earned(10**7, since=since, until=until, seen=until)
    exact = earned(path, hash_rate=10**7, windows=[(since, until)])
    assert -1 <= ours - exact <= 1 + exact * Fraction(16, 10**6)


def test_steps_know_the_halving() -> None:
    (one, before), (two, after), *_ = network_steps(network(0))
    assert one == START < two
    # 840,000 halves 6.25 BTC; retargets are at multiples of 2,016: 838,656 is the first.
    rewards = [each.reward for _, each in network_steps(network(0, 0))]
    assert rewards[0] == 625_000_000 + 10**7
    assert rewards[-1] == 312_500_000 + 10**7
    assert before.reward == after.reward


@pytest.mark.parametrize("since", [START - 1, START])
def test_before_its_first_block_a_path_knows_nothing(since: int) -> None:
    market = Paths(prices=((0, COIN),), network=network_steps(network()))
    if since == START:
        assert market.earned(10**7, since=since, until=since + DAY, seen=since) > 0
        return
    with pytest.raises(BadInput, match="collateral/market"):
        market.earned(10**7, since=since, until=since + DAY, seen=since)
