"""The oracles report prices, and the median counts."""

import pytest
from deals import AT_CALL, AT_INITIAL, AT_LIQUIDATION, NOW, code_of, draft, names, play, priced
from hypothesis import given
from hypothesis import strategies as st

from escrow.core.decide import decide
from escrow.core.regions.system import Price, PriceMarked, median
from escrow.core.roles import Role
from escrow.core.state import Escrow
from escrow.core.units import HOUR, MAX_PRICE, PriceE8, Seconds
from escrow.core.verbs.mark import Mark
from escrow.core.verbs.pause import Pause

LATER = Seconds(NOW + 2 * HOUR)
"""When the price of ``NOW`` is stale, so that nothing is a jump."""
SOON = Seconds(NOW + 60)
"""When it is fresh."""
FIFTH = AT_INITIAL * 2_000 // 10_000
"""What one quorum alone may move the price by."""


def second(**changes: object) -> Mark:
    """A good second round of three oracles, with changes."""
    good: dict[str, object] = {
        "by": Role.ORACLE,
        "at": LATER,
        "round": 2,
        "prices": (AT_CALL,) * 3,
        "priced_at": LATER,
    }
    return Mark(**{**good, **changes})


def of(*prices: int, count: int = 3) -> dict[str, tuple[int, ...]]:
    return {"prices": prices * count if len(prices) == 1 else prices}


@pytest.mark.parametrize("by", Role)
def test_only_oracles_post(by: Role) -> None:
    expected = "" if by is Role.ORACLE else "price/not-oracle"
    assert code_of(priced(draft()), second(by=by)) == expected


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        (of(AT_CALL, count=0), "price/too-few-signers"),
        (of(AT_CALL, count=2), "price/too-few-signers"),
        (of(AT_CALL, count=3), ""),
        (of(AT_CALL, count=4), "price/even"),
        (of(AT_CALL, count=5), ""),
        (of(1, 2, 3), ""),
        (of(2, 2, 3), ""),
        (of(1, 3, 2), "price/order"),
        (of(2, 1, 3), "price/order"),
        ({"round": 1}, "price/round"),
        ({"round": 2}, ""),
        ({"round": 3}, "price/round"),
        (of(-1), "price/range"),
        (of(0), "price/range"),
        (of(1), ""),
        (of(MAX_PRICE), ""),
        (of(MAX_PRICE + 1), "price/range"),
        (of(0, 0, AT_CALL), "price/range"),
        (of(0, AT_CALL, 2 * MAX_PRICE), ""),
        ({"priced_at": LATER - 1}, ""),
        ({"priced_at": LATER + 1}, "price/from-future"),
        ({"priced_at": LATER - HOUR}, ""),
        ({"priced_at": LATER - HOUR - 1}, "price/too-old"),
        ({"at": NOW + 9, "priced_at": NOW - 1}, "price/not-newer"),
        ({"at": NOW + 9, "priced_at": NOW}, "price/not-newer"),
        ({"at": NOW + 9, "priced_at": NOW + 1, **of(AT_INITIAL)}, ""),
    ],
)
def test_a_price_is_signed_next_sane_newer_and_fresh(changes: dict[str, int], code: str) -> None:
    assert code_of(priced(draft()), second(**changes)) == code


@pytest.mark.parametrize(("number", "code"), [(0, "price/round"), (1, ""), (2, "price/round")])
def test_the_first_round_is_one_and_no_jump(number: int, code: str) -> None:
    assert code_of(draft(), second(round=number)) == code


@pytest.mark.parametrize(
    ("prices", "count", "code"),
    [
        (AT_INITIAL + FIFTH, 3, ""),
        (AT_INITIAL + FIFTH + 1, 3, "price/deviation"),
        (AT_INITIAL + FIFTH + 1, 5, ""),
        (AT_INITIAL - FIFTH, 3, ""),
        (AT_INITIAL - FIFTH - 1, 3, "price/deviation"),
        (AT_INITIAL - FIFTH - 1, 5, ""),
        (1, 3, "price/deviation"),
        (1, 5, ""),
    ],
)
def test_a_jump_needs_the_wide_quorum(prices: int, count: int, code: str) -> None:
    command = second(at=SOON, priced_at=SOON, **of(prices, count=count))
    assert code_of(priced(draft(), AT_INITIAL), command) == code


@pytest.mark.parametrize(("age", "code"), [(HOUR, "price/deviation"), (HOUR + 1, "")])
def test_from_a_stale_price_nothing_is_a_jump(age: int, code: str) -> None:
    at = Seconds(NOW + age)
    assert code_of(priced(draft(), AT_INITIAL), second(at=at, priced_at=at, **of(1))) == code


def test_a_pause_makes_no_jump_right() -> None:
    paused = play(priced(draft(), AT_INITIAL), Pause(Role.GUARDIAN, NOW, HOUR))
    assert code_of(paused, second(at=SOON, priced_at=SOON, **of(1))) == "price/deviation"


@given(
    st.lists(st.integers(1, MAX_PRICE), min_size=3, max_size=3),
    st.integers(0, 2),
    st.integers(0, 2 * MAX_PRICE),
)
def test_one_outlier_of_three_stays_between_the_other_two(
    honest: list[int], who: int, wild: int
) -> None:
    others = [price for place, price in enumerate(honest) if place != who]
    prices = tuple(sorted(map(PriceE8, (*others, wild))))
    assert min(others) <= median(prices) <= max(others)
    after = play(draft(), second(round=1, prices=prices))
    assert after.system.price == Price(1, median(prices), LATER)


def test_an_outlier_moves_nothing_where_the_others_agree() -> None:
    for wild in (0, 1, AT_CALL, 2 * MAX_PRICE):
        prices = tuple(sorted((AT_INITIAL, AT_INITIAL, PriceE8(wild))))
        command = second(at=SOON, priced_at=SOON, prices=prices)
        after = play(priced(draft(), AT_INITIAL), command)
        assert after.system.price == Price(2, AT_INITIAL, SOON)


def test_the_platform_keeps_the_last_price_and_the_log_all_that_was_reported() -> None:
    reports = (AT_LIQUIDATION, AT_CALL, AT_INITIAL)
    command = second(prices=reports, priced_at=LATER - 5)
    escrow: Escrow = priced(draft(), AT_INITIAL)
    events = decide(escrow, command)
    price = Price(2, AT_CALL, Seconds(LATER - 5))
    assert events == (PriceMarked(LATER, price, reports),)
    assert names(events) == ["PriceMarked"]
    after = play(escrow, command)
    assert after.system.price == price
    assert after.system.clock == LATER
