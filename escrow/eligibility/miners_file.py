"""A registry of miners from a file: CSV or TOML, every refusal with its line.

CSV has the columns below, in any order, ``inn``, ``class`` and ``since`` always filled::

    inn,class,since,meter_kwh,banned_region,registered,delisted,ground,readings,reports
    7700000016,legal-entity,2025-01,0,no,2025-01-15,,,2025-01=90000,2025-01/2025-02-18/150000/bc1q…

``readings`` are a meter at the end of each month; ``reports`` a month, the day of filing, sats and
addresses with ``+`` between; several of either have a space between. TOML has the same as
``[[miner]]`` tables of text, numbers and dates. What a file tells happens in the register in this
order: meter, entry, reports, striking off.
"""

from __future__ import annotations

import csv
import io
import tomllib
from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Final, TypeVar

from escrow.core.errors import BadInput, EscrowError
from escrow.core.units import MAX_MONEY, Sats
from escrow.eligibility.days import first_second, parse_day, parse_month
from escrow.eligibility.miners import (
    MAX_METER_KWH,
    MAX_MINERS,
    Ground,
    MinerClass,
    MinerRegister,
)
from escrow.tables import check_numbers

MAX_FILE: Final = 4 * 1024 * 1024
"""Longest register file, in bytes."""
COLUMNS: Final = (
    "inn",
    "class",
    "since",
    "meter_kwh",
    "banned_region",
    "registered",
    "delisted",
    "ground",
    "readings",
    "reports",
)
_NEEDED: Final = ("inn", "class", "since")
_E = TypeVar("_E", bound=Enum)
_TRUTHS: Final = {"": False, "no": False, "yes": True}


