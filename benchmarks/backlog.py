"""A backlog over HTTP against raw Motor: two tills and two gates that were cut off send what is on
their disks through `POST /v1/sync/batch` of one API process, each with its own sync engine; and the
same transactions written by raw Motor in this process, in alternating rounds (R35).

The devices' stores lie in memory where that is possible: their disks are other machines' disks. The
last round runs out as devices become empty, as in a park.
"""

import asyncio
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Iterable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import uvloop

from api.app import DOCUMENTS
from api.platform.mongo import Mongo
from benchmarks.limits import PLENTY
from benchmarks.raw import Raw
from benchmarks.server import CASHIER, api_process, call, till
from playpark.client import ApiClient
from playpark.clock import SystemClock
from playpark.contracts.sync import BatchIn, BatchOut, LocalOutcome, OpKind
from playpark.contracts.tenancy import DeviceType
from playpark.contracts.tickets import RedeemIn, RedemptionResult
from playpark.device import DeviceStore, SyncEngine, pair
from playpark.device.safe import SECRET_VARIABLE
from playpark.ids import new_ulid
from playpark.printing.transport import PrinterTarget
from terminal.printer import PaperPrinter
from terminal.till import Till

OPS, ROUNDS = 10_000, 10
TICKETS = 4
"""Of a sale; each is redeemed at a gate: four redemptions a sale, as on any day."""
TILLS, GATES = 2, 2
DATABASE, SITE_KEY = "bench_backlog", "DEMO-MAIN-GATE"
MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of our own in it
MB = 1024 * 1024
MANY = 20
"""Faults after which a device gives up: one is too many already."""


