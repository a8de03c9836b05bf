"""PriceRounds: who makes the price, when it counts, and the clock that stops without it."""

from __future__ import annotations

from itertools import product

import pytest
from contracts_lab import DELAY, DEVIATION, GENESIS, HEARTBEAT, PRICE, Lab, person, raw, refuses
from hypothesis import given, settings
from hypothesis import strategies as st

from escrow.adapters.evm import typed
from escrow.adapters.evm.contracts import Contract, create_address, creation_code, transaction
from escrow.adapters.evm.revert import Reverted
from escrow.core.units import DAY

DEPLOYED = GENESIS + 1
HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0
ORDER = 2 * HALF_ORDER + 1
MAX_PAUSE = 7 * DAY
GRACE = 4 * 3_600
"""What is left of a pause that is ended."""
FIFTH = PRICE * DEVIATION // 10_000
"""What one quorum alone may move the price by."""
RUNNING, ORACLE_STALE, PAUSED = range(3)


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


def send(lab: Lab, message) -> object:
    return lab.prices.send(lab.stranger, "post", *message)


# Who


def test_anyone_carries_what_oracles_signed_and_the_median_counts(lab: Lab):
    prices = (PRICE - 7, PRICE, PRICE + 9)
    number, at, reports = lab.reports(prices)
    receipt = send(lab, (number, at, reports))
    assert lab.said(receipt) == [("PricesReported", {"round": 1, "at": at, "prices": prices})]
    assert lab.prices.call("latest")[:3] == (PRICE, at, True)


def test_it_does_not_matter_which_oracle_said_what(lab: Lab):
    send(lab, lab.reports([1, 2, PRICE, 10**19, 2**256 - 1], oracles=lab.oracles[::-1]))
    assert lab.prices.call("latest")[0] == PRICE


@pytest.mark.parametrize(
    ("prices", "answer"),
    [
        ((0, PRICE, PRICE), PRICE),
        ((PRICE, PRICE, 2**256 - 1), PRICE),
        ((0, PRICE, PRICE + 1), PRICE),
        ((0, PRICE, 2**256 - 1), PRICE),
        ((0, 0, PRICE, PRICE, PRICE), PRICE),
        ((0, 1, PRICE, PRICE + 3, 2**255), PRICE),
    ],
)
def test_outliers_do_not_move_the_median(lab: Lab, prices: tuple[int, ...], answer: int):
    lab.post(*prices)
    assert lab.prices.call("latest")[0] == answer


@pytest.mark.parametrize(
    ("count", "code"),
    [
        (0, "price/too-few-signers"),
        (1, "price/too-few-signers"),
        (2, "price/too-few-signers"),
        (3, ""),
        (4, "price/even"),
        (5, ""),
    ],
)
def test_an_odd_number_of_oracles_and_at_least_the_quorum(lab: Lab, count: int, code: str):
    message = lab.reports([PRICE] * count)
    if code:
        with refuses(code):
            send(lab, message)
    else:
        send(lab, message)


@pytest.mark.parametrize("prices", [(1, 3, 2), (2, 1, 3), (PRICE, PRICE - 1, PRICE)])
def test_prices_come_in_ascending_order(lab: Lab, prices: tuple[int, ...]):
    with refuses("price/order"):
        send(lab, lab.reports(prices))
    send(lab, lab.reports(sorted(prices)))


def test_a_stranger_among_the_oracles(lab: Lab):
    with refuses("price/stranger"):
        send(lab, lab.reports([PRICE] * 3, oracles=[*lab.oracles[:2], lab.stranger]))


def test_one_oracle_twice(lab: Lab):
    one, two = lab.oracles[:2]
    with refuses("price/duplicate-signer"):
        send(lab, lab.reports([PRICE] * 3, oracles=[one, two, one]))
    # Not even with two different prices.
    with refuses("price/duplicate-signer"):
        send(lab, lab.reports([PRICE, PRICE, PRICE + 1], oracles=[one, two, one]))


