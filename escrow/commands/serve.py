"""``escrow serve``: a chain of this process, as other programs speak to it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from escrow.core.errors import BadInput

if TYPE_CHECKING:
    from escrow.adapters.bitcoin.node import Node

app = typer.Typer(
    help="Serve a chain over HTTP, for wallets and explorers.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

_RIPE: Final = 101
"""Blocks after which a first reward may be spent."""
_LOOPBACK: Final = "127.0.0.1"


@app.callback()
def _serve() -> None:
    """Serve a chain over HTTP, for wallets and explorers."""


@app.command()
def bitcoin(
    scene: Annotated[
        str | None, typer.Option(help="The chain of a scene, as for demo, played first.")
    ] = None,
    world: Annotated[
        Path | None, typer.Option(help="The chain of a saved world. The file is not changed.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Root of all keys and all chance.")] = 1,
    fund: Annotated[
        str | None,
        typer.Option(help="On a fresh chain: the regtest address that mines its blocks."),
    ] = None,
    host: Annotated[
        str, typer.Option(help="IP address to listen on. Anyone who reaches it may broadcast.")
    ] = _LOOPBACK,
    port: Annotated[int, typer.Option(help="TCP port; 0 picks a free one.")] = 3002,
) -> None:
    """Bitcoin by the HTTP API of Blockstream's Esplora, until Ctrl-C.

    Without a scene or a world, a fresh chain with one wallet's rewards. On loopback,
    POST /regtest/mine?blocks=N finds blocks, ten minutes apart.
    """
    try:
        from escrow.web.server import create_app, hosts_for, is_loopback, listen, url_of
        from escrow.web.server import serve as run
    except ModuleNotFoundError as missing:
        if (missing.name or "").startswith("escrow"):
            raise
        raise BadInput(
            "extra/missing", extra="web", install="pip install 'escrow-sim[web]'"
        ) from None
    with ExitStack() as stack:
        bound = stack.enter_context(listen(host=host, port=port))
        node, mine = _chain(stack, scene=scene, world=world, seed=seed, fund=fund)
        served = create_app(node, hosts=hosts_for(host), mine=mine if is_loopback(host) else None)
        print(f"Esplora   {url_of(bound)}   height {node.height}, tip {node.tip_hash}", flush=True)
        run(served, bound)
        print("stopped")


def _chain(
    stack: ExitStack, *, scene: str | None, world: Path | None, seed: int, fund: str | None
) -> tuple[Node, Callable[[int], object]]:
    """The node to serve, and how it finds blocks. ``stack`` closes what is behind it."""
    chosen = {"scene": scene, "world": world, "fund": fund}
    if len(given := [name for name, value in chosen.items() if value is not None]) > 1:
        raise BadInput("http/value", options=" and ".join(f"--{name}" for name in given))
    if scene is not None or world is not None:
        return _played(stack, scene=scene, world=world, seed=seed)
    return _fresh(stack, seed=seed, fund=fund)


def _played(
    stack: ExitStack, *, scene: str | None, world: Path | None, seed: int
) -> tuple[Node, Callable[[int], object]]:
    from escrow.sim.scenes import play
    from escrow.world import World

    found = World.load(world) if world is not None else play(scene or "", seed=seed)
    stack.callback(found.close)
    for deal in found.loans:
        print(f"vault     {deal.vault.address}   {deal.vault.descriptor}")
    return found.bitcoin, found.mine


def _fresh(
    stack: ExitStack, *, seed: int, fund: str | None
) -> tuple[Node, Callable[[int], object]]:
    from escrow.adapters.bitcoin.keys import Keys, derive_seed
    from escrow.adapters.bitcoin.node import Node
    from escrow.adapters.bitcoin.vault import parse_address
    from escrow.adapters.bitcoin.wallet import Wallet
    from escrow.config import BLOCK_INTERVAL, FIRST_BLOCK_TIME, WorldConfig

    script = None if fund is None else parse_address(fund)
    node = stack.enter_context(Node())
    if script is None:
        root = WorldConfig(seed=seed).seed.to_bytes(32, "big")
        wallet = Wallet(Keys(derive_seed(root, name="served")), node=node)
        script, fund = wallet.script_pubkey, wallet.address

    def mine(blocks: int) -> None:
        for _ in range(blocks):
            time = max(node.tip_time, FIRST_BLOCK_TIME) + BLOCK_INTERVAL
            node.mine(time=time, script_pubkey=script)

    mine(_RIPE)
    print(f"wallet    {fund}")
    return node, mine
