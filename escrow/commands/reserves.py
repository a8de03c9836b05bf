"""``escrow reserves``: state what the vaults hold, signed by their quorums, and check such a file.

Exit status of ``verify``: 0 proven, 1 the coins do not cover the tokens, 2 anything else.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from escrow.core.errors import BadInput, Refused

if TYPE_CHECKING:
    from escrow.actors.verifier import Verdict
    from escrow.core.units import Seconds

app = typer.Typer(
    help="Proof of reserves: signed by those who can move the coins, checked from the file alone.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.command()
def prove(
    out: Annotated[Path, typer.Option(help="The file to write.")],
    world: Annotated[Path | None, typer.Option(help="A saved world.")] = None,
    scene: Annotated[str | None, typer.Option(help="Or a scene to play first.")] = None,
    seed: Annotated[int, typer.Option(help="Of the scene.")] = 1,
    force: Annotated[bool, typer.Option("--force", help="Replace the file.")] = False,
) -> None:
    """State the reserves of all loans. Each vault's quorum looks for itself, and signs."""
    from escrow.actors.statement_file import write_statement
    from escrow.sim.reserves import prove_world
    from escrow.world import World

    if (world is None) == (scene is None):
        raise BadInput("scenario/missing-key", keys="--world or --scene, not both")
    if out.exists() and not force:
        raise BadInput("reserves/write", reason="the file is there already: --force replaces it")
    if world is not None:
        opened = World.load(world)
    else:
        from escrow.config import WorldConfig
        from escrow.sim.scenes import play

        assert scene is not None
        opened = play(scene, seed=WorldConfig(seed=seed).seed)
    with opened:
        statement = prove_world(opened)
    _write(out, write_statement(statement))
    coins = sum(coin.sats for vault in statement.vaults for coin in vault.coins)
    print(f"{out}: {len(statement.vaults)} vault(s), {coins} sats, supply {statement.evm.supply}")
    print(f"bitcoin {statement.bitcoin.height} {statement.bitcoin.hash}")
    print(f"evm     {statement.evm.number} 0x{statement.evm.hash.hex()}")


@app.command()
def verify(
    file: Annotated[Path, typer.Argument(help="What ``prove`` wrote.")],
    at: Annotated[
        str | None, typer.Option(help="The present: unix seconds, or ISO 8601 in UTC.")
    ] = None,
    max_age: Annotated[int | None, typer.Option(help="Seconds; needs --at.")] = None,
    bitcoin_block: Annotated[str | None, typer.Option(help="Hash that it must name.")] = None,
    evm_block: Annotated[str | None, typer.Option(help="Hash that it must name.")] = None,
    token: Annotated[str | None, typer.Option(help="Address that it must name.")] = None,
    book: Annotated[str | None, typer.Option(help="Escrow book that it must name.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Check a statement from its file alone: no chain, no network."""
    from escrow.actors.statement_file import MAX_FILE, read_statement
    from escrow.actors.verifier import verify as check
    from escrow.core.units import Seconds

    if max_age is not None and max_age < 0:
        raise BadInput("input/time", max_age=max_age)
    now = None if at is None else _moment(at)
    statement = read_statement(_read(file, most=MAX_FILE))
    try:
        verdict = check(
            statement,
            at=now,
            max_age=None if max_age is None else Seconds(max_age),
            bitcoin_block=bitcoin_block,
            evm_block=evm_block,
            token=token,
            book=book,
        )
    except Refused as refusal:
        if refusal.code != "reserves/short":
            raise
        print(f"error: {refusal}", file=sys.stderr)
        raise typer.Exit(1) from None
    _show(verdict, as_json=as_json)


def _show(verdict: Verdict, *, as_json: bool) -> None:
    from dataclasses import asdict

    from escrow.actors.verifier import GROUNDS
    from escrow.words import coins, jsonable, moment

    if as_json:
        found = asdict(verdict) | {
            "proven": True,
            "spare": verdict.spare,
            "grounds": [{"kind": kind, "words": words} for kind, words in GROUNDS],
        }
        print(json.dumps(jsonable(found), indent=2))
        return
    rows = (
        ("made", moment(verdict.at)),
        ("bitcoin", f"{verdict.height} {verdict.bitcoin_block}"),
        ("evm", f"{verdict.evm_number} {verdict.evm_block}"),
        ("token", verdict.token),
        ("book", verdict.book),
        ("coins", f"{coins(verdict.coins)} in {verdict.vaults} vault(s)"),
        ("supply", coins(verdict.supply)),
        ("unpaid", coins(verdict.unpaid)),
        ("spare", coins(verdict.spare)),
        *GROUNDS,
    )
    print("PROVEN")
    for label, text in rows:
        print(f"{label:<8} {text}")


def _moment(text: str) -> Seconds:
    from escrow.core.units import MAX_TIME, Seconds
    from escrow.parse import parse_time

    if text.isascii() and text.isdigit() and len(text) < 15:
        if int(text) > MAX_TIME:
            raise BadInput("input/time", value=text)
        return Seconds(int(text))
    return parse_time(text)


def _read(file: Path, *, most: int) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(most + 1)
    except OSError as error:
        raise BadInput("reserves/missing-file", reason=type(error).__name__) from error


def _write(file: Path, text: str) -> None:
    """All of it or nothing: a file beside it takes its place when it is complete."""
    try:
        with tempfile.NamedTemporaryFile(
            "w", dir=file.parent, prefix=f".{file.name}.", encoding="ascii", delete=False
        ) as beside:
            name = beside.name
            try:
                beside.write(text)
                beside.flush()
                os.fsync(beside.fileno())
            except OSError:
                os.unlink(name)
                raise
        os.chmod(name, 0o644)
        os.replace(name, file)
    except OSError as error:
        raise Refused("reserves/write", reason=type(error).__name__) from error
