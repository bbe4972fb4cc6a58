"""The tickets that a gate may admit by itself, on its own disk (R21, R33, decision 0021).

An SQLite file beside the device store, read by key and never held in memory. It holds hashes, no
tokens, and nothing that the server could not tell again: a file that is damaged, of another version
or of another gate is thrown away. Methods block on the disk and may be called from any thread.
"""

import contextlib
import sqlite3
import threading
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from playpark.clock import UtcDatetime
from playpark.contracts.catalog import ZoneView
from playpark.contracts.gate import AllowedTicket, CertificateView, GateBootstrap
from playpark.offline_tickets import verify_certificate

SCHEMA_VERSION = 1
FROM_THE_FUTURE = timedelta(minutes=2)
"""A list that is further ahead of the clock than this has an age that nobody knows."""
EXPIRED_FOR, DENIED_FOR = timedelta(days=1), timedelta(days=4)
"""How long what is over, and what was denied, is still called by its name."""
_SCHEMA = f"""
CREATE TABLE head (body TEXT NOT NULL);
CREATE TABLE tickets (
    hash TEXT PRIMARY KEY, ticket_id TEXT NOT NULL, valid_to INTEGER NOT NULL, body TEXT NOT NULL
) WITHOUT ROWID;
CREATE UNIQUE INDEX by_ticket ON tickets (ticket_id);
CREATE TABLE denied (ticket_id TEXT PRIMARY KEY, told_at INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE contained (op_id TEXT PRIMARY KEY, told_at INTEGER NOT NULL) WITHOUT ROWID;
PRAGMA user_version = {SCHEMA_VERSION};
"""
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


class Head(BaseModel):
    """What the list says beside its tickets. `told` is the answer without its lists; `offset` what
    this gate's clock lacked to the server's when it came; `owner` the gate that asked for it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    owner: str
    window: int
    offset: timedelta
    at: UtcDatetime
    """By the server's clock."""
    told: GateBootstrap

    @property
    def longest(self) -> timedelta:
        """How old it may be while it admits."""
        return timedelta(hours=self.told.policy.allow_list_hours)

    def zone(self, zone_id: str | None) -> ZoneView | None:
        return next((zone for zone in self.told.zones if zone.zone_id == zone_id), None)

    def certificate(self, key_id: str) -> CertificateView | None:
        found = (each for each in self.told.certificates if each.key_id == key_id)
        return next(found, None)


