"""Scenario files and amounts: every key is read, checked and bounded, or the file is refused."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from escrow.adapters.price.builtin import builtin_prices
from escrow.adapters.price.files import sample
from escrow.core.errors import BadInput
from escrow.core.terms import Liquidation
from escrow.core.units import DAY, HOUR, MAX_CENTS, MAX_MONEY, MAX_PRICE, Seconds
from escrow.parse import parse_btc, parse_cents, parse_price, parse_time
from escrow.sim import scenario as module
from escrow.sim.scenario import (
    DEFAULTS,
    Actors,
    Borrower,
    Collateral,
    Liquidator,
    LoanPlan,
    Source,
    load_scenario,
    parse_scenario,
    scenarios,
    with_prices,
)

MARCH_8 = 1_583_625_600
"""2020-03-08T00:00:00Z."""
SMALLEST = """
[scenario]
name = "smallest"
title = "As little as a scenario can say"
start = "2020-03-08"

[collateral]
btc = "10"

[prices]
source = "builtin"
"""


def text_of(tables: dict[str, dict[str, Any]]) -> str:
    """A scenario's tables as TOML."""
    lines = []
    for name, table in tables.items():
        lines.append(f"[{name}]")
        lines += [f"{key} = {_toml(value)}" for key, value in table.items()]
    return "\n".join(lines)


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
    return str(value)


def changed(key: str, value: Any) -> str:
    """The smallest scenario with one key set; None takes it away."""
    tables: dict[str, dict[str, Any]] = tomllib.loads(SMALLEST)
    table, _, name = key.partition(".")
    if value is None:
        tables[table].pop(name)
    else:
        tables.setdefault(table, {})[name] = value
    return text_of(tables)


def refused(text: str | bytes, code: str) -> dict[str, int | str]:
    with pytest.raises(BadInput) as refusal:
        parse_scenario(text)
    assert refusal.value.code == code
    assert len(str(refusal.value)) < 600
    return refusal.value.facts


# What is read


def test_the_smallest_scenario_has_every_default() -> None:
    found = parse_scenario(SMALLEST)
    assert (found.name, found.start, found.seed) == ("smallest", MARCH_8, 1)
    assert found.collateral == Collateral(pledged=10**9)  # type: ignore[arg-type]
    assert found.loan == DEFAULTS == LoanPlan()
    assert found.actors == Actors()
    assert (found.prices.source, found.prices.file) == (Source.BUILTIN, None)
    assert (found.prices.start, found.prices.end, found.prices.every) == (MARCH_8, None, HOUR)
    assert found.assumed == ()


def test_every_key_is_read(tmp_path: Path) -> None:
    found = parse_scenario(
        text_of(
            {
                "scenario": {
                    "name": "whole",
                    "title": "Ä title",
                    "start": "2020-03-08T06:00:00Z",
                    "seed": 2**63 - 1,
                },
                "collateral": {"btc": "0.5", "top_up_btc": 2},
                "loan": {
                    "principal": "45000.01",
                    "rate_bps": 0,
                    "initial_ltv": 4000,
                    "restore_ltv": 4500,
                    "call_ltv": 5500,
                    "liquidation_ltv": 9500,
                    "cure_hours": 48,
                    "term_days": 90,
                    "grace_days": 0,
                    "recover_days": 14,
                    "confirmations": 3,
                    "liquidation": "third-party",
                    "bonus_bps": 700,
                    "max_fee_sats": 20_000,
                },
                "prices": {
                    "source": "file",
                    "file": "a/b.csv.gz",
                    "from": "2020-03-09",
                    "to": "2020-03-20",
                    "every": 4,
                },
                "actors": {"borrower": "tops-up", "lender": "diligent", "liquidator": "absent"},
                "assumed": {"terms": ["one", "two"]},
            }
        ),
        folder=tmp_path,
    )
    assert found.title == "Ä title"
    assert (found.start, found.seed) == (MARCH_8 + 6 * HOUR, 2**63 - 1)
    assert (found.collateral.pledged, found.collateral.top_up) == (50_000_000, 200_000_000)
    assert found.loan == LoanPlan(
        principal=4_500_001,  # type: ignore[arg-type]
        draw_ltv=None,
        rate_bps=0,  # type: ignore[arg-type]
        initial_ltv=4000,  # type: ignore[arg-type]
        restore_ltv=4500,  # type: ignore[arg-type]
        call_ltv=5500,  # type: ignore[arg-type]
        liquidation_ltv=9500,  # type: ignore[arg-type]
        cure=Seconds(2 * DAY),
        term=Seconds(90 * DAY),
        grace=Seconds(0),
        recover=Seconds(14 * DAY),
        confirmations=3,
        liquidation=Liquidation.THIRD_PARTY,
        bonus_bps=700,  # type: ignore[arg-type]
        max_fee=20_000,  # type: ignore[arg-type]
    )
    assert found.prices.file == tmp_path / "a" / "b.csv.gz"
    assert (found.prices.start, found.prices.end) == (MARCH_8 + DAY, MARCH_8 + 13 * DAY - 1)
    assert found.prices.every == 4 * HOUR
    assert found.actors == Actors(borrower=Borrower.TOPS_UP, liquidator=Liquidator.ABSENT)
    assert found.assumed == ("one", "two")


