"""Custody for people: a vault explained, what it costs, and walks through what can go wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Protocol

from escrow.adapters.bitcoin.vault import Vault
from escrow.core.units import DAY, Seconds
from escrow.custody.ability import Loss, LossKind, own_keys
from escrow.custody.policy import After, Lock, Older, Policy
from escrow.custody.reach import colluders, losses, pairs, report
from escrow.custody.rows import Row
from escrow.custody.windows import when, windows
from escrow.custody.words import as_dict, explain, row_as_dict
from escrow.sim.custody import Kind, Step, Walk, time_of
from escrow.sim.vault_check import Cost, Tried
from escrow.words import coins, moment

MARK: Final = "✓"
"""Tried on the chain."""


@dataclass(frozen=True, slots=True)
class Clock:
    """What is needed to say when a lock opens."""

    now: Seconds
    """The present on the world's clock."""
    offset: int
    """World's clock − block time."""
    rested_since: Seconds
    """Block time from which the oldest coin of the vault rests; of a vault without coins now."""


class Told(Protocol):
    """A step of any walk: of this one, or of that with hardware tokens."""

    @property
    def number(self) -> int: ...
    @property
    def title(self) -> str: ...
    @property
    def words(self) -> tuple[str, ...]: ...


# --- a vault explained ---


