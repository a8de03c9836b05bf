"""Signed transactions: raw bytes in, every field and the recovered sender out.

Decoding is our own so that the sender is recovered once and natively; py-evm would recover
and verify it several times a transaction. Only what a node's pool takes is read: types 0
(EIP-155), 1 (EIP-2930), 2 (EIP-1559) and 4 (EIP-7702). Blob transactions (EIP-4844) need a
beacon chain and are refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import coincurve
import rlp  # type: ignore[import-untyped]
from eth.vm.forks.prague.transactions import Authorization
from eth_hash.auto import keccak
from eth_typing import Address

from escrow.core.errors import Refused

MAX_RAW: Final = 131_072
"""Bytes of the largest transaction taken, as geth's pool (``txMaxSize``, 128 KiB)."""
MAX_INITCODE: Final = 49_152
"""Bytes of the largest init code (EIP-3860)."""
SECP256K1_N: Final = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141
"""Order of the curve; ``s`` must be in its lower half (EIP-2)."""
TX_GAS: Final = 21_000
CREATE_GAS: Final = 32_000
TOKEN_GAS: Final = 4
"""Gas of one calldata token; a zero byte is one token, any other byte four (EIP-2028, 7623)."""
FLOOR_TOKEN_GAS: Final = 10
"""Least gas paid for one calldata token (EIP-7623)."""
ACCESS_ADDRESS_GAS: Final = 2_400
ACCESS_SLOT_GAS: Final = 1_900
INITCODE_WORD_GAS: Final = 2
AUTHORIZATION_GAS: Final = 25_000

AccessList = tuple[tuple[Address, tuple[int, ...]], ...]


@dataclass(frozen=True, slots=True)
class Transaction:
    """One transaction, with the attribute names that py-evm's executor reads."""

    type_id: int
    """0 legacy, 1 access list, 2 dynamic fee, 4 set code."""
    sender: Address
    """20 bytes, recovered from the signature."""
    nonce: int
    max_priority_fee_per_gas: int
    """Wei a gas; for types 0 and 1 the gas price."""
    max_fee_per_gas: int
    """Wei a gas; for types 0 and 1 the gas price."""
    gas: int
    """Gas limit."""
    to: Address
    """20 bytes, or none at all for a creation."""
    value: int
    """Wei."""
    data: bytes
    access_list: AccessList = ()
    authorization_list: tuple[Authorization, ...] = ()
    """EIP-7702 delegations; the executor skips those that do not hold."""
    v: int = 0
    """As on the wire: the parity for typed transactions, with the chain id for legacy ones."""
    r: int = 0
    s: int = 0
    hash: bytes = b""
    """keccak of the raw bytes; empty for a call that nobody signed."""
    raw: bytes = b""

    @property
    def calldata_tokens(self) -> int:
        zeros = self.data.count(0)
        return zeros + 4 * (len(self.data) - zeros)

    @property
    def intrinsic_gas(self) -> int:
        """What is charged before the first opcode, but for init code, which py-evm charges."""
        slots = sum(len(slots) for _, slots in self.access_list)
        return (
            TX_GAS
            + (0 if self.to else CREATE_GAS)
            + TOKEN_GAS * self.calldata_tokens
            + ACCESS_ADDRESS_GAS * len(self.access_list)
            + ACCESS_SLOT_GAS * slots
            + AUTHORIZATION_GAS * len(self.authorization_list)
        )

    @property
    def least_gas(self) -> int:
        """The lowest gas limit a node takes (EIP-3860 words, EIP-7623 floor)."""
        words = 0 if self.to else (len(self.data) + 31) // 32
        floor = TX_GAS + FLOOR_TOKEN_GAS * self.calldata_tokens
        return max(self.intrinsic_gas + INITCODE_WORD_GAS * words, floor)


def decode(raw: bytes, *, chain_id: int) -> Transaction:
    """Read a signed transaction for this chain and recover its sender.

    Raises ``Refused("evm/transaction")`` for anything a node's pool would not take:
    garbage, another chain's id, none at all, a malleable or empty signature.
    """
    if not isinstance(raw, bytes) or not 0 < len(raw) <= MAX_RAW:
        raise Refused("evm/transaction", reason="empty or too large")
    raw = bytes(raw)  # eth_account hands out a subclass that would stay in the history
    try:
        return _legacy(raw, chain_id) if raw[0] >= 0xC0 else _typed(raw, chain_id)
    except Refused:
        raise
    # The codec raises many kinds for hostile bytes, RecursionError among them.
    except Exception as error:
        raise Refused("evm/transaction", reason="malformed") from error


def unsigned(
    *,
    chain_id: int,
    sender: Address,
    nonce: int,
    fee: int,
    gas: int,
    to: Address,
    value: int,
    data: bytes,
) -> Transaction:
    """A type-2 transaction that nobody signed, at ``fee`` wei a gas and no tip.

    On the wire it has its sender where a signature has ``r``, and no ``s``: its hash is its own,
    and whoever reads it refuses it.
    """
    r = int.from_bytes(sender, "big")
    numbers = (_bytes(chain_id), _bytes(nonce), b"", _bytes(fee), _bytes(gas))
    fields = [*numbers, to, _bytes(value), data, [], b"", _bytes(r), b""]
    raw = b"\2" + rlp.encode(fields)
    return Transaction(
        type_id=2,
        sender=sender,
        nonce=nonce,
        max_priority_fee_per_gas=0,
        max_fee_per_gas=fee,
        gas=gas,
        to=to,
        value=value,
        data=data,
        r=r,
        hash=keccak(raw),
        raw=raw,
    )


