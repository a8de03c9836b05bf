"""Every EVM that is installed here, by name, for suites that must hold on all of them."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from node_lab import anvil, serving

from escrow.adapters.evm.block import BASE_FEE
from escrow.adapters.evm.chain import Chain
from escrow.adapters.evm.fast import FastChain
from escrow.adapters.evm.node import RpcChain
from escrow.adapters.evm.rpc import Rpc
from escrow.ports import Clock, EvmPort

IN_PROCESS = ("py-evm", "pyrevm")
EXACT = ("py-evm", "anvil", "dispatcher")
"""Those whose gas is right to the unit."""
BACKENDS = (*IN_PROCESS, "anvil", "dispatcher")
"""``dispatcher`` is our own JSON-RPC behind a socket: what other nodes' clients would see."""

Tool = Callable[[str], Path]


@contextmanager
def backend(
    name: str,
    tool: Tool,
    *,
    chain_id: int,
    genesis_time: int,
    alloc: Mapping[bytes, int],
    clock: Clock,
) -> Iterator[EvmPort]:
    """A new chain. Skips where the part is not installed, but never in CI."""
    plan = {"chain_id": chain_id, "genesis_time": genesis_time, "alloc": alloc}
    if name == "py-evm":
        yield Chain(**plan, clock=clock)
    elif name == "pyrevm":
        need_pyrevm()
        yield FastChain(**plan, clock=clock)
    elif name == "anvil":
        with anvil(
            tool("anvil"),
            *("--chain-id", str(chain_id)),
            genesis_time=genesis_time,
            alloc=alloc,
            base_fee=BASE_FEE,
        ) as url:
            yield RpcChain(url, clock=clock)
    else:
        with serving(Rpc(Chain(**plan, clock=_Own(genesis_time))).handle) as url:
            yield RpcChain(url, clock=clock)


def need_pyrevm() -> None:
    """Its releases have no wheel for Python 3.13."""
    if importlib.util.find_spec("pyrevm") is None:
        missing = "pyrevm is not installed: pip install 'escrow-sim[fast]'"
        if os.environ.get("CI") and sys.version_info < (3, 13):
            pytest.fail(missing)
        pytest.skip(missing)


class _Own:
    """The clock of a node in another process would be its own, so it is here."""

    def __init__(self, now: int) -> None:
        self.now = now

    def at_least(self, t: int, /) -> None:
        self.now = max(self.now, t)
