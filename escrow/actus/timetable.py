"""When what happens: the schedules of the technical specification, §7, and the maturity they need.

Where the specification's text, the dictionary and the published results part, and what is done:

* Interest up to ``capitalizationEndDate`` is capitalised on the dates of its own cycle and on that
  date, whatever is redeemed meanwhile; after it, the same cycle goes on (as the dictionary says;
  the specification would begin the cycle anew on that date, and results have no such payments).
* Resets, scaling and base dates do not include the maturity: nothing could follow from them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, Decimal
from typing import Final

from escrow.actus.market import Market
from escrow.actus.moments import Moment
from escrow.actus.states import Event, EventType, decimal
from escrow.actus.terms import Base, ContractType, Penalty, Prepay, Terms
from escrow.core.errors import BadInput
from escrow.schedules.calendars import shift
from escrow.schedules.cycle import MAX_DATES, Cycle, Period, Stub, closed, regular
from escrow.schedules.daycount import year_fraction

MAX_STEPS: Final = 1_500_000
"""Most steps of a schedule that is gone through again and again: an annuity's redemptions at each
reset and prepayment, a covered loan's events at each fee. Monthly for a century, in both."""
_AMORTISES: tuple[ContractType, ...] = (ContractType.LAM, ContractType.NAM, ContractType.ANN)
_LEVEL: tuple[ContractType, ...] = (ContractType.NAM, ContractType.ANN)
_DAY = Period(days=1)


@dataclass(frozen=True, slots=True)
class Timetable:
    """The schedule of a loan."""

    maturity: Moment
    """[Md]"""
    events: tuple[Event, ...]
    """In the order in which they are evaluated, those after the status date."""
    redemptions: tuple[Event, ...]
    """Payments over which an annuity is spread: to the amortisation date, the last included."""
    fees: tuple[Event, ...]
    """Fee dates, those of the past too."""
    interest: tuple[Event, ...] = ()
    """Dates on which interest is paid or capitalised, those of the past too. Of open contracts
    none: interest is paid at their end alone, and results count none before the status date."""


def need(value: Moment | None, term: str, *, of: Terms) -> Moment:
    """A term that must be there. Raises BadInput("actus/missing-term")."""
    if value is None:
        raise BadInput("actus/missing-term", at=term, contract=of.contract_id[:40])
    return value


def check_steps(steps: int) -> None:
    """Raises BadInput("schedule/endless") for more than ``MAX_STEPS``."""
    if steps > MAX_STEPS:
        raise BadInput("schedule/endless", steps=steps, most=MAX_STEPS)


def event(terms: Terms, kind: EventType, at: Moment, *, value: Decimal = Decimal(0)) -> Event:
    """An event on a business day, which counts interest to there, or to where it would have been
    (§3.4)."""
    moved = shift(at.day, calendar=terms.calendar, convention=terms.convention)
    shifted = Moment(moved, at.second)
    calc = at.calc if terms.convention.calculates_first else shifted.calc
    return Event(kind, shifted, calc, value)


def scheduled(terms: Terms, kind: EventType, at: Moment) -> Event:
    """An event on a date of a schedule. Its end is not shifted where it was agreed, for then it
    could have been set right (§3.4: t₁ to tₙ₋₁; the dictionary on BDC names MD and IPCED)."""
    if at in (terms.maturity, terms.amortization):
        return fixed(kind, at)
    if kind is EventType.IPCI and at == terms.capitalization_end:
        return fixed(kind, at)
    return event(terms, kind, at)


def fixed(kind: EventType, at: Moment, *, value: Decimal = Decimal(0)) -> Event:
    """An event whose date was agreed and is not shifted."""
    return Event(kind, at, at.calc, value)


def times(
    terms: Terms,
    anchor: Moment | None,
    cycle: Cycle | None,
    end: Moment,
    *,
    with_end: bool = True,
) -> tuple[Moment, ...]:
    """S(s, c, T) of §3.1, with s one cycle after the initial exchange where it is not given; no
    times at all without anchor and cycle."""
    if anchor is None and cycle is None:
        return ()
    if anchor is None:
        assert cycle is not None
        begin = need(terms.initial_exchange or terms.purchase, "initialExchangeDate", of=terms)
        anchor = begin.plus(cycle.period, end_of_month=terms.end_of_month)
    if anchor > end:
        return (end,) if with_end else ()
    if cycle is None:
        return (*((anchor,) if anchor < end else ()), *((end,) if with_end else ()))
    days = regular(anchor.day, period=cycle.period, end_of_month=terms.end_of_month)
    pairs = closed(
        ((day, anchor.second) for day in days),
        end=(end.day, end.second),
        stub=cycle.stub,
        with_end=with_end,
    )
    return tuple(Moment(day, second) for day, second in pairs)


