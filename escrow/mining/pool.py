"""A mining pool as its members see it: what their work is paid, the fee, and when it pays out.

Both schemes pay for each share of work at once, whatever the pool finds: PPS the subsidy's
expectation, FPPS also that of the fees (Hashrate Index, "Bitcoin Mining Pool Payout Structures").
The luck is the pool's.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from typing import Final

from escrow.core.errors import BadInput, Rejected
from escrow.core.scripts import DUST
from escrow.core.units import BPS, MAX_MONEY, Bps, Sats

MAX_FEE: Final = Bps(5_000)
"""A pool that keeps more than half is refused as absurd."""


class Scheme(Enum):
    """What a share is paid for."""

    PPS = "pps"
    """The subsidy."""
    FPPS = "fpps"
    """Subsidy and fees."""


@dataclass(frozen=True, slots=True)
class PoolTerms:
    """What a pool promises a member. Make it by ``pool_terms``, which checks it."""

    name: str
    """The pool's."""
    scheme: Scheme
    """What is paid for."""
    fee_bps: Bps
    """What the pool keeps of it."""
    threshold: Sats
    """Fewest sats of a payout: below, the balance is carried."""
    payout_script: bytes
    """Where payouts go: the member's output script."""


@dataclass(frozen=True, slots=True)
class Balance:
    """A member's account with a pool."""

    credited: Fraction = Fraction(0)
    """Sats earned so far after the pool's fee, exact."""
    paid: Sats = Sats(0)
    """Sats paid out so far."""

    @property
    def owed(self) -> Sats:
        """What the pool owes, whole sats: the rest of a sat stays credited."""
        return Sats(int(self.credited) - self.paid)


def pool_terms(
    name: str, *, scheme: Scheme, fee_bps: Bps, threshold: Sats, payout_script: bytes
) -> PoolTerms:
    """Terms, checked. Raises BadInput("pool/terms") for a fee outside 0 to ``MAX_FEE``, or a
    threshold below dust or above all bitcoin."""
    if type(fee_bps) is not int or not 0 <= fee_bps <= MAX_FEE:
        raise BadInput("pool/terms", fee_bps=str(fee_bps)[:40], most=MAX_FEE)
    if type(threshold) is not int or not DUST <= threshold <= MAX_MONEY:
        raise BadInput("pool/terms", threshold=str(threshold)[:40], least=DUST)
    return PoolTerms(name, scheme, fee_bps, threshold, payout_script)


def credit(balance: Balance, earned: Fraction, *, terms: PoolTerms) -> Balance:
    """The account after work worth ``earned`` sats, exact; the fee is kept. Raises
    BadInput("pool/backwards") below zero."""
    if earned < 0:
        raise BadInput("pool/backwards", earned=str(earned)[:40])
    return Balance(balance.credited + earned * Fraction(BPS - terms.fee_bps, BPS), balance.paid)


def due(balance: Balance, *, terms: PoolTerms) -> Sats:
    """What the pool pays out now: all it owes, or nothing below the threshold."""
    return balance.owed if balance.owed >= terms.threshold else Sats(0)


def pay(balance: Balance, sats: Sats, *, terms: PoolTerms) -> Balance:
    """The account after a payout.

    Raises Rejected: ``pool/threshold`` below it, ``pool/overpaid`` for more than is owed.
    """
    if sats < terms.threshold:
        raise Rejected("pool/threshold", sats=sats, threshold=terms.threshold)
    if sats > balance.owed:
        raise Rejected("pool/overpaid", sats=sats, owed=balance.owed)
    return Balance(balance.credited, Sats(balance.paid + sats))
