"""Files of contracts and what they are expected to pay, as the standard's own tests are kept.

A file is one JSON object of cases by name: ``terms``, ``to`` (the last date to look at),
``dataObserved``, ``eventsObserved`` and ``results``. Everything in it is checked.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from escrow.actus.market import Market, Observed
from escrow.actus.moments import Moment, parse_moment
from escrow.actus.read_terms import is_blank, moment, number, performance, read_terms, text
from escrow.actus.terms import Terms
from escrow.core.errors import BadInput, one_line
from escrow.parse import is_shallow

MAX_FILE: Final = 16 * 1024 * 1024
"""Longest file, in bytes."""
_CASE: Final = ("identifier", "terms", "to", "dataObserved", "eventsObserved", "results")
_EVENT: Final = ("time", "type", "value", "contractId", "contractID", "states")
_KINDS: Final = ("XD", "CE", "PP", "PR", "PD", "PI")
_NUMBERS: Final = {
    "payoff": "payoff",
    "notionalPrincipal": "notional",
    "nominalInterestRate": "rate",
    "accruedInterest": "accrued",
    "feeAccrued": "fee",
    "exerciseAmount": "exercise",
    "notionalScalingMultiplier": "notional_scale",
    "interestScalingMultiplier": "interest_scale",
}
"""Name in a result → field of a row or state."""


@dataclass(frozen=True, slots=True)
class Expected:
    """A row that the file says is paid."""

    at: Moment
    """When."""
    kind: str
    """Event type."""
    currency: str
    """Of the payoff; empty: not said."""
    numbers: tuple[tuple[str, Decimal], ...]
    """Name in the file and value of the payoff and of states after it."""
    exercised: Moment | None = None
    """Exercise date, if said."""


@dataclass(frozen=True, slots=True)
class Case:
    """One contract of a file."""

    name: str
    """Its key."""
    terms: Terms
    """The contract."""
    market: Market
    """What is observed."""
    expected: tuple[Expected, ...] | None
    """What it is said to pay; None: nothing is said."""


@dataclass(frozen=True, slots=True)
class Unread:
    """A case of a file that was refused. The others stand."""

    name: str
    """Its key."""
    refusal: BadInput
    """Why."""


def load_cases(file: Path) -> tuple[Case | Unread, ...]:
    """The cases of a file. Raises BadInput("actus/missing-file"), and what ``read_cases`` does."""
    try:
        with file.open("rb") as opened:
            raw = opened.read(MAX_FILE + 1)
    except (OSError, ValueError) as error:
        raise BadInput("actus/missing-file", file=_shown(str(file))) from error
    return read_cases(raw)


def read_cases(raw: bytes) -> tuple[Case | Unread, ...]:
    """Cases from JSON, in the order of the file; one that is refused does not take the rest along.

    Raises BadInput("actus/format") if the file as a whole is no such thing. An ``Unread`` carries
    ``actus/format``, ``actus/event``, ``actus/result``, or what ``read_terms`` raises.
    """
    if len(raw) > MAX_FILE:
        raise BadInput("actus/format", reason="too large", most=MAX_FILE)
    try:
        plain = raw.decode()
        if not is_shallow(plain):
            raise BadInput("actus/format", reason="nested too deeply")
        # No float is ever made of a number: it stays the decimal that is written.
        data = json.loads(
            plain, parse_float=Decimal, parse_constant=_refuse, object_pairs_hook=_once
        )
    except ValueError as error:
        raise BadInput("actus/format", reason=_shown(str(error))) from error
    if not isinstance(data, dict) or not data:
        raise BadInput("actus/format", reason="not an object of cases")
    return tuple(_read(name, each) for name, each in data.items())


def read_case(name: str, data: Any) -> Case:
    """One case of a JSON object. Raises BadInput: the codes of ``read_cases``."""
    at = _shown(name)
    if not isinstance(data, dict) or "terms" not in data:
        raise BadInput("actus/format", at=at, reason="not a case with terms")
    for key in data:
        if key not in _CASE:
            raise BadInput("actus/format", at=f"{at}.{_shown(key)}", reason="no part of a case")
    until = text(data.get("to") or "", f"{at}.to")
    return Case(
        name=name,
        terms=read_terms(data["terms"], at=at),
        market=Market(
            series=_series(data.get("dataObserved") or {}, f"{at}.dataObserved"),
            events=_events(data.get("eventsObserved") or [], f"{at}.eventsObserved"),
            until=parse_moment(until, at=f"{at}.to") if until else None,
        ),
        expected=_results(data["results"], f"{at}.results") if "results" in data else None,
    )


def _read(name: str, data: Any) -> Case | Unread:
    try:
        return read_case(name, data)
    except BadInput as refusal:
        return Unread(name, refusal)


def _series(data: Any, at: str) -> dict[str, tuple[tuple[Moment, Decimal], ...]]:
    if not isinstance(data, dict):
        raise BadInput("actus/format", at=at, reason="not an object")
    found = {}
    for code, entry in data.items():
        where = f"{at}.{_shown(code)}"
        points = entry.get("data") if isinstance(entry, dict) else None
        if not isinstance(points, list) or not all(isinstance(each, dict) for each in points):
            raise BadInput("actus/format", at=where, reason="no list of observations")
        values = [
            (moment(p.get("timestamp"), where), number(p.get("value"), where)) for p in points
        ]
        values.sort(key=lambda each: each[0])
        if any(a[0] == b[0] and a[1] != b[1] for a, b in pairwise(values)):
            raise BadInput("actus/format", at=where, reason="two values at one time")
        found[code] = tuple(values)
    return found


def _events(data: Any, at: str) -> tuple[Observed, ...]:
    if not isinstance(data, list):
        raise BadInput("actus/format", at=at, reason="not a list")
    found = []
    for n, each in enumerate(data):
        where = f"{at}[{n}]"
        if not isinstance(each, dict) or any(key not in _EVENT for key in each):
            raise BadInput("actus/event", at=where, reason="not an event")
        kind = text(each.get("type"), where)
        if kind not in _KINDS:
            raise BadInput("actus/event", at=where, kind=_shown(kind), known=" ".join(_KINDS))
        states = each.get("states") or {}
        became = states.get("contractPerformance") if isinstance(states, dict) else None
        if (kind == "CE") != (became is not None):
            raise BadInput("actus/event", at=where, reason="performance is what a CE changes")
        amount = each.get("value")
        value = number(0 if is_blank(amount) else amount, where)
        if value < 0:
            raise BadInput("actus/event", at=where, reason="an amount is positive whoever pays")
        found.append(
            Observed(
                at=moment(each.get("time"), where),
                kind=kind,
                value=value,
                contract_id=text(each.get("contractId") or each.get("contractID") or "", where),
                performance=None if became is None else performance(became, where),
            )
        )
    return tuple(sorted(found, key=lambda each: each.at))


def _results(data: Any, at: str) -> tuple[Expected, ...]:
    if not isinstance(data, list):
        raise BadInput("actus/result", at=at, reason="not a list")
    found = []
    for n, each in enumerate(data):
        where = f"{at}[{n}]"
        if not isinstance(each, dict):
            raise BadInput("actus/result", at=where, reason="not an object")
        known = ("eventDate", "eventType", "currency", "exerciseDate", *_NUMBERS)
        for key in each:
            if key not in known:
                raise BadInput("actus/result", at=f"{where}.{_shown(key)}", reason="not known")
        exercised = each.get("exerciseDate")
        found.append(
            Expected(
                at=moment(each.get("eventDate"), where),
                kind=text(each.get("eventType"), where),
                currency=text(each.get("currency", ""), where),
                numbers=tuple(
                    (name, number(each[name], f"{where}.{name}"))
                    for name in _NUMBERS
                    if each.get(name) not in (None, "")
                ),
                exercised=moment(exercised, where) if exercised else None,
            )
        )
    return tuple(found)


def field_of(name: str) -> str:
    """The field of a row or state that a result's number is compared with."""
    return _NUMBERS[name]


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if found.setdefault(name, value) != value:
            raise ValueError("a name is given twice, with two values")
    return found


def _refuse(word: str) -> None:
    raise ValueError(f"{word} is no number")


def _shown(value: str) -> str:
    return one_line(value)[:80]
