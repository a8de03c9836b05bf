"""A holder destroys free tokens and names where the coins shall go (T28)."""

from __future__ import annotations

from dataclasses import dataclass

from escrow.core.errors import Rejected
from escrow.core.regions.token import Burn, Burned, free
from escrow.core.roles import Role
from escrow.core.scripts import is_standard_output
from escrow.core.state import Escrow, Event
from escrow.core.terms import MIN_DEPOSIT
from escrow.core.units import Sats, Seconds


@dataclass(frozen=True, slots=True)
class BurnTokens:
    """``PledgeToken.burn``. Burn first, coins after (wBTC, DLC.Link)."""

    by: Role
    at: Seconds
    id: int
    sats: Sats
    script: str
    tx: str = ""


def burn(escrow: Escrow, command: BurnTokens) -> tuple[Event, ...]:
    """Raises ``burn/dust``, ``burn/no-tokens``, ``burn/destination``. Seen again: no event."""
    # WHO: any holder; the contract knows whose tokens they are.
    # WHEN
    if any(known.id == command.id for known in escrow.token.burns):
        return ()
    if command.sats < MIN_DEPOSIT:
        raise Rejected("burn/dust", sats=command.sats, least=MIN_DEPOSIT)
    if not is_standard_output(command.script):
        raise Rejected("burn/destination", script=command.script)
    if command.sats > free(escrow.token):
        raise Rejected("burn/no-tokens", sats=command.sats, free=free(escrow.token))
    # THEN
    return (Burned(command.at, Burn(command.id, command.sats, command.script), command.tx),)
