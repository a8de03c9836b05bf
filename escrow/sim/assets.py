"""A lender's desk for collateral that is no coins, in a world: registered, pledged, valued, called,
substituted and sold, by the parties' own transactions.

Things are units of a register (``AssetToken``), held for the loan. Coins of a mixed pool lie in a
vault on Bitcoin, and the tokens for them with the notary, because only the escrow book could hold
them in their owner's balance. Cash moves on the EVM. What is owed and what is in the pool the desk
keeps by itself: unlike everything on the chains it is not in a world's file.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from escrow.collateral.items import Claim, Coins, Item, Revenue, Thing
from escrow.collateral.margin import Call, Move, watch
from escrow.collateral.market import Market
from escrow.collateral.model import Custody, Type
from escrow.collateral.pool import Types, Valuation, add, release, swap, value_pool
from escrow.collateral.realise import Sale, divide, order, proceeds_of
from escrow.core.errors import BadInput, Rejected
from escrow.core.regions.system import active_seconds
from escrow.core.rules import Debt, accrue, owed, pay, value_down
from escrow.core.units import Bps, Cents, Sats, Seconds
from escrow.deal import Deal
from escrow.engine import PLATFORM
from escrow.parse import parse_btc
from escrow.sim.world_market import WorldMarket
from escrow.world import World

_FOR_EVER: Final = 2**40 - 1
"""The last second that a register can name."""


@dataclass(frozen=True, slots=True)
class DeskTerms:
    """What borrower and lender agreed on, beside the types of collateral."""

    rate_bps: Bps
    """Interest a year, simple, actual/365."""
    cure: Seconds
    """Active time to answer a margin call."""
    until: Seconds
    """Up to when a default may be declared: maturity and grace."""
    borrower: str = "borrower"
    """Owner of what is pledged."""
    lender: str = "lender"
    """Who lends, and executes."""
    notary: str = "custodian"
    """Who declares a default, releases, and keeps the tokens of coins."""


class Desk:
    """One loan against a pool. Amounts are cents, moments the world's."""

    def __init__(
        self, world: World, terms: DeskTerms, *, types: Types, market: Market, label: str
    ) -> None:
        """Deploys a register of assets under ``label`` and admits the parties to it. Raises as
        ``World.deploy``."""
        self.world, self.terms, self.types = world, terms, types
        self.market = WorldMarket(world, market)
        self.items: tuple[Item, ...] = ()
        """What is in the pool."""
        self.debt = Debt(accrued_to=world.now)
        """As of the last payment; ``owed`` is as of now."""
        self.call: Call | None = None
        """The margin call that is open."""
        self.default_at: Seconds | None = None
        """When the notary declared a default."""
        self.sales: list[Sale] = []
        """What was sold."""
        self.label = label
        self.loan = hashlib.sha256(f"{label} {terms} {world.now}".encode()).digest()
        """Name of the loan in the register."""
        self._deals: dict[str, Deal] = {}
        offices = ("registrar", "authority", "registrar", terms.notary)
        addresses = (world.party(name).address_bytes for name in offices)
        self.register = world.deploy("AssetToken", *addresses, label=label)
        with world.act("registrar", "admit", register=label):
            for name in (terms.borrower, terms.lender, "liquidator"):
                self._send("registrar", "admit", self._address(name), _FOR_EVER)

    # --- what one sees ---

    @property
    def value(self) -> Valuation:
        """The pool now. Raises Rejected("price/stale")."""
        return value_pool(self.items, types=self.types, market=self.market, at=self.world.now)

    @property
    def owed(self) -> Cents:
        """Principal and interest now, rounded up."""
        return owed(self.debt, rate_bps=self.terms.rate_bps, at=self.world.now)

    def held(self, item: Item) -> int:
        """Units of the item that the register holds for this loan."""
        loan, _, units, *_ = self._lien(item)
        return int(units) if loan == self.loan else 0

    # --- the register and the pool ---

    def enter(self, item: Item, *, units: int = 0) -> None:
        """The registrar issues the item to the borrower, in as many units as its thing has or says.

        Raises Rejected("asset/exists") for a thing that was entered before.
        """
        record = json.dumps([item.type, item.issuer, asdict(item.thing)], sort_keys=True)
        evidence = hashlib.sha256(record.encode()).digest()
        asked = bytes.fromhex(item.id), self._address(self.terms.borrower)
        with self.world.act("registrar", "issue", register=self.label, asset=item.id[:12]):
            self._send("registrar", "issue", *asked, units or units_of(item), evidence)

    def pledge(self, item: Item) -> None:
        """The borrower has the item held for the loan. Raises BadInput: ``collateral/…``; Rejected:
        ``asset/encumbered``, ``token/…``."""
        after = add(self.items, item, types=self.types)
        kind = self._registered(item)
        lien = self._address(self.terms.lender), kind.lag, self.terms.until
        asset = bytes.fromhex(item.id)
        with self._act(self.terms.borrower, "hold", item):
            self._send(self.terms.borrower, "hold", asset, self.loan, units_of(item), *lien)
        self.items = after

    def secure(self, btc: str, *, kind: str = "btc") -> Item:
        """The borrower pays coins into a vault of their own, they are attested and minted, and the
        notary gets the tokens. They are not in the pool yet (``take``)."""
        world, terms = self.world, self.terms
        deal = world.accept(world.offer(world.terms()))
        world.pledge(deal, btc=btc, wait=False)
        world.mine(deal.terms.confirmations)
        item = Item(deal.id[2:], kind, "", Coins(parse_btc(btc)))
        self._deals[item.id] = deal
        self._give(item, sender=terms.borrower, receiver=terms.notary)
        return item

    def take(self, item: Item) -> None:
        """Coins that were secured count from now on. Raises Rejected("collateral/not-pledged") for
        others."""
        if item.id not in self._deals:
            raise Rejected("collateral/not-pledged", item=item.id[:12])
        self.items = add(self.items, item, types=self.types)

    def hand_back(self, item: Item) -> None:
        """The notary gives the tokens of secured coins back that are not in the pool. Raises
        Rejected("collateral/not-pledged") for others."""
        if item.id not in self._deals or item in self.items:
            raise Rejected("collateral/not-pledged", item=item.id[:12])
        self._give(item, sender=self.terms.notary, receiver=self.terms.borrower)

    def give_back(self, item: Item) -> None:
        """The notary releases an item that the rest can do without. Raises Rejected:
        ``collateral/short``, ``collateral/not-pledged``."""
        after = release(
            self.items,
            item,
            required=self.owed,
            types=self.types,
            market=self.market,
            at=self.world.now,
        )
        self._return(item)
        self.items = after

    def substitute(self, new: Item, old: Item) -> None:
        """New in and valued, then old out; all or nothing. Coins must be secured before. Raises as
        ``escrow.collateral.pool.swap`` and ``pledge``."""
        swap(
            self.items,
            new,
            old,
            required=self.owed,
            types=self.types,
            market=self.market,
            at=self.world.now,
        )
        if self.types[new.type].custody is Custody.VAULT:
            self.take(new)
        else:
            self.pledge(new)
        self.give_back(old)

    def restate(self, item: Item, thing: Thing) -> Item:
        """What is known of a thing in the pool has changed, its units have not. Raises Rejected:
        ``collateral/not-pledged``; BadInput("collateral/thing")."""
        if item not in self.items:
            raise Rejected("collateral/not-pledged", item=item.id[:12])
        new = replace(item, thing=thing)
        if type(thing) is not type(item.thing) or units_of(new) != units_of(item):
            raise BadInput("collateral/thing", item=item.id[:40])
        self.items = tuple(new if each is item else each for each in self.items)
        return new

    # --- money ---

    def draw(self, cents: Cents) -> None:
        """The lender pays out. Raises Rejected("collateral/short") above what may be lent."""
        lending, required = self.value.lending, Cents(self.owed + cents)
        if required > lending:
            raise Rejected("collateral/short", lending=lending, required=required)
        with self.world.act(self.terms.lender, "lend", pool=self.label, cents=cents):
            self._pay(self.terms.lender, self.terms.borrower, cents)
        grown = self._accrued()
        self.debt = replace(
            grown,
            principal=Cents(grown.principal + cents),
            drawn=Cents(grown.drawn + cents),
        )

    def repay(self, cents: Cents, *, by: str = "") -> None:
        """The borrower, or whoever is named, pays the lender, no more than is owed. Raises
        Rejected("repay/no-debt")."""
        payer, paid = by or self.terms.borrower, Cents(min(cents, self.owed))
        if paid <= 0:
            raise Rejected("repay/no-debt", amount=cents)
        with self.world.act(payer, "repay", pool=self.label, cents=paid):
            self._pay(payer, self.terms.lender, paid)
        self.debt = pay(self._accrued(), amount=paid)[0]

    def credit(self, sats: Sats) -> Cents:
        """Coins that the lender received count at the price of now, rounded down; what of the debt
        they paid. Raises Rejected("price/stale")."""
        worth = value_down(sats, price=self.market.price(self.world.now))
        self.debt, interest, principal = pay(self._accrued(), amount=worth)
        return Cents(interest + principal)

    # --- calls and sales ---

    def look(self) -> Move:
        """What the rules do about the pool now, and do it. Raises Rejected("price/stale")."""
        active = active_seconds(self.world.engine.system, at=self.world.now)
        self.call, move = watch(
            self.call, self.owed, pool=self.value, active=active, cure=self.terms.cure
        )
        if move in (Move.EXPIRE, Move.LIQUIDATE):
            self.declare()
        return move

    def declare(self) -> None:
        """The notary declares the default: sales begin, and the lags run. Raises
        Rejected("asset/declared")."""
        if self.default_at is not None:
            raise Rejected("asset/declared", at=self.default_at)
        owner, notary = self._address(self.terms.borrower), self.terms.notary
        with self.world.act(notary, "declare", pool=self.label):
            for item in self.items:
                if self._in_register(item):
                    self._send(notary, "declare", bytes.fromhex(item.id), owner, True)
        self.default_at = self.world.now

    def sell(self, *, buyer: str = "liquidator") -> Sale | None:
        """Wait until the next sale is over and settle it: the buyer pays costs, lender and
        borrower, and gets the thing. Once nothing is owed the rest goes back, and it is None.

        Raises Rejected: ``asset/not-declared``, ``price/stale``.
        """
        world, terms = self.world, self.terms
        if self.default_at is None:
            raise Rejected("asset/not-declared", pool=self.label)
        if not self.owed or not self.items:
            for item in self.items:
                self._return(item)
            self.items = ()
            return None
        item = order(self.items, types=self.types)[0]
        kind, listed = self.types[item.type], self._in_register(item)
        end = self._lien(item)[-1] if listed else self.default_at
        world.advance(seconds=max(0, end - world.now))
        start = Seconds(world.now - kind.lag)
        got = proceeds_of(item, kind=kind, market=self.market, start=start)
        split, after = divide(got, debt=self._accrued(), costs_bps=kind.costs)
        # Rehearsed first: money and thing change hands in several transactions, all or none.
        taking = (
            *(bytes.fromhex(item.id), self._address(terms.borrower), self._address(buyer)),
            units_of(item),
        )
        if listed:
            self.register.call("execute", *taking, sender=self._address(terms.lender))
        if world.cash_of(buyer) < got:
            raise Rejected("token/balance", cash=world.cash_of(buyer), price=got)
        with self._act(buyer, "buy", item, cents=got):
            self._pay(buyer, "operator", split.costs)
            self._pay(buyer, terms.lender, split.lender)
            self._pay(buyer, terms.borrower, split.surplus)
            if listed:
                self._send(terms.lender, "execute", *taking)
        if not listed:
            self._give(item, sender=terms.notary, receiver=buyer)
        self.debt = after
        self.items = tuple(each for each in self.items if each is not item)
        sale = Sale(item, world.now, got, split)
        self.sales.append(sale)
        return sale

    def deal_of(self, item: Item) -> Deal:
        """The vault of coins. Raises Rejected("collateral/not-pledged")."""
        if item.id not in self._deals:
            raise Rejected("collateral/not-pledged", item=item.id[:12])
        return self._deals[item.id]

    # --- in other words ---

    def _accrued(self) -> Debt:
        return accrue(self.debt, rate_bps=self.terms.rate_bps, at=self.world.now)

    def _lien(self, item: Item) -> tuple[Any, ...]:
        owner = self._address(self.terms.borrower)
        return tuple(self.register.call("lien_of", owner, bytes.fromhex(item.id)))

    def _return(self, item: Item) -> None:
        """Released by the notary; given back by it where it has the tokens."""
        terms = self.terms
        if not self._in_register(item):
            self._give(item, sender=terms.notary, receiver=terms.borrower)
            return
        asked = bytes.fromhex(item.id), self._address(terms.borrower), units_of(item)
        with self._act(terms.notary, "release", item):
            self._send(terms.notary, "release", *asked)

    def _give(self, item: Item, *, sender: str, receiver: str) -> None:
        """Tokens of coins change hands."""
        assert isinstance(item.thing, Coins)
        pledge, account = self.world.evm.contracts.pledge, self.world.party(sender).account
        with self._act(sender, "give", item, to=receiver):
            pledge.send(account, "transfer", self._address(receiver), item.thing.sats)

    def _pay(self, payer: str, payee: str, cents: Cents) -> None:
        if cents:
            cash, account = self.world.evm.contracts.cash, self.world.party(payer).account
            cash.send(account, "transfer", self._address(payee), cents)

    def _registered(self, item: Item) -> Type:
        kind = self.types[item.type]
        if kind.custody is not Custody.REGISTER:
            raise BadInput("collateral/thing", item=item.id[:40], type=kind.id)
        return kind

    def _in_register(self, item: Item) -> bool:
        return self.types[item.type].custody is Custody.REGISTER

    def _act(
        self, actor: str, verb: str, item: Item, **asked: object
    ) -> AbstractContextManager[None]:
        return self.world.act(actor, verb, PLATFORM, pool=self.label, asset=item.id[:12], **asked)

    def _send(self, by: str, function: str, *args: object) -> None:
        self.register.send(self.world.party(by).account, function, *args)

    def _address(self, name: str) -> bytes:
        return self.world.party(name).address_bytes


def units_of(item: Item) -> int:
    """How many units of a register an item is: those of a claim or of shares, else one."""
    return item.thing.units if isinstance(item.thing, Claim | Revenue) else 1
