"""Playing a contract, and comparing what it pays with what a file says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import Final

from escrow.actus.cases import Case, Expected, field_of
from escrow.actus.cover import basic_rows, cover_rows
from escrow.actus.market import Market
from escrow.actus.states import ARITHMETIC, Row
from escrow.actus.terms import ContractType, Terms

TOLERANCE: Final = Decimal("1e-9")
"""Published results have 10 to 16 digits: numbers agree to this part of them, or of 1."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a case went."""

    name: str
    """The case."""
    rows: int
    """Events that were played."""
    difference: str
    """The first thing that differs; empty: nothing does."""
    compared: bool = True
    """Did the file say what to expect?"""

    @property
    def passed(self) -> bool:
        """Was it compared, and does nothing differ?"""
        return self.compared and not self.difference


def play_contract(terms: Terms, *, market: Market) -> tuple[Row, ...]:
    """Every event of a contract after its status date, with payoff and state.

    Raises BadInput: ``actus/missing-term``, ``actus/term``, ``actus/observation``,
    ``actus/event``, ``actus/credit-line``, ``schedule/endless``.
    """
    with localcontext(ARITHMETIC):
        if terms.contract_type in (ContractType.CEC, ContractType.CEG):
            return cover_rows(terms, market=market)
        return basic_rows(terms, market=market)


def check_case(case: Case) -> Verdict:
    """Play a case and compare. Raises what ``play_contract`` does."""
    rows = play_contract(case.terms, market=case.market)
    if case.expected is None:
        return Verdict(case.name, len(rows), "", compared=False)
    return Verdict(case.name, len(rows), _compare(case.terms, case.expected, rows))


def _compare(terms: Terms, expected: Sequence[Expected], rows: Sequence[Row]) -> str:
    for n, (row, want) in enumerate(zip(rows, expected, strict=False)):
        different = _differs(terms, row, want)
        if different:
            return f"row {n} {row.event.at} {row.name}: {different}"
    if len(rows) != len(expected):
        more = rows[len(expected) :]
        which = f", next {more[0].event.at} {more[0].name}" if more else ""
        return f"{len(rows)} rows, expected {len(expected)}{which}"
    return ""


def _differs(terms: Terms, row: Row, want: Expected) -> str:
    if (row.event.at, row.name) != (want.at, want.kind):
        return f"expected {want.at} {want.kind}"
    currency = terms.settlement_currency or terms.currency
    if want.currency not in ("", currency):
        return f"currency {currency}, expected {want.currency}"
    if want.exercised is not None and row.state.exercised != want.exercised:
        return f"exerciseDate {row.state.exercised}, expected {want.exercised}"
    for name, value in want.numbers:
        field = field_of(name)
        found: Decimal = row.payoff if field == "payoff" else getattr(row.state, field)
        if not is_close(found, value):
            return f"{name} {found:.12f}, expected {value}"
    return ""


def is_close(found: Decimal, wanted: Decimal) -> bool:
    """Do two numbers agree to ``TOLERANCE``?"""
    return abs(found - wanted) <= TOLERANCE * max(Decimal(1), abs(wanted))
