"""Targets, retargets and subsidies are Bitcoin's own; what is expected is arithmetic by hand."""

from __future__ import annotations

import itertools
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mining_lab import BITS, START, plain_path, refusal_of

from escrow.core.units import COIN, DAY, MAX_MONEY, Sats
from escrow.mining.catalogue import load_moment
from escrow.mining.hashprice import contract_sats, hash_price, hash_price_at
from escrow.mining.network import (
    HALVING_BLOCKS,
    MAX_HEIGHT,
    MAX_TARGET,
    POW_LIMIT,
    RETARGET_BLOCKS,
    RETARGET_SPAN,
    bits_of,
    bits_of_difficulty,
    difficulty_of,
    hashes_per_block,
    next_bits,
    subsidy,
    target_of,
)
from escrow.mining.path import earned, implied_rate, network_path

TARGETS = st.integers(1 << 40, POW_LIMIT)


def test_difficulty_1_takes_2_32_hashes_and_15_millionths_more() -> None:
    assert bits_of(MAX_TARGET) == 0x1D00FFFF
    assert difficulty_of(0x1D00FFFF) == 1
    assert int(hashes_per_block(0x1D00FFFF)) == 4_295_032_833
    assert hashes_per_block(0x1D00FFFF) / 2**32 - 1 < Fraction(16, 10**6)
    # With all bits of the limit it is 2³² to the last hash.
    assert Fraction(1 << 256, POW_LIMIT + 1) == 2**32


@pytest.mark.parametrize(
    ("first", "last", "bits", "expected"),
    [
        (1_261_130_161, 1_262_152_739, 0x1D00FFFF, 0x1D00D86A),  # blocks 30,240 and 32,255
        (1_231_006_505, 1_233_061_996, 0x1D00FFFF, 0x1D00FFFF),  # 0 and 2,015: at the limit
        (1_279_008_237, 1_279_297_671, 0x1C05A3F4, 0x1C0168FD),  # 66,528 and 68,543: a quarter
        (1_263_163_443, 1_269_211_443, 0x1C387F6F, 0x1D00E1FD),  # four times, of Core's making
    ],
)
def test_retargets_are_those_of_bitcoin_core(first, last, bits, expected) -> None:
    """Vectors: Bitcoin Core, ``src/test/pow_tests.cpp``."""
    assert next_bits(bits, span=last - first) == expected


@pytest.mark.parametrize(
    ("bits", "target"),
    [
        (0x01123456, 0x12),
        (0x02123456, 0x1234),
        (0x03123456, 0x123456),
        (0x04123456, 0x12345600),
        (0x05009234, 0x92340000),
    ],
)
def test_the_compact_form_is_read_as_bitcoin_core_does(bits, target) -> None:
    """Vectors: Bitcoin Core, ``src/test/arith_uint256_tests.cpp``."""
    assert target_of(bits) == target


@pytest.mark.parametrize(
    "bits",
    [0, 0x01003456, 0x01800000, 0x04923456, 0x1D010000, 0xFF123456, 1 << 32, -1, True, 1.0],
)
def test_a_target_that_consensus_does_not_allow_is_refused(bits) -> None:
    assert refusal_of(target_of, bits) == "network/bits"


@pytest.mark.parametrize("target", [0, -1, POW_LIMIT + 1])
def test_such_a_target_has_no_compact_form(target) -> None:
    assert refusal_of(bits_of, target) == "network/bits"


@given(TARGETS)
def test_the_compact_form_is_the_target_rounded_down(target) -> None:
    bits = bits_of(target)
    assert target_of(bits) <= target < target_of(bits) * (1 + Fraction(1, 2**15))
    assert bits_of(target_of(bits)) == bits


