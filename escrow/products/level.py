"""Levels of loan-to-value, exactly: as a fraction, compared by whole numbers alone.

Lenders name the same level in four ways, and these turn exactly into one another:

* LTV, debt ÷ collateral value;
* CTP (collateral to principal) and CR (collateral ratio), value ÷ debt = 1 ÷ LTV;
* health factor, threshold ÷ LTV.

A reciprocal turns the comparator about: "CTP below 150 %" is "LTV above 2/3".
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from escrow.core.units import BPS, CENTS_SCALE, Cents, PriceE8, Sats, muldiv_down, muldiv_up


@dataclass(frozen=True, slots=True)
class Level:
    """A loan-to-value that something happens at, or only above."""

    ltv: Fraction
    """Debt ÷ value of the collateral; above 0."""
    strict: bool = False
    """Only above it ("rises above", health factor below 1), not at it."""

    def reached(self, debt: Cents, *, held: Sats, price: PriceE8) -> bool:
        """Is the loan-to-value there? Exact. A debt against nothing is above every level; no debt
        is below."""
        owed = debt * CENTS_SCALE * self.ltv.denominator
        worth = self.ltv.numerator * held * price
        return owed > worth if self.strict or not debt else owed >= worth

    def trigger(self, debt: Cents, *, held: Sats) -> PriceE8:
        """Highest price of 1 BTC at which it is reached; 0 without a debt. ``held`` is above 0."""
        owed, one = debt * CENTS_SCALE * self.ltv.denominator, self.ltv.numerator * held
        if self.strict:
            return PriceE8(max(0, muldiv_up(owed, 1, one) - 1))
        return PriceE8(muldiv_down(owed, 1, one))


def restored(ltv: Fraction, debt: Cents, *, held: Sats, price: PriceE8) -> bool:
    """Is the loan-to-value at or below ``ltv``? Exact."""
    return debt * CENTS_SCALE * ltv.denominator <= ltv.numerator * held * price


def sats_for(ltv: Fraction, debt: Cents, *, price: PriceE8) -> Sats:
    """Fewest coins against which ``debt`` is at or below ``ltv``."""
    return Sats(muldiv_up(debt * CENTS_SCALE, ltv.denominator, ltv.numerator * price))


def debt_for(ltv: Fraction, *, held: Sats, price: PriceE8) -> Cents:
    """Most debt that is at or below ``ltv`` against ``held`` coins."""
    return Cents(muldiv_down(ltv.numerator * held, price, CENTS_SCALE * ltv.denominator))


def ltv_of_bps(bps: int) -> Fraction:
    """5,000 bps are 1/2."""
    return Fraction(bps, BPS)


def ltv_of_ratio(ratio: Fraction) -> Fraction:
    """The LTV of a CTP or CR: 250 % (5/2) is 2/5. And back."""
    return 1 / ratio


def ltv_of_health(factor: Fraction, *, threshold: Fraction) -> Fraction:
    """The LTV at which the health factor is ``factor``. And back."""
    return threshold / factor


def shown(ltv: Fraction) -> str:
    """As people read it: ``66.67 %``, rounded half to even at two decimals; ``≈`` if rounded."""
    hundredths = round(ltv * BPS)
    mark = "" if hundredths == ltv * BPS else "≈"
    return f"{mark}{hundredths // 100}.{hundredths % 100:02d} %"