@pytest.mark.parametrize("change", ["price", "round", "at"])
def test_a_signature_over_something_else_is_a_strangers(lab: Lab, change: str):
    number, at, reports = lab.reports([PRICE] * 3)
    signed = {"round": number, "price": PRICE, "at": at}
    signed[change] += 1
    reports[1] = (PRICE, lab.sign_price(lab.oracles[1], **signed))
    with refuses("price/stranger"):
        send(lab, (number, at, reports))


@pytest.mark.parametrize("change", [{"chain_id": 1}, {"contract": b"\1" * 20}, {"name": "Prices"}])
def test_signatures_for_another_domain_are_a_strangers(lab: Lab, change):
    own = lab.prices.domain
    fields = {"name": own.name, "chain_id": own.chain_id, "contract": own.contract} | change
    message = {"round": 1, "price": PRICE, "at": lab.now}
    reports = [
        (PRICE, typed.sign_price(oracle, price=message, domain=typed.Domain(**fields)))
        for oracle in lab.oracles[:3]
    ]
    with refuses("price/stranger"):
        send(lab, (1, lab.now, reports))


def test_the_other_s_of_a_signature_is_refused(lab: Lab):
    number, at, reports = lab.reports([PRICE] * 3)
    first = reports[0][1]
    s = (ORDER - int.from_bytes(first.s, "big")).to_bytes(32, "big")
    reports[0] = (PRICE, typed.Sig(v=55 - first.v, r=first.r, s=s))
    with refuses("token/signature"):
        send(lab, (number, at, reports))


@pytest.mark.parametrize("v", [0, 1, 26, 29, 255])
def test_other_values_of_v_are_refused(lab: Lab, v: int):
    number, at, reports = lab.reports([PRICE] * 3)
    reports[0] = (PRICE, reports[0][1]._replace(v=v))
    with refuses("token/signature"):
        send(lab, (number, at, reports))


def test_a_signature_nobody_made_is_refused(lab: Lab):
    number, at, reports = lab.reports([PRICE] * 3)
    reports[0] = (PRICE, typed.Sig(27, bytes(32), bytes(32)))
    with refuses("token/signature"):
        send(lab, (number, at, reports))


# When


@pytest.mark.parametrize("number", [0, 1, 3])
def test_rounds_follow_one_another(lab: Lab, number: int):
    lab.post()
    lab.wait(1)
    with refuses("price/round"):
        lab.post(round=number)
    lab.post(round=2)


def test_a_posted_price_cannot_be_posted_again(lab: Lab):
    message = lab.reports([PRICE] * 3)
    send(lab, message)
    with refuses("price/round"):
        send(lab, message)


@pytest.mark.parametrize("price", [0, 10**18 + 1, 2**255])
def test_absurd_prices(lab: Lab, price: int):
    with refuses("price/range"):
        lab.post(price)
    with refuses("price/range"):
        lab.post(*sorted((price, price, PRICE)))


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


# Jumps


@pytest.mark.parametrize(
    ("price", "count", "code"),
    [
        (PRICE + FIFTH, 3, ""),
        (PRICE + FIFTH + 1, 3, "price/deviation"),
        (PRICE + FIFTH + 1, 5, ""),
        (PRICE - FIFTH, 3, ""),
        (PRICE - FIFTH - 1, 3, "price/deviation"),
        (PRICE - FIFTH - 1, 5, ""),
        (1, 3, "price/deviation"),
        (10**18, 3, "price/deviation"),
        (10**18, 5, ""),
    ],
)
def test_a_jump_needs_the_wide_quorum(lab: Lab, price: int, count: int, code: str):
    lab.post()
    lab.wait(60)
    if code:
        with refuses(code):
            lab.post(*(price,) * count)
    else:
        lab.post(*(price,) * count)
        assert lab.prices.call("latest")[0] == price


