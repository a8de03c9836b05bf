"""One loan under one product, decided price by price: notices, calls, cures, sales.

At each instant, in this order: payments and top-ups; notices and margin calls; sales. So a payment
in the last second of a deadline is on time, a top-up cures before anything is sold, and a call
cannot lapse in the step that made it. The immediate level needs no call: a price that reaches both
calls and sells at once. Between two prices the clocks run on at the last one: what falls due there
is done in its own second.

The clock of calls and dwells counts active seconds: it stops while the last price is older than
the product's heartbeat, and nothing is called, cured or sold then. Payments need no price.

When a call whose time is over turns into a sale, ``Lapse`` says.
"""

from __future__ import annotations

from collections.abc import Sequence

from escrow.core.bands import cash_of
from escrow.core.units import (
    CENTS_SCALE,
    DAY,
    MAX_PRICE,
    MAX_TIME,
    Cents,
    PriceE8,
    Sats,
    Seconds,
    muldiv_up,
)
from escrow.products.calls import Calls
from escrow.products.debt import debt_of
from escrow.products.level import debt_for, restored, sats_for
from escrow.products.model import Basis, CureBy, DutchAuction, Product, SoftBands
from escrow.products.outcome import Answer, End, Habit, Outcome
from escrow.products.sale import Sale, sell, time_to_take
from escrow.products.soft import Soft
from escrow.products.tally import Tally

_HORIZON = Seconds(30 * DAY)
"""How far ahead a quiet loan says that nothing happens."""
_BLOCK = Seconds(600)
"""From one block to the next."""
_NEVER = Seconds(MAX_TIME + 1)
_NO_PRICE = PriceE8(MAX_PRICE + 1)
_MOST_SALES = 64
"""Sales at one price: a half of the debt each time leaves nothing after so many."""


