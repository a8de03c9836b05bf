"""The guards that events and refusals share: what was compared, and how far it was."""

from __future__ import annotations

from typing import Final

from escrow.core.phases import debt_now
from escrow.core.realise import auction_start
from escrow.core.regions import loan as ln
from escrow.core.regions.system import active_seconds
from escrow.core.rules import Debt, owed
from escrow.core.sales import auction_life, auction_price, gross_up
from escrow.core.state import Escrow
from escrow.core.terms import Terms
from escrow.core.units import (
    BPS,
    CENTS_SCALE,
    Cents,
    Sats,
    Seconds,
    muldiv_down,
    muldiv_up,
)
from escrow.view.explain.measure import (
    ACTIVE,
    ASKED,
    BOOK,
    CLOCK,
    HELD,
    Position,
    amount,
    bound,
    by_time,
    from_time,
    number,
    signed,
)
from escrow.view.explain.parts import SHOWN, Distance, Finding, Input, Rounding, Subject
from escrow.words import money, price

DEADLINE: Final = "EscrowBook: the active clock at the call, and the cure time of the terms"
COINS: Final = Rounding("coins sold, to a sat", "down", "the loan, against the buyer")
"""``sales.py``: the buyer never profits from rounding."""
PAID: Final = Rounding("payment, to a cent", "up", "the loan, against the buyer")


def position(
    escrow: Escrow,
    *,
    at: Seconds,
    field: str,
    above: bool,
    terms: Terms | None = None,
    more: int = 0,
    less: int = 0,
) -> Position | None:
    """The deal at ``at`` against a level of its terms, with ``more`` cents owed or ``less`` sats
    pledged. ``None`` without a price, or before the escrow book knows the loan."""
    loan, last = escrow.loan, escrow.system.price
    if last is None or not isinstance(loan, ln.Live):
        return None
    debt: Debt = loan.debt
    return Position(
        debt=Cents(owed(debt, rate_bps=loan.terms.rate_bps, at=at) + more),
        held=Sats(escrow.token.held - less),
        last=last,
        level=getattr(terms or loan.terms, field),
        field=field,
        above=above,
    )


def _level(
    escrow: Escrow,
    *,
    at: Seconds,
    field: str,
    above: bool,
    code: str,
    does: str,
    happens: str,
    instead: str,
) -> Finding:
    """The deal as it stood against a level of its terms, and what happens where it is reached, or
    does not."""
    found = position(escrow, at=at, field=field, above=above)
    if found is None:
        return Finding("no price")
    return found.finding(code=code, does=does, other=instead if found.holds else happens)


def call(escrow: Escrow, *, at: Seconds) -> Finding:
    """Is the call level reached?"""
    return _level(
        escrow, at=at, field="call_ltv", above=True, code="call/healthy", does="calls at",
        happens="a call", instead="no call",
    )  # fmt: skip


def restore(escrow: Escrow, *, at: Seconds) -> Finding:
    """Is the restore level reached?"""
    return _level(
        escrow, at=at, field="restore_ltv", above=False, code="cure/not-restored",
        does="cured at", happens="a cure", instead="no cure",
    )  # fmt: skip


def still_called(escrow: Escrow, *, at: Seconds) -> Finding:
    """Is a call that runs out still at the call level?"""
    return _level(
        escrow, at=at, field="call_ltv", above=True, code="expire/healthy", does="expires at",
        happens="expiry", instead="no expiry",
    )  # fmt: skip


def liquidation_level(escrow: Escrow, *, at: Seconds) -> Finding:
    """Is the liquidation level reached?"""
    return _level(
        escrow, at=at, field="liquidation_ltv", above=True, code="liquidate/healthy",
        does="sells at", happens="a sale", instead="no sale",
    )  # fmt: skip


def cure_time(escrow: Escrow, loan: ln.Called, *, at: Seconds) -> Finding:
    """Is the cure time over, on the clock that stands while no price may be used?"""
    active, deadline = active_seconds(escrow.system, at=at), loan.deadline
    late = active - deadline
    code, show = "expire/cure-time", SHOWN["seconds"]
    if late > 0:
        verdict = f"{show(late)} past the deadline on the active clock"
        far = Distance(Subject.DEADLINE, code, deadline, active, "seconds", "no expiry")
    else:
        verdict = f"{show(-late)} of cure time left on the active clock"
        far = Distance(Subject.DEADLINE, code, deadline, active - 1, "seconds", "expiry")
    inputs = (
        Input("active clock", active, "seconds", f"{active} s", ACTIVE),
        Input("deadline", deadline, "seconds", f"{deadline} s", DEADLINE),
        signed(loan.terms, "cure", unit="seconds", name="cure time"),
        number("called at", loan.called_at, unit="moment", source=BOOK),
        number("now", at, unit="moment", source=CLOCK),
    )
    return Finding(verdict, inputs, (), (far,))


def default_time(terms: Terms, *, at: Seconds, alone: bool = True) -> Finding:
    """Is the loan unpaid after maturity and grace? ``alone``: nothing else lets it be sold."""
    first = Seconds(terms.maturity + terms.grace + 1)
    source = (
        signed(terms, "maturity", unit="moment"),
        signed(terms, "grace", unit="seconds"),
    )
    found = from_time(
        at, first, what="in default", source=source, code="liquidate/healthy",
        other="no sale" if at >= first else "a sale",
    )  # fmt: skip
    return found if alone else Finding(found.verdict, found.inputs)


