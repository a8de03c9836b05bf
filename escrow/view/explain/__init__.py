"""Why: the rule behind a step, its numbers and where they come from, and how far the other way was.

``explain`` for an event of the log, ``explain_refusal`` for what the rules refuse, ``outlook`` for
what would happen next. All three are pure functions of the state.
"""

from __future__ import annotations

from escrow.core.laws import Step
from escrow.core.regions.loan import LoanEvent
from escrow.core.regions.register import RegisterEvent
from escrow.core.regions.servicing import ServicingEvent
from escrow.core.regions.system import ClockTicked, SystemEvent
from escrow.core.regions.token import TokenEvent, TokensFreed
from escrow.core.regions.vault import VaultEvent
from escrow.core.state import Event
from escrow.view.explain.eligibility import of_register
from escrow.view.explain.events import of_loan
from escrow.view.explain.outlook import Ahead, Outlook, is_open, outlook
from escrow.view.explain.parts import (
    Distance,
    Explanation,
    Finding,
    Input,
    Rounding,
    Rule,
    Subject,
)
from escrow.view.explain.refusals import explain_refusal
from escrow.view.explain.service import of_servicing
from escrow.view.explain.sightings import of_incident, of_token, of_vault
from escrow.view.explain.system import of_system

__all__ = [
    "SAYS_ALL",
    "Ahead",
    "Distance",
    "Explanation",
    "Finding",
    "Input",
    "Outlook",
    "Rounding",
    "Rule",
    "Subject",
    "explain",
    "explain_refusal",
    "is_open",
    "outlook",
]

SAYS_ALL: tuple[type[Event], ...] = (ClockTicked, TokensFreed)
"""Events that say all by themselves, or whose reason is the event before them."""


def explain(step: Step) -> Explanation:
    """Why the event of a step happened, in the state before it."""
    event, before = step.event, step.before
    if isinstance(event, SystemEvent):
        return of_system(event, before)
    if isinstance(event, LoanEvent):
        return of_loan(event, before)
    if isinstance(event, VaultEvent):
        return of_vault(event, before)
    if isinstance(event, TokenEvent):
        return of_token(event, before)
    if isinstance(event, ServicingEvent):
        return of_servicing(event, before)
    if isinstance(event, RegisterEvent):
        return of_register(event, before)
    return of_incident(event)