def run(uri: str, ops: int = OPS, rounds: int = ROUNDS) -> list[tuple[str, str]]:
    """The rate of the drain, its ratio to raw Motor, and what grew meanwhile.

    Raises AssertionError where an operation was refused, had to wait, or did not arrive.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_run(uri, ops, rounds))


async def _run(uri: str, ops: int, rounds: int) -> list[tuple[str, str]]:
    plenty = {name.upper(): rate for name, rate in PLENTY.items()}
    source, target = Mongo(uri, DATABASE), Mongo(uri, f"{DATABASE}_raw")
    await target.create_indexes(DOCUMENTS)
    known = _children()
    try:
        with _folder() as folder:
            async with (
                api_process(uri, DATABASE, plenty) as http,
                _cut_off(http, folder, ops // (TICKETS + 1)) as devices,
            ):
                [server] = _children() - known
                draining = [asyncio.create_task(each.drain()) for each in devices]
                # A first batch of each writes the templates of what raw Motor writes then.
                await asyncio.gather(*(_send(each, 1) for each in devices))
                ids = [each.device_id for each in devices]
                raw = await Raw.of(source, target, ids, seller=ids[0])
                found = await _measure(raw, devices, rounds, server)
                await asyncio.gather(*draining)
                await _all_is_there(source, devices)
                return found
    finally:
        source.close()
        target.close()


# --- devices that were cut off ----------------------------------------------------------


class PacedClient(ApiClient):
    """A connection that stops between two batches once its device has sent its part of a round."""

    def __init__(self, base_url: str) -> None:
        super().__init__(base_url)
        self.left = 0
        self.paused, self.go_on = asyncio.Event(), asyncio.Event()

    async def sync(self, batch: BatchIn, *, timeout: float | None = None) -> BatchOut:  # noqa: ASYNC109
        if self.left <= 0:
            self.paused.set()
            await self.go_on.wait()
        self.left -= len(batch.ops)
        return await super().sync(batch, timeout=timeout)


@dataclass
class Device:
    """A store full of operations, and its engine. `sells` or redeems."""

    store: DeviceStore
    client: PacedClient
    engine: SyncEngine
    sells: bool
    ops: int
    faults: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, store: DeviceStore, url: str, *, sells: bool) -> "Device":
        client = PacedClient(url)
        engine = SyncEngine(store, client, SystemClock())
        return cls(store, client, engine, sells, store.queued_count())

    @property
    def device_id(self) -> str:
        assert self.store.identity is not None
        return self.store.identity.device_id

    async def drain(self) -> None:
        """Send all, and note what went wrong; gives up where too much does."""
        while self.engine.queued and len(self.faults) < MANY:
            report = await self.engine.drain()
            if report.error is not None:
                self.faults.append(report.error.message)
            if report.rejected or report.waiting:
                self.faults.append(f"{report.rejected} refused, {report.waiting} waited")
        self.client.paused.set()


@asynccontextmanager
async def _cut_off(
    http: httpx.AsyncClient, folder: Path, sales: int
) -> AsyncIterator[list[Device]]:
    """Devices that have recorded so many sales, and a scan of each ticket sold before."""
    url = str(http.base_url)
    tokens = await _tickets(http, sales * TICKETS)
    with ExitStack() as stores:
        devices = []
        for number in range(TILLS):
            store = stores.enter_context(DeviceStore.open(folder / f"t{number}", SystemClock()))
            await _sell(store, url, _share(sales, TILLS, number))
            devices.append(Device.of(store, url, sells=True))
        for number in range(GATES):
            store = stores.enter_context(DeviceStore.open(folder / f"g{number}", SystemClock()))
            await _admit(store, url, tokens[number::GATES])
            devices.append(Device.of(store, url, sells=False))
        yield devices
        for device in devices:
            await device.client.close()


def _share(total: int, among: int, number: int) -> int:
    return len(range(number, total, among))


async def _sell(store: DeviceStore, url: str, count: int) -> None:
    """The till's own way up to the disk; the server has not been heard of since the shift began."""
    working = Till(
        store, ApiClient(url), SystemClock(), PaperPrinter(PrinterTarget.parse("none"), store)
    )
    await working.pair(SITE_KEY, "bench")
    await working.log_in(CASHIER["email"], CASHIER["pin"])
    await working.renew_certificate()
    await working.open_shift(0)
    while working.engine.queued:
        await working.engine.drain()
    session, offline = working.counter.session, ApiClient("http://127.0.0.1:9")
    await working.close()
    alone = Till(store, offline, SystemClock(), PaperPrinter(PrinterTarget.parse("none"), store))
    alone.counter.session = session
    adult = next(each for each in alone.packages if each.name == "Adult day pass")
    for _ in range(count):
        alone.add(adult.package_id, TICKETS)
        await alone.pay_exact_cash()
    await alone.close()


async def _admit(store: DeviceStore, url: str, tokens: Sequence[str]) -> None:
    """What a gate that is alone writes for each ticket that it lets in."""
    async with ApiClient(url) as client:
        await pair(store, client, SITE_KEY, DeviceType.GATE, "bench")
    clock = SystemClock()
    for token in tokens:
        at = clock.now()
        body = RedeemIn(qr_token=token, occurred_at=at).model_dump(mode="json", exclude_unset=True)
        op = store.append(OpKind.REDEMPTION, lambda _, body=body: body, occurred_at=at)  # type: ignore[misc]
        outcome = LocalOutcome(result=RedemptionResult.PASS, at=at)
        store.record_local(op.op_id, outcome, committed=True)


async def _tickets(http: httpx.AsyncClient, count: int) -> list[str]:
    """The tokens of so many day passes that were sold before."""
    seller, tokens = await till(http), list[str]()
    packages = (await call(http, seller, "GET", "/v1/catalog/packages"))["items"]
    adult = next(each for each in packages if each["name"] == "Adult day pass")
    while len(tokens) < count:
        qty = min(100, count - len(tokens))
        body = {
            "lines": [{"package_id": adult["package_id"], "qty": qty}],
            "payments": [{"method": "cash", "amount": adult["price"] * qty}],
        }
        sale = await call(http, seller, "POST", "/v1/sales", body, new_ulid())
        tokens.extend(str(ticket["qr_token"]) for ticket in sale["tickets"])
    return tokens


# --- measuring --------------------------------------------------------------------------


