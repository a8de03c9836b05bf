"""Profiles for people and for machines."""

from __future__ import annotations

from typing import Any, Final

from escrow.core.eligibility import Force, Rule, Status, in_force
from escrow.core.errors import Rejected
from escrow.core.units import MAX_TIME, Seconds
from escrow.eligibility.days import day_of
from escrow.eligibility.profile import Profile, in_words

_FORCE: Final = {
    Force.IN_FORCE: "",
    Force.PROPOSED: "PROPOSED: a draft, whether and when it comes is not known",
    Force.NOT_IN_FORCE: "WHAT IF: not in force",
}


def counting(profile: Profile, *, at: Seconds | None, what_if: bool) -> tuple[Rule, ...]:
    """The rules of a profile at ``at``; all of them without a moment. Raises
    ``Rejected("eligibility/not-in-force")`` for a profile without force, unless ``what_if``."""
    book = profile.book
    if book.force is Force.NOT_IN_FORCE and not what_if:
        raise Rejected("eligibility/not-in-force", profile=book.profile)
    return book.rules if at is None else in_force(book, at=at)


def row(profile: Profile) -> dict[str, Any]:
    """One line of the list of profiles."""
    return {
        "profile": profile.book.profile,
        "version": profile.book.version,
        "force": profile.book.force.value,
        "rules": len(profile.book.rules),
        "assumed": len(profile.assumed),
        "title": profile.title,
    }


def describe(
    profile: Profile, rules: tuple[Rule, ...], *, at: Seconds | None, what_if: bool
) -> dict[str, Any]:
    """All that a profile says, for a machine. Moments are unix seconds; ``null``: no bound."""
    return {
        **row(profile),
        "about": profile.about,
        "source": profile.source,
        "extends": profile.extends or None,
        "what_if": what_if,
        "at": at,
        "in_force": [
            {
                "id": rule.id,
                "gates": [gate.value for gate in rule.gates],
                "since": rule.since or None,
                "until": None if rule.until == MAX_TIME else rule.until,
                "status": rule.status.value,
                "source": rule.source,
                "reason": rule.reason,
                "needs": in_words(rule.needs),
            }
            for rule in rules
        ],
    }


def explain(
    profile: Profile, rules: tuple[Rule, ...], *, at: Seconds | None, what_if: bool
) -> list[str]:
    """The same as lines of text."""
    book = profile.book
    lines = [f"{book.profile} version {book.version}: {profile.title}", profile.about]
    lines += [f"source: {profile.source}"]
    if (flag := _FORCE[book.force]) or what_if:
        lines.append(flag or "WHAT IF")
    when = "" if at is None else f" in force on {day_of(at).isoformat()}"
    lines.append(f"{len(rules)} of {len(book.rules)} rules{when}")
    for rule in rules:
        mark = "ASSUMED" if rule.status is Status.ASSUMED else rule.status.value
        gates = ", ".join(gate.value for gate in rule.gates)
        lines += [
            "",
            f"{rule.id}  [{mark}]  {_dates(rule)}  at {gates}",
            f"    {rule.reason}",
            f"    needs   {in_words(rule.needs)}",
            f"    source  {rule.source}",
        ]
    return lines


def _dates(rule: Rule) -> str:
    since = day_of(rule.since).isoformat() if rule.since else "always"
    until = "" if rule.until == MAX_TIME else day_of(rule.until).isoformat()
    return f"{since} – {until}" if until else f"from {since}" if rule.since else since