def test_an_absolute_price_file_stays_where_it_is(tmp_path: Path) -> None:
    text = changed("prices.source", "file").replace('"file"', f'"file"\nfile = "{tmp_path}/x.csv"')
    assert parse_scenario(text, folder=Path("elsewhere")).prices.file == tmp_path / "x.csv"


def test_without_an_amount_the_initial_level_is_drawn() -> None:
    assert parse_scenario(changed("loan.initial_ltv", 4_000)).loan.draw_ltv == 4_000


@pytest.mark.parametrize(
    "start",
    [
        '"2020-03-08"',
        "2020-03-08",
        "2020-03-08T00:00:00Z",
        "2020-03-08 00:00:00",
        '"2020-03-08T00:00"',
        '"2020-03-08T00:00:00+00:00"',
    ],
)
def test_a_start_is_text_or_a_toml_date(start: str) -> None:
    assert parse_scenario(SMALLEST.replace('"2020-03-08"', start)).start == MARCH_8


def test_bytes_and_a_byte_order_of_keys_do_not_matter() -> None:
    assert parse_scenario(SMALLEST.encode()) == parse_scenario(SMALLEST)


# What is refused

VALUES = [
    ("scenario.name", "Capital"),
    ("scenario.name", ""),
    ("scenario.name", "../x"),
    ("scenario.name", "x" * 41),
    ("scenario.name", 7),
    ("scenario.title", ""),
    ("scenario.title", "two\nlines"),
    ("scenario.title", "x" * 201),
    ("scenario.start", 2020),
    ("scenario.seed", -1),
    ("scenario.seed", 2**64),
    ("scenario.seed", "1"),
    ("scenario.seed", True),
    ("scenario.seed", 1.0),
    ("collateral.btc", 10.0),
    ("collateral.btc", True),
    ("collateral.top_up_btc", "1"),
    ("loan.principal", 45000.0),
    ("loan.draw_ltv", 0),
    ("loan.draw_ltv", 5_001),
    ("loan.draw_ltv", 10_000),
    ("loan.rate_bps", -1),
    ("loan.rate_bps", 100_001),
    ("loan.rate_bps", 12.5),
    ("loan.initial_ltv", 0),
    ("loan.liquidation_ltv", 10_000),
    ("loan.cure_hours", 0),
    ("loan.cure_hours", 721),
    ("loan.term_days", 0),
    ("loan.term_days", 3_651),
    ("loan.grace_days", -1),
    ("loan.grace_days", 366),
    ("loan.recover_days", 0),
    ("loan.confirmations", 0),
    ("loan.confirmations", 101),
    ("loan.liquidation", "auction"),
    ("loan.liquidation", 0),
    ("loan.bonus_bps", -1),
    ("loan.bonus_bps", 5_001),
    ("loan.max_fee_sats", 0),
    ("loan.max_fee_sats", 10_000_001),
    ("prices.source", "web"),
    ("prices.source", ["builtin"]),
    ("prices.from", "2020-03-07"),
    ("prices.to", "2020-03-07"),
    ("prices.to", 1),
    ("prices.every", 0),
    ("prices.every", 745),
    ("actors.borrower", "asleep"),
    ("actors.lender", ""),
    ("actors.liquidator", 1),
    ("assumed.terms", "text"),
    ("assumed.terms", [1]),
    ("assumed.terms", [""]),
]


