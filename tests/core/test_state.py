"""The fold, and facts that the rules would have refused."""

from dataclasses import replace

import pytest
from deals import (
    COIN_A,
    COIN_B,
    NOW,
    OWED,
    STAGES,
    active,
    draft,
    play,
    recovered,
    repaid,
)
from rulings import seen, switched

from escrow.core.decide import decide, witness
from escrow.core.regions.loan import (
    CallCured,
    CallExpired,
    Drawn,
    LoanEnded,
    LoanOpened,
    MarginCalled,
    OfferAccepted,
    OfferEnded,
    Outcome,
)
from escrow.core.roles import Role
from escrow.core.state import Incident, evolve, fold, joined
from escrow.core.units import Cents, Seconds
from escrow.core.verbs.pledge import SawCoinGone
from escrow.core.verbs.repay import Repay
from escrow.core.verbs.tick import Tick


def test_a_fact_that_is_allowed_is_decided_as_an_ask() -> None:
    pay = Repay(Role.BORROWER, NOW, Cents(7))
    assert witness(active(), pay) == decide(active(), pay)


def test_a_fact_that_would_be_refused_is_noted_with_its_facts() -> None:
    pay = Repay(Role.BORROWER, NOW, Cents(-7))
    (incident,) = witness(active(), pay)
    assert incident == Incident(NOW, "Repay", "loan/amount", (("amount", -7),))
    after = evolve(active(), incident)
    assert after.incidents == (incident,)
    assert after.loan == active().loan


def test_a_fact_from_the_past_is_noted_too() -> None:
    (incident,) = witness(active(), Repay(Role.BORROWER, Seconds(NOW - 1), OWED))
    assert incident.code == "clock/backwards"


def test_a_fact_that_is_told_again_is_noted_once() -> None:
    """A watcher looks again and again; only a new story is a new incident."""
    escrow = recovered()
    at = escrow.system.clock
    gone = SawCoinGone(Role.WATCHER, at, COIN_A, "ff")
    escrow = fold(escrow, witness(escrow, gone))
    assert [incident.code for incident in escrow.incidents] == ["pledge/spent"]
    assert witness(escrow, replace(gone, at=Seconds(at + 60))) == ()
    assert len(witness(escrow, replace(gone, outpoint=COIN_B))) == 1


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize(
    ("event", "stages"),
    [
        (OfferAccepted(NOW), {"OFFERED"}),
        (OfferEnded(NOW, expired=True), {"OFFERED", "ACCEPTED"}),
        (LoanOpened(NOW, ""), {"ACCEPTED"}),
        (Drawn(NOW, Cents(1), ""), {"AWAITING_COLLATERAL", "SECURED", "ACTIVE"}),
        (MarginCalled(NOW, Seconds(NOW), 1, ""), {"ACTIVE"}),
        (CallCured(NOW, 1, ""), {"MARGIN_CALL"}),
        (CallExpired(NOW, 1, ""), {"MARGIN_CALL"}),
        (LoanEnded(NOW, Outcome.RELEASED), {"REPAID", "SEIZED", "CANCELLED"}),
    ],
)
def test_an_event_that_cannot_follow_means_a_corrupt_log(stage: str, event, stages) -> None:
    escrow = STAGES[stage]()
    if stage in stages:
        assert evolve(escrow, event).loan != escrow.loan
    else:
        with pytest.raises(AssertionError, match="cannot follow"):
            evolve(escrow, event)


def test_the_fold_of_what_was_decided_is_the_state() -> None:
    commands = (Tick(Role.WATCHER, NOW), Repay(Role.BORROWER, NOW, Cents(5)))
    escrow, log = active(), []
    for command in commands:
        events = decide(escrow, command)
        log.extend(events)
        escrow = fold(escrow, events)
    assert fold(active(), tuple(log)) == escrow == play(active(), *commands)


def test_states_are_values() -> None:
    """A refusal cannot have changed what cannot change."""
    assert hash(active()) == hash(active())
    with pytest.raises(AttributeError):
        draft().loan = repaid().loan


def test_what_all_loans_share_is_one() -> None:
    shared = play(draft(), switched(), seen("a"))
    deal = active()
    assert joined(deal, shared) == replace(deal, system=shared.system, register=shared.register)
    assert joined(deal, deal) is deal
    assert joined(deal, replace(deal, system=shared.system)).system is shared.system
