"""A policy in plain English, and as plain data for JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from escrow.custody.ability import losses
from escrow.custody.audit import audit
from escrow.custody.policy import After, Form, KeyKind, Lock, Older, Path, Policy, Role, ScriptKind
from escrow.custody.rows import Row
from escrow.custody.windows import when

_KEYS = {
    KeyKind.SOFTWARE: "in software",
    KeyKind.TOKEN: "in a hardware token",
    KeyKind.EPHEMERAL: "destroyed once the exits are signed",
}
_SCRIPTS = {ScriptKind.WSH: "P2WSH", ScriptKind.TR: "P2TR"}


def explain(policy: Policy) -> str:
    """Who holds keys, every way out, what one alone can do, what is assumed and accepted.

    Raises BadInput("policy/value") for a policy that makes no sense.
    """
    return "\n".join(_lines(policy)) + "\n"


def sentence(policy: Policy, path: Path) -> str:
    """One path in one sentence."""
    opens = _capital(when(path.lock))
    if path.form is Form.PRESIGNED:
        need = f"needs {_signers(path)} at the exit" if path.threshold else "needs nobody else"
        return f"{opens}, a transaction signed up front pays {path.to}: it {need}, {_sent(path)}."
    if path.threshold == 0:
        return f"{opens}, anyone can take the coins: nobody has to sign."
    if path.form is Form.ATTESTED:
        return (
            f"{opens}, a transaction signed up front pays {path.to} once {_signers(path)} "
            f"attests {path.name}, {_sent(path)}."
        )
    if any(policy.role(name).key is KeyKind.EPHEMERAL for name in path.roles):
        return (
            f"{_signers(path)} sign the exits before the coins come in; afterwards "
            "nobody can, as a key is destroyed."
        )
    verb = "signs alone" if len(path.roles) == path.threshold == 1 else "sign"
    together = " together" if len(path.roles) == path.threshold > 1 else ""
    as_one = ", as one key (MuSig2)" if path.form is Form.MUSIG else ""
    return f"{opens}, {_signers(path)} {verb}{together}{as_one}, for any destination."


def as_dict(policy: Policy) -> dict[str, object]:
    """The policy and its audit for JSON. Raises BadInput("policy/value")."""
    return {
        "name": policy.name,
        "title": policy.title,
        "about": policy.about,
        "source": policy.source,
        "script": policy.script.value,
        "roles": [
            {"name": role.name, "holder": role.holder, "key": role.key.value}
            for role in policy.roles
        ],
        "paths": [
            {
                "name": path.name,
                "threshold": path.threshold,
                "roles": list(path.roles),
                "lock": _lock(path.lock),
                "form": path.form.value,
                "via": path.via,
                "to": path.to,
                "held_by": list(path.held_by),
                "words": sentence(policy, path),
            }
            for path in policy.paths
        ],
        "assumed": list(policy.assumed),
        "findings": [
            {
                "name": found.name,
                "code": found.code,
                "path": found.path,
                "words": found.words,
                "accepted": found.name in policy.accepts,
            }
            for found in audit(policy)
        ],
    }


def row_as_dict(row: Row) -> dict[str, object]:
    """A row of the reachability report for JSON."""
    return {
        "state": row.state,
        "window": row.window,
        "loss": {"kind": row.loss.kind.value, "who": row.loss.who} if row.loss else None,
        "entitled": list(row.entitled),
        "stuck": row.stuck,
        "exits": [
            {
                "path": each.path,
                "to": list(each.to),
                "signers": list(each.signers),
                "needed": each.needed,
                "senders": list(each.senders),
            }
            for each in row.exits
        ],
        "taken": [{"path": each.path, "by": each.by, "to": each.to} for each in row.taken],
        "later": [
            {
                "path": each.path,
                "to": list(each.to),
                "lock": _lock(each.lock),
                "state": each.state,
                "window": each.window,
            }
            for each in row.later
        ],
        "words": row.words,
    }


def _lines(policy: Policy) -> Iterator[str]:
    findings = audit(policy)
    yield f"{policy.name}: {policy.title}"
    yield policy.about
    yield f"Source: {policy.source}"
    yield ""
    yield f"Keys ({_SCRIPTS[policy.script]}):"
    for role in policy.roles:
        yield f"  {role.name}, held by {role.holder}, {_kept(policy, role)}"
    yield ""
    yield "Ways out:"
    for path in policy.paths:
        yield f"  {path.name}: {sentence(policy, path)}"
    yield ""
    alone = [_capital(f.words) for f in findings if f.code == "policy/sole-control"]
    yield "Alone, before the recovery time:"
    yield from _items(alone, none="Nobody can move the coins.")
    stranded = [_capital(f.words) for f in findings if f.code == "policy/strands"]
    yield f"After one loss ({len(losses(policy)) - 1} tried):"
    yield from _items(stranded, none="A way out always remains, if only with time.")
    yield "Assumed, as it is not disclosed:" if policy.assumed else "Assumed: nothing."
    yield from _items(policy.assumed)
    accepted = [found.name for found in findings if found.name in policy.accepts]
    yield "Accepted knowingly:" if accepted else "Accepted knowingly: nothing."
    yield from _items(accepted)
    refused = [f"{f.name}: {f.words}" for f in findings if f.name not in policy.accepts]
    if refused:
        yield "Refused, as nobody accepted it:"
        yield from _items(refused)


def _items(items: Sequence[str], *, none: str = "") -> Iterator[str]:
    for item in items or ((none,) if none else ()):
        yield f"  {item}"


def _capital(words: str) -> str:
    return words[0].upper() + words[1:]


def _kept(policy: Policy, role: Role) -> str:
    signs = {name for path in policy.paths if not path.to for name in path.roles}
    return _KEYS[role.key] if role.name in signs else "an oracle's, not in the script"


def _sent(path: Path) -> str:
    return f"and {' or '.join(path.held_by)} sends it"


def _signers(path: Path) -> str:
    if path.threshold == len(path.roles):
        *most, last = path.roles
        return f"{', '.join(most)} and {last}" if most else last
    count = f"any {path.threshold}" if path.threshold > 1 else "any one"
    *most, last = path.roles
    return f"{count} of {', '.join(most)} and {last}"


def _lock(lock: Lock | None) -> dict[str, object] | None:
    match lock:
        case After(moment=moment):
            return {"after": moment.value}
        case Older(seconds=seconds):
            return {"older": seconds}
        case None:
            return None
