"""DigitalCash: wallets that a platform opens, limits by class, payments that wait."""

from __future__ import annotations

import pytest
from book_lab import FAST
from cash_lab import DIGEST, ENDLESS, FIRM, LIMITS, MONTH, PERSON, SECRET, CashLab
from contracts_lab import GENESIS, raw, refuses

from escrow.adapters.evm.cash_orders import PAYMENT
from escrow.adapters.evm.contracts import ZERO, deploy_one
from escrow.core.units import DAY, HOUR

MOST, ONCE, A_MONTH = LIMITS[PERSON]


@pytest.fixture(scope="module")
def base() -> CashLab:
    lab = CashLab(FAST)
    lab.give(lab.roubles, lab.lender, 10**9)
    lab.give(lab.roubles, lab.borrower, MOST)
    lab.save()
    return lab


@pytest.fixture
def lab(base: CashLab) -> CashLab:
    base.back()
    return base


# The platform


@pytest.mark.parametrize(
    ("verb", "args"),
    [
        ("set_limits", (PERSON, 1, 1, 1)),
        ("open_wallet", (b"\x77" * 20, PERSON, 2**40 - 1)),
        ("go_offline", (1,)),
        ("come_online", ()),
    ],
)
def test_only_the_operator_keeps_wallets(lab: CashLab, verb: str, args: tuple[object, ...]):
    for who in (lab.issuer, lab.authority, lab.registrar, lab.borrower):
        with refuses("wallet/not-operator"):
            lab.roubles.send(who, verb, *args)


def test_a_wallet_is_of_a_class_that_has_limits(lab: CashLab):
    with refuses("wallet/class"):
        lab.wallet(lab.roubles, lab.stranger, 9)
    lab.roubles.send(lab.operator, "set_limits", 9, 100, 10, 20)
    lab.wallet(lab.roubles, lab.stranger, 9, until=GENESIS + DAY)
    assert lab.roubles.call("kind_of", raw(lab.stranger)) == 9
    assert lab.roubles.call("limits_of", 9) == (100, 10, 20)
    assert lab.roubles.call("eligible_until", raw(lab.stranger)) == GENESIS + DAY


@pytest.mark.parametrize(
    ("kind", "limits", "code"),
    [
        (0, (1, 1, 1), "wallet/class"),
        (256, (1, 1, 1), "wallet/class"),
        (4, (0, 1, 1), "wallet/limits"),
        (4, (1, 0, 1), "wallet/limits"),
        (4, (1, 2, 1), "wallet/limits"),
        (4, (2**64, 1, 1), "wallet/limits"),
        (4, (1, 1, 2**64), "wallet/limits"),
    ],
)
def test_limits_that_make_no_sense(lab: CashLab, kind: int, limits: tuple[int, ...], code: str):
    with refuses(code):
        lab.roubles.send(lab.operator, "set_limits", kind, *limits)


def test_what_cannot_have_a_wallet(lab: CashLab):
    for account in (ZERO, lab.roubles.address, lab.settlement.address):
        with refuses("token/receiver"):
            lab.roubles.send(lab.operator, "open_wallet", account, FIRM, 1)
    with refuses("registry/until"):
        lab.roubles.send(lab.operator, "open_wallet", raw(lab.stranger), FIRM, 2**40)


def test_a_closed_wallet_neither_pays_nor_is_paid_and_keeps_what_is_in_it(lab: CashLab):
    lab.wallet(lab.roubles, lab.lender, FIRM, until=0)
    with refuses("token/cannot-send"):
        lab.pay(lab.roubles, lab.lender, lab.buyer, 1)
    with refuses("token/cannot-receive"):
        lab.pay(lab.roubles, lab.borrower, lab.lender, 1)
    assert lab.has(lab.roubles, lab.lender) == 10**9
    lab.wallet(lab.roubles, lab.lender, FIRM)
    lab.pay(lab.roubles, lab.lender, lab.buyer, 1)


def test_the_registry_of_the_loans_opens_no_wallet_here(lab: CashLab):
    """Admitted to the other tokens, unknown to this one; and the door of those is not there."""
    with refuses("token/cannot-receive"):
        lab.pay(lab.roubles, lab.lender, lab.keeper, 1)
    assert "admit" not in lab.roubles.artifact.functions


# Limits