def explained(
    vault: Vault,
    *,
    clock: Clock,
    sizes: Mapping[str, int],
    tried: Sequence[Tried] | None = None,
    untried: str = "",
) -> dict[str, Any]:
    """Everything about a vault, for JSON. ``sizes`` are virtual bytes by path.

    ``tried`` are the report's claims and what the chain said; ``untried`` says why there are none.
    """
    policy = vault.policy
    found: dict[str, Any] = as_dict(policy)
    found["address"] = vault.address
    found["descriptor"] = vault.descriptor
    found["now"] = clock.now
    for path in found["paths"]:
        lock = policy.path(path["name"]).lock
        at = None if lock is None else _opens(vault, lock, clock=clock)
        path["opens"] = None if at is None else {"at": at, "in_days": -(-(at - clock.now) // DAY)}
        path["vsize"] = sizes[path["name"]]
    found["report"] = [row_as_dict(row) for row in report(policy)]
    found["pairs"] = [
        {
            "keys": list(pair),
            "take": [{"path": each.path, "to": each.to, "when": when(each.lock)} for each in taken],
        }
        for pair, taken in pairs(policy)
    ]
    found["check"] = {
        "tried": len(tried or ()),
        "agree": None if tried is None else all(each.agrees for each in tried),
        "untried": untried,
        "claims": [_tried(each) for each in tried or ()],
    }
    return found


def vault_lines(vault: Vault, found: Mapping[str, Any], *, clock: Clock) -> Iterator[str]:
    """What ``explained`` found in plain text, up to the table of the report."""
    yield from explain(vault.policy).splitlines()
    yield ""
    yield f"Address     {vault.address}"
    yield f"Descriptor  {vault.descriptor}"
    yield f"Now         {moment(clock.now)} UTC, the world's clock"
    yield ""
    yield "Spending a coin:"
    width = max(len(path["name"]) for path in found["paths"])
    for path in found["paths"]:
        lock = vault.policy.path(path["name"]).lock
        opens = "at once" if lock is None else f"{when(lock)}: {_countdown(path['opens'])}"
        yield f"  {path['name']:<{width}}  {path['vsize']:>4} vB  {opens}"
    if any(path["opens"] for path in found["paths"]):
        yield "  Bitcoin reads the median of eleven blocks, so a lock opens about an hour later."


def report_rows(policy: Policy, tried: Sequence[Tried] | None) -> Iterator[tuple[str, ...]]:
    """The reachability report: when; after which losses; in which states; exits; takings; later.

    Losses and states of which all the same is said share a row. What the chain took is marked.
    """
    marks = _marks(policy, tried or ())
    rows = report(policy)
    for window in windows(policy):
        same: dict[tuple[tuple[str, ...], ...], list[str]] = {}
        for loss in losses(policy):
            cells: dict[tuple[str, ...], list[str]] = {}
            for row in rows:
                if (row.window, row.loss) == (window.name, loss):
                    cells.setdefault(_cells(policy, row, marks=marks), []).append(row.state)
            said = tuple((" ".join(states), *cell) for cell, states in cells.items())
            same.setdefault(said, []).append(_loss(loss))
        for told, after in same.items():
            for cell in told:
                yield (time_of(window), ", ".join(after), *cell)


def pair_lines(policy: Policy) -> Iterator[str]:
    """What each two can do together."""
    for pair, _ in pairs(policy):
        found = colluders(policy, pair)
        ways = ", ".join(
            f"{each.path} {when(each.lock)}" + (f", which pays {each.to}" if each.to else "")
            for each in found
        )
        yield f"  {pair[0]} and {pair[1]}: {ways or 'nothing'}"


def check_line(tried: Sequence[Tried] | None, untried: str) -> str:
    """How the chain was asked, and what it said."""
    if tried is None:
        return f"Not tried on the chain: {untried}."
    wrong = [each for each in tried if not each.agrees]
    if not wrong:
        return (
            f"Tried on the chain: {len(tried)} claims; chain and report agree. {MARK}: it took it."
        )
    first = wrong[0]
    return (
        f"CHAIN AND REPORT DIFFER in {len(wrong)} of {len(tried)} claims, first: "
        f"{first.claim.path} in {first.claim.window.name} by "
        f"{' and '.join(sorted(first.claim.keys)) or 'nobody'}: report "
        f"{'can' if first.claim.can else 'cannot'}, chain "
        f"{'takes it' if first.attempt.accepted else first.attempt.reason}"
    )


# --- costs ---


def costs_as_dict(limit: Cost, found: Sequence[Cost]) -> dict[str, Any]:
    """The limit and the policies, virtual bytes, for JSON."""
    return {
        "limit": {"open": limit.open, "close": limit.close, "close_two": limit.close_two},
        "policies": [asdict(each) for each in found],
    }


def cost_lines(limit: Cost, found: Sequence[Cost]) -> Iterator[str]:
    """The same as a table."""
    width = max(len(each.policy) for each in (limit, *found))
    yield f"{'virtual bytes':<{width}}  open  close  close to two  paths"
    for each in (limit, *found):
        paths = ", ".join(f"{name} {size}" for name, size in each.paths.items())
        numbers = f"{each.open:>4}  {each.close:>5}  {each.close_two:>12}"
        yield f"{each.policy:<{width}}  {numbers}  {paths}"
    yield ""
    yield "Measured now, on transactions that a chain of this process took into blocks."
    yield "open: one taproot input, the vault's output, change to taproot. close and paths: one"
    yield "coin to one P2WPKH output; close to two: to two of them. The first line is the limit."


# --- walks ---


def walk_as_dict(walk: Walk) -> dict[str, Any]:
    """A walk through custody, for JSON."""
    return {
        "scene": "custody",
        "policy": walk.policy.name,
        "seed": walk.seed,
        "steps": [
            {
                "n": step.number,
                "title": step.title,
                "window": step.window,
                "time": step.time,
                "kind": step.kind.value,
                "words": list(step.words),
                "used": step.used,
                "lost": step.lost,
                "tried": [_tried(each) for each in step.tried],
            }
            for step in walk.steps
        ],
        "agree": walk.agrees,
    }


def walk_text(walk: Walk) -> str:
    """The whole walk as text, the same for the same seed."""
    rows = [f"custody: {walk.policy.name}, seed {walk.seed}", ""]
    time = ""
    for step in walk.steps:
        if step.time != time:
            time = step.time
            rows += ([""] if step.number > 1 else []) + [f"--- {time} ---", ""]
        rows += step_lines(step)
    rows += ["", *_table(walk), ""]
    count = sum(len(step.tried) for step in walk.steps)
    verdict = "chain and report agree" if walk.agrees else "CHAIN AND REPORT DIFFER"
    rows.append(f"{count} transactions were tried: {verdict}.")
    return "\n".join(rows) + "\n"


def step_lines(step: Told) -> Iterator[str]:
    """A step of any walk."""
    yield f"{step.number:>3}  {step.title}"
    for line in step.words:
        yield f"     {line}".rstrip()


def _table(walk: Walk) -> Iterator[str]:
    told = [(step.title, step.time, _outcome(step)) for step in walk.steps[1:]]
    widths = [max(len(row[column]) for row in told) for column in (0, 1)]
    for row in told:
        yield f"{row[0]:<{widths[0]}}  {row[1]:<{widths[1]}}  {row[2]}"


def _outcome(step: Step) -> str:
    if step.kind is Kind.THEFT:
        return f"the owner loses {coins(step.lost)}" if step.lost else "the owner loses nothing"
    return f"the owner has its coins, by {step.used}" if step.used else "no way out is open yet"


# --- in other words ---


def _tried(each: Tried) -> dict[str, Any]:
    claim, attempt = each.claim, each.attempt
    return {
        "path": claim.path,
        "window": claim.window.name,
        "keys": sorted(claim.keys),
        "sends": claim.sends,
        "can": claim.can,
        "accepted": attempt.accepted,
        "signers": list(attempt.signers),
        "txid": attempt.txid,
        "vsize": attempt.vsize,
        "code": attempt.code,
        "reason": attempt.reason,
    }


def _opens(vault: Vault, lock: Lock, *, clock: Clock) -> Seconds:
    """On the world's clock."""
    match lock:
        case After(moment=which):
            return Seconds(vault.moments[which] + clock.offset)
        case Older(seconds=seconds):
            return Seconds(clock.rested_since + seconds + clock.offset)


def _countdown(opens: Mapping[str, int]) -> str:
    days = opens["in_days"]
    left = "open" if days <= 0 else f"in {days} {'day' if days == 1 else 'days'}"
    return f"{moment(opens['at'])} UTC, {left}"


_Mark = tuple[str, str, frozenset[str]]


def _marks(policy: Policy, tried: Sequence[Tried]) -> frozenset[_Mark]:
    """Claims that the chain was asked about and took: path, window, roles that can sign."""
    return frozenset(
        (each.path, each.window, each_claim.keys & set(policy.path(each.path).roles))
        for each_claim, each in ((one.claim, one.attempt) for one in tried)
        if each.accepted and each_claim.can and each_claim.sends
    )


def _cells(policy: Policy, row: Row, *, marks: frozenset[_Mark]) -> tuple[str, str, str]:
    def mark(path: str, keys: frozenset[str]) -> str:
        asked = keys & set(policy.path(path).roles)
        return f" {MARK}" if (path, row.window, asked) in marks else ""

    exits = [
        f"{each.path} pays {' and '.join(each.to)}{mark(each.path, frozenset(each.signers))}"
        for each in row.exits
    ]
    taken = [
        f"{each.by} alone by {each.path}"
        + (f" to {each.to}" if each.to else "")
        + mark(each.path, _taker(policy, row, each.by))
        for each in row.taken
    ]
    later = [
        f"{each.path} pays {' and '.join(each.to)}"
        + ("" if each.state == row.state else f" once {each.state}")
        + (f", {when(each.lock)}" if each.lock else "")
        for each in row.later
    ]
    now = "; ".join(exits) or ("STUCK" if row.stuck else "the coins stay")
    return now, "; ".join(taken) or "by nobody", "; ".join(later) or "nothing more"


def _taker(policy: Policy, row: Row, by: str) -> frozenset[str]:
    if by == "thief" and row.loss is not None and row.loss.kind is LossKind.KEY_STOLEN:
        return frozenset({row.loss.who})
    return own_keys(policy, by, loss=row.loss)


def _loss(loss: Loss | None) -> str:
    return "nothing" if loss is None else f"{loss.kind.value} {loss.who}"
