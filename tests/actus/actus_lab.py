"""Contracts for tests, short to write."""

from __future__ import annotations

import json
import os
from decimal import Decimal
from pathlib import Path
from typing import Any

from escrow.actus.cases import Case, read_case
from escrow.actus.run import play_contract
from escrow.actus.states import Row

SHARED = Path(os.environ.get("ESCROW_SHARED", Path(__file__).parents[2].parent / "shared"))
VECTORS = SHARED / "data" / "actus"
TYPES = ("ann", "cec", "ceg", "clm", "lam", "nam", "pam", "ump")


def vectors(kind: str) -> dict[str, Any]:
    """The published cases of a type; none where they are not."""
    file = VECTORS / f"actus-tests-{kind}.json"
    return json.loads(file.read_text(), parse_float=Decimal) if file.is_file() else {}


LOAN: dict[str, Any] = {
    "contractType": "PAM",
    "contractID": "loan",
    "contractRole": "RPA",
    "currency": "USD",
    "contractDealDate": "2012-12-28T00:00:00",
    "statusDate": "2012-12-30T00:00:00",
    "initialExchangeDate": "2013-01-01T00:00:00",
    "maturityDate": "2014-01-01T00:00:00",
    "notionalPrincipal": "3600",
    "nominalInterestRate": "0.1",
    "dayCountConvention": "30E360",
    "cycleAnchorDateOfInterestPayment": "2013-04-01T00:00:00",
    "cycleOfInterestPayment": "P3ML0",
}
"""A year at 10 %, 90.00 each quarter."""
AMORTISES: dict[str, Any] = {
    "cycleAnchorDateOfPrincipalRedemption": "2013-04-01T00:00:00",
    "cycleOfPrincipalRedemption": "P3ML0",
}
FLOATS: dict[str, Any] = {
    "cycleAnchorDateOfRateReset": "2013-04-01T00:00:00",
    "cycleOfRateReset": "P3ML1",
    "marketObjectCodeOfRateReset": "KEY",
}


def case(
    *,
    data: dict[str, list[tuple[str, str]]] | None = None,
    events: list[dict[str, Any]] | None = None,
    to: str = "",
    **terms: Any,
) -> Case:
    """A case of ``LOAN`` with these changes; None takes a term away."""
    merged = {key: value for key, value in {**LOAN, **terms}.items() if value is not None}
    series = {
        code: {"identifier": code, "data": [{"timestamp": t, "value": v} for t, v in points]}
        for code, points in (data or {}).items()
    }
    parts = {"terms": merged, "to": to, "dataObserved": series, "eventsObserved": events or []}
    return read_case("test", parts)


def rows(**facts: Any) -> tuple[Row, ...]:
    """Every event of a case."""
    found = case(**facts)
    return play_contract(found.terms, market=found.market)


def told(played: tuple[Row, ...], *kinds: str) -> list[tuple[str, str, Decimal]]:
    """Date, type and payoff, to the cent, of events of these types; of all, if none is named."""
    cent = Decimal("0.01")
    return [
        (str(row.event.at)[:10], row.name, (row.payoff.quantize(cent) + 0))
        for row in played
        if not kinds or row.name in kinds
    ]


def paid(played: tuple[Row, ...], kind: str) -> list[Decimal]:
    """Payoffs of a type."""
    return [payoff for _, _, payoff in told(played, kind)]