def _legacy(raw: bytes, chain_id: int) -> Transaction:
    fields = _list(rlp.decode(raw), 9)
    price, v = _integer(fields[1]), _integer(fields[6], bits=64)
    if v not in (2 * chain_id + 35, 2 * chain_id + 36):
        raise Refused("evm/transaction", reason="chain id")
    signed = rlp.encode([*fields[:6], _bytes(chain_id), b"", b""])
    r, s = _integer(fields[7]), _integer(fields[8])
    return Transaction(
        type_id=0,
        sender=_recover(keccak(signed), v - 2 * chain_id - 35, r, s),
        nonce=_integer(fields[0], bits=64),
        max_priority_fee_per_gas=price,
        max_fee_per_gas=price,
        gas=_integer(fields[2], bits=64),
        to=_address(fields[3], empty=True),
        value=_integer(fields[4]),
        data=_blob(fields[5]),
        v=v,
        r=r,
        s=s,
        hash=keccak(raw),
        raw=raw,
    )


def _typed(raw: bytes, chain_id: int) -> Transaction:
    kind = raw[0]
    lengths = {1: 11, 2: 12, 4: 13}
    if kind not in lengths:
        raise Refused("evm/transaction", reason="type", type=kind)
    fields = _list(rlp.decode(raw[1:]), lengths[kind])
    if _integer(fields[0]) != chain_id:
        raise Refused("evm/transaction", reason="chain id")
    at = 2 if kind == 1 else 3
    tip, cap = _integer(fields[2]), _integer(fields[at])
    gas, to, value, data, access = fields[at + 1 : at + 6]
    v, r, s = (_integer(field) for field in fields[-3:])
    return Transaction(
        type_id=kind,
        sender=_recover(keccak(raw[:1] + rlp.encode(fields[:-3])), v, r, s),
        nonce=_integer(fields[1], bits=64),
        max_priority_fee_per_gas=tip,
        max_fee_per_gas=cap,
        gas=_integer(gas, bits=64),
        to=_address(to, empty=kind != 4),
        value=_integer(value),
        data=_blob(data),
        access_list=tuple(_access(entry) for entry in _list(access)),
        authorization_list=_authorizations(fields[9]) if kind == 4 else (),
        v=v,
        r=r,
        s=s,
        hash=keccak(raw),
        raw=raw,
    )


def _recover(digest: bytes, parity: int, r: int, s: int) -> Address:
    if parity not in (0, 1) or not 0 < r < SECP256K1_N or not 0 < s <= SECP256K1_N // 2:
        raise Refused("evm/transaction", reason="signature")
    signature = r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes([parity])
    try:
        key = coincurve.PublicKey.from_signature_and_message(signature, digest, hasher=None)
    except Exception as error:
        raise Refused("evm/transaction", reason="signature") from error
    return Address(keccak(key.format(compressed=False)[1:])[12:])


def _list(item: object, length: int | None = None) -> list[object]:
    if not isinstance(item, list | tuple) or (length is not None and len(item) != length):
        raise Refused("evm/transaction", reason="fields")
    return list(item)


def _blob(item: object) -> bytes:
    if not isinstance(item, bytes):
        raise Refused("evm/transaction", reason="fields")
    return item


def _integer(item: object, *, bits: int = 256) -> int:
    blob = _blob(item)
    # A leading zero would give one transaction two encodings and two hashes.
    if blob[:1] == b"\0" or len(blob) * 8 > bits:
        raise Refused("evm/transaction", reason="integer")
    return int.from_bytes(blob, "big")


def _bytes(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def _address(item: object, *, empty: bool = False) -> Address:
    blob = _blob(item)
    if len(blob) != 20 and not (empty and blob == b""):
        raise Refused("evm/transaction", reason="address")
    return Address(blob)


def _access(item: object) -> tuple[Address, tuple[int, ...]]:
    account, slots = _list(item, 2)
    words = [_blob(slot) for slot in _list(slots)]
    if any(len(word) != 32 for word in words):
        raise Refused("evm/transaction", reason="access list")
    return _address(account), tuple(int.from_bytes(word, "big") for word in words)


def _authorizations(item: object) -> tuple[Authorization, ...]:
    found = tuple(
        Authorization(
            chain_id=_integer(chain_id),
            address=_address(address),
            nonce=_integer(nonce, bits=64),
            y_parity=_integer(y_parity, bits=8),
            r=_integer(r),
            s=_integer(s),
        )
        for chain_id, address, nonce, y_parity, r, s in (_list(entry, 6) for entry in _list(item))
    )
    if not found:
        raise Refused("evm/transaction", reason="authorization list")
    return found
