"""What is read of a contract, and what is refused, by which code."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from actus_lab import AMORTISES, FLOATS, LOAN, case, rows
from hypothesis import given
from hypothesis import strategies as st

from escrow.actus import read_terms
from escrow.actus.cases import MAX_FILE, Case, Unread, load_cases, read_case, read_cases
from escrow.actus.moments import Moment, parse_moment
from escrow.actus.run import check_case
from escrow.actus.terms import Terms
from escrow.core.errors import BadInput
from escrow.schedules.calendars import Calendar, Convention
from escrow.schedules.daycount import DayCount

REFERENCE = {
    "object": {"contractIdentifier": "x"},
    "referenceType": "CID",
    "referenceRole": "COVE",
}


def refusal(**facts: Any) -> str:
    with pytest.raises(BadInput) as refused:
        rows(**facts)
    return refused.value.code


def file_refusal(raw: bytes) -> str:
    with pytest.raises(BadInput) as refused:
        read_cases(raw)
    return refused.value.code


# --- values


@pytest.mark.parametrize(
    ("text", "day", "calc"),
    [
        ("2013-01-01", "2013-01-01T00:00:00", "2013-01-01"),
        ("2013-01-01T00:00", "2013-01-01T00:00:00", "2013-01-01"),
        (" 2013-01-01T00:00:00 ", "2013-01-01T00:00:00", "2013-01-01"),
        ("2013-01-01T12:30", "2013-01-01T12:30:00", "2013-01-01"),
        # The end of a day is the beginning of the next.
        ("2013-12-31T23:59:59", "2013-12-31T23:59:59", "2014-01-01"),
        ("2013-12-31T24:00:00", "2013-12-31T24:00:00", "2014-01-01"),
        ("9999-12-31T23:59:59", "9999-12-31T23:59:59", "9999-12-31"),
    ],
)
def test_both_forms_of_a_date(text: str, day: str, calc: str) -> None:
    found = parse_moment(text, at="x")
    assert (str(found), found.calc.isoformat()) == (day, calc)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2013",
        "2013-02-30",
        "2013-13-01",
        "0000-01-01",
        "2013-01-01T25:00",
        "2013-01-01T24:00:01",
        "2013-01-01T00:60",
        "2013-01-01 00:00",
        "2013-01-01T00:00Z",
        "٢٠١٣-٠١-٠١",
    ],
)
def test_what_is_no_date_is_refused(text: str) -> None:
    with pytest.raises(BadInput) as refused:
        parse_moment(text, at="x")
    assert refused.value.code == "actus/term"


@pytest.mark.parametrize("value", ["  5000", "5000", 5000, "5e3", "5000.0", Decimal(5000)])
def test_an_amount_is_text_or_a_number(value: object) -> None:
    assert case(notionalPrincipal=value).terms.notional == 5000


@pytest.mark.parametrize("value", [None, "", "   "])
def test_nothing_is_the_same_as_no_term(value: object) -> None:
    data = {"terms": {**LOAN, "purchaseDate": value, "rateSpread": value}, "results": []}
    found = read_case("x", data).terms
    assert (found.purchase, found.reset_spread) == (None, 0)


def test_words_of_older_files_are_understood() -> None:
    found = case(scalingEffect="IOO", calendar="MondayToFriday", businessDayConvention="NULL").terms
    assert (found.scales_interest, found.scales_notional) == (True, False)
    assert (found.calendar, found.convention) == (Calendar.MF, Convention.NOS)
    assert case(calendar="NoCalendar").terms.calendar is Calendar.NC
    assert case(calendar="NoHoliday").terms.calendar is Calendar.NC
    assert case(dayCountConvention="A/365").terms.day_count is DayCount.A365F
    assert case(dayCountConvention="A/AISDA").terms.day_count is DayCount.AA_ISDA


@pytest.mark.parametrize(
    ("terms", "code"),
    [
        ({"contractType": "LAX"}, "actus/type"),
        ({"contractType": "pam"}, "actus/type"),
        ({"contractType": None}, "actus/missing-term"),
        ({"contractID": None}, "actus/missing-term"),
        ({"statusDate": None}, "actus/missing-term"),
        ({"contractRole": None}, "actus/missing-term"),
        ({"currency": None}, "actus/missing-term"),
        ({"initialExchangeDate": None}, "actus/missing-term"),
        ({"maturityDate": None}, "actus/missing-term"),
        ({"notionalPrincipal": None}, "actus/missing-term"),
        ({"contractRole": "LENDER"}, "actus/term"),
        ({"notionalPrincipal": "-1"}, "actus/term"),
        ({"notionalPrincipal": "1,000"}, "actus/term"),
        ({"notionalPrincipal": "NaN"}, "actus/term"),
        ({"notionalPrincipal": "Infinity"}, "actus/term"),
        ({"notionalPrincipal": "0x10"}, "actus/term"),
        ({"notionalPrincipal": True}, "actus/term"),
        ({"notionalPrincipal": ["1"]}, "actus/term"),
        ({"notionalPrincipal": "1e999"}, "actus/term"),
        ({"maturityDate": 20140101}, "actus/term"),
        ({"maturityDate": "soon"}, "actus/term"),
        ({"contractID": "a\nb"}, "actus/term"),
        ({"endOfMonthConvention": "EM"}, "actus/term"),
        ({"calendar": "TARGET2"}, "actus/term"),
        ({"businessDayConvention": "XYZ"}, "schedule/convention"),
        ({"dayCountConvention": "B252"}, "schedule/day-count"),
        ({"dayCountConvention": "28E336"}, "schedule/day-count"),
        ({"cycleOfInterestPayment": "P1ML2"}, "schedule/cycle"),
        ({"cycleOfInterestPayment": "P0DL1"}, "schedule/cycle"),
        ({"gracePeriod": "5 days"}, "schedule/cycle"),
        ({"interestCalculationBase": "NTX"}, "actus/term"),
        ({"scalingEffect": "XXX"}, "actus/term"),
        ({"coverageOfCreditEnhancement": "0"}, "actus/term"),
        ({"coverageOfCreditEnhancement": "1.1"}, "actus/term"),
        ({"creditEventTypeCovered": "XX"}, "actus/term"),
        ({"creditEventTypeCovered": 5}, "actus/term"),
        ({"penaltyType": "Q"}, "actus/term"),
        ({"maturitydate": "2014-01-01"}, "actus/unknown-term"),
        ({"arrayRate": "0.1"}, "actus/unsupported-term"),
        ({"initialMargin": "5"}, "actus/unsupported-term"),
        ({"cyclePointOfInterestPayment": "B"}, "actus/unsupported-term"),
        ({"cyclePointOfRateReset": "E"}, "actus/unsupported-term"),
        ({"cycleOfOptionality": "P1ML0"}, "actus/unsupported-term"),
        ({"contractStructure": "x"}, "actus/term"),
        ({"contractStructure": [5]}, "actus/term"),
        ({"contractStructure": [{**REFERENCE, "referenceRole": "UDL"}]}, "actus/term"),
        ({"contractStructure": [{**REFERENCE, "referenceType": "MOC"}]}, "actus/term"),
        ({"contractStructure": [{**REFERENCE, "object": {}}]}, "actus/term"),
        (
            {
                "contractStructure": [
                    {**REFERENCE, "referenceType": "CNT", "object": {"contractType": "COM"}}
                ]
            },
            "actus/missing-term",
        ),
    ],
)
def test_a_term_that_makes_no_sense_is_refused(terms: dict[str, Any], code: str) -> None:
    assert refusal(**terms) == code


def test_defaults_may_be_said() -> None:
    assert rows(cyclePointOfInterestPayment="E", cyclePointOfRateReset="B") == rows()


@pytest.mark.parametrize(
    ("facts", "code"),
    [
        ({"contractType": "LAM", "maturityDate": None}, "actus/missing-term"),
        ({"contractType": "ANN"}, "actus/missing-term"),
        (
            {
                "contractType": "ANN",
                **AMORTISES,
                "nominalInterestRate": "-8",
                "cycleOfPrincipalRedemption": "P9ML1",
            },
            "actus/term",
        ),
        ({"cycleOfInterestPayment": "P1DL1", "maturityDate": "2500-01-01"}, "schedule/endless"),
        # Each day a new rate, and an annuity over all days that are left.
        (
            {
                "contractType": "ANN",
                **AMORTISES,
                **FLOATS,
                "cycleOfPrincipalRedemption": "P1DL1",
                "cycleOfRateReset": "P1DL1",
                "maturityDate": "2020-01-01",
            },
            "schedule/endless",
        ),
        (
            {
                "contractType": "LAM",
                **AMORTISES,
                "maturityDate": None,
                "nextPrincipalRedemptionPayment": "1e-30",
            },
            "schedule/order",
        ),
        (
            {
                "contractType": "LAM",
                **AMORTISES,
                "cycleOfPrincipalRedemption": "P1DL1",
                "maturityDate": None,
                "statusDate": "2500-01-01",
                "nextPrincipalRedemptionPayment": "1",
            },
            "schedule/endless",
        ),
    ],
)
def test_a_contract_that_cannot_be_played_is_refused(facts: dict[str, Any], code: str) -> None:
    assert refusal(**facts) == code


# --- observations and events


@pytest.mark.parametrize(
    "event",
    [
        5,
        {"time": "2013-01-01", "type": "MR", "value": 0},
        {"time": "2013-01-01", "type": "XD", "value": "-1"},
        {"time": "2013-01-01", "type": "XD", "worth": 1},
        {"time": "2013-01-01", "type": "CE", "value": 0},
        {"time": "2013-01-01", "type": "XD", "states": {"contractPerformance": "DF"}},
    ],
)
def test_an_event_that_makes_no_sense_is_refused(event: Any) -> None:
    assert refusal(events=[event]) == "actus/event"


@pytest.mark.parametrize("data", [5, {"KEY": 5}, {"KEY": {"data": 5}}, {"KEY": {"data": [5]}}])
def test_observations_are_lists_of_time_and_value(data: Any) -> None:
    with pytest.raises(BadInput) as refused:
        read_case("x", {"terms": LOAN, "dataObserved": data})
    assert refused.value.code == "actus/format"


def test_two_values_at_one_time_are_refused_unless_they_are_one() -> None:
    twice = [("2013-01-01", "0.1"), ("2013-01-01T00:00", "0.10")]
    assert rows(**FLOATS, data={"KEY": twice})
    assert refusal(**FLOATS, data={"KEY": [twice[0], ("2013-01-01", "0.2")]}) == "actus/format"


@pytest.mark.parametrize("value", [None, "", " "])
def test_an_event_without_a_value_has_none(value: object) -> None:
    """As a term that is null or empty: a credit event moves no amount."""
    seen = {"time": "2013-05-01", "type": "CE", "contractId": "loan", "value": value}
    (event,) = case(events=[{**seen, "states": {"contractPerformance": "DF"}}]).market.events
    assert event.value == 0


# --- files


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"{}",
        b"5",
        b"{",
        b"\xff",
        b'{"a": NaN}',
        b'{"a": 1, "a": 2}',
        b'{"a": ' + b"[" * 100 + b"]" * 100 + b"}",
        b" " * (MAX_FILE + 1),
    ],
)
def test_what_is_no_file_of_cases_is_refused(raw: bytes) -> None:
    assert file_refusal(raw) == "actus/format"


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    for file in (tmp_path / "none.json", tmp_path):
        with pytest.raises(BadInput) as refused:
            load_cases(file)
        assert refused.value.code == "actus/missing-file"


def test_a_case_that_is_refused_leaves_the_others() -> None:
    good = {"terms": LOAN, "results": []}
    found = read_cases(
        json.dumps(
            {
                "a": good,
                "b": {"terms": {**LOAN, "contractType": "SWAPS"}},
                "c": 5,
                "d": {**good, "result": []},
                "e": {**good, "results": {}},
                "f": {**good, "results": [5]},
                "g": {**good, "results": [{"eventDate": "2013-01-01", "eventType": "IP", "x": 1}]},
                "h": good,
            }
        ).encode()
    )
    assert [each.name for each in found] == list("abcdefgh")
    assert [each.refusal.code for each in found if isinstance(each, Unread)] == [
        "actus/type",
        "actus/format",
        "actus/format",
        "actus/result",
        "actus/result",
        "actus/result",
    ]
    assert all(isinstance(found[n], Case) for n in (0, 7))


def test_a_result_is_compared_in_all_that_it_says() -> None:
    row = {
        "eventDate": "2014-01-01T00:00",
        "eventType": "MD",
        "payoff": 3600,
        "currency": "USD",
        "notionalPrincipal": 0.0,
    }

    def differs(**changes: Any) -> str:
        terms = {**LOAN, "nominalInterestRate": None, "statusDate": "2013-06-01"}
        data = {"terms": terms, "results": [{**row, **changes}]}
        (only,) = read_cases(json.dumps({"x": data}).encode())
        assert isinstance(only, Case)
        return check_case(only).difference

    assert differs() == ""
    assert differs(payoff="3600.", accruedInterest=None, nominalInterestRate=".0") == ""
    for change in (
        {"eventDate": "2014-01-02"},
        {"eventType": "IP"},
        {"payoff": 3600.00001},
        {"currency": "EUR"},
        {"notionalPrincipal": 0.00001},
        {"nominalInterestRate": 1},
        {"accruedInterest": 1},
        {"exerciseAmount": 1},
        {"exerciseDate": "2014-01-01"},
        {"feeAccrued": 1},
        {"notionalScalingMultiplier": 2},
    ):
        assert differs(**change), change


# --- anything else


JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**40), 10**40),
    st.text(max_size=12),
    st.sampled_from(["P1ML0", "P1DL1", "2013-05-05", "0", "-3", "1e99", "DF", "NT", "A", "MF"]),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)


@given(
    st.sampled_from(["PAM", "LAM", "NAM", "ANN", "CLM", "UMP", "CEC", "CEG"]),
    st.dictionaries(st.sampled_from(sorted(read_terms._FIELDS)), JUNK, max_size=4),
)
def test_whatever_a_term_is_it_is_played_or_refused_by_code(kind, junk) -> None:
    terms = {**LOAN, **AMORTISES, "contractType": kind, **junk}
    code = ""
    try:
        found = read_case("x", {"terms": terms, "to": "2015-01-01"})
        check_case(found)
    except BadInput as refused:
        code = refused.code
    assert code.split("/")[0] in ("", "actus", "schedule")


def test_every_field_of_the_terms_is_read_but_the_two_of_scaling() -> None:
    named = {field for field, _ in read_terms._FIELDS.values()}
    fields = set(Terms.__dataclass_fields__)
    assert named - fields == {"scaling"}
    assert fields - named == {"scales_interest", "scales_notional"}


def test_moments_are_in_the_order_of_the_clock() -> None:
    days = ["2013-12-31", "2013-12-31T12:00", "2013-12-31T23:59:59", "2014-01-01"]
    moments = [parse_moment(day, at="x") for day in days]
    assert moments == sorted(moments)
    assert isinstance(moments[0], Moment)
