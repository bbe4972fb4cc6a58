"""A park of real parts, each device behind a line that can fail: tills and gates without screens,
the API process, MongoDB.

Nothing here knows what ought to happen: tests/offline/model.py does.
"""

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from pymongo import MongoClient

from gate.admission import Admission, Code
from gate.allowlist import AllowList
from gate.answers import Answer, Level, Scan
from gate.deciding import Judge
from gate.decoders import Decoder
from gate.frames import Frame
from gate.ledger import Ledger
from gate.pipeline import run
from gate.presentation import Presentations
from gate.refreshing import Refresher
from playpark.client import ApiClient
from playpark.contracts.tenancy import DeviceType
from playpark.contracts.tickets import Direction, TicketView
from playpark.device import DeviceStore, SyncEngine, pair
from playpark.errors import ErrorCode, PlayParkError
from playpark.printing.transport import PrinterError
from qa.proxy import FaultProxy
from terminal.printer import Paper
from terminal.till import Till
from tests.offline.park_time import ParkTime, Wrong
from tests.outside import Outsider

SITE_KEY = "DEMO-MAIN-GATE"
OWNER = {"email": "owner@demo.playpark", "pin": "8888"}
CASHIERS = ("cashier@demo.playpark", "1111"), ("cashier2@demo.playpark", "2222")
PATIENCE = 0.25
"""Seconds a guest waits for the server here, instead of 0.8 and 1.5."""
SETTLES = 20.0
LATEST = 1.0
"""After so many seconds an answer that was to come has come."""
AHEAD = (0, 150, -3_000, 5_400, -20)
"""By how many seconds the machines' clocks are wrong."""


# --- the server -----------------------------------------------------------------------------


@dataclass(frozen=True)
class World:
    """An API process with the demo park and its MongoDB; `time` is the clock of all."""

    url: str
    mongo: Any
    time: ParkTime
    zones: dict[str, str]
    """Ids by name."""


