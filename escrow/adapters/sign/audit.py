"""What a signer was asked, and what it answered: one JSON object a line, each chained to the last.

The log is also the memory of what it guards: an entry carries the counters as they are after it.
A small file beside it names the last entry, so that lines cut off at the end are missed too. The
chain finds careless or partial changes; whoever can write both files can also write new ones.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Final

from escrow.adapters.sign.turns import held
from escrow.core.errors import EscrowError, Refused

MAX_LOG: Final = 64 * 2**20
"""Largest log that is read, bytes: about a hundred thousand signatures."""
GENESIS: Final = "0" * 64
"""What the first entry is chained to."""

_MAX_WORDS: Final = 4_000
_NOT_TEXT: Final = ("at", "counts")
_STRING: Final = re.compile(rb'"(?:[^"\\]|\\.)*"')


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened. Never a PIN, a key or a signature."""

    at: int
    """When, unix time on the clock of whoever asked."""
    what: str
    """``enrol``, ``key``, ``pin``, ``review``, ``sign``, ``unblock`` or ``lost``."""
    verdict: str
    """``done``, ``asked`` (the answer follows), or the code of the refusal."""
    digest: str = ""
    """What was signed, 32 bytes in hex; empty if nothing was."""
    txid: str = ""
    """The transaction that the signature is for."""
    words: str = ""
    """What the signer was shown."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """The signer's counters after this entry."""


class AuditLog:
    """An append-only log, in a file or in memory alone."""

    def __init__(self, path: Path | None = None, *, durable: bool = True) -> None:
        """Read what is there and check it. ``path`` need not exist; its folder must.

        ``durable``: an entry is on the disk, and not on its way there, when it is written. Raises
        Refused("signer/audit") if the folder does not let anybody take turns.
        """
        self._path = path
        self._durable = durable
        self._entries: list[Entry] = []
        self._hashes = [GENESIS]
        self._size = 0
        self.broken = False
        """The file is not what was written: nothing can be appended."""
        with self.exclusive():
            pass  # reads: log and anchor belong together only while nobody writes

    def __repr__(self) -> str:
        return f"AuditLog({len(self._entries)} entries{', broken' if self.broken else ''})"

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Every entry, oldest first."""
        return tuple(self._entries)

    @property
    def head(self) -> str:
        """Hash of the last entry: whoever notes it elsewhere can prove later what was cut."""
        return self._hashes[-1]

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Nobody else writes meanwhile: no other thread, no other process. Does not nest."""
        if self._path is None:
            yield
            return
        with ExitStack() as turn:
            try:
                turn.enter_context(held(self._path.with_suffix(".lock")))
            except OSError as error:
                raise Refused("signer/audit", reason=type(error).__name__) from error
            self.refresh()
            yield

    def refresh(self) -> None:
        """Read what others appended; find out whether the file is still whole."""
        if self._path is None or self.broken:
            return
        try:
            self._read(self._path)
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            self.broken = True

    def append(self, entry: Entry) -> None:
        """Write one entry. Call it within ``exclusive``.

        Raises Refused("signer/audit") if the log is broken or the disk refuses.
        """
        if self.broken:
            raise Refused("signer/audit", reason="altered")
        entry = _bounded(entry)
        line, head = _line(entry, number=len(self._entries), previous=self.head)
        if self._path is not None:
            try:
                self._write(self._path, line, head)
            except OSError as error:
                raise Refused("signer/audit", reason=type(error).__name__) from error
        self._entries.append(entry)
        self._hashes.append(head)
        self._size += len(line)

    def set_aside(self) -> None:
        """Keep a log that is broken under another name, as evidence, and begin a new one."""
        if self._path is None or not self.broken:
            return
        number = 1
        while (kept := self._path.with_suffix(f".broken-{number}")).exists():
            number += 1
        try:
            if self._path.exists():
                os.replace(self._path, kept)
            self._anchor.unlink(missing_ok=True)
        except OSError as error:
            raise Refused("signer/audit", reason=type(error).__name__) from error
        self._entries, self._hashes, self._size, self.broken = [], [GENESIS], 0, False

    @property
    def _anchor(self) -> Path:
        assert self._path is not None
        return self._path.with_suffix(".head")

    def _read(self, path: Path) -> None:
        if not path.exists():
            # Lines that were here, or that the anchor remembers, are gone.
            self.broken = bool(self._entries) or self._anchor.exists()
            return
        if not self._size <= path.stat().st_size <= MAX_LOG:
            raise ValueError("shorter than before, or absurdly long")
        with path.open("rb") as file:
            file.seek(self._size)
            new = file.read()
        # A line without its end was cut by a crash, before anything was done on its strength.
        whole = new[: new.rfind(b"\n") + 1]
        for line in whole.split(b"\n")[:-1]:
            entry, head = _parse(line + b"\n", number=len(self._entries), previous=self.head)
            self._entries.append(entry)
            self._hashes.append(head)
        self._size += len(whole)
        # The anchor follows the log, so a crash between the two leaves it one entry behind.
        anchored = self._anchor.read_text("ascii").split() if self._anchor.exists() else []
        count = int(anchored[0]) if anchored else 0
        if not len(self._entries) - 1 <= count <= len(self._entries):
            raise ValueError("cut off")
        if count and self._hashes[count] != anchored[1]:
            raise ValueError("another history")

    def _write(self, path: Path, line: bytes, head: str) -> None:
        file = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            os.ftruncate(file, self._size)
            os.lseek(file, 0, os.SEEK_END)
            written = os.write(file, line)
            if self._durable:
                os.fsync(file)
        finally:
            os.close(file)
        if written != len(line):
            raise OSError("short write")
        spare = path.with_suffix(".head-new")
        spare.write_text(f"{len(self._entries) + 1} {head}\n", "ascii")
        os.replace(spare, self._anchor)


