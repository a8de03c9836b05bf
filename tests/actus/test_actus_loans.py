"""Loans by the standard: the rules that no published result exercises, and those that all have."""

from collections.abc import Iterator
from decimal import Context, Decimal, localcontext
from typing import Any

import pytest
from actus_lab import AMORTISES, FLOATS, case, paid, rows, told
from hypothesis import given
from hypothesis import strategies as st

from escrow.actus.run import check_case, play_contract
from escrow.actus.states import ARITHMETIC
from escrow.core.errors import BadInput


@pytest.fixture(autouse=True)
def sixty_digits() -> Iterator[None]:
    """Even a sign costs digits in Python's own context, which has 28."""
    with localcontext(ARITHMETIC):
        yield


KEY = {"KEY": [("2013-04-01", "0.16"), ("2013-07-01", "0.02"), ("2013-10-01", "0.30")]}


def refusal(**facts: Any) -> str:
    """The code that a contract is refused with."""
    with pytest.raises(BadInput) as refused:
        rows(**facts)
    return refused.value.code


def seen(kind: str, day: str, value: str = "0") -> dict[str, Any]:
    return {"time": f"{day}T00:00:00", "type": kind, "value": value}


# --- PAM


def test_a_bullet_loan() -> None:
    assert told(rows()) == [
        ("2013-01-01", "IED", Decimal(-3600)),
        ("2013-04-01", "IP", Decimal(90)),
        ("2013-07-01", "IP", Decimal(90)),
        ("2013-10-01", "IP", Decimal(90)),
        ("2014-01-01", "IP", Decimal(90)),
        ("2014-01-01", "MD", Decimal(3600)),
    ]


def test_without_interest_dates_it_is_paid_at_the_end() -> None:
    bare = {"cycleAnchorDateOfInterestPayment": None, "cycleOfInterestPayment": None}
    assert told(rows(**bare), "IP") == [("2014-01-01", "IP", Decimal(360))]
    assert told(rows(**bare, nominalInterestRate=None), "IP") == []


def test_only_what_comes_after_the_status_date_is_shown() -> None:
    """And the interest that has run since the last payment is known."""
    played = rows(statusDate="2013-08-01")
    assert told(played)[0] == ("2013-10-01", "IP", Decimal(90))
    assert paid(rows(statusDate="2013-08-01", accruedInterest="5"), "IP")[0] == Decimal(65)
    # An event of the status date itself is past.
    assert told(rows(statusDate="2013-07-01"), "IP")[0][0] == "2013-10-01"
    # Before the first payment nothing says what has run.
    assert paid(rows(statusDate="2013-02-01"), "IP")[0] == Decimal(60)


def test_nothing_is_shown_beyond_the_last_date_asked_for() -> None:
    assert [at for at, _, _ in told(rows(to="2013-07-01"))] == [
        "2013-01-01", "2013-04-01", "2013-07-01",
    ]  # fmt: skip


def test_a_last_date_without_a_time_is_its_whole_day() -> None:
    evening = {"maturityDate": "2013-12-31T23:59:59"}
    assert told(rows(**evening, to="2013-12-31"), "MD") == [("2013-12-31", "MD", Decimal(3600))]
    assert told(rows(**evening, to="2013-12-31T12:00:00"), "MD") == []
    # Interest has run to the end of that day, the beginning of the next: half a year, since the
    # last period is long.
    assert paid(rows(**evening), "IP")[-1] == Decimal(180)


def test_interest_that_ran_before_the_exchange_is_the_lenders() -> None:
    played = rows(cycleAnchorDateOfInterestPayment="2012-12-01", cycleOfInterestPayment="P4ML1")
    # From 1 December, though the money is lent on 1 January.
    assert told(played, "IP")[0] == ("2013-04-01", "IP", Decimal(120))
    # Nothing is paid before there is a loan.
    known = rows(cycleAnchorDateOfInterestPayment="2012-12-01", statusDate="2012-11-01")
    assert told(known)[0] == ("2013-01-01", "IED", Decimal(-3600))


