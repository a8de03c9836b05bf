"""The only place that touches py-evm's insides: a state, one way to run a transaction on it.

py-evm is archived at the Prague fork, so nothing outside this package may know it; a second
executor would replace this module.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Final, cast

import rlp  # type: ignore[import-untyped]
from eth._utils.address import generate_contract_address
from eth.abc import AtomicDatabaseAPI, MessageAPI, SignedTransactionAPI
from eth.constants import BLANK_ROOT_HASH
from eth.vm.execution_context import ExecutionContext
from eth.vm.forks.prague.computation import PragueComputation
from eth.vm.forks.prague.state import PragueState, PragueTransactionExecutor
from eth.vm.message import Message
from eth.vm.opcode_values import SELFDESTRUCT
from eth_typing import Address, BlockNumber, Hash32
from trie.hexary import HexaryTrie

from escrow.adapters.evm.block import COINBASE, GAS_LIMIT, ZERO_HASH
from escrow.adapters.evm.inclusion import Outcome
from escrow.adapters.evm.transaction import Transaction
from escrow.core.errors import Refused

_NOTHING: Final = b"\x80"
"""RLP of the node of an empty trie."""


class _Executor(PragueTransactionExecutor):
    """py-evm's own, without two costs: checks the chain has made, log lines nobody reads."""

    def validate_transaction(self, transaction: SignedTransactionAPI) -> None:
        """Nothing: ``Chain`` admits before it runs, and a call is not to be admitted."""

    def build_evm_message(self, transaction: SignedTransactionAPI) -> MessageAPI:
        # The parent formats the whole code and calldata as hex for a debug line, every time.
        state = self.vm_state
        sender = transaction.sender
        state.delta_balance(sender, -transaction.gas * state.get_gas_price(transaction))
        state.increment_nonce(sender)
        refund = self.calc_message_refund(transaction)
        gas = transaction.gas - transaction.intrinsic_gas
        if not transaction.to:
            return Message(
                gas=gas,
                to=transaction.to,
                sender=sender,
                value=transaction.value,
                data=b"",
                code=transaction.data,
                create_address=generate_contract_address(sender, state.get_nonce(sender) - 1),
                refund=refund,
            )
        code, delegate = self.get_code_at_address(transaction.to)
        return Message(
            gas=gas,
            to=transaction.to,
            sender=sender,
            value=transaction.value,
            data=transaction.data,
            code=code,
            refund=refund,
            is_delegation=delegate is not None,
        )


class Computation(PragueComputation):
    """py-evm's own, in which a contract that ends itself warns nobody: code decides what the EVM
    does, and no filter of Python's warnings may turn it into an exception."""

    opcodes = PragueComputation.opcodes | {
        SELFDESTRUCT: inspect.unwrap(PragueComputation.opcodes[SELFDESTRUCT])
    }


class State(PragueState):
    """World state at a root, with the changes since."""

    computation_class = Computation
    transaction_executor_class = _Executor

    def set_system_contracts(self) -> None:
        """None: without a beacon chain there is nothing for EIP-4788 and EIP-2935 to record."""


def context(
    *, chain_id: int, number: int, timestamp: int, base_fee: int, hashes: Iterable[bytes]
) -> ExecutionContext:
    """The block environment contracts see. ``hashes`` are the ancestors', newest first."""
    return ExecutionContext(
        coinbase=Address(COINBASE),
        timestamp=timestamp,
        block_number=BlockNumber(number),
        difficulty=0,
        mix_hash=Hash32(ZERO_HASH),
        gas_limit=GAS_LIMIT,
        prev_hashes=cast(Iterable[Hash32], hashes),
        chain_id=chain_id,
        base_fee_per_gas=base_fee,
        excess_blob_gas=0,
    )


def genesis(
    db: AtomicDatabaseAPI, environment: ExecutionContext, alloc: Mapping[bytes, int]
) -> State:
    """A state in which the accounts of ``alloc`` hold their wei, persisted."""
    state = State(db, environment, BLANK_ROOT_HASH)
    for address, wei in alloc.items():
        state.set_balance(Address(address), wei)
    flush(state)
    return state


def flush(state: State) -> None:
    """Bring the state root up to date and write its nodes.

    ``trie`` keeps the last 4,096 nodes of the process in a cache by trie object, and with each
    the whole store of a chain that may be long gone. No entry outlives its state's use.
    """
    state.lock_changes()
    state.persist()
    HexaryTrie._cached_create_node_to_db_mapping.cache_clear()


def path_to(db: AtomicDatabaseAPI, *, root: bytes, key: bytes) -> tuple[bytes, ...]:
    """RLP of the trie nodes from ``root`` to ``key``, or to where it shows that there is none.

    Nodes so short that their parent holds them whole are left out, as in EIP-1186.
    """
    trie = HexaryTrie(cast(dict[bytes, bytes], db), root)
    path = trie.get_proof(key)  # type: ignore[no-untyped-call]  # the library is half typed
    nodes = [cast(bytes, rlp.encode(node)) for node in path]
    return tuple(
        raw for n, raw in enumerate(nodes) if raw != _NOTHING and (n == 0 or len(raw) > 31)
    )


def run(state: State, transaction: Transaction) -> Outcome:
    """Run a transaction to its end. The caller holds the snapshot to undo it with.

    Raises ``Refused("evm/depth")`` where Python's stack ends before the EVM's.
    """
    try:
        # py-evm types transactions by an abstract class; it reads only what ours has as well.
        done = state.apply_transaction(cast(SignedTransactionAPI, transaction))
    except RecursionError as error:
        # Python 3.12 has a fixed limit for C calls, below the EVM's 1,024 calls deep.
        raise Refused("evm/depth") from error
    spent = transaction.gas - done.get_gas_remaining()
    refund = _Executor.calculate_gas_refund(done, spent)
    floor = done.data_floor_gas
    return Outcome(
        success=done.is_success,
        output=bytes(done.output),
        halt="" if done.is_success else type(done.error).__name__,
        gas_used=spent - refund + floor,
        gas_needed=max(spent, spent - refund + floor),
        created=None if transaction.to else bytes(done.msg.storage_address),
        logs=done.get_log_entries() if done.is_success else (),
    )
