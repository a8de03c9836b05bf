"""What is installed here, and whether both chains start."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Final

_PARTS: Final = (
    "escrow-sim",
    "py-bitcoinkernel",
    "btclib",
    "btclib-wallet",
    "btclib-secp256k1",
    "py-evm",
    "web3",
    "eth-account",
    "coincurve",
    "msgspec",
    "typer",
    "rich",
)
_OPTIONAL: Final = {"hypothesis": "testing: the machine to subclass (escrow-sim[testing])"}


def examine() -> dict[str, str]:
    """Name → version or finding, in the order to read it."""
    found = {"python": platform.python_version(), "platform": sys.platform}
    for name in _PARTS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "missing"
    for name, what in _OPTIONAL.items():
        found[name] = "there" if find_spec(name) else f"not there; {what}"
    found["both chains"] = _start()
    return found


def _start() -> str:
    from escrow.config import WorldConfig
    from escrow.core.errors import EscrowError
    from escrow.world import World

    try:
        with World(config=WorldConfig(miner_blocks=1)) as world:
            height, chain = world.bitcoin.height, world.evm.chain.chain_id
            return f"start: bitcoin height {height}, evm chain {chain}"
    except (EscrowError, ImportError, OSError) as error:
        return f"do not start: {type(error).__name__}: {error}"
