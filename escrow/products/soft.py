"""A loan whose coins lie in bands (``escrow.core.bands``)."""

from __future__ import annotations

from escrow.core.bands import Band, cash_in, cash_of, coins_in, follow, is_healthy, spread
from escrow.core.rules import value_down
from escrow.core.units import MAX_PRICE, Cents, PriceE8, Sats, Seconds
from escrow.products.check import curve_of
from escrow.products.model import SoftBands
from escrow.products.sale import Sale


class Soft:
    """The bands, and who closes the loan when they no longer cover it."""

    __slots__ = ("_curve", "_kind", "bands")

    def __init__(self, kind: SoftBands, *, debt: Cents, sats: Sats, price: PriceE8) -> None:
        """Raises ``Rejected("draw/above-initial-ltv")`` if the first band would begin above
        ``price``, ``loan/amount`` for less than a sat a band."""
        self._kind, self._curve = kind, curve_of(kind)
        self.bands: tuple[Band, ...] = spread(
            self._curve,
            debt=debt,
            sats=sats,
            price=price,
            count=kind.count,
            discount=kind.loan_discount,
        )

    @property
    def coins(self) -> Sats:
        """Not sold."""
        return coins_in(self.bands)

    @property
    def cash(self) -> Cents:
        """Got for what was sold."""
        return cash_in(self.bands)

    def follow(self, *, start: PriceE8, price: PriceE8) -> bool:
        """The price moved. Does cash lie in the bands now?"""
        self.bands = follow(self.bands, curve=self._curve, start=start, price=price)
        return bool(cash_of(self.bands))

    def quiet_above(self, *, debt: Cents) -> PriceE8:
        """Above this price nothing is traded, and the bands cover ``debt``."""
        top = self.bands[0].top
        if cash_of(self.bands) or not self._covers(debt, price=top):
            return PriceE8(MAX_PRICE + 1)
        return top

    def close(self, *, debt: Cents, price: PriceE8, at: Seconds) -> Sale | None:
        """Once the bands do not cover the debt, whoever pays it gets all that lies in them; none:
        they do."""
        if self._covers(debt, price=price):
            return None
        coins = self.coins
        worth = self.cash + value_down(coins, price=price)
        recovered = Cents(min(debt, worth))
        bands = (Band(each.top, each.bottom, Sats(0)) for each in self.bands)
        self.bands = tuple(bands)
        return Sale(
            at=at,
            price=price,
            recovered=recovered,
            bad_debt=Cents(debt - recovered),
            fees=Cents(worth - recovered),
            sold=coins,
            to_lender=Sats(0),
            fee_sats=Sats(0),
            returned=Sats(0),
            left=Cents(0),
        )

    def _covers(self, debt: Cents, *, price: PriceE8) -> bool:
        discount = self._kind.liquidation_discount
        return is_healthy(self.bands, debt=debt, price=price, discount=discount)
