"""What both sides sign, and which terms make sense.

Field order and names are those of ``Terms`` in ``contracts/EscrowBook.vy``: the loan's id is
the EIP-712 hash of this record, so terms are snapshotted at acceptance by construction.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from escrow.core.errors import Rejected
from escrow.core.units import BPS, DAY, HOUR, MAX_TIME, Bps, Cents, Sats, Seconds

MIN_DEPOSIT: Final = Sats(10_000)
"""Smallest coin that is minted and smallest burn that is paid: leaves room for a fee and an
output above dust (546 sats, Bitcoin Core ``GetDustThreshold`` for P2PKH)."""
RESERVE_LIFE: Final = HOUR
"""How long after the attestors saw a vault's reserves tokens may be minted on them."""
MAX_RATE: Final = Bps(100_000)
"""A rate above 1,000 % a year is refused as absurd."""
MAX_PRINCIPAL: Final = Cents(2**63 - 1)
"""Largest principal: the contract keeps it in 64 bits."""
MAX_BONUS: Final = Bps(5_000)
"""Widest bonus and widest liquidation fee."""
MAX_SPAN: Final = Seconds(30 * DAY)
"""Longest cure time, dispute and auction."""
MAX_STEPS: Final = 1_000
"""Most times that an auction's price falls before its tail."""
NOBODY: Final = "0x" + 40 * "0"
"""No arbiter."""
NEW: Final = "0x" + 64 * "0"
"""The origin of terms that refinance no other loan."""
MAX_FEE_BOUND: Final = Sats(10_000_000)
"""No terms may let a payout burn more than 0.1 BTC in fees."""


class Liquidation(IntEnum):
    """How collateral is realised. The number is the contract's."""

    TAKE_OVER = 0
    """The lender takes coins worth debt and bonus; the rest goes back to the borrower."""
    THIRD_PARTY = 1
    """Anyone repays debt, all or part, and gets coins worth it and the bonus: a discount."""
    PARTIAL = 2
    """Anyone buys just so many coins that the loan-to-value is back at the target (Strike)."""
    AUCTION = 3
    """The price of the coins falls with time until somebody takes them (Maker's ``Clipper``)."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What both sides signed. Never changes after acceptance."""

    borrower: str
    """EVM address of the pledgor, EIP-55."""
    lender: str
    """EVM address of the secured party, EIP-55."""
    vault: str
    """Witness program of the vault, P2WSH or P2TR as the custody policy says: 32 bytes in hex with
    0x. It names the vault for ever: a later generation of it has another."""
    principal: Cents
    """Most that may be outstanding, in cents."""
    rate_bps: Bps
    """Interest a year, actual/365, accruing each second on outstanding principal."""
    initial_ltv: Bps
    """A draw may not leave the loan-to-value above this."""
    restore_ltv: Bps
    """At or below this a margin call is cured."""
    call_ltv: Bps
    """At or above this the loan may be called."""
    liquidation_ltv: Bps
    """At or above this the collateral may be realised at once, call or no call."""
    cure: Seconds
    """Time to answer a margin call, in active seconds (they stop while no price is fresh)."""
    expires_at: Seconds
    """Last moment to accept and to open."""
    draw_by: Seconds
    """Last moment to draw; after it anyone may cancel a loan that was never drawn."""
    maturity: Seconds
    """When everything is due."""
    grace: Seconds
    """Time after maturity before the loan is in default."""
    recover_at: Seconds
    """From here the borrower alone can spend the vault (CLTV), whatever the others do."""
    confirmations: int
    """Blocks on top of and including its own before a coin or a payout counts as final."""
    liquidation: Liquidation
    """Who realises the collateral."""
    bonus_bps: Bps
    """Penalty to the lender or discount to the third party, on the debt covered."""
    max_fee: Sats
    """Bound on the miner's fee of one payout."""
    nonce: int
    """Makes the id of otherwise equal loans differ."""
    target_ltv: Bps = Bps(0)
    """``PARTIAL``: the sale stops where the loan-to-value is this; 0 under other kinds."""
    fee_bps: Bps = Bps(0)
    """Liquidation fee: this part of what a buyer pays is the lender's and covers no debt."""
    min_left: Cents = Cents(0)
    """A sale leaves no debt, or at least this much (Aave's ``MIN_LEFTOVER``, Maker's ``dust``)."""
    buf_bps: Bps = Bps(0)
    """``AUCTION``: where the price starts, as a part of the oracle's (Maker's ``buf``)."""
    cut_bps: Bps = Bps(0)
    """``AUCTION``: what is left of the price after each step (``StairstepExponentialDecrease``)."""
    step: Seconds = Seconds(0)
    """``AUCTION``: how long a step lasts."""
    tail: Seconds = Seconds(0)
    """``AUCTION``: it is stale after this long, and must be begun anew."""
    cusp_bps: Bps = Bps(0)
    """``AUCTION``: it is stale once less than this part of its first price is left."""
    arbiter: str = NOBODY
    """EVM address of who decides on a disputed margin call; nobody: calls cannot be disputed."""
    dispute: Seconds = Seconds(0)
    """How long a dispute holds the call up if the arbiter is silent."""
    origin: str = NEW
    """Id of the loan that these terms refinance. It keeps that id."""


