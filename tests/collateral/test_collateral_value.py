"""What each kind of thing is worth, by hand, and when it is not eligible."""

from __future__ import annotations

import itertools
from dataclasses import replace
from fractions import Fraction

import pytest
from collateral_lab import (
    ALL,
    DIFFICULTY,
    PRICE,
    REWARD,
    START,
    TH,
    claim,
    coins,
    contract,
    energy,
    machine,
    market,
    revenue,
    types,
)
from hypothesis import given
from hypothesis import strategies as st

from escrow.collateral.items import Item, Promise, asset_id
from escrow.collateral.market import MAX_DIFFICULTY, Network, Paths
from escrow.collateral.model import ByCapex, ByFace, Curve
from escrow.collateral.value import (
    delivered,
    deliveries,
    discounted,
    left_of,
    net_asset_value,
    promised,
    why_not,
    worth,
)
from escrow.core.errors import BadInput
from escrow.core.units import BPS, COIN, DAY

CURVE = Curve(((0, 10_000), (100, 6_000), (200, 5_000)))


def value(item: Item, *, at: int = START, kinds=ALL, by=None) -> int:
    return worth(item, kind=kinds[item.type], market=by or market(), at=at)


def why(item: Item, *, at: int = START, kinds=ALL, by=None) -> str:
    return why_not(item, kind=kinds[item.type], market=by or market(), at=at)


def test_coins_are_worth_their_price() -> None:
    assert value(coins(COIN)) == 10_000_000
    assert value(coins(19)) == 1, "1.9 cents"


def test_a_claim_is_worth_its_face_less_a_year_of_discount() -> None:
    # 1,230.00 in a year at 23 % simple.
    assert value(claim(123_000)) == 100_000
    assert value(claim(123_000, units=3)) == 300_000
    half = START + 365 * DAY // 2
    assert value(claim(223_000), at=half) == 223_000 * 2 * BPS // (2 * BPS + 2_300)
    for late in (0, 1, 10**6):
        assert value(claim(123_000), at=START + 365 * DAY + late) == 123_000


def test_what_a_defaulted_issuer_owes_is_worth_nothing() -> None:
    broke = market(defaults=dict.fromkeys(("plant", "maker", "programme", "site"), START + 5))
    for item in (claim(100), contract(), revenue(cash=10**9), energy()):
        assert value(item, at=START + 4, by=broke) > 0
        assert value(item, at=START + 5, by=broke) == 0
        assert why(item, at=START + 4, by=broke) == ""
        assert why(item, at=START + 5, by=broke) == "collateral/defaulted"
    # A machine is still there; it may be locked in.
    assert value(machine(), at=START + 5, by=broke) > 0
    assert why(machine(), at=START + 5, by=broke) == "collateral/defaulted"


def test_a_machine_falls_along_its_curve() -> None:
    for day, left in ((0, 10_000), (25, 9_000), (50, 8_000), (100, 6_000), (150, 5_500)):
        assert left_of(CURVE, age=day * DAY) == left
    assert left_of(CURVE, age=200 * DAY) == left_of(CURVE, age=10**9) == 5_000
    assert left_of(CURVE, age=-DAY) == 10_000
    assert left_of(CURVE, age=1) == 9_999, "rounded down"
    own = machine(curve=CURVE)
    assert value(own, at=START + 50 * DAY) == 800_000
    # 30 % a quarter, as the type has it.
    assert value(machine(), at=START + 91 * DAY) == 700_000
    assert value(machine(), at=START + 182 * DAY) == 490_000


def test_second_hand_prices_move_all_machines() -> None:
    crash = market(second_hand=((0, 10_000), (START, 1_500)))
    assert value(machine(), by=crash) == 150_000
    assert value(machine(), at=START - 1, by=crash) == 1_000_000


