"""``escrow why``: one step of a world explained, or what would come next, as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from escrow.core.errors import CODES, BadInput
from escrow.deal import Act
from escrow.view.explain import SAYS_ALL, Explanation, explain, is_open, outlook
from escrow.view.trace import told
from escrow.words import moment
from escrow.world import World

_WIDTH = 15
_LONGEST = 18
"""Digits of a step's number at most: longer ones are no step, and not worth reading."""


def step_number(text: str) -> int:
    """A step's number as ``escrow demo`` prints it. Raises ``BadInput("step/unknown")``."""
    if not (text.isascii() and text.isdigit() and len(text) <= _LONGEST):
        raise BadInput("step/unknown", step=text[:40])
    return int(text)


def act_of(world: World, n: int) -> Act:
    """Step ``n``, counted from 1. Raises ``BadInput("step/unknown")``."""
    if not 1 <= n <= len(world.acts):
        raise BadInput("step/unknown", step=n, steps=len(world.acts))
    return world.acts[n - 1]


def explanations(act: Act) -> tuple[Explanation, ...]:
    """Why each event of an act happened; of the same price signed again only the last."""
    return tuple(explain(step) for step in told(act) if not isinstance(step.event, SAYS_ALL))


def step_as_dict(world: World, n: int) -> dict[str, Any]:
    """Step ``n`` explained, and what might have come next then."""
    act = act_of(world, n)
    return {
        "step": n,
        "at": act.at,
        "actor": act.actor,
        "verb": act.verb,
        "asked": act.asked,
        "explanations": [each.as_dict() for each in explanations(act)],
        "refusals": [
            {"code": each.code, "words": CODES[each.code], "facts": each.facts}
            for each in act.refusals
        ],
        "then": [
            outlook(loan, deal).as_dict()
            for loan, deal in world.states_after(n).items()
            if is_open(deal)
        ],
    }


def step_as_text(world: World, n: int) -> Iterator[str]:
    """The same for people, line by line."""
    act = act_of(world, n)
    asked = "".join(f", {name} {value}" for name, value in act.asked.items())
    yield f"{n:>3}. {moment(act.at)}  {act.actor}: {act.verb}{asked}"
    found = explanations(act)
    if not found:
        yield "      nothing was decided"
    for each in found:
        yield from ("", *_lines(each.rows()))
    for refusal in dict.fromkeys(str(each) for each in act.refusals):
        yield from ("", f"      {'not yet':<{_WIDTH}} {refusal}")
    for loan, deal in world.states_after(n).items():
        if is_open(deal):
            yield from ("", *_lines(outlook(loan, deal).rows()))


def now_as_dict(world: World) -> dict[str, Any]:
    """For each open loan, what may come next and how far it is."""
    return {
        "at": world.now,
        "steps": len(world.acts),
        "loans": [
            outlook(deal.id, deal.state).as_dict() for deal in world.loans if is_open(deal.state)
        ],
    }


def now_as_text(world: World) -> Iterator[str]:
    """The same for people, line by line."""
    yield f"{moment(world.now)}, after {len(world.acts)} steps"
    ahead = [outlook(deal.id, deal.state) for deal in world.loans if is_open(deal.state)]
    if not ahead:
        yield "      no loan is open: nothing can happen"
    for each in ahead:
        yield from ("", *_lines(each.rows()))


def _lines(rows: Iterator[tuple[str, str]]) -> Iterator[str]:
    for label, text in rows:
        yield f"      {label:<{_WIDTH}} {text}"
