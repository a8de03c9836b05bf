"""Would conformance notice? Plausible bugs are built into the contracts, one at a time, and each is
caught by the story that is there for it. The run's summary lists them all."""

from __future__ import annotations

import pytest
from asks import CORPUS, read, tell
from both_lab import FAST, PROFILE, Difference, Lab
from mutants import MUTANTS, Mutant, compiled

from escrow.adapters.evm.chain import Chain
from escrow.adapters.evm.fast import FastChain

CHOSEN = MUTANTS if PROFILE == "night" else [each for each in MUTANTS if not each.night]


@pytest.fixture(scope="module")
def bytecode(request) -> dict[str, bytes]:
    return compiled(CHOSEN, cache=request.config.cache.mkdir("mutants"))


def test_there_are_enough_of_them():
    assert len(CHOSEN) >= 20
    assert len({each.name for each in MUTANTS}) == len(MUTANTS)


@pytest.mark.parametrize("mutant", CHOSEN, ids=lambda mutant: mutant.name)
def test_a_planted_bug_is_caught(mutant: Mutant, bytecode, record_property):
    lab = Lab(FastChain if FAST else Chain, instead={mutant.contract: bytecode[mutant.name]})
    with pytest.raises(Difference) as caught:
        for _ in tell(lab, read(CORPUS / f"{mutant.story}.json")):
            pass
    record_property(
        "mutant", (mutant.contract, mutant.name, caught.value.check, lab.both.steps, mutant.story)
    )
    assert caught.value.check == mutant.check, caught.value
