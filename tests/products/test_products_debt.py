"""Debts by a calendar: read from files, paid to the cent, prepaid, missed, and felt by a loan."""

from __future__ import annotations

import warnings
from dataclasses import replace
from datetime import date
from fractions import Fraction
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st
from products_lab import (
    AT_HALF,
    PRINCIPAL,
    T0,
    D,
    Loan,
    key_rates,
    line_of,
    planned,
    product,
)

from escrow.core.errors import BadInput
from escrow.core.units import DAY, HOUR, Bps, Cents, Seconds
from escrow.products.dated import Dated
from escrow.products.debt import Owing, debt_of
from escrow.products.ladder import Ladder
from escrow.products.model import Pays, Product, Repayment
from escrow.products.outcome import Answer, End, Habit
from escrow.products.read import load_product, read_product
from escrow.products.words import explain
from escrow.schedules.accrual import Fixing, day_of, late_interest
from escrow.schedules.calendars import Calendar, Convention
from escrow.schedules.daycount import DayCount
from escrow.schedules.instalments import payoff, schedule
from escrow.schedules.plan import Kind, Plan, Prepayment, Rounding

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import QuantLib as ql

FLOATS = {"rate": None, "spread": "bps = 700", "reset": 'period = "P3M"'}
STEPS = key_rates(d2020_09_01=1_600, d2020_12_20=1_500)


def refusal(text: str) -> BadInput:
    with pytest.raises(BadInput) as caught:
        read_product(text)
    return caught.value


def terms(kind: str = "annuity", **keys: str | None) -> Repayment:
    return read_product(planned(kind, **keys)).repayment


def at(text: str) -> Seconds:
    return Seconds((date.fromisoformat(text) - date(1970, 1, 1)).days * DAY)


def paid(debt: Dated) -> list[int]:
    """Everything at its date."""
    found: list[int] = []
    while debt.due_at is not None:
        found.append(debt.due())
        assert debt.meet() == found[-1]
    return found


# --- files ---


def test_every_term_of_a_plan_is_read() -> None:
    found = terms(
        every='period = "P1ML0"',
        day_count='value = "30E/360"',
        calendar='value = "MF"',
        convention='value = "SCMF"',
        end_of_month="value = true",
        rounding='value = "nearest"',
        capitalise='period = "P3M"',
        prepayment='value = "full-period"',
        late="bps = 2000",
    )
    plan = Plan(
        Kind.ANNUITY,
        Bps(1_200),
        every="P1ML0",
        term="P12M",
        day_count=DayCount.E30_360,
        calendar=Calendar.MF,
        convention=Convention.SCMF,
        end_of_month=True,
        rounding=Rounding.NEAREST,
        capitalise="P3M",
        prepayment=Prepayment.FULL_PERIOD,
    )
    assert found == Repayment(
        Pays.ANNUITY, Bps(1_200), Bps(0), None, None, Seconds(10 * DAY), Bps(2_000), plan
    )


@pytest.mark.parametrize("name", ["A/365F", "A/360", "A/A ISDA", "30E/360", "30E/360 ISDA"])
def test_every_day_count_is_read(name: str) -> None:
    plan = terms(day_count=f'value = "{name}"').plan
    assert plan is not None
    assert plan.day_count.value == name


@pytest.mark.parametrize(
    ("kind", "inner"),
    [
        ("bullet", Kind.BULLET),
        ("interest-only", Kind.FLOATING),
        ("annuity", Kind.ANNUITY),
        ("linear", Kind.LINEAR),
    ],
)
def test_every_kind_may_float(kind: str, inner: Kind) -> None:
    found = terms(kind, key_rates=STEPS, **FLOATS, floor="bps = 100", cap="bps = 5000")
    assert found.plan is not None
    assert (found.plan.kind, found.plan.reset) == (inner, "P3M")
    assert (found.plan.floor_bps, found.plan.cap_bps) == (100, 5_000)
    assert found.rate_bps == 700
    assert found.index == (Fixing(at("2020-09-01"), 1_600), Fixing(at("2020-12-20"), 1_500))


def test_what_a_plan_leaves_unsaid_is_assumed_aloud() -> None:
    assert [each.name for each in read_product(planned(late="bps = 1")).assumed] == [
        "levels.cure_by",
        "levels.lapse",
    ]
    plain = {each.name for each in read_product(planned()).assumed}
    floating = read_product(planned(key_rates=STEPS, **FLOATS))
    names = {each.name: each for each in floating.assumed}
    assert names.keys() - plain == {"key_rate[2].beyond"}
    assert "repayment.late" in plain
    assert names["key_rate[2].beyond"].line > names["repayment.late"].line
    assert "repayment.late" not in {each.name for each in load_product("crvusd").parameters}


