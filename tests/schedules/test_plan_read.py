"""A plan as a product file has it."""

import tomllib
from textwrap import dedent
from typing import Any

import pytest

from escrow.core.errors import BadInput
from escrow.schedules import read
from escrow.schedules.calendars import Calendar, Convention
from escrow.schedules.daycount import DayCount
from escrow.schedules.plan import Kind, Plan, Prepayment, Rounding
from escrow.schedules.read import read_plan


def sample() -> dict[str, Any]:
    """The plan that the module's own words show."""
    words = dedent((read.__doc__ or "").split("::", maxsplit=1)[1])
    table: dict[str, Any] = tomllib.loads(words)["plan"]
    return table


def test_the_plan_in_the_words_is_one_but_for_what_only_other_kinds_use() -> None:
    table = sample()
    with pytest.raises(BadInput) as refused:
        read_plan(table)
    assert refused.value.code == "schedule/plan"
    for key in ("reset", "notice"):
        table.pop(key)
    assert read_plan(table) == Plan(
        Kind.ANNUITY,
        1450,
        every="P1M",
        term="P24M",
        day_count=DayCount.A365F,
        calendar=Calendar.MF,
        convention=Convention.SCMF,
        end_of_month=True,
        rounding=Rounding.UP,
        capitalise="P3M",
        late_bps=2000,
        grace="P5D",
        prepayment=Prepayment.FULL_PERIOD,
    )


def test_every_field_of_a_plan_can_be_written() -> None:
    assert set(read._READ) == set(Plan.__dataclass_fields__)
    assert set(sample()) | {"floor_bps", "cap_bps"} == set(read._READ)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"rate": 5}, "schedule/plan"),
        ({"kind": "balloon"}, "schedule/plan"),
        ({"kind": None}, "schedule/plan"),
        ({"rate_bps": 14.5}, "schedule/plan"),
        ({"rate_bps": True}, "schedule/plan"),
        ({"rate_bps": "1450"}, "schedule/plan"),
        ({"every": 1}, "schedule/plan"),
        ({"end_of_month": "yes"}, "schedule/plan"),
        ({"rounding": "even"}, "schedule/plan"),
        ({"day_count": "B/252"}, "schedule/day-count"),
        ({"calendar": "TARGET"}, "schedule/calendar"),
        ({"convention": "F"}, "schedule/convention"),
        ({"rate_bps": -1}, "schedule/rate"),
        ({"every": "monthly"}, "schedule/cycle"),
        ({"term": ""}, "schedule/endless"),
    ],
)
def test_what_makes_no_sense_is_refused(changes: dict[str, Any], code: str) -> None:
    table = {"kind": "annuity", "rate_bps": 1450, "every": "P1M", "term": "P1Y", **changes}
    with pytest.raises(BadInput) as refused:
        read_plan(table)
    assert refused.value.code == code


@pytest.mark.parametrize("key", ["kind", "rate_bps"])
def test_what_is_missing_is_named(key: str) -> None:
    table = {"kind": "annuity", "rate_bps": 1450, "every": "P1M", "term": "P1Y"}
    table.pop(key)
    with pytest.raises(BadInput) as refused:
        read_plan(table, at="product")
    assert refused.value.facts["field"] == f"product.{key}"
