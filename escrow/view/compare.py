"""A comparison for people and programs: two tables, JSON, CSV, a chart."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import fields
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from escrow.core.errors import BadInput
from escrow.core.units import DAY
from escrow.products.outcome import Outcome
from escrow.products.words import assumed_lines
from escrow.sim.compare import Comparison
from escrow.sim.on_chain import BothRuns
from escrow.sim.on_chain_rules import By
from escrow.words import exact, moment, money, percent, price, span

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FORMATS: Final = ("png", "svg", "html")
"""What a chart is written as, by its file's ending."""

_PROMISED: Final = (
    "product",
    "drawn_at",
    "sats_pledged",
    "first_notice_at",
    "margin_call_at",
    "cured",
    "liquidated_at",
    "liquidation_price",
    "sats_sold",
    "sats_to_lender",
    "sats_fees",
    "sats_returned",
    "sats_held",
    "recovered",
    "bad_debt",
    "worst_ltv_bps",
)
"""Fields of a row that come first, in this order."""
_MARKS: Final = (
    ("first_notice_at", "notice", "^", "tab:olive"),
    ("margin_call_at", "margin call", "v", "tab:orange"),
    ("cured_at", "cured", "o", "tab:green"),
    ("soft_from", "bands begin to sell", "s", "tab:blue"),
    ("liquidated_at", "first sale", "X", "tab:red"),
)
"""What is drawn on a product's line."""

_KEEPERS: Final = {By.CONTRACT: "CONTRACT", By.POLICY: "POLICY"}
"""Who keeps a rule: the contract, or the lender alone by its policy."""


def as_dict(comparison: Comparison) -> dict[str, Any]:
    """The whole as JSON: times in unix seconds, money in cents, prices × 10⁸."""
    return {
        "drawn_at": comparison.first.at,
        "ends_at": comparison.last.at,
        "prices": comparison.prices,
        "principal": comparison.outcomes[0].principal,
        "first_price": comparison.first.price,
        "lowest_price": comparison.lowest,
        "last_price": comparison.last.price,
        "products": [
            {**_row(outcome), "assumed": assumed_lines(product)}
            for outcome, product in zip(comparison.outcomes, comparison.products, strict=True)
        ],
    }


def as_csv(comparison: Comparison) -> str:
    """A row a product, the fields of ``Outcome`` and what is assumed; empty where it did not
    happen."""
    out = io.StringIO()
    rows = [
        {**_row(outcome), "assumed": " ".join(each.name for each in product.assumed)}
        for outcome, product in zip(comparison.outcomes, comparison.products, strict=True)
    ]
    writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({k: str(v).lower() if isinstance(v, bool) else v for k, v in row.items()})
    return out.getvalue()


def as_text(comparison: Comparison, *, assumed: bool) -> Iterator[str]:
    """Two tables, notes, and the terms that were not disclosed, with ``assumed`` also why."""
    first, last = comparison.first, comparison.last
    yield (
        f"{comparison.prices:,} prices, {moment(first.at)} to {moment(last.at)} UTC: from "
        f"{price(first.price)} to {price(last.price)}, lowest {price(comparison.lowest)}."
    )
    yield (
        f"A loan of {money(comparison.outcomes[0].principal)} under each product, drawn at the "
        "first price against as few coins as it takes."
    )
    yield ""
    yield from _table(_WHEN_HEAD, [_when(each) for each in comparison.outcomes])
    yield ""
    yield from _table(_WHAT_HEAD, [_what(each) for each in comparison.outcomes])
    yield ""
    yield "Pledged = sold + to lender + fees in coins + returned + held."
    for each in comparison.outcomes:
        yield from (f"{each.product}: {note}" for note in _notes(each))
    yield ""
    for product in comparison.products:
        if assumed:
            yield from (f"ASSUMED  {product.id} {line}" for line in assumed_lines(product))
        elif product.assumed:
            names = ", ".join(each.name for each in product.assumed)
            yield f"ASSUMED  {product.id}: {names}"


def both_text(both: BothRuns) -> Iterator[str]:
    """What the chains came to."""
    yield ""
    name = both.outcome.product
    yield f"{name} on both chains, compared: {', '.join(both.compared)}."
    yield from (f"STATED  {each}" for each in both.stated)
    for rule in both.rules:
        there = "" if rule.contract == rule.product else f"; there {rule.contract}"
        yield f"{_KEEPERS[rule.by]}  {rule.rule}: {rule.product}{there}"
    for no in both.refusals:
        yield f"REFUSED  {_time(no.at)}: the contract refused what the product does, {no.code}"
    for each in both.differences:
        yield f"DIFFERS  {each.field}: {each.pure} in the core, {each.on_chain} on the chains"
    if not both.differences:
        yield "No difference."
    yield f"Laws broken: {both.laws_broken or 'none'}."


def both_dict(both: BothRuns) -> dict[str, Any]:
    """The same as JSON."""
    return {
        "product": both.outcome.product,
        "compared": list(both.compared),
        "differences": [
            {"field": each.field, "pure": each.pure, "on_chain": each.on_chain}
            for each in both.differences
        ],
        "rules": [
            {
                "rule": each.rule,
                "product": each.product,
                "contract": each.contract,
                "enforced_by": each.by.value,
            }
            for each in both.rules
        ],
        "refusals": [{"at": each.at, "code": each.code} for each in both.refusals],
        "stated": list(both.stated),
        "laws_broken": both.laws_broken,
    }