@pytest.mark.parametrize(
    ("convention", "at", "interest"),
    [
        # 1 September 2013 is a Sunday.
        ("SCF", "2013-09-02", "81.00"),
        ("CSF", "2013-09-02", "80.00"),
        ("SCP", "2013-08-30", "79.00"),
        ("CSP", "2013-08-30", "80.00"),
        ("SCMP", "2013-09-02", "81.00"),
        ("NOS", "2013-09-01", "80.00"),
    ],
)
def test_interest_follows_the_shift_or_not(convention: str, at: str, interest: str) -> None:
    played = rows(
        calendar="MF",
        businessDayConvention=convention,
        cycleAnchorDateOfInterestPayment="2013-09-01",
        cycleOfInterestPayment="P2ML0",
        notionalPrincipal="1200",
    )
    # 30E/360: eight months of 10 % on 1,200.00 are 80.00, a day is 0.3333; SCP keeps the 30th.
    expected = {"81.00": "80.33", "79.00": "79.67"}.get(interest, interest)
    assert told(played, "IP")[0] == (at, "IP", Decimal(expected))


def test_a_premium_is_lent_on_top_and_not_owed() -> None:
    assert paid(rows(premiumDiscountAtIED="-100"), "IED") == [Decimal(-3500)]
    assert paid(rows(premiumDiscountAtIED="-100"), "MD") == [Decimal(3600)]


def test_a_buyer_pays_price_and_accrued_interest_and_sees_nothing_before() -> None:
    played = told(rows(purchaseDate="2013-05-01", priceAtPurchaseDate="3500"))
    assert played[0] == ("2013-05-01", "PRD", Decimal(-3530))
    assert played[1] == ("2013-07-01", "IP", Decimal(90))
    # The interest of the day itself was the seller's.
    assert told(rows(purchaseDate="2013-07-01", priceAtPurchaseDate="3500"))[:2] == [
        ("2013-07-01", "PRD", Decimal(-3500)),
        ("2013-10-01", "IP", Decimal(90)),
    ]


def test_who_terminates_gets_price_and_accrued_interest_and_nothing_after() -> None:
    played = told(rows(terminationDate="2013-05-01", priceAtTerminationDate="3500"))
    assert played[-1] == ("2013-05-01", "TD", Decimal(3530))
    on_time = told(rows(terminationDate="2013-07-01", priceAtTerminationDate="3500"))
    assert on_time[-2:] == [
        ("2013-07-01", "IP", Decimal(90)),
        ("2013-07-01", "TD", Decimal(3500)),
    ]


def test_an_agreed_end_is_not_shifted_and_a_computed_one_is() -> None:
    """§3.4: t₁ to tₙ₋₁ are shifted; the dictionary on BDC: MD and IPCED are not."""
    moves = {"calendar": "MF", "businessDayConvention": "SCF"}
    # 1 December 2013 is a Sunday, 1 June a Saturday.
    agreed = rows(**moves, maturityDate="2013-12-01", cycleOfInterestPayment="P2ML1")
    assert told(agreed, "IP")[1] == ("2013-06-03", "IP", Decimal(62))
    assert told(agreed, "IP", "MD")[-2:] == [
        ("2013-12-01", "IP", Decimal(60)),
        ("2013-12-01", "MD", Decimal(3600)),
    ]
    bullets = rows(**moves, capitalizationEndDate="2013-06-01")
    assert [at for at, _, _ in told(bullets, "IPCI")] == ["2013-04-01", "2013-06-01"]
    # 900.00 a quarter from 1 March: the fourth, the end, is on that Sunday, and paid on Monday.
    anchors = {
        "cycleAnchorDateOfPrincipalRedemption": "2013-03-01",
        "cycleOfPrincipalRedemption": "P3ML0",
        "nextPrincipalRedemptionPayment": "900",
    }
    computed = rows(contractType="LAM", **moves, **anchors, maturityDate=None)
    assert told(computed, "MD") == [("2013-12-02", "MD", Decimal(900))]


def test_a_rate_of_nothing_scaled_is_one() -> None:
    """§7.1, Nsc and Isc at t₀: 1.0 unless SCEF names them."""
    doubled = {"notionalScalingMultiplier": "2", "interestScalingMultiplier": "3"}
    assert paid(rows(**doubled), "MD") == [Decimal(3600)]
    kept = {
        # Scaled anew at the maturity: that is no date of scaling, nothing could follow from it.
        "cycleAnchorDateOfScalingIndex": "2014-01-01",
        "marketObjectCodeOfScalingIndex": "CPI",
        "scalingIndexAtContractDealDate": "100",
    }
    played = rows(**doubled, **kept, scalingEffect="0N0")
    assert (paid(played, "IP")[0], paid(played, "MD")) == (Decimal(90), [Decimal(7200)])
    played = rows(**doubled, **kept, scalingEffect="I00")
    assert (paid(played, "IP")[0], paid(played, "MD")) == (Decimal(270), [Decimal(3600)])