def test_what_jumps_is_the_median(lab: Lab):
    lab.post()
    lab.wait(60)
    lab.post(1, PRICE, 10**18)
    lab.wait(60)
    with refuses("price/deviation"):
        lab.post(1, 2, PRICE)


def test_the_first_price_is_no_jump(lab: Lab):
    lab.post(1, 1, 1)


def test_from_a_price_that_is_too_old_nothing_is_a_jump(lab: Lab):
    lab.post()
    lab.wait(HEARTBEAT)
    with refuses("price/deviation"):
        lab.post(1, 1, 1)
    lab.wait(1)
    lab.post(1, 1, 1)


def test_a_pause_makes_no_jump_right(lab: Lab):
    lab.post()
    lab.prices.send(lab.guardian, "pause", HEARTBEAT)
    lab.wait(60)
    with refuses("price/deviation"):
        lab.post(1, 1, 1)
    lab.post()
    assert lab.prices.call("last_round") == 2


# The guardian


def pause(lab: Lab, seconds: int) -> object:
    return lab.prices.send(lab.guardian, "pause", seconds)


def test_only_the_guardian_pauses_and_resumes(lab: Lab):
    for who in (lab.stranger, lab.issuer, lab.keeper):
        with refuses("pause/not-guardian"):
            lab.prices.send(who, "pause", 60)
    receipt = pause(lab, DAY)
    assert lab.said(receipt) == [("Paused", {"until": lab.now + DAY})]
    assert lab.prices.call("paused_until") == lab.now + DAY
    for who in (lab.stranger, lab.issuer, lab.keeper):
        with refuses("pause/not-guardian"):
            lab.prices.send(who, "resume")
    end = lab.now + GRACE
    assert lab.said(lab.prices.send(lab.guardian, "resume")) == [("Resumed", {"until": end})]
    assert lab.prices.call("paused_until") == end


@pytest.mark.parametrize(
    ("seconds", "code"),
    [
        (0, "pause/length"),
        (1, ""),
        (MAX_PAUSE, ""),
        (MAX_PAUSE + 1, "pause/length"),
        (2**256 - 1, "pause/length"),
    ],
)
def test_a_pause_lasts_at_most_a_week(lab: Lab, seconds: int, code: str):
    if code:
        with refuses(code):
            pause(lab, seconds)
    else:
        pause(lab, seconds)


@pytest.mark.parametrize(
    ("resumed", "rested"), [(None, 2 * DAY), (30, 60 + 2 * GRACE), (99, 198 + 2 * GRACE)]
)
def test_between_pauses_is_as_long_as_the_last_one_was(lab: Lab, resumed: int | None, rested: int):
    pause(lab, DAY)
    began = lab.now
    if resumed is not None:
        lab.wait(resumed)
        lab.prices.send(lab.guardian, "resume")
    lab.at(began + rested - 1)
    with refuses("pause/too-soon"):
        pause(lab, 1)
    lab.wait(1)
    pause(lab, 1)


@pytest.mark.parametrize("moment", [50, 100, 150, 199])
def test_a_round_does_not_bring_the_next_pause_nearer(lab: Lab, moment: int):
    pause(lab, 100)
    began = lab.now
    lab.at(began + moment)
    lab.post()
    lab.at(began + 199)
    with refuses("pause/too-soon"):
        pause(lab, 1)
    lab.wait(1)
    pause(lab, 1)


def test_a_pause_is_over_at_its_last_second_by_itself(lab: Lab):
    lab.post()
    pause(lab, 100)
    assert (lab.prices.call("latest")[2], lab.prices.call("status")) == (False, PAUSED)
    lab.wait(99)
    assert (lab.prices.call("latest")[2], lab.prices.call("status")) == (False, PAUSED)
    lab.wait(1)
    assert (lab.prices.call("latest")[2], lab.prices.call("status")) == (True, RUNNING)
    with refuses("pause/not-paused"):
        lab.prices.send(lab.guardian, "resume")