@contextmanager
def serving(mongo_uri: str, database: str, time: ParkTime) -> Iterator[str]:
    """The address of an API process of its own, on the park's clock."""
    variables = {
        **os.environ,
        "MONGODB_URI": mongo_uri,
        "MONGODB_DATABASE": database,
        "LOG_LEVEL": "WARNING",
        "ENVIRONMENT": "test",
    }
    server = (sys.executable, "-m", "tests.offline.park_server")
    process = subprocess.Popen(
        [*server, str(time.path), "api", "--demo", "--port", "0"],
        env=variables,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdout is not None
    try:
        greeting = process.stdout.readline()
        assert "http://" in greeting, f"the API did not start: {greeting!r}"
        yield greeting.split("on ")[1].split()[0]
    finally:
        process.terminate()
        process.wait(40)
        process.stdout.close()


@asynccontextmanager
async def world(mongo_uri: str, database: str, folder: Path) -> AsyncIterator[World]:
    """A park in its early afternoon, with few uses in its tickets, an hour that is cheaper, a
    small zone and one with an exit."""
    time = ParkTime(folder / "time")
    time.begin()
    with serving(mongo_uri, database, time) as url, MongoClient(mongo_uri, tz_aware=True) as mongo:
        async with office(url) as owner:
            zones = await _furnish(owner)
        yield World(url, mongo[database], time, zones)


@asynccontextmanager
async def office(url: str) -> AsyncIterator[Outsider]:
    """The owner, on a device of their own."""
    async with httpx.AsyncClient(base_url=url, timeout=60) as http:
        yield await (await Outsider(http).pair("ADMIN")).staff(**OWNER)


async def _furnish(owner: Outsider) -> dict[str, str]:
    found = (await owner.data("GET", "/v1/catalog/snapshot"))["zones"]
    zones = {zone["name"]: str(zone["zone_id"]) for zone in found}
    for name, changes in {
        "Ball Pit": {"offline_credit_limit": 12_000},
        "Trampoline A": {"reentry_needs_exit": True},
        "Water Park": {"capacity": 5},
    }.items():
        await owner.data("PATCH", f"/v1/catalog/zones/{zones[name]}", changes)
    packages = {
        "2 entries": {"kind": "multi", "price": 25_000, "quota_or_minutes": 2, "valid_days": 30},
        "10 minutes": {"kind": "timepass", "price": 5_000, "quota_or_minutes": 10},
        "Credit 150": {"kind": "credit", "price": 15_000, "quota_or_minutes": 15_000},
    }
    for name, facts in packages.items():
        await owner.data("POST", "/v1/catalog/packages", {"name": name, "name_th": name, **facts})
    ride = next(
        each["package_id"]
        for each in (await owner.data("GET", "/v1/catalog/snapshot"))["packages"]
        if each["name"] == "Carousel ride"
    )
    happy = {
        "name": "Happy ride",
        "name_th": "Happy ride",
        "kind": "time_of_day",
        "params": {"percent": 1_500},
        "targets": {"package_ids": [ride]},
        "window": {"from_time": "13:30", "to_time": "15:00"},
    }
    await owner.data("POST", "/v1/pricing/rules", happy)
    return zones


# --- paper ----------------------------------------------------------------------------------


@dataclass
class Tray:
    """A printer and everything that ever came out of it, in its order. `breaks`: what it does
    instead of printing, next time."""

    name: str = "printer ok"
    out: list[tuple[Paper, bool]] = field(default_factory=list)
    breaks: list[str] = field(default_factory=list)

    def put_out(self, paper: Paper, *, copy: bool = False) -> None:
        how = self.breaks.pop(0) if self.breaks else ""
        if how == "before":
            raise PrinterError("Out of paper.")
        self.out.append((paper, copy))
        if how == "after":
            raise PrinterError("It does not answer any more.", maybe_printed=True)

    @property
    def tickets(self) -> list[TicketView]:
        return [paper.content for paper, _ in self.out if isinstance(paper.content, TicketView)]


# --- devices --------------------------------------------------------------------------------


class Device:
    """What tills and gates have in common: a file, a line, and what runs beside."""

    def __init__(
        self, world: World, folder: Path, line: FaultProxy, name: str, ahead: float
    ) -> None:
        self.world = world
        self.folder = folder
        self.line = line
        self.name = name
        self.machine = Wrong(world.time, ahead)
        self.running = False
        self._beside: list[asyncio.Task[Any]] = []
        self._turns: list[asyncio.Task[Any]] = []

    store: DeviceStore
    engine: SyncEngine
    client: ApiClient

    @property
    def device_id(self) -> str:
        identity = self.store.identity
        assert identity is not None
        return identity.device_id

    @property
    def whole(self) -> bool:
        """Nothing is done to its line."""
        return self.line.fault.name == "pass"

    def beside(self, doing: Awaitable[Any]) -> "asyncio.Task[Any]":
        """Let it go on while the test does something else, until the program ends."""
        task = asyncio.ensure_future(doing)
        self._beside = [each for each in self._beside if not each.done()]
        self._beside.append(task)
        return task

    async def turn(self, patience: float = PATIENCE) -> None:
        """One turn of the loop that keeps the queue empty; who waits for it gives up."""
        self._turns = [each for each in self._turns if not each.done()]
        self._turns.append(self.beside(self.engine._round()))
        await asyncio.wait(self._turns[-1:], timeout=patience)

    async def answered(self) -> None:
        """Wait for answers that are late; those that were swallowed do not come."""
        tasks = {*self._turns, *self.engine._attempts}
        if tasks := {each for each in tasks if not each.done()}:
            await asyncio.wait(tasks, timeout=LATEST)

    async def _end_what_runs(self) -> None:
        # Also what the engine does for those who gave up waiting: the process is gone.
        tasks = [*self._beside, *self.engine._attempts]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._beside = []


class Register(Device):
    """A till with its cashier; `tray` outlives the program."""

    def __init__(self, world: World, folder: Path, line: FaultProxy, number: int) -> None:
        super().__init__(world, folder, line, f"till {number}", AHEAD[number])
        self.tray = Tray()
        self.cashier = CASHIERS[number % len(CASHIERS)]
        self.till: Till

    async def start(self) -> None:
        clock = self.machine.corrected()
        self.store = DeviceStore.open(self.folder / "till.db", clock)
        clock.recall(self.store.clock())
        self.client = ApiClient(self.line.url)
        self.till = Till(self.store, self.client, clock, self.tray)
        self.engine = self.till.engine
        self.running = True
        if self.store.identity is not None:
            await self.turn()
        self.beside(self.till.papers.run())

    async def log_in(self) -> bool:
        """The cashier logs in, online; False where that was not to be had."""
        try:
            await self.till.pair(SITE_KEY, self.name)
            await self.engine._round()
            await self.till.log_in(*self.cashier)
            await self.till.renew_certificate()
        except PlayParkError as refused:
            if refused.code is not ErrorCode.UNAVAILABLE:
                raise
            return False
        return True

    async def stop(self) -> None:
        """The process is gone, whatever it was doing."""
        self.running = False
        await self._end_what_runs()
        await self.till.close()
        self.store.close()

    async def printed(self) -> None:
        """Wait until the printer has done what it can do now."""
        async with asyncio.timeout(SETTLES):
            while self.till.papers._queue.qsize() or self.till.papers._printing.locked():  # noqa: ASYNC110
                await asyncio.sleep(0.002)

    async def see_to_papers(self) -> None:
        """What a cashier does about papers in doubt: looks into the tray; then prints the rest."""
        papers = self.till.papers
        for op_id in papers.doubtful:
            states = await asyncio.to_thread(self.store.papers.of, op_id)
            doubtful = {name for name, state in states.items() if state == "doubtful"}
            lying = {paper.name for paper, _ in self.tray.out if self._is_of(paper, op_id)}
            if doubtful <= lying:
                await papers.are_on_paper([op_id], PATIENCE)
            else:
                await papers.resume([op_id], PATIENCE)
        if papers.due:
            await papers.resume(papers.due, PATIENCE)

    def _is_of(self, paper: Paper, op_id: str) -> bool:
        op = self.store.op(op_id)
        if op is None:
            return False
        if isinstance(paper.content, TicketView):
            ids = [each for line in op.body.get("ticket_ids", []) for each in line]
            return paper.content.ticket_id in ids
        return getattr(paper.content, "receipt_no", None) == op.receipt_no


async def _no_frames() -> AsyncIterator[Frame]:
    nothing: tuple[Frame, ...] = ()
    for frame in nothing:
        yield frame


class Turnstile(Device):
    """A gate with a hand scanner, one guest after the other."""

    def __init__(
        self, world: World, folder: Path, line: FaultProxy, number: int, zone: str
    ) -> None:
        super().__init__(world, folder, line, f"gate {number}", AHEAD[number])
        self.zone_id = world.zones[zone]
        self._answers: list[Scan] = []
        self._heard = asyncio.Event()
        self._asking: asyncio.Task[bool] | None = None

    async def start(self) -> None:
        clock = self.machine.corrected()
        self.store = DeviceStore.open(self.folder / "gate.db", clock)
        clock.recall(self.store.clock())
        self.allow_list = AllowList(self.folder / "allowlist.db")
        judge = Judge(self.store, self.allow_list, Ledger())
        self.client = ApiClient(self.line.url)
        self.engine = SyncEngine(self.store, self.client, clock, deadline=PATIENCE)
        self.admission = Admission(
            self.store, self.engine, clock, zone_id=self.zone_id, deadline=PATIENCE, judge=judge
        )
        self.refresher = Refresher(self.store, self.client, clock, self.allow_list, judge)
        if self.store.identity is None:
            await pair(self.store, self.client, SITE_KEY, DeviceType.GATE, self.name)
        await self.turn()
        judge.load(clock.now())
        self.keyed: asyncio.Queue[Code] = asyncio.Queue()
        self._answers, self._asking = [], None
        # Whatever is shown was out of sight before.
        seconds = iter(range(0, 10_000_000, 10))
        parts = (Decoder(), Presentations(), self.admission)
        scans = run(_no_frames(), *parts, keyed=self.keyed, clock=lambda: next(seconds))
        self.running = True
        self.beside(self._listen(scans))

    async def stop(self) -> None:
        """The process is gone, whatever it was doing."""
        self.running = False
        await self._end_what_runs()
        await self.client.close()
        self.allow_list.close()
        self.store.close()

    async def refresh(self, patience: float = 2.0) -> bool:
        """Ask for the list; whether it came."""
        if self._asking is None or self._asking.done():
            self._asking = self.beside(self._refresh())
        await asyncio.wait([self._asking], timeout=patience)
        return bool(self._asking.done() and self._asking.result())

    async def _refresh(self) -> bool:
        try:
            await self.refresher.refresh()
            snapshot = await self.client.catalog()
            await asyncio.to_thread(self.store.save_catalog, snapshot)
        except PlayParkError:
            return False
        self.engine.note(None)
        return True

    async def show(self, token: str, direction: Direction = Direction.ENTRY) -> Scan:
        """The first answer to a showing: what the guest sees."""
        self.admission.direction = direction
        before = len(self._answers)
        self.keyed.put_nowait(Code(token, keyed=True))
        async with asyncio.timeout(SETTLES):
            while True:
                # Answers to earlier showings, and of an earlier run, come in between.
                fresh = self._answers[before:]
                begun = {scan.number for scan in fresh if scan.answer.level is Level.CHECKING}
                for scan in fresh:
                    if scan.number in begun and scan.answer.level is not Level.CHECKING:
                        return scan
                self._heard.clear()
                await self._heard.wait()

    async def annul(self, op_id: str) -> Answer:
        return await self.admission.annul(op_id)

    async def _listen(self, scans: Any) -> None:
        async with contextlib.aclosing(scans):
            async for scan in scans:
                self._answers.append(scan)
                self._heard.set()


# --- all of it ------------------------------------------------------------------------------


@dataclass
class Park:
    """The devices of one run."""

    world: World
    registers: list[Register]
    turnstiles: list[Turnstile]

    @property
    def devices(self) -> list[Register | Turnstile]:
        return [*self.registers, *self.turnstiles]

    def by_id(self, device_id: str) -> Register | Turnstile:
        return next(each for each in self.devices if each.device_id == device_id)


ZONES = ("Ball Pit", "Trampoline A", "Water Park")


@asynccontextmanager
async def opened(
    world: World, folder: Path, *, registers: int = 2, turnstiles: int = 3
) -> AsyncIterator[Park]:
    """New devices, paired, with cashiers at the tills."""
    async with AsyncExitStack() as stack:
        made: list[Register | Turnstile] = []
        for number in range(registers + turnstiles):
            line = await stack.enter_async_context(FaultProxy(world.url))
            home = folder / str(number)
            home.mkdir()
            if number < registers:
                made.append(Register(world, home, line, number))
            else:
                zone = ZONES[(number - registers) % len(ZONES)]
                made.append(Turnstile(world, home, line, number, zone))
        park = Park(
            world,
            [each for each in made if isinstance(each, Register)],
            [each for each in made if isinstance(each, Turnstile)],
        )
        for device in made:
            stack.push_async_callback(_off, device)
            await device.start()
        for register in park.registers:
            await register.log_in()
        yield park


async def _off(device: Register | Turnstile) -> None:
    if device.running:
        await device.stop()
