"""The loop: look, decide, log, fold, perform what is due; until nothing is left to do.

    chains ──sightings──▶ decide ──▶ events ──append──▶ log
      ▲                                                  │ evolve
      └───────────── perform ◀──────── due ◀──────── state

Nothing else is in here. Money moves on the chains, by their owners' transactions; the engine
learns of it by looking.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from escrow.core.decide import Command, decide, witness
from escrow.core.due import Effect, ask_of, due, owed_by
from escrow.core.laws import Law, Step, broken
from escrow.core.regions.loan import Draft
from escrow.core.regions.register import Register
from escrow.core.regions.system import System
from escrow.core.roles import Role
from escrow.core.state import Escrow, Event, evolve, joined
from escrow.core.units import Seconds
from escrow.core.verbs.lapse import Lapse
from escrow.core.verbs.tick import Tick
from escrow.ports import LogPort, Performer, Watch

PLATFORM: Final = ""
"""Stream of the system region, which all loans share."""
AUTOMATIC: Final = frozenset({Role.OPERATOR, Role.ATTESTOR, Role.CUSTODIAN})
"""Whose duties the engine performs. A party's own acts need its own decision."""
_REPEATS: Final = 4
"""Times in one go that one effect is done, or that nothing is and the chains still look new, before
the engine says that it does not settle. How many effects there are is no limit: anyone can send a
hundred coins to a vault in one block."""


class Engine:
    """Holds the folded state; the log is its only memory."""

    def __init__(
        self,
        *,
        system: System,
        log: LogPort,
        watches: Sequence[Watch],
        performer: Performer,
        check_laws: bool = True,
        on_event: Callable[[str, Step], None] | None = None,
    ) -> None:
        self.system = system
        self.register = Register()
        self.deals: dict[str, Escrow] = {}
        self.checked = 0
        """Laws checked so far, one for each law and event."""
        self.broken: list[tuple[Law, str, Event]] = []
        """Laws found broken: which, in which loan, by which event."""
        self._log = log
        self._watches = watches
        self._performer = performer
        self._check_laws = check_laws
        self._on_event = on_event

    def deal(self, loan: str) -> Escrow:
        """One deal with the platform as it is now; a fresh one if the loan is unknown."""
        shared = Escrow(self.system, register=self.register)
        return joined(self.deals.get(loan) or shared, shared)

    def ask(self, loan: str, command: Command) -> tuple[Event, ...]:
        """Decide an ask and commit what follows. Raises ``Rejected``; then nothing changed."""
        events = decide(self.deal(loan), command)
        self._commit(loan, events)
        return events

    def replay(self, events: Sequence[tuple[str, Event]]) -> None:
        """Fold a log that was committed before. Nothing is decided, checked or performed."""
        for loan, event in events:
            self._fold(loan, event)

    def tick(self, command: Tick) -> None:
        """Tell the time, then let lapse what has run out."""
        self.ask(PLATFORM, command)
        for loan in list(self.deals):
            self.ask(loan, Lapse(Role.WATCHER, command.at))

    def settle(self) -> None:
        """Look at both chains and do what is due, again and again, until both are at rest."""
        done: Counter[tuple[str, str]] = Counter()
        idle = 0
        while idle <= _REPEATS:
            looked = self.look()
            performed = self._perform()
            if not performed and not looked:
                return
            done.update(performed)
            idle = 0 if performed else idle + 1
            assert not done or max(done.values()) <= _REPEATS, f"done, and stays due: {performed}"
        raise AssertionError("the engine does not settle: every look shows something new")

    def look(self) -> bool:
        """Take in what the chains say. Facts are never refused. Was there anything?"""
        at = self.system.clock
        found = [pair for watch in self._watches for pair in watch.look(self.deals, at=at)]
        # Stable: Bitcoin is asked first, and what the EVM ordered stays in its order.
        found.sort(key=lambda pair: pair[1].at)
        happened = False
        for loan, command in found:
            timely = (
                command
                if command.at >= self.system.clock
                else replace(command, at=Seconds(self.system.clock))
            )
            events = witness(self.deal(loan), timely)
            self._commit(loan, events)
            happened = happened or bool(events)
        return happened

    def _perform(self) -> list[tuple[str, str]]:
        done: list[tuple[str, str]] = []
        for loan in list(self.deals):
            escrow = self.deal(loan)
            for effect in due(escrow):
                if owed_by(effect) in AUTOMATIC and self._do(loan, escrow, effect):
                    done.append((loan, effect.id))
                    # What is due may have changed: look before doing more.
                    break
        return done

    def _do(self, loan: str, escrow: Escrow, effect: Effect) -> bool:
        ask = ask_of(effect, at=self.system.clock)
        if ask is None:
            return self._performer.perform(loan, escrow, effect)
        self.ask(loan, ask)
        return True

    def _commit(self, loan: str, events: tuple[Event, ...]) -> None:
        if not events:
            return
        self._log.append([(loan, event) for event in events], expected=self._log.length)
        for event in events:
            before = self.deal(loan)
            self._fold(loan, event)
            step = Step(before, event, self.deal(loan))
            if self._check_laws:
                self._judge(loan, step)
            if self._on_event is not None:
                self._on_event(loan, step)

    def _fold(self, loan: str, event: Event) -> None:
        after = evolve(self.deal(loan), event)
        if loan == PLATFORM:
            self.system, self.register = after.system, after.register
        else:
            self.deals[loan] = after

    def _judge(self, loan: str, step: Step) -> None:
        # A price, the time or a rule concerns every deal, so it is judged beside each of them.
        steps = [(loan, step)]
        if loan == PLATFORM:
            steps += [
                (name, Step(joined(deal, step.before), step.event, self.deal(name)))
                for name, deal in self.deals.items()
                if not isinstance(deal.loan, Draft)
            ]
        for name, each in steps:
            self.checked += 1
            self.broken += [(law, name, each.event) for law in broken(each)]
