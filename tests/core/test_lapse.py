"""An offer that nobody opened in time ends by itself."""

import pytest
from deals import NOW, STAGES, TERMS, accepted, code_of, names, offered, play

from escrow.core.decide import decide
from escrow.core.phases import loan_phase
from escrow.core.regions.loan import OfferEnded
from escrow.core.roles import Role
from escrow.core.units import Seconds
from escrow.core.verbs.lapse import Lapse


@pytest.mark.parametrize("by", Role)
def test_only_the_watcher_tells(by: Role) -> None:
    expected = "" if by is Role.WATCHER else "lapse/not-watcher"
    assert code_of(offered(), Lapse(by, NOW)) == expected


@pytest.mark.parametrize("stage", [offered, accepted])
@pytest.mark.parametrize(("late", "ends"), [(-1, False), (0, False), (1, True)])
def test_it_lapses_after_the_last_moment(stage, late: int, ends: bool) -> None:
    at = Seconds(TERMS.expires_at + late)
    events = decide(stage(), Lapse(Role.WATCHER, at))
    assert events == ((OfferEnded(at, expired=True),) if ends else ())


@pytest.mark.parametrize("stage", [name for name in STAGES if name not in ("OFFERED", "ACCEPTED")])
def test_nothing_else_lapses(stage: str) -> None:
    escrow = STAGES[stage]()
    at = max(escrow.system.clock, Seconds(TERMS.recover_at + 1))
    assert names(decide(escrow, Lapse(Role.WATCHER, at))) == []


def test_a_lapsed_offer_is_over() -> None:
    after = play(offered(), Lapse(Role.WATCHER, Seconds(TERMS.expires_at + 1)))
    assert loan_phase(after) == "CANCELLED"
