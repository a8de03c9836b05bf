"""DigitalCash under whatever is tried: no money appears or goes, and no limit is passed."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from book_lab import FAST
from cash_lab import DIGEST, FIRM, LIMITS, PERSON, CashLab
from contracts_lab import raw
from hypothesis import given, settings
from hypothesis import strategies as st

from escrow.adapters.evm.cash_orders import PAYMENT
from escrow.adapters.evm.contracts import ZERO
from escrow.core.errors import Rejected
from escrow.core.units import DAY, HOUR

MOST, ONCE, A_MONTH = LIMITS[PERSON]
NAMES = ("borrower", "lender", "buyer", "stranger")
"""A person, two firms, and one without a wallet."""
ACTS = st.one_of(
    st.tuples(
        st.just("pay"), st.sampled_from(NAMES), st.sampled_from(NAMES), st.integers(0, 2 * ONCE)
    ),
    st.tuples(st.just("mint"), st.sampled_from(NAMES), st.integers(0, MOST)),
    st.tuples(st.just("redeem"), st.sampled_from(NAMES), st.integers(0, ONCE)),
    st.tuples(st.just("lock"), st.sampled_from(NAMES), st.sampled_from(NAMES), st.integers(0, 3)),
    st.tuples(st.just("complete"), st.integers(0, 5)),
    st.tuples(st.just("back"), st.integers(0, 5), st.booleans()),
    st.tuples(st.just("freeze"), st.sampled_from(NAMES), st.integers(0, 2**65)),
    st.tuples(
        st.just("force"), st.sampled_from(NAMES), st.sampled_from(NAMES), st.integers(0, ONCE)
    ),
    st.tuples(st.just("close"), st.sampled_from(NAMES[:3]), st.booleans()),
    st.tuples(st.just("offline"), st.integers(1, DAY)),
    st.tuples(st.just("wait"), st.integers(1, 40 * DAY)),
)


@pytest.fixture(scope="module")
def base() -> CashLab:
    lab = CashLab(FAST)
    for who in (lab.borrower, lab.lender, lab.buyer):
        lab.give(lab.roubles, who, 10 * ONCE)
    lab.save()
    return lab


def act(lab: CashLab, locked: list[dict[str, object]], verb: str, *args: Any) -> None:
    """Do it, whoever may. Raises ``Rejected``."""
    coin, who = lab.roubles, {name: getattr(lab, name) for name in NAMES}
    match verb, args:
        case "pay", (giver, taker, amount):
            lab.pay(coin, who[giver], who[taker], amount)
        case "mint", (taker, amount):
            lab.give(coin, who[taker], amount)
        case "redeem", (owner, amount):
            coin.send(who[owner], "redeem", amount)
        case "lock", (giver, taker, share):
            payment = lab.payment(
                payer=raw(who[giver]),
                payee=raw(who[taker]),
                amount=share * ONCE // 2,
                digest=DIGEST,
                deadline=lab.now + 10 * HOUR,
                approver=ZERO,
                nonce=len(locked),
            )
            lab.lock_payment(payment, who[giver])
            locked.append(payment)
        case "complete", (number,) if number < len(locked):
            lab.complete(locked[number])
        case "back", (number, declined) if number < len(locked):
            payee = next(w for w in who.values() if raw(w) == locked[number]["payee"])
            lab.give_back(locked[number], payee if declined else lab.keeper)
        case "freeze", (owner, amount):
            coin.send(lab.authority, "setFrozenTokens", raw(who[owner]), amount)
        case "force", (giver, taker, amount):
            coin.send(lab.authority, "forcedTransfer", raw(who[giver]), raw(who[taker]), amount)
        case "close", (owner, shut):
            kind = PERSON if owner == "borrower" else FIRM
            lab.wallet(coin, who[owner], kind, 0 if shut else 2**40 - 1)
        case "offline", (seconds,):
            coin.send(lab.operator, "go_offline", seconds)
        case "wait", (seconds,):
            lab.wait(seconds)


@settings(max_examples=40, derandomize=True, deadline=None)
@given(story=st.lists(ACTS, min_size=1, max_size=20))
def test_no_money_appears_or_goes_and_no_limit_is_passed(base: CashLab, story: list[Any]):
    base.back()
    lab, coin, locked = base, base.roubles, list[dict[str, object]]()
    for verb, *args in story:
        before = lab.has(coin, lab.borrower)
        with suppress(Rejected):
            act(lab, locked, verb, *args)
        words = [lab.word(coin, getattr(lab, name)) for name in NAMES]
        assert sum(balance for balance, _, _ in words) == coin.call("totalSupply")
        assert all(held <= balance and free <= balance - held for balance, held, free in words)
        waiting = [p for p in locked if coin.call("payment_status", PAYMENT.hash(p)) != 3]
        assert sum(held for _, held, _ in words) == sum(int(str(p["amount"])) for p in waiting)
        assert coin.call("spent_of", raw(lab.borrower)) <= A_MONTH
        has = lab.has(coin, lab.borrower)
        assert has <= max(before, MOST) or verb == "force"
        assert before - has <= ONCE or verb in ("force", "redeem")
