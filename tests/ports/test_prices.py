"""Price files: the exact price at its own time, or a refusal that names the line."""

from __future__ import annotations

import gzip
import os
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from escrow.adapters.price import files
from escrow.adapters.price.builtin import FIRST, KNEES, builtin_prices
from escrow.adapters.price.files import Quote, read_prices, sample
from escrow.core.errors import BadInput
from escrow.core.units import HOUR, MAX_PRICE, PriceE8, Seconds

HEADER = "unix,open,high,low,close\n"
GOOD = HEADER + "100,1,3,0.5,2\n200,2,2,2,2.00\n300,2,9.5,1,9.12345678\n"
QUOTES = (
    Quote(Seconds(100), PriceE8(200_000_000)),
    Quote(Seconds(200), PriceE8(200_000_000)),
    Quote(Seconds(300), PriceE8(912_345_678)),
)
SHARED = Path(os.environ.get("ESCROW_SHARED", Path(__file__).parents[2].parent / "shared"))
HOURLY = SHARED / "data" / "btc_usd_hourly_2018-05_2020-12.csv.gz"


def put(folder: Path, content: str | bytes) -> Path:
    path = folder / "prices.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def refused(path: Path | str, code: str) -> BadInput:
    with pytest.raises(BadInput) as refusal:
        read_prices(path)
    assert refusal.value.code == code
    assert len(str(refusal.value)) < 300
    return refusal.value


READ = {
    "plain": GOOD.encode(),
    "gzip": gzip.compress(GOOD.encode()),
    "no newline at the end": GOOD.rstrip().encode(),
    "Windows line ends": GOOD.replace("\n", "\r\n").encode(),
    "byte order mark": b"\xef\xbb\xbf" + GOOD.encode(),
    "quoted": GOOD.replace("100,1", '"100","1"').encode(),
    "spaces": GOOD.replace(",", ", ").encode(),
    "blank lines": GOOD.replace("\n", "\n\n").encode(),
    "other order, more columns": (
        b"close,note,unix,low,high,open\n2,x,100,1,3,1\n2,,200,2,2,2\n9.12345678,,300,1,10,2\n"
    ),
    "Coin Metrics": (
        b"time,PriceUSD\n1970-01-01T00:01:40.000000000Z,2\n1970-01-01 00:03:20,2.0\n"
        b"1970-01-01T00:05:00+00:00,9.12345678\n"
    ),
    "Coin Metrics, unpriced ends": (
        b"asset,time,AdrActCnt,PriceUSD\nbtc,1970-01-01,0,\nbtc,1970-01-01 00:01,1,\n"
        b"btc,1970-01-01 00:01:40,1,2\nbtc,1970-01-01 00:03:20,2,2\n"
        b"btc,1970-01-01 00:05:00,2,9.12345678\nbtc,1970-01-02,,\nbtc,1970-01-03,,\n"
    ),
}


@pytest.mark.parametrize("content", READ.values(), ids=READ.keys())
def test_every_layout_gives_the_same_prices(tmp_path: Path, content: bytes) -> None:
    assert read_prices(put(tmp_path, content)) == QUOTES


def test_candles_win_where_a_file_has_both_layouts(tmp_path: Path) -> None:
    path = put(tmp_path, "time,PriceUSD,unix,open,high,low,close\nx,y,100,2,2,2,2\n")
    assert read_prices(str(path)) == QUOTES[:1]


@pytest.mark.parametrize(
    ("start", "end", "chosen"),
    [(None, None, 3), (100, 300, 3), (101, None, 2), (None, 299, 2), (200, 200, 1)],
)
def test_the_range_includes_both_its_ends(
    tmp_path: Path, start: int | None, end: int | None, chosen: int
) -> None:
    path = put(tmp_path, GOOD)
    found = read_prices(
        path,
        start=None if start is None else Seconds(start),
        end=None if end is None else Seconds(end),
    )
    assert len(found) == chosen


def test_a_range_without_prices(tmp_path: Path) -> None:
    path = put(tmp_path, GOOD)
    with pytest.raises(BadInput, match="prices/empty"):
        read_prices(path, start=Seconds(301))
    with pytest.raises(BadInput, match="prices/empty"):
        read_prices(path, start=Seconds(101), end=Seconds(199))
    with pytest.raises(BadInput, match="input/time"):
        read_prices(path, start=Seconds(200), end=Seconds(199))


