"""A pilot for people and for machines: its steps, what is assumed, what is not claimed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

from escrow.core.laws import LAWS
from escrow.sim.pilot import Pilot, Step
from escrow.view.export import audit_head
from escrow.words import moment
from escrow.world import World

_WIDTH = 11


def pilot_as_dict(pilot: Pilot) -> dict[str, object]:
    """The JSON of a pilot: plan, steps, end, laws and audit."""
    plan, world = pilot.plan, pilot.world
    lines, head = audit_head(world)
    return {
        "pilot": plan.name,
        "title": plan.title,
        "seed": world.config.seed,
        "systems": list(plan.systems),
        "simulated": list(plan.simulated),
        "not_claimed": list(plan.not_claimed),
        "assumed": list(plan.assumed),
        "steps": [asdict(each) | {"acts": list(each.acts)} for each in pilot.steps],
        "result": pilot.result,
        "loans": {deal.id: deal.phase for deal in world.loans},
        "checks": [asdict(each) for each in pilot.checks],
        "laws": len(LAWS),
        "law_checks": world.engine.checked * len(LAWS),
        "broken": _broken(world),
        "audit_lines": lines,
        "audit_head": head,
        "state_hash": world.state_hash,
        "branches": {name: _branch(each) for name, each in pilot.branches.items()},
    }


def _branch(world: World) -> dict[str, object]:
    lines, head = audit_head(world)
    return {
        "loans": {deal.id: deal.phase for deal in world.loans},
        "broken": _broken(world),
        "audit_lines": lines,
        "audit_head": head,
        "state_hash": world.state_hash,
    }


def _broken(world: World) -> list[str]:
    return sorted({law.id for law, _, _ in world.engine.broken})


def pilot_rows(pilot: Pilot) -> Iterator[tuple[str, str]]:
    """Label and text of each row, for the terminal."""
    plan, world = pilot.plan, pilot.world
    yield "pilot", f"{plan.name}, seed {world.config.seed}: {plan.title}"
    for text in plan.assumed:
        yield "ASSUMED", text
    for text in plan.not_claimed:
        yield "NOT CLAIMED", text
    for step in pilot.steps:
        yield "", ""
        yield f"{step.n:>2}", f"{moment(step.at)}  {step.actor}: {step.verb}{_acts(step)}"
        yield "", step.text
        if step.refused:
            facts = " ".join(f"{name}={value}" for name, value in step.facts.items())
            yield "refused", f"{step.refused} {facts}".rstrip()
    yield "", ""
    for name, value in pilot.result.items():
        yield "end", f"{name.replace('_', ' ')}: {value}"
    for check in pilot.checks:
        yield ("holds" if check.holds else "BROKEN"), check.words
    broken = ", ".join(_broken(world))
    yield (
        "laws",
        f"{len(LAWS)} laws, {world.engine.checked * len(LAWS):,} checks, "
        + (f"BROKEN: {broken}" if broken else "none broken"),
    )
    lines, head = audit_head(world)
    yield "audit", f"{lines} lines, head {head}"
    yield "state", world.state_hash
    for name, each in pilot.branches.items():
        lines, head = audit_head(each)
        phases = ", ".join(deal.phase for deal in each.loans)
        broken = ", ".join(_broken(each))
        yield "", ""
        yield "or", f"{name}: {phases}; " + (f"BROKEN: {broken}" if broken else "no law broken")
        yield "audit", f"{lines} lines, head {head}"
        yield "state", each.state_hash


def _acts(step: Step) -> str:
    """Which acts of the world a step is made of, as ``escrow why`` counts them."""
    first, end = step.acts
    return f"  (acts {first} to {end - 1})" if first < end else ""


def pilot_text(pilot: Pilot) -> str:
    """The whole pilot as text, the same for the same seed."""
    rows = (f"{label:<{_WIDTH}} {text}".rstrip() for label, text in pilot_rows(pilot))
    return "\n".join(rows) + "\n"
