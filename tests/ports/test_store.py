"""The log and the world's file: what is written comes back, and nothing else gets in."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, fields
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from escrow.adapters.store import codec, world_file
from escrow.adapters.store.codec import EVENTS, MAX_SAFE, canonical, decode, encode, state_hash
from escrow.adapters.store.sqlite import GENESIS, Log, Record, link
from escrow.adapters.store.world_file import EvmBlock, WorldData, read_world, write_world
from escrow.core.errors import BadInput, Refused
from escrow.core.regions.loan import Drawn, Liquidated, OfferAccepted, Reason
from escrow.core.regions.system import new_system
from escrow.core.regions.vault import Coin, Lost, Seen, Spent
from escrow.core.sales import Split
from escrow.core.state import Escrow, Event, Incident
from escrow.core.terms import Liquidation
from escrow.core.units import Bps, Cents, PriceE8, Sats, Seconds

DRAWN = Drawn(Seconds(1_583_625_600), Cents(4_500_000), "0xab")
ACCEPTED = OfferAccepted(Seconds(7))
LOAN = "0x" + "11" * 32

INTEGERS = st.integers() | st.sampled_from(
    [MAX_SAFE, MAX_SAFE + 1, -MAX_SAFE - 1, 2**63, 2**64, 2**256 - 1]
)
TEXTS = st.text(max_size=20) | st.sampled_from(['{"int":"9007199254740993"}', "1" * 17, "é\0\n"])


def values(hint: Any, inside: tuple[type[Any], ...] = ()) -> st.SearchStrategy[Any]:
    """Any value of a field's type. What holds itself does so twice at most."""
    hint = getattr(hint, "__supertype__", hint)
    arguments = get_args(hint)
    if hint is int:
        return INTEGERS
    if hint is str:
        return TEXTS
    if hint is NoneType:
        return st.none()
    if hint is bool:
        return st.booleans()
    if get_origin(hint) in (Union, UnionType):  # ``NewType | None`` is the former
        return st.one_of(*(values(each, inside) for each in arguments))
    if get_origin(hint) is tuple and arguments[-1] is Ellipsis:
        if inside.count(arguments[0]) > 1:
            return st.just(())
        return st.lists(values(arguments[0], inside), max_size=3).map(tuple)
    if get_origin(hint) is tuple:
        return st.tuples(*(values(each, inside) for each in arguments))
    if issubclass(hint, Enum):
        return st.sampled_from(hint)
    return instances(hint, inside)


def instances(kind: type[Any], inside: tuple[type[Any], ...] = ()) -> st.SearchStrategy[Any]:
    """Any instance of a dataclass."""
    hints = get_type_hints(kind)
    within = (*inside, kind)
    return st.builds(kind, **{item.name: values(hints[item.name], within) for item in fields(kind)})


EVENT = st.one_of(*map(instances, EVENTS.values()))


def spelled(**changes: Any) -> bytes:
    """A good envelope, with some of its keys replaced."""
    return json.dumps(json.loads(encode(DRAWN)) | changes, separators=(",", ":")).encode()


# The codec


@pytest.mark.parametrize("name", sorted(EVENTS))
def test_every_event_class_comes_back(name: str) -> None:
    @settings(max_examples=25, deadline=None, database=None)
    @given(event=instances(EVENTS[name]))
    def comes_back(event: Event) -> None:
        payload = encode(event)
        again = decode(payload)
        assert again == event
        assert type(again) is EVENTS[name]
        assert encode(again) == payload
        assert json.loads(payload).keys() == {"type", "v", "data"}

    comes_back()


def test_the_registry_is_the_union() -> None:
    assert set(EVENTS.values()) == set(get_args(Event))


def test_no_event_has_a_field_that_looks_like_a_wide_integer() -> None:
    seen: set[type[Any]] = set()

    def walk(hint: Any) -> None:
        if hasattr(hint, "__dataclass_fields__") and hint not in seen:
            seen.add(hint)
            assert "int" not in hint.__dataclass_fields__
            for inner in get_type_hints(hint).values():
                walk(inner)
        for inner in get_args(hint):
            walk(inner)

    walk(Event)
    assert len(seen) > len(EVENTS)


