"""Registers from files: the same rules, and every refusal with its line."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from escrow.core.errors import BadInput
from escrow.eligibility.days import first_second, parse_day, parse_month
from escrow.eligibility.miners import Ground, MinerClass, Standing, standing
from escrow.eligibility.miners_file import MAX_FILE, load_register, read_csv, read_toml

CSV = """\
inn,class,since,meter_kwh,banned_region,registered,delisted,ground,readings,reports
7707083893,legal-entity,2025-01,1000,no,2025-01-15,,,2025-01=91000 2025-02=182000,\
2025-01/2025-02-18/150000/bc1q-a+bc1q-b

500100732259,individual,2025-01,,,,,,2025-01=6000,
000000000000,entrepreneur,2025-02,0,yes,,,,,
7736207543,legal-entity,2025-01,0,no,2025-01-15,2025-02-01,bankruptcy,,
"""
TOML = """
[[miner]]
inn = "7707083893"
class = "legal-entity"
since = "2025-01"
meter_kwh = 1000
banned_region = false
registered = 2025-01-15
readings = "2025-01=91000 2025-02=182000"
reports = "2025-01/2025-02-18/150000/bc1q-a+bc1q-b"

[[miner]]
inn = "500100732259"
class = "individual"
since = "2025-01"
readings = "2025-01=6000"

[[miner]]
inn = "000000000000"
class = "entrepreneur"
since = "2025-02"
banned_region = true

