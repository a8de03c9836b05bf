"""Everything in the tree that is generated: written, or with ``--check`` compared.

    python -m escrow.view.generate [--check]

README's law table and diagram, the table of transitions, the command's help, and the transcripts in
``tests/scenes``.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from escrow.config import POLICY
from escrow.custody.read import load_policy
from escrow.sim.custody import walk
from escrow.sim.scenes import SCENES, play
from escrow.view.custody import walk_text
from escrow.view.diagram import mermaid
from escrow.view.tables import law_table
from escrow.view.text import transcript
from escrow.view.transitions import transition_page

ROOT: Final = Path(__file__).parents[2]
"""The checkout. Only developers run this."""


def generated() -> Iterator[tuple[Path, str]]:
    """Each generated file and what it must say."""
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    text = _between(text, "laws", law_table())
    text = _between(text, "diagram", f"```mermaid\n{mermaid()}\n```")
    yield readme, text
    yield ROOT / "docs" / "transitions.md", transition_page()
    yield ROOT / "escrow" / "help.txt", _help()
    for name in SCENES:
        with play(name, seed=1) as world:
            yield ROOT / "tests" / "scenes" / f"{name}.txt", transcript(world, scene=name)
    yield ROOT / "tests" / "scenes" / "custody.txt", walk_text(walk(load_policy(POLICY)))


def _help() -> str:
    """What ``escrow --help`` prints, 80 columns wide: written down, so that it loads nothing."""
    done = subprocess.run(
        [sys.executable, "-c", "from escrow.cli import main; main(['--help'])"],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"COLUMNS": "80", "TERMINAL_WIDTH": "80", "NO_COLOR": "1"},
    )
    return done.stdout


def _between(text: str, name: str, body: str) -> str:
    start, end = f"<!-- {name} -->\n", f"\n<!-- /{name} -->"
    head, _, rest = text.partition(start)
    _, found, tail = rest.partition(end)
    if not found:
        raise SystemExit(f"README.md lacks the markers of {name}")
    return head + start + body + end + tail


def main(*, check: bool) -> int:
    """Write, or compare and say what is stale. The exit status."""
    stale = []
    for path, text in generated():
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(path.relative_to(ROOT))
        if not check:
            path.write_text(text, encoding="utf-8", newline="\n")
    for each in stale:
        print(f"{'stale' if check else 'written'}: {each}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    raise SystemExit(main(check="--check" in sys.argv[1:]))
