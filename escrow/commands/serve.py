"""``escrow serve``: a chain of this process, as other programs speak to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Final

import typer

from escrow.core.errors import BadInput

if TYPE_CHECKING:
    from escrow.adapters.bitcoin.node import Node
    from escrow.world import World

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
    server = _server()
    from escrow.web.bitcoin import BitcoinSite

    with ExitStack() as stack:
        bound = stack.enter_context(server.listen(host=host, port=port))
        node, mine = _chain(stack, scene=scene, world=world, seed=seed, fund=fund)
        site = BitcoinSite(node, mine=mine if server.is_loopback(host) else None)
        served = server.create_app(site, hosts=server.hosts_for(host))
        url = server.url_of(bound)
        print(f"Esplora   {url}   height {node.height}, tip {node.tip_hash}", flush=True)
        server.serve(served, bound)
        print("stopped")


@app.command()
def evm(
    scene: Annotated[
        str | None, typer.Option(help="The world of a scene, as for demo, played first.")
    ] = None,
    world: Annotated[
        Path | None, typer.Option(help="A saved world. The file is not changed.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Root of all keys and all chance.")] = 1,
    show_key: Annotated[
        str | None,
        typer.Option(help="A party whose EVM key is printed, so that your wallet can be it."),
    ] = None,
    host: Annotated[
        str, typer.Option(help="IP address to listen on. Anyone who reaches it may send.")
    ] = _LOOPBACK,
    port: Annotated[int, typer.Option(help="TCP port; 0 picks a free one.")] = 8545,
) -> None:
    """The EVM by Ethereum's JSON-RPC, until Ctrl-C. What is printed a shell can read.

    Without a scene or a world, one loan is open and drawn. The engine sees whatever a wallet does.
    On loopback evm_increaseTime, evm_mine and evm_setNextBlockTimestamp move the one clock of both
    chains. GET /world shows addresses, ABIs, loans and terms; GET /esplora/… is Bitcoin's side.
    """
    server = _server()
    from escrow.adapters.evm.rpc import Rpc
    from escrow.web.esplora import Esplora
    from escrow.web.ethereum import EthereumSite
    from escrow.web.hosting import WorldHost, about, shell_lines

    _check_one({"scene": scene, "world": world})
    with ExitStack() as stack:
        bound = stack.enter_context(server.listen(host=host, port=port))
        found = _world(scene=scene, world=world, seed=seed)
        stack.callback(found.close)
        key = None if show_key is None else found.party(show_key).account.key
        told = WorldHost(found, tell=lambda line: print(f"# {line}", flush=True))
        rpc = Rpc(found.evm.chain, host=told, control=server.is_loopback(host))
        site = EthereumSite(rpc, about=lambda: about(found), bitcoin=Esplora(found.bitcoin))
        for line in shell_lines(found, url=server.url_of(bound)):
            print(line)
        if key is not None:
            print(f"KEY=0x{bytes(key).hex()}")
        print("# serving until Ctrl-C", flush=True)
        server.serve(server.create_app(site, hosts=server.hosts_for(host)), bound)
        print("# stopped")


def _server() -> ModuleType:
    """The HTTP server, if the extra is there."""
    try:
        import escrow.web.server
    except ModuleNotFoundError as missing:
        if (missing.name or "").startswith("escrow"):
            raise
        raise BadInput(
            "extra/missing", extra="web", install="pip install 'escrow-sim[web]'"
        ) from None
    return escrow.web.server


def _world(*, scene: str | None, world: Path | None, seed: int) -> World:
    from escrow.sim.scenes import play
    from escrow.world import World

    if world is not None:
        return World.load(world)
    if scene is not None:
        return play(scene, seed=seed)
    found = World(seed=seed)
    found.open(btc="1.5", principal="50000.00")
    return found


def _check_one(chosen: Mapping[str, object]) -> None:
    """At most one of these options."""
    if len(given := [name for name, value in chosen.items() if value is not None]) > 1:
        raise BadInput("http/value", options=" and ".join(f"--{name}" for name in given))


def _chain(
    stack: ExitStack, *, scene: str | None, world: Path | None, seed: int, fund: str | None
) -> tuple[Node, Callable[[int], object]]:
    """The node to serve, and how it finds blocks. ``stack`` closes what is behind it."""
    _check_one({"scene": scene, "world": world, "fund": fund})
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