def test_capitalised_interest_bears_interest() -> None:
    played = rows(capitalizationEndDate="2013-08-01")
    # On the loan's own dates, and once more at the end of it; then the dates go on.
    assert told(played, "IPCI", "IP") == [
        ("2013-04-01", "IPCI", Decimal(0)),
        ("2013-07-01", "IPCI", Decimal(0)),
        ("2013-08-01", "IPCI", Decimal(0)),
        ("2013-10-01", "IP", Decimal("63.56")),
        ("2014-01-01", "IP", Decimal("95.34")),
    ]
    assert paid(played, "MD") == [Decimal("3813.77")]


def test_interest_is_capitalised_on_every_date_until_the_last_one_named() -> None:
    """The dictionary on IPCED: one more on that day, so no long stub takes the one before away. An
    amortiser too capitalises to then (§7.4: IPCI as PAM), and what it repays meanwhile is no
    payment of interest."""
    monthly = {"cycleAnchorDateOfInterestPayment": "2013-02-01", "cycleOfInterestPayment": "P1ML0"}
    days = [at for at, _, _ in told(rows(**monthly, capitalizationEndDate="2013-04-15"), "IPCI")]
    assert days == ["2013-02-01", "2013-03-01", "2013-04-01", "2013-04-15"]
    level = rows(
        contractType="NAM",
        **AMORTISES,
        **monthly,
        nextPrincipalRedemptionPayment="930",
        capitalizationEndDate="2013-05-15",
    )
    days = [at for at, _, _ in told(level, "IPCI")]
    assert days == ["2013-02-01", "2013-03-01", "2013-04-01", "2013-05-01", "2013-05-15"]
    assert [at for at, _, _ in told(level, "IP")] == ["2013-07-01", "2013-10-01", "2014-01-01"]


def test_payments_in_another_currency_are_exchanged() -> None:
    played = rows(settlementCurrency="EUR", data={"USD/EUR": [("2013-01-01", "0.5")]})
    assert paid(played, "IP") == [Decimal(45)] * 4
    assert refusal(settlementCurrency="EUR") == "actus/observation"


# --- rates


def test_a_rate_is_the_last_one_observed_and_the_spread() -> None:
    played = rows(**FLOATS, rateSpread="0.04", rateMultiplier="2", data=KEY)
    assert [row.state.rate for row in played if row.name == "RR"] == [
        Decimal("0.36"), Decimal("0.08"), Decimal("0.64"),
    ]  # fmt: skip
    assert paid(played, "IP") == [Decimal(90), Decimal(324), Decimal(72), Decimal(576)]


@pytest.mark.parametrize(
    ("bounds", "rates"),
    [
        ({}, ["0.16", "0.02", "0.30"]),
        ({"lifeCap": "0.2"}, ["0.16", "0.02", "0.2"]),
        ({"lifeFloor": "0.05"}, ["0.16", "0.05", "0.30"]),
        ({"periodCap": "0.03"}, ["0.13", "0.02", "0.05"]),
        # A floor on the change, written with its sign or without it.
        ({"periodFloor": "0.02"}, ["0.16", "0.14", "0.30"]),
        ({"periodFloor": "-0.02"}, ["0.16", "0.14", "0.30"]),
        ({"periodCap": "0.03", "lifeCap": "0.11"}, ["0.11", "0.02", "0.05"]),
    ],
)
def test_caps_and_floors(bounds: dict[str, str], rates: list[str]) -> None:
    played = rows(**FLOATS, **bounds, data=KEY)
    assert [row.state.rate for row in played if row.name == "RR"] == [Decimal(r) for r in rates]


