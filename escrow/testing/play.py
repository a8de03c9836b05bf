"""One command at a time, every law at every event; and commands as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import fields, is_dataclass
from enum import Enum
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

from escrow.core.decide import Command, decide, witness
from escrow.core.errors import BadInput
from escrow.core.laws import Law, Step, broken
from escrow.core.state import Escrow, evolve


class LawBroken(AssertionError):
    """A law does not hold. Carries the step and the laws, and names them."""

    def __init__(self, step: Step, laws: tuple[Law, ...]) -> None:
        self.step = step
        self.laws = laws
        words = "; ".join(f"{law.id} {law.words}" for law in laws)
        super().__init__(f"{words} — at {step.event}")


def play(
    escrow: Escrow,
    command: Command,
    *,
    fact: bool = False,
    on_event: Callable[[Step], None] | None = None,
) -> Escrow:
    """Decide and fold one command; check every law at every event.

    ``fact``: what the rules would refuse is noted as an incident. Raises ``Rejected``,
    ``LawBroken``.
    """
    for event in witness(escrow, command) if fact else decide(escrow, command):
        step = Step(escrow, event, evolve(escrow, event))
        if faults := broken(step):
            raise LawBroken(step, faults)
        if on_event is not None:
            on_event(step)
        escrow = step.after
    return escrow


def dump(commands: Iterable[Command]) -> str:
    """Commands as a JSON list, one a line."""
    lines = (json.dumps({"type": type(c).__name__, **_plain(c)}) for c in commands)
    return "[\n" + ",\n".join(lines) + "\n]\n"


def load(text: str) -> tuple[Command, ...]:
    """Read what ``dump`` wrote. Raises ``BadInput``."""
    kinds = {kind.__name__: kind for kind in get_args(Command)}
    try:
        rows = json.loads(text)
        if not isinstance(rows, list):
            raise TypeError("not a list of commands")
        return tuple(_read(kinds[row.pop("type")], row) for row in rows)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInput("scenario/format", reason=str(error)) from error


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Enum):
        return value.value
    return [_plain(each) for each in value] if isinstance(value, tuple) else value


def _read(kind: Any, value: Any) -> Any:
    kind = getattr(kind, "__supertype__", kind)
    if isinstance(kind, UnionType):
        if type(value) in get_args(kind):
            return value
        [kind] = [each for each in get_args(kind) if each is not NoneType]
    if isinstance(kind, type) and is_dataclass(kind):
        hints = get_type_hints(kind)
        return kind(**{name: _read(hints[name], each) for name, each in value.items()})
    if get_origin(kind) is tuple:
        args = get_args(kind)
        each = args[:1] * len(value) if args[-1] is Ellipsis else args
        return tuple(_read(a, v) for a, v in zip(each, value, strict=True))
    return kind(value) if issubclass(kind, Enum) else value
