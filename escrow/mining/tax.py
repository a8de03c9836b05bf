"""A record of what was mined and sold, in roubles and sats, for whoever does the tax.

Record only, no tax advice. Rules as press summaries of law 418-FZ of 29 November 2024 have them
(secondary sources): digital currency is property; mined coins are income at the market quote of
the day they are received; a sale counts at a price not more than 20 % below the quote; no VAT.
Which quote, at which hour and in which zone, the summaries do not say: days here are the caller's.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC as ZULU
from datetime import date, datetime
from typing import Final

from escrow.core.errors import BadInput
from escrow.core.units import (
    BPS,
    CENTS_SCALE,
    MAX_MONEY,
    MAX_PRICE,
    Bps,
    Cents,
    PriceE8,
    Sats,
    Seconds,
    muldiv_up,
)
from escrow.mining.units import UTC

HEADER: Final = "record only, no tax advice"
"""First line of every export."""
SOURCE: Final = "418-FZ of 29 November 2024, as press summaries have it (secondary)"
ALLOWED_BELOW: Final = Bps(2_000)
"""How far below the quote a sale may be: 20 % (418-FZ)."""
MAX_ROWS: Final = 100_000
"""Receipts, sales or quotes of one record."""

_MAX_DAY: Final = Seconds(253_402_300_799)
_COLUMNS: Final = (
    "kind",
    "day",
    "sats",
    "quote_e8",
    "price_e8",
    "kopecks",
    "lowest_price_e8",
    "below",
    "reference",
)


@dataclass(frozen=True, slots=True)
class Quote:
    """What one bitcoin cost on a day, in roubles."""

    day: date
    """Which."""
    price: PriceE8
    """Roubles × 10⁸."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """Coins that mining brought."""

    at: Seconds
    """When they were received."""
    sats: Sats
    """How many."""
    reference: str
    """The output that holds them, ``txid:vout``."""


@dataclass(frozen=True, slots=True)
class Sale:
    """Coins that were sold."""

    at: Seconds
    """When."""
    sats: Sats
    """How many."""
    price: PriceE8
    """Roubles a coin × 10⁸."""
    reference: str
    """Of the deal."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the record."""

    kind: str
    """``income`` or ``sale``."""
    day: date
    """Of the receipt or the sale."""
    sats: Sats
    """How many."""
    quote: PriceE8
    """Of that day."""
    price: PriceE8 | None
    """Of the sale."""
    kopecks: Cents
    """What the coins are worth at the quote, or what they were sold for; rounded up."""
    lowest: PriceE8 | None
    """Lowest price of a sale that the rule takes as it is, rounded up."""
    below: bool
    """Was the sale below that?"""
    reference: str
    """Of the receipt or the deal."""


@dataclass(frozen=True, slots=True)
class Record:
    """Income and sales, in order of time."""

    rows: tuple[Row, ...]
    """Each receipt and each sale."""

    @property
    def income(self) -> Cents:
        """Kopecks of all receipts."""
        return Cents(sum(each.kopecks for each in self.rows if each.kind == "income"))

    @property
    def mined(self) -> Sats:
        """Sats of all receipts."""
        return Sats(sum(each.sats for each in self.rows if each.kind == "income"))

    @property
    def flagged(self) -> tuple[Row, ...]:
        """Sales too far below the quote."""
        return tuple(each for each in self.rows if each.below)


def lowest_price(quote: PriceE8) -> PriceE8:
    """The lowest price of a sale that is not more than 20 % below the quote, rounded up."""
    return PriceE8(muldiv_up(quote, BPS - ALLOWED_BELOW, BPS))


def is_below(price: PriceE8, *, quote: PriceE8) -> bool:
    """Is a price more than 20 % below the quote? At exactly 20 % it is not."""
    return price < lowest_price(quote)


