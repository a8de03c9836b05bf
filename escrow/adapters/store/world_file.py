"""A whole world in one SQLite file: the log, both chains' raw data, the random streams.

Rows are what the chains' own software reads, so the file can be looked into with ``sqlite3``
and its blocks fed to a stranger's node. Nothing in it is executed: no pickle, and a file whose
schema differs by a letter (a view, a trigger of someone's) is refused before a row is read.

A hash over every row finds truncation, bit rot and careless edits. It is no signature.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from escrow.adapters.store.codec import decode, encode
from escrow.adapters.store.sqlite import GENESIS, LOG_SCHEMA, link, schema_of
from escrow.core.errors import BadInput, Refused
from escrow.core.state import Event

WORLD_VERSION: Final = "1"
"""Version of the file's layout. Another one is refused: there is no guessing."""
MAX_WORLD: Final = 2**30
"""Largest file that is opened, in bytes: a thousand loans take a few megabytes."""
MAX_INT: Final = 2**63 - 1
"""Largest integer that SQLite keeps."""

_APPLICATION_ID: Final = 0x45534357
"""``ESCW`` in the file's header."""
_MAX_CELL: Final = 4_000_000
"""Longest value in bytes: a Bitcoin block has at most 4,000,000 weight units (BIP-141), so no
more bytes, and a damaged length must not allocate more."""
_SCHEMA: Final = (
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL)",
    *LOG_SCHEMA,
    "CREATE TABLE bitcoin_blocks (height INTEGER PRIMARY KEY, raw BLOB NOT NULL)",
    "CREATE TABLE bitcoin_mempool (seq INTEGER PRIMARY KEY, raw BLOB NOT NULL)",
    "CREATE TABLE evm_blocks (number INTEGER PRIMARY KEY, timestamp INTEGER NOT NULL)",
    "CREATE TABLE evm_txs (block INTEGER NOT NULL, idx INTEGER NOT NULL, raw BLOB NOT NULL,"
    " PRIMARY KEY (block, idx))",
    "CREATE TABLE streams (name TEXT PRIMARY KEY, counter INTEGER NOT NULL)",
)
# Table, columns in order, and the type of each.
_TABLES: Final[tuple[tuple[str, tuple[str, ...], tuple[type, ...]], ...]] = (
    ("meta", ("key", "value"), (str, str)),
    ("log", ("seq", "stream", "event", "hash"), (int, str, bytes, bytes)),
    ("bitcoin_blocks", ("height", "raw"), (int, bytes)),
    ("bitcoin_mempool", ("seq", "raw"), (int, bytes)),
    ("evm_blocks", ("number", "timestamp"), (int, int)),
    ("evm_txs", ("block", "idx", "raw"), (int, int, bytes)),
    ("streams", ("name", "counter"), (str, int)),
)
_OURS: Final = ("world_version", "content_hash")
"""Keys of ``meta`` that the file keeps for itself."""

_Rows = dict[str, list[tuple[Any, ...]]]


@dataclass(frozen=True, slots=True)
class EvmBlock:
    """An EVM block, as far as it must be told: the rest follows from its transactions."""

    number: int
    """Height, from 1; the genesis follows from the world's own parameters."""
    timestamp: int
    """Block time, unix seconds."""
    txs: tuple[bytes, ...] = ()
    """Raw signed transactions, in order."""


@dataclass(frozen=True, slots=True)
class WorldData:
    """Everything a world is made of."""

    meta: Mapping[str, str] = field(default_factory=dict)
    """What the world says of itself: seed, terms, versions. Text, not interpreted here."""
    log: tuple[tuple[str, Event], ...] = ()
    """Stream and event, in order, as ``Log.append`` takes them."""
    bitcoin_blocks: tuple[bytes, ...] = ()
    """Raw blocks of the best chain, from height 1."""
    bitcoin_mempool: tuple[bytes, ...] = ()
    """Raw transactions that wait, in order of arrival."""
    evm_blocks: tuple[EvmBlock, ...] = ()
    """EVM blocks in order, without a gap, from number 1."""
    streams: Mapping[str, int] = field(default_factory=dict)
    """How many draws each random stream has made, by name."""


