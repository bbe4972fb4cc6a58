"""A till that is killed at a chosen line: a program that warms up once and forks for each run.

It reads one JSON command a line and answers each with one: how its child ended. A child works as
the till does, from the key to the printed paper, and sends itself SIGKILL right before the line
(file, line, how often it was reached) that the command names; without one it writes down all lines
it came by. The warm process has no event loop and no threads when it forks.
"""

import asyncio
import functools
import gc
import json
import os
import signal
import sys
import threading
import traceback
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from types import FrameType
from typing import Any

import httpx

import playpark.device
import terminal.selling
from playpark.client import ApiClient
from playpark.clock import SystemClock
from playpark.contracts.employees import EmployeeSession
from playpark.contracts.sync import Counters, OpKind
from playpark.device import DeviceStore
from playpark.printing import transport
from playpark.printing.document import Cut, Document, Text
from playpark.printing.letterhead import Letterhead
from playpark.printing.transport import PrinterTarget
from terminal import drawer
from terminal.printer import Paper, PaperPrinter
from terminal.till import Till

SITE_KEY, CASHIER, PIN = "DEMO-MAIN-GATE", "cashier@demo.playpark", "1111"
PACKAGE, FLOAT = "Adult day pass", 200_000
PATIENCE_S, HASTE_S = 10.0, 0.1
"""How long it waits for an answer: for ever as far as a test can see, or hardly at all."""
TERMINAL_PARTS = {
    *("selling", "sale", "papers", "printer", "counter", "till", "alone"),
    *("drawer", "slips"),
}
NOT_OF_A_SALE = {"__init__", "cli", "heart", "turns", "gate_record"}


def _traced() -> dict[str, str]:
    """The modules that a sale comes by: {file: name}."""
    device, terminal_ = Path(playpark.device.__file__), Path(terminal.selling.__file__)
    files = {
        *(path for path in device.parent.glob("*.py") if path.stem not in NOT_OF_A_SALE),
        *(path for path in terminal_.parent.glob("*.py") if path.stem in TERMINAL_PARTS),
        Path(transport.__file__),
    }
    return {str(path): f"{path.parent.name}/{path.stem}" for path in files}


TRACED = _traced()


class Record(StrEnum):
    """How far the operation of a story is; `committing` while SQLite is at it."""

    NONE = "none"
    COMMITTING = "committing"
    COMMITTED = "committed"


Point = tuple[str, int, int]
"""(module, line, the how manieth time it is reached)."""
Work = Callable[[Till], Awaitable[None]]


class LabelPrinter:
    """The till's printer, with a first line on each paper that says which one it is. The rest is
    drawn where all points are run: it takes most of the time, and no line of it is one."""

    name = "printer ok"

    def __init__(self, printer: PaperPrinter, *, whole: bool) -> None:
        self._printer = printer
        self._whole = whole

    def put_out(self, paper: Paper, *, copy: bool = False) -> None:
        number = getattr(paper.content, "receipt_no", None) or "-"

        def draw(head: Letterhead, again: bool) -> Document:
            words = f"{paper.name} {number} {'copy' if again else 'original'}"
            rest = paper.draw(head, again).blocks if self._whole else (Cut(),)
            return Document((Text(words), *rest))

        self._printer.put_out(replace(paper, draw=draw), copy=copy)


