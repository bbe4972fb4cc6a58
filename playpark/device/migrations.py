"""How the file of a device came to be, step by step; a new one goes through all steps (R34, R37).

A step is one transaction. Before the first step a copy of the file is put beside it and kept until
the new program has opened the file once more: whoever goes back to the old program needs it.
"""

import json
import os
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from sqlite3 import Connection

from playpark.errors import ErrorCode, PlayParkError

_FIRST = (
    "CREATE TABLE schema_version (version INTEGER NOT NULL)",
    "INSERT INTO schema_version VALUES (1)",
    "CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID",
    """CREATE TABLE ops (
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
        UNIQUE (epoch, seq)
    )""",
    "CREATE INDEX ops_pending ON ops (epoch, seq) WHERE state = 'pending'",
    """CREATE INDEX ops_unprinted ON ops (epoch, seq)
        WHERE printing IN ('due', 'printing', 'doubtful')""",
    "CREATE INDEX ops_by_kind ON ops (kind, epoch, seq)",
    """CREATE TABLE receipts (
        receipt_no TEXT PRIMARY KEY,
        series TEXT NOT NULL,
        number INTEGER NOT NULL,
        op_id TEXT NOT NULL REFERENCES ops (op_id),
        state TEXT NOT NULL,
        UNIQUE (series, number)
    ) WITHOUT ROWID""",
)


@dataclass(frozen=True, slots=True)
class Step:
    """What turns a file of the version before `version` into one of `version`. One that does not
    `carry` operations waits until all of them have their answer (R37)."""

    version: int
    change: Callable[[Connection], None]
    carries: bool = True


def _papers(connection: Connection) -> None:
    """Papers get rows of their own (R23); one without a row is due. Where the whole of a sale was
    in doubt, each paper is."""
    connection.execute(
        """CREATE TABLE papers (
            op_id TEXT NOT NULL REFERENCES ops (op_id),
            name TEXT NOT NULL,
            state TEXT NOT NULL,
            PRIMARY KEY (op_id, name)
        ) WITHOUT ROWID"""
    )
    connection.execute("ALTER TABLE ops ADD COLUMN memo TEXT")
    doubtful = "SELECT op_id, body FROM ops WHERE printing IN ('printing', 'doubtful')"
    for op_id, body in connection.execute(doubtful).fetchall():
        tickets = [each for line in json.loads(body).get("ticket_ids", []) for each in line]
        connection.executemany(
            "INSERT INTO papers VALUES (?, ?, 'doubtful')",
            [(op_id, name) for name in ("receipt", *tickets)],
        )
    connection.execute("UPDATE ops SET printing = 'doubtful' WHERE printing = 'printing'")


def _quarantine_and_people(connection: Connection) -> None:
    """Where the server keeps what it refused (R35), and who may log in without it (R39)."""
    connection.execute("ALTER TABLE ops ADD COLUMN dead_letter_id TEXT")
    connection.execute("CREATE INDEX ops_rejected ON ops (epoch, seq) WHERE state = 'rejected'")
    connection.execute(
        """CREATE TABLE people (
            employee_id TEXT PRIMARY KEY,
            email TEXT NOT NULL UNIQUE,
            employee TEXT NOT NULL,
            sealed TEXT NOT NULL,
            seen_at TEXT NOT NULL
        ) WITHOUT ROWID"""
    )
    connection.execute(
        """CREATE TABLE login_attempts (
            email TEXT PRIMARY KEY,
            failed INTEGER NOT NULL,
            at TEXT NOT NULL,
            locked_until TEXT
        ) WITHOUT ROWID"""
    )


STEPS = (Step(2, _papers), Step(3, _quarantine_and_people))
SCHEMA_VERSION = STEPS[-1].version


def bring_up(connection: Connection, path: Path, steps: Sequence[Step] = STEPS) -> None:
    """Make the file one of this program. Raises PlayParkError for a file of a newer program, and
    where operations wait that a step cannot carry; sqlite3 and OS errors of the disk. Then the
    file is as it was, or as a step before left it: sound either way."""
    newest = steps[-1].version
    if _is_empty(connection):
        with _transaction(connection):
            for statement in _FIRST:
                connection.execute(statement)
            for step in steps:
                _take(connection, step)
        return
    found = known_version(connection, path, newest)
    due = [step for step in steps if step.version > found]
    if not due:
        _drop_copies(path, found)
        return
    if not all(step.carries for step in due):
        _refuse_while_waiting(connection, path)
    _copy(connection, path.with_name(f"{path.name}.v{found}"))
    for step in due:
        with _transaction(connection):
            _take(connection, step)


def known_version(connection: Connection, path: Path, newest: int = SCHEMA_VERSION) -> int:
    """The version of a file that is not empty. Raises PlayParkError for a newer program's."""
    found = int(connection.execute("SELECT version FROM schema_version").fetchone()[0])
    if found > newest:
        message = (
            f"{path} was written by a newer version of PlayPark (file version {found}, this "
            f"program reads up to {newest}): install the newer program."
        )
        raise PlayParkError(ErrorCode.UNAVAILABLE, message)
    return found


def _is_empty(connection: Connection) -> bool:
    tables = "SELECT count(*) FROM sqlite_master WHERE name = 'schema_version'"
    return not connection.execute(tables).fetchone()[0]


def _take(connection: Connection, step: Step) -> None:
    step.change(connection)
    connection.execute("UPDATE schema_version SET version = ?", (step.version,))


def _transaction(connection: Connection) -> Connection:
    # The connection's own block commits, or rolls back where it raises.
    connection.execute("BEGIN IMMEDIATE")
    return connection


def _refuse_while_waiting(connection: Connection, path: Path) -> None:
    waiting = connection.execute("SELECT count(*) FROM ops WHERE state = 'pending'").fetchone()[0]
    if waiting:
        message = (
            f"{path} holds {waiting} operations that the server has not seen, and this program "
            "cannot take them over: start the former program, let it send them (or export them), "
            "then start this one again."
        )
        raise PlayParkError(ErrorCode.CONFLICT, message)


def _copy(connection: Connection, target: Path) -> None:
    """A whole copy or none: it gets its name when it is on the disk."""
    unfinished = target.with_name(f"{target.name}.part")
    unfinished.unlink(missing_ok=True)
    try:
        # It holds the device's token like the file itself.
        os.close(os.open(unfinished, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        copy = sqlite3.connect(unfinished)
        try:
            connection.backup(copy)
        finally:
            copy.close()
        unfinished.replace(target)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def _drop_copies(path: Path, current: int) -> None:
    for version in range(1, current):
        path.with_name(f"{path.name}.v{version}").unlink(missing_ok=True)
