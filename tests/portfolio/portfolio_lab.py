"""Portfolios to start from: members of round numbers, and price paths."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Any

from escrow.adapters.price.files import Quote
from escrow.core.state import Event
from escrow.core.terms import Liquidation, Terms
from escrow.core.units import COIN, DAY, HOUR, Bps, Cents, PriceE8, Sats, Seconds
from escrow.sim.portfolio import Habit, Member, Portfolio

START = Seconds(1_764_547_200)
SILENT = Habit(answers=Bps(0), pays=Bps(0), repays=Bps(0), reserve=Sats(0))
"""Neither answers nor repays."""
DILIGENT = Habit(answers=Bps(10_000), pays=Bps(0), repays=Bps(10_000), reserve=Sats(10 * COIN))
"""Answers every call by coins, and repays."""
PAYING = replace(DILIGENT, pays=Bps(10_000), reserve=Sats(0))
"""Answers every call by money."""
OWED = Cents(2_400_000)
"""24,000.00 against one coin: 48,000 a coin is 50 %, 40,000 is 60, 32,000 is 75, 30,000 is 80."""


def member(name: str, *, habit: Habit = SILENT, draw: int = OWED, **changes: Any) -> Member:
    """24,000.00 without interest against one coin for 60 days, taken over by the lender."""
    terms = Terms(
        borrower="0x" + sha256(f"b{name}".encode()).hexdigest()[:40],
        lender="0x" + "1e" * 20,
        vault="0x" + sha256(f"v{name}".encode()).hexdigest(),
        principal=Cents(draw),
        rate_bps=Bps(0),
        initial_ltv=Bps(5_000),
        restore_ltv=Bps(6_000),
        call_ltv=Bps(7_500),
        liquidation_ltv=Bps(8_000),
        cure=Seconds(DAY),
        expires_at=Seconds(START + HOUR),
        draw_by=Seconds(START + DAY),
        maturity=Seconds(START + 60 * DAY),
        grace=Seconds(3 * DAY),
        recover_at=Seconds(START + 100 * DAY),
        confirmations=3,
        liquidation=Liquidation.TAKE_OVER,
        bonus_bps=Bps(0),
        max_fee=Sats(5_000),
        nonce=0,
    )
    return Member(
        name=name,
        terms=replace(terms, **changes),
        pledged=Sats(COIN),
        draw=Cents(draw),
        habit=habit,
    )


def path(*wholes: int, every: int = 6 * HOUR) -> list[Quote]:
    """Prices in whole units, one each ``every`` seconds from the start."""
    return [
        Quote(Seconds(START + n * every), PriceE8(whole * 10**8)) for n, whole in enumerate(wholes)
    ]


def played(members: Iterable[Member], quotes: Sequence[Quote], **options: Any) -> Portfolio:
    """A portfolio that went along these prices, every law checked of every loan, none broken."""
    book = Portfolio(members, first=quotes[0], **{"seed": 1, "every": 1, **options})
    book.run(quotes[1:])
    assert book.book.broken == []
    return book


def story(portfolio: Portfolio, name: str) -> list[Event]:
    """Every event of one loan."""
    return [event for loan, event in portfolio.book.log if loan == name]
