"""The borrower is told that the loan-to-value nears the call level, or no longer does (T13)."""

from __future__ import annotations

from dataclasses import dataclass

from escrow.core.errors import Rejected
from escrow.core.phases import fresh_price, on_evm
from escrow.core.regions.loan import Active
from escrow.core.regions.servicing import MarginNoticed, NoticeLifted
from escrow.core.roles import Role
from escrow.core.servicing import notices_earned
from escrow.core.state import Escrow, Event
from escrow.core.units import Seconds


@dataclass(frozen=True, slots=True)
class Notice:
    """A servicer's duty, open to anyone: it says what everyone can see."""

    by: Role
    at: Seconds


def notice(escrow: Escrow, command: Notice) -> tuple[Event, ...]:
    """Raises ``loan/unknown``, ``notice/not-active``, ``price/stale``, ``notice/unchanged``."""
    # WHO: anyone.
    # WHEN
    if not isinstance(on_evm(escrow.loan), Active):
        raise Rejected("notice/not-active")
    price = fresh_price(escrow.system, at=command.at)
    earned, given = notices_earned(escrow, price, at=command.at), escrow.servicing.noticed
    if earned == given:
        raise Rejected("notice/unchanged", noticed=given)
    # THEN
    told = MarginNoticed if earned > given else NoticeLifted
    return (told(command.at, earned, price.round),)
