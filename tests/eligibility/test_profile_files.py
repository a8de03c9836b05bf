"""Profiles as files: what is read, and what is refused, with where."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from escrow.core.eligibility import Force, Gate, Op, Predicate, Status
from escrow.core.errors import BadInput
from escrow.core.units import MAX_TIME
from escrow.eligibility.days import first_second, last_second, parse_day
from escrow.eligibility.read import MAX_FILE, load_profile, read_profile

FILE = """
[profile]
name = "here"
version = 3
title = "A place"
about = "Of tests.\\nTwo lines."
source = "tests"
force = "in-force"

[[rule]]
id = "here/one"
gates = ["offer", "transfer"]
since = 2025-01-01
until = 2025-12-31
status = "assumed"
source = "tests"
reason = "why not"
needs = { any = [{ fact = "a", is = true }, { all = [{ fact = "b", at-most = 5 }] }] }
"""


def test_a_profile_is_read() -> None:
    found = read_profile(FILE)
    assert (found.title, found.about, found.extends) == ("A place", "Of tests. Two lines.", "")
    assert (found.book.profile, found.book.version) == ("here", 3)
    assert found.book.force is Force.IN_FORCE
    (rule,) = found.book.rules
    assert rule.gates == (Gate.OFFER, Gate.TRANSFER)
    assert rule.status is Status.ASSUMED
    assert rule.since == first_second(parse_day("2025-01-01"))
    assert rule.until == last_second(parse_day("2025-12-31"))
    inner = Predicate(Op.ALL, parts=(Predicate(Op.AT_MOST, "b", 5),))
    assert rule.needs == Predicate(Op.ANY, parts=(Predicate(Op.IS, "a", True), inner))
    assert found.assumed == ("here/one",)


def test_without_dates_a_rule_always_counts() -> None:
    bare = FILE.replace("since = 2025-01-01\n", "").replace("until = 2025-12-31\n", "")
    (rule,) = read_profile(bare.encode()).book.rules
    assert (rule.since, rule.until) == (0, MAX_TIME)


def test_what_it_extends_comes_first() -> None:
    more = FILE.replace('force = "in-force"', 'force = "proposed"\nextends = "us-generic"')
    assert [rule.id for rule in read_profile(more).book.rules] == ["us/lender-licence", "here/one"]


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("[profile]", "[profile", "profile/format"),
        ("[profile]", "[profiles]", "profile/unknown-key"),
        ('name = "here"\n', "", "profile/missing-key"),
        ('name = "here"', 'nome = "here"', "profile/unknown-key"),
        ('name = "here"', 'name = "No Name"', "profile/value"),
        ("version = 3", "version = 0", "profile/value"),
        ("version = 3", 'version = "3"', "profile/value"),
        ("version = 3", "version = true", "profile/value"),
        ('title = "A place"', 'title = ""', "profile/value"),
        ('"in-force"', '"forced"', "profile/value"),
        ('force = "in-force"', 'force = "in-force"\nextends = "nowhere"', "profile/unknown"),
        ('force = "in-force"', 'force = "in-force"\nextends = "ru-elr"', "profile/value"),
        ("[[rule]]", "[rule]", "profile/value"),
        ('id = "here/one"', 'id = "here one"', "profile/value"),
        ('"offer", ', '"offer", "offer", ', "profile/value"),
        ('"offer", ', '"door", ', "profile/value"),
        ('["offer", "transfer"]', '"offer"', "profile/value"),
        ("since = 2025-01-01", 'since = "2025-01-01"', "profile/value"),
        ("since = 2025-01-01", "since = 2025-01-01T00:00:00", "profile/value"),
        ("since = 2025-01-01", "since = 2026-01-01", "profile/value"),
        ("since = 2025-01-01", "since = 1969-01-01", "input/time"),
        ('status = "assumed"', 'status = "guessed"', "profile/value"),
        ('source = "tests"\nreason', "reason", "profile/missing-key"),
        ('reason = "why not"', 'reason = "why\\nnot"', "profile/value"),
        ("at-most = 5", 'at-most = "5"', "profile/value"),
        ("at-most = 5", "at-most = 5.0", "profile/value"),
        ("at-most = 5", "most = 5", "profile/value"),
        ("at-most = 5", "at-most = 5, above = 1", "profile/value"),
        ('fact = "b", ', "", "profile/missing-key"),
        ("needs = { any", "needs = { any = [], all", "profile/unknown-key"),
        ("{ any = [{", '{ any = [1, {', "profile/value"),
        ("needs = {", "needs = 1 # {", "profile/value"),
        (
            '{ fact = "b", at-most = 5 }',
            '{ any = [{ all = [{ fact = "b", at-most = 5 }] }] }',
            "profile/value",
        ),
        ("version = 3", "version = 3\n" + "a" + ".a" * 300 + " = 1", "profile/format"),
        ("version = 3", "version = [" + "[" * 3_000, "profile/format"),
        ("version = 3", "#" * MAX_FILE, "profile/format"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(old: str, new: str, code: str) -> None:
    assert old in FILE
    with pytest.raises(BadInput) as refused:
        read_profile(FILE.replace(old, new, 1))
    assert refused.value.code == code


def test_a_refusal_says_where() -> None:
    with pytest.raises(BadInput) as refused:
        read_profile(FILE.replace("at-most = 5", "most = 5"))
    assert refused.value.facts["at"] == "rule[1].needs.any[2].all[1]"


def test_a_name_that_is_neither_shipped_nor_a_file(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as refused:
        load_profile("nowhere")
    assert refused.value.code == "profile/unknown"
    assert "ru-2024" in str(refused.value.facts["known"])
    with pytest.raises(BadInput) as refused:
        load_profile(str(tmp_path / "missing.toml"))
    assert refused.value.code == "profile/missing-file"
    with pytest.raises(BadInput) as refused:
        load_profile("a\0b")
    assert refused.value.code == "profile/missing-file"


def test_a_file_of_ones_own_is_read(tmp_path: Path) -> None:
    file = tmp_path / "here.toml"
    file.write_text(FILE)
    assert load_profile(str(file)) == read_profile(FILE)
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(BadInput) as refused:
        load_profile(str(file))
    assert refused.value.code == "profile/format"


@given(st.binary(max_size=200) | st.text(max_size=200))
def test_garbage_is_refused(garbage: str | bytes) -> None:
    with pytest.raises(BadInput):
        read_profile(garbage)


@given(st.data())
def test_a_file_with_a_piece_missing_is_refused_or_read(data: st.DataObject) -> None:
    """No file ends otherwise than in a profile or a refusal."""
    start = data.draw(st.integers(0, len(FILE)))
    length = data.draw(st.integers(1, 40))
    with suppress(BadInput):
        assert read_profile(FILE[:start] + FILE[start + length :]).book.rules
