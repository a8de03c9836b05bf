"""An EVM chain in one process: real blocks, exact gas, and no clock but the world's.

**A block belongs to an instant.** Transactions sent while the clock shows ``t`` share one
pending block with timestamp ``t``. Once the clock has moved on, nothing can join that block
any more, so it counts as sealed: every look at the chain sees it so. Timestamps strictly
increase: if the last block already has ``t``, the next takes ``t + 1`` and pushes the clock.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Final, Required, TypedDict, Unpack

from eth_hash.auto import keccak
from eth_typing import Address

from escrow.adapters.evm.archive import BlockRecord, export, restore
from escrow.adapters.evm.block import Block
from escrow.adapters.evm.history import Included, Topics
from escrow.adapters.evm.inclusion import advance
from escrow.adapters.evm.ledger import Ledger, Saved
from escrow.adapters.evm.proof import Account, find_account
from escrow.adapters.evm.revert import Reverted
from escrow.adapters.evm.tracing import Recorder, Trace, Watch
from escrow.adapters.evm.transaction import AccessList, Transaction, decode, unsigned
from escrow.core.errors import BadInput, Refused
from escrow.core.units import MAX_TIME
from escrow.ports import Clock, Log, Receipt

__all__ = [
    "Block",
    "BlockRecord",
    "Call",
    "Chain",
    "Clock",
    "Included",
    "Log",
    "Receipt",
    "Reverted",
    "Transaction",
]

ZERO: Final = bytes(20)
"""The zero address: who asks when a call names nobody."""
CALL_GAS: Final = 50_000_000
"""Gas of a call or an estimate, as geth's cap for its RPC: a loop without end must end."""
ACT_GAS: Final = 10_000_000
"""Gas limit of a transaction that nobody signed: above what the dearest of ours takes."""
MAX_LOGS: Final = 10_000
"""Logs in one answer, unless asked otherwise."""


class Call(TypedDict, total=False):
    """A message that nobody signs and nobody pays for. What is left out is nothing, or ``CALL_GAS``
    of gas from the zero address."""

    to: Required[bytes | None]
    """20 bytes; None for a creation."""
    data: bytes
    sender: bytes
    value: int
    """Wei."""
    gas: int
    access_list: AccessList