REFUSED = [
    # Schedules that never end.
    (planned(term=None), "product/endless", "repayment.term"),
    (planned(term='period = "P0M"'), "product/endless", "repayment.term"),
    (planned(every='period = "P0M"'), "product/endless", "repayment.every"),
    (planned(every='period = "P1D"', term='period = "P10Y"'), "product/endless", "repayment.term"),
    (
        planned(key_rates=STEPS, **FLOATS | {"reset": 'period = "P0D"'}),
        "product/endless",
        "repayment.reset",
    ),
    # Rates below zero.
    (planned(rate="bps = -1"), "product/rate", "repayment.rate"),
    (
        planned(key_rates=STEPS, **FLOATS | {"spread": "bps = -1"}),
        "product/rate",
        "repayment.spread",
    ),
    (
        planned(key_rates=key_rates(d2020_09_01=-701), **FLOATS),
        "product/rate",
        "key_rate[1].rate",
    ),
    (planned(negative="value = true"), "product/unknown-key", "repayment.negative"),
    # What contradicts itself.
    (planned(calendar='value = "MF"'), "product/missing-key", "repayment.convention"),
    (
        planned(calendar='value = "MF"', convention='value = "NOS"'),
        "product/schedule",
        "repayment.convention",
    ),
    (
        planned(calendar='value = "NC"', convention='value = "SCF"'),
        "product/schedule",
        "repayment.convention",
    ),
    (
        planned(every='period = "P30D"', end_of_month="value = true"),
        "product/schedule",
        "repayment.end_of_month",
    ),
    (planned("bullet", end_of_month="value = true"), "product/schedule", "repayment.end_of_month"),
    (planned(every='period = "P2YL0"'), "product/schedule", "repayment.term"),
    (planned(capitalise='period = "P0M"'), "product/endless", "repayment.capitalise"),
    (planned(capitalise='period = "P1D"'), "product/schedule", "repayment.capitalise"),
    (
        planned(key_rates=STEPS, **FLOATS, floor="bps = 2", cap="bps = 1"),
        "product/schedule",
        "repayment.floor",
    ),
    # What this way to pay has no use for.
    (planned("bullet", every='period = "P1M"'), "product/unknown-key", "repayment.every"),
    (planned(reset='period = "P1M"'), "product/unknown-key", "repayment.reset"),
    (planned(key_rates=STEPS), "product/unknown-key", "key_rate"),
    (
        planned(key_rates=STEPS, **FLOATS | {"rate": "bps = 1"}),
        "product/unknown-key",
        "repayment.rate",
    ),
    (planned(floor="bps = 0"), "product/unknown-key", "repayment.floor"),
    (planned("at-end", term="days = 365"), "product/unknown-key", "repayment.every"),
    (
        planned("open", every=None, term=None, day_count=None, prepayment=None, late="bps = 1"),
        "product/unknown-key",
        "repayment.late",
    ),
    # What is missing.
    (planned(every=None), "product/missing-key", "repayment.every"),
    (planned(day_count=None), "product/missing-key", "repayment.day_count"),
    (planned(prepayment=None), "product/missing-key", "repayment.prepayment"),
    (planned(rate=None), "product/missing-key", "repayment.rate"),
    (planned(**FLOATS), "product/missing-key", "key_rate"),
    (
        planned(key_rates=STEPS, **FLOATS | {"reset": None}),
        "product/missing-key",
        "repayment.reset",
    ),
    # What is no such value.
    (planned("callable"), "product/value", "repayment.pays"),
    (planned(day_count='value = "B/252"'), "product/value", "repayment.day_count"),
    (planned(prepayment='value = "accrued_only"'), "product/value", "repayment.prepayment"),
    (planned(rounding='value = "even"'), "product/value", "repayment.rounding"),
    (planned(every='period = "monthly"'), "product/value", "repayment.every"),
    (planned(every='period = "P1Y6M"'), "product/value", "repayment.every"),
    (planned(term='period = "P12ML0"'), "product/value", "repayment.term"),
    (planned(term="period = 12"), "product/value", "repayment.term"),
    (planned(term='period = "P361M"'), "product/value", "repayment.term"),
    (planned(term='period = "P9999Y"'), "product/value", "repayment.term"),
    (planned(term="days = 365"), "product/unit", "repayment.term"),
    (planned(late="bps = -1"), "product/value", "repayment.late"),
    (
        planned(key_rates=key_rates(d2020_09_01=1, d2020_09_01x=2).replace("x,", ","), **FLOATS),
        "product/value",
        "key_rate[2].from",
    ),
    (
        planned(key_rates=STEPS.replace("2020-09-01", "2020-09-01T00:00:00"), **FLOATS),
        "product/value",
        "key_rate[1].from",
    ),
    (
        planned(key_rates=STEPS.replace("2020-09-01", "1969-12-31"), **FLOATS),
        "product/value",
        "key_rate[1].from",
    ),
    (
        planned(key_rates=STEPS.replace("2020-09-01", '"x"'), **FLOATS),
        "product/value",
        "key_rate[1].from",
    ),
    (
        planned(key_rates=key_rates(**{f"d2{n:03}_01_01": 1 for n in range(201)}), **FLOATS),
        "product/value",
        "key_rate[201]",
    ),
]