@pytest.mark.parametrize("number", [0, -1, MAX_SAFE, -MAX_SAFE])
def test_a_safe_integer_is_a_json_number(number: int) -> None:
    event = Incident(Seconds(1), "verb", "code", (("n", number),))
    assert json.loads(encode(event))["data"]["facts"] == [["n", number]]


@pytest.mark.parametrize("number", [MAX_SAFE + 1, -MAX_SAFE - 1, 2**256 - 1])
def test_a_wide_integer_is_text(number: int) -> None:
    event = Incident(Seconds(1), "verb", "code", (("n", number), ("s", str(number))))
    facts = json.loads(encode(event))["data"]["facts"]
    assert facts == [["n", {"int": str(number)}], ["s", str(number)]]
    assert decode(encode(event)) == event


BAD_PAYLOADS = {
    "nothing": b"",
    "not JSON": b"{",
    "not an object": b"[]",
    "not UTF-8": encode(DRAWN).replace(b"0xab", b"\xff\xff"),
    "deep": b"[" * 100_000,
    "deep data": b'{"type":"Drawn","v":1,"data":' + b"[" * 100_000,
    "endless": b" " * (2 * codec.MAX_EVENT + 1),
    "unknown type": spelled(type="Nonsense"),
    "type of a command": spelled(type="Draw"),
    "long type": spelled(type="x" * 5_000),
    "other version": spelled(v=2),
    "version zero": spelled(v=0),
    "huge version": spelled(v=10**400),
    "version as text": spelled(v="1"),
    "extra key": spelled(note=1),
    "extra field": spelled(data={"at": 1, "amount": 2, "tx": "", "note": 1}),
    "missing field": spelled(data={"at": 1, "amount": 2}),
    "float": spelled(data={"at": 1.0, "amount": 2, "tx": ""}),
    "bool": spelled(data={"at": True, "amount": 2, "tx": ""}),
    "number as text": spelled(data={"at": "1", "amount": 2, "tx": ""}),
    "null": spelled(data={"at": None, "amount": 2, "tx": ""}),
    "other order": spelled(data={"amount": 2, "at": 1, "tx": ""}),
    "spaces": encode(DRAWN).replace(b":", b": "),
    "twice": encode(DRAWN).replace(b'"at":', b'"at":1,"at":'),
    "bare wide number": spelled(data={"at": MAX_SAFE + 1, "amount": 2, "tx": ""}),
    "wide spelling of a small number": spelled(data={"at": {"int": "1"}, "amount": 2, "tx": ""}),
    "unicode digits": encode(OfferAccepted(Seconds(10**16))).replace(b"1", "１".encode()),
    "wide nonsense": spelled(data={"at": {"int": "x"}, "amount": 2, "tx": ""}),
    "wide number as number": spelled(data={"at": {"int": 1}, "amount": 2, "tx": ""}),
    "endless digits": b'{"type":"OfferAccepted","v":1,"data":{"at":{"int":"'
    + b"9" * 5_000
    + b'"}}}',
}


@pytest.mark.parametrize("payload", BAD_PAYLOADS.values(), ids=BAD_PAYLOADS.keys())
def test_what_encode_did_not_write_is_refused(payload: bytes) -> None:
    with pytest.raises(BadInput) as refusal:
        decode(payload)
    assert refusal.value.code == "world/format"
    assert len(str(refusal.value)) < 300


def test_an_event_of_another_version_is_told_from_garbage() -> None:
    with pytest.raises(BadInput, match="version=2"):
        decode(spelled(v=2))


@settings(max_examples=200, deadline=None, database=None)
@given(payload=st.binary(max_size=200))
def test_garbage_never_breaks_the_reader(payload: bytes) -> None:
    with pytest.raises(BadInput, match="world/format"):
        decode(payload)


