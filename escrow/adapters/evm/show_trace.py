"""Traces in the JSON of geth's ``debug_`` methods: the default logger and ``callTracer``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from escrow.adapters.evm.revert import reason_of
from escrow.adapters.evm.tracing import Frame, Step, Trace, Watch
from escrow.adapters.evm.wire import (
    Json,
    data,
    invalid,
    quantity,
    to_flag,
    to_number,
    to_object,
)

CALL_TRACER: Final = "callTracer"
_ERRORS: Final = {
    "Revert": "execution reverted",
    "OutOfGas": "out of gas",
    "InvalidInstruction": "invalid opcode",
    "InvalidJumpDestination": "invalid jump destination",
    "InsufficientStack": "stack underflow",
    "FullStack": "stack limit reached 1024",
    "WriteProtection": "write protection",
    "OutOfBoundsRead": "return data out of bounds",
    "ContractCreationCollision": "contract address collision",
}
"""py-evm's names for failures → geth's words."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the asker wants of a trace."""

    watch: Watch
    calls: bool
    """Frames by ``callTracer``, not steps."""
    top_only: bool
    logs: bool


def to_options(value: object) -> Options:
    """The third parameter of a ``debug_`` method, or none."""
    asked = {} if value is None else to_object(value)

    def flag(name: str, fields: Json = asked) -> bool:
        return fields.get(name) is not None and to_flag(fields[name])

    tracer = asked.get("tracer")
    if tracer not in (None, "", CALL_TRACER):
        raise invalid(f"the tracer is {CALL_TRACER}, or left out for steps")
    config = to_object(asked.get("tracerConfig") or {})
    limit = 0 if asked.get("limit") is None else to_number(asked["limit"])
    return Options(
        watch=Watch(
            steps=not tracer,
            stack=not flag("disableStack"),
            memory=flag("enableMemory"),
            storage=not tracer and not flag("disableStorage"),
            returned=flag("enableReturnData"),
            limit=limit,
        ),
        calls=bool(tracer),
        top_only=flag("onlyTopCall", config),
        logs=flag("withLog", config),
    )


def trace_json(trace: Trace, options: Options, *, gas: int) -> Json:
    """A trace; ``gas`` is the transaction's limit."""
    outcome = trace.outcome
    if not options.calls:
        return {
            "gas": outcome.gas_used,
            "failed": not outcome.success,
            "returnValue": data(outcome.output),
            "structLogs": [_step(step) for step in trace.steps],
        }
    shown = _frame(trace.root, options, top=True, kept=True)
    return shown | {"gas": quantity(gas), "gasUsed": quantity(outcome.gas_used)}


def _step(step: Step) -> Json:
    shown: Json = {
        "pc": step.pc,
        "op": step.op,
        "gas": step.gas,
        "gasCost": step.cost,
        "depth": step.depth,
    }
    if step.stack is not None:
        shown["stack"] = [quantity(one) for one in step.stack]
    if step.memory is not None:
        blob = step.memory
        shown["memory"] = [data(blob[at : at + 32]) for at in range(0, len(blob), 32)]
    if step.storage is not None:
        shown["storage"] = {_word(slot): _word(value) for slot, value in step.storage.items()}
    if step.returned:
        shown["returnData"] = data(step.returned)
    if step.error not in ("", "Revert"):  # as geth: a revert is what was asked for
        shown["error"] = _ERRORS.get(step.error, step.error)
    return shown


def _frame(frame: Frame, options: Options, *, top: bool, kept: bool) -> Json:
    """``kept`` is false inside a frame that failed: what was logged there did not happen."""
    kept = kept and not frame.error
    shown: Json = {
        "type": frame.kind,
        "from": data(frame.sender),
        "to": data(frame.to),
        "gas": quantity(frame.gas),
        "gasUsed": quantity(frame.gas_used),
        "input": data(frame.data),
    }
    if frame.output:
        shown["output"] = data(frame.output)
    if frame.error:
        shown["error"] = _ERRORS.get(frame.error, frame.error)
        if (reason := reason_of(frame.output)) is not None:
            shown["revertReason"] = reason
    if frame.kind != "STATICCALL":
        shown["value"] = quantity(frame.value)
    if options.logs and kept and frame.logs:
        shown["logs"] = [
            {
                "address": data(address),
                "topics": [_word(topic) for topic in topics],
                "data": data(blob),
            }
            for address, topics, blob in frame.logs
        ]
    if frame.calls and not (top and options.top_only):
        shown["calls"] = [_frame(call, options, top=False, kept=kept) for call in frame.calls]
    return shown


def _word(number: int) -> str:
    return f"0x{number:064x}"
