"""Settlement: two signed legs in one transaction, both or neither."""

from __future__ import annotations

import pytest
from book_lab import FAST
from cash_lab import RATE, CashLab
from contracts_lab import HEARTBEAT, PRICE, raw, refuses

from escrow.adapters.evm import typed
from escrow.adapters.evm.cash_orders import ORDER
from escrow.adapters.evm.contracts import ZERO
from escrow.core.units import CENTS_SCALE, COIN


@pytest.fixture(scope="module")
def base() -> CashLab:
    lab = CashLab(FAST)
    lab.ready()
    lab.save()
    return lab


@pytest.fixture
def lab(base: CashLab) -> CashLab:
    base.back()
    return base


def balances(lab: CashLab) -> dict[str, tuple[int, int]]:
    """Of the lender and the buyer, by token."""
    tokens = {"roubles": lab.roubles, "yuan": lab.yuan, "cash": lab.cash, "pledge": lab.pledge}
    return {
        name: (lab.has(token, lab.lender), lab.has(token, lab.buyer))
        for name, token in tokens.items()
    }


def deliver(lab: CashLab, **changes: object) -> dict[str, object]:
    """The lender gives half a bitcoin, as tokens, for 50,000.00 of digital roubles."""
    lab.mint(b"\x05" * 32, COIN, holder=raw(lab.lender))
    lab.give(lab.roubles, lab.buyer, 10**7)
    return lab.order(
        first_token=lab.pledge.address,
        first_amount=COIN // 2,
        second_token=lab.roubles.address,
        second_amount=5_000_000,
        scale=CENTS_SCALE,
        **changes,
    )