def load_register(path: Path) -> MinerRegister:
    """A register from a ``.toml`` file, or a CSV of any other name. Raises
    BadInput("miner/missing-file"), and as the readers."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_FILE + 1)
    except (OSError, ValueError) as error:
        raise BadInput("miner/missing-file", file=str(path)[-80:]) from error
    if len(raw) > MAX_FILE:
        raise BadInput("miner/file", reason="too large", most=MAX_FILE)
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise BadInput("miner/file", reason="not UTF-8") from error
    return read_toml(text) if path.suffix == ".toml" else read_csv(text)


def read_csv(text: str) -> MinerRegister:
    """A register from CSV. Raises ``BadInput``: ``miner/file``, and every ``miner/…`` with the line
    that it is about."""
    reader = csv.reader(io.StringIO(text), strict=True)
    rows = _lines(reader)
    _, header = next(rows, (1, []))
    unknown = [name for name in header if name not in COLUMNS]
    missing = [name for name in _NEEDED if name not in header]
    if unknown or missing or len(set(header)) < len(header):
        names = " ".join(unknown or missing)[:80]
        raise BadInput("miner/file", line=1, reason="columns", names=names)

    def told() -> Iterator[tuple[int, Mapping[str, str]]]:
        for line, row in rows:
            if len(row) != len(header):
                raise BadInput(
                    "miner/file", line=line, reason="columns", found=len(row), expected=len(header)
                )
            yield line, dict(zip(header, row, strict=True))

    return _register(told())


def read_toml(text: str) -> MinerRegister:
    """A register from ``[[miner]]`` tables. Raises as ``read_csv``; lines are those of the table's
    head."""
    # The reader has no bounds of its own; a table has few brackets, and no dotted key.
    dotted = any(line.partition("=")[0].count(".") > 2 for line in text.split("\n"))
    if dotted or text.count("[") + text.count("{") > 3 * MAX_MINERS:
        raise BadInput("miner/file", reason="not a list of miners")
    try:
        top = tomllib.loads(text)
        check_numbers(top)
    except (RecursionError, ValueError, OverflowError) as error:
        raise BadInput("miner/file", reason=str(error)[:120]) from error
    tables = top.pop("miner", [])
    heads = [n for n, line in enumerate(text.split("\n"), 1) if line.strip() == "[[miner]]"]
    if top or not isinstance(tables, list) or len(tables) != len(heads):
        raise BadInput("miner/file", line=1, reason="anything but [[miner]] tables")

    def told() -> Iterator[tuple[int, Mapping[str, str]]]:
        for line, table in zip(heads, tables, strict=True):
            for name, value in table.items():
                if name not in COLUMNS:
                    raise BadInput("miner/file", line=line, reason="unknown key", name=name[:40])
                if isinstance(value, (dict, list, float)):
                    raise BadInput("miner/file", line=line, reason="a value of text", name=name)
            for name in _NEEDED:
                if name not in table:
                    raise BadInput("miner/file", line=line, reason="missing key", name=name)
            yield line, {name: _as_text(value) for name, value in table.items()}

    return _register(told())


def _as_text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def _lines(reader: Iterator[list[str]]) -> Iterator[tuple[int, list[str]]]:
    """Rows with the line on which they end; empty lines are passed over."""
    while True:
        try:
            row = next(reader, None)
        except csv.Error as error:
            line = int(getattr(reader, "line_num", 0))
            raise BadInput("miner/file", line=line, reason=str(error)[:80]) from error
        if row is None:
            return
        if row:
            yield int(getattr(reader, "line_num", 0)), row


def _register(rows: Iterator[tuple[int, Mapping[str, str]]]) -> MinerRegister:
    register = MinerRegister()
    for line, row in rows:
        try:
            _enter(register, {name: row.get(name, "") for name in COLUMNS})
        except EscrowError as error:
            raise BadInput(error.code, **{"line": line, **error.facts}) from error
    return register


def _enter(register: MinerRegister, row: Mapping[str, str]) -> None:
    inn = row["inn"]
    register.add(
        inn,
        _one_of(MinerClass, row, "class"),
        since=parse_month(row["since"]),
        meter_kwh=_whole(row["meter_kwh"] or "0", "meter_kwh", MAX_METER_KWH),
        banned_region=_truth(row, "banned_region"),
    )
    for each in row["readings"].split():
        month, _, meter = each.partition("=")
        register.read_meter(inn, parse_month(month), _whole(meter, "readings", MAX_METER_KWH))
    if row["registered"]:
        register.register(inn, at=first_second(parse_day(row["registered"])))
    for each in row["reports"].split():
        month, filed, sats, addresses = _four(each)
        register.report(
            inn,
            parse_month(month),
            at=first_second(parse_day(filed)),
            sats=Sats(_whole(sats, "reports", MAX_MONEY)),
            addresses=tuple(addresses.split("+")) if addresses else (),
        )
    if bool(row["delisted"]) is not bool(row["ground"]):
        raise BadInput("miner/file", reason="delisted and ground go together")
    if row["delisted"]:
        struck = first_second(parse_day(row["delisted"]))
        register.delist(inn, _one_of(Ground, row, "ground"), at=struck)


def _one_of(kind: type[_E], row: Mapping[str, str], name: str) -> _E:
    for member in kind:
        if member.value == row[name]:
            return member
    known = " ".join(member.value for member in kind)
    raise BadInput("miner/file", name=name, value=row[name][:40], known=known)


def _truth(row: Mapping[str, str], name: str) -> bool:
    if row[name] not in _TRUTHS:
        raise BadInput("miner/file", name=name, value=row[name][:40], known="yes no")
    return _TRUTHS[row[name]]


def _whole(text: str, name: str, most: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 18) or int(text) > most:
        raise BadInput("miner/file", name=name, value=text[:40], most=most)
    return int(text)


def _four(text: str) -> tuple[str, str, str, str]:
    parts = text.split("/")
    if len(parts) != 4:
        raise BadInput("miner/file", name="reports", value=text[:40], reason="month/day/sats/where")
    return parts[0], parts[1], parts[2], parts[3]
