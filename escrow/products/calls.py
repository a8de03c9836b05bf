"""The margin calls of one loan, on the clock of active seconds."""

from __future__ import annotations

from collections.abc import Iterator

from escrow.core.units import Cents, PriceE8, Sats
from escrow.products.level import Level
from escrow.products.model import Call, Lapse, Product


class Calls:
    """Which calls dwell, which are made, and when those lapse. All moments are active seconds."""

    __slots__ = ("_calls", "_deadlines", "_lapse", "_made", "_since", "lapsed")

    def __init__(self, product: Product) -> None:
        self._calls: tuple[Call, ...] = product.calls
        self._lapse = product.lapse
        self.clear()

    def clear(self) -> None:
        """No call is open, nor dwells, any more."""
        self._made = [False] * len(self._calls)
        self._since: list[int | None] = [None] * len(self._calls)
        self._deadlines: list[int | None] = [None] * len(self._calls)
        self.lapsed = False
        """Is a call's time over, so that the collateral may be realised?"""

    @property
    def open(self) -> bool:
        """Is any call made?"""
        return True in self._made

    def make(self, debt: Cents, *, held: Sats, price: PriceE8, active: int) -> int:
        """How many calls are made now: those whose level is reached, and has been for their
        dwell. A level that is not reached begins its dwell anew."""
        count = 0
        for n, call in enumerate(self._calls):
            if self._made[n]:
                continue
            if not call.level.reached(debt, held=held, price=price):
                self._since[n] = None
                continue
            since = self._since[n]
            since = self._since[n] = active if since is None else since
            if active - since >= call.dwell:
                self._made[n] = True
                self._deadlines[n] = None if call.cure is None else active + call.cure
                count += 1
        return count

    def expire(self, debt: Cents, *, held: Sats, price: PriceE8, active: int) -> None:
        """Note what lapses: a call past its deadline, as ``Lapse`` says. It stays so until it is
        cured, or coins are sold."""
        for call, deadline in zip(self._calls, self._deadlines, strict=True):
            if deadline is not None and active > deadline:
                self.lapsed |= self._lapse is Lapse.UNLESS_RESTORED or (
                    call.level.reached(debt, held=held, price=price)
                )

    def moments(self) -> Iterator[int]:
        """When time alone makes a call, or ends one's time."""
        for n, call in enumerate(self._calls):
            since, deadline = self._since[n], self._deadlines[n]
            if since is not None and not self._made[n]:
                yield since + call.dwell
            if deadline is not None:
                yield deadline + 1

    def awaited(self, *, active: int) -> Iterator[Level]:
        """Levels at which something begins once they are reached."""
        for n, call in enumerate(self._calls):
            deadline = self._deadlines[n]
            if self._made[n]:
                # Its time is over, and it waits for its level.
                if deadline is not None and active > deadline:
                    yield call.level
            elif self._since[n] is None:
                yield call.level

    def dwelling(self) -> Iterator[Level]:
        """Levels that must go on to be reached."""
        for n, call in enumerate(self._calls):
            if not self._made[n] and self._since[n] is not None:
                yield call.level
