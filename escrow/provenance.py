"""Where a number is from: every one of a real product, company, machine or network carries this."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum


class Status(Enum):
    """How well a number is known."""

    DISCLOSED = "disclosed"
    """Published by whoever it is about, or a rule that anyone can check."""
    REPORTED = "reported"
    """Second hand: press, a reseller, an index."""
    ASSUMED = "assumed"
    """Neither: chosen, for want of anything better, and every report says so."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One term, and where it is from."""

    name: str
    """As in its file: ``levels.restore``, ``call[1].level``, ``machine.toy.price``."""
    value: str
    """Its value and unit, as in the file; empty for what the file does not say."""
    status: Status
    """How well it is known."""
    source: str
    """Where it is from; or why it is assumed."""
    line: int
    """In the file, from 1."""

    def __str__(self) -> str:
        return f"{self.status.value.upper()} {self.name}: {self.source}"


def assumed(parameters: Iterable[Parameter]) -> tuple[Parameter, ...]:
    """Those that nobody has said."""
    return tuple(each for each in parameters if each.status is Status.ASSUMED)


def doubtful(parameters: Iterable[Parameter]) -> tuple[str, ...]:
    """What a report must say of its numbers: each one that is not disclosed."""
    return tuple(str(each) for each in parameters if each.status is not Status.DISCLOSED)