@pytest.mark.parametrize(("key", "value"), VALUES)
def test_a_value_of_the_wrong_type_or_range_is_refused_by_name(key: str, value: Any) -> None:
    assert refused(changed(key, value), "scenario/value")["at"] == key


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("scenario.seed", 0),
        ("loan.rate_bps", 100_000),
        ("loan.draw_ltv", 1),
        ("loan.liquidation_ltv", 9_999),
        ("loan.cure_hours", 720),
        ("loan.term_days", 3_650),
        ("loan.grace_days", 365),
        ("loan.confirmations", 100),
        ("loan.bonus_bps", 5_000),
        ("loan.max_fee_sats", 10_000_000),
        ("prices.from", "2020-03-08"),
        ("prices.to", "2020-03-08"),
        ("prices.every", 744),
        ("collateral.btc", "0.0001"),
        ("collateral.btc", 21_000_000),
    ],
)
def test_a_value_at_the_bound_is_allowed(key: str, value: Any) -> None:
    parse_scenario(changed(key, value))


@pytest.mark.parametrize(
    "key",
    ["scenario.name", "scenario.title", "scenario.start", "collateral.btc", "prices.source"],
)
def test_a_missing_key_is_refused_by_name(key: str) -> None:
    assert refused(changed(key, None), "scenario/missing-key")["at"] == key


@pytest.mark.parametrize("table", ["scenario", "collateral", "prices"])
def test_a_missing_table_is_refused_by_name(table: str) -> None:
    tables = tomllib.loads(SMALLEST)
    del tables[table]
    assert refused(text_of(tables), "scenario/missing-key")["at"] == table


def test_a_price_file_must_be_named() -> None:
    facts = refused(changed("prices.source", "file"), "scenario/missing-key")
    assert facts["at"] == "prices.file"


def test_who_tops_up_must_say_how_much() -> None:
    facts = refused(changed("actors.borrower", "tops-up"), "scenario/missing-key")
    assert facts["at"] == "collateral.top_up_btc"


@pytest.mark.parametrize(
    "key",
    [
        "scenario.seeds",
        "collateral.eth",
        "loan.call_lvt",
        "loan.draw",
        "prices.until",
        "prices.file",
        "actors.custodian",
        "assumed.term",
        "extra.key",
    ],
)
def test_an_unknown_key_is_refused_by_name(key: str) -> None:
    at = refused(changed(key, "x"), "scenario/unknown-key")["at"]
    assert at == (key if not key.startswith("extra") else "extra")


def test_an_unknown_key_at_the_top_is_refused() -> None:
    assert refused("colour = 1\n" + SMALLEST, "scenario/unknown-key")["at"] == "colour"


def test_two_ways_to_say_how_much_is_one_too_many() -> None:
    text = SMALLEST + '[loan]\nprincipal = "1.00"\ndraw_ltv = 5000\n'
    assert refused(text, "scenario/value")["at"] == "loan.draw_ltv"


@pytest.mark.parametrize("table", ["scenario", "collateral", "loan", "prices", "actors", "assumed"])
def test_a_table_must_be_a_table(table: str) -> None:
    tables = tomllib.loads(SMALLEST)
    tables.pop(table, None)
    assert refused(f"{table} = 1\n" + text_of(tables), "scenario/value")["at"] == table


@pytest.mark.parametrize(
    ("key", "value", "code"),
    [
        ("collateral.btc", "0.00009999", "input/amount"),
        ("collateral.btc", "21000000.00000001", "input/amount"),
        ("collateral.btc", "-1", "input/amount"),
        ("collateral.btc", -1, "input/amount"),
        ("collateral.btc", "1.000000001", "input/amount"),
        ("collateral.btc", "NaN", "input/amount"),
        ("loan.principal", "0", "input/amount"),
        ("loan.principal", "1.001", "input/amount"),
        ("scenario.start", "8 March", "input/time"),
        ("scenario.start", "2020-02-30", "input/time"),
        ("scenario.start", "2020-03-08T00:00:00+03:00", "input/time"),
        ("prices.from", "", "input/time"),
        ("prices.to", "2020-13-01", "input/time"),
    ],
)
def test_amounts_and_times_refuse_with_their_own_codes(key: str, value: Any, code: str) -> None:
    assert refused(changed(key, value), code)["at"] == key


