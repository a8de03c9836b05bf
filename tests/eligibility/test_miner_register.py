"""The registry of miners: who must be in it, who reports, who is struck off."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from escrow.core.errors import BadInput, EscrowError, Rejected
from escrow.core.units import MAX_MONEY, Sats, Seconds
from escrow.eligibility.days import Month, first_second, last_second, parse_day, parse_month
from escrow.eligibility.miners import (
    MAX_METER_KWH,
    MAX_MINERS,
    MAX_READINGS,
    REGISTERED_SHARE_BPS,
    THRESHOLD_KWH,
    Ground,
    MinerClass,
    MinerRegister,
    Standing,
    due_of,
    facts,
    good_until,
    registered_of,
    standing,
    unreported,
)

COMPANY, PERSON, TRADER = "7707083893", "500100732259", "000000000000"
JANUARY = parse_month("2025-01")
FEBRUARY, MARCH = Month(JANUARY + 1), Month(JANUARY + 2)
NEW_YEAR = first_second(parse_day("2025-01-01"))
ADDRESS = ("bcrt1q-somewhere",)


def register(*, kwh: int = 100, kind: MinerClass = MinerClass.INDIVIDUAL) -> MinerRegister:
    """One miner, followed since January, with that month read."""
    found = MinerRegister()
    inn = COMPANY if kind is MinerClass.LEGAL_ENTITY else PERSON
    found.add(inn, kind, since=JANUARY, meter_kwh=1_000)
    found.read_meter(inn, JANUARY, 1_000 + kwh)
    return found


def entered(*, at: Seconds = NEW_YEAR) -> MinerRegister:
    """A company, registered in January."""
    found = register(kind=MinerClass.LEGAL_ENTITY)
    found.register(COMPANY, at=at)
    return found


def code_of(call, *args, **named) -> str:
    try:
        call(*args, **named)
    except EscrowError as error:
        return error.code
    return ""


@pytest.mark.parametrize(
    ("kwh", "stands"),
    [
        (THRESHOLD_KWH - 1, Standing.FREE),
        (THRESHOLD_KWH, Standing.FREE),
        (THRESHOLD_KWH + 1, Standing.OBLIGED),
    ],
)
def test_crossing_the_threshold_makes_the_obligation(kwh: int, stands: Standing) -> None:
    miner = register(kwh=kwh).miner(PERSON)
    assert standing(miner, at=NEW_YEAR) is stands
    assert miner.crossed == (JANUARY if kwh > THRESHOLD_KWH else None)


def test_the_obligation_stays_when_less_is_used() -> None:
    found = register(kwh=THRESHOLD_KWH + 1)
    miner = found.read_meter(PERSON, FEBRUARY, 1_000 + THRESHOLD_KWH + 1)
    assert miner.readings[-1].used_kwh == 0
    assert standing(miner, at=NEW_YEAR) is Standing.OBLIGED
    assert facts(miner, at=NEW_YEAR)["kwh_month"] == THRESHOLD_KWH + 1


@pytest.mark.parametrize("kind", [MinerClass.LEGAL_ENTITY, MinerClass.ENTREPRENEUR])
def test_companies_and_entrepreneurs_are_obliged_from_the_start(kind: MinerClass) -> None:
    (miner,) = register(kwh=0, kind=kind).miners
    assert standing(miner, at=NEW_YEAR) is Standing.OBLIGED


@pytest.mark.parametrize(
    ("inn", "kind", "code"),
    [
        (COMPANY, MinerClass.LEGAL_ENTITY, ""),
        (TRADER, MinerClass.ENTREPRENEUR, ""),
        (PERSON, MinerClass.INDIVIDUAL, ""),
        (COMPANY, MinerClass.INDIVIDUAL, "miner/class"),
        (PERSON, MinerClass.LEGAL_ENTITY, "miner/class"),
        ("7707083894", MinerClass.LEGAL_ENTITY, "miner/inn"),
    ],
)
def test_a_number_is_of_its_class(inn: str, kind: MinerClass, code: str) -> None:
    assert code_of(MinerRegister().add, inn, kind, since=JANUARY) == code


def test_a_miner_is_followed_once() -> None:
    found = register()
    assert code_of(found.add, PERSON, MinerClass.INDIVIDUAL, since=JANUARY) == "miner/exists"
    assert code_of(found.miner, COMPANY) == "miner/unknown"


@pytest.mark.parametrize(
    ("meter", "code"),
    [
        (-1, "miner/meter"), (0, ""), (MAX_METER_KWH, ""), (MAX_METER_KWH + 1, "miner/meter"),
    ],
)  # fmt: skip
def test_a_meter_begins_within_bounds(meter: int, code: str) -> None:
    kind = MinerClass.INDIVIDUAL
    assert code_of(MinerRegister().add, PERSON, kind, since=JANUARY, meter_kwh=meter) == code


@pytest.mark.parametrize(
    ("month", "meter", "code"),
    [
        (FEBRUARY, 1_099, "miner/meter-back"),
        (FEBRUARY, 1_100, ""),
        (FEBRUARY, MAX_METER_KWH, ""),
        (FEBRUARY, MAX_METER_KWH + 1, "miner/meter"),
        (JANUARY, 1_200, "miner/month"),
        (MARCH, 1_200, "miner/month"),
    ],
)
def test_a_meter_goes_forward_month_by_month(month: Month, meter: int, code: str) -> None:
    found = register()
    before = found.miner(PERSON)
    assert code_of(found.read_meter, PERSON, month, meter) == code
    assert (found.miner(PERSON) == before) is bool(code)


def test_a_register_follows_a_miner_for_so_long() -> None:
    found = register()
    for month in range(1, MAX_READINGS):
        found.read_meter(PERSON, Month(JANUARY + month), 1_100)
    last = Month(JANUARY + MAX_READINGS)
    assert code_of(found.read_meter, PERSON, last, 1_100) == "miner/month"


def test_a_report_is_due_at_the_end_of_the_twentieth() -> None:
    miner, due = entered().miner(COMPANY), due_of(JANUARY)
    assert due == last_second(parse_day("2025-02-20"))
    assert due_of(parse_month("2025-12")) == last_second(parse_day("2026-01-20"))
    found = [standing(miner, at=at) for at in (NEW_YEAR, due, Seconds(due + 1))]
    assert found == [Standing.REGISTERED, Standing.REGISTERED, Standing.REPORT_OVERDUE]
    assert good_until(miner, at=NEW_YEAR) == due


@pytest.mark.parametrize(("after", "late"), [(0, False), (1, True)])
def test_a_report_in_time_or_late_opens_the_next_month(after: int, late: bool) -> None:
    found = entered()
    at = Seconds(due_of(JANUARY) + after)
    told = found.report(COMPANY, JANUARY, at=at, sats=Sats(5), addresses=ADDRESS)
    miner = found.miner(COMPANY)
    assert told.late is late
    assert unreported(miner) == FEBRUARY
    assert standing(miner, at=at) is Standing.REGISTERED
    assert facts(miner, at=at)["report_filed"] is True
    assert good_until(miner, at=at) == due_of(FEBRUARY)


def test_a_report_counts_from_the_day_on_which_it_is_filed() -> None:
    """Looked back at: a late report does not make the days before it good."""
    found, due = entered(), due_of(JANUARY)
    late = Seconds(due + 7 * 86_400)
    found.report(COMPANY, JANUARY, at=late, sats=Sats(5), addresses=ADDRESS)
    miner = found.miner(COMPANY)
    told = [standing(miner, at=at) for at in (due, Seconds(due + 1), Seconds(late - 1), late)]
    assert told == [
        Standing.REGISTERED, Standing.REPORT_OVERDUE, Standing.REPORT_OVERDUE, Standing.REGISTERED,
    ]  # fmt: skip
    assert facts(miner, at=Seconds(late - 1))["report_filed"] is False
    assert good_until(miner, at=NEW_YEAR) == due
    assert good_until(miner, at=late) == due_of(FEBRUARY)


@pytest.mark.parametrize(
    ("month", "at", "sats", "addresses", "code"),
    [
        (JANUARY, "2025-02-01", 0, (), ""),
        (JANUARY, "2025-02-01", 1, ADDRESS, ""),
        (JANUARY, "2025-02-01", 1, (), "miner/report"),
        (JANUARY, "2025-02-01", 1, ("",), "miner/report"),
        (JANUARY, "2025-02-01", -1, ADDRESS, "miner/report"),
        (JANUARY, "2025-02-01", MAX_MONEY, ADDRESS, ""),
        (JANUARY, "2025-02-01", MAX_MONEY + 1, ADDRESS, "miner/report"),
        (JANUARY, "2025-01-31", 0, (), "miner/month"),
        (FEBRUARY, "2025-03-01", 0, (), "miner/month"),
    ],
)
def test_a_report_is_of_the_next_month_and_says_where_coins_are(
    month: Month, at: str, sats: int, addresses: tuple[str, ...], code: str
) -> None:
    found, when = entered(), first_second(parse_day(at))
    told = {"at": when, "sats": Sats(sats), "addresses": addresses}
    assert code_of(found.report, COMPANY, month, **told) == code
    assert len(found.miner(COMPANY).reports) == (not code)


@pytest.mark.parametrize("addresses", [("a" * 101,), ("",), ("a",) * 1_001])
def test_a_report_without_coins_has_bounds_too(addresses: tuple[str, ...]) -> None:
    found, at = entered(), first_second(parse_day("2025-02-01"))
    told = {"at": at, "sats": Sats(0), "addresses": addresses}
    assert code_of(found.report, COMPANY, JANUARY, **told) == "miner/report"


def test_a_month_is_reported_once_and_only_by_who_is_registered() -> None:
    found, at = entered(), first_second(parse_day("2025-02-01"))
    told = {"at": at, "sats": Sats(0), "addresses": ()}
    found.report(COMPANY, JANUARY, **told)
    assert code_of(found.report, COMPANY, JANUARY, **told) == "miner/month"
    other = register(kwh=THRESHOLD_KWH + 1)
    assert code_of(other.report, PERSON, JANUARY, **told) == "miner/not-registered"


@pytest.mark.parametrize("ground", Ground)
def test_who_is_struck_off_is_not_registered(ground: Ground) -> None:
    found = entered()
    miner = found.delist(COMPANY, ground, at=NEW_YEAR)
    assert (miner.ground, miner.delisted_at) == (ground, NEW_YEAR)
    assert standing(miner, at=NEW_YEAR) is Standing.DELISTED
    assert facts(miner, at=NEW_YEAR)["registered"] is False
    assert miner.banned_region is (ground is Ground.BANNED_REGION)
    assert code_of(found.delist, COMPANY, ground, at=NEW_YEAR) == "miner/not-registered"
    # Who mines where that is banned is not entered anew; others are.
    again = "miner/banned-region" if ground is Ground.BANNED_REGION else ""
    assert code_of(found.register, COMPANY, at=NEW_YEAR) == again


def test_a_miner_stands_as_its_dates_say() -> None:
    """A date to come opens no gate yet, and shuts none."""
    day = 86_400
    found = register(kind=MinerClass.LEGAL_ENTITY)
    found.register(COMPANY, at=Seconds(NEW_YEAR + 10 * day))
    struck = found.delist(COMPANY, Ground.FALSE_DATA, at=Seconds(NEW_YEAR + 20 * day))
    told = [standing(struck, at=Seconds(NEW_YEAR + n * day)) for n in (9, 10, 19, 20)]
    assert told == [
        Standing.OBLIGED, Standing.REGISTERED, Standing.REGISTERED, Standing.DELISTED,
    ]  # fmt: skip
    assert facts(struck, at=NEW_YEAR)["registered"] is False
    assert good_until(struck, at=NEW_YEAR) == NEW_YEAR + 10 * day - 1
    assert good_until(struck, at=Seconds(NEW_YEAR + 10 * day)) == NEW_YEAR + 20 * day - 1


def test_nobody_is_struck_off_before_it_was_entered() -> None:
    found = entered()
    with pytest.raises(Rejected, match="miner/not-registered"):
        found.delist(COMPANY, Ground.BANKRUPTCY, at=Seconds(NEW_YEAR - 1))
    assert standing(found.miner(COMPANY), at=NEW_YEAR) is Standing.REGISTERED
    found.delist(COMPANY, Ground.BANKRUPTCY, at=NEW_YEAR)
    assert standing(found.miner(COMPANY), at=NEW_YEAR) is Standing.DELISTED


def test_nobody_is_entered_anew_before_it_was_struck_off() -> None:
    """Else the striking off would never have been."""
    found, struck = entered(), Seconds(NEW_YEAR + 9 * 86_400)
    found.delist(COMPANY, Ground.FALSE_DATA, at=struck)
    before = found.miner(COMPANY)
    assert code_of(found.register, COMPANY, at=Seconds(struck - 1)) == "miner/registered"
    assert found.miner(COMPANY) == before
    found.register(COMPANY, at=struck)
    assert standing(found.miner(COMPANY), at=struck) is Standing.REGISTERED


def test_a_miner_is_registered_once() -> None:
    found = entered()
    assert code_of(found.register, COMPANY, at=NEW_YEAR) == "miner/registered"
    assert code_of(found.delist, PERSON, Ground.AML, at=NEW_YEAR) == "miner/unknown"
    assert code_of(register().delist, PERSON, Ground.AML, at=NEW_YEAR) == "miner/not-registered"


def test_an_individual_below_the_threshold_may_register_too() -> None:
    found = register()
    found.register(PERSON, at=NEW_YEAR)
    assert standing(found.miner(PERSON), at=NEW_YEAR) is Standing.REGISTERED


def test_a_reading_counts_until_the_twentieth_after_the_next_month() -> None:
    miner = register().miner(PERSON)
    assert good_until(miner, at=NEW_YEAR) == due_of(FEBRUARY)
    late = Seconds(due_of(FEBRUARY) + 9)
    assert good_until(miner, at=late) == late
    unread = replace(miner, readings=())
    assert good_until(unread, at=NEW_YEAR) == due_of(FEBRUARY)
    assert "kwh_month" not in facts(unread, at=NEW_YEAR)


def test_facts_are_what_rules_ask_for() -> None:
    assert facts(entered().miner(COMPANY), at=NEW_YEAR) == {
        "mines": True,
        "class": "legal-entity",
        "registered": True,
        "report_filed": True,
        "banned_region": False,
        "kwh_month": 100,
    }


@pytest.mark.parametrize(
    ("population", "registered"), [(0, 0), (2, 0), (3, 0), (4, 1), (10_000, 3_333)]
)
def test_fewer_than_a_third_are_registered(population: int, registered: int) -> None:
    assert registered_of(population) == registered
    assert 3 * registered_of(population) <= population
    assert registered_of(population, share_bps=10_000) == population
    assert 3 * REGISTERED_SHARE_BPS < 10_000


def test_a_register_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("escrow.eligibility.miners.MAX_MINERS", 1)
    found = register()
    assert code_of(found.add, COMPANY, MinerClass.LEGAL_ENTITY, since=JANUARY) == "miner/full"
    assert MAX_MINERS == 10_000


@given(st.lists(st.integers(0, 3_000), min_size=1, max_size=20))
def test_what_was_used_adds_up_to_the_meter(steps: list[int]) -> None:
    found, meter = MinerRegister(), 7
    found.add(PERSON, MinerClass.INDIVIDUAL, since=JANUARY, meter_kwh=meter)
    for n, step in enumerate(steps):
        meter += step
        found.read_meter(PERSON, Month(JANUARY + n), meter)
    miner = found.miner(PERSON)
    assert [each.used_kwh for each in miner.readings] == steps
    assert (miner.crossed is None) is (max(steps) <= THRESHOLD_KWH)
    with pytest.raises((Rejected, BadInput)):
        found.read_meter(PERSON, Month(JANUARY + len(steps)), meter - 1)
