"""Registers that a world keeps, as one text and back.

A register is written as what it was told, and read by telling it again: what its own rules refuse,
no file can say of it. Nothing else is trusted, and there is one spelling.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final, get_args, get_type_hints

from escrow.adapters.store.codec import as_kind, plain
from escrow.core.errors import BadInput, EscrowError
from escrow.eligibility.dfa import DfaOperator
from escrow.eligibility.elr import Regime
from escrow.eligibility.miners import MinerRegister
from escrow.eligibility.told import MADE
from escrow.parse import is_shallow

Kept = MinerRegister | DfaOperator | Regime
"""What a world can keep."""
MAX_KEPT: Final = 64
"""Registers of one world."""
MAX_WORDS: Final = 2**27
"""Longest text of all of them, in characters."""

_KINDS: Final[dict[str, type[Kept]]] = {kind.__name__: kind for kind in get_args(Kept)}


def as_text(kept: Mapping[str, Kept]) -> str:
    """All registers by label. Raises BadInput: ``keep/size``; ``keep/words`` for one that was told
    something that cannot be read back, as a number in place of a truth."""
    try:
        rows = {
            label: [type(each).__name__, [[told.verb, told.named] for told in each.told]]
            for label, each in kept.items()
        }
        text = json.dumps(plain(rows))
        if len(text) > MAX_WORDS:
            raise BadInput("keep/size", characters=len(text), most=MAX_WORDS)
        again = read_kept(text)
    except (TypeError, ValueError, OverflowError) as error:
        raise BadInput("keep/words", reason=type(error).__name__) from error
    except BadInput as error:
        if error.code == "keep/size":
            raise
        raise BadInput("keep/words", **error.facts) from error
    for label, each in kept.items():
        if again[label].told != each.told:
            raise BadInput("keep/words", label=label)
    return text


def read_kept(text: str) -> dict[str, Kept]:
    """The registers of a text that ``as_text`` wrote. Raises BadInput("world/format") for any
    other."""
    label = ""
    try:
        if len(text) > MAX_WORDS or not is_shallow(text):
            raise ValueError("too large, or too deep")
        rows = json.loads(text)
        if len(rows) > MAX_KEPT:
            raise ValueError("too many")
        found: dict[str, Kept] = {}
        for label, (kind, told) in rows.items():
            found[label] = _read(_KINDS[kind], told)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise BadInput("world/format", reason="kept", label=label[:40]) from error
    except EscrowError as error:
        # What the register's own rules refuse.
        raise BadInput("world/format", reason=error.code, label=label[:40]) from error
    return found


def _read(kind: type[Kept], told: Any) -> Kept:
    (made, named), *rest = told
    if made != MADE:
        raise ValueError("not made")
    register = kind(**_arguments(kind.__init__, named))
    for verb, named in rest:
        method = getattr(kind, verb)
        if verb == MADE or not hasattr(method, "is_granted"):
            raise ValueError("no verb of a register")
        method(register, **_arguments(method, named))
    return register


@cache
def _hints(verb: Callable[..., object]) -> dict[str, Any]:
    return {name: kind for name, kind in get_type_hints(verb).items() if name != "return"}


def _arguments(verb: Callable[..., object], named: Any) -> dict[str, Any]:
    """Of the types that the verb names, each of them and no other."""
    hints = _hints(verb)
    if named.keys() != hints.keys():
        raise ValueError("other arguments")
    return {name: as_kind(value, hints[name]) for name, value in named.items()}
