"""An EVM for long property runs: revm in this process (``pyrevm``, extra ``fast``).

Twenty to forty times as fast as ``Chain``, because little is done but running code. Its limits:

* Always Cancun; a delegation (EIP-7702) is refused.
* Gas is not exact: what one transaction has touched is warm for the next ones (EIP-2929), and
  refunds count from the start of the run. For exact gas ask ``Chain`` or a node.
* Nobody pays a fee, and the base fee stays what it is; a contract reads it as 0.
* No blocks, roots or proofs. All transactions of an instant share a number and a time; BLOCKHASH
  is made up.
* What was run and not reverted is kept by revm's journal, about a kilobyte a transaction: begin a
  new chain now and then, or revert. At most ``MAX_SNAPSHOTS`` are kept at a time.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from eth_typing import Address

from escrow.adapters.evm.block import BASE_FEE, COINBASE, GAS_LIMIT, ZERO_HASH
from escrow.adapters.evm.contracts import create_address
from escrow.adapters.evm.history import History, Included, Mark, Topics
from escrow.adapters.evm.inclusion import Outcome, Slot, admit, advance, receipt_of
from escrow.adapters.evm.revert import Reverted
from escrow.adapters.evm.transaction import Transaction, decode
from escrow.core.errors import BadInput, Refused
from escrow.ports import Clock, Log, Receipt

MAX_SNAPSHOTS: Final = 256
"""Each takes one of the 1,024 levels that revm has for calls as well."""
FREE_GAS: Final = 50_000_000
"""Gas of a call, and of a transaction that nobody signed."""
_PADDING: Final = 33
"""Bytes that revm writes after code, so that reading past its end needs no check."""
_REVERT: Final = re.compile(r"Revert \{ gas_used: (\d+), output: 0x([0-9a-f]*) \}", re.ASCII)
_HALT: Final = re.compile(r"Halt \{ reason: (\w+)(?:\(\w+\))?, gas_used: (\d+) \}", re.ASCII)


@dataclass(frozen=True, slots=True)
class _Saved:
    """A moment to go back to."""

    checkpoint: Any
    """revm's."""
    mark: Mark
    slot: Slot
    nonces: dict[bytes, int]


