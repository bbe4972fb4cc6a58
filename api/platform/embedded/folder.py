"""The data folder: its layout, and the lock that lets one server at a time use it.

The lock is a `flock` on an open file that the supervisor and `mongod` inherit: the kernel frees it
when the last of them is gone, however they ended. So it is never stale, and never free too early.
"""

import errno
import fcntl
import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from api.platform.embedded.errors import EmbeddedMongoError

POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Holder:
    """Who uses the folder, or used it last: the server process, its `mongod`, and the port."""

    pid: int
    mongod_pid: int
    port: int


class DataFolder:
    """The paths inside one data folder."""

    def __init__(self, root: Path) -> None:
        """Name the parts; nothing is created yet."""
        self.root = root.absolute()
        self.db = self.root / "db"
        self.log = self.root / "mongod.log"
        self.stderr = self.root / "mongod.err"
        self.lock = self.root / "embedded.lock"

    def prepare(self) -> None:
        """Create the folder, readable by its owner only (it holds personal data), and try it.

        Raises EmbeddedMongoError when it is a file or cannot be written.
        """
        try:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.db.mkdir(mode=0o700, exist_ok=True)
            # Opening what mongod will append to tells more than the permission bits do.
            for path in (self.lock, self.log, self.stderr):
                os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        except (FileExistsError, NotADirectoryError) as error:
            message = (
                f"the data folder {self.root} is not a folder (a file is in its place): "
                "choose another --data"
            )
            raise EmbeddedMongoError(message) from error
        except OSError as error:
            raise self._unwritable(error.strerror or str(error)) from error
        if not os.access(self.db, os.R_OK | os.W_OK | os.X_OK):
            raise self._unwritable("its db folder belongs to another user")

    def _unwritable(self, why: str) -> EmbeddedMongoError:
        return EmbeddedMongoError(
            f"the data folder {self.root} cannot be written ({why}): "
            "correct its permissions or choose another --data"
        )

    def holder(self) -> Holder | None:
        """Return what the last server wrote about itself, None when there was none."""
        try:
            return Holder(**json.loads(self.lock.read_text("utf-8")))
        except (OSError, ValueError, TypeError):
            return None


class FolderLock:
    """The exclusive lock of a data folder, held from `acquire` until every inheritor is gone."""

    def __init__(self, folder: DataFolder) -> None:
        """Prepare the lock; `acquire` takes it."""
        self._folder = folder
        self.fd = -1

    def acquire(self, *, wait: float, wait_for_dead: float) -> Self:
        """Take the lock or raise EmbeddedMongoError naming the process that has it.

        Waits `wait` seconds for a server that lives, and `wait_for_dead` seconds when that server
        is gone and its `mongod` still writes its last checkpoint.
        """
        self.fd = os.open(self._folder.lock, os.O_RDWR | os.O_CLOEXEC)
        started = time.monotonic()
        while not self._try():
            holder = self._folder.holder()
            alive = holder is None or _alive(holder.pid)
            if time.monotonic() - started >= (wait if alive else wait_for_dead):
                self.release()
                raise self._busy(holder)
            time.sleep(POLL_SECONDS)
        return self

    def write(self, holder: Holder) -> None:
        """Note who holds the folder, for the message of the next one and for the port."""
        text = json.dumps(asdict(holder)).encode()
        os.pwrite(self.fd, text, 0)
        os.ftruncate(self.fd, len(text))

    def release(self) -> None:
        """Close this process's copy; the supervisor and `mongod` keep theirs."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def __enter__(self) -> Self:
        """Return the lock, already taken."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close this process's copy."""
        self.release()

    def _try(self) -> bool:
        try:
            fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EACCES):
                return False
            message = (
                f"the data folder {self._folder.root} cannot be locked ({error.strerror}): "
                "put --data on a local disk"
            )
            raise EmbeddedMongoError(message) from error
        return True

    def _busy(self, holder: Holder | None) -> EmbeddedMongoError:
        if holder is None:
            who = "another server"
        elif _alive(holder.pid):
            who = f"the server with pid {holder.pid}"
        else:
            who = f"the mongod with pid {holder.mongod_pid}, left by a server that died"
        return EmbeddedMongoError(
            f"the data folder {self._folder.root} is in use by {who}: "
            "stop it or choose another --data"
        )


def _alive(pid: int) -> bool:
    """Return whether a process with this number exists."""
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