def test_a_rate_that_was_fixed_before_is_taken_first() -> None:
    played = rows(**FLOATS, nextResetRate="0.07", data={"KEY": [("2013-07-01", "0.02")]})
    resets = [(row.name, row.state.rate) for row in played if row.name.startswith("RR")]
    assert resets[0] == ("RRF", Decimal("0.07"))
    assert [name for name, _ in resets] == ["RRF", "RR", "RR"]


def test_a_convention_that_calculates_first_observes_first() -> None:
    """1 June 2013 is a Saturday, and the index is published anew on the Monday."""
    resets = {**FLOATS, "cycleAnchorDateOfRateReset": "2013-06-01", "calendar": "MF"}
    data = {"KEY": [("2013-06-01", "0.01"), ("2013-06-03", "0.02")]}
    for convention, rate in (("CSF", "0.01"), ("SCF", "0.02")):
        played = rows(**resets, businessDayConvention=convention, data=data)
        first = next(row for row in played if row.name == "RR")
        assert (str(first.event.at)[:10], first.state.rate) == ("2013-06-03", Decimal(rate))


def test_a_reset_before_anything_was_observed_is_refused() -> None:
    assert refusal(**FLOATS, data={"KEY": [("2013-04-02", "0.1")]}) == "actus/observation"
    assert refusal(**FLOATS, data={"OTHER": [("2013-01-01", "0.1")]}) == "actus/observation"


# --- scaling and fees


SCALES: dict[str, Any] = {
    "cycleAnchorDateOfScalingIndex": "2013-04-01",
    "cycleOfScalingIndex": "P6ML1",
    "marketObjectCodeOfScalingIndex": "CPI",
    "scalingIndexAtContractDealDate": "100",
    "data": {"CPI": [("2013-04-01", "150"), ("2013-10-01", "200")]},
}


def test_an_index_scales_interest_notional_or_both() -> None:
    interest = rows(**SCALES, scalingEffect="I00")
    assert paid(interest, "IP") == [Decimal(90), Decimal(135), Decimal(135), Decimal(180)]
    assert paid(interest, "MD") == [Decimal(3600)]
    notional = rows(**SCALES, scalingEffect="0N0")
    assert paid(notional, "IP") == [Decimal(90)] * 4
    assert paid(notional, "MD") == [Decimal(7200)]
    assert paid(rows(**SCALES, scalingEffect="IN0"), "MD") == [Decimal(7200)]
    assert paid(rows(**SCALES, scalingEffect="000"), "MD") == [Decimal(3600)]
    # An index of a moment counts from the next payment on.
    parts = rows(contractType="LAM", **AMORTISES, **SCALES, scalingEffect="0N0")
    assert paid(parts, "PR") == [Decimal(900), Decimal(1350), Decimal(1350)]
    assert paid(parts, "MD") == [Decimal(1800)]
    assert refusal(**{**SCALES, "scalingIndexAtContractDealDate": None}, scalingEffect="I00") == (
        "actus/missing-term"
    )


def test_fees_as_an_amount_or_a_rate() -> None:
    fees = {"cycleAnchorDateOfFee": "2013-07-01", "cycleOfFee": "P6ML0"}
    assert told(rows(**fees, feeBasis="A", feeRate="12"), "FP") == [
        ("2013-07-01", "FP", Decimal(12)),
        ("2014-01-01", "FP", Decimal(12)),
    ]
    # 1 % of 3,600.00 over half a year.
    assert paid(rows(**fees, feeBasis="N", feeRate="0.01"), "FP") == [Decimal(18), Decimal(18)]
    assert paid(rows(**fees, feeBasis="A", feeRate="12", contractRole="RPL"), "FP")[0] == -12


def test_fees_have_run_since_the_last_payment_of_them() -> None:
    """§7.1, Feac at t₀."""
    fees = {"cycleAnchorDateOfFee": "2013-07-01", "cycleOfFee": "P6ML0", "feeRate": "0.01"}
    later = {**fees, "feeBasis": "N", "statusDate": "2013-10-01"}
    # 1 % of 3,600.00 over half a year, half of it before the status date.
    assert paid(rows(**later), "FP") == [Decimal(18)]
    assert paid(rows(**later, feeAccrued="5"), "FP") == [Decimal(14)]
    # Nothing was paid before: nothing says what has run.
    assert paid(rows(**{**later, "statusDate": "2013-04-01"}), "FP")[0] == Decimal(9)
    # What a maturity pays beside principal and interest is such a fee: here it was paid before.
    assert paid(rows(**later), "MD") == [Decimal(3600)]


