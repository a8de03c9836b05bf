"""The cure time passed."""

import pytest
from deals import (
    AT_CALL,
    NOW,
    STAGES,
    TERMS,
    called,
    code_of,
    kept_fresh,
    play,
    priced,
    refuses,
)

from escrow.core.decide import decide
from escrow.core.phases import loan_phase
from escrow.core.regions.loan import CallExpired
from escrow.core.roles import Role
from escrow.core.units import HOUR, PriceE8, Seconds
from escrow.core.verbs.expire_call import ExpireCall
from escrow.core.verbs.tick import Tick

DEADLINE = Seconds(NOW + 60 + TERMS.cure)
"""With an oracle that never falls silent, the active clock is the world's."""
OVER = Seconds(DEADLINE + 1)


@pytest.mark.parametrize("by", Role)
def test_a_keeper_may_be_anyone(by: Role) -> None:
    assert code_of(kept_fresh(called(), until=OVER), ExpireCall(by, OVER)) == ""


@pytest.mark.parametrize("stage", STAGES)
def test_only_an_open_call_expires(stage: str) -> None:
    escrow = STAGES[stage]()
    if stage in ("DRAFT", "OFFERED", "ACCEPTED"):
        expected = "loan/unknown"
    else:
        expected = "expire/cure-time" if stage == "MARGIN_CALL" else "expire/not-called"
    assert code_of(escrow, ExpireCall(Role.OPERATOR, escrow.system.clock)) == expected


@pytest.mark.parametrize(
    ("late", "code"), [(-1, "expire/cure-time"), (0, "expire/cure-time"), (1, "")]
)
def test_the_deadline_itself_is_on_time(late: int, code: str) -> None:
    at = Seconds(DEADLINE + late)
    assert code_of(kept_fresh(called(), until=at), ExpireCall(Role.OPERATOR, at)) == code


@pytest.mark.parametrize(
    ("price", "code"), [(AT_CALL - 1, ""), (AT_CALL, ""), (AT_CALL + 1, "expire/healthy")]
)
def test_a_loan_that_recovered_below_the_call_level_is_spared(price: int, code: str) -> None:
    escrow = kept_fresh(called(), until=OVER, price=PriceE8(price))
    assert code_of(escrow, ExpireCall(Role.OPERATOR, OVER)) == code


def test_the_refusals_show_both_clocks_and_the_ratio() -> None:
    refuses(
        called(),
        ExpireCall(Role.OPERATOR, Seconds(NOW + 61)),
        "expire/cure-time",
        active_now=NOW + 61,
        deadline=DEADLINE,
    )
    healthy = kept_fresh(called(), until=OVER, price=PriceE8(2 * AT_CALL))
    refuses(
        healthy, ExpireCall(Role.OPERATOR, OVER), "expire/healthy", ltv_bps=3_750, call_ltv=7_500
    )


@pytest.mark.parametrize(("age", "code"), [(HOUR, "expire/cure-time"), (HOUR + 1, "price/stale")])
def test_a_stale_price_expires_nothing(age: int, code: str) -> None:
    assert code_of(called(), ExpireCall(Role.OPERATOR, Seconds(NOW + 60 + age))) == code


@pytest.mark.parametrize(("late", "code"), [(0, "expire/cure-time"), (1, "")])
def test_an_outage_gives_the_borrower_its_time_back(late: int, code: str) -> None:
    """Five hours without an oracle move the end of the cure time by the stale part of them."""
    outage = 5 * HOUR
    dark = play(called(), Tick(Role.WATCHER, Seconds(NOW + 60 + HOUR + outage)))
    at = Seconds(DEADLINE + outage + late)
    light = kept_fresh(priced(dark, AT_CALL, at=dark.system.clock), until=at)
    assert code_of(light, ExpireCall(Role.OPERATOR, at)) == code


def test_it_is_on_its_way_out() -> None:
    escrow = kept_fresh(called(), until=OVER)
    (event,) = decide(escrow, ExpireCall(Role.OPERATOR, OVER, "0xee"))
    assert event == CallExpired(OVER, escrow.system.price.round, "0xee")
    assert loan_phase(play(escrow, ExpireCall(Role.OPERATOR, OVER))) == "LIQUIDATING"
