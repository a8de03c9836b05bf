"""``scripts/bench gas``: every action's gas beside Morpho Blue's, measured in the same run.

The meters are those of the tests, so that there is one truth; they stand beside them.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "tests" / "ports"))

from gas_account import accounts  # noqa: E402
from gas_meter import Meter  # noqa: E402
from gas_peers.morpho import MorphoMeter  # noqa: E402
from gas_peers.solidity import MODULES  # noqa: E402
from gas_table import HEAD, Line, bars, lines  # noqa: E402

__all__ = ["HEAD", "Line", "account", "gas"]


def gas(_: argparse.Namespace) -> Iterator[Line]:
    fetch_tools()
    yield from lines(Meter().measure(), morpho=MorphoMeter().measure())


def account(action: str) -> str:
    """Where the gas of an action goes, ours and Morpho's: by kind of opcode and by contract."""
    bar = next((each for each in bars() if each.action == action), None)
    if bar is None:
        sys.exit(f"no such action: {action}\nthere are: {'; '.join(b.action for b in bars())}")
    parts = []
    if bar.ours:
        parts.append(f"ours: {bar.ours}\n{accounts(Meter)[bar.ours].table()}")
    if bar.morpho:
        fetch_tools()
        parts.append(f"Morpho: {bar.morpho}\n{accounts(MorphoMeter)[bar.morpho].table()}")
    return "\n\n".join(parts)


def fetch_tools() -> None:
    if not (MODULES / "@morpho-org").exists():
        subprocess.run([str(ROOT / "scripts" / "tools")], check=True)
