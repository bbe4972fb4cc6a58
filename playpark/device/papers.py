"""Which papers of an operation are out: one row a paper, claimed before a byte leaves (R23).

A paper that has no row was never taken to the printer. What was on the printer when the program
died is in doubt: a person looks before it is printed again.
"""

from playpark.device.database import Database
from playpark.device.records import PrintState


class PaperClaims:
    """The papers of a store's operations. Blocks on the disk, from any thread."""

    def __init__(self, database: Database) -> None:
        self._database = database
        with database.transaction() as connection:
            connection.execute(
                "UPDATE ops SET printing = 'doubtful' WHERE printing IN ('due', 'printing') AND "
                "op_id IN (SELECT op_id FROM papers WHERE state = 'printing')"
            )
            connection.execute("UPDATE papers SET state = 'doubtful' WHERE state = 'printing'")

    def of(self, op_id: str) -> dict[str, PrintState]:
        """The papers of an operation that were taken to the printer, by name."""
        rows = self._database.rows("SELECT name, state FROM papers WHERE op_id = ?", op_id)
        return {row["name"]: PrintState(row["state"]) for row in rows}

    def claim(self, op_id: str, name: str, expected: PrintState) -> bool:
        """Take a paper to the printer, from `expected` (due or doubtful); False where somebody
        has, or where it is out."""
        with self._database.transaction() as connection:
            if expected is PrintState.DUE:
                connection.execute(
                    "INSERT OR IGNORE INTO papers VALUES (?, ?, 'due')", (op_id, name)
                )
            changed = connection.execute(
                "UPDATE papers SET state = 'printing' WHERE op_id = ? AND name = ? AND state = ?",
                (op_id, name, expected),
            ).rowcount
        return changed == 1

    def finish(self, op_id: str, name: str, outcome: PrintState) -> None:
        """How it went: printed, due again (nothing left the till), or doubtful."""
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE papers SET state = ? WHERE op_id = ? AND name = ?", (outcome, op_id, name)
            )

    def confirm(self, op_id: str) -> None:
        """Somebody holds the papers in doubt in hand: they are out."""
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE papers SET state = 'printed' WHERE op_id = ? AND state = 'doubtful'",
                (op_id,),
            )
            connection.execute("UPDATE ops SET printing = 'due' WHERE op_id = ?", (op_id,))

    def settle(self, op_id: str, outcome: PrintState) -> None:
        """The operation as a whole: printed once all its papers are out."""
        with self._database.transaction() as connection:
            connection.execute("UPDATE ops SET printing = ? WHERE op_id = ?", (outcome, op_id))