@pytest.mark.parametrize(
    ("changes", "days", "code"),
    [
        ({}, 1_095, ""),
        ({}, 1_096, "collateral/age"),
        ({"host_lien": True}, 0, "collateral/host-lien"),
    ],
)
def test_which_machines_are_eligible(changes, days: int, code: str) -> None:
    assert why(machine(**changes), at=START + days * DAY) == code


@given(st.integers(0, 300 * DAY), st.integers(0, 300 * DAY))
def test_a_machine_never_gains_by_age(one: int, two: int) -> None:
    young, old = sorted((one, two))
    assert left_of(CURVE, age=young) >= left_of(CURVE, age=old)


# Hash power


def test_a_contract_delivers_what_hash_power_is_expected_to_earn() -> None:
    """1 PH/s for a day at difficulty 10¹⁴ and 3.125 BTC a block, by hand: 10¹⁵ × 86,400 hashes,
    one block in 2³² × 10¹⁴."""
    thing = contract(days=1).thing
    by_hand = Fraction(10**15 * 86_400 * REWARD, 2**32 * DIFFICULTY)
    assert deliveries(thing, market=market(), since=START) == int(by_hand) == 62_864


def test_at_difficulty_one_a_block_takes_two_to_the_32_hashes() -> None:
    easy = market(network=((0, Network(1, 5 * COIN)),))
    # 2³² hashes in 4 seconds and a bit at 1 GH/s: ten blocks in 43 s.
    assert easy.earned(1, since=0, until=43, seen=43) == 43 * 10**9 * 5 * COIN // 2**32


