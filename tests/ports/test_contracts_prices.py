"""PriceRounds: who sets the price, when it counts, and the clock that stops without it."""

from __future__ import annotations

import pytest
from contracts_lab import GENESIS, HEARTBEAT, PRICE, Lab, person, raw, refuses
from hypothesis import given, settings
from hypothesis import strategies as st

from escrow.adapters.evm import typed
from escrow.adapters.evm.contracts import Contract, create_address, creation_code, transaction
from escrow.adapters.evm.revert import Reverted

DEPLOYED = GENESIS + 1
HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0
ORDER = 2 * HALF_ORDER + 1


@pytest.fixture(scope="module")
def base() -> Lab:
    lab = Lab()
    lab.wait(100)
    lab.save()
    return lab


@pytest.fixture
def lab(base: Lab) -> Lab:
    base.back()
    return base


def send(lab: Lab, message, sigs) -> object:
    return lab.prices.send(lab.stranger, "post", *typed.PRICE.values(message), sigs)


# Who


def test_anyone_carries_what_the_quorum_signed(lab: Lab):
    message = lab.price()
    receipt = send(lab, message, lab.sign_price(message))
    assert lab.said(receipt) == [
        ("AnswerUpdated", {"current": PRICE, "roundId": 1, "updatedAt": message["at"]})
    ]
    assert lab.prices.call("latest")[:3] == (PRICE, message["at"], True)


def test_all_signers_in_any_order(lab: Lab):
    message = lab.price()
    send(lab, message, lab.sign_price(message, count=5)[::-1])
    assert lab.prices.call("last_round") == 1


@pytest.mark.parametrize("count", [0, 1, 2])
def test_too_few_signers(lab: Lab, count: int):
    message = lab.price()
    with refuses("price/too-few-signers"):
        send(lab, message, lab.sign_price(message, count=count))


def test_a_stranger_among_the_signers(lab: Lab):
    message = lab.price()
    foreign = typed.sign_price(lab.stranger, price=message, domain=lab.prices.domain)
    with refuses("price/stranger"):
        send(lab, message, [*lab.sign_price(message, count=3), foreign])


def test_one_oracle_twice(lab: Lab):
    message = lab.price()
    sigs = lab.sign_price(message, count=2)
    with refuses("price/duplicate-signer"):
        send(lab, message, [*sigs, sigs[0]])


def test_signatures_over_another_price_are_a_strangers(lab: Lab):
    sigs = lab.sign_price(lab.price(PRICE + 1))
    with refuses("price/stranger"):
        send(lab, lab.price(PRICE), sigs)


@pytest.mark.parametrize("change", [{"chain_id": 1}, {"contract": b"\1" * 20}, {"name": "Prices"}])
def test_signatures_for_another_domain_are_a_strangers(lab: Lab, change):
    own = lab.prices.domain
    fields = {"name": own.name, "chain_id": own.chain_id, "contract": own.contract} | change
    message = lab.price()
    sigs = [
        typed.sign_price(oracle, price=message, domain=typed.Domain(**fields))
        for oracle in lab.oracles[:3]
    ]
    with refuses("price/stranger"):
        send(lab, message, sigs)


def test_the_other_s_of_a_signature_is_refused(lab: Lab):
    message = lab.price()
    first, *rest = lab.sign_price(message)
    s = (ORDER - int.from_bytes(first.s, "big")).to_bytes(32, "big")
    with refuses("token/signature"):
        send(lab, message, [typed.Sig(v=55 - first.v, r=first.r, s=s), *rest])


@pytest.mark.parametrize("v", [0, 1, 26, 29, 255])
def test_other_values_of_v_are_refused(lab: Lab, v: int):
    message = lab.price()
    first, *rest = lab.sign_price(message)
    with refuses("token/signature"):
        send(lab, message, [first._replace(v=v), *rest])


def test_a_signature_nobody_made_is_refused(lab: Lab):
    message = lab.price()
    _, *rest = lab.sign_price(message)
    with refuses("token/signature"):
        send(lab, message, [typed.Sig(27, bytes(32), bytes(32)), *rest])


# When


@pytest.mark.parametrize("number", [0, 1, 3])
def test_rounds_follow_one_another(lab: Lab, number: int):
    lab.post()
    lab.wait(1)
    with refuses("price/round"):
        lab.post(round=number)
    lab.post(round=2)


def test_a_posted_price_cannot_be_posted_again(lab: Lab):
    message = lab.price()
    sigs = lab.sign_price(message)
    send(lab, message, sigs)
    with refuses("price/round"):
        send(lab, message, sigs)


@pytest.mark.parametrize("price", [0, 10**18 + 1, 2**255])
def test_absurd_prices(lab: Lab, price: int):
    with refuses("price/range"):
        lab.post(price)


@pytest.mark.parametrize("price", [1, 10**18])
def test_bounds_of_a_price(lab: Lab, price: int):
    lab.post(price)
    assert lab.prices.call("latest")[0] == price


def test_a_price_from_now_but_not_from_the_future(lab: Lab):
    with refuses("price/from-future"):
        lab.post(at=lab.now + 1)
    lab.post(at=lab.now)


def test_a_price_as_old_as_the_heartbeat_but_not_older(lab: Lab):
    lab.post(at=lab.now - 1)
    lab.wait(3 * HEARTBEAT)
    with refuses("price/too-old"):
        lab.post(at=lab.now - HEARTBEAT - 1)
    lab.post(at=lab.now - HEARTBEAT)


