"""The loan is called."""

import pytest
from deals import (
    AT_CALL,
    NOW,
    ONE,
    OWED,
    STAGES,
    TERMS,
    active,
    code_of,
    play,
    posted,
    priced,
    refuses,
    stale,
)

from escrow.core.decide import decide
from escrow.core.regions.loan import MarginCalled
from escrow.core.roles import Role
from escrow.core.rules import at_or_above
from escrow.core.units import DAY, HOUR, Bps, Cents, PriceE8, Sats, Seconds
from escrow.core.verbs.margin_call import MarginCall
from escrow.core.verbs.repay import Repay

AT = Seconds(NOW + 60)


@pytest.mark.parametrize("by", Role)
def test_a_keeper_may_be_anyone(by: Role) -> None:
    assert code_of(priced(active(), AT_CALL, at=AT), MarginCall(by, AT)) == ""


@pytest.mark.parametrize("stage", STAGES)
def test_only_an_active_loan_is_called(stage: str) -> None:
    escrow = STAGES[stage]()
    escrow = priced(escrow, AT_CALL, at=Seconds(escrow.system.clock + 1))
    if stage in ("DRAFT", "OFFERED", "ACCEPTED"):
        expected = "loan/unknown"
    else:
        expected = "" if stage == "ACTIVE" else "call/not-active"
    assert code_of(escrow, MarginCall(Role.OPERATOR, escrow.system.clock)) == expected


@pytest.mark.parametrize(
    ("price", "paid", "code"),
    [
        (AT_CALL - 1, 0, ""),
        (AT_CALL, 0, ""),
        (AT_CALL + 1, 0, "call/healthy"),
        (AT_CALL, 1, "call/healthy"),
        (AT_CALL - 1, 1, "call/healthy"),
    ],
)
def test_the_call_level_is_exact(price: int, paid: int, code: str) -> None:
    """At the level is called; a unit of price or cash below it is not."""
    escrow = priced(active(), PriceE8(price), at=AT)
    if paid:
        escrow = play(escrow, Repay(Role.BORROWER, AT, Cents(paid)))
    assert code_of(escrow, MarginCall(Role.OPERATOR, AT)) == code


@pytest.mark.parametrize(("sats", "expected"), [(-1, True), (0, True), (1, False)])
def test_one_sat_more_is_below_the_level(sats: int, expected: bool) -> None:
    held = Sats(ONE + sats)
    assert at_or_above(OWED, sats=held, price=AT_CALL, level=TERMS.call_ltv) is expected


def test_the_refusal_shows_the_ratio_rounded_up() -> None:
    escrow = priced(active(), PriceE8(AT_CALL + 1), at=AT)
    refuses(escrow, MarginCall(Role.OPERATOR, AT), "call/healthy", ltv_bps=7_500, call_ltv=7_500)


def test_interest_alone_may_bring_the_call() -> None:
    escrow = active(rate_bps=Bps(2_300))
    at = Seconds(NOW + DAY)
    price = PriceE8(AT_CALL + 10**8)
    assert code_of(priced(escrow, price, at=AT), MarginCall(Role.OPERATOR, AT)) == "call/healthy"
    assert code_of(priced(escrow, price, at=at), MarginCall(Role.OPERATOR, at)) == ""


@pytest.mark.parametrize(("age", "code"), [(HOUR, ""), (HOUR + 1, "price/stale")])
def test_a_stale_price_calls_nobody(age: int, code: str) -> None:
    at = Seconds(AT + age)
    assert code_of(priced(active(), AT_CALL, at=AT), MarginCall(Role.OPERATOR, at)) == code


def test_the_deadline_is_the_cure_time_on_the_active_clock() -> None:
    call = decide(priced(active(), AT_CALL, at=AT), MarginCall(Role.OPERATOR, AT, "0xcc"))
    # From the origin to the first price no second was active, and the origin is now.
    assert call == (MarginCalled(AT, Seconds(AT + TERMS.cure), 2, "0xcc"),)


def test_an_outage_before_the_call_does_not_shorten_it() -> None:
    dark = stale(active())
    at = Seconds(dark.system.clock + 5 * HOUR)
    light = play(dark, posted(at, 2, AT_CALL))
    (call,) = decide(light, MarginCall(Role.OPERATOR, at))
    outage = at - (NOW + HOUR)
    assert call.deadline == at - outage + TERMS.cure
