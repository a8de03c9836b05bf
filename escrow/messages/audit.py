"""The audit log: one line an event, each with the hash of the line before it.

A line says what happened, when, by whom, to which loan, from which state to which, and the amounts
in sats and cents. It holds no key, seed or nonce. Numbers that could outgrow 53 bits are text.

The hash of a line is SHA-256 over its canonical JSON (keys sorted, no spaces, ASCII) without
``hash``; the first line follows 64 zeros. The chain finds careless or partial changes; whoever can
rewrite the whole file can also recompute it, so the last hash and the number of lines are told
elsewhere as well: in the manifest of an export.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum, IntEnum
from hashlib import sha256
from typing import Any, Final

from escrow.core.laws import Step
from escrow.core.phases import debt_now, loan_phase, system_phase, token_phase, vault_phase
from escrow.core.regions import loan as ln
from escrow.core.regions import register as rg
from escrow.core.regions import system as sy
from escrow.core.regions import token as tk
from escrow.core.regions import vault as vt
from escrow.core.roles import Role
from escrow.core.state import Event, Incident
from escrow.core.terms import Terms
from escrow.messages.story import SHARED, Told
from escrow.messages.words import clipped

GENESIS: Final = "0" * 64
"""What the first line follows."""
MAX_FACT: Final = 140
"""Longest fact; what is longer is cut."""
MAX_FACTS: Final = 16
"""Facts, or amounts of one kind, in one line."""

_WATCHED: Final = (
    vt.CoinSeen,
    vt.CoinMined,
    vt.CoinLocked,
    vt.CoinReorged,
    vt.CoinLost,
    vt.CoinPlaced,
    vt.PayoutFinal,
    vt.PayoutReorged,
    vt.PayoutStuck,
    vt.PayoutMined,
    vt.PayoutVoid,
    sy.OracleStale,
    Incident,
)
"""What the engine's eyes told."""


def audit_lines(told: Iterable[Told], *, actors: Mapping[str, str]) -> Iterator[str]:
    """The lines of the audit log, without their ends. The clock's ticks are left out: the place in
    the log (``log``) shows where.

    ``actors``: hash of an EVM transaction → who sent it.
    """
    seq, previous, actor = 0, GENESIS, ""
    for each in told:
        event = each.step.event
        if isinstance(event, sy.ClockTicked):
            continue
        actor = _actor(event, actors=actors, last=actor)
        cents, sats, facts = _amounts(each)
        row: dict[str, object] = {
            "seq": seq,
            "log": each.log,
            "at": event.at,
            "actor": actor,
            "loan": each.loan,
            "event": type(event).__name__,
            "before": _phases(each, after=False),
            "after": _phases(each, after=True),
            "cents": cents,
            "sats": sats,
            "facts": facts,
            "previous": previous,
        }
        previous = hash_of(row)
        yield canonical({**row, "hash": previous})
        seq += 1


def canonical(row: Mapping[str, object]) -> str:
    """The one spelling of a line."""
    return json.dumps(row, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def hash_of(row: Mapping[str, object]) -> str:
    """SHA-256 of a line without its own hash, in hex."""
    bare = {name: value for name, value in row.items() if name != "hash"}
    return sha256(canonical(bare).encode()).hexdigest()


def _actor(event: Event, *, actors: Mapping[str, str], last: str) -> str:
    """Whose act it was. On the EVM the sender's, on Bitcoin the role that the event implies."""
    sender = actors.get(getattr(event, "tx", ""))
    if sender is not None:
        return clipped(sender, MAX_FACT)
    match event:
        case ln.OfferMade() | rg.OfferedUnder():
            return Role.LENDER.value
        case ln.OfferAccepted() | vt.CoinsRecovered():
            return Role.BORROWER.value
        case ln.OfferEnded(expired=False) | vt.Rekeyed():
            return "parties"
        case ln.OfferEnded():
            return Role.WATCHER.value
        case ln.Repayment(by=by) | ln.Liquidated(by=by):
            return by
        case tk.TokensFreed():
            # Always in one decision with what freed them.
            return last
        case vt.PayoutSent() | vt.PayoutReplaced():
            return "quorum"
        case sy.PriceMarked() | sy.OraclesRotated():
            return "oracles"
        case sy.Paused() | sy.Resumed():
            return Role.GUARDIAN.value
        case rg.Attested() | rg.ProfileSwitched():
            return Role.REGISTRAR.value
        case ln.LoanEnded() | rg.TransferCleared():
            return "engine"
        case _ if isinstance(event, _WATCHED):
            return Role.WATCHER.value
        case _:
            return "evm"


def _phases(told: Told, *, after: bool) -> dict[str, str]:
    escrow = told.step.after if after else told.step.before
    system = {"system": system_phase(escrow.system)}
    if told.loan == SHARED:
        return system
    return {
        "loan": loan_phase(escrow),
        "vault": vault_phase(escrow),
        "token": token_phase(escrow),
        **system,
    }


def _amounts(told: Told) -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
    """Cents, sats and other facts of an event, by the names of its fields; of a loan also what is
    owed and pledged afterwards."""
    cents: dict[str, str] = {}
    sats: dict[str, str] = {}
    facts: dict[str, str] = {}
    _collect(told.step.event, cents, sats, facts)
    if told.loan != SHARED:
        after = _standing(told.step)
        cents["owed_after"], sats["held_after"] = after
    return _few(cents), _few(sats), _few(facts)


def _few(found: dict[str, str]) -> dict[str, str]:
    """As many as a line may carry. Events have fewer; incidents may note any number."""
    return dict(sorted(found.items())[:MAX_FACTS])


def _standing(step: Step) -> tuple[str, str]:
    owed = debt_now(step.after, at=step.event.at)
    return str(int(owed)), str(int(step.after.token.held))


def _collect(
    found: Any, cents: dict[str, str], sats: dict[str, str], facts: dict[str, str]
) -> None:
    """Sort the fields of a record by their unit, which is in their type."""
    for field in fields(found):
        name, value = field.name, getattr(found, field.name)
        if name == "at" and isinstance(found, Event):
            continue
        match value:
            case Terms(principal=principal):
                cents["principal"] = str(int(principal))
            case None:
                continue
            case IntEnum():
                facts[name] = value.name
            case Enum():
                facts[name] = str(value.value)
            case bool() | str():
                facts[name] = _plain(value)
            case int():
                where = {"Cents": cents, "Sats": sats}.get(str(field.type), facts)
                where[name] = str(int(value))
            case tuple() if isinstance(found, rg.Attested):
                facts.update({each.name: _plain(each.value) for each in value})
            case tuple() if name == "facts":
                facts.update({key[:40]: _plain(each) for key, each in value})
            case tuple() if name == "paid":
                sats[name] = str(sum(each for _, each in value))
            case tuple():
                facts[name] = str(len(value))
            case _ if is_dataclass(value):
                _collect(value, cents, sats, facts)
            case _:
                raise TypeError(f"{name}: {type(value).__name__}")


def _plain(value: object) -> str:
    """Printable ASCII of bounded length."""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return clipped("".join(c if " " <= c <= "~" else "?" for c in text), MAX_FACT)