def test_without_a_pause_there_is_nothing_to_end(lab: Lab):
    with refuses("pause/not-paused"):
        lab.prices.send(lab.guardian, "resume")


@pytest.mark.parametrize(
    ("moment", "code"),
    [
        (99, ""),
        (100, "pause/ends-soon"),
        (GRACE + 99, "pause/ends-soon"),
        (GRACE + 100, "pause/not-paused"),
    ],
)
def test_a_pause_that_is_ended_lasts_four_hours_more_and_no_longer_than_before(
    lab: Lab, moment: int, code: str
):
    pause(lab, GRACE + 100)
    lab.wait(moment)
    if code:
        with refuses(code):
            lab.prices.send(lab.guardian, "resume")
    else:
        lab.prices.send(lab.guardian, "resume")
        end = lab.now + GRACE
        lab.wait(GRACE - 1)
        lab.post()
        assert lab.prices.call("status") == PAUSED
        with refuses("pause/ends-soon"):
            lab.prices.send(lab.guardian, "resume")
        lab.at(end)
        assert lab.prices.call("status") == RUNNING


def test_why_it_does_not_run(lab: Lab):
    assert lab.prices.call("status") == ORACLE_STALE
    lab.post()
    assert lab.prices.call("status") == RUNNING
    lab.wait(HEARTBEAT)
    assert lab.prices.call("status") == RUNNING
    lab.wait(1)
    assert lab.prices.call("status") == ORACLE_STALE
    pause(lab, 10)
    assert lab.prices.call("status") == PAUSED
    lab.wait(10)
    assert lab.prices.call("status") == ORACLE_STALE


def test_no_guardian_no_pause(lab: Lab):
    prices = deploy(lab, lab.oracles, guardian=bytes(20))
    assert prices.call("guardian") == bytes(20)
    with refuses("pause/not-guardian"):
        prices.send(lab.guardian, "pause", 1)


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


# Seconds that were lost: by age, by a pause, by both


def moments(*, length: int) -> list[tuple[int, int, int]]:
    """(pause, its end as told, its end in fact) of every kind within ``length`` units of the grace
    that the end of a pause leaves."""
    spans = [(since, until) for since in range(1, length) for until in range(since + 1, length + 1)]
    return [(since, until, end) for since, until in spans for end in range(since + 1, until + 1)]


def test_every_overlap_of_age_and_pause_counts_once(lab: Lab):
    """Against a model that goes unit by unit of four hours: rounds before, in and after a pause,
    and another pause as soon as there may be one."""
    heartbeat, span, stories = 3 * GRACE, 8, 0
    prices = deploy(lab, lab.oracles, heartbeat=heartbeat)
    lab.wait(10)
    lab.save()

    def post(now: int) -> None:
        number = prices.call("last_round") + 1
        message = {"round": number, "price": PRICE, "at": now}
        sigs = [
            typed.sign_price(oracle, price=message, domain=prices.domain)
            for oracle in lab.oracles[:3]
        ]
        prices.send(lab.keeper, "post", number, now, [(PRICE, sig) for sig in sigs])

    for (since, until, end), (first, then) in product(moments(length=4), [(0, 2), (1, 6), (3, 5)]):
        lab.back()
        began, active = lab.now, prices.call("active_seconds")
        priced, stop, again = None, (0, 0), 2 * end - since
        for unit in range(span):
            now = began + unit * GRACE
            if unit:
                lab.wait(GRACE)
            recent = priced is not None and now <= priced + heartbeat
            active += GRACE * (recent and unit > 0 and not stop[0] < now <= stop[1])
            if unit in (first, then):
                post(now)
                priced = now
            if unit == since:
                prices.send(lab.guardian, "pause", (until - since) * GRACE)
                stop = (now, began + until * GRACE)
            if unit == end - 1 and end < until:
                prices.send(lab.guardian, "resume")
                stop = (stop[0], now + GRACE)
            if unit == again and again > since:
                prices.send(lab.guardian, "pause", 2 * GRACE)
                stop = (now, now + 2 * GRACE)
            recent = priced is not None and now <= priced + heartbeat
            paused = stop[0] <= now < stop[1]
            story = (since, until, end, first, then, unit)
            assert prices.call("latest")[2:] == (recent and not paused, active), story
        stories += 1
    lab.forget()
    assert stories == 30


