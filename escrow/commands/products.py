"""``escrow products``: what lenders offer, in plain words, and what of it is assumed."""

from __future__ import annotations

import json
from typing import Annotated

import typer


def products(
    name: Annotated[
        str | None, typer.Argument(help="A shipped product, or a TOML file; without it all.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object instead of text.")
    ] = False,
) -> None:
    """List loan products of real lenders, or explain one: its levels, clocks, costs and sources."""
    from escrow.products.read import load_product, shipped
    from escrow.products.words import describe, explain

    if name is not None:
        product = load_product(name)
        if as_json:
            print(json.dumps(describe(product), ensure_ascii=False, indent=2))
        else:
            print("\n".join(explain(product)))
        return
    found = [load_product(each) for each in shipped()]
    if as_json:
        rows = [
            {
                "product": p.id,
                "title": p.title,
                "terms": len(p.parameters),
                "assumed": len(p.assumed),
            }
            for p in found
        ]
        print(json.dumps({"products": rows}, ensure_ascii=False, indent=2))
        return
    for p in found:
        print(f"{p.id:<24} {len(p.assumed):>2} of {len(p.parameters)} terms assumed  {p.title}")
