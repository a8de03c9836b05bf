"""Asks the core again with one number changed: does the outcome flip where it is said to?"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from escrow.core.decide import Command, decide
from escrow.core.errors import Rejected
from escrow.core.phases import debt_now, fresh_price
from escrow.core.regions import loan as ln
from escrow.core.regions.system import median
from escrow.core.roles import Role
from escrow.core.rules import INTEREST_DEN, MAX_INTEREST_ACC, Debt
from escrow.core.state import Escrow, Event, fold
from escrow.core.units import MAX_CENTS, MAX_MONEY, Cents, PriceE8, Sats, Seconds
from escrow.core.verbs.auction import ANY_PRICE, Take
from escrow.core.verbs.cancel import Cancel
from escrow.core.verbs.dispute import Resolve
from escrow.core.verbs.liquidate import Liquidate
from escrow.core.verbs.mark import Mark
from escrow.core.verbs.payout import SawPayout, SawPayoutStuck
from escrow.view.explain import Distance, Subject

FOREVER = Seconds(10**10)
LEVELS = ("call/healthy", "cure/not-restored", "expire/healthy", "liquidate/healthy")
"""Codes of guards that come last in their verbs: past them all is allowed."""


def varied(escrow: Escrow, command: Command, far: Distance, value: int) -> tuple[Escrow, Command]:
    """The same with the subject of ``far`` at ``value``, for a buyer that takes any terms."""
    escrow, command = as_asked(escrow, command, far, value)
    freed = (Subject.DEBT, Subject.PRICE, Subject.MOMENT, Subject.DEADLINE)
    return escrow, _willing(command) if far.subject in freed else command


def as_asked(escrow: Escrow, command: Command, far: Distance, value: int) -> tuple[Escrow, Command]:
    """The same with the subject of ``far`` at ``value``, and nothing else."""
    match far.subject:
        case Subject.DEBT:
            return _owing(escrow, value, at=command.at), command
        case Subject.PRICE if isinstance(command, Mark):
            prices = (PriceE8(value),) * len(command.prices)
            return escrow, replace(command, prices=prices)
        case Subject.PRICE:
            last = escrow.system.price
            assert last is not None
            system = replace(escrow.system, price=replace(last, price=PriceE8(value)))
            return replace(escrow, system=system), command
        case Subject.AMOUNT:
            return escrow, with_field(command, ("amount", "sats"), value)
        case Subject.MOMENT:
            return _moved(escrow, command, far.code, Seconds(value))
        case Subject.DEADLINE:
            loan = replace(escrow.loan, deadline=Seconds(value))
            return replace(escrow, loan=loan), command
        case Subject.SPAN:
            return escrow, with_field(command, ("seconds", "age"), value)
        case Subject.LIMIT:
            names = {
                "loan/amount": "pay",
                "liquidate/slippage": "least" if isinstance(command, Liquidate) else "most",
                "auction/cap": "room",
                "mint/reserves": "reserves",
            }
            return escrow, with_field(command, (names[far.code],), value)
        case Subject.SIGNERS:
            assert isinstance(command, Mark)
            return escrow, replace(command, prices=(median(command.prices),) * value)
        case Subject.BLOCKS:
            name = "blocks" if isinstance(command, SawPayoutStuck) else "depth"
            return escrow, with_field(command, (name,), value)
        case Subject.FEE:
            assert isinstance(command, SawPayout)
            return escrow, replace(command, payout=replace(command.payout, fee=Sats(value)))


def with_field(command: Command, names: tuple[str, ...], value: int) -> Command:
    """The command with the one of these fields that it has."""
    [name] = [each.name for each in fields(command) if each.name in names]
    changes: dict[str, Any] = {name: value}
    return replace(command, **changes)


def _owing(escrow: Escrow, cents: int, *, at: Seconds) -> Escrow:
    """Exactly so much is owed at ``at``: what exceeds the principal is interest."""
    loan = escrow.loan
    assert isinstance(loan, ln.Live)
    part = min(max(0, cents - loan.debt.principal), MAX_INTEREST_ACC // INTEREST_DEN)
    debt = Debt(
        principal=Cents(cents - part),
        interest_acc=part * INTEREST_DEN,
        drawn=Cents(cents),
        accrued_to=at,
    )
    return replace(escrow, loan=replace(loan, debt=debt))


def _willing(command: Command) -> Command:
    """A buyer that takes any terms, and a book with room: what is varied alone decides."""
    if isinstance(command, Take):
        command = replace(command, want=Sats(MAX_MONEY), most=ANY_PRICE, over=False)
    if isinstance(command, Liquidate):
        command = replace(command, pay=MAX_CENTS, least=Sats(0))
    return replace(command, room=MAX_CENTS) if hasattr(command, "room") else command


def _moved(escrow: Escrow, command: Command, code: str, at: Seconds) -> tuple[Escrow, Command]:
    moved = replace(command, at=at)
    # Whom the time matters to: the entitled may at any time.
    if code == "cancel/draw-window" and isinstance(moved, Cancel):
        moved = replace(moved, by=Role.LENDER)
    if code == "dispute/not-arbiter" and isinstance(moved, Resolve):
        moved = replace(moved, by=Role.STRANGER)
    system = escrow.system
    if code != "clock/backwards":
        system = replace(system, clock=min(system.clock, at))
    area = code.split("/", maxsplit=1)[0]
    if area not in ("", "price", "pause", "clock"):
        # Another guard than the one in question must not answer first.
        system = replace(system, heartbeat=FOREVER, pause=None)
        # What is overdue is told by what was paid, which must stay.
        if isinstance(escrow.loan, ln.Indebted) and area != "default":
            debt = debt_now(escrow, at=command.at)
            escrow = _owing(escrow, debt, at=max(at, command.at))
    return replace(escrow, system=system), moved


def code_of(escrow: Escrow, command: Command, code: str) -> str:
    """The code with which the core refuses; empty if it does not."""
    try:
        if code == "price/stale":
            # Which price may be used is one question that many verbs ask after others.
            fresh_price(escrow.system, at=command.at)
        else:
            decide(escrow, command)
    except Rejected as refusal:
        return refusal.code
    return ""


def outcome(escrow: Escrow, command: Command, kind: type[Event]) -> object:
    """What came of it, as far as a distance without a code speaks of it."""
    events = decide(escrow, command)
    found = next((event for event in events if isinstance(event, kind)), None)
    match found:
        case ln.Resolved(upheld=upheld):
            return upheld
        case ln.Liquidated(split=split):
            return split.bad_debt > 0
        case ln.Repayment():
            return isinstance(fold(escrow, events).loan, ln.Repaid | ln.Ended)
        case _:
            return found is not None


def flips_event(escrow: Escrow, command: Command, far: Distance, kind: type[Event]) -> None:
    """Assert that what was allowed is not any more at the flip, and is still beside it."""
    at_flip = varied(escrow, command, far, far.flip)
    beside = varied(escrow, command, far, far.beside)
    assert far.away > 0
    if not far.code:
        as_it_was = varied(escrow, command, far, far.actual)
        was = outcome(*as_it_was, kind)
        assert outcome(*beside, kind) == was, f"{far} flips before"
        assert outcome(*at_flip, kind) != was, f"{far} does not flip"
        return
    assert code_of(*at_flip, far.code) == far.code, f"{far} does not flip"
    told = code_of(*beside, far.code)
    assert told != far.code, f"{far} flips before"
    if far.subject in (Subject.DEBT, Subject.PRICE, Subject.DEADLINE) and far.code in (
        *LEVELS, "expire/cure-time", "draw/above-initial-ltv", "withdraw/above-initial-ltv",
    ):  # fmt: skip
        assert told == "", f"{far}: beside it, it is refused for {told}"


def flips_refusal(escrow: Escrow, command: Command, far: Distance) -> None:
    """Assert that what was refused with a code is not at the flip, and is still beside it."""
    assert far.away > 0
    assert code_of(*varied(escrow, command, far, far.beside), far.code) == far.code, f"{far} early"
    told = code_of(*varied(escrow, command, far, far.flip), far.code)
    assert told != far.code, f"{far} does not flip"
    if far.subject in (Subject.DEBT, Subject.PRICE, Subject.MOMENT) and far.code in LEVELS:
        # A guard that is asked later may still refuse: then it is named.
        told = code_of(*as_asked(escrow, command, far, far.flip), far.code)
        assert told == far.then, f"{far}: at the flip it is refused for {told}"
        assert not told or far.other.startswith(f"refused, {told}: ")
