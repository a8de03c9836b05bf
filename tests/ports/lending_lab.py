"""The market that lends against pledge tokens, deployed beside the contracts of a deal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from contracts_lab import HOLD_CASH, HOLD_PLEDGE, Lab, raw
from eth_account.signers.local import LocalAccount

from escrow.adapters.evm.chain import Chain
from escrow.adapters.evm.contracts import Contract, creation_code, transaction
from escrow.core.units import COIN
from escrow.ports import EvmPort

LLTV = 8_600
"""Bps: the level of Coinbase's loans on Morpho Blue."""
ALL = 2**256 - 1
MARKET_KIND = 9
"""Class of the market in the registry: holds both tokens, neither borrows nor lends."""
VAULT = b"\x31" * 32
"""The loan whose vault the coins of these tests sit in; nobody has opened it."""
MILLION = 10**6
CENTS = 10_000_000
"""100,000.00: what a coin is worth here at first."""


class LendingLab(Lab):
    """The lender lends, the borrower borrows, the keeper liquidates; all have approved it."""

    def __init__(
        self,
        make: Callable[..., EvmPort] = Chain,
        *,
        lltv: int = LLTV,
        base: int = 0,
        slope: int = 0,
    ) -> None:
        super().__init__(make)
        self.market = self.put("LendingMarket", *self.parts, lltv, base, slope)
        self.rule(HOLD_PLEDGE | HOLD_CASH, kind=MARKET_KIND)
        self.admit(self.market.address, kind=MARKET_KIND)
        for who in (self.lender, self.borrower, self.keeper, self.buyer):
            for token in (self.cash, self.pledge):
                token.send(who, "approve", self.market.address, ALL)
        for who in (self.lender, self.keeper, self.buyer):
            self.cash.send(self.issuer, "mint", raw(who), 10**12)
        self.mint(VAULT, 10 * COIN)
        self.post()
        self.forget()
        self.save()

    @property
    def parts(self) -> tuple[bytes, bytes]:
        """What a market is built on."""
        return self.registry.address, self.prices.address

    def put(self, name: str, *args: object) -> Contract:
        """Deploy one more contract."""
        code = creation_code(name, *args)
        receipt = self.chain.send(
            transaction(self.issuer, chain=self.chain, to=None, data=code, gas=8_000_000)
        )
        assert receipt.contract_address is not None
        return Contract(name, address=receipt.contract_address, chain=self.chain)

    def act(self, who: LocalAccount, verb: str, *args: object) -> Any:
        """A call of the market; what it said, without the tokens' own events."""
        receipt = self.market.send(who, verb, *args)
        events = map(self.market.event, receipt.logs)
        return [(event.name, dict(event.args)) for event in events if event is not None]

    def ready(self, *, pool: int = 2 * CENTS, sats: int = COIN) -> None:
        """The pool has that many cents, and the borrower has put ``sats`` in."""
        self.act(self.lender, "supply", pool)
        self.act(self.borrower, "supply_collateral", sats)

    def borrowed(self, cents: int, **changes: int) -> None:
        """And has borrowed."""
        self.ready(**changes)
        self.act(self.borrower, "borrow", cents)

    def totals(self) -> tuple[int, int, int, int]:
        """Cents lent, their shares, cents borrowed, their shares."""
        found: tuple[int, int, int, int] = self.market.call("totals")
        return found

    def position(self, who: LocalAccount) -> tuple[int, int, int]:
        """Shares lent, shares borrowed, sats of collateral."""
        found: tuple[int, int, int] = self.market.call("position", raw(who))
        return found

    def debt(self, who: LocalAccount) -> int:
        return int(self.market.call("owed", raw(who)))

    def lent(self, who: LocalAccount) -> int:
        return int(self.market.call("supplied", raw(who)))

    def sound(self) -> None:
        """The pool's cash and collateral are there: M1, M2 and M3 of Morpho's properties."""
        people = [self.lender, self.borrower, self.keeper, self.buyer, self.issuer]
        lent, lent_shares, debt, debt_shares = self.totals()
        places = [self.position(who) for who in people]
        assert lent_shares == sum(place[0] for place in places)
        assert debt_shares == sum(place[1] for place in places)
        assert debt <= lent
        assert self.cash.call("balanceOf", self.market.address) >= lent - debt
        collateral = self.pledge.call("balanceOf", self.market.address)
        assert collateral == sum(place[2] for place in places)
        assert all(place[2] > 0 for place in places if place[1])
