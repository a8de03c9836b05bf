"""What a product's liquidation does with coins and debt: ``escrow.core.sales``, as each asks it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from escrow.core import terms as core
from escrow.core.rules import value_down
from escrow.core.sales import (
    Split,
    auction_price,
    cover_to_target,
    covers,
    sell_all,
    sell_at,
    sell_part,
)
from escrow.core.units import (
    BPS,
    CENTS_SCALE,
    DAY,
    Bps,
    Cents,
    PriceE8,
    Sats,
    Seconds,
    muldiv_down,
    muldiv_up,
)
from escrow.products.check import steps_to_par
from escrow.products.level import Level
from escrow.products.model import (
    DutchAuction,
    Liquidation,
    MarketSale,
    PartialSale,
    SoftBands,
    TakeOver,
    ThirdParty,
)

_NOBODY: Final = Cents(1)


@dataclass(frozen=True, slots=True)
class Sale:
    """One realisation of collateral."""

    at: Seconds
    """When."""
    price: PriceE8
    """What the buyer paid for 1 BTC: the market's price, or an auction's."""
    recovered: Cents
    """Debt covered: the lender's."""
    bad_debt: Cents
    """Debt that nothing covers, when the last coin is gone."""
    fees: Cents
    """What it cost the borrower on top: fee, penalty or discount, at the market's price."""
    sold: Sats
    """Coins that buyers got."""
    to_lender: Sats
    """Coins that the lender took for the debt."""
    fee_sats: Sats
    """Coins that the lender took as penalty."""
    returned: Sats
    """Coins that went back to the borrower."""
    left: Cents
    """Debt that stays, with the coins that stay; 0: the loan is over."""


@lru_cache(maxsize=256)
def sale_terms(kind: Liquidation) -> core.Terms:
    """Terms that hold what ``escrow.core.sales`` reads of them, and nothing else that matters."""
    bonus, fee, target, least = Bps(0), Bps(0), Bps(0), Cents(0)
    how, auction = core.Liquidation.TAKE_OVER, {}
    match kind:
        case TakeOver():
            bonus = kind.bonus_bps
        case MarketSale():
            fee = kind.fee_bps
        case PartialSale():
            how, fee, target = core.Liquidation.PARTIAL, kind.fee_bps, kind.target_bps
        case ThirdParty():
            how, bonus, least = core.Liquidation.THIRD_PARTY, kind.bonus_bps, kind.min_left
        case DutchAuction():
            how, fee = core.Liquidation.AUCTION, kind.fee_bps
            auction = {
                "buf_bps": kind.buf_bps,
                "cut_bps": kind.cut_bps,
                "step": kind.step,
                "tail": kind.tail,
                "cusp_bps": kind.cusp_bps,
            }
        case SoftBands():
            pass
    return core.Terms(
        borrower="borrower",
        lender="lender",
        vault="",
        principal=_NOBODY,
        rate_bps=Bps(0),
        initial_ltv=Bps(0),
        restore_ltv=Bps(0),
        call_ltv=Bps(0),
        liquidation_ltv=Bps(0),
        cure=Seconds(DAY),
        expires_at=Seconds(0),
        draw_by=Seconds(0),
        maturity=Seconds(0),
        grace=Seconds(0),
        recover_at=Seconds(0),
        confirmations=1,
        liquidation=how,
        bonus_bps=bonus,
        max_fee=Sats(0),
        nonce=0,
        target_ltv=target,
        fee_bps=fee,
        min_left=least,
        **auction,  # type: ignore[arg-type]
    )


def time_to_take(kind: DutchAuction) -> Seconds:
    """From the start of an auction to the second at which its price has met the market's."""
    return Seconds(steps_to_par(kind) * kind.step)


def for_the_debt(split: Split, *, bonus: Bps, price: PriceE8) -> Sats:
    """Coins of a take-over that are the debt's worth; the rest of those seized is the penalty.
    Where there is none, the last coins, worth less than a cent, are for the debt too."""
    if not bonus:
        return split.seized
    return Sats(min(split.seized, muldiv_up(split.repaid, CENTS_SCALE, price)))


def sell(
    kind: Liquidation,
    *,
    debt: Cents,
    principal: Cents,
    held: Sats,
    price: PriceE8,
    at: Seconds,
    in_default: bool,
) -> Sale | None:
    """One sale at the market's price of all that is owed; none if there is nothing to sell for.

    After a default a partial sale is of all. Bands do not sell so.
    """
    terms = sale_terms(kind)
    paid_price = price
    match kind:
        case PartialSale():
            whole = in_default or principal < kind.full_below
            split = _partial(kind, debt=debt, held=held, price=price, whole=whole)
        case ThirdParty():
            split = _third_party(kind, debt=debt, held=held, price=price)
        case DutchAuction():
            paid_price = auction_price(terms, price=price, elapsed=time_to_take(kind))
            split = sell_at(terms, debt=debt, held=held, price=paid_price, want=held)
        case _:
            split = sell_all(terms, debt=debt, held=held, price=price)
    if split is None:
        return None
    worth = value_down(split.seized, price=price)
    kept = taken = Sats(0)
    if isinstance(kind, TakeOver):
        taken = for_the_debt(split, bonus=kind.bonus_bps, price=price)
        kept = Sats(split.seized - taken)
    return Sale(
        at=at,
        price=paid_price,
        recovered=split.repaid,
        bad_debt=split.bad_debt,
        fees=Cents(max(split.fee, worth - split.repaid)),
        sold=Sats(split.seized - taken - kept),
        to_lender=taken,
        fee_sats=kept,
        returned=split.surplus,
        left=split.left,
    )


def _partial(
    kind: PartialSale, *, debt: Cents, held: Sats, price: PriceE8, whole: bool
) -> Split | None:
    terms = sale_terms(kind)
    if whole or not covers(terms, debt=debt, held=held, price=price):
        return sell_all(terms, debt=debt, held=held, price=price)
    covered = cover_to_target(terms, debt=debt, held=held, price=price)
    if covered == 0:
        return None
    if covered == debt:
        return sell_all(terms, debt=debt, held=held, price=price)
    return sell_part(terms, debt=debt, price=price, covered=covered)


def _third_party(kind: ThirdParty, *, debt: Cents, held: Sats, price: PriceE8) -> Split:
    terms = sale_terms(kind)
    part = Cents(muldiv_down(debt, kind.close_bps, BPS))
    small = min(debt, value_down(held, price=price)) < kind.full_below
    bad = kind.full_at is not None and Level(kind.full_at).reached(debt, held=held, price=price)
    # A debt that the coins cannot cover is sold in full: a part would leave it worse than before.
    whole = small or bad or not covers(terms, debt=debt, held=held, price=price)
    if whole or not 0 < part < debt or debt - part < kind.min_left:
        return sell_all(terms, debt=debt, held=held, price=price)
    return sell_part(terms, debt=debt, price=price, covered=part)
