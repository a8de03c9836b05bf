"""Another rule book counts for new offers; loans keep the one that they were offered under."""

from __future__ import annotations

from dataclasses import dataclass

from escrow.core.eligibility import Force, RuleBook, check_book
from escrow.core.errors import Rejected
from escrow.core.regions.register import ProfileSwitched
from escrow.core.roles import Role
from escrow.core.state import Escrow, Event
from escrow.core.units import Seconds


@dataclass(frozen=True, slots=True)
class SwitchProfile:
    """Take up a book, the first or another."""

    by: Role
    at: Seconds
    book: RuleBook
    what_if: bool = False
    """Take a book without force too, to see what it would do."""


def switch_profile(escrow: Escrow, command: SwitchProfile) -> tuple[Event, ...]:
    """Raises ``profile/not-registrar``, ``profile/unchanged``, ``eligibility/not-in-force``, and
    those of ``check_book``."""
    # WHO
    if command.by is not Role.REGISTRAR:
        raise Rejected("profile/not-registrar", by=command.by.value)
    # WHEN
    book = command.book
    check_book(book)
    if book == escrow.register.book:
        raise Rejected("profile/unchanged", profile=book.profile, version=book.version)
    if book.force is Force.NOT_IN_FORCE and not command.what_if:
        raise Rejected("eligibility/not-in-force", profile=book.profile)
    # THEN
    return (ProfileSwitched(command.at, book, command.what_if),)
