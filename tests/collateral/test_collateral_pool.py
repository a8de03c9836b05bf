"""Pools: what counts within limits, what may leave, and what never happens."""

from __future__ import annotations

from dataclasses import replace

import pytest
from collateral_lab import (
    ALL,
    LEVELS,
    START,
    coins,
    contract,
    machine,
    market,
    revenue,
    types,
)
from hypothesis import given
from hypothesis import strategies as st

from escrow.collateral.items import Claim, Coins, Item, Revenue
from escrow.collateral.margin import Call, Move, watch
from escrow.collateral.model import Levels, Limit, Limits
from escrow.collateral.pool import Types, Valuation, add, release, swap, value_pool
from escrow.core.errors import BadInput, Rejected
from escrow.core.units import COIN, DAY, HOUR

MONEY = 100_000_000
"""Ten coins' worth: 1,000,000.00."""


def valued(*items: Item, kinds: Types = ALL, at: int = START) -> Valuation:
    return value_pool(items, types=kinds, market=market(), at=at)


def plain_claim(cents: int, *, id: str = "claim", issuer: str = "plant") -> Item:
    """Due now: worth its face."""
    return Item(id, "dfa-claim", issuer, Claim("decision", cents, 1, START))


def limited(**limits: Limit) -> Types:
    return types(dfa_claim={"limits": Limits(**limits)})


# What counts


def test_what_may_be_lent_is_each_value_less_its_haircut() -> None:
    kinds = types(dfa_claim={"levels": replace(LEVELS, haircut=7_500)})
    found = valued(coins(COIN), plain_claim(10_000_000), kinds=kinds)
    assert [each.cents for each in found.types] == [10_000_000, 10_000_000]
    assert found.counted == 20_000_000
    assert found.lending == 5_000_000 + 2_500_000


def test_rounding_is_down_and_once() -> None:
    kinds = types(dfa_claim={"levels": replace(LEVELS, haircut=5_000)})
    assert valued(plain_claim(3), kinds=kinds).lending == 1
    assert valued(plain_claim(3), coins(30), kinds=kinds).lending == 3


def test_what_is_not_eligible_counts_zero_and_says_why() -> None:
    found = valued(coins(COIN), machine(host_lien=True))
    assert [line.why for line in found.lines] == ["", "collateral/host-lien"]
    assert found.counted == 10_000_000
    assert found.lines[1].worth == 1_000_000


@pytest.mark.parametrize("name", ["whole", "issuer", "item"])
@pytest.mark.parametrize("more", [-1, 0, 1])
def test_a_value_limit_is_exact(name: str, more: int) -> None:
    kinds = limited(**{name: Limit(cents=1_000)})
    found = valued(plain_claim(1_000 + more), kinds=kinds)
    assert found.counted == min(1_000 + more, 1_000)
    assert found.types[0].eligible == 1_000 + more