def test_a_payment_is_limited(lab: CashLab):
    lab.pay(lab.roubles, lab.borrower, lab.lender, ONCE)
    with refuses("limit/payment"):
        lab.pay(lab.roubles, lab.borrower, lab.lender, ONCE + 1)
    with refuses("token/balance"):  # what a wallet does not have comes first
        lab.pay(lab.roubles, lab.borrower, lab.lender, MOST + 1)


def test_a_period_is_limited_and_another_one_begins(lab: CashLab):
    lab.pay(lab.roubles, lab.borrower, lab.lender, ONCE)
    lab.pay(lab.roubles, lab.borrower, lab.lender, ONCE)
    left = A_MONTH - 2 * ONCE
    with refuses("limit/period"):
        lab.pay(lab.roubles, lab.borrower, lab.lender, left + 1)
    lab.pay(lab.roubles, lab.borrower, lab.lender, left)
    assert lab.roubles.call("spent_of", raw(lab.borrower)) == A_MONTH
    lab.at(GENESIS // MONTH * MONTH + MONTH - 1)
    with refuses("limit/period"):
        lab.pay(lab.roubles, lab.borrower, lab.lender, 1)
    lab.wait(1)
    assert lab.roubles.call("spent_of", raw(lab.borrower)) == 0
    lab.pay(lab.roubles, lab.borrower, lab.lender, ONCE)
    assert lab.roubles.call("spent_of", raw(lab.borrower)) == ONCE


def test_a_balance_is_limited_for_who_is_paid(lab: CashLab):
    lab.pay(lab.roubles, lab.borrower, lab.lender, 5)
    for pay in (
        lambda amount: lab.pay(lab.roubles, lab.lender, lab.borrower, amount),
        lambda amount: lab.give(lab.roubles, lab.borrower, amount),
    ):
        with refuses("limit/balance"):
            pay(6)
    lab.pay(lab.roubles, lab.lender, lab.borrower, 5)
    assert lab.has(lab.roubles, lab.borrower) == MOST
    lab.pay(lab.roubles, lab.borrower, lab.borrower, 7)  # to itself: no more than it had


def test_an_approval_is_no_way_around_the_limits(lab: CashLab):
    lab.roubles.send(lab.borrower, "approve", raw(lab.buyer), ENDLESS)
    args = raw(lab.borrower), raw(lab.buyer)
    with refuses("limit/payment"):
        lab.roubles.send(lab.buyer, "transferFrom", *args, ONCE + 1)
    lab.roubles.send(lab.buyer, "transferFrom", *args, ONCE)


def test_a_lower_limit_takes_nothing_away(lab: CashLab):
    lab.roubles.send(lab.operator, "set_limits", PERSON, 10, 10, 10)
    assert lab.has(lab.roubles, lab.borrower) == MOST
    with refuses("limit/balance"):
        lab.pay(lab.roubles, lab.lender, lab.borrower, 1)
    lab.pay(lab.roubles, lab.borrower, lab.lender, 10)


def test_what_can_be_transferred_is_what_is(lab: CashLab):
    one, other = raw(lab.borrower), raw(lab.lender)

    def says(*args: object) -> bool:
        return bool(lab.roubles.call("canTransfer", *args))

    assert says(one, other, ONCE)
    assert not says(one, other, ONCE + 1)
    assert not says(other, one, 1)
    assert says(one, one, 1)
    assert not says(one, raw(lab.stranger), 1)
    assert not says(raw(lab.stranger), one, 1)
    lab.roubles.send(lab.authority, "setFrozenTokens", one, MOST)
    assert not says(one, other, 1)
    lab.roubles.send(lab.authority, "setFrozenTokens", one, 0)
    lab.pay(lab.roubles, lab.borrower, lab.lender, ONCE)
    lab.pay(lab.roubles, lab.borrower, lab.lender, ONCE)
    assert says(one, other, A_MONTH - 2 * ONCE)
    assert not says(one, other, A_MONTH - 2 * ONCE + 1)
    lab.roubles.send(lab.operator, "go_offline", HOUR)
    assert not says(one, other, 1)


# Cash


def test_the_issuer_mints_and_a_holder_redeems(lab: CashLab):
    with refuses("token/not-issuer"):
        lab.roubles.send(lab.operator, "mint", raw(lab.lender), 1)
    with refuses("token/cannot-receive"):
        lab.give(lab.roubles, lab.stranger, 1)
    with refuses("mint/cap"):
        lab.give(lab.roubles, lab.lender, 2**64)
    supply = lab.roubles.call("totalSupply")
    with refuses("token/balance"):
        lab.roubles.send(lab.buyer, "redeem", 1)
    with refuses("token/cannot-send"):
        lab.roubles.send(lab.stranger, "redeem", 0)
    lab.roubles.send(lab.borrower, "redeem", ONCE * 5)  # no payment, so no limit
    assert lab.has(lab.roubles, lab.borrower) == MOST - ONCE * 5
    assert lab.roubles.call("totalSupply") == supply - ONCE * 5


def test_a_frozen_wallet_pays_nothing_and_the_authority_may_move_it(lab: CashLab):
    lab.roubles.send(lab.authority, "setFrozenTokens", raw(lab.lender), 10**9)
    with refuses("token/frozen"):
        lab.pay(lab.roubles, lab.lender, lab.buyer, 1)
    with refuses("token/frozen"):
        lab.roubles.send(lab.lender, "redeem", 1)
    with refuses("token/frozen"):
        lab.lock_payment(lab.payment())
    lab.roubles.send(lab.authority, "forcedTransfer", raw(lab.lender), raw(lab.buyer), 10**9)
    assert lab.has(lab.roubles, lab.buyer) == 10**9


def test_a_permit_is_an_approval_and_no_way_around_the_limits(lab: CashLab):
    asked = lab.roubles, lab.borrower, raw(lab.buyer), 2 * ONCE
    permit = lab.permit(*asked)
    with refuses("permit/not-owner"):
        lab.roubles.send(lab.stranger, "permit", *lab.permit(*asked, signer=lab.stranger))
    lab.roubles.send(lab.stranger, "permit", *permit)
    with refuses("permit/not-owner"):
        lab.roubles.send(lab.stranger, "permit", *permit)
    args = raw(lab.borrower), raw(lab.buyer)
    with refuses("limit/payment"):
        lab.roubles.send(lab.buyer, "transferFrom", *args, ONCE + 1)
    lab.roubles.send(lab.buyer, "transferFrom", *args, ONCE)
    assert lab.roubles.call("allowance", *args) == ONCE


# Offline


def test_while_the_platform_is_offline_nothing_is_paid(lab: CashLab):
    payment = lab.payment()
    lab.lock_payment(payment)
    lab.roubles.send(lab.operator, "go_offline", HOUR)
    for act in (
        lambda: lab.pay(lab.roubles, lab.lender, lab.buyer, 1),
        lambda: lab.give(lab.roubles, lab.buyer, 1),
        lambda: lab.roubles.send(lab.lender, "redeem", 1),
        lambda: lab.lock_payment(lab.payment(nonce=2)),
        lambda: lab.complete(payment),
        lambda: lab.give_back(payment, lab.buyer),
        lambda: lab.roubles.send(lab.operator, "go_offline", 1),
    ):
        with refuses("platform/offline"):
            act()
    lab.at(lab.roubles.call("offline_until") - 1)
    with refuses("platform/offline"):
        lab.complete(payment)
    lab.wait(1)
    lab.complete(payment)


def test_it_may_come_back_early(lab: CashLab):
    with refuses("platform/not-offline"):
        lab.roubles.send(lab.operator, "come_online")
    lab.roubles.send(lab.operator, "go_offline", DAY)
    lab.wait(10)
    lab.roubles.send(lab.operator, "come_online")
    lab.pay(lab.roubles, lab.lender, lab.buyer, 1)
    with refuses("platform/not-offline"):
        lab.roubles.send(lab.operator, "come_online")


@pytest.mark.parametrize("seconds", [0, 7 * DAY + 1])
def test_how_long_it_is_announced_for(lab: CashLab, seconds: int):
    with refuses("platform/length"):
        lab.roubles.send(lab.operator, "go_offline", seconds)
    lab.roubles.send(lab.operator, "go_offline", 7 * DAY)


def test_time_offline_brings_no_deadline_nearer(lab: CashLab):
    lab.roubles.send(lab.operator, "go_offline", HOUR)  # before the lock: counts for nothing
    lab.wait(HOUR)
    payment = lab.payment()
    lab.lock_payment(payment)
    for _ in range(2):
        lab.roubles.send(lab.operator, "go_offline", DAY)
        lab.wait(DAY)
    last = payment["deadline"] + 2 * DAY
    lab.at(last)
    with refuses("pay/not-expired"):
        lab.give_back(payment)
    lab.save()
    lab.complete(payment)
    lab.back()
    lab.at(last + 1)
    with refuses("pay/too-late"):
        lab.complete(payment)
    # What was over stays over, however long the platform is away then.
    lab.roubles.send(lab.operator, "go_offline", 7 * DAY)
    lab.wait(7 * DAY)
    with refuses("pay/too-late"):
        lab.complete(payment)
    lab.give_back(payment)
    lab.forget()


# Payments that wait


def test_a_payment_is_held_then_completed(lab: CashLab):
    payment = lab.payment()
    assert lab.roubles.call("payment_id", PAYMENT.values(payment)) == PAYMENT.hash(payment)
    lab.lock_payment(payment)
    assert lab.word(lab.roubles, lab.lender) == (10**9, 100_000, 10**9 - 100_000)
    assert lab.status(payment) == 1
    with refuses("token/held"):
        lab.pay(lab.roubles, lab.lender, lab.buyer, 10**9)
    with refuses("token/held"):
        lab.roubles.send(lab.authority, "forcedTransfer", raw(lab.lender), raw(lab.buyer), 10**9)
    lab.complete(payment)
    assert lab.word(lab.roubles, lab.lender) == (10**9 - 100_000, 0, 10**9 - 100_000)
    assert lab.has(lab.roubles, lab.buyer) == 100_000
    assert lab.status(payment) == 3


def test_a_payment_goes_back_after_its_deadline_or_when_the_payee_declines(lab: CashLab):
    for nonce, early in ((1, False), (2, True)):
        payment = lab.payment(nonce=nonce)
        lab.lock_payment(payment)
        for who in (lab.stranger, lab.lender):
            with refuses("pay/not-expired"):
                lab.give_back(payment, who)
        if not early:
            lab.at(payment["deadline"] + 1)
        lab.give_back(payment, lab.buyer if early else lab.stranger)
        assert lab.word(lab.roubles, lab.lender) == (10**9, 0, 10**9)
        for again in (lab.complete, lab.give_back):
            with refuses("pay/over"):
                again(payment)
        with refuses("pay/exists"):
            lab.lock_payment(payment)


def test_a_locked_payment_counts_for_the_payers_limits(lab: CashLab):
    mine = {"payer": raw(lab.borrower), "payee": raw(lab.lender)}
    with refuses("limit/payment"):
        lab.lock_payment(lab.payment(**mine, amount=ONCE + 1), lab.borrower)
    lab.lock_payment(lab.payment(**mine, amount=ONCE), lab.borrower)
    assert lab.roubles.call("spent_of", raw(lab.borrower)) == ONCE


def test_the_payees_balance_is_asked_when_it_is_paid(lab: CashLab):
    payment = lab.payment(payee=raw(lab.borrower), amount=10)
    lab.lock_payment(payment)
    with refuses("limit/balance"):
        lab.complete(payment)
    lab.pay(lab.roubles, lab.borrower, lab.buyer, 10)
    lab.complete(payment)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"amount": 0}, "pay/amount"),
        ({"amount": 10**9 + 1}, "token/balance"),
        ({"payee": ZERO}, "pay/payee"),
        ({"payer": b"\x01" * 20}, "pay/not-payer"),
        ({"deadline": GENESIS}, "pay/window"),
        ({"deadline": GENESIS + 400 * DAY}, "pay/window"),
        ({"not_before": 2**40}, "pay/window"),
        ({"digest": bytes(32)}, "pay/unconditional"),
        ({"digest": bytes(32), "not_before": GENESIS}, "pay/unconditional"),
    ],
)
def test_what_is_not_locked(lab: CashLab, changes: dict[str, object], code: str):
    with refuses(code):
        lab.lock_payment(lab.payment(**changes))