def test_an_unknown_enum_member_is_refused() -> None:
    good = Liquidated(
        at=Seconds(1),
        by="lender",
        kind=Liquidation.THIRD_PARTY,
        reason=Reason.DEFAULT,
        price=PriceE8(10**12),
        debt=Cents(5),
        split=Split(Cents(1), Sats(2), Sats(3), Cents(4)),
        interest=Cents(0),
        principal=Cents(1),
        tx="0x",
    )
    assert decode(encode(good)) == good
    for member, other in ((b'"default"', b'"whim"'), (b'"kind":1', b'"kind":9')):
        with pytest.raises(BadInput, match="world/format"):
            decode(encode(good).replace(member, other))


def test_text_that_is_not_unicode_is_refused_before_it_is_written() -> None:
    with pytest.raises(BadInput, match="world/format"):
        encode(Drawn(Seconds(1), Cents(1), "\ud800"))
    with pytest.raises(BadInput, match="world/format"):
        encode(Drawn(Seconds(1), Cents(1), "x" * (codec.MAX_EVENT + 1)))


# Canonical JSON and the state's hash


@dataclass(frozen=True, slots=True)
class Pair:
    """Two fields, not in the alphabet's order."""

    b: object
    a: object


def test_canonical_json_is_sorted_tagged_and_without_spaces() -> None:
    assert canonical(Pair(b=(1, "x"), a=None)) == b'{"data":{"a":null,"b":[1,"x"]},"type":"Pair"}'
    assert canonical({"z": b"\x01", "a": True}) == (
        b'{"data":{"a":true,"z":{"hex":"01"}},"type":"dict"}'
    )
    assert canonical(2**53) == b'{"int":"9007199254740992"}'
    assert canonical(Reason.DEFAULT) == b'{"data":"default","type":"Reason"}'


DIFFERENT = {
    "kind": (Coin("a:0", Sats(1), Spent("t")), Coin("a:0", Sats(1), Lost("t"))),
    "value": (Coin("a:0", Sats(1), Seen()), Coin("a:0", Sats(2), Seen())),
    "bool and number": (True, 1),
    "number and text": (1, "1"),
    "wide number and mapping": (2**53, {"int": str(2**53)}),
    "bytes and mapping": (b"\x01", {"hex": "01"}),
    "instance and mapping": (Pair(1, 2), {"type": "Pair", "data": {"b": 1, "a": 2}}),
    "enum and value": (Reason.DEFAULT, "default"),
    "order": ((1, 2), (2, 1)),
}


@pytest.mark.parametrize(("one", "other"), DIFFERENT.values(), ids=DIFFERENT.keys())
def test_different_states_hash_differently(one: object, other: object) -> None:
    assert state_hash(one) != state_hash(other)


def test_equal_states_hash_alike_whatever_the_order_of_unordered_things() -> None:
    assert state_hash({"a": 1, "b": 2}) == state_hash({"b": 2, "a": 1})
    words = [f"w{n}" for n in range(50)]
    assert state_hash(frozenset(words)) == state_hash(frozenset(reversed(words)))
    fresh, again = (
        Escrow(
            new_system(
                origin=Seconds(1),
                heartbeat=Seconds(3600),
                quorum=3,
                wide_quorum=5,
                deviation=Bps(2_000),
            )
        )
        for _ in range(2)
    )
    assert state_hash(fresh) == state_hash(again)


def test_the_hash_is_sha256_of_the_canonical_parts() -> None:
    assert state_hash(1, "x") == hashlib.sha256(b'[1,"x"]').hexdigest()


@pytest.mark.parametrize("value", [1.5, object(), Pair, {1: 2}, complex(1)])
def test_what_has_no_one_spelling_has_no_hash(value: object) -> None:
    with pytest.raises(TypeError):
        canonical(value)


# The log