# --- LAM, NAM, ANN


def test_a_linear_amortiser_finds_its_payment_or_its_end() -> None:
    found = rows(contractType="LAM", **AMORTISES)
    assert paid(found, "PR") == [Decimal(900)] * 3
    assert paid(found, "IP") == [Decimal(90), Decimal("67.50"), Decimal(45), Decimal("22.50")]
    assert paid(found, "MD") == [Decimal(900)]
    ends = rows(
        contractType="LAM", **AMORTISES, nextPrincipalRedemptionPayment="1000", maturityDate=None
    )
    assert told(ends, "PR", "MD")[-1] == ("2014-01-01", "MD", Decimal(600))


@pytest.mark.parametrize(
    ("base", "interest"),
    [
        ({"interestCalculationBase": "NT"}, ["90.00", "67.50", "45.00", "22.50"]),
        ({"interestCalculationBase": "NTIED"}, ["90.00"] * 4),
        (
            {"interestCalculationBase": "NTIED", "interestCalculationBaseAmount": "7200"},
            ["180.00"] * 4,
        ),
        (
            {
                "interestCalculationBase": "NTL",
                "cycleAnchorDateOfInterestCalculationBase": "2013-07-01",
                "cycleOfInterestCalculationBase": "P6ML1",
            },
            ["90.00", "90.00", "45.00", "45.00"],
        ),
    ],
)
def test_what_interest_is_counted_on(base: dict[str, str], interest: list[str]) -> None:
    found = rows(contractType="LAM", **AMORTISES, **base)
    assert paid(found, "IP") == [Decimal(each) for each in interest]


def test_a_negative_amortiser_grows_if_it_pays_less_than_its_interest() -> None:
    found = rows(contractType="NAM", **AMORTISES, nextPrincipalRedemptionPayment="40")
    assert paid(found, "PR") == [Decimal("-50.00"), Decimal("-51.25"), Decimal("-52.53")]
    assert paid(found, "MD") == [Decimal("3753.78")]
    assert (
        refusal(
            contractType="NAM",
            **AMORTISES,
            nextPrincipalRedemptionPayment="40",
            maturityDate=None,
        )
        == "actus/term"
    )
    assert refusal(contractType="NAM", **AMORTISES, maturityDate=None) == "actus/missing-term"


def test_a_level_payment_has_paid_interest_with_each_redemption() -> None:
    """§7.4: interest is due on its own dates and, from the first redemption on, with each. So
    what has run at a later status date has run since the last of those (§7.1, Ipac)."""
    facts = {
        "contractType": "NAM",
        **AMORTISES,
        "cycleAnchorDateOfInterestPayment": None,
        "cycleOfInterestPayment": None,
        "nextPrincipalRedemptionPayment": "990",
    }
    # 1 July to 1 October at 10 %: 90.00, of which a month before the status date.
    assert paid(rows(**facts, statusDate="2013-08-01"), "IP")[0] == Decimal(90)


def test_a_negative_amortiser_ends_when_its_payments_have_repaid_it() -> None:
    """§7.4, Md: NT ÷ (PRNXT - NT Y(t⁻, t⁻ + PRCL) IPNR), from the last payment before t₀ on."""
    facts = {
        "contractType": "NAM",
        **AMORTISES,
        "maturityDate": None,
        "dayCountConvention": "A365",
        "nextPrincipalRedemptionPayment": "990",
    }
    # 3,600 ÷ (990 - 91 days of 10 %, 89.75) = 3.999: four payments, the first on 1 April.
    assert told(rows(**facts), "MD")[0][0] == "2014-01-01"
    # The period that runs, 1 April to 1 July, has as many; the one after it, 92: 4.003 and five.
    assert told(rows(**facts, statusDate="2013-06-15"), "MD")[0][0] == "2014-04-01"
    assert told(rows(**facts, statusDate="2013-08-01"), "MD")[0][0] == "2014-10-01"


