"""Products as TOML files: those that are shipped, and anyone's own.

Every term is a table of its value under the name of its unit, and of where it is from::

    [product]                           # plain text, without provenance
    id = "my_lender"                    # a-z, 0-9 and underscores
    title = "A short line"
    in_words = "What it is like."       # may run over lines

    [levels]                            # loan-to-value: bps, ctp_percent, cr_percent, or
    basis = { value = "debt", status = "disclosed", source = "lender.example/faq" }
    initial = { bps = 5000, status = "disclosed", source = "…" }
    restore = { ctp_percent = 165, … }  #   health_factor = "0.95" with threshold_bps = 7800
    cure_by = { value = "both", … }     # or "top-up", "repay"
    lapse = { value = "while-reached", … }      # or "unless-restored"; these where there are calls
    immediate = { bps = 8500, comparator = "at-or-above", … }       # optional

    [[notice]]                          # optional, rising
    level = { bps = 6500, comparator = "above", … }

    [[call]]                            # optional, rising
    level = { ctp_percent = 150, comparator = "below",
              comparator_status = "assumed", comparator_source = "why", … }   # on one line
    cure = { hours = 24, … }            # or { value = "none", … }: the call never lapses
    dwell = { days = 3, … }             # optional

    [liquidation]                       # kind, and what that kind has
    kind = { value = "partial", … }     # take-over, market, third-party, auction, bands
    target = { bps = 6000, … }
    fee = { bps = 99, … }

    [price]
    sources = { count = 3, … }          # odd or even; quorum = { count = 2 }, to_call likewise
    heartbeat = { seconds = 3600, … }
    deviation = { bps = 150, … }

    [repayment]                         # by the second, actual/365
    pays = { value = "at-end", … }      # every, full-term, open
    rate = { bps = 1200, … }            # a year; below 0 only with negative = { value = true }
    fee = { bps = 100, … }              # of origination
    term = { days = 365, … }            # but for open
    every = { days = 30, … }            # only for every
    grace = { days = 10, … }
    late = { bps = 2000, … }            # optional, as is every key below that says so; a year

    [repayment]                         # or by the calendar, in instalments
    pays = { value = "annuity", … }     # linear, interest-only, bullet
    rate = { bps = 1200, … }            # never below 0
    term = { period = "P24M", … }
    every = { period = "P1M", … }       # but for bullet; P3ML0: quarters with a long last stub
    day_count = { value = "A/365F", … } # A/360, A/A ISDA, 30E/360, 30E/360 ISDA
    calendar = { value = "MF", … }      # optional: Monday to Friday; with it
    convention = { value = "SCMF", … }  #   where a payment goes, as schedules.calendars names it
    end_of_month = { value = true, … }  # optional
    rounding = { value = "up", … }      # optional: down, nearest; up without it
    capitalise = { period = "P3M", … }  # optional: so long interest is added to the debt
    prepayment = { value = "accrued-only", … }  # or full-period
    …                                   # fee, grace, late as above

    spread = { bps = 700, … }           # a floating rate, instead of rate
    reset = { period = "P1M", … }       #   cycle of the days on which it is fixed anew
    floor = { bps = 0, … }              #   optional, and so is cap

    [[key_rate]]                        # what it follows, rising in time
    from = { date = 2026-02-01, … }
    rate = { bps = 1600, … }

    [custody]
    confirmations = { count = 6, … }

    [size]                              # optional, and so is either key
    least = { amount = "10000.00", … }
    most = { amount = "100000.00", … }

A comparator is ``above`` or ``at-or-above`` a loan-to-value, ``below`` or ``at-or-below`` any of
the other ratios; where the lender does not say which, its own status is ``assumed``. No float is
taken anywhere. Every refusal names the key and the line.
"""

from __future__ import annotations

import re
from enum import Enum
from pathlib import Path
from typing import Final

from escrow.core.bands import MAX_BANDS, MIN_BANDS
from escrow.core.errors import BadInput, one_line
from escrow.core.terms import MAX_BONUS, MAX_SPAN
from escrow.core.units import BPS, DAY, Bps, Cents, Seconds
from escrow.page import Page, Section
from escrow.products.check import check
from escrow.products.fields import cents, level, ratio
from escrow.products.model import (
    Basis,
    Call,
    CureBy,
    DutchAuction,
    Lapse,
    Liquidation,
    MarketSale,
    PartialSale,
    PriceRule,
    Product,
    SoftBands,
    TakeOver,
    ThirdParty,
)
from escrow.products.repayment import read_repayment
from escrow.tables import MAX_FILE, shipped_bytes, shipped_names

_ID: Final = re.compile(r"[a-z0-9][a-z0-9_]{0,39}")


class _Kind(Enum):
    TAKE_OVER = "take-over"
    MARKET = "market"
    PARTIAL = "partial"
    THIRD_PARTY = "third-party"
    AUCTION = "auction"
    BANDS = "bands"


_SHIPPED: Final = ("escrow.products", "presets")
"""Package and folder of what ships."""


def shipped() -> tuple[str, ...]:
    """Ids of the products that come with the package, sorted."""
    return shipped_names(*_SHIPPED)