@given(TARGETS, st.integers(-(10**9), 10**9))
def test_a_retarget_changes_the_target_four_times_at_most(target, span) -> None:
    before = target_of(bits_of(target))
    after = target_of(next_bits(bits_of(target), span=span))
    assert after <= min(4 * before, POW_LIMIT)
    # Rounding to the compact form may take a little more than the three quarters.
    assert 4 * after > before * (1 - Fraction(1, 2**13))
    if span >= 4 * RETARGET_SPAN:
        assert after == target_of(bits_of(min(4 * before, POW_LIMIT)))
    if span <= RETARGET_SPAN // 4:
        assert after == target_of(bits_of(before // 4))


@given(TARGETS, st.integers(0, 10**7), st.integers(0, 10**7))
def test_a_longer_period_never_makes_it_harder(target, one, other) -> None:
    short, long = sorted((one, other))
    bits = bits_of(target)
    assert target_of(next_bits(bits, span=short)) <= target_of(next_bits(bits, span=long))


@pytest.mark.parametrize(
    ("height", "sats"),
    [
        (0, 50 * COIN),
        (HALVING_BLOCKS - 1, 50 * COIN),
        (HALVING_BLOCKS, 25 * COIN),
        (839_999, 625_000_000),
        (840_000, 312_500_000),  # the halving of April 2024
        (32 * HALVING_BLOCKS, 1),
        (33 * HALVING_BLOCKS, 0),
        (64 * HALVING_BLOCKS, 0),
        (10**12, 0),
    ],
)
def test_the_subsidy_halves(height, sats) -> None:
    assert subsidy(height) == sats


def test_all_subsidies_stay_below_21_million() -> None:
    """Bitcoin Core's own sum: ``validation_tests.cpp``."""
    total = sum(subsidy(n * HALVING_BLOCKS) * HALVING_BLOCKS for n in range(64))
    assert total == 2_099_999_997_690_000 < MAX_MONEY


@pytest.mark.parametrize("height", [-1, True, "0"])
def test_no_subsidy_below_the_first_block(height) -> None:
    assert refusal_of(subsidy, height) == "network/height"


def test_a_th_of_a_day_at_difficulty_1_by_hand() -> None:
    """10¹² hashes a second × 86,400 s ÷ 4,295,032,833 = 20,116,260 blocks of 50 BTC."""
    found = hash_price(0x1D00FFFF, reward=Sats(50 * COIN), price=0)
    expected = 10**12 * 86_400 * 50 * COIN * Fraction(MAX_TARGET + 1, 1 << 256)
    assert found.per_th_day == expected
    assert int(expected / (50 * COIN)) == 20_116_260


@pytest.mark.parametrize(
    ("moment", "price", "published", "tolerance"),
    [
        # 88.40 T at 64,000 USD: 45.79 USD a PH/s and day in the press, fees included.
        ("2024-09-25", 64_000, 4_579, 2),
        # 148.26 T at "around 87,000": "around 38 USD".
        ("2025-12-25", 87_000, 3_800, 3),
    ],
)
def test_the_hash_price_is_the_published_one_to_some_percent(
    moment, price, published, tolerance
) -> None:
    at = load_moment(moment)
    reward = Sats(subsidy(at.height) + at.fees)
    found = hash_price(at.bits, reward=reward, price=price * 10**8)
    assert abs(found.cents_per_ph_day - published) * 100 <= tolerance * published


def test_a_moment_has_the_difficulty_that_was_published() -> None:
    published = 148_260_000_000_000
    found = difficulty_of(load_moment("2025-12-25").bits)
    assert published <= found < published * (1 + Fraction(1, 10**4))


def test_the_hash_rate_that_a_difficulty_implies_is_the_one_reported() -> None:
    """ "Around 638.82 EH/s" at 92.67 T was below the average: 663 EH/s."""
    assert implied_rate(bits_of_difficulty(92_670_000_000_000)) // 10**9 == 663


def test_a_machine_breaks_even_where_its_day_costs_what_it_earns() -> None:
    found = hash_price(BITS, reward=Sats(314_500_000), price=87_000 * 10**8)
    cents = found.break_even(17_500)
    # A day of 1 TH/s at 17.5 J/TH is 0.42 kWh.
    earns = found.per_th_day * 87_000 * 10**8 / 10**14
    assert cents <= earns / Fraction(42, 100) < cents + 1
    assert refusal_of(found.break_even, 0) == "mining/value"


@pytest.mark.parametrize("price", [-1, 10**18 + 1, True, 1.5])
def test_no_hash_price_at_no_price(price) -> None:
    assert refusal_of(hash_price, BITS, reward=Sats(1), price=price) == "input/amount"


def test_a_path_retargets_and_halves_where_bitcoin_does() -> None:
    path = network_path(
        at=START,
        height=4 * HALVING_BLOCKS - 10,
        bits=BITS,
        fees=Sats(0),
        hash_rates=[implied_rate(BITS), 2 * implied_rate(BITS), implied_rate(BITS)],
    )
    heights = [each.height for each in path.stretches]
    first = 4 * HALVING_BLOCKS - 10
    after = first - first % RETARGET_BLOCKS + RETARGET_BLOCKS
    assert heights == [first, 840_000, after, after + RETARGET_BLOCKS]
    assert [each.subsidy for each in path.stretches] == [625_000_000] + [312_500_000] * 3
    assert path.stretches[0].bits == path.stretches[1].bits
    # Twice the hash rate: half the time, and then half the target.
    slow, fast = path.stretches[2], path.stretches[3]
    assert abs((slow.until - slow.since) * 2 - RETARGET_SPAN) < 700
    assert abs(target_of(fast.bits) * 2 / target_of(slow.bits) - 1) < 0.001
    assert all(a.until == b.since for a, b in zip(path.stretches, path.stretches[1:], strict=False))
    assert [at for at, _, _ in path.steps()] == [each.since for each in path.stretches]
    assert path.steps()[0][2] == 625_000_000
    assert path.steps()[0][1] <= difficulty_of(BITS) < path.steps()[0][1] + 1
    assert path.at(path.since) is path.stretches[0]
    assert path.at(path.until - 1) is path.stretches[-1]
    assert refusal_of(path.at, path.until) == "network/outside"
    assert refusal_of(path.at, path.since - 1) == "network/outside"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, ""),
        ({"height": -1}, "network/height"),
        ({"height": MAX_HEIGHT}, "network/height"),
        ({"bits": 0}, "network/bits"),
        ({"fees": -1}, "network/fees"),
        ({"fees": MAX_MONEY + 1}, "network/fees"),
        ({"hash_rates": []}, "network/rate"),
        ({"hash_rates": [0]}, "network/rate"),
        ({"hash_rates": [10**18 + 1]}, "network/rate"),
        ({"hash_rates": [10**12] * 2_001}, "network/rate"),
        ({"hash_rates": [1]}, "network/outside"),
        ({"at": -1}, "network/outside"),
        ({"at": 0.5}, "network/outside"),
    ],
)
def test_a_path_that_makes_no_sense_is_refused(changes, code) -> None:
    plain = {"at": START, "height": 1, "bits": BITS, "fees": 0, "hash_rates": [10**12]}
    assert refusal_of(network_path, **(plain | changes)) == code