def test_nobody_pays_itself_or_without_a_wallet(lab: CashLab):
    with refuses("pay/payee"):
        lab.lock_payment(lab.payment(payee=raw(lab.lender)))
    with refuses("token/cannot-send"):
        lab.lock_payment(lab.payment(payer=raw(lab.stranger)), lab.stranger)


def test_the_same_payment_is_locked_once(lab: CashLab):
    payment = lab.payment()
    with refuses("pay/unknown"):
        lab.complete(payment)
    lab.lock_payment(payment)
    with refuses("pay/exists"):
        lab.lock_payment(payment)
    lab.lock_payment(payment | {"nonce": 2})
    for changed in ({"amount": 1}, {"payee": raw(lab.issuer)}, {"deadline": lab.now + 2 * DAY}):
        with refuses("pay/unknown"):
            lab.complete(payment | changed)


def test_condition_a_preimage(lab: CashLab):
    payment = lab.payment(digest=DIGEST)
    lab.lock_payment(payment)
    with refuses("pay/preimage"):
        lab.complete(payment, bytes(32))
    lab.complete(payment, SECRET)


def test_condition_a_window(lab: CashLab):
    start = lab.now + HOUR
    payment = lab.payment(digest=bytes(32), not_before=start, deadline=start + HOUR)
    lab.lock_payment(payment)
    lab.at(start - 1)
    with refuses("pay/too-early"):
        lab.complete(payment)
    lab.at(start)
    lab.save()
    lab.complete(payment)
    lab.back()
    lab.at(start + HOUR)
    lab.complete(payment)
    lab.back()
    lab.at(start + HOUR + 1)
    with refuses("pay/too-late"):
        lab.complete(payment)
    lab.forget()


