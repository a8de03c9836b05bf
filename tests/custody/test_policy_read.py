"""Policy files: every key is read, checked and bounded, or the file is refused by name."""

from __future__ import annotations

import sys
from dataclasses import replace
from importlib import resources
from pathlib import Path

import pytest
from custody_lab import path_of, policies, policy_of, refusal_of
from hypothesis import example, given
from hypothesis import strategies as st

from escrow.core.errors import BadInput
from escrow.custody.policy import (
    After,
    Form,
    KeyKind,
    Moment,
    Older,
    Policy,
    Role,
    ScriptKind,
)
from escrow.custody.read import MAX_FILE, load_policy, read_policy, shipped, write_policy
from escrow.custody.shape import check_shape

SMALLEST = """
[policy]
name = "own"
title = "My own"
about = "For me."
source = "Me"
script = "wsh"

[[role]]
name = "borrower"

[[role]]
name = "lender"

[[path]]
name = "close"
threshold = 2
roles = ["borrower", "lender"]
"""
SAFE = SMALLEST.replace("threshold = 2", "threshold = 2").replace(
    '"borrower", "lender"]', '"borrower", "lender", "custodian"]\n\n[[role]]\nname = "custodian"'
)
"""Any two of three: the smallest that the audit lets pass."""
FILES = {
    name: resources.files("escrow.custody").joinpath("policies", f"{name}.toml").read_text()
    for name in shipped()
}


def changed(old: str, new: str, text: str = SMALLEST) -> str:
    assert old in text
    return text.replace(old, new, 1)


def with_path(lines: str) -> str:
    return SMALLEST + '\n[[path]]\nname = "more"\nthreshold = 1\nroles = ["borrower"]\n' + lines


def test_the_smallest_policy_has_every_default() -> None:
    found = read_policy(SMALLEST)
    assert found.roles == (
        Role("borrower", "borrower", KeyKind.SOFTWARE),
        Role("lender", "lender", KeyKind.SOFTWARE),
    )
    assert found.paths == (path_of("close", 2, "borrower lender"),)
    assert (found.script, found.assumed, found.accepts) == (ScriptKind.WSH, (), ())
    assert read_policy(SMALLEST.encode()) == found


def test_every_key_is_read() -> None:
    text = SMALLEST.replace("wsh", "tr").replace("For me.", "For\\n  me.")
    text = text.replace('[[role]]\nname = "lender"', '[[role]]\nname = "l"\nholder = "bank"')
    text = text.replace('"lender"]', '"l"]\nform = "musig"')
    text = text.replace('"Me"', '"Me"\nassumed = ["a", "b"]\naccepts = ["silent/bank"]')
    text += '\n[[role]]\nname = "gone"\nkey = "ephemeral"\n\n[[role]]\nname = "hsm"\nkey = "token"'
    text += '\n[[path]]\nname = "late"\nthreshold = 0\nroles = []\nafter = "default"\n'
    text += 'form = "presigned"\nvia = "close"\nto = "lender"\nheld_by = ["bank", "lender"]'
    found = read_policy(text)
    assert (found.about, found.script) == ("For me.", ScriptKind.TR)
    assert found.roles[1:] == (
        Role("l", "bank", KeyKind.SOFTWARE),
        Role("gone", "gone", KeyKind.EPHEMERAL),
        Role("hsm", "hsm", KeyKind.TOKEN),
    )
    assert found.path("close").form is Form.MUSIG
    late = found.path("late")
    assert (late.lock, late.form, late.via) == (After(Moment.DEFAULT), Form.PRESIGNED, "close")
    assert (late.to, late.held_by) == ("lender", ("bank", "lender"))
    assert (found.assumed, found.accepts) == (("a", "b"), ("silent/bank",))


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ("90d", 15_188 * 512),
        ("1s", 512),
        ("512s", 512),
        ("513s", 1_024),
        ("9min", 2 * 512),
        ("1h", 8 * 512),
        ("2w", 2_363 * 512),
        ("33553920s", 65_535 * 512),
    ],
)
def test_a_span_is_rounded_up_to_what_bip_68_can_say(given: str, seconds: int) -> None:
    assert read_policy(with_path(f'older = "{given}"')).path("more").lock == Older(seconds)  # type: ignore[arg-type]


@pytest.mark.parametrize("given", ["33553921s", "389d", "0d", "-1d", "1.5d", "90", "90 d", "90D"])
def test_a_span_that_no_lock_can_say_is_refused(given: str) -> None:
    refused = refusal_of(read_policy, with_path(f'older = "{given}"'))
    assert (refused.code, refused.facts["at"]) == ("policy/value", "path[2].older")


def test_a_path_has_one_lock() -> None:
    read_policy(with_path('after = "recovery"'))
    refused = refusal_of(read_policy, with_path('after = "recovery"\nolder = "1d"'))
    assert refused.facts["at"] == "path[2].older"


