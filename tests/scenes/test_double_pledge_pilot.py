"""The pilot in which a coin is pledged twice, or rather is not."""

from __future__ import annotations

from contextlib import closing

import pytest

from escrow.cli import main
from escrow.sim.pilot import play_pilot


def test_every_second_claim_is_refused_and_the_loan_is_not_touched() -> None:
    with closing(play_pilot("double-pledge", seed=3)) as pilot:
        refused = [each.refused for each in pilot.steps if each.refused]
        assert refused == [
            "token/held",
            "top-up/no-tokens",
            "burn/no-tokens",
            "market/unhealthy",
        ]
        assert pilot.sound
        assert len(pilot.checks) == 3
        assert pilot.result["supply_sats"] == pilot.result["vault_sats"] == 2 * 10**8
        assert pilot.result["market_bad_debt_cents"] > 0
        assert any(each.startswith("loan.call_ltv = 7000: ") for each in pilot.plan.assumed)


def test_a_step_of_a_pilot_is_explained_by_the_acts_it_names(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """``demo`` says which acts a step is made of, and ``why`` explains those."""
    with pytest.raises(SystemExit):
        main(["why", "double-pledge", "7"])
    told = capsys.readouterr().out
    assert "draw" in told.splitlines()[0]
