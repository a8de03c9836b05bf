"""Coins sold at a price that falls with time: begun anew, and taken (T17, T24, T25; Maker's
``redo`` and ``take``)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from escrow.core.errors import Rejected
from escrow.core.phases import on_evm
from escrow.core.realise import auction_start, breached, realise
from escrow.core.regions.loan import AuctionBegun, Liquidating
from escrow.core.roles import Role
from escrow.core.rules import owed
from escrow.core.sales import auction_price, is_stale_auction, sell_seen
from escrow.core.state import Escrow, Event
from escrow.core.terms import Liquidation, Terms
from escrow.core.units import MAX_CENTS, Cents, PriceE8, Sats, Seconds

ANY_PRICE: Final = PriceE8(2**256 - 1)
"""A taker who does not mind."""


@dataclass(frozen=True, slots=True)
class Redo:
    """``EscrowBook.redo``: the price starts from the top. A keeper's duty, open to anyone."""

    by: Role
    at: Seconds
    tx: str = ""
    room: Cents = MAX_CENTS
    """Principal that the book still lets into auctions: its cap less what is in them."""


@dataclass(frozen=True, slots=True)
class Take:
    """``EscrowBook.take``: buy coins at the price of this second."""

    by: Role
    at: Seconds
    want: Sats
    """At most so many."""
    most: PriceE8 = ANY_PRICE
    """At no higher price."""
    tx: str = ""
    room: Cents = MAX_CENTS
    """As of ``Redo``."""
    over: bool = False
    """Seen, not asked: ``want`` is what was taken, and it ended the loan."""


def redo(escrow: Escrow, command: Redo) -> tuple[Event, ...]:
    """Raises ``loan/unknown``, ``liquidate/kind``, those of ``breached``, ``auction/running``,
    ``auction/cap``."""
    # WHO: anyone.
    _check_kind(escrow)
    # WHEN
    loan, _, reason = breached(escrow, at=command.at)
    if isinstance(loan, Liquidating):
        elapsed = Seconds(command.at - loan.since)
        if not is_stale_auction(loan.terms, elapsed=elapsed):
            raise Rejected("auction/running", elapsed=elapsed, tail=loan.terms.tail)
    else:
        check_room(loan.terms, loan.debt.principal, room=command.room)
    # THEN
    return (AuctionBegun(command.at, reason, command.tx),)


def take(escrow: Escrow, command: Take) -> tuple[Event, ...]:
    """Raises ``loan/unknown``, ``liquidate/kind``, ``liquidate/self``, those of ``breached``,
    ``auction/stale``, ``liquidate/slippage``, ``loan/amount``, ``liquidate/dust``,
    ``auction/cap``."""
    # WHO
    terms = _check_kind(escrow)
    if command.by is Role.BORROWER:
        raise Rejected("liquidate/self")
    # WHEN
    loan, price, reason = breached(escrow, at=command.at)
    since = auction_start(loan, price, reason)
    elapsed = Seconds(command.at - since)
    if is_stale_auction(terms, elapsed=elapsed):
        raise Rejected("auction/stale", elapsed=elapsed, tail=terms.tail)
    asked = auction_price(terms, price=price.price, elapsed=elapsed)
    if asked > command.most:
        raise Rejected("liquidate/slippage", price=asked, most=command.most)
    debt = owed(loan.debt, rate_bps=terms.rate_bps, at=command.at)
    split = sell_seen(
        terms,
        debt=debt,
        held=escrow.token.held,
        price=asked,
        seized=command.want,
        over=command.over,
    )
    done, freed = realise(
        escrow,
        split,
        by=command.by,
        at=command.at,
        price=price,
        reason=reason,
        tx=command.tx,
        since=since,
    )
    if done.since is not None and not isinstance(loan, Liquidating):
        check_room(terms, Cents(loan.debt.principal - done.principal), room=command.room)
    # THEN
    return (done, freed)


def check_room(terms: Terms, principal: Cents, *, room: Cents) -> None:
    """May so much principal be put up for auction? Raises ``auction/cap``. Other kinds of sale are
    no auction."""
    if terms.liquidation is Liquidation.AUCTION and principal > room:
        raise Rejected("auction/cap", principal=principal, room=room)


def _check_kind(escrow: Escrow) -> Terms:
    terms = on_evm(escrow.loan).terms
    if terms.liquidation is not Liquidation.AUCTION:
        raise Rejected("liquidate/kind", asked="AUCTION", terms=terms.liquidation.name)
    return terms