@pytest.mark.parametrize(("text", "code", "where"), REFUSED)
def test_what_no_plan_can_be_is_refused_by_name_and_line(text: str, code: str, where: str) -> None:
    error = refusal(text)
    assert (error.code, error.facts["at"]) == (code, where)
    line = text.split("\n")[int(error.facts["line"]) - 1]
    assert line.startswith((where.rpartition(".")[2], "[")) or "key_rate" in where


@pytest.mark.parametrize(
    "text",
    [
        planned(term='period = "P360M"'),
        planned(every='period = "P1D"', term='period = "P3Y"'),
        planned(every='period = "P1YL0"'),
        planned(key_rates=key_rates(d2020_09_01=-700), **FLOATS),
        planned(key_rates=key_rates(d2020_09_01=-701), **FLOATS, floor="bps = 0"),
        planned("bullet", **FLOATS, key_rates=STEPS, end_of_month="value = true"),
    ],
)
def test_what_just_can_be_is_taken(text: str) -> None:
    read_product(text)


# --- golden numbers ---

# 10,000.00 drawn on 13 September 2020, 12:26:40 UTC, a Sunday; 12 % a year.


def test_a_linear_loan_by_hand() -> None:
    debt = debt_of(terms("linear"), principal=PRINCIPAL, at=T0)
    # 30 days of 12 % on 10,000.00: 98.6301; a twelfth is 833.3333.
    assert debt.due_at == T0 + 30 * DAY
    assert debt.meet() == 83_334 + 9_864
    # 31 days on 9,166.66: 93.4247.
    assert (debt.principal, debt.due_at) == (916_666, T0 + 61 * DAY)
    assert debt.meet() == 83_334 + 9_343
    assert isinstance(debt, Dated)
    last = paid(debt)
    assert len(last) == 10
    # 31 days on what is left, 833.26: 8.4925.
    assert last[-1] == 83_326 + 850
    assert debt.principal == 0


def test_an_interest_only_loan_by_hand() -> None:
    debt = debt_of(terms("interest-only"), principal=PRINCIPAL, at=T0)
    # 30 days: 98.6301; 31 days: 101.9178; 28 days: 92.0548.
    assert isinstance(debt, Dated)
    assert paid(debt) == [
        9_864, 10_192, 9_864, 10_192, 10_192, 9_206,
        10_192, 9_864, 10_192, 9_864, 10_192, 1_010_192,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("count", "interest"),
    [
        # A year of 365 days, in 2020 and 2021: 110 days of a leap year, and 255.
        ("A/365F", Fraction(120_000)),
        ("A/360", Fraction(120_000 * 365, 360)),
        ("A/A ISDA", 120_000 * (Fraction(110, 366) + Fraction(255, 365))),
        ("30E/360", Fraction(120_000)),
    ],
)
def test_a_bullet_by_hand_under_each_day_count(count: str, interest: Fraction) -> None:
    debt = debt_of(terms("bullet", day_count=f'value = "{count}"'), principal=PRINCIPAL, at=T0)
    assert debt.due_at == T0 + 365 * DAY
    assert debt.owed(debt.due_at) == debt.due() == PRINCIPAL + ceil(interest)


def test_days_and_not_seconds_bear_interest() -> None:
    debt = debt_of(terms("bullet"), principal=PRINCIPAL, at=T0)
    midnight = Seconds(T0 - T0 % DAY + DAY)
    assert debt.owed(Seconds(midnight - 1)) == PRINCIPAL
    # A day of 12 % on 10,000.00: 3.2876.
    assert debt.owed(midnight) == debt.owed(Seconds(midnight + DAY - 1)) == PRINCIPAL + 329


def test_an_annuity_is_quantlibs() -> None:
    """Months of thirty days, so that each payment is the same in the textbook too."""
    lent, first = 10_000.0, ql.Date(13, 9, 2020)
    dates = ql.Schedule(
        first, ql.Date(13, 9, 2021), ql.Period(ql.Monthly), ql.NullCalendar(),
        ql.Unadjusted, ql.Unadjusted, ql.DateGeneration.Forward, False,
    )  # fmt: skip
    notionals = ql.sinkingNotionals(ql.Period(12, ql.Months), ql.Monthly, 0.12, lent)
    thirty = ql.Thirty360(ql.Thirty360.European)
    bond = ql.AmortizingFixedRateBond(0, notionals, dates, [0.12], thirty)
    flows: dict[ql.Date, float] = {}
    for flow in bond.cashflows():
        flows[flow.date()] = flows.get(flow.date(), 0.0) + flow.amount()
    theirs = [round(amount * 100, 2) for amount in flows.values()]
    debt = debt_of(terms(day_count='value = "30E/360"'), principal=PRINCIPAL, at=T0)
    assert isinstance(debt, Dated)
    ours = paid(debt)
    # 888.4879 a month.
    assert set(ours[:-1]) == {ceil(theirs[0])} == {88_849}
    assert ours[-1] == pytest.approx(theirs[-1], abs=12)
    assert sum(ours) == pytest.approx(sum(theirs), abs=12)


