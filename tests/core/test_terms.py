"""Which terms make sense: every bound at equality and one unit beyond."""

from dataclasses import fields, replace

import pytest
from deals import AUCTION, NOW, TERMS

from escrow.core.errors import Rejected
from escrow.core.terms import (
    MAX_FEE_BOUND,
    MAX_PRINCIPAL,
    MAX_RATE,
    Liquidation,
    Terms,
    check_terms,
)
from escrow.core.units import DAY, MAX_TIME

LAST_DEFAULT = TERMS.maturity + TERMS.grace


def code_of(**changes: object) -> str:
    """The code with which changed terms are refused; "" if they are sound."""
    try:
        check_terms(replace(TERMS, **changes), at=NOW)
    except Rejected as refusal:
        return refusal.code
    return ""


def test_the_terms_of_these_tests_are_sound() -> None:
    assert code_of() == ""


@pytest.mark.parametrize(
    ("initial", "restore", "call", "liquidation", "code"),
    [
        (1, 1, 2, 3, ""),
        (0, 1, 2, 3, "terms/ltv-order"),
        (-1, 1, 2, 3, "terms/ltv-order"),
        (5_000, 5_000, 7_500, 8_000, ""),
        (5_001, 5_000, 7_500, 8_000, "terms/ltv-order"),
        (5_000, 7_499, 7_500, 8_000, ""),
        (5_000, 7_500, 7_500, 8_000, "terms/ltv-order"),
        (5_000, 6_000, 7_999, 8_000, ""),
        (5_000, 6_000, 8_000, 8_000, "terms/ltv-order"),
        (5_000, 6_000, 7_500, 9_999, ""),
        (5_000, 6_000, 7_500, 10_000, "terms/ltv-order"),
    ],
)
def test_levels_are_ordered(initial, restore, call, liquidation, code) -> None:
    levels = {
        "initial_ltv": initial,
        "restore_ltv": restore,
        "call_ltv": call,
        "liquidation_ltv": liquidation,
    }
    assert code_of(**levels) == code


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"expires_at": NOW}, ""),
        ({"expires_at": NOW - 1}, "offer/expired"),
        ({"expires_at": TERMS.draw_by}, ""),
        ({"expires_at": TERMS.draw_by + 1}, "terms/time-order"),
        ({"draw_by": TERMS.maturity - 1}, ""),
        ({"draw_by": TERMS.maturity}, "terms/time-order"),
        ({"recover_at": LAST_DEFAULT + 1}, ""),
        ({"recover_at": LAST_DEFAULT}, "terms/time-order"),
        ({"grace": 0, "recover_at": TERMS.maturity + 1}, ""),
        ({"grace": 0, "recover_at": TERMS.maturity}, "terms/time-order"),
        ({"recover_at": MAX_TIME}, ""),
        ({"recover_at": MAX_TIME + 1}, "terms/time-order"),
    ],
)
def test_times_are_ordered_and_recovery_comes_last(changes: dict[str, int], code: str) -> None:
    assert code_of(**changes) == code


@pytest.mark.parametrize(
    ("field", "low", "high", "code"),
    [
        ("principal", 1, MAX_PRINCIPAL, "terms/size"),
        ("confirmations", 1, 100, "terms/size"),
        ("bonus_bps", 0, 5_000, "terms/size"),
        ("max_fee", 1, MAX_FEE_BOUND, "terms/size"),
        ("cure", 1, 30 * DAY, "terms/size"),
        ("grace", 0, 365 * DAY, "terms/size"),
        ("nonce", 0, 2**256 - 1, "terms/size"),
        ("rate_bps", 0, MAX_RATE, "terms/rate"),
        ("fee_bps", 0, 5_000, "terms/size"),
        ("min_left", 0, TERMS.principal, "terms/size"),
    ],
)
def test_sizes_are_bounded(field: str, low: int, high: int, code: str) -> None:
    # The longest grace needs room before the recovery time.
    room = {"recover_at": MAX_TIME}
    assert [code_of(**{**room, field: value}) for value in (low, high)] == ["", ""]
    assert [code_of(**{**room, field: value}) for value in (low - 1, high + 1)] == [code, code]


