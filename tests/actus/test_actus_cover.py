"""Guarantees and collateral: who draws, when, and how much."""

from decimal import Decimal
from typing import Any

import pytest
from actus_lab import AMORTISES, LOAN, case, paid, rows, told

from escrow.actus.cases import read_case
from escrow.actus.run import play_contract
from escrow.core.errors import BadInput

COLLATERAL: dict[str, Any] = {
    "contractType": "COM",
    "contractID": "coins",
    "contractRole": "RPA",
    "currency": "USD",
    "marketObjectCode": "BTC",
    "quantity": "2",
}
PRICES = {"BTC": [("2013-01-01", "5000"), ("2013-08-01", "1000")]}


def covered(*contracts: dict[str, Any]) -> list[dict[str, Any]]:
    """Contracts that are covered; what is no loan covers them."""
    return [
        {
            "object": each,
            "referenceType": "CNT",
            "referenceRole": "COVI" if each["contractType"] in ("COM", "CSH", "STK") else "COVE",
        }
        for each in contracts
    ]


def cover(kind: str, structure: list[dict[str, Any]], **facts: Any) -> list[tuple[str, str, Any]]:
    """What a cover pays, and when."""
    return told(played(kind, structure, **facts))


def played(kind: str, structure: list[dict[str, Any]], **facts: Any) -> tuple[Any, ...]:
    parts = {key: facts.pop(key) for key in ("data", "events", "to") if key in facts}
    terms = {
        "contractType": kind,
        "contractID": "cover",
        "contractRole": "BUY",
        "currency": "USD",
        "statusDate": "2012-12-30",
        "contractStructure": structure,
        **facts,
    }
    data = {
        code: {"data": [{"timestamp": t, "value": v} for t, v in points]}
        for code, points in parts.get("data", PRICES).items()
    }
    read = read_case(
        "test",
        {
            "terms": terms,
            "to": parts.get("to", ""),
            "dataObserved": data,
            "eventsObserved": parts.get("events", []),
        },
    )
    return play_contract(read.terms, market=read.market)


def falls(day: str, *, who: str = "loan", to: str = "DF") -> dict[str, Any]:
    """A credit event."""
    return {
        "time": day,
        "type": "CE",
        "value": 0,
        "contractId": who,
        "states": {"contractPerformance": to},
    }


LAM = {**LOAN, **AMORTISES, "contractType": "LAM", "contractID": "other"}


def test_collateral_pays_the_exposure_and_no_more_than_it_is_worth() -> None:
    early = cover("CEC", covered(LOAN, COLLATERAL), events=[falls("2013-05-01")])
    assert early == [("2013-05-01", "XD", Decimal(0)), ("2013-05-01", "STD", Decimal(3600))]
    late = cover("CEC", covered(LOAN, COLLATERAL), events=[falls("2013-09-01")])
    assert late[-1] == ("2013-09-01", "STD", Decimal(2000))


def test_any_of_the_covered_draws_for_all_of_them_as_they_stand() -> None:
    structure = covered(
        LOAN, LAM, {**COLLATERAL, "contractType": "CSH", "notionalPrincipal": "99999"}
    )
    structure[-1]["object"].pop("marketObjectCode")
    for who in ("loan", "other"):
        found = cover("CEC", structure, events=[falls("2013-05-01", who=who)])
        # 3,600.00 and 2,700.00: one redemption is past.
        assert found[-1] == ("2013-05-01", "STD", Decimal(6300))


@pytest.mark.parametrize(
    ("exposure", "pays"), [("NO", "3600.00"), ("NI", "3630.00"), ("MV", "3500.00")]
)
def test_what_of_a_contract_is_covered(exposure: str, pays: str) -> None:
    loan = {**LOAN, "marketObjectCode": "BOND"}
    data = {**PRICES, "BOND": [("2013-01-01", "3500")]}
    facts = {"guaranteedExposure": exposure, "data": data, "events": [falls("2013-05-01")]}
    assert cover("CEC", covered(loan, COLLATERAL), **facts)[-1][2] == Decimal(pays)
    assert cover("CEG", covered(loan), **facts)[-1][2] == Decimal(pays)
    half = cover("CEG", covered(loan), **facts, coverageOfCreditEnhancement="0.5")
    assert half[-1][2] == Decimal(pays) / 2


@pytest.mark.parametrize("kind", ["CEC", "CEG"])
@pytest.mark.parametrize(
    ("events", "covers"),
    [
        ([], "DF"),
        ([falls("2013-05-01", to="DQ")], "DF"),
        ([falls("2013-05-01")], "DQ"),
        ([falls("2013-05-01", who="stranger")], "DF"),
        ([falls("2014-01-02")], "DF"),
        # As of the status date it is past.
        ([falls("2012-12-30")], "DF"),
    ],
)
def test_what_is_not_covered_draws_nothing(kind: str, events: list[Any], covers: str) -> None:
    structure = covered(LOAN, COLLATERAL) if kind == "CEC" else covered(LOAN)
    found = cover(kind, structure, events=events, creditEventTypeCovered=covers)
    assert found == [("2014-01-01", "MD", Decimal(0))]


