"""A profile: the rules of a place, and what it does not claim."""

from __future__ import annotations

from dataclasses import dataclass

from escrow.core.eligibility import JOINS, Op, Predicate, RuleBook, Status


@dataclass(frozen=True, slots=True)
class Profile:
    """A rule book with its words."""

    title: str
    """One line."""
    about: str
    """What it stands for, and what of it is not verified."""
    source: str
    """Where the whole of it is from."""
    extends: str
    """Profile whose rules come before its own; empty if none."""
    book: RuleBook
    """All its rules, those that it extends first."""

    @property
    def assumed(self) -> tuple[str, ...]:
        """Ids of rules that no source says."""
        return tuple(rule.id for rule in self.book.rules if rule.status is Status.ASSUMED)


_WORDS = {
    Op.IS: "is",
    Op.IS_NOT: "is not",
    Op.AT_LEAST: "at least",
    Op.AT_MOST: "at most",
    Op.ABOVE: "above",
    Op.BELOW: "below",
}


def in_words(needs: Predicate) -> str:
    """A predicate as people read it, e.g. ``mines is false or kwh_month at most 6,000``."""
    if needs.op not in JOINS:
        value = needs.value
        shown = str(value).lower() if isinstance(value, bool) else value
        plain = f"{shown:,}" if isinstance(shown, int) else shown
        return f"{needs.fact} {_WORDS[needs.op]} {plain}"
    glue = " and " if needs.op is Op.ALL else " or "
    parts = (
        f"({in_words(part)})" if len(part.parts) > 1 else in_words(part) for part in needs.parts
    )
    return glue.join(parts)
