"""Reading a device's file without running the device: of any version, on a full disk, damaged.

What the server has not answered, and what it refused although it had happened, is what nobody else
has. A row of a damaged file counts only where the hash beside it still fits.
"""

import contextlib
import json
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from playpark.canonical import canonical_json
from playpark.contracts.gate import CertificateView
from playpark.contracts.sync import OpIn, OpKind
from playpark.device.database import Database, explained, hold, readable, unusable
from playpark.device.migrations import known_version
from playpark.device.numbers import FIRST_EPOCH
from playpark.device.records import ClockNote, Identity, OpState, link
from playpark.errors import ErrorCode, PlayParkError

M = TypeVar("M", bound=BaseModel)
_SETTLED = {OpState.APPLIED, OpState.HANDED_OVER}
_ROWS_IN_A_PAGE = 40
"""No row of an operation is shorter than a fortieth of a page."""


class KeptOp(BaseModel):
    """An operation that only this device has. `link` is the hash that its successor carries."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    epoch: int
    seq: int
    link: str
    state: OpState
    envelope: dict[str, Any]
    body: dict[str, Any] = Field(repr=False)
    receipt_no: str | None = None
    code: str | None = None
    message: str | None = None
    dead_letter_id: str | None = None

    def to_op_in(self) -> OpIn:
        """The operation as it is sent. Raises ValueError for one that never could be."""
        return OpIn.model_validate({**self.envelope, "body": self.body})


@dataclass(slots=True)
class Found:
    """What stands in a file. `unreadable`: operations of which something was found, and of which
    what was found does not hold together."""

    identity: Identity | None = None
    epoch: int = FIRST_EPOCH
    counters: dict[str, int] = field(default_factory=dict)
    ops: list[KeptOp] = field(default_factory=list)
    unreadable: int = 0
    people: int = 0
    clock: ClockNote | None = None
    certificate: CertificateView | None = None

    @property
    def pending(self) -> list[KeptOp]:
        return [op for op in self.ops if op.state is OpState.PENDING]

    @property
    def quarantine(self) -> list[KeptOp]:
        return [op for op in self.ops if op.state is OpState.REJECTED]

    @property
    def mark(self) -> str:
        """Changes with everything that would have to be exported again."""
        rows = [[op.link, op.epoch, op.state, op.envelope] for op in self.ops]
        return canonical_json(rows).decode()


@contextlib.contextmanager
def look_into(path: Path, *, damaged: bool = False) -> Iterator[sqlite3.Connection]:
    """The file, held against every other program; looking changes nothing of what it says.

    Raises PlayParkError: no such file, in use, of a newer program, not readable.
    """
    if not path.is_file():
        message = f"{path} is no file of a device: name the folder of its data (--data)."
        raise PlayParkError(ErrorCode.NOT_FOUND, message)
    with hold(path), contextlib.ExitStack() as held:
        try:
            connection = _open(path, held, damaged=damaged)
            if not damaged:
                known_version(connection, path)
            yield connection
        except sqlite3.DatabaseError as broken:
            raise explained(path, broken) from broken


def _open(path: Path, held: contextlib.ExitStack, *, damaged: bool) -> sqlite3.Connection:
    """On a full disk there is no room for the shared index of the log: who excludes others keeps
    it in memory. On a disk that takes nothing that does not work: a copy is opened."""
    connection = held.enter_context(contextlib.closing(_connect(path)))
    try:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        if damaged:  # else one that is shorter than it says is not opened at all
            connection.execute("PRAGMA writable_schema = ON")
        connection.execute("SELECT count(*) FROM sqlite_master").fetchall()
    except sqlite3.OperationalError:
        connection.close()
        try:
            copy = _copy(path, Path(held.enter_context(tempfile.TemporaryDirectory())))
        except OSError as refused:
            raise unusable(path, refused) from refused
        connection = held.enter_context(contextlib.closing(_connect(copy)))
    return connection


def _copy(path: Path, folder: Path) -> Path:
    for part in (path, path.with_name(f"{path.name}-wal")):
        if part.exists():
            shutil.copyfile(part, folder / part.name)
    return folder / path.name


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True)
    connection.isolation_level = None
    connection.row_factory = sqlite3.Row
    connection.text_factory = readable
    return connection


def read_out(connection: sqlite3.Connection, *, damaged: bool = False) -> Found:
    """What the file holds that nobody else has. Of a damaged one: what can be read of it."""
    found = Found()
    facts = {str(row["name"]): str(row["value"]) for row in _some(connection, "facts", damaged)}
    found.identity = _parsed(Identity, facts.get("identity"))
    found.clock = _parsed(ClockNote, facts.get("clock"))
    found.certificate = _parsed(CertificateView, facts.get("certificate"))
    for row in _some(connection, "counters", damaged):
        found.counters[str(row["name"])] = int(row["value"])
    found.epoch = found.counters.get("epoch", FIRST_EPOCH)
    rows = _row_by_row(connection, found) if damaged else _all_rows(connection)
    for row in rows:
        op = kept_op(row)
        if op is None:
            found.unreadable += 1
        elif op.state is OpState.PENDING or (
            op.state is OpState.REJECTED and op.envelope.get("committed")
        ):
            found.ops.append(op)
    found.ops.sort(key=lambda op: (op.epoch, op.seq))
    if not damaged:
        found.people = len(_some(connection, "people", damaged=True))
    return found


def holds_together(database: Database) -> bool:
    """Whether all that waits to be sent is what was recorded. SQLite sees a damaged page by its
    structure only: an amount with another digit looks as good to it."""
    rows = database.rows("SELECT * FROM ops WHERE state = 'pending'")
    return all(kept_op(row) is not None for row in rows)


def _all_rows(connection: sqlite3.Connection) -> Iterator[sqlite3.Row]:
    query = "SELECT * FROM ops WHERE state IN ('pending', 'rejected')"
    yield from connection.execute(query).fetchall()


def _row_by_row(connection: sqlite3.Connection, found: Found) -> Iterator[sqlite3.Row]:
    """Each row by its number in the table itself, so that a damaged page costs its own rows and a
    damaged index none."""
    for number in range(1, _most_rows(connection, found) + 1):
        try:
            row = connection.execute("SELECT * FROM ops WHERE rowid = ?", (number,)).fetchone()
        except sqlite3.DatabaseError:
            found.unreadable += 1
            continue
        if row is not None and row["state"] not in _SETTLED:
            yield row


def _most_rows(connection: sqlite3.Connection, found: Found) -> int:
    taken = sum(value for name, value in found.counters.items() if name.startswith("seq:"))
    try:
        highest = connection.execute("SELECT max(rowid) FROM ops").fetchone()[0] or 0
    except sqlite3.DatabaseError:
        highest = 0
    if found.counters or highest:
        return max(taken, int(highest))
    try:
        return int(connection.execute("PRAGMA page_count").fetchone()[0]) * _ROWS_IN_A_PAGE
    except sqlite3.DatabaseError:
        return 0


def _some(connection: sqlite3.Connection, table: str, damaged: bool) -> list[sqlite3.Row]:
    """The rows of a small table; of a damaged one those that come before the damage."""
    rows: list[sqlite3.Row] = []
    try:
        # `table` is a name of this module.
        rows.extend(connection.execute(f"SELECT * FROM {table}"))  # noqa: S608
    except sqlite3.DatabaseError:
        if not damaged:
            raise
    return rows


def kept_op(row: sqlite3.Row) -> KeptOp | None:
    """The operation of a row; None where it is not what was recorded."""
    names = set(row.keys())
    try:
        op = KeptOp(
            epoch=row["epoch"],
            seq=row["seq"],
            link=row["link"],
            state=OpState(row["state"]),
            envelope=json.loads(row["envelope"]),
            body=json.loads(row["body"]),
            receipt_no=row["receipt_no"],
            code=row["code"],
            message=row["message"],
            dead_letter_id=row["dead_letter_id"] if "dead_letter_id" in names else None,
        )
        sent = op.to_op_in()
        expected = link(sent.op_id, OpKind(row["kind"]), op.seq, sent.prev_hash or "", op.body)
    except (ValueError, TypeError):
        return None
    whole = expected == op.link and (sent.op_id, sent.seq) == (row["op_id"], row["seq"])
    return op if whole else None


def _parsed(model: type[M], text: str | None) -> M | None:
    try:
        return model.model_validate_json(text) if text else None
    except ValidationError:
        return None
