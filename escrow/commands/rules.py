"""``escrow rules``: who may take part, by which rule, since when, and who says so."""

from __future__ import annotations

import json
from typing import Annotated

import typer


def rules(
    profile: Annotated[
        str | None, typer.Argument(help="A shipped profile, or a TOML file; without it all.")
    ] = None,
    at: Annotated[
        str | None, typer.Option(help="Only rules in force at this moment: ISO 8601, UTC.")
    ] = None,
    what_if: Annotated[
        bool, typer.Option("--what-if", help="Also a profile that is not in force.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object instead of text.")
    ] = False,
) -> None:
    """List profiles of rules, or the rules of one: dates, status, source and reason of each."""
    from escrow.core.errors import BadInput
    from escrow.eligibility.read import load_profile, shipped
    from escrow.eligibility.words import counting, describe, explain, row
    from escrow.parse import parse_time

    moment = None if at is None else parse_time(at)
    if profile is not None:
        found = load_profile(profile)
        counted = counting(found, at=moment, what_if=what_if)
        if as_json:
            told = describe(found, counted, at=moment, what_if=what_if)
            print(json.dumps(told, ensure_ascii=False, indent=2))
        else:
            print("\n".join(explain(found, counted, at=moment, what_if=what_if)))
        return
    if at is not None or what_if:
        raise BadInput("scenario/unknown-key", keys="--at --what-if", without="a profile")
    rows = [row(load_profile(each)) for each in shipped()]
    if as_json:
        print(json.dumps({"profiles": rows}, ensure_ascii=False, indent=2))
        return
    for each in rows:
        print(
            f"{each['profile']:<14} {each['force']:<12} {each['rules']:>2} rules, "
            f"{each['assumed']} assumed  {each['title']}"
        )
