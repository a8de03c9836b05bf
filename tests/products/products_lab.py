"""Products for tests: one plain product as text, and ways to change a line of it."""

from __future__ import annotations

import os
import re
from pathlib import Path

from escrow.core.units import HOUR, Cents, PriceE8, Seconds
from escrow.products.ladder import Ladder
from escrow.products.model import Product
from escrow.products.outcome import Answer, Habit, Outcome
from escrow.products.read import read_product

SHARED = Path(os.environ.get("ESCROW_SHARED", Path(__file__).parents[2].parent / "shared"))
REAL = SHARED / "data" / "btc_usd_hourly_2018-05_2020-12.csv.gz"
"""Recorded hourly prices, where they are."""

D = 'status = "disclosed", source = "the test"'
A = 'status = "assumed", source = "made up"'

PLAIN = f"""
[product]
id = "plain"
title = "A plain loan"
in_words = "Nothing of it is real."

[levels]
basis = {{ value = "debt", {D} }}
initial = {{ bps = 5000, {D} }}
restore = {{ bps = 6000, {D} }}
cure_by = {{ value = "both", {A} }}
lapse = {{ value = "while-reached", {A} }}
immediate = {{ bps = 8500, comparator = "at-or-above", {D} }}

[[notice]]
level = {{ bps = 6500, comparator = "at-or-above", {D} }}

[[call]]
level = {{ bps = 7000, comparator = "at-or-above", {D} }}
cure = {{ hours = 24, {D} }}
dwell = {{ hours = 0, {D} }}

[liquidation]
kind = {{ value = "market", {D} }}
fee = {{ bps = 0, {D} }}

[price]
sources = {{ count = 3, {D} }}
quorum = {{ count = 2, {D} }}
heartbeat = {{ hours = 1, {D} }}
deviation = {{ bps = 150, {D} }}
to_call = {{ count = 2, {D} }}

[repayment]
pays = {{ value = "at-end", {D} }}
rate = {{ bps = 0, {D} }}
fee = {{ bps = 0, {D} }}
term = {{ days = 365, {D} }}
grace = {{ days = 10, {D} }}

[custody]
confirmations = {{ count = 2, {D} }}
"""
"""Half lent, warned at 65 %, called at 70 with 24 hours to be at 60, sold at 85; no interest."""

T0 = Seconds(1_600_000_000)
PRINCIPAL = Cents(1_000_000)
"""10,000.00: at a price of 20,000 one coin is pledged at half."""
AT_HALF = PriceE8(20_000 * 10**8)


def line_of(text: str, start: str) -> int:
    """Number of the line that begins so, from 1."""
    return 1 + next(n for n, line in enumerate(text.split("\n")) if line.startswith(start))


def changed(**lines: str | None) -> str:
    """The plain product with lines replaced, by key; ``None`` takes one out. A section is named
    before two underscores where the key is not unique: ``price__deviation``."""
    text = PLAIN
    for name, value in lines.items():
        section, _, key = name.rpartition("__")
        start = text.index(f"[{section}]") if section else 0
        found = re.compile(rf"^{key} = .*$", re.MULTILINE).search(text, start)
        assert found is not None, name
        line = "" if value is None else f"{key} = {value}"
        text = text[: found.start()] + line + text[found.end() :]
    return text


def planned(kind: str = "annuity", *, key_rates: str = "", **keys: str | None) -> str:
    """The plain product repaid by a calendar: terms of ``[repayment]`` by key, without their
    provenance; ``None`` takes one out. Without others: 12 % in a year of months, days of 365."""
    given = {
        "pays": f'value = "{kind}"',
        "rate": "bps = 1200",
        "fee": "bps = 0",
        "term": 'period = "P12M"',
        "every": None if kind == "bullet" else 'period = "P1M"',
        "day_count": 'value = "A/365F"',
        "prepayment": 'value = "accrued-only"',
        "grace": "days = 10",
    } | keys
    lines = [f"{key} = {{ {value}, {D} }}" for key, value in given.items() if value is not None]
    start, end = PLAIN.index("[repayment]"), PLAIN.index("[custody]")
    body = "\n".join(["[repayment]", *lines, key_rates])
    return f"{PLAIN[:start]}{body}\n{PLAIN[end:]}"


def key_rates(**rates: int) -> str:
    """Steps of a key rate: ``d2020_09_01=1600``."""
    return "".join(
        f"\n[[key_rate]]\nfrom = {{ date = {day[1:].replace('_', '-')}, {D} }}\n"
        f"rate = {{ bps = {bps}, {D} }}\n"
        for day, bps in rates.items()
    )


def product(**lines: str | None) -> Product:
    return read_product(changed(**lines))


def units(value: int | str) -> PriceE8:
    """A price in whole currency units."""
    return PriceE8(int(value) * 10**8)


class Loan:
    """A ladder told in hours and whole prices, from a price of 20,000. What became of it is asked
    twice: price by price, and passed over where nothing can happen."""

    def __init__(
        self, of: Product, *, answer: Answer = Answer.NONE, after: int = HOUR, price: int = 20_000
    ) -> None:
        self._of, self._habit, self._price = of, Habit(answer, Seconds(after)), units(price)
        self.ladder = self._drawn()
        self._ats: list[Seconds] = []
        self._prices: list[PriceE8] = []

    def _drawn(self) -> Ladder:
        return Ladder(self._of, principal=PRINCIPAL, at=T0, price=self._price, habit=self._habit)

    def hourly(self, *prices: int) -> Loan:
        for price in prices:
            self._step(Seconds((self._ats or [T0])[-1] + HOUR), units(price))
        return self

    def at(self, after: int, price: int) -> Loan:
        """A price so many seconds after the start."""
        self._step(Seconds(T0 + after), units(price))
        return self

    def _step(self, at: Seconds, price: PriceE8) -> None:
        self.ladder.step(at, price)
        self._ats.append(at)
        self._prices.append(price)

    @property
    def end(self) -> Outcome:
        passed = self._drawn()
        passed.follow(self._ats, self._prices)
        assert passed.outcome() == self.ladder.outcome()
        return passed.outcome()
