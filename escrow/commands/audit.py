"""``escrow audit``: is the audit log of an export whole?"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from escrow.core.errors import BadInput

app = typer.Typer(
    help="The audit log of an export: one line an event, chained by hashes.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback()
def group() -> None:
    """The audit log of an export: one line an event, chained by hashes."""


@app.command()
def verify(
    file: Annotated[Path, typer.Argument(help="audit.jsonl of an export.")],
    head: Annotated[
        str | None, typer.Option(help="Hash of its last line, noted elsewhere.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Check form, chain and order of every line; and its end, by --head and by a manifest.json
    beside the file."""
    from dataclasses import asdict

    from escrow.messages.audit_file import MAX_MANIFEST, end_in, head_of
    from escrow.messages.audit_file import verify as check
    from escrow.words import moment

    ends = [] if head is None else [head_of(head)]
    manifest = file.parent / "manifest.json"
    if manifest.is_file():
        ends.append(end_in(_read(manifest, most=MAX_MANIFEST)))
    found = check(_lines(file), ends=tuple(ends))
    if as_json:
        print(json.dumps({**asdict(found), "whole": True}, indent=2))
        return
    print(f"WHOLE: {found.lines} line(s)")
    print(f"head   {found.head}")
    if found.lines:
        print(f"from   {moment(found.first)} to {moment(found.last)}")
    if not found.ends:
        print("end    not noted elsewhere: lines cut off at the end would not be noticed")


def _lines(file: Path) -> Iterator[bytes]:
    """Line by line, none longer than one byte too many."""
    from escrow.messages.audit_file import MAX_LINE

    try:
        with file.open("rb") as opened:
            while line := opened.readline(MAX_LINE + 1):
                yield line
    except OSError as error:
        raise BadInput("audit/missing-file", reason=type(error).__name__) from error


def _read(file: Path, *, most: int) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(most + 1)
    except OSError as error:
        raise BadInput("audit/missing-file", reason=type(error).__name__) from error
