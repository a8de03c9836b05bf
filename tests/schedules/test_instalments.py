"""The instalments of every kind of loan: golden numbers, what always holds, what is refused."""

import warnings
from dataclasses import asdict, replace
from datetime import date
from fractions import Fraction
from itertools import pairwise
from math import ceil, floor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from escrow.core.errors import BadInput
from escrow.core.rules import Debt, owed
from escrow.core.units import DAY, MAX_CENTS, Bps, Cents, Seconds
from escrow.schedules.accrual import (
    Fixing,
    Step,
    day_of,
    interest_between,
    is_late,
    late_interest,
    rate_steps,
)
from escrow.schedules.calendars import Calendar, Convention
from escrow.schedules.daycount import DayCount
from escrow.schedules.instalments import Instalment, annuity, payoff, schedule
from escrow.schedules.plan import Kind, Plan, Prepayment, Rounding, round_cents

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import QuantLib as ql

START = Seconds(1_356_998_400)
"""1 January 2013, a Tuesday."""
LENT = Cents(500_000)
YEAR = Plan(Kind.ANNUITY, Bps(800), every="P1M", term="P1Y")
FLOATING = replace(YEAR, kind=Kind.FLOATING, rate_bps=Bps(700), reset="P3M")


def at(text: str) -> Seconds:
    return Seconds((date.fromisoformat(text) - date(1970, 1, 1)).days * DAY)


def rows(plan: Plan, **facts: object) -> tuple[Instalment, ...]:
    return schedule(plan, **{"principal": LENT, "start": START, **facts})


def code(**facts: object) -> str:
    """The code that a plan with these changes is refused with."""
    calls = {key: facts.pop(key) for key in ("called_at", "until", "principal") if key in facts}
    with pytest.raises(BadInput) as refused:
        rows(replace(YEAR, **facts), **calls)
    return refused.value.code


# --- kinds


def test_an_annuity_pays_the_same_and_the_last_takes_the_remainder() -> None:
    found = rows(YEAR)
    # 434.866594118346, as the standard's first annuity; up to the cent.
    assert {row.payment for row in found[:-1]} == {43_487}
    assert (found[0].interest, found[0].principal) == (3_398, 40_089)
    assert (found[-1].payment, found[-1].balance) == (43_489, 0)
    assert len(found) == 12


def test_an_annuity_for_ages_may_owe_more_interest_than_its_payment() -> None:
    """At 30 % for a century a payment is the interest of a month of 30.4 days: one of 31 days
    leaves nothing for the principal, and the debt does not grow for it."""
    found = rows(replace(YEAR, rate_bps=Bps(3_000), term="P100Y"))
    assert (found[0].principal, found[0].interest) == (0, 12_740)
    assert found[1].payment < 12_740
    assert all(row.principal >= 0 for row in found)


def test_a_linear_loan_repays_the_same_part() -> None:
    found = rows(replace(YEAR, kind=Kind.LINEAR))
    assert [row.principal for row in found] == [41_667] * 11 + [41_663]
    assert [row.interest for row in found[:2]] == [3_398, 2_813]


def test_a_bullet_pays_all_at_the_end() -> None:
    (only,) = rows(replace(YEAR, kind=Kind.BULLET, every=""))
    assert (only.interest, only.principal, only.balance) == (40_000, 500_000, 0)
    assert day_of(only.due) == date(2014, 1, 1)


def test_interest_only_pays_interest_and_the_principal_at_the_end() -> None:
    found = rows(replace(YEAR, kind=Kind.INTEREST_ONLY))
    assert [row.principal for row in found] == [0] * 11 + [500_000]
    # 31 days of 8 % on 5,000.00: 33.9726; 28 days: 30.6849.
    assert [row.interest for row in found[:2]] == [3_398, 3_069]


def test_a_floating_rate_is_fixed_on_reset_dates_and_not_between() -> None:
    fixings = [Fixing(at("2012-12-20"), Bps(1_600)), Fixing(at("2013-04-15"), Bps(1_500))]
    found = rows(FLOATING, fixings=fixings)
    # The key rate fell on 15 April; the next reset is on 1 July.
    assert [row.rate_bps for row in found] == [2_300] * 6 + [2_200] * 6
    assert found[6].interest == ceil(Fraction(500_000 * 22 * 31, 36_500))


