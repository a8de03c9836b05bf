"""The registrar records what it saw evidence of, and until when that counts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from escrow.core.eligibility import Fact, check_facts
from escrow.core.errors import Rejected
from escrow.core.regions.register import Attested
from escrow.core.roles import Role
from escrow.core.state import Escrow, Event
from escrow.core.units import MAX_TIME, Seconds

MAX_KNOWN: Final = 10_000
"""Most facts that a register keeps."""
_ADDRESS: Final = re.compile(r"0x[0-9a-f]{40}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Attest:
    """What is known of a party; of a fact that was known before, the last word counts."""

    by: Role
    at: Seconds
    party: str
    """EVM address."""
    facts: tuple[Fact, ...]
    until: Seconds
    """Last second of the evidence."""


def attest(escrow: Escrow, command: Attest) -> tuple[Event, ...]:
    """Raises ``attest/not-registrar``, ``attest/party``, ``attest/until``, ``attest/full``, and
    those of ``check_facts``."""
    # WHO
    if command.by is not Role.REGISTRAR:
        raise Rejected("attest/not-registrar", by=command.by.value)
    # WHEN
    party = command.party.lower()
    if not _ADDRESS.fullmatch(party):
        raise Rejected("attest/party", party=command.party[:60])
    if not command.at <= command.until <= MAX_TIME:
        raise Rejected("attest/until", until=command.until, now=command.at)
    check_facts(command.facts)
    # What is known already takes no more room: a full register can still take back what it said.
    told, known = {fact.name for fact in command.facts}, escrow.register.known
    before = sum(each.party == party and each.fact.name in told for each in known)
    if len(known) - before + len(command.facts) > MAX_KNOWN:
        raise Rejected("attest/full", known=len(known), most=MAX_KNOWN)
    # THEN
    return (Attested(command.at, party, command.facts, command.until),)
