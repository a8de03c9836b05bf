"""A plan from a table of a TOML file (or any mapping): every key is known, none is guessed::

[plan]
kind = "annuity"          # or bullet, interest_only, linear, floating, callable, undated
rate_bps = 1450           # with a reset: the spread
every = "P1M"             # P3ML0: quarters, with a long last stub
term = "P24M"
day_count = "A/365F"      # optional, as all below; or A/360, A/A ISDA, 30E/360, 30E/360 ISDA
calendar = "MF"           # Monday to Friday; or NC, every day
convention = "SCMF"       # what calendars.Convention names
end_of_month = true
rounding = "up"           # or down, nearest
capitalise = "P3M"
reset = "P3M"             # floating, or another that floats; so floor_bps and cap_bps
notice = "P10D"           # callable
late_bps = 2000
grace = "P5D"
prepayment = "full_period"    # or accrued_only
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, Final, TypeVar

from escrow.core.errors import BadInput
from escrow.core.units import Bps
from escrow.schedules.calendars import parse_calendar, parse_convention
from escrow.schedules.daycount import parse_day_count
from escrow.schedules.plan import Kind, Plan, Prepayment, Rounding, check_plan

_E = TypeVar("_E", bound=Enum)


def read_plan(table: Mapping[str, Any], *, at: str = "plan") -> Plan:
    """A plan, checked. ``at`` names the table in refusals.

    Raises BadInput: ``schedule/plan`` (an unknown key, a missing one, a value of the wrong type),
    ``schedule/day-count``, ``schedule/calendar``, ``schedule/convention``, and what ``check_plan``
    does.
    """
    for key in table:
        if key not in _READ:
            raise BadInput("schedule/plan", field=f"{at}.{key}"[:80], reason="no such key")
    for key in ("kind", "rate_bps"):
        if key not in table:
            raise BadInput("schedule/plan", field=f"{at}.{key}", reason="missing")
    plan = Plan(**{key: _READ[key](value, f"{at}.{key}") for key, value in table.items()})
    check_plan(plan)
    return plan


def _text(value: Any, at: str) -> str:
    if not isinstance(value, str):
        raise BadInput("schedule/plan", field=at, reason="not text")
    return value


def _bps(value: Any, at: str) -> Bps:
    # True is an int to Python, and no number to TOML.
    if not isinstance(value, int) or isinstance(value, bool):
        raise BadInput("schedule/plan", field=at, reason="not a whole number of basis points")
    return Bps(value)


def _flag(value: Any, at: str) -> bool:
    if not isinstance(value, bool):
        raise BadInput("schedule/plan", field=at, reason="neither true nor false")
    return value


def _member(kind: type[_E]) -> Callable[[Any, str], _E]:
    def read(value: Any, at: str) -> _E:
        for each in kind:
            if each.value == value:
                return each
        known = " ".join(str(each.value) for each in kind)
        raise BadInput("schedule/plan", field=at, reason=f"none of {known}")

    return read


_READ: Final[dict[str, Callable[[Any, str], Any]]] = {
    "kind": _member(Kind),
    "rate_bps": _bps,
    "every": _text,
    "term": _text,
    "day_count": lambda value, at: parse_day_count(_text(value, at)),
    "calendar": lambda value, at: parse_calendar(_text(value, at)),
    "convention": lambda value, at: parse_convention(_text(value, at)),
    "end_of_month": _flag,
    "rounding": _member(Rounding),
    "capitalise": _text,
    "reset": _text,
    "floor_bps": _bps,
    "cap_bps": _bps,
    "notice": _text,
    "late_bps": _bps,
    "grace": _text,
    "prepayment": _member(Prepayment),
}
"""Key → how its value is read."""
