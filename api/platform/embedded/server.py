"""Start, find and stop the embedded MongoDB of one data folder."""

import atexit
import contextlib
import os
import select
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from api.platform.embedded.binary import MongodBinary, find_mongod
from api.platform.embedded.errors import EmbeddedMongoError, MongodExitedError
from api.platform.embedded.folder import DataFolder, FolderLock, Holder
from api.platform.embedded.log import last_words
from api.platform.embedded.ports import candidate_ports, port_error
from api.platform.embedded.replica import (
    HOST,
    REPLICA_SET,
    wait_until_primary,
    wait_until_up,
)

SUPERVISOR = Path(__file__).with_name("supervisor.py")
ADDRESS_IN_USE = 48  # mongod's exit status when it cannot listen
CACHE_GB = 0.25
OPLOG_MB = 512
MEMBER_LEAVES_AT_ONCE = "shutdownTimeoutMillisForSignaledShutdown=100"
"""Else it waits 15 s for its clients to find another node."""


class EmbeddedMongo:
    """One `mongod` on 127.0.0.1 as the one-node replica set `rs0`, for as long as this process.

    A supervisor process stops it (SIGTERM, then SIGKILL after `stop_timeout`) when `stop` is called
    and when this process ends in any way, kill -9 included. There is no password: whoever has an
    account on this machine can connect.
    """

    def __init__(
        self,
        data_dir: Path,
        port: int | None = None,
        *,
        path_env: str | None = None,
        start_timeout: float = 120.0,
        stop_timeout: float = 60.0,
        busy_timeout: float = 3.0,
        log_limit: int = 8 * 1024 * 1024,
        member: bool = False,
    ) -> None:
        """Name the folder, and the port if it must be a certain one; times are seconds.

        `start_timeout` has room for a recovery after a crash; `busy_timeout` is the wait for
        another server to leave the folder; `log_limit` (bytes) bounds mongod.log and mongod.log.1.
        A `member` belongs to a set of several, which `EmbeddedSet` makes.
        """
        self._folder = DataFolder(data_dir)
        self._given_port = port
        self._path_env = path_env
        self._start_timeout = start_timeout
        self._stop_timeout = stop_timeout
        self._busy_timeout = busy_timeout
        self._log_limit = log_limit
        self._member = member
        self._supervisor: subprocess.Popen[bytes] | None = None
        self._owner = 0
        self._pid = 0
        self._port = 0

    @property
    def uri(self) -> str:
        """The connection string; without directConnection, so that transactions can be retried."""
        return (
            f"mongodb://{HOST}:{self.port}/"
            f"?replicaSet={REPLICA_SET}&w=majority&journal=true&retryWrites=true"
        )

    @property
    def pid(self) -> int:
        """The process number of `mongod`."""
        self._require_started()
        return self._pid

    @property
    def port(self) -> int:
        """The TCP port on 127.0.0.1."""
        self._require_started()
        return self._port

    def start(self) -> str:
        """Start and return the URI once writes are taken.

        Raises EmbeddedMongoError when that cannot be; nothing is left running then.
        """
        if self._supervisor is not None:
            raise RuntimeError("this embedded MongoDB is already started")
        binary = find_mongod(self._path_env)
        self._folder.prepare()
        lock = FolderLock(self._folder)
        # Only while starting does this process hold the lock; after that, those who write do.
        with lock.acquire(wait=self._busy_timeout, wait_for_dead=self._stop_timeout):
            self._start_locked(binary, lock)
        atexit.register(self.stop)
        return self.uri

    def stop(self) -> None:
        """Stop `mongod` cleanly and wait for it; nothing happens when it is not running."""
        # A process forked from the server inherits the atexit call, but not the child.
        if self._supervisor is None or self._owner != os.getpid():
            return
        supervisor = self._supervisor
        if supervisor.stdin is not None and not supervisor.stdin.closed:
            # A byte, not the end of the pipe alone: a forked process may keep it open. The pipe is
            # broken when mongod, and so its supervisor, ended before.
            with contextlib.suppress(BrokenPipeError):
                supervisor.stdin.write(b"\n")
                supervisor.stdin.flush()
            with contextlib.suppress(BrokenPipeError):
                supervisor.stdin.close()
        # The supervisor kills after stop_timeout, so it needs a moment more than that.
        try:
            supervisor.wait(self._stop_timeout + 10)
        except subprocess.TimeoutExpired as error:
            message = f"mongod (pid {self._pid}) does not end even when killed: look at its disk"
            raise EmbeddedMongoError(message) from error
        self._supervisor = None
        atexit.unregister(self.stop)

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop."""
        self.stop()

    def _require_started(self) -> None:
        if self._supervisor is None:
            raise RuntimeError("this embedded MongoDB is not started")

    def _start_locked(self, binary: MongodBinary, lock: FolderLock) -> None:
        """Try port after port: between choosing a free one and binding it, another may take it."""
        last = self._folder.holder()
        failure: MongodExitedError | None = None
        for port in candidate_ports(self._given_port, last.port if last else None):
            try:
                self._start_on(port, binary, lock)
            except MongodExitedError as error:
                if error.code != ADDRESS_IN_USE:
                    raise
                failure = error
            else:
                return
        if self._given_port is not None:
            raise port_error(self._given_port) from failure
        message = f"no free port on {HOST} could be had: {failure}"
        raise EmbeddedMongoError(message) from failure

    def _start_on(self, port: int, binary: MongodBinary, lock: FolderLock) -> None:
        deadline = time.monotonic() + self._start_timeout
        log_offset = self._folder.log.stat().st_size
        lock.write(Holder(pid=os.getpid(), mongod_pid=0, port=port))
        supervisor = self._spawn(port, binary, lock)
        self._supervisor, self._owner, self._port = supervisor, os.getpid(), port

        def check_alive() -> None:
            code = supervisor.poll()
            if code is not None:
                why = last_words(self._folder.log, log_offset, self._folder.stderr)
                message = (
                    f"mongod ({binary.path}) ended with status {code} before it was ready: {why} "
                    f"(log: {self._folder.log})"
                )
                raise MongodExitedError(message, code)

        try:
            self._pid = _read_pid(supervisor, deadline)
            lock.write(Holder(pid=os.getpid(), mongod_pid=self._pid, port=port))
            ready = wait_until_up if self._member else wait_until_primary
            ready(port, str(self._folder.db), check_alive=check_alive, deadline=deadline)
        except BaseException:  # Ctrl+C too must leave nothing running
            self.stop()
            raise

    def _spawn(self, port: int, binary: MongodBinary, lock: FolderLock) -> subprocess.Popen[bytes]:
        library = () if binary.library_path is None else ("--library-path", binary.library_path)
        # -I -S: the supervisor needs the standard library only, and starts faster so.
        with self._folder.stderr.open("wb") as stderr:
            return subprocess.Popen(  # noqa: S603 - our own interpreter and our own file
                [
                    *(sys.executable, "-I", "-S", str(SUPERVISOR)),
                    *("--parent", str(os.getpid())),
                    *("--lock-fd", str(lock.fd)),
                    *("--grace", str(self._stop_timeout)),
                    *("--log", str(self._folder.log)),
                    *("--log-limit", str(self._log_limit)),
                    *(str(part) for part in library),
                    "--",
                    *self._command(port, binary),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                pass_fds=(lock.fd,),
                start_new_session=True,
            )

    def _command(self, port: int, binary: MongodBinary) -> list[str]:
        return [
            str(binary.path),
            *("--dbpath", str(self._folder.db)),
            *("--replSet", REPLICA_SET),
            *("--bind_ip", HOST),
            *("--port", str(port)),
            "--nounixsocket",
            "--quiet",
            *("--logpath", str(self._folder.log)),
            "--logappend",
            *("--logRotate", "reopen"),
            *("--wiredTigerCacheSizeGB", str(CACHE_GB)),
            # The default is 5 % of the free disk, which a try-out should not take.
            *("--oplogSize", str(OPLOG_MB)),
            *("--setParameter", "diagnosticDataCollectionEnabled=false"),
            *(("--setParameter", MEMBER_LEAVES_AT_ONCE) if self._member else ()),
        ]


def _read_pid(supervisor: subprocess.Popen[bytes], deadline: float) -> int:
    """Return the pid the supervisor tells; 0 when it ended without one (its end tells why)."""
    pipe = supervisor.stdout
    if pipe is None:
        return 0
    with pipe:
        ready, _, _ = select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))
        line = pipe.readline() if ready else b""
    return int(line) if line.strip().isdigit() else 0
