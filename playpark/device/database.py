"""The SQLite file of a device: one process, every commit on the disk, nothing thrown away (R34).

A damaged file is moved aside and named; a full disk refuses the operation instead of losing it.
"""

import contextlib
import fcntl
import json
import os
import sqlite3
import threading
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from playpark.errors import ErrorCode, PlayParkError

SCHEMA_VERSION = 2

_SCHEMA = """
CREATE TABLE schema_version (version INTEGER NOT NULL);
INSERT INTO schema_version VALUES (2);
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE ops (
    op_id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    link TEXT NOT NULL,
    envelope TEXT NOT NULL,
    body TEXT NOT NULL,
    state TEXT NOT NULL,
    printing TEXT NOT NULL,
    receipt_no TEXT,
    code TEXT,
    message TEXT,
    result TEXT,
    memo TEXT,
    UNIQUE (epoch, seq)
);
CREATE INDEX ops_pending ON ops (epoch, seq) WHERE state = 'pending';
CREATE INDEX ops_unprinted ON ops (epoch, seq) WHERE printing IN ('due', 'printing', 'doubtful');
CREATE INDEX ops_by_kind ON ops (kind, epoch, seq);
CREATE TABLE receipts (
    receipt_no TEXT PRIMARY KEY,
    series TEXT NOT NULL,
    number INTEGER NOT NULL,
    op_id TEXT NOT NULL REFERENCES ops (op_id),
    state TEXT NOT NULL,
    UNIQUE (series, number)
) WITHOUT ROWID;
"""

_PAPERS = """
CREATE TABLE papers (
    op_id TEXT NOT NULL REFERENCES ops (op_id),
    name TEXT NOT NULL,
    state TEXT NOT NULL,
    PRIMARY KEY (op_id, name)
) WITHOUT ROWID;
"""
"""Each paper that was ever taken to the printer; one that never was is due (R23)."""

_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_FULL = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}


class Database:
    """One open file. Methods may be called from any thread; transactions take turns."""

    def __init__(self, path: Path, now: datetime) -> None:
        """Open or create `path`. Raises PlayParkError: in use, damaged, not writable."""
        self.path = path
        self._turn = threading.RLock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = _lock(path)
            # The file holds the device's token: its owner alone may read it.
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        except OSError as refused:
            message = f"{path} cannot be used ({refused.strerror}): choose another --data folder."
            raise PlayParkError(ErrorCode.UNAVAILABLE, message) from refused
        try:
            self._connection = _connect(path)
        except sqlite3.DatabaseError as broken:
            os.close(self._lock)
            raise self._explain(broken, now) from broken
        except PlayParkError:
            os.close(self._lock)
            raise

    def close(self) -> None:
        with self._turn:
            self._connection.close()
            os.close(self._lock)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All of the block or nothing of it; on the disk when the block is left.

        Raises PlayParkError for a full disk or a damaged file.
        """
        with self._turn:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                yield self._connection
                self._connection.execute("COMMIT")
            except sqlite3.DatabaseError as broken:
                self._roll_back()
                raise _sentence(self.path, broken) from broken
            except BaseException:
                self._roll_back()
                raise

    def rows(self, query: str, *values: object) -> list[sqlite3.Row]:
        with self._turn:
            try:
                return self._connection.execute(query, values).fetchall()
            except sqlite3.DatabaseError as broken:
                raise _sentence(self.path, broken) from broken

    def row(self, query: str, *values: object) -> sqlite3.Row | None:
        return next(iter(self.rows(query, *values)), None)

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def _explain(self, broken: sqlite3.DatabaseError, now: datetime) -> PlayParkError:
        if not _is(broken, _DAMAGED):
            return _sentence(self.path, broken)
        aside = f"{self.path.name}.damaged-{now:%Y%m%dT%H%M%S}"
        for suffix in ("", "-wal", "-shm"):
            part = self.path.with_name(self.path.name + suffix)
            if part.exists():
                part.rename(self.path.with_name(aside + suffix))
        message = (
            f"The device's data file was damaged. It is kept as {self.path.with_name(aside)} and "
            "may hold sales that the server has not seen: keep it and call support. "
            "Started again, this device has to be paired anew."
        )
        return PlayParkError(ErrorCode.UNAVAILABLE, message)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5)
    try:
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        _check(connection)
        _migrate(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _check(connection: sqlite3.Connection) -> None:
    if (found := connection.execute("PRAGMA quick_check").fetchone()[0]) != "ok":
        damaged = sqlite3.DatabaseError(found)
        damaged.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise damaged


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    tables = "SELECT count(*) FROM sqlite_master WHERE name = 'schema_version'"
    if not connection.execute(tables).fetchone()[0]:
        connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} {_PAPERS} COMMIT;")
    if connection.execute("SELECT version FROM schema_version").fetchone()[0] == 1:
        _from_version_1(connection)
    version = connection.execute("SELECT version FROM schema_version").fetchone()[0]
    if version != SCHEMA_VERSION:
        message = (
            f"{path} was written by another version of PlayPark (file version {version}, this "
            f"program reads {SCHEMA_VERSION}): install the newer program."
        )
        raise PlayParkError(ErrorCode.UNAVAILABLE, message)


def _from_version_1(connection: sqlite3.Connection) -> None:
    """Papers get rows of their own. Where the whole of a sale was in doubt, each paper is."""
    connection.executescript(f"BEGIN IMMEDIATE; {_PAPERS} ALTER TABLE ops ADD COLUMN memo TEXT;")
    doubtful = "SELECT op_id, body FROM ops WHERE printing IN ('printing', 'doubtful')"
    for row in connection.execute(doubtful).fetchall():
        tickets = [each for line in json.loads(row["body"]).get("ticket_ids", []) for each in line]
        connection.executemany(
            "INSERT INTO papers VALUES (?, ?, 'doubtful')",
            [(row["op_id"], name) for name in ("receipt", *tickets)],
        )
    connection.execute("UPDATE ops SET printing = 'doubtful' WHERE printing = 'printing'")
    connection.execute("UPDATE schema_version SET version = 2")
    connection.execute("COMMIT")


def _lock(path: Path) -> int:
    """Hold `<file>.lock` for as long as the process lives; it names the holder."""
    sidecar = os.open(path.with_name(path.name + ".lock"), os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(sidecar, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(sidecar, 20).decode("ascii", "replace").strip() or "unknown"
        os.close(sidecar)
        message = (
            f"{path.parent} is in use by another running program (process {holder}): "
            "close it first, or choose another --data folder."
        )
        raise PlayParkError(ErrorCode.CONFLICT, message) from None
    os.ftruncate(sidecar, 0)
    os.pwrite(sidecar, str(os.getpid()).encode(), 0)
    return sidecar


def _is(broken: sqlite3.DatabaseError, codes: set[int]) -> bool:
    # Extended codes carry the plain one in their low byte.
    return getattr(broken, "sqlite_errorcode", 0) & 0xFF in codes


def _sentence(path: Path, broken: sqlite3.DatabaseError) -> PlayParkError:
    if _is(broken, _FULL):
        message = (
            f"The disk that holds {path} is full or failing: nothing was recorded, so nothing "
            "may be sold. Free space on it, then try again."
        )
    elif _is(broken, _DAMAGED):
        message = f"The data file {path} is damaged: stop selling here and start the program anew."
    else:
        message = f"The data file {path} cannot be used ({broken}): check its folder and disk."
    return PlayParkError(ErrorCode.UNAVAILABLE, message)
