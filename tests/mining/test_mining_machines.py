"""Machines, their curves, and the files they come from."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mining_lab import refusal_of

from escrow.core.errors import BadInput
from escrow.mining.catalogue import (
    load_catalogue,
    load_figure,
    load_moment,
    read_catalogue,
    read_figures,
    read_moments,
)
from escrow.mining.machines import Curve, check_curve
from escrow.provenance import Status, doubtful
from escrow.tables import MAX_FILE

A = 'status = "assumed", source = "a test"'
PLAIN = f"""
[[curve]]
id = "straight"
left = {{ day_bps = [[0, 10000], [100, 0]], {A} }}

[[machine]]
id = "toy"
maker = "Nobody"
model = "Toy 1"
hash_rate = {{ gh_s = 13_500, {A} }}
efficiency = {{ mj_per_th = 103_704, {A} }}
price = {{ us_cents_per_th = 1_001, {A} }}
curve = {{ id = "straight", {A} }}
"""


def test_a_machine_is_read_and_its_power_is_exact() -> None:
    toy = read_catalogue(PLAIN).machine("toy")
    assert toy.power == 13_500 * 103_704
    assert toy.watts == 1_401  # 1,400.004 W
    assert toy.price == 13_513  # 13.5 × 1,001 = 13,513.5 cents
    assert len(toy.parameters) == 4
    assert all(each.status is Status.ASSUMED for each in toy.parameters)
    assert "ASSUMED machine.toy.hash_rate: a test" in doubtful(toy.parameters)


@pytest.mark.parametrize(
    ("days", "cents"), [(0, 13_513), (1, 13_378), (50, 6_756), (99, 135), (100, 0), (36_500, 0)]
)
def test_a_machine_is_worth_less_by_age(days, cents) -> None:
    assert read_catalogue(PLAIN).machine("toy").worth(age_days=days) == cents


@pytest.mark.parametrize("days", [-1, 36_501, True, 1.0])
def test_an_age_that_no_machine_has_is_refused(days) -> None:
    assert refusal_of(read_catalogue(PLAIN).machine("toy").worth, age_days=days) == "mining/age"


@given(st.integers(0, 36_499))
def test_no_machine_gains_value(day) -> None:
    for machine in load_catalogue().machines:
        assert 0 <= machine.worth(age_days=day + 1) <= machine.worth(age_days=day) <= machine.price


@pytest.mark.parametrize(
    "points",
    [
        (),
        ((1, 10_000),),
        ((0, 9_999),),
        ((0, 10_000), (0, 5_000)),
        ((0, 10_000), (10, 5_000), (20, 5_001)),
        ((0, 10_000), (10, -1)),
        ((0, 10_000), (36_501, 0)),
    ],
)
def test_a_curve_that_rises_or_starts_late_is_refused(points) -> None:
    assert refusal_of(check_curve, Curve("a", points, ())) == "mining/curve"
    check_curve(Curve("a", ((0, 10_000), (10, 5_000), (20, 5_000)), ()))


def test_the_shipped_machines_say_where_their_numbers_are_from() -> None:
    found = load_catalogue()
    assert [each.id for each in found.machines] == [
        "antminer-s19",
        "antminer-s19-pro",
        "antminer-s19-xp",
        "antminer-s21",
        "antminer-s21-xp",
    ]
    for machine in found.machines:
        assert len(machine.parameters) == 4
    assert found.machine("antminer-s21").watts == 3_500
    assert found.machine("antminer-s19-pro").watts == 3_245
    # The press's 86.82 % fall, to the point of the curve where it ended.
    assert found.machine("antminer-s19").worth(age_days=597) == 95 * 11_925 * 1_317 // 10_000
    ages = [point[0] for point in found.curves[1].points]
    assert all(old - young == 91 for young, old in pairwise(ages))


def test_figures_of_a_company_are_reported_and_never_more() -> None:
    assert load_figure("intelion-machines").value == 35_000
    assert load_figure("intelion-power").value == 300_000_000
    assert load_figure("russia-hash-rate-share").value == 1_550
    for name in ("intelion-machines", "intelion-power", "intelion-revenue-2024"):
        assert [each.status for each in load_figure(name).parameters] == [Status.REPORTED]
    assert load_moment("2025-12-25").height == 929_376


@pytest.mark.parametrize("load", [load_figure, load_moment, load_catalogue().machine])
def test_an_unknown_name_is_refused(load) -> None:
    assert refusal_of(load, "antminer-s99") == "mining/unknown"


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("gh_s = 13_500", "gh_s = 0", "mining/value"),
        ("gh_s = 13_500", "gh_s = 13.5", "mining/value"),
        ("gh_s = 13_500", "gh_s = true", "mining/value"),
        ("gh_s = 13_500", "th_s = 13", "mining/unit"),
        ("gh_s = 13_500", "gh_s = 1, th_s = 1", "mining/unit"),
        ("gh_s = 13_500, " + A, "gh_s = 13_500", "mining/provenance"),
        ("{ gh_s = 13_500, " + A + " }", "13_500", "mining/provenance"),
        ("assumed", "guessed", "mining/provenance"),
        ('source = "a test"', 'source = ""', "mining/provenance"),
        ("maker =", "brand =", "mining/missing-key"),
        ("[[machine]]", "[[machine]]\ncolour = 1", "mining/unknown-key"),
        ("[[machine]]", "[[maschine]]", "mining/unknown-key"),
        ("[[machine]]", "[machine]", "mining/value"),
        ('"toy"', '"Toy!"', "mining/value"),
        ('{ id = "straight"', '{ id = "crooked"', "mining/unknown"),
        ("[100, 0]", "[100, 0, 0]", "mining/value"),
        ("[100, 0]", "[100, 10001]", "mining/value"),
        ("[[0, 10000], [100, 0]]", "[]", "mining/value"),
        ("[[0, 10000], [100, 0]]", "7", "mining/value"),
        ("[0, 10000]", "[0, 9000]", "mining/curve"),
        ("[[curve]]", "[[curve]", "mining/format"),
        ('"Toy 1"', '"Toy \\u0007"', "mining/value"),
    ],
)
def test_a_file_that_is_not_as_it_must_be_is_refused(old, new, code) -> None:
    assert old in PLAIN
    assert refusal_of(read_catalogue, PLAIN.replace(old, new)) == code


@pytest.mark.parametrize(
    "text", [b"\xff", " " * (MAX_FILE + 1), "[" * 2_001, "a." * 201 + "b = 1", "x = 1e", "{"]
)
def test_garbage_is_refused(text) -> None:
    for read in (read_catalogue, read_moments, read_figures):
        assert refusal_of(read, text) == "mining/format"


def test_a_refusal_says_which_machine_and_on_which_line() -> None:
    text = PLAIN.replace("gh_s = 13_500", "gh_s = 0")
    with pytest.raises(BadInput) as caught:
        read_catalogue(text)
    facts = caught.value.facts
    assert facts["at"] == "machine.toy.hash_rate"
    assert text.split("\n")[int(facts["line"]) - 1].startswith("hash_rate = { gh_s = 0")


def test_one_id_is_one_machine() -> None:
    twice = PLAIN + PLAIN[PLAIN.index("[[machine]]") :]
    with pytest.raises(BadInput, match="twice"):
        read_catalogue(twice)
    many = "".join(f'[[figure]]\nid = "a{n}"\n' for n in range(201))
    with pytest.raises(BadInput, match="too many"):
        read_figures(many)


def test_a_figure_counts_what_figures_count() -> None:
    text = f'[[figure]]\nid = "a"\nsays = "b"\nunit = "watts"\nfigure = {{ watts = 1, {A} }}'
    assert read_figures(text)[0].value == 1
    assert refusal_of(read_figures, text.replace("watts", "apples")) == "mining/value"
