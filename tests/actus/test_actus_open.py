"""Call money, undated lines, and lateness: grace, delinquency, credit line."""

from decimal import Decimal
from typing import Any

import pytest
from actus_lab import case, paid, rows, told

from escrow.actus.calls import drawable
from escrow.actus.moments import parse_moment
from escrow.actus.performance import delinquency_interest, standing
from escrow.actus.terms import Performance
from escrow.core.errors import BadInput

CALL: dict[str, Any] = {
    "contractType": "CLM",
    "maturityDate": None,
    "cycleAnchorDateOfInterestPayment": None,
    "cycleOfInterestPayment": None,
    "xDayNotice": "P10D",
    "to": "2013-12-31",
}
CENT = Decimal("0.01")
LINE: dict[str, Any] = {**CALL, "contractType": "UMP", "creditLineAmount": "5000"}


def event(kind: str, day: str, value: str = "0", **more: Any) -> dict[str, Any]:
    return {"time": f"{day}T00:00:00", "type": kind, "value": value, **more}


def refusal(**facts: Any) -> str:
    with pytest.raises(BadInput) as refused:
        rows(**facts)
    return refused.value.code


# --- call money


def test_a_call_is_settled_a_notice_later_with_the_interest_until_the_call() -> None:
    played = rows(**CALL, events=[event("XD", "2013-03-01")])
    assert told(played) == [
        ("2013-01-01", "IED", Decimal(-3600)),
        ("2013-03-01", "XD", Decimal(0)),
        ("2013-03-11", "IP", Decimal(60)),
        ("2013-03-11", "STD", Decimal(3600)),
    ]
    assert [row.state.accrued for row in played] == [0, 0, 0, 0]
    assert played[1].state.exercise.quantize(CENT) == 60


def test_without_a_notice_all_happens_at_the_call() -> None:
    played = rows(**{**CALL, "xDayNotice": "P0D"}, events=[event("XD", "2013-03-01")])
    assert [(row.name, row.state.accrued.quantize(CENT)) for row in played[1:]] == [
        ("XD", 60), ("IP", 0), ("STD", 0),
    ]  # fmt: skip
    assert paid(played, "IP") == [Decimal(60)]


def test_the_first_call_counts_and_only_this_contracts() -> None:
    events = [
        event("XD", "2013-02-01", contractId="another"),
        event("XD", "2013-04-01", contractId="loan"),
        event("XD", "2013-03-01"),
    ]
    assert told(rows(**CALL, events=events), "XD")[0][0] == "2013-03-01"
    assert told(rows(**CALL, events=events[:1])) == [("2013-01-01", "IED", Decimal(-3600))]
    # Beyond what is looked at nothing was called yet.
    late = {**CALL, "to": "2013-02-15"}
    assert told(rows(**late, events=events), "XD") == []


def test_a_settlement_is_shown_beyond_the_last_date_and_on_a_business_day() -> None:
    facts = {**CALL, "to": "2013-03-06", "calendar": "MF", "businessDayConvention": "SCF"}
    # 6 March and ten days are a Saturday.
    played = rows(**facts, events=[event("XD", "2013-03-06")])
    assert told(played, "STD")[0][0] == "2013-03-18"
    assert paid(played, "IP") == [Decimal(65)]


def test_fees_end_with_a_call_whatever_day_it_is() -> None:
    """§7.6: dates of fees end at Md, which is the call; §3.4: the end is not shifted."""
    moves = {"calendar": "MF", "businessDayConvention": "SCF"}
    fees = {"cycleOfFee": "P1YL1", "feeBasis": "N", "feeRate": "0.01"}
    # 2 March is a Saturday: 61 days of 1 % on 3,600.00.
    played = rows(**CALL, **moves, **fees, events=[event("XD", "2013-03-02")])
    assert told(played, "FP", "XD", "STD") == [
        ("2013-03-02", "FP", Decimal("6.10")),
        ("2013-03-02", "XD", Decimal(0)),
        ("2013-03-12", "STD", Decimal(3600)),
    ]


def test_an_agreed_end_of_call_money_is_not_shifted() -> None:
    """The dictionary on BDC: MD is not. 1 June 2013 is a Saturday."""
    moves = {"calendar": "MF", "businessDayConvention": "SCF", "maturityDate": "2013-06-01"}
    assert told(rows(**{**CALL, **moves}), "IP", "MD") == [
        ("2013-06-01", "IP", Decimal(150)),
        ("2013-06-01", "MD", Decimal(3600)),
    ]


def test_with_a_maturity_interest_is_capitalised_until_it() -> None:
    facts = {**CALL, "maturityDate": "2013-05-15", "cycleOfInterestPayment": "P2ML1"}
    assert told(rows(**facts), "IPCI", "IP", "MD") == [
        ("2013-03-01", "IPCI", Decimal(0)),
        ("2013-05-01", "IPCI", Decimal(0)),
        ("2013-05-15", "IP", Decimal("14.47")),
        ("2013-05-15", "MD", Decimal("3721.00")),
    ]
    assert refusal(**{**CALL, "to": ""}) == "actus/missing-term"


