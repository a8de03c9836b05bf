"""Oracles: each signs what one bitcoin costs, as it sees it."""

from __future__ import annotations

from escrow.actors.party import Party
from escrow.adapters.evm.typed import Domain, Sig, sign_price
from escrow.core.errors import Rejected
from escrow.core.units import MAX_PRICE, PriceE8, Seconds

Report = tuple[PriceE8, Sig]
"""One oracle's price of a round, and its signature over that."""


class Oracle:
    """One key of the oracle set."""

    def __init__(self, party: Party, *, domain: Domain) -> None:
        self.party = party
        self._domain = domain
        self.lie: PriceE8 | None = None
        """What it says whatever the market says; ``None``: it is honest."""

    def __repr__(self) -> str:
        return f"<Oracle {self.party.name}>"

    def report(self, *, round: int, market: PriceE8, at: Seconds, now: Seconds) -> Report:
        """Sign for one round. Raises ``Rejected``: ``price/range``, ``price/from-future``."""
        price = market if self.lie is None else self.lie
        if not 0 < price <= MAX_PRICE:
            raise Rejected("price/range", price=price)
        if at > now:
            raise Rejected("price/from-future", priced_at=at, now=now)
        message = {"round": round, "price": price, "at": at}
        return price, sign_price(self.party.account, price=message, domain=self._domain)
