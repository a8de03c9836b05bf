"""Artifacts and the ABI: what our contracts can be asked, and how words go in and out.

Users need no compiler: ``scripts/build-contracts`` writes the artifacts, and they are shipped.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any

from eth_abi.abi import decode as abi_decode
from eth_abi.abi import encode as abi_encode
from eth_abi.exceptions import DecodingError, EncodingError
from eth_hash.auto import keccak

from escrow.core.errors import BadInput


@dataclass(frozen=True, slots=True)
class Function:
    """A function of a contract's ABI."""

    name: str
    selector: bytes
    """First 4 bytes of the hash of its signature."""
    inputs: tuple[str, ...]
    """Canonical types, tuples written out."""
    outputs: tuple[str, ...]
    view: bool


@dataclass(frozen=True, slots=True)
class EventType:
    """An event of a contract's ABI."""

    name: str
    topic: bytes
    """Hash of its signature: the log's first topic."""
    indexed: tuple[tuple[str, str], ...]
    """``(name, type)`` of the members in topics. Ours are all words, none is hashed."""
    plain: tuple[tuple[str, str], ...]
    """``(name, type)`` of the members in the data."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """A compiled contract as shipped."""

    name: str
    bytecode: bytes
    """Creation code, before the constructor's arguments."""
    constructor: tuple[str, ...]
    """Types of the constructor's arguments."""
    functions: Mapping[str, Function]
    events: Mapping[bytes, EventType]
    """By topic."""
    abi: tuple[Mapping[str, Any], ...]
    """The ABI as compilers write it, for tools of others."""


@cache
def artifact(name: str) -> Artifact:
    """The shipped artifact of a contract, read once. ``KeyError`` for a name that is not ours."""
    folder = files("escrow.adapters.evm") / "artifacts"
    if not name.isidentifier() or not (folder / f"{name}.json").is_file():
        raise KeyError(name)
    content = json.loads((folder / f"{name}.json").read_text())
    abi: list[dict[str, Any]] = content["abi"]
    functions = [_function(entry) for entry in abi if entry["type"] == "function"]
    events = [_event(entry) for entry in abi if entry["type"] == "event"]
    constructor = [entry for entry in abi if entry["type"] == "constructor"]
    return Artifact(
        name=name,
        bytecode=bytes.fromhex(content["bytecode"][2:]),
        constructor=_types(constructor[0]["inputs"]) if constructor else (),
        functions=MappingProxyType({function.name: function for function in functions}),
        events=MappingProxyType({event.topic: event for event in events}),
        abi=tuple(abi),
    )


def encode(types: Sequence[str], args: Sequence[object], *, name: str) -> bytes:
    """The arguments as the ABI lays them out. ``BadInput("evm/word")`` if they do not fit."""
    try:
        return abi_encode(types, args)
    except (EncodingError, TypeError, ValueError, OverflowError) as error:
        raise BadInput("evm/word", function=name, problem=type(error).__name__) from None


def decode(types: Sequence[str], data: bytes) -> tuple[Any, ...]:
    """The values in an answer or a log, addresses as bytes. ``BadInput("evm/word")`` if short."""
    if not types:
        return ()
    try:
        values = abi_decode(types, data)
    except DecodingError as error:
        raise BadInput("evm/word", problem=type(error).__name__) from None
    return tuple(
        tuple(_plain(kind.removesuffix("[]"), item) for item in value)
        if kind.endswith("[]")
        else _plain(kind, value)
        for kind, value in zip(types, values, strict=True)
    )


def _plain(kind: str, value: Any) -> Any:
    return bytes.fromhex(value[2:]) if kind == "address" else value


def _types(entries: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    return tuple(_type(entry) for entry in entries)


def _type(entry: Mapping[str, Any]) -> str:
    kind = str(entry["type"])
    if kind.startswith("tuple"):
        return f"({','.join(_types(entry['components']))}){kind[5:]}"
    return kind


def _function(entry: Mapping[str, Any]) -> Function:
    inputs = _types(entry["inputs"])
    return Function(
        name=entry["name"],
        selector=keccak(f"{entry['name']}({','.join(inputs)})".encode())[:4],
        inputs=inputs,
        outputs=_types(entry["outputs"]),
        view=entry["stateMutability"] in ("view", "pure"),
    )


def _event(entry: Mapping[str, Any]) -> EventType:
    members = [(member["name"], _type(member), member["indexed"]) for member in entry["inputs"]]
    signature = f"{entry['name']}({','.join(kind for _, kind, _ in members)})"
    return EventType(
        name=entry["name"],
        topic=keccak(signature.encode()),
        indexed=tuple((name, kind) for name, kind, indexed in members if indexed),
        plain=tuple((name, kind) for name, kind, indexed in members if not indexed),
    )
