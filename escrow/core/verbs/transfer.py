"""May tokens pass from one party to another? The answer is kept; the holder moves them itself."""

from __future__ import annotations

from dataclasses import dataclass

from escrow.core.errors import Rejected
from escrow.core.gates import check_transfer
from escrow.core.regions.register import Purpose, TransferCleared
from escrow.core.roles import Role
from escrow.core.state import Escrow, Event
from escrow.core.units import MAX_MONEY, Sats, Seconds


@dataclass(frozen=True, slots=True)
class Transfer:
    """Ask before the tokens move. What moves without asking, only the registry stops."""

    by: Role
    at: Seconds
    sender: str
    """EVM address of the holder."""
    receiver: str
    """EVM address of who gets them: whom the gate judges."""
    sats: Sats
    purpose: Purpose


def transfer(escrow: Escrow, command: Transfer) -> tuple[Event, ...]:
    """Raises ``loan/amount``, ``eligibility/denied``."""
    # WHO: anyone may ask; the token lets none but the holder move it.
    # WHEN
    if not 0 < command.sats <= MAX_MONEY:
        raise Rejected("loan/amount", sats=command.sats)
    sides = {"sender": command.sender.lower(), "receiver": command.receiver.lower()}
    check_transfer(escrow.register, **sides, purpose=command.purpose, at=command.at)
    # THEN
    return (TransferCleared(command.at, **sides, sats=command.sats, purpose=command.purpose),)
