"""Attacks on cash legs: each says who tries what, and what that gets it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from book_lab import FAST
from cash_lab import DIGEST, ENDLESS, SECRET, SYSTEM, CashLab
from contracts_lab import FOR_EVER, raw, refuses
from eth_abi import encode
from eth_hash.auto import keccak
from hostile_lab import CALLS, LIES, compiled

from escrow.adapters.evm.cash_orders import LOCK, ORDER, PAYMENT, sign_order
from escrow.adapters.evm.contracts import ZERO, Contract, create_address, transaction
from escrow.core.units import DAY


@pytest.fixture(scope="module")
def base() -> CashLab:
    lab = CashLab(FAST)
    lab.ready()
    lab.cash.send(lab.issuer, "mint", raw(lab.lender), 10**6)
    lab.cash.send(lab.issuer, "mint", raw(lab.keeper), 10**6)
    for who in (lab.lender, lab.keeper):
        lab.cash.send(who, "approve", lab.locks.address, ENDLESS)
    lab.save()
    return lab


@pytest.fixture
def lab(base: CashLab) -> Iterator[CashLab]:
    base.back()
    return base


def put(lab: CashLab, code: bytes) -> bytes:
    """Deployed by the stranger; where."""
    address = create_address(raw(lab.stranger), nonce=lab.chain.nonce(raw(lab.stranger)))
    lab.chain.send(transaction(lab.stranger, chain=lab.chain, to=None, data=code, gas=8_000_000))
    return address


def tell(lab: CashLab, token: bytes, signature: str, *args: object) -> None:
    kinds = signature[signature.index("(") + 1 : -1].split(",")
    data = keccak(signature.encode())[:4] + encode(kinds, args)
    assert lab.chain.act(raw(lab.stranger), to=token, data=data).status == 1


def hostile(lab: CashLab) -> bytes:
    """A token of the stranger's, of which the lender has some."""
    token = put(lab, compiled("HostileCash") + encode(["address"] * 2, ["0x" + "00" * 20] * 2))
    tell(lab, token, "mint(address,uint256)", raw(lab.lender), 10**6)
    return token


# Settlement


def test_a_signature_for_another_settlement(lab: CashLab):
    """whoever saw an order signed for one settlement: carries it to another of the same code.

    Gets: `settle/bad-signature`; a signature names the contract that it counts for.
    """
    other = lab._deploy("Settlement")
    order = lab.order()
    sigs = [sign_order(who, order=order, domain=other.domain) for who in (lab.lender, lab.buyer)]
    with refuses("settle/bad-signature"):
        lab.settlement.send(lab.stranger, "settle", ORDER.values(order), *sigs)


def test_an_order_carried_at_the_worst_moment(lab: CashLab):
    """the carrier: holds a signed order back until the rate has moved against one side.

    Gets: `settle/rate` beyond the tolerance, which both signed; and `settle/used`, at whatever
    rate, once the side that fears it has called the order off.
    """
    lab.post_rate()
    order = lab.order(feed=lab.rates.address, tolerance_bps=100)
    lab.wait(60)
    lab.post_rate(9_100_000)
    with refuses("settle/rate"):
        lab.settle(order)
    lab.settlement.send(lab.lender, "cancel", ORDER.values(order))
    lab.wait(60)
    lab.post_rate()
    with refuses("settle/used"):
        lab.settle(order)


def test_orders_of_strangers_are_not_called_off(lab: CashLab):
    """a competitor: cancels orders that it sees before they are carried.

    Gets: `settle/not-party`; an order that names it as a party is another one.
    """
    order = lab.order()
    for changed in (order, order | {"nonce": 2}):
        with refuses("settle/not-party"):
            lab.settlement.send(lab.stranger, "cancel", ORDER.values(changed))
    mine = order | {"first": raw(lab.stranger)}
    lab.settlement.send(lab.stranger, "cancel", ORDER.values(mine))
    lab.settle(order)


