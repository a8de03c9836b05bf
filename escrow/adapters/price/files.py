"""Prices from a file: exact, in order, or not at all.

Two layouts are read, plain or gzip (told by content, not by name), with a header, columns in
any order and extra ones ignored:

* ``unix,open,high,low,close``: seconds and decimals. The price is ``close``; the other three
  are only checked, so that a shifted column is found.
* ``time,PriceUSD`` (Coin Metrics): ISO 8601 in UTC, and a decimal. Their tables begin before
  there was a price and end with days that are not priced yet: rows with an empty ``PriceUSD``
  are skipped at both ends. One in the middle is a hole, and refused.

A price is stamped with the time of its own row, as the file has it. Both layouts name a period
by its beginning and give its last price, so a file says a period early what the market knew
later; nothing here shifts it.

Prices become integers × 10⁻⁸ without passing through a float; digits beyond the eighth are
rounded half to even. The whole file is checked, also outside the range asked. Blank lines are
skipped. Every error names the line, from 1.
"""

from __future__ import annotations

import csv
import gzip
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, cast

from escrow.core.errors import BadInput
from escrow.core.units import MAX_PRICE, MAX_TIME, PriceE8, Seconds
from escrow.parse import parse_time

MAX_ROWS: Final = 2_000_000
"""Most rows in a file: hourly prices of two centuries, or every minute of four years."""
MAX_LINE: Final = 65_536
"""Longest line in bytes. Coin Metrics' widest tables have lines of a few thousand."""
MAX_BYTES: Final = 2**29
"""Most bytes in a file after unpacking, so that a small gzip cannot fill the memory."""

