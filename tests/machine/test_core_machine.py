"""The corpus of counterexamples first; then any order of any command by anyone."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from ghost import Ghost
from hypothesis import seed, settings
from hypothesis.stateful import run_state_machine_as_test

from escrow.core.decide import Command
from escrow.core.errors import BadInput, Rejected
from escrow.core.laws import Step
from escrow.core.state import Escrow
from escrow.testing import EscrowMachine, dump, load, platform, play
from escrow.view.transitions import TRANSITIONS, taken

CORPUS = sorted((Path(__file__).parents[1] / "corpus").glob("*.json"))


def retell(path: Path) -> Escrow:
    """Play a story to its end; what is refused is skipped, as the machine did."""
    escrow = Escrow(platform())
    for command in load(path.read_text()):
        try:
            escrow = play(escrow, command)
        except Rejected:
            continue
    return escrow


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.stem)
def test_no_counterexample_comes_back(path: Path) -> None:
    retell(path)


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.stem)
def test_the_corpus_is_written_as_dump_writes(path: Path) -> None:
    assert dump(load(path.read_text())) == path.read_text()


@pytest.mark.parametrize("text", ["", "{}", '[{"type": "Bribe"}]', '[{"type": "Accept"}]', "[1]"])
def test_a_story_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(BadInput) as refusal:
        load(text)
    assert refusal.value.code == "scenario/format"


class CoreMachine(EscrowMachine):
    """The machine on the core as it is, with a bookkeeper in fractions beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.ghost = Ghost()

    def on_event(self, step: Step) -> None:
        self.ghost.see(step)

    def on_refusal(self, command: Command, refusal: Rejected) -> None:
        self.ghost.hear(command, refusal)


def test_every_law_holds_whatever_anybody_does() -> None:
    run_state_machine_as_test(CoreMachine)


def test_the_machine_gets_about(record_property: Callable[[str, object], None]) -> None:
    """A machine that goes nowhere would pass as well. Rare things take their time: a few batches of
    stories, each with a seed of its own, until everything was seen."""
    counts: Counter[str] = Counter()
    transitions: Counter[tuple[str, str, str]] = Counter()
    refusals: Counter[str] = Counter()

    class Counted(CoreMachine):
        def on_event(self, step: Step) -> None:
            super().on_event(step)
            counts.update(taken(step))

        def teardown(self) -> None:
            transitions.update(self.transitions)
            refusals.update(self.refusals)

    batch = settings(settings.get_profile("dev"), database=None, max_examples=125)
    # Exits signed in advance are no step of a loan's log.
    wanted = REACHED | {each.id for each in TRANSITIONS} - {"T4"}
    missing = wanted
    for number in range(16):
        run_state_machine_as_test(seed(number)(Counted), settings=batch)
        missing = wanted - counts.keys() - {event for _, event, _ in transitions}
        if not missing:
            break
    assert not missing, f"never seen: {sorted(missing)}"
    assert "T4" not in counts
    record_property("transitions", dict(counts))
    assert len(transitions) >= 100
    assert len(refusals) >= 45


REACHED = {
    "OfferMade",
    "LoanOpened",
    "Minted",
    "TokensHeld",
    "Drawn",
    "Repayment",
    "LoanRecovered",
    "LoanEnded",
    "MarginCalled",
    "CallCured",
    "CallExpired",
    "Liquidated",
    "TokensFreed",
    "Burned",
    "PayoutSent",
    "PayoutFinal",
    "PayoutStuck",
    "PayoutReplaced",
    "PayoutVoid",
    "CoinsRecovered",
    "Rekeyed",
    "CoinPlaced",
    "CoinReorged",
    "CoinLost",
    "Retired",
    "OracleStale",
    "Incident",
    "MarginNoticed",
    "NoticeLifted",
    "StandingNoted",
    "Impaired",
    "ImpairmentLifted",
    "DefaultDeclared",
}
"""Events that mean that every region of a deal was at work."""
