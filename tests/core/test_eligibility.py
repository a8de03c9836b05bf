"""Rules as data: what is true, when they count, and which books make no sense."""

from __future__ import annotations

from dataclasses import replace

import pytest
from deals import NOW
from hypothesis import given
from hypothesis import strategies as st
from rulings import book, joined_by, needs, rule

from escrow.core.eligibility import (
    MAX_NESTING,
    MAX_NUMBER,
    MAX_PARTS,
    MAX_RULES,
    MAX_TEXT,
    MAX_WORD,
    Denied,
    Fact,
    Gate,
    Op,
    Predicate,
    Rule,
    Value,
    check_book,
    check_facts,
    holds,
    in_force,
    names,
    refusal,
)
from escrow.core.errors import BadInput
from escrow.core.units import MAX_TIME, Seconds

KWH = 6_000


@pytest.mark.parametrize(
    ("op", "value", "below", "equal", "above"),
    [
        (Op.IS, KWH, False, True, False),
        (Op.IS_NOT, KWH, True, False, True),
        (Op.AT_LEAST, KWH, False, True, True),
        (Op.AT_MOST, KWH, True, True, False),
        (Op.ABOVE, KWH, False, False, True),
        (Op.BELOW, KWH, True, False, False),
    ],
)
def test_a_number_is_compared_exactly(
    op: Op, value: int, below: bool, equal: bool, above: bool
) -> None:
    asks = needs("kwh", value, op)
    found = [holds(asks, {"kwh": kwh}) for kwh in (KWH - 1, KWH, KWH + 1)]
    assert found == [below, equal, above]


@pytest.mark.parametrize("op", [Op.IS, Op.IS_NOT])
@pytest.mark.parametrize("known", [{}, {"fact": 1}, {"fact": "true"}, {"other.fact": True}])
def test_what_is_not_known_or_of_another_type_is_not_true(op: Op, known: dict[str, Value]) -> None:
    assert holds(needs("fact", True, op), known) is False


def test_words_and_truths_are_compared_too() -> None:
    assert holds(needs("class", "legal"), {"class": "legal"})
    assert not holds(needs("class", "legal"), {"class": "natural"})
    assert holds(needs("other.class", "legal", Op.IS_NOT), {"other.class": "natural"})
    assert not holds(needs("ok"), {"ok": False})


def test_all_and_any_nest() -> None:
    either = joined_by(Op.ANY, needs("a"), joined_by(Op.ALL, needs("b"), needs("c")))
    assert holds(either, {"a": True})
    assert holds(either, {"b": True, "c": True})
    assert not holds(either, {"b": True})
    assert names(either) == {"a", "b", "c"}


def test_a_rule_counts_from_its_first_second_to_its_last() -> None:
    dated = book(rule("a", since=Seconds(NOW), until=Seconds(NOW + 10)))
    found = [refusal(dated, Gate.OFFER, {}, at=Seconds(NOW + n)) for n in (-1, 0, 10, 11)]
    assert [each is None for each in found] == [True, False, False, True]
    assert [len(in_force(dated, at=Seconds(NOW + n))) for n in (-1, 0, 10, 11)] == [0, 1, 1, 0]


def test_the_first_rule_that_fails_is_the_answer() -> None:
    rules = book(rule("a"), rule("b"), rule("c", Gate.TRANSFER))
    assert refusal(rules, Gate.OFFER, {"a": True}, at=NOW) == Denied(
        Gate.OFFER, "test/b", "b is not known"
    )
    assert refusal(rules, Gate.OFFER, {"a": True, "b": True}, at=NOW) is None
    # No rule of this gate, and no book: nothing is in the way.
    assert refusal(rules, Gate.TOP_UP, {}, at=NOW) is None
    assert refusal(None, Gate.OFFER, {}, at=NOW) is None


def deep(levels: int) -> Predicate:
    """A comparison inside joins, ``levels`` in all."""
    return needs("a") if levels == 1 else joined_by(Op.ALL, deep(levels - 1))


