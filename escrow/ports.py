"""What the engine and the actors need from the outside: protocols, and the plain data in them.

Adapters implement these; only ``world.py`` says which adapter. Nothing here does anything.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, Self

from escrow.core.decide import Command
from escrow.core.due import Effect
from escrow.core.errors import BadInput
from escrow.core.regions.token import Burn
from escrow.core.state import Escrow, Event
from escrow.core.terms import Terms
from escrow.core.units import Cents, Sats, Seconds

_TXID_DIGITS: Final = 64


@dataclass(frozen=True, slots=True, order=True)
class OutPoint:
    """One output of one transaction."""

    txid: str
    """Transaction id in display order, 64 lower-case hex digits."""
    vout: int
    """Position of the output in that transaction."""

    def __str__(self) -> str:
        return f"{self.txid}:{self.vout}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``txid:vout`` back. Raises BadInput("bitcoin/transaction") for anything else."""
        txid, _, vout = text.partition(":")
        if (
            len(txid) != _TXID_DIGITS
            or any(digit not in "0123456789abcdef" for digit in txid)
            or not (vout.isascii() and vout.isdigit())
            or int(vout) > 0xFFFFFFFF
        ):
            raise BadInput("bitcoin/transaction", outpoint=text[:80])
        return cls(txid, int(vout))


@dataclass(frozen=True, slots=True)
class Coin:
    """An output that can be spent, or could before it was."""

    outpoint: OutPoint
    """Where it is."""
    sats: Sats
    """What it is worth."""
    script_pubkey: bytes
    """The script that locks it."""
    height: int
    """Height of the block that holds it; 0 while it is only in the mempool."""
    coinbase: bool
    """Created by a block reward: not spendable for 100 blocks."""


class BitcoinView(Protocol):
    """What anyone can see on Bitcoin. Cosigners and attestors get this and no more."""

    @property
    def height(self) -> int: ...
    @property
    def tip_hash(self) -> str: ...
    def coin(self, outpoint: OutPoint) -> Coin | None: ...
    def coins(self, script_pubkey: bytes) -> tuple[Coin, ...]: ...
    def pending(self, script_pubkey: bytes) -> tuple[Coin, ...]: ...
    def history(self, script_pubkey: bytes) -> tuple[OutPoint, ...]: ...
    def depth(self, txid: str) -> int | None: ...
    def waited(self, txid: str) -> int | None: ...
    def transaction(self, txid: str) -> bytes | None: ...
    def median_time_at(self, height: int) -> int: ...
    def spender(self, outpoint: OutPoint) -> str | None: ...


class BitcoinPort(BitcoinView, Protocol):
    """A node one can hand transactions to."""

    def broadcast(self, raw: bytes) -> str: ...
    def estimate_feerate(self, blocks: int) -> int: ...


@dataclass(frozen=True, slots=True)
class BookEntry:
    """A loan as EscrowBook stores it."""

    phase: int
    """0 none, 1 opened, 2 active, 3 margin call, 4 liquidating, 5 repaid, 6 seized,
    7 cancelled, 8 recovered."""
    principal: int
    """Cents outstanding."""
    interest_acc: int
    """Cents × bps × seconds, up to ``accrued_to``."""
    accrued_to: int
    """Unix time."""
    deadline: int
    """Of a margin call, active seconds; 0 if none."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a contract of ours said, as anyone reads it off the EVM."""

    name: str
    """Of the event, e.g. ``Liquidated``."""
    args: Mapping[str, Any]
    """By member name; addresses as 20 bytes."""
    at: Seconds
    """Time of its block, unix seconds."""
    place: tuple[int, int]
    """Number of its block, and place in it: what was said first is less."""
    blocks: int
    """Sealed blocks from its own on; 0 while that one is under way."""
    paid: tuple[bytes, Cents] | None = None
    """What it says of cash, the cash token says too: who got how much, if anybody did."""
    signed: tuple[bytes, ...] = ()
    """Of ``Refinanced``: addresses whose signatures over these terms its transaction carried."""


class EvmView(Protocol):
    """What anyone can see on the EVM."""

    def loan_id(self, terms: Terms) -> str: ...
    def entry(self, loan: str) -> BookEntry: ...
    def held(self, loan: str) -> Sats: ...
    def outstanding(self, loan: str) -> Sats: ...
    def burns(self, loan: str) -> tuple[Burn, ...]: ...
    def is_minted(self, outpoint: str) -> bool: ...
    def said(self, loan: str) -> tuple[Said, ...]: ...
    def rounds(self, *, since: int, until: int) -> tuple[Said, ...]: ...