@given(
    st.lists(st.integers(0, 8 * RETARGET_SPAN - 10_000), min_size=3, max_size=6),
    st.integers(1, 10**7),
)
def test_what_is_earned_adds_up_over_any_split(cuts, rate) -> None:
    path = plain_path()
    moments = [START + each for each in sorted(cuts)]
    parts = [earned(path, hash_rate=rate, windows=[(a, b)]) for a, b in itertools.pairwise(moments)]
    assert sum(parts) == earned(path, hash_rate=rate, windows=[(moments[0], moments[-1])])


def test_a_contract_over_hash_power_delivers_what_the_power_earns() -> None:
    # 86,400 × 10¹⁵ ÷ (148.26 × 10¹² × 4,295,032,833) = 0.00013568 blocks of 3.125 BTC.
    path, rate = plain_path(fees=0), 10**6
    day = contract_sats(path, hash_rate=rate, since=START, until=START + DAY)
    assert day == hash_price_at(path, at=START, price=0).sats_per_ph_day == 42_400
    with_fees = contract_sats(plain_path(), hash_rate=rate, since=START, until=START + DAY)
    assert with_fees > day
    late = (START - 1, START + DAY)
    assert refusal_of(earned, path, hash_rate=rate, windows=[late]) == "network/outside"
    assert refusal_of(earned, path, hash_rate=-1, windows=[(START, START + 1)]) == "network/rate"


def test_a_steady_network_finds_its_blocks_ten_minutes_apart() -> None:
    path = plain_path()
    assert path.stretches[0].until - path.since == pytest.approx(RETARGET_SPAN, abs=2)
    # 2,015 spacings are counted for 2,016 blocks: a steady network grows harder by a 2,016th.
    harder = difficulty_of(path.stretches[1].bits) / difficulty_of(path.stretches[0].bits)
    assert abs(harder - Fraction(2_016, 2_015)) < Fraction(1, 10**4)
