"""Payoffs (POF) and state transitions (STF) of the basic contracts: technical specification §7.

One function for all: PAM, CLM and UMP are the amortisers without redemptions. Where the text and
the published results part, or the text contradicts itself, the comment says so.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from itertools import pairwise

from escrow.actus.market import Market
from escrow.actus.moments import Moment
from escrow.actus.states import ZERO, Event, EventType, Row, State, decimal
from escrow.actus.terms import Base, ContractType, FeeBasis, Penalty, Prepay, Terms
from escrow.actus.timetable import Timetable
from escrow.core.errors import BadInput
from escrow.schedules.daycount import year_fraction

_LEVEL = (ContractType.NAM, ContractType.ANN)
_OPEN = (ContractType.CLM, ContractType.UMP)


@dataclass(frozen=True, slots=True)
class Book:
    """What a step needs to know beside the state."""

    terms: Terms
    """The contract."""
    market: Market
    """What is observed."""
    timetable: Timetable
    """Its schedule."""

    def years(self, begin: date, end: date) -> Decimal:
        """Y(s, t) in the contract's day count. A convention that shifts backwards may have dates
        cross: then no time has passed."""
        terms = self.terms
        if end <= begin:
            return ZERO
        maturity = self.timetable.maturity.calc
        return decimal(year_fraction(begin, end=end, count=terms.day_count, maturity=maturity))


def initial(book: Book) -> State:
    """The state at the status date: nothing yet, or a loan that runs."""
    terms = book.terms
    state = State(
        at=terms.status_date.calc,
        fee=terms.fee_accrued or ZERO,
        # A multiplier of what is not scaled says nothing (§7.1, Nsc and Isc).
        notional_scale=terms.notional_scale if terms.scales_notional else Decimal(1),
        interest_scale=terms.interest_scale if terms.scales_interest else Decimal(1),
        redemption=_redemption(book),
        exercised=terms.exercised,
        exercise=terms.exercise_amount or ZERO,
    )
    start = terms.initial_exchange
    if start is None or start > terms.status_date:
        return state
    state = _lent(book, state)
    state = replace(state, fee=fee_before(book, state))
    if terms.accrued is not None or terms.rate is None:
        return replace(state, accrued=terms.accrued or ZERO)
    # t⁻ of the specification: the last interest payment before. Without one nothing is known to
    # have accrued: that is the meaning of ∅ there, and of the published results.
    paid = [each.calc for each in book.timetable.interest if each.calc < state.at]
    if not paid:
        return state
    years = book.years(max(paid), state.at)
    return replace(state, accrued=years * _base(book, state) * state.rate)


def fee_before(book: Book, state: State) -> Decimal:
    """Fees accrued at the status date: as said, or since the last payment (§7.1, Feac)."""
    terms = book.terms
    if terms.fee_accrued is not None:
        return terms.fee_accrued
    paid = [each.calc for each in book.timetable.fees if each.calc < state.at]
    return _fee(book, replace(state, at=max(paid)), state.at) if paid else ZERO


def play(book: Book, events: tuple[Event, ...], state: State) -> tuple[tuple[Row, ...], State]:
    """All events in order, and the state after the last."""
    rows = []
    for each in events:
        payoff, state = step(book, state, each)
        rows.append(Row(each, payoff * exchange(book, each), state))
    return tuple(rows), state


def accrue(book: Book, state: State, to: date) -> State:
    """Interest and fees run to a date."""
    years = book.years(state.at, to)
    accrued = state.accrued + years * state.rate * _base(book, state)
    return replace(state, at=max(to, state.at), accrued=accrued, fee=_fee(book, state, to))


def step(book: Book, state: State, event: Event) -> tuple[Decimal, State]:
    """Payoff and next state. Raises BadInput: ``actus/event``, ``actus/observation``."""
    terms, sign = book.terms, Decimal(book.terms.sign)
    moved = accrue(book, state, event.calc)
    match event.kind:
        case EventType.IED:
            premium = ZERO if terms.contract_type in _OPEN else terms.premium
            lent = _with_interest_before(book, _lent(book, replace(moved, accrued=ZERO)))
            return -sign * ((terms.notional or ZERO) + premium), lent
        case EventType.PR if terms.contract_type is ContractType.UMP:
            return sign * event.value, _repaid(moved, sign * event.value)
        case EventType.PD:
            return -sign * event.value, _repaid(moved, -sign * event.value)
        case EventType.PR:
            if moved.redemption is None:
                moved = replace(moved, redemption=annuity(book, moved, event, including=True))
            part = _redeemed(book, moved)
            return moved.notional_scale * part, _repaid(moved, part)
        case EventType.PY:
            return _penalty(book, state, event), moved
        case EventType.PP:
            if event.value > abs(moved.notional):
                raise BadInput("actus/event", kind="PP", reason="more than is outstanding")
            part = sign * event.value
            return part, _respread(book, moved, _repaid(moved, part), event)
        case EventType.FP:
            paid = moved.fee if terms.fee_basis is FeeBasis.NOTIONAL else sign * terms.fee_rate
            return paid, replace(moved, fee=ZERO)
        case EventType.IP:
            return moved.interest_scale * moved.accrued, replace(moved, accrued=ZERO)
        case EventType.IPCI:
            grown = replace(moved, accrued=ZERO)
            return ZERO, _repaid(grown, -moved.accrued)
        case EventType.RR:
            return ZERO, _annuity_anew(book, replace(moved, rate=_reset(book, moved, event)), event)
        case EventType.RRF:
            rate = terms.next_reset if terms.next_reset is not None else moved.rate
            return ZERO, _annuity_anew(book, replace(moved, rate=rate), event)
        case EventType.PRF:
            return ZERO, replace(moved, redemption=annuity(book, moved, event))
        case EventType.PRD:
            return -sign * (terms.purchase_price + moved.accrued), moved
        case EventType.TD:
            # The text sets the rate to zero as well; the results keep it.
            gone = replace(moved, notional=ZERO, accrued=ZERO, fee=ZERO, base=ZERO)
            return sign * (terms.termination_price + moved.accrued), gone
        case EventType.SC:
            return ZERO, _scaled(book, moved, event)
        case EventType.IPCB:
            return ZERO, replace(moved, base=moved.notional)
        case EventType.MD:
            paid = state.notional_scale * state.notional + state.interest_scale * state.accrued
            return paid + state.fee, replace(
                moved, notional=ZERO, accrued=ZERO, fee=ZERO, base=ZERO
            )
        case EventType.XD:
            return ZERO, moved
        case EventType.XIP | EventType.STD:
            raise BadInput("actus/event", kind=event.kind.value, contract=terms.contract_id[:40])


def annuity(book: Book, state: State, event: Event, *, including: bool = False) -> Decimal:
    """A(s, T, n, a, r) of §3.8: the payment that leaves nothing after the last redemption.

    Interest accrued between the event and the first redemption is part of what is repaid.
    """
    dates = [
        each.calc
        for each in book.timetable.redemptions
        if each.at > event.at or (including and each.at == event.at)
    ]
    if not dates:
        raise BadInput("actus/missing-term", at="nextPrincipalRedemptionPayment or maturityDate")
    owed = state.notional + state.accrued
    owed += state.notional * state.rate * book.years(state.at, dates[0])
    growth, total = Decimal(1), Decimal(1)
    for begin, end in pairwise(dates):
        factor = 1 + state.rate * book.years(begin, end)
        growth *= factor
        total = total * factor + 1
    if total <= 0:
        raise BadInput("actus/term", at="nominalInterestRate", reason="no payment would repay it")
    return owed * growth / total


def _base(book: Book, state: State) -> Decimal:
    return state.notional if book.terms.base is Base.NT else state.base


def _redemption(book: Book) -> Decimal | None:
    """Prnxt as agreed. A linear amortiser without one repays the same part each time (the text
    divides year fractions, which misses the payment at a maturity off the cycle)."""
    terms = book.terms
    if terms.redemption is not None:
        return terms.sign * terms.redemption
    if terms.contract_type is not ContractType.LAM:
        return None
    coming = [each for each in book.timetable.redemptions if each.at > terms.status_date]
    return terms.sign * (terms.notional or ZERO) / max(1, len(coming))


def _lent(book: Book, state: State) -> State:
    """The loan as it is after the initial exchange."""
    terms = book.terms
    notional = terms.sign * (terms.notional or ZERO)
    base = notional if terms.base_amount is None else terms.sign * terms.base_amount
    return replace(state, notional=notional, rate=terms.rate or ZERO, base=base)


def _with_interest_before(book: Book, state: State) -> State:
    terms, anchor = book.terms, book.terms.interest_anchor
    if terms.accrued is not None:
        return replace(state, accrued=terms.accrued)
    if anchor is not None and anchor.calc < state.at:
        years = book.years(anchor.calc, state.at)
        return replace(state, accrued=years * state.notional * state.rate)
    return state


def _repaid(state: State, part: Decimal) -> State:
    return replace(state, notional=state.notional - part)


def _redeemed(book: Book, state: State) -> Decimal:
    """Principal of a redemption: never more than is outstanding."""
    sign = book.terms.sign
    part = state.redemption or ZERO
    if book.terms.contract_type in _LEVEL:
        part -= state.accrued
    # Beyond the text: without this a last payment would turn the loan around.
    return sign * min(sign * part, sign * state.notional)


def _respread(book: Book, before: State, after: State, event: Event) -> State:
    """What a prepayment does to the payments that are left. The text has no words for it: the
    dictionary says that either they become smaller, or the end comes sooner."""
    if book.terms.prepayment is not Prepay.AMOUNT or before.redemption is None:
        return after
    if book.terms.contract_type is ContractType.ANN:
        return replace(after, redemption=annuity(book, after, event))
    share = after.notional / before.notional if before.notional else ZERO
    return replace(after, redemption=before.redemption * share)


def _annuity_anew(book: Book, state: State, event: Event) -> State:
    """A new rate is a new annuity, from the first redemption on."""
    if book.terms.contract_type is not ContractType.ANN or state.redemption is None:
        return state
    if not any(each.at > event.at for each in book.timetable.redemptions):
        return state
    return replace(state, redemption=annuity(book, state, event))


def _reset(book: Book, state: State, event: Event) -> Decimal:
    """The index, multiplier and spread, within what a period and a life allow."""
    terms = book.terms
    index = book.market.observe(terms.reset_code, Moment(event.calc))
    change = index * terms.reset_multiplier + terms.reset_spread - state.rate
    if terms.period_floor is not None:
        change = max(change, terms.period_floor)
    if terms.period_cap is not None:
        change = min(change, terms.period_cap)
    rate = state.rate + change
    if terms.life_floor is not None:
        rate = max(rate, terms.life_floor)
    return rate if terms.life_cap is None else min(rate, terms.life_cap)


def _scaled(book: Book, state: State, event: Event) -> State:
    """The index as a multiple of what it was at the deal date. The text has (now − then) ÷ then:
    that is the change, and the results scale by the ratio."""
    terms = book.terms
    if not terms.scaling_index:
        raise BadInput("actus/missing-term", at="scalingIndexAtContractDealDate")
    ratio = book.market.observe(terms.scaling_code, Moment(event.calc)) / terms.scaling_index
    return replace(
        state,
        interest_scale=ratio if terms.scales_interest else state.interest_scale,
        notional_scale=ratio if terms.scales_notional else state.notional_scale,
    )


def _penalty(book: Book, state: State, event: Event) -> Decimal:
    """PY. The text multiplies the signed balance with the sign again, so that a debtor would be
    paid for prepaying; here the debtor pays."""
    terms = book.terms
    since = book.years(state.at, event.calc) * state.notional
    match terms.penalty:
        case Penalty.NONE:
            return ZERO
        case Penalty.ABSOLUTE:
            return terms.sign * terms.penalty_rate
        case Penalty.RELATIVE:
            return since * terms.penalty_rate
        case Penalty.INTEREST:
            return since * max(ZERO, state.rate - book.market.observe(terms.reset_code, event.at))


def _fee(book: Book, state: State, to: date) -> Decimal:
    """Accrued fee: a rate on the balance, or the part of an amount whose period has passed."""
    terms = book.terms
    if terms.fee_rate == 0:
        return state.fee
    if terms.fee_basis is FeeBasis.NOTIONAL:
        return state.fee + book.years(state.at, to) * state.notional * terms.fee_rate
    dates = book.timetable.fees
    place = bisect_right(dates, to, key=lambda each: each.calc)
    if not 0 < place < len(dates):
        return state.fee
    before, after = dates[place - 1].calc, dates[place].calc
    whole = book.years(before, after)
    passed = book.years(before, to) / whole if whole else ZERO
    return passed * terms.sign * terms.fee_rate


def exchange(book: Book, event: Event) -> Decimal:
    """Units of the settlement currency for one of the contract's (§3.10)."""
    terms = book.terms
    if terms.settlement_currency in ("", terms.currency):
        return Decimal(1)
    return book.market.observe(f"{terms.currency}/{terms.settlement_currency}", event.at)