@dataclass(frozen=True, slots=True)
class Log:
    """An event of a contract, and where it stands."""

    address: bytes
    """20 bytes: the contract that emitted it."""
    topics: tuple[bytes, ...]
    """Up to four words of 32 bytes; the first is the event's signature hash."""
    data: bytes
    index: int
    """Place in its block, from 0."""
    block_number: int
    tx_hash: bytes
    tx_index: int


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a transaction did."""

    tx_hash: bytes
    sender: bytes
    """20 bytes."""
    to: bytes | None
    """20 bytes; None for a creation."""
    contract_address: bytes | None
    """20 bytes of the contract created, also if it failed; None otherwise."""
    status: int
    """1 done, 0 reverted."""
    gas_used: int
    """After refunds and the calldata floor: what was paid for."""
    logs: tuple[Log, ...]
    block_number: int
    timestamp: int
    """Of its block, unix seconds."""
    tx_index: int
    """Place in its block, from 0."""
    cumulative_gas_used: int
    """Gas of its block up to and including it."""
    effective_gas_price: int
    """Wei a gas that was paid, base fee and tip."""
    type_id: int
    bloom: int
    """Filter over addresses and topics of its logs, 2048 bits."""
    output: bytes
    """What the call returned: revert data when the status is 0, otherwise empty for a creation."""


class Clock(Protocol):
    """The world's one clock, as the chain sees it."""

    @property
    def now(self) -> int:
        """Unix seconds."""

    def at_least(self, t: int, /) -> None:
        """Move forward to ``t``, unless it is that late already."""


class EvmPort(Protocol):
    """An EVM one can hand signed transactions to, on a clock that is not the machine's.

    Addresses are 20 bytes, words 32, amounts wei, times unix seconds. A contract that says no
    raises ``adapters.evm.revert.Reverted``; what no node would take raises ``Refused`` with
    ``evm/transaction``, ``evm/nonce``, ``evm/funds``, ``evm/fee`` or ``evm/gas``.
    """

    @property
    def chain_id(self) -> int:
        """Which chain signatures count on."""

    @property
    def next_base_fee(self) -> int:
        """Wei a gas that the next transaction pays at least."""

    @property
    def next_time(self) -> int:
        """Time of the next transaction's block."""

    def move_to(self, t: int) -> None:
        """Date the next transaction's block exactly ``t``. Raises ``Refused("evm/time")``."""

    def send(self, raw: bytes, *, strict: bool = True) -> Receipt:
        """Run a signed transaction; with ``strict`` a revert raises and leaves no trace,
        otherwise it is mined with status 0."""

    def call(self, *, to: bytes | None, data: bytes = b"", sender: bytes = bytes(20)) -> bytes:
        """What the next transaction would return, at no fee and without trace."""

    def nonce(self, address: bytes) -> int:
        """The next nonce of an account."""

    def balance(self, address: bytes) -> int:
        """Wei of an account."""

    def code(self, address: bytes) -> bytes:
        """Code of a contract; empty for any other account."""

    def storage(self, address: bytes, slot: int) -> int:
        """The word in a slot; 0 if nothing was written there."""

    def receipt(self, tx_hash: bytes) -> Receipt | None:
        """What an included transaction did."""

    def logs(
        self,
        *,
        address: bytes | Collection[bytes] | None = None,
        topics: Sequence[bytes | Collection[bytes] | None] = (),
        from_block: int = 0,
        to_block: int | None = None,
        limit: int = 10_000,
    ) -> tuple[Log, ...]:
        """Logs that match, in order. Raises ``Refused("evm/logs")`` when more than ``limit`` do."""

    @property
    def cursor(self) -> int:
        """From where :meth:`logs_since` sees only what is new."""

    def logs_since(self, cursor: int = 0) -> tuple[tuple[Log, ...], int]:
        """Logs since a cursor, and the next cursor. Raises ``BadInput("evm/cursor")``."""

    def snapshot(self) -> int:
        """Remember state, logs and receipts; the clock is the caller's."""

    def revert(self, snapshot: int) -> None:
        """Go back to a snapshot; it and all later ones are used up. Raises
        ``Refused("evm/snapshot")``."""


class EvmLab(EvmPort, Protocol):
    """An EVM in this process, where whoever runs it may play anybody without a key."""

    def act(
        self, sender: bytes, *, to: bytes | None, data: bytes = b"", strict: bool = True
    ) -> Receipt:
        """Run a transaction that nobody signed, as :meth:`send` runs the sender's own."""


class Watch(Protocol):
    """Eyes on the chains: what they now say, as commands for a loan ("" for the platform)."""

    def look(self, deals: Mapping[str, Escrow], *, at: int) -> Sequence[tuple[str, Command]]: ...


class Performer(Protocol):
    """Hands: does what is owed, idempotently. Says whether anything was done."""

    def perform(self, loan: str, escrow: Escrow, effect: Effect) -> bool: ...


class LogPort(Protocol):
    """The append-only log: the only commit."""

    @property
    def length(self) -> int: ...
    def append(self, entries: Sequence[tuple[str, Event]], *, expected: int) -> None: ...
