"""The experimental legal regime: who is listed, and whom may pay whom in digital currency.

Sources (secondary): cbr.ru of 30 Jul 2024, for exporters and importers under the central bank from
September 2024; proposal of 12 Mar 2025, three years, and no payments between residents. The number
of the law is not verified. The rules stand in profile ``ru-elr``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from escrow.core.eligibility import OTHER, Gate, RuleBook, Value, check_book, refusal
from escrow.core.errors import Rejected
from escrow.core.regions.register import Purpose
from escrow.core.units import Seconds
from escrow.eligibility.told import Told, granted

MAX_PARTIES: Final = 10_000
NAMED: Final = {
    "elr/cross-border": "elr/residents",
    "elr/participant": "elr/not-listed",
    "elr/sunset": "elr/over",
}
"""Rule of the profile → code with which the regime says no."""


@dataclass(frozen=True, slots=True)
class Trader:
    """Who pays or is paid."""

    name: str
    resident: bool
    """Of the country whose regime it is."""
    listed: bool = False
    """By the central bank, as an exporter or importer of the regime."""

    @property
    def facts(self) -> dict[str, Value]:
        """As rules ask for it."""
        return {"resident": self.resident, "elr_listed": self.listed}


class Regime:
    """Who is known to the regime, and what it lets pass."""

    @granted
    def __init__(self, book: RuleBook) -> None:
        """``book``: the rules that payments are asked by. Raises BadInput("profile/value")."""
        check_book(book)
        self.told: list[Told] = []
        """What it was told, see ``escrow.eligibility.told``."""
        self._book = book
        self._traders: dict[str, Trader] = {}

    @granted
    def enter(self, trader: Trader) -> None:
        """Somebody is known, or known as something else from now on. Raises ``Rejected``:
        ``elr/trader`` for a name that is none, or a foreigner who is listed."""
        named = 0 < len(trader.name) <= 200 and trader.name.isprintable()
        full = trader.name not in self._traders and len(self._traders) >= MAX_PARTIES
        if not named or full or (trader.listed and not trader.resident):
            raise Rejected("elr/trader", name=trader.name[:40])
        self._traders[trader.name] = trader

    def trader(self, name: str) -> Trader:
        """Raises ``Rejected("elr/unknown")``."""
        if name not in self._traders:
            raise Rejected("elr/unknown", name=name[:40])
        return self._traders[name]

    def check_payment(self, *, payer: str, payee: str, asset: str, at: Seconds) -> None:
        """May ``payer`` pay ``payee`` in digital currency? Raises ``Rejected``: ``elr/unknown``,
        ``elr/residents`` for two residents, ``elr/not-listed`` for a resident outside the regime,
        ``elr/over`` after its end, ``eligibility/denied`` for any other rule."""
        facts = self.trader(payee).facts | {
            OTHER + name: value for name, value in self.trader(payer).facts.items()
        }
        asked: dict[str, Value] = {"purpose": Purpose.PAYMENT.value, "asset": asset}
        denied = refusal(self._book, Gate.TRANSFER, facts | asked, at=at)
        if denied is not None:
            code = NAMED.get(denied.rule, "eligibility/denied")
            raise Rejected(code, rule=denied.rule, reason=denied.reason)