def write_world(path: str | Path, data: WorldData) -> None:
    """Write ``data`` to ``path``: all of it, or nothing. A file of that name is replaced.

    The new file is complete and on disk before it takes the name, so a crash leaves the old
    one. Raises BadInput("world/format") for data that cannot be read back, Refused("log/write")
    if the disk refuses.
    """
    target = Path(path)
    rows = _rows_of(data)
    rows["meta"] += [("world_version", WORLD_VERSION)]
    rows["meta"] += [("content_hash", _content_hash(rows))]
    temporary = ""
    try:
        handle, temporary = tempfile.mkstemp(prefix=".world-", dir=target.parent)
        os.close(handle)
        _fill(temporary, rows)
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except (OSError, sqlite3.Error) as error:
        raise Refused("log/write", reason=type(error).__name__) from error
    finally:
        if temporary:
            Path(temporary).unlink(missing_ok=True)


def read_world(path: str | Path) -> WorldData:
    """Read a world back. The file is not changed.

    Raises BadInput: ``world/format`` for what is not such a file of this version, whole and
    within ``MAX_WORLD``; ``world/tampered`` if a hash does not match.
    """
    source = Path(path).absolute()
    try:
        if not source.is_file():
            raise BadInput("world/format", reason="no such file")
        if source.stat().st_size > MAX_WORLD:
            raise BadInput("world/format", reason="too large", max_bytes=MAX_WORLD)
        # Immutable: SQLite takes no lock and makes no file beside it, so a read-only disk works.
        with closing(sqlite3.connect(f"{source.as_uri()}?mode=ro&immutable=1", uri=True)) as db:
            rows = _read_rows(db)
    except (sqlite3.Error, OSError, UnicodeError, OverflowError) as error:
        raise BadInput("world/format", reason="not a world, or damaged") from error
    meta: dict[str, str] = dict(rows["meta"])
    expected = meta.pop("content_hash", "")
    rows["meta"] = [row for row in rows["meta"] if row[0] != "content_hash"]
    if expected != _content_hash(rows):
        raise BadInput("world/tampered", reason="content hash")
    del meta["world_version"]
    return WorldData(
        meta=meta,
        log=tuple(_events(rows["log"])),
        bitcoin_blocks=tuple(_numbered(rows["bitcoin_blocks"], first=1, table="bitcoin_blocks")),
        bitcoin_mempool=tuple(_numbered(rows["bitcoin_mempool"], first=0, table="bitcoin_mempool")),
        evm_blocks=tuple(_evm_blocks(rows)),
        streams=dict(rows["streams"]),
    )


def _rows_of(data: WorldData) -> _Rows:
    if any(key in _OURS for key in data.meta):
        raise BadInput("world/format", reason="a reserved key in meta")
    chain, head = [], GENESIS
    for seq, (stream, event) in enumerate(data.log):
        payload = encode(event)
        head = link(head, seq=seq, stream=stream, payload=payload)
        chain.append((seq, stream, payload, head))
    txs = [(block.number, n, raw) for block in data.evm_blocks for n, raw in enumerate(block.txs)]
    rows: _Rows = {
        "meta": sorted(data.meta.items()),
        "log": chain,
        "bitcoin_blocks": list(enumerate(data.bitcoin_blocks, start=1)),
        "bitcoin_mempool": list(enumerate(data.bitcoin_mempool)),
        "evm_blocks": [(block.number, block.timestamp) for block in data.evm_blocks],
        "evm_txs": txs,
        "streams": sorted(data.streams.items()),
    }
    for table, _, kinds in _TABLES:
        _check_cells(table, kinds, rows[table])
    try:
        list(_evm_blocks(rows))
    except BadInput as error:
        raise BadInput("world/format", **error.facts) from error
    return rows


