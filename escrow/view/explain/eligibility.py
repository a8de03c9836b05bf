"""Why a gate was open or shut: the rules of the place, and what was known of whom."""

from __future__ import annotations

from typing import assert_never

from escrow.core.regions.register import (
    Attested,
    OfferedUnder,
    ProfileSwitched,
    RegisterEvent,
    TransferCleared,
)
from escrow.core.state import Escrow
from escrow.view.explain import rulebook as rb
from escrow.view.explain.measure import number
from escrow.view.explain.parts import SHOWN, Explanation, Finding, Input, explained

_REGISTRAR = "the registrar"


def of_register(event: RegisterEvent, before: Escrow) -> Explanation:
    """Why the register changed, or what it let through."""
    what, at = type(event).__name__, event.at
    match event:
        case Attested(facts=facts, until=until):
            told = tuple(Input(f.name, f.value, "", str(f.value), _REGISTRAR) for f in facts)
            good = number("good until", until, unit="moment", source=_REGISTRAR)
            left = SHOWN["seconds"](until - at)
            said = f"the registrar saw evidence of {len(facts)} facts, good for {left}"
            return explained(what, at, rb.ATTEST, Finding(said, (*told, good)))
        case ProfileSwitched(book=book, what_if=what_if):
            old = before.register.book
            said = f"{book.profile} version {book.version} for new offers, loans keep theirs"
            said += "; a what-if" if what_if else ""
            was = "none" if old is None else old.profile
            return explained(
                what, at, rb.PROFILE, Finding(said, (Input("before", was, "", was, _REGISTRAR),))
            )
        case OfferedUnder(book=book):
            said = f"the loan is under {book.profile} version {book.version}"
            rules = number("rules", len(book.rules), unit="", source=book.profile)
            return explained(what, at, rb.ELIGIBILITY, Finding(said, (rules,)))
        case TransferCleared(sats=sats, purpose=purpose):
            shown = SHOWN["sats"](sats)
            said = f"no rule in force keeps {shown} from passing as a {purpose.value}"
            return explained(what, at, rb.ELIGIBILITY, Finding(said))
        case _:
            assert_never(event)
