"""A loan against things is under the rules of its place too: at its opening and at each pledge."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from asset_world import desk, machine, world

from escrow.core.errors import Rejected
from escrow.core.units import DAY
from escrow.sim.assets import Desk
from escrow.sim.registrar import Registrar
from escrow.world import World

RULE = "ru/mining-registry"
ENTERED = {"mines": True, "class": "legal-entity", "registered": True, "report_filed": True}


def told(made: World, **facts: object) -> None:
    made.attest("borrower", ENTERED | {"banned_region": False} | facts, until=made.now + 30 * DAY)
    Registrar(made, may_pay=True).sync("borrower")


def denied(ask, rule: str = RULE) -> None:
    with pytest.raises(Rejected) as refused:
        ask()
    assert refused.value.code == "eligibility/denied"
    assert refused.value.facts["rule"] == rule
    assert refused.value.facts["reason"]


@pytest.fixture
def made() -> Iterator[World]:
    with world() as found:
        found.switch_profile("ru-2024")
        yield found
        assert not found.engine.broken


@pytest.fixture
def lent(made: World) -> Desk:
    """A machine is pledged and something lent; another machine and coins wait."""
    told(made)
    found = desk(made)
    for number in (1, 2):
        found.enter(machine(made, number))
    found.pledge(machine(made, 1))
    found.draw(100_000)
    return found


def test_who_is_not_let_in_is_lent_nothing_against_things(made: World) -> None:
    deployed = len(made.extras)
    denied(lambda: desk(made))
    told(made, registered=False)
    denied(lambda: desk(made))
    assert len(made.extras) == deployed
    told(made)
    assert desk(made).items == ()


def test_who_is_struck_off_adds_nothing_and_loses_nothing(made: World, lent: Desk) -> None:
    coins = lent.secure("0.1")
    told(made, registered=False)
    before = (lent.items, lent.owed, lent.held(machine(made, 2)), made.state_hash)
    old = lent.items[0]
    denied(lambda: lent.pledge(machine(made, 2)))
    denied(lambda: lent.take(coins))
    denied(lambda: lent.substitute(machine(made, 2), old))
    denied(lambda: lent.substitute(coins, old))
    denied(lambda: lent.secure("0.1"))
    assert (lent.items, lent.owed, lent.held(machine(made, 2)), made.state_hash) == before
    lent.repay(lent.owed)
    lent.give_back(old)
    assert lent.held(old) == 0


def test_evidence_counts_to_its_last_second(made: World, lent: Desk) -> None:
    made.advance(days=30)
    lent.pledge(machine(made, 2))
    lent.give_back(machine(made, 2))
    made.advance(seconds=1)
    denied(lambda: lent.pledge(machine(made, 2)))


def test_a_desk_keeps_the_rules_that_it_was_opened_under(made: World, lent: Desk) -> None:
    made.switch_profile("us-generic")
    lent.pledge(machine(made, 2))
    denied(lambda: desk(made), "us/lender-licence")
    made.switch_profile("ru-2024")
    told(made, banned_region=True)
    denied(lambda: lent.secure("0.1"), "ru/banned-region")
