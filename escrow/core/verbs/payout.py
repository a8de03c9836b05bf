"""The quorum pays burns out of the vault, and the payout is buried (T25, T28)."""

from __future__ import annotations

from dataclasses import dataclass

from escrow.core.errors import Rejected
from escrow.core.phases import backing, owed_burns, terms_of
from escrow.core.regions.vault import Payout, PayoutFinal, PayoutReorged, PayoutSent
from escrow.core.roles import Role
from escrow.core.rules import fee_shares
from escrow.core.scripts import DUST, DUST_CHANGE
from escrow.core.state import Escrow, Event
from escrow.core.units import Seconds


@dataclass(frozen=True, slots=True)
class SawPayout:
    """A spend of the vault that pays burns is on Bitcoin, in the mempool at least."""

    by: Role
    at: Seconds
    payout: Payout


@dataclass(frozen=True, slots=True)
class SawPayoutDepth:
    """The payout stands at ``depth`` (0: in the mempool or gone)."""

    by: Role
    at: Seconds
    txid: str
    depth: int


def saw_payout(escrow: Escrow, command: SawPayout) -> tuple[Event, ...]:
    """Raises ``pledge/not-watcher``, ``payout/…``: not-locked, not-burned, fee, unbalanced, and
    ``bitcoin/dust``. Seen again: no event.
    """
    # WHO
    if command.by is not Role.WATCHER:
        raise Rejected("pledge/not-watcher", by=command.by.value)
    # WHEN
    payout = command.payout
    if any(known.txid == payout.txid for known in escrow.vault.payouts):
        return ()
    spent = 0
    coins = {coin.outpoint: coin for coin in backing(escrow)}
    for outpoint in payout.inputs:
        # Each once, and none that tokens do not stand for.
        coin = coins.pop(outpoint, None)
        if coin is None:
            raise Rejected("payout/not-locked", outpoint=outpoint)
        spent += coin.sats
    burns = {burn.id: burn for burn in owed_burns(escrow)}
    shares = fee_shares(payout.fee, payees=len(payout.paid)) if payout.paid else ()
    if not 0 <= payout.fee <= terms_of(escrow.loan).max_fee:
        raise Rejected("payout/fee", fee=payout.fee, bound=terms_of(escrow.loan).max_fee)
    for (burn_id, sats), share in zip(payout.paid, shares, strict=True):
        burn = burns.pop(burn_id, None)
        if burn is None or sats != burn.sats - share:
            raise Rejected("payout/not-burned", burn=burn_id, sats=sats)
    if not payout.paid or spent != sum(s for _, s in payout.paid) + payout.change + payout.fee:
        raise Rejected("payout/unbalanced", inputs=spent, fee=payout.fee)
    least = min(sats for _, sats in payout.paid)
    if least < DUST or (payout.change and payout.change < DUST_CHANGE):
        raise Rejected("bitcoin/dust", least=least, change=payout.change)
    # THEN
    return (PayoutSent(command.at, payout),)


def saw_payout_depth(escrow: Escrow, command: SawPayoutDepth) -> tuple[Event, ...]:
    """No event where nothing changed. Raises ``pledge/not-watcher``, ``payout/unknown``."""
    # WHO
    if command.by is not Role.WATCHER:
        raise Rejected("pledge/not-watcher", by=command.by.value)
    # WHEN
    payout = next((p for p in escrow.vault.payouts if p.txid == command.txid), None)
    if payout is None:
        raise Rejected("payout/unknown", txid=command.txid)
    deep = command.depth >= terms_of(escrow.loan).confirmations
    # THEN
    if deep and not payout.final:
        return (PayoutFinal(command.at, command.txid),)
    if payout.final and not deep:
        return (PayoutReorged(command.at, command.txid),)
    return ()
