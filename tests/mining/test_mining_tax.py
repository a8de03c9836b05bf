"""The record for tax: income at the day's quote, and sales no more than 20 % below it."""

from __future__ import annotations

import csv
import io
import json
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mining_lab import START, refusal_of

from escrow.core.units import DAY, MAX_MONEY, MAX_PRICE
from escrow.mining import tax
from escrow.mining.tax import Quote, Receipt, Sale, as_csv, as_json, is_below, record

TODAY = date(2025, 12, 1)
QUOTE = 7_000_000 * 10**8
QUOTES = [Quote(TODAY, QUOTE), Quote(date(2025, 12, 2), 6_000_000 * 10**8)]


def receipt(*, at: int = START, sats: int = 100_000, reference: str = "a:0") -> Receipt:
    return Receipt(at, sats, reference)


def sale(price: int, *, at: int = START, sats: int = 100_000) -> Sale:
    return Sale(at, sats, price, "deal 1")


def test_income_is_the_quote_of_the_day_of_receipt() -> None:
    found = record([receipt(), receipt(at=START + DAY, sats=1)], quotes=QUOTES)
    # 0.001 BTC at 7,000,000.00; one sat at 6,000,000.00 is 6 kopecks.
    assert [row.kopecks for row in found.rows] == [700_000, 6]
    assert (found.income, found.mined) == (700_006, 100_001)


def test_a_kopeck_that_is_begun_counts() -> None:
    # 0.01 kopecks a sat.
    found = record([receipt(sats=1)], quotes=[Quote(TODAY, 10_000 * 10**8)])
    assert found.income == 1


@pytest.mark.parametrize(
    ("price", "below"),
    [(QUOTE * 8 // 10 - 1, True), (QUOTE * 8 // 10, False), (QUOTE * 8 // 10 + 1, False)],
)
def test_a_sale_may_be_20_percent_below_the_quote_and_no_more(price, below) -> None:
    found = record([], [sale(price)], quotes=QUOTES)
    assert [row.below for row in found.rows] == [below]
    assert (found.flagged == found.rows) is below
    assert found.rows[0].lowest == QUOTE * 8 // 10
    assert found.income == 0


@given(st.integers(1, MAX_PRICE), st.integers(-2, 2))
def test_the_rule_is_exact_whatever_the_quote(quote, off) -> None:
    price = quote * 8 // 10 + off
    assert is_below(price, quote=quote) is (price * 10 < quote * 8)


@pytest.mark.parametrize(
    ("receipts", "sales", "quotes", "code"),
    [
        ([receipt(at=START - 1)], [], QUOTES, "tax/no-quote"),
        ([receipt(at=START + 2 * DAY)], [], QUOTES, "tax/no-quote"),
        ([receipt()], [], [*QUOTES, Quote(TODAY, 1)], "tax/quote"),
        ([receipt()], [], [Quote(TODAY, 0)], "tax/quote"),
        ([receipt()], [], [Quote(TODAY, MAX_PRICE + 1)], "tax/quote"),
        ([receipt(sats=0)], [], QUOTES, "tax/amount"),
        ([receipt(sats=MAX_MONEY + 1)], [], QUOTES, "tax/amount"),
        ([], [sale(0)], QUOTES, "tax/amount"),
        ([], [sale(True)], QUOTES, "tax/amount"),
        ([receipt(at=-1)], [], QUOTES, "tax/time"),
        ([receipt()], [sale(1)], QUOTES, ""),
    ],
)
def test_what_cannot_be_recorded_is_refused(receipts, sales, quotes, code) -> None:
    assert refusal_of(record, receipts, sales, quotes=quotes) == code


def test_a_record_is_bounded(monkeypatch) -> None:
    monkeypatch.setattr(tax, "MAX_ROWS", 2)
    record([receipt()] * 2, quotes=QUOTES)
    assert refusal_of(record, [receipt()] * 3, quotes=QUOTES) == "tax/amount"


def test_the_day_is_that_of_the_zone() -> None:
    late = receipt(at=START + DAY - 1)
    assert record([late], quotes=QUOTES).rows[0].day == TODAY
    assert record([late], quotes=QUOTES, utc_offset=3 * 3_600).rows[0].day == date(2025, 12, 2)


def test_exports_say_what_they_are_and_keep_every_number() -> None:
    found = record([receipt(reference="=1+1")], [sale(QUOTE // 2)], quotes=QUOTES)
    text = as_csv(found)
    assert text.startswith("# record only, no tax advice\n# 418-FZ")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    rows = list(csv.DictReader(io.StringIO("\n".join(lines))))
    assert [row["kind"] for row in rows] == ["income", "sale"]
    assert rows[0]["reference"] == "'=1+1"  # a spreadsheet would run it
    assert [row["below"] for row in rows] == ["false", "true"]
    words = json.loads(as_json(found))
    assert words["header"] == "record only, no tax advice"
    assert words["income_kopecks"] == "700000"
    assert words["rows"][1]["price_e8"] == str(QUOTE // 2)
    assert words["rows"][0]["price_e8"] is None
    assert {name for row in words["rows"] for name in row} == set(rows[0])


@given(st.lists(st.tuples(st.integers(0, 2 * DAY - 1), st.integers(1, MAX_MONEY)), max_size=9))
def test_a_record_keeps_each_receipt_in_order_of_time(pairs) -> None:
    found = record([receipt(at=START + at, sats=n) for at, n in pairs], quotes=QUOTES)
    assert found.mined == sum(n for _, n in pairs)
    assert [row.day for row in found.rows] == sorted(row.day for row in found.rows)
