"""A portfolio in the pure core: many borrowers, each with its own terms and habits, one price path.

Every loan is told by commands that the rules decide, as on the chains, but no chain is there: what
is owed is done at once. What a borrower does is drawn from streams of its own name, so no loan's
story depends on which others are in the book.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from heapq import heappop, heappush
from typing import Final

from escrow.adapters.price.files import Quote
from escrow.config import BLOCK_INTERVAL
from escrow.core.errors import BadInput, Rejected
from escrow.core.phases import debt_now, takes_collateral
from escrow.core.regions.loan import Called, Indebted
from escrow.core.regions.system import System, new_system
from escrow.core.regions.token import free
from escrow.core.roles import Role
from escrow.core.rules import ltv_up
from escrow.core.state import Escrow
from escrow.core.terms import MIN_DEPOSIT, Terms
from escrow.core.units import (
    BPS,
    CENTS_SCALE,
    DAY,
    HOUR,
    Bps,
    Cents,
    Sats,
    Seconds,
    muldiv_down,
    muldiv_up,
)
from escrow.core.verbs.accept import Accept
from escrow.core.verbs.draw import Draw
from escrow.core.verbs.mark import Mark
from escrow.core.verbs.offer import Offer
from escrow.core.verbs.pledge import SawCoin
from escrow.core.verbs.refinance import Refinance
from escrow.core.verbs.repay import Repay
from escrow.core.verbs.tick import Tick
from escrow.core.verbs.top_up import TopUp
from escrow.sim.book import Book
from escrow.streams import Streams

MAX_MEMBERS: Final = 10_000
"""Most loans of one portfolio."""
_ORACLES: Final = 5
"""Reports of a round: as many as a jump needs, all alike."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Habit:
    """What a borrower is like. Chances are parts of 10,000."""

    answers: Bps
    """That it answers a margin call at all: drawn once a call."""
    pays: Bps
    """That it answers by repayment and not by coins."""
    repays: Bps
    """That it repays at maturity: drawn once."""
    reserve: Sats
    """Coins that it has for answers; a call that asks for more goes unanswered."""

    def __post_init__(self) -> None:
        """Raises BadInput("input/amount")."""
        for chance in (self.answers, self.pays, self.repays):
            if not 0 <= chance <= BPS:
                raise BadInput("input/amount", chance=chance, most=BPS)
        if self.reserve < 0:
            raise BadInput("input/amount", reserve=self.reserve)


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One loan of a portfolio."""

    name: str
    """Whose: unique, names the loan and its borrower's streams."""
    terms: Terms
    pledged: Sats
    draw: Cents
    habit: Habit


@dataclass(slots=True)
class _Life:
    """A borrower while the portfolio runs."""

    member: Member
    reserve: Sats
    coins: int = 0
    """Coins sent so far."""
    answered: Seconds | None = None
    """When the call was made that was thought about last."""
    planned: list[tuple[Seconds, str]] = field(default_factory=list)
    """What it does next, soonest first."""
    worst: Bps = Bps(0)