GOOD = rule("a")
BAD: dict[str, Rule] = {
    "an id": replace(GOOD, id="No Name"),
    "a long id": replace(GOOD, id="a" * 61),
    "no gate": replace(GOOD, gates=()),
    "a gate twice": replace(GOOD, gates=(Gate.OFFER, Gate.OFFER)),
    "dates": replace(GOOD, since=Seconds(2), until=Seconds(1)),
    "before time": replace(GOOD, since=Seconds(-1)),
    "after time": replace(GOOD, until=Seconds(MAX_TIME + 1)),
    "no reason": replace(GOOD, reason=""),
    "two lines": replace(GOOD, source="a\nb"),
    "long": replace(GOOD, reason="a" * (MAX_TEXT + 1)),
    "deep": replace(GOOD, needs=deep(MAX_NESTING + 1)),
    "an empty join": replace(GOOD, needs=joined_by(Op.ANY)),
    "a wide join": replace(GOOD, needs=joined_by(Op.ANY, *(needs("a"),) * (MAX_PARTS + 1))),
    "a join with a fact": replace(GOOD, needs=Predicate(Op.ANY, "a", True, (needs("a"),))),
    "a comparison with parts": replace(GOOD, needs=Predicate(Op.IS, "a", True, (needs("a"),))),
    "a fact": replace(GOOD, needs=needs("A")),
    "a long word": replace(GOOD, needs=needs("a", "a" * (MAX_WORD + 1))),
    "a large number": replace(GOOD, needs=needs("a", MAX_NUMBER + 1)),
    "an order of words": replace(GOOD, needs=needs("a", "b", Op.ABOVE)),
    "an order of truths": replace(GOOD, needs=needs("a", True, Op.AT_MOST)),
}


@pytest.mark.parametrize("what", BAD)
def test_a_rule_that_makes_no_sense_is_refused(what: str) -> None:
    with pytest.raises(BadInput) as refused:
        check_book(book(BAD[what]))
    assert refused.value.code == "profile/value"


@pytest.mark.parametrize(
    "wrong",
    [
        replace(book(GOOD), profile="a b"),
        replace(book(GOOD), version=0),
        book(GOOD, GOOD),
        book(*(rule(f"a{n}") for n in range(MAX_RULES + 1))),
    ],
    ids=["profile", "version", "one rule twice", "too many"],
)
def test_a_book_that_makes_no_sense_is_refused(wrong) -> None:
    with pytest.raises(BadInput):
        check_book(wrong)


def test_the_widest_book_is_let_in() -> None:
    wide = [rule(f"a{n}") for n in range(MAX_RULES - 2)]
    check_book(
        book(
            *wide,
            rule("deep", asks=deep(MAX_NESTING)),
            rule("broad", asks=joined_by(Op.ALL, *(needs("a", -MAX_NUMBER),) * MAX_PARTS)),
        )
    )


@pytest.mark.parametrize(
    "facts",
    [
        (),
        tuple(Fact(f"a{n}", True) for n in range(MAX_RULES + 1)),
        (Fact("a", 1), Fact("a", 2)),
        (Fact("A", 1),),
        (Fact("other.a", 1),),
        (Fact("a" * 41, 1),),
        (Fact("a", ""),),
        (Fact("a", "two\nlines"),),
        (Fact("a", MAX_NUMBER + 1),),
    ],
)
def test_facts_that_no_rule_can_ask_for_are_refused(facts: tuple[Fact, ...]) -> None:
    with pytest.raises(BadInput) as refused:
        check_facts(facts)
    assert refused.value.code == "attest/fact"


def test_the_widest_facts_are_let_in() -> None:
    check_facts(tuple(Fact(f"a{n}", -MAX_NUMBER) for n in range(MAX_RULES)))
    check_facts((Fact("a", "a" * MAX_WORD), Fact("b", False)))


VALUES = st.one_of(st.booleans(), st.integers(-3, 3), st.sampled_from(["x", "y"]))


@given(st.sampled_from([Op.IS, Op.IS_NOT]), VALUES, VALUES)
def test_is_and_is_not_are_never_both_true(op: Op, known: Value, asked: Value) -> None:
    facts = {"a": known}
    both = [holds(needs("a", asked, each), facts) for each in (Op.IS, Op.IS_NOT)]
    # Exactly one where they can be compared, none where they cannot.
    assert sum(both) == (type(known) is type(asked))
