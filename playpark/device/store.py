"""A device's store: identity, catalogue, operations and receipt numbers (R14, R23, R29, R34).

The door to the rooms beside it: `Outbox` records operations, `Operations` reads them. The methods
block on the disk and may be called from any thread: asyncio programs use a thread.
"""

import contextlib
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from playpark.clock import Clock
from playpark.contracts.snapshot import CatalogSnapshot
from playpark.device.bundle import Bundle, note_of, salvage, save
from playpark.device.database import DamagedFileError, Database
from playpark.device.gate_record import GateRecord
from playpark.device.outbox import Outbox
from playpark.device.papers import PaperClaims
from playpark.device.people import PeopleRecord
from playpark.device.readout import holds_together, read_out
from playpark.device.records import ClockNote, Identity, RecentEmployee
from playpark.device.safe import Safe
from playpark.device.till_key import SigningRecord
from playpark.errors import PlayParkError
from playpark.ids import NewId, new_ulid

RECENT_EMPLOYEES = 8

M = TypeVar("M", bound=BaseModel)
_PEOPLE = TypeAdapter(list[RecentEmployee])


class DeviceStore(Outbox):
    """Everything a till or gate must not forget. Open it with `DeviceStore.open`."""

    def __init__(self, database: Database, clock: Clock, new_id: NewId) -> None:
        super().__init__(database, clock, new_id, lambda: self._identity)
        self.papers = PaperClaims(database)
        self.gate = GateRecord(database)
        self.signing = SigningRecord(database)
        self.people = PeopleRecord(database)
        self._identity = self._fact("identity", Identity)

    @classmethod
    def open(cls, path: Path, clock: Clock, *, new_id: NewId = new_ulid) -> Self:
        """Open or create the file `path`; what was on the printer when the program died becomes
        `doubtful`. Raises PlayParkError: in use by another process (with its pid), damaged (kept
        aside, and what can be read of it is saved), not writable, of a newer program."""
        now = clock.now()
        try:
            return cls._sound(Database(path, now), clock, new_id)
        except DamagedFileError as damaged:
            message = f"{damaged.message} {salvage(damaged.aside, now)}"
            raise PlayParkError(damaged.code, message) from damaged

    @classmethod
    def _sound(cls, database: Database, clock: Clock, new_id: NewId) -> Self:
        try:
            if holds_together(database):
                return cls(database, clock, new_id)
        except ValidationError:
            pass  # of the identity: a device that takes itself for a new one would be paired anew
        except BaseException:
            database.close()
            raise
        raise database.damaged(clock.now())

    def close(self) -> None:
        self._database.close()

    @property
    def file(self) -> Path:
        return self._database.path

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

    # --- the time -----------------------------------------------------------------------

    def clock(self) -> ClockNote | None:
        """What was heard last of the server's clock (R36)."""
        return self._fact("clock", ClockNote)

    def save_clock(self, offset_ms: int, heard_at: datetime) -> None:
        """The server's clock is `offset_ms` ahead of this device's, or behind it if negative."""
        note = ClockNote(offset_ms=offset_ms, heard_at=heard_at)
        self._save("clock", note.model_dump_json())

    # --- carried away -------------------------------------------------------------------

    def export(self, target: Path, key: str | Safe) -> Bundle:
        """Save what only this device has to `target`, for a passphrase or for its safe, and note
        that it was exported as it stands (R37). Selling goes on meanwhile.

        Raises E_VALIDATION for a short passphrase, E_CONFLICT where `target` exists, E_UNAVAILABLE
        where it cannot be written.
        """
        with self._database.transaction() as connection:
            found = read_out(connection)
        made = save(found, target, key, self._clock.now())
        with contextlib.suppress(PlayParkError):  # a full disk takes no note
            self._save(*note_of(found))
        return made

    # --- facts --------------------------------------------------------------------------

    def _fact(self, name: str, model: type[M]) -> M | None:
        row = self._database.row("SELECT value FROM facts WHERE name = ?", name)
        return model.model_validate_json(row["value"]) if row else None

    def _save(self, name: str, value: str) -> None:
        with self._database.transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))
