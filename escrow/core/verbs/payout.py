"""The quorum pays burns out of the vault; the payout is buried, replaced by a dearer one, stuck, or
void (T25, T28)."""

from __future__ import annotations

from dataclasses import dataclass

from escrow.core.errors import Rejected
from escrow.core.payouts import STUCK_AFTER
from escrow.core.phases import backing, displaced, owed_burns, terms_of, without
from escrow.core.regions.vault import (
    Payout,
    PayoutFinal,
    PayoutMined,
    PayoutReorged,
    PayoutReplaced,
    PayoutSent,
    PayoutStuck,
    PayoutVoid,
    change_of,
    with_heirs,
)
from escrow.core.roles import Role
from escrow.core.rules import fee_shares
from escrow.core.scripts import DUST, DUST_CHANGE
from escrow.core.state import Escrow, Event, Incident
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


@dataclass(frozen=True, slots=True)
class SawPayoutVoid:
    """A coin of the payout is gone for good: ``spender`` took it, or what funded it ("")."""

    by: Role
    at: Seconds
    txid: str
    spender: str


@dataclass(frozen=True, slots=True)
class SawPayoutStuck:
    """The payout waits in the mempool, and ``blocks`` were found meanwhile."""

    by: Role
    at: Seconds
    txid: str
    blocks: int


def saw_payout(escrow: Escrow, command: SawPayout) -> tuple[Event, ...]:
    """Raises ``pledge/not-watcher``, ``payout/…``: settled, not-locked, not-burned, fee,
    unbalanced, and ``bitcoin/dust``. Seen again: no event.

    One that takes a coin of an earlier payout stands in its place, whichever the miners chose:
    what both paid is paid once. Where it leaves a burn out, or pays no more, that is noted.
    """
    # WHO
    if command.by is not Role.WATCHER:
        raise Rejected("pledge/not-watcher", by=command.by.value)
    # WHEN
    payout = command.payout
    if any(known.txid == payout.txid for known in escrow.vault.payouts):
        return ()
    undone = displaced(escrow, payout.inputs)
    _check_undone(escrow, undone)
    _check_payout(without(escrow, undone), payout, bumped=bool(undone))
    # THEN
    if not undone:
        return (PayoutSent(command.at, payout),)
    *heirs, old = undone
    voids = (PayoutVoid(command.at, each.txid, payout.txid) for each in heirs)
    replaced = PayoutReplaced(command.at, old.txid, payout)
    return (*voids, replaced, *_notes(undone, payout, at=command.at))


def saw_payout_depth(escrow: Escrow, command: SawPayoutDepth) -> tuple[Event, ...]:
    """No event where nothing changed. Raises ``pledge/not-watcher``, ``payout/unknown``."""
    # WHO
    if command.by is not Role.WATCHER:
        raise Rejected("pledge/not-watcher", by=command.by.value)
    # WHEN
    payout = _known(escrow, command.txid)
    deep = command.depth >= terms_of(escrow.loan).confirmations
    # THEN
    if deep and not payout.final:
        return (PayoutFinal(command.at, command.txid),)
    if payout.final and not deep:
        return (PayoutReorged(command.at, command.txid),)
    if command.depth and command.txid in escrow.vault.stuck:
        return (PayoutMined(command.at, command.txid),)
    return ()


def saw_payout_void(escrow: Escrow, command: SawPayoutVoid) -> tuple[Event, ...]:
    """What spends from it is void with it. Raises ``pledge/not-watcher``, ``payout/unknown``,
    ``payout/settled``."""
    # WHO
    if command.by is not Role.WATCHER:
        raise Rejected("pledge/not-watcher", by=command.by.value)
    # WHEN
    undone = with_heirs(escrow.vault, (_known(escrow, command.txid),))
    _check_undone(escrow, undone)
    # THEN
    return tuple(PayoutVoid(command.at, each.txid, command.spender) for each in undone)


def saw_payout_stuck(escrow: Escrow, command: SawPayoutStuck) -> tuple[Event, ...]:
    """No event before ``STUCK_AFTER`` blocks, nor a second one. Raises ``pledge/not-watcher``,
    ``payout/unknown``."""
    # WHO
    if command.by is not Role.WATCHER:
        raise Rejected("pledge/not-watcher", by=command.by.value)
    # WHEN
    payout = _known(escrow, command.txid)
    if payout.final or command.txid in escrow.vault.stuck or command.blocks < STUCK_AFTER:
        return ()
    # THEN
    return (PayoutStuck(command.at, command.txid, command.blocks),)


def _known(escrow: Escrow, txid: str) -> Payout:
    payout = next((p for p in escrow.vault.payouts if p.txid == txid), None)
    if payout is None:
        raise Rejected("payout/unknown", txid=txid)
    return payout


def _check_undone(escrow: Escrow, undone: tuple[Payout, ...]) -> None:
    """Tokens that came or went for the change of a payout cannot be called back."""
    for payout in undone:
        if change_of(payout) in (*escrow.token.outpoints, *escrow.token.retired_outpoints):
            raise Rejected("payout/settled", txid=payout.txid)


def _check_payout(escrow: Escrow, payout: Payout, *, bumped: bool) -> None:
    spent = 0
    coins = {coin.outpoint: coin for coin in backing(escrow)}
    for outpoint in payout.inputs:
        # Each once, and none that tokens do not stand for.
        coin = coins.pop(outpoint, None)
        if coin is None:
            raise Rejected("payout/not-locked", outpoint=outpoint)
        spent += coin.sats
    if not payout.paid:
        # A sweep: to the sat, so that no token loses what it stands on.
        if payout.fee or payout.change != spent or not spent:
            raise Rejected("payout/unbalanced", inputs=spent, fee=payout.fee)
        return
    burns = {burn.id: burn for burn in owed_burns(escrow)}
    shares = fee_shares(payout.fee, payees=len(payout.paid))
    bound: int = terms_of(escrow.loan).max_fee
    if bumped:
        # A bump never costs more than it pays out.
        bound = min(bound, sum(sats for _, sats in payout.paid))
    if not 0 <= payout.fee <= bound:
        raise Rejected("payout/fee", fee=payout.fee, bound=bound)
    for (burn_id, sats), share in zip(payout.paid, shares, strict=True):
        burn = burns.pop(burn_id, None)
        if burn is None or sats != burn.sats - share:
            raise Rejected("payout/not-burned", burn=burn_id, sats=sats)
    if spent != sum(s for _, s in payout.paid) + payout.change + payout.fee:
        raise Rejected("payout/unbalanced", inputs=spent, fee=payout.fee)
    least = min(sats for _, sats in payout.paid)
    if least < DUST or (payout.change and payout.change < DUST_CHANGE):
        raise Rejected("bitcoin/dust", least=least, change=payout.change)


def _notes(undone: tuple[Payout, ...], payout: Payout, *, at: Seconds) -> tuple[Incident, ...]:
    left_out = {i for old in undone for i, _ in old.paid} - {i for i, _ in payout.paid}
    if not left_out and (not payout.paid or payout.fee > max(old.fee for old in undone)):
        return ()
    facts = (("txid", payout.txid), ("fee", int(payout.fee)), ("left_out", len(left_out)))
    return (Incident(at, "SawPayout", "payout/replacement", facts),)
