"""How far: the exact value at which a guard of the core says the other thing.

Every flip is the inverse of a comparison in ``rules.py``, divided once. The tests ask the core
again with the flip and with the value beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from escrow.core.regions.system import Price
from escrow.core.rules import at_or_above, at_or_below, ltv_up
from escrow.core.terms import Terms
from escrow.core.units import (
    BPS,
    CENTS_SCALE,
    MAX_CENTS,
    MAX_PRICE,
    Bps,
    Cents,
    PriceE8,
    Sats,
    muldiv_down,
    muldiv_up,
)
from escrow.view.explain.parts import SHOWN, Distance, Finding, Input, Rounding, Subject
from escrow.words import money, percent, price

BOOK: Final = "EscrowBook, of this loan"
HELD: Final = "PledgeToken, held by EscrowBook for this loan"
FREE: Final = "PledgeToken, of this vault"
BLOCK_TIME: Final = "the clock: time of the EVM block"
CLOCK: Final = "the world's one clock"
ACTIVE: Final = "PriceRounds.active_seconds: stands while no price may be used"
BITCOIN: Final = "Bitcoin"
PLATFORM: Final = "price rules: PriceRounds, set when it was deployed"
ASKED: Final = "asked"

EXACT: Final = Rounding("comparing with the level", "none", "nobody: no division")
INTEREST: Final = Rounding("accrued interest, to a cent", "up", "the lender")
_DIGITS: Final = 40
"""Decimals that tell any two ratios apart: coins × price stay below 10³⁴."""


def signed(terms: Terms, field: str, *, unit: str, name: str = "") -> Input:
    """A field of the terms that both parties signed."""
    value = getattr(terms, field)
    shown = percent(value) if unit == "bps" else SHOWN[unit](value)
    words = field.removesuffix("_bps").replace("_ltv", "_level").replace("_", " ")
    title = name or words
    return Input(title, int(value), unit, shown, f"signed terms: {field} (EIP-712)")


def constant(name: str, value: int, *, unit: str, where: str) -> Input:
    """A constant of a contract."""
    return Input(name, value, unit, SHOWN[unit](value), f"constant of {where}")


def number(name: str, value: int, *, unit: str, source: str) -> Input:
    """Any other number."""
    return Input(name, int(value), unit, SHOWN[unit](value), source)


def round_of(last: Price) -> str:
    """Where a price comes from."""
    return f"PriceRounds, round {last.round}: the median of a quorum of oracles"


def said_price(last: Price) -> Input:
    """The price that rules used."""
    return Input("price", last.price, "e-8", price(last.price), round_of(last))


def ratio(debt: Cents, *, sats: Sats, price: PriceE8, level: Bps) -> str:
    """Loan-to-value in percent, rounded up, with as many decimals as it takes to stand on the same
    side of ``level`` as it really does."""
    worth = sats * price
    if debt and not worth:
        return "without coins"
    if not debt:
        return percent(0)
    for digits in range(2, _DIGITS):
        scale = 10**digits
        shown = muldiv_up(debt * CENTS_SCALE, 100 * scale, worth)
        apart = shown * BPS - level * 100 * scale
        exact = debt * CENTS_SCALE * BPS - level * worth
        if (apart > 0) == (exact > 0) and (apart == 0) == (exact == 0):
            whole, part = divmod(shown, scale)
            return f"{whole}.{part:0{digits}d} %"
    raise AssertionError("two ratios that no decimals tell apart")


@dataclass(frozen=True, slots=True)
class Position:
    """A debt against coins at a price, and the level that a rule compares it with."""

    debt: Cents
    held: Sats
    last: Price
    level: Bps
    field: str
    """Of the terms: which level."""
    above: bool
    """Does the rule ask for the level or above, or for the level or below?"""

    @property
    def holds(self) -> bool:
        """Does the rule find what it asks for?"""
        found = at_or_above if self.above else at_or_below
        return found(self.debt, sats=self.held, price=self.last.price, level=self.level)

    @property
    def ltv(self) -> str:
        """As people read it."""
        return ratio(self.debt, sats=self.held, price=self.last.price, level=self.level)

    def inputs(self, *, debt: str = "owed", held: str = "pledged") -> tuple[Input, ...]:
        """Everything that was compared."""
        last = self.last
        bps = ltv_up(self.debt, sats=self.held, price=last.price)
        return (
            number(debt, self.debt, unit="cents", source=BOOK),
            number(held, self.held, unit="sats", source=HELD),
            said_price(last),
            Input("LTV", bps, "bps", self.ltv, "owed ÷ (pledged × price); in bps rounded up"),
            Input(
                self.field.replace("_ltv", " level"),
                self.level,
                "bps",
                percent(self.level),
                f"signed terms: {self.field} (EIP-712)",
            ),
        )

    def distances(self, *, code: str, other: str) -> tuple[Distance, ...]:
        """How much more or less debt, and which price, would have brought the other verdict. None
        of a kind where no debt or price could."""
        found = [self._debt(code, other), self._price(code, other)]
        return tuple(each for each in found if each is not None)

    def _debt(self, code: str, other: str) -> Distance | None:
        worth = self.level * self.held
        divide = muldiv_up if self.above else muldiv_down
        # The least debt that stands at the level or above, or the most at or below it.
        edge = divide(worth, self.last.price, CENTS_SCALE * BPS)
        step = 0 if not self.holds else -1 if self.above else 1
        flip = edge + step
        if not 0 <= flip <= MAX_CENTS:
            return None
        way = "up: the least" if self.above else "down: the most"
        rounding = f"{way} debt in whole cents with an LTV {self._side}"
        return Distance(Subject.DEBT, code, self.debt, flip, "cents", other, rounding)

    def _price(self, code: str, other: str) -> Distance | None:
        if not self.held or not self.debt:
            return None
        divide = muldiv_down if self.above else muldiv_up
        edge = divide(self.debt * CENTS_SCALE, BPS, self.level * self.held)
        step = 0 if not self.holds else 1 if self.above else -1
        flip = edge + step
        if not 0 < flip <= MAX_PRICE:
            return None
        way = "down: the highest" if self.above else "up: the lowest"
        rounding = f"{way} price in e-8 with an LTV {self._side}"
        return Distance(Subject.PRICE, code, self.last.price, flip, "e-8", other, rounding)

    @property
    def _side(self) -> str:
        return f"at {percent(self.level)} or {'above' if self.above else 'below'}"

    def finding(
        self, *, code: str, does: str, other: str, debt: str = "owed", held: str = "pledged"
    ) -> Finding:
        """``does``: what happens at the level, e.g. ``calls at``. ``other``: what else there would
        have been."""
        far = self.distances(code=code, other=other)
        verdict = f"LTV {self.ltv}; {does} {percent(self.level)}"
        if far and far[0].subject is Subject.DEBT:
            away = "a refusal" if other.startswith("refused") else other
            verdict += f"; {money(far[0].away)} away" + (f" from {away}" if self.holds else "")
        return Finding(verdict, self.inputs(debt=debt, held=held), (INTEREST, EXACT), far)


def bound(
    subject: Subject,
    actual: int,
    limit: int,
    *,
    most: bool,
    unit: str,
    code: str,
    other: str = "",
    least: int = 0,
) -> tuple[Distance, ...]:
    """``actual`` may be at most, or must be at least, ``limit``. Nothing where the other outcome
    would need a value below ``least``."""
    holds = actual <= limit if most else actual >= limit
    flip = limit if not holds else limit + 1 if most else limit - 1
    if flip < least:
        return ()
    other = other or (f"refused, {code}" if holds else f"not refused with {code}")
    return (Distance(subject, code, actual, flip, unit, other),)


def by_time(
    at: int, limit: int, *, what: str, source: Input, code: str, other: str = ""
) -> Finding:
    """It had to be done by ``limit``, that second included."""
    if at <= limit:
        left = SHOWN["seconds"](limit - at)
        verdict = f"{what}: {left} left on the wall clock"
    else:
        verdict = f"{what}: over for {SHOWN['seconds'](at - limit)} on the wall clock"
    far = bound(Subject.MOMENT, at, limit, most=True, unit="moment", code=code, other=other)
    return Finding(verdict, (source, _now(at)), (), far)


def from_time(
    at: int, first: int, *, what: str, source: tuple[Input, ...], code: str, other: str = ""
) -> Finding:
    """It could not be done before ``first``."""
    if at >= first:
        verdict = f"{what} for {SHOWN['seconds'](at - first)} on the wall clock"
    else:
        verdict = f"{what} only in {SHOWN['seconds'](first - at)} on the wall clock"
    far = bound(Subject.MOMENT, at, first, most=False, unit="moment", code=code, other=other)
    return Finding(verdict, (*source, _now(at)), (), far)


def amount(
    actual: int,
    limit: int,
    *,
    most: bool,
    unit: str,
    what: str,
    source: tuple[Input, ...],
    code: str,
    least: int = 1,
) -> Finding:
    """An amount with a bound; says the room that is left, or how much it is beyond. Below
    ``least`` another guard would answer."""
    show = SHOWN[unit]
    gap = limit - actual if most else actual - limit
    room = f"{show(gap)} of room left" if gap >= 0 else f"{show(-gap)} too {_MUCH[most]}"
    far = bound(Subject.AMOUNT, actual, limit, most=most, unit=unit, code=code, least=least)
    asked = number("amount", actual, unit=unit, source=ASKED)
    return Finding(f"{what}: {room}", (asked, *source), (), far)


_MUCH: Final = {True: "much", False: "little"}


def _now(at: int) -> Input:
    return number("now", at, unit="moment", source=BLOCK_TIME)
