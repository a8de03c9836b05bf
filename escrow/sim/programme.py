"""A mining programme whose revenue is shared: rewards are sold for cash, and the cash pays power,
the lender and the holders of its units, by the parties' own transactions."""

from __future__ import annotations

from dataclasses import replace

from escrow.collateral.items import Item, Revenue
from escrow.collateral.revenue import Dues, Payout, distribute, share_out
from escrow.core.errors import BadInput, Rejected
from escrow.core.rules import value_down
from escrow.core.units import Cents, Sats
from escrow.sim.assets import Desk


class Programme:
    """Units of revenue in a desk's register. Amounts are cents."""

    def __init__(self, desk: Desk, item: Item, *, holders: tuple[str, ...], host: str) -> None:
        """``item`` is what is pledged of it; ``holders`` are all parties that have units. Raises
        BadInput("collateral/thing") for another kind of thing."""
        if not isinstance(item.thing, Revenue):
            raise BadInput("collateral/thing", item=item.id[:40])
        self.desk, self.item, self.holders, self.host = desk, item, holders, host
        self.dues = Dues(Cents(0), Cents(0))
        """Due and not paid."""

    @property
    def share(self) -> Revenue:
        """The pledged units, with what is known of the programme."""
        assert isinstance(self.item.thing, Revenue)
        return self.item.thing

    def bill(self, *, days: int, service: Cents) -> None:
        """Power of so many days more, and all that the lender is due by now. Raises
        BadInput("input/amount") for less than nothing."""
        if days < 0 or service < 0:
            raise BadInput("input/amount", days=days, service=service)
        self.dues = Dues(Cents(self.dues.power + self.share.power_day * days), service)

    def units(self) -> tuple[int, ...]:
        """Units of each holder, pledged ones included. Raises BadInput("collateral/thing") unless
        they are all that there are."""
        register, asset, world = self.desk.register, bytes.fromhex(self.item.id), self.desk.world
        found = tuple(
            int(register.call("balanceOf", world.party(name).address_bytes, asset))
            for name in self.holders
        )
        supply = int(register.call("supply_of", asset))
        if sum(found) != supply:
            raise BadInput("collateral/thing", item=self.item.id[:40], units=supply)
        return found

    def pay_out(self, sats: Sats, *, buyer: str) -> tuple[Payout, tuple[Cents, ...]]:
        """A buyer that received the rewards pays for them, at the price of now, to whom it is due:
        the payout, and what each holder got of its rest. All are paid, or nobody.

        Raises Rejected: ``collateral/not-pledged`` for units that have left the pool,
        ``price/stale``, ``token/…``; BadInput("collateral/thing").
        """
        desk, world = self.desk, self.desk.world
        if self.item not in desk.items:
            raise Rejected("collateral/not-pledged", item=self.item.id[:12])
        rewards = value_down(sats, price=desk.market.price(world.now))
        due = Dues(self.dues.power, Cents(min(self.dues.service, desk.owed)))
        payout = distribute(rewards, dues=due)
        parts = share_out(payout.holders, units=self.units())
        paid = ((self.host, payout.power), *zip(self.holders, parts, strict=True))
        desk.hands.check_cash(buyer, (*paid, (desk.terms.lender, payout.lender)))
        with world.act(buyer, "pay-out", asset=self.item.id[:12], cents=rewards):
            for name, cents in paid:
                desk.hands.send_cash(buyer, name, Cents(cents))
        if payout.lender:
            desk.repay(payout.lender, by=buyer)
        self.dues = payout.left
        ahead = Cents(self.dues.power + desk.owed)
        self.item = desk.restate(self.item, replace(self.share, ahead=ahead))
        return payout, parts