BAD = {
    "empty file": ("prices/empty", 1, b""),
    "header alone": ("prices/empty", None, HEADER),
    "Coin Metrics without a price": ("prices/empty", None, "time,PriceUSD\n2020-01-01,\n"),
    "no header": ("prices/columns", 1, "100,1,3,1,2\n"),
    "a column missing": ("prices/columns", 1, "unix,open,high,close\n100,1,3,2\n"),
    "other case": ("prices/columns", 1, HEADER.upper() + "100,1,3,1,2\n"),
    "a column twice": ("prices/columns", 1, "unix,open,high,low,close,close\n1,1,1,1,1,1\n"),
    "half of Coin Metrics": ("prices/columns", 1, "time,ReferenceRate\n2020-01-01,1\n"),
    "semicolons": ("prices/columns", 1, GOOD.replace(",", ";")),
    "short row": ("prices/format", 3, HEADER + "100,1,3,1,2\n200,1,3,1\n"),
    "long row": ("prices/format", 3, HEADER + "100,1,3,1,2\n200,1,3,1,2,9\n"),
    "time missing": ("prices/format", 2, HEADER + ",1,3,1,2\n"),
    "time as text": ("prices/format", 2, HEADER + "noon,1,3,1,2\n"),
    "negative time": ("prices/format", 2, HEADER + "-100,1,3,1,2\n"),
    "fractional time": ("prices/format", 2, HEADER + "100.0,1,3,1,2\n"),
    "milliseconds": ("prices/format", 2, HEADER + "1583625600000,1,3,1,2\n"),
    "unicode time": ("prices/format", 2, HEADER + "１００,1,3,1,2\n"),
    "not UTF-8": ("prices/format", 3, HEADER.encode() + b"100,1,3,1,2\n\xff00,1,3,1,2\n"),
    "open quote": ("prices/format", 3, HEADER + '"100,1,3,1,2\n200,1,3,1,2\n'),
    "old line ends": ("prices/format", 2, HEADER + "100,1,3,1,2\r200,1,3,1,2\n"),
    "duplicate": ("prices/order", 3, HEADER + "100,1,3,1,2\n100,1,3,1,2\n"),
    "unordered": ("prices/order", 4, HEADER + "100,1,3,1,2\n300,1,3,1,2\n200,1,3,1,2\n"),
    "price missing": ("prices/value", 2, HEADER + "100,1,3,1,\n"),
    "zero": ("prices/value", 2, HEADER + "100,1,3,0,2\n"),
    "zero close": ("prices/value", 3, HEADER + "100,1,3,1,2\n200,0,0,0,0\n"),
    "zero after rounding": ("prices/value", 2, HEADER + "100,1,1,1,0.000000005\n"),
    "negative": ("prices/value", 2, HEADER + "100,1,3,1,-2\n"),
    "NaN": ("prices/value", 2, HEADER + "100,1,3,1,NaN\n"),
    "infinity": ("prices/value", 2, HEADER + "100,1,3,1,inf\n"),
    "exponent": ("prices/value", 2, HEADER + "100,1,3,1,2e0\n"),
    "comma": ("prices/value", 2, HEADER + '100,1,3,1,"2,0"\n'),
    "plus": ("prices/value", 2, HEADER + "100,1,3,1,+2\n"),
    "underscore": ("prices/value", 2, HEADER + "100,1,30,1,1_0\n"),
    "unicode digits": ("prices/value", 2, HEADER + "100,1,3,1,２\n"),
    "dot at the end": ("prices/value", 2, HEADER + "100,1,3,1,2.\n"),
    "dot at the start": ("prices/value", 2, HEADER + "100,1,3,0.1,.2\n"),
    "absurd": ("prices/value", 2, HEADER + "100,1,99999999999,1,10000000000.00000001\n"),
    "endless": ("prices/value", 2, HEADER + f"100,1,3,1,{'9' * 9_000}\n"),
    "low above close": ("prices/value", 2, HEADER + "100,3,3,2.5,2\n"),
    "high below open": ("prices/value", 2, HEADER + "100,4,3,1,2\n"),
    "late in the file": ("prices/value", 5, GOOD + "400,1,3,1,x\n"),
    "Coin Metrics hole": (
        "prices/value",
        3,
        "time,PriceUSD\n2020-01-01,1\n2020-01-02,\n2020-01-03,\n2020-01-04,1\n",
    ),
    "Coin Metrics order": ("prices/order", 3, "time,PriceUSD\n2020-01-02,1\n2020-01-01,1\n"),
    "Coin Metrics twice": ("prices/order", 3, "time,PriceUSD\n2020-01-01,\n2020-01-01,1\n"),
    "other zone": ("prices/format", 2, "time,PriceUSD\n2020-01-01T00:00:00+03:00,1\n"),
    "no such day": ("prices/format", 2, "time,PriceUSD\n2020-02-30,1\n"),
    "no such hour": ("prices/format", 2, "time,PriceUSD\n2020-02-20T25:00,1\n"),
    "other date": ("prices/format", 2, "time,PriceUSD\n01/02/2020,1\n"),
    "week date": ("prices/format", 2, "time,PriceUSD\n2020-W01-1,1\n"),
    "before 1970": ("prices/format", 2, "time,PriceUSD\n1969-12-31,1\n"),
    "line too long": ("prices/format", 3, HEADER + "100,1,3,1,2\n" + "9" * 70_000),
    "cut gzip": ("prices/format", None, gzip.compress(GOOD.encode() * 9)[:-12]),
    "broken gzip": ("prices/format", None, b"\x1f\x8bgarbage that is no gzip at all"),
}