class Ladder:
    """A loan that is drawn at a first price. Give it later ones in order: ``step`` for each, or
    ``follow`` for many, which passes over those at which nothing can happen."""

    __slots__ = (
        "_active",
        "_answer_at",
        "_auction_since",
        "_call_price",
        "_called_at",
        "_calls",
        "_default_at",
        "_habit",
        "_held",
        "_noticed",
        "_now",
        "_owing",
        "_price",
        "_product",
        "_soft",
        "_tally",
        "_top_up",
        "_worst",
        "above",
        "at",
        "below",
        "ended",
        "until",
    )

    def __init__(
        self,
        product: Product,
        *,
        principal: Cents,
        at: Seconds,
        price: PriceE8,
        habit: Habit | None = None,
    ) -> None:
        """The fewest coins that meet the initial level at ``price`` are pledged.

        Raises ``Rejected("draw/above-initial-ltv")`` for bands that the price is too low for;
        BadInput ``schedule/…`` for a plan that cannot be laid from that day on.
        """
        self._product, self._habit = product, habit or Habit()
        self._owing = debt_of(product.repayment, principal=principal, at=at)
        self._price = self._call_price = price
        self.at = self._now = at
        """Time of the last price."""
        self._active = 0
        self._held = sats_for(product.initial, self._exposure(at), price=price)
        self._calls = Calls(product)
        self._noticed = 0
        self._called_at: Seconds | None = None
        self._answer_at: Seconds | None = None
        self._top_up = Sats(0)
        self._default_at: Seconds | None = None
        self._auction_since: Seconds | None = None
        self._soft: Soft | None = None
        if isinstance(product.liquidation, SoftBands):
            self._soft = Soft(product.liquidation, debt=principal, sats=self._held, price=price)
        self.ended = End.OPEN
        self._tally = Tally(product, principal=principal, at=at, price=price, sats=self._held)
        self._worst = (0, 1)
        self._measure()
        self._rest()

    # --- the prices ---

    def step(self, at: Seconds, price: PriceE8, *, to_call: PriceE8 | None = None) -> None:
        """The next price. ``to_call`` is that at which enough sources see a call's level
        (``quotes.agree``); without it they all see ``price``."""
        while self.ended is End.OPEN and (moment := self._timer()) < at:
            self._instant(moment)
        if self.ended is not End.OPEN:
            return
        was = self._price
        self._active = self._active_at(at)
        self._tally.stopped += max(0, at - self.at - self._product.price.heartbeat)
        self.at, self._price = at, price
        self._call_price = price if to_call is None else to_call
        if self._soft is not None:
            sold = self._soft.follow(start=was, price=price)
            if sold and self._tally.soft_from is None:
                self._tally.soft_from = at
        # Before anything is sold or paid at this price.
        self._measure()
        self._instant(at)
        self._rest()

    def follow(self, ats: Sequence[Seconds], prices: Sequence[PriceE8]) -> None:
        """Many prices, as if each were a ``step``."""
        above, below, until, last = self.above, self.below, self.until, self.at
        beat, passed = self._product.price.heartbeat, -1
        for place, price in enumerate(prices):
            at = ats[place]
            if above < price < below and at <= until and at - last <= beat:
                last, passed = at, place
                continue
            if passed >= 0:
                self.skip(ats[passed], prices[passed])
                passed = -1
            self.step(at, price)
            if self.ended is not End.OPEN:
                return
            above, below, until, last = self.above, self.below, self.until, at
        if passed >= 0:
            self.skip(ats[passed], prices[passed])

    def is_quiet(self, *, low: PriceE8, high: PriceE8, until: Seconds, gap: Seconds) -> bool:
        """Can nothing happen while prices stay from ``low`` to ``high``, ``gap`` apart at most?"""
        return (
            self.above < low
            and high < self.below
            and until <= self.until
            and gap <= self._product.price.heartbeat
        )

    def skip(self, at: Seconds, price: PriceE8) -> None:
        """Go on to a price before which, and at which, nothing happens."""
        if self.ended is not End.OPEN:
            return
        self._active += at - self.at
        self.at = self._now = at
        self._price = self._call_price = price

    # --- one instant ---

    def _instant(self, at: Seconds) -> None:
        self._now = at
        # 1: payments and top-ups.
        if self._answer_at is not None and self._answer_at <= at:
            self._answer(at)
        while self.ended is End.OPEN and (self._owing.due_at or _NEVER) <= at:
            self._pay_due(self._owing.due_at or at)
        if self.ended is not End.OPEN or at - self.at > self._product.price.heartbeat:
            return
        # 2: notices and margin calls.
        self._margin(at)
        # 3: sales.
        self._realise(at)

    def _pay_due(self, at: Seconds) -> None:
        if self._habit.answer is Answer.ABSENT and self._owing.due() > 0:
            self._owing.miss()
            if self._default_at is None:
                self._default_at = Seconds(at + self._product.repayment.grace)
            return
        self._tally.repaid += self._owing.meet()
        if not self._owing.principal:
            self._tally.returned += self._held
            self._end(End.REPAID, at)

    def _margin(self, at: Seconds) -> None:
        debt, held = self._exposure(at), self._held
        notices = self._product.notices
        while self._noticed < len(notices):
            if not notices[self._noticed].reached(debt, held=held, price=self._price):
                break
            self._noticed += 1
            self._tally.noticed(at)
        if self._calls.open and restored(self._product.restore, debt, held=held, price=self._price):
            self._tally.cured(at)
            self._clear(at)
        made = self._calls.make(debt, held=held, price=self._call_price, active=self._active_at(at))
        for _ in range(made):
            self._tally.called(at)
        if made:
            self._called_at = at if self._called_at is None else self._called_at
            self._ask(at)

    def _realise(self, at: Seconds) -> None:
        if self._soft is not None:
            coins = self._soft.coins
            sale = self._soft.close(debt=self._owing.owed(at), price=self._price, at=at)
            if sale is not None:
                self._held = coins
                self._book(sale, at)
            return
        debt, active = self._exposure(at), self._active_at(at)
        self._calls.expire(debt, held=self._held, price=self._price, active=active)
        fixed = self._calls.lapsed or self._is_default(at)
        if not (fixed or self._is_immediate(at)):
            self._auction_since = None
            return
        kind = self._product.liquidation
        if isinstance(kind, DutchAuction):
            # Without a lapse or default it runs from the price that breached the level.
            if self._auction_since is None or (at == self.at and not fixed):
                self._auction_since = at
            if at < self._auction_since + time_to_take(kind):
                return
        for _ in range(_MOST_SALES):
            if not self._sale(at):
                return
            if self.ended is not End.OPEN or not self._is_immediate(at):
                return

    def _sale(self, at: Seconds) -> bool:
        """One sale; was there anything to sell for?"""
        sale = sell(
            self._product.liquidation,
            debt=self._owing.owed(at),
            principal=self._owing.principal,
            held=self._held,
            price=self._price,
            at=at,
            in_default=self._is_default(at),
        )
        if sale is None:
            return False
        self._book(sale, at)
        return True

    def _book(self, sale: Sale, at: Seconds) -> None:
        self._tally.sold_by(sale)
        self._owing.pay(sale.recovered, at=at)
        self._held = Sats(self._held - sale.sold - sale.to_lender - sale.fee_sats - sale.returned)
        self._clear(at)
        if not sale.left:
            self._end(End.LIQUIDATED, at)

    def _is_immediate(self, at: Seconds) -> bool:
        level = self._product.immediate
        return level is not None and level.reached(
            self._exposure(at), held=self._held, price=self._price
        )

    def _is_default(self, at: Seconds) -> bool:
        return self._default_at is not None and at > self._default_at

    # --- the borrower ---

    def _way(self) -> Answer:
        if self._habit.answer not in (Answer.TOP_UP, Answer.REPAY):
            return self._habit.answer
        match self._product.cure_by:
            case CureBy.TOP_UP:
                return Answer.TOP_UP
            case CureBy.REPAY:
                return Answer.REPAY
            case _:
                return self._habit.answer

    def _ask(self, at: Seconds) -> None:
        """The call says what is missing, and the borrower sets about it: once at a time."""
        way = self._way()
        if self._answer_at is not None or way not in (Answer.TOP_UP, Answer.REPAY):
            return
        answer = at + self._habit.after
        if way is Answer.TOP_UP:
            answer += _BLOCK * self._product.confirmations
            # The interest until they count is known; the price of then is not.
            debt = self._exposure(Seconds(answer))
            wanted = sats_for(self._product.restore, debt, price=self._price)
            self._top_up = Sats(max(0, wanted - self._held))
        self._answer_at = Seconds(answer)

    def _answer(self, at: Seconds) -> None:
        self._answer_at = None
        if self._way() is Answer.TOP_UP:
            self._held = Sats(self._held + self._top_up)
            self._tally.topped_up += self._top_up
            self._top_up = Sats(0)
        elif self._calls.open:
            most = debt_for(self._product.restore, held=self._held, price=self._price)
            wanted = max(0, self._exposure(at) - most)
            if wanted and self._product.basis is Basis.PRINCIPAL:
                wanted += self._owing.interest(at)
            self._tally.repaid += self._owing.pay(Cents(wanted), at=at)
        if self._calls.open and not restored(
            self._product.restore, self._exposure(at), held=self._held, price=self._price
        ):
            # It was not enough: the price fell on the way.
            self._ask(at)

    # --- clocks ---

    def _active_at(self, at: Seconds) -> int:
        return self._active + min(at - self.at, self._product.price.heartbeat)

    def _exposure(self, at: Seconds) -> Cents:
        """What the levels count."""
        if self._product.basis is Basis.PRINCIPAL:
            return self._owing.principal
        return self._owing.owed(at)

    def _timer(self) -> Seconds:
        """The next moment after now at which time alone brings something, if no price comes."""
        last = self.at + self._product.price.heartbeat
        walls = [m for m in self._walls() if m > self._now]
        actives = [m for m in self._actives() if self._now < m <= last]
        return Seconds(min([*walls, *actives], default=_NEVER))

    def _walls(self) -> list[int]:
        """Moments on the wall's clock."""
        found: list[int] = [self._owing.due_at or _NEVER]
        if self._answer_at is not None:
            found.append(self._answer_at)
        if self._default_at is not None:
            found.append(self._default_at + 1)
        if self._auction_since is not None and isinstance(self._product.liquidation, DutchAuction):
            found.append(self._auction_since + time_to_take(self._product.liquidation))
        return found

    def _actives(self) -> list[int]:
        """Moments on the active clock, where they would be if it did not stop."""
        return [self.at + moment - self._active for moment in self._calls.moments()]

    # --- what comes to nothing ---

    def _rest(self) -> None:
        """Between which prices, and until when, nothing happens: ``above``, ``below``, ``until``.

        Errs to the safe side only: what it calls quiet is. The debt of the far end of the time
        stands for every earlier one where more debt means more, that of now where less does.
        """
        self.above, self.below, self.until = _NO_PRICE, _NO_PRICE, self.at
        if self.ended is not End.OPEN or self._calls.lapsed or self._auction_since is not None:
            return
        if self._is_default(self._now) or (self._answer_at or _NEVER) <= self._now:
            # What is left after a sale is sold at the next price; what is answered at once, then.
            return
        moments = [m - 1 for m in (*self._walls(), *self._actives()) if m > self._now]
        self.until = Seconds(min([self._now + _HORIZON, *moments]))
        debts = self._exposure(self._now), self._exposure(self.until)
        less, more = Cents(min(debts)), Cents(max(debts))
        product, held, top = self._product, self._held, PriceE8(0)
        if self._soft is not None:
            top, held = self._soft.quiet_above(debt=more), self._soft.coins
            if top == _NO_PRICE:
                return
        levels = [
            *product.notices[self._noticed :],
            *self._calls.awaited(active=self._active_at(self._now)),
        ]
        if product.immediate is not None:
            levels.append(product.immediate)
        for level in self._calls.dwelling():
            self.below = min(self.below, PriceE8(level.trigger(less, held=held) + 1))
        if self._calls.open:
            ltv = product.restore
            cured = muldiv_up(less * CENTS_SCALE, ltv.denominator, ltv.numerator * held)
            self.below = min(self.below, PriceE8(cured))
        # Below this the loan-to-value would be the worst so far.
        debt, worth = self._worst
        worst = PriceE8(muldiv_up(more * worth, 1, debt * held))
        self.above = max(top, worst, *(level.trigger(more, held=held) for level in levels))

    def _measure(self) -> None:
        """Note the loan-to-value at a price, if it is the worst."""
        debt = self._exposure(self.at)
        worth = self._held * self._price
        if self._soft is not None:
            worth = self._soft.coins * self._price + cash_of(self._soft.bands)
        if debt * self._worst[1] > self._worst[0] * worth:
            self._worst = (debt, worth)

    # --- the end ---

    def _clear(self, at: Seconds) -> None:
        """No call is open any more."""
        if self._called_at is not None:
            self._tally.seconds_called += at - self._called_at
        self._called_at = None
        if self._way() is Answer.REPAY:
            self._answer_at = None
        self._auction_since = None
        self._calls.clear()

    def _end(self, end: End, at: Seconds) -> None:
        self._clear(at)
        self._answer_at, self._held = None, Sats(0)
        self.ended, self._tally.ended_at = end, at

    def outcome(self) -> Outcome:
        """How the loan stands at the last price."""
        end = self.ended
        if end is End.OPEN and self._calls.open:
            end = End.CALLED
        return self._tally.outcome(
            end,
            held=self._held if self._soft is None else self._soft.coins,
            cash=Cents(0) if self._soft is None else self._soft.cash,
            owed=Cents(0) if self.ended is not End.OPEN else self._owing.owed(self.at),
            worst=self._worst,
            called=Seconds(0 if self._called_at is None else self.at - self._called_at),
            soft=self._soft is not None,
        )