def test_condition_a_class(lab: CashLab):
    payment = lab.payment(digest=bytes(32), payee_kind=PERSON)
    lab.lock_payment(payment)
    with refuses("pay/class"):
        lab.complete(payment)
    lab.wallet(lab.roubles, lab.buyer, PERSON)
    lab.complete(payment)


def test_condition_an_approver(lab: CashLab):
    payment = lab.payment(digest=bytes(32), approver=raw(lab.guardian))
    values = PAYMENT.values(payment)
    with refuses("pay/unknown"):
        lab.roubles.send(lab.guardian, "approve_payment", values)
    lab.lock_payment(payment)
    with refuses("pay/not-approved"):
        lab.complete(payment)
    for who in (lab.lender, lab.buyer, lab.operator):
        with refuses("pay/not-approver"):
            lab.roubles.send(who, "approve_payment", values)
    lab.save()
    lab.at(payment["deadline"] + 1)
    with refuses("pay/too-late"):
        lab.roubles.send(lab.guardian, "approve_payment", values)
    lab.back()
    lab.forget()
    lab.roubles.send(lab.guardian, "approve_payment", values)
    assert lab.status(payment) == 2
    lab.complete(payment)


def test_all_conditions_at_once(lab: CashLab):
    payment = lab.payment(payee_kind=FIRM, approver=raw(lab.guardian), not_before=lab.now + HOUR)
    lab.lock_payment(payment)
    with refuses("pay/too-early"):
        lab.complete(payment)
    lab.wait(HOUR)
    with refuses("pay/not-approved"):
        lab.complete(payment)
    lab.roubles.send(lab.guardian, "approve_payment", PAYMENT.values(payment))
    with refuses("pay/preimage"):
        lab.complete(payment, bytes(32))
    lab.complete(payment)