def test_more_than_one_kind_of_credit_event_may_be_covered() -> None:
    for covers in ("DQ, DF", ["DQ", "DF"]):
        found = cover(
            "CEG",
            covered(LOAN),
            events=[falls("2013-05-01", to="DQ")],
            creditEventTypeCovered=covers,
        )
        assert found[-1] == ("2013-05-01", "STD", Decimal(3600))


def test_who_gives_the_cover_pays_and_settlement_takes_its_time() -> None:
    facts = {"calendar": "MF", "businessDayConvention": "CSF", "settlementPeriod": "P3D"}
    found = cover(
        "CEC",
        covered(LOAN, COLLATERAL),
        events=[falls("2013-05-01")],
        contractRole="SEL",
        **facts,
    )
    # 4 May 2013 is a Saturday.
    assert found == [("2013-05-01", "XD", Decimal(0)), ("2013-05-06", "STD", Decimal(-3600))]


def test_a_guarantee_of_an_amount_pays_its_share_once() -> None:
    named = [
        {
            "object": {"contractIdentifier": "loan"},
            "referenceType": "CID",
            "referenceRole": "COVE",
        }
    ]
    facts = {
        "notionalPrincipal": "1000",
        "coverageOfCreditEnhancement": "0.7",
        "maturityDate": "2013-12-31",
        "purchaseDate": "2013-01-02",
        "priceAtPurchaseDate": "10",
    }
    found = cover("CEG", named, events=[falls("2013-05-01")], **facts)
    assert found == [
        ("2013-01-02", "PRD", Decimal(-10)),
        ("2013-05-01", "XD", Decimal(0)),
        ("2013-05-01", "STD", Decimal(700)),
    ]


def test_a_guarantees_fees_run_until_it_is_drawn() -> None:
    facts = {
        "cycleAnchorDateOfFee": "2013-03-01",
        "cycleOfFee": "P3ML0",
        "dayCountConvention": "30E360",
        "feeBasis": "N",
        "feeRate": "0.1",
    }
    quiet = played("CEG", covered(LOAN), **facts)
    assert [at for at, _, _ in told(quiet, "FP")] == [
        "2013-03-01", "2013-06-01", "2013-09-01", "2014-01-01",
    ]  # fmt: skip
    assert paid(quiet, "FP")[1] == Decimal(90)
    drawn = played("CEG", covered(LOAN), **facts, events=[falls("2013-05-01")])
    # §7.17: the dates of fees end with the exercise, which is the last: two months at 10 %.
    assert told(drawn, "FP", "XD", "STD") == [
        ("2013-03-01", "FP", Decimal(0)),
        ("2013-05-01", "FP", Decimal(60)),
        ("2013-05-01", "XD", Decimal(0)),
        ("2013-05-01", "STD", Decimal(3600)),
    ]
    fixed = {**facts, "feeBasis": "A", "feeRate": "7"}
    assert paid(played("CEG", covered(LOAN), **fixed), "FP") == [Decimal(7)] * 4
    drawn = played("CEG", covered(LOAN), **fixed, events=[falls("2013-05-01")])
    assert (paid(drawn, "FP"), paid(drawn, "STD")) == ([Decimal(7)] * 2, [Decimal(3600)])


def test_a_guarantees_fees_run_from_its_purchase() -> None:
    """§7.17, PRD: the accrued fee after it is that of the status date."""
    facts = {
        "statusDate": "2013-01-31",
        "purchaseDate": "2013-04-01",
        "priceAtPurchaseDate": "10",
        "cycleOfFee": "P3ML0",
        "dayCountConvention": "30E360",
        "feeBasis": "N",
        "feeRate": "0.1",
    }
    # Three months at 10 % of 3,600.00. Without an anchor the first is a cycle after the purchase.
    bought = played("CEG", covered(LOAN), **facts)
    assert told(bought, "FP")[0] == ("2013-07-01", "FP", Decimal(90))
    assert paid(played("CEG", covered(LOAN), **facts, feeAccrued="5"), "FP")[0] == Decimal(95)
    # What was due before the purchase was due to the seller.
    early = {**facts, "cycleAnchorDateOfFee": "2013-03-01"}
    assert told(played("CEG", covered(LOAN), **early), "FP")[0] == ("2013-06-01", "FP", Decimal(60))


