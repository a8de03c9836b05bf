"""``escrow compare``: one loan under many products, on one path of prices.

Exit status: 0 done, 1 the chains came to something else, 2 bad input or a refusal.
"""

from __future__ import annotations

import json
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from escrow.core.errors import BadInput

if TYPE_CHECKING:
    from escrow.products.model import Product
    from escrow.products.outcome import Habit


def compare(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Shipped products or TOML files; without any, all that are shipped."),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="All shipped products, as without names.")
    ] = False,
    ltv: Annotated[
        str,
        typer.Option(
            help="Where loans start: product, each at its own initial level; or a percentage, "
            "the same for all."
        ),
    ] = "product",
    principal: Annotated[str, typer.Option(help="What is lent, at most 2 decimals.")] = "10000.00",
    prices: Annotated[
        Path | None, typer.Option(help="CSV of prices: unix,open,high,low,close or time,PriceUSD.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Draw invented prices from this seed instead.")
    ] = None,
    hours: Annotated[int | None, typer.Option(help="How many to draw; a year without it.")] = None,
    start: Annotated[
        str | None, typer.Option("--from", help="First moment of the prices, ISO 8601, UTC.")
    ] = None,
    end: Annotated[
        str | None, typer.Option("--to", help="Last moment of the prices, ISO 8601, UTC.")
    ] = None,
    borrower: Annotated[
        str, typer.Option(help="What it does when called: none, top-up, repay; absent: nor pays.")
    ] = "none",
    after: Annotated[int, typer.Option(help="Seconds from a call to its answer.")] = 3_600,
    plot: Annotated[
        Path | None, typer.Option(help="Write a chart: .png, .svg or .html. Needs [plot].")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace the chart if it is there.")
    ] = False,
    on_chain: Annotated[
        str | None, typer.Option(help="Run this product of them through both chains as well.")
    ] = None,
    assumed: Annotated[
        bool, typer.Option("--assumed", help="Say why of every term that was not disclosed.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object instead of text.")
    ] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="A table of the same.")] = False,
) -> None:
    """Compare products: who calls, who sells, when, at what price, and what is left for whom."""
    from escrow.parse import parse_cents, parse_time
    from escrow.products.outcome import Answer
    from escrow.products.read import load_product, shipped
    from escrow.sim.compare import compare as run
    from escrow.sim.compare import path_of
    from escrow.sim.on_chain import run_both
    from escrow.sim.on_chain_terms import MOST_PRICES
    from escrow.view import compare as view
    from escrow.words import jsonable

    if as_json and as_csv:
        raise BadInput("compare/write", reason="either --json or --csv")
    if hours is not None and seed is None:
        raise BadInput("input/seed", reason="--hours goes with --seed")
    if everything and names:
        raise BadInput("compare/twice", reason="either names or --all")
    habit = _habit(borrower, after=after)
    products = [_at(load_product(name), ltv) for name in names or shipped()]
    cents = parse_cents(principal)

    path = partial(
        path_of,
        file=prices,
        seed=seed,
        hours=hours,
        start=None if start is None else parse_time(start),
        end=None if end is None else parse_time(end, end_of_day=True),
    )
    found = run(products, path(), principal=cents, habit=habit)
    both = None
    if on_chain is not None:
        chosen = [each for each in products if each.id == on_chain]
        if not chosen:
            raise BadInput("product/unknown", name=on_chain[:80], reason="not in the comparison")
        if habit.answer is not Answer.NONE:
            raise BadInput("compare/on-chain", product=chosen[0].id, reason="a borrower who acts")
        quotes = tuple(islice(path(), MOST_PRICES + 1))
        both = run_both(chosen[0], quotes, principal=cents)
    if plot is not None:
        view.draw(found, plot, force=force)
    if as_csv:
        print(view.as_csv(found), end="")
    elif as_json:
        shown = view.as_dict(found) | ({} if both is None else {"on_chain": view.both_dict(both)})
        print(json.dumps(jsonable(shown), ensure_ascii=False, indent=2))
    else:
        print("\n".join(view.as_text(found, assumed=assumed)))
        if both is not None:
            print("\n".join(view.both_text(both)))
    if both is not None and (both.differences or both.laws_broken):
        raise typer.Exit(1)


def _at(product: Product, ltv: str) -> Product:
    """The product, lending as much against its coins as was asked.

    Raises ``BadInput``: ``input/amount`` for what is no percentage; ``compare/ltv`` for nothing, or
    above what the product lends.
    """
    from dataclasses import replace

    from escrow.parse import parse_cents
    from escrow.products.level import ltv_of_bps

    if ltv == "product":
        return product
    asked = ltv_of_bps(parse_cents(ltv))  # hundredths of a percent, as cents are of a unit
    if not 0 < asked <= product.initial:
        raise BadInput("compare/ltv", product=product.id, asked=ltv[:20])
    return replace(product, initial=asked)


def _habit(answer: str, *, after: int) -> Habit:
    from escrow.core.units import DAY, Seconds
    from escrow.products.outcome import Answer, Habit

    known = {each.value: each for each in Answer}
    if answer not in known:
        raise BadInput("scenario/value", at="--borrower", reason="none of " + " ".join(known))
    if not 0 <= after <= 30 * DAY:
        raise BadInput("input/time", after=after, most=30 * DAY)
    return Habit(known[answer], Seconds(after))
