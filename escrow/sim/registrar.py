"""The registrar at work: what the rules say of a party becomes its record in ``Registry``.

The core refuses an ask with rule and reason; the contracts refuse whoever goes round it, because
the record says so. ``BORROW`` follows the offer gate of today's book. Holding pledge tokens
follows, for a borrower, the collateral gate of the books that its loans keep, and for others the
transfer gate. Holding cash is nobody's gate: who is let in anywhere pays and is paid.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag
from functools import partial
from typing import Final

from escrow.actors.party import Party
from escrow.adapters.evm.bundle import send_all
from escrow.core.eligibility import Denied, Gate, RuleBook, refusal
from escrow.core.gates import collateral_gate, transfer_denial
from escrow.core.phases import terms_of
from escrow.core.regions.loan import Draft, Ended
from escrow.core.regions.register import Purpose, facts_between
from escrow.core.roles import Role
from escrow.core.units import MAX_TIME, Seconds
from escrow.eligibility.miners import Miner, facts, good_until
from escrow.wiring import RUSSIA
from escrow.world import World

_CLASSES: Final = 16
"""Class of a record: this and the rights that it has, so that each set of rights is a class."""


class Right(IntFlag):
    """Rights as ``Registry`` numbers them."""

    HOLD_PLEDGE = 1
    HOLD_CASH = 2
    BORROW = 4
    LEND = 8


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the rules say of a party now."""

    rights: Right
    """None: every gate is shut."""
    until: Seconds
    """Last second of that, as far as dates of rules and evidence tell."""
    denied: tuple[Denied, ...]
    """Why what is shut is shut."""


@dataclass(frozen=True, slots=True)
class Record:
    """What ``Registry`` says of an account."""

    kind: int
    jurisdiction: int
    until: Seconds
    rights: Right
    suspended: bool


