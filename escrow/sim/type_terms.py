"""What types of collateral assume, told beside the terms of a pilot."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from escrow.collateral import model
from escrow.sim.pilot import Plan, Status, Term


def with_types(plan: Plan, types: Iterable[model.Type]) -> Plan:
    """The plan with every term of these types, so that its reports print what is assumed."""
    terms = dict(plan.terms)
    for kind in types:
        for each in kind.parameters:
            name = f"{kind.id}.{each.name}"
            terms[name] = Term(name, each.value, Status(each.status.value), each.source)
    return replace(plan, terms=terms)
