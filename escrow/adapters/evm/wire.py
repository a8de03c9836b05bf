"""JSON-RPC values: strict readers of parameters, and the hex forms of what is answered.

Quantities are hex without leading zeros (``0x0``); data is padded hex, two digits a byte
(Ethereum's ``execution-apis``). Every reader raises ``RpcError`` and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from eth_typing import Address

from escrow.adapters.evm.transaction import MAX_RAW, AccessList

INVALID_PARAMS: Final = -32602
SERVER_ERROR: Final = -32000
MAX_CHOICES: Final = 1_000
"""Addresses, or topics in one place, of a filter, as geth."""
_QUANTITY: Final = re.compile(r"0x(0|[1-9a-fA-F][0-9a-fA-F]{0,63})", re.ASCII)
_DATA: Final = re.compile(r"0x(?:[0-9a-fA-F]{2})*", re.ASCII)
_T = TypeVar("_T")

Json = dict[str, object]


class RpcError(Exception):
    """An error answer: a JSON-RPC code, a message, and revert data if there is any."""

    def __init__(self, code: int, message: str, *, data: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data


def invalid(message: str) -> RpcError:
    return RpcError(INVALID_PARAMS, message)


class Params:
    """Positional parameters, read one by one."""

    def __init__(self, values: object, *, most: int) -> None:
        if not isinstance(values, list | tuple):
            raise invalid("params must be an array")
        if len(values) > most:
            raise invalid(f"too many arguments, want at most {most}")
        self._values: Sequence[object] = values

    def get(self, at: int) -> object:
        """The parameter, or None if it was left out."""
        return self._values[at] if at < len(self._values) else None

    def read(self, at: int, reader: Callable[[object], _T]) -> _T:
        if at >= len(self._values):
            raise invalid(f"missing value for required argument {at}")
        return reader(self._values[at])


def to_int(value: object) -> int:
    """A quantity of at most 256 bits."""
    if not isinstance(value, str) or not _QUANTITY.fullmatch(value):
        raise invalid("want a hex quantity without leading zeros")
    return int(value, 16)


def to_number(value: object) -> int:
    """A quantity, or a JSON integer, as the ``evm_`` methods are commonly called."""
    if isinstance(value, int) and not isinstance(value, bool):
        if not 0 <= value < 2**64:
            raise invalid("number out of range")
        return value
    return to_int(value)


def to_bytes(value: object) -> bytes:
    if not isinstance(value, str) or len(value) > 2 * MAX_RAW + 2 or not _DATA.fullmatch(value):
        raise invalid("want hex data of two digits a byte")
    return bytes.fromhex(value[2:])


def to_address(value: object) -> bytes:
    found = to_bytes(value)
    if len(found) != 20:
        raise invalid("want an address of 20 bytes")
    return found


def to_word(value: object) -> bytes:
    found = to_bytes(value)
    if len(found) != 32:
        raise invalid("want 32 bytes")
    return found


def to_slot(value: object) -> int:
    """A storage slot: a quantity, or a padded word as some clients send."""
    if isinstance(value, str) and len(value) == 66:
        return int.from_bytes(to_word(value), "big")
    return to_int(value)


def to_addresses(value: object) -> tuple[bytes, ...] | None:
    """One address or several; None, as an empty array, for any."""
    if value is None or value == []:
        return None
    if isinstance(value, list | tuple):
        return tuple(to_address(one) for one in _choices(value))
    return (to_address(value),)


def to_percentile(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 100:
        raise invalid("want a percentile from 0 to 100")
    return float(value)


def given(value: object) -> object:
    """Anything, as long as it is there."""
    return value


def to_flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise invalid("want true or false")
    return value


def to_object(value: object) -> Json:
    if not isinstance(value, dict):
        raise invalid("want an object")
    return value


def to_list(value: object) -> list[object]:
    if not isinstance(value, list | tuple):
        raise invalid("want an array")
    return list(value)


def to_access_list(value: object) -> AccessList:
    entries = [to_object(entry) for entry in to_list(value)]
    return tuple(
        (
            Address(to_address(entry.get("address"))),
            tuple(to_slot(key) for key in to_list(entry.get("storageKeys"))),
        )
        for entry in entries
    )


@dataclass(frozen=True, slots=True)
class CallRequest:
    """What ``eth_call`` and ``eth_estimateGas`` ask; fees are read and not charged."""

    to: bytes | None
    """20 bytes; None for a creation."""
    sender: bytes | None
    value: int
    """Wei."""
    gas: int | None
    data: bytes
    access_list: AccessList
    chain_id: int | None


def to_call(value: object) -> CallRequest:
    asked = to_object(value)

    def field(name: str, reader: Callable[[object], _T]) -> _T | None:
        return None if asked.get(name) is None else reader(asked[name])

    old, new = field("data", to_bytes), field("input", to_bytes)
    if old is not None and new is not None and old != new:
        raise invalid("data and input differ")
    return CallRequest(
        to=field("to", to_address),
        sender=field("from", to_address),
        value=field("value", to_int) or 0,
        gas=field("gas", to_int),
        data=new if new is not None else old or b"",
        access_list=field("accessList", to_access_list) or (),
        chain_id=field("chainId", to_int),
    )


def to_topics(value: object) -> tuple[bytes | tuple[bytes, ...] | None, ...]:
    """Up to four: a topic, alternatives, or null (as an empty array) for anything."""
    topics = [] if value is None else to_list(value)
    if len(topics) > 4:
        raise invalid("at most four topics")
    return tuple(
        None
        if topic is None or topic == []
        else tuple(to_word(choice) for choice in _choices(topic))
        if isinstance(topic, list | tuple)
        else to_word(topic)
        for topic in topics
    )


def _choices(values: Sequence[object]) -> Sequence[object]:
    if len(values) > MAX_CHOICES:
        raise invalid(f"at most {MAX_CHOICES} addresses, or topics in one place")
    return values


def access_list_json(entries: Iterable[tuple[bytes, Iterable[int]]]) -> list[Json]:
    return [
        {
            "address": data(account),
            "storageKeys": [data(slot.to_bytes(32, "big")) for slot in slots],
        }
        for account, slots in entries
    ]


def quantity(number: int) -> str:
    return hex(number)


def data(blob: bytes) -> str:
    return "0x" + blob.hex()
