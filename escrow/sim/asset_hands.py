"""What the parties to a loan against things do with their own transactions, on both chains.

Things are units of a register (``AssetToken``), held for the loan. Coins of a mixed pool lie in a
vault on Bitcoin, and the tokens for them with the notary, because only the escrow book could hold
them in their owner's balance. Cash moves on the EVM. What may be done is for the desk to say.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from functools import partial
from typing import Final

from escrow.adapters.evm.bundle import send_all
from escrow.collateral.items import Coins, Item, Revenue, units_of
from escrow.collateral.realise import Split
from escrow.core.errors import BadInput, EscrowError, Rejected
from escrow.core.units import Bps, Cents, Seconds
from escrow.deal import Deal
from escrow.engine import PLATFORM
from escrow.parse import parse_btc
from escrow.world import World

_FOR_EVER: Final = 2**40 - 1
"""The last second that a register can name."""
_REGISTER: Final = "AssetToken"
_NAME: Final = 32
"""Bytes of a name in a register."""
_BUYER: Final = "liquidator"
"""Admitted to the register beside the parties."""


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


class Hands:
    """The parties of one loan, acting."""

    def __init__(self, world: World, terms: DeskTerms, *, label: str) -> None:
        """Deploys a register of assets under ``label`` and admits the parties to it. Raises as
        ``World.deploy``, and BadInput("input/unknown-party") before that."""
        self.world, self.terms, self.label = world, terms, label
        self.loan = hashlib.sha256(f"{label} {terms} {world.now}".encode()).digest()
        """Name of the loan in the register."""
        self._deals: dict[str, tuple[Item, Deal]] = {}
        self._kept: set[str] = set()
        """Coins whose tokens the notary has."""
        offices = ("registrar", "authority", "registrar", terms.notary)
        addresses = [self._address(name) for name in offices]
        admitted = [self._address(name) for name in (terms.borrower, terms.lender, _BUYER)]
        self.register = world.deploy(_REGISTER, *addresses, label=label)
        with world.act("registrar", "admit", register=label):
            for address in admitted:
                self._send("registrar", "admit", address, _FOR_EVER)

    # --- things ---

    def enter(self, item: Item, *, units: int) -> None:
        """The registrar issues an item to the borrower; its evidence is the hash of the record. It
        keeps every register of the world, so what is in one gets into no other: else a thing could
        be pledged twice. Raises Rejected("asset/exists")."""
        for label, other in self.world.extras.items():
            if other.name == _REGISTER and other.call("evidence_of", _asset(item)) != bytes(32):
                raise Rejected("asset/exists", item=item.id[:12], register=label)
        record = json.dumps([item.type, item.issuer, asdict(item.thing)], sort_keys=True)
        evidence = hashlib.sha256(record.encode()).digest()
        owner = self._address(self.terms.borrower)
        with self._act("registrar", "issue", item):
            self._send("registrar", "issue", _asset(item), owner, units, evidence)

    def hold(self, item: Item, *, lag: Seconds) -> None:
        """The borrower has an item held for the loan."""
        terms, asset = self.terms, _asset(item)
        lien = self._address(terms.lender), lag, terms.until
        with self._act(terms.borrower, "hold", item):
            self._send(terms.borrower, "hold", asset, self.loan, units_of(item), *lien)

    def check_whole(self, item: Item) -> None:
        """Are shares of as many as the register has? Fewer would be worth more each. Raises
        BadInput("collateral/thing")."""
        if isinstance(item.thing, Revenue):
            supply = int(self.register.call("supply_of", _asset(item)))
            if item.thing.of != supply:
                raise BadInput("collateral/thing", item=item.id[:40], of=item.thing.of, are=supply)

    def held(self, item: Item) -> int:
        """Units that are held for this loan."""
        loan, units, _ = self._lien(item)
        return units if loan == self.loan else 0

    def executable(self, item: Item) -> Seconds:
        """From when the lender may execute; 0: no default is declared."""
        return self._lien(item)[2]

    def declare(self, items: Iterable[Item]) -> None:
        """The notary declares the default of the loan that these are held for, of all or none."""
        owner, notary = self._address(self.terms.borrower), self.terms.notary
        with self.world.act(notary, "declare", pool=self.label):
            account, send = self.world.party(notary).account, self.register.send
            assets = [_asset(item) for item in items]
            send_all(
                self.world.evm.chain,
                *(partial(send, account, "declare", asset, owner, True) for asset in assets),
            )

    # --- coins ---

    def secure(self, btc: str, *, kind: str) -> Item:
        """The borrower pays coins into a vault of their own, they are attested and minted, and the
        notary gets the tokens. Raises as ``World.pledge``: then no loan is left open for them."""
        world, terms, sats = self.world, self.terms, parse_btc(btc)
        deal = world.accept(world.offer(world.terms(borrower=terms.borrower)))
        try:
            world.pledge(deal, btc=btc, wait=False)
        except EscrowError:
            world.cancel(deal)
            raise
        world.mine(deal.terms.confirmations)
        item = Item(deal.id[2:], kind, "", Coins(sats))
        self._give(item, sender=terms.borrower, receiver=terms.notary)
        self._deals[item.id] = item, deal
        self._kept.add(item.id)
        return item

    def deal_of(self, item: Item) -> Deal:
        """The vault of coins that were secured. Raises Rejected("collateral/not-pledged")."""
        known, deal = self._deals.get(item.id, (None, None))
        if deal is None or known != item:
            raise Rejected("collateral/not-pledged", item=item.id[:12])
        return deal

    def check_kept(self, item: Item) -> None:
        """Raises Rejected("collateral/not-pledged") unless the notary has the tokens."""
        self.deal_of(item)
        if item.id not in self._kept:
            raise Rejected("collateral/not-pledged", item=item.id[:12])

    # --- either ---

    def give_back(self, item: Item) -> None:
        """The notary releases what is held, or gives the tokens of coins back."""
        terms = self.terms
        if isinstance(item.thing, Coins):
            self._give(item, sender=terms.notary, receiver=terms.borrower)
            return
        with self._act(terms.notary, "release", item):
            self._send(terms.notary, "release", *self._released(item))

    def check_back(self, item: Item) -> None:
        """Can it be given back? Raises Rejected: ``token/…``, ``asset/…``."""
        notary = self._address(self.terms.notary)
        if isinstance(item.thing, Coins):
            asked = self._address(self.terms.borrower), item.thing.sats
            self.world.evm.contracts.pledge.call("transfer", *asked, sender=notary)
        else:
            self.register.call("release", *self._released(item), sender=notary)

    def sell(self, item: Item, *, buyer: str, price: Cents, split: Split) -> None:
        """The buyer pays whom the split names, and gets the item: all or none, rehearsed because
        it takes several transactions. Raises Rejected: ``token/…``, ``asset/…``."""
        terms = self.terms
        taker = self._address(buyer)
        taking = _asset(item), self._address(terms.borrower), taker, units_of(item)
        if isinstance(item.thing, Coins):
            pledge, notary = self.world.evm.contracts.pledge, self._address(terms.notary)
            pledge.call("transfer", taker, item.thing.sats, sender=notary)
        else:
            self.register.call("execute", *taking, sender=self._address(terms.lender))
        paid = (
            ("operator", split.costs),
            (terms.lender, split.lender),
            (terms.borrower, split.surplus),
        )
        self.check_cash(buyer, paid)
        with self._act(buyer, "buy", item, cents=price):
            for name, cents in paid:
                self.send_cash(buyer, name, cents)
            if not isinstance(item.thing, Coins):
                self._send(terms.lender, "execute", *taking)
        if isinstance(item.thing, Coins):
            self._give(item, sender=terms.notary, receiver=buyer)

    def pay(self, payer: str, payee: str, cents: Cents, *, verb: str) -> None:
        """One party pays another. Raises Rejected("token/…")."""
        with self.world.act(payer, verb, pool=self.label, cents=cents):
            self.send_cash(payer, payee, cents)

    def check_cash(self, payer: str, paid: Iterable[tuple[str, Cents]]) -> None:
        """Can all of these payments be made? Rehearsed with what they come to, to each of those who
        are paid. Raises Rejected("token/…")."""
        due = [(name, cents) for name, cents in paid if cents and name != payer]
        whole, cash = sum(cents for _, cents in due), self.world.evm.contracts.cash
        for name, _ in due:
            cash.call("transfer", self._address(name), whole, sender=self._address(payer))

    def send_cash(self, payer: str, payee: str, cents: Cents) -> None:
        """The payment alone, inside an act; nothing to oneself or of nothing."""
        if cents and payer != payee:
            cash, account = self.world.evm.contracts.cash, self.world.party(payer).account
            cash.send(account, "transfer", self._address(payee), cents)

    # --- in other words ---

    def _released(self, item: Item) -> tuple[bytes, bytes, int]:
        """What a release names."""
        return _asset(item), self._address(self.terms.borrower), units_of(item)

    def _lien(self, item: Item) -> tuple[bytes, int, Seconds]:
        """Loan, units, from when it may be executed."""
        owner = self._address(self.terms.borrower)
        loan, _, units, _, _, since = self.register.call("lien_of", owner, _asset(item))
        return bytes(loan), int(units), Seconds(since)

    def _give(self, item: Item, *, sender: str, receiver: str) -> None:
        """Tokens of coins change hands."""
        assert isinstance(item.thing, Coins)
        pledge, account = self.world.evm.contracts.pledge, self.world.party(sender).account
        with self._act(sender, "give", item, to=receiver):
            pledge.send(account, "transfer", self._address(receiver), item.thing.sats)
        self._kept.discard(item.id)

    def _act(
        self, actor: str, verb: str, item: Item, **asked: object
    ) -> AbstractContextManager[None]:
        return self.world.act(actor, verb, PLATFORM, pool=self.label, asset=item.id[:12], **asked)

    def _send(self, by: str, function: str, *args: object) -> None:
        self.register.send(self.world.party(by).account, function, *args)

    def _address(self, name: str) -> bytes:
        return self.world.party(name).address_bytes


def _asset(item: Item) -> bytes:
    """The item's name as a register has it. Raises BadInput("collateral/thing") for another."""
    try:
        name = bytes.fromhex(item.id)
    except ValueError:
        name = b""
    if len(name) != _NAME:
        raise BadInput("collateral/thing", item=item.id[:40], reason="not 64 hexadecimal digits")
    return name
