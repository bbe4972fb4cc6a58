"""A store's counters, and the figures that a screen asks for at every key (R29, R38, R39).

The counters stand on the disk. The figures are counted once, when the file is opened, and carried
on with each transaction: they change when it is on the disk, and not where it fails.
"""

from dataclasses import dataclass, replace
from sqlite3 import Connection

from playpark.device.database import Database
from playpark.device.records import OpState, StoredOp, Unsynced

FIRST_EPOCH = 1
_EPOCH = "epoch"


def advance(connection: Connection, name: str) -> int:
    """The counter's next value; the first is 1."""
    row = connection.execute(
        "INSERT INTO counters VALUES (?, 1) "
        "ON CONFLICT (name) DO UPDATE SET value = value + 1 RETURNING value",
        (name,),
    ).fetchone()
    return int(row["value"])


def raise_to(connection: Connection, name: str, value: int) -> None:
    """A counter stands at `value` at least; it never goes back."""
    connection.execute(
        "INSERT INTO counters VALUES (?, ?) "
        "ON CONFLICT (name) DO UPDATE SET value = max(value, excluded.value)",
        (name, value),
    )


def enter_epoch(connection: Connection, epoch: int) -> None:
    """The sequence goes on in this epoch."""
    raise_to(connection, _EPOCH, epoch)


@dataclass(frozen=True, slots=True)
class Figures:
    """How things stand: the epoch, what waits for an answer, what waits for a person."""

    epoch: int
    queued: int
    unsynced: Unsynced
    quarantined: int

    @classmethod
    def count(cls, database: Database) -> "Figures":
        """Read them from the disk: once, when the file is opened."""
        epoch = database.row("SELECT value FROM counters WHERE name = ?", _EPOCH)
        [queued] = database.rows("SELECT count(*) FROM ops WHERE state = 'pending'")
        [sold] = database.rows(
            "SELECT count(*), coalesce(sum(json_extract(body, '$.rung.grand_total')), 0) "
            "FROM ops "
            "WHERE state = 'pending' AND kind = 'sale' "
            "AND NOT coalesce(json_extract(body, '$.training'), 0)"
        )
        [refused] = database.rows(
            "SELECT count(*) FROM ops "
            "WHERE state = 'rejected' AND json_extract(envelope, '$.committed')"
        )
        return cls(
            epoch=epoch["value"] if epoch else FIRST_EPOCH,
            queued=queued[0],
            unsynced=Unsynced(sold[0], sold[1]),
            quarantined=refused[0],
        )

    def entered(self, epoch: int) -> "Figures":
        return replace(self, epoch=epoch)

    def moved(self, before: StoredOp | None, after: StoredOp) -> "Figures":
        """The figures after an operation went from one standing to another; None: it is new."""
        gone, come = _weight(before), _weight(after)
        return replace(
            self,
            queued=self.queued - gone.queued + come.queued,
            unsynced=Unsynced(
                self.unsynced.count - gone.unsynced.count + come.unsynced.count,
                self.unsynced.satang - gone.unsynced.satang + come.unsynced.satang,
            ),
            quarantined=self.quarantined - gone.quarantined + come.quarantined,
        )


def _weight(op: StoredOp | None) -> Figures:
    """What one operation adds to the figures."""
    waits = op is not None and op.state is OpState.PENDING
    sold = op.sold if op is not None and waits else None
    return Figures(
        epoch=0,
        queued=int(waits),
        unsynced=Unsynced() if sold is None else Unsynced(1, sold),
        quarantined=int(op is not None and op.quarantined),
    )
