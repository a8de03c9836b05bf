"""Loans brought to where a test begins, and short words for how their collateral is sold."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from contracts_lab import PRICE, Lab, person, raw
from eth_account.signers.local import LocalAccount

from escrow.adapters.evm import typed
from escrow.adapters.evm.chain import Chain
from escrow.adapters.evm.fast import FastChain
from escrow.core.terms import Liquidation, Terms
from escrow.core.units import DAY

HALF = PRICE // 2
"""Two coins at this price are 100,000.00: the debt in cents is then the level in bps × 1,000."""
ANY = 2**256 - 1
"""A buyer who minds neither what it pays nor at which price."""
ARBITER = {"arbiter": raw(person(6)), "dispute": 2 * DAY}
"""The lab's stranger, whom no registry needs to know."""
VERBS = (
    ("cancel",),
    ("recovered",),
    ("top_up", 1),
    ("withdraw", 1),
    ("draw", 1),
    ("repay", 1),
    ("close",),
    ("margin_call",),
    ("dispute",),
    ("resolve", True),
    ("cure",),
    ("expire_call",),
    ("take_over",),
    ("liquidate", 1, 1),
    ("take", 1, 1),
    ("redo",),
)
"""All that can be done to a loan that is there, but refinancing it, with some arguments."""
FAST = FastChain if importlib.util.find_spec("pyrevm") else Chain
"""For long runs. ``pyrevm`` has no wheel for Python 3.13."""


def at_level(lab: Lab, bps: int, **changes: object) -> dict[str, object]:
    """A loan of ``bps`` × 1,000 cents without interest on two coins: at HALF its level is bps."""
    terms = lab.active(cents=bps * 1_000, **({"rate_bps": 0} | changes))
    lab.wait(1)
    return terms


def called(lab: Lab, **changes: object) -> dict[str, object]:
    """At 70 %, and called."""
    terms = at_level(lab, 7_000, **changes)
    lab.post(HALF)
    lab.do(lab.keeper, "margin_call", terms)
    return terms


def expired(lab: Lab, **changes: object) -> dict[str, object]:
    """Called, and the call has just expired."""
    terms = called(lab, **changes)
    lab.stay_fresh(lab.now + DAY + 1, HALF)
    lab.do(lab.keeper, "expire_call", terms)
    return terms


def breached(lab: Lab, **changes: object) -> dict[str, object]:
    """At 85 %, the level at which it may be sold, and a buyer with cash."""
    terms = at_level(lab, 8_500, **changes)
    lab.fund(lab.buyer, 10**9)
    lab.post(HALF)
    return terms


def overdue(lab: Lab, terms: Mapping[str, Any], price: int = PRICE) -> None:
    """The first second after maturity and grace, at a fresh price."""
    lab.at(terms["maturity"] + terms["grace"] + 1)
    lab.post(price)


def sell(lab: Lab, terms: Mapping[str, object], *bounds: int, who: LocalAccount | None = None):
    """As the terms say: the lender takes over, or a buyer buys, at any price unless bounded."""
    if terms["liquidation"] == Liquidation.TAKE_OVER:
        return lab.do(who or lab.lender, "take_over", terms)
    most, least = (*bounds, *(ANY, 0)[len(bounds) :])
    if terms["liquidation"] == Liquidation.AUCTION:
        return lab.do(who or lab.buyer, "take", terms, most, least or ANY)
    return lab.do(who or lab.buyer, "liquidate", terms, most, least)


def sold(lab: Lab, receipt: Any) -> dict[str, Any]:
    """What the one sale of a receipt says."""
    [args] = [args for name, args in lab.said(receipt) if name == "Liquidated"]
    return args


def core_terms(terms: Mapping[str, Any]) -> Terms:
    """The same terms for the core."""
    plain = {n: "0x" + v.hex() if isinstance(v, bytes) else v for n, v in terms.items()}
    return Terms(**plain | {"liquidation": Liquidation(terms["liquidation"])})


def refinance(
    lab: Lab,
    old: Mapping[str, object],
    new: Mapping[str, object],
    *who: LocalAccount,
    sender: LocalAccount | None = None,
):
    """Carry new terms that these signed."""
    return lab.book.send(
        sender or lab.keeper,
        "refinance",
        *(typed.encode_terms(terms) for terms in (old, new)),
        *lab.sign_terms(new, *who),
    )


def arguments(lab: Lab, terms: Mapping[str, object], function: str) -> list[object]:
    """Some that fit the types of a function of the book."""
    kinds = lab.book.artifact.functions[function].inputs
    values: list[object] = []
    sigs = iter(lab.sign_terms(terms))
    for kind in kinds:
        if kind.startswith("(uint8"):
            values.append(next(sigs))
        elif kind.startswith("("):
            values.append(typed.encode_terms(terms))
        elif kind == "bytes32":
            values.append(typed.loan_id(terms))
        else:
            values.append(True if kind == "bool" else 1)
    return values


@contextmanager
def aside(lab: Lab) -> Iterator[None]:
    """What happens here has not happened afterwards."""
    lab.save()
    try:
        yield
        lab.back()
    finally:
        lab.forget()
