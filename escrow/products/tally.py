"""What is counted of a loan as it goes."""

from __future__ import annotations

from escrow.core.units import BPS, CENTS_SCALE, Bps, Cents, PriceE8, Sats, Seconds, muldiv_up
from escrow.products.model import Product
from escrow.products.outcome import End, Outcome
from escrow.products.sale import Sale


class Tally:
    """Sums and first times; ``Outcome`` says what each means."""

    __slots__ = (
        "_bad_debt",
        "_calls",
        "_cured",
        "_cured_at",
        "_drawn_at",
        "_fee_sats",
        "_fees",
        "_first_open",
        "_first_price",
        "_margin_call_at",
        "_notice_at",
        "_outside",
        "_principal",
        "_product",
        "_recovered",
        "_sale",
        "_sales",
        "_sats",
        "_sold",
        "_to_lender",
        "ended_at",
        "repaid",
        "returned",
        "seconds_called",
        "soft_from",
        "stopped",
        "topped_up",
    )

    def __init__(
        self, product: Product, *, principal: Cents, at: Seconds, price: PriceE8, sats: Sats
    ) -> None:
        self._product, self._principal = product.id, principal
        self._drawn_at, self._first_price, self._sats = at, price, sats
        self._fees = muldiv_up(principal, product.repayment.fee_bps, BPS)
        low = product.least is not None and principal < product.least
        self._outside = low or (product.most is not None and principal > product.most)
        self._notice_at: Seconds | None = None
        self._margin_call_at: Seconds | None = None
        self._cured: bool | None = None
        self._cured_at: Seconds | None = None
        self._first_open = False
        self._sale: Sale | None = None
        self._calls = self._sales = self._sold = self._to_lender = self._fee_sats = 0
        self._recovered = self._bad_debt = 0
        self.ended_at: Seconds | None = None
        self.soft_from: Seconds | None = None
        self.repaid = self.returned = self.topped_up = self.seconds_called = self.stopped = 0

    def noticed(self, at: Seconds) -> None:
        """A notice level was reached."""
        self._notice_at = at if self._notice_at is None else self._notice_at

    def called(self, at: Seconds) -> None:
        """A call was made."""
        self._calls += 1
        if self._margin_call_at is None:
            self._margin_call_at, self._cured, self._first_open = at, False, True

    def cured(self, at: Seconds) -> None:
        """All open calls were cured."""
        if self._first_open:
            self._cured, self._cured_at, self._first_open = True, at, False

    def sold_by(self, sale: Sale) -> None:
        """Collateral was realised."""
        self._first_open = False
        self._sale = sale if self._sale is None else self._sale
        self._sales += 1
        self._sold += sale.sold
        self._to_lender += sale.to_lender
        self._fee_sats += sale.fee_sats
        self.returned += sale.returned
        self._recovered += sale.recovered
        self._bad_debt += sale.bad_debt
        self._fees += sale.fees

    def outcome(
        self,
        end: End,
        *,
        held: Sats,
        cash: Cents,
        owed: Cents,
        worst: tuple[int, int],
        called: Seconds,
        soft: bool,
    ) -> Outcome:
        """All of it; ``called``: for how long the call that is open has been. What bands sold, and
        bought back, is what of the pledge is not there."""
        pledged = self._sats + self.topped_up
        debt, worth = worst
        return Outcome(
            product=self._product,
            drawn_at=self._drawn_at,
            principal=self._principal,
            first_price=self._first_price,
            end=end,
            ended_at=self.ended_at,
            first_notice_at=self._notice_at,
            margin_call_at=self._margin_call_at,
            cured=self._cured,
            cured_at=self._cured_at,
            calls=self._calls,
            seconds_called=Seconds(self.seconds_called + called),
            liquidated_at=None if self._sale is None else self._sale.at,
            liquidation_price=None if self._sale is None else self._sale.price,
            sales=self._sales,
            soft_from=self.soft_from,
            sats_pledged=Sats(pledged),
            sats_topped_up=Sats(self.topped_up),
            sats_sold=Sats(pledged - held if soft else self._sold),
            sats_to_lender=Sats(self._to_lender),
            sats_fees=Sats(self._fee_sats),
            sats_returned=Sats(self.returned),
            sats_held=held,
            cash_held=cash,
            owed=owed,
            recovered=Cents(self._recovered),
            repaid=Cents(self.repaid),
            bad_debt=Cents(self._bad_debt),
            fees=Cents(self._fees),
            worst_ltv_bps=Bps(muldiv_up(debt * CENTS_SCALE, BPS, worth) if worth else BPS * BPS),
            seconds_stopped=Seconds(self.stopped),
            outside_size=self._outside,
        )
