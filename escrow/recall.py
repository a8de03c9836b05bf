"""What was done in a world, told again from its log: acts survive saving and loading.

An act is a window: which records of the log and which transactions on the EVM belong to it. Those
are saved; what each event changed is folded anew, so nothing can be told that the log does not say.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from escrow.core.errors import CODES, BadInput, EscrowError, Refused, Rejected
from escrow.core.laws import Step
from escrow.core.regions.system import System
from escrow.core.state import Escrow, Event, evolve, joined
from escrow.core.units import MAX_TIME, Seconds
from escrow.deal import Act
from escrow.engine import PLATFORM
from escrow.parse import is_shallow

_PIECE: Final = 1_000_000
"""Characters of one cell of the file, which has a largest size: ASCII, so as many bytes."""
_KINDS: Final = {kind.__name__: kind for kind in (Rejected, Refused, BadInput)}


@dataclass(frozen=True, slots=True)
class Tale:
    """A log from its beginning."""

    platform: System
    """The platform before the first event."""
    log: tuple[tuple[str, Event], ...]
    """Stream and event, in order."""


class _Fold:
    """Deals growing along a tale, as the engine's do."""

    def __init__(self, tale: Tale) -> None:
        self.log, self.at = tale.log, 0
        self.shared = Escrow(tale.platform)
        self.deals: dict[str, Escrow] = {}

    def deal(self, loan: str) -> Escrow:
        return joined(self.deals.get(loan) or self.shared, self.shared)

    def up_to(self, end: int) -> list[tuple[str, Step]]:
        """Fold events before number ``end``; the steps that they made."""
        steps = []
        for loan, event in self.log[self.at : end]:
            before = self.deal(loan)
            after = evolve(before, event)
            if loan == PLATFORM:
                self.shared = after
            else:
                self.deals[loan] = after
            steps.append((loan, Step(before, event, self.deal(loan))))
        self.at = max(self.at, end)
        return steps


def states_at(tale: Tale, *, length: int) -> dict[str, Escrow]:
    """Every loan as the first ``length`` events left it, oldest first."""
    fold = _Fold(tale)
    fold.up_to(length)
    return {loan: fold.deal(loan) for loan in fold.deals}


def acts_as_words(acts: Iterable[Act]) -> dict[str, str]:
    """What a world's file keeps of its acts: pieces of one JSON list, and how many there are."""
    rows = [
        [
            act.at, act.actor, act.verb, act.loan, act.asked, *act.log, *act.sent, list(act.after),
            [[type(each).__name__, each.code, each.facts] for each in act.refusals],
        ]
        for act in acts
    ]  # fmt: skip
    return in_pieces("acts", json.dumps(rows))


def in_pieces(name: str, text: str) -> dict[str, str]:
    """A long text as cells of the file; ``name`` holds how many there are."""
    pieces = [text[start : start + _PIECE] for start in range(0, len(text), _PIECE)]
    return {name: str(len(pieces))} | {f"{name}/{n}": piece for n, piece in enumerate(pieces)}


def in_one(name: str, meta: Mapping[str, str]) -> str:
    """The text again. Raises ``KeyError``, ``ValueError`` where a cell is missing."""
    return "".join(meta[f"{name}/{piece}"] for piece in range(int(meta[name])))


def recalled(meta: Mapping[str, str], tale: Tale, *, txs: Sequence[str]) -> list[Act]:
    """The acts of a saved world. ``txs``: hashes of all transactions on its EVM, in order.

    Raises ``BadInput("world/format")`` for what is no list of acts of this log.
    """
    acts: list[Act] = []
    fold = _Fold(tale)
    try:
        text = in_one("acts", meta)
        if not is_shallow(text):
            raise BadInput("world/format", reason="acts")
        rows = json.loads(text)
        if not isinstance(rows, list):
            raise TypeError("not a list of acts")
        for row in rows:
            acts.append(_act(row, fold, n=len(acts) + 1, txs=txs))
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise BadInput("world/format", reason="acts") from error
    return acts


def _act(row: Any, fold: _Fold, *, n: int, txs: Sequence[str]) -> Act:
    at, actor, verb, loan, asked, first, last, sent, done, touched, refusals = row
    words = (actor, verb, loan, *asked, *asked.values(), *touched)
    places = (at, first, last, sent, done)
    if {type(each) for each in words} != {str} or {type(each) for each in places} != {int}:
        raise TypeError("not an act")
    inside = fold.at <= first <= last <= len(fold.log) and 0 <= sent <= done <= len(txs)
    if not inside or not 0 <= at <= MAX_TIME:
        raise ValueError("an act out of range")
    fold.up_to(first)
    return Act(
        n=n,
        at=Seconds(at),
        actor=actor,
        verb=verb,
        loan=loan,
        asked=asked,
        steps=tuple(fold.up_to(last)),
        evm=tuple(txs[sent:done]),
        refusals=tuple(_refusal(*each) for each in refusals),
        after={name: fold.deal(name) for name in touched},
        log=(first, last),
        sent=(sent, done),
    )


def _refusal(kind: str, code: str, facts: dict[str, int | str]) -> EscrowError:
    sound = all(type(fact) in (int, str) for fact in facts.values())
    if code not in CODES or not sound:
        raise ValueError("not a refusal")
    return _KINDS[kind](code, **facts)
