"""A transaction run again under watch: every step of every frame. Knows py-evm, as ``machine``.

Watching changes nothing: the same logic spends the same gas, which the receipt shows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, cast

from eth.abc import ComputationAPI, MessageAPI, StateAPI, TransactionContextAPI
from eth.vm.code_stream import CodeStream

from escrow.adapters.evm.inclusion import Outcome
from escrow.adapters.evm.machine import Computation, State
from escrow.core.errors import Refused

MAX_STEPS: Final = 200_000
"""Steps of one trace; a deployment of the largest contract here has some 2,000."""
MAX_WORDS: Final = 1_000_000
"""Words of stack, memory and storage in one trace."""

_STOP, _SLOAD, _SSTORE, _CREATE, _CREATE2 = 0x00, 0x54, 0x55, 0xF0, 0xF5
_CALLS: Final = {0xF1: "CALL", 0xF2: "CALLCODE", 0xF4: "DELEGATECALL", 0xFA: "STATICCALL"}
_CREATES: Final = {_CREATE: "CREATE", _CREATE2: "CREATE2"}
_LOOKS: Final = frozenset({0x31, 0x3B, 0x3C, 0x3F, 0xFF})
"""Opcodes that name an account on top of the stack: BALANCE, EXTCODE… and SELFDESTRUCT."""
_NAMES: Final = {"SHA3": "KECCAK256", "DIFFICULTY": "PREVRANDAO"}
"""Where py-evm has an older name than other clients."""


@dataclass(frozen=True, slots=True)
class Watch:
    """What a trace keeps."""

    steps: bool = True
    stack: bool = True
    memory: bool = False
    storage: bool = True
    returned: bool = False
    """The return data of the last call, at each step."""
    limit: int = 0
    """Steps kept; 0 is all of them."""


@dataclass(slots=True)
class Step:
    """One opcode, as it found the machine."""

    pc: int
    op: str
    """Mnemonic."""
    gas: int
    """Left before it."""
    depth: int
    """1 for the transaction's own frame."""
    cost: int = 0
    """Gas it took, not what it would have taken if it ran out; what a call passes on is counted in,
    as other clients do."""
    stack: tuple[int, ...] | None = None
    """Bottom first."""
    memory: bytes | None = None
    storage: dict[int, int] | None = None
    """Of an SLOAD or SSTORE: the slots of the contract used so far, this one too."""
    returned: bytes | None = None
    error: str = ""
    """Why it failed, as py-evm names it."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One call or creation, with those made inside."""

    kind: str
    sender: bytes
    """20 bytes: the account whose code made it."""
    to: bytes
    """20 bytes: the code's address, or that of the contract created."""
    value: int
    """Wei."""
    gas: int
    gas_used: int
    data: bytes
    """Calldata, or init code."""
    output: bytes
    error: str
    """As py-evm names it; empty on success."""
    logs: tuple[tuple[bytes, tuple[int, ...], bytes], ...]
    """Address, topics and data; those of its own frame."""
    calls: tuple[Frame, ...]


@dataclass(slots=True)
class Recorder:
    """What was seen during one run."""

    watch: Watch
    steps: list[Step] = field(default_factory=list)
    touched: dict[bytes, set[int]] = field(default_factory=dict)
    """Accounts that were looked at or called, and slots that were read or written."""
    frames: list[_Watched] = field(default_factory=list)
    """Open ones, outermost first; the first stays after its end."""
    _slots: dict[bytes, dict[int, int]] = field(default_factory=dict)
    _words: int = 0

    def opened(self, frame: _Watched) -> None:
        del self.frames[frame.msg.depth :]
        if self.frames:
            parent = self.frames[-1]
            # What the call cost its caller is known now, before gas comes back from it.
            parent.close_step()
            frame.kind = (_CALLS | _CREATES)[parent.now]
        else:
            frame.kind = "CREATE" if frame.msg.is_create else "CALL"
        self.frames.append(frame)

    def step(self, frame: _Watched, pc: int, op: int) -> None:
        frame.close_step()
        frame.now = op
        stack = tuple(
            one if isinstance(one, int) else int.from_bytes(one, "big")
            for one in cast("list[int | bytes]", frame._stack.values)  # type: ignore[attr-defined]
        )
        used = self._touch(frame, op, stack)
        watch = self.watch
        if not watch.steps or 0 < watch.limit <= len(self.steps):
            return
        kept = Step(pc=pc, op=_name(frame, op), gas=frame.get_gas_remaining(), depth=0)
        kept.depth = frame.msg.depth + 1
        if watch.stack:
            kept.stack = stack
        if watch.memory:
            kept.memory = frame.memory_read_bytes(0, len(cast(bytes, frame._memory)))
        if watch.storage and used is not None:
            kept.storage = dict(used)
        if watch.returned:
            kept.returned = bytes(frame.return_data)
        self._words += len(kept.stack or ()) + len(kept.memory or b"") // 32
        self._words += len(kept.storage or ()) + len(kept.returned or b"") // 32
        if len(self.steps) >= MAX_STEPS or self._words > MAX_WORDS:
            raise Refused("evm/trace", steps=len(self.steps), words=self._words)
        self.steps.append(kept)
        frame.last = kept

    def _touch(self, frame: _Watched, op: int, stack: tuple[int, ...]) -> dict[int, int] | None:
        """Note what the opcode is about to use; the slots of its contract if it uses one."""
        if op in (_SLOAD, _SSTORE) and len(stack) > op - _SLOAD:
            owner, slot = frame.msg.storage_address, stack[-1]
            self.touched.setdefault(owner, set()).add(slot)
            if not self.watch.storage:
                return None
            slots = self._slots.setdefault(owner, {})
            slots[slot] = stack[-2] if op == _SSTORE else frame.state.get_storage(owner, slot)
            return slots
        named = 1 if op in _LOOKS else 2 if op in _CALLS else 0
        if named and len(stack) >= named:
            who = stack[-named] % 2**160
            self.touched.setdefault(who.to_bytes(20, "big"), set())
        return None