def loan_timetable(terms: Terms, *, market: Market) -> Timetable:
    """The schedule of PAM, LAM, NAM and ANN.

    Raises BadInput: ``actus/missing-term``, ``actus/term`` (a payment that never repays),
    ``schedule/endless``.
    """
    start = need(terms.initial_exchange, "initialExchangeDate", of=terms)
    if terms.notional is None:
        raise BadInput("actus/missing-term", at="notionalPrincipal", contract=terms.contract_id)
    end = _maturity(terms)
    found = [fixed(EventType.IED, start), scheduled(terms, EventType.MD, end)]
    redemptions: tuple[Event, ...] = ()
    if terms.contract_type in _AMORTISES:
        anchor, cycle = terms.redemption_anchor, terms.redemption_cycle
        found += _all(terms, EventType.PR, times(terms, anchor, cycle, end, with_end=False))
        annuity = terms.contract_type is ContractType.ANN
        horizon = (terms.amortization if annuity else None) or end
        redemptions = _all(terms, EventType.PR, times(terms, anchor, cycle, horizon))
    interest = _interest(terms, start, end) if terms.rate is not None else ()
    found += interest
    if terms.contract_type is ContractType.ANN:
        found += _fixings(terms, found)
    resets = reset_events(terms, end)
    found += resets
    if terms.contract_type is ContractType.ANN:
        found += [Event(EventType.PRF, each.at, each.calc) for each in resets]
        prepaid = len(market.of(terms.contract_id, "PP"))
        check_steps(len(redemptions) * (len(resets) + prepaid))
    if terms.scales_interest or terms.scales_notional:
        scaled = times(terms, terms.scaling_anchor, terms.scaling_cycle, end, with_end=False)
        found += _all(terms, EventType.SC, scaled)
    if terms.contract_type in _AMORTISES and terms.base is Base.NTL:
        based = times(terms, terms.base_anchor, terms.base_cycle, end, with_end=False)
        found += _all(terms, EventType.IPCB, based)
    fees = fee_events(terms, end)
    found += fees
    if terms.prepayment is not Prepay.NONE:
        for each in market.of(terms.contract_id, "PP"):
            if terms.penalty is not Penalty.NONE:
                found.append(fixed(EventType.PY, each.at, value=each.value))
            found.append(fixed(EventType.PP, each.at, value=each.value))
    found += trades(terms)
    return Timetable(end, in_force(terms, found, market), redemptions, fees, interest)


def reset_events(terms: Terms, end: Moment) -> tuple[Event, ...]:
    """RR and RRF: where the next rate is known, the first reset after the status date takes it."""
    dates = times(terms, terms.reset_anchor, terms.reset_cycle, end, with_end=False)
    found = _all(terms, EventType.RR, dates)
    if terms.next_reset is None:
        return found
    coming = next((each for each in found if each.at > terms.status_date), None)
    return tuple(
        Event(EventType.RRF, each.at, each.calc) if each is coming else each for each in found
    )


def fee_events(terms: Terms, end: Moment) -> tuple[Event, ...]:
    """FP, the end included."""
    if terms.fee_rate == 0:
        return ()
    return _all(terms, EventType.FP, times(terms, terms.fee_anchor, terms.fee_cycle, end))


def trades(terms: Terms) -> list[Event]:
    """PRD and TD."""
    found = []
    if terms.purchase is not None:
        found.append(fixed(EventType.PRD, terms.purchase))
    if terms.termination is not None:
        found.append(fixed(EventType.TD, terms.termination))
    return found


def in_force(terms: Terms, events: Sequence[Event], market: Market) -> tuple[Event, ...]:
    """Events in order, none twice: after the status date, from the initial exchange to the
    termination, and not beyond what is looked at."""
    found = sorted(set(events), key=lambda each: each.order)
    first = terms.initial_exchange
    if first is not None:
        found = [each for each in found if each.order >= (first, 0)]
    ended = next((each for each in found if each.kind is EventType.TD), None)
    if ended is not None:
        found = [each for each in found if each.order <= ended.order]
    return tuple(each for each in found if each.at > terms.status_date and market.reaches(each.at))