def test_a_floating_rate_follows_the_key_rate_from_its_reset_dates_on() -> None:
    debt = debt_of(terms("interest-only", key_rates=STEPS, **FLOATS), principal=PRINCIPAL, at=T0)
    assert isinstance(debt, Dated)
    # Resets on 13 September and 13 December at 23 %; the fall of 20 December counts from 13 March.
    days = (30, 31, 30, 31, 31, 28)
    assert paid(debt)[:7] == [
        *(ceil(Fraction(PRINCIPAL * 23 * each, 36_500)) for each in days),
        ceil(Fraction(PRINCIPAL * 22 * 31, 36_500)),
    ]


def test_before_the_first_date_of_a_key_rate_and_after_the_last_the_nearest_counts() -> None:
    floating = terms("bullet", key_rates=key_rates(d2021_03_13=100), **FLOATS)
    debt = debt_of(floating, principal=PRINCIPAL, at=T0)
    assert debt.due() == PRINCIPAL + 80_000


def test_a_month_end_and_days_off() -> None:
    start = at("2021-02-28")
    ends = debt_of(terms(end_of_month="value = true"), principal=PRINCIPAL, at=start)
    assert ends.due_at == at("2021-03-31")
    same = debt_of(terms(), principal=PRINCIPAL, at=start)
    assert same.due_at == at("2021-03-28")
    # 28 March 2021 is a Sunday.
    off = {"calendar": 'value = "MF"'}
    for name, day, days in (
        ("SCF", "2021-03-29", 29),
        ("CSF", "2021-03-29", 28),
        ("SCP", "2021-03-26", 26),
        ("CSP", "2021-03-26", 28),
    ):
        moved = terms("interest-only", **off, convention=f'value = "{name}"')
        debt = debt_of(moved, principal=PRINCIPAL, at=start)
        assert debt.due_at == at(day)
        assert debt.due() == ceil(Fraction(PRINCIPAL * 12 * days, 36_500))


def test_interest_that_is_added_to_the_debt_is_not_due() -> None:
    debt = debt_of(terms("interest-only", capitalise='period = "P2M"'), principal=PRINCIPAL, at=T0)
    assert debt.due() == debt.meet() == 0
    assert debt.principal == PRINCIPAL + 9_864
    assert debt.meet() == 0
    # 31 days on 10,098.64: 102.9231; then 30 on 10,201.57: 100.6182.
    assert debt.principal == PRINCIPAL + 9_864 + 10_293
    assert debt.meet() == 10_062
    # The last one's interest is paid, whatever was said.
    whole = debt_of(terms("interest-only", capitalise='period = "P5Y"'), principal=PRINCIPAL, at=T0)
    assert isinstance(whole, Dated)
    assert paid(whole)[:-1] == [0] * 11
    assert whole.principal == 0


def test_between_the_end_of_a_period_and_its_payment_nothing_runs() -> None:
    # To Sunday 28 March 2021, paid on Monday at noon.
    start, off = Seconds(at("2021-02-28") + 12 * HOUR), 'value = "MF"'
    of = terms("interest-only", calendar=off, convention='value = "CSF"')
    debt = debt_of(of, principal=PRINCIPAL, at=start)
    sunday, monday = at("2021-03-28"), at("2021-03-29")
    assert debt.owed(monday) == debt.owed(sunday) == PRINCIPAL + 9_206
    assert debt.meet() == 9_206
    # And the next period's has run since Sunday.
    assert debt.owed(monday) == PRINCIPAL + 329


def test_a_rate_that_is_fixed_anew_after_the_term_counts_to_the_payment() -> None:
    # A month from 28 February 2021 ends on a Sunday, and is paid for to Monday.
    of = terms(
        "bullet",
        key_rates=key_rates(d2021_02_01=500, d2021_03_28=2_900),
        **FLOATS | {"reset": 'period = "P1D"'},
        term='period = "P1M"',
        calendar='value = "MF"',
        convention='value = "SCF"',
    )
    debt = debt_of(of, principal=PRINCIPAL, at=at("2021-02-28"))
    # 28 days of 12 %, one of 36 %.
    assert debt.due() == PRINCIPAL + ceil(Fraction(PRINCIPAL * (12 * 28 + 36), 36_500))


def test_the_rate_is_the_repayments_own() -> None:
    free = replace(terms("linear"), rate_bps=Bps(0))
    assert debt_of(free, principal=PRINCIPAL, at=T0).due() == 83_334


# --- the same as schedule ---


