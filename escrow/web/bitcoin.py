"""A Bitcoin node's site: Esplora's paths, and blocks on demand."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Final
from urllib.parse import parse_qs

from escrow.adapters.bitcoin.node import Node
from escrow.core.errors import BadInput, EscrowError
from escrow.web.esplora import MAX_BODY, Esplora
from escrow.web.site import Asked, Reply, refusal

MOST_BLOCKS: Final = 100
"""Blocks that one request may have mined."""

Mine = Callable[[int], object]
"""Finds this many blocks."""


class BitcoinSite:
    """``mine`` adds ``POST /regtest/mine?blocks=N``, which is not Esplora's. No other site's page
    may ask."""

    most = MAX_BODY

    def __init__(self, node: Node, *, mine: Mine | None = None) -> None:
        self._node = node
        self._mine = mine
        self._esplora = Esplora(node)

    def handle(self, asked: Asked) -> Reply:
        if asked.path != "/regtest/mine" or self._mine is None:
            return self._esplora.handle(asked.method, asked.path, asked.body)
        if asked.method != "POST":
            raise BadInput("http/method", method=asked.method[:20], takes="POST")
        self._mine(_count(parse_qs(asked.query, keep_blank_values=True).get("blocks", ["1"])[-1]))
        found = json.dumps({"height": self._node.height, "tip": self._node.tip_hash}).encode()
        return Reply(200, "application/json", found)

    def refuse(self, error: EscrowError) -> Reply:
        return refusal(error)

    def shares_with(self, origin: str) -> bool:  # noqa: ARG002
        return False


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 4):
        raise BadInput("http/value", blocks=text[:20])
    if not 1 <= int(text) <= MOST_BLOCKS:
        raise BadInput("http/value", blocks=int(text), most=MOST_BLOCKS)
    return int(text)
