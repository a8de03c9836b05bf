"""Whose signature a PSBT wants: which keys of a script count under the transaction's locks.

A vault names all its keys in every PSBT, since a finaliser needs them to read the script. But the
script of a recovery has no use for the quorum's signatures, nor the other way round, and nobody
should sign what was not asked for. So the script is read as a list of ways to satisfy it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Final

from btclib.alias import Octets
from btclib.exceptions import BTClibTypeError, BTClibValueError
from btclib.hashes import hash160
from btclib_wallet.bip32 import BIP32KeyOrigin
from btclib_wallet.descriptors import miniscript
from btclib_wallet.psbt import psbt as bip174

from escrow.adapters.bitcoin.policy import LOCKTIME_THRESHOLD, SEQUENCE_FINAL, relative_lock
from escrow.adapters.bitcoin.psbt_input import named_keys

MAX_SCRIPT: Final = 10_000
"""Longest script that is read, bytes (consensus, before taproot): nobody's vault is longer."""

_MAX_WAYS: Final = 64
_MAX_DEPTH: Final = 64
_ANY_OF: Final = ("or_b", "or_c", "or_d", "or_i")


class _TooManyError(Exception):
    """The script has more ways than are worth listing."""


@dataclass(frozen=True, slots=True)
class _Way:
    """One way to satisfy a script."""

    keys: frozenset[bytes] = frozenset()
    """Keys of which some sign."""
    after: frozenset[int] = frozenset()
    """Absolute locks that must have passed (CLTV)."""
    older: frozenset[int] = frozenset()
    """Relative locks that must have passed (CSV)."""

    def __add__(self, other: _Way) -> _Way:
        return _Way(self.keys | other.keys, self.after | other.after, self.older | other.older)


_NOTHING: Final = _Way()


def is_locked(inner: bip174.Psbt) -> bool:
    """Whether the transaction has to wait for a time or a height."""
    return bool(inner.lock_time) or any(
        relative_lock(SEQUENCE_FINAL if each.sequence is None else each.sequence) is not None
        for each in inner.inputs
    )


def asked_keys(inner: bip174.Psbt, number: int) -> dict[bytes, BIP32KeyOrigin]:
    """Keys whose signatures input ``number`` wants, with their origins.

    Where the transaction's locks open ways of the script that need them, only the keys of those;
    else the keys of the ways that need no lock. All that are named if the script is no
    miniscript, as a single key's, or is taproot: there a PSBT shows the one leaf it takes.
    """
    each = inner.inputs[number]
    named = named_keys(each)
    if not each.witness_script or len(each.witness_script) > MAX_SCRIPT:
        return named
    hashes: dict[Octets, Octets] = {hash160(key): key for key in named}
    try:
        node = miniscript.from_script(each.witness_script, miniscript.P2WSH, hashes)
        ways = _ways(node)
    except (BTClibValueError, BTClibTypeError, _TooManyError):
        return named
    sequence = SEQUENCE_FINAL if each.sequence is None else each.sequence
    opened = [way for way in ways if _is_open(way, locktime=inner.lock_time, sequence=sequence)]
    waited = [way for way in opened if way.after or way.older]
    wanted = {key for way in waited or opened for key in way.keys}
    return {key: origin for key, origin in named.items() if key in wanted}


def _is_open(way: _Way, *, locktime: int, sequence: int) -> bool:
    """As CLTV and CSV compare (BIP-65, BIP-112)."""
    relative = relative_lock(sequence)
    for time in way.after:
        same_kind = (time < LOCKTIME_THRESHOLD) == (locktime < LOCKTIME_THRESHOLD)
        if not same_kind or locktime < time or sequence == SEQUENCE_FINAL:
            return False
    for lock in way.older:
        wanted = relative_lock(lock)
        if wanted is None:
            continue
        if relative is None or relative[0] != wanted[0] or relative[1] < wanted[1]:
            return False
    return True


def _ways(node: miniscript.Miniscript, *, depth: int = 0) -> list[_Way]:
    if depth > _MAX_DEPTH:
        raise _TooManyError
    if node.fragment == "0":
        return []
    if node.fragment == "after":
        return [_Way(after=frozenset({node.threshold}))]
    if node.fragment == "older":
        return [_Way(older=frozenset({node.threshold}))]
    if node.keys:
        return [_Way(frozenset(key.sec(0, "regtest") for key in node.keys))]
    below = [_ways(each, depth=depth + 1) for each in node.subs]
    if node.fragment in _ANY_OF:
        ways = [way for each in below for way in each]
    elif node.fragment == "andor":
        ways = _all_of(below[:2]) + below[2]
    elif node.fragment == "thresh":
        ways = []
        for chosen in combinations(below, node.threshold):
            ways += _all_of(list(chosen))
            if len(ways) > _MAX_WAYS:
                break
    else:  # and_v, and_b, a wrapper, a hash, 1
        ways = _all_of(below)
    if len(ways) > _MAX_WAYS:
        raise _TooManyError
    return ways


def _all_of(parts: list[list[_Way]]) -> list[_Way]:
    ways = [_NOTHING]
    for part in parts:
        if len(ways) * len(part) > _MAX_WAYS:
            raise _TooManyError
        ways = [one + other for one in ways for other in part]
    return ways
