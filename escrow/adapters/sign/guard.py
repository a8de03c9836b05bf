"""What guards a token beyond what PKCS#11 promises: tries, lock-out, a limit, loss.

A real token counts wrong PINs itself and locks. SoftHSM2 does not: it takes any number of them.
So the count is kept here, in the audit log, and is written **before** a PIN is tried: a process
that is killed in between has used up the try. On a real token both counts hold, whichever is
the stricter. A log that is missing or was changed is a token that is locked.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Self

from escrow.adapters.sign.audit import AuditLog, Entry
from escrow.core.errors import BadInput, Refused
from escrow.core.units import DAY, Seconds


@dataclass(frozen=True, slots=True)
class Settings:
    """What the administrator fixes when the token is taken into use."""

    tries: int = 10
    """Wrong PINs in a row that lock the token; 1 to 100."""
    admin_tries: int = 10
    """Wrong administrator's PINs in a row after which nothing unlocks it; 1 to 100."""
    signatures: int = 100
    """Most signatures in one period."""
    period: Seconds = DAY
    """Length of a period, seconds of the world's clock; periods begin at its multiples."""

    def __post_init__(self) -> None:
        if not (
            0 < self.tries <= 100
            and 0 < self.admin_tries <= 100
            and 0 < self.signatures <= 10**9
            and 0 < self.period <= 10**9
        ):
            raise BadInput("input/amount", setting=str(asdict(self)))


@dataclass(frozen=True, slots=True)
class Counts:
    """Where the guard stands. Kept in every entry of the audit log."""

    max_tries: int
    """``Settings.tries``."""
    max_admin_tries: int
    """``Settings.admin_tries``."""
    max_signatures: int
    """``Settings.signatures``."""
    period: int
    """``Settings.period``."""
    tries: int
    """PINs that may still be wrong; at 0 the token is locked."""
    admin_tries: int
    """Administrator's PINs that may still be wrong; at 0 the token is locked for good."""
    current: int
    """Number of the latest period that was signed in."""
    signed: int
    """Signatures in it."""
    lost: int
    """1 once the token was reported lost."""

    @classmethod
    def fresh(cls, settings: Settings) -> Self:
        """A token that has just been taken into use."""
        limits = (settings.tries, settings.admin_tries, settings.signatures, settings.period)
        return cls(*limits, settings.tries, settings.admin_tries, 0, 0, 0)

    def at(self, at: int) -> Counts:
        """The same in the period of ``at``. A clock that goes back opens no new period."""
        if at // self.period <= self.current:
            return self
        return self.but(current=at // self.period, signed=0)

    def but(self, **changes: int) -> Counts:
        """The same with some counts changed."""
        return Counts(**{**asdict(self), **changes})


class Guard:
    """The audit log of one token, and the rules that it remembers for."""

    def __init__(self, path: Path, *, durable: bool) -> None:
        self._log = AuditLog(path, durable=durable)

    @property
    def log(self) -> AuditLog:
        """What was asked and answered."""
        return self._log

    @property
    def counts(self) -> Counts | None:
        """Where the guard stands; None if the log is missing, broken or not a token's."""
        if self._log.broken or not self._log.entries:
            return None
        kept = self._log.entries[-1].counts
        if kept.keys() != {each.name for each in fields(Counts)} or kept["period"] < 1:
            return None
        return Counts(**kept)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Nobody else asks this token meanwhile."""
        with self._log.exclusive():
            yield

    def enrol(self, settings: Settings, *, at: int) -> None:
        """Begin a log, or change the settings of one. One that is broken is kept aside."""
        self._log.set_aside()
        fresh = Counts.fresh(settings)
        if (now := self.counts) is not None:
            fresh = fresh.but(
                tries=min(now.tries, settings.tries),
                current=now.at(at).current,
                signed=now.at(at).signed,
            )
        self.note("enrol", "done", at=at, counts=fresh)

    def settled(self) -> Counts:
        """The counts. Raises Refused("hsm/locked") if there are none to believe."""
        counts = self.counts
        if counts is None:
            raise Refused("hsm/locked", reason="its audit log is missing or was changed")
        return counts

    def ready(self) -> Counts:
        """The counts of a token that may be asked.

        Raises Refused: "hsm/lost", "hsm/locked".
        """
        counts = self.settled()
        if counts.lost:
            raise Refused("hsm/lost")
        if not counts.tries:
            raise Refused("hsm/locked", admin_tries_left=counts.admin_tries)
        return counts

    def note(
        self,
        what: str,
        verdict: str,
        *,
        at: int,
        counts: Counts,
        digest: bytes = b"",
        txid: str = "",
        words: str = "",
    ) -> None:
        """Write one entry. Raises Refused("signer/audit")."""
        kept = asdict(counts)
        self._log.append(Entry(at, what, verdict, digest.hex(), txid, words, kept))