@pytest.mark.parametrize(
    ("key", "value", "code"),
    [
        ("loan.initial_ltv", 6_001, "terms/ltv-order"),
        ("loan.restore_ltv", 7_000, "terms/ltv-order"),
        ("loan.call_ltv", 8_500, "terms/ltv-order"),
        ("loan.liquidation_ltv", 7_000, "terms/ltv-order"),
        ("loan.principal", "92233720368547758.08", "terms/size"),
    ],
)
def test_terms_that_contradict_themselves_are_refused_as_the_rules_do(
    key: str, value: Any, code: str
) -> None:
    refused(changed(key, value), code)


@pytest.mark.parametrize(
    "text",
    [
        "[scenario",
        "a = ",
        "a = 1\na = 2",
        b"\xff\xfe",
        "a = " + "[" * 100_000,
        "a = " + "[" * 3_000,
        "a = 2020-02-30",
        "a = " + "9" * 10_000,
        "#" * 100_001,
        "\0",
    ],
    ids=range(10),
)
def test_what_is_not_toml_is_refused(text: str | bytes) -> None:
    refused(text, "scenario/format")


@settings(max_examples=200, deadline=None, database=None)
@given(text=st.text(max_size=60) | st.binary(max_size=60))
def test_garbage_never_breaks_the_reader(text: str | bytes) -> None:
    with pytest.raises(BadInput, match="scenario/"):
        parse_scenario(text)


# Files and names


def test_every_shipped_scenario_loads_under_its_name() -> None:
    assert "black-thursday" in scenarios()
    for name in scenarios():
        assert load_scenario(name).name == name
        assert load_scenario(f"{name}.toml") == load_scenario(name)


def test_black_thursday() -> None:
    found = load_scenario("black-thursday")
    assert found.loan == replace(DEFAULTS, term=Seconds(180 * DAY))
    assert (found.start, found.prices.start) == (MARCH_8, MARCH_8)
    assert found.prices.end == MARCH_8 + 13 * DAY - 1
    assert found.actors == Actors()
    assert found.assumed
    table = builtin_prices(start=found.prices.start, end=found.prices.end)
    every = found.prices.every
    assert len(sample(table, start=found.prices.start, end=None, every=every)) == 13 * 24
    assert len(sample(table, start=MARCH_8, end=found.prices.end, every=every)) == 13 * 24  # type: ignore[arg-type]


def test_a_file_is_loaded_and_finds_its_prices_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(SMALLEST.replace('"builtin"', '"file"\nfile = "prices.csv"'))
    assert load_scenario(path).prices.file == tmp_path / "prices.csv"
    assert load_scenario(str(path)) == load_scenario(path)


def test_a_file_wins_over_a_shipped_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_scenario("black-thursday.toml").name == "black-thursday"
    Path("black-thursday.toml").write_text(SMALLEST)
    assert load_scenario("black-thursday.toml").name == "smallest"
    assert load_scenario("black-thursday").name == "black-thursday"


@pytest.mark.parametrize(
    "name", ["none", "none.toml", "", "../sim/scenarios/black-thursday", "a\0b"]
)
def test_a_scenario_that_is_not_there(name: str) -> None:
    with pytest.raises(BadInput) as refusal:
        load_scenario(name)
    assert refusal.value.code == "scenario/missing-file"
    assert "black-thursday" in str(refusal.value.facts["known"])


def test_a_file_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.toml"
    path.write_text(SMALLEST)
    monkeypatch.setattr(module, "MAX_FILE", 20)
    with pytest.raises(BadInput, match="too large"):
        load_scenario(path)


def test_a_file_that_cannot_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.toml"
    path.write_text(SMALLEST)

    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(BadInput, match="cannot be opened"):
        load_scenario(path)


def test_a_scenario_runs_on_another_file() -> None:
    shipped = load_scenario("black-thursday")
    assert with_prices(shipped, file=None) == shipped
    moved = with_prices(shipped, file=Path("x.csv"))
    assert (moved.prices.source, moved.prices.file) == (Source.FILE, Path("x.csv"))
    assert (moved.prices.start, moved.prices.end) == (shipped.prices.start, shipped.prices.end)
    later = with_prices(shipped, file=None, start=Seconds(MARCH_8 + DAY))
    assert (later.start, later.prices.start, later.prices.source) == (
        MARCH_8 + DAY,
        MARCH_8 + DAY,
        Source.BUILTIN,
    )
    assert with_prices(shipped, file=None, end=Seconds(MARCH_8)).prices.end == MARCH_8