@pytest.fixture(params=["memory", "file"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Log]:
    with Log(":memory:" if request.param == "memory" else tmp_path / "a.log") as opened:
        yield opened


def test_an_empty_log(log: Log) -> None:
    assert (log.length, log.head, list(log.read())) == (0, GENESIS, [])
    log.verify()


def test_what_is_appended_is_read(log: Log) -> None:
    log.append([("", ACCEPTED), (LOAN, DRAWN)], expected=0)
    log.append([(LOAN, DRAWN)], expected=2)
    records = list(log.read())
    assert [(r.seq, r.stream, r.event) for r in records] == [
        (0, "", ACCEPTED),
        (1, LOAN, DRAWN),
        (2, LOAN, DRAWN),
    ]
    assert list(log.read(2)) == records[2:]
    assert list(log.read(9)) == []
    assert (log.length, log.head) == (3, records[-1].hash)
    assert records[1].hash != records[2].hash
    log.verify()


@pytest.mark.parametrize("expected", [-1, 0, 2])
def test_a_writer_that_missed_something_is_refused(log: Log, expected: int) -> None:
    log.append([("", ACCEPTED)], expected=0)
    before = log.head
    with pytest.raises(Refused) as refusal:
        log.append([(LOAN, DRAWN)], expected=expected)
    assert refusal.value.code == "log/version"
    assert (log.length, log.head) == (1, before)


def test_an_append_is_whole_or_nothing(log: Log) -> None:
    log.append([("", ACCEPTED)], expected=0)
    before = log.head
    for bad in ((LOAN, Drawn(Seconds(1), Cents(1), "\ud800")), ("\ud800", DRAWN)):
        with pytest.raises(BadInput, match="world/format"):
            log.append([(LOAN, DRAWN), bad], expected=1)
        assert (log.length, log.head) == (1, before)
    log.append([(LOAN, DRAWN)], expected=1)
    log.verify()


def test_appending_nothing_changes_nothing(log: Log) -> None:
    log.append([], expected=0)
    assert log.length == 0


def test_reading_is_safe_while_the_log_grows(log: Log) -> None:
    log.append([(LOAN, DRAWN)] * 2_500, expected=0)
    count = 0
    for _ in log.read():
        count += 1
        if count <= 3:
            log.append([("", ACCEPTED)], expected=log.length)
    assert (count, log.length) == (2_500, 2_503)


@settings(max_examples=30, deadline=None, database=None)
@given(batches=st.lists(st.lists(st.tuples(TEXTS, EVENT), max_size=4), max_size=4))
def test_any_batches_make_the_same_chain_as_one_by_one(
    batches: list[list[tuple[str, Event]]],
) -> None:
    with Log() as whole, Log() as single:
        for batch in batches:
            whole.append(batch, expected=whole.length)
            for entry in batch:
                single.append([entry], expected=single.length)
        assert list(whole.read()) == list(single.read())
        assert whole.head == single.head
        whole.verify()


def test_a_file_is_reopened_where_it_was_left(tmp_path: Path) -> None:
    with Log(tmp_path / "a.log") as first:
        first.append([(LOAN, DRAWN)], expected=0)
        head = first.head
    with Log(str(tmp_path / "a.log")) as again:
        assert (again.length, again.head) == (1, head)
        again.append([("", ACCEPTED)], expected=1)
        again.verify()


def test_of_two_writers_the_second_is_told(tmp_path: Path) -> None:
    with Log(tmp_path / "a.log") as one, Log(tmp_path / "a.log") as two:
        one.append([("", ACCEPTED)], expected=0)
        with pytest.raises(Refused, match="log/version"):
            two.append([("", ACCEPTED)], expected=0)
        two.append([(LOAN, DRAWN)], expected=1)
        assert one.length == 2
        one.verify()


def test_a_writer_that_waits_in_vain_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("escrow.adapters.store.sqlite._BUSY_SECONDS", 0)
    with Log(tmp_path / "a.log") as one, Log(tmp_path / "a.log") as two:
        one._db.execute("BEGIN IMMEDIATE")
        with pytest.raises(Refused, match="busy"):
            two.append([("", ACCEPTED)], expected=0)
        one._db.execute("ROLLBACK")


def test_a_disk_that_refuses_is_an_error_with_a_code(log: Log) -> None:
    log._db.execute("PRAGMA query_only = ON")
    with pytest.raises(Refused, match="log/write"):
        log.append([("", ACCEPTED)], expected=0)
    log._db.execute("PRAGMA query_only = OFF")
    assert log.length == 0


def test_a_full_disk_leaves_the_log_as_it_was(log: Log) -> None:
    log.append([("", ACCEPTED)], expected=0)
    pages = log._db.execute("PRAGMA page_count").fetchone()[0]
    log._db.execute(f"PRAGMA max_page_count = {pages + 1}")
    with pytest.raises(Refused, match="log/write"):
        log.append([(LOAN, DRAWN)] * 500, expected=1)
    log._db.execute(f"PRAGMA max_page_count = {pages + 1_000}")
    assert log.length == 1
    log.append([(LOAN, DRAWN)] * 500, expected=1)
    log.verify()


def test_a_reader_opens_while_another_writes(tmp_path: Path) -> None:
    with Log(tmp_path / "a.log") as one:
        one.append([("", ACCEPTED)], expected=0)
        one._db.execute("BEGIN IMMEDIATE")
        with Log(tmp_path / "a.log") as two:
            assert two.length == 1
        one._db.execute("ROLLBACK")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE log SET stream = 'x'",
        "DELETE FROM log",
        "INSERT OR REPLACE INTO log VALUES (0, '', x'00', x'00')",
        "INSERT INTO log VALUES (5, '', x'00', x'00')",
        "INSERT INTO log VALUES (-1, '', x'00', x'00')",
    ],
)
def test_nobody_rewrites_the_log(log: Log, statement: str) -> None:
    log.append([("", ACCEPTED), (LOAN, DRAWN)], expected=0)
    with pytest.raises(sqlite3.IntegrityError):
        log._db.execute(statement)
    assert log.length == 2
    log.verify()


