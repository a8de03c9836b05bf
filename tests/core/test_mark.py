"""The oracles sign a price."""

import pytest
from deals import AT_CALL, AT_INITIAL, NOW, code_of, draft, names, play, priced

from escrow.core.decide import decide
from escrow.core.regions.system import Price
from escrow.core.roles import Role
from escrow.core.units import HOUR, MAX_PRICE, PriceE8, Seconds
from escrow.core.verbs.mark import Mark

LATER = Seconds(NOW + 2 * HOUR)


def second(**changes: object) -> Mark:
    """A good second round, with changes."""
    good: dict[str, object] = {
        "by": Role.ORACLE,
        "at": LATER,
        "round": 2,
        "price": AT_CALL,
        "priced_at": LATER,
        "signers": 2,
    }
    return Mark(**{**good, **changes})


@pytest.mark.parametrize("by", Role)
def test_only_oracles_post(by: Role) -> None:
    expected = "" if by is Role.ORACLE else "price/not-oracle"
    assert code_of(priced(draft()), second(by=by)) == expected


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"signers": 1}, "price/too-few-signers"),
        ({"signers": 2}, ""),
        ({"signers": 3}, ""),
        ({"round": 1}, "price/round"),
        ({"round": 2}, ""),
        ({"round": 3}, "price/round"),
        ({"price": PriceE8(-1)}, "price/range"),
        ({"price": PriceE8(0)}, "price/range"),
        ({"price": PriceE8(1)}, ""),
        ({"price": MAX_PRICE}, ""),
        ({"price": PriceE8(MAX_PRICE + 1)}, "price/range"),
        ({"priced_at": LATER - 1}, ""),
        ({"priced_at": LATER + 1}, "price/from-future"),
        ({"priced_at": LATER - HOUR}, ""),
        ({"priced_at": LATER - HOUR - 1}, "price/too-old"),
        ({"at": NOW + 9, "priced_at": NOW - 1}, "price/not-newer"),
        ({"at": NOW + 9, "priced_at": NOW}, "price/not-newer"),
        ({"at": NOW + 9, "priced_at": NOW + 1}, ""),
    ],
)
def test_a_price_is_signed_next_sane_newer_and_fresh(changes: dict[str, int], code: str) -> None:
    assert code_of(priced(draft()), second(**changes)) == code


@pytest.mark.parametrize(("number", "code"), [(0, "price/round"), (1, ""), (2, "price/round")])
def test_the_first_round_is_one(number: int, code: str) -> None:
    assert code_of(draft(), second(round=number)) == code


def test_the_platform_keeps_the_last_price() -> None:
    assert names(decide(draft(), second(round=1))) == ["PriceMarked"]
    after = play(priced(draft(), AT_INITIAL), second(priced_at=LATER - 5))
    assert after.system.price == Price(2, AT_CALL, Seconds(LATER - 5))
    assert after.system.clock == LATER
