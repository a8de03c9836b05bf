"""The audit log: what was written stays, or it is noticed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sign_lab import code

from escrow.adapters.sign.audit import AuditLog, Entry, refusals_noted
from escrow.core.errors import Refused

COUNTS = {"tries": 3}


def written(path: Path, count: int = 3) -> AuditLog:
    log = AuditLog(path, durable=False)
    for number in range(count):
        with log.exclusive():
            log.append(Entry(number, "sign", "done", "00" * 32, "aa", f"words {number}", COUNTS))
    return log


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "officer.jsonl"


def test_what_was_written_is_read_again(path: Path) -> None:
    log = written(path)
    again = AuditLog(path)
    assert (again.entries, again.head, again.broken) == (log.entries, log.head, False)
    assert [entry.words for entry in again.entries] == ["words 0", "words 1", "words 2"]


def test_a_log_without_a_file_keeps_in_memory() -> None:
    log = AuditLog()
    with log.exclusive():
        log.append(Entry(1, "sign", "done"))
    assert [entry.at for entry in log.entries] == [1]


def test_each_line_is_json_for_anybody_to_read(path: Path) -> None:
    written(path)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["number"] for line in lines] == [0, 1, 2]
    assert [line["previous"] for line in lines[1:]] == [line["hash"] for line in lines[:-1]]


def test_two_writers_see_each_other(path: Path) -> None:
    one, other = AuditLog(path), AuditLog(path)
    for number, log in enumerate((one, other, one)):
        with log.exclusive():
            log.append(Entry(number, "sign", "done"))
    other.refresh()
    assert [entry.at for entry in other.entries] == [0, 1, 2]
    assert one.head == other.head == AuditLog(path).head


def test_a_line_that_a_crash_cut_is_dropped(path: Path) -> None:
    log = written(path)
    with path.open("ab") as file:
        file.write(b'{"at":9,"what":"si')
    again = AuditLog(path)
    assert (again.entries, again.broken) == (log.entries, False)
    with again.exclusive():
        again.append(Entry(4, "sign", "done"))
    assert [entry.at for entry in AuditLog(path).entries] == [0, 1, 2, 4]


def test_a_crash_before_the_anchor_moved_loses_nothing(path: Path) -> None:
    written(path, 2)
    anchor = path.with_suffix(".head")
    before = anchor.read_bytes()
    log = written(path, 1)
    anchor.write_bytes(before)
    again = AuditLog(path)
    assert (again.entries, again.broken) == (log.entries, False)


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines(keepends=True)


DAMAGE: dict[str, Callable[[Path], object]] = {
    "a word is changed": lambda p: p.write_text(p.read_text().replace("words 1", "words 9")),
    "a count is changed": lambda p: p.write_text(p.read_text().replace('"tries":3', '"tries":9')),
    "the last line is cut off": lambda p: p.write_text("".join(lines(p)[:-1])),
    "the first line is cut off": lambda p: p.write_text("".join(lines(p)[1:])),
    "two lines change places": lambda p: p.write_text("".join(lines(p)[::-1])),
    "the log is deleted": lambda p: p.unlink(),
    "the log is emptied": lambda p: p.write_text(""),
    "a blank line is added": lambda p: p.write_text(p.read_text() + "\n"),
    "a blank is added within": lambda p: p.write_text(p.read_text().replace(",", ", ", 1)),
    "the anchor is deleted": lambda p: p.with_suffix(".head").unlink(),
    "the anchor is nonsense": lambda p: p.with_suffix(".head").write_text("three abc"),
    "the anchor is another's": lambda p: p.with_suffix(".head").write_text(f"3 {'ab' * 32}"),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_log_that_was_changed_is_broken(path: Path, damage: Callable[[Path], object]) -> None:
    written(path)
    damage(path)
    log = AuditLog(path)
    assert log.broken
    assert code(lambda: log.append(Entry(4, "sign", "done"))) == "signer/audit"


@pytest.mark.parametrize("name", ["the log is deleted", "the last line is cut off"])
def test_a_change_behind_the_back_of_an_open_log_is_noticed(path: Path, name: str) -> None:
    log = written(path)
    DAMAGE[name](path)
    with log.exclusive():
        assert log.broken


def test_a_log_that_vanished_with_its_anchor_is_noticed(path: Path) -> None:
    log = written(path)
    path.unlink()
    path.with_suffix(".head").unlink()
    with log.exclusive():
        assert log.broken


def test_writers_wait_for_each_other(path: Path) -> None:
    came = Event()

    def write() -> None:
        log = AuditLog(path)
        with log.exclusive():
            came.set()

    other = Thread(target=write)
    with AuditLog(path).exclusive():
        other.start()
        assert not came.wait(0.1)
    other.join()
    assert came.is_set()


def test_a_broken_log_is_kept_aside_as_evidence(path: Path) -> None:
    written(path)
    for round_ in (1, 2):
        path.write_text("not a log\n")
        log = AuditLog(path)
        log.set_aside()
        assert (log.broken, log.entries) == (False, ())
        assert path.with_suffix(f".broken-{round_}").read_text() == "not a log\n"
        with log.exclusive():
            log.append(Entry(1, "enrol", "done"))
    assert not AuditLog(path).broken


def test_a_disk_that_refuses_is_an_error_of_ours(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    assert code(lambda: AuditLog(folder / "officer.jsonl")) == "signer/audit"
    folder.mkdir()
    log = AuditLog(folder / "officer.jsonl")
    shutil.rmtree(folder)
    assert code(lambda: log.append(Entry(1, "sign", "done"))) == "signer/audit"

    def use() -> None:
        with log.exclusive():
            pass

    assert code(use) == "signer/audit"


def test_a_refusal_is_written_down_and_comes_out() -> None:
    log = AuditLog()
    with log.exclusive():
        log.append(Entry(1, "sign", "done", counts=COUNTS))

    def review() -> None:
        with refusals_noted(log, at=2, txid="ab", words="pays a stranger"):
            raise Refused("cosigner/destination")

    assert code(review) == "cosigner/destination"
    assert log.entries[-1] == Entry(
        2, "review", "cosigner/destination", txid="ab", words="pays a stranger", counts=COUNTS
    )


def test_a_review_that_fails_otherwise_is_written_down_too() -> None:
    log = AuditLog()
    with pytest.raises(ZeroDivisionError), refusals_noted(log, at=2, txid="ab", words=""):
        _ = 1 // 0
    assert log.entries[-1].verdict == "ZeroDivisionError"


def test_endless_words_are_cut(path: Path) -> None:
    log = AuditLog(path)
    with log.exclusive():
        log.append(Entry(1, "sign", "done", words="x" * 100_000))
    assert path.stat().st_size < 5_000
    assert not AuditLog(path).broken


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.one_of(
        st.binary(max_size=300),
        st.lists(
            st.recursive(
                st.none() | st.integers() | st.text(max_size=5),
                lambda inner: st.dictionaries(
                    st.sampled_from(("at", "hash", "number", "previous", "counts", "what")), inner
                ),
            ).map(json.dumps),
            max_size=3,
        ).map(lambda lines: "\n".join([*lines, ""]).encode()),
    )
)
def test_any_bytes_are_a_log_or_broken(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "any.jsonl"
    path.write_bytes(data)
    log = AuditLog(path)
    assert log.broken or not log.entries


@pytest.mark.parametrize("nest", ["[", '{"counts":'], ids=["lists", "objects"])
def test_nested_nonsense_is_broken_and_kills_nobody(path: Path, nest: str) -> None:
    path.write_text(nest * 200_000 + "\n")
    program = (
        "import sys\nfrom pathlib import Path\nfrom escrow.adapters.sign.audit import AuditLog\n"
        "sys.setrecursionlimit(10**6)  # as py-evm does\n"
        f"assert AuditLog(Path({str(path)!r})).broken\n"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    subprocess.run([sys.executable, "-c", program], check=True, env=env)


def test_brackets_in_words_are_words(path: Path) -> None:
    log = AuditLog(path)
    with log.exclusive():
        log.append(Entry(1, "sign", "done", words='[[{{"\\"]]}} \\'))
    assert AuditLog(path).entries == log.entries


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, 2_000), byte=st.integers(0, 255))
def test_no_byte_can_be_changed_unnoticed(tmp_path: Path, at: int, byte: int) -> None:
    path = tmp_path / "one.jsonl"
    path.unlink(missing_ok=True)
    path.with_suffix(".head").unlink(missing_ok=True)
    written(path)
    data = bytearray(path.read_bytes())
    at %= len(data)
    if data[at] != byte:
        data[at] = byte
        path.write_bytes(data)
        assert AuditLog(path).broken
