"""How a transaction gets into a block, whichever machine runs it: what is checked before, what is
written down after."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from escrow.adapters.evm.block import GAS_LIMIT, bloom_of
from escrow.adapters.evm.transaction import MAX_INITCODE, Transaction
from escrow.core.errors import BadInput, Refused
from escrow.core.units import MAX_TIME
from escrow.ports import Clock, Log, Receipt

DELEGATION: Final = b"\xef\x01\x00"
"""Code of an account that lends itself another's code (EIP-7702) starts with this."""


@dataclass(frozen=True, slots=True)
class Slot:
    """The block that takes the next transaction."""

    number: int
    timestamp: int
    """Unix seconds."""
    base_fee: int
    """Wei a gas."""
    gas_used: int = 0
    """By the transactions in it."""
    count: int = 0
    """Transactions in it."""
    logs: int = 0
    """Logs in it."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one run did to the state."""

    success: bool
    output: bytes
    """Return data, or revert data."""
    halt: str
    """Why it failed, in the machine's word; empty on success. ``Revert`` where the contract chose
    to, ``OutOfGas`` where its gas ended, on every machine."""
    gas_used: int
    """Gas paid for, after refunds and the calldata floor."""
    gas_needed: int
    """Gas before refunds, and at least the calldata floor: a limit below it would not do."""
    created: bytes | None
    """Address of the contract that a creation makes."""
    logs: tuple[tuple[bytes, tuple[int, ...], bytes], ...]
    """Address, topics and data in the order of emission."""


def advance(clock: Clock, t: int, *, earliest: int) -> None:
    """Move a chain's clock so that its next block is dated ``t``; ``earliest`` is its date now.

    Raises ``Refused("evm/time")`` if that is later already, ``BadInput("input/time")`` for no time.
    """
    if not 0 <= t < MAX_TIME:
        raise BadInput("input/time", time=t)
    if t < earliest:
        raise Refused("evm/time", time=t, earliest=earliest)
    clock.at_least(t)


def admit(
    transaction: Transaction, *, nonce: int, balance: int, code: bytes, base_fee: int
) -> None:
    """What a node checks before it runs a transaction, in geth's order; the sender's nonce, wei and
    code are what the state says, ``base_fee`` is wei a gas.

    Raises ``Refused`` with ``evm/nonce``, ``evm/transaction``, ``evm/fee``, ``evm/gas`` or
    ``evm/funds``.
    """
    if transaction.nonce != nonce:
        raise Refused("evm/nonce", nonce=transaction.nonce, expected=nonce)
    if transaction.nonce >= 2**64 - 1:  # EIP-2681
        raise Refused("evm/nonce", nonce=transaction.nonce)
    if code and not code.startswith(DELEGATION):  # EIP-3607
        raise Refused("evm/transaction", reason="sender is a contract")
    if not transaction.to and len(transaction.data) > MAX_INITCODE:
        raise Refused("evm/transaction", reason="init code")
    if transaction.max_priority_fee_per_gas > transaction.max_fee_per_gas:
        raise Refused("evm/fee", tip=transaction.max_priority_fee_per_gas)
    if transaction.max_fee_per_gas < base_fee:
        raise Refused("evm/fee", fee=transaction.max_fee_per_gas, base_fee=base_fee)
    if not transaction.least_gas <= transaction.gas <= GAS_LIMIT:
        raise Refused("evm/gas", gas=transaction.gas, least=transaction.least_gas)
    needed = transaction.gas * transaction.max_fee_per_gas + transaction.value
    if balance < needed:
        raise Refused("evm/funds", balance=balance, needed=needed)


def receipt_of(transaction: Transaction, outcome: Outcome, slot: Slot) -> Receipt:
    """The receipt of a transaction that ran as the next one of a block."""
    logs = tuple(
        Log(
            address=address,
            topics=tuple(topic.to_bytes(32, "big") for topic in topics),
            data=data,
            index=slot.logs + place,
            block_number=slot.number,
            tx_hash=transaction.hash,
            tx_index=slot.count,
        )
        for place, (address, topics, data) in enumerate(outcome.logs)
    )
    tip = min(transaction.max_priority_fee_per_gas, transaction.max_fee_per_gas - slot.base_fee)
    return Receipt(
        tx_hash=transaction.hash,
        sender=transaction.sender,
        to=transaction.to or None,
        contract_address=outcome.created,
        status=int(outcome.success),
        gas_used=outcome.gas_used,
        logs=logs,
        block_number=slot.number,
        timestamp=slot.timestamp,
        tx_index=slot.count,
        cumulative_gas_used=slot.gas_used + outcome.gas_used,
        effective_gas_price=slot.base_fee + tip,
        type_id=transaction.type_id,
        bloom=bloom_of(logs),
        output=b"" if outcome.created and outcome.success else outcome.output,
    )
