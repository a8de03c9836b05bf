"""Reads the correspondence of a world, and holds it against the schemas."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

import escrow.messages
from escrow.core.laws import Step
from escrow.core.regions.system import System, SystemEvent
from escrow.core.state import Event
from escrow.core.terms import Liquidation, Terms
from escrow.core.units import DAY, HOUR, Bps, Cents, Sats, Seconds
from escrow.messages.fold import Message, messages
from escrow.messages.story import SHARED, Told, retold
from escrow.testing import START
from escrow.view.export import _set_up
from escrow.world import World

FOLDER = Path(escrow.messages.__path__[0]) / "schemas"
SCHEMAS = {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}
VALIDATORS = {name: Draft202012Validator(schema) for name, schema in SCHEMAS.items()}
LOAN = "0x" + "ab" * 32
TERMS = Terms(
    borrower="0x" + "b0" * 20,
    lender="0x" + "1e" * 20,
    vault="0x" + "5a" * 32,
    principal=Cents(2_400_000),
    rate_bps=Bps(0),
    initial_ltv=Bps(5_000),
    restore_ltv=Bps(6_000),
    call_ltv=Bps(7_500),
    liquidation_ltv=Bps(8_000),
    cure=DAY,
    expires_at=Seconds(START + HOUR),
    draw_by=Seconds(START + DAY),
    maturity=Seconds(START + 90 * DAY),
    grace=Seconds(3 * DAY),
    recover_at=Seconds(START + 120 * DAY),
    confirmations=3,
    liquidation=Liquidation.TAKE_OVER,
    bonus_bps=Bps(500),
    max_fee=Sats(5_000),
    nonce=7,
)


def told_of(world: World) -> tuple[Told, ...]:
    return tuple(retold(world.events(), system=_set_up(world)))


def told_in(steps: list[Step], *, system: System) -> tuple[Told, ...]:
    """The steps of one deal as a log would have them."""
    events: list[tuple[str, Event]] = [
        (SHARED if isinstance(step.event, SystemEvent) else LOAN, step.event) for step in steps
    ]
    return tuple(retold(events, system=system))


def faults(name: str, found: object) -> list[str]:
    """What a schema says against a file, in short."""
    return [f"{e.json_path}: {e.message[:120]}" for e in VALIDATORS[name].iter_errors(found)]


def check(message: Message, number: int = 1) -> dict[str, Any]:
    """The file of a message, as whoever reads its JSON gets it; its schema has nothing against
    it."""
    found = json.loads(json.dumps(message.as_dict(number)))
    assert faults(f"{message.definition}-{message.name}", found) == []
    return found


def letters(world: World, *, after: int = -1) -> list[Message]:
    """All messages of a world, or those about events after this place in the log; all are
    valid."""
    found = [each for each in messages(told_of(world)) if each.log > after]
    for each in found:
        check(each)
    return found


def last_place(world: World) -> int:
    return sum(1 for _ in world.events()) - 1


def heads(found: list[Message]) -> list[str]:
    """``L 003``: who wrote and which message; the three of CDM by name."""
    return [
        f"{each.sender.name[0]} "
        + (each.name if each.definition == "cdm" else each.definition.removeprefix("colr."))
        for each in found
    ]


def one(found: list[Message], name: str) -> dict[str, Any]:
    """The body of the only message of this number, or of CDM's with this name."""
    [message] = [
        each
        for each in found
        if name == each.definition or (each.definition == "cdm" and name == each.name)
    ]
    return message.body


def values(found: object, key: str) -> Iterator[Any]:
    """Every value under ``key``, however deep."""
    if isinstance(found, dict):
        for name, value in found.items():
            if name == key:
                yield value
            yield from values(value, key)
    elif isinstance(found, list):
        for value in found:
            yield from values(value, key)
