"""CashToken: an ERC-20 whose issuer mints and can do nothing else."""

from __future__ import annotations

import pytest
from contracts_lab import Lab, raw, refuses

ZERO = bytes(20)
NO_LIMIT = 2**256 - 1


@pytest.fixture(scope="module")
def base() -> Lab:
    lab = Lab()
    lab.cash.send(lab.issuer, "mint", raw(lab.lender), 1_000)
    lab.save()
    return lab


@pytest.fixture
def lab(base: Lab) -> Lab:
    base.back()
    return base


def test_what_it_is(lab: Lab):
    asked = ("name", "symbol", "decimals", "issuer", "totalSupply")
    assert [lab.cash.call(name) for name in asked] == [
        "Test rouble",
        "TRUB",
        2,
        raw(lab.issuer),
        1_000,
    ]


def test_the_issuer_mints(lab: Lab):
    receipt = lab.cash.send(lab.issuer, "mint", raw(lab.buyer), 5)
    assert lab.said(receipt) == [
        ("Transfer", {"sender": ZERO, "receiver": raw(lab.buyer), "value": 5})
    ]
    assert (lab.money(lab.buyer), lab.cash.call("totalSupply")) == (5, 1_005)


def test_nobody_else_mints(lab: Lab):
    with refuses("token/not-issuer"):
        lab.cash.send(lab.lender, "mint", raw(lab.lender), 5)


def test_transfer(lab: Lab):
    receipt = lab.cash.send(lab.lender, "transfer", raw(lab.buyer), 1_000)
    assert lab.said(receipt) == [
        ("Transfer", {"sender": raw(lab.lender), "receiver": raw(lab.buyer), "value": 1_000})
    ]
    assert (lab.money(lab.lender), lab.money(lab.buyer)) == (0, 1_000)


def test_transfer_to_oneself_changes_nothing(lab: Lab):
    lab.cash.send(lab.lender, "transfer", raw(lab.lender), 400)
    assert lab.money(lab.lender) == 1_000


def test_more_than_the_balance(lab: Lab):
    with refuses("token/balance"):
        lab.cash.send(lab.lender, "transfer", raw(lab.buyer), 1_001)


@pytest.mark.parametrize("verb", ["transfer", "transferFrom", "mint"])
@pytest.mark.parametrize("where", ["zero", "token"])
def test_who_cannot_hold_it(lab: Lab, verb: str, where: str):
    to = ZERO if where == "zero" else lab.cash.address
    who = lab.issuer if verb == "mint" else lab.lender
    args = (raw(lab.lender), to, 1) if verb == "transferFrom" else (to, 1)
    with refuses("token/receiver"):
        lab.cash.send(who, verb, *args)


def test_transfer_from_uses_the_allowance(lab: Lab):
    receipt = lab.cash.send(lab.lender, "approve", raw(lab.keeper), 10)
    assert lab.said(receipt) == [
        ("Approval", {"owner": raw(lab.lender), "spender": raw(lab.keeper), "value": 10})
    ]
    lab.cash.send(lab.keeper, "transferFrom", raw(lab.lender), raw(lab.buyer), 7)
    assert lab.cash.call("allowance", raw(lab.lender), raw(lab.keeper)) == 3
    with refuses("token/allowance"):
        lab.cash.send(lab.keeper, "transferFrom", raw(lab.lender), raw(lab.buyer), 4)
    assert lab.money(lab.buyer) == 7


def test_an_unlimited_allowance_stays(lab: Lab):
    lab.cash.send(lab.lender, "approve", raw(lab.keeper), NO_LIMIT)
    lab.cash.send(lab.keeper, "transferFrom", raw(lab.lender), raw(lab.buyer), 7)
    assert lab.cash.call("allowance", raw(lab.lender), raw(lab.keeper)) == NO_LIMIT


def test_an_allowance_does_not_lift_the_balance(lab: Lab):
    lab.cash.send(lab.lender, "approve", raw(lab.keeper), NO_LIMIT)
    with refuses("token/balance"):
        lab.cash.send(lab.keeper, "transferFrom", raw(lab.lender), raw(lab.buyer), 1_001)


def test_without_an_allowance(lab: Lab):
    with refuses("token/allowance"):
        lab.cash.send(lab.keeper, "transferFrom", raw(lab.lender), raw(lab.keeper), 1)