_CANDLES: Final = ("unix", "open", "high", "low", "close")
_COIN_METRICS: Final = ("time", "PriceUSD")
_DECIMALS: Final = 8
_NUMBER: Final = re.compile(r"[0-9]{1,20}(?:\.[0-9]{1,40})?", re.ASCII)
_UNIX: Final = re.compile(r"[0-9]{1,13}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Quote:
    """What one bitcoin cost at one moment."""

    at: Seconds
    """When, unix time."""
    price: PriceE8
    """Whole currency units × 10⁸."""


def read_prices(
    path: str | Path, *, start: Seconds | None = None, end: Seconds | None = None
) -> tuple[Quote, ...]:
    """Prices from ``start`` to ``end``, both included; without them, all.

    Raises BadInput: ``prices/missing-file``; ``prices/format`` (not text, not gzip, too large, a
    row of another width, a time that cannot be read); ``prices/columns``; ``prices/order``
    (times not strictly increasing); ``prices/value`` (zero, negative, not a plain decimal, above
    ``MAX_PRICE``, or high and low that contradict the rest); ``prices/empty``; ``input/time`` if
    ``start`` is after ``end``.
    """
    return tuple(stream_prices(path, start=start, end=end))


def stream_prices(
    path: str | Path, *, start: Seconds | None = None, end: Seconds | None = None
) -> Iterator[Quote]:
    """The same, one at a time: the memory it takes does not grow with the file. Whatever is wrong
    with the file is raised when it is met, so nothing may be shown before the end."""
    if start is not None and end is not None and start > end:
        raise BadInput("input/time", start=start, end=end)
    source = Path(path)
    try:
        if not source.is_file():
            raise BadInput("prices/missing-file", file=source.name)
        with source.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            if not packed:
                yield from _within(_quotes(raw), start, end)
                return
            with gzip.GzipFile(fileobj=raw) as unpacked:
                yield from _within(_quotes(cast("BinaryIO", unpacked)), start, end)
    except (OSError, EOFError, zlib.error) as error:
        raise BadInput("prices/format", file=source.name, reason=str(error)[:80]) from error


def sample(
    quotes: tuple[Quote, ...], *, start: Seconds, end: Seconds | None = None, every: Seconds
) -> tuple[Quote, ...]:
    """One price for each ``every`` seconds from ``start`` to ``end``, without a hole.

    At each moment it is the last one of the period that ends there, under its own time stamp.
    Without ``end`` the last price given is the end. Raises BadInput("prices/gap") for a period
    without a price, ``prices/empty`` for none at all, ``input/time`` unless ``every`` is
    positive and ``start`` not after ``end``.
    """
    if not quotes:
        raise BadInput("prices/empty")
    last = quotes[-1].at if end is None else end
    if every <= 0 or start > last:
        raise BadInput("input/time", start=start, end=last, every=every)
    chosen: list[Quote] = []
    place = 0
    for moment in range(start, last + 1, every):
        found: Quote | None = None
        while place < len(quotes) and quotes[place].at <= moment:
            found = quotes[place] if quotes[place].at > moment - every else None
            place += 1
        if found is None:
            raise BadInput("prices/gap", at=moment, every=every)
        chosen.append(found)
    return tuple(chosen)


def _within(quotes: Iterator[Quote], start: Seconds | None, end: Seconds | None) -> Iterator[Quote]:
    low, high = 0 if start is None else start, MAX_TIME if end is None else end
    found = False
    for quote in quotes:
        if low <= quote.at <= high:
            found = True
            yield quote
    if not found:
        raise BadInput("prices/empty", start=low, end=high)


def _lines(file: BinaryIO) -> Iterator[str]:
    total = 0
    number = 0
    while line := file.readline(MAX_LINE + 1):
        number += 1
        total += len(line)
        if len(line) > MAX_LINE or number > MAX_ROWS + 1 or total > MAX_BYTES:
            raise BadInput("prices/format", line=number, reason="too large")
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise BadInput("prices/format", line=number, reason="not UTF-8") from error


def _quotes(file: BinaryIO) -> Iterator[Quote]:
    rows = _rows(file)
    header = [name.strip() for name in next(rows, (1, []))[1]]
    if not header:
        raise BadInput("prices/empty", line=1)
    candles = all(header.count(name) == 1 for name in _CANDLES)
    if not candles and not all(header.count(name) == 1 for name in _COIN_METRICS):
        raise BadInput("prices/columns", line=1, found=",".join(header)[:80])
    places = [header.index(name) for name in (_CANDLES if candles else _COIN_METRICS)]
    before = -1
    priced = False
    hole = 0
    for line, row in rows:
        if not row:
            continue
        if len(row) != len(header):
            raise BadInput("prices/format", line=line, columns=len(row), expected=len(header))
        cells = [row[place].strip() for place in places]
        at = _unix(cells[0], line) if candles else _iso(cells[0], line)
        if at <= before:
            raise BadInput("prices/order", line=line, at=at, before=before)
        before = at
        if not candles and not cells[1]:
            hole = hole or (line if priced else 0)
            continue
        if hole:
            raise BadInput("prices/value", line=hole, value="")
        priced = True
        yield Quote(at, _candle(cells, line) if candles else _price(cells[1], line))


def _rows(file: BinaryIO) -> Iterator[tuple[int, list[str]]]:
    """Each with the number of its last line."""
    rows = csv.reader(_lines(file), strict=True)
    try:
        for row in rows:
            yield rows.line_num, row
    except csv.Error as error:
        line, reason = rows.line_num, str(error)[:80]
        raise BadInput("prices/format", line=line, reason=reason) from error


def _candle(cells: list[str], line: int) -> PriceE8:
    opened, high, low, close = (_price(cell, line) for cell in cells[1:])
    if not low <= min(opened, close) <= max(opened, close) <= high:
        raise BadInput("prices/value", line=line, reason="outside low and high")
    return close


def _price(text: str, line: int) -> PriceE8:
    if not _NUMBER.fullmatch(text):
        raise BadInput("prices/value", line=line, value=text[:40])
    whole, _, fraction = text.partition(".")
    price = int(whole + fraction[:_DECIMALS].ljust(_DECIMALS, "0"))
    rest = fraction[_DECIMALS:]
    if rest:
        half = "5" + "0" * (len(rest) - 1)
        # Equal lengths, so text compares as numbers do. At exactly half, to the even digit.
        price += rest > half or (rest == half and price % 2)
    if not 0 < price <= MAX_PRICE:
        raise BadInput("prices/value", line=line, value=text[:40])
    return PriceE8(price)


def _unix(text: str, line: int) -> Seconds:
    # Thirteen digits are milliseconds and beyond the widest moment a loan may name.
    if not _UNIX.fullmatch(text) or int(text) > MAX_TIME:
        raise BadInput("prices/format", line=line, time=text[:40])
    return Seconds(int(text))


def _iso(text: str, line: int) -> Seconds:
    try:
        return parse_time(text)
    except BadInput as error:
        raise BadInput("prices/format", line=line, time=text[:40]) from error
