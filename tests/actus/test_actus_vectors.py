"""The standard's own results: every case that is at hand agrees to 1e-9.

The vectors are data of the ACTUS Financial Research Foundation (CC BY-SA 4.0) and are not part of
this repository.
"""

import copy
import json
from decimal import Decimal
from typing import Any

import pytest
from actus_lab import TYPES, VECTORS, vectors

from escrow.actus.cases import Case, load_cases, read_case
from escrow.actus.run import TOLERANCE, check_case, is_close

pytestmark = pytest.mark.skipif(
    not VECTORS.is_dir(), reason="the ACTUS vectors are not there: set ESCROW_SHARED"
)
CASES = [(kind, name) for kind in TYPES for name in vectors(kind)]


def one(kind: str, name: str, **changes: Any) -> Case:
    """A published case, with changes to its terms."""
    data = copy.deepcopy(vectors(kind)[name])
    data["terms"].update(changes)
    return read_case(name, data)


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_a_published_case_agrees(kind: str, name: str) -> None:
    verdict = check_case(one(kind, name))
    assert verdict.difference == ""
    assert verdict.passed
    assert verdict.rows > 0


def test_each_type_has_cases() -> None:
    assert {kind for kind, _ in CASES} == set(TYPES)
    assert len(CASES) >= 91


def test_a_file_is_read_whole() -> None:
    for kind in TYPES:
        found = load_cases(VECTORS / f"actus-tests-{kind}.json")
        assert [case.name for case in found] == list(vectors(kind))
        assert all(isinstance(case, Case) for case in found)


def test_collateral13_is_settled_on_a_monday() -> None:
    """It was held to contradict itself: a settlement period of nothing, and a settlement on the
    next day. But the exercise is on a Sunday, and under its convention (CSF, Monday to Friday)
    payments move to Monday, exercises do not. Without a calendar both are on the same day."""
    published = vectors("cec")["collateral13"]
    assert published["terms"]["businessDayConvention"] == "CSF"
    assert [row["eventDate"][:10] for row in published["results"]] == ["2020-09-20", "2020-09-21"]
    assert check_case(one("cec", "collateral13")).passed
    other = check_case(one("cec", "collateral13", calendar="NC"))
    assert other.difference == "row 1 2020-09-20T00:00:00 STD: expected 2020-09-21T00:00:00 STD"


@pytest.mark.parametrize(
    ("kind", "name", "changes", "difference"),
    [
        (
            "pam",
            "pam01",
            {"nominalInterestRate": "0.1000001"},
            "row 0 2013-01-01T00:00:00 IED: nom",
        ),
        ("pam", "pam01", {"dayCountConvention": "A360"}, "row 2 2013-02-01T00:00:00 IP: payoff"),
        ("pam", "pam01", {"contractRole": "RPL"}, "row 0 2013-01-01T00:00:00 IED: payoff"),
        (
            "pam",
            "pam07",
            {"businessDayConvention": "SCF"},
            "row 3 2013-04-01T00:00:00 IP: expected",
        ),
        ("pam", "pam15", {"cycleOfInterestPayment": "P1ML1"}, "row 12 2013-12-01T00:00:00 IP: exp"),
        (
            "lam",
            "lam17",
            {"interestCalculationBase": "NT"},
            "row 3 2013-03-01T00:00:00 PR: accrued",
        ),
        ("ann", "ann27", {"currency": "EUR"}, "row 0 2013-01-01T00:00:00 IED: currency"),
        ("clm", "clm07", {"xDayNotice": "P30D"}, "row 13 2015-10-20T00:00:00 IP: expected"),
        ("ceg", "guarantee09", {"coverageOfCreditEnhancement": "0.5"}, "row 0 2020-01-02T00:00"),
    ],
)
def test_another_term_is_another_result(kind, name, changes, difference) -> None:
    """The comparison sees each of these: what passes above is not let through."""
    assert check_case(one(kind, name, **changes)).difference.startswith(difference[:40])


def test_a_missing_and_an_added_row_are_seen() -> None:
    data = vectors("pam")["pam01"]
    fewer = {**data, "results": data["results"][:-1]}
    more = {**data, "results": [*data["results"], data["results"][-1]]}
    assert check_case(read_case("x", fewer)).difference == (
        "15 rows, expected 14, next 2014-01-01T00:00:00 MD"
    )
    assert check_case(read_case("x", more)).difference == "15 rows, expected 16"


@pytest.mark.parametrize("value", ["0", "1", "-5", "1234567.875"])
def test_close_is_a_part_in_a_thousand_million(value: str) -> None:
    number = Decimal(value)
    step = TOLERANCE * max(1, abs(number))
    assert is_close(number + step, number)
    assert not is_close(number + step * Decimal("1.01"), number)


def test_nothing_is_read_as_a_float() -> None:
    """A number without quotes keeps its digits."""
    text = json.dumps({"x": vectors("pam")["pam01"]}, default=str).replace(
        '"0.1"', "0.10000000000000000001"
    )
    file = json.loads(text, parse_float=Decimal)
    assert str(read_case("x", file["x"]).terms.rate) == "0.10000000000000000001"
