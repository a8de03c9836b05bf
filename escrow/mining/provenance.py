"""Where a number is from. Every number of a real machine, network or company carries this."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Status(Enum):
    """How well a number is known."""

    DISCLOSED = "disclosed"
    """Published by whoever it is about, or a rule that anyone can check."""
    REPORTED = "reported"
    """Second hand: press, a reseller, an index."""
    ASSUMED = "assumed"
    """Neither: chosen, for want of anything better."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """The provenance of one number."""

    name: str
    """As in its file: ``machine.antminer-s21.efficiency``."""
    status: Status
    """How well it is known."""
    source: str
    """Where it is from; or why it is assumed."""

    def __str__(self) -> str:
        return f"{self.status.value.upper()} {self.name}: {self.source}"


def doubtful(parameters: tuple[Parameter, ...]) -> tuple[str, ...]:
    """What a report must say of its numbers: each one that is not disclosed."""
    return tuple(str(each) for each in parameters if each.status is not Status.DISCLOSED)
