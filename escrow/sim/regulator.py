"""A supervisor's view of a world: what is lent, pledged, called and frozen, what the bank is
exposed to, whether a law was broken; and the orders that it may give.

It reads what both chains show and changes nothing by itself. Its orders are carried out by those
whom the contracts name for it: the authority freezes, the registrar suspends, the guardian stops
the clock. None of them can move what is pledged to a loan.

**What a freeze does to clocks: nothing.** A frozen or suspended borrower's time to cure runs on;
others may pay for it. Only a pause of the guardian stops the active clock, of all loans at once and
for seven days at most (``halt``).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

from escrow.core.errors import BadInput
from escrow.core.laws import LAWS
from escrow.core.phases import debt_now
from escrow.core.regions.loan import Called
from escrow.core.regions.system import active_seconds, is_fresh
from escrow.core.units import (
    BPS,
    CENTS_SCALE,
    MAX_CENTS,
    MAX_TIME,
    Bps,
    Cents,
    PriceE8,
    Sats,
    Seconds,
    muldiv_down,
    muldiv_up,
)
from escrow.deal import Deal
from escrow.world import World

_ALL: Final = 2**256 - 1
"""More than there can be: the token keeps it as all it can write down."""
_BATCH_GAS: Final = 4_000_000


@dataclass(frozen=True, slots=True)
class Prudential:
    """How a bank's own bitcoin counts (Basel's Group 2), from a day on. Raises
    ``BadInput("supervision/rules")``."""

    in_force: Seconds
    """From when; before it nothing is charged or limited."""
    risk_weight: Bps
    """125,000 is 1250 %."""
    ratio: Bps
    """Capital for what is weighted: 800 is 8 %, and 8 % of 1250 % is all of it."""
    limit: Bps
    """Most of Tier 1 that may be held: 100 is 1 %."""
    tier_1: Cents
    """The bank's."""

    def __post_init__(self) -> None:
        shares = (self.ratio, self.limit)
        if not all(0 < each <= BPS for each in shares) or not 0 < self.risk_weight <= 100 * BPS:
            raise BadInput("supervision/rules", risk_weight=self.risk_weight)
        if not 0 < self.tier_1 <= MAX_CENTS or not 0 <= self.in_force <= MAX_TIME:
            raise BadInput("supervision/rules", tier_1=self.tier_1, in_force=self.in_force)


@dataclass(frozen=True, slots=True)
class Position:
    """One loan."""

    loan: str
    phase: str
    borrower: str
    """Name of the party."""
    debt: Cents
    """At this second, rounded up."""
    pledged: Sats
    ltv: Bps | None
    """Rounded up; none before a price, or with nothing pledged."""
    cure_left: Seconds | None
    """Active seconds to answer an open call; below zero it may expire."""
    frozen: bool
    """The borrower is frozen or suspended."""
    incidents: tuple[str, ...]
    """Codes, oldest first."""


@dataclass(frozen=True, slots=True)
class Account:
    """One party that has anything, or that was stopped."""

    name: str
    cash: Cents
    tokens: Sats
    held: Sats
    """Of the tokens, pledged to loans."""
    frozen_cash: Cents
    """What it may not spend, now or when it comes: at most 2⁶⁴ − 1."""
    frozen_tokens: Sats
    suspended: bool


@dataclass(frozen=True, slots=True)
class Exposure:
    """What the bank has in bitcoin, and what it lent against it."""

    secured_loans: Cents
    """Owed by borrowers who pledged: credit, not bitcoin of the bank's."""
    sats: Sats
    """Of the bank's own: coins and claims, whatever it took over."""
    value: Cents
    """Of those, at the price, rounded up."""
    in_force: bool
    """Do the rules count yet? If not, nothing is charged or limited."""
    capital: Cents
    """What they ask for it, rounded up."""
    limit: Cents
    """Most that the bank may have, rounded down."""

    @property
    def above_limit(self) -> bool:
        """Has it more than that?"""
        return self.in_force and self.value > self.limit


@dataclass(frozen=True, slots=True)
class Report:
    """What the supervisor sees at one moment."""

    at: Seconds
    price: PriceE8
    """The last; 0 before the first."""
    fresh: bool
    """May rules use it?"""
    supply: Sats
    """Pledge tokens that there are."""
    positions: tuple[Position, ...]
    accounts: tuple[Account, ...]
    exposure: Exposure
    laws: int
    """How many are checked after every event."""
    broken: tuple[str, ...]
    """Ids of those that did not hold."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON; integers have no unit in their name but the docstrings' (cents, sats, bps)."""
        return asdict(self) | {"above_limit": self.exposure.above_limit}