@pytest.mark.parametrize(("code", "line", "content"), BAD.values(), ids=BAD.keys())
def test_a_bad_file_is_refused_and_the_line_named(
    tmp_path: Path, code: str, line: int | None, content: str | bytes
) -> None:
    refusal = refused(put(tmp_path, content), code)
    if line is not None:
        assert refusal.facts["line"] == line
    if content and line not in (None, 1):
        packed = gzip.compress(content.encode() if isinstance(content, str) else content)
        assert refused(put(tmp_path, packed), code).facts["line"] == line


def test_what_is_outside_the_range_is_checked_too(tmp_path: Path) -> None:
    path = put(tmp_path, GOOD + "250,1,3,1,2\n")
    with pytest.raises(BadInput, match="prices/order"):
        read_prices(path, start=Seconds(100), end=Seconds(100))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    refused(tmp_path / "none.csv", "prices/missing-file")
    refused(tmp_path, "prices/missing-file")
    refused("", "prices/missing-file")
    refused("nul\0byte", "prices/missing-file")


@pytest.mark.parametrize(("limit", "small"), [("MAX_ROWS", 3), ("MAX_BYTES", 100)])
def test_a_file_too_large_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, small: int
) -> None:
    path = put(tmp_path, GOOD)
    monkeypatch.setattr(files, limit, small)
    assert len(read_prices(path)) == 3
    put(tmp_path, GOOD + "".join(f"{at},1,3,1,2\n" for at in range(400, 409)))
    assert refused(path, "prices/format").facts["reason"] == "too large"


@pytest.mark.parametrize(
    ("text", "price"),
    [
        ("0.00000001", 1),
        ("10000000000", MAX_PRICE),
        ("1.000000005", 100_000_000),
        ("1.000000015", 100_000_002),
        ("1.0000000150000001", 100_000_002),
        ("1.0000000049999999", 100_000_000),
        ("1.00000000500000000000001", 100_000_001),
        ("0007.5", 750_000_000),
    ],
)
def test_prices_are_exact_and_half_goes_to_even(tmp_path: Path, text: str, price: int) -> None:
    path = put(tmp_path, f"time,PriceUSD\n2020-01-01,{text}\n")
    assert read_prices(path)[0].price == price


@settings(max_examples=200, deadline=None, database=None)
@given(
    whole=st.integers(0, 10**9),
    fraction=st.text("0123456789", max_size=20) | st.text("05", max_size=14),
)
def test_prices_agree_with_decimal(whole: int, fraction: str) -> None:
    text = f"{whole}.{fraction}" if fraction else str(whole)
    expected = int(Decimal(text).scaleb(8).quantize(Decimal(1), ROUND_HALF_EVEN))
    if expected == 0:
        with pytest.raises(BadInput, match="prices/value"):
            files._price(text, 1)
    else:
        assert files._price(text, 1) == expected


# One price a period


def quotes(*times: int) -> tuple[Quote, ...]:
    return tuple(Quote(Seconds(at), PriceE8(at + 1)) for at in times)


