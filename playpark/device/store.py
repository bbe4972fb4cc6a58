"""A device's store: identity, catalogue, operations and receipt numbers (R14, R23, R29, R34).

An operation, its numbers and its ledger rows are one commit, before anything is printed. The
methods block on the disk and may be called from any thread: asyncio programs use a thread.
"""

import json
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from sqlite3 import Connection
from types import TracebackType
from typing import Any, Self, TypeVar

from pydantic import BaseModel, TypeAdapter

from playpark.canonical import canonical_json
from playpark.cash import FIRST_HASH
from playpark.clock import Clock
from playpark.contracts.snapshot import CatalogSnapshot
from playpark.contracts.sync import (
    MAX_OPS,
    OP_SCHEMA_VERSION,
    LocalOutcome,
    OpKind,
    OpResult,
    OpStatus,
)
from playpark.device.database import Database
from playpark.device.gate_record import GateRecord
from playpark.device.papers import PaperClaims
from playpark.device.records import (
    Allocator,
    Identity,
    OpState,
    PrintState,
    RecentEmployee,
    StoredOp,
    kept,
    link,
)
from playpark.device.till_key import SigningRecord
from playpark.errors import ErrorCode, PlayParkError
from playpark.ids import NewId, new_ulid

FIRST_EPOCH = 1
RECENT_EMPLOYEES = 8
BATCH_BYTES = 3 * 1024 * 1024
"""A batch stays well below the server's 4 MiB (R56)."""

_WHO = ("employee_id", "shift_id")

M = TypeVar("M", bound=BaseModel)
_PEOPLE = TypeAdapter(list[RecentEmployee])
_SETTLED = {
    OpStatus.APPLIED: OpState.APPLIED,
    OpStatus.DUPLICATE: OpState.APPLIED,
    OpStatus.REJECTED: OpState.REJECTED,
}