@pytest.mark.parametrize(
    ("trigger", "statement"),
    [
        ("log_no_update", "UPDATE log SET stream = 'x' WHERE seq = 1"),
        ("log_no_update", "UPDATE log SET event = replace(event, '7', '8') WHERE seq = 0"),
        ("log_no_update", "UPDATE log SET event = 'text' WHERE seq = 0"),
        ("log_no_update", "UPDATE log SET hash = x'00' WHERE seq = 2"),
        ("log_no_update", "UPDATE log SET seq = 9 WHERE seq = 2"),
        ("log_no_delete", "DELETE FROM log WHERE seq = 0"),
        ("log_no_delete", "DELETE FROM log WHERE seq = 1"),
    ],
)
def test_a_change_behind_the_triggers_is_found(log: Log, trigger: str, statement: str) -> None:
    log.append([("", ACCEPTED), (LOAN, DRAWN), ("", ACCEPTED)], expected=0)
    log.verify()
    log._db.execute(f"DROP TRIGGER {trigger}")
    log._db.execute(statement)
    with pytest.raises(BadInput) as refusal:
        log.verify()
    assert refusal.value.code == "world/tampered"


def test_a_gap_behind_the_triggers_is_found_though_the_hash_is_right(log: Log) -> None:
    log.append([("", ACCEPTED)], expected=0)
    log._db.execute("DROP TRIGGER log_no_gap")
    payload = encode(DRAWN)
    row = (5, "", payload, link(log.head, seq=5, stream="", payload=payload))
    log._db.execute("INSERT INTO log VALUES (?, ?, ?, ?)", row)
    with pytest.raises(BadInput, match="world/tampered"):
        log.verify()


def test_a_head_that_is_no_hash_is_found(log: Log) -> None:
    log.append([("", ACCEPTED)], expected=0)
    log._db.execute("DROP TRIGGER log_no_update")
    log._db.execute("UPDATE log SET hash = 'text'")
    with pytest.raises(BadInput, match="world/tampered"):
        log.append([("", ACCEPTED)], expected=1)