@contextmanager
def refusals_noted(log: AuditLog, *, at: int, txid: str, words: str) -> Iterator[None]:
    """Whatever is raised inside is written to the log as a review that failed, and raised on."""
    try:
        yield
    except Exception as error:
        verdict = error.code if isinstance(error, EscrowError) else type(error).__name__
        with log.exclusive():
            counts = log.entries[-1].counts if log.entries else {}
            log.append(Entry(at, "review", verdict, txid=txid, words=words, counts=counts))
        raise


def _bounded(entry: Entry) -> Entry:
    return replace(entry, words=entry.words[:_MAX_WORDS])


def _fields(entry: Entry) -> dict[str, object]:
    return {**asdict(entry), "counts": dict(entry.counts)}


def _line(entry: Entry, *, number: int, previous: str) -> tuple[bytes, str]:
    body = {**_fields(entry), "number": number, "previous": previous}
    head = sha256(_json(body)).hexdigest()
    return _json({**body, "hash": head}) + b"\n", head


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode("ascii")


def _parse(line: bytes, *, number: int, previous: str) -> tuple[Entry, str]:
    # Deep nesting would end the process: py-evm lifts Python's bound on recursion.
    bare = _STRING.sub(b"", line)
    if b"[" in bare or bare.count(b"{") != 2:
        raise ValueError("not an entry")
    body = json.loads(line)
    head = body.pop("hash")
    del body["number"], body["previous"]
    entry = Entry(**body)
    if not (
        isinstance(entry.at, int)
        and all(isinstance(each, str) for name, each in body.items() if name not in _NOT_TEXT)
        and all(isinstance(count, int) for count in entry.counts.values())
    ):
        raise TypeError("not an entry")
    # Written again in its place it must be the same line: nothing unhashed can hide in it.
    if _line(entry, number=number, previous=previous) != (line, head):
        raise ValueError("altered")
    return entry, head