def test_an_allowance_is_not_for_the_taking(lab: CashLab):
    """a thief: names itself as the other party of somebody who approved the settlement, and signs
    for both.

    Gets: `settle/bad-signature`; an allowance moves only by an order that its owner signed.
    """
    order = lab.order(second=raw(lab.stranger))
    with refuses("settle/bad-signature"):
        lab.settle(order, lab.stranger, lab.stranger)


def test_a_token_that_calls_back(lab: CashLab):
    """the token's author: has it settle the same order, cancel it or read its name in the middle of
    its leg.

    Gets: nothing; the settlement is locked while tokens move.
    """
    token = hostile(lab)
    order = lab.order(first_token=token)
    sigs = [lab.sign(order, who) for who in (lab.lender, lab.buyer)]
    for function, args in (
        ("settle", (ORDER.values(order), *sigs)),
        ("cancel", (ORDER.values(order),)),
        ("order_id", (ORDER.values(order),)),
    ):
        lab.save()
        payload = lab.settlement.encode(function, *args)
        tell(lab, token, "arm(uint256,address,bytes)", CALLS, lab.settlement.address, payload)
        lab.settle(order)
        went = lab.chain.call(to=token, data=keccak(b"went()")[:4])
        assert int.from_bytes(went, "big") == 0, function
        lab.back()
        lab.forget()


def test_a_token_that_moves_nothing(lab: CashLab):
    """the giver of a worthless token: signs that it is worth something.

    Gets: what the other signed for. A token is what both call it: the settlement asks that it
    answers yes, and cannot know what a yes is worth. Whoever signs looks at the token.
    """
    token = hostile(lab)
    tell(lab, token, "arm(uint256,address,bytes)", LIES, ZERO, b"")
    lab.settle(lab.order(first_token=token))
    assert lab.has(lab.yuan, lab.lender) == 9_000


def test_a_token_that_says_no(lab: CashLab):
    """a token as ERC-20 allows: answers False in place of a revert.

    Gets: `settle/not-moved`, in a settlement and at the lock, the claim and the refund of a hash
    lock; a leg that did not move is no leg.
    """
    token = put(lab, compiled("SaysNo"))
    with refuses("settle/not-moved"):
        lab.settle(lab.order(first_token=token))
    with refuses("settle/not-moved"):
        lab.lock(lab.leg(token=token))
    tell(lab, token, "take(bool)", True)
    leg = lab.leg(token=token)
    lab.lock(leg)
    with refuses("settle/not-moved"):
        lab.claim(leg)
    lab.at(leg["deadline"] + 1)
    with refuses("settle/not-moved"):
        lab.refund(leg)


# Hash locks


def test_a_secret_seen_in_the_mempool(lab: CashLab):
    """whoever reads a claim of a hash lock before it is mined: sends the same with a higher tip.

    Gets: the bill for the gas; the payee has the amount whoever carries the secret, and the claim
    that comes second is refused, `hashlock/over`.
    """
    leg = lab.leg()
    lab.lock(leg)
    lab.claim(leg)  # the stranger's transaction
    assert lab.cash.call("balanceOf", raw(lab.buyer)) == 100_000
    with refuses("hashlock/over"):
        lab.claim(leg)


def test_somebody_else_s_lock_on_the_same_digest(lab: CashLab):
    """a stranger to the swap: locks a cent for the payee on the same digest, to spoil the name.

    Gets: nothing, and loses that cent once the secret is shown; a lock is named by all of its
    terms.
    """
    leg, bait = lab.leg(), lab.leg(payer=raw(lab.keeper), amount=1)
    lab.lock(bait, lab.keeper)
    lab.lock(leg)
    lab.claim(leg)
    assert lab.locks.call("status", LOCK.hash(bait)) == 1
    lab.claim(bait)
    assert lab.cash.call("balanceOf", raw(lab.buyer)) == 100_001