class AllowList:
    """The list of one gate. Without one, or with one that cannot be read, `head` is None."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._turn = threading.RLock()
        self._writing = threading.Lock()
        self._head: Head | None = None
        self._closed = False
        self._open()

    def close(self) -> None:
        """What is still asked in another thread finds nothing."""
        with self._writing, self._turn:
            self._closed, self._head = True, None
            self._reader.close()
            self._writer.close()

    @property
    def head(self) -> Head | None:
        return self._head

    def age(self, now: datetime) -> timedelta | None:
        """How old the list is at `now`, by this gate's clock; None where there is none, or where
        its age is not known."""
        head = self._head
        if head is None:
            return None
        age = now + head.offset - head.at
        return max(age, timedelta()) if age >= -FROM_THE_FUTURE else None

    # --- what it says -------------------------------------------------------------------

    def by_hash(self, token_hash: str) -> AllowedTicket | None:
        """The ticket whose token has this SHA-256."""
        return self._entry("SELECT body FROM tickets WHERE hash = ?", token_hash)

    def by_id(self, ticket_id: str) -> AllowedTicket | None:
        return self._entry("SELECT body FROM tickets WHERE ticket_id = ?", ticket_id)

    def denies(self, ticket_id: str) -> bool:
        """Whether the ticket is known to admit no more."""
        return bool(self._rows("SELECT 1 FROM denied WHERE ticket_id = ?", ticket_id))

    def contained(self) -> set[str]:
        """The operations of this gate that the list takes into account already."""
        return {row[0] for row in self._rows("SELECT op_id FROM contained")}

    # --- what is told -------------------------------------------------------------------

    def apply(
        self,
        told: GateBootstrap,
        *,
        owner: str,
        window: int,
        now: datetime,
        contained: Collection[str] = (),
    ) -> None:
        """Take up an answer of the server, all of it or nothing. `now`: the moment of its
        `server_time` by the gate's clock; `contained`: operations that the server had answered
        before it was asked.

        Raises OSError where the disk does not take it.
        """
        at = told.server_time
        frame = told.model_copy(update={"allow": [], "deny": [], "certificates": _good(told)})
        head = Head(owner=owner, window=window, offset=at - now, at=at, told=frame)
        seconds = int(at.timestamp())
        with self._transaction() as connection:
            if told.since is not None and not self._continues(told.since):
                message = "These changes are of another list: it is loaded again."
                raise OSError(message)
            if told.since is None:
                for table in ("tickets", "denied", "contained"):
                    connection.execute(f"DELETE FROM {table}")  # noqa: S608 - our own names
            connection.executemany(
                "DELETE FROM tickets WHERE ticket_id = ?", ((each,) for each in told.deny)
            )
            connection.executemany(
                "INSERT OR REPLACE INTO denied VALUES (?, ?)",
                ((each, seconds) for each in told.deny),
            )
            connection.executemany(
                "DELETE FROM denied WHERE ticket_id = ?", ((each.ticket_id,) for each in told.allow)
            )
            connection.executemany(
                "INSERT OR REPLACE INTO tickets VALUES (?, ?, ?, ?)", _rows_of(told.allow)
            )
            connection.executemany(
                "INSERT OR REPLACE INTO contained VALUES (?, ?)",
                ((each, seconds) for each in contained),
            )
            _forget(connection, at)
            connection.execute("DELETE FROM head")
            connection.execute("INSERT INTO head VALUES (?)", (head.model_dump_json(),))
        self._head = head

    def throw_away(self) -> None:
        """Begin without a list, as on the first day."""
        with self._writing, self._turn:
            if self._closed:
                return
            self._head = None
            self._reader.close()
            self._writer.close()
            for suffix in ("", "-wal", "-shm"):
                self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
            self._connect()
            self._writer.executescript(_SCHEMA)

    # --- the file -----------------------------------------------------------------------

    def _open(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._connect()
        try:
            version = self._writer.execute("PRAGMA user_version").fetchone()[0]
            sound = self._writer.execute("PRAGMA quick_check").fetchone()[0] == "ok"
            if version != SCHEMA_VERSION or not sound:
                self.throw_away()
                return
            row = self._reader.execute("SELECT body FROM head").fetchone()
            self._head = Head.model_validate_json(row[0]) if row else None
        except (sqlite3.DatabaseError, ValidationError):
            self.throw_away()

    def _connect(self) -> None:
        """Two connections, so that a list which is being written delays no scan."""
        self._writer, self._reader = (
            sqlite3.connect(self._path, isolation_level=None, check_same_thread=False, timeout=5)
            for _ in range(2)
        )
        with contextlib.suppress(sqlite3.DatabaseError):  # what is damaged is seen when it is read
            self._writer.execute("PRAGMA journal_mode = WAL")
            self._writer.execute("PRAGMA synchronous = NORMAL")

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._writing:
            if self._closed:
                raise OSError("This gate is being switched off.")
            try:
                self._writer.execute("BEGIN IMMEDIATE")
                yield self._writer
                self._writer.execute("COMMIT")
            except sqlite3.DatabaseError as broken:
                if not _is_damaged(broken):
                    self._roll_back()
                    message = f"The disk does not take the list of tickets ({broken})."
                    raise OSError(message) from broken
            except BaseException:
                self._roll_back()
                raise
            else:
                return
        self.throw_away()
        message = "The list of tickets was damaged: it is thrown away and loaded again."
        raise OSError(message)

    def _continues(self, since: int) -> bool:
        return self._head is not None and self._head.told.version == since

    def _roll_back(self) -> None:
        if self._writer.in_transaction:
            self._writer.execute("ROLLBACK")

    def _entry(self, query: str, value: str) -> AllowedTicket | None:
        found = self._rows(query, value)
        return AllowedTicket.model_validate_json(found[0][0]) if found else None

    def _rows(self, query: str, *values: str) -> list[tuple[str]]:
        try:
            with self._turn:
                return self._reader.execute(query, values).fetchall()
        except sqlite3.DatabaseError:
            self.throw_away()  # without a list nobody is admitted by it
            return []


def _rows_of(entries: Iterable[AllowedTicket]) -> Iterator[tuple[str, str, int, str]]:
    for each in entries:
        body = each.model_dump_json(exclude_defaults=True)
        yield each.hash, each.ticket_id, int(each.valid_to.timestamp()), body


def _good(told: GateBootstrap) -> list[CertificateView]:
    """The certificates that the server's key has signed."""
    key = told.policy.certificate_key
    return [each for each in told.certificates if key and verify_certificate(each, key)]


def _forget(connection: sqlite3.Connection, at: datetime) -> None:
    """Let go of what nobody asks about any more."""
    over = int((at - EXPIRED_FOR).timestamp())
    connection.execute("DELETE FROM tickets WHERE valid_to < ?", (over,))
    for table in ("denied", "contained"):
        query = f"DELETE FROM {table} WHERE told_at < ?"  # noqa: S608 - our own names
        connection.execute(query, (int((at - DENIED_FOR).timestamp()),))


def _is_damaged(broken: sqlite3.DatabaseError) -> bool:
    return getattr(broken, "sqlite_errorcode", 0) & 0xFF in _DAMAGED
