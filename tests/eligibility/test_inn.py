"""Control digits of a tax number."""

from __future__ import annotations

import pytest

from escrow.core.errors import BadInput
from escrow.eligibility.inn import control, parse_inn

GOOD = ("7707083893", "7736207543", "500100732259", "0000000000", "000000000000")


@pytest.mark.parametrize("inn", GOOD)
def test_a_number_whose_control_digits_fit(inn: str) -> None:
    assert parse_inn(inn) == inn


@pytest.mark.parametrize(
    "inn", ["", "770708389", "77070838931", "7707083893 ", "７７０７０８３８９３", "770708389x"]
)
def test_ten_or_twelve_plain_digits(inn: str) -> None:
    with pytest.raises(BadInput) as refused:
        parse_inn(inn)
    assert refused.value.code == "miner/inn"


@pytest.mark.parametrize("inn", ["7707083893", "500100732259"])
def test_a_control_digit_that_is_not_the_rules_is_refused(inn: str) -> None:
    controls = (9,) if len(inn) == 10 else (10, 11)
    for place in controls:
        for digit in set("0123456789") - {inn[place]}:
            with pytest.raises(BadInput) as refused:
                parse_inn(inn[:place] + digit + inn[place + 1 :])
            assert refused.value.code == "miner/inn"


@pytest.mark.parametrize("inn", ["7707083893", "500100732259"])
def test_one_wrong_digit_is_noticed_nearly_always(inn: str) -> None:
    """By weights of 11 a digit that is wrong changes the remainder; only where that is ten, which
    counts as nought, may two be one."""
    missed = 0
    for place in range(len(inn)):
        for digit in set("0123456789") - {inn[place]}:
            try:
                parse_inn(inn[:place] + digit + inn[place + 1 :])
            except BadInput:
                continue
            missed += 1
    assert missed <= len(inn)


def test_the_weights_are_those_of_the_rule() -> None:
    """A number of one 1 shows the weight of its place, 10 being written 0."""
    weights = [control("0" * n + "1" + "0" * (8 - n)) for n in range(9)]
    assert weights == [2, 4, 0, 3, 5, 9, 4, 6, 8]
    assert [control("1" + "0" * 9), control("1" + "0" * 10)] == [7, 3]