@pytest.mark.parametrize(
    ("text", "code", "at"),
    [
        ("[policy", "policy/format", None),
        (b"\xff", "policy/format", None),
        ("a = 1" + "0" * 5_000, "policy/format", None),
        ("a = 2020-13-01", "policy/format", None),
        ("", "policy/missing-key", "policy"),
        ("[policy]", "policy/missing-key", "policy.name"),
        ("policy = 1\nrole = []\npath = []", "policy/value", "policy"),
        (changed('title = "My own"', ""), "policy/missing-key", "policy.title"),
        (changed("threshold = 2", ""), "policy/missing-key", "path[1].threshold"),
        (changed("[policy]", "[policy]\nx = 1"), "policy/unknown-key", "policy.x"),
        (changed("[policy]", 'x = 1\n["po\\nl"]\n[policy]'), "policy/unknown-key", "x"),
        (changed("[[path]]", "[[path]]\nx = 1"), "policy/unknown-key", "path[1].x"),
        (changed("[[role]]", "[[role]]\nx = 1"), "policy/unknown-key", "role[1].x"),
        (changed('"My own"', "1"), "policy/value", "policy.title"),
        (changed('"My own"', '""'), "policy/value", "policy.title"),
        (changed('"My own"', '"My\\nown"'), "policy/value", "policy.title"),
        (changed('"My own"', '"My  own"'), "policy/value", "policy.title"),
        (changed("My own", "x" * 201), "policy/value", "policy.title"),
        (changed('"own"', '"Own"'), "policy/value", "policy.name"),
        (changed('"own"', '"o' + "w" * 40 + '"'), "policy/value", "policy.name"),
        (changed('"wsh"', '"sh"'), "policy/value", "policy.script"),
        (changed('"wsh"', "[]"), "policy/value", "policy.script"),
        (changed('"Me"', '"Me"\naccepts = "x"'), "policy/value", "policy.accepts"),
        (changed('"Me"', '"Me"\naccepts = ["x", "x"]'), "policy/value", "policy.accepts"),
        (changed('"Me"', '"Me"\nassumed = [1]'), "policy/value", "policy.assumed"),
        (changed('"Me"', f'"Me"\nassumed = {["x"] * 65}'), "policy/value", "policy.assumed"),
        (changed('name = "lender"', 'name = "borrower"'), "policy/value", "role.name"),
        (changed('name = "lender"', 'name = "x"\nkey = "usb"'), "policy/value", "role[2].key"),
        (
            changed('name = "lender"', 'name = "lender"\nholder = "bank"'),
            "policy/value",
            "role.lender.holder",
        ),
        (changed("threshold = 2", "threshold = 3"), "policy/value", "path.close.threshold"),
        (changed("threshold = 2", "threshold = -1"), "policy/value", "path.close.threshold"),
        (changed("threshold = 2", "threshold = true"), "policy/value", "path[1].threshold"),
        (changed("threshold = 2", "threshold = 2.0"), "policy/value", "path[1].threshold"),
        (changed('"lender"]', '"judge"]'), "policy/value", "path.close.roles"),
        (changed('"lender"]', '"borrower"]'), "policy/value", "path.close.roles"),
        (changed('"lender"]', '"lender"]\nvia = "x"'), "policy/value", "path.close.form"),
        (changed('"lender"]', '"lender"]\nvia = ""'), "policy/value", "path[1].via"),
        (changed("[policy]", '["po\\nl"]\n[policy]'), "policy/unknown-key", "'po\\nl'"),
        ("role = [1]\npath = []" + SMALLEST.partition("[[role]]")[0], "policy/value", "role"),
        (changed('"lender"]', '"lender"]\nafter = "never"'), "policy/value", "path[1].after"),
        (changed('"lender"]', '"lender"]\nform = "musig"'), "policy/value", "path.close.form"),
        (with_path("").replace("more", "close"), "policy/value", "path.name"),
        (SMALLEST + '\n[[role]]\nname = "x"' * 16, "policy/value", "role"),
        (with_path("") + "\n[[path]]" * 16, "policy/value", "path"),
        (changed("[[path]]", "[path]"), "policy/value", "path"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused_by_name(
    text: str | bytes, code: str, at: str | None
) -> None:
    refused = refusal_of(read_policy, text)
    assert (refused.code, refused.facts.get("at")) == (code, at)
    assert len(str(refused)) < 400
    assert str(refused).isprintable()


PRESIGNED = {
    "form": '"presigned"',
    "via": '"close"',
    "to": '"borrower"',
    "held_by": '["borrower"]',
}


def up_front(**changes: str) -> str:
    keys = PRESIGNED | changes
    return with_path("\n".join(f"{key} = {value}" for key, value in keys.items() if value))


@pytest.mark.parametrize(
    ("changes", "at"),
    [
        ({}, None),
        ({"via": '"nowhere"'}, "path.more.via"),
        ({"via": ""}, "path.more.via"),
        ({"via": '"more"'}, "path.more.via"),
        ({"to": '"judge"'}, "path.more.to"),
        ({"to": ""}, "path.more.to"),
        ({"held_by": "[]"}, "path.more.held_by"),
        ({"held_by": ""}, "path.more.held_by"),
        ({"held_by": '["X"]'}, "path.more.held_by"),
        ({"held_by": str([f"p-{n}" for n in range(15)])}, None),
        ({"held_by": str([f"p-{n}" for n in range(16)])}, "path.more.held_by"),
        ({"held_by": '["borrower", "borrower"]'}, "path.more.held_by"),
        ({"form": '"attested"'}, "path.more.roles"),
        ({"form": '"script"'}, "path.more.form"),
    ],
)
def test_what_is_signed_up_front_says_whose_and_for_whom(
    changes: dict[str, str], at: str | None
) -> None:
    if at is None:
        assert read_policy(up_front(**changes)).path("more").form is Form.PRESIGNED
    else:
        assert refusal_of(read_policy, up_front(**changes)).facts["at"] == at


def test_a_pre_signed_exit_asks_no_more_than_its_path() -> None:
    spare = path_of("exit", 2, "a b", form=Form.PRESIGNED, via="close", to="lender", held_by=("a",))
    check_shape(policy_of(path_of("close", 2, "a b c"), spare))
    refused = refusal_of(check_shape, policy_of(path_of("close", 1, "a b c"), spare))
    assert refused.facts["at"] == "path.exit.threshold"
    refused = refusal_of(check_shape, policy_of(path_of("close", 2, "b c"), spare))
    assert refused.facts["at"] == "path.exit.roles"
    locked = path_of("close", 2, "a b c", lock=After(Moment.DEFAULT))
    assert refusal_of(check_shape, policy_of(locked, spare)).facts["at"] == "path.exit.via"
    # The transaction is held by a party, and "a" is a key of somebody else's.
    roles = (Role("a", "z", KeyKind.SOFTWARE), *(Role(n, n, KeyKind.SOFTWARE) for n in "bc"))
    refused = refusal_of(check_shape, policy_of(path_of("close", 2, "a b c"), spare, roles=roles))
    assert refused.facts["at"] == "path.exit.held_by"


@pytest.mark.parametrize(
    ("signers", "needed", "refused"), [("a b", 2, False), ("a b", 1, True), ("a b c", 2, True)]
)
def test_musig_asks_all_its_signers(signers: str, needed: int, refused: bool) -> None:
    policy = policy_of(path_of("close", needed, signers, form=Form.MUSIG), script=ScriptKind.TR)
    if refused:
        assert refusal_of(check_shape, policy).facts["at"] == "path.close.threshold"
    else:
        check_shape(policy)


@pytest.mark.parametrize(("count", "refused"), [(0, True), (1, False), (15, False), (16, True)])
def test_a_policy_has_one_to_fifteen_keys(count: int, refused: bool) -> None:
    roles = tuple(Role(f"key-{n}", "lender", KeyKind.SOFTWARE) for n in range(count))
    policy = replace(policy_of(path_of("close", 0, "")), roles=roles)
    if refused:
        assert refusal_of(check_shape, policy).facts["at"] == "role"
    else:
        check_shape(policy)


@pytest.mark.parametrize(("count", "refused"), [(0, True), (1, False), (16, False), (17, True)])
def test_a_policy_has_one_to_sixteen_paths(count: int, refused: bool) -> None:
    paths = tuple(path_of(f"path-{n}", 1, "a") for n in range(count))
    roles = (Role("a", "a", KeyKind.SOFTWARE),)
    if refused:
        assert refusal_of(check_shape, policy_of(*paths, roles=roles)).facts["at"] == "path"
    else:
        check_shape(policy_of(*paths, roles=roles))


def test_one_signer_is_no_musig() -> None:
    policy = policy_of(path_of("close", 1, "a", form=Form.MUSIG), script=ScriptKind.TR)
    assert refusal_of(check_shape, policy).facts["at"] == "path.close.threshold"


@pytest.mark.parametrize("seconds", [0, 511, 513, 65_536 * 512])
def test_a_lock_made_by_hand_is_what_bip_68_can_say(seconds: int) -> None:
    late = path_of("late", 1, "a", lock=Older(seconds))  # type: ignore[arg-type]
    refused = refusal_of(check_shape, policy_of(path_of("close", 1, "a"), late))
    assert refused.facts["at"] == "path.late.older"


# Sizes and depths


def test_the_longest_file_is_read_and_a_longer_one_refused() -> None:
    filler = MAX_FILE - len(SMALLEST) - 1
    longest = SMALLEST + "#" + "x" * filler
    assert read_policy(longest) == read_policy(SMALLEST)
    for longer in (longest + "x", (longest + "x").encode()):
        assert refusal_of(read_policy, longer).facts["reason"] == "too large"


@pytest.mark.parametrize("opening", ["[", "{a=", "[[", "[{a="])
def test_deep_nesting_is_refused_however_deep_python_may_go(opening: str) -> None:
    limit = sys.getrecursionlimit()
    try:
        for raised in (limit, 1_000_000):
            sys.setrecursionlimit(raised)
            for depth in (400, 900, 20_000):
                text = ("a = " + opening * depth)[:MAX_FILE]
                refused = refusal_of(read_policy, text)
                assert refused.code == "policy/format"
                assert (refused.facts["reason"] == "too many brackets") is (depth > 900)
    finally:
        sys.setrecursionlimit(limit)


def test_a_key_of_thirty_thousand_parts_is_refused_at_once() -> None:
    refused = refusal_of(read_policy, ".".join("a" * 30_000) + " = 1")
    assert refused.facts["reason"] == "too many dots in a line"


# Which file


def test_a_shipped_policy_goes_by_its_name() -> None:
    for name in shipped():
        assert load_policy(name).name == name


def test_a_file_goes_by_its_path(tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text(SAFE)
    assert load_policy(str(file)) == read_policy(SAFE)


def test_a_file_with_a_danger_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text(SMALLEST)
    assert refusal_of(load_policy, str(file)).code == "policy/strands"


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("three-of-six", "policy/unknown"),
        ("two-of-three.toml", "policy/missing-file"),
        ("", "policy/missing-file"),
        ("/", "policy/missing-file"),
        ("a\0b", "policy/missing-file"),
        ("x" * 5_000 + ".toml", "policy/missing-file"),
        ("../policies/two-of-three", "policy/missing-file"),
        ("\ud800", "policy/missing-file"),
    ],
)
def test_what_is_not_there_is_refused(name: str, code: str) -> None:
    refused = refusal_of(load_policy, name)
    assert refused.code == code
    assert len(str(refused)) < 400


def test_a_huge_file_is_not_read_whole(tmp_path: Path) -> None:
    file = tmp_path / "huge.toml"
    with file.open("wb") as opened:
        opened.truncate(10**12)
    assert refusal_of(load_policy, str(file)).facts["reason"] == "too large"


# Garbage in, a refusal out


def survives(text: str | bytes) -> None:
    try:
        found = read_policy(text)
    except BadInput as refused:
        assert str(refused).isprintable()  # noqa: PT017
        assert len(str(refused)) < 600  # noqa: PT017
    else:
        assert read_policy(write_policy(found)) == found


@given(st.binary(max_size=300))
def test_any_bytes_are_a_policy_or_refused(raw: bytes) -> None:
    survives(raw)


@given(st.text(max_size=300))
@example('[policy]\nname = "\ud800"')
@example("\ufeff[policy]")
def test_any_text_is_a_policy_or_refused(text: str) -> None:
    survives(text)


@given(st.data())
def test_any_damage_to_a_shipped_file_leaves_a_policy_or_is_refused(data: st.DataObject) -> None:
    text = FILES[data.draw(st.sampled_from(sorted(FILES)))]
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 30)))
    scrap = st.sampled_from(
        ["", '"', "[", "]", "\n", "0", "-1", "=", "[[path]]", "[[role]]", '"token"', "1e999", "nan"]
    )
    survives(text[:start] + data.draw(st.one_of(scrap, st.text(max_size=8))) + text[end:])


VALUES = st.sampled_from(
    ["1", "-1", "true", '"x"', '""', "[]", '["borrower"]', "{}", "1.5", "inf", "2020-01-01", "[[]]"]
)


@given(st.data())
def test_any_value_under_any_key_is_read_or_refused(data: st.DataObject) -> None:
    text = FILES[data.draw(st.sampled_from(sorted(FILES)))]
    lines = text.split("\n")
    keyed = [n for n, line in enumerate(lines) if " = " in line and not line.startswith(" ")]
    number = data.draw(st.sampled_from(keyed))
    lines[number] = lines[number].split(" = ")[0] + " = " + data.draw(VALUES)
    survives("\n".join(lines))


@given(policies())
def test_what_is_written_reads_back_equal(policy: Policy) -> None:
    assert read_policy(write_policy(policy)) == policy


def test_a_policy_without_sense_is_not_written() -> None:
    assert refusal_of(write_policy, policy_of(path_of("close", 2, "a"))).code == "policy/value"
