"""Types of collateral as TOML files: those that are shipped, and anyone's own.

Every term is a table of its value under the name of its unit, and of where it is from::

    [type]                      # plain text, without provenance
    id = "machine"              # a-z, 0-9 and hyphens
    title = "A short line"
    in_words = "What it is."    # may run over lines
    valuation = "age"           # price, face, age, deliveries, nav, capex, unverifiable
    custody = "register"        # vault, register, nowhere

    [valuation]                 # what that valuation has; price and unverifiable have nothing
    curve = { day_bps = [[0, 10000], [91, 7000]], status = "assumed", source = "…" }
    max_age = { days = 1095, … }        # age
    rate = { bps = 2300, … }            # face, deliveries, nav: discount a year
    min_left = { days = 30, … }         # the same
    split = { bps = 3000, … }           # capex; optional: without it nothing is split

    [levels]
    haircut = { bps = 7000, … }
    restore = { bps = 5000, … }
    call = { bps = 7000, … }
    liquidation = { bps = 8500, … }

    [limits]                    # each optional
    whole = { bps = 5000, … }           # or { amount = "1000000.00", … }
    issuer = { bps = 2500, … }
    item = { bps = 1000, … }

    [sale]
    lag = { days = 60, … }
    discount = { bps = 1500, … }
    costs = { bps = 500, … }

A type that is unverifiable has neither levels nor sale.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import Enum
from itertools import pairwise
from pathlib import Path
from typing import Final

from escrow.collateral.model import (
    ByAge,
    ByCapex,
    ByDeliveries,
    ByFace,
    ByNav,
    ByPrice,
    Curve,
    Custody,
    Levels,
    Limit,
    Limits,
    Type,
    Unverifiable,
    Valuation,
)
from escrow.core.errors import BadInput, one_line
from escrow.core.units import BPS, DAY, Bps, Seconds
from escrow.page import Page, Section
from escrow.tables import MAX_FILE, shipped_bytes, shipped_names

MAX_DAYS: Final = 30 * 365
"""Longest age, lag or term."""
MAX_RATE: Final = 10 * BPS
"""Steepest discount a year."""
MAX_POINTS: Final = 100
"""Points of a curve."""

_ID: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_NOTHING: Final = Levels(Bps(BPS), Bps(0), Bps(0), Bps(0))
"""Levels of what counts zero."""


class _Kind(Enum):
    PRICE = "price"
    FACE = "face"
    AGE = "age"
    DELIVERIES = "deliveries"
    NAV = "nav"
    CAPEX = "capex"
    UNVERIFIABLE = "unverifiable"


_SHIPPED: Final = ("escrow.collateral", "types")
"""Package and folder of what ships."""


def shipped() -> tuple[str, ...]:
    """Ids of the types that come with the package, sorted."""
    return shipped_names(*_SHIPPED)


def load_types() -> dict[str, Type]:
    """All shipped types by id."""
    return {name: load_type(name) for name in shipped()}


def load_type(name_or_path: str) -> Type:
    """A shipped type by id, else a file. Raises BadInput: ``collateral/unknown`` for a name that
    is neither, ``collateral/missing-file``, and whatever ``read_type`` raises."""
    if name_or_path in shipped():
        return read_type(shipped_bytes(*_SHIPPED, name_or_path))
    shown = one_line(name_or_path)[:80]
    if _ID.fullmatch(name_or_path):
        raise BadInput("collateral/unknown", name=shown, known=" ".join(shipped()))
    try:
        with Path(name_or_path).open("rb") as opened:
            raw = opened.read(MAX_FILE + 1)
    except (OSError, ValueError) as error:
        raise BadInput("collateral/missing-file", file=shown) from error
    return read_type(raw)


def read_type(text: str | bytes) -> Type:
    """A type of collateral from TOML, checked whole.

    Raises BadInput: ``collateral/format``, ``collateral/unknown-key``, ``collateral/missing-key``,
    ``collateral/value``, ``collateral/unit``, ``collateral/provenance``.
    """
    page = Page(text, family="collateral")
    about = page.section("type")
    kind = about.word("valuation", _Kind)
    custody = about.word("custody", Custody)
    nothing = kind is _Kind.UNVERIFIABLE
    if (custody is Custody.NOWHERE) is not nothing:
        raise about.bad(
            "collateral/value", "custody", reason="what counts is kept somewhere, the rest nowhere"
        )
    sale = page.section("sale")
    found = Type(
        id=about.text("id", longest=40, pattern=_ID),
        title=about.text("title", longest=100),
        in_words=about.text("in_words", longest=1_000),
        tag=kind.value if nothing else "",
        valuation=_valuation(kind, page.section("valuation")),
        levels=_NOTHING if nothing else _levels(page.section("levels")),
        limits=_limits(page.section("limits")),
        lag=Seconds(0) if nothing else _days(sale, "lag", 0),
        discount=Bps(0) if nothing else sale.bps("discount", 0, BPS),
        costs=Bps(0) if nothing else sale.bps("costs", 0, BPS),
        custody=custody,
        parameters=tuple(page.parameters),
    )
    page.close()
    return found


def _valuation(kind: _Kind, table: Section) -> Valuation:
    match kind:
        case _Kind.PRICE:
            return ByPrice()
        case _Kind.FACE:
            return ByFace(*_discount(table))
        case _Kind.AGE:
            points = table.pairs("curve", "day_bps", most=MAX_POINTS)
            return ByAge(curve_of(points), _days(table, "max_age", 1))
        case _Kind.DELIVERIES:
            return ByDeliveries(*_discount(table))
        case _Kind.NAV:
            return ByNav(*_discount(table))
        case _Kind.CAPEX:
            return ByCapex(table.bps("split", 1, BPS) if "split" in table else None)
        case _Kind.UNVERIFIABLE:
            return Unverifiable()


def _discount(table: Section) -> tuple[Bps, Seconds]:
    return table.bps("rate", 0, MAX_RATE), _days(table, "min_left", 0)


def curve_of(points: Sequence[tuple[int, int]]) -> Curve:
    """A curve of (day, bps). Raises BadInput("collateral/value") unless it begins with all on day 0
    and falls as days rise."""
    rising = all(
        day < later <= MAX_DAYS and 0 <= less <= left
        for (day, left), (later, less) in pairwise(points)
    )
    if not 0 < len(points) <= MAX_POINTS or points[0] != (0, BPS) or not rising:
        reason = "a curve begins with [0, 10000]; days rise and what is left falls"
        raise BadInput("collateral/value", reason=reason)
    return Curve(tuple((day, Bps(left)) for day, left in points))


def _levels(table: Section) -> Levels:
    levels = Levels(
        table.bps("haircut", 0, BPS),
        table.bps("restore", 1, BPS),
        table.bps("call", 1, BPS),
        table.bps("liquidation", 1, BPS),
    )
    # As in the terms of a loan on coins: initial ≤ restore < call < liquidation < 100 %.
    initial = BPS - levels.haircut
    if not 0 < initial <= levels.restore < levels.call < levels.liquidation < BPS:
        reason = "levels must rise: initial, restore, call, liquidation"
        raise table.bad("collateral/value", "haircut", reason=reason)
    return levels


def _limits(table: Section) -> Limits:
    names = ("whole", "issuer", "item")
    return Limits(**{name: _limit(table, name) if name in table else None for name in names})


def _limit(table: Section, key: str) -> Limit:
    """A share of the whole, or an amount of money as text."""
    unit, found = table.term(key, "bps", "amount")
    if unit == "bps":
        return Limit(Bps(table.whole(key, found, 0, BPS)), None)
    return Limit(None, table.cents(key, found))


def _days(table: Section, key: str, low: int) -> Seconds:
    """A time in whole days, as seconds; ``low`` is in days."""
    return Seconds(DAY * table.number(key, "days", low, MAX_DAYS))
