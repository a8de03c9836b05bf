"""The borrower alone takes the coins after the recovery time (T29)."""

from __future__ import annotations

from dataclasses import dataclass

from escrow.core.errors import Rejected
from escrow.core.phases import on_evm, terms_of
from escrow.core.regions.loan import Live, LoanRecovered
from escrow.core.regions.vault import CoinsRecovered, Confirming, Locked, find
from escrow.core.roles import Role
from escrow.core.state import Escrow, Event
from escrow.core.units import Seconds


@dataclass(frozen=True, slots=True)
class SawRecovery:
    """A spend of the vault through its timelock is on Bitcoin."""

    by: Role
    at: Seconds
    txid: str
    outpoints: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NoteRecovery:
    """``EscrowBook.recovered``: close the loan on the EVM; what was owed stays on record."""

    by: Role
    at: Seconds
    tx: str = ""


def saw_recovery(escrow: Escrow, command: SawRecovery) -> tuple[Event, ...]:
    """Raises ``pledge/not-watcher``, ``recover/too-early``, ``payout/not-locked``.

    Seen again: no event.
    """
    # WHO
    if command.by is not Role.WATCHER:
        raise Rejected("pledge/not-watcher", by=command.by.value)
    # WHEN: Bitcoin's median time is behind the clock, never ahead of it.
    recover_at = terms_of(escrow.loan).recover_at
    if command.at < recover_at:
        raise Rejected("recover/too-early", recover_at=recover_at, now=command.at)
    coins = [find(escrow.vault, outpoint) for outpoint in command.outpoints]
    if all(c is not None and getattr(c.status, "by", "") == command.txid for c in coins):
        return ()
    for coin, outpoint in zip(coins, command.outpoints, strict=True):
        if coin is None or not isinstance(coin.status, Confirming | Locked):
            raise Rejected("payout/not-locked", outpoint=outpoint)
    # THEN
    return (CoinsRecovered(command.at, command.txid, command.outpoints),)


def note_recovery(escrow: Escrow, command: NoteRecovery) -> tuple[Event, ...]:
    """Raises ``loan/unknown``, ``recover/not-live``, ``recover/too-early``, ``recover/held``."""
    # WHO: anyone.
    # WHEN
    loan = on_evm(escrow.loan)
    if not isinstance(loan, Live):
        raise Rejected("recover/not-live")
    if command.at < loan.terms.recover_at:
        raise Rejected("recover/too-early", recover_at=loan.terms.recover_at, now=command.at)
    if escrow.token.held:
        raise Rejected("recover/held", held=escrow.token.held)
    # THEN
    return (LoanRecovered(command.at, command.tx),)
