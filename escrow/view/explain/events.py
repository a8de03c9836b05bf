"""Why the loan changed. Sales are in ``sales``, coins and tokens in ``sightings``."""

from __future__ import annotations

from typing import assert_never

from escrow.core.phases import terms_of
from escrow.core.regions import loan as ln
from escrow.core.regions.system import (
    active_seconds,
)
from escrow.core.rules import accrue, interest_due, owed
from escrow.core.state import Escrow
from escrow.core.units import Cents, Seconds
from escrow.view.explain import guards
from escrow.view.explain import rulebook as rb
from escrow.view.explain.measure import (
    BOOK,
    INTEREST,
    by_time,
    from_time,
    number,
    signed,
)
from escrow.view.explain.parts import (
    SHOWN,
    Distance,
    Explanation,
    Finding,
    Input,
    Subject,
    explained,
)
from escrow.view.explain.sales import liquidated, reasons
from escrow.words import money, percent


def of_loan(event: ln.LoanEvent, before: Escrow) -> Explanation:
    """Why the loan changed."""
    what, at, loan = type(event).__name__, event.at, before.loan
    match event:
        case ln.OfferMade(terms=t):
            found = by_time(
                at, t.expires_at, what="the offer",
                source=signed(t, "expires_at", unit="moment"), code="offer/expired",
            )  # fmt: skip
            ladder = ("initial_ltv", "restore_ltv", "call_ltv", "liquidation_ltv")
            inputs = tuple(signed(t, name, unit="bps") for name in ladder)
            rates = (signed(t, "principal", unit="cents"), signed(t, "rate_bps", unit="bps"))
            verdict = f"up to {money(t.principal)} at {percent(t.rate_bps)} a year"
            return explained(what, at, rb.OFFER, Finding(verdict, (*rates, *inputs)), found)
        case ln.OfferAccepted() | ln.LoanOpened():
            t = terms_of(loan)
            opened = isinstance(event, ln.LoanOpened)
            found = by_time(
                at, t.expires_at, what="the offer", source=signed(t, "expires_at", unit="moment"),
                code="open/expired" if opened else "accept/expired",
            )  # fmt: skip
            return explained(what, at, rb.OPEN if opened else rb.ACCEPT, found)
        case ln.OfferEnded(expired=expired):
            t = terms_of(loan)
            source = (signed(t, "expires_at", unit="moment"),)
            if not expired:
                left = SHOWN["seconds"](max(0, t.expires_at - at))
                said = f"a party stepped back, {left} before the offer would have expired"
                return explained(what, at, rb.LAPSE, Finding(said, source))
            found = from_time(
                at, t.expires_at + 1, what="expired", source=source, code="",
                other="the offer stands",
            )  # fmt: skip
            return explained(what, at, rb.LAPSE, found)
        case ln.LoanCancelled():
            t = terms_of(loan)
            source = (signed(t, "draw_by", unit="moment"),)
            if at > t.draw_by:
                found = from_time(
                    at, t.draw_by + 1, what="undrawn, and anyone may cancel", source=source,
                    code="cancel/draw-window",
                    other="only the borrower could: refused, cancel/draw-window",
                )  # fmt: skip
                return explained(what, at, rb.CANCEL, found)
            left = SHOWN["seconds"](t.draw_by + 1 - at)
            said = f"the borrower cancelled, {left} before anyone could"
            return explained(what, at, rb.CANCEL, Finding(said, source))
        case ln.Drawn() | ln.Withdrawn() | ln.Refinanced():
            return _taken(event, before)
        case ln.Repayment():
            return _repaid(event, before)
        case ln.MarginCalled(deadline=deadline):
            t = terms_of(loan)
            cure = signed(t, "cure", unit="seconds", name="cure time")
            until = Input("deadline", deadline, "seconds", f"{deadline} s", guards.DEADLINE)
            given = Finding(
                f"{SHOWN['seconds'](t.cure)} of active time to restore {percent(t.restore_ltv)}",
                (cure, until),
            )
            return explained(what, at, rb.CALL, guards.call(before, at=at), given)
        case ln.CallCured():
            return explained(what, at, rb.CURE, guards.restore(before, at=at))
        case ln.CallExpired():
            assert isinstance(loan, ln.Called)
            return explained(
                what, at, rb.EXPIRE,
                guards.cure_time(before, loan, at=at), guards.still_called(before, at=at),
            )  # fmt: skip
        case ln.Disputed():
            assert isinstance(loan, ln.Called)
            rest = loan.deadline - active_seconds(before.system, at=at)
            time = SHOWN["seconds"](abs(rest))
            stands = f"{time} of cure time left" if rest >= 0 else f"the cure time over by {time}"
            inputs = (signed(loan.terms, "dispute", unit="seconds", name="time of the arbiter"),)
            said = f"disputed with {stands} on the active clock; the call waits for the arbiter"
            return explained(what, at, rb.DISPUTE, Finding(said, inputs))
        case ln.Resolved():
            return _resolved(event, before)
        case ln.AuctionBegun(reason=reason):
            assert isinstance(loan, ln.Indebted)
            if isinstance(loan, ln.Liquidating):
                found = guards.auction_clock(before, loan, reason, at=at, code="auction/running")
                return explained(what, at, rb.AUCTION, found)
            return explained(what, at, rb.AUCTION, *reasons(reason, before, at=at))
        case ln.Liquidated():
            return liquidated(event, before)
        case ln.LoanRecovered():
            t = terms_of(loan)
            found = from_time(
                at, t.recover_at, what="open to the borrower",
                source=(signed(t, "recover_at", unit="moment"),), code="recover/too-early",
            )  # fmt: skip
            return explained(what, at, rb.RECOVER, found)
        case ln.LoanEnded(outcome=outcome):
            said = f"no claim, no coin and no payout is open: {outcome.value}"
            return explained(what, at, rb.ENDED, Finding(said))
        case _:
            assert_never(event)


