"""``escrow vault``: custody policies, told in words, tried on the chain, and weighed.

Exit status of ``explain``: 0 told, 1 chain and report differ, 2 anything else.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from escrow.core.errors import BadInput

if TYPE_CHECKING:
    from escrow.adapters.bitcoin.vault import Vault
    from escrow.custody.policy import Policy
    from escrow.sim.vault_check import Tried
    from escrow.view.custody import Clock

app = typer.Typer(
    help="Custody policies: who can move the coins, when, after which losses, and for how many "
    "bytes.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Json = Annotated[bool, typer.Option("--json", help="One JSON object instead of text.")]


@app.command("list")
def list_(as_json: Json = False) -> None:
    """The policies that come with the package."""
    from escrow.custody.read import load_policy, shipped

    policies = [load_policy(name) for name in shipped()]
    if as_json:
        rows = [
            {
                "policy": each.name,
                "title": each.title,
                "script": each.script.value,
                "roles": [role.name for role in each.roles],
                "paths": [path.name for path in each.paths],
                "source": each.source,
            }
            for each in policies
        ]
        print(json.dumps({"policies": rows}, ensure_ascii=False, indent=2))
        return
    width = max(len(each.name) for each in policies)
    for each in policies:
        print(f"{each.name:<{width}}  {each.title}")


@app.command()
def explain(
    policy: Annotated[
        str | None, typer.Argument(help="A shipped policy, or a TOML file of your own.")
    ] = None,
    world: Annotated[Path | None, typer.Option(help="Or a saved world,")] = None,
    loan: Annotated[int, typer.Option(help="and which of its loans, from 1.")] = 1,
    seed: Annotated[int, typer.Option(help="Root of the keys of the example.")] = 1,
    check: Annotated[
        bool,
        typer.Option(
            "--check/--no-check", help="Try every claim of the report on a chain of its own."
        ),
    ] = True,
    as_json: Json = False,
) -> None:
    """A vault in plain words: who must sign, when paths open, what is left after each loss.

    A policy alone is shown as the vault of a loan that is offered on the first day of a world.
    """
    from escrow.view.custody import check_line, explained, pair_lines, report_rows, vault_lines
    from escrow.words import jsonable

    if (world is None) == (policy is None):
        raise BadInput("scenario/missing-key", keys="a policy or --world, not both")
    seed = _seed(seed)
    if world is not None:
        vault, clock = _of_world(world, loan)
    else:
        assert policy is not None
        vault, clock = _example(policy, seed)
    sizes, tried, untried = _asked(vault, seed=seed, check=check)
    found = explained(vault, clock=clock, sizes=sizes, tried=tried, untried=untried)
    if as_json:
        print(json.dumps(jsonable(found), ensure_ascii=False, indent=2))
    else:
        print("\n".join(vault_lines(vault, found, clock=clock)))
        _table(list(report_rows(vault.policy, tried)))
        print("Two together:")
        print("\n".join(pair_lines(vault.policy)))
        print()
        print(check_line(tried, untried))
    if found["check"]["agree"] is False:
        raise typer.Exit(1)


@app.command()
def costs(as_json: Json = False) -> None:
    """Virtual bytes of every policy, measured now on transactions that a chain accepts."""
    from escrow.sim.vault_check import costs as measured
    from escrow.view.custody import cost_lines, costs_as_dict

    limit, found = measured()
    if as_json:
        print(json.dumps(costs_as_dict(limit, found), ensure_ascii=False, indent=2))
    else:
        print("\n".join(cost_lines(limit, found)))


def _example(name: str, seed: int) -> tuple[Vault, Clock]:
    """A vault of the policy with keys of the seed, and the times of a loan by the defaults."""
    from escrow.config import LoanDefaults, WorldConfig, block_time_offset
    from escrow.core.units import Seconds
    from escrow.custody.policy import Moment
    from escrow.custody.read import load_policy
    from escrow.sim.vault_lab import Lab
    from escrow.view.custody import Clock

    policy = load_policy(name)
    config, loan = WorldConfig(), LoanDefaults()
    offset = block_time_offset(config)
    default = config.start - offset + loan.term + loan.grace
    moments = {
        Moment.DEFAULT: Seconds(default),
        Moment.RECOVERY: Seconds(default + loan.recover_in),
    }
    with Lab(seed=seed) as lab:
        vault = lab.compile(policy, moments=moments).vault
    return vault, Clock(config.start, offset, Seconds(config.start - offset))


def _of_world(file: Path, number: int) -> tuple[Vault, Clock]:
    from escrow.core.units import Seconds
    from escrow.view.custody import Clock
    from escrow.world import World

    with World.load(file) as world:
        loans = world.loans
        if not 1 <= number <= len(loans):
            raise BadInput("loan/unknown", loan=number, loans=len(loans))
        vault, node = loans[number - 1].vault, world.bitcoin
        coins = node.coins(vault.script_pubkey)
        born = [node.index.median_time(coin.height - 1) for coin in coins]
        return vault, Clock(
            world.now, world.block_time_offset, Seconds(min(born, default=node.median_time))
        )


def _asked(
    vault: Vault, *, seed: int, check: bool
) -> tuple[dict[str, int], tuple[Tried, ...] | None, str]:
    """Sizes by path, what the chain said of the report, and why it was not asked."""
    from escrow.sim.up_front import check_carried_out
    from escrow.sim.vault_check import check as tried_on_chain
    from escrow.sim.vault_check import cost
    from escrow.sim.vault_lab import Lab

    policy: Policy = vault.policy
    try:
        check_carried_out(policy)
    except BadInput as refusal:
        # Agreed up front in a way that nothing here carries out: told, but not tried.
        output = b"\x00\x14" + bytes(20)
        sizes = {path.name: vault.vsize(path.name, 1, [output]) for path in policy.paths}
        return sizes, None, str(refusal)
    with Lab(seed=seed) as lab:
        sizes = cost(policy, lab=lab).paths
    if not check:
        return sizes, None, "--no-check"
    return sizes, tried_on_chain(policy, seed=seed), ""


def _table(rows: Sequence[tuple[str, ...]]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    for time in dict.fromkeys(row[0] for row in rows):
        title = f"Time: {time}"
        table = Table("after", "loan", "exits now", "could be taken", "later", title=title)
        before = ""
        for _, after, *cells in (row for row in rows if row[0] == time):
            if after != before:
                table.add_section()
            table.add_row("" if after == before else after, *cells)
            before = after
        console.print(table)


def _seed(value: int) -> int:
    """A seed within range. Raises ``BadInput("input/seed")``."""
    from escrow.config import WorldConfig

    return WorldConfig(seed=value).seed
