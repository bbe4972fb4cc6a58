"""The SQLite file of a device: one process, every commit on the disk, nothing thrown away (R34).

A damaged file is moved aside and named; a full disk refuses the operation instead of losing it.
"""

import contextlib
import errno
import fcntl
import os
import sqlite3
import threading
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from playpark.device.migrations import bring_up
from playpark.errors import ErrorCode, PlayParkError

_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_FULL = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}


class DamagedFileError(PlayParkError):
    """The file was damaged; it is kept as `aside`."""

    def __init__(self, path: Path, aside: Path) -> None:
        super().__init__(
            ErrorCode.UNAVAILABLE,
            f"The device's data file {path.name} was damaged. It is kept as {aside} and may hold "
            "sales that the server has not seen: keep it and call support. "
            "Started again, this device has to be paired anew.",
        )
        self.aside = aside


class Database:
    """One open file. Methods may be called from any thread; transactions take turns."""

    def __init__(self, path: Path, now: datetime) -> None:
        """Open or create `path`. Raises PlayParkError: in use, damaged, not writable."""
        self.path = path
        self._turn = threading.RLock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = _lock(path)
        except OSError as refused:
            raise unusable(path, refused) from refused
        try:
            # The file holds the device's token: its owner alone may read it.
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
            self._connection = _connect(path)
        except sqlite3.DatabaseError as broken:
            # The lock is held until the damaged file is aside.
            with _closing(self._lock):
                raise self._explain(broken, now) from broken
        except OSError as refused:
            with _closing(self._lock):
                raise unusable(path, refused) from refused
        except BaseException:
            os.close(self._lock)
            raise

    def close(self) -> None:
        with self._turn:
            self._connection.close()
            os.close(self._lock)

    def damaged(self, now: datetime) -> DamagedFileError:
        """Close it and move it aside: what stands in it does not hold together."""
        with self._turn, _closing(self._lock):
            self._connection.close()
            return DamagedFileError(self.path, put_aside(self.path, _damaged_at(now)))

    def turn(self) -> threading.RLock:
        """Held, nobody else reads or writes; a transaction within it belongs to the holder."""
        return self._turn

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All of the block or nothing of it; on the disk when the block is left.

        Raises PlayParkError for a full disk or a damaged file.
        """
        with self._turn:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                yield self._connection
                self._connection.execute("COMMIT")
            except sqlite3.DatabaseError as broken:
                self._roll_back()
                raise explained(self.path, broken) from broken
            except BaseException:
                self._roll_back()
                raise

    def rows(self, query: str, *values: object) -> list[sqlite3.Row]:
        with self._turn:
            try:
                return self._connection.execute(query, values).fetchall()
            except sqlite3.DatabaseError as broken:
                raise explained(self.path, broken) from broken

    def row(self, query: str, *values: object) -> sqlite3.Row | None:
        return next(iter(self.rows(query, *values)), None)

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def _explain(self, broken: sqlite3.DatabaseError, now: datetime) -> PlayParkError:
        if not _is(broken, _DAMAGED):
            return explained(self.path, broken)
        return DamagedFileError(self.path, put_aside(self.path, _damaged_at(now)))


def _damaged_at(now: datetime) -> str:
    return f"damaged-{now:%Y%m%dT%H%M%S}"


@contextlib.contextmanager
def hold(path: Path) -> Iterator[None]:
    """Keep every other program away from a file, to read it or to move it. Raises PlayParkError
    where one has it."""
    try:
        lock = _lock(path)
    except OSError as refused:
        if refused.errno != errno.EROFS:
            raise unusable(path, refused) from refused
        yield  # no program runs on a disk that takes nothing
        return
    with _closing(lock):
        yield


def put_aside(path: Path, why: str) -> Path:
    """Move a closed file and what belongs to it to `<file>.<why>`, beside it; nothing that lies
    there already is replaced. Raises PlayParkError where the folder does not take it."""
    aside = path.with_name(f"{path.name}.{why}")
    times = 1
    while aside.exists():
        times += 1
        aside = path.with_name(f"{path.name}.{why}-{times}")
    try:
        # The main file last: a file without its log would be an older one.
        for suffix in ("-shm", "-wal", ""):
            part = path.with_name(path.name + suffix)
            if part.exists():
                part.rename(aside.with_name(aside.name + suffix))
    except OSError as refused:
        message = f"{path} cannot be moved aside ({refused.strerror}): check its folder and disk."
        raise PlayParkError(ErrorCode.UNAVAILABLE, message) from refused
    return aside


@contextlib.contextmanager
def _closing(handle: int) -> Iterator[None]:
    try:
        yield
    finally:
        os.close(handle)


def unusable(path: Path, refused: OSError) -> PlayParkError:
    """What the system says about a file, for the person at the device."""
    message = f"{path} cannot be used ({refused.strerror}): choose another --data folder."
    return PlayParkError(ErrorCode.UNAVAILABLE, message)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5)
    try:
        connection.row_factory = sqlite3.Row
        connection.text_factory = readable
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        _check(connection)
        bring_up(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def readable(raw: bytes) -> str:
    """A text of the file: what is none any more is found by its hash, not by an exception."""
    return raw.decode("utf-8", "replace")


def _check(connection: sqlite3.Connection) -> None:
    if (found := connection.execute("PRAGMA quick_check").fetchone()[0]) != "ok":
        damaged = sqlite3.DatabaseError(found)
        damaged.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise damaged


def _lock(path: Path) -> int:
    """Hold `<file>.lock` for as long as the process lives; it names the holder."""
    sidecar = os.open(path.with_name(path.name + ".lock"), os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(sidecar, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(sidecar, 20).decode("ascii", "replace").strip() or "unknown"
        os.close(sidecar)
        message = (
            f"{path.parent} is in use by another running program (process {holder}): "
            "close it first, or choose another --data folder."
        )
        raise PlayParkError(ErrorCode.CONFLICT, message) from None
    with contextlib.suppress(OSError):  # a full disk takes the lock and not the number
        os.ftruncate(sidecar, 0)
        os.pwrite(sidecar, str(os.getpid()).encode(), 0)
    return sidecar


def _is(broken: sqlite3.DatabaseError, codes: set[int]) -> bool:
    # Extended codes carry the plain one in their low byte.
    return getattr(broken, "sqlite_errorcode", 0) & 0xFF in codes


def explained(path: Path, broken: sqlite3.DatabaseError) -> PlayParkError:
    """What SQLite says, for the person at the device."""
    if _is(broken, _FULL):
        message = (
            f"The disk that holds {path} is full or failing: nothing was recorded, so nothing "
            "may be sold. Free space on it, then try again."
        )
    elif _is(broken, _DAMAGED):
        message = f"The data file {path} is damaged: stop selling here and start the program anew."
    else:
        message = f"The data file {path} cannot be used ({broken}): check its folder and disk."
    return PlayParkError(ErrorCode.UNAVAILABLE, message)