class Registrar:
    """Keeps records with the registrar's own transactions. What is so already is not sent."""

    def __init__(
        self,
        world: World,
        *,
        jurisdiction: int = RUSSIA,
        by: str = "registrar",
        may_pay: bool = False,
    ) -> None:
        """``may_pay``: who is shut out everywhere is not suspended, but may still hold cash, so
        that it pays what it owes by itself; a suspended account cannot, others pay for it."""
        self._world = world
        self._jurisdiction = jurisdiction
        self._by = by
        self._may_pay = may_pay

    def record(self, party: str) -> Record:
        """Raises ``BadInput("input/unknown-party")``."""
        address = self._world.party(party).address_bytes
        found = self._world.evm.contracts.registry.call("record", address)
        kind, jurisdiction, until, rights, suspended = found
        return Record(kind, jurisdiction, Seconds(until), Right(rights), suspended)

    def tell(self, party: str, miner: Miner) -> Verdict:
        """Attest what the registry of miners says of a party, and bring its record up to that.
        Raises as ``World.attest`` and ``sync``."""
        now = self._world.now
        self._world.attest(
            party, facts(miner, at=now), until=good_until(miner, at=now), by=self._by
        )
        return self.sync(party)

    def verdict(self, party: str) -> Verdict:
        """What the rules say of a party now. Raises ``BadInput("input/unknown-party")``."""
        judged, now = self._world.party(party), self._world.now
        rights, denied = self._judge(judged, at=now)
        later = (at for at in self._moments() if at > now)
        ends = (at for at in sorted(later) if self._judge(judged, at=at)[0] != rights)
        return Verdict(rights, Seconds(next(ends, MAX_TIME + 1) - 1), denied)

    def sync(self, party: str) -> Verdict:
        """Bring the record of a party up to what the rules say. Raises ``Rejected``:
        ``registry/not-registrar`` where ``by`` is none, ``registry/until`` where the evidence ends
        in this second and the second has its block; nothing was written then."""
        found = self.verdict(party)
        rights = found.rights
        if not rights and self._may_pay:
            rights = Right.HOLD_CASH
        if not rights:
            if not self.record(party).suspended:
                with self._world.act(self._by, "suspend", account=party):
                    self._send("suspend", [self._world.party(party).address_bytes])
            return found
        self._write(party, rights, until=found.until)
        return found

    def let_out(self, party: str) -> None:
        """Who is shut out leaves by itself: for this one second it may sell, or burn, what it has.

        The token has one right for both ways, so in this second the contracts would let it receive
        as well; the core lets it buy nothing. Raises as ``sync``.
        """
        # Where this second has its block, the record comes in the next.
        until = Seconds(self._world.evm.chain.next_time)
        self._write(party, Right.HOLD_PLEDGE | Right.HOLD_CASH, until=until)

    def _write(self, party: str, rights: Right, *, until: Seconds) -> None:
        old, address = self.record(party), self._world.party(party).address_bytes
        kind, registry = _CLASSES | rights, self._world.evm.contracts.registry
        account = self._world.party(self._by).account
        if (old.kind, old.until, old.rights, old.suspended) == (kind, until, rights, False):
            return
        with self._world.act(self._by, "admit", account=party, until=until):
            place, send = (kind, self._jurisdiction), partial(registry.send, account)
            sendings = [partial(send, "admit", [(address, *place, until)])]
            if registry.call("rights_of", *place) != rights:
                sendings.insert(0, partial(send, "set_rule", *place, rights))
            if old.suspended:
                sendings.append(partial(send, "reinstate", [address]))
            send_all(self._world.evm.chain, *sendings)

    def _send(self, function: str, *args: object) -> None:
        account = self._world.party(self._by).account
        self._world.evm.contracts.registry.send(account, function, *args)

    def _judge(self, party: Party, *, at: Seconds) -> tuple[Right, tuple[Denied, ...]]:
        """Rights at ``at``, and why the others are not."""
        world = self._world
        register = world.engine.register
        denied = {
            Right.BORROW: self._denied(party, register.book, Gate.OFFER, at=at),
            Right.HOLD_PLEDGE: self._collateral(party, at=at)
            if party.role is Role.BORROWER
            else transfer_denial(
                register,
                sender=world.party("borrower").address,
                receiver=party.address,
                purpose=Purpose.PURCHASE,
                at=at,
            ),
        }
        rights = Right(0)
        for right, why in denied.items():
            if why is None:
                rights |= right
        if rights:
            rights |= Right.HOLD_CASH
        if party.role is Role.LENDER:
            # No gate asks whether a lender may lend: each offer asks about both sides.
            rights |= Right.LEND | Right.HOLD_CASH
        return rights, tuple(why for why in denied.values() if why is not None)

    def _denied(
        self, party: Party, book: RuleBook | None, gate: Gate, *, at: Seconds
    ) -> Denied | None:
        known = facts_between(
            self._world.engine.register,
            party.address,
            other=self._world.party("lender").address,
            at=at,
        )
        return refusal(book, gate, known, at=at)

    def _collateral(self, party: Party, *, at: Seconds) -> Denied | None:
        """By the books of its loans, else by today's."""
        asked = [
            (deal.state.book, collateral_gate(deal.state))
            for deal in self._world.loans
            if not isinstance(deal.state.loan, Draft | Ended)
            and terms_of(deal.state.loan).borrower == party.address
        ]
        asked = asked or [(self._world.engine.register.book, Gate.PLEDGE)]
        found = (self._denied(party, book, gate, at=at) for book, gate in asked)
        return next((each for each in found if each is not None), None)

    def _moments(self) -> set[Seconds]:
        """Every first second at which a rule or evidence counts another way than before."""
        register = self._world.engine.register
        books = [register.book, *(deal.state.book for deal in self._world.loans)]
        rules = [rule for book in books if book is not None for rule in book.rules]
        moments = {rule.since for rule in rules}
        moments |= {Seconds(rule.until + 1) for rule in rules}
        return moments | {Seconds(each.until + 1) for each in register.known}