def draw(comparison: Comparison, out: Path, *, force: bool = False) -> None:
    """Write a chart: the price, and below it what became of each loan and when.

    Raises BadInput: ``extra/missing`` without matplotlib; ``compare/write`` for another ending
    than those of ``FORMATS``, a file that is there, or one that cannot be written.
    """
    kind = out.suffix.lower().removeprefix(".")
    if kind not in FORMATS:
        raise BadInput("compare/write", file=out.name[:80], known=" ".join(FORMATS))
    if out.exists() and not force:
        raise BadInput("compare/write", file=out.name[:80], reason="is there already")
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError as error:
        raise BadInput(
            "extra/missing", extra="plot", install="pip install 'escrow-sim[plot]'"
        ) from error
    # The same comparison gives the same bytes.
    with mpl.rc_context({"svg.hashsalt": "escrow"}):
        figure = Figure(figsize=(11, 4 + 0.32 * len(comparison.outcomes)), layout="constrained")
        rows = max(2.0, 0.32 * len(comparison.outcomes))
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, rows])
        _draw_price(above, comparison)
        _draw_loans(below, comparison)
        raw = io.BytesIO()
        undated = {"Software": None} if kind == "png" else {"Date": None, "Creator": "escrow"}
        figure.savefig(raw, format="png" if kind == "png" else "svg", metadata=undated, dpi=110)
    text = raw.getvalue()
    if kind == "html":
        text = _page(text)
    try:
        out.write_bytes(text)
    except OSError as error:
        raise BadInput("compare/write", file=out.name[:80], reason="cannot be written") from error


def _row(outcome: Outcome) -> dict[str, Any]:
    names = [each.name for each in fields(Outcome)]
    ordered = [*_PROMISED, *(name for name in names if name not in _PROMISED)]
    values = {name: getattr(outcome, name) for name in ordered}
    return {k: v.value if isinstance(v, Enum) else v for k, v in values.items()}


_WHEN_HEAD: Final = (
    "product",
    "notice",
    "margin call",
    "cured",
    "first sale",
    "at price",
    "worst LTV",
    "days called",
    "end",
)
_WHAT_HEAD: Final = (
    "product",
    "pledged",
    "sold",
    "to lender",
    "fees in coins",
    "returned",
    "held",
    "recovered",
    "bad debt",
    "fees",
)


def _when(o: Outcome) -> list[str]:
    paid = "–" if o.liquidation_price is None else money(o.liquidation_price // 10**6)
    cured = {None: "–", True: "yes", False: "no"}[o.cured]
    days = f"{o.seconds_called // DAY}.{o.seconds_called % DAY * 10 // DAY}"
    times = [_time(o.first_notice_at), _time(o.margin_call_at), cured, _time(o.liquidated_at)]
    return [o.product, *times, paid, percent(o.worst_ltv_bps), days, o.end.value]


def _what(o: Outcome) -> list[str]:
    coins = (
        o.sats_pledged,
        o.sats_sold,
        o.sats_to_lender,
        o.sats_fees,
        o.sats_returned,
        o.sats_held,
    )
    cash = (o.recovered, o.bad_debt, o.fees)
    return [o.product, *(_coins(each) for each in coins), *(money(each) for each in cash)]


def _notes(o: Outcome) -> Iterator[str]:
    if o.outside_size:
        yield "makes no loan of this size; its rules are applied all the same."
    if o.seconds_stopped:
        yield f"its clock stood for {span(o.seconds_stopped)}: prices came too rarely."
    if o.soft_from is not None:
        yield f"its bands first sold {_time(o.soft_from)}; {money(o.cash_held)} of cash is in them."


def _time(at: int | None) -> str:
    return "–" if at is None else moment(at)[:16]


def _coins(sats: int) -> str:
    return exact(sats) if sats >= 0 else f"-{exact(-sats)}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(len(row[n]) for row in (head, *rows)) for n in range(len(head))]
    for row in (head, *rows):
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        yield "  ".join(cells).rstrip()


def _draw_price(axes: Axes, comparison: Comparison) -> None:
    ats = [_days(comparison, quote.at) for quote in comparison.sketch]
    axes.plot(ats, [quote.price / 10**8 for quote in comparison.sketch], color="black", lw=0.8)
    axes.set_ylabel("price of 1 BTC")
    axes.grid(alpha=0.3)
    axes.set_title(
        f"A loan of {money(comparison.outcomes[0].principal)} under each product, "
        f"drawn {moment(comparison.first.at)} UTC"
    )


def _draw_loans(axes: Axes, comparison: Comparison) -> None:
    for line, outcome in enumerate(comparison.outcomes):
        end = comparison.last.at if outcome.ended_at is None else outcome.ended_at
        axes.hlines(line, 0, _days(comparison, end), color="lightgrey", lw=3)
        for name, _, marker, colour in _MARKS:
            at = getattr(outcome, name)
            if at is not None:
                axes.plot(_days(comparison, at), line, marker=marker, color=colour, ms=7)
    for _, words, marker, colour in _MARKS:
        axes.plot([], [], ls="", marker=marker, color=colour, label=words)
    names = [f"{each.id}, {len(each.assumed)} terms assumed" for each in comparison.products]
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel("days since the loans were drawn")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=len(_MARKS), frameon=False)


def _days(comparison: Comparison, at: int) -> float:
    return (at - comparison.first.at) / DAY


def _page(svg: bytes) -> bytes:
    """The drawing as a page of its own: nothing is fetched."""
    drawing = svg[svg.index(b"<svg") :]
    head = b'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>escrow compare</title>\n'
    return head + drawing + b"</html>\n"