def test_a_range_that_ends_before_it_begins_is_refused() -> None:
    shipped = load_scenario("black-thursday")
    with pytest.raises(BadInput, match="input/time"):
        with_prices(shipped, file=None, end=Seconds(MARCH_8 - 1))
    with pytest.raises(BadInput, match="input/time"):
        with_prices(shipped, file=None, start=Seconds(MARCH_8 + 20 * DAY))


# Amounts and times


@pytest.mark.parametrize(
    ("text", "sats"),
    [
        ("0.00000546", 546),
        ("10", 10**9),
        (10, 10**9),
        ("0.12345678", 12_345_678),
        ("007.50", 750_000_000),
        ("21000000", MAX_MONEY),
        ("21000000.00000000", MAX_MONEY),
    ],
)
def test_bitcoin_is_read_to_the_sat(text: str | int, sats: int) -> None:
    assert parse_btc(text) == sats


@pytest.mark.parametrize(
    "text",
    [
        "",
        " 1",
        "1 ",
        "1\n",
        "+1",
        "-1",
        -1,
        0,
        "0",
        "0.00000545",
        "21000000.00000001",
        21_000_001,
        pytest.param(10**6_000, id="huge"),
        "1.000000000",
        "1.",
        ".5",
        "1,5",
        "1_0",
        "1e1",
        "0x1",
        "NaN",
        "inf",
        "１",
        "٣",
        "1" * 31,
        pytest.param("1.0" * 9_000, id="endless"),
        True,
        1.0,
        None,
        b"1",
    ],
)
def test_what_is_no_amount_of_bitcoin_is_refused(text: Any) -> None:
    with pytest.raises(BadInput) as refusal:
        parse_btc(text)
    assert refusal.value.code == "input/amount"
    assert len(str(refusal.value)) < 250


def test_cash_and_prices_have_bounds_of_their_own() -> None:
    assert (parse_cents("0.01"), parse_cents("45000.5"), parse_cents(7)) == (1, 4_500_050, 700)
    assert parse_cents("184467440737095516.15") == MAX_CENTS
    assert (parse_price("0.00000001"), parse_price("8788.34")) == (1, 878_834_000_000)
    assert parse_price(10**10) == MAX_PRICE
    for bad in ("0", "0.00", "1.001", "184467440737095516.16"):
        with pytest.raises(BadInput, match="input/amount"):
            parse_cents(bad)
    for bad in ("0", "1.000000001", "10000000000.00000001"):
        with pytest.raises(BadInput, match="input/amount"):
            parse_price(bad)


@settings(max_examples=200, deadline=None, database=None)
@given(sats=st.integers(546, MAX_MONEY))
def test_every_amount_survives_being_written(sats: int) -> None:
    assert parse_btc(f"{sats // 10**8}.{sats % 10**8:08}") == sats


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("1970-01-01", 0),
        ("2020-03-08", MARCH_8),
        ("2020-03-08T06:00", MARCH_8 + 21_600),
        ("2020-03-08 06:00:01", MARCH_8 + 21_601),
        ("2020-03-08T06:00:01Z", MARCH_8 + 21_601),
        ("2020-03-08T06:00:01.000Z", MARCH_8 + 21_601),
        ("2020-03-08T06:00:01+0000", MARCH_8 + 21_601),
        ("2020-02-29", MARCH_8 - 8 * 86_400),
    ],
)
def test_a_moment_is_read_to_the_second(text: str, at: int) -> None:
    assert parse_time(text) == at


def test_the_end_of_a_day_is_its_last_second() -> None:
    assert parse_time("2020-03-08", end_of_day=True) == MARCH_8 + 86_399
    assert parse_time("2020-03-08T06:00", end_of_day=True) == MARCH_8 + 21_600


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "2020",
        "20200308",
        "2020-W10-7",
        "2020-3-8",
        "2020-02-30",
        "2019-02-29",
        "2020-03-08T24:01",
        "2020-03-08T06",
        "2020-03-08T06:00:01.5Z",
        "2020-03-08T06:00+03:00",
        "2020-03-08Z",
        "2020-03-08\n",
        "２０２０-03-08",
        "1969-12-31",
        "0000-01-01",
    ],
)
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(BadInput) as refusal:
        parse_time(text)
    assert refusal.value.code == "input/time"
