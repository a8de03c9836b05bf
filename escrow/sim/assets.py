"""A lender's desk for collateral that is no coins, in a world: what is pledged, valued, called,
substituted and sold, by the rules of ``escrow.collateral`` and the parties' own ``Hands``.

What is owed and what is in the pool the desk keeps by itself: unlike everything on the chains it
is not in a world's file.
"""

from __future__ import annotations

from dataclasses import replace

from escrow.adapters.evm.contracts import Contract
from escrow.collateral.items import Coins, Item, Thing, units_of
from escrow.collateral.margin import Call, Move, watch
from escrow.collateral.market import Market
from escrow.collateral.model import Custody
from escrow.collateral.pool import Types, Valuation, add, release, swap, value_pool
from escrow.collateral.realise import Sale, divide, order, proceeds_of
from escrow.core.eligibility import Gate
from escrow.core.errors import BadInput, Rejected
from escrow.core.gates import check_party
from escrow.core.regions.system import active_seconds
from escrow.core.rules import Debt, accrue, owed, pay, value_down
from escrow.core.units import Cents, Sats, Seconds
from escrow.deal import Deal
from escrow.sim.asset_hands import DeskTerms, Hands
from escrow.sim.world_market import WorldMarket
from escrow.world import World

__all__ = ["Desk", "DeskTerms"]


