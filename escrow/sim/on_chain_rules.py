"""Which of a product's rules the contract enforces, and which are only the lender's policy.

A rule is the contract's where its terms say the same, so that nobody could do otherwise. It is the
lender's policy where the terms permit more, and the product is kept only because the lender keeps
it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from typing import Final

from escrow.core.terms import Liquidation
from escrow.core.units import BPS, Bps
from escrow.products.level import Level, shown
from escrow.products.model import (
    Basis,
    Lapse,
    MarketSale,
    PartialSale,
    Product,
    TakeOver,
    ThirdParty,
)
from escrow.sim.on_chain_terms import Plan, cure_of
from escrow.words import money, percent, span


class By(Enum):
    """Who keeps a rule."""

    CONTRACT = "contract"
    """The escrow book: it refuses anything else."""
    POLICY = "lender's policy"
    """The lender alone: the escrow book permits more."""


@dataclass(frozen=True, slots=True)
class Enforced:
    """A rule of the product, and who enforces it."""

    rule: str
    """What it is about: call, cure time, immediate, …"""
    product: str
    """What the product says."""
    contract: str
    """What the contract says."""
    by: By
    """Who keeps it."""


_ALL: Final = "of all that the debt needs"
_NARROWER: Final = ", and refuses below that"


def enforced(product: Product, plan: Plan) -> tuple[Enforced, ...]:
    """Every rule, in the order of the ladder."""
    return tuple(_rules(product, plan))


def stated(product: Product) -> tuple[str, ...]:
    """In what the two differ where no rule of the ladder is concerned."""
    found = ["one price from all sources; there the median of five oracles"]
    if product.confirmations == 0:
        found.insert(0, "no confirmations; there one")
    return tuple(found)


def _rules(product: Product, plan: Plan) -> Iterator[Enforced]:
    counts_all, bounds = product.basis is Basis.DEBT, plan.bounds
    if not counts_all:
        yield _policy("levels", "count principal alone", "count principal and interest")
    initial = product.initial
    same = bounds.initial == initial * BPS
    yield _rule("initial", f"at most {shown(initial)}", f"at most {percent(bounds.initial)}", same)
    yield from _calls(product, plan, counts_all=counts_all)
    if product.immediate is None:
        there = f"a sale from {percent(bounds.liquidation)}"
        yield _policy("immediate", "no sale without a call", there)
    else:
        yield _level("immediate", product.immediate, bounds.liquidation, counts_all=counts_all)
    yield _sale(product, plan)
    if plan.up_front:
        yield _policy(
            "interest",
            f"{money(plan.up_front)} for the whole term, owed from the first second",
            f"a principal of {money(plan.drawn)} without interest; so much is handed back at once",
        )


def _calls(product: Product, plan: Plan, *, counts_all: bool) -> Iterator[Enforced]:
    bounds, cure = plan.bounds, cure_of(product)
    if not product.calls:
        there = f"permitted from {percent(bounds.call)}"
        yield _policy("call", "none", there)
        return
    for n, call in enumerate(product.calls, start=1):
        name = "call" if len(product.calls) == 1 else f"call {n}"
        if n == 1:
            yield _level(name, call.level, bounds.call, counts_all=counts_all)
        else:
            yield _policy(name, _words(call.level), "one call")
        if call.dwell:
            yield _policy(f"{name}, dwell", span(call.dwell), "none")
        left = span(cure)
        if call.cure is None:
            yield _policy(f"{name}, cure time", "it never lapses", f"it may after {left}")
        else:
            since = "" if n == 1 else " from call 1"
            same = n == 1 and call.cure == cure
            yield _rule(f"{name}, cure time", span(call.cure), f"{left}{since}", same)
    restore = product.restore
    same = counts_all and restore * BPS == bounds.restore
    there = f"at or below {percent(bounds.restore)}"
    yield _rule("restore", f"at or below {shown(restore)}", there, same)
    if any(call.cure is not None for call in product.calls):
        yield _lapse(product, plan, counts_all=counts_all)


def _lapse(product: Product, plan: Plan, *, counts_all: bool) -> Enforced:
    """Where a call whose time is over turns into a sale."""
    there = f"at or above {percent(plan.bounds.call)}"
    if product.lapse is Lapse.UNLESS_RESTORED:
        # At the restore level itself it is cured: the contract lapses a basis point above.
        return _rule("lapse", f"above {shown(product.restore)}", f"{there}{_NARROWER}", counts_all)
    first = _level("", product.calls[0].level, plan.bounds.call, counts_all=counts_all)
    same = len(product.calls) == 1 and first.by is By.CONTRACT
    return _rule("lapse", "while the level of the call is reached", there, same)


def _level(name: str, level: Level, there: Bps, *, counts_all: bool) -> Enforced:
    """The contract's where it is reached at the same loan-to-value, or only later."""
    narrower = there > level.ltv * BPS
    same = counts_all and not level.strict and there == level.ltv * BPS
    words = f"at or above {percent(there)}"
    if narrower:
        words += _NARROWER
    return _rule(name, _words(level), words, same or narrower)


def _sale(product: Product, plan: Plan) -> Enforced:
    kind, there = product.liquidation, "a buyer covers as much of the debt as it likes"
    match kind:
        case ThirdParty() if kind.close_bps < BPS or kind.full_below:
            part = (
                f"{percent(kind.close_bps)} of the debt at a time, all of it where little is left"
            )
            return _policy("sale", part, there)
        case ThirdParty():
            return _rule("sale", there, there, True)
        case PartialSale():
            target = Fraction(kind.target_bps, BPS)
            small = f", all of it below {money(kind.full_below)}" if kind.full_below else ""
            said = f"down to {shown(target)}{small}"
            if plan.liquidation is Liquidation.PARTIAL:
                return _rule("sale", said, said, True)
            return _policy("sale", said, there)
        case MarketSale():
            return _policy("sale", _ALL, there)
        case TakeOver():
            return _rule("sale", _ALL, _ALL, True)
        case _:
            # An auction's price is the contract's; how many coins to take at it, the buyer's.
            return _policy("sale", f"{_ALL}, in an auction", "a buyer takes as many as it likes")


def _words(level: Level) -> str:
    return f"{'above' if level.strict else 'at or above'} {shown(level.ltv)}"


def _rule(name: str, product: str, contract: str, same: bool) -> Enforced:
    return Enforced(name, product, contract, By.CONTRACT if same else By.POLICY)


def _policy(name: str, product: str, contract: str) -> Enforced:
    return Enforced(name, product, contract, By.POLICY)
