"""A run in the terminal, with colour where there is one."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from escrow.view.text import end_rows, step_rows
from escrow.view.trace import lines
from escrow.world import World


def show(world: World, *, scene: str) -> None:
    """Print every step, then how it ended."""
    console = Console(highlight=False)
    console.print(f"[bold]{scene}[/bold], seed {world.config.seed}\n")
    for line in lines(world):
        first, *details = step_rows(line)
        console.print(Text(first[1], style="bold"))
        for label, text in details:
            style = {"decided": "green", "why": "cyan"}.get(label, "")
            row = Text(f"      {label:<8} ", style="dim")
            console.print(row.append(text, style=style), soft_wrap=True)
    console.print()
    for label, text in end_rows(world):
        console.print(Text(f"{label:<11} ", style="dim").append(text), soft_wrap=True)