def day_of(at: Seconds, *, utc_offset: Seconds = UTC) -> date:
    """The calendar day of a moment, in a zone so far east of UTC. Raises BadInput("tax/time")."""
    if type(at) is not int or not 0 <= at + utc_offset <= _MAX_DAY:
        raise BadInput("tax/time", at=str(at)[:40])
    return datetime.fromtimestamp(at + utc_offset, ZULU).date()


def record(
    receipts: Sequence[Receipt],
    sales: Sequence[Sale] = (),
    *,
    quotes: Sequence[Quote],
    utc_offset: Seconds = UTC,
) -> Record:
    """The record of receipts and sales at the quotes of their days.

    Raises BadInput: ``tax/no-quote`` for a day without one, ``tax/quote`` for two quotes of a day
    or an absurd one, ``tax/amount``, ``tax/time``.
    """
    if max(len(receipts), len(sales), len(quotes)) > MAX_ROWS:
        raise BadInput("tax/amount", rows=max(len(receipts), len(sales), len(quotes)))
    prices: dict[date, PriceE8] = {}
    for each in quotes:
        if each.day in prices or type(each.price) is not int or not 0 < each.price <= MAX_PRICE:
            raise BadInput("tax/quote", day=each.day.isoformat(), price=str(each.price)[:40])
        prices[each.day] = each.price
    deals: list[Receipt | Sale] = [*receipts, *sales]
    rows = [(one.at, _row(one, prices, utc_offset)) for one in deals]
    rows.sort(key=lambda pair: (pair[0], pair[1].kind, pair[1].reference))
    return Record(tuple(row for _, row in rows))


def _row(one: Receipt | Sale, prices: Mapping[date, PriceE8], utc_offset: Seconds) -> Row:
    day = day_of(one.at, utc_offset=utc_offset)
    price = one.price if isinstance(one, Sale) else None
    if type(one.sats) is not int or not 0 < one.sats <= MAX_MONEY:
        raise BadInput("tax/amount", sats=str(one.sats)[:40])
    if price is not None and (type(price) is not int or not 0 < price <= MAX_PRICE):
        raise BadInput("tax/amount", price=str(price)[:40])
    if day not in prices:
        raise BadInput("tax/no-quote", day=day.isoformat())
    quote = prices[day]
    return Row(
        kind="income" if price is None else "sale",
        day=day,
        sats=one.sats,
        quote=quote,
        price=price,
        kopecks=Cents(muldiv_up(one.sats, quote if price is None else price, CENTS_SCALE)),
        lowest=None if price is None else lowest_price(quote),
        below=price is not None and is_below(price, quote=quote),
        reference=one.reference,
    )


def as_csv(found: Record) -> str:
    """The record as CSV under two lines of comment."""
    out = io.StringIO()
    out.write(f"# {HEADER}\n# {SOURCE}\n")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for row in found.rows:
        writer.writerow(["" if each is None else _safe(each) for each in _words(row).values()])
    return out.getvalue()


def as_json(found: Record) -> str:
    """The record as JSON; integers beyond 2⁵³ as text."""
    rows = [_words(each) for each in found.rows]
    top = {
        "header": HEADER,
        "source": SOURCE,
        "currency": "RUB",
        "vat": "none on mined coins and their sale",
        "mined_sats": str(found.mined),
        "income_kopecks": str(found.income),
        "rows": rows,
    }
    return json.dumps(top, indent=1) + "\n"


def _words(row: Row) -> dict[str, str | bool | None]:
    numbers = (row.sats, row.quote, row.price, row.kopecks, row.lowest)
    sats, quote, price, kopecks, lowest = (None if n is None else str(n) for n in numbers)
    values = (row.kind, row.day.isoformat(), sats, quote, price, kopecks, lowest, row.below)
    return dict(zip(_COLUMNS, (*values, row.reference), strict=True))


def _safe(value: str | bool) -> str:
    """Text that a spreadsheet does not take for a formula."""
    text = str(value).lower() if isinstance(value, bool) else value
    return "'" + text if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text