class Tracer:
    """Follows every thread through the traced files, kills the process where it is told to, and
    says into `will` right before it whether the story's operation was on the disk."""

    def __init__(self, point: Point | None, will: Path | None = None) -> None:
        self.point = point
        self.on = False
        self.lines: list[tuple[str, int, int, str]] = []
        self.commits: list[int] = []
        self._will = will
        self._record = Record.NONE
        self._recorder = 0
        self._inserted = False
        self._hits: Counter[tuple[str, int]] = Counter()
        self._turn = threading.Lock()

    def begin(self) -> None:
        self.on = True
        threading.settrace(self._enter)
        sys.settrace(self._enter)

    def end(self) -> None:
        self.on = False
        sys.settrace(None)
        threading.settrace(None)  # type: ignore[arg-type]

    def watch(self, store: DeviceStore) -> None:
        """Note after which line each transaction is committed, and which one is the first that
        records an operation."""

        def heard(statement: str) -> None:
            self._inserted |= statement.startswith("INSERT INTO ops")
            if not self.on or statement != "COMMIT":
                return
            self.commits.append(len(self.lines))
            if self._inserted and self._record is Record.NONE:
                self._record, self._recorder = Record.COMMITTING, threading.get_ident()

        store._database._connection.set_trace_callback(heard)

    def _enter(self, frame: FrameType, _event: str, _arg: object) -> Any:
        return self._line if frame.f_code.co_filename in TRACED else None

    def _line(self, frame: FrameType, event: str, _arg: object) -> Any:
        if event == "line" and self.on:
            code = frame.f_code
            with self._turn:
                self._come_by(TRACED[code.co_filename], frame.f_lineno, code.co_qualname)
        return self._line

    def _come_by(self, module: str, line: int, function: str) -> None:
        if self._record is Record.COMMITTING and threading.get_ident() == self._recorder:
            self._record = Record.COMMITTED  # the thread has come back from SQLite
        self._hits[module, line] += 1
        hit = self._hits[module, line]
        if (module, line, hit) == self.point:
            if self._will is not None:
                self._will.write_text(self._record)
            os.kill(os.getpid(), signal.SIGKILL)
        self.lines.append((module, line, hit, function))


def seen_by(tracer: Tracer) -> dict[str, Any]:
    """What a run that nobody killed has seen."""
    return {name: getattr(tracer, name) for name in ("lines", "commits")}


# --- what the till does -----------------------------------------------------------------


async def sell(till: Till) -> None:
    """From F1 to the paper."""
    till.add(next(each.package_id for each in till.packages if each.name == PACKAGE))
    op = await till.pay_exact_cash()
    await till.deliver(op)
    await _printed(till, op.op_id)


async def close_shift(till: Till) -> None:
    """From the count to the Z report, and what the next cashier opens."""
    shift = till.shift
    assert shift is not None
    sales = till.store.of_shift(OpKind.SALE, shift.op_id)
    await till.close_shift(FLOAT + sum(each.body["rung"]["grand_total"] for each in sales))
    closing = till.closing
    assert closing is not None
    await _printed(till, closing.op_id)
    await till.open_shift(FLOAT)


async def start_again(till: Till) -> None:
    """What a till does with what an outage left: send it, then print it."""
    while till.store.queued_count():
        await till.engine.drain()
    while till.papers.due:
        await till.papers.resume(till.papers.due, PATIENCE_S)
        await asyncio.sleep(0.002)


async def _printed(till: Till, op_id: str) -> None:
    """Wait while papers are at hand that are not out."""
    async with asyncio.timeout(20):
        while op_id in till.papers._papers:  # noqa: ASYNC110 - the till has no event for it
            await asyncio.sleep(0.002)


def _wait(seconds: float) -> None:
    terminal.selling.SALE_DEADLINE_S = drawer.DEADLINE_S = drawer.CLOSE_DEADLINE_S = seconds


STORIES: dict[str, Work] = {"sale": sell, "close": close_shift, "again": start_again}
FROM_THE_START = {"again"}
"""Stories of which opening the store is a part."""


# --- what is done to a store alone --------------------------------------------------------


def open_epoch(store: DeviceStore) -> None:
    """The server has told that it knows more of this device (R38)."""
    store.open_epoch(AHEAD)


def retry(store: DeviceStore) -> None:
    store.retry(store.quarantine()[0].op_id)


def hand_over(store: DeviceStore) -> None:
    store.hand_over(store.quarantine()[0].op_id)


