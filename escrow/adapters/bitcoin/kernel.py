"""Bitcoin Core's validation engine, held at arm's length.

``py-bitcoinkernel`` is alpha: it aborts the process on a bad index, hangs when it is called
from its own callback, answers True for a block whose scripts fail, and tells a reject reason
only in its log. Those edges end here. Callbacks append to plain lists that know nothing of the
node, so that there is no reference cycle and closing frees everything at once.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import re
import sys
import threading
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import pbk
import pbk.capi.bindings as k
from pbk.script import PrecomputedTransactionData

from escrow.core.errors import Refused

_CONNECT_FAILED: Final = re.compile(r"ConnectBlock ([0-9a-f]{64}) failed, (.*)")
_ACCEPT_FAILED: Final = re.compile(r"AcceptBlock FAILED \((.*)\)")
_PROBED_VERSION: Final = "0.1.0a5"
_FLAGS: Final = pbk.ScriptVerificationFlags.ALL


@dataclass(frozen=True, slots=True)
class TipChange:
    """One step of the active chain: a block joined it or left it."""

    connected: bool
    """True when the block became the tip, False when it stopped being part of the chain."""
    hash: str
    """Block hash, display order."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the kernel said about one block."""

    accepted: bool
    """The block is valid as far as it was judged: on the active chain, or stored beside it."""
    reason: str
    """Core's reject string, empty if accepted."""
    changes: tuple[TipChange, ...]
    """What happened to the active chain meanwhile, in order."""


class Kernel:
    """One chainstate: blocks go in, verdicts and tip changes come out."""

    def __init__(self, datadir: Path, *, in_memory: bool, rebuild: bool) -> None:
        """Open or create the chain in ``datadir``.

        ``in_memory`` keeps the databases in RAM (the block files stay on disk). ``rebuild``
        throws the databases away and reads the block files again: after a kill nothing written
        since the last clean close is in them. Raises Refused("bitcoin/datadir").
        """
        self._changes: list[TipChange] = []
        self._invalid: set[str] = set()
        try:
            context = pbk.Context(_context_options(self._changes, self._invalid))
            options = pbk.ChainstateManagerOptions(context, str(datadir), str(datadir / "blocks"))
            options.update_block_tree_db_in_memory(in_memory)
            options.update_chainstate_db_in_memory(in_memory)
            if rebuild:
                options.set_wipe_dbs(True, True)
            self._manager = pbk.ChainstateManager(options)
            self._manager.import_blocks([])
        except RuntimeError as error:
            raise Refused("bitcoin/datadir", reason="locked-or-damaged") from error
        self._changes.clear()
        self._invalid.clear()

    def process(self, raw: bytes, *, block_hash: str) -> Verdict:
        """Give a block to the kernel and report what became of it.

        A refusal may be of an ancestor: a fork is judged only once it is the longest, and the
        last thing the kernel then reports is that an old block is valid again.
        """
        try:
            block = _block(raw)
        except RuntimeError:
            return Verdict(False, "not-a-block", ())
        lines: list[str] = []
        thread = threading.get_ident()

        def note(line: str) -> None:
            # The log is shared by all chains of the process; the kernel logs in the caller's
            # thread, so this keeps out what other threads' chains say meanwhile.
            if threading.get_ident() == thread and "failed" in line.lower():
                lines.append(line)

        with pbk.LoggingConnection(note):
            lines.clear()  # what was buffered before this call is someone else's
            self._changes.clear()
            self._invalid.clear()
            try:
                self._manager.process_block(block)
                processed = True
            except pbk.ProcessBlockException:
                processed = False
        changes = tuple(self._changes)
        if processed and not self._invalid:
            return Verdict(True, "", changes)
        return Verdict(False, _reason(lines, block_hash), changes)

    def blocks(self) -> list[bytes]:
        """Raw blocks of the active chain from height 1 on, read back from the block files."""
        chain = self._manager.get_active_chain()
        entries, stored = chain.block_tree_entries, self._manager.blocks
        return [bytes(stored[entries[height]]) for height in range(1, len(chain))]

    def read(self, block_hash: str) -> bytes:
        """A block the kernel accepted at any time, on the chain or beside it."""
        key = pbk.BlockHash(bytes.fromhex(block_hash)[::-1])
        return bytes(self._manager.blocks[self._manager.block_tree_entries[key]])

    def close(self) -> None:
        """Flush and free. Safe to call twice."""
        self._manager.__del__()