@st.composite
def repayments(draw: st.DrawFn) -> Repayment:
    pays, kind = draw(
        st.sampled_from(
            [
                (Pays.BULLET, Kind.BULLET),
                (Pays.INTEREST_ONLY, Kind.INTEREST_ONLY),
                (Pays.INTEREST_ONLY, Kind.FLOATING),
                (Pays.ANNUITY, Kind.ANNUITY),
                (Pays.LINEAR, Kind.LINEAR),
            ]
        )
    )
    may = kind in (Kind.BULLET, Kind.ANNUITY, Kind.LINEAR)
    floats = kind is Kind.FLOATING or (may and draw(st.booleans()))
    index: list[Fixing] = []
    if floats:
        rates = st.integers(0, 3_000).map(Bps)
        days = sorted(draw(st.sets(st.integers(0, 900), max_size=8)))
        index = [
            Fixing(Seconds(0), Bps(1_600)),
            *(Fixing(Seconds(T0 + day * DAY), draw(rates)) for day in days),
        ]
    rate = Bps(draw(st.integers(0, 3_000)))
    plan = Plan(
        kind,
        rate,
        every="" if kind is Kind.BULLET else draw(st.sampled_from(["P1ML0", "P2WL1", "P45D"])),
        term=draw(st.sampled_from(["P6M", "P13M", "P2Y"])),
        day_count=draw(st.sampled_from(DayCount)),
        calendar=Calendar.MF,
        convention=draw(st.sampled_from(Convention)),
        end_of_month=draw(st.booleans()),
        rounding=draw(st.sampled_from(Rounding)),
        capitalise="" if kind is Kind.BULLET else draw(st.sampled_from(["", "P2M"])),
        reset=draw(st.sampled_from(["P1D", "P1M", "P3M"])) if floats else "",
        prepayment=draw(st.sampled_from(Prepayment)),
    )
    late = Bps(draw(st.integers(0, 3_000)))
    return Repayment(pays, rate, Bps(0), None, None, Seconds(0), late, plan, tuple(index))


AMOUNTS = st.one_of(st.integers(1, 1_000), st.integers(1, 10**12)).map(Cents)
STARTS = st.integers(0, 400).map(lambda days: Seconds(T0 + days * DAY))


@given(repayments(), AMOUNTS, STARTS)
def test_who_pays_each_instalment_pays_what_schedule_says(
    of: Repayment, principal: Cents, start: Seconds
) -> None:
    assert of.plan is not None
    debt = debt_of(of, principal=principal, at=start)
    rows = schedule(of.plan, principal=principal, start=start, fixings=of.index)
    for row in rows:
        assert debt.due_at == row.due
        assert debt.due() == row.payment
        assert debt.meet() == row.payment
        assert debt.principal == row.balance
    assert debt.due_at is None


@given(repayments(), AMOUNTS, STARTS, st.integers(0, 900))
def test_what_is_owed_on_a_day_is_schedules_payoff(
    of: Repayment, principal: Cents, start: Seconds, days: int
) -> None:
    assert of.plan is not None
    plan, moment = replace(of.plan, prepayment=Prepayment.ACCRUED_ONLY), Seconds(start + days * DAY)
    debt = debt_of(of, principal=principal, at=start)
    while debt.due_at is not None and debt.due_at <= moment:
        debt.meet()
    owed = payoff(plan, principal=principal, start=start, at=moment, fixings=of.index)
    assert debt.owed(moment) == owed


@given(
    repayments(),
    AMOUNTS,
    st.lists(
        st.tuples(st.integers(0, 200), st.sampled_from(["meet", "miss", "pay"]), AMOUNTS),
        max_size=12,
    ),
)
def test_between_two_payments_a_debt_never_falls_and_none_is_lost(
    of: Repayment, principal: Cents, steps: list[tuple[int, str, Cents]]
) -> None:
    debt, now, taken = debt_of(of, principal=principal, at=T0), T0, 0
    for days, what, amount in steps:
        before = debt.owed(now)
        now = Seconds(now + days * DAY)
        if debt.due_at is not None and debt.due_at < now:
            now = debt.due_at
        assert debt.owed(now) >= before
        if what == "pay":
            owed = debt.owed(now)
            got = debt.pay(amount, at=now)
            assert got == min(amount, owed)
            taken += got
            left = debt.owed(now)
            # What rounding kept of a cent may show anew, and no more.
            assert owed - got <= left <= owed - got + 1
        elif debt.due_at == now:
            owed = debt.owed(now)
            if what == "meet":
                taken += debt.meet()
            else:
                debt.miss()
                assert debt.owed(now) >= owed - 1
        assert debt.principal >= 0
    assert taken + debt.owed(now) >= principal


# --- early and late ---


def test_what_is_repaid_early_makes_payments_smaller_and_not_the_loan_shorter() -> None:
    debt = debt_of(terms("linear"), principal=PRINCIPAL, at=T0)
    debt.meet()
    # In the second period, 15 days on 9,166.66 are 45.2055; then 4,166.66 are left.
    assert debt.pay(Cents(504_521), at=Seconds(T0 + 45 * DAY)) == 504_521
    assert debt.principal == 416_666
    # 16 days on that are 21.9178, and an eleventh is 378.7873.
    assert debt.due() == 37_879 + 2_192
    assert isinstance(debt, Dated)
    assert len(paid(debt)) == 11