def _fill(path: str, rows: _Rows) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        # The file has no name yet: a crash loses nothing that a journal could save.
        db.execute("PRAGMA journal_mode = OFF")
        db.execute("BEGIN")
        for statement in _SCHEMA:
            db.execute(statement)
        db.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
        for table, columns, _ in _TABLES:
            marks = ", ".join("?" * len(columns))
            db.executemany(f"INSERT INTO {table} VALUES ({marks})", rows[table])  # noqa: S608 names above
        db.execute("COMMIT")


def _read_rows(db: sqlite3.Connection) -> _Rows:
    # A row is bounded, not a cell: leave room for its other columns.
    db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 2 * _MAX_CELL)
    db.execute("PRAGMA trusted_schema = OFF")
    if schema_of(db) != _SCHEMA:
        raise BadInput("world/format", reason="another layout")
    version = db.execute("SELECT value FROM meta WHERE key = 'world_version'").fetchone()
    if version != (WORLD_VERSION,):
        raise BadInput("world/format", reason="another version")
    rows: _Rows = {}
    for table, columns, kinds in _TABLES:
        keys = ", ".join(columns)
        query = f"SELECT {keys} FROM {table} ORDER BY {keys}"  # noqa: S608 names above
        rows[table] = db.execute(query).fetchall()
        _check_cells(table, kinds, rows[table])
    return rows


def _check_cells(table: str, kinds: tuple[type, ...], rows: Iterable[tuple[Any, ...]]) -> None:
    for row in rows:
        for cell, kind in zip(row, kinds, strict=True):
            # Not isinstance: True is no height, and a text affinity hides no number.
            size = cell if type(cell) is int else len(cell) if type(cell) in (str, bytes) else -1
            if type(cell) is not kind or not 0 <= size <= (MAX_INT if kind is int else _MAX_CELL):
                raise BadInput("world/format", reason="wrong kind or size", table=table)


def _content_hash(rows: _Rows) -> str:
    """SHA-256 over every table's name and every cell, each with its length and kind before it."""
    digest = hashlib.sha256()
    try:
        for table, _, _ in _TABLES:
            digest.update(b"%b %d\n" % (table.encode(), len(rows[table])))
            for row in sorted(rows[table]):
                for cell in row:
                    kind = type(cell).__name__[0].encode()
                    raw = cell if isinstance(cell, bytes) else str(cell).encode()
                    digest.update(b"%b%d:%b" % (kind, len(raw), raw))
    except UnicodeError as error:
        raise BadInput("world/format", reason="text") from error
    return digest.hexdigest()


def _events(rows: list[tuple[Any, ...]]) -> Iterator[tuple[str, Event]]:
    head = GENESIS
    for count, (seq, stream, payload, digest) in enumerate(rows):
        head = link(head, seq=seq, stream=stream, payload=payload)
        if seq != count or head != digest:
            raise BadInput("world/tampered", seq=count)
        yield stream, decode(payload)


def _numbered(rows: list[tuple[Any, ...]], *, first: int, table: str) -> Iterator[bytes]:
    for expected, (number, raw) in enumerate(rows, start=first):
        if number != expected:
            raise BadInput("world/tampered", table=table, missing=expected)
        yield raw


def _evm_blocks(rows: _Rows) -> Iterator[EvmBlock]:
    txs: dict[int, list[bytes]] = {number: [] for number, _ in rows["evm_blocks"]}
    for block, index, raw in rows["evm_txs"]:
        if block not in txs or index != len(txs[block]):
            raise BadInput("world/tampered", table="evm_txs", block=block)
        txs[block].append(raw)
    before = 0
    for expected, (number, timestamp) in enumerate(rows["evm_blocks"], start=1):
        if number != expected or timestamp < before:
            raise BadInput("world/tampered", table="evm_blocks", block=expected)
        before = timestamp
        yield EvmBlock(number, timestamp, tuple(txs[number]))