def check_terms(terms: Terms, *, at: Seconds) -> None:
    """Refuse terms that contradict themselves.

    The recovery time comes last of all (Firefish ``recover_lock_time``, DLC
    ``refund_locktime``): otherwise the borrower could leave while the lender may still act.

    Raises ``Rejected``: ``terms/parties``, ``terms/ltv-order``, ``terms/time-order``,
    ``terms/size``, ``terms/rate``, ``terms/target``, ``terms/auction``, ``terms/arbiter``,
    ``offer/expired``; in the contract's order.
    """
    # Initial may equal restore, but between restore and call there must be room to recover.
    if not (
        0 < terms.initial_ltv <= terms.restore_ltv < terms.call_ltv < terms.liquidation_ltv < BPS
    ):
        raise Rejected(
            "terms/ltv-order",
            initial=terms.initial_ltv,
            restore=terms.restore_ltv,
            call=terms.call_ltv,
            liquidation=terms.liquidation_ltv,
        )
    default_at = terms.maturity + terms.grace
    if not (
        terms.expires_at <= terms.draw_by < terms.maturity
        and default_at < terms.recover_at <= MAX_TIME
    ):
        raise Rejected(
            "terms/time-order",
            expires_at=terms.expires_at,
            draw_by=terms.draw_by,
            maturity=terms.maturity,
            default_at=default_at,
            recover_at=terms.recover_at,
        )
    sizes = (
        ("principal", terms.principal, 1, MAX_PRINCIPAL),
        ("confirmations", terms.confirmations, 1, 100),
        ("bonus_bps", terms.bonus_bps, 0, MAX_BONUS),
        ("max_fee", terms.max_fee, 1, MAX_FEE_BOUND),
        ("cure", terms.cure, 1, MAX_SPAN),
        ("grace", terms.grace, 0, 365 * DAY),
        ("nonce", terms.nonce, 0, 2**256 - 1),
        ("fee_bps", terms.fee_bps, 0, MAX_BONUS),
        ("min_left", terms.min_left, 0, terms.principal),
    )
    for name, value, low, high in sizes:
        if not low <= value <= high:
            raise Rejected("terms/size", field=name, value=value, low=low, high=high)
    if not 0 <= terms.rate_bps <= MAX_RATE:
        raise Rejected("terms/rate", rate_bps=terms.rate_bps)
    if not terms.borrower or not terms.lender or terms.borrower.lower() == terms.lender.lower():
        raise Rejected("terms/parties")
    _check_kind(terms)
    # A third person with time to decide, or neither.
    if terms.arbiter == NOBODY:
        named = terms.dispute == 0
    else:
        named = 0 < terms.dispute <= MAX_SPAN and terms.arbiter.lower() not in (
            terms.borrower.lower(),
            terms.lender.lower(),
        )
    if not named:
        raise Rejected("terms/arbiter", dispute=terms.dispute)
    if at > terms.expires_at:
        raise Rejected("offer/expired", expires_at=terms.expires_at, now=at)


def _check_kind(terms: Terms) -> None:
    """What a kind of liquidation does not use is zero, so that nobody signs idle words."""
    partial = terms.liquidation is Liquidation.PARTIAL
    # A sale moves towards its target only while a coin sold covers more than the target share.
    reachable = (
        0 < terms.target_ltv <= terms.restore_ltv
        and terms.target_ltv * (BPS + terms.bonus_bps) < (BPS - terms.fee_bps) * BPS
    )
    if not (reachable if partial else terms.target_ltv == 0):
        raise Rejected("terms/target", target=terms.target_ltv, restore=terms.restore_ltv)
    sound = (
        terms.bonus_bps == 0
        and BPS <= terms.buf_bps <= 2 * BPS
        and 0 < terms.cut_bps < BPS
        and 0 < terms.step <= terms.tail <= MAX_SPAN
        and terms.tail <= MAX_STEPS * terms.step
        and 0 < terms.cusp_bps <= BPS
    )
    idle = not (terms.buf_bps or terms.cut_bps or terms.step or terms.tail or terms.cusp_bps)
    if not (sound if terms.liquidation is Liquidation.AUCTION else idle):
        raise Rejected("terms/auction", buf=terms.buf_bps, cut=terms.cut_bps, tail=terms.tail)