def test_a_full_period_is_owed_on_what_was_repaid_early() -> None:
    whole = terms("interest-only", prepayment='value = "full-period"')
    debt, middle = debt_of(whole, principal=PRINCIPAL, at=T0), Seconds(T0 + 15 * DAY)
    # 15 days on 10,000.00: 49.3151.
    debt.pay(Cents(404_932), at=middle)
    assert (debt.principal, debt.owed(middle)) == (600_000, 600_000)
    # The period's other 15 days on 10,000.00 all the same, and from then on on 6,000.00.
    assert debt.meet() == 4_932
    assert debt.meet() == ceil(Fraction(600_000 * 12 * 31, 36_500))
    less = debt_of(terms("interest-only"), principal=PRINCIPAL, at=T0)
    less.pay(Cents(404_932), at=middle)
    assert less.meet() == ceil(Fraction(600_000 * 12 * 15, 36_500))


@pytest.mark.parametrize("rule", ["accrued-only", "full-period"])
def test_all_repaid_early_comes_to_schedules_payoff(rule: str) -> None:
    of = terms("interest-only", prepayment=f'value = "{rule}"', rounding='value = "nearest"')
    assert of.plan is not None
    debt, middle = debt_of(of, principal=PRINCIPAL, at=T0), Seconds(T0 + 15 * DAY)
    got = debt.pay(debt.owed(middle), at=middle) + debt.meet()
    # One payment there is two here: each is rounded.
    assert abs(got - payoff(of.plan, principal=PRINCIPAL, start=T0, at=middle)) <= 1
    assert debt.due_at is None


def test_late_interest_is_on_what_is_overdue_and_on_top() -> None:
    debt = debt_of(terms("linear", late="bps = 2000"), principal=PRINCIPAL, at=T0)
    missed = debt.due()
    debt.miss()
    due, later = Seconds(T0 + 30 * DAY), Seconds(T0 + 50 * DAY)
    assert debt.due_at == T0 + 61 * DAY
    # 20 days of 12 % on 10,000.00 still, and of 20 % on 931.98: 65.7534 and 10.2135.
    assert missed == 93_198
    assert debt.owed(due) == PRINCIPAL + 9_864
    assert debt.owed(later) == PRINCIPAL + 9_864 + 7_597
    plan = replace(terms("linear").plan, late_bps=Bps(2_000), rounding=Rounding.DOWN)
    assert late_interest(plan, overdue=missed, due=due, paid_at=later) == 1_021
    # The next part is of what is not overdue.
    interest = ceil(Fraction(PRINCIPAL * 12 * 31, 36_500))
    assert debt.due() == interest + 83_334


def test_the_last_instalment_is_of_what_is_not_overdue_yet() -> None:
    debt = debt_of(terms("linear", rate="bps = 0"), principal=PRINCIPAL, at=T0)
    missed = debt.due()
    debt.miss()
    assert isinstance(debt, Dated)
    assert sum(paid(debt)) == PRINCIPAL - missed
    assert debt.principal == missed == 83_334


def test_what_is_paid_late_goes_to_what_is_overdue_first() -> None:
    debt = debt_of(terms("interest-only", late="bps = 2000"), principal=PRINCIPAL, at=T0)
    debt.miss()
    due, later = Seconds(T0 + 30 * DAY), Seconds(T0 + 50 * DAY)
    debt.pay(Cents(9_864), at=due)
    # Nothing is overdue any more: 20 days of 12 % alone.
    assert debt.interest(later) == 6_576
    none = debt_of(terms("interest-only"), principal=PRINCIPAL, at=T0)
    none.miss()
    assert none.interest(later) == 9_864 + 6_576


def test_after_the_last_date_interest_runs_on() -> None:
    debt = debt_of(terms("bullet"), principal=PRINCIPAL, at=T0)
    end = debt.due_at
    assert end is not None
    debt.miss()
    assert debt.due_at is None
    assert debt.owed(end) == PRINCIPAL + 120_000
    assert debt.owed(Seconds(end + 73 * DAY)) == PRINCIPAL + 120_000 + 24_000


SECONDS = product(
    pays=f'{{ value = "every", {D} }}\nevery = {{ days = 73, {D} }}\nlate = {{ bps = 2000, {D} }}',
    rate=f"{{ bps = 1000, {D} }}",
).repayment


def test_late_interest_by_the_second_bears_none_itself() -> None:
    debt = debt_of(SECONDS, principal=PRINCIPAL, at=T0)
    assert isinstance(debt, Owing)
    assert debt.due() == 20_000
    debt.miss()
    first, second = Seconds(T0 + 73 * DAY), Seconds(T0 + 146 * DAY)
    assert debt.owed(first) == PRINCIPAL + 20_000
    # A fifth of a year: 200.00 again, and 20 % of 200.00 for it.
    assert debt.owed(second) == PRINCIPAL + 40_000 + 800
    debt.miss()
    # 400.00 are overdue now, without the 8.00.
    assert debt.owed(Seconds(second + 73 * DAY)) == PRINCIPAL + 60_000 + 800 + 1_600
    assert debt.pay(Cents(42_400), at=Seconds(second + 73 * DAY)) == 42_400
    assert debt.interest(Seconds(second + 146 * DAY)) == 20_000 + 20_000
    debt.miss()
    debt.miss()
    debt.miss()
    assert debt.due_at is None