def test_a_stranger_can_recompute_the_exported_chain(log: Log) -> None:
    log.append([("", ACCEPTED), (LOAN, DRAWN), ('é"\n', DRAWN)], expected=0)
    previous = bytes(32)
    for line in log.export_jsonl():
        assert "\n" not in line
        bare, _, tail = line.rpartition(',"hash":"')
        previous = hashlib.sha256(previous + (bare + "}").encode()).digest()
        assert tail == previous.hex() + '"}'
        assert json.loads(line).keys() == {"seq", "stream", "event", "hash"}
    assert previous == log.head


def test_a_copy_lives_its_own_life(log: Log) -> None:
    log.append([("", ACCEPTED)], expected=0)
    with log.copy() as twin:
        assert list(twin.read()) == list(log.read())
        twin.append([(LOAN, DRAWN)], expected=1)
        twin.verify()
        assert (log.length, twin.length) == (1, 2)
        with pytest.raises(sqlite3.IntegrityError):
            twin._db.execute("DELETE FROM log")


def test_a_log_prints_itself(log: Log) -> None:
    log.append([("", ACCEPTED)], expected=0)
    assert repr(log) == f"<Log of 1 records, head {log.head.hex()[:16]}>"
    log.close()
    log.close()
    assert repr(log) == "<Log closed>"


def _other_database(path: Path, statement: str) -> None:
    with sqlite3.connect(path) as db:
        db.execute(statement)
    db.close()