PARTIAL = {"liquidation": Liquidation.PARTIAL, "target_ltv": 6_000}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        (PARTIAL, ""),
        (PARTIAL | {"target_ltv": 1}, ""),
        (PARTIAL | {"target_ltv": 0}, "terms/target"),
        (PARTIAL | {"target_ltv": 6_001}, "terms/target"),
        ({"target_ltv": 1}, "terms/target"),
        (AUCTION | {"target_ltv": 1}, "terms/target"),
        # 0.6 x 1.5 = 0.9, the part of a payment that covers debt: each coin sold leaves the ratio.
        (PARTIAL | {"bonus_bps": 5_000, "fee_bps": 999}, ""),
        (PARTIAL | {"bonus_bps": 5_000, "fee_bps": 1_000}, "terms/target"),
    ],
)
def test_only_a_partial_sale_has_a_target_and_one_that_it_can_reach(changes, code: str) -> None:
    assert code_of(**changes) == code


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, ""),
        ({"bonus_bps": 1}, "terms/auction"),
        ({"buf_bps": 10_000}, ""),
        ({"buf_bps": 9_999}, "terms/auction"),
        ({"buf_bps": 20_000}, ""),
        ({"buf_bps": 20_001}, "terms/auction"),
        ({"cut_bps": 1}, ""),
        ({"cut_bps": 0}, "terms/auction"),
        ({"cut_bps": 9_999}, ""),
        ({"cut_bps": 10_000}, "terms/auction"),
        ({"step": 0}, "terms/auction"),
        ({"step": 7_200}, ""),
        ({"step": 7_201}, "terms/auction"),
        ({"step": 8, "tail": 8_000}, ""),
        ({"step": 8, "tail": 8_001}, "terms/auction"),
        ({"step": DAY, "tail": 30 * DAY}, ""),
        ({"step": DAY, "tail": 30 * DAY + 1}, "terms/auction"),
        ({"cusp_bps": 0}, "terms/auction"),
        ({"cusp_bps": 10_000}, ""),
        ({"cusp_bps": 10_001}, "terms/auction"),
    ],
)
def test_the_price_of_an_auction_falls_and_ends(changes, code: str) -> None:
    assert code_of(**AUCTION | changes) == code


@pytest.mark.parametrize("field", ["buf_bps", "cut_bps", "step", "tail", "cusp_bps"])
def test_only_an_auction_has_the_terms_of_one(field: str) -> None:
    assert code_of(**{field: AUCTION[field]}) == "terms/auction"
    assert code_of(**PARTIAL | {field: 1}) == "terms/auction"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"arbiter": "0x" + "ab" * 20, "dispute": 1}, ""),
        ({"arbiter": "0x" + "ab" * 20, "dispute": 30 * DAY}, ""),
        ({"arbiter": "0x" + "ab" * 20, "dispute": 0}, "terms/arbiter"),
        ({"arbiter": "0x" + "ab" * 20, "dispute": 30 * DAY + 1}, "terms/arbiter"),
        ({"dispute": 1}, "terms/arbiter"),
        ({"arbiter": TERMS.lender.upper().replace("X", "x"), "dispute": 1}, "terms/arbiter"),
        ({"arbiter": TERMS.borrower, "dispute": 1}, "terms/arbiter"),
    ],
)
def test_an_arbiter_is_a_third_person_with_time(changes, code: str) -> None:
    assert code_of(**changes) == code


@pytest.mark.parametrize(
    "parties",
    [
        {"borrower": ""},
        {"lender": ""},
        {"borrower": TERMS.lender},
        {"lender": TERMS.borrower.upper().replace("X", "x")},
    ],
)
def test_two_different_parties(parties: dict[str, str]) -> None:
    assert code_of(**parties) == "terms/parties"


def test_the_refusal_names_the_field_and_its_bounds() -> None:
    with pytest.raises(Rejected) as refusal:
        check_terms(replace(TERMS, confirmations=101), at=NOW)
    assert refusal.value.facts == {"field": "confirmations", "value": 101, "low": 1, "high": 100}


def test_the_contract_knows_the_ways_of_liquidation_by_number() -> None:
    assert [kind.value for kind in Liquidation] == [0, 1, 2, 3]
    assert [kind.name for kind in Liquidation] == [
        "TAKE_OVER",
        "THIRD_PARTY",
        "PARTIAL",
        "AUCTION",
    ]


def test_fields_stand_in_the_contracts_order() -> None:
    """The loan's id is the hash of this record: another order is another loan."""
    assert [field.name for field in fields(Terms)] == [
        "borrower",
        "lender",
        "vault",
        "principal",
        "rate_bps",
        "initial_ltv",
        "restore_ltv",
        "call_ltv",
        "liquidation_ltv",
        "cure",
        "expires_at",
        "draw_by",
        "maturity",
        "grace",
        "recover_at",
        "confirmations",
        "liquidation",
        "bonus_bps",
        "max_fee",
        "nonce",
        "target_ltv",
        "fee_bps",
        "min_left",
        "buf_bps",
        "cut_bps",
        "step",
        "tail",
        "cusp_bps",
        "arbiter",
        "dispute",
        "origin",
    ]