def test_at_the_end_of_a_term_by_the_second_everything_is_overdue() -> None:
    once = product(term=f"{{ days = 73, {D} }}\nlate = {{ bps = 2000, {D} }}").repayment
    debt = debt_of(once, principal=PRINCIPAL, at=T0)
    debt.miss()
    assert debt.owed(Seconds(T0 + 146 * DAY)) == PRINCIPAL + 40_000


def test_a_rate_below_zero_keeps_its_fractions_of_a_cent() -> None:
    plan = Repayment(Pays.OPEN, Bps(-100), Bps(0), None, None, Seconds(0))
    debt = debt_of(plan, principal=PRINCIPAL, at=T0)
    for day in range(1, 11):
        # 27.397 a day go to the principal, in whole cents.
        assert debt.pay(Cents(0), at=Seconds(T0 + day * DAY)) == 0
    assert debt.principal == PRINCIPAL - 273


# --- the loan ---

LINEAR = read_product(planned("linear", rate="bps = 0"))


def test_instalments_lower_the_debt_from_outside_the_collateral() -> None:
    # A coin at 20,000.00 for 10,000.00; called at 70 %.
    loan = Loan(LINEAR).at(30 * DAY - 1, 20_000)
    assert (loan.end.owed, loan.end.repaid) == (PRINCIPAL, 0)
    end = loan.at(30 * DAY, 20_000).end
    assert (end.owed, end.repaid, end.sats_held) == (916_666, 83_334, end.sats_pledged)
    end = loan.at(365 * DAY, 20_000).end
    assert (end.end, end.repaid, end.sats_returned) == (End.REPAID, PRINCIPAL, end.sats_pledged)
    assert end.ended_at == T0 + 365 * DAY


def test_a_price_that_calls_a_bullet_calls_no_loan_that_has_paid_half() -> None:
    bullet = read_product(planned("bullet", rate="bps = 0"))
    for of, calls in ((bullet, 1), (LINEAR, 0)):
        loan = Loan(of).at(190 * DAY, 20_000).at(190 * DAY + HOUR, 14_000)
        assert loan.end.calls == calls
    # 10,000.00 − 6 × 833.34 is called at 7,142.8 and below.
    assert Loan(LINEAR).at(190 * DAY, 20_000).at(190 * DAY + HOUR, 7_143).end.calls == 0
    assert Loan(LINEAR).at(190 * DAY, 20_000).at(190 * DAY + HOUR, 7_142).end.calls == 1


def test_an_instalment_cures_a_call_in_its_second() -> None:
    # At 14,285 called; after the first instalment 9,166.66 are 60 % of 15,277.8.
    loan = Loan(LINEAR).at(30 * DAY - 7_200, 14_285).at(30 * DAY - 1_800, 15_300)
    assert loan.end.cured is False
    end = loan.at(30 * DAY + 1_800, 15_300).end
    assert (end.cured, end.cured_at) == (True, T0 + 30 * DAY)


def test_a_loan_is_quiet_to_the_second_before_its_instalment_and_lower_after_it() -> None:
    ladder = Ladder(LINEAR, principal=PRINCIPAL, at=T0, price=AT_HALF)
    assert (ladder.until, ladder.above) == (T0 + 30 * DAY - 1, AT_HALF)
    ladder.step(Seconds(T0 + 30 * DAY), AT_HALF)
    # Below this a debt of 9,166.66 would be more than the half that was the worst so far.
    assert ladder.above == 18_333_32 * 10**6
    assert ladder.until == T0 + 60 * DAY


def test_a_missed_instalment_is_a_default_after_the_grace() -> None:
    late = read_product(planned("linear", late="bps = 3650"))
    loan = Loan(late, answer=Answer.ABSENT).at(40 * DAY, 20_000)
    assert loan.end.liquidated_at is None
    end = loan.at(40 * DAY + 60, 20_000).end
    assert end.liquidated_at == T0 + 40 * DAY + 1
    # 98.64 for the first 30 days of 12 %; for ten more 32.8767, and a hundredth of 931.98.
    assert end.recovered == PRINCIPAL + 9_864 + ceil(Fraction("3287.67") + Fraction("931.98"))
    none = Loan(read_product(planned()), answer=Answer.ABSENT)
    none.at(40 * DAY, 20_000).at(40 * DAY + 60, 20_000)
    assert none.end.recovered == PRINCIPAL + 9_864 + 3_288


def test_the_grace_runs_from_the_first_that_was_missed() -> None:
    patient = read_product(planned("linear", grace="days = 40"))
    loan = Loan(patient, answer=Answer.ABSENT).at(70 * DAY, 20_000)
    assert loan.end.liquidated_at is None
    assert loan.at(70 * DAY + 60, 20_000).end.liquidated_at == T0 + 70 * DAY + 1