@pytest.mark.parametrize("name", ["whole", "issuer", "item"])
@pytest.mark.parametrize("more", [-1, 0, 1, 2])
def test_a_share_limit_is_exact_and_of_all_that_is_eligible(name: str, more: int) -> None:
    """A quarter: 1,000 beside 3,000 of coins is within, and what is above counts zero."""
    kinds = limited(**{name: Limit(share_bps=2_500)})
    found = valued(coins(30_000), plain_claim(1_000 + more), machine(host_lien=True), kinds=kinds)
    total = 4_000 + more
    assert found.counted == 3_000 + min(1_000 + more, total // 4)


def test_limits_nest() -> None:
    kinds = limited(item=Limit(cents=100), issuer=Limit(cents=150), whole=Limit(cents=220))
    two = plain_claim(200, id="one"), plain_claim(90, id="two")
    assert valued(two[0], kinds=kinds).counted == 100
    assert valued(*two, kinds=kinds).counted == 150, "100 and 90, of one issuer"
    other = plain_claim(60, id="three", issuer="other")
    assert valued(*two, other, kinds=kinds).counted == 210
    more = plain_claim(90, id="four", issuer="other")
    assert valued(*two, other, more, kinds=kinds).counted == 220


def test_parts_of_one_thing_share_its_limit() -> None:
    kinds = limited(item=Limit(cents=100))
    assert valued(plain_claim(80), plain_claim(80), kinds=kinds).counted == 100
    assert valued(plain_claim(80), plain_claim(80, id="other"), kinds=kinds).counted == 160


def test_a_limit_of_nothing() -> None:
    assert valued(plain_claim(80), kinds=limited(whole=Limit(share_bps=0))).counted == 0


def test_one_thing_is_not_there_twice() -> None:
    for item in (machine(), contract()):
        with pytest.raises(BadInput, match="collateral/twice"):
            valued(item, item)
        with pytest.raises(BadInput, match="collateral/twice"):
            add((item,), item, types=ALL)
    with pytest.raises(BadInput, match="collateral/twice"):
        valued(coins(1, id="same"), plain_claim(1, id="same"))
    with pytest.raises(BadInput, match="collateral/type"):
        valued(replace(coins(1), type="gold"))
    # The same machine under another name is the same machine.
    other = replace(machine(), id="another")
    with pytest.raises(BadInput, match="collateral/twice"):
        add((machine(),), other, types=ALL)
    add((machine(),), replace(other, thing=replace(other.thing, serial="another")), types=ALL)


def test_what_is_not_of_its_type_does_not_get_in() -> None:
    """It could not be valued, and no call made on a pool that has it."""
    for item in (machine(), contract(), plain_claim(1), coins(1)):
        for name, kind in ALL.items():
            given = replace(item, type=name)
            if name in (item.type, "cloud-mining"):
                assert add((), given, types={name: kind}) == (given,)
                continue
            with pytest.raises(BadInput, match="collateral/thing"):
                add((), given, types={name: kind})


# Levels


@pytest.mark.parametrize(
    ("debt", "call", "liquidation", "restored"),
    [
        (0, False, False, True),
        (600, False, False, True),
        (601, False, False, False),
        (699, False, False, False),
        (700, True, False, False),
        (849, True, False, False),
        (850, True, True, False),
    ],
)
def test_levels_are_met_at_or_above(
    debt: int, call: bool, liquidation: bool, restored: bool
) -> None:
    found = valued(plain_claim(1_000))
    assert (found.at_call(debt), found.at_liquidation(debt), found.restored(debt)) == (
        *(call, liquidation, restored),
    )


def test_a_pools_levels_are_weighted_by_value() -> None:
    low = Levels(8_000, 3_000, 5_000, 6_000)
    kinds = types(btc={"levels": low})
    found = valued(coins(10_000), plain_claim(3_000), kinds=kinds)
    # 1,000 × 50 % and 3,000 × 70 % of 4,000.
    assert not found.at_call(2_599)
    assert found.at_call(2_600)
    assert found.ltv(2_600) == 6_500
    assert found.ltv(2_601) == 6_503, "rounded up"


def test_a_debt_against_nothing_is_above_every_level_and_no_debt_below() -> None:
    empty = valued()
    assert empty.at_call(1)
    assert empty.at_liquidation(1)
    assert not empty.restored(1)
    assert not empty.at_call(0)
    assert empty.restored(0)
    assert (empty.ltv(0), empty.ltv(1), empty.lending) == (0, 10**8, 0)


def test_a_call_its_cure_and_its_end() -> None:
    pool = valued(plain_claim(1_000))
    ask = {"pool": pool, "cure": DAY}
    assert watch(None, 699, active=10, **ask) == (None, Move.NONE)
    call, move = watch(None, 700, active=10, **ask)
    assert (call, move) == (Call(10 + DAY), Move.CALL)
    assert watch(call, 700, active=11, **ask) == (call, Move.NONE)
    assert watch(call, 600, active=11, **ask) == (None, Move.CURE)
    assert watch(call, 601, active=11, **ask) == (call, Move.NONE)
    # At the deadline it is in time.
    assert watch(call, 700, active=10 + DAY, **ask) == (call, Move.NONE)
    assert watch(call, 700, active=11 + DAY, **ask) == (None, Move.EXPIRE)
    # Between restore and call it stays open, however late.
    assert watch(call, 699, active=10**6 * HOUR, **ask) == (call, Move.NONE)
    assert watch(call, 600, active=11 + DAY, **ask) == (None, Move.CURE)
    for before in (None, call):
        assert watch(before, 850, active=11, **ask) == (None, Move.LIQUIDATE)


# Substitution


def test_what_stays_carries_what_is_required() -> None:
    pool = (coins(2_000, id="one"), coins(2_000, id="two"))
    ask = {"types": ALL, "market": market(), "at": START}
    assert release(pool, pool[0], required=100, **ask) == (pool[1],)
    with pytest.raises(Rejected) as caught:
        release(pool, pool[0], required=101, **ask)
    assert (caught.value.code, caught.value.facts) == (
        "collateral/short",
        {"lending": 100, "required": 101},
    )
    with pytest.raises(Rejected, match="collateral/not-pledged"):
        release(pool, coins(1, id="three"), required=0, **ask)


def test_new_in_before_old_out() -> None:
    old, new = plain_claim(1_000), coins(10_000)
    ask = {"required": 500, "types": ALL, "market": market(), "at": START}
    found = swap((old,), new, old, **ask)
    assert (found.during, found.after) == ((old, new), (new,))
    with pytest.raises(Rejected, match="collateral/short"):
        swap((old,), coins(9_990), old, **ask)
    with pytest.raises(Rejected, match="collateral/not-eligible"):
        swap((old, coins(10_000)), machine(host_lien=True), old, **ask)
    with pytest.raises(BadInput, match="collateral/twice"):
        swap((old, machine()), machine(), old, **ask)
    with pytest.raises(BadInput, match="collateral/type"):
        swap((old,), replace(new, type="gold"), old, **ask)
    with pytest.raises(Rejected, match="collateral/not-pledged"):
        swap((old,), new, plain_claim(1, id="other"), **ask)


def test_of_equal_parts_one_leaves() -> None:
    part = plain_claim(500)
    found = release((part, part), part, required=0, types=ALL, market=market(), at=START)
    assert found == (part,)


# What never happens


@st.composite
def divisible(draw: st.DrawFn) -> Item:
    """Coins, a claim or shares of revenue, in so many units."""
    units = draw(st.integers(1, 300))
    name, issuer = draw(st.sampled_from("abc")), draw(st.sampled_from(["x", "y"]))
    match draw(st.integers(0, 2)):
        case 0:
            return coins(units * 7, id=f"coin {name}")
        case 1:
            thing = Claim("decision", 33, units, START + draw(st.sampled_from([0, 7, 400])) * DAY)
            return Item(f"claim {name}{issuer}", "dfa-claim", issuer, thing)
    return revenue(units=units, cash=100_000, power_day=10**9)


LIMIT = st.one_of(
    st.none(),
    st.builds(Limit, share_bps=st.integers(0, 10_000)),
    st.builds(Limit, cents=st.integers(0, 20_000)),
)
KINDS = st.fixed_dictionaries(
    {
        name: st.builds(
            lambda limits, haircut: {
                "limits": limits,
                "levels": Levels(haircut, 10_000 - haircut, 9_998, 9_999),
            },
            st.builds(Limits, whole=LIMIT, issuer=LIMIT, item=LIMIT),
            st.integers(3, 9_999),
        )
        for name in ("btc", "dfa_claim", "mining_revenue")
    }
).map(lambda changes: types(**changes))
ITEMS = st.lists(divisible(), max_size=6)


def halves(item: Item, part: int) -> tuple[Item, ...]:
    """The same thing in two lines, if it has two units."""
    thing = item.thing
    match thing:
        case Coins():
            size, field = thing.sats, "sats"
        case Claim() | Revenue():
            size, field = thing.units, "units"
    if size < 2:
        return (item,)
    first = 1 + part % (size - 1)
    return tuple(
        replace(item, thing=replace(thing, **{field: each})) for each in (first, size - first)
    )


@given(ITEMS, KINDS, st.integers(0, 10**6))
def test_a_pool_is_worth_no_more_in_parts(items: list[Item], kinds: Types, part: int) -> None:
    whole = valued(*items, kinds=kinds)
    split = valued(*(each for item in items for each in halves(item, part)), kinds=kinds)
    assert split.counted <= whole.counted
    assert split.lending <= whole.lending


@given(ITEMS, divisible(), KINDS)
def test_more_collateral_never_lowers_what_may_be_lent(
    items: list[Item], more: Item, kinds: Types
) -> None:
    assert valued(*items, more, kinds=kinds).lending >= valued(*items, kinds=kinds).lending


@given(ITEMS, KINDS, st.randoms(use_true_random=False))
def test_the_order_of_items_does_not_matter(items: list[Item], kinds: Types, random) -> None:
    other = items[:]
    random.shuffle(other)
    assert valued(*other, kinds=kinds).types == valued(*items, kinds=kinds).types


@given(ITEMS.filter(bool), divisible(), KINDS, st.integers(0, 5), st.integers(0, 40_000))
def test_no_substitution_goes_below_what_is_required(
    items: list[Item], new: Item, kinds: Types, place: int, required: int
) -> None:
    old = items[place % len(items)]
    before = valued(*items, kinds=kinds).lending
    ask = {"required": required, "types": kinds, "market": market(), "at": START}
    refusal = None
    try:
        found = swap(tuple(items), new, old, **ask)
    except Rejected as error:
        refusal = error
    if refusal is not None:
        assert refusal.code in ("collateral/short", "collateral/not-eligible")
        assert int(refusal.facts.get("lending", -1)) < required
        return
    assert valued(*found.during, kinds=kinds).lending >= before
    assert valued(*found.after, kinds=kinds).lending >= required


@given(ITEMS, KINDS)
def test_no_type_counts_more_than_its_limit(items: list[Item], kinds: Types) -> None:
    found = valued(*items, kinds=kinds)
    total = sum(each.eligible for each in found.types)
    for each in found.types:
        assert 0 <= each.cents <= each.eligible
        limit = each.type.limits.whole
        if limit and limit.cents is not None:
            assert each.cents <= limit.cents
        if limit and limit.share_bps is not None:
            assert each.cents * 10_000 <= total * limit.share_bps
