"""A reserve fund: it takes in mined and seized coins and cash, says what it is worth, proves what
it has, and buys lots of auctions that find no other buyer, within limits of its own.

The fund is a party of its world with keys of its own. The limits are its own policy: nothing on
chain keeps them. What it bought and what came in is read off the chain and the world's acts, so a
world that was saved still knows. How large such a fund is, and that one buys at auctions, is a
parameter and nowhere a fact (S11: reports of Kazakhstan's reserve name 0.5 to 1 billion dollars).
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import Final

from escrow.actors.own_coins import OwnCoins, prove_own
from escrow.adapters.bitcoin.vault import address_of
from escrow.adapters.evm.bundle import rehearse
from escrow.core.decide import decide
from escrow.core.errors import BadInput, Rejected
from escrow.core.regions.loan import Liquidated
from escrow.core.regions.system import is_fresh
from escrow.core.rules import value_down
from escrow.core.sales import Split
from escrow.core.units import (
    BPS,
    CENTS_SCALE,
    DAY,
    MAX_CENTS,
    Bps,
    Cents,
    PriceE8,
    Sats,
    Seconds,
)
from escrow.core.verbs.auction import Take
from escrow.deal import Deal
from escrow.parse import parse_btc, parse_cents
from escrow.world import World

_ANY_PRICE: Final = 2**256 - 1
_DEPOSIT: Final = "fund-deposit"
"""The verb under which the world's acts tell what came in."""


class Origin(Enum):
    """Where what came in is from."""

    MINED = "mined"
    """Coins, paid by who mined them."""
    SEIZED = "seized"
    """Pledge tokens that the authority took by force."""
    GRANTED = "granted"
    """Cash of the issuer."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What the fund's own policy lets it buy. Raises ``BadInput("fund/limits")``."""

    price: Bps
    """Most that it pays for coins, as a part of what the oracles say they are worth."""
    lot: Cents
    """Most that it pays for one lot."""
    day: Cents
    """Most that it pays in any 24 hours."""
    share: Bps
    """Most of its net asset value that may be in bitcoin after a purchase."""

    def __post_init__(self) -> None:
        if not 0 < self.price <= BPS or not 0 < self.share <= BPS:
            raise BadInput("fund/limits", price=self.price, share=self.share)
        if not 0 < self.lot <= self.day <= MAX_CENTS:
            raise BadInput("fund/limits", lot=self.lot, day=self.day)


@dataclass(frozen=True, slots=True)
class Intake:
    """What came in."""

    at: Seconds
    origin: Origin
    giver: str
    """Name of the party that it came from."""
    amount: int
    """Sats; of ``GRANTED``, cents."""


@dataclass(frozen=True, slots=True)
class Purchase:
    """A lot that was bought, as the escrow book told it."""

    at: Seconds
    loan: str
    paid: Cents
    sats: Sats


@dataclass(frozen=True, slots=True)
class Holdings:
    """What the fund has, at one price."""

    coins: Sats
    """Confirmed in its own wallet."""
    tokens: Sats
    """Claims on coins in vaults, frozen ones too."""
    cash: Cents
    price: PriceE8

    @property
    def sats(self) -> Sats:
        """Bitcoin in all."""
        return Sats(self.coins + self.tokens)

    @property
    def nav(self) -> Cents:
        """Net asset value: cash, and bitcoin at the price, rounded down. It owes nothing."""
        return Cents(self.cash + value_down(self.sats, price=self.price))


