"""Where ``escrow`` starts. Its help is written down: to ask for it loads nothing, not even typer.

``python -m escrow.view.generate`` writes ``help.txt`` from the commands themselves.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Entry point of the command."""
    if sys.argv[1:] == ["--help"]:
        with open(__file__.removesuffix("__main__.py") + "help.txt", encoding="utf-8") as page:
            sys.stdout.write(page.read())
        return
    from escrow.cli import main as command

    command()


if __name__ == "__main__":
    main()
