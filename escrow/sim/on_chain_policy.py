"""The lender's policy: what a product's ladder does, done through the contract.

The lender looks at the chains, price by price and in every second in which a clock brings
something, and decides by the product's own rules (``products.calls``, ``level``, ``sale``): it
waits out a dwell, calls above a level rather than at it, lets the longer cure time pass, buys no
more than a close factor allows. The contract's terms are bounds around that. Nobody else calls or
sells here: the operator is silent, and the buyer asks the lender.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from escrow.core.errors import Rejected
from escrow.core.regions.loan import Active, Called, Indebted
from escrow.core.regions.system import active_seconds
from escrow.core.rules import ltv_up
from escrow.core.sales import gross_up
from escrow.core.terms import Liquidation
from escrow.core.units import Bps, Cents, PriceE8, Sats, Seconds
from escrow.deal import Deal
from escrow.products.calls import Calls
from escrow.products.level import restored
from escrow.products.model import Basis, Product
from escrow.products.sale import sell
from escrow.sim.on_chain_terms import Plan
from escrow.world import World

_MOST_SALES: Final = 64
"""Sales at one price, as on the ladder."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """The contract refused what the product does."""

    at: Seconds
    """When."""
    code: str
    """With which code."""


class Lender:
    """Acts on one loan as the product says. Of debt, coins, price and clock it knows what the
    chains say."""

    __slots__ = (
        "_calls",
        "_deal",
        "_plan",
        "_principal",
        "_product",
        "_since",
        "_world",
        "refusals",
    )

    def __init__(
        self, world: World, deal: Deal, *, product: Product, plan: Plan, principal: Cents
    ) -> None:
        self._world, self._deal, self._plan = world, deal, plan
        self._product, self._principal = product, principal
        self._calls = Calls(product)
        self._since: Seconds | None = None  # an auction's beginning
        self.refusals: list[Refusal] = []
        """What it wanted and could not do."""

    @property
    def ltv(self) -> Bps:
        """As the product counts, in basis points, rounded up."""
        return ltv_up(self._exposure, sats=self._held, price=self._price)

    def moments(self) -> list[Seconds]:
        """When time alone brings something, if no price comes before."""
        state, now = self._deal.state, self._world.now
        found = [now + moment - self._active for moment in self._calls.moments()]
        if self._since is not None and self._plan.wait is not None:
            found.append(self._since + self._plan.wait)
        return [Seconds(m) for m in found if m > now] if isinstance(state.loan, Indebted) else []

    def act(self) -> None:
        """Do what the product does in this second."""
        self._margin()
        self._realise()

    def _margin(self) -> None:
        calls, held, price = self._calls, self._held, self._price
        if calls.open and restored(self._product.restore, self._exposure, held=held, price=price):
            # A sale of a part may have ended the product's call and not the contract's.
            if isinstance(self._deal.state.loan, Called):
                self._try(lambda: self._world.cure(self._deal, by="lender"))
            calls.clear()
        made = calls.make(self._exposure, held=held, price=price, active=self._active)
        if made and isinstance(self._deal.state.loan, Active):
            self._try(lambda: self._world.margin_call(self._deal, by="lender"))

    def _realise(self) -> None:
        calls = self._calls
        calls.expire(self._exposure, held=self._held, price=self._price, active=self._active)
        # An auction that runs from the level goes on as it is: expiry would begin it anew.
        runs = self._since is not None and self._is_immediate
        if calls.lapsed and not runs and isinstance(self._deal.state.loan, Called):
            self._try(lambda: self._world.expire_call(self._deal, by="lender"))
        if not (calls.lapsed or self._is_immediate):
            self._since = None
            return
        if self._plan.wait is not None:
            # Without a lapse an auction runs from the price that breached the level.
            if self._since is None or (self._priced_now and not calls.lapsed):
                self._since = self._world.now
            if self._world.now < self._since + self._plan.wait:
                return
        for _ in range(_MOST_SALES):
            if not self._sale() or not isinstance(self._deal.state.loan, Indebted):
                return
            calls.clear()
            self._since = None
            if not self._is_immediate:
                return

    def _sale(self) -> bool:
        """One sale, as large as the product's; was there one?"""
        deal, kind, now = self._deal, self._product.liquidation, self._world.now
        if self._plan.wait is not None:
            return self._try(lambda: self._world.take(deal))
        sale = sell(
            kind,
            debt=deal.debt,
            principal=self._owed_principal,
            held=self._held,
            price=self._price,
            at=now,
            in_default=False,
        )
        if sale is None:
            return False
        if self._plan.penalty:
            return self._try(lambda: self._world.liquidate(deal, by="lender"))
        pay: str | None = None
        if sale.left and self._plan.liquidation is Liquidation.THIRD_PARTY:
            cents = gross_up(sale.recovered, fee=deal.terms.fee_bps)
            pay = f"{cents // 100}.{cents % 100:02d}"
        return self._try(lambda: self._world.liquidate(deal, by="liquidator", pay=pay))

    def _try(self, ask: Callable[[], object]) -> bool:
        """Ask the contract. A refusal is noted, the first of its kind."""
        try:
            ask()
        except Rejected as refusal:
            if all(each.code != refusal.code for each in self.refusals):
                self.refusals.append(Refusal(self._world.now, refusal.code))
            return False
        return True

    @property
    def _is_immediate(self) -> bool:
        level = self._product.immediate
        return level is not None and level.reached(
            self._exposure, held=self._held, price=self._price
        )

    @property
    def _exposure(self) -> Cents:
        """What the levels count."""
        by_principal = self._product.basis is Basis.PRINCIPAL
        return self._owed_principal if by_principal else self._deal.debt

    @property
    def _owed_principal(self) -> Cents:
        """Interest of the whole term is principal in the contract, and is covered first."""
        loan = self._deal.state.loan
        assert isinstance(loan, Indebted)
        return Cents(min(self._principal, loan.debt.principal))

    @property
    def _priced_now(self) -> bool:
        last = self._deal.state.system.price
        return last is not None and last.at == self._world.now

    @property
    def _held(self) -> Sats:
        return self._deal.state.token.held

    @property
    def _price(self) -> PriceE8:
        last = self._deal.state.system.price
        assert last is not None
        return last.price

    @property
    def _active(self) -> int:
        return active_seconds(self._deal.state.system, at=self._world.now)
