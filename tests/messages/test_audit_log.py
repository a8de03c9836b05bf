"""The audit log of an export: whole it passes, and nothing that is done to it goes unnoticed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from messages_lab import TERMS, told_in, told_of

from escrow.cli import main
from escrow.core.errors import BadInput
from escrow.core.laws import Step
from escrow.core.regions.loan import OfferEnded, OfferMade, Reason
from escrow.core.regions.system import ClockTicked, Tips
from escrow.core.state import Escrow, Incident, evolve
from escrow.core.units import MAX_TIME
from escrow.messages.audit import GENESIS, audit_lines, canonical, hash_of
from escrow.messages.audit_file import (
    MAX_LINE,
    MAX_LINES,
    MAX_MANIFEST,
    End,
    end_in,
    head_of,
    read_line,
    verify,
)
from escrow.sim.scenes import play
from escrow.testing import START, platform
from escrow.view.export import export


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("audited")
    with play("liquidation", seed=7) as world:
        export(world, out)
    return out


@pytest.fixture(scope="module")
def log(folder: Path) -> bytes:
    return (folder / "audit.jsonl").read_bytes()


@pytest.fixture(scope="module")
def rows(log: bytes) -> list[dict]:
    return [json.loads(line) for line in log.splitlines()]


def chained(rows: list[dict]) -> bytes:
    """Rows as one who knows the rules would write them: every hash made anew."""
    previous, lines = GENESIS, []
    for row in rows:
        new = {**row, "previous": previous}
        previous = hash_of(new)
        lines.append(canonical({**new, "hash": previous}) + "\n")
    return "".join(lines).encode()


def lines_of(raw: bytes) -> list[bytes]:
    return raw.splitlines(keepends=True)


def refused(raw: bytes, *, ends: tuple[End, ...] = ()) -> BadInput:
    with pytest.raises(BadInput) as refusal:
        verify(lines_of(raw), ends=ends)
    return refusal.value


# --- what is in it ---


def test_the_log_of_an_export_is_whole(folder: Path, log: bytes, rows: list[dict]) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    end = End(manifest["audit_head"], manifest["audit_lines"])
    found = verify(lines_of(log), ends=(end,))
    assert (found.lines, found.head) == (len(rows), rows[-1]["hash"])
    assert (found.first, found.last) == (rows[0]["at"], rows[-1]["at"])
    assert manifest["files"]["audit.jsonl"] == hashlib.sha256(log).hexdigest()


def test_a_line_says_who_did_what_with_how_much(rows: list[dict]) -> None:
    drawn = next(row for row in rows if row["event"] == "Drawn")
    assert drawn["actor"] == "borrower"
    assert (drawn["before"]["loan"], drawn["after"]["loan"]) == ("SECURED", "ACTIVE")
    assert drawn["cents"] == {"amount": "5000000", "owed_after": "5000000"}
    assert drawn["sats"] == {"held_after": "150000000"}
    seized = next(row for row in rows if row["event"] == "Liquidated")
    assert seized["actor"] == "lender"
    assert seized["facts"]["reason"] == Reason.CALL_EXPIRED.value
    assert {"seized", "surplus"} <= seized["sats"].keys()
    assert {"repaid", "bad_debt", "interest", "principal"} <= seized["cents"].keys()
    freed = rows[rows.index(seized) + 1]
    assert (freed["event"], freed["actor"]) == ("TokensFreed", "lender")


def test_every_event_but_the_clocks_has_its_line(folder: Path, rows: list[dict]) -> None:
    events = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    told = [(e["seq"], e["event"]["type"]) for e in events if e["event"]["type"] != "ClockTicked"]
    assert [(row["log"], row["event"]) for row in rows] == told


def test_actors_are_those_who_sent_the_transactions(lent: Callable) -> None:
    world = lent()
    world.price("46000")
    world.repay(by="liquidator", amount="100.00")
    world.dispute()
    world.resolve(upheld=False)
    world.pause(60)
    actors = {
        "0x" + each.receipt.tx_hash.hex(): f"sender-{n}"
        for n, each in enumerate(world.evm.chain.transactions())
    }
    found = [json.loads(line) for line in audit_lines(told_of(world), actors=actors)]
    sent = [row for row in found if "tx" in row["facts"]]
    assert sent
    assert all(row["actor"] == actors[row["facts"]["tx"]] for row in sent)
    blind = [json.loads(line) for line in audit_lines(told_of(world), actors={})]
    by_event = {row["event"]: row["actor"] for row in blind}
    assert by_event["OfferMade"] == "lender"
    assert by_event["OfferAccepted"] == "borrower"
    assert by_event["Repayment"] == "liquidator"
    assert by_event["PriceMarked"] == "oracles"
    assert by_event["Paused"] == "guardian"
    assert by_event["CoinSeen"] == "watcher"
    assert by_event["MarginCalled"] == "evm"


def test_no_key_and_no_seed_is_in_it(log: bytes, folder: Path) -> None:
    everything = log + b"".join(path.read_bytes() for path in (folder / "messages").iterdir())
    with play("liquidation", seed=7) as world:
        for party in world.parties.values():
            assert party.keys.evm_private_key().hex().encode() not in everything
    for word in (b"seed", b"nonce", b"key_", b"private", b"secret", b"mnemonic"):
        assert word not in log


def test_a_fact_is_short_plain_text_and_there_are_few() -> None:
    facts = tuple((f"fact_{n:02d}", "ä\n" + "x" * 200) for n in range(40))
    steps, escrow = [], Escrow(platform())
    for event in (OfferMade(START, TERMS), Incident(START, "SawCoin", "pledge/late", facts)):
        steps.append(Step(escrow, event, evolve(escrow, event)))
        escrow = steps[-1].after
    told = told_in(steps, system=platform())
    lines = list(audit_lines(told, actors={}))
    assert verify(f"{line}\n".encode() for line in lines).lines == 2
    noted = json.loads(lines[1])["facts"]
    assert len(noted) == 16
    assert noted["fact_00"] == "??" + "x" * 135 + "..."


def test_the_clock_is_left_out_and_an_empty_log_has_the_first_head() -> None:
    step = Step(Escrow(platform()), ClockTicked(START, Tips()), Escrow(platform()))
    told = told_in([step], system=platform())
    assert list(audit_lines(told, actors={})) == []
    assert verify([]).head == GENESIS


@pytest.mark.parametrize(("expired", "actor"), [(True, "watcher"), (False, "parties")])
def test_an_offer_ends_by_time_or_by_a_party(expired: bool, actor: str) -> None:
    steps, escrow = [], Escrow(platform())
    for event in (OfferMade(START, TERMS), OfferEnded(START, expired)):
        steps.append(Step(escrow, event, evolve(escrow, event)))
        escrow = steps[-1].after
    told = told_in(steps, system=platform())
    assert json.loads(list(audit_lines(told, actors={}))[-1])["actor"] == actor


# --- what is done to it ---


@given(data=st.data())
def test_a_changed_byte_is_found(data: st.DataObject, log: bytes) -> None:
    """Any byte, any other value, anywhere: also in white space, hashes and ends of lines."""
    place = data.draw(st.integers(0, len(log) - 1))
    value = data.draw(st.integers(0, 255).filter(lambda v: v != log[place]))
    bad = log[:place] + bytes([value]) + log[place + 1 :]
    assert refused(bad).code in ("audit/format", "audit/broken-link")


@given(data=st.data())
def test_a_missing_or_inserted_byte_is_found(data: st.DataObject, log: bytes) -> None:
    place = data.draw(st.integers(0, len(log) - 1))
    assert refused(log[:place] + log[place + 1 :]).code in ("audit/format", "audit/broken-link")
    extra = data.draw(st.binary(min_size=1, max_size=3))
    bad = log[:place] + extra + log[place:]
    if bad != log:
        assert refused(bad).code in ("audit/format", "audit/broken-link")


@given(data=st.data())
def test_lines_taken_out_doubled_or_moved_break_the_chain(data: st.DataObject, log: bytes) -> None:
    lines = lines_of(log)
    place = data.draw(st.integers(0, len(lines) - 2))
    other = data.draw(st.integers(0, len(lines) - 1).filter(lambda n: n != place))
    gone = lines[:place] + lines[place + 1 :]
    double = lines[: place + 1] + lines[place:]
    moved = list(lines)
    moved[place], moved[other] = moved[other], moved[place]
    for bad in (gone, double, moved):
        found = refused(b"".join(bad))
        assert found.code == "audit/broken-link"
        assert found.facts["line"] >= min(place, other) + 1


def test_the_line_that_breaks_is_named(log: bytes) -> None:
    lines = lines_of(log)
    lines[4] = lines[4].replace(b'"actor":"', b'"actor":"x')
    assert refused(b"".join(lines)).facts == {"line": 5}


@pytest.mark.parametrize(
    "change",
    [
        lambda row: row.update(seq=row["seq"] + 1),
        lambda row: row.update(log=0),
        lambda row: row.update(at=row["at"] - 86_400 * 365),
    ],
    ids=["seq", "log", "at"],
)
def test_a_chain_made_anew_keeps_its_order(rows: list[dict], change: Callable) -> None:
    bad = [dict(row) for row in rows]
    assert verify(lines_of(chained(bad))).head == rows[-1]["hash"]
    change(bad[20])
    found = refused(chained(bad))
    assert (found.code, found.facts) == ("audit/order", {"line": 21})


def test_two_events_of_one_second_are_in_order(rows: list[dict]) -> None:
    assert any(a["at"] == b["at"] for a, b in pairwise(rows))
    doubled = [dict(row) for row in rows]
    doubled[20]["log"] = doubled[19]["log"]
    assert refused(chained(doubled)).code == "audit/order"


def test_a_chain_made_anew_has_another_head(rows: list[dict]) -> None:
    bad = [dict(row) for row in rows]
    bad[3] = {**bad[3], "actor": "stranger"}
    raw = chained(bad)
    assert verify(lines_of(raw)).lines == len(rows)
    end = End(rows[-1]["hash"], len(rows))
    assert refused(raw, ends=(end,)).code == "audit/truncated"


def test_a_log_cut_off_is_noticed_by_its_head_or_its_length(log: bytes, rows: list[dict]) -> None:
    short = b"".join(lines_of(log)[:-1])
    assert verify(lines_of(short)).ends == ()
    for end in (End(rows[-1]["hash"]), End(rows[-1]["hash"], len(rows))):
        found = refused(short, ends=(end,))
        assert (found.code, found.facts["lines"]) == ("audit/truncated", len(rows) - 1)
    wrong_length = End(rows[-1]["hash"], len(rows) + 1)
    assert refused(log, ends=(wrong_length,)).code == "audit/truncated"
    assert refused(b"", ends=(End(rows[-1]["hash"]),)).code == "audit/truncated"
    assert verify(lines_of(log), ends=(End(rows[-1]["hash"]),)).lines == len(rows)


# --- what is no such line ---


def variant(row: dict, **changes: object) -> bytes:
    new = {**row, **changes}
    return canonical({**new, "hash": hash_of(new)}).encode() + b"\n"


@pytest.mark.parametrize(
    ("changes", "at"),
    [
        ({"seq": True}, "seq"),
        ({"seq": 1.0}, "seq"),
        ({"seq": -1}, "seq"),
        ({"seq": MAX_LINES + 1}, "seq"),
        ({"log": 2**53 + 1}, "log"),
        ({"at": MAX_TIME + 1}, "at"),
        ({"at": "0"}, "at"),
        ({"actor": ""}, "actor"),
        ({"actor": "x" * 141}, "actor"),
        ({"actor": "é"}, "actor"),
        ({"loan": "0xAB"}, "loan"),
        ({"loan": None}, "loan"),
        ({"event": "drawn"}, "event"),
        ({"event": "X" * 41}, "event"),
        ({"before": {}}, "before"),
        ({"before": []}, "before"),
        ({"after": {"system": "running"}}, "after"),
        ({"after": {"system": "RUNNING", "moon": "FULL"}}, "after"),
        ({"cents": {"amount": 5}}, "cents"),
        ({"cents": {"amount": "05"}}, "cents"),
        ({"cents": {"amount": "-5"}}, "cents"),
        ({"cents": {"amount": "1" * 26}}, "cents"),
        ({"sats": {"A": "1"}}, "sats"),
        ({"sats": {f"a{n}": "1" for n in range(17)}}, "sats"),
        ({"facts": {"a": "x" * 141}}, "facts"),
        ({"facts": {"a": "x\n"}}, "facts"),
        ({"facts": "none"}, "facts"),
        ({"previous": "0" * 63}, "previous"),
        ({"previous": "A" * 64}, "previous"),
    ],
    ids=str,
)
def test_a_value_out_of_bounds_is_named(rows: list[dict], changes: dict, at: str) -> None:
    assert read_line(variant(rows[0]), number=1) == rows[0]
    with pytest.raises(BadInput) as refusal:
        read_line(variant(rows[0], **changes), number=3)
    assert refusal.value.code == "audit/format"
    assert refusal.value.facts == {"line": 3, "at": at}


@pytest.mark.parametrize(
    "make",
    [
        lambda _: b"",
        lambda _: b"\n",
        lambda _: b"{}\n",
        lambda _: b"[]\n",
        lambda _: b"7\n",
        lambda _: b"\xff\xfe\n",
        lambda _: b"NaN\n",
        lambda _: b"[" * 4_000 + b"]" * 4_000 + b"\n",
        lambda _: b'{"seq":' + b"9" * 5_000 + b"}\n",
        lambda row: variant(row)[:-1],
        lambda row: variant(row)[:-1] + b" \n",
        lambda row: b" " + variant(row),
        lambda row: variant(row).replace(b",", b", ", 1),
        lambda row: variant(row)[:-2] + b',"seq":0}\n',
        lambda row: json.dumps(row).encode() + b"\n",
        lambda row: variant(row, moon="full"),
        lambda row: variant(row, loan=""),
        lambda row: variant(row, after={"system": "RUNNING"}),
        lambda row: variant(row, facts={"a": "\\u0041"}).replace(b"\\\\u0041", b"\\u0041"),
        lambda _: b"x" * (MAX_LINE + 1),
        lambda row: canonical({k: v for k, v in row.items() if k != "loan"}).encode() + b"\n",
    ],
)
def test_garbage_is_no_line(rows: list[dict], make: Callable) -> None:
    with pytest.raises(BadInput) as refusal:
        read_line(make(rows[0]), number=1)
    assert refusal.value.code == "audit/format"


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b'{"seq":0}' + b" " * MAX_LINE + b"\n", "too long"),
        (b'{"seq":0}', "no end of line"),
        (b"[" * 40 + b"]" * 40 + b"\n", "not JSON"),
        (b"[" * 20 + b"]" * 20 + b"\n", "not an object"),
    ],
)
def test_what_is_wrong_with_a_line_is_said(raw: bytes, reason: str) -> None:
    """Bounds come first: nothing long or deep is parsed."""
    with pytest.raises(BadInput) as refusal:
        read_line(raw, number=9)
    assert refusal.value.facts | {"most": 0} == {"line": 9, "reason": reason, "most": 0}


def test_a_long_manifest_is_not_parsed() -> None:
    with pytest.raises(BadInput) as refusal:
        end_in(b" " * (MAX_MANIFEST + 1))
    assert refusal.value.facts == {"file": "manifest", "most": MAX_MANIFEST}


@given(st.lists(st.binary(max_size=200), max_size=4))
def test_random_bytes_are_no_log(pieces: list[bytes]) -> None:
    if any(pieces):
        with pytest.raises(BadInput) as refusal:
            verify(pieces)
        assert refusal.value.code == "audit/format"


def test_the_most_lines_are_bounded(rows: list[dict]) -> None:
    with pytest.raises(BadInput) as refusal:
        read_line(variant(rows[0]), number=MAX_LINES + 1)
    assert refusal.value.code == "audit/format"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"{}",
        b'{"audit_head":"00"}',
        b'{"audit_head":"' + b"0" * 64 + b'"}',
        b'{"audit_head":"' + b"0" * 64 + b'","audit_lines":true}',
        b'{"audit_head":"' + b"0" * 64 + b'","audit_lines":-1}',
        b'{"audit_head":0,"audit_lines":1}',
        b"{" * 10_000,
        b" " * (MAX_MANIFEST + 1),
    ],
    ids=lambda raw: str(raw[:40]),
)
def test_a_manifest_without_an_end_is_refused(raw: bytes) -> None:
    with pytest.raises(BadInput) as refusal:
        end_in(raw)
    assert refusal.value.code == "audit/format"
    assert refusal.value.facts["file"] == "manifest"


def test_a_manifest_may_say_more(folder: Path, rows: list[dict]) -> None:
    assert end_in((folder / "manifest.json").read_bytes()) == End(rows[-1]["hash"], len(rows))


@pytest.mark.parametrize("text", ["", "0" * 63, "G" * 64, "0x" + "0" * 64])
def test_a_head_is_64_digits(text: str) -> None:
    assert head_of("a" * 64) == End("a" * 64)
    with pytest.raises(BadInput) as refusal:
        head_of(text)
    assert refusal.value.code == "audit/format"


# --- the command ---


def escrow(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stop:
        main(["audit", "verify", *argv])
    out, err = capsys.readouterr()
    return int(stop.value.code or 0), out, err


def test_the_command_says_whole(
    folder: Path, rows: list[dict], capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = escrow(capsys, str(folder / "audit.jsonl"))
    assert (status, err) == (0, "")
    assert out.startswith(f"WHOLE: {len(rows)} line(s)\nhead   {rows[-1]['hash']}\n")
    assert "not noted elsewhere" not in out
    status, out, _ = escrow(capsys, str(folder / "audit.jsonl"), "--json")
    found = json.loads(out)
    assert (found["whole"], found["lines"], found["head"]) == (True, len(rows), rows[-1]["hash"])


def test_the_command_says_when_nothing_notes_the_end(
    tmp_path: Path, log: bytes, rows: list[dict], capsys: pytest.CaptureFixture[str]
) -> None:
    alone = tmp_path / "audit.jsonl"
    alone.write_bytes(log)
    assert "not noted elsewhere" in escrow(capsys, str(alone))[1]
    assert "not noted" not in escrow(capsys, str(alone), "--head", rows[-1]["hash"])[1]
    alone.write_bytes(b"")
    assert escrow(capsys, str(alone))[1].startswith("WHOLE: 0 line(s)\n")


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda raw: raw.replace(b'"actor":"lender"', b'"actor":"nobody"', 1), "audit/broken-link"),
        (lambda raw: b"garbage\n" + raw, "audit/format"),
        (lambda _: b"x" * (MAX_LINE * 3), "audit/format"),
        (lambda raw: b"".join(lines_of(raw)[:-1]), "audit/truncated"),
        (lambda _: b"", "audit/truncated"),
    ],
)
def test_the_command_names_what_is_wrong_with_status_2(
    spoil: Callable,
    code: str,
    tmp_path: Path,
    folder: Path,
    log: bytes,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "manifest.json").write_bytes((folder / "manifest.json").read_bytes())
    (tmp_path / "audit.jsonl").write_bytes(spoil(log))
    status, out, err = escrow(capsys, str(tmp_path / "audit.jsonl"))
    assert (status, out) == (2, "")
    assert err.startswith(f"error: {code}: ")
    assert err.count("\n") == 1


def test_the_command_says_that_a_file_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, _, err = escrow(capsys, str(tmp_path / "nowhere.jsonl"))
    assert (status, err.split(": ")[1]) == (2, "audit/missing-file")
    status, _, err = escrow(capsys, str(tmp_path / "nowhere.jsonl"), "--head", "x")
    assert (status, err.split(": ")[1]) == (2, "audit/format")


def test_a_loaded_world_has_the_same_log(tmp_path: Path, lent: Callable) -> None:
    """The log, not the session, is what is audited."""
    world = lent()
    world.price("46000")
    world.save(tmp_path / "world.db")
    with type(world).load(tmp_path / "world.db") as again:
        first, second = export(world, tmp_path / "a"), export(again, tmp_path / "b")
    assert first["audit_head"] == second["audit_head"]
    assert first["files"] == second["files"]
