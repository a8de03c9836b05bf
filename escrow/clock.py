"""The world's one clock. Both chains' block times are set from it, never from the machine's."""

from __future__ import annotations

from escrow.core.errors import Rejected
from escrow.core.units import Seconds


class Clock:
    """Unix seconds that only grow."""

    def __init__(self, start: Seconds) -> None:
        self._now = start

    def __repr__(self) -> str:
        return f"<Clock {self._now}>"

    @property
    def now(self) -> Seconds:
        """The present."""
        return self._now

    def at_least(self, t: int) -> None:
        """Move on to ``t``, unless the clock is there already."""
        self._now = Seconds(max(self._now, t))

    def move_to(self, t: int) -> None:
        """Move on to ``t``. Raises ``Rejected("clock/backwards")``."""
        if t < self._now:
            raise Rejected("clock/backwards", now=self._now, at=t)
        self._now = Seconds(t)
