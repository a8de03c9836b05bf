"""A book of loans by the rules alone: no chain, one platform for all, and only those loans are
looked at for which something may have changed.

A price or the time is decided once, whatever the number of loans. A loan at rest is put down with
the highest price at which it could be called and the first moment at which time alone may bring
something; until either is reached nothing can be due of it. That is a bound, never a guess: what
it lets through is decided in full, and the story is the same, event by event, as if every loan
had been looked at each time.

What is owed is done as by ``respond``: coins and payouts are final at once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from heapq import heappop, heappush
from typing import Final

from escrow.core.decide import Command, decide, witness
from escrow.core.due import Effect, PayByChild, RecoverCoins, due, wakes
from escrow.core.laws import LAWS, Law, Step, broken
from escrow.core.regions.loan import Active, Draft, Ended
from escrow.core.regions.servicing import Servicing
from escrow.core.regions.system import System
from escrow.core.rules import owed
from escrow.core.state import Escrow, Event, evolve
from escrow.core.units import BPS, CENTS_SCALE, DAY, MAX_PRICE, PriceE8, Seconds, muldiv_down
from escrow.sim.respond import respond

HORIZON: Final = Seconds(30 * DAY)
"""How far ahead a bound counts interest: farther means fewer bounds, and looser ones."""
_ROUNDS: Final = 50
"""Times in one go that something is owed of one loan before that is taken for a mistake."""
_OWN: Final = (RecoverCoins, PayByChild)
"""What only the borrower does, when it wants to."""


@dataclass(frozen=True, slots=True)
class Bound:
    """Until when nothing can be due of a loan."""

    below: PriceE8
    """Nothing while the price is above this,"""
    until: Seconds
    """and the time before this."""


class Watchlist:
    """Which loans want a look at a price and a time. A loan that is not in it wants one always."""

    def __init__(self) -> None:
        self._bounds: dict[str, Bound] = {}
        self._prices: list[tuple[int, str]] = []  # highest bound first: negated
        self._moments: list[tuple[int, str]] = []

    def put(self, loan: str, bound: Bound) -> None:
        """Leave the loan alone until the bound is reached."""
        self._bounds[loan] = bound
        heappush(self._prices, (-bound.below, loan))
        heappush(self._moments, (bound.until, loan))

    def drop(self, loan: str) -> None:
        """It is looked at for another reason, and its bounds are void."""
        self._bounds.pop(loan, None)

    def reached(self, *, price: PriceE8, at: Seconds) -> list[str]:
        """Take out whose bounds are reached."""
        found: list[str] = []
        while self._prices and -self._prices[0][0] >= price:
            below, loan = heappop(self._prices)
            bound = self._bounds.get(loan)
            if bound is not None and bound.below == -below:
                del self._bounds[loan]
                found.append(loan)
        while self._moments and self._moments[0][0] <= at:
            until, loan = heappop(self._moments)
            bound = self._bounds.get(loan)
            if bound is not None and bound.until == until:
                del self._bounds[loan]
                found.append(loan)
        return found


class Book:
    """Many deals on one platform."""

    def __init__(self, system: System, *, every: int = 500, skipping: bool = True) -> None:
        """After an event of one loan every law is checked of that loan. After one of the platform,
        of one loan in ``every``, in turn, for all at once would cost more than everything else;
        1: of all. Without ``skipping`` every loan is looked at each time."""
        self.system = system
        self.deals: dict[str, Escrow] = {}
        self.log: list[tuple[str, Event]] = []
        """Every event, oldest first, with its loan: "" for the platform."""
        self.checked = 0
        """Laws checked so far, one for each law, loan and event."""
        self.broken: list[tuple[Law, str, Event]] = []
        """Laws found broken."""
        self.looks = 0
        """Times that what is owed of a loan was worked out."""
        self._every = every
        self._turn = 0
        self._skipping = skipping
        self._watch = Watchlist()
        self._awake: dict[str, None] = {}
        self._names: list[str] = []
        self._number: dict[str, int] = {}

    def deal(self, loan: str) -> Escrow:
        """One deal with the platform as it is now; a fresh one if the loan is unknown."""
        found = self.deals.get(loan) or Escrow(self.system)
        return found if found.system is self.system else replace(found, system=self.system)

    def tell(self, command: Command) -> None:
        """What concerns the platform. Raises ``Rejected``.

        It wakes no loan by itself: a pause or an old price only holds up what is due, and that is
        due again at a price and a time that are looked at anyway.
        """
        for event in decide(Escrow(self.system), command):
            before, self.system = self.system, evolve(Escrow(self.system), event).system
            self.log.append(("", event))
            for loan in self._sample():
                deal = self.deal(loan)
                self._judge(loan, Step(replace(deal, system=before), event, deal))

    def ask(self, loan: str, command: Command, *, fact: bool = False) -> tuple[Event, ...]:
        """What concerns one loan; it is looked at next time. A ``fact`` that the rules would
        refuse is an incident. Raises ``Rejected``; then nothing changed."""
        events = (witness if fact else decide)(self.deal(loan), command)
        if events and loan not in self._number:
            self._number[loan] = len(self._names)
            self._names.append(loan)
        for event in events:
            before = self.deal(loan)
            self.deals[loan] = evolve(before, event)
            self.log.append((loan, event))
            self._judge(loan, Step(before, event, self.deals[loan]))
        if events:
            self.wake(loan)
        return events

    def wake(self, loan: str) -> None:
        """Have the loan looked at next time."""
        self._watch.drop(loan)
        if not is_over(self.deals[loan]):
            self._awake[loan] = None

    def waiting(self) -> tuple[str, ...]:
        """Loans that want a look now, in the order of the book."""
        if not self._skipping:
            return tuple(loan for loan, deal in self.deals.items() if not is_over(deal))
        price = self.system.price
        at_least = price.price if price is not None else MAX_PRICE
        for loan in self._watch.reached(price=at_least, at=self.system.clock):
            self._awake[loan] = None
        return tuple(sorted(self._awake, key=self._number.__getitem__))

    def settle(self, loan: str, *, until: Seconds) -> None:
        """Do all that is owed of a loan now; then leave it alone as long as nothing can be, at most
        up to ``until``."""
        for _ in range(_ROUNDS):
            self.looks += 1
            effects = due(self.deal(loan))
            if not any(self._do(loan, effect) for effect in effects):
                break
        else:
            raise AssertionError(f"done, and stays due: {effects}")
        deal = self.deal(loan)
        bound = bound_of(deal, until=until) if self._skipping and not effects else None
        if bound is not None:
            self._watch.put(loan, bound)
        if bound is not None or is_over(deal):
            self._awake.pop(loan, None)

    def _do(self, loan: str, effect: Effect) -> bool:
        """Was anything done? What a borrower may do for itself is not for others to do."""
        if isinstance(effect, _OWN):
            return False
        commands = respond(self.deal(loan), effect, at=self.system.clock)
        happened = [self.ask(loan, each, fact=True) for each in commands]
        return any(happened)

    def _sample(self) -> list[str]:
        """Whose laws are checked after this event of the platform."""
        self._turn += 1
        return self._names[self._turn % self._every :: self._every]

    def _judge(self, loan: str, step: Step) -> None:
        self.checked += len(LAWS)
        self.broken += [(law, loan, step.event) for law in broken(step)]


def is_over(deal: Escrow) -> bool:
    """Can nothing more happen?"""
    return isinstance(deal.loan, Draft | Ended)


def bound_of(deal: Escrow, *, until: Seconds) -> Bound | None:
    """Until when nothing can come due of a loan of which nothing is due now; ``None``: nobody
    knows. Only drawn loans without notices and instalments rest.

    The level that comes first is the call's, and the debt only grows: at ``until`` it is most.
    """
    loan, held = deal.loan, deal.token.held
    if not isinstance(loan, Active) or not held or deal.servicing != Servicing():
        return None
    end = min(until, Seconds(deal.system.clock + HORIZON), *wakes(deal))
    debt = owed(loan.debt, rate_bps=loan.terms.rate_bps, at=end)
    # At this price the loan-to-value is at the call level exactly, or a little above.
    below = muldiv_down(debt * CENTS_SCALE, BPS, loan.terms.call_ltv * held)
    return Bound(PriceE8(below), end)
