"""Refusals that a clock alone decides."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from escrow.core.phases import breach, terms_of
from escrow.core.regions import loan as ln
from escrow.core.state import Escrow
from escrow.core.terms import Terms
from escrow.core.units import Seconds
from escrow.view.explain import guards, platform
from escrow.view.explain.measure import (
    BOOK,
    by_time,
    from_time,
    number,
    signed,
)
from escrow.view.explain.parts import (
    Finding,
)


def until(terms: Terms, field: str, at: Seconds, code: str) -> Finding:
    """A time of the terms that is over."""
    what = {"expires_at": "the offer", "draw_by": "the draw window"}.get(field, field)
    source = signed(terms, field, unit="moment")
    return by_time(at, getattr(terms, field), what=what, source=source, code=code)


def _over(field: str, code: str) -> Callable[[Escrow, Seconds], Finding | None]:
    return lambda escrow, at: until(terms_of(escrow.loan), field, at, code)


def _recovery(escrow: Escrow, at: Seconds) -> Finding:
    t = terms_of(escrow.loan)
    source = (signed(t, "recover_at", unit="moment"),)
    return from_time(
        at, t.recover_at, what="open to the borrower", source=source, code="recover/too-early"
    )


def _undrawn(code: str) -> Callable[[Escrow, Seconds], Finding | None]:
    def found(escrow: Escrow, at: Seconds) -> Finding | None:
        if isinstance(escrow.loan, ln.Draft | ln.Offered | ln.Accepted):
            return None
        t = terms_of(escrow.loan)
        source = (signed(t, "draw_by", unit="moment"),)
        return from_time(at, t.draw_by + 1, what="anyone may cancel", source=source, code=code)

    return found


def _arbiter(escrow: Escrow, at: Seconds) -> Finding | None:
    if not isinstance(escrow.loan, ln.Called) or escrow.loan.dispute is None:
        return None
    t, since = escrow.loan.terms, escrow.loan.dispute.at
    source = (
        signed(t, "dispute", unit="seconds", name="time of the arbiter"),
        number("disputed at", since, unit="moment", source=BOOK),
    )
    return from_time(
        at, since + t.dispute + 1, what="anyone may end it", source=source,
        code="dispute/not-arbiter",
    )  # fmt: skip


def _cure_time(escrow: Escrow, at: Seconds) -> Finding | None:
    loan = escrow.loan
    return guards.cure_time(escrow, loan, at=at) if isinstance(loan, ln.Called) else None


def _auction(code: str) -> Callable[[Escrow, Seconds], Finding | None]:
    def found(escrow: Escrow, at: Seconds) -> Finding | None:
        reason = breach(escrow, at=at)
        if reason is None or not isinstance(escrow.loan, ln.Indebted):
            return None
        return guards.auction_clock(escrow, escrow.loan, reason, at=at, code=code)

    return found


def _too_soon(escrow: Escrow, at: Seconds) -> Finding | None:
    last = escrow.system.pause
    if last is None:
        return None
    rested = Seconds(2 * last.until - last.since)
    source = (number("rest over", rested, unit="moment", source="PriceRounds: the last pause"),)
    return from_time(at, rested, what="rested", source=source, code="pause/too-soon")


TIMES: Final[dict[str, Callable[[Escrow, Seconds], Finding | None]]] = {
    "accept/expired": _over("expires_at", "accept/expired"),
    "draw/window-closed": _over("draw_by", "draw/window-closed"),
    "withdraw/matured": _over("maturity", "withdraw/matured"),
    "cancel/draw-window": _undrawn("cancel/draw-window"),
    "cancel/not-party": _undrawn("cancel/not-party"),
    "recover/too-early": _recovery,
    "dispute/not-arbiter": _arbiter,
    "expire/cure-time": _cure_time,
    "auction/running": _auction("auction/running"),
    "auction/stale": _auction("auction/stale"),
    "pause/too-soon": _too_soon,
    "price/stale": lambda e, at: platform.not_fresh(e, at=at),
}
"""Codes that a clock alone decides."""
