"""``escrow seeds``: every system that the pilots come from, and how far each is played."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer


def seeds(
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object instead of text.")
    ] = False,
) -> None:
    """Every system: what to run, what is simulated, what is assumed, what is not claimed."""
    from escrow.sim.seeds import seeds as table

    if as_json:
        rows = [asdict(each) for each in table()]
        print(json.dumps({"seeds": rows}, ensure_ascii=False, indent=2))
        return
    for each in table():
        print(f"{each.id:<4} {each.named}")
        for label, text in (
            ("run", "; ".join(each.commands) or "–"),
            ("simulated", each.simulated),
            ("ASSUMED", "; ".join(each.assumed)),
            ("not claimed", each.not_claimed),
        ):
            print(f"     {label:<11} {text}")
