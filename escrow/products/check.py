"""Products that contradict themselves are refused, with the term that does."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise

from escrow.core.bands import Curve, weight
from escrow.core.errors import BadInput
from escrow.core.sales import WAD, decay
from escrow.core.units import BPS, muldiv_up
from escrow.products.level import Level, shown
from escrow.products.model import DutchAuction, PartialSale, Pays, Product, SoftBands

Refuse = Callable[..., BadInput]
"""Makes the refusal of a code and the path of a term."""


def check(product: Product, *, refuse: Refuse) -> None:
    """Raises BadInput: ``product/ladder`` for levels out of order or clocks that contradict them,
    ``product/liquidation`` for a sale that cannot reach its end, ``product/value`` for sizes out
    of order."""
    _check_levels(product, refuse)
    _check_calls(product, refuse)
    _check_liquidation(product, refuse)
    rule = product.price
    if rule.quorum * 2 <= rule.sources or rule.to_call > rule.quorum:
        # Two halves could each be a quorum; and a call must be possible whenever a price is.
        reason = "a quorum is more than half, and calls need no more"
        raise refuse("product/value", "price.quorum", reason=reason)
    if product.least and product.most and product.least > product.most:
        raise refuse("product/value", "size.least", reason="above size.most")


def _check_levels(product: Product, refuse: Refuse) -> None:
    initial, restore = product.initial, product.restore
    rising: list[tuple[str, Level]] = [
        (f"call[{n}].level", call.level) for n, call in enumerate(product.calls, start=1)
    ]
    if product.immediate is not None:
        rising.append(("levels.immediate", product.immediate))
    if not 0 < initial <= 1:
        raise refuse("product/ladder", "levels.initial", reason="not above 0 and at most 100 %")
    for path, level in rising[:1] if product.calls else ():
        # Between restore and the first call there must be room to recover.
        if not restore < level.ltv:
            raise refuse("product/ladder", path, reason="not above levels.restore")
    for path, level in rising:
        if not initial < level.ltv:
            raise refuse("product/ladder", path, reason="not above levels.initial")
    for (_, low), (path, high) in pairwise(rising):
        if not low.ltv < high.ltv:
            reason = f"{shown(high.ltv)} is not above {shown(low.ltv)}"
            raise refuse("product/ladder", path, reason=reason)
    for n, notice in enumerate(product.notices, start=1):
        before = product.notices[n - 2].ltv if n > 1 else initial
        if not before < notice.ltv:
            raise refuse("product/ladder", f"notice[{n}].level", reason="notices must rise")
        if rising and not notice.ltv < rising[-1][1].ltv:
            reason = "a notice after the last level"
            raise refuse("product/ladder", f"notice[{n}].level", reason=reason)


def _check_calls(product: Product, refuse: Refuse) -> None:
    soft = isinstance(product.liquidation, SoftBands)
    if soft and (product.calls or product.immediate):
        raise refuse("product/ladder", "liquidation.kind", reason="bands sell without a level")
    if isinstance(product.liquidation, SoftBands):
        if product.repayment.pays is not Pays.OPEN:
            raise refuse("product/liquidation", "repayment.pays", reason="bands have no term")
        kind = product.liquidation
        most = weight(curve_of(kind), count=kind.count, discount=kind.loan_discount)
        if product.initial > Fraction(most, WAD):
            reason = "above what the bands cover"
            raise refuse("product/ladder", "levels.initial", reason=reason)
    cures = [
        (n, call.cure) for n, call in enumerate(product.calls, start=1) if call.cure is not None
    ]
    if not (soft or cures or product.immediate) and product.repayment.pays is Pays.OPEN:
        raise refuse("product/ladder", "liquidation.kind", reason="nothing ever leads to it")
    for (_, slow), (n, fast) in pairwise(cures):
        if fast > slow:
            reason = "a higher call leaves more time than a lower one"
            raise refuse("product/ladder", f"call[{n}].cure", reason=reason)


def _check_liquidation(product: Product, refuse: Refuse) -> None:
    kind = product.liquidation
    if isinstance(kind, PartialSale):
        levels = [*(call.level for call in product.calls if call.cure is not None)]
        levels += [product.immediate] if product.immediate else []
        if any(kind.target_bps >= level.ltv * BPS for level in levels):
            reason = "not below the level that it restores"
            raise refuse("product/liquidation", "liquidation.target", reason=reason)
        # Each coin sold must cover more than the target's share of it.
        if kind.target_bps >= BPS - kind.fee_bps:
            reason = "cannot be reached with this fee"
            raise refuse("product/liquidation", "liquidation.target", reason=reason)
    if isinstance(kind, DutchAuction):
        steps = steps_to_par(kind)
        part = decay(kind.cut_bps, steps=steps)
        if steps * kind.step > kind.tail or part * BPS < kind.cusp_bps * WAD:
            reason = "over before it meets the market's price"
            raise refuse("product/liquidation", "liquidation.tail", reason=reason, steps=steps)


def curve_of(kind: SoftBands) -> Curve:
    """What ``escrow.core.bands`` is asked with."""
    return Curve(kind.steepness, kind.fee_bps, kind.stride_bps)


def steps_to_par(kind: DutchAuction) -> int:
    """After how many steps the price has fallen to the market's: ``buf × cutⁿ ≤ 1``."""
    steps = 0
    while muldiv_up(kind.buf_bps, decay(kind.cut_bps, steps=steps), 1) > BPS * WAD:
        steps += 1
    return steps
