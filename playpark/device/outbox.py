"""Recording operations, and what becomes of them (R14, R23, R29, R34, R35, R38).

Each method that writes is one transaction: it has happened as a whole when the method returns, and
not at all where it raises or where the program dies before.
"""

import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from sqlite3 import Connection
from typing import Any

from playpark.clock import Clock
from playpark.contracts.sync import (
    OP_SCHEMA_VERSION,
    Counters,
    LocalOutcome,
    OpKind,
    OpResult,
    OpStatus,
)
from playpark.device.chain import as_json, chain_again, next_link
from playpark.device.database import Database
from playpark.device.numbers import Figures, advance, enter_epoch, raise_to
from playpark.device.operations import Operations
from playpark.device.records import (
    Allocator,
    Identity,
    OpState,
    PrintState,
    StoredOp,
    kept,
    link,
)
from playpark.errors import ErrorCode, PlayParkError
from playpark.ids import NewId

Local = LocalOutcome | Callable[[Allocator, dict[str, Any]], LocalOutcome]
"""What physically happened; or how to say so once the body stands, with numbers of the same
transaction: the tickets that a till signs by itself."""

_WHO = ("employee_id", "shift_id")
_SETTLED = {
    OpStatus.APPLIED: OpState.APPLIED,
    OpStatus.DUPLICATE: OpState.APPLIED,
    OpStatus.REJECTED: OpState.REJECTED,
}


@dataclass(slots=True)
class _Draft:
    """A transaction under way, and the figures as they will be when it is on the disk."""

    connection: Connection
    figures: Figures

    def op(self, op_id: str) -> StoredOp:
        """Raises E_NOT_FOUND."""
        row = self.connection.execute("SELECT * FROM ops WHERE op_id = ?", (op_id,)).fetchone()
        if row is None:
            raise PlayParkError(ErrorCode.NOT_FOUND, "This device made no such operation.")
        return StoredOp.of_row(row)

    def changed(self, before: StoredOp | None, op_id: str) -> StoredOp:
        """The operation as it stands now, with the figures carried on."""
        after = self.op(op_id)
        self.figures = self.figures.moved(before, after)
        return after


