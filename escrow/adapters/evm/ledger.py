"""State, history and the pending block, kept in step. ``Chain`` is its public face.

Every change is made whole or not at all: a transaction runs between a checkpoint and its
commit, and whatever is raised on the way leaves state, history and clock as they were.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

from eth.db.atomic import AtomicDB
from eth.vm.execution_context import ExecutionContext
from eth_typing import Hash32

from escrow.adapters.evm.block import (
    BASE_FEE,
    GAS_LIMIT,
    Block,
    make_block,
    next_base_fee,
)
from escrow.adapters.evm.history import History, Included, Mark
from escrow.adapters.evm.inclusion import Outcome, Slot, admit, receipt_of
from escrow.adapters.evm.machine import State, context, flush, genesis, path_to, run
from escrow.adapters.evm.revert import Reverted
from escrow.adapters.evm.tracing import Recorder, WatchedState
from escrow.adapters.evm.transaction import MAX_INITCODE, Transaction
from escrow.core.errors import BadInput, Refused
from escrow.ports import Clock, Receipt


@dataclass(frozen=True, slots=True)
class Saved:
    """A moment to go back to. Trie nodes are never deleted, so a root is enough."""

    root: bytes
    """State root, within a block too."""
    mark: Mark
    pending: Slot | None


@dataclass(slots=True)
class _Aside:
    """A clock that stands for another, which does not see it move."""

    now: int

    def at_least(self, t: int) -> None:
        self.now = max(self.now, t)


class Ledger:
    """See the module. What :class:`Chain` checks is not checked again here."""

    def __init__(
        self, *, chain_id: int, genesis_time: int, alloc: Mapping[bytes, int], clock: Clock
    ) -> None:
        self.chain_id = chain_id
        self.clock = clock
        self.history = History()
        self.pending: Slot | None = None
        self.work = 0
        """Gas run so far by calls, estimates and traces, for whoever bounds them."""
        self._db = AtomicDB()
        slot = Slot(number=0, timestamp=genesis_time, base_fee=BASE_FEE)
        self._state = genesis(self._db, self._context(slot), alloc)
        self._dirty = False
        self.history.add_block(
            make_block(
                None,
                timestamp=genesis_time,
                base_fee=BASE_FEE,
                state_root=self._state.state_root,
            )
        )

    def settle(self) -> None:
        """Seal the pending block if its instant is over: nothing can join it any more."""
        if self.pending and self.clock.now > self.pending.timestamp:
            self.seal(self.pending)

    def slot(self) -> Slot:
        """The pending block, or what it would be if one were opened now."""
        if self.pending:
            return self.pending
        parent = self.history.blocks[-1]
        return Slot(
            number=parent.number + 1,
            timestamp=max(self.clock.now, parent.timestamp + 1),
            base_fee=next_base_fee(parent.base_fee, gas_used=parent.gas_used),
        )

    def seal(self, slot: Slot) -> Block:
        """Make the block. ``slot`` is the pending one, or a new one for an empty block."""
        self._flush()
        entries = self.history.of_block(slot.number)
        block = make_block(
            self.history.blocks[-1],
            timestamp=slot.timestamp,
            base_fee=slot.base_fee,
            state_root=self._state.state_root,
            raws=[entry.raw for entry in entries],
            receipts=[entry.receipt for entry in entries],
        )
        self.history.add_block(block)
        self.pending = None
        # A new one, because py-evm remembers every node a state has read.
        self._state = State(self._db, self._context(slot), Hash32(block.state_root))
        return block

    def add(self, transaction: Transaction, *, strict: bool) -> Receipt:
        """Admit and run, in the pending block or the next."""
        self.settle()
        slot = self.slot()
        self._admit(transaction, slot)
        if slot.gas_used + transaction.gas <= GAS_LIMIT:
            return self._include(transaction, slot, strict=strict)
        # The instant's block is full, and only sealing it tells what the next one looks like.
        saved = self.save()
        try:
            self.seal(slot)
            slot = self.slot()
            self._admit(transaction, slot)
            return self._include(transaction, slot, strict=strict)
        except BaseException:
            self.load(saved)
            raise

    def replay(self, timestamp: int, transactions: list[Transaction], *, sealed: bool) -> None:
        """Make a block again, at its own time, without a look at the clock.

        Raises ``Refused`` where it does not fit, and leaves what was done to the caller.
        """
        last = self.history.blocks[-1].timestamp
        if self.pending or not last < timestamp < 2**63 or not (transactions or sealed):
            raise Refused("evm/time", time=timestamp)
        slot = replace(self.slot(), timestamp=timestamp)
        for transaction in transactions:
            self._admit(transaction, slot)
            if slot.gas_used + transaction.gas > GAS_LIMIT:
                raise Refused("evm/gas", gas=transaction.gas)
            self._include(transaction, slot, strict=False, push=False)
            slot = self.slot()
        if sealed:
            self.seal(slot)

    def save(self) -> Saved:
        self._flush()
        return Saved(root=self._state.state_root, mark=self.history.mark(), pending=self.pending)

    def load(self, saved: Saved) -> None:
        self.history.cut(saved.mark)
        self.pending = saved.pending
        self._state = State(self._db, self._context(self.slot()), Hash32(saved.root))
        self._dirty = False

    @contextmanager
    def rehearsal(self) -> Iterator[None]:
        """Undo at the end, whatever happens, all that is sent meanwhile; the clock stands still."""
        saved, clock = self.save(), self.clock
        self.clock = _Aside(clock.now)
        try:
            yield
        finally:
            self.clock = clock
            self.load(saved)

    def state(self, block: int | None) -> State:
        """To read only: the pending state, or that of a sealed block."""
        self.settle()
        if block is None:
            return self._state
        found = self._sealed(block)
        return State(self._db, self._context(found), Hash32(found.state_root))

    def path_to(self, root: bytes, key: bytes) -> tuple[bytes, ...]:
        """Trie nodes from a root that some sealed block had to a key, see ``machine``."""
        return path_to(self._db, root=root, key=key)

    def probe(
        self, message: Transaction, *, block: int | None, recorder: Recorder | None = None
    ) -> Outcome:
        """Run a message at no fee and undo it, on a sealed block or as the next transaction.

        The base fee is 0 for it, as on geth: a contract that reads it sees a free world.
        """
        state = self.state(block)
        # A creation's address follows from its sender's nonce.
        message = replace(message, nonce=state.get_nonce(message.sender))
        if message.gas < message.least_gas:
            raise Refused("evm/gas", gas=message.gas, least=message.least_gas)
        if not message.to and len(message.data) > MAX_INITCODE:
            raise Refused("evm/transaction", reason="init code")
        if state.get_balance(message.sender) < message.value:
            raise Refused("evm/funds", needed=message.value)
        place = self.slot() if block is None else self._sealed(block)
        environment = self._context(place, base_fee=0)
        if recorder is not None:
            self._flush()
            state = self._watched(state.state_root, environment)
            state.recorder = recorder
        state.lock_changes()
        state.execution_context = environment
        mark = state.snapshot()
        try:
            outcome = run(state, message)
        finally:
            state.revert(mark)
        self.work += outcome.gas_needed
        return outcome

    def rerun(self, entry: Included, recorder: Recorder) -> Outcome:
        """Run an included transaction again where it was: after those before it in its block."""
        number = entry.block_number
        parent = self.history.blocks[number - 1]
        place = self.pending if number == len(self.history.blocks) else self._sealed(number)
        assert place is not None, "an included transaction has a block"
        state = self._watched(parent.state_root, self._context(place))
        for each in self.history.of_block(number):
            state.lock_changes()
            if each is entry:
                break
            self.work += run(state, each.transaction).gas_needed
        state.recorder = recorder
        outcome = run(state, entry.transaction)
        self.work += outcome.gas_needed
        return outcome

    def _watched(self, root: bytes, environment: ExecutionContext) -> WatchedState:
        return WatchedState(self._db, environment, Hash32(root))

    def _admit(self, transaction: Transaction, slot: Slot) -> None:
        state, sender = self._state, transaction.sender
        admit(
            transaction,
            nonce=state.get_nonce(sender),
            balance=state.get_balance(sender),
            code=state.get_code(sender),
            base_fee=slot.base_fee,
        )

    def _include(
        self, transaction: Transaction, slot: Slot, *, strict: bool, push: bool = True
    ) -> Receipt:
        state = self._state
        # The boundary between transactions: original values (EIP-2200), warm sets (EIP-2929).
        state.lock_changes()
        state.execution_context = self._context(slot)
        mark = state.snapshot()
        try:
            outcome = run(state, transaction)
            if strict and not outcome.success:
                raise Reverted(outcome.output, halt=outcome.halt)
            receipt = receipt_of(transaction, outcome, slot)
            if push:
                self.clock.at_least(slot.timestamp)
        except BaseException:
            state.revert(mark)
            raise
        state.commit(mark)
        self._dirty = True
        self.pending = replace(
            slot,
            gas_used=receipt.cumulative_gas_used,
            count=slot.count + 1,
            logs=slot.logs + len(receipt.logs),
        )
        self.history.add(
            Included(
                raw=transaction.raw,
                block_number=slot.number,
                timestamp=slot.timestamp,
                receipt=receipt,
                transaction=transaction,
            )
        )
        return receipt

    def _flush(self) -> None:
        if self._dirty:
            flush(self._state)
            self._dirty = False

    def _sealed(self, number: int) -> Block:
        if not 0 <= number < len(self.history.blocks):
            raise BadInput("evm/block", block=number)
        return self.history.blocks[number]

    def _context(self, place: Slot | Block, *, base_fee: int | None = None) -> ExecutionContext:
        blocks = self.history.blocks
        ancestors = range(place.number - 1, max(-1, place.number - 257), -1)
        return context(
            chain_id=self.chain_id,
            number=place.number,
            timestamp=place.timestamp,
            base_fee=place.base_fee if base_fee is None else base_fee,
            hashes=(blocks[number].hash for number in ancestors),
        )