def test_fees_of_a_guarantee_have_run_since_the_last_payment_of_them() -> None:
    """§7.17, Feac at t₀: of the exposure as it is then."""
    facts = {
        "statusDate": "2013-07-01",
        "cycleAnchorDateOfFee": "2013-06-01",
        "cycleOfFee": "P3ML0",
        "dayCountConvention": "30E360",
        "feeBasis": "N",
        "feeRate": "0.1",
    }
    assert paid(played("CEG", covered(LOAN), **facts), "FP")[0] == Decimal(90)
    late = {**facts, "statusDate": "2014-01-01", "to": "2014-02-01"}
    assert played("CEG", covered(LOAN), **late) == ()


def test_an_agreed_end_of_a_cover_is_not_shifted() -> None:
    """The dictionary on BDC: MD is not. 1 December 2013 is a Sunday."""
    facts = {"calendar": "MF", "businessDayConvention": "SCF", "maturityDate": "2013-12-01"}
    assert told(played("CEG", covered(LOAN), **facts)) == [("2013-12-01", "MD", Decimal(0))]


def test_an_exercise_that_is_past_is_only_settled() -> None:
    facts = {
        "exerciseDate": "2012-12-28",
        "exerciseAmount": "500",
        "settlementPeriod": "P5D",
        "notionalPrincipal": "900",
    }
    assert cover("CEG", covered(LOAN), **facts) == [("2013-01-02", "STD", Decimal(500))]


def test_a_cover_that_was_sold_is_not_drawn_upon() -> None:
    facts = {"terminationDate": "2013-04-15", "priceAtTerminationDate": "25"}
    found = cover("CEG", covered(LOAN), events=[falls("2013-05-01")], **facts)
    assert found == [("2013-04-15", "TD", Decimal(25))]


@pytest.mark.parametrize(
    ("kind", "structure", "code"),
    [
        ("CEC", [], "actus/missing-term"),
        ("CEC", covered(COLLATERAL), "actus/missing-term"),
        ("CEC", covered(LOAN), "actus/missing-term"),
    ],
)
def test_a_cover_of_nothing_or_by_nothing_is_refused(kind: str, structure: Any, code: str) -> None:
    with pytest.raises(BadInput) as refused:
        cover(kind, structure, events=[falls("2013-05-01")])
    assert refused.value.code == code


def test_a_line_may_be_covered() -> None:
    line = {**LOAN, "contractType": "UMP", "contractID": "line"}
    for key in ("maturityDate", "cycleAnchorDateOfInterestPayment", "cycleOfInterestPayment"):
        del line[key]
    drawn = {"time": "2013-02-01", "type": "PD", "value": "400", "contractId": "line"}
    found = cover(
        "CEC",
        covered(line, COLLATERAL),
        to="2013-12-31",
        guaranteedExposure="NI",
        maturityDate="2013-12-31",
        events=[drawn, falls("2013-03-01", who="line")],
    )
    # 4,000.00, and a month of 30.00 and one of 33.33.
    assert found[-1] == ("2013-03-01", "STD", Decimal("4063.33"))


def test_what_happens_at_the_moment_of_a_default_has_happened() -> None:
    """A redemption, and interest that is added to a line, on the day of the credit event."""
    other = cover("CEG", covered(LAM), events=[falls("2013-07-01", who="other")])
    assert other[-1][2] == Decimal(1800)
    line = {**LOAN, "contractType": "UMP", "contractID": "line"}
    del line["maturityDate"]
    drawn = cover(
        "CEG",
        covered(line),
        to="2013-12-31",
        maturityDate="2013-12-31",
        events=[falls("2013-04-01", who="line")],
    )
    assert drawn[-1][2] == Decimal(3690)


def test_only_events_that_name_a_covered_contract_are_its_own() -> None:
    loan = {**LOAN, "prepaymentEffect": "M"}
    prepaid = {"time": "2013-04-15", "type": "PP", "value": "1200"}
    for extra, owed in (({}, 3600), ({"contractId": "loan"}, 2400)):
        events = [{**prepaid, **extra}, falls("2013-05-01")]
        assert cover("CEG", covered(loan), events=events)[-1][2] == Decimal(owed)


def test_a_default_beyond_the_last_date_is_not_seen() -> None:
    events = [falls("2013-05-01")]
    assert cover("CEG", covered(LOAN), events=events, to="2013-04-30") == []
    assert len(cover("CEG", covered(LOAN), events=events, to="2013-05-01")) == 2


def test_the_lab_has_a_loan() -> None:
    assert case().terms.notional == 3600
    assert rows()


def test_fees_each_day_of_what_pays_each_day_are_too_many_steps() -> None:
    daily = {**LOAN, "maturityDate": "2019-01-01", "cycleOfInterestPayment": "P1DL1"}
    facts = {"feeRate": "0.1", "cycleAnchorDateOfFee": "2013-04-01", "maturityDate": "2019-01-01"}
    with pytest.raises(BadInput, match="schedule/endless"):
        played("CEG", covered(daily), cycleOfFee="P1DL1", **facts)
    # Seven fees and the end.
    assert len(played("CEG", covered(daily), cycleOfFee="P1YL1", **facts)) == 8
