"""Contracts without a set end: CLM, which is called, and UMP, which is not.

Technical specification §7.6, §7.7. It has no words on the call itself (XD) and its settlement
(STD): these follow the published results. A call fixes the interest: none runs during the notice,
and what has run is paid with the settlement.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from escrow.actus.loans import Book, exchange, initial, step
from escrow.actus.market import Market
from escrow.actus.moments import Moment
from escrow.actus.states import ZERO, Event, EventType, Row, State
from escrow.actus.terms import ContractType, Terms
from escrow.actus.timetable import (
    Timetable,
    event,
    fee_events,
    fixed,
    in_force,
    need,
    reset_events,
    times,
    trades,
)
from escrow.core.errors import BadInput
from escrow.schedules.cycle import Cycle, Stub


def open_rows(terms: Terms, *, market: Market) -> tuple[Row, ...]:
    """Every event of a CLM or UMP. Raises BadInput: ``actus/missing-term``, ``actus/event``,
    ``actus/credit-line``."""
    called = _called(terms, market)
    book = Book(terms, market, open_timetable(terms, market=market, called=called))
    state, rows = initial(book), []
    for each in book.timetable.events:
        payoff, state = _step(book, state, each, called)
        rows.append(Row(each, payoff * exchange(book, each), state))
    return tuple(rows)


def open_timetable(terms: Terms, *, market: Market, called: Moment | None) -> Timetable:
    """The schedule: to the maturity, the call, or as far as anyone looks."""
    start = need(terms.initial_exchange, "initialExchangeDate", of=terms)
    end = terms.maturity or called or market.until
    end = need(end, "maturityDate, or a last date to look at", of=terms)
    agreed = terms.maturity is not None
    if not agreed:
        # A long last stub is that of a maturity: a call, or not looking further, comes after.
        terms = replace(
            terms,
            maturity=end,
            interest_cycle=_short(terms.interest_cycle),
            reset_cycle=_short(terms.reset_cycle),
            fee_cycle=_short(terms.fee_cycle),
        )
    found = [fixed(EventType.IED, start)]
    if terms.rate is not None:
        anchor, cycle = terms.interest_anchor, terms.interest_cycle
        dates = times(terms, anchor, cycle, end, with_end=False)
        found += [event(terms, EventType.IPCI, each) for each in dates]
    found += reset_events(terms, end)
    fees = fee_events(terms, end)
    found += fees
    if terms.contract_type is ContractType.UMP:
        for each in market.of(terms.contract_id, "PR", "PD", "PI"):
            # Older files write PI, principal increase, where the dictionary has PD.
            kind = EventType.PR if each.kind == "PR" else EventType.PD
            found.append(fixed(kind, each.at, value=each.value))
    elif agreed:
        found += [fixed(EventType.IP, end), fixed(EventType.MD, end)]
    found += trades(terms)
    events = in_force(terms, found, market)
    if called is not None:
        settled = called.plus(terms.notice)
        last = fixed(EventType.XD, called)
        # The settlement belongs to the call, so it is shown even beyond what is looked at.
        events = (
            *(each for each in events if each.order <= last.order),
            last,
            event(terms, EventType.XIP, settled),
            event(terms, EventType.STD, settled),
        )
    return Timetable(end, events, (), fees)


def _short(cycle: Cycle | None) -> Cycle | None:
    return None if cycle is None else replace(cycle, stub=Stub.SHORT)


def _called(terms: Terms, market: Market) -> Moment | None:
    """When a CLM without a maturity was called. A maturity says that it was, before."""
    if terms.contract_type is not ContractType.CLM or terms.maturity is not None:
        return None
    calls = [each.at for each in market.of(terms.contract_id, "XD")]
    later = [each for each in calls if each > terms.status_date and market.reaches(each)]
    return min(later, default=None)


def _step(book: Book, state: State, event: Event, called: Moment | None) -> tuple[Decimal, State]:
    terms = book.terms
    if event.kind is EventType.XD:
        payoff, moved = step(book, state, event)
        if terms.notice.is_zero:
            return payoff, moved
        return payoff, replace(moved, exercise=moved.accrued, accrued=ZERO, exercised=called)
    if event.kind is EventType.XIP:
        return state.accrued + state.exercise, replace(state, accrued=ZERO, exercise=ZERO)
    if event.kind is EventType.STD:
        return state.notional + state.fee, replace(state, notional=ZERO, fee=ZERO, base=ZERO)
    payoff, moved = step(book, state, event)
    line = terms.credit_line
    if event.kind is EventType.PD and line is not None and abs(moved.notional) > line:
        raise BadInput("actus/credit-line", drawn=str(event.value), line=str(line))
    if event.kind is EventType.PR and moved.notional * terms.sign < 0:
        raise BadInput("actus/event", kind="PR", reason="more than is outstanding")
    return payoff, moved


def drawable(terms: Terms, *, state: State) -> Decimal | None:
    """What of a credit line is left: ``creditLineAmount`` less what is outstanding. None: no
    line was agreed."""
    if terms.credit_line is None:
        return None
    return max(ZERO, terms.credit_line - abs(state.notional))
