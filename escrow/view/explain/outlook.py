"""Why nothing happened: what may come next for an open loan, and how far it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from escrow.core.due import due, owed_by
from escrow.core.phases import breach, debt_now, loan_phase
from escrow.core.realise import auction_start
from escrow.core.regions import loan as ln
from escrow.core.regions.system import active_seconds, is_fresh
from escrow.core.sales import auction_life
from escrow.core.state import Escrow
from escrow.core.terms import Liquidation, Terms
from escrow.core.units import Seconds
from escrow.view.explain import guards, later, platform
from escrow.view.explain.measure import BOOK, INTEREST, by_time, from_time, number, signed
from escrow.view.explain.parts import SHOWN, Finding, fields_of
from escrow.view.explain.sales import reasons
from escrow.words import money, span


@dataclass(frozen=True, slots=True)
class Ahead:
    """One thing that may come next."""

    what: str
    """Its name: call, restore, liquidation, deadline, maturity, …"""
    finding: Finding
    """How far it is. Of a level: at the debt of this very second and the last price."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """What may come next for one loan."""

    loan: str
    """Its id."""
    at: Seconds
    """Now."""
    phase: str
    """Where it stands."""
    due: tuple[str, ...]
    """What is owed now, and by whom: it waits for them, not for a number."""
    ahead: tuple[Ahead, ...]
    """What may come, levels first, then times."""

    def as_dict(self) -> dict[str, object]:
        """As JSON has it; integers are still integers."""
        return {
            "loan": self.loan,
            "at": self.at,
            "phase": self.phase,
            "due": list(self.due),
            "ahead": [
                {
                    "what": each.what,
                    "verdict": each.finding.verdict,
                    "inputs": [fields_of(part) for part in each.finding.inputs],
                    "rounding": [fields_of(part) for part in each.finding.rounding],
                    "distances": [far.as_dict() for far in each.finding.distances],
                }
                for each in self.ahead
            ],
        }

    def rows(self) -> Iterator[tuple[str, str]]:
        """Label and text of each line, for people."""
        yield "loan", f"{self.loan}: {self.phase} at {SHOWN['moment'](self.at)}"
        for effect in self.due:
            yield "due now", effect
        for each in self.ahead:
            yield each.what, each.finding.verdict
            for far in each.finding.distances:
                yield "", far.shown


def is_open(escrow: Escrow) -> bool:
    """May anything still happen to the loan?"""
    return not isinstance(escrow.loan, ln.Draft | ln.Ended)


def outlook(loan: str, escrow: Escrow) -> Outlook:
    """What may come next for an open loan, as of the clock of its platform."""
    at = escrow.system.clock
    owed = tuple(f"{type(each).__name__} by the {owed_by(each).value}" for each in due(escrow))
    return Outlook(loan, at, loan_phase(escrow), owed, tuple(_ahead(escrow, at=at)))


def _ahead(escrow: Escrow, *, at: Seconds) -> Iterator[Ahead]:
    loan = escrow.loan
    if isinstance(loan, ln.Draft | ln.Ended):
        return
    t = loan.terms
    if isinstance(loan, ln.Indebted):
        yield from _levels(escrow, loan, at=at)
    match loan:
        case ln.Offered() | ln.Accepted():
            yield _until(t, "expires_at", at=at, what="expiry", ends="the offer ends")
        case ln.Opened():
            yield _until(t, "draw_by", at=at, what="draw window", ends="anyone may cancel")
        case ln.Called():
            yield Ahead("deadline", _deadline(escrow, loan, at=at))
        case _:
            pass
    if isinstance(loan, ln.Active | ln.Called):
        due_at = (signed(t, "maturity", unit="moment"),)
        found = from_time(
            at,
            t.maturity,
            what="due",
            source=due_at,
            code="",
            other="not due yet" if at >= t.maturity else "all is due",
        )
        yield Ahead("maturity", found)
        alone = breach(escrow, at=at) is None
        yield Ahead("default", guards.default_time(t, at=at, alone=alone))
    if isinstance(loan, ln.Live):
        found = from_time(
            at, t.recover_at, what="open to the borrower alone",
            source=(signed(t, "recover_at", unit="moment"),), code="recover/too-early",
            other="not yet" if at >= t.recover_at else "the borrower alone may take the coins",
        )  # fmt: skip
        yield Ahead("recovery", found)


def _until(terms: Terms, field: str, *, at: Seconds, what: str, ends: str) -> Ahead:
    limit = getattr(terms, field)
    source = signed(terms, field, unit="moment")
    return Ahead(what, by_time(at, limit, what=what, source=source, code="", other=ends))


def _levels(escrow: Escrow, loan: ln.Indebted, *, at: Seconds) -> Iterator[Ahead]:
    if not is_fresh(escrow.system, at=at):
        stale = platform.not_fresh(escrow, at=at)
        said = f"{stale.verdict}: nothing is called, cured or sold until that is over"
        yield Ahead("no price", Finding(said, stale.inputs))
    if not escrow.token.held:
        debt = debt_now(escrow, at=at)
        owed = number("owed", debt, unit="cents", source=BOOK)
        said = f"no coins are pledged for the {money(debt)} owed: no level means anything"
        yield Ahead("no coins", Finding(said, (owed,), (INTEREST,)))
        return
    buyer = later.willing(loan, at=at)
    match loan:
        case ln.Active():
            yield Ahead("call", guards.call(escrow, at=at))
        case ln.Called():
            yield Ahead("restore", guards.restore(escrow, at=at))
            yield Ahead("still called", guards.still_called(escrow, at=at))
        case ln.Liquidating():
            reason = ln.Reason.CALL_EXPIRED
            debt = debt_now(escrow, at=at)
            since = number("since", loan.since, unit="moment", source=BOOK)
            said = (
                f"for sale since {SHOWN['seconds'](at - loan.since)}; {money(debt)} repaid ends it"
            )
            owed = number("owed", debt, unit="cents", source=BOOK)
            found = Finding(said, (since, owed), (INTEREST,))
            yield Ahead("liquidation", later.now(escrow, buyer, found))
            if loan.terms.liquidation is Liquidation.AUCTION and escrow.system.price is not None:
                yield Ahead("auction", _auction(escrow, loan, reason, at=at))
            return
    reason_now = breach(escrow, at=at)
    if reason_now is None:
        level = guards.liquidation_level(escrow, at=at)
        yield Ahead("liquidation", later.beyond(escrow, buyer, level))
    else:
        # It may be sold now: what could have spared it depends on why.
        first, *others = reasons(reason_now, escrow, at=at)
        for found in (later.now(escrow, buyer, first), *others):
            yield Ahead("liquidation", found)
    if (
        loan.terms.liquidation is Liquidation.AUCTION
        and reason_now is not None
        and escrow.system.price is not None
    ):
        yield Ahead("auction", _auction(escrow, loan, reason_now, at=at))


def _auction(escrow: Escrow, loan: ln.Indebted, reason: ln.Reason, *, at: Seconds) -> Finding:
    assert escrow.system.price is not None
    end = auction_start(loan, escrow.system.price, reason) + auction_life(loan.terms)
    code = "auction/stale" if at <= end else "auction/running"
    return guards.auction_clock(escrow, loan, reason, at=at, code=code)


def _deadline(escrow: Escrow, loan: ln.Called, *, at: Seconds) -> Finding:
    if loan.dispute is not None:
        limit = Seconds(loan.dispute.at + loan.terms.dispute)
        source = signed(loan.terms, "dispute", unit="seconds", name="time of the arbiter")
        other = "anyone may end the dispute"
        return by_time(
            at, limit, what="the arbiter's time", source=source, code="dispute/not-arbiter",
            other=other,
        )  # fmt: skip
    found = guards.cure_time(escrow, loan, at=at)
    left = loan.deadline - active_seconds(escrow.system, at=at)
    if left < 0:
        return found
    wall = (
        f"; on the wall clock in {span(left + 1, units=4)} if the price stays fresh"
        if is_fresh(escrow.system, at=at)
        else "; the active clock stands until a price may be used"
    )
    return Finding(found.verdict + wall, found.inputs, found.rounding, found.distances)
