"""One deal: four regions side by side, how it is serviced, under which rules, and the fold.

Inside a region illegal states cannot be written; between regions there are laws
(``laws.py``). The system region and the register are shared by all deals of a world: the engine
keeps one of each and hands them to all.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from escrow.core.eligibility import RuleBook
from escrow.core.regions.loan import (
    Draft,
    Loan,
    LoanEvent,
    OfferMade,
    Refinanced,
    evolve_loan,
)
from escrow.core.regions.register import OfferedUnder, Register, RegisterEvent, evolve_register
from escrow.core.regions.servicing import Servicing, ServicingEvent, evolve_servicing
from escrow.core.regions.system import System, SystemEvent, evolve_system
from escrow.core.regions.token import Token, TokenEvent, evolve_token
from escrow.core.regions.vault import Vault, VaultEvent, evolve_vault
from escrow.core.terms import Terms
from escrow.core.units import Seconds


@dataclass(frozen=True, slots=True)
class Incident:
    """A fact that the rules would have refused. Facts are never refused: they are noted."""

    at: Seconds
    verb: str
    """Command that brought the fact."""
    code: str
    """Why the rules would have said no."""
    facts: tuple[tuple[str, int | str], ...] = ()
    """The numbers behind it."""


Event = (
    SystemEvent | LoanEvent | VaultEvent | TokenEvent | ServicingEvent | RegisterEvent | Incident
)


@dataclass(frozen=True, slots=True)
class Escrow:
    """Everything that is known of one deal."""

    system: System
    loan: Loan = Draft()
    vault: Vault = Vault()
    token: Token = Token()
    incidents: tuple[Incident, ...] = ()
    agreed: Terms | None = None
    """The first terms: what the vault was built on. Terms that refinance the loan change nothing
    of that."""
    servicing: Servicing = Servicing()
    """How the loan stands by what was agreed beside the terms."""
    register: Register = Register()
    """Who takes part, and the rules of today."""
    book: RuleBook | None = None
    """The rules that the loan was offered under; none: everything is allowed."""


def evolve(escrow: Escrow, event: Event) -> Escrow:
    """Fold one event into the region that it belongs to."""
    if isinstance(event, OfferMade):
        return replace(
            escrow,
            loan=evolve_loan(escrow.loan, event),
            agreed=event.terms,
            servicing=Servicing(event.plan),
        )
    if isinstance(event, Refinanced):
        # The plan was of the old terms, and ends with them.
        return replace(escrow, loan=evolve_loan(escrow.loan, event), servicing=Servicing())
    if isinstance(event, OfferedUnder):
        return replace(escrow, book=event.book)
    if isinstance(event, RegisterEvent):
        return replace(escrow, register=evolve_register(escrow.register, event))
    if isinstance(event, LoanEvent):
        return replace(escrow, loan=evolve_loan(escrow.loan, event))
    if isinstance(event, VaultEvent):
        return replace(escrow, vault=evolve_vault(escrow.vault, event))
    if isinstance(event, TokenEvent):
        return replace(escrow, token=evolve_token(escrow.token, event))
    if isinstance(event, ServicingEvent):
        return replace(escrow, servicing=evolve_servicing(escrow.servicing, event))
    if isinstance(event, SystemEvent):
        return replace(escrow, system=evolve_system(escrow.system, event))
    return replace(escrow, incidents=(*escrow.incidents, event))


def fold(escrow: Escrow, events: tuple[Event, ...]) -> Escrow:
    """Fold many events, in order."""
    for event in events:
        escrow = evolve(escrow, event)
    return escrow


def joined(escrow: Escrow, shared: Escrow) -> Escrow:
    """The deal with what all loans share as ``shared`` has it."""
    if escrow.system is shared.system and escrow.register is shared.register:
        return escrow
    return replace(escrow, system=shared.system, register=shared.register)
