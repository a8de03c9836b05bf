"""A statement of reserves as a JSON file: written one way only, and read strictly.

Whoever reads one trusts nobody: sizes and counts are bounded, a key too many or twice is refused,
and every value has one spelling.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import fields
from typing import Any, Final, Literal, TypeVar

from escrow.actors.statement import (
    FORMAT,
    NETWORK,
    VERSION,
    BitcoinState,
    EvmState,
    StatedCoin,
    StatedGeneration,
    StatedRekey,
    StatedVault,
    Statement,
    as_dict,
)
from escrow.adapters.bitcoin.bip322 import MAX_DESCRIPTOR, MAX_PROOF
from escrow.adapters.bitcoin.inclusion import HEADER_SIZE, MAX_BRANCH, Branch
from escrow.adapters.evm.proof import MAX_HEADER, MAX_NODE, MAX_NODES
from escrow.core.errors import BadInput
from escrow.core.regions.token import Burn
from escrow.core.terms import Liquidation, Terms
from escrow.core.units import MAX_MONEY, MAX_TIME, Sats, Seconds
from escrow.parse import is_shallow
from escrow.ports import OutPoint

MAX_FILE: Final = 8_000_000
"""Bytes of the longest file."""
MAX_HEADERS: Final = 45_000
"""Blocks of the longest chain that fits."""
MAX_VAULTS: Final = 1_000
MAX_REKEYS: Final = 1_000
"""Of one vault."""
MAX_COINS: Final = 5_000
"""At one address."""
MAX_BURNS: Final = 5_000
"""Unpaid, of one vault."""
MAX_TX: Final = 100_000
"""Bytes of a transaction without witnesses: more is not relayed."""

_DIGITS: Final = re.compile(r"0|[1-9][0-9]{0,77}", re.ASCII)
_HEX: Final = re.compile(r"(?:[0-9a-f]{2})*", re.ASCII)
_ADDRESS: Final = re.compile(r"0x[0-9a-fA-F]{40}", re.ASCII)
_SIGNATURE: Final = 65
_WORDS: Final = {"borrower": 40, "lender": 40, "arbiter": 40, "vault": 64, "origin": 64}
"""Terms written as hex, and how many digits each has."""

T = TypeVar("T")


def write_statement(statement: Statement) -> str:
    """The file's text. Raises BadInput("reserves/format") for more than a reader would take."""
    text = json.dumps(as_dict(statement), indent=1, sort_keys=True) + "\n"
    if len(text) > MAX_FILE:
        raise BadInput("reserves/format", size=len(text), most=MAX_FILE)
    return text


