"""Files of types: what is taken, and what is refused, by name."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import pytest
from collateral_lab import SHIPPED
from hypothesis import given
from hypothesis import strategies as st

from escrow.collateral.model import (
    ByAge,
    ByCapex,
    ByDeliveries,
    ByFace,
    ByNav,
    ByPrice,
    Custody,
    Levels,
    Limit,
    Limits,
    Unverifiable,
)
from escrow.collateral.read import curve_of, load_type, read_type, shipped
from escrow.core.errors import BadInput
from escrow.core.units import DAY
from escrow.provenance import Status
from escrow.tables import MAX_FILE

FOLDER = resources.files("escrow.collateral").joinpath("types")
MACHINE = FOLDER.joinpath("machine.toml").read_text()
REVENUE = FOLDER.joinpath("mining-revenue.toml").read_text()
A = 'status = "assumed", source = "the test"'


def refusal(text: str | bytes) -> BadInput:
    with pytest.raises(BadInput) as caught:
        read_type(text)
    return caught.value


def changed(text: str, key: str, line: str) -> str:
    """The file with the line of one key replaced."""
    lines = text.splitlines()
    (place,) = [n for n, each in enumerate(lines) if each.startswith(f"{key} =")]
    return "\n".join([*lines[:place], line, *lines[place + 1 :]])


def test_what_is_shipped() -> None:
    assert {name: type(kind.valuation) for name, kind in SHIPPED.items()} == {
        "btc": ByPrice,
        "dfa-claim": ByFace,
        "machine": ByAge,
        "hash-rate": ByDeliveries,
        "mining-revenue": ByNav,
        "energy-asset": ByCapex,
        "cloud-mining": Unverifiable,
    }
    assert [kind.id for kind in SHIPPED.values()] == list(shipped())
    custody = {name: kind.custody for name, kind in SHIPPED.items()}
    assert custody.pop("btc") is Custody.VAULT
    assert custody.pop("cloud-mining") is Custody.NOWHERE
    assert set(custody.values()) == {Custody.REGISTER}


def test_only_the_discount_on_coins_is_disclosed() -> None:
    told = [
        (kind.id, each.name)
        for kind in SHIPPED.values()
        for each in kind.parameters
        if each.status is Status.DISCLOSED
    ]
    assert told == [("btc", "levels.haircut")]
    assert all(each.source for kind in SHIPPED.values() for each in kind.parameters)


def test_what_must_not_be_claimed_is_not() -> None:
    assert SHIPPED["energy-asset"].valuation == ByCapex(None), "a split is off"
    assert SHIPPED["cloud-mining"].tag == "unverifiable"
    assert SHIPPED["cloud-mining"].parameters == ()
    assert "bitcoin is none and is not in it" in SHIPPED["dfa-claim"].in_words
    haircut = SHIPPED["machine"].levels.haircut
    assert 2_000 <= 10_000 - haircut <= 4_000


def test_every_term_of_a_type_is_read() -> None:
    found = read_type(REVENUE)
    assert found.valuation == ByNav(2_500, 90 * DAY)
    assert found.levels == Levels(7_000, 4_500, 6_000, 8_000)
    assert found.limits == Limits(Limit(4_000), Limit(2_500), Limit(2_500))
    assert (found.lag, found.discount, found.costs) == (20 * DAY, 2_000, 200)
    assert [each.name for each in found.assumed][:3] == [
        *("valuation.rate", "valuation.min_left", "levels.haircut")
    ]
    assert [each.value for each in found.assumed][:2] == ["2500 bps", "90 days"]
    amount = read_type(changed(REVENUE, "whole", f'whole = {{ amount = "1000.50", {A} }}'))
    assert amount.limits.whole == Limit(cents=100_050)
    split = changed(MACHINE, "valuation", 'valuation = "capex"').split("[valuation]")
    energy = split[0] + f"[valuation]\nsplit = {{ bps = 3000, {A} }}\n[levels]"
    energy += split[1].split("[levels]")[1]
    assert read_type(energy).valuation == ByCapex(3_000)


@pytest.mark.parametrize(
    ("key", "line", "code"),
    [
        ("id", 'id = "Machine"', "value"),
        ("id", "id = 5", "value"),
        ("id", 'id = ""', "value"),
        ("title", f'title = "{"x" * 101}"', "value"),
        ("valuation", 'valuation = "guess"', "value"),
        ("valuation", 'valuation = "face"', "missing-key"),
        ("valuation", 'valuation = "price"', "unknown-key"),
        ("valuation", 'valuation = "unverifiable"', "value"),
        ("custody", 'custody = "nowhere"', "value"),
        ("custody", 'custody = "shed"', "value"),
        ("custody", "", "missing-key"),
        ("custody", 'custody = "register"\nyield = 5', "unknown-key"),
        ("haircut", "", "missing-key"),
        ("haircut", "haircut = 7000", "provenance"),
        ("haircut", 'haircut = { bps = 7000, source = "x" }', "provenance"),
        ("haircut", 'haircut = { bps = 7000, status = "said", source = "x" }', "provenance"),
        ("haircut", 'haircut = { bps = 7000, status = ["assumed"], source = "x" }', "provenance"),
        ("haircut", 'haircut = { bps = 7000, status = "assumed" }', "provenance"),
        ("haircut", 'haircut = { bps = 7000, status = "assumed", source = " " }', "provenance"),
        ("haircut", f"haircut = {{ {A} }}", "unit"),
        ("haircut", f"haircut = {{ percent = 70, {A} }}", "unit"),
        ("haircut", f"haircut = {{ bps = 7000, days = 1, {A} }}", "unit"),
        ("haircut", f"haircut = {{ bps = 0.7, {A} }}", "value"),
        ("haircut", f"haircut = {{ bps = true, {A} }}", "value"),
        ("haircut", f"haircut = {{ bps = 10001, {A} }}", "value"),
        ("haircut", f"haircut = {{ bps = 10000, {A} }}", "value"),
        ("haircut", f"haircut = {{ bps = 4999, {A} }}", "value"),
        ("restore", f"restore = {{ bps = 7000, {A} }}", "value"),
        ("call", f"call = {{ bps = 8500, {A} }}", "value"),
        ("liquidation", f"liquidation = {{ bps = 10000, {A} }}", "value"),
        ("lag", f"lag = {{ days = 10951, {A} }}", "value"),
        ("lag", f"lag = {{ days = true, {A} }}", "value"),
        ("lag", f"lag = {{ seconds = 5, {A} }}", "unit"),
        ("max_age", f"max_age = {{ days = 0, {A} }}", "value"),
        ("curve", f"curve = {{ day_bps = [], {A} }}", "value"),
        ("curve", f"curve = {{ day_bps = [[0, 9999]], {A} }}", "value"),
        ("curve", f"curve = {{ day_bps = [[0, 10000], [0, 9]], {A} }}", "value"),
        ("curve", f"curve = {{ day_bps = [[0, 10000], [9, 10001]], {A} }}", "value"),
        ("curve", f"curve = {{ day_bps = [[0, 10000], [9, -1]], {A} }}", "value"),
        ("curve", f"curve = {{ day_bps = [[0, 10000, 5]], {A} }}", "value"),
        ("curve", f"curve = {{ day_bps = [[0, 10000.0]], {A} }}", "value"),
        ("curve", f"curve = {{ day_bps = [[false, 10000]], {A} }}", "value"),
        ("curve", f'curve = {{ day_bps = "all", {A} }}', "value"),
    ],
)
def test_what_is_refused(key: str, line: str, code: str) -> None:
    text = changed(MACHINE, key, line)
    error = refusal(text)
    assert error.code == f"collateral/{code}"
    if "line" in error.facts:
        name = str(error.facts["at"]).rpartition(".")[2]
        assert text.split("\n")[int(error.facts["line"]) - 1].startswith((name, "["))


@pytest.mark.parametrize("amount", ["5", '"-5"', '"5.0"', '"1e3"', f'"{2**64}"', "true"])
def test_an_amount_is_text_with_two_decimals_or_none(amount: str) -> None:
    text = changed(REVENUE, "whole", f"whole = {{ amount = {amount}, {A} }}")
    if amount == "5":
        assert refusal(text).code == "collateral/value"
    assert refusal(text).facts["at"] == "limits.whole"


@pytest.mark.parametrize(
    "text",
    [
        "[type",
        b"\xff",
        "x" * (MAX_FILE + 1),
        "[" * 2_001,
        "a" + ".a" * 201 + " = 1",
        "a = " + "9" * 5_000,
        "a = [{ b = 0x" + "9" * 5_000 + " }]",
        "a = 2020-99-99",
    ],
)
def test_what_is_no_file_of_ours(text: str | bytes) -> None:
    assert refusal(text).code == "collateral/format"


def test_tables_are_tables() -> None:
    assert refusal("type = 5").code == "collateral/value"
    assert refusal(MACHINE + "\n[extra]\nx = 1").code == "collateral/unknown-key"
    cloud = FOLDER.joinpath("cloud-mining.toml").read_text()
    assert refusal(cloud + f"\n[sale]\nlag = {{ days = 1, {A} }}").code == "collateral/unknown-key"


def test_files_by_name_and_by_path(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(changed(MACHINE, "id", 'id = "mine"'))
    assert load_type(str(path)).id == "mine"
    for name, code in (
        ("rock", "unknown"),
        (str(tmp_path / "no.toml"), "missing-file"),
        ("\0", "missing-file"),
        (str(tmp_path), "missing-file"),
    ):
        with pytest.raises(BadInput, match=f"collateral/{code}"):
            load_type(name)


@given(st.text(max_size=200) | st.binary(max_size=200))
def test_garbage_is_refused_by_name(text: str | bytes) -> None:
    assert refusal(text).code.startswith("collateral/")


def test_a_machines_own_curve() -> None:
    assert curve_of([(0, 10_000), (5, 0)]).points == ((0, 10_000), (5, 0))
    for points in ([], [(1, 10_000)], [(0, 10_000), (5, 1), (5, 0)]):
        with pytest.raises(BadInput, match="collateral/value"):
            curve_of(points)