def test_a_price_must_be_newer_than_the_last(lab: Lab):
    moment = lab.now - 10
    lab.post(at=moment)
    for at in (moment, moment - 1):
        with refuses("price/not-newer"):
            lab.post(at=at)
    lab.post(at=moment + 1)


# Freshness and the active clock


def test_before_the_first_round_nothing_is_fresh_and_the_clock_stands(lab: Lab):
    assert lab.prices.call("latest") == (0, DEPLOYED - HEARTBEAT, False, DEPLOYED)
    lab.wait(1_000_000)
    assert lab.prices.call("active_seconds") == DEPLOYED


def test_fresh_up_to_the_heartbeat(lab: Lab):
    lab.post()
    lab.wait(HEARTBEAT)
    assert lab.prices.call("latest")[2] is True
    lab.wait(1)
    assert lab.prices.call("latest")[2] is False


def test_the_clock_runs_while_fresh_and_stops_after_the_heartbeat(lab: Lab):
    lab.post()
    lab.wait(HEARTBEAT)
    assert lab.prices.call("active_seconds") == DEPLOYED + HEARTBEAT
    lab.wait(5_000)
    assert lab.prices.call("active_seconds") == DEPLOYED + HEARTBEAT
    lab.post()
    lab.wait(7)
    assert lab.prices.call("active_seconds") == DEPLOYED + HEARTBEAT + 7
    assert lab.prices.call("latest")[3] == lab.prices.call("active_seconds")


rounds = st.lists(
    st.tuples(st.integers(1, 4 * HEARTBEAT), st.integers(0, HEARTBEAT)), min_size=1, max_size=8
)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(rounds=rounds, last=st.integers(0, 3 * HEARTBEAT))
def test_the_clock_counts_exactly_the_seconds_with_a_fresh_price(rounds, last: int):
    lab = Lab()
    posted: list[tuple[int, int]] = []
    for wait, age in rounds:
        lab.wait(wait)
        at = max(lab.now - age, (posted[-1][1] if posted else DEPLOYED - HEARTBEAT) + 1)
        lab.post(at=at)
        posted.append((lab.now, at))
    lab.wait(last)
    ends = [when for when, _ in posted[1:]] + [lab.now]
    spans = (
        max(0, min(end, at + HEARTBEAT) - when)
        for (when, at), end in zip(posted, ends, strict=True)
    )
    assert lab.prices.call("active_seconds") == DEPLOYED + sum(spans)


# As a Chainlink feed


def test_reads_as_a_chainlink_feed(lab: Lab):
    lab.post()
    at = lab.now
    assert lab.prices.call("latestRoundData") == (1, PRICE, at, at, 1)
    assert lab.prices.call("getRoundData", 1) == (1, PRICE, at, at, 1)
    assert lab.prices.call("decimals") == 8
    assert lab.prices.call("version") == 1
    assert lab.prices.call("description") == "BTC / settlement currency"


def test_other_rounds_are_not_kept(lab: Lab):
    for asked in (0, 1, 2):
        with refuses("price/round"):
            lab.prices.call("getRoundData", asked)
    with refuses("price/round"):
        lab.prices.call("latestRoundData")
    lab.post()
    lab.wait(1)
    lab.post()
    for asked in (0, 1, 3):
        with refuses("price/round"):
            lab.prices.call("getRoundData", asked)


# The set


def deploy(lab: Lab, signers, quorum: int, heartbeat: int = HEARTBEAT) -> Contract:
    address = create_address(raw(lab.stranger), nonce=lab.chain.nonce(raw(lab.stranger)))
    code = creation_code("PriceRounds", signers, quorum, heartbeat)
    lab.chain.send(transaction(lab.stranger, chain=lab.chain, to=None, data=code, gas=3_000_000))
    return Contract("PriceRounds", address=address, chain=lab.chain)


def test_who_the_signers_are(lab: Lab):
    assert lab.prices.call("signers") == tuple(map(raw, lab.oracles))
    assert lab.prices.call("quorum") == 3
    assert lab.prices.call("heartbeat") == HEARTBEAT


def test_fifteen_signers(lab: Lab):
    people = [person(number) for number in range(101, 116)]
    prices = deploy(lab, [raw(one) for one in people], 15)
    message = {"round": 1, "price": PRICE, "at": lab.now}
    sigs = [typed.sign_price(one, price=message, domain=prices.domain) for one in people]
    with refuses("price/too-few-signers"):
        prices.send(lab.keeper, "post", *message.values(), sigs[:14])
    prices.send(lab.keeper, "post", *message.values(), sigs)
    assert prices.call("last_round") == 1


@pytest.mark.parametrize(
    ("signers", "quorum"),
    [([], 0), ([], 1), ([1], 0), ([1], 2), ([1, 1], 1), ([1, 2, 1], 2), ([0], 1), ([1, 0], 1)],
)
def test_sets_that_make_no_sense(lab: Lab, signers: list[int], quorum: int):
    code = creation_code("PriceRounds", [bytes(19) + bytes([n]) for n in signers], quorum, 60)
    with pytest.raises(Reverted) as caught:
        lab.chain.call(to=None, data=code)
    assert caught.value.code == "token/signers"


def test_a_heartbeat_of_nothing(lab: Lab):
    code = creation_code("PriceRounds", [b"\1" * 20], 1, 0)
    with pytest.raises(Reverted) as caught:
        lab.chain.call(to=None, data=code)
    assert caught.value.code == "price/too-old"