def load_product(name_or_path: str) -> Product:
    """A shipped product by id, else a file.

    Raises BadInput: ``product/unknown`` for a name that is neither, ``product/missing-file`` for a
    path that is not there, and whatever ``read_product`` raises.
    """
    if name_or_path in shipped():
        return read_product(shipped_bytes(*_SHIPPED, name_or_path))
    try:
        file = Path(name_or_path)
        if not file.is_file():
            if _ID.fullmatch(name_or_path):
                known = " ".join(shipped())
                raise BadInput("product/unknown", name=name_or_path, known=known)
            raise BadInput("product/missing-file", file=_shown(name_or_path))
        with file.open("rb") as opened:
            raw = opened.read(MAX_FILE + 1)
    except (OSError, ValueError) as error:
        shown = _shown(name_or_path)
        raise BadInput("product/missing-file", file=shown, reason="not readable") from error
    try:
        return read_product(raw)
    except BadInput as error:
        raise BadInput(error.code, **{"file": _shown(file.name), **error.facts}) from error


def read_product(text: str | bytes) -> Product:
    """A product from TOML, checked whole.

    Raises BadInput: ``product/format`` if it is no TOML or too large, ``product/unknown-key``,
    ``product/missing-key``, ``product/value``, ``product/unit``, ``product/provenance``, and what
    ``check`` and ``read_repayment`` raise; ``at`` and ``line`` say where.
    """
    page = Page(text, family="product")
    about, levels = page.section("product"), page.section("levels")
    repayment = read_repayment(page)
    size = page.section("size")
    calls = tuple(_call(each) for each in page.sections("call", most=4))
    initial = ratio(levels, "initial")
    product = Product(
        id=about.text("id", longest=40, pattern=_ID),
        title=about.text("title", longest=100),
        in_words=about.text("in_words", longest=1_000),
        basis=levels.choice("basis", Basis),
        initial=initial,
        notices=tuple(level(each, "level") for each in page.sections("notice", most=8)),
        calls=calls,
        restore=ratio(levels, "restore") if calls else initial,
        cure_by=levels.choice("cure_by", CureBy) if calls else CureBy.BOTH,
        lapse=levels.choice("lapse", Lapse) if calls else Lapse.WHILE_REACHED,
        immediate=level(levels, "immediate") if "immediate" in levels else None,
        liquidation=_liquidation(page.section("liquidation")),
        price=_price(page.section("price")),
        repayment=repayment,
        confirmations=page.section("custody").number("confirmations", "count", 0, 100),
        least=cents(size, "least") if "least" in size else None,
        most=cents(size, "most") if "most" in size else None,
        parameters=tuple(page.parameters),
    )
    page.close()
    check(product, refuse=page.bad)
    return product


def _call(table: Section) -> Call:
    reached = level(table, "level")
    cure = table.span_or_none("cure", 0, MAX_SPAN)
    dwell = table.span("dwell", 0, MAX_SPAN) if "dwell" in table else Seconds(0)
    return Call(reached, cure, dwell)


def _liquidation(table: Section) -> Liquidation:
    match table.choice("kind", _Kind):
        case _Kind.TAKE_OVER:
            return TakeOver(table.bps("bonus", 0, MAX_BONUS))
        case _Kind.MARKET:
            return MarketSale(table.bps("fee", 0, MAX_BONUS))
        case _Kind.PARTIAL:
            target = ratio(table, "target") * BPS
            if target.denominator != 1 or target >= BPS:
                raise table.bad("product/value", "target", reason="not whole bps below 10000")
            fee = table.bps("fee", 0, MAX_BONUS)
            return PartialSale(Bps(int(target)), fee, _optional(table, "full_below"))
        case _Kind.THIRD_PARTY:
            close = table.bps("close", 1, BPS)
            # 50 for a half: nobody may cover a hundredth of a debt and no more.
            if close <= 100:
                raise table.bad("product/unit", "close", reason="percent for bps", bps=close)
            return ThirdParty(
                table.bps("bonus", 0, MAX_BONUS),
                close,
                ratio(table, "full_at") if "full_at" in table else None,
                _optional(table, "full_below"),
                _optional(table, "min_left"),
            )
        case _Kind.AUCTION:
            return DutchAuction(
                table.bps("buf", BPS, 2 * BPS),
                table.bps("cut", 1, BPS - 1),
                table.span("step", 1, DAY),
                table.span("tail", 1, MAX_SPAN),
                table.bps("cusp", 1, BPS),
                table.bps("fee", 0, MAX_BONUS),
            )
        case _Kind.BANDS:
            return SoftBands(
                table.number("count", "count", MIN_BANDS, MAX_BANDS),
                table.number("steepness", "count", 2, 10_000),
                table.bps("fee", 0, 1_000),
                table.bps("stride", 1, 1_000),
                table.bps("loan_discount", 0, BPS - 1),
                table.bps("liquidation_discount", 0, BPS - 1),
            )


def _optional(table: Section, key: str) -> Cents:
    return cents(table, key) if key in table else Cents(0)


def _price(table: Section) -> PriceRule:
    sources = table.number("sources", "count", 1, 100)
    return PriceRule(
        sources,
        table.number("quorum", "count", 1, sources),
        table.span("heartbeat", 1, 7 * DAY),
        table.bps("deviation", 0, BPS),
        table.number("to_call", "count", 1, sources),
    )


def _shown(name: str) -> str:
    return one_line(name)[:80]