def test_claim_and_refund_in_either_order(lab: CashLab):
    """payer and payee of a hash lock: race each other at the deadline.

    Gets: no second in which both could win. Up to the deadline a refund is `hashlock/too-early`,
    after it a claim is `hashlock/too-late`; there is no moment when the order of transactions
    decides.
    """
    leg = lab.leg()
    lab.lock(leg)
    for moment, wins, loses in (
        (leg["deadline"], lab.claim, (lab.refund, "hashlock/too-early")),
        (leg["deadline"] + 1, lab.refund, (lab.claim, "hashlock/too-late")),
    ):
        lab.save()
        lab.at(moment)
        with refuses(loses[1]):
            loses[0](leg)
        wins(leg)
        lab.back()
        lab.forget()


def test_a_token_that_claims_while_it_is_locked(lab: CashLab):
    """the token's author: has it claim, refund or lock again in the middle of the lock.

    Gets: nothing; the hash lock is locked while tokens move.
    """
    token = hostile(lab)
    leg = lab.leg(token=token)
    for payload in (
        lab.locks.encode("claim", LOCK.values(leg), SECRET),
        lab.locks.encode("refund", LOCK.values(leg)),
        lab.locks.encode("lock", LOCK.values(leg)),
    ):
        lab.save()
        tell(lab, token, "arm(uint256,address,bytes)", CALLS, lab.locks.address, payload)
        lab.lock(leg)
        assert int.from_bytes(lab.chain.call(to=token, data=keccak(b"went()")[:4]), "big") == 0
        lab.back()
        lab.forget()


def test_cash_of_one_lock_never_pays_another(lab: CashLab):
    """the payee of a lock in a token of its own making: claims the cash that lies beside it.

    Gets: `hashlock/unknown`; a lock pays in the token that it was locked in.
    """
    lab.lock(lab.leg())
    token = hostile(lab)
    leg = lab.leg(token=token)
    lab.lock(leg)
    for other in (leg | {"token": lab.cash.address, "amount": 99_999},):
        with refuses("hashlock/unknown"):
            lab.claim(other)
    assert lab.cash.call("balanceOf", lab.locks.address) == 100_000


def test_what_the_authority_takes_from_the_lock_is_the_last_ones(lab: CashLab):
    """the authority: takes what one payer locked, which lies with what everybody locked.

    Gets: it. The lock knows nothing of that and pays whoever comes first; the last finds
    `token/balance` until somebody makes it good.
    """
    first, last = lab.leg(), lab.leg(payer=raw(lab.keeper))
    lab.lock(first)
    lab.lock(last, lab.keeper)
    people = lab.locks.address, raw(lab.lender)
    lab.cash.send(lab.authority, "forcedTransfer", *people, first["amount"])
    lab.claim(first)
    with refuses("token/balance"):
        lab.claim(last)
    lab.cash.send(lab.lender, "transfer", lab.locks.address, first["amount"])
    lab.claim(last)


def test_a_lock_stands_still_while_its_own_wallet_does(lab: CashLab):
    """the operator: closes the lock's wallet, or gives it a class whose limits bind.

    Gets: that no lock in this currency ends either way, until it changes that; nothing is lost.
    """
    for who in (lab.lender, lab.buyer):
        lab.roubles.send(who, "approve", lab.locks.address, ENDLESS)
    leg = lab.leg(token=lab.roubles.address)
    lab.lock(leg)
    lab.roubles.send(lab.operator, "open_wallet", lab.locks.address, SYSTEM, 0)
    with refuses("token/cannot-send"):
        lab.claim(leg)
    lab.roubles.send(lab.operator, "set_limits", 4, 2**64 - 1, 99_999, 99_999)
    lab.roubles.send(lab.operator, "open_wallet", lab.locks.address, 4, FOR_EVER)
    with refuses("limit/payment"):
        lab.claim(leg)
    lab.at(leg["deadline"] + 1)
    with refuses("limit/payment"):
        lab.refund(leg)
    lab.roubles.send(lab.operator, "open_wallet", lab.locks.address, SYSTEM, FOR_EVER)
    lab.refund(leg)


# Payments that wait