def test_only_a_log_is_opened(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("not a database, though it is long enough to be one" * 50)
    _other_database(tmp_path / "other", "CREATE TABLE t (x)")
    _other_database(tmp_path / "loose", "CREATE TABLE log (seq, stream, event, hash)")
    write_world(tmp_path / "world", WorldData())
    for path in (
        tmp_path,
        tmp_path / "no" / "where",
        *(tmp_path / n for n in ("text", "other", "loose", "world")),
    ):
        with pytest.raises(BadInput, match="world/format"):
            Log(path)


def test_a_record_is_frozen() -> None:
    record = Record(0, "", ACCEPTED, GENESIS)
    with pytest.raises(AttributeError):
        record.seq = 1  # type: ignore[misc]


# The world's file

WORLD = WorldData(
    meta={"seed": "7", "terms": "{}", "nul": "a\0b"},
    log=(("", ACCEPTED), (LOAN, DRAWN)),
    bitcoin_blocks=(b"\x01" * 80, b"\x02" * 80),
    bitcoin_mempool=(b"\x03", b"\x03\x04"),
    evm_blocks=(EvmBlock(1, 100, (b"\x05", b"\x06")), EvmBlock(2, 112), EvmBlock(3, 112, (b"",))),
    streams={"agent:late-borrower": 3, "mempool": 0},
)

WORLDS = st.builds(
    WorldData,
    meta=st.dictionaries(TEXTS, TEXTS, max_size=3),
    log=st.lists(st.tuples(TEXTS, EVENT), max_size=4).map(tuple),
    bitcoin_blocks=st.lists(st.binary(max_size=9), max_size=3).map(tuple),
    bitcoin_mempool=st.lists(st.binary(max_size=9), max_size=3).map(tuple),
    evm_blocks=st.lists(st.lists(st.binary(max_size=9), max_size=3).map(tuple), max_size=12).map(
        lambda txs: tuple(EvmBlock(n, 100 + n, raw) for n, raw in enumerate(txs, start=1))
    ),
    streams=st.dictionaries(TEXTS, st.integers(0, 2**63 - 1), max_size=3),
)


@settings(max_examples=30, deadline=None, database=None)
@given(world=WORLDS)
def test_any_world_comes_back(tmp_path_factory: pytest.TempPathFactory, world: WorldData) -> None:
    path = tmp_path_factory.mktemp("world") / "a.world"
    write_world(path, world)
    assert read_world(path) == world


def test_a_world_comes_back_from_a_read_only_folder(tmp_path: Path) -> None:
    folder = tmp_path / "a b%3F?#é"
    folder.mkdir()
    write_world(str(folder / "a.world"), WORLD)
    assert os.listdir(folder) == ["a.world"]
    folder.chmod(0o500)
    assert read_world(str(folder / "a.world")) == WORLD
    folder.chmod(0o700)
    assert os.listdir(folder) == ["a.world"]


def test_the_same_world_is_the_same_file(tmp_path: Path) -> None:
    write_world(tmp_path / "a", WORLD)
    write_world(tmp_path / "b", WORLD)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_writing_replaces_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a.world"
    path.write_text("something else")
    write_world(path, WORLD)
    write_world(path, WorldData())
    assert read_world(path) == WorldData()


def test_a_write_that_fails_leaves_the_old_world(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.world"
    write_world(path, WORLD)

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    for name in ("_fill", "os.fsync", "os.replace"):
        with monkeypatch.context() as patch:
            patch.setattr(f"escrow.adapters.store.world_file.{name}", refuse)
            with pytest.raises(Refused, match="log/write"):
                write_world(path, WorldData())
    assert read_world(path) == WORLD
    assert os.listdir(tmp_path) == ["a.world"]


def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "no" / "where"):
        with pytest.raises(Refused, match="log/write"):
            write_world(path, WORLD)
    assert os.listdir(tmp_path) == []


BAD_WORLDS = {
    "reserved key": WorldData(meta={"content_hash": "0"}),
    "reserved version": WorldData(meta={"world_version": "1"}),
    "meta not text": WorldData(meta={"seed": 7}),  # type: ignore[dict-item]
    "meta not Unicode": WorldData(meta={"seed": "\ud800"}),
    "negative counter": WorldData(streams={"s": -1}),
    "huge counter": WorldData(streams={"s": 2**63}),
    "bool counter": WorldData(streams={"s": True}),
    "block as text": WorldData(bitcoin_blocks=("00",)),  # type: ignore[arg-type]
    "block too long": WorldData(bitcoin_blocks=(bytes(4_000_001),)),
    "EVM from two": WorldData(evm_blocks=(EvmBlock(2, 1),)),
    "EVM gap": WorldData(evm_blocks=(EvmBlock(1, 1), EvmBlock(3, 1))),
    "EVM twice": WorldData(evm_blocks=(EvmBlock(1, 1), EvmBlock(1, 1))),
    "EVM back in time": WorldData(evm_blocks=(EvmBlock(1, 2), EvmBlock(2, 1))),
}


@pytest.mark.parametrize("world", BAD_WORLDS.values(), ids=BAD_WORLDS.keys())
def test_a_world_that_would_not_come_back_is_not_written(tmp_path: Path, world: WorldData) -> None:
    with pytest.raises(BadInput) as refusal:
        write_world(tmp_path / "a", world)
    assert refusal.value.code == "world/format"
    assert os.listdir(tmp_path) == []


def test_the_longest_block_fits(tmp_path: Path) -> None:
    world = WorldData(bitcoin_blocks=(bytes(4_000_000),))
    write_world(tmp_path / "a", world)
    assert read_world(tmp_path / "a") == world


def test_a_missing_world(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path, "nul\0byte"):
        with pytest.raises(BadInput, match="world/format"):
            read_world(path)


@pytest.mark.parametrize(
    "content",
    [b"", b"x", b"SQLite format 3\0", b"SQLite format 3\0" + bytes(5_000), b"garbage" * 1_000],
)
def test_garbage_is_no_world(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(BadInput) as refusal:
        read_world(tmp_path / "a")
    assert refusal.value.code == "world/format"


def test_any_truncation_is_found(tmp_path: Path) -> None:
    write_world(tmp_path / "a", WORLD)
    whole = (tmp_path / "a").read_bytes()
    for keep in range(0, len(whole), 512):
        (tmp_path / "b").write_bytes(whole[:keep])
        with pytest.raises(BadInput, match="world/"):
            read_world(tmp_path / "b")


@settings(max_examples=150, deadline=None, database=None)
@given(data=st.data())
def test_any_flipped_byte_is_found_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("flip") / "a"
    write_world(path, WORLD)
    raw = bytearray(path.read_bytes())
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(raw)
    try:
        found: object = read_world(path)
    except BadInput as refusal:
        found = refusal.code
    assert found in (WORLD, "world/format", "world/tampered")


def test_a_value_too_long_is_not_even_read(tmp_path: Path) -> None:
    write_world(tmp_path / "a", WORLD)
    _other_database(tmp_path / "a", "UPDATE bitcoin_blocks SET raw = zeroblob(9000000)")
    with pytest.raises(BadInput, match="damaged"):
        read_world(tmp_path / "a")


def test_a_world_too_large_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_world(tmp_path / "a", WORLD)
    monkeypatch.setattr(world_file, "MAX_WORLD", 1_000)
    with pytest.raises(BadInput, match="too large"):
        read_world(tmp_path / "a")


@pytest.mark.parametrize(
    ("code", "statement"),
    [
        ("world/format", "UPDATE meta SET value = '2' WHERE key = 'world_version'"),
        ("world/format", "DELETE FROM meta WHERE key = 'world_version'"),
        ("world/format", "CREATE TABLE more (x)"),
        ("world/format", "CREATE VIEW more AS SELECT 1"),
        ("world/format", "DROP TRIGGER log_no_update"),
        ("world/format", "DROP TABLE streams"),
        ("world/format", "UPDATE bitcoin_blocks SET raw = 'text'"),
        ("world/format", "UPDATE evm_blocks SET timestamp = 1.5"),
        ("world/format", "UPDATE streams SET counter = -1"),
        ("world/format", "UPDATE meta SET value = cast(x'ff' AS TEXT) WHERE key = 'seed'"),
        ("world/format", "UPDATE bitcoin_blocks SET raw = zeroblob(9000000)"),
        ("world/tampered", "UPDATE meta SET value = '8' WHERE key = 'seed'"),
        ("world/tampered", "UPDATE meta SET value = 'x' WHERE key = 'content_hash'"),
        ("world/tampered", "DELETE FROM meta WHERE key = 'content_hash'"),
        ("world/tampered", "UPDATE bitcoin_blocks SET raw = x'00' WHERE height = 2"),
        ("world/tampered", "DELETE FROM bitcoin_blocks WHERE height = 1"),
        ("world/tampered", "DELETE FROM bitcoin_mempool"),
        ("world/tampered", "DELETE FROM evm_blocks WHERE number = 1"),
        ("world/tampered", "UPDATE evm_txs SET idx = 5 WHERE idx = 1"),
        ("world/tampered", "UPDATE streams SET counter = counter + 1"),
    ],
)
def test_an_edited_world_is_found(tmp_path: Path, code: str, statement: str) -> None:
    write_world(tmp_path / "a", WORLD)
    db = sqlite3.connect(tmp_path / "a", isolation_level=None)
    db.execute(statement)
    db.close()
    with pytest.raises(BadInput) as refusal:
        read_world(tmp_path / "a")
    assert refusal.value.code == code


@pytest.mark.parametrize(
    ("table", "row", "value"),
    [
        ("log", 0, (0, "", encode(DRAWN), GENESIS)),
        ("bitcoin_blocks", 0, (3, b"")),
        ("bitcoin_mempool", 0, (1, b"")),
        ("evm_blocks", 0, (9, 100)),
        ("evm_txs", 0, (9, 0, b"")),
    ],
)
def test_rows_that_contradict_each_other_are_found_though_the_hash_is_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, table: str, row: int, value: tuple[Any, ...]
) -> None:
    make = world_file._rows_of

    def forged(data: WorldData) -> world_file._Rows:
        rows = make(data)
        rows[table] = [value]
        return rows

    monkeypatch.setattr(world_file, "_rows_of", forged)
    write_world(tmp_path / "a", WORLD)
    with pytest.raises(BadInput, match="world/tampered"):
        read_world(tmp_path / "a")
