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
from typing import Any, Final, Protocol, TypeVar

from escrow.core.errors import BadInput
from escrow.core.units import BPS, MAX_CENTS, MAX_MONEY, MAX_TIME, Bps, Cents, Sats, Seconds
from escrow.mining.fields import Section, check_known, parse, sections
from escrow.mining.machines import MAX_AGE, Curve, Machine, check_curve
from escrow.mining.network import MAX_HEIGHT, bits_of_difficulty
from escrow.mining.provenance import Parameter
from escrow.mining.units import Ghs, MilliJoules
from escrow.tables import shipped_bytes

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
    top = parse(text)
    check_known(top, ("curve", "machine"))
    curves = tuple(_curve(each) for each in sections(top, "curve"))
    machines = tuple(_machine(each, curves) for each in sections(top, "machine"))
    return Catalogue(machines, curves)


def read_moments(text: str | bytes) -> tuple[Moment, ...]:
    """Moments of the network from TOML. Raises as ``read_catalogue``."""
    top = parse(text)
    check_known(top, ("moment",))
    return tuple(
        Moment(
            id=each.id,
            at=Seconds(each.number("at", "unix", 0, MAX_TIME)),
            height=each.number("height", "block", 0, MAX_HEIGHT - 1),
            bits=bits_of_difficulty(each.number("difficulty", "times", 1, 10**24)),
            fees=Sats(each.number("fees", "sats_per_block", 0, MAX_MONEY)),
            parameters=each.close(),
        )
        for each in sections(top, "moment")
    )


def read_figures(text: str | bytes) -> tuple[Figure, ...]:
    """Figures of companies from TOML. Raises as ``read_catalogue``."""
    top = parse(text)
    check_known(top, ("figure",))
    return tuple(_figure(each) for each in sections(top, "figure"))


def _curve(table: Section) -> Curve:
    found = table.sourced("left", "day_bps")
    if not isinstance(found, list) or not 1 <= len(found) <= MAX_POINTS:
        raise table.bad("left", reason="not a list of points", most=MAX_POINTS)
    curve = Curve(table.id, tuple(_point(table, each) for each in found), table.close())
    check_curve(curve)
    return curve


def _point(table: Section, found: Any) -> tuple[int, Bps]:
    if not isinstance(found, list) or len(found) != 2:
        raise table.bad("left", reason="a point is [day, bps]")
    day = table.whole("left", found[0], 0, MAX_AGE)
    return day, Bps(table.whole("left", found[1], 0, BPS))


def _machine(table: Section, curves: Sequence[Curve]) -> Machine:
    name = table.sourced("curve", "id")
    return Machine(
        id=table.id,
        maker=table.text("maker"),
        model=table.text("model"),
        hash_rate=Ghs(table.number("hash_rate", "gh_s", 1, 10**9)),
        efficiency=MilliJoules(table.number("efficiency", "mj_per_th", 1, 10**9)),
        price_per_th=Cents(table.number("price", "us_cents_per_th", 0, MAX_CENTS)),
        curve=_named(curves, str(name)),
        parameters=table.close(),
    )


def _figure(table: Section) -> Figure:
    says, unit = table.text("says"), table.text("unit")
    if unit not in UNITS:
        raise table.bad("unit", reason="none of " + " ".join(UNITS))
    value = table.number("figure", unit, 0, MAX_CENTS)
    return Figure(table.id, says, unit, value, table.close())


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
