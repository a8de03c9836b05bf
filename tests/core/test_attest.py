"""The registrar records what it saw evidence of."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from deals import NOW, TERMS, code_of, draft, names, play
from rulings import UNTIL, seen

from escrow.core.decide import decide
from escrow.core.eligibility import Fact
from escrow.core.errors import BadInput
from escrow.core.regions.register import facts_between, facts_of
from escrow.core.roles import Role
from escrow.core.units import MAX_TIME, Seconds
from escrow.core.verbs.attest import MAX_KNOWN, Attest


@pytest.mark.parametrize("by", Role)
def test_only_the_registrar_attests(by: Role) -> None:
    ask = replace(seen("a"), by=by)
    expected = "" if by is Role.REGISTRAR else "attest/not-registrar"
    assert code_of(draft(), ask) == expected


@pytest.mark.parametrize("party", ["", "miner", "0x" + "b0" * 19, "0x" + "g0" * 20, "b0" * 20])
def test_a_party_is_an_address(party: str) -> None:
    assert code_of(draft(), replace(seen("a"), party=party)) == "attest/party"


@pytest.mark.parametrize(
    ("until", "code"),
    [(NOW - 1, "attest/until"), (NOW, ""), (MAX_TIME, ""), (MAX_TIME + 1, "attest/until")],
)
def test_evidence_has_a_last_second_to_come(until: int, code: str) -> None:
    assert code_of(draft(), replace(seen("a"), until=Seconds(until))) == code


def test_a_fact_that_no_rule_can_ask_for_is_refused() -> None:
    with pytest.raises(BadInput) as refused:
        decide(draft(), replace(seen("a"), facts=(Fact("other.a", 1),)))
    assert refused.value.code == "attest/fact"


def test_what_is_known_is_known_up_to_its_last_second() -> None:
    escrow = play(draft(), seen("a"))
    known = [facts_of(escrow.register, TERMS.borrower, at=at) for at in (UNTIL, Seconds(UNTIL + 1))]
    assert known == [{"a": True}, {}]
    assert facts_of(escrow.register, TERMS.lender, at=NOW) == {}


def test_the_last_word_counts_and_touches_no_other() -> None:
    escrow = play(
        draft(),
        seen("a", "b"),
        seen("a", party=TERMS.lender),
        seen("a", value=7),
    )
    assert facts_of(escrow.register, TERMS.borrower, at=NOW) == {"a": 7, "b": True}
    found = facts_between(escrow.register, TERMS.borrower, other=TERMS.lender, at=NOW)
    assert found == {"a": 7, "b": True, "other.a": True}


def test_an_address_is_one_however_it_is_spelled() -> None:
    shouted = "0x" + "B0" * 20
    escrow = play(draft(), seen("a", party=shouted))
    assert names(decide(draft(), seen("a", party=shouted))) == ["Attested"]
    assert facts_of(escrow.register, "0x" + "b0" * 20, at=NOW) == {"a": True}


def test_a_register_has_an_end() -> None:
    escrow = play(draft(), seen("a"))
    one = escrow.register.known
    full = replace(escrow, register=replace(escrow.register, known=one * (MAX_KNOWN - 1)))
    assert code_of(full, seen("b")) == ""
    assert code_of(full, seen("b", "c")) == "attest/full"


def test_a_full_register_still_takes_back_what_it_knows() -> None:
    escrow = play(draft(), seen("a"))
    one = escrow.register.known
    others = tuple(replace(one[0], fact=Fact(f"b{n}", True)) for n in range(MAX_KNOWN - 1))
    full = replace(escrow, register=replace(escrow.register, known=one + others))
    assert code_of(full, seen("a", value=False)) == ""
    assert code_of(full, seen("a", "c")) == "attest/full"


@pytest.mark.parametrize("odd", [1.5, None, b"x"])
def test_a_fact_is_a_whole_number_a_word_or_a_truth(odd: Any) -> None:
    with pytest.raises(BadInput) as refused:
        decide(draft(), replace(seen("a"), facts=(Fact("a", odd),)))
    assert refused.value.code == "attest/fact"


def test_attesting_moves_nothing() -> None:
    before = draft()
    after = play(before, Attest(Role.REGISTRAR, NOW, TERMS.borrower, (Fact("a", 1),), UNTIL))
    assert replace(after, register=before.register) == before