class DeviceStore:
    """Everything a till or gate must not forget. Open it with `DeviceStore.open`."""

    def __init__(self, database: Database, clock: Clock, new_id: NewId) -> None:
        self._database = database
        self._clock = clock
        self._new_id = new_id
        self.papers = PaperClaims(database)
        self.gate = GateRecord(database)
        self.signing = SigningRecord(database)
        self._identity = self._fact("identity", Identity)
        row = database.row("SELECT count(*) FROM ops WHERE state = 'pending'")
        self._queued: int = row[0] if row else 0

    @classmethod
    def open(cls, path: Path, clock: Clock, *, new_id: NewId = new_ulid) -> Self:
        """Open or create the file `path`; what was on the printer when the program died becomes
        `doubtful`. Raises PlayParkError: in use by another process (with its pid), damaged
        (kept aside), not writable."""
        return cls(Database(path, clock.now()), clock, new_id)

    def close(self) -> None:
        self._database.close()

    @property
    def folder(self) -> Path:
        """Where its file is."""
        return self._database.path.parent

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # --- who this device is, what it sells, who works here -------------------------------

    @property
    def identity(self) -> Identity | None:
        return self._identity

    def save_identity(self, identity: Identity) -> None:
        self._save("identity", identity.model_dump_json())
        self._identity = identity

    def catalog(self) -> CatalogSnapshot | None:
        """The snapshot that this device sells from, offline too (R12)."""
        return self._fact("catalog", CatalogSnapshot)

    def save_catalog(self, snapshot: CatalogSnapshot) -> None:
        self._save("catalog", snapshot.model_dump_json())

    def recent_employees(self) -> list[RecentEmployee]:
        """Who logged in here, the latest first."""
        row = self._database.row("SELECT value FROM facts WHERE name = 'employees'")
        return _PEOPLE.validate_json(row["value"]) if row else []

    def remember_employee(self, employee: RecentEmployee) -> None:
        others = [e for e in self.recent_employees() if e.employee_id != employee.employee_id]
        kept = [employee, *others][:RECENT_EMPLOYEES]
        self._save("employees", _PEOPLE.dump_json(kept).decode())

    # --- operations ---------------------------------------------------------------------

    def new_id(self) -> str:
        """An op_id to choose before the operation is recorded."""
        return self._new_id()

    def append(
        self,
        kind: OpKind,
        build_body: Callable[[Allocator], dict[str, Any]],
        *,
        occurred_at: datetime,
        employee_id: str | None = None,
        shift_id: str | None = None,
        committed: bool = False,
        local: LocalOutcome | None = None,
        prints: bool = False,
        op_id: str | None = None,
        approval: str | None = None,
        memo: dict[str, Any] | None = None,
    ) -> StoredOp:
        """Record one operation for good: it is on the disk when this returns (R14, R34).

        `build_body` gets the allocator and returns the frozen body as JSON values; what it
        raises undoes everything, numbers included. `prints`: paper is due for this operation.
        `op_id` where it was chosen before, for an `approval` that is bound to it (R42); `memo`
        is kept with it and never sent.
        Raises PlayParkError where the disk does not take it: then nothing has happened.
        """
        optional = {
            "employee_id": employee_id,
            "shift_id": shift_id,
            "local": _dump(local),
            "approval": approval,
        }
        envelope = {
            "op_id": op_id or self._new_id(),
            "kind": kind,
            "committed": committed,
            "occurred_at": occurred_at.isoformat(),
            **{name: value for name, value in optional.items() if value is not None},
        }
        with self._database.transaction() as connection:
            stored = self._insert(connection, envelope, build_body, prints=prints, memo=memo)
        self._queued += 1
        return stored

    def _insert(
        self,
        connection: Connection,
        envelope: dict[str, Any],
        build_body: Callable[[Allocator], dict[str, Any]],
        *,
        prints: bool = False,
        memo: dict[str, Any] | None = None,
    ) -> StoredOp:
        """Append within a transaction: sequence, chain link, numbers and their ledger rows."""
        op_id, kind = envelope["op_id"], envelope["kind"]
        allocator = Allocator(self._identity, lambda name: _advance(connection, name), self._new_id)
        body = json.loads(canonical_json(build_body(allocator)))
        seq = _advance(connection, f"seq:{FIRST_EPOCH}")
        previous = connection.execute(
            "SELECT link FROM ops WHERE epoch = ? AND seq = ?", (FIRST_EPOCH, seq - 1)
        ).fetchone()
        prev_hash = previous["link"] if previous else FIRST_HASH
        sent = {
            **envelope,
            "seq": seq,
            "prev_hash": prev_hash,
            "schema_version": OP_SCHEMA_VERSION,
        }
        connection.execute(
            "INSERT INTO ops (op_id, kind, epoch, seq, link, envelope, body, state, printing,"
            " receipt_no, memo) VALUES (?, ?, ?, ?, ?, ?, ?, 'pending', ?, ?, ?)",
            (
                op_id,
                kind,
                FIRST_EPOCH,
                seq,
                link(op_id, kind, seq, prev_hash, body),
                _json(sent),
                _json(body),
                PrintState.DUE if prints else PrintState.NONE,
                str(allocator.receipts[0]) if allocator.receipts else None,
                _json(memo) if memo else None,
            ),
        )
        connection.executemany(
            "INSERT INTO receipts VALUES (?, ?, ?, ?, 'pending')",
            [(str(r), r.series, r.number, op_id) for r in allocator.receipts],
        )
        stored = StoredOp.of_row(
            connection.execute("SELECT * FROM ops WHERE op_id = ?", (op_id,)).fetchone()
        )
        stored.to_op_in()  # what could not be sent later must not be recorded now
        return stored

    def record_local(self, op_id: str, local: LocalOutcome, *, committed: bool) -> StoredOp:
        """Write what physically happened into an operation that has no such entry yet (R14).

        The operation is sent again with it, even where the server has answered the first copy.
        Raises E_NOT_FOUND for an unknown op_id, E_CONFLICT where it is written already.
        """
        with self._database.transaction() as connection:
            row = connection.execute("SELECT * FROM ops WHERE op_id = ?", (op_id,)).fetchone()
            if row is None:
                raise PlayParkError(ErrorCode.NOT_FOUND, "This device made no such operation.")
            envelope = json.loads(row["envelope"])
            if "local" in envelope:
                message = "What happened is recorded already and is never rewritten."
                raise PlayParkError(ErrorCode.CONFLICT, message)
            envelope |= {"local": _dump(local), "committed": committed}
            connection.execute(
                "UPDATE ops SET envelope = ?, state = 'pending' WHERE op_id = ?",
                (_json(envelope), op_id),
            )
            stored = connection.execute("SELECT * FROM ops WHERE op_id = ?", (op_id,)).fetchone()
            self._recount(connection)
        return StoredOp.of_row(stored)

    def record_result(self, sent: StoredOp, result: OpResult) -> StoredOp:
        """Note the server's answer to the operation as it was `sent`; retry and blocked change
        nothing. An operation whose envelope grew since stays pending, to be sent again.

        A refused one that was not committed gives its receipt number up in the same commit: an
        `abandon` operation closes the number, so that none is without a fate (R29).
        """
        state = _SETTLED.get(result.status)
        with self._database.transaction() as connection:
            if state is not None:
                changed = connection.execute(
                    "UPDATE ops SET state = ?, code = ?, message = ?, result = ? "
                    "WHERE op_id = ? AND state = 'pending' AND envelope = ?",
                    (
                        state,
                        result.code,
                        result.message,
                        _json(left) if (left := kept(sent.kind, result.result)) else None,
                        sent.op_id,
                        _json(sent.envelope),
                    ),
                ).rowcount
                if changed:
                    self._close_numbers(connection, sent, state)
            stored = connection.execute(
                "SELECT * FROM ops WHERE op_id = ?", (sent.op_id,)
            ).fetchone()
            self._recount(connection)
        return StoredOp.of_row(stored)

    def _close_numbers(self, connection: Connection, sent: StoredOp, state: OpState) -> None:
        """The fate of the numbers of an answered operation (R29)."""
        ledger = "applied" if state is OpState.APPLIED else "dead_lettered"
        if state is OpState.REJECTED and not sent.committed:
            ledger = "abandoned"
            for number in connection.execute(
                "SELECT receipt_no FROM receipts WHERE op_id = ?", (sent.op_id,)
            ).fetchall():
                self._abandon(connection, sent, number["receipt_no"])
        connection.execute("UPDATE receipts SET state = ? WHERE op_id = ?", (ledger, sent.op_id))

    def _abandon(self, connection: Connection, sent: StoredOp, receipt_no: str) -> None:
        who = {name: sent.envelope[name] for name in _WHO if name in sent.envelope}
        envelope = {
            "op_id": self._new_id(),
            "kind": OpKind.ABANDON,
            "committed": True,
            "occurred_at": self._clock.now().isoformat(),
            **who,
        }
        body = {"op_id": sent.op_id, "receipt_no": receipt_no}
        self._insert(connection, envelope, lambda _: body)

    def op(self, op_id: str) -> StoredOp | None:
        row = self._database.row("SELECT * FROM ops WHERE op_id = ?", op_id)
        return StoredOp.of_row(row) if row else None

    def pending(self, *, after: tuple[int, int] = (0, 0), limit: int = MAX_OPS) -> list[StoredOp]:
        """The next batch behind (epoch, seq) `after`: unanswered operations of one epoch in
        their order, no more than the server takes in one body (R35, R56)."""
        rows = self._database.rows(
            "SELECT * FROM ops WHERE state = 'pending' AND (epoch, seq) > (?, ?) "
            "ORDER BY epoch, seq LIMIT ?",
            *after,
            limit,
        )
        batch: list[StoredOp] = []
        room = BATCH_BYTES
        for op in map(StoredOp.of_row, rows):
            room -= op.size
            if batch and (room < 0 or op.epoch != batch[0].epoch):
                break
            batch.append(op)
        return batch

    def queued_count(self) -> int:
        """How many operations the server has not answered; costs nothing to ask."""
        return self._queued

    def oldest_pending_at(self) -> datetime | None:
        """When the longest waiting operation was made."""
        waiting = self.pending(limit=1)
        return waiting[0].occurred_at if waiting else None

    def rejected(self) -> list[StoredOp]:
        """The quarantine: what the server refused for good, never deleted (R35)."""
        return self._ops("state = 'rejected'")

    def pending_of(self, kinds: Sequence[OpKind]) -> list[StoredOp]:
        """Operations of these kinds that the server has not answered, the oldest first."""
        marks = ", ".join("?" * len(kinds))
        return self._ops(f"state = 'pending' AND kind IN ({marks})", *kinds)

    def of_shift(self, kind: OpKind, shift_id: str) -> list[StoredOp]:
        """Operations of a kind in one shift that were not refused, the oldest first."""
        where = "kind = ? AND state != 'rejected' AND instr(envelope, ?) > 0"
        return self._ops(where, kind, f'"shift_id":"{shift_id}"')

    def by_receipt(self, receipt_no: str) -> StoredOp | None:
        """The operation that took this number here."""
        found = self._ops("receipt_no = ?", receipt_no, limit=1)
        return found[0] if found else None

    def sale_of_ticket(self, code: str) -> StoredOp | None:
        """The sale made here whose ticket has this id or short code."""
        found = self._ops("kind = 'sale' AND instr(body, ?) > 0", f'"{code}"', limit=1)
        return found[0] if found else None

    def recent(self, kinds: Sequence[OpKind], limit: int) -> list[StoredOp]:
        """The latest operations of these kinds that were not refused, the newest first."""
        marks = ", ".join("?" * len(kinds))
        where = f"kind IN ({marks}) AND state != 'rejected'"
        return self._ops(where, *kinds, order="epoch DESC, seq DESC", limit=limit)

    # --- paper --------------------------------------------------------------------------

    def unprinted(self) -> list[StoredOp]:
        """Operations whose papers are due or in doubt, the oldest first; `papers` tells which."""
        return self._ops("printing IN ('due', 'printing', 'doubtful')")

    # --- rows ---------------------------------------------------------------------------

    def _ops(
        self, where: str, *values: object, order: str = "epoch, seq", limit: int = -1
    ) -> list[StoredOp]:
        # `where` and `order` are texts of this module; every value is bound.
        query = f"SELECT * FROM ops WHERE {where} ORDER BY {order} LIMIT ?"  # noqa: S608
        return [StoredOp.of_row(row) for row in self._database.rows(query, *values, limit)]

    def _fact(self, name: str, model: type[M]) -> M | None:
        row = self._database.row("SELECT value FROM facts WHERE name = ?", name)
        return model.model_validate_json(row["value"]) if row else None

    def _save(self, name: str, value: str) -> None:
        with self._database.transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))

    def _recount(self, connection: Connection) -> None:
        query = "SELECT count(*) FROM ops WHERE state = 'pending'"
        self._queued = connection.execute(query).fetchone()[0]


def _advance(connection: Connection, name: str) -> int:
    """The counter's next value; the first is 1."""
    row = connection.execute(
        "INSERT INTO counters VALUES (?, 1) "
        "ON CONFLICT (name) DO UPDATE SET value = value + 1 RETURNING value",
        (name,),
    ).fetchone()
    return int(row["value"])


def _dump(local: LocalOutcome | None) -> dict[str, Any] | None:
    return local.model_dump(mode="json", exclude_unset=True) if local else None


def _json(value: Any) -> str:
    return canonical_json(value).decode()