def test_an_annuity_is_fixed_the_day_before_and_with_each_new_rate() -> None:
    found = rows(contractType="ANN", **AMORTISES)
    assert told(found, "PRF") == [("2013-03-31", "PRF", Decimal(0))]
    # The textbook's formula, for a quarter of 10 %.
    level = 3600 * Decimal("0.025") / (1 - 1 / Decimal("1.025") ** 4)
    for day in ("2013-04-01", "2013-07-01", "2013-10-01", "2014-01-01"):
        both = sum(row.payoff for row in found if str(row.event.at).startswith(day))
        assert both == pytest.approx(level, abs=Decimal("1e-40"))
    floats = rows(contractType="ANN", **AMORTISES, **FLOATS, data=KEY)
    assert [at for at, _, _ in told(floats, "PRF")] == [
        "2013-03-31", "2013-04-01", "2013-07-01", "2013-10-01",
    ]  # fmt: skip


def test_an_annuity_that_is_first_paid_at_once_is_fixed_then() -> None:
    at_once = {**AMORTISES, "cycleAnchorDateOfPrincipalRedemption": "2013-01-01"}
    found = rows(contractType="ANN", **at_once, cycleAnchorDateOfInterestPayment="2013-01-01")
    assert told(found, "PRF") == []
    assert paid(found, "PR")[0] == paid(found, "IP")[-1] + paid(found, "MD")[0]


def test_an_annuity_sized_for_longer_leaves_a_balloon() -> None:
    found = rows(contractType="ANN", **AMORTISES, amortizationDate="2015-01-01")
    assert paid(found, "PR")[0] == Decimal("412.08")
    assert paid(found, "MD")[0] > 2_300


def test_a_redemption_is_never_more_than_is_owed() -> None:
    for kind in ("LAM", "NAM", "ANN"):
        found = rows(contractType=kind, **AMORTISES, nextPrincipalRedemptionPayment="2000")
        assert sum(paid(found, "PR")) + sum(paid(found, "MD")) == 3600
        assert all(row.state.notional >= 0 for row in found)


# --- prepayment


def test_a_prepayment_needs_the_right_to_it() -> None:
    events = [seen("PP", "2013-05-01", "1200")]
    assert told(rows(events=events), "PP", "PY") == []
    found = rows(events=events, prepaymentEffect="M")
    assert told(found, "PP") == [("2013-05-01", "PP", Decimal(1200))]
    # A month on 3,600.00 and two on 2,400.00.
    assert paid(found, "IP") == [Decimal(90), Decimal(70), Decimal(60), Decimal(60)]
    assert paid(found, "MD") == [Decimal(2400)]
    too_much = [seen("PP", "2013-05-01", "3601")]
    assert refusal(events=too_much, prepaymentEffect="M") == "actus/event"


@pytest.mark.parametrize(
    ("penalty", "pays"),
    [
        ({"penaltyType": "N", "penaltyRate": "5"}, ""),
        ({"penaltyType": "O"}, ""),
        ({"penaltyType": "A", "penaltyRate": "5"}, "5.00"),
        # Since the last payment, a month ago: 12 % on 3,600.00.
        ({"penaltyType": "R", "penaltyRate": "0.12"}, "36.00"),
        # The rate is 10 %, the market's 4 %.
        ({"penaltyType": "I", "marketObjectCodeOfRateReset": "KEY"}, "18.00"),
    ],
)
def test_what_a_prepayment_costs(penalty: dict[str, str], pays: str) -> None:
    facts = {
        "events": [seen("PP", "2013-05-01", "1200")],
        "data": {"KEY": [("2013-05-01", "0.04")]},
        "prepaymentEffect": "M",
        **penalty,
    }
    # §7.1, PY: without a penalty there is no such event.
    assert paid(rows(**facts), "PY") == ([Decimal(pays)] if pays else [])
    # Who owes pays it.
    assert paid(rows(**facts, contractRole="RPL"), "PY") == ([-Decimal(pays)] if pays else [])


def test_a_prepayment_makes_payments_smaller_or_the_end_sooner() -> None:
    events = [seen("PP", "2013-04-01", "1350")]
    for kind, part in (("LAM", Decimal(450)), ("ANN", None)):
        facts = {"contractType": kind, **AMORTISES, "events": events}
        smaller = rows(**facts, prepaymentEffect="A")
        sooner = rows(**facts, prepaymentEffect="M")
        assert sum(paid(smaller, "PR") + paid(smaller, "PP") + paid(smaller, "MD")) == 3600
        assert sum(paid(sooner, "PR") + paid(sooner, "PP") + paid(sooner, "MD")) == 3600
        assert paid(smaller, "MD")[0] > 400
        assert paid(sooner, "MD")[0] < 100
        if part is not None:
            assert paid(smaller, "PR") == [900, part, part]


