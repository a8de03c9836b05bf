"""Who acts. Roles are not interchangeable; one key never plays two of them."""

from __future__ import annotations

from enum import Enum


class Role(Enum):
    """The parties of a deal, and everyone else."""

    BORROWER = "borrower"
    """The pledgor: a miner who pledges coins and owes the money."""
    LENDER = "lender"
    """The secured party: the bank."""
    CUSTODIAN = "custodian"
    """Third key of the vault; signs what both chains entitle."""
    ATTESTOR = "attestor"
    """Says, m of n, that a coin is final in a vault or lost from it."""
    ORACLE = "oracle"
    """Says, m of n, what one bitcoin costs."""
    GUARDIAN = "guardian"
    """May stop, for a while, everything that needs a price."""
    LIQUIDATOR = "liquidator"
    """A third party that repays debt for discounted collateral."""
    ARBITER = "arbiter"
    """Decides on a disputed margin call; the terms name it."""
    REGISTRAR = "registrar"
    """Records who takes part, and which rules new offers are under; holds no key of a vault."""
    OPERATOR = "operator"
    """Runs the engine: carries messages and keeps duties, holds no key of a vault."""
    WATCHER = "watcher"
    """The engine's eyes on both chains and the clock."""
    STRANGER = "stranger"
    """Anyone else on either chain."""
