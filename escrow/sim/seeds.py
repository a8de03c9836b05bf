"""Every system that the pilots come from: what is simulated, what assumed, what not claimed."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib import resources

from escrow.provenance import Status
from escrow.sim.pilot import PILOTS, load_plan


@dataclass(frozen=True, slots=True)
class Seed:
    """One system."""

    id: str
    """``S1`` and so on."""
    named: str
    """What people call it."""
    pilots: tuple[str, ...]
    """Pilots that play it, the first one first."""
    commands: tuple[str, ...]
    """What to run."""
    simulated: str
    assumed: tuple[str, ...]
    """What nobody has disclosed: names of each pilot's terms, or words where there is none."""
    not_claimed: str


def seeds() -> tuple[Seed, ...]:
    """All of them, in order."""
    assumed = {name: _assumed(name) for name in PILOTS}
    text = resources.files("escrow.sim").joinpath("seeds.toml").read_text()
    return tuple(
        Seed(
            id=row["id"],
            named=row["named"],
            pilots=tuple(row.get("pilots", ())),
            commands=(
                *(f"escrow demo {name}" for name in row.get("pilots", ())),
                *row.get("commands", ()),
            ),
            simulated=row["simulated"],
            assumed=(
                *(assumed[name] for name in row.get("pilots", ())),
                *([row["assumed"]] if "assumed" in row else []),
            ),
            not_claimed=row["not_claimed"],
        )
        for row in tomllib.loads(text)["seed"]
    )


def played() -> dict[str, tuple[str, ...]]:
    """Which systems each pilot says that it stands for."""
    return {name: load_plan(name).systems for name in PILOTS}


def _assumed(name: str) -> str:
    terms = load_plan(name).terms.values()
    return f"{name}: " + ", ".join(each.name for each in terms if each.status is Status.ASSUMED)