def test_a_reset_within_a_period_splits_it() -> None:
    plan = replace(FLOATING, every="P2M", reset="P1M")
    fixings = [Fixing(START, Bps(100)), Fixing(at("2013-02-01"), Bps(300))]
    exact = 500_000 * (Fraction(8, 100) * 31 + Fraction(10, 100) * 28) / 365
    assert rows(plan, fixings=fixings)[0].interest == ceil(exact)


def test_rates_come_in_steps_of_which_two_that_are_equal_are_one() -> None:
    daily, first = replace(FLOATING, reset="P1D"), date(2013, 1, 1)
    fixings = [Fixing(START, Bps(100)), Fixing(at("2013-02-01"), Bps(300))]
    asked = {"start": first, "end": date(2013, 3, 1), "fixings": fixings}
    whole = rate_steps(daily, begin=first, **asked)
    assert whole == (Step(first, Bps(800)), Step(date(2013, 2, 1), Bps(1_000)))
    late = date(2013, 2, 10)
    assert rate_steps(daily, begin=late, **asked) == (Step(late, Bps(1_000)),)


def test_floor_and_cap_of_a_floating_rate() -> None:
    fixings = [Fixing(START, Bps(-900)), Fixing(at("2013-04-01"), Bps(5_000))]
    plan = replace(FLOATING, floor_bps=Bps(50), cap_bps=Bps(2_000))
    assert [row.rate_bps for row in rows(plan, fixings=fixings)] == [50] * 3 + [2_000] * 9
    with pytest.raises(BadInput) as refused:
        rows(FLOATING, fixings=fixings)
    assert refused.value.code == "schedule/rate"


def test_a_reset_before_the_first_fixing_is_refused() -> None:
    with pytest.raises(BadInput) as refused:
        rows(FLOATING, fixings=[Fixing(at("2013-01-02"), Bps(1_600))])
    assert refused.value.code == "schedule/observation"


def test_a_bullet_that_floats_bears_each_rate_for_its_days() -> None:
    plan = replace(FLOATING, kind=Kind.BULLET, every="")
    fixings = [Fixing(START, Bps(100)), Fixing(at("2013-07-01"), Bps(300))]
    (only,) = rows(plan, fixings=fixings)
    # 181 days of 8 % and 184 of 10 %.
    assert only.interest == ceil(Fraction(500_000 * (181 * 8 + 184 * 10), 36_500)) == 45_042


def test_a_linear_loan_that_floats_repays_the_same_part() -> None:
    fixings = [Fixing(START, Bps(100)), Fixing(at("2013-07-01"), Bps(300))]
    found = rows(replace(FLOATING, kind=Kind.LINEAR), fixings=fixings)
    assert [row.principal for row in found] == [41_667] * 11 + [41_663]
    assert [row.rate_bps for row in found] == [800] * 6 + [1_000] * 6


def test_an_annuity_that_floats_is_found_anew_at_the_rate_of_then() -> None:
    fixings = [Fixing(START, Bps(100)), Fixing(at("2013-07-01"), Bps(300))]
    found = rows(replace(FLOATING, kind=Kind.ANNUITY), fixings=fixings)
    # To July that of 8 %, but for the cents of rounding; from then on that of 10 % on the rest.
    assert {row.payment for row in found[:6]} == {43_487}
    rest = replace(YEAR, rate_bps=Bps(1_000), term="P6M")
    again = schedule(rest, principal=found[5].balance, start=at("2013-07-01"))
    assert found[6].payment == again[0].payment > 43_487
    assert found[-1].balance == 0


def test_a_callable_loan_ends_a_notice_after_the_call() -> None:
    plan = replace(YEAR, kind=Kind.CALLABLE, notice="P10D")
    called = rows(plan, called_at=at("2013-03-05"))
    assert [day_of(row.due).isoformat() for row in called] == [
        "2013-02-01", "2013-03-01", "2013-03-15",
    ]  # fmt: skip
    assert called[-1].principal == 500_000
    # Not called, or called when it would have ended sooner: the term.
    assert rows(plan)[-1].due == at("2014-01-01")
    assert rows(plan, called_at=at("2013-12-30"))[-1].due == at("2014-01-01")


