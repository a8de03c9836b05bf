"""Registers that a world keeps: saved, loaded and forked with it, equal, and refused as garbage."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from escrow.adapters.store.kept import MAX_KEPT, MAX_WORDS, Kept, as_text, read_kept
from escrow.adapters.store.world_file import read_world, write_world
from escrow.core.errors import BadInput, EscrowError
from escrow.core.units import Cents, Sats, Seconds
from escrow.eligibility.days import first_second, parse_day, parse_month
from escrow.eligibility.dfa import Decision, DfaOperator, InvestorClass
from escrow.eligibility.elr import Regime, Trader
from escrow.eligibility.miners import Ground, MinerClass, MinerRegister, Month
from escrow.eligibility.read import load_profile
from escrow.world import World

COMPANY, PERSON = "7707083893", "500100732259"
AT = first_second(parse_day("2025-06-01"))
FIRST = parse_month("2025-02")
NAMES = st.sampled_from(("fund",) * 6 + ("bank",) * 4 + ("person", "miner", "nobody", ""))
MOMENTS = st.integers(0, 400).map(lambda days: Seconds(AT + days * 86_400))
UNITS = st.sampled_from((-1, 0, 1, 7, 500, 10**9))
INNS = st.sampled_from((COMPANY, PERSON, "1"))
MONTHS = st.integers(-1, 5).map(lambda n: Month(FIRST + n))
ISSUES = st.sampled_from(("mine-1", "mine-2"))
FEW = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))

Ask = tuple[str, dict[str, Any]]


def asks(**verbs: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[list[Ask]]:
    """Any verbs in any order, of which many are refused."""
    each = [st.tuples(st.just(verb), st.fixed_dictionaries(named)) for verb, named in verbs.items()]
    return st.lists(st.one_of(each), max_size=25)


MINERS = asks(
    add={
        "inn": INNS,
        "kind": st.sampled_from(MinerClass),
        "since": st.just(FIRST),
        "meter_kwh": st.integers(-1, 5),
        "banned_region": st.booleans(),
    },
    read_meter={"inn": INNS, "month": MONTHS, "meter_kwh": st.integers(0, 10**13)},
    register={"inn": INNS, "at": MOMENTS},
    report={
        "inn": INNS,
        "month": MONTHS,
        "at": MOMENTS,
        "sats": st.sampled_from((Sats(0), Sats(1), Sats(-1))),
        "addresses": st.sampled_from(((), ("bc1q",), ("bc1q", "bc1p"))),
    },
    delist={"inn": INNS, "ground": st.sampled_from(Ground), "at": MOMENTS},
)
OPERATOR = asks(
    enter={"investor": NAMES, "kind": st.sampled_from(InvestorClass)},
    issue={
        "decision": st.builds(
            Decision,
            ISSUES,
            NAMES,
            st.just("a claim"),
            UNITS,
            st.sampled_from((Cents(1), Cents(0))),
        )
    },
    buy={"buyer": NAMES, "issue": ISSUES, "units": UNITS, "at": MOMENTS},
    exchange={
        "seller": NAMES,
        "buyer": NAMES,
        "issue": ISSUES,
        "units": UNITS,
        "price": st.sampled_from((Cents(0), Cents(3))),
        "through": st.sampled_from(("exchange", "another")),
        "at": MOMENTS,
    },
    pledge={"holder": NAMES, "issue": ISSUES, "units": UNITS, "creditor": NAMES},
    release={"hold": st.integers(0, 3), "by": NAMES},
    realise={"hold": st.integers(0, 3), "by": NAMES},
    freeze={"holder": NAMES, "court": st.just("court"), "at": MOMENTS},
    unfreeze={"holder": NAMES, "court": st.sampled_from(("court", "another"))},
)
TRADERS = asks(
    enter={"trader": st.builds(Trader, NAMES, st.booleans(), st.booleans())},
)


def an_operator() -> DfaOperator:
    """With holders and an issue, so that what is asked of it is often granted."""
    made = DfaOperator(load_profile("ru-2024").book, exchanges=("exchange",))
    for name in ("person", "fund", "bank"):
        made.enter(name, InvestorClass.QUALIFIED)
    made.issue(Decision("mine-1", "miner", "a claim", 1_000, Cents(1)))
    made.buy("fund", "mine-1", 500, at=AT)
    return made


def a_register() -> MinerRegister:
    made = MinerRegister()
    made.add(COMPANY, MinerClass.LEGAL_ENTITY, since=FIRST)
    made.register(COMPANY, at=AT)
    return made


def a_regime() -> Regime:
    return Regime(load_profile("ru-elr").book)


def play(register: Kept, story: list[Ask]) -> list[str]:
    """What came of each ask: the answer, or the code of the refusal."""
    found = []
    for verb, named in story:
        try:
            found.append(repr(getattr(register, verb)(**named)))
        except EscrowError as refusal:
            found.append(refusal.code)
    return found


@pytest.mark.parametrize(
    ("made", "stories"),
    [(a_register, MINERS), (an_operator, OPERATOR), (a_regime, TRADERS)],
    ids=("miners", "operator", "regime"),
)
@FEW
@given(data=st.data())
def test_what_is_read_back_is_equal_and_goes_on_as_the_first(
    made: Callable[[], Kept], stories: st.SearchStrategy[list[Ask]], data: st.DataObject
) -> None:
    register = made()
    play(register, data.draw(stories))
    again = read_kept(as_text({"it": register}))["it"]
    assert again is not register
    assert vars(again) == vars(register)
    more = data.draw(stories)
    assert play(again, more) == play(register, more)
    assert vars(again) == vars(register)


READERS = {
    MinerRegister: {"miners", "miner"},
    DfaOperator: {"holds", "orders", "units_of", "free_of", "bought_in"},
    Regime: {"trader", "check_payment"},
}
"""What does not change a register."""


@pytest.mark.parametrize("kind", READERS)
def test_every_verb_that_changes_a_register_is_remembered(kind: type[Kept]) -> None:
    shown = {name for name in vars(kind) if name[0] != "_"} | {"__init__"}
    told = {name for name in shown if hasattr(getattr(kind, name), "is_granted")}
    assert told == shown - READERS[kind]


def test_what_a_court_lifted_stays_lifted() -> None:
    operator = an_operator()
    operator.freeze("fund", court="court", at=AT)
    operator.unfreeze("fund", court="court")
    again = read_kept(as_text({"it": operator}))["it"]
    assert isinstance(again, DfaOperator)
    assert again.orders == ()


def test_a_world_keeps_its_registers_when_saved_loaded_and_forked(tmp_path: Path) -> None:
    register, operator, regime = a_register(), an_operator(), a_regime()
    regime.enter(Trader("exporter", resident=True, listed=True))
    with World() as world:
        plain = world.state_hash
        world.keep("miners", register)
        world.keep("operator", operator)
        world.keep("regime", regime)
        assert world.state_hash == plain
        # What happens later is kept as well.
        operator.buy("bank", "mine-1", 1, at=AT)
        world.save(tmp_path / "world")
        with World.load(tmp_path / "world") as loaded, world.fork() as fork, loaded.fork() as third:
            for each in (loaded, fork, third):
                assert list(each.kept) == ["miners", "operator", "regime"]
                for label, kept in world.kept.items():
                    assert vars(each.kept[label]) == vars(kept)
            found = fork.kept["operator"]
            assert isinstance(found, DfaOperator)
            found.buy("bank", "mine-1", 1, at=AT)
            assert operator.units_of("bank", "mine-1") == 1
            trade = {"payer": "exporter", "payee": "exporter", "asset": "pledge-token"}
            for each in (regime, loaded.kept["regime"]):
                with pytest.raises(EscrowError) as refused:
                    each.check_payment(**trade, at=AT)  # type: ignore[union-attr]
                assert refused.value.code == "elr/residents"


def test_a_world_without_registers_says_nothing_of_them(tmp_path: Path) -> None:
    with World() as world:
        world.save(tmp_path / "world")
    assert not [key for key in read_world(tmp_path / "world").meta if key.startswith("kept")]


def test_what_cannot_be_kept() -> None:
    with World() as world:
        for label in ("", "9", "a" * 41, "EscrowBook", "a/b"):
            with pytest.raises(BadInput, match="keep/label"):
                world.keep(label, a_register())
        world.keep("miners", a_register())
        with pytest.raises(BadInput, match="keep/label"):
            world.keep("miners", a_register())
        with pytest.raises(BadInput, match="keep/kind"):
            world.keep("other", {})  # type: ignore[arg-type]
        for number in range(MAX_KEPT - 1):
            world.keep(f"r{number}", MinerRegister())
        with pytest.raises(BadInput, match="keep/kind"):
            world.keep("one-more", MinerRegister())


@pytest.mark.parametrize(
    "break_it",
    [
        lambda register: register.add(
            "7700000016", MinerClass.LEGAL_ENTITY, since=FIRST, banned_region="no"
        ),
        lambda register: register.report(
            COMPANY, Month(FIRST + 4), at=AT + 40 * 86_400, sats=0, addresses=["bc1q"]
        ),
        lambda register: register.report(
            COMPANY, Month(FIRST + 4), at=AT + 40 * 86_400 + 0.5, sats=0, addresses=()
        ),
    ],
    ids=("word", "list", "half"),
)
def test_what_could_not_be_read_back_is_not_saved(
    tmp_path: Path, break_it: Callable[[MinerRegister], object]
) -> None:
    """The register took something that is none of the types it names: the old file stays."""
    register, file = a_register(), tmp_path / "world"
    with World() as world:
        world.keep("miners", register)
        world.save(file)
        before = file.read_bytes()
        break_it(register)
        with pytest.raises(BadInput, match="keep/words"):
            world.save(file)
        assert file.read_bytes() == before
        assert [each.name for each in tmp_path.iterdir()] == ["world"]


SOUND = json.loads(as_text({"miners": a_register(), "operator": an_operator()}))


def changed(change: Callable[[dict[str, Any]], object]) -> str:
    rows = json.loads(json.dumps(SOUND))
    change(rows)
    return json.dumps(rows)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "7",
        "null",
        '{"miners": 1}',
        '{"miners": ["MinerRegister", []]}',
        '{"miners": ["Popen", [["__init__", {}]]]}',
        "[" * 100_000,
        '{"miners": ' + "[" * 40 + "]" * 40 + "}",
        changed(lambda rows: rows["miners"][1].pop(0)),
        changed(lambda rows: rows["miners"][1].append(["_keep", {"miner": None}])),
        changed(lambda rows: rows["miners"][1].append(["miner", {"inn": COMPANY}])),
        changed(lambda rows: rows["miners"][1].append(["__init__", {}])),
        changed(lambda rows: rows["miners"][1].append(["__class__", {}])),
        changed(lambda rows: rows["miners"][1].append(rows["miners"][1][1])),
        changed(lambda rows: rows["miners"][1][1][1].pop("kind")),
        changed(lambda rows: rows["miners"][1][1][1].update(more=1)),
        changed(lambda rows: rows["miners"][1][1][1].update(kind="bank")),
        changed(lambda rows: rows["miners"][1][1][1].update(meter_kwh=True)),
        changed(lambda rows: rows["miners"][1][1][1].update(meter_kwh=1.5)),
        changed(lambda rows: rows["miners"][1][1][1].update(inn="7707083894")),
        changed(lambda rows: rows["operator"][1][0][1]["book"].update(version=0)),
        changed(lambda rows: rows["operator"][1][-1][1].update(units=1_001)),
        json.dumps({f"r{n}": SOUND["miners"] for n in range(MAX_KEPT + 1)}),
    ],
)
def test_garbage_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="world/format"):
        read_kept(text)


def test_text_beyond_the_bound_is_not_looked_at() -> None:
    with pytest.raises(BadInput, match="world/format"):
        read_kept(" " * (MAX_WORDS + 1))


@FEW
@given(
    places=st.lists(st.tuples(st.integers(0, 10**4), st.characters()), min_size=1, max_size=3),
)
def test_a_damaged_text_is_refused_or_another_story(places: list[tuple[int, str]]) -> None:
    text = json.dumps(SOUND)
    for place, letter in places:
        at = place % len(text)
        text = text[:at] + letter + text[at + 1 :]
    try:
        found = read_kept(text)
    except BadInput as refusal:
        assert refusal.code == "world/format"  # noqa: PT017 either is fine
        return
    assert vars(read_kept(as_text(found)).popitem()[1]) == vars(found.popitem()[1])


@pytest.mark.parametrize(
    "meta",
    [
        {"kept": "1"},
        {"kept": "x"},
        {"kept": "1", "kept/0": "{"},
        {"kept": "1", "kept/0": json.dumps({"a/b": SOUND["miners"]})},
    ],
)
def test_a_file_of_other_registers_is_no_world(tmp_path: Path, meta: dict[str, str]) -> None:
    file = tmp_path / "world"
    with World() as world:
        world.save(file)
    data = read_world(file)
    write_world(file, replace(data, meta={**data.meta, **meta}))
    with pytest.raises(BadInput, match="world/format"):
        World.load(file)
