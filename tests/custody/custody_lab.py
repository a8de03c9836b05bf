"""Policies to try, and a second opinion: the same questions by enumerating sets of signatures."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from itertools import combinations

from hypothesis import strategies as st

from escrow.core.errors import BadInput
from escrow.core.units import Seconds
from escrow.custody.policy import (
    After,
    Form,
    KeyKind,
    Lock,
    Moment,
    Older,
    Path,
    Policy,
    Role,
    ScriptKind,
)
from escrow.custody.shape import check_shape

HOLDERS = ("borrower", "lender", "custodian", "bank")
SPANS = (512, 7_776_256, 65_535 * 512)


def policy_of(*paths: Path, roles: Collection[Role] = (), **changes: object) -> Policy:
    """A policy with these paths; without ``roles``, a software key of its own for each name."""
    named = dict.fromkeys(name for path in paths for name in path.roles)
    policy = Policy(
        name="made-up",
        title="Made up",
        about="For a test.",
        source="Nobody",
        script=ScriptKind.WSH,
        roles=tuple(roles) or tuple(Role(name, name, KeyKind.SOFTWARE) for name in named),
        paths=paths,
    )
    return replace(policy, **changes)  # type: ignore[arg-type]


def path_of(name: str, threshold: int, roles: str, **changes: object) -> Path:
    """A path; ``roles`` are words."""
    path = Path(name, threshold, tuple(roles.split()))
    return replace(path, **changes)  # type: ignore[arg-type]


def role_of(name: str, holder: str = "", key: KeyKind = KeyKind.SOFTWARE) -> Role:
    return Role(name, holder or name, key)


def refusal_of(act: object, *given: object) -> BadInput:
    """The refusal that the call ends in."""
    try:
        act(*given)  # type: ignore[operator]
    except BadInput as refused:
        return refused
    raise AssertionError("not refused")


# A second opinion: time is two numbers, and a spend is a set of signatures that fits exactly.


def is_open(lock: Lock | None, *, rested: int, passed: int) -> bool:
    """``rested``: seconds since confirmation; ``passed``: 1 after default, 2 after recovery."""
    if isinstance(lock, Older):
        return rested >= lock.seconds
    if isinstance(lock, After):
        return passed >= {Moment.DEFAULT: 1, Moment.RECOVERY: 2}[lock.moment]
    return True


def ways(
    policy: Policy, keys: Collection[str], senders: Collection[str], *, rested: int, passed: int
) -> set[str]:
    """Names of the paths that some set of signatures by these keys completes."""
    found = set()
    for size in range(len(keys) + 1):
        for signatures in combinations(sorted(keys), size):
            for path in policy.paths:
                fits = size == path.threshold and all(s in path.roles for s in signatures)
                sent = not path.held_by or any(party in path.held_by for party in senders)
                if fits and sent and is_open(path.lock, rested=rested, passed=passed):
                    found.add(path.name)
    return found


# Policies of any sensible shape, good or bad


def _locks() -> st.SearchStrategy[Lock | None]:
    return st.one_of(
        st.none(),
        st.sampled_from([After(moment) for moment in Moment]),
        st.sampled_from([Older(Seconds(span)) for span in SPANS]),
    )


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    """Any policy of good shape: its audit may find anything."""
    script = draw(st.sampled_from(ScriptKind))
    count = draw(st.integers(1, 5))
    kinds = st.sampled_from([KeyKind.SOFTWARE, KeyKind.SOFTWARE, KeyKind.TOKEN, KeyKind.EPHEMERAL])
    roles = tuple(
        Role(f"key-{number}", draw(st.sampled_from(HOLDERS)), draw(kinds))
        for number in range(count)
    )
    names = [role.name for role in roles]
    subsets = st.lists(st.sampled_from(names), unique=True)
    paths = []
    for number in range(draw(st.integers(1, 3))):
        chosen = draw(subsets)
        path = Path(
            f"path-{number}",
            draw(st.integers(0, len(chosen))),
            tuple(chosen),
            draw(_locks()) if number else None,
        )
        if script is ScriptKind.TR and len(chosen) > 1 and draw(st.booleans()):
            path = replace(path, threshold=len(chosen), form=Form.MUSIG)
        paths.append(path)
    for number in range(draw(st.integers(0, 3))):
        beneath = paths[0]
        form = draw(st.sampled_from([Form.PRESIGNED, Form.ATTESTED]))
        others = [name for name in names if name not in beneath.roles]
        of = list(beneath.roles) if form is Form.PRESIGNED else others
        chosen = draw(st.lists(st.sampled_from(of), unique=True)) if of else []
        most = min(len(chosen), beneath.threshold if form is Form.PRESIGNED else 5)
        paths.append(
            Path(
                f"exit-{number}",
                draw(st.integers(0, most)),
                tuple(chosen),
                draw(_locks()),
                form,
                beneath.name,
                draw(st.sampled_from(["borrower", "lender"])),
                tuple(draw(st.lists(st.sampled_from(HOLDERS), min_size=1, unique=True))),
            )
        )
    line = st.text(st.characters(codec="utf-8"), max_size=20).map(
        lambda text: " ".join("".join(c if c.isprintable() else "?" for c in text).split()) or "x"
    )
    policy = Policy(
        name="any-policy",
        title=draw(line),
        about=draw(line),
        source=draw(line),
        script=script,
        roles=roles,
        paths=tuple(paths),
        assumed=tuple(draw(st.lists(line, max_size=2, unique=True))),
        accepts=tuple(draw(st.lists(line, max_size=2, unique=True))),
    )
    check_shape(policy)
    return policy
