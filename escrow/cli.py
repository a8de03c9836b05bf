"""The command line. Verbs import what they need when they run: ``--help`` loads neither chain.

Exit status: 0 done, 1 a law was broken, 2 bad input or a refusal, with its code on stderr.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import closing
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from escrow.commands import (
    actus,
    audit,
    compare,
    products,
    psbt,
    reserves,
    rules,
    seeds,
    serve,
    vault,
)
from escrow.core.errors import BadInput, EscrowError

if TYPE_CHECKING:
    from escrow.world import World

app = typer.Typer(
    help="Simulate loans backed by bitcoin on two real chains: Bitcoin Core's consensus code and "
    "an EVM, in one process.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command()(actus.actus)
app.add_typer(audit.app, name="audit")
app.command()(products.products)
app.command()(compare.compare)
app.add_typer(psbt.app, name="psbt")
app.add_typer(reserves.app, name="reserves")
app.command()(rules.rules)
app.command()(seeds.seeds)
app.add_typer(serve.app, name="serve")
app.add_typer(vault.app, name="vault")

Save = Annotated[
    Path | None, typer.Option("--save", help="Also write the world to this new file, for why.")
]
Seed = Annotated[int, typer.Option(help="Root of all keys and all chance.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object instead of text.")]


@app.command()
def demo(
    scene: Annotated[
        str,
        typer.Argument(
            help="release, margin-call, liquidation, partial-sale, auction or recovery; custody or "
            "token: what can go wrong with keys; a pilot, as seeds lists them."
        ),
    ] = "release",
    seed: Seed = 1,
    policy: Annotated[
        str | None, typer.Option(help="Custody of the vaults: a shipped policy, or a TOML file.")
    ] = None,
    save: Save = None,
    as_json: Json = False,
) -> None:
    """Play a scene: numbered steps, why each was decided, and what both chains then hold."""
    from escrow.config import POLICY

    _check_new(save)
    if save is not None and scene in ("custody", "token"):
        raise BadInput("scenario/unknown-key", keys="--save", scene=scene)
    if scene == "custody":
        _walk_custody(policy or POLICY, seed=_seed(seed), as_json=as_json)
        return
    if scene == "token":
        if policy is not None:
            raise BadInput("scenario/unknown-key", keys="--policy", scene=scene)
        _walk_tokens(as_json=as_json)
        return
    from escrow.custody.read import load_policy, shipped, write_policy
    from escrow.sim.pilot import PILOTS
    from escrow.sim.scenes import SCENES, play

    if scene in PILOTS:
        if policy is not None:
            raise BadInput("scenario/unknown-key", keys="--policy", scene=scene)
        _walk_pilot(scene, seed=_seed(seed), save=save, as_json=as_json)
        return
    if scene not in SCENES:
        known = " ".join((*SCENES, "custody", "token", *PILOTS))
        raise BadInput("scene/unknown", name=scene[:40], known=known)
    policy = policy or POLICY
    text = policy if policy in shipped() else write_policy(load_policy(policy))
    with play(scene, seed=_seed(seed), policy=text) as world:
        _save(world, save)
        _show(world, scene, as_json=as_json)


@app.command()
def run(
    scenario: Annotated[str, typer.Argument(help="A TOML file, or the name of a shipped one.")],
    prices: Annotated[
        Path | None, typer.Option(help="CSV of prices: unix,open,high,low,close or time,PriceUSD.")
    ] = None,
    start: Annotated[
        str | None, typer.Option("--from", help="First moment of the prices, ISO 8601, UTC.")
    ] = None,
    end: Annotated[
        str | None, typer.Option("--to", help="Last moment of the prices, ISO 8601, UTC.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Instead of the scenario's.")] = None,
    save: Save = None,
    as_json: Json = False,
) -> None:
    """Run a scenario along a path of prices, on both chains."""
    from escrow.parse import parse_time
    from escrow.sim.run import run as play
    from escrow.sim.scenario import load_scenario, with_prices

    _check_new(save)
    plan = with_prices(
        load_scenario(scenario),
        file=prices,
        start=None if start is None else parse_time(start),
        end=None if end is None else parse_time(end, end_of_day=True),
    )
    with play(plan, seed=None if seed is None else _seed(seed)) as world:
        _save(world, save)
        if not as_json:
            for each in plan.assumed:
                print(f"ASSUMED  {each}")
        _show(world, plan.name, as_json=as_json, assumed=plan.assumed)


@app.command(context_settings={"ignore_unknown_options": True})
def why(
    world: Annotated[str, typer.Argument(help="A file that --save wrote, or a scene or pilot.")],
    step: Annotated[
        str | None, typer.Argument(help="Number of a step, as demo prints it.", metavar="N")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of a scene: 1 unless given.")] = None,
    as_json: Json = False,
) -> None:
    """Explain step N: rule, inputs, rounding, and how far the other outcome was.

    Without N: what may happen next to each open loan, and how far that is.
    """
    from escrow.view import answer
    from escrow.words import jsonable

    n = None if step is None else answer.step_number(step)
    with _world(world, seed=seed) as found:
        if as_json:
            told = answer.now_as_dict(found) if n is None else answer.step_as_dict(found, n)
            print(json.dumps(jsonable(told), ensure_ascii=False, indent=2))
            return
        lines = answer.now_as_text(found) if n is None else answer.step_as_text(found, n)
        print("\n".join(lines))


@app.command()
def laws(as_json: Json = False) -> None:
    """Every law: its words, who enforces it, and the test that shows it broken."""
    from escrow.view.tables import law_rows

    if as_json:
        names = ("law", "words", "script", "contract", "engine", "test")
        rows = [dict(zip(names, row, strict=True)) for row in law_rows()]
        print(json.dumps({"laws": rows}, ensure_ascii=False, indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("law", "in words", "script", "contract", "engine", "test")
    for row in law_rows():
        table.add_row(*row)
    Console().print(table)


@app.command()
def diagram() -> None:
    """The loan's life as a Mermaid state diagram, drawn by walking the rules."""
    from escrow.view.diagram import mermaid

    print(mermaid())