def read_statement(raw: str | bytes) -> Statement:
    """What a file states; nothing of it is believed yet.

    Raises BadInput: "reserves/format" with the place of what cannot be read; "reserves/altered" if
    the message it names is not that of the rest.
    """
    if len(raw) > MAX_FILE:
        raise BadInput("reserves/format", size=len(raw), most=MAX_FILE)
    try:
        text = raw if isinstance(raw, str) else raw.decode()
        if not is_shallow(text):
            raise ValueError
        found = json.loads(text, object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:
        raise BadInput("reserves/format", reason="not JSON") from error
    top = _Fields(found, "statement")
    for name, expected in (("format", FORMAT), ("version", VERSION), ("network", NETWORK)):
        if top.take(name) != expected or type(top.taken) is not type(expected):
            raise BadInput("reserves/format", at=name, expected=expected)
    statement = Statement(
        Seconds(top.integer("at", most=MAX_TIME)),
        _bitcoin(top.fields("bitcoin")),
        _evm(top.fields("evm")),
        top.many("vaults", _vault, most=MAX_VAULTS),
    )
    message = top.text("message", most=200)
    top.end()
    if message != statement.message:
        raise BadInput("reserves/altered", message=message, expected=statement.message)
    return statement


def _bitcoin(it: _Fields) -> BitcoinState:
    height = it.integer("height", most=MAX_HEADERS)
    tip = it.hex("hash", size=32)
    headers = it.many("headers", _raw(HEADER_SIZE), most=MAX_HEADERS)
    it.end()
    if height != len(headers):
        raise BadInput("reserves/altered", height=height, headers=len(headers))
    return BitcoinState(tip.hex(), headers)


def _evm(it: _Fields) -> EvmState:
    state = EvmState(
        chain_id=it.integer("chain_id", most=2**53),
        token=it.hex("token", size=20, mark="0x"),
        book=it.hex("book", size=20, mark="0x"),
        number=it.integer("number", most=2**53),
        hash=it.hex("hash", size=32, mark="0x"),
        header=it.hex("header", most=MAX_HEADER, mark="0x"),
        supply=Sats(it.integer("supply", most=MAX_MONEY)),
        account=it.many("account", _node, most=MAX_NODES),
        path=it.many("path", _node, most=MAX_NODES),
    )
    it.end()
    return state


def _vault(found: object, place: str) -> StatedVault:
    it = _Fields(found, place)
    vault = StatedVault(
        terms=_terms(it.fields("terms")),
        rekeys=it.many("rekeys", _rekey, most=MAX_REKEYS),
        generations=it.many("generations", _generation, most=MAX_REKEYS + 1),
        outstanding=Sats(it.integer("outstanding", most=MAX_MONEY)),
        path=it.many("path", _node, most=MAX_NODES),
        burns=it.many("burns", _burn, most=MAX_BURNS),
    )
    it.end()
    return vault


def _rekey(found: object, place: str) -> StatedRekey:
    it = _Fields(found, place)
    rekey = StatedRekey(
        it.hex("program", size=32, mark="0x"),
        borrower=it.hex("borrower", size=_SIGNATURE, mark="0x"),
        lender=it.hex("lender", size=_SIGNATURE, mark="0x"),
    )
    it.end()
    return rekey


def _generation(found: object, place: str) -> StatedGeneration:
    it = _Fields(found, place)
    generation = StatedGeneration(
        number=it.integer("number", most=MAX_REKEYS),
        descriptor=it.text("descriptor", most=MAX_DESCRIPTOR),
        address=it.text("address", most=100),
        coins=it.many("coins", _coin, most=MAX_COINS),
        proof=it.text("proof", most=MAX_PROOF),
    )
    it.end()
    return generation


def _terms(it: _Fields) -> Terms:
    values: dict[str, Any] = {}
    for field in fields(Terms):
        text = it.text(field.name, most=80)
        if field.name not in _WORDS:
            if not _DIGITS.fullmatch(text):
                raise BadInput("reserves/format", at=f"{it.place}.{field.name}")
            values[field.name] = int(text)
            continue
        size = _WORDS[field.name]
        if not re.fullmatch(rf"0x[0-9a-fA-F]{{{size}}}", text, re.ASCII):
            raise BadInput("reserves/format", at=f"{it.place}.{field.name}")
        values[field.name] = text
    it.end()
    if values["liquidation"] not in tuple(Liquidation):
        raise BadInput("reserves/format", at=f"{it.place}.liquidation")
    values["liquidation"] = Liquidation(values["liquidation"])
    return Terms(**values)


def _coin(found: object, place: str) -> StatedCoin:
    it = _Fields(found, place)
    try:
        outpoint = str(OutPoint.parse(it.text("outpoint", most=80)))
    except BadInput as error:
        raise BadInput("reserves/format", at=f"{place}.outpoint") from error
    if outpoint != it.taken:
        raise BadInput("reserves/format", at=f"{place}.outpoint")
    coin = StatedCoin(
        outpoint,
        sats=Sats(it.integer("sats", most=MAX_MONEY)),
        height=it.integer("height", most=MAX_HEADERS),
        tx=it.hex("tx", most=MAX_TX),
        branch=Branch(
            it.integer("position", most=2**32 - 1),
            tuple(each.hex() for each in it.many("branch", _raw(32), most=MAX_BRANCH)),
        ),
    )
    it.end()
    return coin


def _burn(found: object, place: str) -> Burn:
    it = _Fields(found, place)
    burn = Burn(
        it.integer("id", most=2**53),
        Sats(it.integer("sats", most=MAX_MONEY)),
        it.hex("script", most=42).hex(),
    )
    it.end()
    return burn


def _node(found: object, place: str) -> bytes:
    return _bytes(found, place, range(1, MAX_NODE + 1), "0x")


def _raw(size: int) -> Callable[[object, str], bytes]:
    return lambda found, place: _bytes(found, place, range(size, size + 1), "")


def _bytes(found: object, place: str, sizes: range, mark: str) -> bytes:
    if isinstance(found, str) and found.startswith(mark):
        digits = found[len(mark) :]
        if len(digits) // 2 in sizes and _HEX.fullmatch(digits):
            return bytes.fromhex(digits)
    raise BadInput("reserves/format", at=place)


class _Fields:
    """A JSON object, taken apart key by key, until nothing may be left."""

    def __init__(self, found: object, place: str) -> None:
        if not isinstance(found, dict):
            raise BadInput("reserves/format", at=place)
        self._left = dict(found)
        self.place = place
        self.taken: object = None
        """What was taken last."""

    def take(self, name: str) -> object:
        if name not in self._left:
            raise BadInput("reserves/format", at=self.place, missing=name)
        self.taken = self._left.pop(name)
        return self.taken

    def end(self) -> None:
        if self._left:
            raise BadInput("reserves/format", at=self.place, unknown=min(self._left)[:40])

    def integer(self, name: str, *, most: int) -> int:
        value = self.take(name)
        if type(value) is not int or not 0 <= value <= most:
            raise BadInput("reserves/format", at=f"{self.place}.{name}")
        return value

    def text(self, name: str, *, most: int) -> str:
        value = self.take(name)
        if not isinstance(value, str) or len(value) > most or not value.isascii():
            raise BadInput("reserves/format", at=f"{self.place}.{name}")
        return value

    def hex(
        self, name: str, *, size: int = 0, most: int = 0, mark: Literal["", "0x"] = ""
    ) -> bytes:
        sizes = range(size, size + 1) if size else range(most + 1)
        return _bytes(self.take(name), f"{self.place}.{name}", sizes, mark)

    def fields(self, name: str) -> _Fields:
        return _Fields(self.take(name), name)

    def many(self, name: str, read: Callable[[object, str], T], *, most: int) -> tuple[T, ...]:
        found = self.take(name)
        if not isinstance(found, list) or len(found) > most:
            raise BadInput("reserves/format", at=f"{self.place}.{name}")
        return tuple(read(each, f"{name}[{n}]") for n, each in enumerate(found))


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key twice")
    return found
