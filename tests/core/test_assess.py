"""Due dates, grace, arrears."""

import pytest
from deals import NOW, OWED, PLAN, STAGES, active, code_of, play, refuses, serviced

from escrow.core.decide import decide
from escrow.core.due import NoteStanding, ask_of, due, wakes
from escrow.core.phases import loan_phase
from escrow.core.regions.servicing import Standing, StandingNoted
from escrow.core.roles import Role
from escrow.core.units import DAY, Cents, Seconds
from escrow.core.verbs.assess import Assess
from escrow.core.verbs.repay import Repay
from escrow.core.verbs.tick import Tick

FIRST, SECOND = (each.due_at for each in PLAN.instalments)
MATURITY = Seconds(NOW + 90 * DAY)


def late(at: int, *paid: tuple[int, int]):
    """Serviced up to ``at``, with payments in cents at their times."""
    escrow = serviced()
    for then, amount in paid:
        escrow = play(escrow, Repay(Role.BORROWER, Seconds(then), Cents(amount)))
    return play(escrow, Tick(Role.WATCHER, Seconds(at)))


@pytest.mark.parametrize("by", Role)
def test_anyone_notes_it(by: Role) -> None:
    assert code_of(late(FIRST + 1), Assess(by, Seconds(FIRST + 1))) == ""


@pytest.mark.parametrize("stage", STAGES)
def test_only_where_something_is_lent(stage: str) -> None:
    escrow = STAGES[stage]()
    if stage in ("DRAFT", "OFFERED", "ACCEPTED"):
        expected = "loan/unknown"
    elif stage in ("ACTIVE", "MARGIN_CALL", "LIQUIDATING"):
        expected = "assess/unchanged"
    else:
        expected = "assess/no-debt"
    assert code_of(escrow, Assess(Role.OPERATOR, escrow.system.clock)) == expected


@pytest.mark.parametrize(
    ("at", "paid", "standing", "since"),
    [
        (FIRST, (), Standing.PERFORMING, None),
        (FIRST + 1, (), Standing.PAYMENT_GRACE, FIRST),
        (FIRST + 1, ((NOW + 5, 399_999),), Standing.PAYMENT_GRACE, FIRST),
        (FIRST + 1, ((NOW + 5, 400_000),), Standing.PERFORMING, None),
        (FIRST + 1, ((FIRST, 400_000),), Standing.PERFORMING, None),
        (FIRST + 2 * DAY, (), Standing.PAYMENT_GRACE, FIRST),
        (FIRST + 2 * DAY + 1, (), Standing.DELINQUENT, FIRST),
        (SECOND + 1, ((FIRST, 400_000),), Standing.PAYMENT_GRACE, SECOND),
        (SECOND + 1, ((FIRST, 999_999),), Standing.PAYMENT_GRACE, SECOND),
        (SECOND + 1, ((FIRST, 1_000_000),), Standing.PERFORMING, None),
        (MATURITY, ((FIRST, 1_000_000),), Standing.PERFORMING, None),
        (MATURITY + 1, ((FIRST, 1_000_000),), Standing.PAYMENT_GRACE, MATURITY),
    ],
)
def test_what_is_overdue_and_since_when(at: int, paid, standing: Standing, since) -> None:
    escrow = late(at, *paid)
    ask = Assess(Role.OPERATOR, Seconds(at))
    owing = [effect for effect in due(escrow) if isinstance(effect, NoteStanding)]
    if standing is Standing.PERFORMING:
        refuses(escrow, ask, "assess/unchanged", standing="PF")
        assert owing == []
        return
    assert decide(escrow, ask) == (StandingNoted(Seconds(at), standing, since),)
    assert owing == [NoteStanding(standing, since)]
    assert owing[0].id == f"standing/{standing.value}/{since}"
    assert ask_of(owing[0], at=Seconds(at)) == ask
    assert loan_phase(play(escrow, ask)) == standing.name


def test_paying_the_arrears_ends_it() -> None:
    at = Seconds(FIRST + 1)
    escrow = play(late(at), Assess(Role.OPERATOR, at), Repay(Role.BORROWER, at, Cents(400_000)))
    assert loan_phase(escrow) == "PAYMENT_GRACE"
    escrow = play(escrow, Assess(Role.OPERATOR, at))
    assert loan_phase(escrow) == "ACTIVE"
    assert escrow.servicing.standing is Standing.PERFORMING


def test_without_a_plan_nothing_is_overdue() -> None:
    at = Seconds(MATURITY + 1)
    escrow = play(active(), Tick(Role.WATCHER, at))
    refuses(escrow, Assess(Role.OPERATOR, at), "assess/unchanged", standing="PF")


def test_the_engine_wakes_for_it() -> None:
    assert FIRST + 1 in wakes(serviced())
    assert FIRST + 2 * DAY + 1 in wakes(late(FIRST + 1))
    assert FIRST + 1 not in wakes(active())


def test_a_loan_that_is_repaid_owes_no_standing() -> None:
    escrow = play(late(FIRST + 1), Repay(Role.BORROWER, Seconds(FIRST + 1), OWED))
    assert not [effect for effect in due(escrow) if isinstance(effect, NoteStanding)]
