"""Pilots: the world around a loan, told step by step with what is assumed and what not claimed.

The numbers of a pilot are a TOML file, each with where it comes from; what nobody has disclosed is
``assumed``, and every report prints it::

    [pilot]
    name = "sber-pilot"             # as its module, with hyphens
    title = "One line for reports"
    start = "2025-12-01"            # UTC; the world begins here
    systems = ["S1", "S2"]          # what it stands for (``escrow seeds``)
    simulated = ["what is played"]
    not_claimed = ["what is not said by it"]

    [terms]
    cure_hours = { value = 24, status = "assumed", source = "not disclosed; a day is usual" }
    unit_price = { value = "5000.00", status = "disclosed", source = "who says so" }
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib import import_module, resources
from typing import Any, Final, Protocol, TypeVar, cast

from escrow.config import WorldConfig
from escrow.core.errors import BadInput, EscrowError, Refused
from escrow.core.units import Seconds
from escrow.parse import parse_time
from escrow.provenance import Parameter, Status
from escrow.sim.toml import Table
from escrow.tables import tables
from escrow.world import World

PILOTS: Final[tuple[str, ...]] = (
    "sber-pilot",
    "sovcombank-pool",
    "machine-loan",
    "hash-power",
    "mining-revenue",
    "elr-settlement",
    "atomic-swap",
    "double-pledge",
    "reserve-fund",
    "highly-qualified",
    "registry-delisting",
)
"""Every pilot, in the order of ``escrow seeds``."""

_T = TypeVar("_T")
_MAX_TERMS: Final = 200
_STATUSES: Final = {each.value: each for each in (Status.DISCLOSED, Status.ASSUMED)}


@dataclass(frozen=True, slots=True)
class Term:
    """One number of a pilot, or one word."""

    name: str
    value: int | str
    status: Status
    source: str


def terms_of(parameters: Iterable[Parameter], *, of: str = "") -> Iterator[Term]:
    """Figures that ship with the package, as terms; ``of`` goes before their names."""
    for each in parameters:
        yield Term(of + each.name, each.value, each.status, each.source)


@dataclass(frozen=True, slots=True)
class Plan:
    """A pilot's file."""

    name: str
    title: str
    start: Seconds
    """When its world begins."""
    systems: tuple[str, ...]
    """Rows of the table of systems that it stands for."""
    simulated: tuple[str, ...]
    not_claimed: tuple[str, ...]
    terms: Mapping[str, Term]

    @property
    def assumed(self) -> tuple[str, ...]:
        """What nobody has disclosed, a line each."""
        return tuple(
            f"{each.name} = {each.value}: {each.source}"
            for each in self.terms.values()
            if each.status is Status.ASSUMED
        )

    def integer(self, name: str, low: int, high: int) -> int:
        """A term that is a whole number from ``low`` to ``high``. Raises
        ``BadInput("scenario/value")``."""
        value = self._term(name).value
        if not isinstance(value, int) or not low <= value <= high:
            raise BadInput("scenario/value", at=f"terms.{name}", low=low, high=high)
        return value

    def read(self, name: str, parse: Callable[[str], _T]) -> _T:
        """What ``parse`` makes of a term that is text: an amount, a time, a price."""
        value = self._term(name).value
        if not isinstance(value, str):
            raise BadInput("scenario/value", at=f"terms.{name}", reason="not text")
        try:
            return parse(value)
        except BadInput as error:
            raise BadInput(error.code, at=f"terms.{name}", **error.facts) from error

    def text(self, name: str) -> str:
        """A term that is text."""
        return self.read(name, str)

    def _term(self, name: str) -> Term:
        if name not in self.terms:
            raise BadInput("scenario/missing-key", at=f"terms.{name}")
        return self.terms[name]


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that somebody did, or was refused."""

    n: int
    """From 1."""
    at: Seconds
    """When it was over."""
    actor: str
    verb: str
    text: str
    """In words."""
    facts: Mapping[str, int | str]
    """The same for a machine."""
    refused: str
    """Code of the refusal; empty for what was done."""
    acts: tuple[int, int]
    """Acts of the world that it is made of: the first, and the one after the last."""


@dataclass(frozen=True, slots=True)
class Check:
    """A rule of the pilot's own, asked at its end."""

    words: str
    holds: bool


