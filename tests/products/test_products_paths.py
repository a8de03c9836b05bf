"""Random paths: nothing is lost, nothing is passed over, and an independent ghost agrees."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from math import ceil, floor

from hypothesis import example, given
from hypothesis import strategies as st
from products_lab import T0, key_rates, planned, units

from escrow.core.units import Cents, PriceE8, Seconds
from escrow.products.ladder import Ladder
from escrow.products.model import Lapse, Product, SoftBands
from escrow.products.outcome import Answer, End, Habit, Outcome
from escrow.products.read import load_product, read_product, shipped

PLANNED = [
    read_product(planned(kind, **keys).replace('"plain"', f'"plain_{n}"'))
    for n, (kind, keys) in enumerate(
        [
            ("bullet", {"day_count": 'value = "A/A ISDA"', "late": "bps = 2000"}),
            ("interest-only", {"capitalise": 'period = "P2M"', "grace": "days = 60"}),
            (
                "annuity",
                {"every": 'period = "P7D"', "term": 'period = "P6M"', "late": "bps = 5000"},
            ),
            ("linear", {"term": 'period = "P3M"', "prepayment": 'value = "full-period"'}),
            (
                "annuity",
                {
                    "rate": None,
                    "spread": "bps = 700",
                    "reset": 'period = "P1W"',
                    "day_count": 'value = "30E/360"',
                    "calendar": 'value = "MF"',
                    "convention": 'value = "CSP"',
                    "key_rates": key_rates(d2020_09_20=1_600, d2020_10_20=9_000, d2020_11_01=200),
                },
            ),
        ]
    )
]
"""A plain product under plans of every kind, from the day of the paths."""
ALL = [*(load_product(name) for name in shipped()), *PLANNED]
STRICT = [replace(p, lapse=Lapse.UNLESS_RESTORED, id=f"{p.id}_strict") for p in ALL if p.calls]


def bps(swing: int) -> st.SearchStrategy[int]:
    return st.integers(10_000 - swing, 10_000 + swing)


MOVES = st.lists(
    st.tuples(
        st.one_of(st.just(3_600), st.integers(1, 7_200), st.integers(7_200, 30 * 86_400)),
        st.one_of(bps(100), bps(1_500), st.integers(5_000, 10_300)),
    ),
    min_size=1,
    max_size=40,
)
"""Seconds to the next price, and that as a part of the last one."""


def path(moves: list[tuple[int, int]], price: PriceE8) -> list[tuple[Seconds, PriceE8]]:
    found, at = [], T0
    for gap, move in moves:
        at, price = Seconds(at + gap), PriceE8(max(1, price * move // 10_000))
        found.append((at, price))
    return found


@given(
    product=st.sampled_from([*ALL, *STRICT]),
    moves=MOVES,
    answer=st.sampled_from(Answer),
    after=st.integers(0, 100_000),
    principal=st.integers(100, 10**10).map(Cents),
)
def test_sats_are_conserved_and_what_is_passed_over_is_nothing(
    product: Product, moves: list[tuple[int, int]], answer: Answer, after: int, principal: Cents
) -> None:
    first, habit = units(20_000), Habit(answer, Seconds(after))
    quotes = path(moves, first)
    slow = Ladder(product, principal=principal, at=T0, price=first, habit=habit)
    fast = Ladder(product, principal=principal, at=T0, price=first, habit=habit)
    held = slow.outcome()
    for at, price in quotes:
        slow.step(at, price)
        found = slow.outcome()
        check(found, product)
        # Money only ever moves one way.
        assert found.recovered >= held.recovered
        assert found.fees >= held.fees
        assert found.worst_ltv_bps >= held.worst_ltv_bps
        held = found
    fast.follow([at for at, _ in quotes], [price for _, price in quotes])
    assert fast.outcome() == slow.outcome()


def check(o: Outcome, product: Product) -> None:
    gone = o.sats_sold + o.sats_to_lender + o.sats_fees + o.sats_returned
    assert o.sats_pledged == gone + o.sats_held
    soft = isinstance(product.liquidation, SoftBands)
    counts = (o.sats_to_lender, o.sats_fees, o.sats_returned, o.sats_held, o.sats_topped_up)
    assert min(counts) >= 0
    assert soft or o.sats_sold >= 0
    assert min(o.recovered, o.repaid, o.bad_debt, o.fees, o.owed, o.cash_held) >= 0
    assert (o.end in (End.LIQUIDATED, End.REPAID)) is (o.ended_at is not None)
    assert o.sats_held == 0 or o.ended_at is None
    assert not o.bad_debt or o.end is End.LIQUIDATED
    assert (o.margin_call_at is None) is (o.cured is None) is (o.calls == 0)
    assert (o.cured_at is not None) is bool(o.cured)
    assert (o.liquidated_at is None) is (o.sales == 0)
    # Whoever sells pays or writes off what was lent: principal is never forgotten.
    assert o.recovered + o.repaid + o.bad_debt + o.owed >= o.principal
    if o.cured_at is not None and o.margin_call_at is not None:
        assert o.cured_at >= o.margin_call_at


# --- a ghost of Strike, in fractions ---


class Ghost:
    """Strike's loan, written down from its terms alone: half lent; called at 70 %, cured at 60 %,
    lapsed after 24 hours on a clock that stops an hour after a price; sold to 60 % from 85 % with
    a fee of 0.99 %; 12 % a year. Fractions; rounded where money or coins are."""

    def __init__(self, principal: int, price: int) -> None:
        self.principal = Fraction(principal)
        self.interest = Fraction(0)
        self.coins = ceil(principal * 2 / Fraction(price, 10**14))
        self.price, self.at, self.clock = Fraction(price, 10**14), T0, 0
        self.called: int | None = None
        self.first_call: int | None = None
        self.first_sale: int | None = None
        self.recovered = self.bad = self.sales = 0
        self.over = False

    def owed(self) -> int:
        return ceil(self.principal + self.interest)

    def ltv(self) -> Fraction:
        return Fraction(self.owed()) / (self.coins * self.price)

    def wait(self, until: int) -> None:
        self.interest += self.principal * Fraction(12, 100) * (until - self.now) / (365 * 86_400)
        self.now = until

    def step(self, at: int, price: int) -> None:
        if self.over:
            return
        if self.called is not None:
            # The second after the deadline, if the clock gets there before this price.
            left = self.called + 86_400 + 1 - self.clock
            if left <= min(3_600, at - self.at - 1) and left > 0:
                self.wait(self.at + left)
                self.lapse()
        if self.over:
            return
        self.wait(at)
        self.clock += min(3_600, at - self.at)
        self.at, self.price = at, Fraction(price, 10**14)
        if self.called is not None and self.ltv() <= Fraction(6, 10):
            self.called = None
        if self.called is None and self.ltv() >= Fraction(7, 10):
            self.called = self.clock
            self.first_call = self.first_call or at
        if self.ltv() >= Fraction(85, 100):
            self.sell()
        elif self.called is not None and self.clock > self.called + 86_400:
            self.lapse()

    def lapse(self) -> None:
        if self.ltv() >= Fraction(7, 10):
            self.sell()

    def sell(self) -> None:
        self.first_sale, self.sales = self.first_sale or self.now, self.sales + 1
        self.called = None
        fee, target, debt = Fraction(99, 10_000), Fraction(6, 10), self.owed()
        worth = self.coins * self.price
        paid_off = ceil(debt / (1 - fee))
        if worth < paid_off:
            payment = min(paid_off, floor(worth))
            covered = min(debt, floor(payment * (1 - fee)))
            self.recovered, self.bad = self.recovered + covered, debt - covered
            self.coins, self.over = 0, True
            return
        covered = ceil((debt - target * worth) / ((1 - fee) - target) * (1 - fee))
        if covered >= debt:
            self.recovered, self.coins, self.over = self.recovered + debt, 0, True
            return
        self.coins -= floor(ceil(covered / (1 - fee)) / self.price)
        self.recovered += covered
        interest = min(covered, ceil(self.interest))
        self.interest = max(Fraction(0), self.interest - interest)
        self.principal -= covered - interest
        # Of a few cents no part comes to the target: the rest is sold at once.
        if self.ltv() >= Fraction(85, 100):
            self.sell()

    now = T0


GENTLE = st.lists(
    st.tuples(
        st.one_of(st.just(3_600), st.integers(1, 9_000)),
        st.one_of(bps(60), st.integers(9_700, 10_100), st.integers(8_000, 10_300)),
    ),
    min_size=1,
    max_size=120,
)


DUST = (
    "9940 9940 9942 9952 9957 9982 9999 10041 9710 9710 9831 9948 10103 8312 8739 9257 9511 9793 "
    "9712 10169 9940 9942 9942 9947 9965 10068 9736 8903 9035 9860 8335 9940",
    "9968 9670 9999 10100 9839 9940 9943 10094 8295 9288 9720 9580 9957 9966 10041 9940 8739 9720 "
    "9195 9940 9943 9580 9947 10057 9943 9745 9984 9086 9965 10058 8122 8000",
)
"""Falls that leave a cent of debt, hour by hour."""


@example(moves=[(3_600, int(move)) for move in DUST[0].split()], principal=1_000)
@example(moves=[(3_600, int(move)) for move in DUST[1].split()], principal=1_000)
@given(moves=GENTLE, principal=st.integers(1_000, 10**9))
def test_the_ghost_of_strike_comes_to_the_same(
    moves: list[tuple[int, int]], principal: int
) -> None:
    product, first = load_product("strike"), units(20_000)
    ladder = Ladder(product, principal=Cents(principal), at=T0, price=first)
    ghost = Ghost(principal, first)
    quotes = path(moves, first)
    ladder.follow([at for at, _ in quotes], [price for _, price in quotes])
    for at, price in quotes:
        ghost.step(at, price)
    found = ladder.outcome()
    assert found.margin_call_at == ghost.first_call
    assert found.liquidated_at == ghost.first_sale
    assert (found.sales, found.sats_held) == (ghost.sales, ghost.coins)
    assert (found.recovered, found.bad_debt) == (ghost.recovered, ghost.bad)
    if found.end in (End.OPEN, End.CALLED):
        ghost.wait(quotes[-1][0])
        assert found.owed == ghost.owed()
        assert (found.end is End.CALLED) is (ghost.called is not None)