class Portfolio:
    """Loans under way."""

    def __init__(
        self,
        members: Iterable[Member],
        *,
        first: Quote,
        seed: int,
        heartbeat: Seconds = DAY,
        rates: Sequence[tuple[Seconds, Bps]] = (),
        every: int = 500,
        skipping: bool = True,
    ) -> None:
        """Every loan is offered, accepted, pledged and drawn at the ``first`` price. ``every`` and
        ``skipping`` as in ``Book``.

        ``rates`` are what a floating rate becomes, and when, in order: both sides sign the terms
        anew (T33), and what is owed is principal from then on. The coins must carry the debt at
        the restore level; where they do not, or a call is open, it is tried again each day.

        Raises BadInput("input/amount") for too many members, BadInput("input/party") for two of
        one name; ``Rejected`` for what the rules refuse.
        """
        self.streams = Streams(b"portfolio" + seed.to_bytes(8, "big"))
        self.book = Book(_platform(first.at, heartbeat), every=every, skipping=skipping)
        self.refused: Counter[str] = Counter()
        """Resets of the rate that the rules refused, by code."""
        self._rates = tuple(rates)
        self._lives: dict[str, _Life] = {}
        self._mark(first)
        for member in members:
            if member.name in self._lives:
                raise BadInput("input/party", party=member.name[:40])
            if len(self._lives) == MAX_MEMBERS:
                raise BadInput("input/amount", most=MAX_MEMBERS)
            self._lives[member.name] = _Life(member, member.habit.reserve)
            self._open(member)
        self._day = muldiv_down(first.at, 1, DAY)

    @property
    def members(self) -> tuple[Member, ...]:
        """Whose loans these are, in the order of the book."""
        return tuple(life.member for life in self._lives.values())

    def worst(self, name: str) -> Bps:
        """Highest loan-to-value of a loan: seen at the first price of each day, and whenever
        something came due, before it was done."""
        return self._lives[name].worst

    def run(self, quotes: Iterable[Quote]) -> None:
        """Let time pass along the prices. Raises ``Rejected`` for prices out of order."""
        for quote in quotes:
            self._mark(quote)
            for loan in self.book.waiting():
                self._look(loan)
            day = muldiv_down(quote.at, 1, DAY)
            if day > self._day:
                self._day = day
                for loan, life in self._lives.items():
                    self._observe(life, self.book.deal(loan))

    # --- inside ---

    def _mark(self, quote: Quote) -> None:
        last = self.book.system.price
        self.book.tell(Tick(Role.WATCHER, quote.at))
        number = last.round + 1 if last else 1
        self.book.tell(Mark(Role.ORACLE, quote.at, number, (quote.price,) * _ORACLES, quote.at))

    def _open(self, member: Member) -> None:
        """From the offer to the money; T1 to T8."""
        now, loan = self.book.system.clock, member.name
        self.book.ask(loan, Offer(Role.LENDER, now, member.terms))
        self.book.ask(loan, Accept(Role.BORROWER, now))
        self.book.settle(loan, until=now)
        self._send(self._lives[loan], member.pledged, depth=member.terms.confirmations)
        self._secure(loan)
        self.book.ask(loan, Draw(Role.BORROWER, now, member.draw))
        self._plan(self._lives[loan], Seconds(member.terms.maturity), "mature")
        for at, _ in self._rates:
            self._plan(self._lives[loan], at, "reset")
        self._look(loan)

    def _look(self, loan: str) -> None:
        """The borrower acts, then duties are kept: payments before margin, as the rules rank."""
        life, now = self._lives[loan], self.book.system.clock
        while life.planned and life.planned[0][0] <= now:
            _ACTS[heappop(life.planned)[1]](self, life)
        deal, told = self.book.deal(loan), len(self.book.log)
        self.book.settle(loan, until=self._next(life))
        if len(self.book.log) > told:
            self._observe(life, deal)
        state = self.book.deal(loan).loan
        if isinstance(state, Called) and life.answered != state.called_at:
            life.answered = state.called_at
            if self._chance(life, "call") < life.member.habit.answers:
                hours = muldiv_up(state.terms.cure, 1, HOUR)
                delay = self.streams.below(f"{life.member.name}/delay", max(1, hours)) * HOUR
                self._plan(life, Seconds(now + delay), "answer")

    def _next(self, life: _Life) -> Seconds:
        """When the borrower does something next."""
        far = life.member.terms.recover_at
        return life.planned[0][0] if life.planned else far

    def _plan(self, life: _Life, at: Seconds, what: str) -> None:
        heappush(life.planned, (at, what))

    def _chance(self, life: _Life, what: str) -> int:
        return self.streams.below(f"{life.member.name}/{what}", BPS)

    def _answer(self, life: _Life) -> None:
        """Bring the loan-to-value down to the restore level, by coins or by money; not at all if
        there are too few coins."""
        deal, now = self.book.deal(life.member.name), self.book.system.clock
        price = self.book.system.price
        if not isinstance(deal.loan, Called) or price is None:
            return
        terms, held, debt = deal.loan.terms, deal.token.held, debt_now(deal, at=now)
        if self._chance(life, "means") < life.member.habit.pays:
            allowed = muldiv_down(held * price.price, terms.restore_ltv, CENTS_SCALE * BPS)
            amount = Cents(max(1, debt - allowed))
            self.book.ask(life.member.name, Repay(Role.BORROWER, now, amount))
            return
        # A day's interest more, since it grows while the coin is buried.
        later = debt_now(deal, at=Seconds(now + DAY))
        wanted = muldiv_up(later * CENTS_SCALE, BPS, terms.restore_ltv * price.price) - held
        sats = Sats(max(MIN_DEPOSIT, wanted))
        if sats <= life.reserve:
            life.reserve = Sats(life.reserve - sats)
            self._send(life, sats, depth=0)
            self._plan(life, Seconds(now + terms.confirmations * BLOCK_INTERVAL), "bury")

    def _send(self, life: _Life, sats: Sats, *, depth: int) -> None:
        now, name = self.book.system.clock, life.member.name
        outpoint = f"{name}:{life.coins}"
        life.coins += 1
        self.book.ask(
            name, SawCoin(Role.WATCHER, now, outpoint, sats, depth, height=depth), fact=True
        )

    def _bury(self, life: _Life) -> None:
        """The coin of an answer is final: it is minted for and pledged, if the loan takes it."""
        name, now = life.member.name, self.book.system.clock
        depth = life.member.terms.confirmations
        for coin in self.book.deal(name).vault.coins:
            seen = SawCoin(Role.WATCHER, now, coin.outpoint, coin.sats, depth, height=depth)
            self.book.ask(name, seen, fact=True)
        self._secure(name)

    def _secure(self, loan: str) -> None:
        now = self.book.system.clock
        self.book.settle(loan, until=now)
        deal = self.book.deal(loan)
        if takes_collateral(deal.loan) and free(deal.token):
            self.book.ask(loan, TopUp(Role.BORROWER, now, free(deal.token)))

    def _mature(self, life: _Life) -> None:
        """At maturity it repays everything, or nothing ever."""
        name, now = life.member.name, self.book.system.clock
        debt = debt_now(self.book.deal(name), at=now)
        if debt and self._chance(life, "maturity") < life.member.habit.repays:
            self.book.ask(name, Repay(Role.BORROWER, now, debt))

    def _reset(self, life: _Life) -> None:
        """The rate of today, if the rules let the terms be signed anew."""
        name, now = life.member.name, self.book.system.clock
        deal = self.book.deal(name)
        rate = [bps for at, bps in self._rates if at <= now][-1]
        if not isinstance(deal.loan, Indebted) or deal.loan.terms.rate_bps == rate:
            return
        old = deal.loan.terms
        new = replace(
            old,
            rate_bps=rate,
            principal=debt_now(deal, at=now),
            min_left=Cents(0),
            initial_ltv=old.restore_ltv,
            expires_at=now,
            draw_by=Seconds(min(max(now, old.draw_by), old.maturity - 1)),
            nonce=old.nonce + 2**64,
        )
        try:
            self.book.ask(name, Refinance(Role.OPERATOR, now, new))
        except Rejected as refusal:
            self.refused[refusal.code] += 1
            if now + DAY < old.maturity:
                self._plan(life, Seconds(now + DAY), "reset")

    def _observe(self, life: _Life, deal: Escrow) -> None:
        """How high the loan stands."""
        price = deal.system.price
        if isinstance(deal.loan, Indebted) and deal.token.held and price is not None:
            debt = debt_now(deal, at=deal.system.clock)
            seen = ltv_up(debt, sats=deal.token.held, price=price.price)
            life.worst = max(life.worst, seen)


_ACTS: Final[dict[str, Callable[[Portfolio, _Life], None]]] = {
    "answer": Portfolio._answer,
    "bury": Portfolio._bury,
    "mature": Portfolio._mature,
    "reset": Portfolio._reset,
}


def _platform(at: Seconds, heartbeat: Seconds) -> System:
    # Set up a second before, so that the first price is newer than none.
    return new_system(
        origin=Seconds(at - 1),
        heartbeat=heartbeat,
        quorum=3,
        wide_quorum=_ORACLES,
        deviation=Bps(2_000),
    )
