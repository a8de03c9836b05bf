"""The pilot in which a coin is pledged twice, or rather is not."""

from __future__ import annotations

from contextlib import closing

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
