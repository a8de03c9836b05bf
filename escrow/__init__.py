"""Escrow simulator: loans backed by bitcoin, on two real chains in one process.

    from escrow import World

    w = World(seed=1)
    loan = w.open(btc="1.5", principal="50000.00")
    w.price("36000")
    print(loan)

Importing this is free: the chains are loaded when the first world is made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from escrow.config import LoanDefaults, WorldConfig
    from escrow.core.errors import BadInput, EscrowError, Refused, Rejected
    from escrow.core.terms import Terms
    from escrow.deal import Act, Deal
    from escrow.world import World

_HOMES: Final = {
    "Act": "escrow.deal",
    "BadInput": "escrow.core.errors",
    "Deal": "escrow.deal",
    "EscrowError": "escrow.core.errors",
    "LoanDefaults": "escrow.config",
    "Refused": "escrow.core.errors",
    "Rejected": "escrow.core.errors",
    "Terms": "escrow.core.terms",
    "World": "escrow.world",
    "WorldConfig": "escrow.config",
}

__all__ = [
    "Act",
    "BadInput",
    "Deal",
    "EscrowError",
    "LoanDefaults",
    "Refused",
    "Rejected",
    "Terms",
    "World",
    "WorldConfig",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'escrow' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