def test_delivery_versus_payment(lab: CashLab):
    order = deliver(lab)
    lab.settle(order)
    assert balances(lab)["pledge"] == (COIN // 2, COIN // 2)
    assert balances(lab)["roubles"] == (10**6 + 5_000_000, 10**7 - 5_000_000)


def test_payment_versus_payment(lab: CashLab):
    order = lab.order()
    assert lab.settlement.call("order_id", ORDER.values(order)) == ORDER.hash(order)
    receipt = lab.settle(order)
    assert balances(lab)["roubles"] == (10**6 - 100_000, 100_000)
    assert balances(lab)["yuan"] == (9_000, 10**6 - 9_000)
    said = lab.settlement.event(receipt.logs[0])
    assert said is not None
    assert (said.name, said.args["id"]) == ("Settled", ORDER.hash(order))


def test_an_order_counts_once(lab: CashLab):
    order = lab.order()
    lab.settle(order)
    with refuses("settle/used"):
        lab.settle(order)
    assert lab.settlement.call("is_used", ORDER.hash(order))
    lab.settle(order | {"nonce": 2})


def test_until_when(lab: CashLab):
    order = lab.order()
    lab.at(order["expires_at"])
    lab.save()
    lab.settle(order)
    lab.back()
    lab.wait(1)
    with refuses("settle/expired"):
        lab.settle(order)
    lab.forget()


def test_both_must_have_signed_this_order(lab: CashLab):
    order = lab.order()
    for who in (
        (lab.buyer, lab.lender),
        (lab.lender, lab.stranger),
        (lab.stranger, lab.buyer),
        (lab.lender, lab.lender),
    ):
        with refuses("settle/bad-signature"):
            lab.settle(order, *who)
    sigs = [lab.sign(order, who) for who in (lab.lender, lab.buyer)]
    for changed in (
        {"second_amount": 1},
        {"first_amount": 1},
        {"nonce": 7},
        {"expires_at": 2**40},
        {"second_token": lab.cash.address},
        {"tolerance_bps": 1},
    ):
        with refuses("settle/bad-signature"):
            lab.settlement.send(lab.stranger, "settle", ORDER.values(order | changed), *sigs)
    elsewhere = [
        typed.sign(who, struct=ORDER, message=order, domain=lab.roubles.domain)
        for who in (lab.lender, lab.buyer)
    ]
    with refuses("settle/bad-signature"):
        lab.settlement.send(lab.stranger, "settle", ORDER.values(order), *elsewhere)


def test_two_parties_and_two_tokens(lab: CashLab):
    with refuses("settle/parties"):
        lab.settle(lab.order(second=raw(lab.lender)), lab.lender, lab.lender)
    with refuses("settle/parties"):
        lab.settle(lab.order(second_token=lab.roubles.address))


@pytest.mark.parametrize("leg", ["first_amount", "second_amount"])
@pytest.mark.parametrize("amount", [0, 2**64])
def test_an_amount_is_something(lab: CashLab, leg: str, amount: int):
    with refuses("settle/amount"):
        lab.settle(lab.order(**{leg: amount}))


def test_a_party_calls_its_order_off(lab: CashLab):
    for who, nonce in ((lab.lender, 1), (lab.buyer, 2)):
        order = lab.order(nonce=nonce)
        with refuses("settle/not-party"):
            lab.settlement.send(lab.stranger, "cancel", ORDER.values(order))
        lab.settlement.send(who, "cancel", ORDER.values(order))
        with refuses("settle/used"):
            lab.settle(order)
        with refuses("settle/used"):
            lab.settlement.send(who, "cancel", ORDER.values(order))


# Neither leg moves


def failures(lab: CashLab):
    """What makes one leg of ``lab.order()`` fail, and the code that says so."""
    lender, buyer, until = raw(lab.lender), raw(lab.buyer), 2**40 - 1
    wallet = lambda token, who, end: token.send(lab.operator, "open_wallet", who, 2, end)  # noqa: E731
    frozen = lambda token, who: token.send(lab.authority, "setFrozenTokens", who, until)  # noqa: E731
    yield "token/cannot-send", lambda: wallet(lab.roubles, lender, 0)
    yield "token/cannot-receive", lambda: wallet(lab.roubles, buyer, 0)
    yield "token/cannot-send", lambda: wallet(lab.yuan, buyer, 0)
    yield "token/cannot-receive", lambda: wallet(lab.yuan, lender, 0)
    yield "token/frozen", lambda: frozen(lab.roubles, lender)
    yield "token/frozen", lambda: frozen(lab.yuan, buyer)
    yield "token/balance", lambda: lab.pay(lab.yuan, lab.buyer, lab.issuer, 10**6)
    yield "token/balance", lambda: lab.pay(lab.roubles, lab.lender, lab.issuer, 10**6)
    yield (
        "token/allowance",
        lambda: lab.yuan.send(lab.buyer, "approve", lab.settlement.address, 8_999),
    )
    yield "platform/offline", lambda: lab.yuan.send(lab.operator, "go_offline", 60)
    yield (
        "limit/payment",
        lambda: lab.yuan.send(lab.operator, "set_limits", 2, 10**15, 8_999, 10**14),
    )
    yield (
        "limit/balance",
        lambda: (
            lab.yuan.send(lab.operator, "set_limits", 2, 8_999, 8_999, 10**14)
            and lab.yuan.send(lab.operator, "set_limits", 2, 8_999, 10**13, 10**14)
        ),
    )


@pytest.mark.parametrize("number", range(12))
def test_if_one_leg_fails_neither_moves(lab: CashLab, number: int):
    code, spoil = list(failures(lab))[number]
    order = lab.order()
    spoil()
    before = balances(lab)
    with refuses(code):
        lab.settle(order)
    assert balances(lab) == before
    assert not lab.settlement.call("is_used", ORDER.hash(order))


def test_who_is_not_admitted_gets_no_bitcoin_tokens(lab: CashLab):
    order = deliver(lab)
    lab.suspend(raw(lab.buyer))
    before = balances(lab)
    with refuses("token/cannot-receive"):
        lab.settle(order)
    assert balances(lab) == before


def test_what_is_frozen_is_not_delivered(lab: CashLab):
    order = deliver(lab)
    lab.pledge.send(lab.authority, "setFrozenTokens", raw(lab.lender), COIN)
    with refuses("token/frozen"):
        lab.settle(order)


# At a rate


def rated(lab: CashLab, **changes: object) -> dict[str, object]:
    return lab.order(feed=lab.rates.address, tolerance_bps=100, **changes)


def test_the_rate_within_what_was_signed(lab: CashLab):
    lab.post_rate()
    for nonce, yuan in enumerate((8_910, 9_000, 9_090)):
        lab.settle(rated(lab, second_amount=yuan, nonce=nonce))
    for yuan in (8_909, 9_091):
        with refuses("settle/rate"):
            lab.settle(rated(lab, second_amount=yuan))


def test_a_moved_rate_is_another_price(lab: CashLab):
    lab.post_rate()
    order = rated(lab)
    lab.wait(1)
    lab.post_rate(RATE * 102 // 100)
    with refuses("settle/rate"):
        lab.settle(order)


def test_an_old_rate_or_none_at_all(lab: CashLab):
    with refuses("price/stale"):
        lab.settle(rated(lab))
    lab.post_rate()
    order = rated(lab, expires_at=2**40)
    lab.wait(HEARTBEAT + 1)
    with refuses("price/stale"):
        lab.settle(order)


@pytest.mark.parametrize(
    "changes",
    [
        {"scale": 0},
        {"scale": 2**64},
        {"scale": 2**255},
        {"tolerance_bps": 10_000},
        {"tolerance_bps": 2**200},
    ],
)
def test_a_check_that_makes_no_sense(lab: CashLab, changes: dict[str, int]):
    lab.post_rate()
    with refuses("settle/rate"):
        lab.settle(rated(lab) | changes)


def test_bitcoin_at_the_price_of_the_loans(lab: CashLab):
    lab.post(PRICE)
    order = deliver(lab, feed=lab.prices.address, tolerance_bps=50)
    lab.save()
    lab.settle(order)
    lab.back()
    lab.forget()
    with refuses("settle/rate"):
        lab.settle(order | {"second_amount": 5_000_000 - 25_001})


def test_without_a_feed_any_price_is_theirs(lab: CashLab):
    lab.settle(lab.order(second_amount=1, feed=ZERO, scale=0))