class Outbox(Operations):
    """Operations, from their record to the server's answer and beyond. Blocks on the disk, from
    any thread; writers take turns."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        new_id: NewId,
        identity: Callable[[], Identity | None],
    ) -> None:
        super().__init__(database)
        self._clock = clock
        self._new_id = new_id
        self._who = identity

    def new_id(self) -> str:
        """An op_id to choose before the operation is recorded."""
        return self._new_id()

    # --- recording ----------------------------------------------------------------------

    def append(
        self,
        kind: OpKind,
        build_body: Callable[[Allocator], dict[str, Any]],
        *,
        occurred_at: datetime,
        employee_id: str | None = None,
        shift_id: str | None = None,
        committed: bool = False,
        local: Local | None = None,
        prints: bool = False,
        op_id: str | None = None,
        approval: str | None = None,
        memo: dict[str, Any] | None = None,
    ) -> StoredOp:
        """Record one operation for good: it is on the disk when this returns (R14, R34).

        `build_body` gets the allocator and returns the frozen body as JSON values; a `local` that
        is a function gets the allocator and the body as it is frozen. What they raise undoes
        everything, numbers included. `prints`: paper is due for this operation. `op_id` where it
        was chosen before, for an `approval` that is bound to it (R42); `memo` is kept with it and
        never sent.
        Raises PlayParkError where the disk does not take it: then nothing has happened.
        """
        optional = {"employee_id": employee_id, "shift_id": shift_id, "approval": approval}
        envelope = {
            "op_id": op_id or self._new_id(),
            "kind": kind,
            "committed": committed,
            "occurred_at": occurred_at.isoformat(),
            **{name: value for name, value in optional.items() if value is not None},
        }
        with self._writing() as draft:
            return self._insert(draft, envelope, build_body, local, prints=prints, memo=memo)

    def _insert(
        self,
        draft: _Draft,
        envelope: dict[str, Any],
        build_body: Callable[[Allocator], dict[str, Any]],
        local: Local | None = None,
        *,
        prints: bool = False,
        memo: dict[str, Any] | None = None,
    ) -> StoredOp:
        """Append within a transaction: sequence, chain link, numbers and their ledger rows."""
        connection, epoch = draft.connection, draft.figures.epoch
        op_id, kind = envelope["op_id"], envelope["kind"]
        allocator = self._allocator(draft)
        body = json.loads(as_json(build_body(allocator)))
        outcome = local(allocator, body) if callable(local) else local
        seq, prev_hash = next_link(connection, epoch)
        sent = {
            **envelope,
            **({"local": _dump(outcome)} if outcome is not None else {}),
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
                epoch,
                seq,
                link(op_id, kind, seq, prev_hash, body),
                as_json(sent),
                as_json(body),
                PrintState.DUE if prints else PrintState.NONE,
                str(allocator.receipts[0]) if allocator.receipts else None,
                as_json(memo) if memo else None,
            ),
        )
        connection.executemany(
            "INSERT INTO receipts VALUES (?, ?, ?, ?, 'pending')",
            [(str(r), r.series, r.number, op_id) for r in allocator.receipts],
        )
        stored = draft.changed(None, op_id)
        stored.to_op_in()  # what could not be sent later must not be recorded now
        return stored

    def record_local(self, op_id: str, local: LocalOutcome, *, committed: bool) -> StoredOp:
        """Write what physically happened into an operation that has no such entry yet (R14).

        The operation is sent again with it, even where the server has answered the first copy.
        Raises E_NOT_FOUND for an unknown op_id, E_CONFLICT where it is written already.
        """
        with self._writing() as draft:
            op = draft.op(op_id)
            if "local" in op.envelope:
                message = "What happened is recorded already and is never rewritten."
                raise PlayParkError(ErrorCode.CONFLICT, message)
            return self._write_local(draft, op, local, committed=committed)

    def record_printed(
        self, op_id: str, sign: Callable[[Allocator], LocalOutcome]
    ) -> StoredOp | None:
        """The till prints this sale's tickets by itself: `sign` takes their serials and signs them,
        and what it returns is on the disk as the operation's `local` when this returns (R22, R23).

        Called again it signs nothing and gives the operation with the tickets that were signed.
        None: the server has answered, and the papers come from its answer, or it has refused.
        What `sign` raises undoes everything. Raises E_NOT_FOUND for an unknown op_id.
        """
        with self._writing() as draft:
            op = draft.op(op_id)
            if op.state is not OpState.PENDING:
                return None
            if "local" in op.envelope:
                return op
            local = sign(self._allocator(draft))
            return self._write_local(draft, op, local, committed=op.committed)

    def _write_local(
        self, draft: _Draft, op: StoredOp, local: LocalOutcome, *, committed: bool
    ) -> StoredOp:
        envelope = op.envelope | {"local": _dump(local), "committed": committed}
        draft.connection.execute(
            "UPDATE ops SET envelope = ?, state = 'pending' WHERE op_id = ?",
            (as_json(envelope), op.op_id),
        )
        written = draft.changed(op, op.op_id)
        written.to_op_in()
        return written

    # --- answers ------------------------------------------------------------------------

    def record_result(self, sent: StoredOp, result: OpResult) -> StoredOp:
        """Note the server's answer to one operation, as `record_results` does."""
        return self.record_results([(sent, result)])[0]

    def record_results(self, answers: Sequence[tuple[StoredOp, OpResult]]) -> list[StoredOp]:
        """Note the server's answers to operations as they were sent, all in one commit; retry and
        blocked change nothing. An operation whose envelope or epoch has changed since stays
        pending, to be sent again: its new place in the chain must not stay empty.

        A refused one that was not committed gives its receipt number up in the same commit: an
        `abandon` operation closes the number, so that none is without a fate (R29).
        """
        with self._writing() as draft:
            return [self._record(draft, sent, result) for sent, result in answers]

    def _record(self, draft: _Draft, sent: StoredOp, result: OpResult) -> StoredOp:
        state = _SETTLED.get(result.status)
        before = draft.op(sent.op_id)
        as_sent = (before.epoch, before.envelope) == (sent.epoch, sent.envelope)
        if state is None or before.state is not OpState.PENDING or not as_sent:
            return before
        left = kept(sent.kind, result.result)
        draft.connection.execute(
            "UPDATE ops SET state = ?, code = ?, message = ?, result = ?, "
            "dead_letter_id = coalesce(?, dead_letter_id) WHERE op_id = ?",
            (
                state,
                result.code,
                result.message,
                as_json(left) if left else None,
                result.dead_letter_id,
                sent.op_id,
            ),
        )
        self._close_numbers(draft, sent, state)
        return draft.changed(before, sent.op_id)

    def _close_numbers(self, draft: _Draft, sent: StoredOp, state: OpState) -> None:
        """The fate of the numbers of an answered operation (R29)."""
        ledger = "applied" if state is OpState.APPLIED else "dead_lettered"
        if state is OpState.REJECTED and not sent.committed:
            ledger = "abandoned"
            for number in draft.connection.execute(
                "SELECT receipt_no FROM receipts WHERE op_id = ?", (sent.op_id,)
            ).fetchall():
                self._abandon(draft, sent, number["receipt_no"])
        _mark_numbers(draft.connection, sent.op_id, ledger)

    def _abandon(self, draft: _Draft, sent: StoredOp, receipt_no: str) -> None:
        who = {name: sent.envelope[name] for name in _WHO if name in sent.envelope}
        envelope = {
            "op_id": self._new_id(),
            "kind": OpKind.ABANDON,
            "committed": True,
            "occurred_at": self._clock.now().isoformat(),
            **who,
        }
        body = {"op_id": sent.op_id, "receipt_no": receipt_no}
        self._insert(draft, envelope, lambda _: body)

    # --- quarantine ---------------------------------------------------------------------

    def retry(self, op_id: str) -> StoredOp:
        """Send an operation of the quarantine again, as it stands; one that waits already is left
        as it is (R35).

        Raises E_NOT_FOUND; E_CONFLICT for one that was booked, handed over, or had not happened.
        """
        with self._writing() as draft:
            op = draft.op(op_id)
            if op.state is OpState.PENDING:
                return op
            if not op.quarantined:
                raise PlayParkError(ErrorCode.CONFLICT, _NOT_TO_RETRY[op.state])
            draft.connection.execute(
                "UPDATE ops SET state = 'pending', code = NULL, message = NULL WHERE op_id = ?",
                (op_id,),
            )
            _mark_numbers(draft.connection, op_id, "pending")
            return draft.changed(op, op_id)

    def hand_over(self, op_id: str) -> StoredOp:
        """Leave an operation of the quarantine to the office, which finds it in the server's
        dead-letter list; it stays in this store (R35). One that was handed over is left as it is.

        Raises E_NOT_FOUND; E_CONFLICT where it is not in the quarantine, or where the server does
        not say that it has it.
        """
        with self._writing() as draft:
            op = draft.op(op_id)
            if op.state is OpState.HANDED_OVER:
                return op
            if not op.quarantined:
                message = "Only what the server has refused can be handed over."
                raise PlayParkError(ErrorCode.CONFLICT, message)
            if op.dead_letter_id is None:
                raise PlayParkError(ErrorCode.CONFLICT, _EXPORT_IT)
            draft.connection.execute(
                "UPDATE ops SET state = 'handed_over' WHERE op_id = ?", (op_id,)
            )
            return draft.changed(op, op_id)

    # --- epochs -------------------------------------------------------------------------

    def open_epoch(self, counters: Counters) -> int:
        """Go on above what the server knows of this device, whose store was set back or copied
        (R38); `counters` come with E_OUTBOX_REWOUND. Returns the epoch that the store is in now.

        All that waits is chained again in its order, with a new seq and prev_hash; op_ids and
        bodies stay, and so does what happened. Counters rise and never go back. The same counters
        again change nothing.
        """
        with self._writing() as draft:
            connection = draft.connection
            epoch = max(draft.figures.epoch, counters.epoch + 1)
            enter_epoch(connection, epoch)
            for series, number in counters.receipts.items():
                raise_to(connection, f"receipt:{series}", number)
            raise_to(connection, "short_code", counters.short_codes)
            for key_id, serial in counters.serials.items():
                raise_to(connection, f"serial:{key_id}", serial)
            left_behind = connection.execute(
                "SELECT * FROM ops WHERE state = 'pending' AND epoch < ? ORDER BY epoch, seq",
                (epoch,),
            )
            for row in left_behind.fetchall():
                chain_again(connection, StoredOp.of_row(row), epoch)
            draft.figures = draft.figures.entered(epoch)
        return epoch

    # --- transactions -------------------------------------------------------------------

    @contextlib.contextmanager
    def _writing(self) -> Iterator[_Draft]:
        # The turn is kept until the figures are those of the disk.
        with self._database.turn():
            with self._database.transaction() as connection:
                draft = _Draft(connection, self._figures)
                yield draft
            self._figures = draft.figures

    def _allocator(self, draft: _Draft) -> Allocator:
        connection = draft.connection
        return Allocator(self._who(), lambda name: advance(connection, name), self._new_id)


_NOT_TO_RETRY = {
    OpState.APPLIED: "The server has booked this operation: there is nothing to send again.",
    OpState.REJECTED: "This had not happened yet when it was refused: begin it anew.",
    OpState.HANDED_OVER: "This was handed over: the office settles it from its dead-letter list.",
}
_EXPORT_IT = (
    "The server did not say that it keeps this operation: export it (playpark device export) and "
    "give the file to the office."
)


def _mark_numbers(connection: Connection, op_id: str, fate: str) -> None:
    connection.execute("UPDATE receipts SET state = ? WHERE op_id = ?", (fate, op_id))


def _dump(local: LocalOutcome) -> dict[str, Any]:
    return local.model_dump(mode="json", exclude_unset=True)