class ReserveFund:
    """See the module. A window on the world, with no state but its limits."""

    def __init__(self, world: World, *, limits: Limits, name: str = "fund") -> None:
        """``name`` is a further party of the world (``WorldConfig.extra``). Raises
        ``BadInput("input/unknown-party")``."""
        self._world = world
        self._party = world.party(name)
        self.limits = limits
        self.name = name

    # --- what it has ---

    @property
    def holdings(self) -> Holdings:
        """As of now. Raises ``Rejected("price/stale")``: nothing is worth an old price."""
        world, address = self._world, self._party.address_bytes
        system = world.engine.system
        if system.price is None or not is_fresh(system, at=world.now):
            raise Rejected("price/stale")
        return Holdings(
            coins=world.sats_of(self.name),
            tokens=Sats(world.evm.contracts.pledge.call("balanceOf", address)),
            cash=world.cash_of(self.name),
            price=system.price.price,
        )

    @property
    def intakes(self) -> tuple[Intake, ...]:
        """What came in through the verbs below, oldest first."""
        return tuple(
            Intake(act.at, Origin(act.asked["origin"]), act.actor, int(act.asked["amount"]))
            for act in self._world.acts
            if act.verb == _DEPOSIT and act.asked["fund"] == self.name
        )

    @property
    def purchases(self) -> tuple[Purchase, ...]:
        """What it bought of pledged coins, by whichever call, oldest first."""
        book, found = self._world.evm.contracts.book, []
        for each in self._world.evm.chain.transactions():
            for event in filter(None, map(book.event, each.receipt.logs)):
                said = event.args
                if event.name == "Liquidated" and said["by"] == self._party.address_bytes:
                    loan, paid = "0x" + said["loan"].hex(), said["repaid"] + said["fee"]
                    at = Seconds(each.timestamp)
                    found.append(Purchase(at, loan, Cents(paid), Sats(said["seized"])))
        return tuple(found)

    def spent(self, *, since: Seconds) -> Cents:
        """Paid for lots after ``since``."""
        return Cents(sum(each.paid for each in self.purchases if each.at > since))

    def attest(self) -> OwnCoins:
        """Its own coins, stated and signed; ``verify_own`` checks it from itself alone. Its tokens
        are claims on vaults, which have statements of their own (``escrow reserves``)."""
        world = self._world
        world.settle()
        return prove_own(self._party, bitcoin=world.bitcoin, at=world.now)

    # --- what comes in ---

    def take_mined(self, *, btc: str | int, by: str = "borrower") -> str:
        """A miner pays it coins; the txid. Raises as ``World.pay``."""
        txid = self._world.pay(by, btc=btc, to=address_of(self._party.script))
        with self._deposit(by, Origin.MINED, parse_btc(btc), txid=txid):
            return txid

    def take_seized(self, *, btc: str | int, of: str) -> None:
        """The authority gives it tokens that another party has, frozen or not, by force (ERC-7943).
        What is pledged to a loan it cannot take. Raises ``Rejected``: ``token/…``."""
        sats, world = parse_btc(btc), self._world
        parties = world.party(of).address_bytes, self._party.address_bytes
        with self._deposit("authority", Origin.SEIZED, sats, of=of):
            pledge, authority = world.evm.contracts.pledge, world.party("authority").account
            pledge.send(authority, "forcedTransfer", *parties, sats)

    def take_grant(self, amount: str | int) -> None:
        """The issuer mints it cash."""
        cents, world = parse_cents(amount), self._world
        with self._deposit("issuer", Origin.GRANTED, cents):
            cash, issuer = world.evm.contracts.cash, world.party("issuer").account
            cash.send(issuer, "mint", self._party.address_bytes, cents)

    def _deposit(
        self, by: str, origin: Origin, amount: int, **asked: str
    ) -> AbstractContextManager[None]:
        return self._world.act(
            by, _DEPOSIT, fund=self.name, origin=origin.value, amount=amount, **asked
        )

    # --- what it buys ---

    def quote(self, loan: Deal, *, btc: str | int) -> Split:
        """What ``btc`` of an auction would cost at this second, by the rules themselves. Raises as
        ``World.take``, and then nothing was done."""
        take = Take(self._party.role, self._world.now, parse_btc(btc))
        event = decide(loan.state, take)[0]
        assert isinstance(event, Liquidated)
        return event.split

    def buy(self, loan: Deal, *, btc: str | int) -> Purchase:
        """Buy a lot of an auction as the last buyer, if its limits let it. What would be refused
        leaves no allowance.

        Raises ``Rejected``: ``fund/price``, ``fund/lot``, ``fund/day``, ``fund/share``; and as
        ``World.take``.
        """
        split = self.quote(loan, btc=btc)
        self.check(split)
        evm, account, paid = self._world.evm, self._party.account, split.repaid + split.fee
        cash, book = evm.contracts.cash, evm.contracts.book
        # No more than this lot: a price that rises meanwhile finds nothing to spend.
        approve = partial(cash.send, account, "approve", book.address, paid)
        take = partial(evm.book, account, "take", loan.terms, parse_btc(btc), _ANY_PRICE)
        with self._world.act(self.name, "approve", cents=paid):
            rehearse(evm.chain, approve, take)
            approve()
        self._world.take(loan, by=self.name, btc=btc)
        return self.purchases[-1]

    def check(self, split: Split) -> None:
        """Is a lot within the limits? Raises as ``buy``."""
        limits, has, now = self.limits, self.holdings, self._world.now
        paid = Cents(split.repaid + split.fee)
        # cents × 10¹⁴ = sats × price, so nothing is divided.
        if paid * CENTS_SCALE * BPS > split.seized * has.price * limits.price:
            worth = value_down(split.seized, price=has.price)
            raise Rejected("fund/price", paid=paid, worth=worth, most_bps=limits.price)
        if paid > limits.lot:
            raise Rejected("fund/lot", paid=paid, most=limits.lot)
        spent = self.spent(since=Seconds(now - DAY))
        if spent + paid > limits.day:
            raise Rejected("fund/day", paid=paid, spent=spent, most=limits.day)
        bitcoin = (has.sats + split.seized) * has.price
        left = has.cash - paid
        if bitcoin * BPS > (bitcoin + left * CENTS_SCALE) * limits.share:
            raise Rejected("fund/share", paid=paid, nav=has.nav, most_bps=limits.share)
