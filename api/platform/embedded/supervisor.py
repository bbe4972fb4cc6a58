"""The process between the server and `mongod`: it stops `mongod` when the server is gone.

It holds the read end of a pipe from the server: a byte asks for a stop, and the pipe closes when
the server is killed with -9, which no handler inside the server could see. It runs in a
session of its own, so Ctrl+C reaches the server first. Run by path and on the standard library
only: it starts in some 40 ms and needs no import path.
"""

import argparse
import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

PR_SET_PDEATHSIG = 1
POLL_SECONDS = 1.0
CANNOT_EXECUTE = 126


def main(argv: list[str]) -> int:
    """Run `mongod` until it ends or the server is gone; return its exit status."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--parent", type=int, required=True, help="pid of the server")
    parser.add_argument("--lock-fd", type=int, required=True, help="lock that mongod holds too")
    parser.add_argument("--grace", type=float, required=True, help="seconds before SIGKILL")
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--log-limit", type=int, required=True, help="bytes before it is rotated")
    parser.add_argument("--library-path")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args(argv)

    # Half the limit: so a log that passes it later shows a mongod that runs and knows SIGUSR1.
    _rotate(options.log, options.log_limit // 2)
    wake = _catch_signals()
    try:
        mongod = _spawn(options.command, options.lock_fd, options.library_path)
    except OSError as error:
        sys.stderr.write(f"{options.command[0]} cannot be run: {error.strerror}\n")
        return CANNOT_EXECUTE
    with contextlib.suppress(OSError):  # the server may be dead already
        os.write(sys.stdout.fileno(), f"{mongod.pid}\n".encode())

    while mongod.poll() is None:
        if _should_stop(wake, options.parent):
            return _stop(mongod, options.grace)
        if _rotate(options.log, options.log_limit):
            mongod.send_signal(signal.SIGUSR1)  # reopen the log (--logRotate reopen)
    return _status(mongod.returncode)


def _catch_signals() -> int:
    """Return a descriptor that turns readable on SIGTERM and on the end of `mongod`."""

    def ignore(_number: int, _frame: FrameType | None) -> None:
        """Do nothing here: the number arrives through the descriptor."""

    # A server that blocks signals in its threads hands that mask down, and mongod would keep it.
    signal.pthread_sigmask(signal.SIG_SETMASK, set())
    read_end, write_end = os.pipe()
    os.set_blocking(read_end, False)
    os.set_blocking(write_end, False)
    signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
    # Handlers, not SIG_IGN: an ignored signal would stay ignored in mongod.
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, ignore)
    return read_end


def _spawn(command: list[str], lock_fd: int, library_path: str | None) -> subprocess.Popen[bytes]:
    environment = dict(os.environ)
    if library_path is not None:
        rest = environment.get("LD_LIBRARY_PATH")
        environment["LD_LIBRARY_PATH"] = f"{library_path}:{rest}" if rest else library_path
    return subprocess.Popen(  # noqa: S603 - the command is built by the server itself
        command,
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr,
        stderr=sys.stderr,
        pass_fds=(lock_fd,),
        env=environment,
        preexec_fn=_die_with_me(),  # noqa: PLW1509 - this process has one thread
    )


def _die_with_me() -> Callable[[], None] | None:
    """Return the child's step that asks Linux for SIGTERM should this process be killed with -9."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl

    def step() -> None:
        prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)

    return step


def _should_stop(wake: int, parent: int) -> bool:
    """Wait for news, at most POLL_SECONDS; return whether the server asks for a stop or is gone."""
    ready, _, _ = select.select([sys.stdin, wake], [], [], POLL_SECONDS)
    if wake in ready and signal.SIGTERM in os.read(wake, 512):
        return True
    # Readable means the byte or the end. The parent's pid is asked as well, since a process forked
    # from the server keeps the pipe open.
    return sys.stdin in ready or os.getppid() != parent


def _stop(mongod: subprocess.Popen[bytes], grace: float) -> int:
    """Let `mongod` write its checkpoint; kill it only when that takes far too long."""
    mongod.terminate()
    try:
        mongod.wait(grace)
    except subprocess.TimeoutExpired:
        mongod.kill()
        mongod.wait()
    return _status(mongod.returncode)


def _rotate(log: Path, limit: int) -> bool:
    """Put a log of more than `limit` bytes in place of the one old log; return whether it was."""
    try:
        if log.stat().st_size <= limit:
            return False
        log.replace(log.with_name(log.name + ".1"))
    except OSError:
        return False
    return True


def _status(returncode: int) -> int:
    return returncode if returncode >= 0 else 128 - returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
