"""Notices, instalments, impairment and default of a loan on both chains."""

from __future__ import annotations

import pytest
from world_lab import sound

from escrow.core.errors import Rejected
from escrow.core.regions.servicing import Instalment, ServicingPlan, Standing
from escrow.core.terms import Liquidation
from escrow.core.units import DAY, Bps, Cents, Seconds
from escrow.world import World


@pytest.fixture
def serviced():
    """50,000.00 lent for 90 days, a fifth due in a month; notices at 60 and 65 %."""
    with World(seed=7) as world:
        plan = ServicingPlan(
            notices=(Bps(6_000), Bps(6_500)),
            instalments=(Instalment(Seconds(world.now + 30 * DAY), Cents(1_000_000)),),
            grace=Seconds(3 * DAY),
            delinquency=Seconds(4 * DAY),
        )
        world.open(plan=plan)
        yield world


def test_the_operator_tells_of_notices_and_lifts_them(serviced):
    deal = serviced.loans[0]
    assert deal.phase == "ACTIVE"
    serviced.price("54000.00")
    assert (deal.phase, deal.state.servicing.noticed) == ("MARGIN_NOTICE", 1)
    serviced.price("51000.00")
    assert (deal.phase, deal.state.servicing.noticed) == ("MARGIN_NOTICE", 2)
    serviced.price("70000.00")
    assert (deal.phase, deal.state.servicing.noticed) == ("ACTIVE", 0)
    sound(serviced)


def test_a_missed_payment_is_noted_to_the_second_and_arrears_end_it(serviced):
    deal = serviced.loans[0]
    due_at = deal.state.servicing.plan.instalments[0].due_at
    serviced.advance(seconds=due_at - serviced.now)
    assert deal.phase == "ACTIVE"
    serviced.advance(seconds=1)
    assert deal.phase == "PAYMENT_GRACE"
    serviced.repay(deal, "10000.00")
    assert deal.phase == "ACTIVE"
    sound(serviced)


def test_unpaid_it_goes_to_default_and_the_coins_wait_for_the_book(serviced):
    deal = serviced.loans[0]
    due_at = deal.state.servicing.plan.instalments[0].due_at
    serviced.advance(seconds=due_at + 3 * DAY + 1 - serviced.now)
    assert deal.phase == "DELINQUENT"
    with pytest.raises(Rejected, match="default/too-early"):
        serviced.declare_default(deal)
    serviced.advance(seconds=4 * DAY)
    with pytest.raises(Rejected, match="default/not-lender"):
        serviced.declare_default(deal, by="borrower")
    serviced.declare_default(deal)
    assert deal.phase == "DEFAULTED"
    with pytest.raises(Rejected, match="liquidate/healthy"):
        serviced.liquidate(deal)
    terms = deal.terms
    assert terms.liquidation is Liquidation.TAKE_OVER
    serviced.advance(seconds=terms.maturity + terms.grace + 1 - serviced.now)
    serviced.liquidate(deal)
    assert deal.phase == "LIQUIDATING"
    sound(serviced)


def test_an_impaired_loan_and_back(serviced, tmp_path):
    deal = serviced.loans[0]
    serviced.impair(deal)
    assert deal.phase == "IMPAIRED"
    serviced.advance(days=1)
    assert deal.state.servicing.standing is Standing.PAYMENT_GRACE
    serviced.save(tmp_path / "world")
    with World.load(tmp_path / "world") as again:
        assert again.state_hash == serviced.state_hash
        again.lift_impairment()
        assert again.loans[0].phase == "ACTIVE"
        sound(again)


def test_without_a_plan_there_is_nothing_to_declare(world):
    for verb in (world.impair, world.lift_impairment, world.declare_default):
        with pytest.raises(Rejected, match="plan/none"):
            verb()
