"""When, and in which state of the loan: the two axes along which exits open.

States bear the names of ``escrow.core.phases.loan_phase``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import Final

from escrow.core.units import DAY, HOUR, Seconds
from escrow.custody.ability import locks
from escrow.custody.policy import After, Lock, Moment, Older, Policy


@dataclass(frozen=True, slots=True)
class State:
    """What a state of the loan means for its coins."""

    name: str
    """As ``loan_phase`` says it."""
    entitled: tuple[str, ...]
    """Who may have the coins now; empty: they stay. The first is whom a transaction signed up
    front must pay, as it pays one party in full: in a liquidation the lender, who owes the rest."""
    next: tuple[str, ...]
    """States that can follow at once."""
    alone: bool = False
    """Only those entitled act: nobody else is bound to sign. Elsewhere everyone honest helps
    those who are entitled."""


STATES: Final = (
    State("COLLATERAL_CONFIRMING", (), ("SECURED", "RELEASING")),
    State("SECURED", (), ("ACTIVE", "RELEASING")),
    State("ACTIVE", (), ("MARGIN_CALL", "LIQUIDATING", "REPAID")),
    State("MARGIN_CALL", (), ("ACTIVE", "LIQUIDATING", "REPAID")),
    State("LIQUIDATING", ("lender", "borrower"), ("REPAID",)),
    State("REPAID", ("borrower",), ("RELEASING",)),
    State("RELEASING", ("borrower",), ()),
)
"""States with coins in the vault, as they are before the recovery time. In others there is
nothing to take."""


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of time in which the same locks are open."""

    name: str
    """``start``, or what has opened last of each kind: ``older-7776256+default``."""
    open: frozenset[Lock]
    """Locks that have opened."""

    @property
    def recoverable(self) -> bool:
        """Has the recovery time come?"""
        return After(Moment.RECOVERY) in self.open


def windows(policy: Policy) -> tuple[Window, ...]:
    """Every set of the policy's locks that can be open together, earlier ones first.

    Moments of the loan open in order, and so do spans since a coin's confirmation; but one kind
    says nothing about the other, so all their combinations are here.
    """
    found = locks(policy)
    spans = sorted((lock for lock in found if isinstance(lock, Older)), key=lambda o: o.seconds)
    moments = [After(moment) for moment in Moment if After(moment) in found]
    combined = []
    for rested, passed in product(range(len(spans) + 1), range(len(moments) + 1)):
        names = [f"older-{spans[rested - 1].seconds}"] if rested else []
        names += [moments[passed - 1].moment.value] if passed else []
        opened: frozenset[Lock] = frozenset((*spans[:rested], *moments[:passed]))
        combined.append(Window("+".join(names) or "start", opened))
    return tuple(combined)


def standing(state: State, window: Window) -> State:
    """What the state means then: from the recovery time on, the borrower of a loan that is still
    open may leave, by its own means. In a liquidation the coins were burned for already."""
    if window.recoverable and not state.entitled:
        return replace(state, entitled=("borrower",), alone=True)
    return state


def following(state: State, window: Window) -> tuple[State, ...]:
    """States that can follow this one then. Nothing is drawn once a moment of the loan's end
    has come: the last time to draw is before maturity."""
    late = any(isinstance(lock, After) for lock in window.open)
    undrawn = state.name == "SECURED" and late
    return tuple(
        each
        for each in STATES
        if each.name in state.next and not (undrawn and each.name == "ACTIVE")
    )


def when(lock: Lock | None) -> str:
    """When a lock opens, in words."""
    match lock:
        case None:
            return "at once"
        case Older(seconds=seconds):
            return f"{_span(seconds)} after the coin's confirmation"
        case After(moment=Moment.DEFAULT):
            return "from default on"
        case After():
            return "from the recovery time on"


def _span(seconds: Seconds) -> str:
    """Rounded down: a lock is rounded up by less than 512 seconds."""
    for name, size in (("days", DAY), ("hours", HOUR)):
        if seconds >= 2 * size:
            return f"{seconds // size} {name}"
    return f"{seconds} seconds"