def test_the_payer_cannot_take_back_what_it_locked(lab: CashLab):
    """the payer of a payment that waits: pays, redeems, settles or locks with the money that is
    held for it, has another take it, or asks for it back before the deadline.

    Gets: `token/held`, `pay/not-expired`; held is nobody's but the payment's.
    """
    payment = lab.payment()
    lab.lock_payment(payment)
    whole = lab.has(lab.roubles, lab.lender)
    lab.roubles.send(lab.lender, "approve", raw(lab.buyer), ENDLESS)
    for act in (
        lambda: lab.pay(lab.roubles, lab.lender, lab.issuer, whole),
        lambda: lab.roubles.send(
            lab.buyer, "transferFrom", raw(lab.lender), raw(lab.issuer), whole
        ),
        lambda: lab.roubles.send(lab.lender, "redeem", whole),
        lambda: lab.settle(lab.order(first_amount=whole)),
        lambda: lab.lock_payment(lab.payment(nonce=2, amount=whole)),
    ):
        with refuses("token/held"):
            act()
    with refuses("pay/not-expired"):
        lab.give_back(payment, lab.lender)


def test_who_approves_may_not_redirect(lab: CashLab):
    """the approver of a payment that waits: confirms one to itself on the strength of the one that
    was locked.

    Gets: `pay/unknown`; a payment is named by all of its members.
    """
    payment = lab.payment(approver=raw(lab.guardian))
    lab.lock_payment(payment)
    mine = payment | {"payee": raw(lab.guardian)}
    with refuses("pay/unknown"):
        lab.roubles.send(lab.guardian, "approve_payment", PAYMENT.values(mine))


def test_a_payee_that_is_nobody_s_victim(lab: CashLab):
    """a stranger: sends back a payment that its payee waits for, or completes it before its time.

    Gets: `pay/not-expired`, `pay/too-early`.
    """
    start = lab.now + DAY
    payment = lab.payment(not_before=start, deadline=start + DAY)
    lab.lock_payment(payment)
    with refuses("pay/not-expired"):
        lab.give_back(payment, lab.stranger)
    with refuses("pay/too-early"):
        lab.complete(payment)


def test_the_operator_is_no_issuer_and_no_authority(lab: CashLab):
    """the operator of a digital currency: mints, freezes or moves money of others.

    Gets: `token/not-issuer`, `token/not-authority`, `token/allowance`.
    """
    one, two = raw(lab.lender), raw(lab.buyer)
    for verb, args, code in (
        ("mint", (two, 1), "token/not-issuer"),
        ("setFrozenTokens", (one, 1), "token/not-authority"),
        ("forcedTransfer", (one, two, 1), "token/not-authority"),
        ("transferFrom", (one, two, 1), "token/allowance"),
    ):
        with refuses(code):
            lab.roubles.send(lab.operator, verb, *args)


def test_one_secret_for_two_kinds_of_lock(lab: CashLab):
    """whoever learns a secret: opens a payment that waits and a hash lock with the same digest.

    Gets: what each of the two says, for its own payee. That is why a secret is drawn anew for each
    swap.
    """
    payment, leg = lab.payment(digest=DIGEST), lab.leg(digest=DIGEST)
    lab.lock_payment(payment)
    lab.lock(leg)
    lab.claim(leg)
    lab.complete(payment, SECRET)
    assert lab.has(lab.roubles, lab.buyer) == payment["amount"]


def test_no_owner_and_no_ether_in_cash_legs(lab: CashLab):
    """whoever: looks in the settlement, the digital currency and the hash lock for an owner's way
    in, or for a function that takes ether.

    Gets: nothing; none takes ether, and none is called `owner`, `transferOwnership` or `upgradeTo`.
    """
    parts: tuple[Contract, ...] = (lab.settlement, lab.roubles, lab.locks)
    for part in parts:
        assert not {"owner", "transferOwnership", "upgradeTo"} & set(part.artifact.functions)
        assert all(not entry.get("payable") for entry in part.artifact.abi)
        assert all(entry.get("stateMutability") != "payable" for entry in part.artifact.abi)
