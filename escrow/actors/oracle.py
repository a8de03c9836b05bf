"""Oracles: sign, m of n, what one bitcoin costs."""

from __future__ import annotations

from escrow.actors.party import Party
from escrow.adapters.evm.typed import Domain, Sig, sign_price
from escrow.core.errors import Rejected
from escrow.core.units import MAX_PRICE, PriceE8, Seconds


class Oracle:
    """One key of the oracle set."""

    def __init__(self, party: Party, *, domain: Domain) -> None:
        self.party = party
        self._domain = domain

    def __repr__(self) -> str:
        return f"<Oracle {self.party.name}>"

    def sign(self, *, round: int, price: PriceE8, at: Seconds, now: Seconds) -> Sig:
        """Sign one round. Raises ``Rejected``: ``price/range``, ``price/from-future``."""
        if not 0 < price <= MAX_PRICE:
            raise Rejected("price/range", price=price)
        if at > now:
            raise Rejected("price/from-future", priced_at=at, now=now)
        message = {"round": round, "price": price, "at": at}
        return sign_price(self.party.account, price=message, domain=self._domain)
