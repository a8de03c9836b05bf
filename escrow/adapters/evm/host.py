"""What a served chain stands in: who moves its clock, and what follows a transaction.

A chain alone is its own world. Where it is one of two, whoever holds both gives another host.
"""

from __future__ import annotations

from typing import Protocol

from escrow.adapters.evm.chain import Chain
from escrow.core.errors import Refused


class Host(Protocol):
    """Time in unix seconds. Each verb is done whole or raises ``EscrowError`` and does nothing."""

    def sent(self) -> None:
        """A transaction was included: seal it, and let whoever watches act on it."""

    def pass_time(self, seconds: int) -> None:
        """Let time pass, 0 or more. The next block is not earlier."""

    def move_to(self, t: int) -> None:
        """Let time pass up to ``t``, which is not over: the next block's time."""

    def mine(self) -> None:
        """Seal the pending block, or an empty one."""

    def snapshot(self) -> int:
        """Remember this moment by a number. Raises ``Refused("evm/world")`` where there is no
        going back."""

    def revert(self, snapshot: int) -> None:
        """Go back to it, which uses it and later ones up. Raises
        ``Refused("evm/snapshot")``."""


class Bare:
    """The host of a chain on which nobody acts but those who ask. Its clock does not go back.

    ``returns`` says whether the chain may: not if it is one of a world's two.
    """

    def __init__(self, chain: Chain, *, returns: bool = True) -> None:
        self._chain = chain
        self._returns = returns

    def sent(self) -> None:
        self._chain.seal()

    def pass_time(self, seconds: int) -> None:
        self.move_to(self._chain.clock.now + seconds)

    def move_to(self, t: int) -> None:
        self._chain.clock.at_least(t)

    def mine(self) -> None:
        self._chain.seal(empty=True)

    def snapshot(self) -> int:
        if not self._returns:
            raise Refused("evm/world")
        return self._chain.snapshot()

    def revert(self, snapshot: int) -> None:
        self._chain.revert(snapshot)