def test_an_undated_line_ends_when_it_is_closed() -> None:
    plan = replace(YEAR, kind=Kind.UNDATED, term="")
    found = rows(plan, until=at("2013-02-11"))
    assert [day_of(row.due).isoformat() for row in found] == ["2013-02-01", "2013-02-11"]
    assert [row.principal for row in found] == [0, 500_000]


def test_interest_is_added_to_the_debt_for_a_while() -> None:
    found = rows(replace(YEAR, capitalise="P2M"))
    assert [row.payment for row in found[:2]] == [0, 0]
    assert [row.capitalised for row in found[:2]] == [3_398, 3_090]
    assert found[1].balance == 506_488
    # The annuity is that of what is owed by then, over what is left.
    assert len({row.payment for row in found[2:-1]}) == 1
    assert sum(row.principal for row in found) == 506_488
    assert found[-1].balance == 0


# --- where a payment falls


def test_a_payment_goes_to_a_business_day_and_interest_with_it_or_not() -> None:
    plan = replace(YEAR, kind=Kind.INTEREST_ONLY, calendar=Calendar.MF)
    moved = rows(replace(plan, convention=Convention.SCF))
    kept = rows(replace(plan, convention=Convention.CSF))
    # 1 June 2013 is a Saturday.
    assert [day_of(row.due).isoformat() for row in (moved[4], kept[4])] == ["2013-06-03"] * 2
    assert day_of(kept[4].end) == date(2013, 6, 1)
    assert (moved[4].interest, kept[4].interest) == (
        ceil(Fraction(40_000 * 33, 365)),
        ceil(Fraction(40_000 * 31, 365)),
    )
    assert sum(row.interest for row in moved) == pytest.approx(40_000, abs=12)


def test_the_time_of_day_is_the_first_days() -> None:
    found = rows(YEAR, start=Seconds(START + 3_600))
    assert all(row.due % DAY == 3_600 for row in found)
    assert found[0].begin == START + 3_600


def test_a_month_end_stays_one() -> None:
    found = rows(replace(YEAR, end_of_month=True), start=at("2013-04-30"))
    assert [day_of(row.due).day for row in found[:3]] == [31, 30, 31]


def test_the_last_payment_of_month_ends_is_at_one_too() -> None:
    """Else a term of whole periods would leave a stub, and a long one would eat a payment."""
    for every in ("P1ML0", "P1ML1"):
        plan = replace(YEAR, every=every, term="P4M", end_of_month=True)
        found = rows(plan, start=at("2023-02-28"))
        ends = [f"{day_of(row.due):%m-%d}" for row in found]
        assert ends == ["03-31", "04-30", "05-31", "06-30"]
    # A year from the end of February is its end.
    bullet = replace(YEAR, kind=Kind.INTEREST_ONLY, every="P1Y", term="P1Y", end_of_month=True)
    assert [day_of(row.due) for row in rows(bullet, start=at("2023-02-28"))] == [date(2024, 2, 29)]


def test_interest_is_added_to_the_debt_to_a_month_end_too() -> None:
    plan = replace(YEAR, capitalise="P2M", end_of_month=True)
    found = rows(plan, start=at("2023-02-28"))
    assert [row.capitalised > 0 for row in found[:3]] == [True, True, False]


# --- rounding


@pytest.mark.parametrize(
    ("rounding", "interest"),
    [(Rounding.UP, 3_398), (Rounding.DOWN, 3_397), (Rounding.NEAREST, 3_397)],
)
def test_interest_is_rounded_once_in_the_named_direction(rounding, interest) -> None:
    assert rows(replace(YEAR, rounding=rounding))[0].interest == interest


@pytest.mark.parametrize(("half", "cents"), [("1/2", 1), ("49/100", 0), ("3/2", 2), ("1", 1)])
def test_the_nearest_cent_takes_halves_up(half: str, cents: int) -> None:
    assert round_cents(Fraction(half), rounding=Rounding.NEAREST) == cents


# --- what always holds


