"""``escrow actus``: contracts of the ACTUS standard, played and compared with what they must pay.

Exit status: 0 every case that says what to expect passes, 1 some fail, 2 some were refused, or
the file is no such file.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from escrow.actus.cases import Case
    from escrow.core.errors import BadInput


def actus(
    file: Annotated[Path, typer.Argument(help="JSON: cases by name, as the standard's own tests.")],
    rows: Annotated[bool, typer.Option("--rows", help="Show every event, too.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object instead of text.")
    ] = False,
) -> None:
    """Play the ACTUS contracts of a file, and compare each with the results that it expects."""
    from escrow.actus.cases import Unread, load_cases
    from escrow.core.errors import BadInput

    refused: list[BadInput] = []
    shown: list[dict[str, Any]] = []
    for case in load_cases(file):
        try:
            if isinstance(case, Unread):
                raise case.refusal
            shown.append(_played(case, rows=rows))
        except BadInput as error:
            refused.append(error)
            shown.append({"case": case.name, "verdict": "refused", "why": str(error)})
    counts = {
        verdict: sum(each["verdict"] == verdict for each in shown)
        for verdict in ("passed", "failed", "refused", "played")
    }
    if as_json:
        print(json.dumps({"file": str(file), "cases": shown, **counts}, indent=2))
    else:
        print("\n".join(_lines(shown, counts)))
    for refusal in refused:
        print(f"error: {refusal}", file=sys.stderr)
    if refused or counts["failed"]:
        raise typer.Exit(2 if refused else 1)


def _played(case: Case, *, rows: bool) -> dict[str, Any]:
    from escrow.actus.run import check_case, play_contract

    verdict = check_case(case)
    word = "passed" if verdict.passed else "failed" if verdict.compared else "played"
    found: dict[str, Any] = {
        "case": case.name,
        "verdict": word,
        "type": case.terms.contract_type.value,
        "events": verdict.rows,
    }
    if verdict.difference:
        found["why"] = verdict.difference
    if rows:
        found["rows"] = [
            {
                "at": str(row.event.at),
                "event": row.name,
                # Text: a JSON reader would make floats of these.
                "payoff": f"{row.payoff:.10f}",
                "notional": f"{row.state.notional:.10f}",
                "rate": f"{row.state.rate:.10f}",
                "accrued": f"{row.state.accrued:.10f}",
                "exercise": f"{row.state.exercise:.10f}",
            }
            for row in play_contract(case.terms, market=case.market)
        ]
    return found


def _lines(shown: list[dict[str, Any]], counts: dict[str, int]) -> list[str]:
    from escrow.core.errors import one_line

    width = max(len(each["case"]) for each in shown)
    lines = []
    for each in shown:
        case = one_line(each["case"])
        about = each.get("why") or f"{each['type']}, {each['events']} events"
        lines.append(f"{each['verdict']:<8} {case:<{width}}  {about}")
        for row in each.get("rows", ()):
            amounts = "".join(f"{row[name]:>24}" for name in ("payoff", "notional", "accrued"))
            lines.append(f"  {row['at']}  {row['event']:<4}{amounts}")
    lines.append(", ".join(f"{number} {word}" for word, number in counts.items() if number))
    return lines
