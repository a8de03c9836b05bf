"""The append-only log, on the standard library's SQLite.

The log is the truth about decisions, so it can only grow. Triggers refuse every UPDATE and
DELETE and every gap, whoever writes to the file; each record carries the hash of all before it,
so a change from outside that got past the triggers is found. The chain finds damage and
careless edits. It is no signature: who rewrites the whole file can recompute it.

The hash of record n is SHA-256(hash of n - 1 ‖ line of n), where the line is what
``export_jsonl`` prints without its ``hash`` and the first one follows 32 zero bytes.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from escrow.adapters.store.codec import decode, encode
from escrow.core.errors import BadInput, Refused
from escrow.core.state import Event

GENESIS: Final = bytes(32)
"""What the first record's hash follows."""
LOG_SCHEMA: Final = (
    "CREATE TABLE log (seq INTEGER PRIMARY KEY, stream TEXT NOT NULL,"
    " event BLOB NOT NULL, hash BLOB NOT NULL)",
    "CREATE TRIGGER log_no_update BEFORE UPDATE ON log"
    " BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END",
    "CREATE TRIGGER log_no_delete BEFORE DELETE ON log"
    " BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END",
    # Also stops INSERT OR REPLACE, which deletes without firing the trigger above.
    "CREATE TRIGGER log_no_gap BEFORE INSERT ON log"
    " WHEN NEW.seq <> (SELECT coalesce(max(seq) + 1, 0) FROM log)"
    " BEGIN SELECT RAISE(ABORT, 'the log has no gaps'); END",
)
"""Statements that make the table, in order; a file is only opened if it has exactly these."""

_APPLICATION_ID: Final = 0x4553434C
"""``ESCL`` in the file's header, so that a log is told from any other SQLite file."""
_BUSY_SECONDS: Final = 5
"""How long an append waits for another writer before it gives up."""
_CHUNK: Final = 1_000
"""Records read at a time: appending between two of them is safe."""


@dataclass(frozen=True, slots=True)
class Record:
    """One event in the log."""

    seq: int
    """Place in the log, from 0."""
    stream: str
    """Loan it belongs to; empty for what all loans share."""
    event: Event
    """What happened."""
    hash: bytes
    """SHA-256 over this record and all before it."""


def link(previous: bytes, *, seq: int, stream: str, payload: bytes) -> bytes:
    """Hash of a record from the one before it and its line."""
    return hashlib.sha256(previous + line_of(seq=seq, stream=stream, payload=payload)).digest()


def line_of(*, seq: int, stream: str, payload: bytes) -> bytes:
    """A record as one line of JSON, without its hash. Raises BadInput("world/format")."""
    try:
        quoted = json.dumps(stream, ensure_ascii=False).encode()
    except UnicodeError as error:
        raise BadInput("world/format", seq=seq, reason="stream") from error
    return b'{"seq":%d,"stream":%b,"event":%b}' % (seq, quoted, payload)