@st.composite
def plans(draw: st.DrawFn) -> tuple[Plan, dict[str, object]]:
    kind = draw(st.sampled_from(Kind))
    may = kind in (Kind.BULLET, Kind.ANNUITY, Kind.LINEAR)
    floating, facts = kind is Kind.FLOATING or (may and draw(st.booleans())), {}
    cycle = draw(st.sampled_from(["P1ML0", "P1ML1", "P2WL1", "P1QL0", "P45DL1"]))
    if kind is Kind.UNDATED:
        facts["until"] = Seconds(START + draw(st.integers(150, 2_000)) * DAY)
    if floating:
        rates = st.integers(0, 3_000)
        days = draw(st.lists(st.integers(-30, 900), max_size=8, unique=True))
        facts["fixings"] = [
            Fixing(Seconds(START - 40 * DAY), Bps(1_600)),
            *(Fixing(Seconds(START + day * DAY), Bps(draw(rates))) for day in days),
        ]
    plan = Plan(
        kind,
        Bps(draw(st.integers(0, 3_000))),
        every="" if kind is Kind.BULLET else cycle,
        term="" if kind is Kind.UNDATED else draw(st.sampled_from(["P6M", "P13M", "P5Y"])),
        day_count=draw(st.sampled_from(DayCount)),
        calendar=draw(st.sampled_from(Calendar)),
        convention=draw(st.sampled_from(Convention)),
        end_of_month=draw(st.booleans()),
        rounding=draw(st.sampled_from(Rounding)),
        capitalise="" if kind is Kind.BULLET else draw(st.sampled_from(["", "P2M"])),
        reset=draw(st.sampled_from(["P1M", "P3M"])) if floating else "",
    )
    return plan, facts


CENTS = st.one_of(st.integers(1, 1_000), st.integers(1, 10**14)).map(Cents)
OFFSETS = st.integers(0, 1_500)


@given(plans(), CENTS, OFFSETS)
def test_principal_is_repaid_to_the_cent(drawn, principal: Cents, offset: int) -> None:
    plan, facts = drawn
    start = Seconds(START - offset * DAY) if "until" in facts else START
    found = schedule(plan, principal=principal, start=start, **facts)
    added = sum(row.capitalised for row in found)
    assert sum(row.principal for row in found) == principal + added
    assert found[-1].balance == 0
    balance = principal
    for number, row in enumerate(found, start=1):
        assert row.number == number
        assert min(row.interest, row.principal, row.capitalised, row.balance) >= 0
        balance += row.capitalised - row.principal
        assert row.balance == balance
        assert row.begin < row.end
    assert found[0].begin == start
    for one, other in pairwise(found):
        assert one.end == other.begin
        assert one.due <= other.due
        assert one.due < other.due or plan.convention.calculates_first


@given(plans(), CENTS)
def test_each_payments_interest_is_the_exact_one_rounded(drawn, principal: Cents) -> None:
    plan, facts = drawn
    fixings = facts.get("fixings", ())
    balance, found = principal, schedule(plan, principal=principal, start=START, **facts)
    for row in found:
        if plan.day_count is not DayCount.E30_360_ISDA:
            exact = interest_between(
                plan, balance=balance, begin=row.begin, end=row.end, start=START, fixings=fixings
            )
            turned = {Rounding.UP: ceil, Rounding.DOWN: floor}.get(plan.rounding)
            whole = turned(exact) if turned else floor(exact + Fraction(1, 2))
            assert row.interest + row.capitalised == whole
        balance = row.balance


@given(plans(), CENTS, st.integers(0, 2_200))
def test_a_payoff_is_what_the_balance_and_its_interest_come_to(drawn, principal, day) -> None:
    plan, facts = drawn
    moment = Seconds(START + day * DAY)
    found = schedule(plan, principal=principal, start=START, **facts)
    owed = payoff(plan, principal=principal, start=START, at=moment, **facts)
    whole = payoff(
        replace(plan, prepayment=Prepayment.FULL_PERIOD),
        principal=principal,
        start=START,
        at=moment,
        **facts,
    )
    left = [row for row in found if row.due > moment]
    if not left:
        assert (owed, whole) == (0, 0)
        return
    paid = [row for row in found if row.due <= moment]
    balance = paid[-1].balance if paid else principal
    assert balance <= owed <= whole
    assert whole == balance + left[0].interest + left[0].capitalised


@given(
    st.integers(1, 10**12),
    st.integers(0, 5_000),
    st.lists(st.integers(1, 400), min_size=1, max_size=60),
)
def test_an_annuity_leaves_nothing(balance: int, bps: int, days: list[int]) -> None:
    rate, years = Fraction(bps, 10_000), [Fraction(each, 365) for each in days]
    payment, left = annuity(Fraction(balance), rate=rate, years=years), Fraction(balance)
    for each in years:
        left = left * (1 + rate * each) - payment
    assert left == 0


