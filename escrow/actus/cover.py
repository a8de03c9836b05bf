"""Credit enhancement: CEG, a guarantee, and CEC, a collateral. Specification §7.17, §7.18.

A credit event of any covered contract draws on the cover for the whole covered exposure: the
guarantee pays ``coverage`` of it, the collateral no more than it is worth.

Where the published results are more than the text: the exposure is that after the events of the
moment; ``coverage`` is applied once (the text would apply it to the notional of a guarantee that
has it in already); a collateral's notional is the covered exposure, and only what is paid is
capped by its worth.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from escrow.actus.calls import open_rows
from escrow.actus.loans import Book, accrue, exchange, fee_before, initial, play
from escrow.actus.market import Market, Observed
from escrow.actus.moments import Moment
from escrow.actus.states import ZERO, Event, EventType, Row, State
from escrow.actus.terms import ContractType, Exposure, FeeBasis, Reference, Terms
from escrow.actus.timetable import (
    Timetable,
    check_steps,
    event,
    fee_events,
    fixed,
    in_force,
    loan_timetable,
    need,
    trades,
)
from escrow.core.errors import BadInput

_OPEN = (ContractType.CLM, ContractType.UMP)


def basic_rows(terms: Terms, *, market: Market) -> tuple[Row, ...]:
    """Every event of a contract that covers no other."""
    if terms.contract_type in _OPEN:
        return open_rows(terms, market=market)
    book = Book(terms, market, loan_timetable(terms, market=market))
    rows, _ = play(book, book.timetable.events, initial(book))
    if terms.purchase is None or terms.purchase <= terms.status_date:
        return rows
    # What was paid before the purchase was paid to the seller.
    bought = fixed(EventType.PRD, terms.purchase).order
    return tuple(each for each in rows if each.event.order >= bought)


def cover_rows(terms: Terms, *, market: Market) -> tuple[Row, ...]:
    """Every event of a CEG or CEC. Raises BadInput: ``actus/missing-term``, ``actus/event``,
    ``schedule/endless``."""
    covered = tuple(each for each in terms.structure if each.role == "COVE")
    if not covered:
        raise BadInput("actus/missing-term", at="contractStructure", reason="nothing is covered")
    end = terms.maturity or _last_event(terms, covered, market)
    drawn = _drawn(terms, covered, market, end)
    fees = _fees(terms, end, drawn)
    if terms.notional is None and fees:
        check_steps(len(fees) * sum(_length(each.terms, market) for each in covered if each.terms))
    book = Book(terms, market, Timetable(end, (), (), fees))
    events = _events(terms, market, end, drawn, book)
    state = initial(book)
    if fees and terms.status_date < end:
        # Before a purchase, nothing but fees is counted on it.
        state = replace(state, notional=_exposure(book, covered, terms.status_date))
        state = replace(state, fee=fee_before(book, state))
    rows = []
    for each in events:
        payoff, state = _step(book, covered, state, each)
        rows.append(Row(each, payoff * exchange(book, each), state))
    return tuple(rows)


def _length(terms: Terms, market: Market) -> int:
    """Events of a covered contract."""
    seen = _market_of(terms, market)
    if terms.contract_type in _OPEN:
        return len(open_rows(terms, market=seen))
    return len(loan_timetable(terms, market=seen).events)


def _fees(terms: Terms, end: Moment, drawn: Moment | None) -> tuple[Event, ...]:
    """FP of a guarantee: to its end, or to the exercise, at which the last one is paid (§7.17).

    The exercise does not undo a fee that was paid: a long last stub is that of the end alone.
    """
    if terms.contract_type is ContractType.CEC:
        return ()
    fees = fee_events(terms, end)
    if drawn is None or not fees:
        return fees
    return (*(each for each in fees if each.at < drawn), fixed(EventType.FP, drawn))


def _events(
    terms: Terms, market: Market, end: Moment, drawn: Moment | None, book: Book
) -> tuple[Event, ...]:
    fees = book.timetable.fees
    if terms.purchase is not None:
        # What was paid before the purchase was paid to the seller.
        bought = fixed(EventType.PRD, terms.purchase).order
        fees = tuple(each for each in fees if each.order > bought)
    found = [*trades(terms), *fees]
    if drawn is None:
        return in_force(terms, [*found, fixed(EventType.MD, end)], market)
    last = fixed(EventType.XD, drawn)
    settled = event(terms, EventType.STD, drawn.plus(terms.settlement))
    before = (each for each in in_force(terms, found, market) if each.order <= last.order)
    if drawn <= terms.status_date:
        return (settled,) if settled.at > terms.status_date else ()
    return (*before, last, settled)


def _drawn(
    terms: Terms, covered: tuple[Reference, ...], market: Market, end: Moment
) -> Moment | None:
    """The first credit event that is covered, of any covered contract, before the end."""
    if terms.exercised is not None:
        return terms.exercised
    ids = {each.contract_id for each in covered}
    found = [
        each.at
        for each in market.events
        if _is_covered(terms, each) and each.contract_id in ids and each.at <= end
    ]
    drawn = min((each for each in found if each > terms.status_date), default=None)
    if drawn is None or not market.reaches(drawn):
        return None
    # What was sold before is drawn upon by its buyer.
    return None if terms.termination is not None and drawn > terms.termination else drawn


def _is_covered(terms: Terms, seen: Observed) -> bool:
    return seen.kind == "CE" and seen.performance in terms.covered_events


def _last_event(terms: Terms, covered: tuple[Reference, ...], market: Market) -> Moment:
    """A cover without a maturity lasts as long as what it covers."""
    ends = [
        row.event.at
        for each in covered
        if each.terms is not None
        for row in basic_rows(each.terms, market=_market_of(each.terms, market))
    ]
    return need(max(ends, default=None), "maturityDate", of=terms)


def _step(
    book: Book, covered: tuple[Reference, ...], state: State, event: Event
) -> tuple[Decimal, State]:
    terms, sign = book.terms, Decimal(book.terms.sign)
    moved = _with_fee(book, state, event)
    match event.kind:
        case EventType.PRD:
            # Fees begin to run for the buyer: Feac after it is that of t₀ (§7.17).
            exposure = _exposure(book, covered, event.at)
            held = replace(moved, notional=exposure, fee=state.fee)
            return -sign * terms.purchase_price, held
        case EventType.TD:
            return sign * terms.termination_price, replace(moved, notional=ZERO, fee=ZERO)
        case EventType.FP:
            paid = moved.fee if terms.fee_basis is FeeBasis.NOTIONAL else sign * terms.fee_rate
            held = replace(moved, notional=_exposure(book, covered, event.at), fee=ZERO)
            return paid, held
        case EventType.XD:
            exposure = _exposure(book, covered, event.at)
            paid = exposure
            if terms.contract_type is ContractType.CEC:
                paid = sign * min(abs(exposure), _worth(book, event.at))
            return ZERO, replace(moved, notional=exposure, exercise=paid, exercised=event.at)
        case EventType.STD:
            # Nothing accrues between the exercise and its settlement.
            return state.exercise + state.fee, replace(state, notional=ZERO, fee=ZERO)
        case EventType.MD:
            return ZERO, replace(moved, notional=ZERO)
        case _:
            raise BadInput("actus/event", kind=event.kind.value, contract=terms.contract_id[:40])


def _with_fee(book: Book, state: State, event: Event) -> State:
    if book.terms.contract_type is ContractType.CEC:
        return replace(state, at=max(state.at, event.calc))
    return replace(accrue(book, state, event.calc), accrued=ZERO)


def _exposure(book: Book, covered: tuple[Reference, ...], at: Moment) -> Decimal:
    """What is covered at a moment, after its events, with the sign of the role."""
    terms = book.terms
    if terms.notional is not None:
        return terms.sign * terms.coverage * terms.notional
    total = sum((_value(terms, each, book.market, at) for each in covered), ZERO)
    return terms.sign * terms.coverage * total


def _value(terms: Terms, each: Reference, market: Market, at: Moment) -> Decimal:
    if terms.exposure is Exposure.MV:
        if not each.market_code:
            raise BadInput("actus/missing-term", at="marketObjectCode", contract=each.contract_id)
        return market.observe(each.market_code, at)
    if each.terms is None:
        raise BadInput("actus/missing-term", at="notionalPrincipal", contract=each.contract_id)
    state = state_at(each.terms, market=market, at=at)
    interest = state.accrued if terms.exposure is Exposure.NI else ZERO
    # The exposure is what is owed, whichever side keeps the record.
    return abs(state.notional + interest)


def state_at(terms: Terms, *, market: Market, at: Moment) -> State:
    """The state of a contract at a moment, after its events, with interest to that day."""
    # A second on, so that what happens at the moment itself has happened.
    seen = replace(_market_of(terms, market), until=Moment(at.day, at.second + 1))
    if terms.contract_type in _OPEN:
        rows = open_rows(terms, market=seen)
        if not rows:
            return State(at=at.calc)
        timetable = Timetable(terms.maturity or at, (), (), ())
        return accrue(Book(terms, seen, timetable), rows[-1].state, at.calc)
    book = Book(terms, seen, loan_timetable(terms, market=seen))
    _, state = play(book, book.timetable.events, initial(book))
    return accrue(book, state, at.calc)


def _market_of(terms: Terms, market: Market) -> Market:
    """What a covered contract observes: events that name it, and as far as it goes by itself."""
    events = tuple(each for each in market.events if each.contract_id == terms.contract_id)
    until = market.until if terms.contract_type in _OPEN else None
    return replace(market, events=events, until=until)


def _worth(book: Book, at: Moment) -> Decimal:
    """What the covering contracts are worth: price times quantity, or cash as it is."""
    covering = [each for each in book.terms.structure if each.role == "COVI"]
    if not covering:
        raise BadInput("actus/missing-term", at="contractStructure", reason="nothing covers")
    total = ZERO
    for each in covering:
        price = book.market.observe(each.market_code, at) if each.market_code else Decimal(1)
        total += each.quantity * price
    return total