class Regulator:
    """See the module. A window on the world, with no state but its rules."""

    def __init__(self, world: World, *, rules: Prudential, bank: str = "lender") -> None:
        """Raises ``BadInput("input/unknown-party")``."""
        world.party(bank)
        self._world = world
        self._rules = rules
        self._bank = bank

    # --- orders ---

    def freeze(self, name: str) -> None:
        """The authority freezes all that a party has or gets, of both tokens. It may still be given
        back what a loan releases and paid what it is owed; it spends nothing of it."""
        self._set_frozen("freeze", name, _ALL)

    def unfreeze(self, name: str) -> None:
        """The authority frees it again."""
        self._set_frozen("unfreeze", name, 0)

    def suspend(self, name: str) -> None:
        """The registrar takes a party's rights: it sends and receives nothing."""
        self._record("suspend", name)

    def reinstate(self, name: str) -> None:
        """The registrar gives them back."""
        self._record("reinstate", name)

    def halt(self, seconds: int) -> None:
        """The guardian stops all that needs a price, and with it the clock of every margin call.
        Raises as ``World.pause``."""
        self._world.pause(seconds)

    # --- reports ---

    def report(self) -> Report:
        """As of now. Reads, and changes nothing."""
        world = self._world
        system = world.engine.system
        accounts = tuple(filter(None, map(self._account, world.parties)))
        stopped = {each.name for each in accounts if _is_stopped(each)}
        return Report(
            at=world.now,
            price=PriceE8(0) if system.price is None else system.price.price,
            fresh=is_fresh(system, at=world.now),
            supply=Sats(world.evm.contracts.pledge.call("totalSupply")),
            positions=tuple(self._position(deal, stopped) for deal in world.loans),
            accounts=accounts,
            exposure=self._exposure(),
            laws=len(LAWS),
            broken=tuple(sorted({law.id for law, _, _ in world.engine.broken})),
        )

    # --- inside ---

    def _position(self, deal: Deal, stopped: set[str]) -> Position:
        state, world = deal.state, self._world
        terms, system = deal.terms, world.engine.system
        names = {party.address: name for name, party in world.parties.items()}
        borrower, left = names[terms.borrower], None
        if isinstance(state.loan, Called):
            left = Seconds(state.loan.deadline - active_seconds(system, at=world.now))
        return Position(
            loan=deal.id,
            phase=deal.phase,
            borrower=borrower,
            debt=debt_now(state, at=world.now),
            pledged=state.token.held,
            ltv=deal.ltv if state.token.held else None,
            cure_left=left,
            frozen=borrower in stopped,
            incidents=tuple(each.code for each in state.incidents),
        )

    def _account(self, name: str) -> Account | None:
        """None for one that has nothing and was not stopped."""
        parts, address = self._world.evm.contracts, self._world.party(name).address_bytes
        account = Account(
            name=name,
            cash=Cents(parts.cash.call("balanceOf", address)),
            tokens=Sats(parts.pledge.call("balanceOf", address)),
            held=Sats(parts.pledge.call("balanceOnHold", address)),
            frozen_cash=Cents(parts.cash.call("getFrozenTokens", address)),
            frozen_tokens=Sats(parts.pledge.call("getFrozenTokens", address)),
            suspended=parts.registry.call("record", address)[4],
        )
        return account if account.cash or account.tokens or _is_stopped(account) else None

    def _exposure(self) -> Exposure:
        world, rules = self._world, self._rules
        address = world.party(self._bank).address_bytes
        claims = world.evm.contracts.pledge.call("balanceOf", address)
        sats = Sats(world.sats_of(self._bank) + claims)
        price = world.engine.system.price
        value = 0 if price is None else muldiv_up(sats, price.price, CENTS_SCALE)
        in_force = world.now >= rules.in_force
        charge = muldiv_up(value, rules.risk_weight * rules.ratio, BPS * BPS)
        owed = sum(
            debt_now(deal.state, at=world.now) for deal in world.loans if deal.state.token.held
        )
        return Exposure(
            secured_loans=Cents(owed),
            sats=sats,
            value=Cents(value),
            in_force=in_force,
            capital=Cents(charge if in_force else 0),
            limit=Cents(muldiv_down(rules.tier_1, rules.limit, BPS)),
        )

    def _set_frozen(self, verb: str, name: str, amount: int) -> None:
        world, address = self._world, self._world.party(name).address_bytes
        authority = world.party("authority").account
        with world.act("authority", verb, account=name):
            for token in (world.evm.contracts.cash, world.evm.contracts.pledge):
                token.send(authority, "setFrozenTokens", address, amount)

    def _record(self, verb: str, name: str) -> None:
        world, address = self._world, self._world.party(name).address_bytes
        with world.act("registrar", verb, account=name):
            registrar = world.party("registrar").account
            world.evm.contracts.registry.send(registrar, verb, [address], gas=_BATCH_GAS)


def _is_stopped(account: Account) -> bool:
    return bool(account.suspended or account.frozen_cash or account.frozen_tokens)
