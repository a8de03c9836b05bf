"""A site's power, windows and meter; meters as they are read."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mining_lab import START, plain_site, refusal_of

from escrow.core.units import DAY, YEAR
from escrow.mining.catalogue import load_catalogue
from escrow.mining.meter import Meter, Reading, month_bounds, month_energy, read_meter
from escrow.mining.site import Rack

S21 = load_catalogue().machine("antminer-s21")


def test_a_site_draws_what_its_machines_draw() -> None:
    site = plain_site()
    assert site.hash_rate == 10 * 110_000 + 10 * 200_000
    assert site.power == (10 * 3_245 + 10 * 3_500) * 10**6
    assert site.energy(since=START, until=START + DAY) == 67_450 * 24
    assert site.cost(67_450 * 24) == 809_400  # 1,618.8 kWh at 5.00
    assert site.cost(1) == 1  # half a kopeck, up


@pytest.mark.parametrize(
    ("watts", "s21", "s19"),
    [(100_000, 10, 10), (67_450, 10, 10), (67_449, 10, 9), (35_000, 10, 0), (34_999, 9, 1)],
)
def test_under_a_cap_the_most_efficient_run(watts, s21, s19) -> None:
    running = {rack.machine.id: rack.count for rack in plain_site(power_cap=watts).running}
    assert running.get("antminer-s21", 0) == s21
    assert running.get("antminer-s19-pro", 0) == s19


def test_a_cap_below_one_machine_lets_none_run() -> None:
    site = plain_site(power_cap=1)
    assert (site.running, site.hash_rate, site.power) == ((), 0, 0)


def test_outages_and_daily_hours_are_left_out_once_each() -> None:
    site = plain_site(
        outages=((START + 1_000, START + 5_000), (START + 4_000, START + 8_000)),
        daily=((7_000, 10_000), (DAY - 100, DAY)),
    )
    assert site.working(since=START, until=START + DAY + 7_500) == (
        (START, START + 1_000),
        (START + 10_000, START + DAY - 100),
        (START + DAY, START + DAY + 7_000),
    )
    assert site.working(since=START + 2_000, until=START + 3_000) == ()
    assert site.working(since=START, until=START) == ()


windows = st.lists(
    st.tuples(st.integers(0, 3 * DAY), st.integers(1, DAY)).map(
        lambda pair: (START + pair[0], START + pair[0] + pair[1])
    ),
    max_size=5,
).map(tuple)
hours = st.lists(
    st.tuples(st.integers(0, DAY - 2), st.integers(1, DAY)).map(
        lambda pair: (pair[0], min(DAY, pair[0] + pair[1]))
    ),
    max_size=3,
).map(tuple)


@given(windows, hours, st.lists(st.integers(0, 4 * DAY), min_size=3, max_size=6))
def test_energy_adds_up_over_any_split_of_the_time(outages, daily, cuts) -> None:
    site = plain_site(outages=outages, daily=daily)
    at = [START + each for each in sorted(cuts)]
    parts = [site.energy(since=a, until=b) for a, b in itertools.pairwise(at)]
    assert sum(parts) == site.energy(since=at[0], until=at[-1])
    assert min(parts) >= 0


@given(windows, hours, st.integers(0, 3 * DAY), st.integers(0, DAY))
def test_a_second_is_worked_unless_an_outage_has_it(outages, daily, at, length) -> None:
    site = plain_site(outages=outages, daily=daily)
    since, until = START + at, START + at + length
    found = site.working(since=since, until=until)
    assert all(since <= a < b <= until for a, b in found)
    assert all(one[1] < two[0] for one, two in itertools.pairwise(found))
    for second in range(since, until, 977):
        still = any(a <= second < b for a, b in outages)
        still |= any(a <= second % DAY < b for a, b in daily)
        assert still is not any(a <= second < b for a, b in found)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"racks": ()}, "site/machines"),
        ({"racks": (Rack(S21, 0),)}, "site/machines"),
        ({"racks": (Rack(S21, True),)}, "site/machines"),
        ({"racks": (Rack(S21, 10_000_001),)}, "site/machines"),
        ({"racks": (Rack(S21, 1),) * 201}, "site/machines"),
        ({"power_cap": 0}, "site/power"),
        ({"power_cap": 1.5}, "site/power"),
        ({"tariff": -1}, "site/tariff"),
        ({"since": -1}, "site/time"),
        ({"outages": ((5, 5),)}, "site/outage"),
        ({"daily": ((0, DAY + 1),)}, "site/outage"),
        ({"daily": ((0, 1),) * 2_001}, "site/outage"),
        ({"daily": ((0, DAY),)}, ""),
        ({"tariff": 0}, ""),
    ],
)
def test_a_site_that_makes_no_sense_is_refused(changes, code) -> None:
    assert refusal_of(plain_site, **changes) == code


def test_a_site_is_not_asked_about_times_it_does_not_have() -> None:
    site = plain_site()
    assert refusal_of(site.working, since=START - 1, until=START) == "site/time"
    assert refusal_of(site.working, since=START + 1, until=START) == "site/time"
    assert refusal_of(site.working, since=START, until=START + 50 * YEAR + 1) == "site/time"
    assert refusal_of(site.energy, since=START + 1, until=START) == "site/time"


# --- meters ---


def test_a_reading_that_goes_backwards_is_refused() -> None:
    meter = read_meter(Meter("m"), Reading(10, 100))
    assert read_meter(meter, Reading(11, 100)).readings[-1].wh == 100
    assert refusal_of(read_meter, meter, Reading(11, 99)) == "meter/backwards"
    assert refusal_of(read_meter, meter, Reading(10, 101)) == "meter/order"


@pytest.mark.parametrize("reading", [(-1, 0), (0, -1), (0, True), (0, 1.5), (0, 10**18 + 1)])
def test_a_reading_that_no_meter_shows_is_refused(reading) -> None:
    assert refusal_of(read_meter, Meter("m"), Reading(*reading)) == "meter/value"


def test_a_month_is_the_difference_of_the_readings_at_its_ends() -> None:
    since, until = month_bounds(2025, 12)
    assert (since, until) == (START, START + 31 * DAY)
    meter = Meter("m")
    for at, wh in ((since - 5, 90), (since, 100), (since + 9, 200), (until, 6_000_100)):
        meter = read_meter(meter, Reading(at, wh))
    assert month_energy([meter], year=2025, month=12) == 6_000_000
    assert month_energy([meter, meter], year=2025, month=12) == 12_000_000
    assert refusal_of(month_energy, [meter], year=2025, month=11) == "meter/month"
    assert refusal_of(month_energy, [meter], year=2026, month=1) == "meter/month"


def test_a_month_begins_earlier_in_the_east() -> None:
    since, until = month_bounds(2028, 2, utc_offset=3 * 3_600)
    assert until - since == 29 * DAY
    assert (since + 3 * 3_600) % DAY == 0


@pytest.mark.parametrize("month", [(2025, 0), (2025, 13), (1969, 12), (9999, 1)])
def test_no_such_month(month) -> None:
    assert refusal_of(month_bounds, *month) == "meter/month"
    assert refusal_of(month_bounds, 2025, 1, utc_offset=DAY + 1) == "meter/month"
