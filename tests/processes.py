"""Processes of `playpark`, started as forks of one that has the server's modules loaded already:
most of what an API process costs at its start is reading them.

`python -m tests.processes` is that one.
"""

import contextlib
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

REPO = Path(__file__).parents[1]
_LARGEST = 1 << 20


class Playpark:
    """A running `playpark` with these arguments and exactly this environment; the part of
    `subprocess.Popen` that tests need. Its output is text."""

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        stderr: IO[str] | None = None,
        cwd: Path = REPO,
    ) -> None:
        end, theirs = os.pipe()
        self.stdout: IO[str] = os.fdopen(end, "r", encoding="utf-8")
        self._mother = _mother()
        errors = stderr.fileno() if stderr is not None else sys.__stderr__.fileno()  # type: ignore[union-attr]
        told = {
            "arguments": list(arguments),
            "env": dict(os.environ if env is None else env),
            "cwd": str(cwd),
        }
        self._ends, end_of_life = socket.socketpair()
        try:
            self.pid = self._mother.bear(told, [theirs, errors, end_of_life.fileno()])
        finally:
            os.close(theirs)
            end_of_life.close()
        self.returncode: int | None = None

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, negative for a signal. Raises subprocess.TimeoutExpired."""
        if self.returncode is None:
            self._ends.settimeout(timeout)
            try:
                told = self._ends.recv(64)
            except TimeoutError:
                raise subprocess.TimeoutExpired(f"playpark {self.pid}", timeout or 0) from None
            self.returncode = os.waitstatus_to_exitcode(int(told))
            self._ends.close()
        return self.returncode

    def poll(self) -> int | None:
        """Its exit code, None while it runs."""
        with contextlib.suppress(subprocess.TimeoutExpired, BlockingIOError):
            self.wait(0)
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()
        self.wait()
        self.stdout.close()


def run(
    *arguments: str,
    env: Mapping[str, str] | None = None,
    timeout: float = 120,
    cwd: Path = REPO,
    anew: bool = False,
) -> "subprocess.CompletedProcess[str]":
    """Run `playpark` to its end; stdout and stderr are text. `anew`: from nothing, as users do."""
    if anew:
        command = [sys.executable, "-m", "playpark.cli", *arguments]
        return subprocess.run(
            command, env=env, timeout=timeout, cwd=cwd, capture_output=True, text=True, check=False
        )
    with tempfile.TemporaryFile("w+", encoding="utf-8") as errors:
        with Playpark(arguments, env=env, stderr=errors, cwd=cwd) as process:
            out = process.stdout.read()
            code = process.wait(timeout)
        errors.seek(0)
        return subprocess.CompletedProcess(["playpark", *arguments], code, out, errors.read())


class _Mother:
    """The loaded process, seen from the tests. It ends with the tests: its socket closes."""

    def __init__(self) -> None:
        self._line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.processes", str(theirs.fileno())],
            cwd=REPO,
            pass_fds=[theirs.fileno()],
        )
        theirs.close()

    def bear(self, told: dict[str, Any], ends: Sequence[int]) -> int:
        socket.send_fds(self._line, [json.dumps(told).encode()], ends)
        return int(self._line.recv(64))


@cache
def _mother() -> _Mother:
    """One a test worker."""
    return _Mother()


# --- in the loaded process ----------------------------------------------------------------


def _serve(line: socket.socket) -> None:
    """Fork for each request until nobody asks any more; tell each one's end to who asked for it."""
    waking, woken = socket.socketpair()
    waking.setblocking(False)
    signal.set_wakeup_fd(waking.fileno())
    signal.signal(signal.SIGCHLD, lambda *_: None)
    living: dict[int, socket.socket] = {}
    with selectors.DefaultSelector() as selector:
        selector.register(line, selectors.EVENT_READ)
        selector.register(woken, selectors.EVENT_READ)
        while True:
            ready = {key.fileobj for key, _ in selector.select()}
            if woken in ready:
                woken.recv(4096)
                _tell_ends(living)
            if line in ready and not _answer(line, living, (waking, woken)):
                break
    for pid in living:  # nobody is there any more to end them
        os.kill(pid, signal.SIGKILL)


def _tell_ends(living: dict[int, socket.socket]) -> None:
    for pid, end in [*living.items()]:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            with contextlib.suppress(OSError):
                end.send(str(status).encode())
            end.close()
            del living[pid]


def _answer(
    line: socket.socket, living: dict[int, socket.socket], own: Sequence[socket.socket]
) -> bool:
    message, ends, *_ = socket.recv_fds(line, _LARGEST, 3)
    if not message:
        return False
    out, errors, end_of_life = ends
    pid = os.fork()
    if pid == 0:
        signal.set_wakeup_fd(-1)
        for each in (line, *own, *living.values()):
            each.close()
        os.close(end_of_life)
        _become(json.loads(message), out, errors)
    for each in (out, errors):
        os.close(each)
    living[pid] = socket.socket(fileno=end_of_life)
    line.send(str(pid).encode())
    return True


def _become(told: dict[str, Any], out: int, errors: int) -> None:
    """Be `playpark` from here on; never returns."""
    from playpark import cli

    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.environ.clear()
    os.environ.update(told["env"])
    os.chdir(told["cwd"])
    for end, number in ((out, 1), (errors, 2)):
        os.dup2(end, number)
        os.close(end)
    sys.argv = ["playpark", *told["arguments"]]
    code: Any = 0
    try:
        cli.main()
    except SystemExit as left:
        code = left.code
    except BaseException:  # noqa: BLE001 - as the interpreter does it
        sys.excepthook(*sys.exc_info())
        code = 1
    if isinstance(code, str):
        sys.stderr.write(f"{code}\n")
        code = 1
    for each in (sys.stdout, sys.stderr):
        each.flush()
    os._exit(code or 0)


def _load() -> None:
    """All that an API process reads at its start."""
    import gc

    from api import app, cli, jobs  # noqa: F401
    from api.cli import serving  # noqa: F401

    gc.collect()
    gc.freeze()


if __name__ == "__main__":
    _load()
    _serve(socket.socket(fileno=int(sys.argv[1])))