class Log:
    """An append-only sequence of events with a hash chain."""

    def __init__(self, path: str | Path = ":memory:") -> None:
        """Open ``path`` or make it; ``":memory:"`` is a private log that ends with the object.

        A file is kept in write-ahead mode, so readers never wait for the writer. Raises
        BadInput("world/format") for a file that is not such a log.
        """
        try:
            self._db = sqlite3.connect(path, isolation_level=None, timeout=_BUSY_SECONDS)
        except sqlite3.Error as error:
            raise BadInput("world/format", reason="cannot open") from error
        try:
            _prepare(self._db, in_file=str(path) != ":memory:")
        except sqlite3.Error as error:
            self._db.close()
            raise BadInput("world/format", reason="not a log") from error
        except BadInput:
            self._db.close()
            raise

    def append(self, entries: Sequence[tuple[str, Event]], *, expected: int) -> None:
        """Add ``(stream, event)`` pairs after ``expected`` records: all of them, or none.

        Stream ``""`` is for what all loans share, else the loan's id. Raises
        Refused("log/version") if the log is not ``expected`` long, or another writer holds it,
        Refused("log/write") if the disk refuses.
        """
        execute = self._db.execute
        try:
            execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:  # the rest is detail
                raise Refused("log/write", reason=str(error)) from error
            raise Refused("log/version", expected=expected, reason="busy") from error
        try:
            length, head = self._tip()
            if length != expected:
                raise Refused("log/version", expected=expected, length=length)
            for seq, (stream, event) in enumerate(entries, start=length):
                payload = encode(event)
                head = link(head, seq=seq, stream=stream, payload=payload)
                execute("INSERT INTO log VALUES (?, ?, ?, ?)", (seq, stream, payload, head))
            execute("COMMIT")
        except BaseException as error:
            if self._db.in_transaction:
                execute("ROLLBACK")
            if isinstance(error, sqlite3.OperationalError):
                raise Refused("log/write", reason=str(error)) from error
            raise

    def read(self, start: int = 0) -> Iterator[Record]:
        """Records from ``start`` on, up to the end as it is when reading begins.

        Raises BadInput("world/format") for an event that cannot be read.
        """
        for seq, stream, payload, digest in self._rows(start):
            yield Record(seq, stream, decode(payload), digest)

    @property
    def length(self) -> int:
        """Records in the log: what the next ``append`` must expect."""
        return self._tip()[0]

    @property
    def head(self) -> bytes:
        """Hash of the last record; 32 zero bytes for an empty log."""
        return self._tip()[1]

    def verify(self) -> None:
        """Recompute the chain. Raises BadInput("world/tampered") at the first wrong record."""
        previous, count = GENESIS, 0
        for seq, stream, payload, digest in self._rows(0):
            good = seq == count and isinstance(stream, str) and isinstance(payload, bytes)
            if not good or digest != link(previous, seq=seq, stream=stream, payload=payload):
                raise BadInput("world/tampered", seq=count)
            previous, count = digest, count + 1

    def export_jsonl(self) -> Iterator[str]:
        """One JSON object a record: ``seq``, ``stream``, ``event``, ``hash``; no line ends."""
        for seq, stream, payload, digest in self._rows(0):
            line = line_of(seq=seq, stream=stream, payload=payload).decode()
            yield f'{line[:-1]},"hash":"{digest.hex()}"}}'

    def copy(self) -> Log:
        """The same records in a private log of its own, for a fork. The copy is one step."""
        twin = Log()
        self._db.backup(twin._db)
        return twin

    def close(self) -> None:
        """Let go of the file. Closing twice does nothing."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        try:
            length, head = self._tip()
        except sqlite3.ProgrammingError:
            return "<Log closed>"
        return f"<Log of {length} records, head {head.hex()[:16]}>"

    def _tip(self) -> tuple[int, bytes]:
        row = self._db.execute("SELECT seq, hash FROM log ORDER BY seq DESC LIMIT 1").fetchone()
        if row and not isinstance(row[1], bytes):
            raise BadInput("world/tampered", seq=row[0])
        return (row[0] + 1, row[1]) if row else (0, GENESIS)

    def _rows(self, start: int) -> Iterator[tuple[int, str, bytes, bytes]]:
        end = self.length
        query = (
            "SELECT seq, stream, event, hash FROM log"
            " WHERE seq >= ? AND seq < ? ORDER BY seq LIMIT ?"
        )
        while rows := self._db.execute(query, (start, end, _CHUNK)).fetchall():
            yield from rows
            start = rows[-1][0] + 1


def schema_of(db: sqlite3.Connection) -> tuple[str, ...]:
    """Statements that made what is in the file, in order; automatic indexes have none."""
    rows = db.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY rowid")
    return tuple(row[0] for row in rows)


def _prepare(db: sqlite3.Connection, *, in_file: bool) -> None:
    db.execute("PRAGMA trusted_schema = OFF")
    if not schema_of(db):
        db.execute("BEGIN IMMEDIATE")
        # Another program may have made the log while this one waited.
        if not schema_of(db):
            for statement in LOG_SCHEMA:
                db.execute(statement)
            db.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
        db.execute("COMMIT")
    if schema_of(db) != LOG_SCHEMA:
        raise BadInput("world/format", reason="not a log")
    if in_file:
        # Each append is safe against a crash of the program; FULL also against a power cut.
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