@given(st.integers(1, 3_000), st.integers(1, 30), st.sampled_from([1, 2, 4, 12]))
def test_quantlib_sinks_an_annuity_the_same(bps: int, term: int, each_year: int) -> None:
    frequency = {1: ql.Annual, 2: ql.Semiannual, 4: ql.Quarterly, 12: ql.Monthly}[each_year]
    theirs = ql.sinkingNotionals(ql.Period(term, ql.Years), frequency, bps / 10_000, 1_000.0)
    rate, years = Fraction(bps, 10_000), [Fraction(1, each_year)] * (term * each_year)
    payment, left, ours = annuity(Fraction(1_000), rate=rate, years=years), Fraction(1_000), []
    for each in years:
        ours.append(left)
        left = left * (1 + rate * each) - payment
    assert [float(part) for part in ours] == pytest.approx(
        list(theirs)[: len(ours)], rel=1e-9, abs=1e-6
    )


@given(st.integers(1, 10**14).map(Cents), st.integers(0, 10_000).map(Bps), st.integers(0, 4_000))
def test_whole_days_of_actual_365_are_what_the_rules_accrue(principal, bps, days) -> None:
    """A loan's rules count seconds; over whole days both come to the same cents."""
    plan = Plan(Kind.BULLET, bps, term="P20Y")
    end = Seconds(START + days * DAY)
    exact = interest_between(plan, balance=principal, begin=START, end=end)
    debt = Debt(principal=principal, accrued_to=START)
    due = owed(debt, rate_bps=bps, at=end) - principal
    assert round_cents(exact, rounding=Rounding.UP) == due


# --- late


@pytest.mark.parametrize(
    ("paid", "late", "interest"),
    [
        ("2013-02-01", False, 0),
        ("2013-02-06", False, 0),
        # One day after the grace costs the grace too: 6 days of 20 % on 1,000.00.
        ("2013-02-07", True, 329),
        ("2013-03-01", True, 1_535),
    ],
)
def test_late_interest_runs_from_the_due_date_once_the_grace_is_over(paid, late, interest) -> None:
    plan = replace(YEAR, late_bps=Bps(2_000), grace="P5D")
    facts = {"due": at("2013-02-01"), "paid_at": at(paid)}
    assert is_late(plan, **facts) is late
    assert late_interest(plan, overdue=Cents(100_000), **facts) == interest


def test_late_interest_follows_the_plans_rounding_and_refuses_less_than_nothing() -> None:
    facts = {"due": at("2013-02-01"), "paid_at": at("2013-02-07")}
    down = replace(YEAR, late_bps=Bps(2_000), rounding=Rounding.DOWN)
    assert late_interest(down, overdue=Cents(100_000), **facts) == 328
    with pytest.raises(BadInput) as refused:
        late_interest(down, overdue=Cents(-1), **facts)
    assert refused.value.code == "schedule/principal"


# --- prepayment


@pytest.mark.parametrize(
    ("day", "accrued", "full"),
    [
        ("2013-01-01", 500_000, 503_398),
        ("2013-01-11", 501_096, 503_398),
        # On a due date its instalment is paid.
        ("2013-02-01", 459_911, 462_734),
        ("2013-02-15", 461_323, 462_734),
        ("2014-01-01", 0, 0),
        ("2020-01-01", 0, 0),
    ],
)
def test_what_ends_an_annuity(day: str, accrued: int, full: int) -> None:
    facts = {"principal": LENT, "start": START, "at": at(day)}
    assert payoff(YEAR, **facts) == accrued
    assert payoff(replace(YEAR, prepayment=Prepayment.FULL_PERIOD), **facts) == full


def test_nothing_ends_before_it_begins() -> None:
    with pytest.raises(BadInput) as refused:
        payoff(YEAR, principal=LENT, start=START, at=Seconds(START - 1))
    assert refused.value.code == "schedule/order"
    with pytest.raises(BadInput) as refused:
        interest_between(YEAR, balance=LENT, begin=START, end=Seconds(START - 1))
    assert refused.value.code == "schedule/order"


# --- what is refused