@dataclass(frozen=True, slots=True)
class Trace:
    """One run, as it was seen."""

    outcome: Outcome
    steps: list[Step]
    root: Frame
    """The transaction's own frame."""
    touched: dict[bytes, set[int]]
    """Accounts looked at or called, and the slots read or written in each."""

    @classmethod
    def of(cls, recorder: Recorder, outcome: Outcome) -> Trace:
        return cls(outcome, recorder.steps, _frame(recorder.frames[0]), recorder.touched)


class _Code(CodeStream):
    """Code that reports each opcode before it runs."""

    frame: _Watched

    def __iter__(self) -> Iterator[int]:
        code, recorder = self._raw_code_bytes, self.frame.recorder
        while True:
            pc = self.program_counter
            op = code[pc] if pc < len(code) else _STOP
            self.program_counter = pc + 1
            if recorder is not None and code:
                recorder.step(self.frame, pc, op)
            yield op


class _Watched(Computation):
    """A frame that reports itself and its steps."""

    kind: str = ""
    now: int = _STOP
    """Opcode under way."""
    last: Step | None = None
    """Step under way, if it is kept and its cost not known yet."""

    def __init__(
        self, state: StateAPI, message: MessageAPI, context: TransactionContextAPI
    ) -> None:
        super().__init__(state, message, context)
        self.recorder = cast(WatchedState, state).recorder
        watched = _Code(message.code)
        watched.frame = self
        self.code = watched
        if self.recorder is not None:
            self.recorder.opened(self)

    def close_step(self) -> None:
        """Tell the step under way what it took."""
        if self.last is not None:
            self.last.cost = self.last.gas - self.get_gas_remaining()
            self.last = None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        if self.last is not None and error is not None:
            self.last.error = type(error).__name__
        self.close_step()  # before an error burns what is left
        return super().__exit__(kind, error, trace)


class WatchedState(State):
    """A state whose runs are recorded while ``recorder`` is set."""

    computation_class = _Watched  # type: ignore[assignment]
    recorder: Recorder | None = None


def _name(frame: _Watched, op: int) -> str:
    known = frame.opcodes.get(op)
    if known is None:
        return "INVALID" if op == 0xFE else f"opcode 0x{op:x} not defined"
    return _NAMES.get(known.mnemonic, known.mnemonic)


def _frame(frame: ComputationAPI) -> Frame:
    message, kind = frame.msg, cast(_Watched, frame).kind
    # A delegate call's message repeats its caller's sender; the caller is where it runs.
    inner = kind in ("DELEGATECALL", "CALLCODE")
    failed = "" if frame.is_success else type(frame.error).__name__
    return Frame(
        kind=kind,
        sender=bytes(message.storage_address if inner else message.sender),
        to=bytes(message.storage_address if message.is_create else message.code_address),
        value=message.value,
        gas=message.gas,
        gas_used=frame.get_gas_used(),
        data=bytes(message.code if message.is_create else message.data),
        output=bytes(frame.output),
        error=failed,
        logs=tuple(entry[1:] for entry in frame._log_entries),
        calls=tuple(_frame(child) for child in frame.children),
    )