@app.command()
def export(
    scene: Annotated[str, typer.Argument(help="A scene, as for demo.")],
    out: Annotated[Path, typer.Option(help="A new or empty folder.")],
    seed: Seed = 1,
) -> None:
    """Play a scene and write its evidence: raw blocks, signed transactions, the log, hashes;
    margin calls and collateral as messages; an audit log."""
    from escrow.sim.pilot import PILOTS, play_pilot
    from escrow.sim.scenes import play
    from escrow.view.export import export as write
    from escrow.view.pilot import pilot_as_dict

    if scene in PILOTS:
        with closing(play_pilot(scene, seed=_seed(seed))) as pilot:
            told = {"pilot.json": pilot_as_dict(pilot)}
            manifest = write(pilot.world, out, also=told)
            for name, world in pilot.branches.items():
                write(world, out / name)
    else:
        with play(scene, seed=_seed(seed)) as world:
            manifest = write(world, out)
    print(f"{out}: height {manifest['height']}, tip {manifest['tip_hash']}")
    print(f"state {manifest['state_hash']}")
    print(f"messages {manifest['messages']}, audit {manifest['audit_head']}")


@app.command()
def doctor(as_json: Json = False) -> None:
    """Versions of what is installed, and whether both chains start here."""
    from escrow.view.doctor import examine

    found = examine()
    if as_json:
        print(json.dumps(found, indent=2))
        return
    for name, value in found.items():
        print(f"{name:<24} {value}")


def _walk_pilot(name: str, *, seed: int, save: Path | None, as_json: bool) -> None:
    from escrow.sim.pilot import play_pilot
    from escrow.view.pilot import pilot_as_dict, pilot_text
    from escrow.words import jsonable

    with closing(play_pilot(name, seed=seed)) as pilot:
        _save(pilot.world, save)
        if as_json:
            print(json.dumps(jsonable(pilot_as_dict(pilot)), ensure_ascii=False, indent=2))
        else:
            print(pilot_text(pilot), end="")
        if not pilot.sound:
            raise typer.Exit(1)


def _walk_custody(name: str, *, seed: int, as_json: bool) -> None:
    from escrow.custody.read import load_policy
    from escrow.sim.custody import walk
    from escrow.view.custody import walk_as_dict, walk_text

    found = walk(load_policy(name), seed=seed)
    if as_json:
        print(json.dumps(walk_as_dict(found), ensure_ascii=False, indent=2))
    else:
        print(walk_text(found), end="")
    if not found.agrees:
        raise typer.Exit(1)


def _walk_tokens(*, as_json: bool) -> None:
    from dataclasses import asdict

    from escrow.sim.token import walk
    from escrow.view.custody import step_lines

    found = walk()
    if as_json:
        print(json.dumps({"scene": "token", **asdict(found)}, ensure_ascii=False, indent=2))
        return
    for step in found.steps:
        print("\n".join(step_lines(step)))


def _world(name: str, *, seed: int | None) -> World:
    """A scene or pilot of that name, played; any other name is a saved world's file. Raises as
    ``play``, ``play_pilot`` and ``World.load``."""
    from escrow.sim.pilot import PILOTS, play_pilot
    from escrow.sim.scenes import SCENES, play
    from escrow.world import World

    if name in SCENES:
        return play(name, seed=_seed(1 if seed is None else seed))
    if name in PILOTS:
        pilot = play_pilot(name, seed=_seed(1 if seed is None else seed))
        for other in pilot.branches.values():
            other.close()
        return pilot.world
    if seed is not None:
        raise BadInput("scenario/unknown-key", keys="--seed", world=name[:40])
    return World.load(name)


def _check_new(path: Path | None) -> None:
    """Nothing is lost by a name that was typed wrong. Raises ``BadInput("world/exists")``."""
    if path is not None and path.exists():
        raise BadInput("world/exists", path=str(path)[:80])


def _save(world: World, path: Path | None) -> None:
    if path is not None:
        world.save(path)


def _seed(value: int) -> int:
    """A seed within range. Raises ``BadInput("input/seed")``."""
    from escrow.config import WorldConfig

    return WorldConfig(seed=value).seed


def _show(world: World, scene: str, *, as_json: bool, assumed: tuple[str, ...] = ()) -> None:
    from escrow.view.trace import run_as_dict

    if as_json:
        from escrow.words import jsonable

        found: dict[str, Any] = run_as_dict(world, scene=scene)
        if assumed:
            found["assumed"] = list(assumed)
        print(json.dumps(jsonable(found), ensure_ascii=False, indent=2))
    else:
        from escrow.view.terminal import show

        show(world, scene=scene)
    if world.engine.broken:
        raise typer.Exit(1)


def main(argv: list[str] | None = None) -> None:
    """Entry point: expected refusals become one line on stderr and exit status 2."""
    _guarded(lambda: app(argv, prog_name="escrow"))


def _guarded(command: Callable[[], object]) -> None:
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # A code page without a sign shows another in its place.
            stream.reconfigure(errors="replace")
    try:
        command()
    except EscrowError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except BrokenPipeError:
        # The reader went away, as ``| head`` does.
        sys.stderr.close()


if __name__ == "__main__":
    main()
