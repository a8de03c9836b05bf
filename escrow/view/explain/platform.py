"""Guards on what comes from outside: prices, confirmations, fees, and a price that grew old."""

from __future__ import annotations

from escrow.core.regions.system import is_jump, is_recent, stale_from
from escrow.core.state import Escrow
from escrow.core.terms import Terms
from escrow.core.units import BPS, MAX_PRICE, PriceE8, Seconds, muldiv_down
from escrow.view.explain.measure import BLOCK_TIME, PLATFORM, bound, number, round_of, signed
from escrow.view.explain.parts import SHOWN, Distance, Finding, Input, Subject
from escrow.words import percent, price


def jump(escrow: Escrow, new: PriceE8, *, at: Seconds, signers: int) -> Finding:
    """Was the price a jump from the last, which a wide quorum must sign?"""
    system = escrow.system
    last = system.price
    if last is None or not is_recent(system, at=at):
        return Finding("no jump: there is no recent price before it")
    room = muldiv_down(system.deviation, last.price, BPS)
    up = new >= last.price
    edge = last.price + room if up else last.price - room
    inputs = (
        Input("price before", last.price, "e-8", price(last.price), round_of(last)),
        Input("jump beyond", system.deviation, "bps", percent(system.deviation), PLATFORM),
        number("wide quorum", system.wide_quorum, unit="", source=PLATFORM),
    )
    jumped = is_jump(system, new, at=at)
    far: tuple[Distance, ...] = ()
    if signers < system.wide_quorum:
        flip = edge if jumped else edge + 1 if up else edge - 1
        other = f"not a jump: {system.quorum} oracles are enough"
        if not jumped:
            other = f"a jump: {system.wide_quorum} oracles must sign, or refused, price/deviation"
        if 0 < flip <= MAX_PRICE:
            way = "down: the widest whole step within the bound"
            far = (Distance(Subject.PRICE, "price/deviation", new, flip, "e-8", other, way),)
    moved = SHOWN["e-8"](abs(new - last.price))
    verdict = f"moved by {moved}; a jump is beyond {price(room)}"
    return Finding(verdict, inputs, (), far)


def fee_room(terms: Terms, fee: int, *, paid: int | None = None) -> Finding:
    """The miner's fee against its bound; of a replacement also against ``paid``, what it pays."""
    limit = terms.max_fee if paid is None else min(terms.max_fee, paid)
    far = bound(Subject.FEE, fee, limit, most=True, unit="sats", code="payout/fee")
    inputs = (
        number("fee", fee, unit="sats", source="the transaction on Bitcoin"),
        signed(terms, "max_fee", unit="sats", name="bound"),
    )
    return Finding(f"fee {fee} sats of at most {limit}", inputs, (), far)


def depth_left(terms: Terms, depth: int, *, what: str) -> Finding:
    """Confirmations against those of the terms; the event itself is the other outcome."""
    needed = terms.confirmations
    inputs = (signed(terms, "confirmations", unit="blocks"),)
    if depth >= needed:
        far = Distance(Subject.BLOCKS, "", depth, needed - 1, "blocks", f"{what} is not final")
        return Finding(
            f"{what} has {SHOWN['blocks'](depth)} or more of {needed}", inputs, (), (far,)
        )
    far = Distance(Subject.BLOCKS, "", depth, needed, "blocks", f"{what} is final")
    return Finding(f"{what} has {SHOWN['blocks'](depth)} of {needed}", inputs, (), (far,))


def not_fresh(escrow: Escrow, *, at: Seconds) -> Finding:
    """Why no rule may use the last price."""
    system, show = escrow.system, SHOWN["seconds"]
    if system.price is None:
        return Finding("no price was ever posted")
    old, pause = stale_from(system), system.pause
    code, other, unit = "price/stale", "the price may be used", "moment"
    inputs = (
        number("priced at", system.price.at, unit=unit, source=round_of(system.price)),
        number("heartbeat", system.heartbeat, unit="seconds", source=PLATFORM),
        number("now", at, unit=unit, source=BLOCK_TIME),
    )
    if pause is not None and at < pause.until:
        until = number("paused until", pause.until, unit=unit, source="PriceRounds: the guardian")
        left = show(pause.until - at)
        verdict = f"the guardian paused: {left} left on the wall clock"
        far = bound(Subject.MOMENT, at, pause.until, most=False, unit=unit, code=code, other=other)
        # Where the price grows old before the pause is over, no later moment would do.
        return Finding(verdict, (*inputs, until), (), far if pause.until <= old else ())
    verdict = f"the price is too old by {show(at - old)} on the wall clock"
    far = bound(Subject.MOMENT, at, old, most=True, unit=unit, code=code, other=other)
    # Where it grew old in a pause, no earlier moment would have done.
    return Finding(verdict, inputs, (), far if pause is None or pause.until <= old else ())
