"""What a register was asked and granted, in order: all that it is follows from that.

So a register is kept as these asks and read by asking them again. Every rule and bound is then
asked anew, and there is no second account of its state that could say otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import wraps
from inspect import signature
from typing import Any, Concatenate, Final, ParamSpec, Protocol, TypeVar

MADE: Final = "__init__"
"""The first of what a register was told: what it was made with."""


@dataclass(frozen=True, slots=True)
class Told:
    """One ask that was granted."""

    verb: str
    """Name of the method."""
    named: dict[str, Any] = field(hash=False)
    """Its arguments, each by its name, and those too that were left out."""


class Tells(Protocol):
    """A register that remembers what it was told."""

    told: list[Told]
    """Oldest first."""


_R = TypeVar("_R", bound=Tells)
_P = ParamSpec("_P")
_A = TypeVar("_A")


def granted(verb: Callable[Concatenate[_R, _P], _A]) -> Callable[Concatenate[_R, _P], _A]:
    """A verb, or ``__init__``, of a register: what it did not refuse is remembered."""
    shape = signature(verb)

    @wraps(verb)
    def ask(register: _R, /, *args: _P.args, **named: _P.kwargs) -> _A:
        answer = verb(register, *args, **named)
        bound = shape.bind(register, *args, **named)
        bound.apply_defaults()
        _, *rest = bound.arguments.items()
        register.told.append(Told(verb.__name__, dict(rest)))
        return answer

    ask.is_granted = True  # type: ignore[attr-defined]  # so that a reader can tell
    return ask
