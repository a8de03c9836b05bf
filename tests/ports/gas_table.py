"""Our gas beside that of others, and beside the bars of contracts/gas_bars.json.

A bar is the most that an action may take. Where there is none, the cheapest of the others is one.
``missed`` is by how much a bar is missed, and ``why`` says what the difference consists of:
both are written down, so that nothing is missed unseen and nothing is met unseen.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

CONTRACTS = Path(__file__).resolve().parents[2] / "contracts"
FILE = CONTRACTS / "gas_bars.json"
PAGE = CONTRACTS / "README.md"
BEGIN, END = "<!-- gas -->\n", "<!-- /gas -->\n"
"""Between these the page has the table."""


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One line of the file."""

    action: str
    ours: str | None
    """Name in contracts/gas.json; None where the action needs no transaction at all."""
    morpho: str | None = None
    """Name among the figures that ``gas_peers.morpho`` measures;"""
    whose: str = "Morpho Blue"
    """and whose contract it is of."""
    others: Mapping[str, int] = field(default_factory=dict)
    """Who else offers the action, measured elsewhere in the same setting."""
    bar: int | None = None
    missed: int = 0
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class Line:
    """An action as measured."""

    action: str
    ours: int
    morpho: int | None
    """None where it is not offered, or was not measured."""
    whose: str
    other: int | None
    """The cheapest of the others;"""
    who: str
    """and who that is."""
    most: int
    """The bar."""
    why: str

    @property
    def missed(self) -> int:
        """Gas above the bar."""
        return max(0, self.ours - self.most)

    def verdict(self) -> str:
        left = self.most - self.ours
        return f"missed by {self.missed:,}" if self.missed else f"met, {left:,} left"

    def text(self) -> str:
        other = f"{self.other:,} {self.who}" if self.other is not None else ""
        if self.whose != "Morpho Blue":
            other = f"(measured: {self.whose})"
        morpho = f"{self.morpho:,}" if self.morpho is not None else "—"
        return (
            f"  {self.action:<43} {self.ours:>9,} {morpho:>9} {self.most:>9,}"
            f" {self.verdict():<18} {other}".rstrip()
        )

    def markdown(self) -> str:
        others = [f"{self.morpho:,} {self.whose}"] if self.morpho is not None else []
        others += [f"{self.other:,} {self.who}"] if self.other is not None else []
        cells = (self.action, f"{self.ours:,}", f"{self.most:,}", self.verdict(), ", ".join(others))
        return f"| {' | '.join(cells)} |\n"

    def json(self) -> dict[str, object]:
        return {
            "action": self.action,
            "ours": self.ours,
            "morpho": self.morpho,
            "whose": self.whose,
            "others": {self.who: self.other} if self.who else {},
            "bar": self.most,
            "verdict": "missed" if self.missed else "met",
            "missed": self.missed,
        }


HEAD = f"  {'':<43} {'ours':>9} {'Morpho':>9} {'bar':>9} {'verdict':<18} others"


def bars() -> list[Bar]:
    return [Bar(**each) for each in json.loads(FILE.read_text())]


def lines(ours: Mapping[str, int], *, morpho: Mapping[str, int]) -> list[Line]:
    """The table. Without Morpho's figures (``{}``) their column is empty."""
    return [line(bar, ours=ours, morpho=morpho) for bar in bars()]


def line(bar: Bar, *, ours: Mapping[str, int], morpho: Mapping[str, int]) -> Line:
    who, other = min(bar.others.items(), key=lambda item: item[1], default=("", None))
    peer = morpho.get(bar.morpho) if bar.morpho else None
    rivals = [gas for gas in (peer, other) if gas is not None]
    return Line(
        action=bar.action,
        ours=ours[bar.ours] if bar.ours else 0,
        morpho=peer,
        whose=bar.whose,
        other=other,
        who=who,
        most=bar.bar if bar.bar is not None else min(rivals),
        why=bar.why,
    )


def rewrite(missed: Mapping[str, int]) -> None:
    """Put into the file by how much each bar is missed, and leave the rest as it is."""
    rows = json.loads(FILE.read_text())
    for row in rows:
        row["missed"] = missed[row["action"]]
    text = ",\n ".join(json.dumps(row, ensure_ascii=False) for row in rows)
    FILE.write_text(f"[\n {text}\n]\n")


def page(table: list[Line]) -> str:
    """The table as the contracts' page shows it, with what was missed and why."""
    head = "| action | here | bar | | cheapest of others |\n| --- | ---: | ---: | --- | --- |\n"
    whys = [f"* Missed, {line.action}: {line.why}\n" for line in table if line.missed]
    return head + "".join(line.markdown() for line in table) + "\n" + "".join(whys)


def on_page() -> str:
    """What the page says now."""
    return PAGE.read_text().split(BEGIN)[1].split(END)[0]


def rewrite_page(table: list[Line]) -> None:
    before, rest = PAGE.read_text().split(BEGIN)
    PAGE.write_text(before + BEGIN + page(table) + END + rest.split(END)[1])