# The set


def deploy(
    lab: Lab,
    oracles,
    quorum: int = 3,
    wide: int = 5,
    *,
    heartbeat: int = HEARTBEAT,
    deviation: int = DEVIATION,
    guardian: bytes | None = None,
) -> Contract:
    address = create_address(raw(lab.stranger), nonce=lab.chain.nonce(raw(lab.stranger)))
    who = raw(lab.guardian) if guardian is None else guardian
    members = [raw(one) for one in oracles]
    code = creation_code("PriceRounds", members, quorum, wide, heartbeat, deviation, who, DELAY)
    lab.chain.send(transaction(lab.stranger, chain=lab.chain, to=None, data=code, gas=4_000_000))
    return Contract("PriceRounds", address=address, chain=lab.chain)


def test_what_it_was_deployed_with(lab: Lab):
    assert lab.prices.call("signers") == tuple(map(raw, lab.oracles))
    assert lab.prices.call("quorum") == 3
    assert lab.prices.call("wide_quorum") == 5
    assert lab.prices.call("heartbeat") == HEARTBEAT
    assert lab.prices.call("deviation_bps") == DEVIATION
    assert lab.prices.call("guardian") == raw(lab.guardian)


def test_fifteen_oracles(lab: Lab):
    people = [person(number) for number in range(101, 116)]
    prices = deploy(lab, people, 15, 15)
    message = {"round": 1, "price": PRICE, "at": lab.now}
    reports = [
        (PRICE, typed.sign_price(one, price=message, domain=prices.domain)) for one in people
    ]
    with refuses("price/too-few-signers"):
        prices.send(lab.keeper, "post", 1, lab.now, reports[:14])
    prices.send(lab.keeper, "post", 1, lab.now, reports)
    assert prices.call("last_round") == 1


def test_one_oracle(lab: Lab):
    prices = deploy(lab, lab.oracles[:1], 1, 1)
    message = {"round": 1, "price": PRICE, "at": lab.now}
    sig = typed.sign_price(lab.oracles[0], price=message, domain=prices.domain)
    prices.send(lab.keeper, "post", 1, lab.now, [(PRICE, sig)])
    assert prices.call("latest")[0] == PRICE


@pytest.mark.parametrize(
    ("count", "quorum", "wide", "heartbeat", "deviation", "code"),
    [
        (5, 3, 5, 1, 1, ""),
        (5, 5, 5, 1, 100_000, ""),
        (5, 2, 5, 1, 1, "price/quorum"),
        (5, 3, 4, 1, 1, "price/quorum"),
        (5, 5, 3, 1, 1, "price/quorum"),
        (4, 3, 5, 1, 1, "price/quorum"),
        (5, 3, 5, 0, 1, "price/too-old"),
        (5, 3, 5, 1, 0, "price/deviation"),
        (5, 3, 5, 1, 100_001, "price/deviation"),
    ],
)
def test_what_it_may_be_deployed_with(
    lab: Lab, count: int, quorum: int, wide: int, heartbeat: int, deviation: int, code: str
):
    members = [bytes(19) + bytes([1 + n]) for n in range(count)]
    data = creation_code(
        "PriceRounds", members, quorum, wide, heartbeat, deviation, bytes(20), DELAY
    )
    if not code:
        lab.chain.call(to=None, data=data)
        return
    with pytest.raises(Reverted) as caught:
        lab.chain.call(to=None, data=data)
    assert caught.value.code == code