def test_who_is_suspended_after_the_lock(lab: CashLab):
    """The payer's standing hinders no payment that it locked; the payee must be open."""
    payment = lab.payment()
    lab.lock_payment(payment)
    lab.wallet(lab.roubles, lab.lender, FIRM, until=0)
    lab.roubles.send(lab.authority, "setFrozenTokens", raw(lab.lender), 2**64)
    lab.wallet(lab.roubles, lab.buyer, FIRM, until=0)
    with refuses("token/cannot-receive"):
        lab.complete(payment)
    lab.wallet(lab.roubles, lab.buyer, FIRM)
    lab.complete(payment)


def test_a_constructor_that_makes_no_sense(lab: CashLab):
    one = b"\x01" * 20

    def made(issuer=one, operator=one, authority=one, settlement=one, period=MONTH):
        args = "Cash", "C", issuer, operator, authority, settlement, period
        return deploy_one("DigitalCash", *args, account=lab.stranger, chain=lab.chain)

    for changes, code in (
        ({"issuer": ZERO}, "token/not-issuer"),
        ({"operator": ZERO}, "token/not-registry"),
        ({"authority": ZERO}, "token/not-authority"),
        ({"settlement": ZERO}, "token/receiver"),
        ({"period": DAY - 1}, "wallet/limits"),
        ({"period": 366 * DAY + 1}, "wallet/limits"),
    ):
        with refuses(code):
            made(**changes)
    assert made().call("period") == MONTH