[[miner]]
inn = "7736207543"
class = "legal-entity"
since = "2025-01"
registered = 2025-01-15
delisted = 2025-02-01
ground = "bankruptcy"
"""
FEBRUARY_20 = first_second(parse_day("2025-02-20"))


def test_a_register_is_read() -> None:
    company, person, trader, bankrupt = read_csv(CSV).miners
    assert company.kind is MinerClass.LEGAL_ENTITY
    assert [each.used_kwh for each in company.readings] == [90_000, 91_000]
    (report,) = company.reports
    assert (report.month, report.sats) == (parse_month("2025-01"), 150_000)
    assert report.addresses == ("bc1q-a", "bc1q-b")
    assert standing(company, at=FEBRUARY_20) is Standing.REGISTERED
    assert standing(person, at=FEBRUARY_20) is Standing.FREE
    assert trader.banned_region
    assert standing(trader, at=FEBRUARY_20) is Standing.OBLIGED
    assert bankrupt.ground is Ground.BANKRUPTCY


def test_toml_tells_the_same() -> None:
    assert read_toml(TOML).miners == read_csv(CSV).miners


def test_columns_come_in_any_order_and_may_be_left_out() -> None:
    (miner,) = read_csv("since,inn,class\n2025-01,7707083893,legal-entity\n").miners
    assert (miner.meter_kwh, miner.registered_at) == (0, None)


@pytest.mark.parametrize(
    ("old", "new", "code", "line"),
    [
        ("7707083893", "7707083890", "miner/inn", 2),
        ("500100732259", "500100732258", "miner/inn", 4),
        ("7736207543", "7707083893", "miner/exists", 6),
        ("individual", "person", "miner/file", 4),
        ("individual", "legal-entity", "miner/class", 4),
        ("2025-02=182000", "2025-02=90999", "miner/meter-back", 2),
        ("2025-02=182000", "2025-03=182000", "miner/month", 2),
        ("2025-02=182000", "2025-02:182000", "input/time", 2),
        ("2025-02=182000", "2025-02=-1", "miner/file", 2),
        ("2025-02=182000", "2025-02=1e9", "miner/file", 2),
        ("150000/bc1q-a+bc1q-b", "150000/", "miner/report", 2),
        ("150000/bc1q-a+bc1q-b", "150000", "miner/file", 2),
        ("2025-01/2025-02-18", "2025-01/2025-01-18", "miner/month", 2),
        ("2025-01/2025-02-18", "2025-01/18.02.2025", "input/time", 2),
        (",yes,", ",maybe,", "miner/file", 5),
        (",yes,,", ",yes,2025-03-01,", "miner/banned-region", 5),
        ("bankruptcy", "", "miner/file", 6),
        ("bankruptcy", "boredom", "miner/file", 6),
        ("2025-01-15,2025-02-01", ",2025-02-01", "miner/not-registered", 6),
        ("000000000000,entrepreneur,2025-02", "000000000000,entrepreneur", "miner/file", 5),
        (",1000,", ",1000.5,", "miner/file", 2),
        ("inn,class", "inn,kind", "miner/file", 1),
        ("inn,class", "inn,inn", "miner/file", 1),
        ("inn,class", "name,inn,class", "miner/file", 1),
        ("individual,2025-01", 'individual,"2025-01', "miner/file", 6),
    ],
)
def test_a_line_that_makes_no_sense_is_refused_with_its_number(
    old: str, new: str, code: str, line: int
) -> None:
    assert old in CSV
    with pytest.raises(BadInput) as refused:
        read_csv(CSV.replace(old, new, 1))
    assert (refused.value.code, refused.value.facts["line"]) == (code, line)


@pytest.mark.parametrize(
    ("old", "new", "code", "line"),
    [
        ("7707083893", "7707083890", "miner/inn", 2),
        ('since = "2025-02"\n', "", "miner/file", 18),
        ("meter_kwh", "meter", "miner/file", 2),
        ("meter_kwh = 1000", "meter_kwh = 1.5", "miner/file", 2),
        ("meter_kwh = 1000", "meter_kwh = [1]", "miner/file", 2),
        ("meter_kwh = 1000", "meter_kwh = -1", "miner/file", 2),
        ('"2025-01=6000"', '"2025-01=six"', "miner/file", 12),
        ("delisted = 2025-02-01\n", "", "miner/file", 24),
        ('"500100732259"', "500100732259", "", 0),
    ],
)
def test_a_table_that_makes_no_sense_is_refused_with_its_line(
    old: str, new: str, code: str, line: int
) -> None:
    assert old in TOML
    if not code:
        assert read_toml(TOML.replace(old, new, 1)).miners == read_toml(TOML).miners
        return
    with pytest.raises(BadInput) as refused:
        read_toml(TOML.replace(old, new, 1))
    assert (refused.value.code, refused.value.facts["line"]) == (code, line)


@pytest.mark.parametrize(
    "text",
    [
        "[[miner]",
        "miner = 1",
        "miner = []\nother = 1",
        "[miner]\n",
        "miner = [{}]",
        "a.b.c.d = 1",
        "a = " + "[" * 40_000,
        "[[miner]]\nclass = 'individual'\nsince = '2025-01'\ninn = 0x" + "9" * 5_000,
    ],
)
def test_what_is_no_list_of_miners_is_refused(text: str) -> None:
    with pytest.raises(BadInput) as refused:
        read_toml(text)
    assert refused.value.code == "miner/file"


def test_a_file_is_read_by_its_name(tmp_path: Path) -> None:
    for name, text in (("miners.csv", CSV), ("miners.toml", TOML)):
        file = tmp_path / name
        file.write_text(text)
        assert load_register(file).miners == read_csv(CSV).miners
    with pytest.raises(BadInput) as refused:
        load_register(tmp_path / "nowhere.csv")
    assert refused.value.code == "miner/missing-file"
    for raw in (b"\xff\xfe", b"a" * (MAX_FILE + 1)):
        file.write_bytes(raw)
        with pytest.raises(BadInput) as refused:
            load_register(file)
        assert refused.value.code == "miner/file"


@given(st.text(max_size=200))
def test_garbage_is_refused_or_empty(garbage: str) -> None:
    for read in (read_csv, read_toml):
        try:
            found = read(garbage)
        except BadInput:
            continue
        assert found.miners == ()
