"""CashToken: its issuer mints, the book pays debts with it. The rest is what both tokens are."""

from __future__ import annotations

import pytest
from contracts_lab import raw, refuses
from token_lab import TokenLab

ZERO = bytes(20)
MOST = 2**64 - 1
NO_LIMIT = 2**256 - 1


@pytest.fixture(scope="module")
def base() -> TokenLab:
    lab = TokenLab()
    lab.cash.send(lab.issuer, "mint", raw(lab.borrower), 1_000)
    lab.cash.send(lab.borrower, "approve", raw(lab.hand), 900)
    lab.save()
    return lab


@pytest.fixture
def lab(base: TokenLab) -> TokenLab:
    base.back()
    return base


def settle(lab: TokenLab, amount: int, *, by=None, payer=None, payee=None):
    people = raw(payer or lab.borrower), raw(payee or lab.lender)
    return lab.cash.send(by or lab.hand, "settle", *people, amount)


def test_what_it_is(lab: TokenLab):
    asked = ("name", "symbol", "decimals", "issuer", "totalSupply", "authority", "registry", "book")
    assert [lab.cash.call(name) for name in asked] == [
        "Test rouble",
        "TRUB",
        2,
        raw(lab.issuer),
        1_000,
        raw(lab.authority),
        lab.registry.address,
        raw(lab.hand),
    ]


def test_the_issuer_mints(lab: TokenLab):
    receipt = lab.cash.send(lab.issuer, "mint", raw(lab.buyer), 5)
    assert lab.said(receipt) == [
        ("Transfer", {"sender": ZERO, "receiver": raw(lab.buyer), "value": 5})
    ]
    assert (lab.money(lab.buyer), lab.cash.call("totalSupply")) == (5, 1_005)


def test_nobody_else_mints(lab: TokenLab):
    for who in (lab.lender, lab.authority, lab.registrar, lab.hand):
        with refuses("token/not-issuer"):
            lab.cash.send(who, "mint", raw(lab.lender), 5)


def test_nobody_is_minted_to_who_is_not_admitted(lab: TokenLab):
    for where in (ZERO, lab.cash.address, raw(lab.hand), raw(lab.stranger)):
        with refuses("token/cannot-receive"):
            lab.cash.send(lab.issuer, "mint", where, NO_LIMIT)


def test_there_is_never_more_than_a_word_of_an_account_holds(lab: TokenLab):
    for amount in (MOST - 999, MOST, 2**64, NO_LIMIT):
        with refuses("mint/cap"):
            lab.cash.send(lab.issuer, "mint", raw(lab.buyer), amount)
    lab.cash.send(lab.issuer, "mint", raw(lab.buyer), MOST - 1_000)
    with refuses("mint/cap"):
        lab.cash.send(lab.issuer, "mint", raw(lab.buyer), 1)
    # All of it in one hand, and nothing of it in the next member of the word.
    lab.cash.send(lab.borrower, "transfer", raw(lab.buyer), 1_000)
    assert lab.word(lab.cash, lab.buyer) == (MOST, 0, 0, MOST)
    assert lab.cash.call("totalSupply") == MOST


def test_what_an_issuer_cannot_do(lab: TokenLab):
    with refuses("token/allowance"):
        lab.cash.send(lab.issuer, "transferFrom", raw(lab.borrower), raw(lab.issuer), 1)
    with refuses("token/not-authority"):
        lab.cash.send(lab.issuer, "forcedTransfer", raw(lab.borrower), raw(lab.issuer), 1)


# Settle


def test_the_book_settles_out_of_the_payers_allowance(lab: TokenLab):
    receipt = settle(lab, 300)
    moved = {"sender": raw(lab.borrower), "receiver": raw(lab.lender), "value": 300}
    assert lab.said(receipt) == [("Transfer", moved)]
    assert (lab.money(lab.borrower), lab.money(lab.lender)) == (700, 300)
    assert lab.cash.call("allowance", raw(lab.borrower), raw(lab.hand)) == 600


def test_nobody_else_settles(lab: TokenLab):
    for who in (lab.lender, lab.borrower, lab.authority, lab.issuer):
        lab.cash.send(lab.borrower, "approve", raw(who), NO_LIMIT)
        with refuses("token/not-book"):
            settle(lab, 1, by=who)


def test_no_more_than_the_payer_allowed_has_and_may_spend(lab: TokenLab):
    """Refusals in their order."""
    lab.suspend(raw(lab.borrower))
    lab.cash.send(lab.authority, "setFrozenTokens", raw(lab.borrower), 600)
    with refuses("token/cannot-send"):
        settle(lab, 1_001)
    lab.registry.send(lab.registrar, "reinstate", [raw(lab.borrower)])
    with refuses("token/allowance"):
        settle(lab, 1_001)
    lab.cash.send(lab.borrower, "approve", raw(lab.hand), NO_LIMIT)
    with refuses("token/balance"):
        settle(lab, 1_001)
    with refuses("token/frozen"):
        settle(lab, 401)
    settle(lab, 400)


@pytest.mark.parametrize("why", ["suspended", "frozen", "never admitted"])
def test_no_creditors_standing_hinders_paying_it_back(lab: TokenLab, why: str):
    payee = lab.stranger if why == "never admitted" else lab.lender
    if why == "suspended":
        lab.suspend(raw(payee))
    else:
        lab.cash.send(lab.authority, "setFrozenTokens", raw(payee), NO_LIMIT)
    settle(lab, 900, payee=payee)
    assert lab.money(payee) == 900
    code = "token/frozen" if why == "frozen" else "token/cannot-send"
    with refuses(code):
        lab.cash.send(payee, "transfer", raw(lab.buyer), 1)


def test_who_pays_oneself_pays_nothing(lab: TokenLab):
    settle(lab, 900, payee=lab.borrower)
    assert lab.word(lab.cash, lab.borrower) == (1_000, 0, 0, 1_000)
