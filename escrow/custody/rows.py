"""What the reachability report says, line by line."""

from __future__ import annotations

from dataclasses import dataclass

from escrow.custody.ability import Loss
from escrow.custody.policy import Lock
from escrow.custody.windows import when


@dataclass(frozen=True, slots=True)
class Exit:
    """A path that honest parties can complete now."""

    path: str
    """Its name."""
    to: tuple[str, ...]
    """Who gets the coins."""
    signers: tuple[str, ...]
    """Roles that can and will sign at the exit."""
    needed: int
    """How many of them have to."""
    senders: tuple[str, ...]
    """Who can send it, if it was signed up front; else empty: the signers do."""


@dataclass(frozen=True, slots=True)
class Taking:
    """A path that somebody who is not entitled can complete alone."""

    path: str
    """Its name."""
    by: str
    """A party, or ``thief``."""
    to: str
    """Who gets the coins, if that was fixed up front; empty: whoever takes them."""


@dataclass(frozen=True, slots=True)
class Later:
    """An exit that is not open now and can be."""

    path: str
    """Its name."""
    to: tuple[str, ...]
    """Who gets the coins."""
    lock: Lock | None
    """The path's own lock."""
    state: str
    """The state of the loan in which it is open, of those that can follow the nearest."""
    window: str
    """The window in which it is open, the nearest."""


@dataclass(frozen=True, slots=True)
class Row:
    """One state of the loan, at one time, after one loss or none."""

    state: str
    """Name of the state."""
    window: str
    """Name of the window."""
    loss: Loss | None
    """What went wrong; ``None``: nothing."""
    entitled: tuple[str, ...]
    """Who may have the coins; empty: they stay."""
    exits: tuple[Exit, ...]
    """How those entitled can have them now."""
    taken: tuple[Taking, ...]
    """How they could be taken now."""
    later: tuple[Later, ...]
    """Exits that open with time, or as the loan goes on."""

    @property
    def stuck(self) -> bool:
        """Is somebody entitled who cannot have the coins now?"""
        return bool(self.entitled) and not self.exits

    @property
    def words(self) -> str:
        """All of this in a few sentences."""
        said = []
        if self.exits:
            ways = "; ".join(f"{_pays(e.path, e.to)} ({_who(e)})" for e in self.exits)
            said.append(f"Now: {ways}.")
        elif self.entitled:
            said.append(f"Stuck: {' and '.join(self.entitled)} cannot have the coins now.")
        else:
            said.append("The coins stay.")
        if self.later:
            ways = "; ".join(_then(each, now=self.state) for each in self.later)
            said.append(f"Later: {ways}.")
        paid = {party for each in self.exits for party in each.to}
        paid |= {party for each in self.later for party in each.to}
        if self.entitled and self.entitled[0] not in paid:
            said.append(f"No exit ever pays {self.entitled[0]}.")
        elif not paid:
            said.append("No exit ever opens.")
        for each in self.taken:
            means = f"send them to {each.to}" if each.to else "take them"
            said.append(f"{each.by.capitalize()} alone can {means} by {each.path}.")
        return " ".join(said)


@dataclass(frozen=True, slots=True)
class Collusion:
    """A path that colluders can complete."""

    path: str
    """Its name."""
    lock: Lock | None
    """When it opens; ``None``: at once."""
    to: str
    """Who gets the coins, if that was fixed up front; empty: the colluders."""


def _pays(path: str, to: tuple[str, ...]) -> str:
    return f"{path} pays {' and '.join(to)}"


def _then(each: Later, *, now: str) -> str:
    said = _pays(each.path, each.to)
    if each.state != now:
        said += f" once {each.state}"
    return said + (f", {when(each.lock)}" if each.lock else "")


def _who(each: Exit) -> str:
    signed = " and ".join(each.signers)
    if each.needed < len(each.signers):
        signed = f"{each.needed} of {', '.join(each.signers)}"
    sent = f"sent by {' or '.join(each.senders)}" if each.senders else ""
    return "; ".join(part for part in (signed if each.needed else "", sent) if part) or "anyone"
