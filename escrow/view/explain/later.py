"""What follows past a level or a time: what was asked for, or the refusal of a guard that is asked
later. Is an auction's price still falling, is enough paid, is too little debt left?

The core itself is asked, with the one number changed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from escrow.core.decide import Command, decide
from escrow.core.errors import CODES, Rejected
from escrow.core.phases import debt_now
from escrow.core.regions import loan as ln
from escrow.core.roles import Role
from escrow.core.rules import INTEREST_DEN, MAX_INTEREST_ACC
from escrow.core.sales import auction_life
from escrow.core.state import Escrow
from escrow.core.terms import Liquidation
from escrow.core.units import MAX_MONEY, MAX_TIME, Cents, PriceE8, Sats, Seconds
from escrow.core.verbs.auction import Take
from escrow.core.verbs.liquidate import Liquidate
from escrow.view.explain.parts import SHOWN, Distance, Finding, Subject

_WHOLE: Final = Cents(MAX_INTEREST_ACC // INTEREST_DEN)
"""The most interest that there can be."""


def willing(loan: ln.Indebted, *, at: Seconds) -> Command:
    """Who may buy, at any price, all that there is."""
    kind = loan.terms.liquidation
    match kind:
        case Liquidation.AUCTION:
            return Take(Role.LIQUIDATOR, at, Sats(MAX_MONEY))
        case Liquidation.TAKE_OVER:
            return Liquidate(Role.LENDER, at, kind)
        case _:
            return Liquidate(Role.LIQUIDATOR, at, kind)


def beyond(escrow: Escrow, command: Command, found: Finding) -> Finding:
    """The finding, with what really follows at each of its flips."""
    return replace(found, distances=tuple(_beyond(escrow, command, far) for far in found.distances))


def now(escrow: Escrow, command: Command, found: Finding) -> Finding:
    """The finding, with what is refused all the same where the level is reached already. A price
    that is too old is told elsewhere."""
    refusal = _answer(escrow, command)
    if refusal is None or refusal.code == "price/stale":
        return found
    said = f"{found.verdict}; yet refused, {refusal.code}: {_numbers(escrow, refusal)}"
    return replace(found, verdict=said)


def _beyond(escrow: Escrow, command: Command, far: Distance) -> Distance:
    refusal = _answer(*_with(escrow, command, far))
    if refusal is None or refusal.code == far.code:
        return far
    other = f"refused, {refusal.code}: {_numbers(escrow, refusal)}"
    return replace(far, other=other, then=refusal.code)


def _answer(escrow: Escrow, command: Command) -> Rejected | None:
    try:
        decide(escrow, command)
    except Rejected as refusal:
        return refusal
    return None


def _with(escrow: Escrow, command: Command, far: Distance) -> tuple[Escrow, Command]:
    """The same with the subject of a distance at its flip."""
    loan, last = escrow.loan, escrow.system.price
    assert isinstance(loan, ln.Indebted)
    match far.subject:
        case Subject.DEBT:
            return _owing(escrow, loan, Cents(far.flip), at=command.at), command
        case Subject.PRICE if last is not None:
            system = replace(escrow.system, price=replace(last, price=PriceE8(far.flip)))
            return replace(escrow, system=system), command
        case Subject.MOMENT:
            # All else the same: also the debt, and that a price is fresh.
            at = Seconds(far.flip)
            system = replace(
                escrow.system,
                heartbeat=Seconds(MAX_TIME),
                pause=None,
                clock=min(escrow.system.clock, at),
            )
            same = _owing(escrow, loan, debt_now(escrow, at=command.at), at=at)
            return replace(same, system=system), replace(command, at=at)
        case _:
            return escrow, command


def _owing(escrow: Escrow, loan: ln.Indebted, cents: Cents, *, at: Seconds) -> Escrow:
    """So much is owed at ``at``: more of it than the principal is interest."""
    interest = min(max(0, cents - loan.debt.principal), _WHOLE)
    debt = replace(
        loan.debt,
        principal=Cents(cents - interest),
        interest_acc=interest * INTEREST_DEN,
        accrued_to=at,
    )
    return replace(escrow, loan=replace(loan, debt=debt))


def _numbers(escrow: Escrow, refusal: Rejected) -> str:
    """Why, with what was compared."""
    facts = {name: int(fact) for name, fact in refusal.facts.items() if isinstance(fact, int)}
    money, sats, price, span = (SHOWN[unit] for unit in ("cents", "sats", "e-8", "seconds"))
    match refusal.code:
        case "auction/stale" if isinstance(escrow.loan, ln.Indebted):
            life = span(auction_life(escrow.loan.terms))
            return f"its price has fallen for {span(facts['elapsed'])}, and may for {life}"
        case "liquidate/dust":
            return f"{money(facts['left'])} would be left, and at least {money(facts['least'])} may"
        case "loan/amount" if "asked" in facts:
            return f"{money(facts['amount'])} is offered, and {money(facts['asked'])} needed"
        case "liquidate/slippage" if "seized" in facts:
            return f"{sats(facts['seized'])} for it, and {sats(facts['least'])} wanted"
        case "liquidate/slippage":
            return f"{price(facts['price'])} a coin, and at most {price(facts['most'])} offered"
        case "auction/cap":
            return f"{money(facts['principal'])} of principal, and room for {money(facts['room'])}"
        case _:
            return CODES[refusal.code]
