"""What a liquidation sells, for how much, and who gets what: the arithmetic of all four kinds.

A buyer pays cents and gets coins. Of what is paid, the liquidation fee is the lender's and covers
no debt; the rest covers interest, then principal. Coins are rounded down and payments up: the
buyer never profits from rounding. ``EscrowBook.vy`` computes the same numbers.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, replace
from typing import Final

from escrow.core.errors import Rejected
from escrow.core.terms import Liquidation, Terms
from escrow.core.units import (
    BPS,
    CENTS_SCALE,
    Bps,
    Cents,
    PriceE8,
    Sats,
    Seconds,
    muldiv_down,
    muldiv_up,
)

WAD: Final = 10**18
"""One, in the fixed point in which an auction's price falls."""


@dataclass(frozen=True, slots=True)
class Split:
    """How a liquidation divides debt and coins."""

    repaid: Cents
    """Debt covered: paid by a buyer, or set off by the lender who takes coins."""
    seized: Sats
    """Coins that go to whoever covered it."""
    surplus: Sats
    """Coins that go back to the borrower."""
    bad_debt: Cents
    """Debt that nothing covers, when the last coin is gone."""
    fee: Cents = Cents(0)
    """What the buyer paid above that: the lender's."""
    left: Cents = Cents(0)
    """Debt that stays, with the coins that stay: the loan goes on. 0: the loan is over."""


def gross_up(covered: Cents, *, fee: Bps) -> Cents:
    """Least payment of which ``covered`` is left after the fee."""
    return Cents(muldiv_up(covered, BPS, BPS - fee))


def net_down(paid: Cents, *, fee: Bps) -> Cents:
    """What of a payment covers debt."""
    return Cents(muldiv_down(paid, BPS - fee, BPS))


def covers(terms: Terms, *, debt: Cents, held: Sats, price: PriceE8) -> bool:
    """Are ``held`` coins worth the debt, its fee and the bonus? Breakeven is loan-to-value
    (1 − fee) ÷ (1 + bonus)."""
    claim = gross_up(debt, fee=terms.fee_bps) * (BPS + terms.bonus_bps)
    return held * price * BPS >= claim * CENTS_SCALE


def sell_all(terms: Terms, *, debt: Cents, held: Sats, price: PriceE8) -> Split:
    """Divide ``held`` coins so that debt, fee and bonus are covered, or all are gone and the rest
    of the debt is bad."""
    full, paid = BPS + terms.bonus_bps, gross_up(debt, fee=terms.fee_bps)
    if covers(terms, debt=debt, held=held, price=price):
        seized = Sats(muldiv_down(paid * full, CENTS_SCALE, BPS * price))
        return Split(debt, seized, Sats(held - seized), Cents(0), Cents(paid - debt))
    paid = Cents(min(paid, muldiv_down(held * price, BPS, CENTS_SCALE * full)))
    repaid = Cents(min(debt, net_down(paid, fee=terms.fee_bps)))
    return Split(repaid, held, Sats(0), Cents(debt - repaid), Cents(paid - repaid))


def sell_part(terms: Terms, *, debt: Cents, price: PriceE8, covered: Cents) -> Split:
    """Cover a part of a debt that the coins can cover in full. Raises ``loan/amount`` for nothing,
    ``liquidate/dust`` if too little debt would be left."""
    if covered == 0:
        raise Rejected("loan/amount", amount=0)
    left = Cents(debt - covered)
    if left < terms.min_left:
        raise Rejected("liquidate/dust", left=left, least=terms.min_left)
    paid = gross_up(covered, fee=terms.fee_bps)
    seized = Sats(muldiv_down(paid * (BPS + terms.bonus_bps), CENTS_SCALE, BPS * price))
    return Split(covered, seized, Sats(0), Cents(0), Cents(paid - covered), left)


def cover_to_target(terms: Terms, *, debt: Cents, held: Sats, price: PriceE8) -> Cents:
    """Debt to cover so that the loan-to-value is at the target, rounded up; 0 if it is already.

    With debt D, coins worth C, target t, fee f, bonus b, the payment is
    (D − t C) ÷ ((1 − f) − t (1 + b)), and (1 − f) of it covers debt.
    """
    keep = BPS - terms.fee_bps
    above = debt * CENTS_SCALE * BPS - terms.target_ltv * held * price
    if above <= 0:
        return Cents(0)
    share = keep * BPS - terms.target_ltv * (BPS + terms.bonus_bps)
    return Cents(min(debt, muldiv_up(above, keep, CENTS_SCALE * share)))


def partial_cover(
    terms: Terms, *, debt: Cents, held: Sats, price: PriceE8, in_default: bool
) -> Cents:
    """Debt that a partial sale covers: all of it in default, or where the coins are not worth it;
    nothing where the target is reached already."""
    if in_default or not covers(terms, debt=debt, held=held, price=price):
        return debt
    return cover_to_target(terms, debt=debt, held=held, price=price)