async def _measure(
    raw: Raw, devices: Sequence[Device], rounds: int, server: int
) -> list[tuple[str, str]]:
    await raw.stock(sum(each.ops + 1 for each in devices if not each.sells))
    for lane, device in enumerate(devices):  # makes the collections that have no index
        await _write(raw, lane, device.sells, 1)
    ours, theirs, server_rss, own_rss = list[float](), list[float](), list[int](), list[int]()
    for number in range(rounds):
        waiting = [each.engine.queued for each in devices]
        took = await _seconds(
            _send(device, -(-left // (rounds - number)))
            for device, left in zip(devices, waiting, strict=True)
        )
        # A device sends whole batches: raw Motor writes as many as it has sent.
        sent = [left - each.engine.queued for left, each in zip(waiting, devices, strict=True)]
        again = await _seconds(
            _write(raw, lane, device.sells, sent[lane]) for lane, device in enumerate(devices)
        )
        server_rss.append(_rss(server))
        own_rss.append(_rss(os.getpid()))
        if number and sum(sent):  # the first round warms up
            ours.append(sum(sent) / took)
            theirs.append(sum(sent) / again)
    ratios = [mine / other for mine, other in zip(ours, theirs, strict=True)]
    ratio = f"{statistics.median(ratios):.2f} of it ({min(ratios):.2f}–{max(ratios):.2f})"
    both = f"{statistics.median(ours):.0f}/s; raw Motor {statistics.median(theirs):.0f}/s, {ratio}"
    total = sum(each.ops for each in devices)
    grown = f"API {_growth(server_rss)}, devices {_growth(own_rss)}"
    return [
        (f"Backlog of {total:,} operations from {len(devices)} devices", both),
        ("Memory from the first tenth of the backlog on, at most", grown),
    ]


async def _seconds(work: Iterable[Awaitable[None]]) -> float:
    began = time.perf_counter()
    await asyncio.gather(*work)
    return time.perf_counter() - began


async def _send(device: Device, part: int) -> None:
    """Let a device send its part of this round."""
    client = device.client
    if not device.engine.queued or device.faults:
        return
    client.left = part
    client.paused.clear()
    client.go_on.set()
    client.go_on.clear()
    await client.paused.wait()


async def _write(raw: Raw, lane: int, sells: bool, count: int) -> None:
    for _ in range(count):
        if sells:
            await raw.sell(lane, numbered=True)
        else:
            await raw.redeem(lane)


def _growth(samples: Sequence[int]) -> str:
    return f"{samples[0] / MB:.0f} MB {(max(samples) - samples[0]) / MB:+.1f}"


async def _all_is_there(source: Mongo, devices: Sequence[Device]) -> None:
    """Each operation stands once; nothing was refused and nothing had to wait."""
    for device in devices:
        assert not device.faults, device.faults
        assert not device.store.rejected()
        mine = {"device_id": device.device_id, "kind": "sale" if device.sells else "redemption"}
        assert await source.db["operations"].count_documents(mine) == device.ops, mine
        if device.sells:
            made: dict[str, Any] = {"device_id": device.device_id}
            assert await source.db["sales"].count_documents(made) == device.ops
        else:
            passed = {"device_id": device.device_id, "result": "pass"}
            assert await source.db["redemptions"].count_documents(passed) == device.ops


# --- the machine ------------------------------------------------------------------------


@contextmanager
def _folder() -> Iterator[Path]:
    """A folder for the devices' stores, and the secret of their keys."""
    before = os.environ.get(SECRET_VARIABLE)
    os.environ[SECRET_VARIABLE] = before or "the secret of tills in a benchmark"
    folder = Path(tempfile.mkdtemp(dir=MEMORY if MEMORY.is_dir() else None))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
        if before is None:
            del os.environ[SECRET_VARIABLE]


def _children() -> set[int]:
    """The processes that this one has started. Linux tells."""
    tasks = Path("/proc/self/task").glob("*/children")
    return {int(each) for task in tasks for each in task.read_text().split()}


def _rss(pid: int) -> int:
    """Resident memory, bytes."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
