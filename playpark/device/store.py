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
from playpark.contracts.catalog import CatalogSnapshot
from playpark.contracts.sync import (
    MAX_OPS,
    OP_SCHEMA_VERSION,
    LocalOutcome,
    OpKind,
    OpResult,
    OpStatus,
)
from playpark.device.database import Database
from playpark.device.records import (
    Allocator,
    Identity,
    OpState,
    PrintState,
    RecentEmployee,
    StoredOp,
    link,
)
from playpark.errors import ErrorCode, PlayParkError
from playpark.ids import NewId, new_ulid

FIRST_EPOCH = 1
RECENT_EMPLOYEES = 8
BATCH_BYTES = 3 * 1024 * 1024
"""A batch stays well below the server's 4 MiB (R56)."""

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
        self._identity = self._fact("identity", Identity)
        row = database.row("SELECT count(*) FROM ops WHERE state = 'pending'")
        self._queued: int = row[0] if row else 0

    @classmethod
    def open(cls, path: Path, clock: Clock, *, new_id: NewId = new_ulid) -> Self:
        """Open or create the file `path`; what was on the printer when the program died becomes
        `doubtful`. Raises PlayParkError: in use by another process (with its pid), damaged
        (kept aside), not writable."""
        database = Database(path, clock.now())
        with database.transaction() as connection:
            connection.execute("UPDATE ops SET printing = 'doubtful' WHERE printing = 'printing'")
        return cls(database, clock, new_id)

    def close(self) -> None:
        self._database.close()

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
    ) -> StoredOp:
        """Record one operation for good: it is on the disk when this returns (R14, R34).

        `build_body` gets the allocator and returns the frozen body as JSON values; what it
        raises undoes everything, numbers included. `prints`: paper is due for this operation.
        Raises PlayParkError where the disk does not take it: then nothing has happened.
        """
        op_id = self._new_id()
        with self._database.transaction() as connection:
            allocator = Allocator(
                self._identity, lambda name: _advance(connection, name), self._new_id
            )
            body = json.loads(canonical_json(build_body(allocator)))
            seq = _advance(connection, f"seq:{FIRST_EPOCH}")
            previous = connection.execute(
                "SELECT link FROM ops WHERE epoch = ? AND seq = ?", (FIRST_EPOCH, seq - 1)
            ).fetchone()
            prev_hash = previous["link"] if previous else FIRST_HASH
            envelope: dict[str, Any] = {
                "op_id": op_id,
                "kind": kind,
                "seq": seq,
                "prev_hash": prev_hash,
                "schema_version": OP_SCHEMA_VERSION,
                "committed": committed,
                "occurred_at": occurred_at.isoformat(),
            }
            optional = {"employee_id": employee_id, "shift_id": shift_id, "local": _dump(local)}
            envelope |= {name: value for name, value in optional.items() if value is not None}
            receipt = str(allocator.receipts[0]) if allocator.receipts else None
            connection.execute(
                "INSERT INTO ops (op_id, kind, epoch, seq, link, envelope, body, state, printing,"
                " receipt_no) VALUES (?, ?, ?, ?, ?, ?, ?, 'pending', ?, ?)",
                (
                    op_id,
                    kind,
                    FIRST_EPOCH,
                    seq,
                    link(op_id, kind, seq, prev_hash, body),
                    _json(envelope),
                    _json(body),
                    PrintState.DUE if prints else PrintState.NONE,
                    receipt,
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
        self._queued += 1
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
        nothing. An operation whose envelope grew since stays pending, to be sent again."""
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
                        _json(kept) if (kept := _kept(sent.kind, result.result)) else None,
                        sent.op_id,
                        _json(sent.envelope),
                    ),
                ).rowcount
                if changed:
                    ledger = "applied" if state is OpState.APPLIED else "dead_lettered"
                    connection.execute(
                        "UPDATE receipts SET state = ? WHERE op_id = ?", (ledger, sent.op_id)
                    )
            stored = connection.execute(
                "SELECT * FROM ops WHERE op_id = ?", (sent.op_id,)
            ).fetchone()
            self._recount(connection)
        return StoredOp.of_row(stored)

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

    def recent(self, kinds: Sequence[OpKind], limit: int) -> list[StoredOp]:
        """The latest operations of these kinds that were not refused, the newest first."""
        marks = ", ".join("?" * len(kinds))
        where = f"kind IN ({marks}) AND state != 'rejected'"
        return self._ops(where, *kinds, order="epoch DESC, seq DESC", limit=limit)

    # --- paper --------------------------------------------------------------------------

    def unprinted(self) -> list[StoredOp]:
        """Operations whose paper is due or in doubt, the oldest first."""
        return self._ops("printing IN ('due', 'printing', 'doubtful')")

    def claim_print(self, op_id: str, expected: PrintState) -> bool:
        """Take an operation to the printer, from `expected`; False where somebody has (R23)."""
        with self._database.transaction() as connection:
            changed = connection.execute(
                "UPDATE ops SET printing = 'printing' WHERE op_id = ? AND printing = ?",
                (op_id, expected),
            ).rowcount
        return changed == 1

    def finish_print(self, op_id: str, outcome: PrintState) -> None:
        """How it went: printed, due again (nothing left the till), or doubtful."""
        with self._database.transaction() as connection:
            connection.execute("UPDATE ops SET printing = ? WHERE op_id = ?", (outcome, op_id))

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


def _kept(kind: OpKind, result: dict[str, Any] | None) -> dict[str, Any] | None:
    """What of an answer goes to the disk: ids and flags of a sale, and never a ticket's token."""
    if result is None or kind is not OpKind.SALE:
        return result
    sale = result.get("sale")
    if not isinstance(sale, dict):
        return None
    return {name: sale[name] for name in ("sale_id", "receipt_no", "flags") if name in sale}


def _dump(local: LocalOutcome | None) -> dict[str, Any] | None:
    return local.model_dump(mode="json", exclude_unset=True) if local else None


def _json(value: Any) -> str:
    return canonical_json(value).decode()
