"""Where a transaction's gas goes: by kind of opcode and by contract, to the last unit of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

from gas_meter import Notes, Observer

from escrow.adapters.evm.block import Receipt
from escrow.adapters.evm.machine import Computation
from escrow.adapters.evm.transaction import TOKEN_GAS, TX_GAS, Transaction

Key = tuple[str, str]
"""Kind, contract."""
KINDS = (
    "transaction",
    "calldata",
    "cold SLOAD",
    "warm SLOAD",
    "SSTORE, new slot",
    "SSTORE, changed",
    "SSTORE, again",
    "TLOAD, TSTORE",
    "cold CALL",
    "warm CALL",
    "LOG",
    "KECCAK",
    "ecrecover",
    "rest",
    "refund",
)
ECRECOVER_GAS = 3_000
OUTSIDE = ("BALANCE", "EXTCODESIZE", "EXTCODECOPY", "EXTCODEHASH", "CALL", "CALLCODE")
OUTSIDE += ("DELEGATECALL", "STATICCALL")


def kind(mnemonic: str, gas: int) -> str:
    """Of one opcode, by what it took: Berlin's prices tell cold from warm (EIP-2929, 2200)."""
    if mnemonic == "SLOAD":
        return "cold SLOAD" if gas >= 2_100 else "warm SLOAD"
    if mnemonic == "SSTORE":
        if gas >= 20_000:
            return "SSTORE, new slot"
        return "SSTORE, changed" if gas >= 2_900 else "SSTORE, again"
    if mnemonic in OUTSIDE:
        return "cold CALL" if gas >= 2_600 else "warm CALL"
    if mnemonic in ("TLOAD", "TSTORE"):
        return "TLOAD, TSTORE"
    if mnemonic.startswith("LOG"):
        return "LOG"
    return "KECCAK" if mnemonic in ("SHA3", "KECCAK256") else "rest"


@dataclass
class Account:
    """One transaction. The sums are exactly its receipt's ``gas_used``."""

    gas: Counter[Key] = field(default_factory=Counter)
    times: Counter[Key] = field(default_factory=Counter)

    def add(self, kind: str, contract: str, gas: int) -> None:
        self.gas[kind, contract] += gas
        self.times[kind, contract] += 1

    def of(self, kind: str) -> int:
        return sum(gas for (each, _), gas in self.gas.items() if each == kind)

    def table(self) -> str:
        """Kinds down, contracts across, with how many times in brackets."""
        across = ["", *self.contracts()]
        rows = [["", *across[1:], "all"]]
        for each in KINDS:
            cells = [self._cell(each, contract) for contract in across[1:]]
            if total := self.of(each):
                rows.append([each, *cells, f"{total:,}"])
        sums = [
            sum(g for (_, c), g in self.gas.items() if c == contract) for contract in across[1:]
        ]
        rows.append(["all", *(f"{each:,}" for each in sums), f"{self.total():,}"])
        wide = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
        return "\n".join(
            "  ".join(
                [
                    row[0].ljust(wide[0]),
                    *(c.rjust(w) for c, w in zip(row[1:], wide[1:], strict=True)),
                ]
            )
            for row in rows
        )

    def _cell(self, kind: str, contract: str) -> str:
        gas, times = self.gas[kind, contract], self.times[kind, contract]
        return f"{gas:,} ({times})" if times and kind != "rest" else f"{gas:,}" if gas else ""

    def contracts(self) -> list[str]:
        return list(dict.fromkeys(contract for _, contract in self.gas if contract))

    def total(self) -> int:
        return sum(self.gas.values())


class Watch:
    """While it is on, every opcode that a chain of ours runs is written down."""

    def __init__(self) -> None:
        self._account = Account()
        self._inner = [0]
        """Gas of the opcodes that ran within an opcode, for each that is under way."""

    @contextmanager
    def on(self) -> Iterator[None]:
        watched = {
            code: self._watched(mnemonic_of(run), run) for code, run in Computation.opcodes.items()
        }
        with patch.object(Computation, "opcodes", watched):
            yield

    def take(
        self, transaction: Transaction, receipt: Receipt, names: Mapping[bytes, str]
    ) -> Account:
        """The account of the transaction that ran last, with contracts by name."""
        found, taken = self._account, Account()
        taken.add("transaction", "", TX_GAS)
        taken.add("calldata", "", TOKEN_GAS * transaction.calldata_tokens)
        for (each, address), gas in found.gas.items():
            key = each, names.get(bytes.fromhex(address), "others")
            taken.gas[key] += gas
            taken.times[key] += found.times[each, address]
        if back := receipt.gas_used - taken.total():
            taken.add("refund", "", back)
        return taken

    def _watched(self, mnemonic: str, run: Callable[..., Any]) -> Callable[..., Any]:
        def watched(computation: Any) -> Any:
            if computation.is_origin_computation and computation.code.program_counter == 1:
                self._account = Account()
            before = computation.get_gas_remaining()
            recovers = mnemonic == "STATICCALL" and word(computation._stack.values[-2]) == 1
            self._inner.append(0)
            try:
                return run(computation=computation)
            finally:
                spent = before - computation.get_gas_remaining()
                own = spent - self._inner.pop()
                self._inner[-1] += spent
                address = computation.msg.storage_address.hex()
                if recovers:  # A precompiled contract has no opcodes that one could see.
                    own -= ECRECOVER_GAS
                    self._account.add("ecrecover", address, ECRECOVER_GAS)
                self._account.add(kind(mnemonic, own), address, own)

        return watched


def word(value: int | bytes) -> int:
    """A stack's item: py-evm keeps it as it was pushed."""
    return int.from_bytes(value, "big") if isinstance(value, bytes) else value


def mnemonic_of(run: Any) -> str:
    return str(getattr(run, "mnemonic", None) or run.__wrapped__.mnemonic)


def accounts(by: Callable[[Observer], Notes]) -> dict[str, Account]:
    """Of all figures that a meter measures; where one is a sum, of all its transactions."""
    watch, found = Watch(), dict[str, Account]()

    def observe(name: str, receipt: Receipt) -> None:
        included = meter.lab.chain.included(receipt.tx_hash)
        assert included
        found[name] = watch.take(included.transaction, receipt, meter.addresses)

    with watch.on():
        meter = by(observe)
        meter.measure()
    for name, parts in meter.sums.items():
        found[name] = Account()
        for part in parts:
            found[name].gas.update(found[part].gas)
            found[name].times.update(found[part].times)
    return found
