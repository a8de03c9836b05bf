"""The corpus of counterexamples first; then any order of any command by anyone."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis.stateful import run_state_machine_as_test

from escrow.core.errors import BadInput, Rejected
from escrow.core.laws import Law, Step
from escrow.core.regions.vault import Lost, Recovered
from escrow.core.state import Escrow
from escrow.testing import EscrowMachine, LawBroken, dump, load, platform, play

CORPUS = Path(__file__).parents[1] / "corpus"
MENDED = sorted(CORPUS.glob("*.json"))
OPEN = sorted((CORPUS / "open").glob("*.json"))


def retell(path: Path) -> Escrow:
    """Play a story to its end; what is refused is skipped, as the machine did."""
    escrow = Escrow(platform())
    for command in load(path.read_text()):
        try:
            escrow = play(escrow, command)
        except Rejected:
            continue
    return escrow


@pytest.mark.parametrize("path", MENDED, ids=lambda path: path.stem)
def test_no_counterexample_comes_back(path: Path) -> None:
    retell(path)


@pytest.mark.parametrize("path", OPEN, ids=lambda path: path.stem)
def test_an_open_counterexample_still_shows_its_defect(path: Path) -> None:
    """When this fails the defect is mended: move the story up into the corpus."""
    with pytest.raises(LawBroken):
        retell(path)


@pytest.mark.parametrize("path", [*MENDED, *OPEN], ids=lambda path: path.stem)
def test_the_corpus_is_written_as_dump_writes(path: Path) -> None:
    assert dump(load(path.read_text())) == path.read_text()


@pytest.mark.parametrize("text", ["", "{}", '[{"type": "Bribe"}]', '[{"type": "Accept"}]', "[1]"])
def test_a_story_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(BadInput) as refusal:
        load(text)
    assert refusal.value.code == "scenario/format"


class CoreMachine(EscrowMachine):
    """The machine on the core as it is."""

    def excused(self, step: Step, law: Law) -> bool:
        # PledgeToken retires what it minted, coin for coin; it knows no change. So tokens whose
        # change coin is lost or recovered cannot be retired (corpus/open/change_is_*).
        return law.id == "INV-TOK-1" and any(
            coin.change and isinstance(coin.status, Lost | Recovered)
            for coin in step.after.vault.coins
        )


def test_every_law_holds_whatever_anybody_does() -> None:
    transitions: Counter[tuple[str, str, str]] = Counter()
    refusals: Counter[str] = Counter()

    class Counted(CoreMachine):
        def teardown(self) -> None:
            transitions.update(self.transitions)
            refusals.update(self.refusals)

    run_state_machine_as_test(Counted)
    # A machine that goes nowhere would pass as well.
    names = {event for _, event, _ in transitions}
    assert names >= REACHED, f"never seen: {sorted(REACHED - names)}"
    assert len(refusals) >= 40


REACHED = {
    "OfferMade",
    "LoanOpened",
    "Minted",
    "TokensHeld",
    "Drawn",
    "Repayment",
    "MarginCalled",
    "CallCured",
    "Liquidated",
    "TokensFreed",
    "Burned",
    "PayoutSent",
    "CoinReorged",
    "CoinLost",
    "Retired",
    "OracleStale",
    "Incident",
}
"""Events that any run of the size of the ``dev`` profile comes to."""
