"""Where a loan stands, in the words of a margin agreement: exposure, collateral, what is missing.

A coin counts with the share of its price at which a call is cured (``restore_ltv``), so its haircut
is the rest. What a call asks for is then both the least repayment and the least value of further
collateral, after the haircut, that cures it: ``debt ≤ restore × value`` to the last cent.
"""

from __future__ import annotations

from dataclasses import dataclass

from escrow.core.phases import carries_tokens, debt_now, is_inside, takes_collateral, terms_of
from escrow.core.regions.system import Price
from escrow.core.rules import value_down
from escrow.core.state import Escrow
from escrow.core.terms import MIN_DEPOSIT, Terms
from escrow.core.units import (
    BPS,
    CENTS_SCALE,
    Bps,
    Cents,
    PriceE8,
    Sats,
    Seconds,
    muldiv_down,
)
from escrow.messages.words import currency


@dataclass(frozen=True, slots=True)
class Pact:
    """Who has agreed what: the same in every message of a loan, until it is refinanced."""

    loan: str
    """The loan's id, 32 bytes in hex with 0x."""
    lender: str
    """EVM address of party A."""
    borrower: str
    """EVM address of party B."""
    vault: str
    """Witness program of the vault."""
    agreed_at: Seconds
    """When the terms in force were accepted, or offered if they are not yet."""
    currency: str
    """ISO 4217 code in which cents are told."""

    def __post_init__(self) -> None:
        currency(self.currency)


@dataclass(frozen=True, slots=True)
class Margin:
    """The numbers of one moment."""

    at: Seconds
    """When."""
    exposure: Cents
    """Owed, rounded up."""
    held: Sats
    """Pledged."""
    transit: Sats
    """In the vault, and no tokens yet."""
    haircut: Bps
    """What of a coin's price does not count."""
    price: Price | None
    """The last price, however old; none before the first."""
    market: Cents
    """What is pledged at that price, rounded down; 0 before the first."""
    collateral: Cents
    """The same after the haircut."""

    @property
    def call(self) -> Cents:
        """What would cure a call, in cents; 0 where nothing is missing."""
        return Cents(max(0, self.exposure - self.collateral))

    @property
    def excess(self) -> Cents:
        """Collateral after the haircut beyond what is owed."""
        return Cents(max(0, self.collateral - self.exposure))

    def counted(self, sats: Sats) -> Cents:
        """What ``sats`` count after the haircut, in cents, rounded down; 0 before a price."""
        if self.price is None:
            return Cents(0)
        return after_haircut(sats, price=self.price.price, haircut=self.haircut)

    def worth(self, sats: Sats) -> Cents:
        """What ``sats`` cost at the last price, in cents, rounded down; 0 before a price."""
        return Cents(0) if self.price is None else value_down(sats, price=self.price.price)


def after_haircut(sats: Sats, *, price: PriceE8, haircut: Bps) -> Cents:
    """What ``sats`` count, in cents, rounded down: against the one who pledges."""
    return Cents(muldiv_down(sats * price, BPS - haircut, CENTS_SCALE * BPS))


def haircut_of(terms: Terms) -> Bps:
    """What of a coin's price does not count towards curing a call."""
    return Bps(BPS - terms.restore_ltv)


def margin_of(escrow: Escrow, *, at: Seconds) -> Margin:
    """The numbers of a deal at ``at``. Raises Rejected("loan/unknown") before the offer."""
    haircut, price, held = haircut_of(terms_of(escrow.loan)), escrow.system.price, escrow.token.held
    return Margin(
        at=at,
        exposure=debt_now(escrow, at=at),
        held=held,
        transit=_transit(escrow),
        haircut=haircut,
        price=price,
        market=Cents(0) if price is None else value_down(held, price=price.price),
        collateral=Cents(0)
        if price is None
        else after_haircut(held, price=price.price, haircut=haircut),
    )


def _transit(escrow: Escrow) -> Sats:
    if not takes_collateral(escrow.loan):
        return Sats(0)
    return Sats(
        sum(
            coin.sats
            for coin in escrow.vault.coins
            if is_inside(coin) and not carries_tokens(escrow, coin) and coin.sats >= MIN_DEPOSIT
        )
    )