class FastChain:
    """``EvmLab`` on revm; see the module."""

    def __init__(
        self, *, chain_id: int, genesis_time: int, alloc: Mapping[bytes, int], clock: Clock
    ) -> None:
        """As ``Chain``. Raises ``BadInput("extra/missing")`` without ``pyrevm``."""
        try:
            import pyrevm
        except ImportError:
            raise BadInput(
                "extra/missing", extra="fast", install="pip install 'escrow-sim[fast]'"
            ) from None
        # Its type stubs are not those of the release, so it counts as untyped.
        revm: Any = pyrevm
        self._block_env = revm.BlockEnv
        self._account = revm.AccountInfo
        self._evm = revm.EVM(env=revm.Env(cfg=revm.CfgEnv(chain_id=chain_id)), gas_limit=GAS_LIMIT)
        for address, wei in alloc.items():
            self._evm.set_balance(_hex(address), wei)
        self._chain_id = chain_id
        self._clock = clock
        self._history = History()
        self._slot = Slot(number=0, timestamp=genesis_time, base_fee=BASE_FEE)
        # revm raises a nonce only where it creates a contract, so those who sign are counted here.
        self._nonces: dict[bytes, int] = {}
        self._snapshots: dict[int, _Saved] = {}
        self._last_snapshot = 0
        self._unsigned = 0

    def __repr__(self) -> str:
        return f"<FastChain {self._chain_id} #{self._slot.number}>"

    # --- to write ---

    def send(self, raw: bytes, *, strict: bool = True) -> Receipt:
        """As ``Chain.send``."""
        transaction = decode(raw, chain_id=self._chain_id)
        sender = transaction.sender
        admit(
            transaction,
            nonce=self.nonce(sender),
            balance=self.balance(sender),
            code=self.code(sender),
            base_fee=BASE_FEE,
        )
        if transaction.authorization_list:
            raise Refused("evm/transaction", reason="delegation needs Prague")
        return self._include(transaction, strict=strict)

    def act(
        self, sender: bytes, *, to: bytes | None, data: bytes = b"", strict: bool = True
    ) -> Receipt:
        """Run a transaction that nobody signed, of which nothing is checked. Its hash is a number:
        there are no bytes to hash. Raises ``Reverted``."""
        self._unsigned += 1
        transaction = Transaction(
            type_id=2,
            sender=Address(sender),
            nonce=self._nonces.get(sender, 0),
            max_priority_fee_per_gas=0,
            max_fee_per_gas=BASE_FEE,
            gas=FREE_GAS,
            to=Address(to or b""),
            value=0,
            data=data,
            hash=self._unsigned.to_bytes(32, "big"),
        )
        return self._include(transaction, strict=strict)

    def _include(self, transaction: Transaction, *, strict: bool) -> Receipt:
        slot = self._next()
        outcome = self._run(transaction, slot)
        if strict and not outcome.success:
            raise Reverted(outcome.output, halt=outcome.halt)
        receipt = receipt_of(transaction, outcome, slot)
        self._clock.at_least(slot.timestamp)
        self._nonces[transaction.sender] = transaction.nonce + 1
        self._slot = replace(
            slot,
            gas_used=receipt.cumulative_gas_used,
            count=slot.count + 1,
            logs=slot.logs + len(receipt.logs),
        )
        self._history.add(
            Included(
                raw=transaction.raw,
                block_number=slot.number,
                timestamp=slot.timestamp,
                receipt=receipt,
                transaction=transaction,
            )
        )
        return receipt

    def _next(self) -> Slot:
        """Where the next transaction goes: beside the last one, or into the block of a new time."""
        last = self._slot
        if last.count and self._clock.now <= last.timestamp:
            return last
        at = max(self._clock.now, last.timestamp + 1)
        return Slot(number=last.number + 1, timestamp=at, base_fee=BASE_FEE)

    def _run(self, transaction: Transaction, slot: Slot) -> Outcome:
        evm, sender = self._evm, _hex(transaction.sender)
        value, gas = transaction.value, transaction.gas
        evm.set_block_env(
            self._block_env(
                number=slot.number,
                coinbase=_hex(COINBASE),
                timestamp=slot.timestamp,
                prevrandao=ZERO_HASH,
                gas_limit=GAS_LIMIT,
            )
        )
        # It lives for one transaction only, and revm is not told that one has ended.
        evm.reset_transient_storage()
        created, output = None, b""
        try:
            if transaction.to:
                to = _hex(transaction.to)
                output = evm.message_call(sender, to, transaction.data, value, gas)
            else:
                created = create_address(transaction.sender, nonce=transaction.nonce)
                nonce, wei = transaction.nonce, evm.get_balance(sender)
                evm.insert_account_info(sender, self._account(nonce=nonce, balance=wei))
                evm.deploy(sender, transaction.data, value, gas)
                output = self.code(created)
        except RuntimeError as error:
            return _failure(str(error), created=created)
        result = evm.result
        assert result is not None, "a run without an error has a result"
        return Outcome(
            success=True,
            output=output,
            halt="",
            gas_used=result.gas_used,
            gas_needed=result.gas_used + result.gas_refunded,
            created=created,
            logs=tuple(
                (
                    bytes.fromhex(log.address[2:]),
                    tuple(int.from_bytes(topic, "big") for topic in log.data[0]),
                    log.data[1],
                )
                for log in result.logs
            ),
        )

    def move_to(self, t: int) -> None:
        """As ``Chain.move_to``."""
        advance(self._clock, t, earliest=self.next_time)

    def snapshot(self) -> int:
        """As ``Chain.snapshot``. Raises ``Refused("evm/snapshot")`` above ``MAX_SNAPSHOTS``."""
        if len(self._snapshots) == MAX_SNAPSHOTS:
            raise Refused("evm/snapshot", most=MAX_SNAPSHOTS)
        self._last_snapshot += 1
        self._snapshots[self._last_snapshot] = _Saved(
            self._evm.snapshot(), self._history.mark(), self._slot, dict(self._nonces)
        )
        return self._last_snapshot

    def revert(self, snapshot: int) -> None:
        """As ``Chain.revert``."""
        if snapshot not in self._snapshots:
            raise Refused("evm/snapshot", snapshot=snapshot)
        for later in sorted(self._snapshots, reverse=True):
            if later < snapshot:
                break
            saved = self._snapshots.pop(later)
            # One by one from the last: revm counts how deep it is, and forgets no level by itself.
            self._evm.revert(saved.checkpoint)
        self._history.cut(saved.mark)
        self._slot, self._nonces = saved.slot, dict(saved.nonces)

    # --- to look ---

    def call(
        self,
        *,
        to: bytes | None,
        data: bytes = b"",
        sender: bytes = bytes(20),
    ) -> bytes:
        """As ``Chain.call`` on the state of now."""
        message = Transaction(
            type_id=2,
            sender=Address(sender),
            nonce=self._nonces.get(sender, 0),
            max_priority_fee_per_gas=0,
            max_fee_per_gas=0,
            gas=FREE_GAS,
            to=Address(to or b""),
            value=0,
            data=data,
        )
        mark = self._evm.snapshot()
        try:
            outcome = self._run(message, self._next())
        finally:
            self._evm.revert(mark)
        if not outcome.success:
            raise Reverted(outcome.output, halt=outcome.halt)
        return outcome.output

    @property
    def chain_id(self) -> int:
        return self._chain_id

    @property
    def next_base_fee(self) -> int:
        """Always the same."""
        return BASE_FEE

    @property
    def next_time(self) -> int:
        return self._next().timestamp

    def nonce(self, address: bytes) -> int:
        # Of an account that never signed, revm may count a creation that was refused.
        if self.code(address):
            return int(self._evm.basic(_hex(address)).nonce)
        return self._nonces.get(address, 0)

    def balance(self, address: bytes) -> int:
        return int(self._evm.get_balance(_hex(address)))

    def code(self, address: bytes) -> bytes:
        padded = self._evm.get_code(_hex(address))
        return padded[:-_PADDING] if padded else b""

    def storage(self, address: bytes, slot: int) -> int:
        if not 0 <= slot < 2**256:
            raise BadInput("evm/word")
        return int(self._evm.storage(_hex(address), slot))

    def receipt(self, tx_hash: bytes) -> Receipt | None:
        at = self._history.by_tx_hash.get(tx_hash)
        return None if at is None else self._history.included[at].receipt

    def logs(
        self,
        *,
        address: bytes | Collection[bytes] | None = None,
        topics: Topics = (),
        from_block: int = 0,
        to_block: int | None = None,
        limit: int = 10_000,
    ) -> tuple[Log, ...]:
        """As ``Chain.logs``."""
        return self._history.query(
            address=address,
            topics=topics,
            from_block=from_block,
            to_block=self._slot.number if to_block is None else to_block,
            limit=limit,
        )

    @property
    def cursor(self) -> int:
        return len(self._history.logs)

    def logs_since(self, cursor: int = 0) -> tuple[tuple[Log, ...], int]:
        """As ``Chain.logs_since``."""
        return self._history.since(cursor)


def _hex(address: bytes) -> str:
    if not isinstance(address, bytes) or len(address) != 20:
        raise BadInput("evm/address")
    return "0x" + address.hex()


def _failure(words: str, *, created: bytes | None) -> Outcome:
    """What revm says in the text of an error: a revert with its data, or a halt with its reason.

    Raises ``Refused("evm/transaction")`` if it says that it did not begin to run.
    """
    if found := _REVERT.fullmatch(words):
        used, output, halt = int(found[1]), bytes.fromhex(found[2]), "Revert"
    elif found := _HALT.fullmatch(words):
        used, output, halt = int(found[2]), b"", found[1]
    else:
        raise Refused("evm/transaction", reason=words[:80])
    return Outcome(
        success=False,
        output=output,
        halt=halt,
        gas_used=used,
        gas_needed=used,
        created=created,
        logs=(),
    )