def _taken(event: ln.Drawn | ln.Withdrawn | ln.Refinanced, before: Escrow) -> Explanation:
    """What the borrower took: it must stay at the initial level or below."""
    what, at, loan = type(event).__name__, event.at, before.loan
    assert isinstance(loan, ln.Opened | ln.Active)
    t, other = loan.terms, "refused, draw/above-initial-ltv"
    match event:
        case ln.Drawn(amount=drawn):
            stood = guards.position(before, at=at, field="initial_ltv", above=False, more=drawn)
            assert stood is not None
            found = stood.finding(
                code="draw/above-initial-ltv", does="draws up to", other=other, debt="owed after"
            )
            room = guards.draw_room(before, loan, at=at, asked=drawn)
            window = by_time(
                at, t.draw_by, what="the draw window",
                source=signed(t, "draw_by", unit="moment"), code="draw/window-closed",
            )  # fmt: skip
            return explained(what, at, rb.DRAW, _price_only(found), room, window)
        case ln.Withdrawn(sats=sats):
            assert isinstance(loan, ln.Active)
            stood = guards.position(before, at=at, field="initial_ltv", above=False, less=sats)
            assert stood is not None
            found = stood.finding(
                code="withdraw/above-initial-ltv", does="frees down to",
                other="refused, withdraw/above-initial-ltv", held="left pledged",
            )  # fmt: skip
            room = guards.withdraw_room(before, loan, at=at, asked=sats)
            due = by_time(
                at, t.maturity, what="before maturity",
                source=signed(t, "maturity", unit="moment"), code="withdraw/matured",
            )  # fmt: skip
            return explained(what, at, rb.WITHDRAW, found, room, due)
        case ln.Refinanced(terms=new, settled=settled):
            stood = guards.position(before, at=at, field="initial_ltv", above=False, terms=new)
            assert stood is not None
            found = stood.finding(
                code="draw/above-initial-ltv", does="new terms lend up to", other=other
            )
            least = [each for each in found.distances if each.subject is Subject.DEBT]
            # The principal is asked about first, so of two equal limits it is the one that says no.
            debt = min(
                [
                    Distance(
                        Subject.DEBT, "draw/above-principal", settled, new.principal + 1, "cents",
                        "refused, draw/above-principal",
                    ),
                    *least,
                ],
                key=lambda far: far.flip,
            )  # fmt: skip
            found = Finding(found.verdict, found.inputs, found.rounding, (debt, *_prices(found)))
            time = by_time(
                at, new.expires_at, what="the new terms",
                source=signed(new, "expires_at", unit="moment"), code="open/expired",
            )  # fmt: skip
            rates = (signed(new, "principal", unit="cents"), signed(new, "rate_bps", unit="bps"))
            said = Finding(f"{money(settled)} settled and lent again", rates)
            return explained(what, at, rb.REFINANCE, said, found, time)
        case _:
            assert_never(event)


