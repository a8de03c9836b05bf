"""AssetToken: what the authority froze before there was anything stays frozen."""

from __future__ import annotations

import pytest
from asset_lab import LOAN, THIRD, AssetLab
from contracts_lab import raw, refuses


@pytest.fixture(scope="module")
def asset_base() -> AssetLab:
    return AssetLab()


@pytest.fixture
def lab(asset_base: AssetLab) -> AssetLab:
    asset_base.back()
    return asset_base


def test_issue_does_not_lift_a_freeze(lab: AssetLab):
    lab.register.send(lab.authority, "setFrozenTokens", raw(lab.borrower), THIRD, 4)
    lab.issue(THIRD, 7)
    assert lab.register.call("getFrozenTokens", raw(lab.borrower), THIRD) == 4
    assert lab.has(lab.borrower, THIRD) == (7, 3)
    for spend in (
        lambda units: lab.move(THIRD, units, by=lab.borrower, to=lab.buyer),
        lambda units: lab.hold(THIRD, units, loan=LOAN),
        lambda units: lab.retire(THIRD, units),
    ):
        with refuses("token/frozen"):
            spend(4)
        spend(1)
    assert lab.has(lab.borrower, THIRD) == (5, 0)