def test_where_nothing_is_to_be_paid_nobody_is_late() -> None:
    added = read_product(planned("interest-only", capitalise='period = "P3M"'))
    end = Loan(added, answer=Answer.ABSENT).at(121 * DAY, 20_000).end
    assert end.liquidated_at is None
    # The fourth is missed on the 122nd day.
    loan = Loan(added, answer=Answer.ABSENT).at(132 * DAY, 20_000).at(133 * DAY, 20_000)
    later = loan.end
    assert later.liquidated_at == T0 + 132 * DAY + 1


def test_a_payment_that_is_moved_before_the_loan_began_is_in_its_first_second() -> None:
    daily = planned(
        "interest-only",
        every='period = "P1D"',
        term='period = "P10D"',
        calendar='value = "MF"',
        convention='value = "CSP"',
    )
    # Sunday; Monday is the first that needs no move, Saturday and Sunday are paid on Friday.
    saturday = Seconds(T0 - DAY)
    debt = debt_of(read_product(daily).repayment, principal=PRINCIPAL, at=saturday)
    assert day_of(saturday).weekday() == 5
    assert debt.due_at == saturday + 1
    ladder = Ladder(read_product(daily), principal=PRINCIPAL, at=saturday, price=AT_HALF)
    assert ladder.until == saturday
    ladder.step(Seconds(saturday + HOUR), AT_HALF)
    # A day of 12 %: 3.2876.
    assert ladder.outcome().repaid == 329


def test_sovcombank_floats() -> None:
    bank = load_product("sovcombank_2026")
    assert bank.repayment.plan is not None
    assert (bank.repayment.plan.reset, bank.repayment.plan.term) == ("P1M", "P24M")
    # Had the key rate gone to 15 %, the loan would cost 22 % from the next month on.
    start = at("2026-02-02")
    lower = (*bank.repayment.index, Fixing(at("2026-02-10"), Bps(1_500)))
    changed = debt_of(replace(bank.repayment, index=lower), principal=PRINCIPAL, at=start)
    # 28 days of 23 % and 31 of 22 %.
    assert changed.interest(at("2026-04-02")) == ceil(
        Fraction(PRINCIPAL * (23 * 28 + 22 * 31), 36_500)
    )


# --- words ---


def words(text: str) -> str:
    return "\n".join(explain(read_product(text)))


def test_a_plan_is_explained_in_plain_words() -> None:
    text = words(
        planned(
            key_rates=STEPS,
            calendar='value = "MF"',
            convention='value = "SCMF"',
            end_of_month="value = true",
            capitalise='period = "P3M"',
            late="bps = 2000",
            **FLOATS,
            floor="bps = 100",
        )
    )
    for line in (
        "Costs the key rate and 7.00 % a year and 0.00 % at first, 12 months; the same amount due "
        "each month, first of all for interest.",
        "The rate is fixed anew each 3 months, never below 1.00 %. Key rate: 16.00 % from "
        "2020-09-01, 15.00 % from 2020-12-20; before and after, the nearest is assumed.",
        "For the first 3 months interest is added to the debt instead.",
        "Days count as A/365F; each payment is rounded once, up to the cent.",
        "No payment on a Saturday or Sunday: it moves on to the next Monday, within its month, and "
        "interest runs to that day.",
        "A loan drawn on the last day of a short month pays on the last day of each.",
        "Who repays early owes the interest until then; what is left is spread anew.",
        "Costs 20.00 % a year more on what is overdue; in default 10 d after a missed payment.",
    ):
        assert f"  {line}\n" in text


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (planned("bullet"), "12 months; all due at the end."),
        (planned("interest-only", every='period = "P14D"'), "interest due each 14 days, principal"),
        (planned("linear"), "the same part of the principal due each month, and the interest."),
        (planned(prepayment='value = "full-period"'), "owes the interest of the whole running"),
        (planned(), "No more on what is overdue; in default 10 d after"),
        (
            planned(calendar='value = "MF"', convention='value = "CSP"'),
            "it moves back to the Friday, and interest runs to the day before it is moved.",
        ),
        (
            planned(key_rates=key_rates(**{f"d202{n}_01_01": n for n in range(6)}), **FLOATS),
            "Key rate: 0.00 % from 2020-01-01, 4 more, 0.05 % from 2025-01-01;",
        ),
    ],
)
def test_each_term_has_its_words(text: str, line: str) -> None:
    assert line in words(text)


def test_a_refusal_of_a_key_rate_says_its_line() -> None:
    text = planned(key_rates=key_rates(d2020_09_01=5, d2020_12_20=-701), **FLOATS)
    error = refusal(text)
    assert (error.code, error.facts["rate_bps"]) == ("product/rate", -1)
    assert int(error.facts["line"]) > line_of(text, "from = { date = 2020-12-20")


def test_a_habit_is_no_part_of_the_debt() -> None:
    """Who tops up pays each instalment too."""
    loan: Product = LINEAR
    ladder = Ladder(loan, principal=PRINCIPAL, at=T0, price=AT_HALF, habit=Habit(Answer.TOP_UP))
    ladder.step(Seconds(T0 + 31 * DAY), AT_HALF)
    assert ladder.outcome().repaid == 83_334