def _all(terms: Terms, kind: EventType, at: Sequence[Moment]) -> tuple[Event, ...]:
    return tuple(scheduled(terms, kind, each) for each in at)


def _interest(terms: Terms, start: Moment, end: Moment) -> tuple[Event, ...]:
    """IP and IPCI."""
    anchor, cycle, stop = terms.interest_anchor, terms.interest_cycle, terms.capitalization_end
    if terms.contract_type in _LEVEL:
        dates, paid = _level_interest(terms, start, end)
    else:
        # Interest must be paid some time: without any date of its own, at the end (the dictionary
        # on IPCL). The specification's schedule would be empty and its maturity pays none.
        dates, paid = times(terms, anchor, cycle, end) or (end,), ()
    if stop is None:
        return _all(terms, EventType.IP, (*dates, *paid))
    # One more on the last day, says the dictionary: so no long stub takes the one before away.
    own = times(terms, anchor, cycle and replace(cycle, stub=Stub.SHORT), stop, with_end=False)
    after = [each for each in (*dates, *paid) if each > stop]
    return (*_all(terms, EventType.IPCI, [*own, stop]), *_all(terms, EventType.IP, after))


def _level_interest(
    terms: Terms, start: Moment, end: Moment
) -> tuple[tuple[Moment, ...], tuple[Moment, ...]]:
    """NAM and ANN: interest on its own dates until one period before the first redemption, then
    with each redemption."""
    cycle = terms.redemption_cycle
    if cycle is None:
        raise BadInput("actus/missing-term", at="cycleOfPrincipalRedemption")
    first = terms.redemption_anchor or start.plus(cycle.period, end_of_month=terms.end_of_month)
    until = first.plus(cycle.period, times=-1, end_of_month=terms.end_of_month)
    anchor = terms.interest_anchor
    if anchor is None and terms.interest_cycle is not None:
        anchor = start.plus(terms.interest_cycle.period, end_of_month=terms.end_of_month)
    own: tuple[Moment, ...] = ()
    if anchor is not None and anchor <= until:
        own = times(terms, anchor, terms.interest_cycle, until)
    return own, times(terms, first, cycle, end)


def _fixings(terms: Terms, events: Sequence[Event]) -> list[Event]:
    """PRF of an annuity whose payment is not given: the day before the first redemption. Where that
    is before the loan, the first redemption fixes it itself."""
    if terms.redemption is not None:
        return []
    dates = [each for each in events if each.kind is EventType.PR]
    if not dates:
        return []
    first = min(dates, key=lambda each: each.order)
    eve = Moment(first.at.plus(_DAY, times=-1).day, first.at.second)
    return [fixed(EventType.PRF, eve)]


def _maturity(terms: Terms) -> Moment:
    """[Md]: the maturity, or the amortisation date, or when the last payment has been made."""
    if terms.maturity is not None:
        return terms.maturity
    if terms.contract_type is ContractType.PAM:
        return need(None, "maturityDate", of=terms)
    if terms.contract_type is ContractType.ANN and terms.amortization is not None:
        return terms.amortization
    cycle = terms.redemption_cycle
    if terms.redemption is None or cycle is None or terms.notional is None:
        return need(None, "maturityDate or nextPrincipalRedemptionPayment", of=terms)
    start = need(terms.initial_exchange, "initialExchangeDate", of=terms)
    month_end = terms.end_of_month
    anchor = terms.redemption_anchor or start.plus(cycle.period, end_of_month=month_end)
    number = 0
    while anchor.plus(cycle.period, times=number, end_of_month=month_end) < terms.status_date:
        number += 1
        if number > MAX_DATES:
            raise BadInput("schedule/endless", most=MAX_DATES)
    each = terms.redemption
    if terms.contract_type in _LEVEL:
        # The interest of the period that runs: t⁻ is the last payment before (§7.4, Md).
        since = max(0, number - 1)
        first = anchor.plus(cycle.period, times=since, end_of_month=month_end)
        second = anchor.plus(cycle.period, times=since + 1, end_of_month=month_end)
        years = year_fraction(first.calc, end=second.calc, count=terms.day_count)
        each -= terms.notional * decimal(years) * (terms.rate or Decimal(0))
    if each <= 0:
        raise BadInput("actus/term", at="nextPrincipalRedemptionPayment", reason="never repaid")
    payments = int((terms.notional / each).to_integral_value(ROUND_CEILING))
    return anchor.plus(cycle.period, times=number + payments - 1, end_of_month=month_end)
