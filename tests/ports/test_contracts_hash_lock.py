"""HashLock: tokens for who shows a secret in time, back to the payer afterwards."""

from __future__ import annotations

from hashlib import sha256

import pytest
from book_lab import FAST
from cash_lab import DIGEST, ENDLESS, SECRET, CashLab
from contracts_lab import GENESIS, raw, refuses
from hypothesis import given, settings
from hypothesis import strategies as st

from escrow.adapters.evm.cash_orders import LOCK
from escrow.adapters.evm.contracts import ZERO
from escrow.core.errors import Rejected
from escrow.core.units import DAY, HOUR


@pytest.fixture(scope="module")
def base() -> CashLab:
    lab = CashLab(FAST)
    for token in (lab.cash, lab.roubles):
        token.send(lab.issuer, "mint", raw(lab.lender), 10**6)
        token.send(lab.lender, "approve", lab.locks.address, ENDLESS)
    lab.save()
    return lab


@pytest.fixture
def lab(base: CashLab) -> CashLab:
    base.back()
    return base


def status(lab: CashLab, leg: dict[str, object]) -> int:
    return int(lab.locks.call("status", LOCK.hash(leg)))


def holdings(lab: CashLab) -> tuple[int, int, int]:
    """Lender, buyer, lock."""
    cash = (lab.cash.call("balanceOf", each) for each in (raw(lab.lender), raw(lab.buyer)))
    one, two = cash
    return one, two, lab.cash.call("balanceOf", lab.locks.address)


def test_lock_and_claim(lab: CashLab):
    leg = lab.leg()
    lab.lock(leg)
    assert lab.locks.call("lock_id", LOCK.values(leg)) == LOCK.hash(leg)
    assert holdings(lab) == (900_000, 0, 100_000)
    receipt = lab.claim(leg)
    assert holdings(lab) == (900_000, 100_000, 0)
    said = lab.locks.event(receipt.logs[0])
    assert said is not None
    assert dict(said.args) == {"id": LOCK.hash(leg), "digest": DIGEST, "preimage": SECRET}
    assert status(lab, leg) == 2


def test_the_last_second_is_in_time(lab: CashLab):
    leg = lab.leg()
    lab.lock(leg)
    lab.at(leg["deadline"])
    with refuses("hashlock/too-early"):
        lab.refund(leg)
    lab.save()
    lab.claim(leg)
    lab.back()
    lab.wait(1)
    with refuses("hashlock/too-late"):
        lab.claim(leg)
    lab.refund(leg)
    assert holdings(lab) == (1_000_000, 0, 0)
    assert status(lab, leg) == 3
    lab.forget()


def test_another_secret_changes_nothing(lab: CashLab):
    leg = lab.leg()
    lab.lock(leg)
    for wrong in (bytes(32), bytes(reversed(SECRET)), DIGEST):
        with refuses("hashlock/preimage"):
            lab.claim(leg, wrong)
    assert (holdings(lab), status(lab, leg)) == ((900_000, 0, 100_000), 1)


def test_each_ends_once(lab: CashLab):
    leg, other = lab.leg(), lab.leg(amount=1)
    for each in (leg, other):
        lab.lock(each)
    lab.claim(leg)
    lab.at(leg["deadline"] + 1)
    lab.refund(other)
    for each in (leg, other):
        for again in (lab.claim, lab.refund):
            with refuses("hashlock/over"):
                again(each)
        with refuses("hashlock/exists"):
            lab.lock(each)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"payer": b"\x01" * 20}, "hashlock/not-payer"),
        ({"payee": ZERO}, "hashlock/payee"),
        ({"amount": 0}, "hashlock/amount"),
        ({"amount": 10**6 + 1}, "token/balance"),
        ({"deadline": GENESIS}, "hashlock/deadline"),
        ({"deadline": GENESIS + 400 * DAY}, "hashlock/deadline"),
    ],
)
def test_what_is_not_locked(lab: CashLab, changes: dict[str, object], code: str):
    with refuses(code):
        lab.lock(lab.leg(**changes))


def test_nobody_locks_for_itself_or_what_others_have(lab: CashLab):
    with refuses("hashlock/payee"):
        lab.lock(lab.leg(payee=raw(lab.lender)))
    with refuses("hashlock/not-payer"):
        lab.lock(lab.leg(), lab.buyer)
    with refuses("token/allowance"):
        lab.lock(lab.leg(payer=raw(lab.buyer), payee=raw(lab.lender)), lab.buyer)


def test_nothing_is_locked_for_the_lock_itself(lab: CashLab):
    """It knows no way out for what it was paid: whoever knew the secret would bury the amount."""
    with refuses("hashlock/payee"):
        lab.lock(lab.leg(payee=lab.locks.address))


def test_a_lock_on_other_terms_is_another_lock(lab: CashLab):
    leg = lab.leg()
    lab.lock(leg)
    for changed in (
        {"payee": raw(lab.stranger)},
        {"amount": 1},
        {"deadline": leg["deadline"] + 1},
        {"digest": sha256(bytes(32)).digest()},
        {"token": lab.roubles.address},
    ):
        for act in (lab.claim, lab.refund):
            with refuses("hashlock/unknown"):
                act(leg | changed)


def test_a_payee_that_may_not_receive_waits_or_lets_it_go_back(lab: CashLab):
    leg = lab.leg()
    lab.lock(leg)
    lab.suspend(raw(lab.buyer))
    with refuses("token/cannot-receive"):
        lab.claim(leg)
    assert status(lab, leg) == 1
    lab.at(leg["deadline"] + 1)
    lab.refund(leg)


def test_a_platform_offline_delays_the_claim_and_not_the_deadline(lab: CashLab):
    """The secret was shown, and the cash did not move: why a margin must outlast an outage."""
    leg = lab.leg(token=lab.roubles.address)
    lab.lock(leg)
    lab.roubles.send(lab.operator, "go_offline", 2 * DAY)
    with refuses("platform/offline"):
        lab.claim(leg)
    lab.wait(2 * DAY)
    with refuses("hashlock/too-late"):
        lab.claim(leg)


ACTS = ("lock", "claim", "wrong", "refund")


@settings(max_examples=40, derandomize=True)
@given(story=st.lists(st.tuples(st.sampled_from(ACTS), st.integers(0, 30 * HOUR)), max_size=8))
def test_whatever_is_tried_the_tokens_have_one_owner(base: CashLab, story: list[tuple[str, int]]):
    """All are conserved; the payee has them only by the secret and in time, the payer again only
    after it; and once the time is over a refund always ends it."""
    base.back()
    lab, leg = base, base.leg()
    locked = ended = False
    for act, seconds in story:
        now = lab.now
        try:
            if act == "wrong":
                lab.claim(leg, bytes(32))
            else:
                getattr(lab, act)(leg)
        except Rejected:
            done = False
        else:
            done = True
        in_time = now <= leg["deadline"]
        allowed = {
            "lock": not locked and in_time,
            "claim": locked and not ended and in_time,
            "wrong": False,
            "refund": locked and not ended and not in_time,
        }
        assert done == allowed[act]
        locked, ended = locked or (done and act == "lock"), ended or (done and act != "lock")
        assert sum(holdings(lab)) == 10**6
        assert holdings(lab)[2] == (100_000 if locked and not ended else 0)
        lab.wait(seconds)
    if locked and not ended:
        lab.clock.at_least(leg["deadline"] + 1)
        lab.refund(leg)
        assert holdings(lab) == (10**6, 0, 0)
