"""The set of oracles was replaced on the EVM."""

import pytest
from deals import AT_INITIAL, NOW, code_of, draft, names, play, priced

from escrow.core.decide import decide
from escrow.core.regions.system import OraclesRotated
from escrow.core.roles import Role
from escrow.core.units import Seconds
from escrow.core.verbs.mark import Mark
from escrow.core.verbs.rotate import SawRotation

SOON = Seconds(NOW + 60)


@pytest.mark.parametrize("by", Role)
def test_only_the_watcher_tells_of_another_set(by: Role) -> None:
    expected = "" if by is Role.WATCHER else "price/not-watcher"
    assert code_of(priced(draft()), SawRotation(by, SOON, 5)) == expected


@pytest.mark.parametrize(("quorum", "code"), [(1, ""), (3, ""), (5, "price/too-few-signers")])
def test_from_then_on_its_own_quorum_makes_a_price(quorum: int, code: str) -> None:
    rotation = SawRotation(Role.WATCHER, SOON, quorum)
    assert decide(priced(draft()), rotation) == (OraclesRotated(SOON, quorum),)
    rotated = play(priced(draft()), rotation)
    assert (rotated.system.quorum, rotated.system.clock) == (quorum, SOON)
    assert names(decide(rotated, Mark(Role.ORACLE, SOON, 2, (AT_INITIAL,) * 5, SOON)))
    assert code_of(rotated, Mark(Role.ORACLE, SOON, 2, (AT_INITIAL,) * 3, SOON)) == code