AHEAD = Counters(epoch=1, seq=40, receipts={"S": 12, "Z": 3}, short_codes=30, serials={})
ON_A_STORE: dict[str, Callable[[DeviceStore], None]] = {
    "open_epoch": open_epoch,
    "retry": retry,
    "hand_over": hand_over,
}


# --- the warm process -------------------------------------------------------------------


class WarmTill:
    """All that outlives a fork: modules, fonts, the session of who is logged in."""

    def __init__(self, path: Path, url: str, printer: str) -> None:
        self.path, self.url = path, url
        self.target = PrinterTarget.parse(printer)
        self.whole = bool(os.environ.get("PLAYPARK_FULL"))
        self.session: EmployeeSession | None = None
        self.device_token: str | None = None

    def till(self, store: DeviceStore) -> Till:
        client, clock = ApiClient(self.url), SystemClock()
        printer = LabelPrinter(PaperPrinter(self.target, store), whole=self.whole)
        return Till(store, client, clock, printer)

    async def warm(self) -> None:
        """Pair, log in, open the shift, and sell once: everything is imported and drawn then."""
        with DeviceStore.open(self.path, SystemClock()) as store:
            till = self.till(store)
            await till.pair(SITE_KEY, "Till that is killed")
            await till.log_in(CASHIER, PIN)
            await till.renew_certificate()
            await till.open_shift(FLOAT)
            printing = asyncio.create_task(till.papers.run())
            await sell(till)
            await close_shift(till)
            printing.cancel()
            self.session, self.device_token = till.counter.session, till.counter.client.device_token
            await till.close()

    async def run(self, story: str, tracer: Tracer, *, online: bool, answered: bool) -> None:
        _wait(PATIENCE_S if answered else HASTE_S)
        if story in FROM_THE_START:
            tracer.begin()
        with DeviceStore.open(self.path, SystemClock()) as store:
            tracer.watch(store)
            till = self.till(store)
            till.counter.session = self.session
            till.counter.client.device_token = self.device_token
            if online:
                till.engine.note(None)
            printing = asyncio.create_task(till.papers.run())
            tracer.begin()
            await STORIES[story](till)
            tracer.end()
            printing.cancel()

    def fork(self, command: dict[str, Any]) -> int:
        """Run in a child; its exit status, negative for the signal that ended it."""
        child = os.fork()
        if child == 0:
            status = 1
            try:
                point = tuple(command["point"]) if command["point"] else None
                tracer = Tracer(point, Path(command["will"]))  # type: ignore[arg-type]
                if command["story"] in ON_A_STORE:
                    act_on_a_store(Path(command["store"]), command["story"], tracer)
                else:
                    how = {name: command[name] for name in ("online", "answered")}
                    asyncio.run(self.run(command["story"], tracer, **how))
                Path(command["lines"]).write_text(json.dumps(seen_by(tracer)))
                status = 0
            except BaseException:  # noqa: BLE001 - the child must not go on as its parent
                traceback.print_exc()
            finally:
                os._exit(status)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def act_on_a_store(path: Path, story: str, tracer: Tracer) -> None:
    with DeviceStore.open(path, SystemClock()) as store:
        tracer.watch(store)
        tracer.begin()
        ON_A_STORE[story](store)
        tracer.end()


def _read_certificates_once() -> None:
    """As in tests/conftest.py: each HTTP client reads all of the machine, for nothing."""
    once = functools.cache(httpx.create_ssl_context)
    for module in (httpx._config, httpx._transports.default):
        vars(module)["create_ssl_context"] = once


def main(path: str, url: str, printer: str) -> None:
    _wait(PATIENCE_S)
    _read_certificates_once()
    warm = WarmTill(Path(path), url, printer)
    asyncio.run(warm.warm())
    gc.collect()
    gc.freeze()  # no child copies a page because the collector has looked at it
    gc.disable()
    _answer("ready")
    for line in sys.stdin:
        _answer(warm.fork(json.loads(line)))


def _answer(what: object) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
