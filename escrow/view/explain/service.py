"""Why a loan is told of beside its terms: notices, missed payments, impairment, default."""

from __future__ import annotations

from typing import assert_never

from escrow.core.phases import debt_now
from escrow.core.regions import servicing as sv
from escrow.core.servicing import default_from
from escrow.core.state import Escrow
from escrow.core.units import Bps, Seconds
from escrow.view.explain import rulebook as rb
from escrow.view.explain.measure import (
    BOOK,
    EXACT,
    HELD,
    INTEREST,
    from_time,
    number,
    ratio,
    said_price,
)
from escrow.view.explain.parts import Explanation, Finding, Input, explained
from escrow.words import moment, percent

PLAN = "the plan that was offered and accepted beside the terms"


def of_servicing(event: sv.ServicingEvent, before: Escrow) -> Explanation:
    """Why the loan stands as it is told."""
    what, at = type(event).__name__, event.at
    match event:
        case sv.MarginNoticed(noticed=count) | sv.NoticeLifted(noticed=count):
            return explained(what, at, rb.NOTICE, _notice(before, count, at=at))
        case sv.StandingNoted(standing=standing, since=since):
            word = standing.name.lower().replace("_", " ")
            if since is None:
                return explained(what, at, rb.STANDING, Finding(f"nothing is overdue: {word}"))
            said = f"unpaid since {moment(since)}: {word} ({standing.value})"
            return explained(what, at, rb.STANDING, Finding(said, _patience(before, since)))
        case sv.Impaired():
            said = "the lender holds the loan for impaired: all of the debt is due now"
            return explained(what, at, rb.IMPAIR, Finding(said))
        case sv.ImpairmentLifted():
            said = "the lender took the impairment back: what the plan says is due"
            return explained(what, at, rb.IMPAIR, Finding(said))
        case sv.DefaultDeclared(since=since):
            return explained(what, at, rb.DEFAULT, declared(before, since, at=at))
        case _:
            assert_never(event)


def declared(before: Escrow, since: Seconds, *, at: Seconds) -> Finding:
    """Could the lender declare default of what is unpaid ``since``?"""
    last = default_from(before, since=since)
    code = "default/too-early" if last > since else "default/not-overdue"
    return from_time(
        at, last + 1, what="may be declared", source=_patience(before, since), code=code
    )


def _patience(before: Escrow, since: Seconds) -> tuple[Input, ...]:
    plan = before.servicing.plan
    assert plan is not None
    return (
        number("unpaid since", since, unit="moment", source=PLAN),
        number("grace", plan.grace, unit="seconds", source=PLAN),
        number("delinquency", plan.delinquency, unit="seconds", source=PLAN),
    )


def _notice(before: Escrow, count: int, *, at: Seconds) -> Finding:
    """Which notice levels are reached, of those that the plan names."""
    plan, last = before.servicing.plan, before.system.price
    assert plan is not None
    assert last is not None
    debt, held = debt_now(before, at=at), before.token.held
    near = plan.notices[max(0, count - 1)] if plan.notices else Bps(0)
    shown = ratio(debt, sats=held, price=last.price, level=near)
    levels = tuple(
        number(f"notice level {n}", level, unit="", source=PLAN)
        for n, level in enumerate(plan.notices, start=1)
    )
    inputs = (
        number("owed", debt, unit="cents", source=BOOK),
        number("pledged", held, unit="sats", source=HELD),
        said_price(last),
        *levels,
    )
    if not count:
        return Finding(f"LTV {shown}: below every notice level", inputs, (INTEREST, EXACT))
    said = f"LTV {shown}: notice level {percent(near)} is reached, {count} of {len(levels)}"
    return Finding(said, inputs, (INTEREST, EXACT))
