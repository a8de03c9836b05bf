"""A pool pays what it owes, no more, and carries the rest; a report adds up."""

from __future__ import annotations

import itertools
import json
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mining_lab import START, plain_path, plain_pool, plain_site, refusal_of

from escrow.core.units import DAY, MAX_MONEY
from escrow.mining.catalogue import load_moment
from escrow.mining.meter import Meter, Reading, month_bounds, month_energy, read_meter
from escrow.mining.path import earned
from escrow.mining.pool import Balance, Scheme, credit, due, pay
from escrow.mining.report import credited, monthly, span

PRICE = 87_000 * 10**8


def test_a_fee_is_kept_and_the_rest_of_a_sat_is_carried() -> None:
    terms = plain_pool(fee_bps=100, threshold=546)
    balance = credit(Balance(), Fraction(1_001), terms=terms)
    assert (balance.credited, balance.owed) == (Fraction(99_099, 100), 990)
    paid = pay(balance, 990, terms=terms)
    assert (paid.owed, due(paid, terms=terms)) == (0, 0)
    assert credit(paid, Fraction(10), terms=terms).owed == 10  # 0.99 + 9.9


@pytest.mark.parametrize(("owed", "paid"), [(999, 0), (1_000, 1_000), (1_001, 1_001)])
def test_below_the_threshold_nothing_is_due(owed, paid) -> None:
    terms = plain_pool(fee_bps=0, threshold=1_000)
    assert due(credit(Balance(), Fraction(owed), terms=terms), terms=terms) == paid


def test_what_no_pool_pays_is_refused() -> None:
    terms = plain_pool(fee_bps=0, threshold=1_000)
    balance = credit(Balance(), Fraction(2_000), terms=terms)
    assert pay(balance, 2_000, terms=terms).owed == 0
    assert refusal_of(pay, balance, 2_001, terms=terms) == "pool/overpaid"
    assert refusal_of(pay, balance, 999, terms=terms) == "pool/threshold"
    assert refusal_of(credit, balance, Fraction(-1), terms=terms) == "pool/backwards"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"fee_bps": 0}, ""),
        ({"fee_bps": 5_000}, ""),
        ({"fee_bps": 5_001}, "pool/terms"),
        ({"fee_bps": -1}, "pool/terms"),
        ({"threshold": 546}, ""),
        ({"threshold": 545}, "pool/terms"),
        ({"threshold": MAX_MONEY + 1}, "pool/terms"),
    ],
)
def test_terms_that_no_pool_has_are_refused(changes, code) -> None:
    assert refusal_of(plain_pool, **changes) == code


@given(
    st.lists(st.fractions(0, 10**6), max_size=20),
    st.integers(0, 5_000),
    st.integers(546, 10**6),
)
def test_a_pool_never_pays_more_than_it_owes(works, fee_bps, threshold) -> None:
    terms, balance = plain_pool(fee_bps=fee_bps, threshold=threshold), Balance()
    for work in works:
        balance = credit(balance, work, terms=terms)
        if sats := due(balance, terms=terms):
            balance = pay(balance, sats, terms=terms)
        assert 0 <= balance.owed < threshold
        assert balance.paid <= balance.credited
    # However it was split: all that was earned less the fee, but for what is carried.
    assert balance.credited == sum(works, Fraction(0)) * Fraction(10_000 - fee_bps, 10_000)
    assert balance.paid + balance.owed == int(balance.credited)


def test_pps_pays_no_fees_of_transactions_and_fpps_does() -> None:
    site, path = plain_site(), plain_path()
    until = START + DAY
    both = {
        scheme: credited(site, path, pool=plain_pool(scheme=scheme), since=START, until=until)
        for scheme in Scheme
    }
    plain = earned(path, hash_rate=site.hash_rate, windows=[(START, until)], fees=False)
    assert both[Scheme.PPS].credited == plain * Fraction(98, 100)
    # 3.125 BTC of subsidy and 0.02 of fees a block.
    assert both[Scheme.FPPS].credited == both[Scheme.PPS].credited * Fraction(3_145, 3_125)


@given(st.lists(st.integers(0, 40 * DAY), min_size=3, max_size=6))
def test_sats_and_energy_of_a_report_add_up(cuts) -> None:
    site, path, pool = plain_site(daily=((0, 3_600),)), plain_path(), plain_pool()
    at = [START + each for each in sorted(cuts)]
    parts = [
        span(site, path, pool=pool, since=a, until=b, price=PRICE)
        for a, b in itertools.pairwise(at)
    ]
    whole = span(site, path, pool=pool, since=at[0], until=at[-1], price=PRICE)
    assert sum(each.mined for each in parts) == whole.mined
    assert sum(each.energy for each in parts) == whole.energy


def test_a_report_has_months_and_says_what_is_doubtful() -> None:
    sources = load_moment("2025-12-25").parameters
    found = monthly(
        plain_site(power_cap=40_000),
        plain_path(),
        pool=plain_pool(),
        first=(2025, 12),
        months=2,
        price=PRICE,
        sources=sources,
    )
    assert (found.machines, found.idle) == (11, 9)
    december, january = found.spans
    assert (december.since, january.since) == (START, START + 31 * DAY)
    assert december.energy == 38_245 * 24 * 31
    assert (
        january.difficulty
        > december.difficulty
        == 148_260_000_000_000 // 10**9 * 10**9 + (december.difficulty % 10**9)
    )
    assert any(line.startswith("ASSUMED moment.2025-12-25.fees") for line in found.doubtful)
    assert any("REPORTED machine.antminer-s21.hash_rate" in line for line in found.doubtful)
    assert any("ASSUMED curve.quarterly-30" in line for line in found.doubtful)
    assert set(found.doubtful) <= set(found.lines())
    assert found.lines()[0] == "a site: 11 machines run, 9 idle, 2,110,000 GH/s"
    assert found.lines()[1].startswith("2025-12-01 to 2026-01-01: 28,454 kWh for 14,227,140 minor")
    words = json.loads(json.dumps(found.as_json()))
    assert words["spans"][0]["mined"] == str(december.mined)
    assert words["doubtful"] == list(found.doubtful)


def test_the_meter_of_a_site_tells_the_month_of_its_report() -> None:
    site = plain_site(outages=((START + DAY, START + 2 * DAY),))
    since, until = month_bounds(2025, 12)
    meter = Meter("site")
    for at in (since, until):
        meter = read_meter(meter, Reading(at, site.meter(at=at)))
    found = month_energy([meter], year=2025, month=12)
    assert found == 67_450 * 24 * 30 == site.energy(since=since, until=until)
