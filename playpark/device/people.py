"""Who may log in here without the server, and how often somebody tried (R39, R41).

A wrong PIN is counted on the disk before it is looked at. The verifiers are sealed: this file
alone has nothing to try PINs on.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from sqlite3 import Connection, Row

from pydantic import BaseModel, ConfigDict, Field

from playpark.contracts.employees import EmployeeView
from playpark.device.database import Database

FREE_ATTEMPTS = 5
FIRST_LOCK, MAX_DOUBLINGS = timedelta(seconds=30), 6
"""As on the server: 30 s after the fifth wrong PIN in a row, then twice as long each time."""
FORGET_ATTEMPTS = timedelta(days=7)
MAX_NAMES = 1000
"""Of people whom nobody knows: a guesser does not fill the disk."""

_SECRET, _LATEST = "people-secret", "people-latest"


class SealedSecret(BaseModel):
    """The device's own secret for PINs, encrypted with the safe's secret of this `name`."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    sealed: str = Field(repr=False)


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who logged in here at `seen_at`, with what they might do then."""

    email: str
    employee: EmployeeView
    sealed: str
    seen_at: datetime


class PeopleRecord:
    """The people of a store. Blocks on the disk, from any thread."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # --- people -------------------------------------------------------------------------

    def keep(self, person: Person) -> None:
        """Somebody logged in with the server: wrong PINs before it no longer count, the time is the
        server's, and whoever had this address before has it no more."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO people VALUES (?, ?, ?, ?, ?)",
                (
                    person.employee.employee_id,
                    person.email,
                    person.employee.model_dump_json(),
                    person.sealed,
                    person.seen_at.isoformat(),
                ),
            )
            _start_again(connection, person.email, person.seen_at)

    def find(self, email: str) -> Person | None:
        row = self._database.row("SELECT * FROM people WHERE email = ?", email)
        return _person(row) if row else None

    def count(self) -> int:
        [row] = self._database.rows("SELECT count(*) FROM people")
        return int(row[0])

    def forget(self, employee_id: str) -> None:
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM people WHERE employee_id = ?", (employee_id,))

    def forget_all(self) -> None:
        """Everybody, and the secret of their PINs."""
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM people")
            connection.execute("DELETE FROM facts WHERE name = ?", (_SECRET,))

    # --- attempts -----------------------------------------------------------------------

    def reserve(self, email: str, now: datetime) -> float | None:
        """Count an attempt before it is looked at; the seconds to wait where it is none, for there
        were too many."""
        with self._database.transaction() as connection:
            row = connection.execute(
                "SELECT failed, locked_until FROM login_attempts WHERE email = ?", (email,)
            ).fetchone()
            failed = int(row["failed"]) if row else 0
            if (wait := _locked_for(row, now)) > timedelta():
                # A clock that was set back does not lock anybody out for longer.
                wait = min(wait, _lock(failed))
                _count(connection, email, failed, now, now + wait)
                return wait.total_seconds()
            failed += 1
            until = now + _lock(failed) if failed >= FREE_ATTEMPTS else None
            _count(connection, email, failed, now, until)
        return None

    def accept(self, email: str, now: datetime) -> None:
        """The PIN was right: the wrong ones before it no longer count."""
        with self._database.transaction() as connection:
            _start_again(connection, email, max(now, _latest(connection) or now))

    def latest(self) -> datetime | None:
        """The latest login here: a clock that was set back since makes nobody younger."""
        with self._database.transaction() as connection:
            return _latest(connection)

    # --- the device's secret ------------------------------------------------------------

    @property
    def secret(self) -> SealedSecret | None:
        row = self._database.row("SELECT value FROM facts WHERE name = ?", _SECRET)
        return SealedSecret.model_validate_json(row["value"]) if row else None

    def save_secret(self, secret: SealedSecret) -> None:
        """A new one: what was sealed with the one before opens no more."""
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM people")
            _save(connection, _SECRET, secret.model_dump_json())


def _person(row: Row) -> Person:
    return Person(
        email=row["email"],
        employee=EmployeeView.model_validate_json(row["employee"]),
        sealed=row["sealed"],
        seen_at=datetime.fromisoformat(row["seen_at"]),
    )


def _lock(failed: int) -> timedelta:
    return FIRST_LOCK * (1 << min(max(failed - FREE_ATTEMPTS, 0), MAX_DOUBLINGS))


def _locked_for(row: Row | None, now: datetime) -> timedelta:
    if row is None or row["locked_until"] is None:
        return timedelta()
    return datetime.fromisoformat(row["locked_until"]) - now


def _count(
    connection: Connection, email: str, failed: int, now: datetime, until: datetime | None
) -> None:
    connection.execute(
        "INSERT OR REPLACE INTO login_attempts VALUES (?, ?, ?, ?)",
        (email, failed, now.isoformat(), until.isoformat() if until else None),
    )
    stale = (now - FORGET_ATTEMPTS).isoformat()
    connection.execute("DELETE FROM login_attempts WHERE at < ?", (stale,))
    connection.execute(
        "DELETE FROM login_attempts WHERE email IN (SELECT email FROM login_attempts "
        "WHERE email NOT IN (SELECT email FROM people) ORDER BY at DESC LIMIT -1 OFFSET ?)",
        (MAX_NAMES,),
    )


def _start_again(connection: Connection, email: str, latest: datetime) -> None:
    connection.execute("DELETE FROM login_attempts WHERE email = ?", (email,))
    _save(connection, _LATEST, latest.isoformat())


def _latest(connection: Connection) -> datetime | None:
    row = connection.execute("SELECT value FROM facts WHERE name = ?", (_LATEST,)).fetchone()
    return datetime.fromisoformat(row["value"]) if row else None


def _save(connection: Connection, name: str, value: str) -> None:
    connection.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))