class Desk:
    """One loan against a pool. Amounts are cents, moments the world's."""

    def __init__(
        self, world: World, terms: DeskTerms, *, types: Types, market: Market, label: str
    ) -> None:
        """With a register of its own, deployed under ``label``, and under the rules of today, which
        it keeps. Raises as ``World.deploy``; Rejected("eligibility/denied") for a borrower to whom
        they let nothing be offered."""
        self.world, self.terms, self.types = world, terms, types
        self.book = world.engine.register.book
        """The rules that it was opened under."""
        self._check_gate(Gate.OFFER)
        self.market = WorldMarket(world, market)
        self.hands = Hands(world, terms, label=label)
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

    # --- what one sees ---

    @property
    def register(self) -> Contract:
        """The register of assets."""
        return self.hands.register

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
        return self.hands.held(item)

    def deal_of(self, item: Item) -> Deal:
        """The vault of coins that were secured. Raises Rejected("collateral/not-pledged")."""
        return self.hands.deal_of(item)

    # --- the pool ---

    def enter(self, item: Item, *, units: int = 0) -> None:
        """The registrar issues the item to the borrower, in as many units as its thing has or says.

        Raises Rejected("asset/exists") for a thing that was entered before.
        """
        self.hands.enter(item, units=units or units_of(item))

    def pledge(self, item: Item) -> None:
        """The borrower has the item held for the loan. Raises BadInput: ``collateral/…``; Rejected:
        ``top-up/not-live``, ``eligibility/denied``, ``asset/encumbered``, ``token/…``."""
        self._check_takes()
        after = add(self.items, item, types=self.types)
        kind = self.types[item.type]
        if isinstance(item.thing, Coins) or kind.custody is not Custody.REGISTER:
            raise BadInput("collateral/thing", item=item.id[:40], type=kind.id)
        self.hands.check_whole(item)
        self.hands.hold(item, lag=kind.lag)
        self.items = after

    def secure(self, btc: str, *, kind: str = "btc") -> Item:
        """The borrower's coins lie in a vault, their tokens with the notary. They are not in the
        pool yet (``take``). Raises as ``World.pledge``."""
        return self.hands.secure(btc, kind=kind)

    def take(self, item: Item) -> None:
        """Coins that were secured count from now on. Raises BadInput("collateral/twice"); Rejected:
        ``top-up/not-live``, ``eligibility/denied``, ``collateral/not-pledged``."""
        self._check_takes()
        self.hands.check_kept(item)
        if item in self.items:
            raise BadInput("collateral/twice", item=item.id[:40])
        self.items = add(self.items, item, types=self.types)

    def hand_back(self, item: Item) -> None:
        """The notary gives the tokens of secured coins back that are not in the pool. Raises
        Rejected("collateral/not-pledged") for others."""
        self.hands.check_kept(item)
        if item in self.items:
            raise Rejected("collateral/not-pledged", item=item.id[:12])
        self.hands.give_back(item)

    def give_back(self, item: Item) -> None:
        """The notary releases an item that the rest can do without. Raises Rejected:
        ``withdraw/not-active`` after a default, ``collateral/not-pledged``, ``collateral/short``.
        """
        self._check_live("withdraw/not-active")
        after = release(
            self.items,
            item,
            required=self.owed,
            types=self.types,
            market=self.market,
            at=self.world.now,
        )
        self.hands.give_back(item)
        self.items = after

    def substitute(self, new: Item, old: Item) -> None:
        """New in and valued, then old out; all or nothing. Coins must be secured before. Raises as
        ``escrow.collateral.pool.swap``, ``pledge``, ``take`` and ``give_back``."""
        swap(
            self.items,
            new,
            old,
            required=self.owed,
            types=self.types,
            market=self.market,
            at=self.world.now,
        )
        self.hands.check_back(old)
        if isinstance(new.thing, Coins):
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
        self.hands.check_whole(new)
        place = self.items.index(item)
        self.items = (*self.items[:place], new, *self.items[place + 1 :])
        return new

    # --- money ---

    def draw(self, cents: Cents) -> None:
        """The lender pays out. Raises Rejected: ``loan/amount`` for nothing; ``draw/not-open``
        while a call is open and after a default; ``collateral/short`` above what may be lent."""
        self._check_live("draw/not-open")
        if self.call is not None:
            raise Rejected("draw/not-open", deadline=self.call.deadline)
        if cents <= 0:
            raise Rejected("loan/amount", amount=cents)
        lending, required = self.value.lending, Cents(self.owed + cents)
        if required > lending:
            raise Rejected("collateral/short", lending=lending, required=required)
        self.hands.pay(self.terms.lender, self.terms.borrower, cents, verb="lend")
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
        self.hands.pay(payer, self.terms.lender, paid, verb="repay")
        self.debt = pay(self._accrued(), amount=paid)[0]

    def credit(self, sats: Sats) -> Cents:
        """Coins that the lender received count at the price of now, rounded down; what of the debt
        they paid. Raises BadInput("input/amount") for less than nothing; Rejected("price/stale").
        """
        if sats < 0:
            raise BadInput("input/amount", sats=sats)
        worth = value_down(sats, price=self.market.price(self.world.now))
        self.debt, interest, principal = pay(self._accrued(), amount=worth)
        return Cents(interest + principal)

    # --- calls and sales ---

    def look(self) -> Move:
        """What the rules do about the pool now, and do it: nothing once a default is declared.
        Raises Rejected("price/stale")."""
        if self.default_at is not None:
            return Move.NONE
        active = active_seconds(self.world.engine.system, at=self.world.now)
        call, move = watch(
            self.call, self.owed, pool=self.value, active=active, cure=self.terms.cure
        )
        if move in (Move.EXPIRE, Move.LIQUIDATE):
            self.declare()
        # Not before: an expired call that the chain does not let end would be made anew.
        self.call = call
        return move

    def declare(self) -> None:
        """The notary declares the default: sales begin, and the lags run. Raises
        Rejected("asset/declared")."""
        if self.default_at is not None:
            raise Rejected("asset/declared", at=self.default_at)
        self.hands.declare(each for each in self.items if not isinstance(each.thing, Coins))
        self.default_at = self.world.now

    def sell(self, *, buyer: str = "liquidator") -> Sale | None:
        """Wait until the next sale is over and settle it: the buyer pays costs, lender and
        borrower, and gets the thing. Once nothing is owed the rest goes back, and it is None.

        Raises Rejected: ``asset/not-declared``, ``price/stale``, ``token/…``;
        BadInput("input/unknown-party").
        """
        self.world.party(buyer)
        if self.default_at is None:
            raise Rejected("asset/not-declared", pool=self.hands.label)
        if not self.owed or not self.items:
            for item in self.items:
                self.hands.give_back(item)
            self.items = ()
            return None
        item = order(self.items, types=self.types)[0]
        kind, world = self.types[item.type], self.world
        coins = isinstance(item.thing, Coins)
        end = self.default_at + kind.lag if coins else self.hands.executable(item)
        world.advance(seconds=max(0, end - world.now))
        start = Seconds(world.now - kind.lag)
        got = proceeds_of(item, kind=kind, market=self.market, start=start)
        split, after = divide(got, debt=self._accrued(), costs_bps=kind.costs)
        sale = Sale(item, world.now, got, split)
        self.hands.sell(item, buyer=buyer, price=got, split=split)
        self.debt = after
        self.items = tuple(each for each in self.items if each is not item)
        self.sales.append(sale)
        return sale

    # --- in other words ---

    def _check_live(self, code: str) -> None:
        if self.default_at is not None:
            raise Rejected(code, default_at=self.default_at)

    def _check_takes(self) -> None:
        """May more collateral come in? Before anything is drawn it is a pledge, then a top-up."""
        self._check_live("top-up/not-live")
        self._check_gate(Gate.TOP_UP if self.debt.drawn else Gate.PLEDGE)

    def _check_gate(self, gate: Gate) -> None:
        world, terms = self.world, self.terms
        check_party(
            world.engine.register,
            self.book,
            gate,
            borrower=world.party(terms.borrower).address,
            lender=world.party(terms.lender).address,
            at=world.now,
        )

    def _accrued(self) -> Debt:
        return accrue(self.debt, rate_bps=self.terms.rate_bps, at=self.world.now)
