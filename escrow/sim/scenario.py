"""Scenarios: a deal, a stretch of prices and who behaves how, in one TOML file.

A file is checked whole before anything runs: no key is ignored, none is guessed, and the terms
are held against the very rules that the loan is opened under. Amounts are text or whole
numbers; TOML floats are refused, since 0.1 is not a tenth::

    [scenario]
    name = "my-case"            # a-z, 0-9 and hyphens
    title = "One line for reports"
    start = "2020-03-08"        # UTC, ISO 8601 text or a TOML date; the world begins here
    seed = 1                    # optional, 0 … 2⁶⁴ - 1

    [collateral]
    btc = "10"                  # pledged; 8 decimals at most
    top_up_btc = "2.5"          # only, and always, if the borrower "tops-up"

    [loan]                      # optional, and so is every key; else ``DEFAULTS``
    principal = "45000.00"      # this much is lent and drawn, or
    draw_ltv = 5000             # as much as brings the loan-to-value here at the first price;
                                # without either, as much as initial_ltv allows
    rate_bps = 1200             # a year; levels in bps, initial ≤ restore < call < liquidation
    initial_ltv = 5000
    restore_ltv = 6000
    call_ltv = 7000
    liquidation_ltv = 8500
    cure_hours = 24
    term_days = 180             # from the start to maturity
    grace_days = 10             # from maturity to default
    recover_days = 30           # from default to the borrower's own way out
    confirmations = 6
    liquidation = "take-over"   # by the lender, or "third-party"
    bonus_bps = 500
    max_fee_sats = 100000

    [prices]
    source = "builtin"          # or "file", and then
    file = "btc.csv.gz"         # relative to the scenario's folder
    from = "2020-03-08"         # optional: the start; a date alone is its first second
    to = "2020-03-20"           # optional: the end of the prices; a date alone is its last second
    every = 1                   # optional, hours between two prices

    [actors]                    # optional, and so is every key
    borrower = "absent"         # or "tops-up", "repays"
    lender = "diligent"
    liquidator = "diligent"     # or "absent"; matters when liquidation is "third-party"

    [assumed]                   # optional
    terms = ["what was not disclosed and is supposed: reports print it"]

A table or key of another name is ``scenario/unknown-key``, an absent one
``scenario/missing-key``, a wrong type or range ``scenario/value``; each says where
(``at=loan.call_ltv``). Amounts and times refuse with their own codes (``input/amount``,
``input/time``), contradicting terms with those of the rules (``terms/ltv-order`` and others).
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Final

from escrow.core.errors import BadInput, EscrowError
from escrow.core.terms import MAX_FEE_BOUND, MAX_RATE, MIN_DEPOSIT, Liquidation, Terms, check_terms
from escrow.core.units import BPS, DAY, HOUR, Bps, Cents, Sats, Seconds
from escrow.parse import parse_btc, parse_cents, parse_time
from escrow.sim.plan import (
    DEFAULTS,
    Actors,
    Borrower,
    Collateral,
    Lender,
    Liquidator,
    LoanPlan,
    PricePlan,
    Scenario,
    Source,
)
from escrow.sim.toml import Table
from escrow.tables import shipped_bytes, shipped_names

__all__ = [
    "DEFAULTS",
    "Actors",
    "Borrower",
    "Collateral",
    "Lender",
    "Liquidator",
    "LoanPlan",
    "PricePlan",
    "Scenario",
    "Source",
    "load_scenario",
    "parse_scenario",
    "scenarios",
    "with_prices",
]

MAX_FILE: Final = 100_000
"""Longest scenario file in bytes."""
_SHIPPED: Final = ("escrow.sim", "scenarios")
"""Package and folder of what ships."""


def scenarios() -> tuple[str, ...]:
    """Names of the scenarios that come with the package, sorted."""
    return shipped_names(*_SHIPPED)


def load_scenario(path_or_name: str | Path) -> Scenario:
    """Read a scenario: a file, or one of ``scenarios()`` by name, with or without ``.toml``.

    A file of that name wins. Raises BadInput: ``scenario/missing-file``, ``scenario/format``,
    and whatever ``parse_scenario`` raises.
    """
    path = Path(path_or_name)
    name = str(path_or_name).removesuffix(".toml")
    try:
        if path.is_file():
            with path.open("rb") as file:
                raw = file.read(MAX_FILE + 1)
            return parse_scenario(raw, folder=path.parent)
    except OSError as error:
        raise BadInput("scenario/format", file=path.name, reason="cannot be opened") from error
    if name not in scenarios():
        known = " ".join(scenarios())
        raise BadInput("scenario/missing-file", file=str(path_or_name)[:80], known=known)
    return parse_scenario(shipped_bytes(*_SHIPPED, name))


def parse_scenario(text: str | bytes, *, folder: Path | None = None) -> Scenario:
    """Read a scenario from text. A relative price file is looked for in ``folder``.

    Raises BadInput: ``scenario/format``, ``scenario/unknown-key``, ``scenario/missing-key``,
    ``scenario/value``, ``input/amount``, ``input/time``, ``terms/…``.
    """
    if len(text) > MAX_FILE:
        raise BadInput("scenario/format", reason="too large", max_bytes=MAX_FILE)
    try:
        top = Table(tomllib.loads(text.decode() if isinstance(text, bytes) else text))
    except UnicodeDecodeError as error:
        raise BadInput("scenario/format", reason="not UTF-8") from error
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
        # An impossible date or a number of too many digits is a plain ValueError.
        raise BadInput("scenario/format", reason=str(error)[:120]) from error
    about = top.table("scenario")
    start = about.read("start", parse_time)
    scenario = Scenario(
        name=about.text("name", pattern=re.compile(r"[a-z0-9][a-z0-9-]{0,39}")),
        title=about.text("title"),
        start=start,
        seed=about.integer("seed", 0, 2**64 - 1, default=1),
        actors=_actors(top.table("actors", optional=True)),
        collateral=_collateral(top.table("collateral")),
        loan=_loan(top.table("loan", optional=True)),
        prices=_prices(top.table("prices"), start=start, folder=folder),
        assumed=top.table("assumed", optional=True).texts("terms"),
    )
    top.close()
    _check(scenario)
    return scenario


def with_prices(
    scenario: Scenario,
    *,
    file: Path | None,
    start: Seconds | None = None,
    end: Seconds | None = None,
) -> Scenario:
    """The same scenario on the prices of ``file``; without one, on its own.

    ``start`` and ``end`` replace what it says itself; a new ``start`` moves the whole scenario,
    since the loan is drawn at the first price. Raises BadInput("input/time").
    """
    prices = scenario.prices
    if file is not None:
        prices = replace(prices, source=Source.FILE, file=file)
    begin = prices.start if start is None else start
    prices = replace(prices, start=begin, end=prices.end if end is None else end)
    if prices.end is not None and prices.end < begin:
        raise BadInput("input/time", start=begin, end=prices.end)
    return replace(scenario, start=scenario.start if start is None else start, prices=prices)


def _actors(table: Table) -> Actors:
    return Actors(
        borrower=table.choice("borrower", Borrower, default=Borrower.ABSENT),
        lender=table.choice("lender", Lender, default=Lender.DILIGENT),
        liquidator=table.choice("liquidator", Liquidator, default=Liquidator.DILIGENT),
    )


def _collateral(table: Table) -> Collateral:
    return Collateral(
        pledged=table.amount("btc", lambda given: parse_btc(given, minimum=MIN_DEPOSIT)),
        top_up=table.amount("top_up_btc", lambda given: parse_btc(given, minimum=MIN_DEPOSIT))
        if "top_up_btc" in table
        else None,
    )


def _loan(table: Table) -> LoanPlan:
    if "principal" in table and "draw_ltv" in table:
        raise BadInput("scenario/value", at="loan.draw_ltv", reason="principal is given too")
    principal = table.amount("principal", parse_cents) if "principal" in table else None

    def level(key: str, default: Bps) -> Bps:
        return Bps(table.integer(key, 1, BPS - 1, default=default))

    def span(key: str, unit: Seconds, low: int, high: int, default: Seconds) -> Seconds:
        return Seconds(unit * table.integer(key, low, high, default=default // unit))

    usual = DEFAULTS
    initial = level("initial_ltv", usual.initial_ltv)
    kinds = {"take-over": Liquidation.TAKE_OVER, "third-party": Liquidation.THIRD_PARTY}
    return LoanPlan(
        principal=principal,
        draw_ltv=None if principal is not None else level("draw_ltv", initial),
        rate_bps=Bps(table.integer("rate_bps", 0, MAX_RATE, default=usual.rate_bps)),
        initial_ltv=initial,
        restore_ltv=level("restore_ltv", usual.restore_ltv),
        call_ltv=level("call_ltv", usual.call_ltv),
        liquidation_ltv=level("liquidation_ltv", usual.liquidation_ltv),
        cure=span("cure_hours", HOUR, 1, 720, usual.cure),
        term=span("term_days", DAY, 1, 3_650, usual.term),
        grace=span("grace_days", DAY, 0, 365, usual.grace),
        recover=span("recover_days", DAY, 1, 3_650, usual.recover),
        confirmations=table.integer("confirmations", 1, 100, default=usual.confirmations),
        liquidation=table.one_of("liquidation", kinds, default=usual.liquidation),
        bonus_bps=Bps(table.integer("bonus_bps", 0, 5_000, default=usual.bonus_bps)),
        max_fee=Sats(table.integer("max_fee_sats", 1, MAX_FEE_BOUND, default=usual.max_fee)),
    )


def _prices(table: Table, *, start: Seconds, folder: Path | None) -> PricePlan:
    source = table.choice("source", Source)
    file = None
    if source is Source.FILE:
        file = (folder or Path()) / table.text("file", longest=1_000)
    first = table.read("from", parse_time, default=start)
    last = table.read("to", lambda text: parse_time(text, end_of_day=True), default=None)
    every = Seconds(table.integer("every", 1, 24 * 31, default=1) * HOUR)
    if first < start:
        raise BadInput("scenario/value", at="prices.from", reason="before the scenario's start")
    if last is not None and last < first:
        raise BadInput("scenario/value", at="prices.to", reason="before prices.from")
    return PricePlan(source, file, first, last, every)


def _check(scenario: Scenario) -> None:
    """What no key shows alone: the rules of the terms, and whether the parts fit together."""
    loan, start = scenario.loan, scenario.start
    tops_up = scenario.actors.borrower is Borrower.TOPS_UP
    if tops_up and scenario.collateral.top_up is None:
        raise BadInput("scenario/missing-key", at="collateral.top_up_btc")
    if not tops_up and scenario.collateral.top_up is not None:
        raise BadInput("scenario/value", at="collateral.top_up_btc", reason="nobody tops up")
    if loan.draw_ltv is not None and loan.draw_ltv > loan.initial_ltv:
        raise BadInput("scenario/value", at="loan.draw_ltv", reason="above loan.initial_ltv")
    maturity = start + loan.term
    try:
        check_terms(
            Terms(
                borrower="borrower",
                lender="lender",
                vault="",
                principal=loan.principal or Cents(1),
                rate_bps=loan.rate_bps,
                initial_ltv=loan.initial_ltv,
                restore_ltv=loan.restore_ltv,
                call_ltv=loan.call_ltv,
                liquidation_ltv=loan.liquidation_ltv,
                cure=loan.cure,
                expires_at=start,
                draw_by=start,
                maturity=Seconds(maturity),
                grace=loan.grace,
                recover_at=Seconds(maturity + loan.grace + loan.recover),
                confirmations=loan.confirmations,
                liquidation=loan.liquidation,
                bonus_bps=loan.bonus_bps,
                max_fee=loan.max_fee,
                nonce=0,
            ),
            at=start,
        )
    except EscrowError as error:
        raise BadInput(error.code, **error.facts) from error