def test_how_far_one_looks_does_not_change_the_past() -> None:
    """A long last stub joins two periods before a maturity, not before a call or a last date."""
    facts = {**CALL, "cycleOfInterestPayment": "P2ML0"}
    dates = ["2013-03-01", "2013-05-01"]
    for to in ("2013-05-20", "2013-06-30"):
        played = rows(**{**facts, "to": to})
        assert [at for at, _, _ in told(played, "IPCI")] == dates
    called = rows(**facts, events=[event("XD", "2013-06-10")])
    assert [at for at, _, _ in told(called, "IPCI")] == dates
    agreed = rows(**{**facts, "maturityDate": "2013-06-10"})
    assert [at for at, _, _ in told(agreed, "IPCI")] == dates[:1]


# --- undated lines


def test_a_line_is_drawn_and_repaid_as_it_comes() -> None:
    events = [event("PD", "2013-02-01", "1400"), event("PR", "2013-03-01", "5000")]
    cycle = {"cycleOfInterestPayment": "P3ML1", "dayCountConvention": "A360"}
    facts = {**LINE, "cycleAnchorDateOfInterestPayment": "2013-04-01", **cycle}
    played = rows(**facts, events=events)
    assert told(played, "PD", "PR") == [
        ("2013-02-01", "PD", Decimal(-1400)),
        ("2013-03-01", "PR", Decimal(5000)),
    ]
    # 31 days on 3,600.00 and 28 on 5,000.00, none on nothing; and then 91 days on itself.
    grown = [row.state.notional.quantize(CENT) for row in played if row.name == "IPCI"]
    assert grown[:2] == [Decimal("69.89"), Decimal("71.66")]
    mirrored = rows(**{**facts, "contractRole": "RPL"}, events=events)
    assert paid(mirrored, "PR") == [Decimal(-5000)]
    assert paid(mirrored, "PD") == [Decimal(1400)]
    assert [row.state.notional.quantize(CENT) for row in mirrored if row.name == "IPCI"] == [
        -each for each in grown
    ]


def test_no_more_is_drawn_than_the_credit_line_has_nor_repaid_than_is_owed() -> None:
    drawn = [event("PI", "2013-02-01", "1400")]
    played = rows(**LINE, events=drawn)
    assert told(played, "PD") == [("2013-02-01", "PD", Decimal(-1400))]
    terms = case(**LINE).terms
    assert drawable(terms, state=played[0].state) == 1400
    assert drawable(terms, state=played[1].state) == 0
    assert refusal(**LINE, events=[event("PD", "2013-02-01", "1400.01")]) == "actus/credit-line"
    assert refusal(**LINE, events=[event("PR", "2013-02-01", "3600.01")]) == "actus/event"
    endless = {**LINE, "creditLineAmount": None}
    assert paid(rows(**endless, events=[event("PD", "2013-02-01", "9999")]), "PD") == [-9999]
    assert drawable(case(**endless).terms, state=played[0].state) is None


# --- lateness


LATE = {"gracePeriod": "P5D", "delinquencyPeriod": "P30D", "delinquencyRate": "0.12"}
DUE = parse_moment("2013-04-01", at="due")


@pytest.mark.parametrize(
    ("day", "found"),
    [
        ("2013-04-01", Performance.PF),
        ("2013-04-06", Performance.PF),
        ("2013-04-07", Performance.DL),
        ("2013-05-01", Performance.DL),
        ("2013-05-02", Performance.DQ),
        ("2014-05-02", Performance.DQ),
    ],
)
def test_a_missing_payment_is_delayed_then_delinquent(day: str, found: Performance) -> None:
    terms, at = case(**LATE).terms, parse_moment(day, at="at")
    assert standing(terms, due=DUE, at=at) is found
    assert standing(terms, due=DUE, at=at, paid=at) is Performance.PF
    tomorrow = parse_moment("2015-01-01", at="paid")
    assert standing(terms, due=DUE, at=at, paid=tomorrow) is found


def test_a_default_is_declared_and_only_after_the_delinquency_period() -> None:
    terms = case(**LATE).terms
    late, early = parse_moment("2013-05-02", at="x"), parse_moment("2013-05-01", at="x")
    assert standing(terms, due=DUE, at=late, declared=True) is Performance.DF
    for facts in ({"at": early}, {"at": late, "paid": early}):
        with pytest.raises(BadInput) as refused:
            standing(terms, due=DUE, declared=True, **facts)
        assert refused.value.code == "actus/event"


def test_without_periods_a_payment_is_delinquent_at_once() -> None:
    terms, at = case().terms, parse_moment("2013-04-02", at="x")
    assert standing(terms, due=DUE, at=DUE) is Performance.PF
    assert standing(terms, due=DUE, at=at) is Performance.DQ


@pytest.mark.parametrize(
    ("day", "owed"),
    [
        ("2013-04-06", "0"),
        # 12 % on 3,600.00 is 1.20 a day, from the due date on; no longer than 30 days.
        ("2013-04-11", "12"),
        ("2013-05-01", "36"),
        ("2013-12-01", "36"),
    ],
)
def test_lateness_costs_a_rate_on_what_is_outstanding(day: str, owed: str) -> None:
    terms, at = case(**LATE).terms, parse_moment(day, at="paid")
    notional = Decimal(3600)
    found = delinquency_interest(terms, notional=notional, due=DUE, paid=at)
    assert found == pytest.approx(Decimal(owed), abs=Decimal("1e-40"))
    assert delinquency_interest(case().terms, notional=notional, due=DUE, paid=at) == 0
