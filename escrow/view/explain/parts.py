"""What an explanation is made of: rule, inputs, rounding, verdict, and how far the other way was.

Numbers are exact integers in the units of the core. Each has its shown form beside it, and where it
comes from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum

from escrow.core.units import Seconds
from escrow.words import coins, moment, money, price, span


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of the core, in words."""

    name: str
    """What it is called, e.g. ``margin call``."""
    demands: str
    """What must be so, in one sentence."""
    laws: tuple[str, ...] = ()
    """Ids of the laws that guard it (``laws.py``); none for what no law speaks of."""


@dataclass(frozen=True, slots=True)
class Input:
    """A number or word that was looked at."""

    name: str
    """What it is."""
    value: int | str
    """Exactly."""
    unit: str
    """Of the value: cents, sats, e-8 (units of money × 10⁸ a coin), bps, seconds, blocks; empty
    for words and plain counts."""
    shown: str
    """As people read it."""
    source: str
    """Who set it: both parties' signatures, a contract's constant, an oracle round, a chain."""


@dataclass(frozen=True, slots=True)
class Rounding:
    """A rounding on the way."""

    where: str
    """At which operation."""
    way: str
    """``up``, ``down`` or ``none``."""
    favours: str
    """Who profits from it."""


class Subject(Enum):
    """What would have to be another for the other outcome, all else the same."""

    DEBT = "debt"
    """What is owed at that second, cents."""
    PRICE = "price"
    """Price of 1 BTC, × 10⁸."""
    AMOUNT = "amount"
    """What was asked for, cents or sats."""
    MOMENT = "moment"
    """When it was asked, unix time on the world's own clock."""
    DEADLINE = "deadline"
    """Of a margin call, on the active clock: it stands while no price may be used."""
    SPAN = "span"
    """How long was asked for, or how old the evidence was, seconds."""
    LIMIT = "limit"
    """What the one who asked would accept, or was let have."""
    SIGNERS = "signers"
    """How many signed."""
    BLOCKS = "blocks"
    """Confirmations, or blocks that passed."""
    FEE = "fee"
    """The miner's fee, sats."""


SHOWN: dict[str, Callable[[int], str]] = {
    "cents": money,
    "sats": coins,
    "e-8": price,
    "seconds": lambda seconds: span(seconds, units=4),
    "moment": moment,
    "blocks": lambda n: f"{n} block" + ("" if n == 1 else "s"),
    "": str,
}
"""Unit → how people read a value of it. A moment differs from another by seconds."""


@dataclass(frozen=True, slots=True)
class Distance:
    """How far the other outcome was, in one number.

    With the subject at ``flip`` the outcome is the other; at ``beside``, one unit before, it is not
    yet; all else the same. (Of a moment: also the debt, and that a price is fresh.)
    """

    subject: Subject
    """What would have to differ."""
    code: str
    """The refusal that it is about: given on one side of the flip and not on the other. Empty: no
    refusal, but another event; ``other`` says which."""
    actual: int
    """What it was."""
    flip: int
    """The nearest value with the other outcome."""
    unit: str
    """Of both; ``moment`` is unix time."""
    other: str
    """What happens there."""
    rounding: str = "none: it is a whole number"
    """Which way the flip was rounded to a whole unit."""
    then: str = ""
    """The refusal that follows there instead, of a guard that is asked later; empty: none."""

    @property
    def away(self) -> int:
        """Units between what was and the other outcome; never 0."""
        return abs(self.flip - self.actual)

    @property
    def beside(self) -> int:
        """The last value with the same outcome."""
        return self.flip - 1 if self.flip > self.actual else self.flip + 1

    @property
    def shown(self) -> str:
        """As people read it."""
        more = self.flip > self.actual
        if self.unit == "moment":
            far = SHOWN["seconds"](self.away)
            return f"{far} {'later' if more else 'earlier'}, at {moment(self.flip)}: {self.other}"
        show = SHOWN[self.unit]
        if self.subject is Subject.PRICE:
            edge = "or more" if more else "or less"
            return f"at {show(self.flip)} a coin {edge} ({show(self.away)} away): {self.other}"
        if self.subject is Subject.DEADLINE:
            when = "later" if more else "earlier"
            return f"a deadline {show(self.away)} {when} on the active clock: {self.other}"
        word = {Subject.DEBT: " owed", Subject.BLOCKS: ""}.get(self.subject, "")
        how = "more" if more else "less"
        return f"{show(self.away)} {how}{word}: {self.other}"

    def as_dict(self) -> dict[str, object]:
        """As JSON has it."""
        return {
            "subject": self.subject.value,
            "code": self.code,
            "actual": self.actual,
            "flip": self.flip,
            "away": self.away,
            "unit": self.unit,
            "other": self.other,
            "then": self.then,
            "rounding": self.rounding,
            "shown": self.shown,
        }


@dataclass(frozen=True, slots=True)
class Finding:
    """What one guard of a rule found."""

    verdict: str
    """In words, with the numbers that were compared."""
    inputs: tuple[Input, ...] = ()
    rounding: tuple[Rounding, ...] = ()
    distances: tuple[Distance, ...] = ()


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why something happened, or was refused."""

    what: str
    """Name of the event, or of the command that was refused."""
    at: Seconds
    """When."""
    rule: Rule
    """What decided."""
    inputs: tuple[Input, ...]
    """What it looked at."""
    rounding: tuple[Rounding, ...]
    """Where something was rounded, and for whom."""
    verdict: str
    """In one line."""
    distances: tuple[Distance, ...]
    """How far the other outcome was, the nearest kind first; none where no number decided."""
    code: str = ""
    """Of a refusal; empty for an event."""

    def as_dict(self) -> dict[str, object]:
        """As JSON has it; integers are still integers."""
        return {
            "what": self.what,
            "at": self.at,
            "code": self.code,
            "rule": {
                "name": self.rule.name,
                "demands": self.rule.demands,
                "laws": list(self.rule.laws),
            },
            "inputs": [fields_of(each) for each in self.inputs],
            "rounding": [fields_of(each) for each in self.rounding],
            "verdict": self.verdict,
            "distances": [each.as_dict() for each in self.distances],
        }

    def rows(self) -> Iterator[tuple[str, str]]:
        """Label and text of each line, for people."""
        laws = f" ({', '.join(self.rule.laws)})" if self.rule.laws else ""
        yield self.what, self.verdict
        yield "rule", f"{self.rule.name}: {self.rule.demands}{laws}"
        for number, each in enumerate(self.inputs):
            yield ("inputs" if number == 0 else ""), f"{each.name} {each.shown}  [{each.source}]"
        for number, turn in enumerate(self.rounding):
            text = f"{turn.where}: {turn.way}, in favour of {turn.favours}"
            yield ("rounded" if number == 0 else ""), text
        for number, far in enumerate(self.distances):
            yield ("away" if number == 0 else ""), far.shown


def fields_of(part: Input | Rounding) -> dict[str, object]:
    """A part as JSON has it."""
    return {name: getattr(part, name) for name in part.__slots__}


def explained(
    what: str, at: Seconds, rule: Rule, *findings: Finding, code: str = "", verdict: str = ""
) -> Explanation:
    """One explanation of several findings; an input that two of them looked at is said once."""
    return Explanation(
        what=what,
        at=at,
        rule=rule,
        inputs=tuple(dict.fromkeys(each for found in findings for each in found.inputs)),
        rounding=tuple(dict.fromkeys(each for found in findings for each in found.rounding)),
        verdict=verdict or "; ".join(found.verdict for found in findings if found.verdict),
        distances=tuple(each for found in findings for each in found.distances),
        code=code,
    )
