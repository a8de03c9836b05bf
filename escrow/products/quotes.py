"""One price from several sources: the median, without those that stray, or none."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from escrow.core.units import BPS, PriceE8
from escrow.products.model import PriceRule


@dataclass(frozen=True, slots=True)
class Agreed:
    """What the sources say together."""

    price: PriceE8
    """The median; of an even number the lower one in the middle."""
    to_call: PriceE8
    """Highest of the lowest ``PriceRule.to_call``: at this price so many of them see a level."""


def agree(rule: PriceRule, reports: Iterable[PriceE8]) -> Agreed | None:
    """The price of an instant; none if fewer than the quorum report, or are left once those
    further than ``deviation_bps`` from the median of all are out. A source at the bound counts."""
    told = sorted(reports)
    if not told:
        return None
    middle = _median(told)
    kept = [p for p in told if abs(p - middle) * BPS <= rule.deviation_bps * middle]
    if len(kept) < max(rule.quorum, rule.to_call):
        return None
    return Agreed(_median(kept), kept[rule.to_call - 1])


def _median(ordered: list[PriceE8]) -> PriceE8:
    return ordered[(len(ordered) - 1) // 2]