def _price_only(found: Finding) -> Finding:
    """Without its distance in debt, where the amount asked says the same with the other bounds."""
    return Finding(found.verdict, found.inputs, found.rounding, _prices(found))


def _prices(found: Finding) -> tuple[Distance, ...]:
    return tuple(far for far in found.distances if far.subject is Subject.PRICE)


def _repaid(event: ln.Repayment, before: Escrow) -> Explanation:
    loan, at = before.loan, event.at
    assert isinstance(loan, ln.Indebted)
    grown = accrue(loan.debt, rate_bps=loan.terms.rate_bps, at=at)
    due, debt = interest_due(grown), owed(grown, rate_bps=loan.terms.rate_bps, at=at)
    paid = Cents(event.interest + event.principal)
    inputs = (
        number("paid", paid, unit="cents", source=f"cash of the {event.by}"),
        number("interest due", due, unit="cents", source=BOOK),
        number("principal", loan.debt.principal, unit="cents", source=BOOK),
        signed(loan.terms, "rate_bps", unit="bps", name="rate"),
    )
    verdict = f"{money(event.interest)} interest, {money(event.principal)} principal; "
    verdict += f"{money(debt - paid)} left" if debt > paid else "nothing left: repaid"
    far: tuple[Distance, ...] = ()
    if debt > paid:
        far = (Distance(Subject.AMOUNT, "", paid, debt, "cents", "the loan is repaid"),)
    elif debt > 1:
        far = (Distance(Subject.AMOUNT, "", paid, debt - 1, "cents", "the loan goes on"),)
    return explained("Repayment", at, rb.REPAY, Finding(verdict, inputs, (INTEREST,), far))


def _resolved(event: ln.Resolved, before: Escrow) -> Explanation:
    loan, at = before.loan, event.at
    assert isinstance(loan, ln.Called)
    assert loan.dispute is not None
    t, limit = loan.terms, Seconds(loan.dispute.at + loan.terms.dispute)
    source = (
        signed(t, "dispute", unit="seconds", name="time of the arbiter"),
        number("disputed at", loan.dispute.at, unit="moment", source=BOOK),
    )
    if at > limit:
        found = from_time(
            at, limit + 1, what="the arbiter is late, and anyone may end it", source=source,
            code="dispute/not-arbiter", other="only the arbiter: refused, dispute/not-arbiter",
        )  # fmt: skip
    elif event.upheld:
        found = by_time(
            at, limit, what="the arbiter's time", source=source[1], code="",
            other="the arbiter is late: the call stands",
        )  # fmt: skip
    else:
        left = SHOWN["seconds"](limit - at)
        found = Finding(f"the arbiter's time: {left} left on the wall clock", source)
    if event.upheld:
        said = Finding("the call was wrong and is void", source)
    else:
        back = SHOWN["seconds"](event.deadline - loan.deadline)
        inputs = (
            Input("deadline", event.deadline, "seconds", f"{event.deadline} s", guards.DEADLINE),
        )
        said = Finding(f"the call stands; {back} of cure time given back", inputs)
    return explained("Resolved", at, rb.RESOLVE, said, found)