@dataclass(slots=True)
class Pilot:
    """A pilot under way. It is closed by whoever played it."""

    plan: Plan
    world: World
    steps: list[Step] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    result: dict[str, Any] = field(default_factory=dict)
    """How it ended, for a machine: integers with the unit in the name, text, lists of them."""
    branches: dict[str, World] = field(default_factory=dict)
    """Other endings, by name: worlds that were forked on the way, and closed with this one."""
    _told: int = 0

    def close(self) -> None:
        """Let go of every world."""
        for world in (self.world, *self.branches.values()):
            world.close()

    def step(self, actor: str, verb: str, text: str, **facts: int | str) -> None:
        """Tell what was just done. The acts of the world since the step before belong to it."""
        self._tell(actor, verb, text, facts, refused="")

    @contextmanager
    def refused(self, code: str, actor: str, verb: str, text: str) -> Iterator[None]:
        """Try what must be refused with this code, and tell it with the numbers of the refusal.

        Another refusal is raised on. Raises ``Refused("pilot/not-refused")`` if it is allowed.
        """
        try:
            yield
        except EscrowError as error:
            if error.code != code:
                raise
            self._tell(actor, verb, text, error.facts, refused=code)
        else:
            raise Refused("pilot/not-refused", actor=actor, verb=verb, expected=code)

    def check(self, words: str, holds: bool) -> None:
        """Ask a rule of the pilot's own: one that does not hold makes the run fail."""
        self.checks.append(Check(words, holds))

    @property
    def sound(self) -> bool:
        """Does every law of the world hold, and every rule of its own?"""
        worlds = (self.world, *self.branches.values())
        lawful = not any(world.engine.broken for world in worlds)
        return lawful and all(each.holds for each in self.checks)

    def adopt(self, terms: Iterable[Term]) -> None:
        """These are terms of the plan too, so that the report says what of them is assumed."""
        more = {each.name: each for each in terms}
        self.plan = replace(self.plan, terms={**self.plan.terms, **more})

    def _tell(
        self, actor: str, verb: str, text: str, facts: Mapping[str, int | str], *, refused: str
    ) -> None:
        acts, self._told = (self._told + 1, len(self.world.acts) + 1), len(self.world.acts)
        self.steps.append(
            Step(len(self.steps) + 1, self.world.now, actor, verb, text, dict(facts), refused, acts)
        )


class Story(Protocol):
    """A module of ``escrow.sim.pilots``."""

    def config(self, plan: Plan, *, seed: int) -> WorldConfig:
        """The world in which it is played."""

    def play(self, pilot: Pilot) -> None:
        """Play it."""


def load_plan(name: str) -> Plan:
    """The file of a pilot. Raises ``BadInput("scene/unknown")``."""
    if name not in PILOTS:
        raise BadInput("scene/unknown", name=name[:40], known=" ".join(PILOTS))
    file = resources.files("escrow.sim").joinpath("scenarios", "pilots", f"{name}.toml")
    return read_plan(file.read_text())


def read_plan(text: str) -> Plan:
    """Read a pilot's file from text. Raises ``BadInput``: ``scenario/…``, ``input/time``."""
    top = Table(tables(text, code="scenario/format"))
    about, terms = top.table("pilot"), top.table("terms")
    if len(terms.keys) > _MAX_TERMS:
        raise BadInput("scenario/format", reason="too many terms", most=_MAX_TERMS)
    plan = Plan(
        name=about.text("name"),
        title=about.text("title"),
        start=about.read("start", parse_time),
        systems=about.texts("systems"),
        simulated=about.texts("simulated"),
        not_claimed=about.texts("not_claimed"),
        terms={name: _term(name, terms.table(name)) for name in terms.keys},
    )
    top.close()
    return plan


def _term(name: str, table: Table) -> Term:
    return Term(
        name=name,
        value=table.word("value"),
        status=table.one_of("status", _STATUSES),
        source=table.text("source", longest=500),
    )


def play_pilot(name: str, *, seed: int = 1) -> Pilot:
    """Play a pilot from its beginning to its end. The caller closes it.

    Raises ``BadInput("scene/unknown")``, ``BadInput("input/seed")``.
    """
    plan = load_plan(name)
    story = cast(Story, import_module(f"escrow.sim.pilots.{name.replace('-', '_')}"))
    pilot = Pilot(plan, World(config=story.config(plan, seed=seed)))
    try:
        story.play(pilot)
    except BaseException:
        pilot.close()
        raise
    return pilot