@pytest.mark.parametrize(
    ("given_times", "start", "end", "every", "chosen"),
    [
        ((0, 10, 20, 30), 0, None, 10, (0, 10, 20, 30)),
        ((0, 10, 20, 30), 10, 20, 10, (10, 20)),
        ((0, 10, 20, 30), 0, None, 20, (0, 20)),
        ((0, 5, 9, 19), 0, None, 10, (0, 9)),
        ((0, 5, 9, 19), 0, 20, 10, (0, 9, 19)),
        ((91, 103), 100, 110, 10, (91, 103)),
    ],
)
def test_each_period_has_its_last_price(
    given_times: tuple[int, ...], start: int, end: int | None, every: int, chosen: tuple[int, ...]
) -> None:
    found = sample(
        quotes(*given_times),
        start=Seconds(start),
        end=None if end is None else Seconds(end),
        every=Seconds(every),
    )
    assert found == quotes(*chosen)


@pytest.mark.parametrize(
    ("given_times", "start", "end", "at"),
    [
        ((0, 10, 30), 0, None, 20),
        ((10, 20), 0, None, 0),
        ((0, 10), 0, 20, 20),
        ((90,), 100, 100, 100),
    ],
)
def test_a_missing_price_is_refused(
    given_times: tuple[int, ...], start: int, end: int | None, at: int
) -> None:
    with pytest.raises(BadInput) as refusal:
        sample(
            quotes(*given_times),
            start=Seconds(start),
            end=None if end is None else Seconds(end),
            every=Seconds(10),
        )
    assert (refusal.value.code, refusal.value.facts["at"]) == ("prices/gap", at)


def test_a_period_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(BadInput, match="prices/empty"):
        sample((), start=Seconds(0), every=Seconds(10))
    for start, end, every in ((0, 10, 0), (0, 10, -1), (20, 10, 10), (20, None, 10)):
        with pytest.raises(BadInput, match="input/time"):
            sample(
                quotes(0, 10),
                start=Seconds(start),
                end=None if end is None else Seconds(end),
                every=Seconds(every),
            )


# The built-in table


def test_the_builtin_table_is_hourly_and_whole() -> None:
    table = builtin_prices()
    assert sample(table, start=FIRST, every=HOUR) == table
    assert (len(table), table[0].at, table[-1].at) == (480, 1_583_020_800, 1_584_745_200)
    assert all(quote.price % 10**6 == 0 for quote in table)


def test_the_builtin_table_follows_its_knees() -> None:
    table = builtin_prices()
    for hour, price in KNEES:
        assert abs(table[hour].price - price * 10**8) <= price * 10**8 // 400


def test_the_builtin_crash_halves_the_price_within_a_day() -> None:
    crash = builtin_prices(start=Seconds(1_583_992_800), end=Seconds(1_584_079_200))
    assert len(crash) == 25
    assert 49 <= crash[-1].price * 100 // crash[0].price <= 51


def test_the_builtin_loan_is_called_and_liquidated_on_12_or_13_march() -> None:
    table = builtin_prices(start=Seconds(1_583_625_600))
    first = table[0].price
    called = next(quote.at for quote in table if first * 5_000 >= quote.price * 7_000)
    taken = next(quote.at for quote in table if first * 5_000 >= quote.price * 8_500)
    assert 1_583_971_200 <= called < taken < 1_584_144_000


def test_the_builtin_range() -> None:
    assert len(builtin_prices(start=FIRST, end=FIRST)) == 1
    with pytest.raises(BadInput, match="prices/empty"):
        builtin_prices(end=Seconds(FIRST - 1))
    with pytest.raises(BadInput, match="input/time"):
        builtin_prices(start=Seconds(2), end=Seconds(1))


# Recorded prices


@pytest.mark.skipif(not HOURLY.is_file(), reason="no recorded prices: set ESCROW_SHARED")
def test_the_recorded_prices_of_march_2020() -> None:
    found = read_prices(HOURLY, start=Seconds(1_583_625_600), end=Seconds(1_584_748_799))
    assert sample(found, start=Seconds(1_583_625_600), every=HOUR) == found
    assert (len(found), found[0].price) == (13 * 24, 878_834_000_000)
    assert len(read_prices(HOURLY)) == 23_082
    first = found[0].price
    called = next(quote.at for quote in found if first * 5_000 >= quote.price * 7_000)
    taken = next(quote.at for quote in found if first * 5_000 >= quote.price * 8_500)
    assert 1_583_971_200 <= called < taken < 1_584_144_000
