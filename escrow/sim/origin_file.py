"""A record of a coin's origin as JSON: to be kept, handed on, and read by who trusts nobody."""

from __future__ import annotations

import json
from typing import Any, Final

from escrow.core.errors import BadInput
from escrow.core.units import MAX_MONEY, Sats
from escrow.parse import is_shallow
from escrow.ports import OutPoint
from escrow.sim.origin import MAX_ANCESTORS, CoinOrigin, Kind, Source

FORMAT: Final = "escrow-coin-origin"
VERSION: Final = 1
MAX_FILE: Final = 4_000_000
"""Bytes of the longest record."""
MAX_SCRIPTS: Final = 200
"""Scripts of the holder, and pools."""

_MAX_SCRIPT: Final = 520
_HASH: Final = 32
_KEYS: Final = {
    "format", "version", "self_mined", "coin", "sources", "coinbases", "ancestors", "own", "pools"
}  # fmt: skip


def write_origin(record: CoinOrigin) -> str:
    """The record's text; always the same for the same record."""
    words = {
        "format": FORMAT,
        "version": VERSION,
        "self_mined": record.self_mined,
        "coin": _source_words(record.coin),
        "sources": [_source_words(each) for each in record.sources],
        "coinbases": [_source_words(each) for each in record.coinbases],
        "ancestors": list(record.ancestors),
        "own": [each.hex() for each in record.own],
        "pools": {name: script.hex() for name, script in record.pools},
    }
    return json.dumps(words, indent=1, sort_keys=True) + "\n"


def read_origin(raw: str | bytes) -> CoinOrigin:
    """What a record says; nothing of it is believed yet (``verify_origin``).

    Raises BadInput("origin/format") for anything that ``write_origin`` does not write.
    """
    if len(raw) > MAX_FILE:
        raise BadInput("origin/format", size=len(raw), most=MAX_FILE)
    try:
        text = raw if isinstance(raw, str) else raw.decode()
        if not is_shallow(text):
            raise ValueError
        top = json.loads(text)
        if not isinstance(top, dict) or top.keys() != _KEYS:
            raise ValueError
        record = CoinOrigin(
            coin=_source(top["coin"]),
            sources=tuple(_source(each) for each in _bounded(top["sources"], MAX_ANCESTORS)),
            coinbases=tuple(_source(each) for each in _bounded(top["coinbases"], MAX_ANCESTORS)),
            ancestors=tuple(_hash(each) for each in _bounded(top["ancestors"], MAX_ANCESTORS)),
            own=tuple(_script(each) for each in _bounded(top["own"], MAX_SCRIPTS)),
            pools=tuple((str(name), _script(each)) for name, each in top["pools"].items()),
        )
        # One spelling only: keys twice, other formats and a flag that lies are found by it.
        if len(record.pools) > MAX_SCRIPTS or write_origin(record) != text:
            raise ValueError
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError, BadInput) as error:
        raise BadInput("origin/format", reason="not as it is written") from error
    return record


def _source_words(source: Source) -> dict[str, str | int]:
    return {
        "outpoint": str(source.outpoint),
        "sats": source.sats,
        "kind": source.kind.value,
        "pool": source.pool,
        "block": source.block,
        "height": source.height,
    }


def _source(words: Any) -> Source:
    sats, height = words["sats"], words["height"]
    if not (type(sats) is int and 0 <= sats <= MAX_MONEY and type(height) is int and height > 0):
        raise ValueError
    return Source(
        outpoint=OutPoint.parse(words["outpoint"]),
        sats=Sats(sats),
        kind=Kind(words["kind"]),
        pool=str(words["pool"])[:200],
        block=_hash(words["block"]),
        height=height,
    )


def _bounded(found: Any, most: int) -> list[Any]:
    if not isinstance(found, list) or len(found) > most:
        raise ValueError
    return found


def _hash(text: Any) -> str:
    if len(bytes.fromhex(text)) != _HASH:
        raise ValueError
    return str(text)


def _script(text: Any) -> bytes:
    script = bytes.fromhex(text)
    if len(script) > _MAX_SCRIPT:
        raise ValueError
    return script