def sell(
    terms: Terms, *, debt: Cents, held: Sats, price: PriceE8, pay: Cents, in_default: bool
) -> Split:
    """A sale at the oracle's price, by the kind that the terms chose; ``pay`` is the most that the
    buyer pays. A debt that the coins cannot cover is sold in full or not at all: a part would
    leave the loan worse than before.

    Raises ``Rejected``: ``loan/amount`` if more must be paid, or nothing is; ``liquidate/dust``;
    ``liquidate/healthy`` if the target is reached already.
    """
    covered = debt
    if terms.liquidation is Liquidation.PARTIAL:
        covered = partial_cover(terms, debt=debt, held=held, price=price, in_default=in_default)
        if covered == 0:
            raise Rejected("liquidate/healthy", target_ltv=terms.target_ltv)
        # Where too little debt would be left, all of it is sold for (Unchained).
        if debt - covered < terms.min_left:
            covered = debt
    elif terms.liquidation is Liquidation.THIRD_PARTY and covers(
        terms, debt=debt, held=held, price=price
    ):
        covered = Cents(min(debt, net_down(pay, fee=terms.fee_bps)))
    if covered == debt:
        split = sell_all(terms, debt=debt, held=held, price=price)
    else:
        split = sell_part(terms, debt=debt, price=price, covered=covered)
    if terms.liquidation is not Liquidation.TAKE_OVER and split.repaid + split.fee > pay:
        raise Rejected("loan/amount", amount=pay, asked=split.repaid + split.fee)
    return split


def decay(cut: Bps, *, steps: int) -> int:
    """``(cut ÷ 10,000) ^ steps`` in ``WAD``, rounded down at each multiplication (Maker's ``rpow``
    by squaring)."""
    base, power = muldiv_down(cut, WAD, BPS), WAD
    while steps:
        if steps % 2:
            power = muldiv_down(power, base, WAD)
        base = muldiv_down(base, base, WAD)
        steps >>= 1
    return power


def steps_in(terms: Terms, elapsed: Seconds) -> int:
    """How often an auction's price has fallen."""
    return muldiv_down(elapsed, 1, terms.step)


def is_stale_auction(terms: Terms, *, elapsed: Seconds) -> bool:
    """Must the auction be begun anew? After its tail, or below its cusp."""
    if elapsed > terms.tail:
        return True
    return decay(terms.cut_bps, steps=steps_in(terms, elapsed)) * BPS < terms.cusp_bps * WAD


def auction_life(terms: Terms) -> Seconds:
    """The last second at which an auction is not stale."""
    last = steps_in(terms, terms.tail)
    fallen = bisect_left(
        range(last + 1),
        True,
        key=lambda n: is_stale_auction(terms, elapsed=Seconds(n * terms.step)),
    )
    return Seconds(terms.tail if fallen > last else fallen * terms.step - 1)


def auction_price(terms: Terms, *, price: PriceE8, elapsed: Seconds) -> PriceE8:
    """Price of 1 BTC, ``elapsed`` seconds into an auction that is not stale, rounded up."""
    part = decay(terms.cut_bps, steps=steps_in(terms, elapsed))
    return PriceE8(muldiv_up(price * terms.buf_bps, part, BPS * WAD))


def sell_at(terms: Terms, *, debt: Cents, held: Sats, price: PriceE8, want: Sats) -> Split:
    """Up to ``want`` coins at an auction's ``price``, no more than the debt and its fee need.

    Raises ``Rejected``: ``loan/amount`` for nothing, ``liquidate/dust`` if too little debt would
    be left.
    """
    sats = Sats(min(want, held))
    paid, claim = muldiv_up(sats, price, CENTS_SCALE), gross_up(debt, fee=terms.fee_bps)
    if paid >= claim:
        seized = Sats(min(sats, muldiv_down(claim, CENTS_SCALE, price)))
        return Split(debt, seized, Sats(held - seized), Cents(0), Cents(claim - debt))
    repaid = net_down(Cents(paid), fee=terms.fee_bps)
    left, fee = Cents(debt - repaid), Cents(paid - repaid)
    if sats == held:
        return Split(repaid, held, Sats(0), left, fee)
    if repaid == 0:
        raise Rejected("loan/amount", amount=repaid)
    if left < terms.min_left:
        raise Rejected("liquidate/dust", left=left, least=terms.min_left)
    return Split(repaid, sats, Sats(0), Cents(0), fee, left)


def sell_seen(
    terms: Terms, *, debt: Cents, held: Sats, price: PriceE8, seized: Sats, over: bool
) -> Split:
    """The sale at an auction's ``price`` of which is known that ``seized`` coins went, and whether
    it ended the loan. Raises as ``sell_at``."""
    split = sell_at(terms, debt=debt, held=held, price=price, want=held if over else seized)
    paid = split.repaid + split.fee
    # A cent is worth several sats: who wants a few less than the debt needs pays all of it too.
    if over and not split.bad_debt and muldiv_up(seized, price, CENTS_SCALE) >= paid:
        seized = Sats(min(seized, split.seized))
        return replace(split, seized=seized, surplus=Sats(held - seized))
    return split