class Chain:
    """See the module. Amounts in wei, times in unix seconds, addresses 20 bytes, words 32."""

    def __init__(
        self, *, chain_id: int, genesis_time: int, alloc: Mapping[bytes, int], clock: Clock
    ) -> None:
        """Raises ``BadInput`` for a chain id, time, address or balance out of range."""
        if not 0 < chain_id < 2**53:  # JavaScript wallets read it as a double
            raise BadInput("evm/chain-id", chain_id=chain_id)
        if not 0 <= genesis_time < MAX_TIME:
            raise BadInput("input/time", time=genesis_time)
        for wei in alloc.values():
            if not 0 <= wei < 2**128:
                raise BadInput("input/amount", wei=wei)
        self._ledger = Ledger(
            chain_id=chain_id,
            genesis_time=genesis_time,
            alloc={_address(who): wei for who, wei in alloc.items()},
            clock=clock,
        )
        self._snapshots: dict[int, Saved] = {}
        self._last_snapshot = 0

    def __repr__(self) -> str:
        ledger = self._ledger
        pending = ledger.pending.count if ledger.pending else 0
        return f"<Chain {ledger.chain_id} #{len(ledger.history.blocks) - 1} pending={pending}>"

    # --- to write ---

    def send(self, raw: bytes, *, strict: bool = True) -> Receipt:
        """Run a signed transaction in the pending block.

        Raises ``Refused`` with ``evm/transaction``, ``evm/nonce``, ``evm/funds``, ``evm/fee``
        or ``evm/gas`` for what no node would take. If the contract reverts: with ``strict``
        nothing is mined and ``Reverted`` is raised, otherwise it is mined with status 0.
        """
        transaction = decode(raw, chain_id=self._ledger.chain_id)
        return self._ledger.add(transaction, strict=strict)

    def act(
        self,
        sender: bytes,
        *,
        to: bytes | None,
        data: bytes = b"",
        strict: bool = True,
        value: int = 0,
        gas: int = ACT_GAS,
    ) -> Receipt:
        """Run a transaction that nobody signed: same rules, fees and gas as :meth:`send`.

        For long property runs, where signing would be a third of the time. No node takes a block
        with it, nor does :meth:`restore`. Raises as :meth:`send`.
        """
        who = _address(sender)
        transaction = unsigned(
            chain_id=self.chain_id,
            sender=who,
            nonce=self.nonce(who),
            fee=self.next_base_fee,
            gas=_word(gas),
            to=Address(b"") if to is None else _address(to),
            value=_word(value),
            data=data,
        )
        return self._ledger.add(transaction, strict=strict)

    def move_to(self, t: int) -> None:
        """Set the clock so that the next transaction's block is dated exactly ``t``.

        Raises ``Refused("evm/time")`` if it is later already, ``BadInput("input/time")``.
        """
        advance(self.clock, t, earliest=self.next_time)

    def seal(self, *, empty: bool = False) -> Block | None:
        """Close the pending block. Without one: make an empty block if asked, else None."""
        ledger = self._ledger
        ledger.settle()
        if not ledger.pending and not empty:
            return None
        slot = ledger.slot()
        ledger.clock.at_least(slot.timestamp)
        return ledger.seal(slot)

    def snapshot(self) -> int:
        """Remember state, blocks, logs and the pending block; the clock is the caller's."""
        self._last_snapshot += 1
        self._snapshots[self._last_snapshot] = self._ledger.save()
        return self._last_snapshot

    def revert(self, snapshot: int) -> None:
        """Go back to a snapshot; it and all later ones are used up.

        Raises ``Refused("evm/snapshot")`` if there is none of that number.
        """
        if snapshot not in self._snapshots:
            raise Refused("evm/snapshot", snapshot=snapshot)
        self._ledger.load(self._snapshots[snapshot])
        for later in [number for number in self._snapshots if number >= snapshot]:
            del self._snapshots[later]

    # --- to run without writing ---

    def rehearsal(self) -> AbstractContextManager[None]:
        """What is sent inside is undone at its end, whatever happens: as a wallet simulates a
        bundle before it sends the first of it."""
        return self._ledger.rehearsal()

    def call(self, *, block: int | None = None, **message: Unpack[Call]) -> bytes:
        """What a contract would return, at no fee and without trace.

        By default as the next transaction would find it: pending state, the clock's time.
        With ``block``: in that sealed block's state and environment.
        Raises ``Reverted``; ``Refused("evm/funds")`` if the sender lacks ``value``.
        """
        outcome = self._ledger.probe(_message(**message), block=block)
        if not outcome.success:
            raise Reverted(outcome.output, halt=outcome.halt)
        return outcome.output

    def estimate(self, *, block: int | None = None, **message: Unpack[Call]) -> int:
        """The lowest gas limit that does (within 1.5 % where inner calls keep a 64th back).

        Raises as :meth:`call`.
        """
        asked = _message(**message)
        most = self._ledger.probe(asked, block=block)
        if not most.success:
            raise Reverted(most.output, halt=most.halt)

        def enough(limit: int) -> bool:
            return self._ledger.probe(replace(asked, gas=limit), block=block).success

        low, high = most.gas_needed, asked.gas
        if enough(low):
            return low
        while high - low > low * 15 // 1000:
            # The need is near the lower end: each level of calls keeps back one 64th.
            middle = min((low + high) // 2, low * 65 // 64)
            low, high = (low, middle) if enough(middle) else (middle, high)
        return high

    def trace(self, tx_hash: bytes, *, watch: Watch) -> Trace | None:
        """An included transaction, run again under watch; None if there is none of that hash.

        Raises ``Refused("evm/trace")`` where the trace grows too long.
        """
        entry = self.included(tx_hash)
        if entry is None:
            return None
        recorder = Recorder(watch)
        return Trace.of(recorder, self._ledger.rerun(entry, recorder))

    def trace_call(
        self, *, watch: Watch, block: int | None = None, **message: Unpack[Call]
    ) -> Trace:
        """A call under watch, whether it reverts or not. Raises as :meth:`call` before it runs, and
        as :meth:`trace`."""
        recorder = Recorder(watch)
        return Trace.of(
            recorder, self._ledger.probe(_message(**message), block=block, recorder=recorder)
        )

    # --- to look ---

    @property
    def work(self) -> int:
        """Gas run so far by calls, estimates and traces, which nobody pays for."""
        return self._ledger.work

    @property
    def chain_id(self) -> int:
        return self._ledger.chain_id

    @property
    def clock(self) -> Clock:
        return self._ledger.clock

    @property
    def head(self) -> Block:
        """The last sealed block."""
        self._ledger.settle()
        return self._ledger.history.blocks[-1]

    @property
    def block_number(self) -> int:
        """Of the last sealed block."""
        return self.head.number

    @property
    def head_hash(self) -> bytes:
        """Of the last sealed block."""
        return self.head.hash

    @property
    def state_root(self) -> bytes:
        """Of the last sealed block."""
        return self.head.state_root

    @property
    def next_time(self) -> int:
        """Timestamp that the next transaction's block carries."""
        self._ledger.settle()
        return self._ledger.slot().timestamp

    @property
    def next_base_fee(self) -> int:
        """Wei a gas that the next transaction pays at least."""
        self._ledger.settle()
        return self._ledger.slot().base_fee

    def block(self, which: int | bytes) -> Block | None:
        """A sealed block by number or hash."""
        self._ledger.settle()
        history = self._ledger.history
        number = history.by_block_hash.get(which, -1) if isinstance(which, bytes) else which
        return history.blocks[number] if 0 <= number < len(history.blocks) else None

    def block_of(self, receipt: Receipt) -> Block | None:
        """The sealed block of a receipt; None while it is pending or once it is reverted."""
        block = self.block(receipt.block_number)
        return block if block and receipt.tx_hash in block.transactions else None

    def included(self, tx_hash: bytes) -> Included | None:
        """A transaction of a block, sealed or pending, with its receipt."""
        self._ledger.settle()
        at = self._ledger.history.by_tx_hash.get(tx_hash)
        return None if at is None else self._ledger.history.included[at]

    def receipt(self, tx_hash: bytes) -> Receipt | None:
        found = self.included(tx_hash)
        return found.receipt if found else None

    def transactions(self, *, block: int | None = None) -> tuple[Included, ...]:
        """All transactions in order, pending ones too, or those of one block."""
        self._ledger.settle()
        history = self._ledger.history
        return tuple(history.included if block is None else history.of_block(block))

    def balance(self, address: bytes, *, block: int | None = None) -> int:
        """Wei, now or after a sealed block."""
        return self._ledger.state(block).get_balance(_address(address))

    def nonce(self, address: bytes, *, block: int | None = None) -> int:
        """Transactions sent, pending ones too, or after a sealed block."""
        return self._ledger.state(block).get_nonce(_address(address))

    def code(self, address: bytes, *, block: int | None = None) -> bytes:
        return self._ledger.state(block).get_code(_address(address))

    def storage(self, address: bytes, slot: int, *, block: int | None = None) -> int:
        _word(slot)
        return self._ledger.state(block).get_storage(_address(address), slot)

    def prove(
        self, address: bytes, slots: Sequence[int], *, block: int
    ) -> tuple[tuple[bytes, ...], ...]:
        """What shows an account, and each of its storage slots, to whoever has a sealed block's
        header: RLP nodes, root first, the account's before those of the slots (EIP-1186).

        Of an account that is not there, the nodes that show this. Raises ``BadInput("evm/block")``.
        """
        sealed = self.block(block)
        if sealed is None:
            raise BadInput("evm/block", block=block)
        root = sealed.state_root
        nodes = self._ledger.path_to(root, keccak(_address(address)))
        account = find_account(nodes, state_root=root, address=address) or Account()
        return (
            nodes,
            *(
                self._ledger.path_to(account.storage_root, keccak(_word(slot).to_bytes(32, "big")))
                for slot in slots
            ),
        )

    def logs(
        self,
        *,
        address: bytes | Collection[bytes] | None = None,
        topics: Topics = (),
        from_block: int = 0,
        to_block: int | None = None,
        limit: int = MAX_LOGS,
    ) -> tuple[Log, ...]:
        """Logs that match, in order; up to the pending block unless ``to_block`` says less.

        Raises ``Refused("evm/logs")`` when more than ``limit`` match.
        """
        self._ledger.settle()
        history = self._ledger.history
        return history.query(
            address=address,
            topics=topics,
            from_block=from_block,
            to_block=len(history.blocks) if to_block is None else to_block,
            limit=limit,
        )

    @property
    def cursor(self) -> int:
        """From where :meth:`logs_since` sees only what is new."""
        return len(self._ledger.history.logs)

    def logs_since(self, cursor: int = 0) -> tuple[tuple[Log, ...], int]:
        """Logs of all included transactions since a cursor, pending ones too; the next cursor.

        Raises ``BadInput("evm/cursor")`` for a cursor that a revert has cut off.
        """
        return self._ledger.history.since(cursor)

    # --- to save and load ---

    def export(self) -> tuple[BlockRecord, ...]:
        """The blocks after the genesis, the pending one last."""
        self._ledger.settle()
        return export(self._ledger)

    def restore(self, blocks: Iterable[BlockRecord], *, head: bytes | None = None) -> None:
        """Run exported blocks again on a new chain: the same bytes give the same hashes.

        The clock ends at the last block's time or later. Raises ``BadInput``:
        ``world/format`` if this chain is not new; ``world/tampered``, and leaves it new, if a
        transaction no longer fits, times do not increase, or the last hash is not ``head``.
        """
        restore(self._ledger, blocks, head=head)


def _message(
    *,
    to: bytes | None,
    data: bytes = b"",
    sender: bytes = ZERO,
    value: int = 0,
    gas: int = CALL_GAS,
    access_list: AccessList = (),
) -> Transaction:
    """A call as a transaction that nobody signed and nobody pays for."""
    return Transaction(
        type_id=2,
        sender=_address(sender),
        nonce=0,
        max_priority_fee_per_gas=0,
        max_fee_per_gas=0,
        gas=min(_word(gas), CALL_GAS),
        to=Address(b"") if to is None else _address(to),
        value=_word(value),
        data=data,
        access_list=access_list,
    )


def _address(address: bytes) -> Address:
    if not isinstance(address, bytes) or len(address) != 20:
        raise BadInput("evm/address")
    return Address(bytes(address))


def _word(number: int) -> int:
    if not 0 <= number < 2**256:
        raise BadInput("evm/word")
    return number