def auction_clock(
    escrow: Escrow, loan: ln.Indebted, reason: ln.Reason, *, at: Seconds, code: str
) -> Finding:
    """Does the auction's price still fall? ``code``: ``auction/stale`` when it should, and
    ``auction/running`` when it should not."""
    terms, last = loan.terms, escrow.system.price
    assert last is not None
    since = auction_start(loan, last, reason)
    end = Seconds(since + auction_life(terms))
    inputs = (
        number("auction since", since, unit="moment", source=BOOK),
        signed(terms, "step", unit="seconds"),
        signed(terms, "cut_bps", unit="bps"),
        signed(terms, "tail", unit="seconds"),
        signed(terms, "cusp_bps", unit="bps"),
        signed(terms, "buf_bps", unit="bps"),
    )
    if code == "auction/running":
        found = from_time(at, end + 1, what="the auction is stale", source=(), code=code)
        return Finding(found.verdict, (*inputs, *found.inputs), (), found.distances)
    limit = number("last second of the auction", end, unit="moment", source="its start and terms")
    found = by_time(at, end, what="the auction", source=limit, code=code)
    verdict = found.verdict
    if at <= end:
        asks = auction_price(terms, price=last.price, elapsed=Seconds(at - since))
        verdict = f"the auction asks {price(asks)} a coin; {found.verdict}"
    turn = Rounding("the auction's price, to e-8", "up", "the loan, against the buyer")
    return Finding(verdict, (*inputs, *found.inputs), (turn,), found.distances)


def breakeven(escrow: Escrow, terms: Terms, *, debt: Cents, reason: ln.Reason) -> Finding:
    """At which price the coins are worth the debt, the fee and the bonus, and no more."""
    held, last = escrow.token.held, escrow.system.price
    assert last is not None
    claim = gross_up(debt, fee=terms.fee_bps) * (BPS + terms.bonus_bps)
    edge = muldiv_up(claim, CENTS_SCALE, held * BPS)
    covers = last.price >= edge
    flip = edge - 1 if covers else edge
    inputs = (signed(terms, "bonus_bps", unit="bps"), signed(terms, "fee_bps", unit="bps"))
    other = "not all would be covered" if covers else "all would be covered"
    # No sale happens there if the level is what lets it be sold and is not reached any more.
    highest = muldiv_down(debt * CENTS_SCALE, BPS, terms.liquidation_ltv * held)
    sold = reason is not ln.Reason.LEVEL or flip <= highest
    if not flip or not sold:
        return Finding("", inputs)
    way = "up: the lowest price in e-8 at which coins are worth debt, fee and bonus"
    far = Distance(Subject.PRICE, "", last.price, flip, "e-8", other, way)
    return Finding("", inputs, (), (far,))


def draw_room(escrow: Escrow, loan: ln.Opened | ln.Active, *, at: Seconds, asked: int) -> Finding:
    """How much more could be drawn: within the principal, and the initial level."""
    terms, last = loan.terms, escrow.system.price
    debt = owed(loan.debt, rate_bps=terms.rate_bps, at=at)
    limits = [(terms.principal - loan.debt.principal, "draw/above-principal")]
    if last is not None:
        worth = terms.initial_ltv * escrow.token.held
        most = muldiv_down(worth, last.price, CENTS_SCALE * BPS)
        limits.append((most - debt, "draw/above-initial-ltv"))
    # The principal is asked about first, so of two equal limits it is the one that says no.
    limit, code = min(limits, key=lambda each: each[0])
    source = (
        signed(terms, "principal", unit="cents"),
        number("drawn and unpaid", loan.debt.principal, unit="cents", source=BOOK),
    )
    return amount(asked, limit, most=True, unit="cents", what="the draw", source=source, code=code)


def withdraw_room(escrow: Escrow, loan: ln.Active, *, at: Seconds, asked: int) -> Finding:
    """How many more sats could be taken back."""
    terms, last, held = loan.terms, escrow.system.price, escrow.token.held
    if last is None:
        return Finding("no price")
    debt = debt_now(escrow, at=at)
    kept = muldiv_up(debt * CENTS_SCALE, BPS, terms.initial_ltv * last.price)
    code = "withdraw/above-initial-ltv" if kept else "token/balance"
    source = (number("pledged before", held, unit="sats", source=HELD),)
    return amount(
        asked, held - kept, most=True, unit="sats", what="the withdrawal", source=source, code=code
    )


def split_of(event: ln.Liquidated) -> Finding:
    """What a sale divided, and how."""
    split = event.split
    parts = (
        ("debt covered", split.repaid, "cents"),
        ("liquidation fee", split.fee, "cents"),
        ("coins to the buyer", split.seized, "sats"),
        ("coins to the borrower", split.surplus, "sats"),
        ("bad debt", split.bad_debt, "cents"),
        ("debt left", split.left, "cents"),
    )
    inputs = tuple(number(n, v, unit=u, source="EscrowBook") for n, v, u in parts if v)
    verdict = f"owed {money(event.debt)}, covered {money(split.repaid)}"
    if split.bad_debt:
        verdict += f", lost {money(split.bad_debt)}"
    return Finding(verdict, inputs, (PAID, COINS), ())


def allowed(asked: int, limit: int, *, unit: str, code: str, most: bool, name: str) -> Finding:
    """What the one who asked would accept, or was let have, against what came of it."""
    far = bound(Subject.LIMIT, asked, limit, most=most, unit=unit, code=code)
    show = SHOWN[unit]
    verdict = f"{name} is {show(asked)}, and {show(limit)} is needed"
    return Finding(verdict, (number(name, asked, unit=unit, source=ASKED),), (), far)
