"""The operations of a device as they stand on the disk, for those who read them (R14, R35)."""

from collections.abc import Sequence
from datetime import datetime

from playpark.contracts.sync import MAX_OPS, OpKind
from playpark.device.database import Database
from playpark.device.numbers import Figures
from playpark.device.records import StoredOp, Unsynced

BATCH_BYTES = 3 * 1024 * 1024
"""A batch stays well below the server's 4 MiB (R56)."""

_STANDS = "state NOT IN ('rejected', 'handed_over')"


class Operations:
    """What a store knows of its operations. Blocks on the disk, from any thread."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._figures = Figures.count(database)

    # --- figures: they cost nothing to ask ----------------------------------------------

    @property
    def epoch(self) -> int:
        """The epoch in which the sequence goes on; the first is 1 (R38)."""
        return self._figures.epoch

    def queued_count(self) -> int:
        """How many operations the server has not answered."""
        return self._figures.queued

    def unsynced_sales(self) -> Unsynced:
        """Sales that the server has not answered: their count and their totals, without practice
        (R39: what `offline_cap` limits)."""
        return self._figures.unsynced

    def quarantined_count(self) -> int:
        """How many operations `quarantine` holds."""
        return self._figures.quarantined

    # --- operations ---------------------------------------------------------------------

    def op(self, op_id: str) -> StoredOp | None:
        found = self._ops("op_id = ?", op_id, limit=1)
        return found[0] if found else None

    def pending(self, *, after: tuple[int, int] = (0, 0), limit: int = MAX_OPS) -> list[StoredOp]:
        """The next batch behind (epoch, seq) `after`: unanswered operations of one epoch in
        their order, no more than the server takes in one body (R35, R56)."""
        waiting = self._ops("state = 'pending' AND (epoch, seq) > (?, ?)", *after, limit=limit)
        batch: list[StoredOp] = []
        room = BATCH_BYTES
        for op in waiting:
            room -= op.size
            if batch and (room < 0 or op.epoch != batch[0].epoch):
                break
            batch.append(op)
        return batch

    def oldest_pending_at(self) -> datetime | None:
        """When the longest waiting operation was made."""
        waiting = self.pending(limit=1)
        return waiting[0].occurred_at if waiting else None

    def rejected(self) -> list[StoredOp]:
        """All that the server refused for good and nobody has handed over, the oldest first:
        what had happened, and what it only was asked for (R35)."""
        return self._ops("state = 'rejected'")

    def quarantine(self) -> list[StoredOp]:
        """What the server refused for good although it had happened, and nobody has seen to, the
        oldest first; never deleted (R35)."""
        return [op for op in self.rejected() if op.quarantined]

    def pending_of(self, kinds: Sequence[OpKind]) -> list[StoredOp]:
        """Operations of these kinds that the server has not answered, the oldest first."""
        marks = ", ".join("?" * len(kinds))
        return self._ops(f"state = 'pending' AND kind IN ({marks})", *kinds)

    def of_shift(self, kind: OpKind, shift_id: str) -> list[StoredOp]:
        """Operations of a kind in one shift that were not refused, the oldest first."""
        where = f"kind = ? AND {_STANDS} AND instr(envelope, ?) > 0"
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
        where = f"kind IN ({marks}) AND {_STANDS}"
        return self._ops(where, *kinds, order="epoch DESC, seq DESC", limit=limit)

    def unprinted(self) -> list[StoredOp]:
        """Operations whose papers are due or in doubt, the oldest first; `papers` tells which."""
        return self._ops("printing IN ('due', 'printing', 'doubtful')")

    def _ops(
        self, where: str, *values: object, order: str = "epoch, seq", limit: int = -1
    ) -> list[StoredOp]:
        # `where` and `order` are texts of this module; every value is bound.
        query = f"SELECT * FROM ops WHERE {where} ORDER BY {order} LIMIT ?"  # noqa: S608
        return [StoredOp.of_row(row) for row in self._database.rows(query, *values, limit)]
