"""A market that lends against pledge tokens, in a world: deployed, admitted as a holder, and used
by parties with their own keys (S21).

    market = Market.open(world, lltv=8_600, base=200, slope=800)
    market.supply("100000.00", by="lender")
    market.supply_collateral(btc="0.5", by="borrower")
    market.borrow("20000.00", by="borrower")

It is in the manner of Morpho Blue and is not Morpho Blue; its rules are ``LendingMarket.vy``. The
engine, which keeps loans of the escrow book, keeps nothing here: who is above the level is anyone's
to liquidate, at once. What is pledged to a loan the token does not let in, and what was let in
cannot be pledged to a loan or paid out in coins.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from escrow.adapters.evm.bundle import send_all
from escrow.adapters.evm.contracts import Contract, Contracts
from escrow.core.errors import BadInput
from escrow.core.units import MAX_TIME, Bps, Cents, Sats
from escrow.parse import parse_btc, parse_cents
from escrow.ports import Receipt
from escrow.sim.registrar import Right
from escrow.wiring import RUSSIA
from escrow.world import World

NAME: Final = "LendingMarket"
"""Of the contract, and its label where nobody gives another."""
_KIND: Final = 200
"""Class of markets in the registry."""
_HOLDS_BOTH: Final = Right.HOLD_PLEDGE | Right.HOLD_CASH
"""It neither borrows nor lends."""
_ALL: Final = 2**256 - 1


@dataclass(frozen=True, slots=True)
class Totals:
    """The pool at one second, interest included."""

    lent: Cents
    borrowed: Cents

    @property
    def idle(self) -> Cents:
        """What can be taken out or borrowed."""
        return Cents(self.lent - self.borrowed)


@dataclass(frozen=True, slots=True)
class Place:
    """What one party has in a market at one second."""

    lent: Cents
    """Rounded down."""
    owed: Cents
    """Rounded up."""
    collateral: Sats


class Market:
    """See the module. A window on one deployed market."""

    def __init__(self, world: World, *, label: str = NAME) -> None:
        """One that is there already, also in a world that was saved. Raises
        ``BadInput("evm/contract")``."""
        found = world.extras.get(label)
        if found is None or found.name != NAME:
            raise BadInput("evm/contract", name=label[:40])
        self._world = world
        self.contract: Contract = found

    @classmethod
    def open(
        cls, world: World, *, lltv: int, base: int = 0, slope: int = 0, label: str = NAME
    ) -> Market:
        """Deploy one and have the registrar admit it.

        ``lltv`` is the level in bps; ``base`` and ``slope`` are the interest in bps a year of a
        pool of which nothing, and what comes on top when all, is borrowed. Raises ``Rejected``:
        ``market/level``, ``terms/rate``; and as ``World.deploy``.
        """
        parts = world.evm.contracts
        args = (parts.registry.address, parts.prices.address, lltv, base, slope)
        made = world.deploy(NAME, *args, label=label)
        registrar = world.party("registrar").account
        with world.act("registrar", "admit-market", contract=label):
            parts.registry.send(registrar, "set_rule", _KIND, RUSSIA, int(_HOLDS_BOTH))
            entry = (made.address, _KIND, RUSSIA, MAX_TIME)
            parts.registry.send(registrar, "admit", [entry])
        return cls(world, label=label)

    # --- what one sees ---

    @property
    def totals(self) -> Totals:
        """As of now."""
        lent, _, borrowed, _ = self.contract.call("totals")
        return Totals(Cents(lent), Cents(borrowed))

    @property
    def rate(self) -> Bps:
        """What borrowers pay now, a year, rounded up."""
        return Bps(self.contract.call("rate_bps"))

    @property
    def collateral(self) -> Sats:
        """All pledge tokens that it has."""
        return Sats(self._parts.pledge.call("balanceOf", self.contract.address))

    def place(self, name: str) -> Place:
        """What a party has here. Raises ``BadInput("input/unknown-party")``."""
        address = self._world.party(name).address_bytes
        return Place(
            lent=Cents(self.contract.call("supplied", address)),
            owed=Cents(self.contract.call("owed", address)),
            collateral=Sats(self.contract.call("position", address)[2]),
        )

    def is_healthy(self, name: str) -> bool:
        """Is the debt at most the level? Raises ``Rejected("price/stale")``."""
        return bool(self.contract.call("healthy", self._world.party(name).address_bytes))

    # --- what one does ---

    def supply(self, amount: str | int, *, by: str = "lender") -> None:
        """Lend to the pool. Raises ``Rejected``: ``market/not-eligible``, ``token/…``."""
        self._spending(by, "supply", self._parts.cash, parse_cents(amount))

    def withdraw(self, amount: str | int | None = None, *, by: str = "lender") -> None:
        """Take lent cash back, by default all that the shares are worth. Raises ``Rejected``:
        ``market/shares``, ``market/liquidity``, ``loan/amount``, ``token/…``."""
        self._act(by, "withdraw", _ALL if amount is None else parse_cents(amount))

    def supply_collateral(self, *, btc: str | int, by: str = "borrower") -> None:
        """Put free tokens in. Raises ``Rejected``: ``token/held`` for those that a loan holds,
        ``token/frozen``, ``token/balance``."""
        self._spending(by, "supply_collateral", self._parts.pledge, parse_btc(btc))

    def withdraw_collateral(self, *, btc: str | int, by: str = "borrower") -> None:
        """Take tokens out. Raises ``Rejected``: ``market/collateral``, ``market/unhealthy``,
        ``price/stale`` while something is owed."""
        self._act(by, "withdraw_collateral", parse_btc(btc))

    def borrow(self, amount: str | int, *, by: str = "borrower") -> None:
        """Borrow against the collateral. Raises ``Rejected``: ``market/not-eligible``,
        ``market/liquidity``, ``market/unhealthy``, ``price/stale``."""
        self._act(by, "borrow", parse_cents(amount))

    def repay(self, amount: str | int | None = None, *, of: str, by: str | None = None) -> None:
        """Anyone pays what a party owes, by default all of it. Raises ``Rejected``:
        ``repay/no-debt``, ``token/…``."""
        borrower = self._world.party(of).address_bytes
        cents = self.place(of).owed if amount is None else parse_cents(amount)
        self._spending(by or of, "repay", self._parts.cash, cents, borrower, cents)

    def liquidate(
        self, name: str, *, by: str = "liquidator", pay: str | int | None = None
    ) -> dict[str, Any]:
        """Pay debt of a party that is above the level, all of it or ``pay`` at most, for collateral
        worth that and the incentive; ``repaid``, ``seized`` and ``bad_debt`` as the market says.

        Raises ``Rejected``: ``market/healthy``, ``price/stale``, ``token/…``.
        """
        party = self._world.party(name)
        cents = self.place(name).owed if pay is None else parse_cents(pay)
        receipt = self._spending(
            by, "liquidate", self._parts.cash, cents, party.address_bytes, cents, 0
        )
        (said,) = (e for e in map(self.contract.event, receipt.logs) if e is not None)
        return {key: said.args[key] for key in ("repaid", "seized", "bad_debt")}

    # --- inside ---

    def _act(self, by: str, verb: str, amount: int) -> None:
        with self._world.act(by, _said(verb), amount="all" if amount == _ALL else amount):
            self.contract.send(self._world.party(by).account, verb, amount)

    @property
    def _parts(self) -> Contracts:
        return self._world.evm.contracts

    def _spending(self, by: str, verb: str, token: Contract, amount: int, *args: object) -> Receipt:
        """An allowance for just this, then the verb that spends it, or neither; its arguments are
        the amount where nothing else is given."""
        account = self._world.party(by).account
        with self._world.act(by, _said(verb), amount=amount):
            _, receipt = send_all(
                self._world.evm.chain,
                partial(token.send, account, "approve", self.contract.address, amount),
                partial(self.contract.send, account, verb, *(args or (amount,))),
            )
            return receipt


def _said(verb: str) -> str:
    """A verb of the contract as the world's acts have it."""
    return f"market-{verb.replace('_', '-')}"
