"""A key is lost or rotated: the vault gets a new address, and its coins move there (T32).

A script on a chain cannot be changed, so a new key is a new vault. What was agreed, the debt and
the tokens stay as they are.
"""

from __future__ import annotations

from dataclasses import dataclass

from escrow.core.errors import Rejected
from escrow.core.phases import on_evm
from escrow.core.regions.loan import Ended
from escrow.core.regions.vault import CoinPlaced, Generation, Rekeyed, find
from escrow.core.roles import Role
from escrow.core.state import Escrow, Event
from escrow.core.units import Seconds


@dataclass(frozen=True, slots=True)
class Rekey:
    """The vault's next generation: one role has a new key."""

    by: Role
    at: Seconds
    program: str
    """Witness program of the new vault, 32 bytes in hex with 0x."""
    role: str
    """Whose key is new."""
    generation: int
    """From 1, for the first vault after that of the terms."""
    agreed: tuple[Role, ...]
    """Parties whose signatures over it were verified."""


@dataclass(frozen=True, slots=True)
class SawGeneration:
    """A coin pays the address of this generation, and not of the one that was supposed."""

    by: Role
    at: Seconds
    outpoint: str
    generation: int


def rekey(escrow: Escrow, command: Rekey) -> tuple[Event, ...]:
    """Raises ``rekey/…``: not-agreed, not-live, generation, payout; ``loan/unknown``."""
    # WHO: anyone may carry it; borrower and lender must both have signed.
    if not {Role.BORROWER, Role.LENDER} <= set(command.agreed):
        raise Rejected("rekey/not-agreed", agreed=" ".join(role.value for role in command.agreed))
    # WHEN
    loan = on_evm(escrow.loan)
    if isinstance(loan, Ended):
        raise Rejected("rekey/not-live")
    known = (loan.terms.vault, *(each.program for each in escrow.vault.generations))
    if command.generation != len(known) or command.program in known:
        raise Rejected("rekey/generation", generation=command.generation, following=len(known))
    # What it pays could not be signed again by a quorum that has lost a key.
    waiting = [payout.txid for payout in escrow.vault.payouts if not payout.final]
    if waiting:
        raise Rejected("rekey/payout", txid=waiting[0])
    # THEN
    return (Rekeyed(command.at, Generation(command.program, command.role)),)


def saw_generation(escrow: Escrow, command: SawGeneration) -> tuple[Event, ...]:
    """No event for what is known. Raises ``pledge/not-watcher``, ``payout/not-locked`` for a coin
    that was never seen, ``rekey/generation``."""
    # WHO
    if command.by is not Role.WATCHER:
        raise Rejected("pledge/not-watcher", by=command.by.value)
    # WHEN
    coin, newest = find(escrow.vault, command.outpoint), len(escrow.vault.generations)
    if coin is None:
        raise Rejected("payout/not-locked", outpoint=command.outpoint)
    if not 0 <= command.generation <= newest:
        raise Rejected("rekey/generation", generation=command.generation, newest=newest)
    if coin.generation == command.generation:
        return ()
    # THEN
    return (CoinPlaced(command.at, command.outpoint, command.generation),)
