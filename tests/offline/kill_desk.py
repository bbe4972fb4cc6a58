"""What stands around a till that is killed: its line, its printer, and who starts it again."""

import asyncio
import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from playpark.client import ApiClient
from playpark.clock import SystemClock
from playpark.device import DeviceStore, PrintState
from playpark.printing.transport import STATUS_QUERY, PrinterTarget
from terminal.printer import PaperPrinter
from terminal.till import Till
from tests.offline.kill_till import CASHIER, FLOAT, PIN, LabelPrinter, Point, Record

ROOT = Path(__file__).parents[2]
SECRET = "the secret of a till that is killed"
READY = b"\x16\x12\x12"
CUT = b"\x1dV"
PRINTING = "printing/transport"


class Line(StrEnum):
    """`lost`: requests arrive, their answers do not."""

    UP = "up"
    DOWN = "down"
    LOST = "lost"


class Listener(threading.Thread):
    """Serves connections on a port of its own, a thread each."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._listener.getsockname()[1]
        self.start()

    def run(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection: socket.socket) -> None:
        raise NotImplementedError

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


class FaultyLine(Listener):
    """The way to the API; `state` says what becomes of it."""

    def __init__(self, url: str) -> None:
        self._host = urlsplit(url).hostname or ""
        self._port = urlsplit(url).port or 0
        self.state = Line.UP
        super().__init__()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def serve(self, connection: socket.socket) -> None:
        if self.state is Line.DOWN:
            connection.close()
            return
        lost = self.state is Line.LOST
        with socket.create_connection((self._host, self._port)) as upstream, connection:
            back = threading.Thread(
                target=_pump, args=(upstream, None if lost else connection), daemon=True
            )
            back.start()
            _pump(connection, upstream)
            with contextlib.suppress(OSError):
                upstream.shutdown(socket.SHUT_RDWR)
            back.join()


def _pump(source: socket.socket, target: socket.socket | None) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65_536):
            if target is not None:
                target.sendall(data)


class TestPrinter(Listener):
    """A printer on the network. `jobs`: what came with each connection, as far as it came."""

    __test__ = False

    def __init__(self) -> None:
        self.jobs: list[bytearray] = []
        self._open = 0
        self._quiet = threading.Condition()
        super().__init__()

    def serve(self, connection: socket.socket) -> None:
        job, answered = bytearray(), 0
        with self._quiet:
            self.jobs.append(job)
            self._open += 1
        with contextlib.suppress(OSError), connection:
            while data := connection.recv(65_536):
                job += data
                if job.count(STATUS_QUERY) > answered:
                    answered += 1
                    connection.sendall(READY)
        with self._quiet:
            self._open -= 1
            self._quiet.notify_all()

    def papers(self) -> list["Printed"]:
        """What came out since the last time, once nobody prints any more."""
        with self._quiet:
            assert self._quiet.wait_for(lambda: not self._open, 10)
            jobs, self.jobs = self.jobs, []
        printed = (bytes(job).replace(STATUS_QUERY, b"") for job in jobs)
        return [Printed.of(each) for each in printed if each]


_LABEL = re.compile(rb"([\w-]+) ([\w-]+) (original|copy)\n")


@dataclass(frozen=True)
class Printed:
    """What came out with one job: which paper, of which number; `whole` where it was cut off."""

    name: str | None
    number: str
    copy: bool
    whole: bool

    @classmethod
    def of(cls, job: bytes) -> Self:
        found, whole = _LABEL.search(job), CUT in job
        if found is None:
            return cls(None, "", copy=False, whole=whole)
        name, number, how = (each.decode() for each in found.groups())
        return cls(name, number, copy=how == "copy", whole=whole)


@dataclass(frozen=True)
class Seen:
    """The lines of a run that nobody killed: (module, line, hit, function), and after how many of
    them each transaction was committed."""

    lines: list[tuple[str, int, int, str]]
    commits: list[int]

    @property
    def points(self) -> list[Point]:
        return [(module, line, hit) for module, line, hit, _ in self.lines]

    def groups(self) -> list[Point]:
        """Points of each stretch between two commits: its first line, its middle, its last, and
        where a paper comes out of it the first line and the last of that. Nothing but a paper or
        a request outlives the process in between."""
        ends = [0, *sorted({at for at in self.commits if 0 < at < len(self.lines)})]
        wanted: set[int] = set()
        for start, end in pairwise([*ends, len(self.lines)]):
            wanted |= {start, (start + end) // 2, end - 1}
            sending = [at for at in range(start, end) if self.lines[at][0] == PRINTING]
            wanted |= {*sending[:1], *sending[-1:]}
        return [self.points[at] for at in sorted(wanted)]


class KilledTill:
    """A warm process that sells in children, and the store that they leave behind."""

    def __init__(self, folder: Path, url: str, printer: TestPrinter) -> None:
        self.path = folder / "till.db"
        self.printer = printer
        self.line = FaultyLine(url)
        self._lines, self._will = folder / "lines.json", folder / "will"
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.offline.kill_till"),
                *(str(self.path), self.line.url, f"tcp://127.0.0.1:{printer.port}"),
            ],
            cwd=ROOT,
            env={**os.environ, "PLAYPARK_DEVICE_KEY": SECRET},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._answer() == "ready"
        printer.papers()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()
        self.line.close()

    def run(self, story: str, line: Line, point: Point | None, *, store: Path | None = None) -> int:
        """One run of a child, on its own store or another; how it ended."""
        assert self._process.stdin is not None
        self.line.state = line
        command = {
            "story": story,
            "point": point,
            "online": line is not Line.DOWN,
            "answered": line is Line.UP,
            "lines": str(self._lines),
            "will": str(self._will),
            "store": str(store),
        }
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        status = self._answer()
        self.line.state = Line.UP
        assert isinstance(status, int)
        return status

    @property
    def will(self) -> Record:
        """How far the operation was when the last run was killed."""
        return Record(self._will.read_text())

    def seen(self) -> Seen:
        """The lines of the last run, which nobody killed."""
        found = json.loads(self._lines.read_text())
        lines = [(module, line, hit, name) for module, line, hit, name in found["lines"]]
        return Seen(lines, found["commits"])

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())

    # --- started again ------------------------------------------------------------------

    @contextmanager
    def store(self) -> Iterator[DeviceStore]:
        with DeviceStore.open(self.path, SystemClock()) as opened:
            yield opened

    async def again(self) -> "Left":
        """What a cashier does after a crash: start, let the queue run dry, print what is due, look
        at the printer and print what is in doubt as a copy."""
        with self.store() as store:
            left = Left({op.op_id for op in store.unprinted()})
            for op_id in left.unprinted:
                states = store.papers.of(op_id)
                left.doubtful |= {
                    (op_id, name) for name, each in states.items() if each is PrintState.DOUBTFUL
                }
            target = PrinterTarget.parse(f"tcp://127.0.0.1:{self.printer.port}")
            printer = LabelPrinter(PaperPrinter(target, store), whole=False)
            till = Till(store, ApiClient(self.line.url), SystemClock(), printer)
            printing = asyncio.create_task(till.papers.run())
            async with asyncio.timeout(60):
                while store.queued_count():
                    await till.engine.drain()
                await _out(till, lambda: till.papers.due)
                await _out(till, lambda: till.papers.doubtful)
                if till.shift is None:
                    await till.log_in(CASHIER, PIN)
                    await till.open_shift(FLOAT)
            printing.cancel()
            await till.close()
        return left


async def _out(till: Till, which: Callable[[], list[str]]) -> None:
    """Print those papers, and wait until they are out; again where an answer was late."""
    while which():
        if not await till.papers.resume(which(), 10):
            await _moved(which, which())


async def _moved(which: Callable[[], list[str]], before: list[str]) -> None:
    """Wait for the printer, which may wait for nobody else."""
    async with asyncio.timeout(20):
        while which() and which() == before:  # noqa: ASYNC110 - the till has no event for it
            await asyncio.sleep(0.002)


@dataclass
class Left:
    """What a killed till left behind: operations whose papers are not all out, (op_id, paper) that
    may be out."""

    unprinted: set[str]
    doubtful: set[tuple[str, str]] = field(default_factory=set)