def verify_scripts(raw: bytes, spent: list[tuple[bytes, int]]) -> int | None:
    """Run every input's script under the consensus flags; index of the first that fails.

    ``spent`` are (script, sats) of the outputs spent, one an input in order: another number, or
    an index past the end, would abort the process, so the counts are compared first.
    """
    tx = pbk.Transaction(raw)
    assert len(tx.inputs) == len(spent), "one spent output an input"
    scripts = [pbk.ScriptPubkey(script) for script, _ in spent]
    outputs = [
        pbk.TransactionOutput(script, sats)
        for script, (_, sats) in zip(scripts, spent, strict=True)
    ]
    precomputed = PrecomputedTransactionData(tx, outputs)
    for index, (script, (_, sats)) in enumerate(zip(scripts, spent, strict=True)):
        try:
            valid = script.verify(sats, tx, precomputed, index, _FLAGS)
        except pbk.ScriptVerifyException:
            valid = False
        if not valid:
            return index
    return None


def _block(raw: bytes) -> Any:
    # pbk.Block() unpacks the bytes one Python integer at a time: 20 times slower.
    pointer = ctypes.cast(ctypes.c_char_p(raw), ctypes.POINTER(ctypes.c_ubyte))
    handle = k.btck_block_create(pointer, len(raw))
    if not handle:
        raise RuntimeError("not a block")
    return pbk.Block._from_handle(handle)


def _reason(lines: list[str], block_hash: str) -> str:
    connecting = [found for line in lines if (found := _CONNECT_FAILED.search(line))]
    accepting = [found for line in lines if (found := _ACCEPT_FAILED.search(line))]
    for found in connecting:
        if found[1] == block_hash:
            return found[2].strip()
    if accepting:
        return accepting[0][1].strip()
    return f"bad ancestor: {connecting[0][2].strip()}" if connecting else "invalid"


def _context_options(changes: list[TipChange], invalid: set[str]) -> Any:
    def checked(_: object, block: Any, state: Any) -> None:
        if state.validation_mode != pbk.ValidationMode.VALID:
            invalid.add(str(block.block_hash))

    def connected(_: object, block: Any, __: object) -> None:
        changes.append(TipChange(True, str(block.block_hash)))

    def disconnected(_: object, block: Any, __: object) -> None:
        changes.append(TipChange(False, str(block.block_hash)))

    parameters = pbk.ChainParameters(pbk.ChainType.REGTEST)
    _skip_consistency_checks(parameters)
    options = pbk.ContextOptions()
    options.set_chainparams(parameters)
    options.set_validation_interface(
        pbk.ValidationInterfaceCallbacks(
            block_checked=checked, block_connected=connected, block_disconnected=disconnected
        )
    )
    return options


def _skip_consistency_checks(parameters: Any) -> None:
    """Switch off the audit of the whole block index that regtest runs at every block.

    It makes a block cost time proportional to the height (6 ms at 10,000) and has no option.
    No rule of consensus depends on it. Where the flag is not found without doubt, nothing is
    touched and long chains are slow.
    """
    if (offset := _consistency_flag()) is not None:
        ctypes.memset(_address(parameters) + offset, 0, 1)


@functools.cache
def _consistency_flag() -> int | None:
    """Offset of ``fDefaultConsistencyChecks`` in Core's chain parameters, or None.

    It is the only place where regtest has two true bytes in a row (this flag and the one that
    makes the chain mockable) and every other network has two false ones. Only the wheel this
    was probed on is searched, inside the allocation the C library reports.
    """
    with contextlib.suppress(PackageNotFoundError, AttributeError, OSError):
        if sys.platform != "linux" or version("py-bitcoinkernel") != _PROBED_VERSION:
            return None
        usable = ctypes.CDLL(None).malloc_usable_size
        usable.restype, usable.argtypes = ctypes.c_size_t, (ctypes.c_void_p,)
        chains = {chain: pbk.ChainParameters(chain) for chain in pbk.ChainType}
        size = min(int(usable(_address(each))) for each in chains.values())
        images = {chain: ctypes.string_at(_address(each), size) for chain, each in chains.items()}
        regtest = images.pop(pbk.ChainType.REGTEST)
        found = [
            at
            for at in range(size - 1)
            if regtest[at : at + 2] == b"\x01\x01"
            and all(image[at : at + 2] == b"\x00\x00" for image in images.values())
        ]
        if len(found) == 1:
            return found[0]
    return None


def _address(parameters: Any) -> int:
    return int(ctypes.cast(parameters._as_parameter_, ctypes.c_void_p).value or 0)