def test_what_is_known_beforehand_is_the_halving_and_not_the_difficulty() -> None:
    half = START + 180 * DAY
    flat = deliveries(contract().thing, market=market(), since=START)
    harder = market(
        network=((0, Network(DIFFICULTY, REWARD)), (half, Network(2 * DIFFICULTY, REWARD)))
    )
    halved = market(
        network=((0, Network(DIFFICULTY, REWARD)), (half, Network(DIFFICULTY, REWARD // 2)))
    )
    assert deliveries(contract().thing, market=harder, since=START) == flat
    assert deliveries(contract().thing, market=halved, since=START) == flat * 3 // 4
    # Once it is there, both weigh the same.
    left = deliveries(contract().thing, market=market(), since=half)
    for path in (harder, halved):
        assert deliveries(contract().thing, market=path, since=half) == left // 2
        assert delivered(contract().thing, market=path, since=START, until=START + 360 * DAY) in (
            flat * 3 // 4,
            flat * 3 // 4 + 1,
        )


def test_a_contract_runs_off() -> None:
    days = [0, 100, 300, 359, 360, 400]
    worths = [value(contract(), at=START + day * DAY) for day in days]
    assert worths == sorted(worths, reverse=True)
    assert worths[-2:] == [0, 0]
    assert delivered(contract().thing, market=market(), since=START - 9, until=START) == 0
    # Discounted over half of what is left: 20 % a year, 180 days.
    sats = deliveries(contract().thing, market=market(), since=START)
    cents = sats * PRICE // 10**14
    assert worths[0] == cents * BPS * 365 // (BPS * 365 + 2_000 * 180)


def test_a_contract_that_has_not_begun_delivers_nothing_yet() -> None:
    thing = contract().thing
    assert deliveries(thing, market=market(), since=START - 99 * DAY) == (
        deliveries(thing, market=market(), since=START)
    )


def test_what_begins_later_is_discounted_to_the_middle_of_its_deliveries() -> None:
    """Ninety days before it begins: a year's contract is paid for over the 360 days after them."""
    sats = deliveries(contract().thing, market=market(), since=START)
    cents = sats * PRICE // 10**14
    early = value(contract(), at=START - 90 * DAY)
    assert early == cents * BPS * 365 // (BPS * 365 + 2_000 * (90 + 180))
    assert early < value(contract())


@pytest.mark.parametrize(("days", "code"), [(330, ""), (331, "collateral/matured")])
def test_what_is_nearly_delivered_secures_nothing(days: int, code: str) -> None:
    assert why(contract(), at=START + days * DAY) == code


@given(st.lists(st.integers(0, 400), min_size=1, max_size=6, unique=True))
def test_deliveries_in_parts_are_never_more_than_at_once(cuts: list[int]) -> None:
    path = market(
        network=tuple(
            (START + n * 50 * DAY, Network(DIFFICULTY + n * 10**12, REWARD)) for n in range(8)
        )
    )
    marks = [START, *(START + day * DAY for day in sorted(cuts)), START + 400 * DAY]
    thing = contract().thing
    parts = [delivered(thing, market=path, since=a, until=b) for a, b in itertools.pairwise(marks)]
    whole = delivered(thing, market=path, since=START, until=marks[-1])
    assert 0 <= whole - sum(parts) <= len(parts)


# Revenue, energy, and what cannot be verified


def test_net_asset_value_is_cash_and_rewards_less_what_comes_before() -> None:
    share = revenue(cash=700).thing
    sats = market().earned(10**6, since=START, until=START + 360 * DAY, seen=START)
    rewards = discounted(sats * PRICE // 10**14, rate_bps=2_500, span=180 * DAY)
    nav = net_asset_value(share, rate_bps=2_500, market=market(), at=START)
    assert nav == 700 + rewards
    dear = replace(share, power_day=1_000, ahead=5_000)
    assert net_asset_value(dear, rate_bps=2_500, market=market(), at=START) == (
        700 + rewards - 360_000 - 5_000
    )
    ruin = replace(share, power_day=10**9)
    assert net_asset_value(ruin, rate_bps=2_500, market=market(), at=START) == 700
    assert net_asset_value(share, rate_bps=0, market=market(), at=START + 10**9) == 700
    assert value(revenue(cash=7_000, power_day=10**9)) == 700, "a tenth"


def test_an_energy_asset_is_what_was_built_and_a_split_is_off() -> None:
    assert value(energy()) == 1_000_000
    assert value(energy(), at=START - 1) == 0
    assert value(energy(), at=START + 100 * DAY) == 2_000_000
    assert ALL["energy-asset"].valuation == ByCapex(None)
    split = types(energy_asset={"valuation": ByCapex(3_000)})
    assert value(energy(), kinds=split) == 700_000


def test_what_cannot_be_verified_counts_zero() -> None:
    row = replace(coins(COIN), type="cloud-mining")
    assert value(row) == 0
    assert why(row) == "collateral/unverifiable"


FLEET = Item(
    "fleet",
    "cloud-mining",
    "manager",
    Promise(1_000_000, START, ((0, 0), (100, 4_000), (300, 12_000))),
)
"""10,000.00 paid; 40 % promised back in a hundred days, 120 % in three hundred."""


def test_what_is_promised_is_told_and_counts_zero() -> None:
    days = [0, 50, 100, 200, 300, 400]
    told = [promised(FLEET, market=market(), at=START + day * DAY) for day in days]
    assert told == [1_200_000, 1_000_000, 800_000, 400_000, 0, 0]
    assert promised(FLEET, market=market(), at=START - DAY) == 1_200_000
    assert promised(FLEET, market=market(), at=START + 1) == 1_199_999, "down, in the last cent"
    assert (value(FLEET), why(FLEET)) == (0, "collateral/unverifiable")
    with pytest.raises(BadInput, match="collateral/thing"):
        promised(coins(1), market=market(), at=START)


def test_a_promise_of_who_defaulted_is_nothing() -> None:
    broken = market(defaults={"manager": START + 50 * DAY})
    assert promised(FLEET, market=broken, at=START + 50 * DAY - 1) == 1_000_000
    assert promised(FLEET, market=broken, at=START + 50 * DAY) == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"paid": 0},
        {"since": -1},
        {"yields": ()},
        {"yields": ((1, 0),)},
        {"yields": ((0, 1),)},
        {"yields": ((0, 0), (0, 5))},
        {"yields": ((0, 0), (9, 5), (8, 6))},
        {"yields": ((0, 0), (9, 5), (10, 4))},
        {"yields": ((0, 0), (1, 1_000_001))},
    ],
)
def test_a_promise_that_makes_no_sense(changes: dict[str, object]) -> None:
    with pytest.raises(BadInput, match="collateral/thing"):
        replace(FLEET, thing=replace(FLEET.thing, **changes))


def test_a_thing_of_another_type_is_not_valued() -> None:
    for item in (replace(coins(1), type="machine"), replace(machine(), type="btc")):
        with pytest.raises(BadInput, match="collateral/thing"):
            value(item)


@pytest.mark.parametrize(("late", "code"), [(0, ""), (1, "collateral/matured")])
def test_a_claim_is_eligible_up_to_its_day(late: int, code: str) -> None:
    assert why(claim(1), at=START + 365 * DAY + late) == code
    weeks = types(dfa_claim={"valuation": ByFace(2_300, 7 * DAY)})
    at = START + 358 * DAY + late
    assert why(claim(1), at=at, kinds=weeks) == code


# Garbage


@pytest.mark.parametrize(
    "make",
    [
        lambda: coins(0),
        lambda: coins(21_000_000 * COIN + 1),
        lambda: coins(1, id=""),
        lambda: coins(1, id="a\nb"),
        lambda: coins(1, id="x" * 81),
        lambda: claim(0),
        lambda: claim(1, units=0),
        lambda: claim(2**63, units=2),
        lambda: claim(-1, units=-1),
        lambda: machine(price=0),
        lambda: machine(gh_s=0),
        lambda: machine(gh_s=10**15 + 1),
        lambda: machine(serial=""),
        lambda: contract(days=0),
        lambda: contract(gh_s=0),
        lambda: revenue(units=1_001),
        lambda: revenue(units=0),
        lambda: revenue(cash=-1),
        lambda: energy(watts=0),
        lambda: energy(watts=40_000_001),
        lambda: energy(capex=((START, -1),)),
    ],
)
def test_things_that_make_no_sense(make) -> None:
    with pytest.raises(BadInput, match="collateral/thing"):
        make()


@pytest.mark.parametrize(
    "changes",
    [
        {"prices": ()},
        {"prices": ((5, PRICE), (5, PRICE))},
        {"prices": ((6, PRICE), (5, PRICE))},
        {"prices": ((-1, PRICE),)},
        {"prices": ((0, 0),)},
        {"prices": tuple((n, PRICE) for n in range(10_001))},
        {"network": ((0, Network(0, 1)),)},
        {"network": ((0, Network(MAX_DIFFICULTY + 1, 1)),)},
        {"network": ((0, Network(1, -1)),)},
        {"second_hand": ((0, -1),)},
        {"second_hand": ((0, 100_001),)},
    ],
)
def test_paths_that_make_no_sense(changes) -> None:
    with pytest.raises(BadInput, match="collateral/market"):
        market(**changes)


def test_before_a_path_begins_nothing_is_known() -> None:
    late: Paths = market(prices=((START, PRICE),), network=((START, Network(1, 1)),))
    assert late.price(START) == PRICE
    for ask in (
        lambda: late.price(START - 1),
        lambda: late.earned(1, since=START - 1, until=START, seen=START),
        lambda: late.earned(1, since=START, until=START + 1, seen=START - 1),
    ):
        with pytest.raises(BadInput, match="collateral/market"):
            ask()


def test_a_name_is_of_the_whole_of_kind_and_serial() -> None:
    assert asset_id("a", "bc") != asset_id("ab", "c")
    assert len(bytes.fromhex(asset_id("machine", "SN1"))) == 32
    assert TH == 1_000