# --- what always holds


TERMS = st.fixed_dictionaries(
    {
        "contractType": st.sampled_from(["PAM", "LAM", "NAM", "ANN"]),
        "notionalPrincipal": st.integers(1, 10**9).map(str),
        "nominalInterestRate": st.integers(0, 500).map(lambda n: f"{n / 1000:.3f}"),
        "dayCountConvention": st.sampled_from(["A365", "A360", "AA", "30E360", "30E360ISDA"]),
        "cycleOfPrincipalRedemption": st.sampled_from(["P1ML0", "P3ML1", "P5WL0", "P1ML1"]),
        "cycleOfInterestPayment": st.sampled_from(["P1ML0", "P3ML1", "P5WL0", "P1ML1"]),
        "maturityDate": st.sampled_from(["2013-11-17", "2014-01-01", "2016-02-29"]),
        "calendar": st.just("MF"),
        "businessDayConvention": st.sampled_from(["NOS", "SCF", "CSF", "SCMP", "CSMF", "SCP"]),
        "endOfMonthConvention": st.sampled_from(["SD", "EOM"]),
    }
)


@given(TERMS)
def test_principal_that_is_lent_comes_back(terms: dict[str, str]) -> None:
    share = Decimal(terms["notionalPrincipal"]) / 10
    facts = {**AMORTISES, **terms, "cycleAnchorDateOfInterestPayment": "2013-04-01"}
    if terms["contractType"] == "NAM":
        facts["nextPrincipalRedemptionPayment"] = str(share)
    played = rows(**facts)
    principal = [row.payoff for row in played if row.name in ("IED", "PR", "MD")]
    assert abs(sum(principal)) < Decimal("1e-40") * Decimal(terms["notionalPrincipal"])
    assert played[-1].state.notional == 0
    assert [row.event.at for row in played] == sorted(row.event.at for row in played)


@given(TERMS)
def test_the_two_sides_of_a_loan_are_mirrored(terms: dict[str, str]) -> None:
    facts = {**AMORTISES, **terms, "cycleAnchorDateOfInterestPayment": "2013-04-01"}
    if terms["contractType"] == "NAM":
        facts["nextPrincipalRedemptionPayment"] = "10"
    asset, liability = rows(**facts), rows(**facts, contractRole="RPL")
    assert [row.payoff for row in asset] == [-row.payoff for row in liability]
    assert [row.state.notional for row in asset] == [-row.state.notional for row in liability]


@given(TERMS)
def test_an_annuity_of_any_shape_ends_level(terms: dict[str, str]) -> None:
    """The last payment, principal and interest, is the one that all the others are, as far as
    interest is not counted to a date before the last."""
    facts = {
        **AMORTISES,
        **terms,
        "contractType": "ANN",
        "cycleAnchorDateOfInterestPayment": "2013-04-01",
        "cycleOfInterestPayment": terms["cycleOfPrincipalRedemption"],
        "businessDayConvention": "NOS",
        # Other spans need not add up, so what accrues to the eve and from it may be more or less.
        "dayCountConvention": "A365",
    }
    played = rows(**facts)
    first = next(row for row in played if row.name == "PR")
    wanted = played[0].state.redemption or next(
        row.state.redemption for row in played if row.name == "PRF"
    )
    last = sum(row.payoff for row in played[-2:])
    assert abs(last - wanted) < Decimal("1e-40") * wanted
    assert first.state.redemption == wanted


def test_sixty_digits_are_kept_and_the_callers_context_is_left_alone() -> None:
    found = case(nominalInterestRate="0.07", dayCountConvention="A365")
    with localcontext(Context(prec=9)):
        interest = play_contract(found.terms, market=found.market)[1].payoff
        assert len(interest.as_tuple().digits) >= 55
        assert str(Decimal(1) / Decimal(3)) == "0.333333333"


def test_a_case_without_results_is_played_and_not_judged() -> None:
    verdict = check_case(case())
    assert (verdict.rows, verdict.compared, verdict.passed) == (6, False, False)