@pytest.mark.parametrize(
    ("facts", "refusal"),
    [
        ({"rate_bps": Bps(-1)}, "schedule/rate"),
        ({"rate_bps": Bps(100_001)}, "schedule/rate"),
        ({"late_bps": Bps(-1)}, "schedule/rate"),
        ({"term": ""}, "schedule/endless"),
        ({"term": "P101Y"}, "schedule/endless"),
        ({"every": "P1D", "term": "P4Y"}, "schedule/endless"),
        ({"term": "P0D"}, "schedule/plan"),
        ({"every": ""}, "schedule/plan"),
        ({"kind": Kind.BULLET}, "schedule/plan"),
        ({"kind": Kind.UNDATED}, "schedule/plan"),
        ({"kind": Kind.UNDATED, "term": ""}, "schedule/endless"),
        ({"kind": Kind.CALLABLE, "term": ""}, "schedule/endless"),
        ({"kind": Kind.FLOATING}, "schedule/plan"),
        ({"kind": Kind.INTEREST_ONLY, "reset": "P3M"}, "schedule/plan"),
        ({"kind": Kind.UNDATED, "term": "", "until": START, "reset": "P3M"}, "schedule/plan"),
        ({"floor_bps": Bps(0)}, "schedule/plan"),
        ({"floor_bps": Bps(1)}, "schedule/plan"),
        ({"notice": "P1D"}, "schedule/plan"),
        ({"capitalise": "P0D"}, "schedule/plan"),
        ({"every": "P1X"}, "schedule/cycle"),
        ({"every": "P0M"}, "schedule/cycle"),
        ({"term": "a year"}, "schedule/cycle"),
        ({"grace": "5d"}, "schedule/cycle"),
        ({"every": "P2YL0"}, "schedule/stub"),
        ({"principal": Cents(0)}, "schedule/principal"),
        ({"principal": Cents(MAX_CENTS + 1)}, "schedule/principal"),
        ({"called_at": START}, "schedule/plan"),
        ({"until": START}, "schedule/plan"),
        ({"kind": Kind.CALLABLE, "called_at": START}, "schedule/order"),
        ({"kind": Kind.UNDATED, "term": "", "until": START}, "schedule/order"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(facts: dict[str, object], refusal: str) -> None:
    assert code(**facts) == refusal


def test_floor_above_cap_and_a_negative_bound_are_refused() -> None:
    fixings = [Fixing(START, Bps(1))]
    for bounds, refusal in (
        ({"floor_bps": Bps(2), "cap_bps": Bps(1)}, "schedule/plan"),
        ({"floor_bps": Bps(-1)}, "schedule/rate"),
    ):
        with pytest.raises(BadInput) as refused:
            rows(replace(FLOATING, **bounds), fixings=fixings)
        assert refused.value.code == refusal


@pytest.mark.parametrize("start", [-1, 253_402_300_800])
def test_a_moment_outside_the_calendar_is_refused(start: int) -> None:
    with pytest.raises(BadInput) as refused:
        rows(YEAR, start=Seconds(start))
    assert refused.value.code == "schedule/time"


def test_payments_that_fall_on_one_business_day_are_one() -> None:
    """Saturday, Sunday and Monday are Monday: three days of interest in one payment."""
    plan = replace(YEAR, kind=Kind.INTEREST_ONLY, every="P1D", term="P10D", calendar=Calendar.MF)
    found = rows(replace(plan, convention=Convention.SCF))
    assert [day_of(row.due).day for row in found] == [2, 3, 4, 7, 8, 9, 10, 11]
    assert found[3].interest == ceil(Fraction(40_000 * 3, 365))
    assert found[-1].principal == 500_000


def test_a_loan_without_a_business_day_is_refused() -> None:
    """From Saturday to Sunday, both paid on the Friday before."""
    plan = replace(YEAR, kind=Kind.BULLET, every="", term="P1D", calendar=Calendar.MF)
    with pytest.raises(BadInput) as refused:
        rows(replace(plan, convention=Convention.SCP), start=at("2013-01-05"))
    assert refused.value.code == "schedule/order"


def test_a_short_stub_serves_a_loan_shorter_than_its_cycle() -> None:
    assert len(rows(replace(YEAR, every="P2YL1"))) == 1


def test_a_plan_is_plain_data() -> None:
    values = asdict(YEAR).values()
    assert all(
        value is None or isinstance(getattr(value, "value", value), (str, int)) for value in values
    )
