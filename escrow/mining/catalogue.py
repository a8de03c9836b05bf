"""Machines, moments of the network and figures of companies, as TOML with the source of each.

``machines.toml``::

    [[curve]]
    id = "quarterly-30"
    left = { day_bps = [[0, 10000], [91, 7000]], status = "assumed", source = "…" }

    [[machine]]
    id = "antminer-s21"
    maker = "Bitmain"
    model = "Antminer S21"
    hash_rate = { gh_s = 200_000, status = "reported", source = "…" }
    efficiency = { mj_per_th = 17_500, … }
    price = { us_cents_per_th = 2_000, … }
    curve = { id = "quarterly-30", … }

``network.toml``::

    [[moment]]
    id = "2025-12-25"
    at = { unix = 1_766_620_800, … }
    height = { block = 929_376, … }
    difficulty = { times = 148_260_000_000_000, … }
    fees = { sats_per_block = 2_000_000, … }

``companies.toml``::

    [[figure]]
    id = "intelion-machines"
    says = "ASICs in Intelion Data's care, about"
    unit = "machines"
    figure = { machines = 35_000, … }
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

from escrow.core.errors import BadInput
from escrow.core.units import BPS, MAX_CENTS, MAX_MONEY, MAX_TIME, Bps, Cents, Sats, Seconds
from escrow.mining.machines import MAX_AGE, Curve, Machine, check_curve
from escrow.mining.network import MAX_HEIGHT, bits_of_difficulty
from escrow.mining.units import Ghs, MilliJoules
from escrow.page import Page, Section
from escrow.provenance import Parameter, Status
from escrow.tables import shipped_bytes

MAX_TABLES: Final = 200
"""Tables of one name."""
MAX_WORDS: Final = 200
"""Of a maker, a model or what a figure says, in characters."""
MAX_POINTS: Final = 100
"""Points of a curve."""
UNITS: Final = ("machines", "watts", "us_cents", "clients", "bps")
"""What figures of companies count."""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Machines by id, and the curves they age by."""

    machines: tuple[Machine, ...]
    """In the order of the file."""
    curves: tuple[Curve, ...]
    """In the order of the file."""

    def machine(self, name: str) -> Machine:
        """A machine by id. Raises BadInput("mining/unknown")."""
        return _named(self.machines, name)


@dataclass(frozen=True, slots=True)
class Moment:
    """The network as it was, or was assumed to be, at one time."""

    id: str
    """Short name."""
    at: Seconds
    """When."""
    height: int
    """Of the next block."""
    bits: int
    """Its target, in compact form: from the difficulty as published, so of as many digits."""
    fees: Sats
    """Fees a block."""
    parameters: tuple[Parameter, ...]
    """Where its numbers are from."""


@dataclass(frozen=True, slots=True)
class Figure:
    """What is said of a company, to be used as a parameter and never as a fact."""

    id: str
    """Short name."""
    says: str
    """Of what."""
    unit: str
    """What it counts, one of ``UNITS``."""
    value: int
    """How many."""
    parameters: tuple[Parameter, ...]
    """Where it is from."""


def load_catalogue() -> Catalogue:
    """The machines that are shipped."""
    return read_catalogue(_shipped("machines"))


def load_moment(name: str) -> Moment:
    """A shipped moment of the network by id. Raises BadInput("mining/unknown")."""
    return _named(read_moments(_shipped("network")), name)


def load_figure(name: str) -> Figure:
    """A shipped figure by id. Raises BadInput("mining/unknown")."""
    return _named(read_figures(_shipped("companies")), name)


def read_catalogue(text: str | bytes) -> Catalogue:
    """Machines from TOML.

    Raises BadInput: ``mining/format``, ``mining/unknown-key``, ``mining/missing-key``,
    ``mining/value``, ``mining/unit``, ``mining/provenance``, ``mining/curve``, and
    ``mining/unknown`` for a machine of no curve.
    """
    page = _page(text)
    curves = tuple(_curve(name, each) for name, each in page.named("curve", most=MAX_TABLES))
    machines = tuple(
        _machine(name, each, curves) for name, each in page.named("machine", most=MAX_TABLES)
    )
    page.close()
    return Catalogue(machines, curves)


def read_moments(text: str | bytes) -> tuple[Moment, ...]:
    """Moments of the network from TOML. Raises as ``read_catalogue``."""
    page = _page(text)
    found = tuple(
        Moment(
            id=name,
            at=Seconds(each.number("at", "unix", 0, MAX_TIME)),
            height=each.number("height", "block", 0, MAX_HEIGHT - 1),
            bits=bits_of_difficulty(each.number("difficulty", "times", 1, 10**24)),
            fees=Sats(each.number("fees", "sats_per_block", 0, MAX_MONEY)),
            parameters=tuple(each.parameters),
        )
        for name, each in page.named("moment", most=MAX_TABLES)
    )
    page.close()
    return found


def read_figures(text: str | bytes) -> tuple[Figure, ...]:
    """Figures of companies from TOML. Raises as ``read_catalogue``."""
    page = _page(text)
    found = tuple(_figure(name, each) for name, each in page.named("figure", most=MAX_TABLES))
    page.close()
    return found


def _page(text: str | bytes) -> Page:
    return Page(text, family="mining", statuses=tuple(Status))


def _curve(name: str, table: Section) -> Curve:
    points = tuple(
        (table.whole("left", day, 0, MAX_AGE), Bps(table.whole("left", left, 0, BPS)))
        for day, left in table.pairs("left", "day_bps", most=MAX_POINTS)
    )
    curve = Curve(name, points, tuple(table.parameters))
    check_curve(curve)
    return curve


def _machine(name: str, table: Section, curves: Sequence[Curve]) -> Machine:
    _, curve = table.term("curve", "id")
    return Machine(
        id=name,
        maker=table.text("maker", longest=MAX_WORDS),
        model=table.text("model", longest=MAX_WORDS),
        hash_rate=Ghs(table.number("hash_rate", "gh_s", 1, 10**9)),
        efficiency=MilliJoules(table.number("efficiency", "mj_per_th", 1, 10**9)),
        price_per_th=Cents(table.number("price", "us_cents_per_th", 0, MAX_CENTS)),
        curve=_named(curves, str(curve)),
        parameters=tuple(table.parameters),
    )


def _figure(name: str, table: Section) -> Figure:
    says, unit = table.text("says", longest=MAX_WORDS), table.text("unit", longest=MAX_WORDS)
    if unit not in UNITS:
        raise table.bad("mining/value", "unit", reason="none of " + " ".join(UNITS))
    value = table.number("figure", unit, 0, MAX_CENTS)
    return Figure(name, says, unit, value, tuple(table.parameters))


class _Named(Protocol):
    @property
    def id(self) -> str: ...


_T = TypeVar("_T", bound=_Named)


def _named(each: Sequence[_T], name: str) -> _T:
    for one in each:
        if one.id == name:
            return one
    raise BadInput("mining/unknown", name=name[:40], known=" ".join(one.id for one in each)[:400])


def _shipped(name: str) -> bytes:
    return shipped_bytes("escrow.mining", "data", name)
