"""A pre-signed set as its holder keeps it: JSON, read back strictly and checked against the terms.

The file is not trusted. Whoever reads it says which vault, coins and payees it expects; every
exit is derived anew from those, and what the file adds is the signatures.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, NoReturn

from escrow.adapters.bitcoin.presigned import MAX_COINS, PresignedSet, check
from escrow.adapters.bitcoin.psbt import Psbt
from escrow.adapters.bitcoin.types import OutPoint
from escrow.adapters.bitcoin.vault import Vault
from escrow.core.errors import BadInput, Refused
from escrow.parse import is_shallow

MAX_TEXT: Final = 4_000_000
"""Characters of the longest file that is read."""

_KIND: Final = "escrow-presigned-set-1"
_FIELDS: Final = {"vault", "feerate", "replaces", "coins", "transactions", "exits"}
_ID_DIGITS: Final = (0, 64)


def to_json(presigned: PresignedSet) -> str:
    """The set as ``from_json`` reads it. Holds no secret, but whoever loses it loses its exits.

    Raises BadInput("psbt/too-large") if it would not be read again.
    """
    text = json.dumps(
        {
            "kind": _KIND,
            "vault": presigned.vault.address,
            "feerate": presigned.feerate,
            "replaces": presigned.replaces,
            "coins": [str(each) for each in presigned.coins],
            "transactions": [raw.hex() for raw in presigned.prev_txs],
            "exits": {name: str(psbt) for name, psbt in presigned.exits.items()},
        },
        indent=1,
    )
    if len(text) > MAX_TEXT:
        raise BadInput("psbt/too-large", size=len(text))
    return text


def from_json(
    text: str, *, vault: Vault, coins: Sequence[OutPoint], payees: Mapping[str, bytes]
) -> PresignedSet:
    """Read a set for these coins of this vault, whose exits pay these scripts.

    Raises BadInput: "psbt/format", "psbt/too-large", "bitcoin/transaction"; Refused("psbt/stale")
    if it is for another vault or other coins; and what ``check`` raises: "psbt/altered" for an
    exit that pays anyone else, "psbt/incomplete", "psbt/bad-signature", ….
    """
    read = _parse(text)
    found = tuple(OutPoint.parse(each) for each in read.coins)
    if read.vault != vault.address or found != tuple(sorted(coins)):
        raise Refused("psbt/stale", reason="a set for another vault or other coins")
    try:
        prev_txs = tuple(bytes.fromhex(each) for each in read.transactions)
    except ValueError as error:
        raise BadInput("psbt/format", reason="a transaction is not hex") from error
    presigned = PresignedSet(
        vault,
        found,
        prev_txs,
        MappingProxyType(dict(payees)),
        read.feerate,
        MappingProxyType({name: Psbt.parse(each) for name, each in read.exits.items()}),
        read.replaces,
    )
    check(presigned)
    return presigned


@dataclass(frozen=True, slots=True)
class _File:
    """What stands in a file, its shape checked and nothing else."""

    vault: str
    """Address."""
    feerate: int
    """Sat/vB."""
    replaces: str
    """Id of the set before, or empty."""
    coins: list[str]
    """``txid:vout`` each."""
    transactions: list[str]
    """That created them, hex."""
    exits: dict[str, str]
    """Name → PSBT, base64."""


def _parse(text: str) -> _File:
    if len(text) > MAX_TEXT:
        raise BadInput("psbt/too-large", size=len(text))
    if not is_shallow(text):
        raise BadInput("psbt/format", reason="nested too deep")
    try:
        read = json.loads(text, object_pairs_hook=_without_twins, parse_constant=_no_number)
    except ValueError as error:
        raise BadInput("psbt/format", reason="not JSON") from error
    if not isinstance(read, dict) or read.pop("kind", None) != _KIND or read.keys() != _FIELDS:
        raise BadInput("psbt/format", reason="not a pre-signed set of this version")
    file = _File(**read)
    lists = (file.coins, file.transactions)
    if not (
        all(isinstance(each, str) for each in (file.vault, file.replaces))
        and type(file.feerate) is int
        and len(file.replaces) in _ID_DIGITS
        and all(isinstance(each, list) and len(each) <= MAX_COINS for each in lists)
        and isinstance(file.exits, dict)
        and all(isinstance(it, str) for it in [*lists[0], *lists[1], *file.exits.values()])
    ):
        raise BadInput("psbt/format", reason="a value of the wrong type or size")
    return file


def _without_twins(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name stands twice")  # else readers could differ about which counts
    return found


def _no_number(_word: str) -> NoReturn:
    raise ValueError("NaN and Infinity are not JSON")
