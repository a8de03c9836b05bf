"""Which exits remain and which coins could be taken, for each state × each time × each loss.

An exhaustive search over the policy, with nothing sampled. What it takes for granted is told by
``State``: who is entitled when, and that the honest help those and nobody else. A thief or a
party that defects knows no entitlement. Whether a loan gets into a state is the rules' affair;
what the keys can do then is shown here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Mapping
from itertools import combinations

from escrow.core.errors import BadInput
from escrow.custody.ability import (
    Loss,
    LossKind,
    able_keys,
    able_senders,
    can_complete,
    locks,
    losses,
    own_keys,
    parties,
)
from escrow.custody.policy import Policy
from escrow.custody.rows import Collusion, Exit, Later, Row, Taking
from escrow.custody.shape import check_shape, shown
from escrow.custody.windows import (
    STATES,
    State,
    Window,
    following,
    standing,
    windows,
)

__all__ = [
    "Collusion",
    "Exit",
    "Later",
    "Loss",
    "LossKind",
    "Row",
    "Taking",
    "can_complete",
    "colluders",
    "exits",
    "losses",
    "pairs",
    "parties",
    "report",
    "takings",
    "windows",
]

_Spot = tuple[str, str]
"""Name of a state, name of a window."""


def report(policy: Policy) -> tuple[Row, ...]:
    """Every state × window × loss. Raises BadInput("policy/value") for a policy without sense."""
    check_shape(policy)
    times = windows(policy)
    follows = {
        (state.name, window.name): (
            *((each.name, window.name) for each in following(state, window)),
            *((state.name, each.name) for each in times if each.open > window.open),
        )
        for state in STATES
        for window in times
    }
    rows = []
    for loss in losses(policy):
        now = {
            (state.name, window.name): exits(policy, state, window=window, loss=loss)
            for window in times
            for state in STATES
        }
        rows += [
            Row(
                state=state.name,
                window=window.name,
                loss=loss,
                entitled=standing(state, window).entitled,
                exits=now[state.name, window.name],
                taken=takings(policy, state, window=window, loss=loss),
                later=_later(policy, (state.name, window.name), now=now, follows=follows),
            )
            for window in times
            for state in STATES
        ]
    return tuple(rows)


def exits(
    policy: Policy, state: State, *, window: Window, loss: Loss | None = None
) -> tuple[Exit, ...]:
    """Paths that honest parties can complete now for those entitled."""
    state = standing(state, window)
    if not state.entitled:
        return ()
    keys = able_keys(policy, loss=loss)
    senders = able_senders(policy, loss=loss)
    if state.alone:
        keys = frozenset(key for key in keys if policy.role(key).holder in state.entitled)
        senders &= set(state.entitled)
    return tuple(
        Exit(
            path=path.name,
            to=(path.to,) if path.to else state.entitled,
            signers=tuple(role for role in path.roles if role in keys),
            needed=path.threshold,
            senders=tuple(party for party in path.held_by if party in senders),
        )
        for path in policy.paths
        if path.to in ("", state.entitled[0])
        and can_complete(policy, path, keys=keys, open_locks=window.open, senders=senders)
    )


def takings(
    policy: Policy, state: State, *, window: Window, loss: Loss | None = None
) -> tuple[Taking, ...]:
    """Paths that a thief, or one party that defects, can complete alone now.

    Not counted: who takes what is its own, and who sends coins to whom they belong.
    """
    entitled = standing(state, window).entitled
    found = []
    for who, keys, senders in _takers(policy, loss):
        for path in policy.paths:
            # In a liquidation the coins are owed to two, so neither may take them all; only what
            # both signed up front may pay one.
            rightful = entitled[:1] == (path.to,) if path.to else entitled == (who,)
            if not rightful and can_complete(
                policy, path, keys=keys, open_locks=window.open, senders=senders
            ):
                found.append(Taking(path.name, who, path.to))
    return tuple(found)


def colluders(policy: Policy, roles: Collection[str]) -> tuple[Collusion, ...]:
    """Every path that the holders of these keys can complete together, sooner or later.

    A role brings its key, even one that should have been destroyed, and what its holder keeps of
    the transactions signed up front. A party without a key may be named too: it brings the latter.
    Raises BadInput("policy/value") for a name that is neither.
    """
    check_shape(policy)
    holders = {role.name: role.holder for role in policy.roles}
    for name in roles:
        if name not in holders and name not in parties(policy):
            raise BadInput("policy/value", at="colluders", name=shown(name), reason="no such role")
    keys = {name for name in roles if name in holders}
    senders = {holders.get(name, name) for name in roles}
    return tuple(
        Collusion(path.name, path.lock, path.to)
        for path in policy.paths
        if can_complete(policy, path, keys=keys, open_locks=locks(policy), senders=senders)
    )


def pairs(policy: Policy) -> tuple[tuple[tuple[str, str], tuple[Collusion, ...]], ...]:
    """What each two can take together: two keys, or a key and a party that has none."""
    keyless = set(parties(policy)) - {role.holder for role in policy.roles}
    names = [role.name for role in policy.roles]
    names += [party for party in parties(policy) if party in keyless]
    return tuple((pair, colluders(policy, pair)) for pair in combinations(names, 2))


def _takers(
    policy: Policy, loss: Loss | None
) -> Iterator[tuple[str, frozenset[str], frozenset[str]]]:
    """Everyone who might take coins alone: name, keys, and whose transactions they can send."""
    if loss is not None and loss.kind is LossKind.KEY_STOLEN:
        # What was signed up front lies beside the key: suppose that it was stolen with it.
        holder = policy.role(loss.who).holder
        yield "thief", frozenset({loss.who}), frozenset({holder})
    for party in parties(policy):
        if loss is None or loss.kind is not LossKind.PARTY_SILENT or loss.who != party:
            yield party, own_keys(policy, party, loss=loss), frozenset({party})


def _later(
    policy: Policy,
    here: _Spot,
    *,
    now: Mapping[_Spot, tuple[Exit, ...]],
    follows: Mapping[_Spot, tuple[_Spot, ...]],
) -> tuple[Later, ...]:
    """Exits of what can follow, nearest first: a search in breadth over states and windows."""
    found: dict[tuple[str, tuple[str, ...]], Later] = {}
    known = {(each.path, each.to) for each in now[here]}
    seen = {here}
    waiting = deque([here])
    while waiting:
        for spot in follows[waiting.popleft()]:
            if spot in seen:
                continue
            seen.add(spot)
            waiting.append(spot)
            for each in now[spot]:
                if (each.path, each.to) not in known:
                    lock = policy.path(each.path).lock
                    found.setdefault((each.path, each.to), Later(each.path, each.to, lock, *spot))
    return tuple(found.values())
